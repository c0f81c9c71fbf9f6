/*
 * segment.h - segments and descriptors: checks, loads, and the memory accesses that go with them.
 *
 * All functions that return bool set vcpu->fault and return false when the guest faults; nothing is committed.
 */
#ifndef X86_SEGMENT_H
#define X86_SEGMENT_H

#include "vcpu.h"
#include "walk.h"

struct descriptor {
    uint64_t address; /* linear, of its first byte */
    uint64_t raw;
    uint32_t ar, limit;
    uint64_t base;    /* 64 bits for system descriptors in long mode */
};

enum { GATE_TASK = 5, GATE_CALL16 = 4, GATE_INT16 = 6, GATE_TRAP16 = 7, GATE_CALL32 = 12, GATE_INT32 = 14,
       GATE_TRAP32 = 15, SYSTEM_TSS16 = 1, SYSTEM_LDT = 2, SYSTEM_TSS16_BUSY = 3, SYSTEM_TSS32 = 9,
       SYSTEM_TSS32_BUSY = 11, TYPE_BUSY = 2 };

static inline unsigned descriptor_dpl(const struct descriptor *d) { return (d->ar & AR_DPL) >> AR_DPL_SHIFT; }
static inline bool descriptor_is_code(const struct descriptor *d) { return (d->ar & (AR_S | AR_CODE)) == (AR_S | AR_CODE); }
static inline bool selector_is_null(uint16_t selector) { return !(selector & 0xfffc); }

/*
 * segment_linear - the linear address of `width` bytes at an offset (SDM 3A 6.3, 6.5).
 *
 * intent   ACCESS_READ, ACCESS_WRITE; 0 checks the limit alone
 * Outside 64-bit mode: type, limit (expand-down too), wrap at 32 bits; #SS(0) for SS, else #GP(0).
 */
bool segment_linear(struct vcpu *v, unsigned segment, uint64_t offset, unsigned width, unsigned intent, uint64_t *linear);
/* The same in a segment that is not in its register (yet). */
bool segment_linear_in(struct vcpu *v, const struct segment *s, unsigned segment, uint64_t offset, unsigned width,
                       unsigned intent, uint64_t *linear);

/* Explicit accesses with the current privilege. */
bool segment_load(struct vcpu *v, unsigned segment, uint64_t offset, void *data, unsigned width, enum access_form form);
bool segment_store(struct vcpu *v, unsigned segment, uint64_t offset, const void *data, unsigned width,
                   enum access_form form);

/* Implicit supervisor accesses to tables. */
static inline bool system_load(struct vcpu *v, uint64_t linear, void *data, unsigned width)
{
    return access_load(&v->mmu, linear, data, width, FORM_DESCRIPTOR, ACCESS_IMPLICIT) || vcpu_raise_mmu(v);
}

bool system_store(struct vcpu *v, uint64_t linear, const void *data, unsigned width);

static inline void descriptor_decode(uint64_t raw, struct descriptor *out)
{
    uint32_t limit = (uint32_t)((raw & 0xffff) | (raw >> 32 & 0xf0000));

    out->raw = raw;
    out->base = (raw >> 16 & 0xffffff) | (raw >> 32 & 0xff000000);
    out->ar = (uint32_t)(raw >> 40) & 0xf0ff;
    out->limit = out->ar & AR_G ? limit << 12 | 0xfff : limit;
}

/*
 * Where a selector's descriptor is, if its table holds `bytes` there.
 * vector   raised with the selector as its error code where the table is too short or missing: #GP, #TS
 */
static inline bool descriptor_locate(struct vcpu *v, uint16_t selector, unsigned bytes, int vector, uint64_t *address)
{
    const struct segment *ldt = &v->cpu.seg[SEG_LDTR];
    unsigned offset = selector & 0xfff8u;
    uint64_t base = v->cpu.gdtr.base;
    uint32_t limit = v->cpu.gdtr.limit;

    if (unlikely(selector & 4)) {
        base = ldt->base;
        limit = ldt->ar & AR_UNUSABLE ? 0 : ldt->limit;
    }
    *address = base + offset;
    return likely(offset + bytes - 1 <= limit) || vcpu_raise_error(v, vector, selector & 0xfffc);
}

/* The descriptor a selector names. */
static inline bool descriptor_fetch(struct vcpu *v, uint16_t selector, int vector, struct descriptor *out)
{
    uint64_t raw;

    if (!descriptor_locate(v, selector, 8, vector, &out->address) || !system_load(v, out->address, &raw, 8))
        return false;
    descriptor_decode(raw, out);
    return true;
}

/* The upper half of a 16-byte system descriptor, raw; and the same to complete the base. */
bool descriptor_upper(struct vcpu *v, uint16_t selector, int vector, struct descriptor *d, uint64_t *upper);
bool descriptor_fetch_upper(struct vcpu *v, uint16_t selector, int vector, struct descriptor *d);
/* Sets a type bit (accessed, busy) in memory and in d. */
bool descriptor_update_type(struct vcpu *v, struct descriptor *d, uint32_t type);

static inline bool descriptor_set_type(struct vcpu *v, struct descriptor *d, uint32_t type)
{
    return likely((d->ar & type) == type) || descriptor_update_type(v, d, type);
}

/*
 * The segment register image of a descriptor; field by field into its place, as a copy of what has just been put together
 * makes the processor wait.
 */
static inline void segment_put(struct segment *s, uint16_t selector, const struct descriptor *d)
{
    s->selector = selector;
    s->ar = d->ar;
    s->limit = d->limit;
    s->base = d->base;
}
/* As real and virtual-8086 mode load it. */
void segment_set_real(struct vcpu *v, unsigned segment, uint16_t selector);

/* MOV to a segment register, POP, LDS and relatives, for DS, ES, FS, GS, SS. */
bool segment_set(struct vcpu *v, unsigned segment, uint16_t selector);
/* The checks of a load of SS with this selector at privilege `cpl`; `vector` #GP or #TS. */
bool segment_check_stack(struct vcpu *v, uint16_t selector, unsigned cpl, int vector, struct descriptor *d);
/* After a return to an outer privilege: segments it may not use become null. */
void segment_drop_privileged(struct vcpu *v);

/*
 * Bases in MSRs and descriptor-table registers are checked against the processor's widest linear address, 57 bits,
 * whatever CR4.LA57 says (SDM 3A 4.5.2).
 */
static inline bool segment_base_is_canonical(uint64_t base) { return (uint64_t)((int64_t)(base << 7) >> 7) == base; }

/* Is this RIP one that CS allows?  #GP(0) else. */
static inline bool segment_check_rip(struct vcpu *v, uint32_t cs_ar, uint32_t cs_limit, uint64_t rip)
{
    bool ok = v->cpu.efer & EFER_LMA && cs_ar & AR_L ? walk_canonical(&v->mmu, rip) : rip <= cs_limit;

    return likely(ok) || vcpu_raise_error(v, EXCEPTION_GP, 0);
}

/* -- far transfers: help_far.c -- */
enum task_source { TASK_JUMP, TASK_CALL, TASK_IRET, TASK_GATE };
bool task_switch(struct vcpu *v, uint16_t selector, enum task_source source, uint64_t next_rip, bool has_error,
                 uint32_t error);

#endif
