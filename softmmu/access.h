/*
 * access.h - stop 1: one architectural operand, all of it or nothing.
 */
#ifndef SOFTMMU_ACCESS_H
#define SOFTMMU_ACCESS_H

#include "tlb.h"

#include <string.h>

enum access_option {
    ACCESS_STACK = 1 << 8,      /* a non-canonical address is #SS, not #GP */
    ACCESS_IMPLICIT = 1 << 9,   /* a supervisor access whatever the CPL: descriptor tables, TSS */
    ACCESS_ALIGNED = 1 << 10,   /* #GP(0) unless aligned to the width: MOVAPS, MOVDIR64B and relatives */
    ACCESS_NO_AC = 1 << 11,     /* exempt from #AC */
};

/*
 * access_prepare - find out everything about an access before doing any of it.
 *
 * access     described: type, form, width, gva, flags, enables; its pieces are filled in
 * intent     ACCESS_READ, WRITE, EXECUTE bits: the final intent; and enum access_option
 * False with mmu->fault set: the fault of the lowest page that has one; guest data is untouched.
 * Only pages with an enabled byte are looked at.  Spec: SDM 3A 5.7, 6.5.
 */
bool access_prepare(struct mmu *mmu, struct access *access, unsigned intent);

/* Carries out a prepared access. */
enum transaction_result access_perform(struct mmu *mmu, struct access *access);

/* Host address of bytes that are plain memory and need no further look, or NULL. */
static inline uint8_t *access_plain(const struct mmu *mmu, uint64_t gva, unsigned width, enum tlb_intent intent, unsigned options)
{
    const struct tlb_entry *e = &mmu->tlb[options & ACCESS_IMPLICIT ? BANK_SUPERVISOR : mmu->bank][tlb_index(gva)];

    if (unlikely(e->tag[intent] != (gva & ~(uint64_t)PAGE_OFFSET) || (gva & PAGE_OFFSET) > PAGE_BYTES - width || mmu->align_check ||
                 options & ACCESS_ALIGNED))
        return NULL;
    return (uint8_t *)(gva + (uint64_t)e->addend);
}

/* Prepare and perform in one: `width` bytes (1..64) between the guest and `data`; `_any`: not in line. */
bool access_load_any(struct mmu *mmu, uint64_t gva, void *data, unsigned width, enum access_form form, unsigned options);
bool access_store_any(struct mmu *mmu, uint64_t gva, const void *data, unsigned width, enum access_form form, unsigned options);

static inline bool access_load(struct mmu *mmu, uint64_t gva, void *data, unsigned width, enum access_form form, unsigned options)
{
    const uint8_t *host = access_plain(mmu, gva, width, TLB_READ, options);

    if (unlikely(!host))
        return access_load_any(mmu, gva, data, width, form, options);
    memcpy(data, host, width);
    return true;
}

static inline bool access_store(struct mmu *mmu, uint64_t gva, const void *data, unsigned width, enum access_form form,
                                unsigned options)
{
    uint8_t *host = access_plain(mmu, gva, width, TLB_WRITE, options);

    if (unlikely(!host))
        return access_store_any(mmu, gva, data, width, form, options);
    memcpy(host, data, width);
    return true;
}

/* May these bytes be accessed?  Nothing but accessed and dirty bits changes.  Any size. */
bool access_probe(struct mmu *mmu, uint64_t gva, uint64_t size, unsigned intent);

#endif
