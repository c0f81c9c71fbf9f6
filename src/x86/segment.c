/* segment.c - segments and descriptors (SDM 3A chapters 3 and 6). */
#include "x86/segment.h"

#include <string.h>

/* -- access ------------------------------------------------------------------------------------------------------ */

static bool segment_fault(struct vcpu *v, unsigned segment)
{
    return vcpu_raise_error(v, segment == SEG_SS ? EXCEPTION_SS : EXCEPTION_GP, 0);
}

static bool segment_type_allows(uint32_t ar, unsigned intent)
{
    if (ar & AR_CODE)
        return !(intent & ACCESS_WRITE) && (ar & AR_READABLE || !(intent & ACCESS_READ));
    return ar & AR_WRITABLE || !(intent & ACCESS_WRITE);
}

static bool segment_limit_allows(const struct segment *s, uint64_t offset, unsigned width)
{
    uint64_t last = offset + width - 1;
    uint64_t top = s->ar & AR_DB ? UINT32_MAX : 0xffff;

    if ((s->ar & (AR_CODE | AR_EXPAND_DOWN | AR_S)) == (AR_EXPAND_DOWN | AR_S))
        return offset > s->limit && last <= top;
    return last <= s->limit;
}

bool segment_linear_in(struct vcpu *v, const struct segment *s, unsigned segment, uint64_t offset, unsigned width,
                       unsigned intent, uint64_t *linear)
{
    const struct cpu *c = &v->cpu;

    if (c->mode & MODE_CODE64) {
        *linear = offset + (segment == SEG_FS || segment == SEG_GS ? s->base : 0);
        return true;
    }
    offset = (uint32_t)offset;
    if (c->mode & MODE_PROTECTED && (s->ar & AR_UNUSABLE || !segment_type_allows(s->ar, intent)))
        return segment_fault(v, segment);
    if (!segment_limit_allows(s, offset, width ? width : 1))
        return segment_fault(v, segment);
    *linear = (uint32_t)(s->base + offset);
    return true;
}

bool segment_linear(struct vcpu *v, unsigned segment, uint64_t offset, unsigned width, unsigned intent, uint64_t *linear)
{
    return segment_linear_in(v, &v->cpu.seg[segment], segment, offset, width, intent, linear);
}

bool segment_load(struct vcpu *v, unsigned segment, uint64_t offset, void *data, unsigned width, enum access_form form)
{
    uint64_t linear;

    if (!segment_linear(v, segment, offset, width, ACCESS_READ, &linear))
        return false;
    return access_load(&v->mmu, linear, data, width, form, segment == SEG_SS ? ACCESS_STACK : 0) || vcpu_raise_mmu(v);
}

bool segment_store(struct vcpu *v, unsigned segment, uint64_t offset, const void *data, unsigned width,
                   enum access_form form)
{
    uint64_t linear;

    if (!segment_linear(v, segment, offset, width, ACCESS_WRITE, &linear))
        return false;
    return access_store(&v->mmu, linear, data, width, form, segment == SEG_SS ? ACCESS_STACK : 0) || vcpu_raise_mmu(v);
}

bool system_store(struct vcpu *v, uint64_t linear, const void *data, unsigned width)
{
    return access_store(&v->mmu, linear, data, width, FORM_DESCRIPTOR, ACCESS_IMPLICIT) || vcpu_raise_mmu(v);
}

/* -- descriptors --------------------------------------------------------------------------------------------------- */

bool descriptor_upper(struct vcpu *v, uint16_t selector, int vector, struct descriptor *d, uint64_t *upper)
{
    if (!descriptor_locate(v, selector, 16, vector, &d->address) || !system_load(v, d->address + 8, upper, 8))
        return false;
    return !(*upper & 0x1f0000000000) || vcpu_raise_error(v, vector, selector & 0xfffc);
}

bool descriptor_fetch_upper(struct vcpu *v, uint16_t selector, int vector, struct descriptor *d)
{
    uint64_t upper;

    if (!descriptor_upper(v, selector, vector, d, &upper))
        return false;
    d->base |= upper << 32;
    return segment_base_is_canonical(d->base) || vcpu_raise_error(v, vector, selector & 0xfffc);
}

bool descriptor_update_type(struct vcpu *v, struct descriptor *d, uint32_t type)
{
    uint8_t byte;

    d->ar |= type;
    d->raw |= (uint64_t)type << 40;
    byte = (uint8_t)(d->raw >> 40);
    return system_store(v, d->address + 5, &byte, 1);
}

void segment_set_real(struct vcpu *v, unsigned segment, uint16_t selector)
{
    struct segment *s = &v->cpu.seg[segment];

    s->selector = selector;
    s->base = (uint64_t)selector << 4;
    if (v->cpu.rflags & FLAG_VM) {
        s->limit = 0xffff;
        s->ar = AR_P | AR_DPL | AR_S | AR_WRITABLE | AR_ACCESSED;
    } else { /* rights and limit stay: unreal mode (SDM 3A 10.9.2) */
        s->ar = (s->ar & ~(uint32_t)AR_UNUSABLE) | AR_P | AR_S;
    }
}

/* -- loads ---------------------------------------------------------------------------------------------------------- */

bool segment_check_stack(struct vcpu *v, uint16_t selector, unsigned cpl, int vector, struct descriptor *d)
{
    uint32_t error = selector & 0xfffc;

    if (selector_is_null(selector))
        return vcpu_raise_error(v, vector, 0);
    if (!descriptor_fetch(v, selector, vector, d))
        return false;
    if ((selector & 3u) != cpl || descriptor_dpl(d) != cpl || (d->ar & (AR_S | AR_CODE | AR_WRITABLE)) != (AR_S | AR_WRITABLE))
        return vcpu_raise_error(v, vector, error);
    return d->ar & AR_P || vcpu_raise_error(v, EXCEPTION_SS, error);
}

static bool segment_check_data(struct vcpu *v, uint16_t selector, struct descriptor *d)
{
    uint32_t error = selector & 0xfffc;
    unsigned rpl = selector & 3u;

    if (!descriptor_fetch(v, selector, EXCEPTION_GP, d))
        return false;
    if (!(d->ar & AR_S) || (d->ar & (AR_CODE | AR_READABLE)) == AR_CODE)
        return vcpu_raise_error(v, EXCEPTION_GP, error);
    if ((d->ar & (AR_CODE | AR_CONFORMING)) != (AR_CODE | AR_CONFORMING) &&
        (rpl > descriptor_dpl(d) || v->cpu.cpl > descriptor_dpl(d)))
        return vcpu_raise_error(v, EXCEPTION_GP, error);
    return d->ar & AR_P || vcpu_raise_error(v, EXCEPTION_NP, error);
}

/* A null selector: fine for data segments, and for SS in 64-bit mode below CPL 3. */
static bool segment_set_null(struct vcpu *v, unsigned segment, uint16_t selector)
{
    struct segment *s = &v->cpu.seg[segment];

    if (segment == SEG_SS) {
        if (!(v->cpu.mode & MODE_CODE64) || v->cpu.cpl == 3 || (selector & 3u) != v->cpu.cpl)
            return vcpu_raise_error(v, EXCEPTION_GP, 0);
        *s = (struct segment){ .selector = selector, .ar = AR_UNUSABLE | (uint32_t)v->cpu.cpl << AR_DPL_SHIFT };
        return true;
    }
    *s = (struct segment){ .selector = selector, .ar = AR_UNUSABLE };
    return true;
}

bool segment_set(struct vcpu *v, unsigned segment, uint16_t selector)
{
    struct descriptor d;
    bool ok;

    if (!(v->cpu.mode & MODE_PROTECTED)) {
        segment_set_real(v, segment, selector);
        vcpu_update_flow(v);
        return true;
    }
    if (selector_is_null(selector)) {
        ok = segment_set_null(v, segment, selector);
    } else {
        ok = segment == SEG_SS ? segment_check_stack(v, selector, v->cpu.cpl, EXCEPTION_GP, &d)
                               : segment_check_data(v, selector, &d);
        if (!ok || !descriptor_set_type(v, &d, AR_ACCESSED))
            return false;
        segment_put(&v->cpu.seg[segment], selector, &d);
    }
    vcpu_update_flow(v);
    return ok;
}

void segment_drop_privileged(struct vcpu *v)
{
    static const uint8_t data[] = { SEG_ES, SEG_DS, SEG_FS, SEG_GS };

    for (unsigned i = 0; i < ARRAY_LEN(data); i++) {
        struct segment *s = &v->cpu.seg[data[i]];
        bool conforming = (s->ar & (AR_CODE | AR_CONFORMING)) == (AR_CODE | AR_CONFORMING);

        if (!(s->ar & AR_UNUSABLE) && !conforming && ((s->ar & AR_DPL) >> AR_DPL_SHIFT) < v->cpu.cpl)
            *s = (struct segment){ .ar = AR_UNUSABLE, .base = s->base };
    }
}
