/* stack.c - pushes and pops of instructions that do more than one, and the stacks of a task-state segment. */
#include "x86/stack.h"

/* -- words --------------------------------------------------------------------------------------------------------------- */

static bool stack_linear(struct stack *s, uint64_t sp, unsigned width, unsigned intent, uint64_t *linear)
{
    if (s->width == 8) {
        *linear = sp;
        return true;
    }
    return segment_linear_in(s->v, s->ss, SEG_SS, sp, width, intent, linear);
}

bool stack_push(struct stack *s, unsigned width, uint64_t value)
{
    uint64_t sp = bits_trunc(s->sp - width, s->width), linear;

    if (!stack_linear(s, sp, width, ACCESS_WRITE, &linear))
        return false;
    if (!access_store(&s->v->mmu, linear, &value, width, FORM_STACK, s->options))
        return vcpu_raise_mmu(s->v);
    s->sp = sp;
    return true;
}

bool stack_pop(struct stack *s, unsigned width, uint64_t *value)
{
    uint64_t linear;

    *value = 0;
    if (!stack_linear(s, s->sp, width, ACCESS_READ, &linear))
        return false;
    if (!access_load(&s->v->mmu, linear, value, width, FORM_STACK, s->options))
        return vcpu_raise_mmu(s->v);
    s->sp = bits_trunc(s->sp + width, s->width);
    return true;
}

bool stack_push_each(struct stack *s, unsigned width, const uint64_t *word, unsigned n)
{
    bool ok = stack_probe(s, n * width);

    while (ok && n--)
        ok = stack_push(s, width, word[n]);
    return ok;
}

bool stack_pop_each(struct stack *s, unsigned width, uint64_t *word, unsigned n)
{
    bool ok = true;

    for (unsigned i = 0; ok && i < n; i++)
        ok = stack_pop(s, width, &word[i]);
    return ok;
}

bool stack_probe(struct stack *s, unsigned bytes)
{
    uint64_t sp = bits_trunc(s->sp - bytes, s->width), linear;

    if (!stack_linear(s, sp, bytes, ACCESS_WRITE, &linear))
        return false;
    return access_probe(&s->v->mmu, linear, bytes, ACCESS_WRITE | s->options) || vcpu_raise_mmu(s->v);
}

void stack_commit(struct stack *s)
{
    uint64_t *rsp = &s->v->cpu.slot[RSP];
    uint64_t keep = s->width == 2 ? *rsp & ~UINT64_C(0xffff) : 0;

    *rsp = keep | bits_trunc(s->sp, s->width);
}

/* -- task-state segments --------------------------------------------------------------------------------------------------- */

static bool tss_fault(struct vcpu *v) { return vcpu_raise_error(v, EXCEPTION_TS, v->cpu.seg[SEG_TR].selector & 0xfffc); }

static bool tss64_stack(struct stack *s, struct vcpu *v, unsigned cpl, unsigned ist)
{
    const struct segment *tr = &v->cpu.seg[SEG_TR];
    unsigned offset = ist ? 36 + (ist - 1) * 8 : 4 + cpl * 8;

    s->width = 8;
    s->own = (struct segment){ .selector = (uint16_t)cpl, .ar = AR_UNUSABLE | cpl << AR_DPL_SHIFT };
    return offset + 7 > tr->limit ? tss_fault(v) : system_load(v, tr->base + offset, &s->sp, 8);
}

/* Of 16 or of 32 bits. */
static bool tss_stack(struct stack *s, struct vcpu *v, unsigned cpl)
{
    const struct segment *tr = &v->cpu.seg[SEG_TR];
    bool wide = tr->ar & 8;
    unsigned offset = wide ? 4 + cpl * 8 : 2 + cpl * 4, width = wide ? 4 : 2;
    struct descriptor d;
    uint16_t ss;

    if (offset + width + 1 > tr->limit)
        return tss_fault(v);
    if (!system_load(v, tr->base + offset, &s->sp, width) || !system_load(v, tr->base + offset + width, &ss, 2) ||
        !segment_check_stack(v, ss, cpl, EXCEPTION_TS, &d) || !descriptor_set_type(v, &d, AR_ACCESSED))
        return false;
    s->width = d.ar & AR_DB ? 4 : 2;
    segment_put(&s->own, ss, &d);
    return true;
}

/* Pushes to a more privileged stack are supervisor accesses before CPL changes. */
bool stack_of_tss(struct stack *s, struct vcpu *v, unsigned cpl, unsigned ist)
{
    *s = (struct stack){ .v = v, .ss = &s->own, .options = ACCESS_STACK | (v->cpu.cpl == 3 && cpl < 3 ? ACCESS_IMPLICIT : 0u) };
    return cpu_long_mode(&v->cpu) ? tss64_stack(s, v, cpl, ist) : tss_stack(s, v, cpl);
}
