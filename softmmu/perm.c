/*
 * perm.c - who may do what to a translated page (SDM 3A 5.6).
 *
 *                     supervisor page                user page
 *     supervisor  R   yes                            SMAP=0, or AC (explicit)       and key
 *                 W   R/W or WP=0                    as R, and R/W or WP=0          and key (if WP)
 *                 X   not XD                         not SMEP, not XD
 *     user        R   no                             yes                            and key
 *                 W   no                             R/W                            and key
 *                 X   no                             not XD
 */
#include "perm.h"

enum { WP = 1 << 16, SMEP = 1 << 20, SMAP = 1 << 21, PKE = 1 << 22 };

static bool perm_keys_apply(const struct mmu *mmu, struct page_rights rights)
{
    return mmu->cr4 & PKE && mmu->efer & BIT(10) && rights.user;
}

/* PKRU: two bits a key, access-disable and write-disable (SDM 3A 5.6.2). */
bool perm_key_forbids(const struct mmu *mmu, struct page_rights rights, unsigned intent, enum mmu_bank bank)
{
    unsigned key = mmu->pkru >> rights.key * 2;

    if (!perm_keys_apply(mmu, rights) || !(intent & (ACCESS_READ | ACCESS_WRITE)))
        return false;
    return key & 1 || (intent & ACCESS_WRITE && key & 2 && (bank == BANK_USER || mmu->cr0 & WP));
}

static unsigned perm_supervisor(const struct mmu *mmu, struct page_rights rights, enum mmu_bank bank)
{
    bool data = !rights.user || !(mmu->cr4 & SMAP) || bank == BANK_SUPERVISOR_AC;
    unsigned allowed = 0;

    if (data)
        allowed |= ACCESS_READ;
    if (data && (rights.writable || !(mmu->cr0 & WP)))
        allowed |= ACCESS_WRITE;
    if (rights.executable && !(rights.user && mmu->cr4 & SMEP))
        allowed |= ACCESS_EXECUTE;
    return allowed;
}

static unsigned perm_user(struct page_rights rights)
{
    if (!rights.user)
        return 0;
    return ACCESS_READ | (rights.writable ? ACCESS_WRITE : 0) | (rights.executable ? ACCESS_EXECUTE : 0);
}

unsigned perm_allowed(const struct mmu *mmu, struct page_rights rights, enum mmu_bank bank)
{
    unsigned allowed = bank == BANK_USER ? perm_user(rights) : perm_supervisor(mmu, rights, bank);

    if (perm_key_forbids(mmu, rights, ACCESS_READ, bank))
        allowed &= ~(unsigned)ACCESS_READ;
    if (perm_key_forbids(mmu, rights, ACCESS_WRITE, bank))
        allowed &= ~(unsigned)ACCESS_WRITE;
    return allowed;
}
