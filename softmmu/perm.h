/* perm.h - who may do what to a translated page (SDM 3A 5.6). */
#ifndef SOFTMMU_PERM_H
#define SOFTMMU_PERM_H

#include "tlb.h"

/* Intents (ACCESS_* bits) that the rights, of enum page_rights, allow to `bank` now, but for protection keys. */
unsigned perm_allowed(const struct mmu *mmu, unsigned rights, enum mmu_bank bank);

/* Intents that the protection key of a page with these rights takes away (CR4.PKE, CR4.PKS; IA-32e mode). */
unsigned perm_key_forbids(const struct mmu *mmu, unsigned rights, unsigned key, enum mmu_bank bank);

#endif
