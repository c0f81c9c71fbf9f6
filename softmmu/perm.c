/*
 * perm.c - who may do what to a translated page (SDM 3A 5.6).
 *
 *                     supervisor page                user page
 *     supervisor  R   yes, and key (PKRS)            SMAP=0, or AC (explicit)       and key (PKRU)
 *                 W   R/W or WP=0, and key (if WP)   as R, and R/W or WP=0          and key (if WP)
 *                 X   not XD                         not SMEP, not XD
 *     user        R   no                             yes                            and key
 *                 W   no                             R/W                            and key
 *                 X   no                             not XD
 */
#include "perm.h"

enum { WP = 1 << 16, SMEP = 1 << 20, SMAP = 1 << 21 };

/* PKRU, PKRS: two bits a key, access-disable and write-disable (SDM 3A 5.6.2). */
unsigned perm_key_forbids(const struct mmu *mmu, unsigned rights, unsigned key, enum mmu_bank bank)
{
    bool user = rights & RIGHTS_USER;
    unsigned bits = (user ? mmu->pkru : mmu->pkrs) >> key * 2;

    if (!(mmu->mode.keys & (user ? KEYS_USER : KEYS_SUPERVISOR)) || (!user && bank == BANK_USER))
        return 0;
    if (bits & 1)
        return ACCESS_READ | ACCESS_WRITE;
    return bits & 2 && (bank == BANK_USER || mmu->cr0 & WP) ? ACCESS_WRITE : 0;
}

static unsigned perm_supervisor(const struct mmu *mmu, unsigned rights, enum mmu_bank bank)
{
    bool user = rights & RIGHTS_USER, data = !user || !(mmu->cr4 & SMAP) || bank == BANK_SUPERVISOR_AC;
    unsigned allowed = 0;

    if (data)
        allowed |= ACCESS_READ;
    if (data && (rights & RIGHTS_WRITABLE || !(mmu->cr0 & WP)))
        allowed |= ACCESS_WRITE;
    if (rights & RIGHTS_EXECUTABLE && !(user && mmu->cr4 & SMEP))
        allowed |= ACCESS_EXECUTE;
    return allowed;
}

static unsigned perm_user(unsigned rights)
{
    if (!(rights & RIGHTS_USER))
        return 0;
    return ACCESS_READ | (rights & RIGHTS_WRITABLE ? ACCESS_WRITE : 0) | (rights & RIGHTS_EXECUTABLE ? ACCESS_EXECUTE : 0);
}

unsigned perm_allowed(const struct mmu *mmu, unsigned rights, enum mmu_bank bank)
{
    return bank == BANK_USER ? perm_user(rights) : perm_supervisor(mmu, rights, bank);
}
