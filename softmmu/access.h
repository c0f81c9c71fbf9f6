/*
 * access.h - stop 1: one architectural operand, all of it or nothing.
 */
#ifndef SOFTMMU_ACCESS_H
#define SOFTMMU_ACCESS_H

#include "tlb.h"

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

/* Prepare and perform in one: `width` bytes (1..64) between the guest and `data`. */
bool access_load(struct mmu *mmu, uint64_t gva, void *data, unsigned width, enum access_form form, unsigned options);
bool access_store(struct mmu *mmu, uint64_t gva, const void *data, unsigned width, enum access_form form,
                  unsigned options);

/* May these bytes be accessed?  Nothing but accessed and dirty bits changes.  Any size. */
bool access_probe(struct mmu *mmu, uint64_t gva, uint64_t size, unsigned intent);

#endif
