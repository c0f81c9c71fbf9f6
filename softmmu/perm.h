/* perm.h - who may do what to a translated page (SDM 3A 5.6). */
#ifndef SOFTMMU_PERM_H
#define SOFTMMU_PERM_H

#include "tlb.h"

/* Rights gathered from all levels of a walk. */
struct page_rights {
    bool user;        /* U/S set at every level */
    bool writable;    /* R/W set at every level */
    bool executable;  /* XD clear at every level, or NXE off */
    uint8_t key;      /* protection key */
};

/* Intents (ACCESS_* bits) that the rights allow to `bank` now. */
unsigned perm_allowed(const struct mmu *mmu, struct page_rights rights, enum mmu_bank bank);

/* Does the protection key alone forbid `intent`?  Then #PF has its PK bit set. */
bool perm_key_forbids(const struct mmu *mmu, struct page_rights rights, unsigned intent, enum mmu_bank bank);

#endif
