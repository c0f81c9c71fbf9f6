/*
 * help_task.c - hardware task switch, 16- and 32-bit (SDM 3A chapter 8).
 *
 * The old task's registers are saved and the new one's loaded before its segments are checked, so a fault there is
 * the new task's, as the manual has it (8.3).
 */
#include "x86/fault.h"
#include "x86/stack.h"

#include "walk.h"

#include <string.h>

/* 32-bit and 16-bit TSS as arrays of words: where things are (SDM 3A figures 8-2, 8-10). */
struct tss_layout {
    unsigned width, bytes, rip, flags, registers, segments, segment_count, ldt;
};

static const struct tss_layout tss32 = { 4, 104, 0x20, 0x24, 0x28, 0x48, 6, 0x60 };
static const struct tss_layout tss16 = { 2, 44, 0x0e, 0x10, 0x12, 0x22, 4, 0x2a };

static uint32_t tss_word(const uint8_t *tss, unsigned at, unsigned width)
{
    uint32_t value = 0;

    memcpy(&value, tss + at, width);
    return value;
}

static void task_save(struct vcpu *v, const struct tss_layout *t, uint8_t *tss, uint64_t rip, uint64_t flags)
{
    struct cpu *c = &v->cpu;

    memcpy(tss + t->rip, &rip, t->width);
    memcpy(tss + t->flags, &flags, t->width);
    for (unsigned i = 0; i < 8; i++)
        memcpy(tss + t->registers + i * t->width, &c->slot[i], t->width);
    for (unsigned i = 0; i < t->segment_count; i++)
        memcpy(tss + t->segments + i * t->width, &c->seg[i].selector, 2);
}

static bool task_fault(struct vcpu *v, int vector, uint16_t selector)
{
    return vcpu_raise_error(v, vector, selector & 0xfffc);
}

static bool task_load_ldt(struct vcpu *v, uint16_t selector)
{
    struct descriptor d;

    v->cpu.seg[SEG_LDTR] = (struct segment){ .selector = selector, .ar = AR_UNUSABLE };
    if (selector_is_null(selector))
        return true;
    if (selector & 4 || !descriptor_fetch(v, selector, EXCEPTION_TS, &d))
        return task_fault(v, EXCEPTION_TS, selector);
    if ((d.ar & (AR_S | AR_TYPE)) != SYSTEM_LDT || !(d.ar & AR_P))
        return task_fault(v, EXCEPTION_TS, selector);
    segment_put(&v->cpu.seg[SEG_LDTR], selector, &d);
    return true;
}

static bool task_load_code(struct vcpu *v, uint16_t selector)
{
    unsigned rpl = selector & 3u;
    struct descriptor d;

    if (selector_is_null(selector) || !descriptor_fetch(v, selector, EXCEPTION_TS, &d))
        return task_fault(v, EXCEPTION_TS, selector);
    if (!descriptor_is_code(&d) || (d.ar & AR_CONFORMING ? descriptor_dpl(&d) > rpl : descriptor_dpl(&d) != rpl))
        return task_fault(v, EXCEPTION_TS, selector);
    if (!(d.ar & AR_P))
        return task_fault(v, EXCEPTION_NP, selector);
    if (!descriptor_set_type(v, &d, AR_ACCESSED))
        return false;
    segment_put(&v->cpu.seg[SEG_CS], selector, &d);
    vcpu_update(v);
    return true;
}

static bool task_load_data(struct vcpu *v, unsigned segment, uint16_t selector)
{
    struct descriptor d;

    if (segment == SEG_SS) {
        if (!segment_check_stack(v, selector, v->cpu.cpl, EXCEPTION_TS, &d))
            return false;
    } else {
        if (selector_is_null(selector)) {
            v->cpu.seg[segment] = (struct segment){ .selector = selector, .ar = AR_UNUSABLE };
            return true;
        }
        if (!descriptor_fetch(v, selector, EXCEPTION_TS, &d))
            return false;
        if (!(d.ar & AR_S) || (d.ar & (AR_CODE | AR_READABLE)) == AR_CODE ||
            ((d.ar & (AR_CODE | AR_CONFORMING)) != (AR_CODE | AR_CONFORMING) &&
             (descriptor_dpl(&d) < (selector & 3u) || descriptor_dpl(&d) < v->cpu.cpl)))
            return task_fault(v, EXCEPTION_TS, selector);
        if (!(d.ar & AR_P))
            return task_fault(v, EXCEPTION_NP, selector);
    }
    if (!descriptor_set_type(v, &d, AR_ACCESSED))
        return false;
    segment_put(&v->cpu.seg[segment], selector, &d);
    vcpu_update(v);
    return true;
}

static bool task_load_segments(struct vcpu *v, const struct tss_layout *t, const uint8_t *tss)
{
    static const uint8_t order[] = { SEG_SS, SEG_DS, SEG_ES, SEG_FS, SEG_GS };

    if (!task_load_ldt(v, (uint16_t)tss_word(tss, t->ldt, 2)))
        return false;
    if (v->cpu.rflags & FLAG_VM) {
        for (unsigned i = 0; i < 6; i++)
            segment_set_real(v, i, (uint16_t)tss_word(tss, t->segments + i * t->width, 2));
        vcpu_update(v);
        return true;
    }
    if (!task_load_code(v, (uint16_t)tss_word(tss, t->segments + SEG_CS * t->width, 2)))
        return false;
    for (unsigned i = 0; i < ARRAY_LEN(order); i++) {
        uint16_t selector = order[i] < t->segment_count ? (uint16_t)tss_word(tss, t->segments + order[i] * t->width, 2) : 0;

        if (!task_load_data(v, order[i], selector))
            return false;
    }
    return true;
}

static void task_load_registers(struct vcpu *v, const struct tss_layout *t, const uint8_t *tss)
{
    struct cpu *c = &v->cpu;

    c->rip = tss_word(tss, t->rip, t->width);
    cpu_set_rflags(c, (t->width == 2 ? cpu_rflags(c) & 0xffff0000 & ~(uint64_t)FLAG_VM : 0) |
                          (tss_word(tss, t->flags, t->width) & 0x3f7fd5));
    c->rflags = (c->rflags & ~(uint64_t)FLAG_VM) | (t->width == 4 ? tss_word(tss, t->flags, 4) & FLAG_VM : 0);
    for (unsigned i = 0; i < 8; i++)
        c->slot[i] = tss_word(tss, t->registers + i * t->width, t->width) | (t->width == 2 ? 0xffff0000 : 0);
    for (unsigned i = 0; i < 6; i++)
        c->seg[i] = (struct segment){ .selector = i < t->segment_count
                                                      ? (uint16_t)tss_word(tss, t->segments + i * t->width, 2) : 0,
                                      .ar = AR_UNUSABLE };
}

static bool task_check(struct vcpu *v, uint16_t selector, enum task_source source, struct descriptor *d)
{
    int vector = source == TASK_IRET ? EXCEPTION_TS : EXCEPTION_GP;
    unsigned type;

    if (selector & 4)
        return task_fault(v, vector, selector);
    if (!descriptor_fetch(v, selector, vector, d))
        return false;
    type = d->ar & (AR_S | AR_TYPE);
    if (source == TASK_IRET ? type != SYSTEM_TSS16_BUSY && type != SYSTEM_TSS32_BUSY
                            : type != SYSTEM_TSS16 && type != SYSTEM_TSS32)
        return task_fault(v, vector, selector);
    if (!(d->ar & AR_P))
        return task_fault(v, EXCEPTION_NP, selector);
    return d->limit >= (type & 8 ? 103u : 43u) || task_fault(v, EXCEPTION_TS, selector);
}

/* Sets or clears the busy bit of a TSS descriptor in the GDT. */
static bool task_mark_busy(struct vcpu *v, uint16_t selector, bool busy)
{
    uint64_t address = v->cpu.gdtr.base + (selector & 0xfff8u) + 5;
    uint8_t byte;

    if (!system_load(v, address, &byte, 1))
        return false;
    byte = (uint8_t)(busy ? byte | TYPE_BUSY : byte & ~TYPE_BUSY);
    return system_store(v, address, &byte, 1);
}

bool task_switch(struct vcpu *v, uint16_t selector, enum task_source source, uint64_t next_rip, bool has_error,
                 uint32_t error)
{
    struct cpu *c = &v->cpu;
    struct segment old_tr = c->seg[SEG_TR];
    const struct tss_layout *old = old_tr.ar & 8 ? &tss32 : &tss16, *new;
    bool nested = source == TASK_CALL || source == TASK_GATE;
    uint8_t old_tss[104], new_tss[104];
    struct descriptor d;

    if (!task_check(v, selector, source, &d))
        return false;
    new = d.ar & 8 ? &tss32 : &tss16;
    for (unsigned at = 0; at < old->bytes; at += 4)
        if (!system_load(v, old_tr.base + at, old_tss + at, 4))
            return false;
    for (unsigned at = 0; at < new->bytes; at += 4)
        if (!system_load(v, d.base + at, new_tss + at, 4))
            return false;
    task_save(v, old, old_tss, next_rip, cpu_rflags(c) & ~(uint64_t)(source == TASK_IRET ? FLAG_NT : 0));
    for (unsigned at = old->rip & ~3u; at < old->bytes; at += 4)
        if (!system_store(v, old_tr.base + at, old_tss + at, 4))
            return false;
    if (!nested && !task_mark_busy(v, old_tr.selector, false))
        return false;
    if (nested && !system_store(v, d.base, &old_tr.selector, 2))
        return false;
    if (source != TASK_IRET && !task_mark_busy(v, selector, true))
        return false;
    d.ar |= TYPE_BUSY;
    segment_put(&c->seg[SEG_TR], selector, &d);
    c->cr0 |= CR0_TS;
    task_load_registers(v, new, new_tss);
    if (nested)
        c->rflags |= FLAG_NT;
    if (new->width == 4 && c->cr0 & CR0_PG) {
        c->cr3 = tss_word(new_tss, 0x1c, 4);
        if (c->cr4 & CR4_PAE && !mmu_load_pdptes(&v->mmu, c->cr3))
            return task_fault(v, EXCEPTION_TS, selector);
    }
    c->dr[7] &= ~UINT64_C(0x155);
    vcpu_update(v);
    if (!task_load_segments(v, new, new_tss))
        return false;
    if (has_error) {
        struct stack s = stack_current(v);

        if (!stack_push(&s, new->width, error))
            return false;
        stack_commit(&s);
    }
    if (new->width == 4 && tss_word(new_tss, 0x64, 4) & 1) { /* T: debug trap in the new task */
        c->dr[6] |= BIT(15);
        return vcpu_raise(v, EXCEPTION_DB);
    }
    return true;
}
