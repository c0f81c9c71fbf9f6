/*
 * engine.c - /dev/kvm as an engine (Documentation/virt/kvm/api.rst).
 *
 * No in-kernel interrupt controllers: ports and device memory exit to stop 4, interrupts come from our own PIC and
 * APIC through KVM_INTERRUPT.  After every access the instruction is brought to its end with `immediate_exit`: KVM
 * then reports the instruction's next access, or EINTR at the boundary, and nothing else runs.
 */
#include "kvm/kvm.h"

#include "base/log.h"
#include "x86/decode.h"
#include "x86/fault.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

enum { TICK_US = 4000, IDLE_TICKS = 2500 /* 10 s */ };

/* -- creation --------------------------------------------------------------------------------------------------------- */

static bool create_vcpu(struct kvm_engine *k, struct err *err)
{
    if ((k->cpu.fd = ioctl(k->vm->fd, KVM_CREATE_VCPU, (unsigned long)k->cpu.v->id)) < 0)
        return err_set(err, "KVM_CREATE_VCPU: %s", strerror(errno));
    k->run_bytes = (size_t)ioctl(k->vm->system, KVM_GET_VCPU_MMAP_SIZE, 0);
    k->cpu.run = mmap(NULL, k->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, k->cpu.fd, 0);
    if (k->cpu.run == MAP_FAILED) {
        k->cpu.run = NULL;
        return err_set(err, "KVM run page: %s", strerror(errno));
    }
    k->cpu.run->kvm_valid_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS;
    return kvm_create_cpuid(&k->cpu, k->vm->system, err);
}

/* A guest that is now here and now on a soft engine has one clock. */
static void create_tsc(struct kvm_engine *k)
{
    int khz = ioctl(k->cpu.fd, KVM_GET_TSC_KHZ, 0);

    if (k->cpu.v->assist.mode == ASSIST_BURST && khz > 0)
        vcpu_set_tsc_khz(k->cpu.v, (uint32_t)khz);
}

static void kvm_destroy(void *self)
{
    struct kvm_engine *k = self;

    kvm_assist_free(&k->assist);
    if (k->cpu.run)
        munmap(k->cpu.run, k->run_bytes);
    if (k->cpu.fd >= 0)
        close(k->cpu.fd);
    if (k->vm)
        kvm_vm_put(k->vm);
    free(k);
}

static void *kvm_create(struct vcpu *v, struct err *err)
{
    struct kvm_engine *k = calloc(1, sizeof(*k));
    struct kvm_probe probe;

    if (!k)
        abort();
    kvm_probe(&probe);
    k->assist.kernel = k->cpu.user_only = probe.kind == KVM_KIND_PVM && v->assist.mode == ASSIST_BURST;
    k->cpu.v = v;
    k->cpu.fd = -1;
    k->assist.cpu = &k->cpu;
    v->bus.origin.engine = ENGINE_KVM;
    k->vm = k->assist.vm = kvm_vm_get(v->bus.phys, err);
    if (k->vm && create_vcpu(k, err) && kvm_sync_slots(k->vm, err)) {
        create_tsc(k);
        return k;
    }
    kvm_destroy(k);
    return NULL;
}

/* -- exits ------------------------------------------------------------------------------------------------------------- */

/* What the exit says of its instruction, if it is the first. */
static void begin_instruction(struct kvm_engine *k, bool write)
{
    if (!k->in_instruction && !k->repeating) {
        k->exit_rip = k->cpu.v->bus.origin.rip = k->cpu.run->s.regs.regs.rip;
        k->exit_wrote = write;
        k->assist.answers.n = 0;
    }
    k->in_instruction = true;
}

static void keep_answer(struct bus_answers *a, uint64_t gpa, unsigned width, const uint8_t *data)
{
    if (a->n == BUS_ANSWERS)
        return;
    a->answer[a->n].gpa = gpa;
    a->answer[a->n].width = (uint8_t)width;
    memcpy(a->answer[a->n++].data, data, width);
}

static void exit_access(struct kvm_engine *k, enum region_space space, bool write, uint64_t address, unsigned width, uint8_t *data)
{
    struct access a = { .space = space, .type = write ? TRANSACTION_STORE : TRANSACTION_LOAD, .width = (uint8_t)width,
                        .gva = address, .enables = bits_mask(width) };

    if (write)
        memcpy(&a.data, data, width);
    begin_instruction(k, write);
    dispatch_physical(&k->cpu.v->bus, &a, address);
    if (write)
        return;
    memcpy(data, &a.data, width);
    if (space == REGION_MMIO && k->cpu.v->assist.mode != ASSIST_OFF)
        keep_answer(&k->assist.answers, address, width, data);
}

static void exit_io(struct kvm_engine *k)
{
    struct kvm_run *r = k->cpu.run;
    uint8_t *data = (uint8_t *)r + r->io.data_offset;

    for (unsigned i = 0; i < r->io.count; i++)
        exit_access(k, REGION_PIO, r->io.direction == KVM_EXIT_IO_OUT, r->io.port, r->io.size, data + i * r->io.size);
}

/* Only the instruction's own bytes of the up to 15 that KVM hands over. */
static void describe_emulation_failure(const struct kvm_engine *k, struct err *err)
{
    const struct kvm_run *r = k->cpu.run;
    bool given = r->emulation_failure.ndata >= 1 &&
                 r->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
    unsigned n = given ? (unsigned)bits_min(r->emulation_failure.insn_size, INSN_BYTES) : 0;
    char bytes[3 * INSN_BYTES + 1] = "";
    struct cpu cpu = { 0 };
    struct insn insn;

    kvm_peek_state(&k->cpu, &cpu);
    if (n && decode(cpu.mode, r->emulation_failure.insn_bytes, n, &insn) == DECODE_OK)
        n = insn.length;
    for (unsigned i = 0; i < n; i++)
        snprintf(bytes + i * 3, 4, " %02x", r->emulation_failure.insn_bytes[i]);
    err_set(err, "cannot emulate%s at %#" PRIx64, n ? bytes : " the instruction", cpu.rip);
}

static void describe_failure(const struct kvm_engine *k, struct err *err)
{
    const struct kvm_run *r = k->cpu.run;

    if (r->exit_reason == KVM_EXIT_INTERNAL_ERROR && r->internal.suberror == KVM_INTERNAL_ERROR_EMULATION)
        describe_emulation_failure(k, err);
    else
        err_set(err, "KVM exit reason %u, RIP %#llx", r->exit_reason, r->s.regs.regs.rip);
}

/* -- running -------------------------------------------------------------------------------------------------------------- */

/* KVM's own way while it single-steps leaves RFLAGS.TF, which is not the guest's, in the frame it pushes. */
static bool inject_stepping(struct kvm_engine *k, uint8_t vector, struct err *err)
{
    if (!kvm_fetch_state(&k->cpu, err))
        return false;
    interrupt_deliver(k->cpu.v, vector);
    vcpu_sync(k->cpu.v);
    return kvm_put_state(&k->cpu, err);
}

/* Events that wait in the shared page for the next KVM_RUN would replace what is put in beside them. */
static struct kvm_vcpu_events *waiting_events(struct kvm_engine *k)
{
    return k->cpu.run->kvm_dirty_regs & KVM_SYNC_X86_EVENTS ? &k->cpu.run->s.regs.events : NULL;
}

static bool inject_interrupt(struct kvm_engine *k, struct err *err)
{
    struct vcpu *v = k->cpu.v;
    struct kvm_interrupt irq = { .irq = v->pins.acknowledge(v->pins.opaque) };
    struct kvm_vcpu_events *waiting = waiting_events(k);

    v->cpu.activity = CPU_RUNNING;
    if (k->single_step)
        return inject_stepping(k, (uint8_t)irq.irq, err);
    if (waiting) {
        waiting->interrupt.injected = 1;
        waiting->interrupt.nr = (uint8_t)irq.irq;
        waiting->interrupt.soft = 0;
        return true;
    }
    return ioctl(k->cpu.fd, KVM_INTERRUPT, &irq) == 0 || err_set(err, "KVM_INTERRUPT: %s", strerror(errno));
}

static bool inject_nmi(struct kvm_engine *k, struct err *err)
{
    struct kvm_vcpu_events *waiting = waiting_events(k);

    k->cpu.v->pins.nmi = false;
    if (waiting) {
        waiting->nmi.pending = 1;
        return true;
    }
    return ioctl(k->cpu.fd, KVM_NMI, 0) == 0 || err_set(err, "KVM_NMI: %s", strerror(errno));
}

/* Interrupts are taken only between instructions: the caller has seen to that. */
static bool inject(struct kvm_engine *k, struct err *err)
{
    struct vcpu *v = k->cpu.v;
    struct kvm_run *r = k->cpu.run;

    r->request_interrupt_window = 0;
    if (v->debug.step && v->cpu.activity == CPU_RUNNING)
        return true;
    if (v->pins.nmi && !inject_nmi(k, err))
        return false;
    if (!v->pins.intr)
        return true;
    if (r->ready_for_interrupt_injection && r->if_flag && !inject_interrupt(k, err))
        return false;
    r->request_interrupt_window = v->pins.intr;
    return true;
}

/* INIT and start-up messages, between instructions (SDM 3A 11.4.2). */
static bool take_start(struct kvm_engine *k, struct err *err)
{
    struct vcpu *v = k->cpu.v;
    struct cpu_pins *p = &v->pins;
    bool init = p->init, startup = p->startup;

    p->init = p->startup = false;
    if (!init && !(startup && v->cpu.activity == CPU_WAIT_SIPI))
        return true;
    if (!kvm_fetch_state(&k->cpu, err))
        return false;
    if (init)
        vcpu_init_signal(v);
    if (startup && v->cpu.activity == CPU_WAIT_SIPI)
        vcpu_start(v, p->startup_vector);
    return kvm_put_state(&k->cpu, err);
}

/* Length of the repeated string instruction at this RIP; 0: there is none. */
static unsigned rep_string_length(struct kvm_engine *k)
{
    const struct cpu *c = &k->cpu.v->cpu;
    struct insn insn;

    return kvm_code_at(&k->cpu, c->rip, &insn) && insn.prefixes & (PREFIX_REP | PREFIX_REPNE) ? insn.length : 0;
}

/* For whoever looks at the journey: the instruction, where KVM has said where it begins. */
static void note_code(struct kvm_engine *k)
{
    struct vcpu *v = k->cpu.v;
    const uint8_t *code;
    struct insn insn;

    v->insn_bytes = 0;
    if (v->rip_after || !v->bus.observe || !(code = kvm_code_at(&k->cpu, k->exit_rip, &insn)))
        return;
    v->insn_bytes = insn.length;
    memcpy(v->insn, code, insn.length);
}

/*
 * KVM has gone back to the guest; is the instruction under way complete?
 *
 * A string instruction may go back with RIP unmoved and RCX counted down, even to zero: it would then find out that it
 * has nothing left to do.  RIP is moved for it there, so that the boundary is where every engine has it.  RF tells it
 * from a store, which is reported with RIP already behind it: KVM sets RF within a repetition, as processors do.
 */
static bool is_repeating(struct kvm_engine *k)
{
    struct cpu *c = &k->cpu.v->cpu;
    unsigned length;

    if (c->rip != k->exit_rip || !(c->rflags & FLAG_RF))
        return false;
    length = rep_string_length(k);
    if (!length || c->slot[RCX])
        return length;
    c->rip += length;
    k->cpu.run->s.regs.regs.rip = c->rip;
    k->cpu.run->kvm_dirty_regs |= KVM_SYNC_X86_REGS;
    return false;
}

/* The guest is between two instructions (or two elements) again; true if the engine should stop there. */
static bool complete(struct kvm_engine *k, enum stop_reason *stop)
{
    struct vcpu *v = k->cpu.v;

    k->in_instruction = false;
    kvm_peek_state(&k->cpu, &v->cpu);
    k->repeating = is_repeating(k);
    v->again = k->repeating && v->stop_on_touch; /* otherwise nobody sees to it that the end is seen */
    v->rip_after = k->exit_wrote && k->exit_rip == v->cpu.rip;
    note_code(k);
    if (k->repeating)
        return false;
    v->retired += v->exact;
    if (v->stop_on_touch && v->bus.touched)
        *stop = STOP_TOUCHED;
    else if (v->exact && v->retired >= k->until)
        *stop = STOP_BUDGET;
    else
        return false;
    return true;
}

static bool finish(struct kvm_engine *k, enum stop_reason *stop, struct err *err);
static bool handle_exit(struct kvm_engine *k, enum stop_reason *stop, struct err *err);

/* One of the processor's debug registers; RW 0 stops before an instruction, 1 after a write, 3 after a read too (SDM 3A 19.2.4). */
static void set_debug_register(struct kvm_guest_debug *d, unsigned i, uint64_t address, unsigned rw, unsigned bytes)
{
    static const uint8_t lengths[] = { 0, 0, 1, 0, 3, 0, 0, 0, 2 };

    if (i >= WATCHES || bytes > 8)
        return;
    d->control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP;
    d->arch.debugreg[i] = address;
    d->arch.debugreg[7] |= 2u << (i * 2) | (uint64_t)(rw | lengths[bytes] << 2) << (16 + i * 4);
}

/* A debugger's watches first, so that they have the same registers whether its breakpoints are there or not. */
static struct kvm_guest_debug wanted_debug(const struct vcpu_debug *v, bool step)
{
    struct kvm_guest_debug d = { .control = step ? KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP : 0 };
    unsigned n = 0;

    for (unsigned i = 0; i < DEBUG_WATCHES; i++)
        if (v->watch[i].size)
            set_debug_register(&d, n++, v->watch[i].gva, v->watch[i].writes_only ? 1 : 3, v->watch[i].size);
    for (unsigned i = 0; i < v->breaks && !v->step; i++)
        set_debug_register(&d, n++, v->at[i], 0, 1);
    return d;
}

/*
 * A repetition that has touched a device may go on in memory, without an exit at its end: one at every element finds
 * the journey's end.
 */
static bool set_debug(struct kvm_engine *k, bool step, struct err *err)
{
    struct kvm_guest_debug d = wanted_debug(&k->cpu.v->debug, step);

    if (!memcmp(&d, &k->debug, sizeof(d)))
        return true;
    k->debug = d;
    k->single_step = step;
    return ioctl(k->cpu.fd, KVM_SET_GUEST_DEBUG, &d) == 0 || err_set(err, "KVM_SET_GUEST_DEBUG: %s", strerror(errno));
}

/* What KVM_EXIT_DEBUG says of a debugger's registers; true: one of them has stopped the guest. */
static bool debug_hit(struct kvm_engine *k)
{
    unsigned watches = 0, hits = 0, on = 0;

    for (unsigned i = 0; i < WATCHES; i++) {
        on |= (k->debug.arch.debugreg[7] >> (i * 2) & 3 ? 1u : 0) << i;
        watches |= (k->debug.arch.debugreg[7] >> (16 + i * 4) & 3 ? 1u : 0) << i;
    }
    hits = (unsigned)k->cpu.run->debug.arch.dr6 & on;
    k->cpu.v->debug.hits = hits & watches;
    return hits;
}

static bool exit_debug(struct kvm_engine *k, enum stop_reason *stop, struct err *err)
{
    if (!debug_hit(k))
        return finish(k, stop, err);
    if (!finish(k, stop, err) && *stop == STOP_FAILED)
        return false;
    *stop = STOP_DEBUG;
    return false;
}

/* -- assist ------------------------------------------------------------------------------------------------------------------ */

/* A soft engine has completed the instruction; true: KVM goes on. */
static bool goes_on(struct kvm_engine *k, enum stop_reason *stop)
{
    struct vcpu *v = k->cpu.v;

    k->in_instruction = k->repeating = false;
    if (*stop != STOP_BUDGET)
        return false;
    if (v->bus.touched && v->stop_on_touch)
        *stop = STOP_TOUCHED;
    else if (v->exact && v->retired >= k->until)
        *stop = STOP_BUDGET;
    else
        return true;
    return false;
}

/* A PVM emulates CPL 0: is it there, between two instructions, and nobody asks what KVM does with them? */
static bool soft_may_take(struct kvm_engine *k)
{
    struct vcpu *v = k->cpu.v;

    if (!k->assist.kernel || v->exact || v->stop_on_touch || v->debug.step || k->in_instruction || k->repeating || k->assist.answers.n)
        return false;
    kvm_peek_state(&k->cpu, &v->cpu);
    return v->cpu.cpl < 3;
}

/* False, as KVM does not go on then. */
static bool soft_takes(struct kvm_engine *k, bool forget, enum stop_reason *stop, struct err *err)
{
    *stop = kvm_assist_take(&k->assist, forget, err) ? STOP_KICK : STOP_FAILED;
    return false;
}

/* What KVM does not do, and err says why, unless nobody is there to do it instead. */
static bool by_soft_engine(struct kvm_engine *k, enum stop_reason *stop, struct err *err)
{
    struct vcpu *v = k->cpu.v;
    struct err why = *err;

    *stop = STOP_FAILED;
    if (v->assist.mode == ASSIST_OFF)
        return false;
    if (soft_may_take(k) || (k->cpu.user && !k->assist.answers.n))
        return soft_takes(k, true, stop, err);
    kvm_peek_state(&k->cpu, &v->cpu);
    k->exit_wrote = v->rip_after = false;
    k->exit_rip = v->cpu.rip;
    note_code(k);
    if (!kvm_assist_instruction(&k->assist, stop, err)) {
        *stop = STOP_FAILED;
        return false;
    }
    if (v->assist.mode == ASSIST_REPORT && v->bus.touched)
        snprintf(v->assist.gave_up, sizeof(v->assist.gave_up), "%.*s", (int)sizeof(v->assist.gave_up) - 1, why.text);
    return goes_on(k, stop);
}

static bool exit_mmio(struct kvm_engine *k, enum stop_reason *stop, struct err *err)
{
    struct kvm_run *r = k->cpu.run;
    bool write = r->mmio.is_write;
    enum kvm_assisted done = KVM_ASSISTED_NOT;

    if (k->cpu.v->assist.mode >= ASSIST_INSTRUCTION && !k->in_instruction) {
        begin_instruction(k, write);
        done = kvm_assist_access(&k->assist, stop, err);
    }
    switch (done) {
    case KVM_ASSISTED_WHOLE: return goes_on(k, stop);
    case KVM_ASSISTED_COMPLETE: return finish(k, stop, err);
    case KVM_ASSISTED_MORE: return handle_exit(k, stop, err);
    case KVM_ASSISTED_FAILED: *stop = STOP_FAILED; return false;
    default: exit_access(k, REGION_MMIO, write, r->mmio.phys_addr, r->mmio.len, r->mmio.data); return true;
    }
}

/* A journey ends with the exception that its instruction has raised, a single-step trap too. */
static void settle(struct kvm_engine *k, enum stop_reason *stop, struct err *err)
{
    const struct kvm_vcpu_events *e = &k->cpu.run->s.regs.events;

    if ((e->exception.injected || e->exception.pending) && !kvm_fetch_state(&k->cpu, err))
        *stop = STOP_FAILED;
}

/*
 * KVM says that the instruction under way is complete.  LGDT and LIDT of a device never are, it would load from there for
 * ever; and some KVMs read MOVBE's operand and then do not know the instruction.
 */
static bool finish(struct kvm_engine *k, enum stop_reason *stop, struct err *err)
{
    struct cpu *c = &k->cpu.v->cpu;

    kvm_peek_state(&k->cpu, c);
    if (k->cpu.v->assist.mode != ASSIST_OFF && k->assist.answers.n && !k->exit_wrote && c->rip == k->exit_rip && !(c->rflags & FLAG_RF) &&
        kvm_assist_is_stuck(&k->assist)) {
        err_set(err, "does not come to an end at %#" PRIx64, c->rip);
        return by_soft_engine(k, stop, err);
    }
    if (!complete(k, stop))
        return true;
    if (*stop == STOP_TOUCHED)
        settle(k, stop, err);
    return false;
}

/*
 * A tick without an exit since the last: is KVM going round on one instruction (SGDT to a device, a GDT in one)?  Not if that
 * is a string instruction, which counts down.
 */
static bool is_spinning(struct kvm_engine *k)
{
    const struct kvm_regs *r = &k->cpu.run->s.regs.regs;
    bool same = k->idle_ticks > 1 && r->rip == k->tick_rip && r->rcx == k->tick_rcx;

    k->tick_rip = r->rip;
    k->tick_rcx = r->rcx;
    return same && k->cpu.v->assist.mode != ASSIST_OFF;
}

static bool waits_still(const struct kvm_engine *k)
{
    const struct vcpu *v = k->cpu.v;

    if (v->cpu.activity == CPU_WAIT_SIPI)
        return true;
    return v->cpu.activity == CPU_HALTED && !v->pins.nmi && !(v->pins.intr && k->cpu.run->if_flag);
}

static bool handle_exit(struct kvm_engine *k, enum stop_reason *stop, struct err *err)
{
    struct kvm_run *r = k->cpu.run;

    k->idle_ticks = 0;
    switch (r->exit_reason) {
    case KVM_EXIT_IO: exit_io(k); return true;
    case KVM_EXIT_X86_RDMSR: case KVM_EXIT_X86_WRMSR:
        begin_instruction(k, false);
        kvm_exit_msr(&k->cpu);
        return true;
    case KVM_EXIT_MMIO: return exit_mmio(k, stop, err);
    case KVM_EXIT_HLT:
        k->cpu.v->retired += k->cpu.v->exact;
        kvm_peek_state(&k->cpu, &k->cpu.v->cpu);
        k->cpu.v->cpu.activity = CPU_HALTED;
        *stop = STOP_HALT;
        return !k->cpu.v->exact && !waits_still(k); /* an interrupt that came before STI waits already */
    case KVM_EXIT_IRQ_WINDOW_OPEN: return true;
    case KVM_EXIT_SET_TPR:
        if (k->cpu.v->host.write_cr8)
            k->cpu.v->host.write_cr8(k->cpu.v->host.opaque, r->cr8);
        return true;
    case KVM_EXIT_SHUTDOWN:
        if (k->cpu.user)
            return soft_takes(k, true, stop, err);
        *stop = STOP_SHUTDOWN;
        return false;
    case KVM_EXIT_DEBUG: return exit_debug(k, stop, err);
    case KVM_EXIT_INTR: return true;
    case KVM_EXIT_INTERNAL_ERROR:
        describe_failure(k, err);
        if (r->internal.suberror == KVM_INTERNAL_ERROR_EMULATION)
            return by_soft_engine(k, stop, err);
        *stop = STOP_FAILED;
        return false;
    default:
        describe_failure(k, err);
        *stop = STOP_FAILED;
        return false;
    }
}

/*
 * One KVM_RUN.  True: go on.  With `immediate_exit`, EINTR means that the instruction under way is complete.
 */
static bool run_once(struct kvm_engine *k, enum stop_reason *stop, struct err *err)
{
    struct vcpu *v = k->cpu.v;
    bool finishing = k->in_instruction;
    int result;

    k->cpu.run->immediate_exit = finishing || v->attention;
    result = ioctl(k->cpu.fd, KVM_RUN, 0);
    k->cpu.run->immediate_exit = 0;
    if (result == 0) {
        if (log_on(LOG_KVM))
            log_printf(LOG_KVM, "exit %u rip %#llx\n", k->cpu.run->exit_reason, k->cpu.run->s.regs.regs.rip);
        return handle_exit(k, stop, err);
    }
    if (errno != EINTR && errno != EAGAIN) {
        err_set(err, "KVM_RUN: %s", strerror(errno));
        *stop = STOP_FAILED;
        return false;
    }
    if (finishing)
        return finish(k, stop, err);
    k->idle_ticks++;
    if (!v->attention && soft_may_take(k))
        return soft_takes(k, false, stop, err);
    if (!v->attention && is_spinning(k)) {
        err_set(err, "goes round for ever at %#llx", k->cpu.run->s.regs.regs.rip);
        return by_soft_engine(k, stop, err);
    }
    if (v->attention || k->idle_ticks <= IDLE_TICKS || !v->stop_on_touch) {
        v->attention = false;
        *stop = STOP_KICK;
        return false;
    }
    k->idle_ticks = 0;
    *stop = STOP_BUDGET;
    return false;
}

/* The soft engine has the guest, unless somebody wants to see what it does. */
static bool soft_goes_on(struct kvm_engine *k, uint64_t budget, enum stop_reason *stop, struct err *err)
{
    const struct vcpu *v = k->cpu.v;

    *stop = STOP_FAILED;
    if (k->cpu.user && !k->in_instruction && (v->exact || v->stop_on_touch)) /* KVM is to run all of it */
        return !kvm_fetch_state(&k->cpu, err) || !kvm_put_state(&k->cpu, err);
    if (!k->assist.has_guest)
        return false;
    if (v->exact || v->stop_on_touch)
        return !kvm_assist_give(&k->assist, err);
    *stop = kvm_assist_run(&k->assist, budget, err);
    return true;
}

static enum stop_reason kvm_run_guest(void *self, uint64_t budget, struct err *err)
{
    struct kvm_engine *k = self;
    enum stop_reason stop;

    if (soft_goes_on(k, budget, &stop, err))
        return stop;
    stop = STOP_KICK;
    k->until = k->cpu.v->retired + budget;
    k->cpu.v->assist.gave_up[0] = 0;
    if (!k->in_instruction && !k->repeating)
        k->cpu.v->bus.touched = false;
    for (;;) {
        if (!k->in_instruction && !kvm_sync_slots(k->vm, err))
            return STOP_FAILED;
        if (!k->in_instruction) {
            if (k->cpu.user && (k->cpu.v->pins.nmi || k->cpu.v->pins.intr || k->cpu.v->pins.init)) {
                soft_takes(k, false, &stop, err);
                return stop;
            }
            if (!take_start(k, err))
                return STOP_FAILED;
            if (waits_still(k))
                return STOP_HALT;
            if (!set_debug(k, k->cpu.v->exact || (k->repeating && k->cpu.v->stop_on_touch), err) || !inject(k, err))
                return STOP_FAILED;
            k->cpu.v->cpu.activity = CPU_RUNNING;
        }
        if (!run_once(k, &stop, err))
            return stop;
    }
}

/* -- ticks: so that KVM_RUN returns and deadlines are looked at ---------------------------------------------------------------- */

static void on_tick(int number) { (void)number; }

static void ticks(bool on)
{
    struct sigaction action = { .sa_handler = on ? on_tick : SIG_DFL };
    struct itimerval every = { .it_interval = { 0, on ? TICK_US : 0 }, .it_value = { 0, on ? TICK_US : 0 } };

    if (!on)
        setitimer(ITIMER_REAL, &every, NULL);
    sigaction(SIGALRM, &action, NULL);
    if (on)
        setitimer(ITIMER_REAL, &every, NULL);
}

static enum stop_reason kvm_run_ticking(void *self, uint64_t budget, struct err *err)
{
    enum stop_reason stop;

    ticks(true);
    stop = kvm_run_guest(self, budget, err);
    ticks(false);
    return stop;
}

static void kvm_kick(void *self)
{
    struct kvm_engine *k = self;

    k->cpu.v->attention = true;
    k->cpu.run->immediate_exit = 1;
}

static bool kvm_get(void *self, struct err *err)
{
    struct kvm_engine *k = self;

    return k->assist.has_guest ? k->assist.soft->get_state(k->assist.engine, err) : kvm_fetch_state(&k->cpu, err);
}

static bool kvm_set(void *self, struct err *err)
{
    struct kvm_engine *k = self;

    k->in_instruction = k->repeating = k->assist.has_guest = false;
    if (!kvm_put_state(&k->cpu, err))
        return false;
    return !soft_may_take(k) || k->cpu.user || (kvm_forget_tables(k->vm, err) && kvm_assist_take(&k->assist, false, err));
}

const struct engine engine_kvm = {
    .id = ENGINE_KVM, .name = "kvm", .create = kvm_create, .destroy = kvm_destroy, .run = kvm_run_ticking,
    .kick = kvm_kick, .get_state = kvm_get, .set_state = kvm_set,
};
