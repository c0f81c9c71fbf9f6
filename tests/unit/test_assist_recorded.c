/*
 * test_assist_recorded.c - assist on KVM's recorded exits, against the interpreter; needs no /dev/kvm.
 *
 * The engine is the real one.  Its ioctl() is the one below, behind which KVM is a row of the measured table
 * (tests/vectors/) at CPL 0: the instruction under test exits as that KVM's did, and ends as it did there.  All other code of
 * the guest, exception handlers among it, is run by a second interpreter on the same memory.
 *
 * Not played: I/O exits, faults of the instruction under test, string instructions, anything at CPL 3.
 */
#include "lib/scene_compare.h"

#include "kvm/kvm.h"

#include <check.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FAKE_VM = 0x10000001, FAKE_VCPU, FAKE_MSRS = 16, RUNS_MAX = 2000, STD = 0xfd };

static struct vectors table;
static struct snippet forms[VECTOR_FORMS];
static struct scene alone, kvm;

/* A KVM of one vCPU. */
static struct {
    /* what it keeps */
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    struct kvm_xsave xsave;
    struct kvm_xcrs xcrs;
    struct kvm_debugregs debug;
    struct kvm_vcpu_events events;
    struct kvm_msr_entry msr[FAKE_MSRS];
    struct kvm_run run;
    bool rom;                      /* its memory slots are read-only */
    /* the row it plays */
    const struct vector_row *row;
    uint64_t rip;                  /* of the instruction under test */
    unsigned runs;                 /* KVM_RUNs: an engine that goes round for ever is stopped */
    bool playing, carried_out;
    const char *exits, *data;      /* those to come */
    struct vector_token exit;      /* exit.count of them are left to report */
    struct bus_answers answers;
    /* and what runs all other code */
    struct vcpu v;
    struct kvm_run page;           /* where that one finds registers */
    struct kvm_cpu cpu;
    void *interp;
} fake = { .cpu = { .v = &fake.v, .fd = FAKE_VCPU, .run = &fake.page } };

static bool is(const char *a, const char *b) { return !strcmp(a, b); }

/* -- its state ------------------------------------------------------------------------------------------------------------------- */

static struct kvm_msr_entry *find_msr(uint32_t index)
{
    for (unsigned i = 0; i < FAKE_MSRS; i++)
        if (!fake.msr[i].index || fake.msr[i].index == index)
            return &fake.msr[i];
    abort();
}

static int move_msrs(struct kvm_msrs *m, bool put)
{
    for (unsigned i = 0; i < m->nmsrs; i++) {
        struct kvm_msr_entry *msr = find_msr(m->entries[i].index);

        msr->index = m->entries[i].index;
        if (put)
            msr->data = m->entries[i].data;
        else
            m->entries[i].data = msr->data;
    }
    return (int)m->nmsrs;
}

static int move(void *to, const void *from, size_t n)
{
    memcpy(to, from, n);
    return 0;
}

/* The second interpreter's, from the fake's. */
static bool fetch(void)
{
    struct kvm_event event;
    struct err err;

    fake.page.s.regs.regs = fake.regs;
    fake.page.s.regs.sregs = fake.sregs;
    fake.page.s.regs.events = fake.events;
    return kvm_fetch_parts(&fake.cpu, KVM_PARTS_ALL, &event, &err);
}

/* The soft-MMU walks the guest's tables, from the fake's registers. */
static bool translate(uint64_t gva, uint64_t *gpa)
{
    const struct tlb_entry *e;

    if (!fetch() || !(e = tlb_translate(&fake.v.mmu, gva, ACCESS_READ, BANK_SUPERVISOR)))
        return false;
    *gpa = e->gpa + (gva & PAGE_OFFSET);
    return true;
}

/* -- guest code that is not under test ----------------------------------------------------------------------------------------- */

static bool at_test(void) { return fake.regs.rip == fake.rip && !is(fake.row->outcome[0], "SHUTDOWN"); }

static enum stop_reason interpret_one(const struct bus_answers *answers)
{
    struct err err;
    enum stop_reason stop;

    if (!fetch())
        return STOP_FAILED;
    fake.v.cpu.activity = CPU_RUNNING;
    fake.v.bus.answers = answers;
    stop = engine_interp.run(fake.interp, 1, &err);
    fake.v.bus.answers = NULL;
    return kvm_put_state(&fake.cpu, &err) ? stop : STOP_FAILED;
}

/* To HLT or to the instruction under test. */
static int run_other_code(void)
{
    enum stop_reason stop = STOP_BUDGET;

    while (stop == STOP_BUDGET && !at_test())
        stop = interpret_one(NULL);
    fake.run.exit_reason = stop == STOP_HALT ? KVM_EXIT_HLT : stop == STOP_SHUTDOWN ? KVM_EXIT_SHUTDOWN : KVM_EXIT_UNKNOWN;
    return stop == STOP_BUDGET;
}

/* -- the instruction under test ------------------------------------------------------------------------------------------------- */

static void begin(void)
{
    fake.playing = true;
    fake.carried_out = false;
    fake.exits = fake.row->exits[0];
    fake.data = fake.row->write_data;
    fake.exit.count = 0;
    fake.answers.n = 0;
}

/*
 * What KVM has done besides the exits: registers, the RAM that the operand lies in, the stack.  An interpreter does it, with what
 * the loads were answered; what that one sends the device has not happened, and read-only memory is as it was.
 */
static void carry_out(void)
{
    static struct recorder device;
    static uint8_t ram[SCENE_RAM_PAGES * PAGE_BYTES], stack[PAGE_BYTES];

    device = kvm.recorder;
    memcpy(ram, kvm.ram, sizeof(ram));
    memcpy(stack, kvm.g.ram + GUEST_STACK, sizeof(stack));
    interpret_one(&fake.answers);
    kvm.recorder = device;
    if (fake.rom) {
        memcpy(kvm.ram, ram, sizeof(ram));
        memcpy(kvm.g.ram + GUEST_STACK, stack, sizeof(stack));
    }
    fake.carried_out = true;
}

static void take_answer(void)
{
    struct bus_answers *a = &fake.answers;

    if (fake.run.exit_reason != KVM_EXIT_MMIO || fake.run.mmio.is_write || a->n == BUS_ANSWERS)
        return;
    a->answer[a->n].gpa = fake.run.mmio.phys_addr;
    a->answer[a->n].width = (uint8_t)fake.run.mmio.len;
    memcpy(a->answer[a->n++].data, fake.run.mmio.data, 8);
}

/* The row's data are numbers, one for each store. */
static void next_data(void)
{
    char *end;
    uint64_t value = strtoull(fake.data, &end, 16);

    memcpy(fake.run.mmio.data, &value, 8);
    fake.data = end;
}

/* At a store KVM is done with all else: RIP is behind the instruction. */
static void report_access(void)
{
    struct vector_token *t = &fake.exit;
    uint64_t gpa = 0;

    if (t->direction == 'W' && !fake.carried_out)
        carry_out();
    if (!translate(kvm.operand + (uint64_t)(int64_t)t->at, &gpa))
        abort();
    fake.run.exit_reason = KVM_EXIT_MMIO;
    fake.run.mmio.phys_addr = gpa;
    fake.run.mmio.len = t->width;
    fake.run.mmio.is_write = t->direction == 'W';
    memset(fake.run.mmio.data, 0, sizeof(fake.run.mmio.data));
    if (fake.run.mmio.is_write)
        next_data();
    t->at += (int)t->width;
    t->count--;
}

static void report_failure(void)
{
    const uint8_t *code = phys_readable(&kvm.g.phys, fake.regs.rip, INSN_BYTES);

    fake.run.exit_reason = KVM_EXIT_INTERNAL_ERROR;
    fake.run.emulation_failure.suberror = KVM_INTERNAL_ERROR_EMULATION;
    fake.run.emulation_failure.ndata = 3;
    fake.run.emulation_failure.flags = KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
    fake.run.emulation_failure.insn_size = INSN_BYTES;
    memcpy(fake.run.emulation_failure.insn_bytes, code, INSN_BYTES);
}

static int interrupted(void)
{
    fake.run.exit_reason = KVM_EXIT_INTR;
    errno = EINTR;
    return -1;
}

/*
 * The exits are over.  1: to the guest again, behind the instruction, or before it where KVM goes round on it.  What it goes
 * round on without an exit lasts until a signal comes.
 */
static int end(void)
{
    const char *outcome = fake.row->outcome[0];

    fake.playing = false;
    if (is(outcome, "EMUFAIL")) {
        report_failure();
        return 0;
    }
    if (is(outcome, "LIVELOCK(in kernel)"))
        return interrupted();
    if (is(outcome, "ok") && !fake.carried_out)
        carry_out();
    return 1;
}

/* On with the instruction: 0: an exit; -1: a signal; 1: to the guest. */
static int play(void)
{
    take_answer();
    if (!fake.exit.count && !(fake.exits = vectors_next(fake.exits, &fake.exit)))
        return end();
    report_access();
    return 0;
}

/* -- KVM_RUN -------------------------------------------------------------------------------------------------------------------- */

/* What is under way is completed first; with immediate_exit nothing else runs. */
static int enter(void)
{
    int result = 1;

    if (fake.playing)
        result = play();
    while (result > 0) {
        if (fake.run.immediate_exit)
            return interrupted();
        fake.run.exit_reason = KVM_EXIT_UNKNOWN;
        result = run_other_code();
        if (result > 0) {
            begin();
            result = play();
        }
    }
    return result;
}

static int run(void)
{
    int result;

    if (++fake.runs > RUNS_MAX) {
        errno = EIO;
        return -1;
    }
    if (fake.run.kvm_dirty_regs & KVM_SYNC_X86_REGS)
        fake.regs = fake.run.s.regs.regs;
    if (fake.run.kvm_dirty_regs & KVM_SYNC_X86_SREGS)
        fake.sregs = fake.run.s.regs.sregs;
    if (fake.run.kvm_dirty_regs & KVM_SYNC_X86_EVENTS)
        fake.events = fake.run.s.regs.events;
    fake.run.kvm_dirty_regs = 0;
    result = enter();
    fake.run.s.regs.regs = fake.regs;
    fake.run.s.regs.sregs = fake.sregs;
    fake.run.s.regs.events = fake.events;
    return result;
}

static int vcpu_ioctl(unsigned long request, void *p)
{
    switch (request) {
    case KVM_RUN: return run();
    case KVM_GET_REGS: return move(p, &fake.regs, sizeof(fake.regs));
    case KVM_SET_REGS: return move(&fake.regs, p, sizeof(fake.regs));
    case KVM_GET_SREGS: return move(p, &fake.sregs, sizeof(fake.sregs));
    case KVM_SET_SREGS: return move(&fake.sregs, p, sizeof(fake.sregs));
    case KVM_GET_XSAVE: return move(p, &fake.xsave, sizeof(fake.xsave));
    case KVM_SET_XSAVE: return move(&fake.xsave, p, sizeof(fake.xsave));
    case KVM_GET_XCRS: return move(p, &fake.xcrs, sizeof(fake.xcrs));
    case KVM_SET_XCRS: return move(&fake.xcrs, p, sizeof(fake.xcrs));
    case KVM_GET_DEBUGREGS: return move(p, &fake.debug, sizeof(fake.debug));
    case KVM_SET_DEBUGREGS: return move(&fake.debug, p, sizeof(fake.debug));
    case KVM_GET_VCPU_EVENTS: return move(p, &fake.events, sizeof(fake.events));
    case KVM_SET_VCPU_EVENTS: return move(&fake.events, p, sizeof(fake.events));
    case KVM_GET_MSRS: return move_msrs(p, false);
    case KVM_SET_MSRS: return move_msrs(p, true);
    default: return 0;
    }
}

static int vm_ioctl(unsigned long request, const void *p)
{
    const struct kvm_userspace_memory_region *m = p;

    if (request == KVM_SET_USER_MEMORY_REGION && m->memory_size)
        fake.rom = m->flags & KVM_MEM_READONLY;
    return 0;
}

/* In place of libc's. */
int ioctl(int fd, unsigned long request, ...)
{
    va_list args;
    void *p;

    va_start(args, request);
    p = va_arg(args, void *);
    va_end(args);
    if (fd == FAKE_VCPU)
        return vcpu_ioctl(request, p);
    return fd == FAKE_VM ? vm_ioctl(request, p) : (int)syscall(SYS_ioctl, fd, request, p);
}

/* -- the engine on it ----------------------------------------------------------------------------------------------------------- */

static void recorded_destroy(void *self)
{
    struct kvm_engine *k = self;

    kvm_assist_free(&k->assist);
    engine_interp.destroy(fake.interp);
    vcpu_free(&fake.v);
    free(k);
}

/* As kvm_create(), with nothing opened. */
static void *recorded_create(struct vcpu *v, struct err *err)
{
    static struct kvm_vm vm; /* the physical map does not change */
    struct kvm_engine *k = calloc(1, sizeof(*k));

    if (!k)
        abort();
    vcpu_init(&fake.v, v->bus.phys);
    fake.interp = engine_interp.create(&fake.v, err);
    k->cpu = (struct kvm_cpu){ .v = v, .fd = FAKE_VCPU, .run = &fake.run };
    vm = (struct kvm_vm){ .phys = v->bus.phys, .system = -1, .fd = FAKE_VM, .slots_stale = true };
    k->vm = k->assist.vm = &vm;
    k->assist.cpu = &k->cpu;
    v->bus.origin.engine = ENGINE_KVM;
    if (fake.interp && kvm_sync_slots(&vm, err))
        return k;
    recorded_destroy(k);
    return NULL;
}

static bool create_scenes(struct err *err)
{
    static struct engine recorded;

    recorded = engine_kvm;
    recorded.create = recorded_create;
    recorded.destroy = recorded_destroy;
    return scene_create(&kvm, &recorded, err) && scene_create(&alone, &engine_interp, err);
}

static void run_recorded(const struct vector_row *row, const struct snippet *code)
{
    fake.row = row;
    fake.rip = GUEST_CODE + (code->bytes[0] == STD);
    fake.runs = 0;
    fake.playing = false;
    fake.events = (struct kvm_vcpu_events){ .flags = 0 };
    for (unsigned at = 0; at < PAGE_BYTES; at += CODE_LINE_BYTES) /* new code, of which nobody tells its interpreter */
        code_written(&fake.v.code, GUEST_CODE + at, CODE_LINE_BYTES);
    scene_run(&kvm, row, code, GUEST_CPL0, &split_whole);
}

/* -- tests ------------------------------------------------------------------------------------------------------------------------ */

/*
 * What the device takes, and how many rows there must be at least that KVM fails, that it cuts, and that it does as they are: for
 * these a device of registers gets KVM's accesses, and assist has no part in them.
 */
static const struct device {
    const char *name;
    uint8_t widths;
    bool atomics, enables;
    unsigned fails, cuts, does;
} devices[] = {
    { "that takes everything", W_ALL, true, true, 1700, 90, 1200 },
    { "without atomics", W_ALL, false, true, 1700, 50, 1200 },
    { "of registers", W_REGISTERS, false, false, 1700, 0, 0 },
};

static void limit(struct scene *s, const struct device *d)
{
    static struct region_limits all;
    struct region_limits *l = &s->recorder.ops.limits;

    if (d == devices)
        all = *l;
    l->widths = d->widths;
    l->types = d->atomics ? all.types : 0;
    l->atomic_widths = d->atomics ? all.atomic_widths : 0;
    l->flags = d->enables ? all.flags : all.flags & ~REGION_ENABLES;
}

/*
 * A device of registers gets KVM's own accesses.  They are not LOCKED; and LGDT loads four bytes, before a page that faults too,
 * where a processor loads eight: what the device saw of that is not compared.
 */
static void overlook(struct recorder *r, const struct vector_row *row)
{
    if (is(row->outcome[0], "LIVELOCK(exits)"))
        r->transactions = 0;
    for (unsigned i = 0; i < bits_min(r->transactions, RECORDS); i++)
        r->transaction[i].flags &= (uint16_t)~TRANSACTION_LOCKED;
}

enum verdict { FAILS, CUTS, DOES, LEFT_OUT, VERDICTS };

/* After the interpreter has run it.  MOVNTI with a part in RAM is a plain store where KVM says it. */
static enum verdict verdict(const struct device *d, const struct vector_row *row)
{
    bool part = is(row->placement, "rm") || is(row->placement, "mr");

    if (is(row->outcome[0], "n/a") || is(row->outcome[0], "-") || row->outcome[0][0] == '#')
        return LEFT_OUT;
    if (scene_kvm_fails(row, 0))
        return FAILS;
    if (scene_kvm_cuts(&alone, row, 0))
        return CUTS;
    return !d->does || strstr(row->exits[0], "IO") || is(row->category, "string") || (part && strstr(row->insn, "movnti")) ? LEFT_OUT : DOES;
}

/* "" or what differs. */
static enum verdict try(const struct device *d, const struct vector_row *row, char *why, size_t size)
{
    enum verdict v;

    *why = 0;
    scene_run(&alone, row, &forms[row->id], GUEST_CPL0, &split_whole);
    v = verdict(d, row);
    if (v == LEFT_OUT)
        return v;
    run_recorded(row, &forms[row->id]);
    if (d->widths == W_REGISTERS) {
        overlook(&alone.recorder, row);
        overlook(&kvm.recorder, row);
    }
    scene_compare(&alone, &kvm, why, size);
    if (fake.rom)
        snprintf(why, size, "KVM's memory is still read-only");
    return v;
}

START_TEST(assist_on_recorded_exits_is_as_the_interpreter)
{
    const struct device *d = &devices[_i];
    unsigned rows[VERDICTS] = { 0 }, differ = 0;
    char why[1024], first[1200] = "";

    limit(&alone, d);
    limit(&kvm, d);
    for (size_t i = 0; i < table.n; i++) {
        const struct vector_row *row = &table.row[i];

        rows[try(d, row, why, sizeof(why))]++;
        differ += *why != 0;
        if (*why && !*first)
            snprintf(first, sizeof(first), "%u %s %s: %s", row->id, row->placement, row->insn, why);
    }
    printf("# summary a device %s: of %u rows that KVM fails, %u that it cuts and %u that it does, %u differ\n", d->name, rows[FAILS],
           rows[CUTS], rows[DOES], differ);
    ck_assert_msg(!differ, "%u rows differ, first: %s", differ, first);
    ck_assert_msg(rows[FAILS] >= d->fails && rows[CUTS] >= d->cuts && rows[DOES] >= d->does, "too few rows");
}
END_TEST

int main(void)
{
    struct err err = { "" };
    Suite *suite = suite_create("assist recorded");
    TCase *rows = tcase_create("rows");
    SRunner *runner;
    int failed;

    if (!assemble_available()) {
        printf("1..0 # SKIP no assembler (as) on this host\n");
        return 0;
    }
    if (!vectors_load(&table, VECTORS_KVM)) {
        printf("1..1\nnot ok 1 tables\n");
        return 1;
    }
    scene_collect_forms(&table, forms);
    if (!scene_assemble_forms(forms) || !create_scenes(&err)) {
        printf("1..1\nnot ok 1 assembler or guest %s\n", err.text);
        return 1;
    }
    tcase_set_timeout(rows, 300);
    tcase_add_loop_test(rows, assist_on_recorded_exits_is_as_the_interpreter, 0, ARRAY_LEN(devices));
    suite_add_tcase(suite, rows);
    runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    scene_destroy(&alone);
    scene_destroy(&kvm);
    vectors_free(&table);
    return failed ? 1 : 0;
}
