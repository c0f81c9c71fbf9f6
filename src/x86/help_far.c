/*
 * help_far.c - far transfers: JMP, CALL, RET, IRET through segments, call gates and tasks; SYSCALL and SYSENTER
 * (SDM 2, each instruction's operation; SDM 3A 6.8, 6.14, 8.3).
 *
 * Order everywhere: fetch and check all, push (probed), then commit.
 */
#include "x86/fault.h"
#include "x86/helpers.h"
#include "x86/stack.h"

static bool far_protected(const struct vcpu *v) { return v->cpu.mode & MODE_PROTECTED; }

static void far_commit(struct vcpu *v, uint16_t selector, const struct descriptor *d, uint64_t rip)
{
    segment_put(&v->cpu.seg[SEG_CS], selector, d);
    v->cpu.rip = rip;
    vcpu_update_flow(v);
}

static void far_commit_real(struct vcpu *v, uint16_t selector, uint64_t rip)
{
    segment_set_real(v, SEG_CS, selector);
    v->cpu.rip = rip;
    vcpu_update_flow(v);
}

/* The selector CS gets: with the current privilege. */
static uint16_t far_selector(const struct vcpu *v, uint16_t selector) { return (uint16_t)((selector & ~3) | v->cpu.cpl); }

/* -- where to --------------------------------------------------------------------------------------------------------- */

/* A code segment as the target of a direct transfer at the current privilege. */
static bool far_check_code(struct vcpu *v, uint16_t selector, const struct descriptor *d)
{
    uint32_t error = selector & 0xfffc;
    unsigned dpl = descriptor_dpl(d), rpl = selector & 3u, cpl = v->cpu.cpl;

    if (cpu_long_mode(&v->cpu) && (d->ar & (AR_L | AR_DB)) == (AR_L | AR_DB))
        return vcpu_raise_error(v, EXCEPTION_GP, error);
    if (d->ar & AR_CONFORMING ? dpl > cpl : rpl > cpl || dpl != cpl)
        return vcpu_raise_error(v, EXCEPTION_GP, error);
    return d->ar & AR_P || vcpu_raise_error(v, EXCEPTION_NP, error);
}

static bool far_fetch(struct vcpu *v, uint16_t selector, struct descriptor *d)
{
    if (selector_is_null(selector))
        return vcpu_raise_error(v, EXCEPTION_GP, 0);
    return descriptor_fetch(v, selector, EXCEPTION_GP, d);
}

struct far_gate {
    uint16_t selector;
    uint64_t offset;
    unsigned width, count;
};

/* A call gate's own checks, and its target's descriptor. */
static bool far_gate_fetch(struct vcpu *v, uint16_t selector, struct descriptor *d, struct far_gate *g,
                           struct descriptor *code)
{
    uint32_t error = selector & 0xfffc;
    unsigned type = d->ar & AR_TYPE;

    if (descriptor_dpl(d) < v->cpu.cpl || descriptor_dpl(d) < (selector & 3u))
        return vcpu_raise_error(v, EXCEPTION_GP, error);
    if (!(d->ar & AR_P))
        return vcpu_raise_error(v, EXCEPTION_NP, error);
    *g = (struct far_gate){
        .selector = (uint16_t)(d->raw >> 16), .offset = bits_get(d->raw, 0, 16) | bits_get(d->raw, 48, 16) << 16,
        .width = type == GATE_CALL32 ? 4 : 2, .count = (unsigned)bits_get(d->raw, 32, 5),
    };
    if (cpu_long_mode(&v->cpu)) {
        uint64_t upper;

        if (!descriptor_upper(v, selector, EXCEPTION_GP, d, &upper))
            return false;
        g->offset |= upper << 32;
        g->width = 8;
        g->count = 0;
    } else if (g->width == 2) {
        g->offset &= 0xffff;
    }
    if (!far_fetch(v, g->selector, code))
        return false;
    error = g->selector & 0xfffc;
    if (!descriptor_is_code(code) || descriptor_dpl(code) > v->cpu.cpl ||
        (cpu_long_mode(&v->cpu) && (code->ar & (AR_L | AR_DB)) != AR_L))
        return vcpu_raise_error(v, EXCEPTION_GP, error);
    return code->ar & AR_P || vcpu_raise_error(v, EXCEPTION_NP, error);
}

static bool far_is_call_gate(const struct vcpu *v, const struct descriptor *d)
{
    unsigned type = d->ar & (AR_S | AR_TYPE);

    return type == GATE_CALL32 || (type == GATE_CALL16 && !cpu_long_mode(&v->cpu));
}

static bool far_is_task(const struct vcpu *v, const struct descriptor *d)
{
    unsigned type = d->ar & (AR_S | AR_TYPE);

    return !cpu_long_mode(&v->cpu) && (type == SYSTEM_TSS16 || type == SYSTEM_TSS32 || type == GATE_TASK);
}

static bool far_task(struct vcpu *v, uint16_t selector, const struct descriptor *d, enum task_source source)
{
    uint32_t error = selector & 0xfffc;

    if (descriptor_dpl(d) < v->cpu.cpl || descriptor_dpl(d) < (selector & 3u))
        return vcpu_raise_error(v, EXCEPTION_GP, error);
    if (!(d->ar & AR_P))
        return vcpu_raise_error(v, EXCEPTION_NP, error);
    return task_switch(v, (d->ar & AR_TYPE) == GATE_TASK ? (uint16_t)(d->raw >> 16) : selector, source, v->next_rip, false, 0);
}

/* -- JMP ---------------------------------------------------------------------------------------------------------------- */

static bool far_jump_code(struct vcpu *v, uint16_t selector, struct descriptor *d, uint64_t rip)
{
    if (!segment_check_rip(v, d->ar, d->limit, rip) || !descriptor_set_type(v, d, AR_ACCESSED))
        return false;
    far_commit(v, far_selector(v, selector), d, rip);
    return true;
}

static bool far_jump(struct vcpu *v, uint64_t offset, uint16_t selector, unsigned width)
{
    struct descriptor d, code;
    struct far_gate g;

    if (!far_protected(v)) {
        if (offset > v->cpu.seg[SEG_CS].limit)
            return vcpu_raise_error(v, EXCEPTION_GP, 0);
        far_commit_real(v, selector, bits_trunc(offset, width));
        return true;
    }
    if (!far_fetch(v, selector, &d))
        return false;
    if (descriptor_is_code(&d))
        return far_check_code(v, selector, &d) && far_jump_code(v, selector, &d, bits_trunc(offset, width));
    if (far_is_call_gate(v, &d)) {
        if (!far_gate_fetch(v, selector, &d, &g, &code))
            return false;
        if (!(code.ar & AR_CONFORMING) && descriptor_dpl(&code) != v->cpu.cpl)
            return vcpu_raise_error(v, EXCEPTION_GP, g.selector & 0xfffc);
        return far_jump_code(v, g.selector, &code, g.offset);
    }
    if (far_is_task(v, &d))
        return far_task(v, selector, &d, TASK_JUMP);
    return vcpu_raise_error(v, EXCEPTION_GP, selector & 0xfffc);
}

/* -- CALL ---------------------------------------------------------------------------------------------------------------- */

static bool far_call_code(struct vcpu *v, uint16_t selector, struct descriptor *d, uint64_t rip, unsigned width)
{
    struct stack s = stack_current(v);

    if (!segment_check_rip(v, d->ar, d->limit, rip) || !stack_probe(&s, 2 * width) || !descriptor_set_type(v, d, AR_ACCESSED) ||
        !stack_push(&s, width, v->cpu.seg[SEG_CS].selector) || !stack_push(&s, width, v->next_rip))
        return false;
    stack_commit(&s);
    far_commit(v, far_selector(v, selector), d, rip);
    return true;
}

static bool far_copy_parameters(struct vcpu *v, struct stack *to, const struct far_gate *g)
{
    struct stack from = stack_current(v);
    uint64_t word[32];

    for (unsigned i = 0; i < g->count; i++)
        if (!stack_pop(&from, g->width, &word[i]))
            return false;
    for (unsigned i = g->count; i-- > 0;)
        if (!stack_push(to, g->width, word[i]))
            return false;
    return true;
}

static bool far_call_inner(struct vcpu *v, const struct far_gate *g, struct descriptor *code)
{
    unsigned cpl = descriptor_dpl(code);
    struct stack s;

    if (!stack_of_tss(&s, v, cpl, 0) || !segment_check_rip(v, code->ar, code->limit, g->offset))
        return false;
    if (!stack_probe(&s, (4 + g->count) * g->width)) {
        if (v->fault.vector == EXCEPTION_SS) /* of the new stack: with its selector */
            v->fault.error = s.ss->selector & 0xfffc;
        return false;
    }
    if (!descriptor_set_type(v, code, AR_ACCESSED) || !stack_push(&s, g->width, v->cpu.seg[SEG_SS].selector) ||
        !stack_push(&s, g->width, v->cpu.slot[RSP]) || !far_copy_parameters(v, &s, g) ||
        !stack_push(&s, g->width, v->cpu.seg[SEG_CS].selector) || !stack_push(&s, g->width, v->next_rip))
        return false;
    v->cpu.seg[SEG_SS] = *s.ss;
    stack_commit(&s);
    far_commit(v, (uint16_t)((g->selector & ~3) | cpl), code, g->offset);
    return true;
}

static bool far_call(struct vcpu *v, uint64_t offset, uint16_t selector, unsigned width)
{
    struct stack s = stack_current(v);
    struct descriptor d, code;
    struct far_gate g;

    if (!far_protected(v)) {
        if (bits_trunc(offset, width) > v->cpu.seg[SEG_CS].limit)
            return vcpu_raise_error(v, EXCEPTION_GP, 0);
        if (!stack_probe(&s, 2 * width) || !stack_push(&s, width, v->cpu.seg[SEG_CS].selector) ||
            !stack_push(&s, width, v->next_rip))
            return false;
        stack_commit(&s);
        far_commit_real(v, selector, bits_trunc(offset, width));
        return true;
    }
    if (!far_fetch(v, selector, &d))
        return false;
    if (descriptor_is_code(&d))
        return far_check_code(v, selector, &d) && far_call_code(v, selector, &d, bits_trunc(offset, width), width);
    if (far_is_call_gate(v, &d)) {
        if (!far_gate_fetch(v, selector, &d, &g, &code))
            return false;
        if (!(code.ar & AR_CONFORMING) && descriptor_dpl(&code) < v->cpu.cpl)
            return far_call_inner(v, &g, &code);
        return far_call_code(v, g.selector, &code, g.offset, g.width);
    }
    if (far_is_task(v, &d))
        return far_task(v, selector, &d, TASK_CALL);
    return vcpu_raise_error(v, EXCEPTION_GP, selector & 0xfffc);
}

/* -- RET and IRET ------------------------------------------------------------------------------------------------------------ */

/* What a return goes back to, read from the stack and checked. */
struct far_return {
    struct stack inner;      /* the stack it is read from */
    uint16_t cs, ss;
    struct descriptor code, stack;
    uint64_t rip;
    bool outer;              /* to a less privileged level: SS:SP come too */
    uint64_t sp;
};

static bool return_check_code(struct vcpu *v, uint16_t selector, struct descriptor *d)
{
    uint32_t error = selector & 0xfffc;
    unsigned rpl = selector & 3u;

    if (!far_fetch(v, selector, d))
        return false;
    if (!descriptor_is_code(d) || rpl < v->cpu.cpl ||
        (d->ar & AR_CONFORMING ? descriptor_dpl(d) > rpl : descriptor_dpl(d) != rpl) ||
        (cpu_long_mode(&v->cpu) && (d->ar & (AR_L | AR_DB)) == (AR_L | AR_DB)))
        return vcpu_raise_error(v, EXCEPTION_GP, error);
    return d->ar & AR_P || vcpu_raise_error(v, EXCEPTION_NP, error);
}

static bool return_check_stack(struct vcpu *v, uint16_t ss, struct far_return *r)
{
    unsigned rpl = r->cs & 3u;

    r->ss = ss;
    if (selector_is_null(ss) && r->code.ar & AR_L && cpu_long_mode(&v->cpu) && rpl < 3 && (ss & 3u) == rpl) {
        r->stack = (struct descriptor){ .ar = AR_UNUSABLE | rpl << AR_DPL_SHIFT };
        return true;
    }
    return segment_check_stack(v, ss, rpl, EXCEPTION_GP, &r->stack) && descriptor_set_type(v, &r->stack, AR_ACCESSED);
}

static void return_commit(struct vcpu *v, struct far_return *r, unsigned extra)
{
    struct cpu *c = &v->cpu;
    bool dropped = (r->cs & 3u) > c->cpl;

    segment_put(&c->seg[SEG_CS], r->cs, &r->code);
    c->rip = r->rip;
    if (!r->outer) {
        r->inner.sp += extra;
        stack_commit(&r->inner);
        vcpu_update_flow(v);
        return;
    }
    segment_put(&c->seg[SEG_SS], r->ss, &r->stack);
    vcpu_update_flow(v);
    {
        struct stack s = stack_current(v);

        s.sp = r->sp + extra;
        stack_commit(&s);
        if (s.width == 4)
            c->slot[RSP] = (uint32_t)c->slot[RSP];
    }
    if (dropped)
        segment_drop_privileged(v);
}

static bool far_return(struct vcpu *v, unsigned extra, unsigned width)
{
    struct far_return r;
    uint64_t cs, ss;

    stack_begin(&r.inner, v);
    if (!stack_pop(&r.inner, width, &r.rip) || !stack_pop(&r.inner, width, &cs))
        return false;
    if (!far_protected(v)) {
        if (r.rip > v->cpu.seg[SEG_CS].limit)
            return vcpu_raise_error(v, EXCEPTION_GP, 0);
        r.inner.sp += extra;
        stack_commit(&r.inner);
        far_commit_real(v, (uint16_t)cs, r.rip);
        return true;
    }
    if (!return_check_code(v, (uint16_t)cs, &r.code))
        return false;
    r.cs = (uint16_t)cs;
    r.outer = (cs & 3) > v->cpu.cpl;
    if (r.outer) {
        r.inner.sp = bits_trunc(r.inner.sp + extra, r.inner.width);
        if (!stack_pop(&r.inner, width, &r.sp) || !stack_pop(&r.inner, width, &ss) || !return_check_stack(v, (uint16_t)ss, &r))
            return false;
    }
    if (!segment_check_rip(v, r.code.ar, r.code.limit, r.rip) || !descriptor_set_type(v, &r.code, AR_ACCESSED))
        return false;
    return_commit(v, &r, extra);
    return true;
}

/* RFLAGS bits an IRET or POPF at this privilege may change (SDM 2 IRET, POPF). */
static uint64_t return_flags_mask(const struct vcpu *v, unsigned width)
{
    uint64_t mask = FLAGS_ARITHMETIC | FLAG_TF | FLAG_DF | FLAG_NT;
    unsigned iopl = (v->cpu.rflags & FLAG_IOPL) >> 12;

    if (width > 2)
        mask |= FLAG_RF | FLAG_AC | FLAG_ID;
    if (v->cpu.cpl <= iopl)
        mask |= FLAG_IF;
    if (v->cpu.cpl == 0)
        mask |= FLAG_IOPL | (width > 2 ? FLAG_VIF | FLAG_VIP : 0);
    return mask;
}

/* The mask has all arithmetic flags. */
static void return_flags(struct vcpu *v, uint64_t flags, uint64_t mask)
{
    cpu_set_rflags(&v->cpu, (v->cpu.rflags & ~mask) | (flags & mask));
}

static bool iret_real(struct vcpu *v, unsigned width)
{
    struct stack s = stack_current(v);
    uint64_t rip, cs, flags;

    if (!stack_pop(&s, width, &rip) || !stack_pop(&s, width, &cs) || !stack_pop(&s, width, &flags))
        return false;
    if (rip > v->cpu.seg[SEG_CS].limit)
        return vcpu_raise_error(v, EXCEPTION_GP, 0);
    stack_commit(&s);
    return_flags(v, flags, return_flags_mask(v, width) & ~(uint64_t)(FLAG_VIF | FLAG_VIP));
    if (v->cpu.rflags & FLAG_VM) { /* IOPL stays */
        segment_set_real(v, SEG_CS, (uint16_t)cs);
        v->cpu.rip = rip;
        vcpu_update_flow(v);
    } else {
        far_commit_real(v, (uint16_t)cs, rip);
    }
    return true;
}

/* CPL 0, VM set in the image: back to virtual-8086 mode. */
static bool iret_to_vm86(struct vcpu *v, struct stack *s, uint64_t rip, uint16_t cs, uint64_t flags)
{
    static const uint8_t order[] = { SEG_ES, SEG_DS, SEG_FS, SEG_GS };
    uint64_t sp, ss, word[4];

    if (rip > 0xffff)
        return vcpu_raise_error(v, EXCEPTION_GP, 0);
    if (!stack_pop(s, 4, &sp) || !stack_pop(s, 4, &ss))
        return false;
    for (unsigned i = 0; i < 4; i++)
        if (!stack_pop(s, 4, &word[i]))
            return false;
    cpu_set_rflags(&v->cpu, flags & 0x3f7fd5);
    v->cpu.rflags |= FLAG_VM;
    segment_set_real(v, SEG_CS, cs);
    segment_set_real(v, SEG_SS, (uint16_t)ss);
    for (unsigned i = 0; i < 4; i++)
        segment_set_real(v, order[i], (uint16_t)word[i]);
    v->cpu.rip = rip;
    v->cpu.slot[RSP] = sp;
    vcpu_update_flow(v);
    return true;
}

static bool iret_task(struct vcpu *v)
{
    uint16_t link;

    if (cpu_long_mode(&v->cpu))
        return vcpu_raise_error(v, EXCEPTION_GP, 0);
    return system_load(v, v->cpu.seg[SEG_TR].base, &link, 2) && task_switch(v, link, TASK_IRET, v->next_rip, false, 0);
}

static bool iret_protected(struct vcpu *v, unsigned width)
{
    uint64_t word[5], mask = return_flags_mask(v, width); /* RIP, CS, RFLAGS, RSP, SS */
    bool long_mode = v->cpu.mode & MODE_CODE64;
    struct far_return r;

    if (v->cpu.rflags & FLAG_NT)
        return iret_task(v);
    stack_begin(&r.inner, v);
    if (!stack_pop_words(&r.inner, width, word, long_mode ? 5 : 3))
        return false;
    r.rip = word[0];
    r.cs = (uint16_t)word[1];
    if (word[2] & FLAG_VM && v->cpu.cpl == 0 && width == 4 && !cpu_long_mode(&v->cpu))
        return iret_to_vm86(v, &r.inner, r.rip, r.cs, word[2]);
    if (!return_check_code(v, r.cs, &r.code))
        return false;
    r.outer = long_mode || (r.cs & 3) > v->cpu.cpl;
    if (r.outer && !long_mode && !stack_pop_words(&r.inner, width, word + 3, 2))
        return false;
    r.sp = word[3];
    if (r.outer && !return_check_stack(v, (uint16_t)word[4], &r))
        return false;
    if (!segment_check_rip(v, r.code.ar, r.code.limit, r.rip) || !descriptor_set_type(v, &r.code, AR_ACCESSED))
        return false;
    return_flags(v, word[2], mask);
    return_commit(v, &r, 0);
    return true;
}

uint64_t help_iret(struct vcpu *v, uint64_t a, uint64_t b, uint64_t width)
{
    (void)a;
    (void)b;
    if (v->cpu.rflags & FLAG_VM && (v->cpu.rflags & FLAG_IOPL) != FLAG_IOPL)
        return vcpu_raise_error(v, EXCEPTION_GP, 0);
    if (!(far_protected(v) ? iret_protected(v, (unsigned)width) : iret_real(v, (unsigned)width)))
        return 0;
    v->cpu.nmi_blocked = false;
    return 0;
}

/* -- the helpers ---------------------------------------------------------------------------------------------------------- */

uint64_t help_far_jump(struct vcpu *v, uint64_t offset, uint64_t selector, uint64_t width)
{
    return far_jump(v, offset, (uint16_t)selector, (unsigned)width);
}

uint64_t help_far_call(struct vcpu *v, uint64_t offset, uint64_t selector, uint64_t width)
{
    return far_call(v, offset, (uint16_t)selector, (unsigned)width);
}

/* m16:16, m16:32, m16:64: one operand of offset and selector. */
static bool far_pointer_load(struct vcpu *v, uint64_t linear, unsigned width, bool stack, uint64_t *offset, uint16_t *selector)
{
    union wide data = { .q = { 0 } };

    if (!access_load(&v->mmu, linear, &data, width + 2, FORM_FAR_POINTER, stack ? ACCESS_STACK : 0))
        return vcpu_raise_mmu(v);
    *offset = bits_trunc(data.q[0], width);
    *selector = data.h[width / 2];
    return true;
}

uint64_t help_far_jump_memory(struct vcpu *v, uint64_t linear, uint64_t b, uint64_t shape)
{
    uint64_t offset;
    uint16_t selector;

    (void)b;
    return far_pointer_load(v, linear, shape & 0xff, shape >> 8 & 1, &offset, &selector) &&
           far_jump(v, offset, selector, shape & 0xff);
}

uint64_t help_far_call_memory(struct vcpu *v, uint64_t linear, uint64_t b, uint64_t shape)
{
    uint64_t offset;
    uint16_t selector;

    (void)b;
    return far_pointer_load(v, linear, shape & 0xff, shape >> 8 & 1, &offset, &selector) &&
           far_call(v, offset, selector, shape & 0xff);
}

uint64_t help_load_far(struct vcpu *v, uint64_t linear, uint64_t shape)
{
    uint64_t offset;
    uint16_t selector;

    if (!far_pointer_load(v, linear, shape >> 8 & 0xff, shape >> 16 & 1, &offset, &selector) ||
        !segment_set(v, shape & 0xff, selector))
        return 0;
    return offset;
}

uint64_t help_far_return(struct vcpu *v, uint64_t extra, uint64_t b, uint64_t width)
{
    (void)b;
    return far_return(v, (unsigned)extra, (unsigned)width);
}

/* -- fast system calls ------------------------------------------------------------------------------------------------------ */

static void flat_segment(struct segment *s, uint16_t selector, bool code, unsigned dpl, bool l)
{
    s->selector = selector;
    s->limit = UINT32_MAX;
    s->base = 0;
    s->ar = AR_P | AR_S | AR_G | AR_WRITABLE | AR_ACCESSED | (code ? AR_CODE : 0) | dpl << AR_DPL_SHIFT | (l ? AR_L : AR_DB);
}

/* SYSCALL and SYSRET outside 64-bit mode are AMD's alone (SDM 2 SYSCALL; APM 3 SYSCALL, SYSRET). */
static bool fast_call_is_there(const struct vcpu *v)
{
    return v->cpu.efer & EFER_SCE && (v->cpu.mode & MODE_CODE64 || v->vendor == VENDOR_AMD);
}

/*
 * RFLAGS.TF counts as SYSCALL and SYSRET leave it: a kernel masks it, and a step over the two, seen from the user, is one
 * (SDM 3B 19.3.1.4).  The trap is delivered here.
 */
static void fast_call_trap(struct vcpu *v)
{
    v->delivered = true;
    if (!(v->cpu.rflags & FLAG_TF))
        return;
    v->fault = (struct fault){ .vector = EXCEPTION_DB, .dr6 = BIT(14) };
    fault_deliver(v);
}

/* From 64-bit or compatibility mode. */
static void syscall_long(struct vcpu *v)
{
    struct cpu *c = &v->cpu;

    c->rip = c->mode & MODE_CODE64 ? c->msr.lstar : c->msr.cstar;
    c->slot[RCX] = v->next_rip;
    c->slot[R11] = cpu_rflags(c) & ~(uint64_t)FLAG_RF;
    cpu_set_rflags(c, c->slot[R11] & ~c->msr.sfmask);
}

static void syscall_legacy(struct vcpu *v)
{
    struct cpu *c = &v->cpu;

    c->rip = (uint32_t)c->msr.star;
    c->slot[RCX] = (uint32_t)v->next_rip;
    cpu_set_rflags(c, cpu_rflags(c) & ~(uint64_t)(FLAG_VM | FLAG_IF | FLAG_RF));
}

uint64_t help_syscall(struct vcpu *v, uint64_t a, uint64_t b, uint64_t imm)
{
    struct cpu *c = &v->cpu;
    uint16_t selector = (uint16_t)(c->msr.star >> 32);
    bool lma = cpu_long_mode(c);

    (void)a, (void)b, (void)imm;
    if (!fast_call_is_there(v))
        return vcpu_raise(v, EXCEPTION_UD);
    lma ? syscall_long(v) : syscall_legacy(v);
    flat_segment(&c->seg[SEG_CS], selector & 0xfffc, true, 0, lma);
    flat_segment(&c->seg[SEG_SS], (uint16_t)(selector + 8), false, 0, false);
    vcpu_update_flow(v);
    fast_call_trap(v);
    return 0;
}

/* AMD's load the selector alone (APM 3 SYSRET); DPL, which nobody sees there, goes with CPL. */
static void sysret_stack(struct vcpu *v, uint16_t selector)
{
    struct segment *ss = &v->cpu.seg[SEG_SS];

    if (v->vendor != VENDOR_AMD) {
        flat_segment(ss, selector | 3, false, 3, false);
        return;
    }
    ss->selector = selector;
    ss->ar |= AR_DPL;
}

uint64_t help_sysret(struct vcpu *v, uint64_t a, uint64_t b, uint64_t width)
{
    struct cpu *c = &v->cpu;
    uint16_t selector = (uint16_t)(c->msr.star >> 48);
    bool wide = width == 8, from64 = c->mode & MODE_CODE64;

    (void)a, (void)b;
    if (!fast_call_is_there(v))
        return vcpu_raise(v, EXCEPTION_UD);
    if (c->cpl != 0 || cpu_real_mode(c))
        return vcpu_raise_error(v, EXCEPTION_GP, 0);
    if (wide && v->vendor != VENDOR_AMD && !segment_check_rip(v, AR_L, 0, c->slot[RCX]))
        return 0;
    cpu_set_rflags(c, from64 ? (c->slot[R11] & 0x3c7fd7) | FLAG_ONE : cpu_rflags(c) | FLAG_IF);
    c->rip = wide ? c->slot[RCX] : (uint32_t)c->slot[RCX];
    flat_segment(&c->seg[SEG_CS], (uint16_t)(selector + (wide ? 16 : 0)) | 3, true, 3, wide);
    sysret_stack(v, (uint16_t)(selector + 8));
    vcpu_update_flow(v);
    fast_call_trap(v);
    return 0;
}

/* AMD's have them in legacy mode alone (APM 3 SYSENTER). */
static bool sysenter_is_there(const struct vcpu *v) { return v->vendor != VENDOR_AMD || !cpu_long_mode(&v->cpu); }

uint64_t help_sysenter(struct vcpu *v, uint64_t a, uint64_t b, uint64_t imm)
{
    struct cpu *c = &v->cpu;
    uint16_t selector = (uint16_t)c->msr.sysenter_cs & 0xfffc;
    bool lma = cpu_long_mode(c);

    (void)a, (void)b, (void)imm;
    if (!sysenter_is_there(v))
        return vcpu_raise(v, EXCEPTION_UD);
    if (cpu_real_mode(c) || !selector)
        return vcpu_raise_error(v, EXCEPTION_GP, 0);
    cpu_set_rflags(c, cpu_rflags(c) & ~(uint64_t)(FLAG_VM | FLAG_IF | FLAG_RF));
    flat_segment(&c->seg[SEG_CS], selector, true, 0, lma);
    flat_segment(&c->seg[SEG_SS], (uint16_t)(selector + 8), false, 0, false);
    c->slot[RSP] = lma ? c->msr.sysenter_esp : (uint32_t)c->msr.sysenter_esp;
    c->rip = lma ? c->msr.sysenter_eip : (uint32_t)c->msr.sysenter_eip;
    vcpu_update_flow(v);
    return 0;
}

uint64_t help_sysexit(struct vcpu *v, uint64_t a, uint64_t b, uint64_t width)
{
    struct cpu *c = &v->cpu;
    uint16_t selector = (uint16_t)c->msr.sysenter_cs & 0xfffc;
    bool wide = width == 8;

    (void)a, (void)b;
    if (!sysenter_is_there(v))
        return vcpu_raise(v, EXCEPTION_UD);
    if (cpu_real_mode(c) || !selector || c->cpl != 0)
        return vcpu_raise_error(v, EXCEPTION_GP, 0);
    if (wide && (!segment_check_rip(v, AR_L, 0, c->slot[RDX]) || !segment_check_rip(v, AR_L, 0, c->slot[RCX])))
        return 0;
    flat_segment(&c->seg[SEG_CS], (uint16_t)(selector + (wide ? 32 : 16)) | 3, true, 3, wide);
    flat_segment(&c->seg[SEG_SS], (uint16_t)(selector + (wide ? 40 : 24)) | 3, false, 3, false);
    c->rip = wide ? c->slot[RDX] : (uint32_t)c->slot[RDX];
    c->slot[RSP] = wide ? c->slot[RCX] : (uint32_t)c->slot[RCX];
    vcpu_update_flow(v);
    return 0;
}
