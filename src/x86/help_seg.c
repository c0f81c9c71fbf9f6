/* help_seg.c - instructions that load, store or inspect selectors (SDM 2). */
#include "x86/flags.h"
#include "x86/helpers.h"
#include "x86/stack.h"

static void set_zf(struct vcpu *v, bool zf)
{
    flags_put(&v->cpu, (flags_get(&v->cpu) & ~(uint32_t)FLAG_ZF) | (zf ? FLAG_ZF : 0u));
}

/* A load of SS holds off interrupts for one instruction (SDM 3A 7.8.3). */
static void shadow_after(struct vcpu *v, unsigned segment)
{
    if (segment == SEG_SS)
        v->cpu.shadow = SHADOW_MOV_SS;
}

uint64_t help_load_segment(struct vcpu *v, uint64_t selector, uint64_t segment)
{
    if (!segment_set(v, (unsigned)segment, (uint16_t)selector))
        return 0;
    shadow_after(v, (unsigned)segment);
    return 1;
}

uint64_t help_pop_segment(struct vcpu *v, uint64_t shape)
{
    struct stack s = stack_current(v);
    uint64_t selector;

    if (!stack_pop(&s, shape >> 8 & 0xff, &selector))
        return 0;
    if (!segment_set(v, shape & 0xff, (uint16_t)selector))
        return 0;
    stack_commit(&s);
    shadow_after(v, shape & 0xff);
    return 1;
}

uint64_t help_read_selector(struct vcpu *v, uint64_t segment) { return v->cpu.seg[segment].selector; }

static bool umip_forbids(const struct vcpu *v) { return v->cpu.cr4 & CR4_UMIP && v->cpu.cpl > 0; }

uint64_t help_sldt(struct vcpu *v, uint64_t width)
{
    (void)width;
    if (!(v->cpu.mode & MODE_PROTECTED))
        return vcpu_raise(v, EXCEPTION_UD);
    return umip_forbids(v) ? vcpu_raise_error(v, EXCEPTION_GP, 0) : v->cpu.seg[SEG_LDTR].selector;
}

uint64_t help_str(struct vcpu *v, uint64_t width)
{
    (void)width;
    if (!(v->cpu.mode & MODE_PROTECTED))
        return vcpu_raise(v, EXCEPTION_UD);
    return umip_forbids(v) ? vcpu_raise_error(v, EXCEPTION_GP, 0) : v->cpu.seg[SEG_TR].selector;
}

static bool table_register_allowed(struct vcpu *v)
{
    if (!(v->cpu.mode & MODE_PROTECTED))
        return vcpu_raise(v, EXCEPTION_UD);
    return v->cpu.cpl == 0 || vcpu_raise_error(v, EXCEPTION_GP, 0);
}

uint64_t help_lldt(struct vcpu *v, uint64_t value, uint64_t imm)
{
    uint16_t selector = (uint16_t)value;
    struct descriptor d;

    (void)imm;
    if (!table_register_allowed(v))
        return 0;
    if (selector_is_null(selector)) {
        v->cpu.seg[SEG_LDTR] = (struct segment){ .selector = selector, .ar = AR_UNUSABLE };
        return 1;
    }
    if (selector & 4)
        return vcpu_raise_error(v, EXCEPTION_GP, selector & 0xfffc);
    if (!descriptor_fetch(v, selector, EXCEPTION_GP, &d))
        return 0;
    if ((d.ar & (AR_S | AR_TYPE)) != SYSTEM_LDT)
        return vcpu_raise_error(v, EXCEPTION_GP, selector & 0xfffc);
    if (!(d.ar & AR_P))
        return vcpu_raise_error(v, EXCEPTION_NP, selector & 0xfffc);
    if (cpu_long_mode(&v->cpu) && !descriptor_fetch_upper(v, selector, EXCEPTION_GP, &d))
        return 0;
    segment_put(&v->cpu.seg[SEG_LDTR], selector, &d);
    return 1;
}

uint64_t help_ltr(struct vcpu *v, uint64_t value, uint64_t imm)
{
    uint16_t selector = (uint16_t)value;
    struct descriptor d;
    unsigned type;

    (void)imm;
    if (!table_register_allowed(v))
        return 0;
    if (selector_is_null(selector) || selector & 4)
        return vcpu_raise_error(v, EXCEPTION_GP, selector & 0xfffc);
    if (!descriptor_fetch(v, selector, EXCEPTION_GP, &d))
        return 0;
    type = d.ar & (AR_S | AR_TYPE);
    if (type != SYSTEM_TSS32 && (type != SYSTEM_TSS16 || cpu_long_mode(&v->cpu)))
        return vcpu_raise_error(v, EXCEPTION_GP, selector & 0xfffc);
    if (!(d.ar & AR_P))
        return vcpu_raise_error(v, EXCEPTION_NP, selector & 0xfffc);
    if (cpu_long_mode(&v->cpu) && !descriptor_fetch_upper(v, selector, EXCEPTION_GP, &d))
        return 0;
    if (!descriptor_set_type(v, &d, TYPE_BUSY))
        return 0;
    segment_put(&v->cpu.seg[SEG_TR], selector, &d);
    return 1;
}

/* -- LAR, LSL, VERR, VERW: never fault for what the selector names ---------------------------------------------------------- */

static bool inspect(struct vcpu *v, uint16_t selector, struct descriptor *d, bool *paging_fault)
{
    *paging_fault = false;
    if (selector_is_null(selector))
        return false;
    if (!descriptor_fetch(v, selector, EXCEPTION_GP, d)) {
        *paging_fault = v->fault.vector == EXCEPTION_PF;
        if (!*paging_fault)
            v->fault.vector = -1;
        return false;
    }
    return true;
}

static bool inspect_privilege(const struct vcpu *v, uint16_t selector, const struct descriptor *d)
{
    if ((d->ar & (AR_S | AR_CODE | AR_CONFORMING)) == (AR_S | AR_CODE | AR_CONFORMING))
        return true;
    return descriptor_dpl(d) >= v->cpu.cpl && descriptor_dpl(d) >= (selector & 3u);
}

static bool inspect_type(const struct vcpu *v, const struct descriptor *d, bool gates)
{
    unsigned type = d->ar & AR_TYPE;

    if (d->ar & AR_S)
        return true;
    if (type == SYSTEM_LDT || type == SYSTEM_TSS32 || type == SYSTEM_TSS32_BUSY)
        return true;
    if (gates && type == GATE_CALL32)
        return true;
    if (cpu_long_mode(&v->cpu))
        return false;
    return type == SYSTEM_TSS16 || type == SYSTEM_TSS16_BUSY || (gates && (type == GATE_CALL16 || type == GATE_TASK));
}

static uint64_t inspect_result(struct vcpu *v, uint64_t selector, uint64_t old, bool gates, uint64_t (*get)(const struct descriptor *))
{
    struct descriptor d;
    bool fault, ok = inspect(v, (uint16_t)selector, &d, &fault) && inspect_privilege(v, (uint16_t)selector, &d) &&
                     inspect_type(v, &d, gates);

    if (fault)
        return old;
    set_zf(v, ok);
    return ok ? get(&d) : old;
}

static uint64_t get_rights(const struct descriptor *d) { return d->raw >> 32 & 0x00ffff00; }
static uint64_t get_limit(const struct descriptor *d) { return d->limit; }

uint64_t help_lar(struct vcpu *v, uint64_t selector, uint64_t old, uint64_t imm)
{
    (void)imm;
    return inspect_result(v, selector, old, true, get_rights);
}

uint64_t help_lsl(struct vcpu *v, uint64_t selector, uint64_t old, uint64_t imm)
{
    (void)imm;
    return inspect_result(v, selector, old, false, get_limit);
}

static uint64_t verify(struct vcpu *v, uint16_t selector, bool write)
{
    struct descriptor d;
    bool fault, ok;

    if (!(v->cpu.mode & MODE_PROTECTED))
        return vcpu_raise(v, EXCEPTION_UD);
    ok = inspect(v, selector, &d, &fault) && d.ar & AR_S && inspect_privilege(v, selector, &d);
    if (fault)
        return 0;
    if (ok)
        ok = write ? (d.ar & (AR_CODE | AR_WRITABLE)) == AR_WRITABLE : !(d.ar & AR_CODE) || d.ar & AR_READABLE;
    set_zf(v, ok);
    return 1;
}

uint64_t help_verr(struct vcpu *v, uint64_t selector, uint64_t imm) { (void)imm; return verify(v, (uint16_t)selector, false); }
uint64_t help_verw(struct vcpu *v, uint64_t selector, uint64_t imm) { (void)imm; return verify(v, (uint16_t)selector, true); }

/* Was the requested privilege level less? */
static bool arpl(uint16_t *selector, uint64_t source)
{
    bool less = (*selector & 3) < (source & 3);

    if (less)
        *selector = (uint16_t)((*selector & ~3u) | (source & 3));
    return less;
}

uint64_t help_arpl(struct vcpu *v, uint64_t destination, uint64_t source, uint64_t imm)
{
    uint16_t selector = (uint16_t)destination;

    (void)imm;
    set_zf(v, arpl(&selector, source));
    return selector;
}

/* Written only if it changes, and only then it must be writable, as test386.asm has it and a Zen 4 does; shape: segment, 0x100 stack. */
uint64_t help_arpl_memory(struct vcpu *v, uint64_t linear, uint64_t source, uint64_t shape)
{
    unsigned flags = shape & 0x100 ? ACCESS_STACK : 0;
    union wide data = { .q = { 0 } };
    bool less;

    if (!access_load(&v->mmu, linear, &data, 2, FORM_PLAIN, flags))
        return vcpu_raise_mmu(v);
    less = arpl(&data.h[0], source);
    if (less && (v->cpu.seg[shape & 7].ar & (AR_CODE | AR_WRITABLE)) != AR_WRITABLE)
        return vcpu_raise_error(v, EXCEPTION_GP, 0);
    if (less && !access_store(&v->mmu, linear, &data, 2, FORM_PLAIN, flags))
        return vcpu_raise_mmu(v);
    set_zf(v, less);
    return 1;
}
