/* walk.h - stop 3: the guest's paging structures, for every paging mode of SDM 3A chapter 5. */
#ifndef SOFTMMU_WALK_H
#define SOFTMMU_WALK_H

#include "tlb.h"

struct walk_result {
    uint64_t gpa;       /* of the byte asked for */
    unsigned granted;   /* every intent that this translation allows without another walk */
    uint8_t shift;      /* log2 of the guest's page size */
    bool global;        /* it holds in every address space */
};

/*
 * walk_page - translate one linear address with its final intent.
 *
 * Sets accessed bits, and the dirty bit for a write, as locked updates.  False with mmu->fault set: #PF with its
 * error code and CR2, or #GP for a non-canonical address.
 */
bool walk_page(struct mmu *mmu, uint64_t gva, unsigned intent, enum mmu_bank bank, struct walk_result *out);

/* Are the upper bits of a linear address copies of the highest that is translated?  Outside IA-32e mode, always. */
static inline bool walk_canonical(const struct mmu *mmu, uint64_t gva)
{
    unsigned shift = mmu->mode.unused_bits;

    return (uint64_t)((int64_t)(gva << shift) >> shift) == gva;
}

struct walk_seen {
    bool present;
    uint64_t gpa;       /* of the byte asked for */
    unsigned rights;    /* enum page_rights */
    uint8_t shift;      /* log2 of what was seen: a page, or a hole in a table */
};

/*
 * walk_look - what the tables say of one linear address, for somebody who is no guest.
 *
 * No bit is set, nothing is entered in the TLB, no device is asked: tables that are not in memory are holes.
 */
struct walk_seen walk_look(struct mmu *mmu, uint64_t gva);

/* The registers the walk depends on; flushes what they change. */
void mmu_set_registers(struct mmu *mmu, uint64_t cr0, uint64_t cr3, uint64_t cr4, uint64_t efer, uint64_t keys);

/* May a PDPTE map a page?  Yes, unless somebody says no. */
void mmu_set_gigabyte_pages(struct mmu *mmu, bool on);

/* PAE paging: reads the four PDPTEs at cr3; false if one has reserved bits set (#GP(0); SDM 3A 5.4.1). */
bool mmu_load_pdptes(struct mmu *mmu, uint64_t cr3);

#endif
