/*
 * help_int.c - integer instructions that IR does not say well, and software interrupts.
 */
#include "x86/fault.h"
#include "x86/flags.h"
#include "x86/helpers.h"
#include "x86/stack.h"

#include <string.h>

/* -- exceptions by instruction --------------------------------------------------------------------------------------- */

/* In front of an instruction with a debugger's breakpoint: stops there, unless it has just been stopped at. */
uint64_t help_debug_stop(struct vcpu *v, uint64_t rip)
{
    bool pass = v->debug.step || v->debug.again_rip == rip;

    v->debug.again_rip = UINT64_MAX;
    return pass || vcpu_raise(v, FAULT_STOP);
}

uint64_t help_raise(struct vcpu *v, uint64_t a, uint64_t b, uint64_t vector)
{
    (void)a, (void)b;
    return vcpu_raise(v, (int)vector);
}

uint64_t help_raise_error(struct vcpu *v, uint64_t a, uint64_t b, uint64_t vector)
{
    (void)a, (void)b;
    return vcpu_raise_error(v, (int)vector, 0);
}

static uint64_t software_interrupt(struct vcpu *v, uint8_t vector, enum event_source source)
{
    struct event e = { .vector = vector, .source = source, .rip = v->next_rip };

    return event_deliver(v, &e);
}

uint64_t help_interrupt(struct vcpu *v, uint64_t a, uint64_t b, uint64_t vector)
{
    (void)a, (void)b;
    if (v->cpu.rflags & FLAG_VM && (v->cpu.rflags & FLAG_IOPL) != FLAG_IOPL)
        return vcpu_raise_error(v, EXCEPTION_GP, 0);
    return software_interrupt(v, (uint8_t)vector, EVENT_SOFTWARE);
}

uint64_t help_int3(struct vcpu *v, uint64_t a, uint64_t b, uint64_t imm)
{
    (void)a, (void)b, (void)imm;
    return software_interrupt(v, EXCEPTION_BP, EVENT_SOFTWARE);
}

uint64_t help_int1(struct vcpu *v, uint64_t a, uint64_t b, uint64_t imm)
{
    (void)a, (void)b, (void)imm;
    return software_interrupt(v, EXCEPTION_DB, EVENT_INT1);
}

uint64_t help_into(struct vcpu *v, uint64_t a, uint64_t b, uint64_t imm)
{
    (void)a, (void)b, (void)imm;
    if (flag_of(&v->cpu))
        return software_interrupt(v, EXCEPTION_OF, EVENT_SOFTWARE);
    v->cpu.rip = v->next_rip;
    return 1;
}

uint64_t help_bound(struct vcpu *v, uint64_t index, uint64_t lower, uint64_t upper, uint64_t width)
{
    int64_t i = bits_sext(index, (unsigned)width);

    if (i < bits_sext(lower, (unsigned)width) || i > bits_sext(upper, (unsigned)width))
        return vcpu_raise(v, EXCEPTION_BR);
    return 1;
}

uint64_t help_check_target(struct vcpu *v, uint64_t target, uint64_t imm)
{
    (void)imm;
    return segment_check_rip(v, v->cpu.seg[SEG_CS].ar, v->cpu.seg[SEG_CS].limit, target);
}

/* -- compare and exchange of 8 and 16 bytes ---------------------------------------------------------------------------- */

uint64_t help_cmpxchg_wide(struct vcpu *v, uint64_t linear, uint64_t shape)
{
    struct cpu *c = &v->cpu;
    unsigned width = shape & 0xff, half = width / 2;
    bool locked = shape >> 8 & 1, match;
    union wide expected = { .q = { 0 } }, old;
    struct access a;

    access_begin(&a, locked ? TRANSACTION_COMPARE_SWAP : TRANSACTION_LOAD, linear, width);
    a.form = width == 16 ? FORM_CMPXCHG16B : FORM_RMW;
    a.flags = locked ? TRANSACTION_LOCKED : 0;
    if (!access_prepare(&v->mmu, &a, ACCESS_READ | ACCESS_WRITE | (shape >> 9 & 1 ? ACCESS_STACK : 0) |
                                         (width == 16 ? ACCESS_ALIGNED : 0)))
        return vcpu_raise_mmu(v);
    memcpy(&expected.b[0], &c->slot[RAX], half);
    memcpy(&expected.b[half], &c->slot[RDX], half);
    a.compare = expected;
    memcpy(&a.data.b[0], &c->slot[RBX], half);
    memcpy(&a.data.b[half], &c->slot[RCX], half);
    {
        union wide new = a.data;

        access_perform(&v->mmu, &a);
        old = a.data;
        match = !memcmp(&old, &expected, width);
        if (!locked) {
            a.type = TRANSACTION_STORE;
            a.data = match ? new : old;
            access_perform(&v->mmu, &a);
        }
    }
    if (!match) {
        c->slot[RAX] = c->slot[RDX] = 0;
        memcpy(&c->slot[RAX], &old.b[0], half);
        memcpy(&c->slot[RDX], &old.b[half], half);
    }
    flags_put(c, (flags_get(c) & ~(uint32_t)FLAG_ZF) | (match ? FLAG_ZF : 0u));
    return 1;
}

/* -- AH, AL, decimal adjustment (SDM 2) ------------------------------------------------------------------------------------ */

static uint8_t al(const struct vcpu *v) { return (uint8_t)v->cpu.slot[RAX]; }
static uint8_t ah(const struct vcpu *v) { return (uint8_t)(v->cpu.slot[RAX] >> 8); }
static void set_al(struct vcpu *v, unsigned x) { v->cpu.slot[RAX] = (v->cpu.slot[RAX] & ~UINT64_C(0xff)) | (x & 0xff); }
static void set_ax(struct vcpu *v, unsigned x) { v->cpu.slot[RAX] = (v->cpu.slot[RAX] & ~UINT64_C(0xffff)) | (x & 0xffff); }

uint64_t help_lahf(struct vcpu *v, uint64_t a, uint64_t imm)
{
    (void)a, (void)imm;
    set_ax(v, ((flags_get(&v->cpu) & 0xd5u) | FLAG_ONE) << 8 | al(v));
    return 1;
}

uint64_t help_sahf(struct vcpu *v, uint64_t a, uint64_t imm)
{
    (void)a, (void)imm;
    flags_put(&v->cpu, (flags_get(&v->cpu) & FLAG_OF) | (ah(v) & 0xd5u));
    return 1;
}

uint64_t help_salc(struct vcpu *v, uint64_t a, uint64_t imm)
{
    (void)a, (void)imm;
    set_al(v, flag_cf(&v->cpu) ? 0xff : 0);
    return 1;
}

static void decimal_flags(struct vcpu *v, bool cf, bool af)
{
    flags_logic(&v->cpu, al(v), 1);
    flags_put(&v->cpu, flags_get(&v->cpu) | (cf ? FLAG_CF : 0u) | (af ? FLAG_AF : 0u));
}

static uint64_t decimal_adjust(struct vcpu *v, int sign)
{
    bool cf = flag_cf(&v->cpu), af = flag_af(&v->cpu), carry = cf;
    unsigned old = al(v), x = old;

    if ((old & 15) > 9 || af) {
        carry = cf || (sign > 0 ? old > 0xf9 : old < 6);
        x = (unsigned)((int)x + sign * 6);
        af = true;
    } else {
        af = false;
        carry = false;
    }
    if (old > 0x99 || cf) {
        x = (unsigned)((int)x + sign * 0x60);
        carry = true;
    }
    set_al(v, x);
    decimal_flags(v, carry, af);
    return 1;
}

uint64_t help_daa(struct vcpu *v, uint64_t a, uint64_t imm) { (void)a, (void)imm; return decimal_adjust(v, 1); }
uint64_t help_das(struct vcpu *v, uint64_t a, uint64_t imm) { (void)a, (void)imm; return decimal_adjust(v, -1); }

static uint64_t ascii_adjust(struct vcpu *v, int sign)
{
    bool adjust = (al(v) & 15) > 9 || flag_af(&v->cpu);

    if (adjust)
        set_ax(v, (unsigned)((int)(v->cpu.slot[RAX] & 0xffff) + sign * 0x106));
    set_al(v, al(v) & 15u);
    decimal_flags(v, adjust, adjust);
    return 1;
}

uint64_t help_aaa(struct vcpu *v, uint64_t a, uint64_t imm) { (void)a, (void)imm; return ascii_adjust(v, 1); }
uint64_t help_aas(struct vcpu *v, uint64_t a, uint64_t imm) { (void)a, (void)imm; return ascii_adjust(v, -1); }

uint64_t help_aam(struct vcpu *v, uint64_t base, uint64_t imm)
{
    unsigned x = al(v), n = base & 0xff;

    (void)imm;
    if (!n)
        return vcpu_raise(v, EXCEPTION_DE);
    set_ax(v, x / n << 8 | x % n);
    decimal_flags(v, false, false);
    return 1;
}

uint64_t help_aad(struct vcpu *v, uint64_t base, uint64_t imm)
{
    (void)imm;
    set_ax(v, (al(v) + ah(v) * (unsigned)(base & 0xff)) & 0xff);
    decimal_flags(v, false, false);
    return 1;
}

/* -- several words on the stack ---------------------------------------------------------------------------------------------- */

uint64_t help_pusha(struct vcpu *v, uint64_t width)
{
    struct stack s = stack_current(v);

    if (!stack_probe(&s, 8 * (unsigned)width))
        return 0;
    for (unsigned i = 0; i < 8; i++)
        if (!stack_push(&s, (unsigned)width, v->cpu.slot[i]))
            return 0;
    stack_commit(&s);
    return 1;
}

uint64_t help_popa(struct vcpu *v, uint64_t width)
{
    struct stack s = stack_current(v);
    uint64_t word[8];

    for (unsigned i = 8; i-- > 0;)
        if (!stack_pop(&s, (unsigned)width, &word[i]))
            return 0;
    for (unsigned i = 0; i < 8; i++)
        if (i != RSP)
            v->cpu.slot[i] = width == 2 ? (v->cpu.slot[i] & ~UINT64_C(0xffff)) | word[i] : word[i];
    stack_commit(&s);
    return 1;
}

/* The words ENTER pushes, in its order: the first that cannot be stored is the one that faults. */
static bool enter_probe(struct stack s, unsigned words, unsigned width)
{
    for (; words--; s.sp -= width)
        if (!stack_probe(&s, width))
            return false;
    return true;
}

uint64_t help_enter(struct vcpu *v, uint64_t shape)
{
    unsigned width = shape & 0xff, size = shape >> 8 & 0xffff, level = shape >> 24 & 31;
    struct stack s = stack_current(v);
    uint64_t frame, bp = bits_trunc(v->cpu.slot[RBP], s.width), word;

    if (!enter_probe(s, level + 1, width) || !stack_push(&s, width, v->cpu.slot[RBP]))
        return 0;
    frame = s.sp;
    for (unsigned i = 1; i < level; i++) {
        struct stack from = s;

        from.sp = bits_trunc(bp - i * width, s.width);
        if (!stack_pop(&from, width, &word) || !stack_push(&s, width, word))
            return 0;
    }
    if (level && !stack_push(&s, width, s.width == 2 ? (v->cpu.slot[RSP] & ~UINT64_C(0xffff)) | frame : frame)) /* ESP, with all it has */
        return 0;
    s.sp = bits_trunc(s.sp - size, s.width);
    { /* the new top must be writable (SDM 2 ENTER) */
        struct stack top = s;

        top.sp = bits_trunc(s.sp + 1, s.width);
        if (!stack_probe(&top, 1))
            return 0;
    }
    v->cpu.slot[RBP] = width == 2 ? (v->cpu.slot[RBP] & ~UINT64_C(0xffff)) | (frame & 0xffff)
                     : s.width == 2 ? (v->cpu.slot[RBP] & ~UINT64_C(0xffff)) | (frame & 0xffff) : frame;
    stack_commit(&s);
    return 1;
}

uint64_t help_push_selector(struct vcpu *v, uint64_t selector, uint64_t imm)
{
    struct stack s = stack_current(v);
    uint64_t linear_sp = bits_trunc(s.sp - 4, s.width);
    uint16_t value = (uint16_t)selector;

    (void)imm;
    if (!segment_store(v, SEG_SS, linear_sp, &value, 2, FORM_STACK))
        return 0;
    s.sp = linear_sp;
    stack_commit(&s);
    return 1;
}

uint64_t help_pushf(struct vcpu *v, uint64_t width)
{
    (void)width;
    if (v->cpu.rflags & FLAG_VM && (v->cpu.rflags & FLAG_IOPL) != FLAG_IOPL)
        return vcpu_raise_error(v, EXCEPTION_GP, 0);
    return cpu_rflags(&v->cpu) & ~(uint64_t)(FLAG_RF | FLAG_VM);
}

uint64_t help_popf(struct vcpu *v, uint64_t flags, uint64_t width)
{
    uint64_t mask = FLAGS_ARITHMETIC | FLAG_TF | FLAG_DF | FLAG_NT;
    unsigned iopl = (v->cpu.rflags & FLAG_IOPL) >> 12;

    if (v->cpu.rflags & FLAG_VM && iopl != 3)
        return vcpu_raise_error(v, EXCEPTION_GP, 0);
    if (width > 2)
        mask |= FLAG_AC | FLAG_ID;
    if (v->cpu.cpl <= iopl)
        mask |= FLAG_IF;
    if (v->cpu.cpl == 0)
        mask |= FLAG_IOPL;
    cpu_set_rflags(&v->cpu, (cpu_rflags(&v->cpu) & ~mask & ~(uint64_t)FLAG_RF) | (flags & mask));
    vcpu_update(v);
    return 1;
}

/* -- stores that are more than a store ------------------------------------------------------------------------------------------ */

/* MOVNTI (bit 9), MOVDIRI (bit 10). */
uint64_t help_store_direct(struct vcpu *v, uint64_t linear, uint64_t value, uint64_t shape)
{
    unsigned width = shape & 0xff;
    bool direct = shape >> 10 & 1;
    struct access a;

    access_begin(&a, direct ? TRANSACTION_DIRECT_STORE : TRANSACTION_STORE, linear, width);
    a.form = direct ? FORM_DIRECT : FORM_PLAIN;
    a.flags = direct ? 0 : TRANSACTION_NON_TEMPORAL;
    if (!access_prepare(&v->mmu, &a, ACCESS_WRITE | (shape >> 8 & 1 ? ACCESS_STACK : 0)))
        return vcpu_raise_mmu(v);
    memcpy(&a.data, &value, width);
    access_perform(&v->mmu, &a);
    return 1;
}

/* 64 bytes from `from` (loaded first) for `out`; the destination is translated before the source is read. */
static bool store_64(struct vcpu *v, uint64_t from, bool from_stack, struct access *out, uint32_t head,
                     uint32_t head_mask)
{
    struct access load;

    access_begin(&load, TRANSACTION_LOAD, from, 64);
    load.form = out->form = FORM_DIRECT;
    if (out->gva & 63)
        return vcpu_raise_error(v, EXCEPTION_GP, 0);
    if (!access_prepare(&v->mmu, &load, ACCESS_READ | (from_stack ? ACCESS_STACK : 0)) ||
        !access_prepare(&v->mmu, out, ACCESS_WRITE))
        return vcpu_raise_mmu(v);
    access_perform(&v->mmu, &load);
    out->data = load.data;
    out->data.w[0] = (out->data.w[0] & ~head_mask) | head;
    return true;
}

uint64_t help_movdir64b(struct vcpu *v, uint64_t to, uint64_t from, uint64_t imm)
{
    struct access a;

    access_begin(&a, TRANSACTION_DIRECT_STORE, to, 64);
    if (!store_64(v, from, imm, &a, 0, 0))
        return 0;
    access_perform(&v->mmu, &a);
    return 1;
}

static uint64_t enqueue(struct vcpu *v, struct access *a)
{
    bool retry = access_perform(&v->mmu, a) == TRANSACTION_RETRY;

    flags_put(&v->cpu, retry ? FLAG_ZF : 0);
    return 1;
}

/* ENQCMD puts IA32_PASID in bits 19:0 and clears 30:20 and 31 (user); without a valid PASID it is #GP. */
uint64_t help_enqcmd(struct vcpu *v, uint64_t to, uint64_t from, uint64_t imm)
{
    struct access a;

    access_begin(&a, TRANSACTION_ENQUEUE, to, 64);
    return store_64(v, from, imm, &a, 0, UINT32_MAX) && enqueue(v, &a);
}

uint64_t help_enqcmds(struct vcpu *v, uint64_t to, uint64_t from, uint64_t imm)
{
    struct access a;

    if (v->cpu.cpl)
        return vcpu_raise_error(v, EXCEPTION_GP, 0);
    access_begin(&a, TRANSACTION_ENQUEUE, to, 64);
    return store_64(v, from, imm, &a, 0, 0x7ff00000) && enqueue(v, &a);
}

uint64_t help_clzero(struct vcpu *v, uint64_t linear, uint64_t imm)
{
    static const union wide zero;

    (void)imm;
    return access_store(&v->mmu, linear & ~UINT64_C(63), &zero, 64, FORM_DIRECT, 0) || vcpu_raise_mmu(v);
}

/* -- random numbers --------------------------------------------------------------------------------------------------------------- */

/* Reproducible: a splitmix64 sequence over retired instructions, as `--clock virtual` promises. */
static uint64_t random_next(struct vcpu *v)
{
    uint64_t z = vcpu_retired(v) * UINT64_C(0x9e3779b97f4a7c15) + v->cpu.rip;

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint64_t help_rdrand(struct vcpu *v, uint64_t width)
{
    flags_put(&v->cpu, FLAG_CF);
    return bits_trunc(random_next(v), (unsigned)width);
}

uint64_t help_rdseed(struct vcpu *v, uint64_t width) { return help_rdrand(v, width); }
