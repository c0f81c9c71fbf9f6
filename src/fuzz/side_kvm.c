/*
 * side_kvm.c - cases on KVM, many with one entry: a guest whose user-mode program runs them one after the other.
 *
 * The program (DRIVER below) is what src/native/child.c is on the host: it copies a case's memory and code in place, loads its
 * registers with XRSTOR and IRETQ, and is come back to by a jump behind the code, or by the handler of an exception, which
 * keeps what the case had.  After the last case it raises an exception once more, and the handler halts.
 *
 * All of it lies in a second piece of memory, mapped where no case is likely to look.
 */
#include "fuzz/side.h"

#include "base/low.h"
#include "fuzz/guest.h"
#include "kvm/kvm.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* -- the memory: state, the program, an alias of the data pages, slots; the kernel's half: IDT, handlers ----------------------- */

enum {
    AREA_GPA = 0x1000000, AREA_GVA = 0x5a000000,
    STATE_AT = 0, PROGRAM_AT = 0x1000, SLOTS_AT = 0x10000,
    SLOT_BYTES = 0x8000, SLOT_MEMORY = 0x1000, /* of a slot: a page of registers and code, then the data pages */
    AREA_BYTES = SLOTS_AT + NATIVE_BATCH * SLOT_BYTES,
    DATA_ALIAS = 0x5b000000, CODE_ALIAS = 0x5b100000,
    KERNEL_AT = 0x180000, KERNEL_BYTES = 0x3000, /* in the guest's RAM, the supervisor's */
    IDT_AT = KERNEL_AT, STUBS_AT = KERNEL_AT + 0x1000, STUB_BYTES = 16, COMMON_AT = KERNEL_AT + 0x2000,
    VECTORS = 64,
    CODE_ROOM = 320, /* of a slot's code: what is left of it is INT3 */
    DATA_WORDS = FUZZ_BYTES / 8, CODE_WORDS = CODE_ROOM / 8,
};

/* What program and handlers share; the offsets are in the assembly. */
struct kvm_batch_state {
    uint64_t general[GPRS], rip, rflags; /* 0, 128, 136 */
    int64_t vector;                      /* 144; -1: none */
    uint64_t error, cr2;                 /* 152, 160 */
    uint64_t slot, left;                 /* 168, 176: the one under way, and how many with it */
    uint64_t components, rsp;            /* 184, 192 */
};

struct kvm_batch_slot {
    struct native_registers r;
    int64_t vector;
    uint64_t error, cr2;
    uint8_t code[CODE_ROOM];
};

_Static_assert(offsetof(struct kvm_batch_state, vector) == 144 && offsetof(struct kvm_batch_state, slot) == 168 &&
               offsetof(struct kvm_batch_state, rsp) == 192, "as the assembly has it");
_Static_assert(offsetof(struct kvm_batch_slot, r.general) == 2816 && offsetof(struct kvm_batch_slot, vector) == 3008 &&
               offsetof(struct kvm_batch_slot, code) == 3032 && sizeof(struct kvm_batch_slot) <= SLOT_MEMORY, "as the assembly has it");

/* -- the program, and what all handlers do ---------------------------------------------------------------------------------------- */

extern const uint8_t kvm_batch_program[], kvm_batch_leave[], kvm_batch_resume[], kvm_batch_end[], kvm_batch_common[], kvm_batch_common_end[];

#define STATE "0x5a000000"
#define STACK "0x5a001000" /* its end is the state page's */

__asm__(
    ".pushsection .rodata\n"
    ".globl kvm_batch_program, kvm_batch_leave, kvm_batch_resume, kvm_batch_end, kvm_batch_common, kvm_batch_common_end\n"
    "kvm_batch_program:\n"
    "  cld\n"
    "  mov " STATE "+168, %rbx\n"
    "  lea 0x1000(%rbx), %rsi\n mov $0x5b000000, %edi\n mov $3584, %ecx\n rep movsq\n"
    "  lea 3032(%rbx), %rsi\n mov $0x5b100800, %edi\n mov $40, %ecx\n rep movsq\n"
    "  movq $-1, " STATE "+144\n"
    "  mov " STATE "+184, %eax\n xor %edx, %edx\n xrstor64 (%rbx)\n"
    "  mov $" STACK ", %esp\n"
    "  pushq $0x2b\n pushq 2816+32(%rbx)\n pushq 2816+136(%rbx)\n pushq $0x33\n pushq 2816+128(%rbx)\n"
    "  mov 2816(%rbx), %rax\n mov 2824(%rbx), %rcx\n mov 2832(%rbx), %rdx\n mov 2856(%rbx), %rbp\n mov 2864(%rbx), %rsi\n"
    "  mov 2872(%rbx), %rdi\n mov 2880(%rbx), %r8\n mov 2888(%rbx), %r9\n mov 2896(%rbx), %r10\n mov 2904(%rbx), %r11\n"
    "  mov 2912(%rbx), %r12\n mov 2920(%rbx), %r13\n mov 2928(%rbx), %r14\n mov 2936(%rbx), %r15\n mov 2840(%rbx), %rbx\n"
    "  iretq\n"
    "kvm_batch_leave:\n"
    "  mov %rsp, " STATE "+192\n"
    "  mov $" STATE "+128, %esp\n"
    "  push %r15; push %r14; push %r13; push %r12; push %r11; push %r10; push %r9; push %r8; push %rdi; push %rsi; push %rbp\n"
    "  pushq " STATE "+192\n"
    "  push %rbx; push %rdx; push %rcx; push %rax\n"
    "  mov $" STACK ", %esp\n"
    "  pushfq\n popq " STATE "+136\n pushq $2\n popfq\n"
    "kvm_batch_resume:\n"
    "  cld\n"
    "  mov " STATE "+168, %rbx\n"
    "  mov " STATE "+184, %eax\n xor %edx, %edx\n xsave64 (%rbx)\n"
    "  mov $" STATE ", %esi\n lea 2816(%rbx), %rdi\n mov $18, %ecx\n rep movsq\n"
    "  lea 3008(%rbx), %rdi\n mov $3, %ecx\n rep movsq\n"
    "  mov $0x5b000000, %esi\n lea 0x1000(%rbx), %rdi\n mov $3584, %ecx\n rep movsq\n"
    "  add $0x8000, %rbx\n mov %rbx, " STATE "+168\n"
    "  decq " STATE "+176\n jnz kvm_batch_program\n"
    "  ud2\n"
    "kvm_batch_end:\n"
    /* At CPL 0, with vector, error code and the interrupted frame on the stack. */
    "kvm_batch_common:\n"
    "  cmpq $0, " STATE "+176\n jne 1f\n hlt\n1:\n"
    "  mov %rax, " STATE "\n mov %rcx, " STATE "+8\n mov %rdx, " STATE "+16\n mov %rbx, " STATE "+24\n mov %rbp, " STATE "+40\n"
    "  mov %rsi, " STATE "+48\n mov %rdi, " STATE "+56\n mov %r8, " STATE "+64\n mov %r9, " STATE "+72\n mov %r10, " STATE "+80\n"
    "  mov %r11, " STATE "+88\n mov %r12, " STATE "+96\n mov %r13, " STATE "+104\n mov %r14, " STATE "+112\n mov %r15, " STATE "+120\n"
    "  pop %rax\n mov %rax, " STATE "+144\n pop %rax\n mov %rax, " STATE "+152\n mov %cr2, %rax\n mov %rax, " STATE "+160\n"
    "  mov (%rsp), %rax\n mov %rax, " STATE "+128\n mov 16(%rsp), %rax\n mov %rax, " STATE "+136\n mov 24(%rsp), %rax\n mov %rax, " STATE "+32\n"
    "  movq $0x5a001000 + (kvm_batch_resume - kvm_batch_program), (%rsp)\n movq $2, 16(%rsp)\n movq $" STACK ", 24(%rsp)\n"
    "  iretq\n"
    "kvm_batch_common_end:\n"
    ".popsection\n");

/* -- the guest ------------------------------------------------------------------------------------------------------------------- */

struct side_kvm {
    struct guest guest;
    struct phys_memory memory;
    uint8_t *area;
    const struct fuzz_base *base;
    unsigned last[NATIVE_BATCH];  /* bytes of a slot's code that are not INT3 */
};

bool side_kvm_is_own(uint64_t gva) { return gva >= AREA_GVA && gva < CODE_ALIAS + PAGE_BYTES; }

static struct kvm_batch_slot *slot_of(struct side_kvm *s, unsigned i) { return (void *)(s->area + SLOTS_AT + i * SLOT_BYTES); }
static struct kvm_batch_state *state_of(struct side_kvm *s) { return (void *)(s->area + STATE_AT); }

static void map_pages(struct guest *g)
{
    side_map_pages(g);
    for (uint64_t at = 0; at < AREA_BYTES; at += PAGE_BYTES)
        guest_map(g, AREA_GVA + at, AREA_GPA + at, at == PROGRAM_AT ? GUEST_PRESENT : GUEST_PRESENT | GUEST_WRITABLE | GUEST_NO_EXECUTE);
    for (uint64_t at = 0; at < FUZZ_BYTES; at += PAGE_BYTES)
        guest_map(g, DATA_ALIAS + at, NATIVE_DATA + at, GUEST_PRESENT | GUEST_WRITABLE | GUEST_NO_EXECUTE);
    guest_map(g, CODE_ALIAS, NATIVE_CODE, GUEST_PRESENT | GUEST_WRITABLE | GUEST_NO_EXECUTE);
}

static bool has_error_code(unsigned vector)
{
    return vector == EXCEPTION_DF || (vector >= EXCEPTION_TS && vector <= EXCEPTION_PF) || vector == EXCEPTION_AC || vector == EXCEPTION_CP;
}

/* Pushes what the processor has not, and jumps to what all have in common. */
static void put_stub(uint8_t *to, unsigned vector)
{
    uint8_t *at = to;
    int32_t relative;

    if (!has_error_code(vector)) {
        *at++ = 0x6a; /* push 0 */
        *at++ = 0;
    }
    *at++ = 0x6a;
    *at++ = (uint8_t)vector;
    *at++ = 0xe9; /* jmp */
    relative = (int32_t)(COMMON_AT - (STUBS_AT + vector * STUB_BYTES + (unsigned)(at - to) + 4));
    memcpy(at, &relative, 4);
}

/* Interrupt gates on the stack that guest.c's have; the user may INT3 and INTO. */
static void put_kernel(uint8_t *ram)
{
    for (unsigned i = 0; i < VECTORS; i++) {
        uint64_t handler = STUBS_AT + i * STUB_BYTES, dpl = i == EXCEPTION_BP || i == EXCEPTION_OF ? 3 : 0;
        uint64_t gate[2] = { (handler & 0xffff) | UINT64_C(0x08) << 16 | UINT64_C(1) << 32 | (UINT64_C(0x8e) | dpl << 5) << 40 | handler >> 16 << 48, 0 };

        memcpy(ram + IDT_AT + i * 16, gate, 16);
        put_stub(ram + STUBS_AT + i * STUB_BYTES, i);
    }
    memcpy(ram + COMMON_AT, kvm_batch_common, (size_t)(kvm_batch_common_end - kvm_batch_common));
}

/* -- a batch ------------------------------------------------------------------------------------------------------------------------ */

static void put_case(struct side_kvm *s, const struct fuzz_case *c, unsigned i)
{
    uint32_t leave = AREA_GVA + PROGRAM_AT + (uint32_t)(kvm_batch_leave - kvm_batch_program), relative;
    uint8_t *memory = s->area + SLOTS_AT + i * SLOT_BYTES + SLOT_MEMORY;
    struct kvm_batch_slot *slot = slot_of(s, i);

    native_put(&slot->r, &c->cpu);
    slot->r.rflags |= FLAG_ONE;
    memset(slot->code, 0xcc, s->last[i]);
    memcpy(slot->code, c->code, c->bytes);
    relative = leave - (NATIVE_START + c->bytes + 5u);
    slot->code[c->bytes] = 0xe9; /* jmp */
    memcpy(slot->code + c->bytes + 1, &relative, 4);
    s->last[i] = c->bytes + 5u;
    memcpy(memory, s->base->image, FUZZ_BYTES);
    for (unsigned n = 0; n < c->memory.n; n++)
        memcpy(memory + c->memory.at[n] * LINE_BYTES, c->memory.line[n], LINE_BYTES);
}

static void take_case(struct side_kvm *s, const struct fuzz_case *c, unsigned i, struct fuzz_outcome *o)
{
    const uint8_t *memory = s->area + SLOTS_AT + i * SLOT_BYTES + SLOT_MEMORY;
    struct kvm_batch_slot *slot = slot_of(s, i);

    memset(o, 0, offsetof(struct fuzz_outcome, memory));
    o->cpu = s->base->cpu;
    if (slot->vector < 0)
        slot->r.rip = (uint64_t)NATIVE_START + c->bytes;
    native_take(&slot->r, &o->cpu);
    o->vector = (int)slot->vector;
    o->error = (uint32_t)slot->error;
    o->cr2 = slot->cr2;
    side_settle_breakpoint(o, NATIVE_START);
    o->memory.n = 0;
    lines_find(&o->memory, s->base->image, 0, memory, FUZZ_BYTES);
    o->transactions = 0;
    o->device[0] = 0;
    o->wide = o->crossing = 0;
    o->touched = false;
}

static void begin(struct side_kvm *s, unsigned count)
{
    struct kvm_batch_state *state = state_of(s);
    struct cpu *c = &s->guest.vcpu.cpu;

    guest_reset(&s->guest, GUEST_CPL3);
    c->idtr.base = IDT_AT;
    c->rip = AREA_GVA + PROGRAM_AT;
    c->slot[RSP] = AREA_GVA + PROGRAM_AT; /* the state page's end */
    state->slot = AREA_GVA + SLOTS_AT;
    state->left = count;
    state->components = native_components();
    cpu_update(c);
}

static bool run(void *self, const struct fuzz_case *c, unsigned count, struct fuzz_outcome *out, struct err *err)
{
    struct side_kvm *s = self;
    struct guest_end end;

    for (unsigned i = 0; i < count; i++)
        put_case(s, &c[i], i);
    begin(s, count);
    end = guest_run(&s->guest, 1000);
    if (end.stop != STOP_HALT || state_of(s)->left)
        return err_set(err, "kvm: a case took its guest along (%s, %u of %u left)", end.stop == STOP_SHUTDOWN ? "triple fault" : "stuck",
                       (unsigned)state_of(s)->left, count);
    for (unsigned i = 0; i < count; i++)
        take_case(s, &c[i], i, &out[i]);
    return true;
}

/* -- beginning and end ---------------------------------------------------------------------------------------------------------------- */

static void destroy(void *self)
{
    struct side_kvm *s = self;

    guest_destroy(&s->guest);
    munmap(s->area, AREA_BYTES);
    low_free(s, sizeof(*s));
}

static void add_area(struct side_kvm *s)
{
    s->memory = (struct phys_memory){ .name = "batch", .base = AREA_GPA, .size = AREA_BYTES, .read = s->area, .write = s->area, .enabled = true };
    phys_add_memory(&s->guest.phys, &s->memory);
    memcpy(s->area + PROGRAM_AT, kvm_batch_program, (size_t)(kvm_batch_end - kvm_batch_program));
    for (unsigned i = 0; i < NATIVE_BATCH; i++)
        s->last[i] = CODE_ROOM;
}

bool side_kvm_create(const struct fuzz_base *base, struct side *out, struct err *err)
{
    struct side_kvm *s = low_alloc(sizeof(*s));

    s->base = base;
    s->area = mmap(NULL, AREA_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (s->area == MAP_FAILED)
        abort();
    if (!guest_create(&s->guest, &engine_kvm, err)) {
        munmap(s->area, AREA_BYTES);
        low_free(s, sizeof(*s));
        return false;
    }
    add_area(s);
    map_pages(&s->guest);
    put_kernel(s->guest.ram);
    memset(s->guest.ram + NATIVE_CODE, 0xcc, NATIVE_PAGE);
    *out = (struct side){ .self = s, .run = run, .destroy = destroy };
    return true;
}
