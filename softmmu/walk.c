/*
 * walk.c - stop 3: the guest's paging structures: 32-bit with PSE, PAE, 4-level and 5-level (SDM 3A chapter 5).
 *
 * One loop serves all modes: what differs is in struct walk_mode, made when a register changes.  Entries are read through the
 * bus, so that a table in device memory works and is seen as PAGE_WALK; in RAM they are updated with a
 * compare-and-swap.  Not modelled: paging-structure caches (a walk always starts at CR3) and MKTME bits.
 */
#include "walk.h"

#include "perm.h"

#include <string.h>

enum { PE_P = 1, PE_W = 2, PE_U = 4, PE_A = 0x20, PE_D = 0x40, PE_PS = 0x80, PE_G = 0x100 };
#define PE_XD BIT(63)
enum { PF_P = 1, PF_W = 2, PF_U = 4, PF_RSVD = 8, PF_ID = 16, PF_PK = 32 };
enum { CR0_WP = 1 << 16, CR4_PSE = 1 << 4, CR4_PAE = 1 << 5, CR4_PGE = 1 << 7,
       CR4_LA57 = 1 << 12, CR4_SMEP = 1 << 20, CR4_PKE = 1 << 22, CR4_PKS = 1 << 24 };
enum { EFER_LMA = 1 << 10, EFER_NXE = 1 << 11 };

static bool walk_fault(struct mmu *mmu, uint64_t gva, unsigned intent, enum mmu_bank bank, uint32_t error)
{
    if (intent & ACCESS_WRITE)
        error |= PF_W;
    if (bank == BANK_USER)
        error |= PF_U;
    if (intent & ACCESS_EXECUTE && (mmu->cr4 & CR4_SMEP || (mmu->efer & EFER_NXE && mmu->cr4 & CR4_PAE)))
        error |= PF_ID;
    mmu->fault = (struct mmu_fault){ .vector = 14, .error = error, .address = gva };
    return false;
}

static void walk_describe(struct access *a, enum transaction_type type, unsigned width)
{
    access_begin(a, type, 0, width);
    a->form = FORM_WALK;
    a->flags = TRANSACTION_PAGE_WALK;
}

/* Tables mostly lie in one memory: where that is. */
static void walk_keep_memory(struct mmu *mmu, uint64_t gpa)
{
    struct phys *phys = mmu->bus->phys;
    const struct phys_range *range = phys_find(phys, REGION_MMIO, gpa);
    bool plain = range->kind == PIECE_MEMORY && range->read && phys->a20_mask == UINT64_MAX;

    mmu->tables = (struct walk_memory){ range->base, plain ? range->size : 0, (uintptr_t)range->read - range->base, phys->generation };
}

/* An entry that is not where the last one was. */
static uint64_t walk_entry_any(struct mmu *mmu, uint64_t gpa, unsigned width)
{
    const uint8_t *host = phys_readable(mmu->bus->phys, gpa, width);
    uint64_t entry = 0;
    struct access a;

    if (host) {
        memcpy(&entry, host, width);
    } else {
        walk_describe(&a, TRANSACTION_LOAD, width);
        dispatch_physical(mmu->bus, &a, gpa);
        entry = a.data.q[0];
    }
    walk_keep_memory(mmu, gpa);
    return entry;
}

static inline uint64_t walk_entry(struct mmu *mmu, uint64_t gpa, unsigned log)
{
    const struct walk_memory *memory = &mmu->tables;
    uint64_t wide;
    uint32_t narrow;

    if (unlikely(gpa - memory->base >= memory->size))
        return walk_entry_any(mmu, gpa, 1u << log);
    if (likely(log == 3)) {
        memcpy(&wide, (const void *)(memory->delta + gpa), 8);
        return wide;
    }
    memcpy(&narrow, (const void *)(memory->delta + gpa), 4);
    return narrow;
}

/* Sets bits in an entry; false if it has changed since it was read, and the walk must start again. */
static bool walk_update_entry(struct mmu *mmu, uint64_t gpa, unsigned width, uint64_t old, uint64_t new)
{
    uint8_t *host = phys_writable(mmu->bus->phys, gpa, width);
    struct access a;

    if (host && width == 8)
        return __atomic_compare_exchange_n((uint64_t *)(void *)host, &old, new, false, __ATOMIC_SEQ_CST,
                                           __ATOMIC_SEQ_CST);
    if (host) {
        uint32_t old32 = (uint32_t)old;

        return __atomic_compare_exchange_n((uint32_t *)(void *)host, &old32, (uint32_t)new, false, __ATOMIC_SEQ_CST,
                                           __ATOMIC_SEQ_CST);
    }
    walk_describe(&a, TRANSACTION_STORE, width);
    a.flags |= TRANSACTION_LOCKED;
    a.data.q[0] = new;
    dispatch_physical(mmu->bus, &a, gpa);
    return true;
}

static uint64_t walk_leaf_address(const struct walk_mode *mode, const struct walk_level *at, uint64_t entry, uint64_t gva)
{
    uint64_t into = (UINT64_C(1) << at->shift) - 1, base = entry & bits_mask(52) & ~into;

    if (unlikely(mode->entry_log == 2 && at->shift > 12))
        base = (entry & 0xffc00000) | bits_get(entry, 13, 8) << 32;
    return base | (gva & into);
}

struct walk_step {
    uint64_t gpa, entry;
};

/* Sets the accessed bits of all steps, and the dirty bit of the last. */
static bool walk_mark(struct mmu *mmu, const struct walk_step *step, const struct walk_step *last, bool dirty)
{
    for (; step <= last; step++) {
        uint64_t want = step->entry | PE_A | (dirty && step == last ? PE_D : 0);

        if (want != step->entry && !walk_update_entry(mmu, step->gpa, 1u << mmu->mode.entry_log, step->entry, want))
            return false;
    }
    return true;
}

/* Where the first table is; false: the PDPTE above it is not present. */
static inline bool walk_first_table(const struct mmu *mmu, uint64_t gva, uint64_t *table)
{
    uint64_t above = mmu->mode.pdptes ? mmu->pdpte[gva >> 30 & 3] : mmu->cr3 | PE_P;

    *table = above & mmu->mode.table;
    return above & PE_P;
}

static bool walk_tables(struct mmu *mmu, uint64_t gva, unsigned intent, enum mmu_bank bank, struct walk_result *out)
{
    const struct walk_mode *mode = &mmu->mode;
    const struct walk_level *at = &mode->level[mode->levels];
    uint64_t table, entry, all = UINT64_MAX, any = 0; /* bits set in all entries, in any */
    unsigned rights, allowed, forbidden = 0;
    struct walk_step step[5], *last = step;

    if (unlikely(mmu->tables.generation != mmu->bus->phys->generation))
        mmu->tables.size = 0;
    if (!walk_first_table(mmu, gva, &table))
        return walk_fault(mmu, gva, intent, bank, 0);
    for (;; at--, last++) {
        last->gpa = table + (gva >> (at->shift - mode->entry_log) & mode->index);
        last->entry = entry = walk_entry(mmu, last->gpa, mode->entry_log);
        if (!(entry & PE_P))
            return walk_fault(mmu, gva, intent, bank, 0);
        if (unlikely(entry & at->reserved[!!(entry & at->leaf)]))
            return walk_fault(mmu, gva, intent, bank, PF_P | PF_RSVD);
        all &= entry;
        any |= entry;
        if (entry & at->leaf)
            break;
        table = entry & mode->table;
    }
    rights = (all & PE_W ? RIGHTS_WRITABLE : 0) | (all & PE_U ? RIGHTS_USER : 0) | (any & mode->xd ? 0 : RIGHTS_EXECUTABLE);
    if (unlikely(mode->keys))
        forbidden = perm_key_forbids(mmu, rights, bits_get(entry, 59, 4), bank);
    allowed = mode->allowed[bank][rights] & ~forbidden;
    if (intent & ~allowed)
        return walk_fault(mmu, gva, intent, bank, PF_P | (intent & forbidden ? PF_PK : 0u));
    if (unlikely(!(all & PE_A) || (intent & ACCESS_WRITE && !(entry & PE_D))) && !walk_mark(mmu, step, last, intent & ACCESS_WRITE))
        return walk_tables(mmu, gva, intent, bank, out);
    /* A write has to come back here until the dirty bit is set. */
    if (!(entry & PE_D) && !(intent & ACCESS_WRITE))
        allowed &= ~(unsigned)ACCESS_WRITE;
    *out = (struct walk_result){ walk_leaf_address(mode, at, entry, gva), allowed, (uint8_t)at->shift,
                                  entry & mode->global };
    return true;
}

bool walk_page(struct mmu *mmu, uint64_t gva, unsigned intent, enum mmu_bank bank, struct walk_result *out)
{
    mmu->walks++;
    if (unlikely(!walk_canonical(mmu, gva))) {
        mmu->fault = (struct mmu_fault){ .vector = 13, .address = gva };
        return false;
    }
    if (mmu->cr0 & CR0_PG)
        return walk_tables(mmu, gva, intent, bank, out);
    out->gpa = (uint32_t)gva;
    out->granted = ACCESS_READ | ACCESS_WRITE | ACCESS_EXECUTE;
    out->global = false;
    out->shift = 21; /* any would be true; this one is as long as anybody makes use of */
    return true;
}

struct walk_seen walk_look(struct mmu *mmu, uint64_t gva)
{
    const struct walk_mode *mode = &mmu->mode;
    const struct walk_level *at = &mode->level[mode->levels];
    uint64_t table, entry, all = UINT64_MAX, any = 0;

    if (!walk_canonical(mmu, gva))
        return (struct walk_seen){ .shift = 47 };
    if (!(mmu->cr0 & CR0_PG))
        return (struct walk_seen){ gva <= UINT32_MAX, (uint32_t)gva, RIGHTS_WRITABLE | RIGHTS_USER | RIGHTS_EXECUTABLE, 32 };
    if (!walk_first_table(mmu, gva, &table))
        return (struct walk_seen){ .shift = 30 };
    for (;; at--) {
        uint64_t gpa = table + (gva >> (at->shift - mode->entry_log) & mode->index);
        const uint8_t *host = phys_readable(mmu->bus->phys, gpa, 1u << mode->entry_log);

        entry = 0;
        if (host)
            memcpy(&entry, host, 1u << mode->entry_log);
        if (!(entry & PE_P) || entry & at->reserved[!!(entry & at->leaf)])
            return (struct walk_seen){ .shift = (uint8_t)at->shift };
        all &= entry;
        any |= entry;
        if (entry & at->leaf)
            break;
        table = entry & mode->table;
    }
    return (struct walk_seen){ true, walk_leaf_address(mode, at, entry, gva),
                               (all & PE_W ? RIGHTS_WRITABLE : 0) | (all & PE_U ? RIGHTS_USER : 0) | (any & mode->xd ? 0 : RIGHTS_EXECUTABLE),
                               (uint8_t)at->shift };
}

bool mmu_load_pdptes(struct mmu *mmu, uint64_t cr3)
{
    uint64_t reserved = 0x1e6 | (~bits_mask(mmu->physical_bits));
    uint64_t pdpte[4];

    for (unsigned i = 0; i < 4; i++) {
        pdpte[i] = walk_entry_any(mmu, (cr3 & 0xffffffe0) + i * 8, 8);
        if (pdpte[i] & PE_P && pdpte[i] & reserved)
            return false;
    }
    memcpy(mmu->pdpte, pdpte, sizeof(pdpte));
    return true;
}

/* -- what the registers say -------------------------------------------------------------------------------------- */

/* Bits that must be zero in an entry (SDM 3A 5.3 to 5.5). */
static uint64_t walk_reserved(const struct mmu *mmu, unsigned level, bool leaf)
{
    uint64_t reserved;

    if (mmu->mode.entry_log == 2) /* PSE-36: bits 20:13 are address bits 39:32; bit 21 is reserved */
        return leaf && level == 2 ? BIT(21) | (bits_mask(8) << 13 & ~(bits_mask(mmu->physical_bits - 32u) << 13)) : 0;
    reserved = bits_mask(52) & ~bits_mask(mmu->physical_bits);
    if (!(mmu->efer & EFER_LMA))
        reserved |= bits_mask(11) << 52;
    if (!(mmu->efer & EFER_NXE))
        reserved |= PE_XD;
    if (leaf && level > 1)
        reserved |= bits_mask(12 + 9 * (level - 1)) & ~bits_mask(13);
    if (mmu->efer & EFER_LMA && level >= (mmu->no_gigabyte_pages ? 3 : 4))
        reserved |= PE_PS;
    return reserved;
}

static void walk_set_mode(struct mmu *mmu)
{
    struct walk_mode *mode = &mmu->mode;
    bool lma = mmu->efer & EFER_LMA, pae = lma || mmu->cr4 & CR4_PAE;
    unsigned bits = pae ? 9 : 10, leaf_levels = pae ? 3 : mmu->cr4 & CR4_PSE ? 2 : 1;

    mode->levels = !lma ? 2 : mmu->cr4 & CR4_LA57 ? 5 : 4;
    mode->unused_bits = !lma ? 0 : mmu->cr4 & CR4_LA57 ? 7 : 16;
    mode->entry_log = pae ? 3 : 2;
    mode->pdptes = pae && !lma;
    mode->keys = (lma && mmu->cr4 & CR4_PKE ? KEYS_USER : 0) | (lma && mmu->cr4 & CR4_PKS ? KEYS_SUPERVISOR : 0);
    mode->index = (uint16_t)(bits_mask(bits) << mode->entry_log);
    mode->table = pae ? bits_mask(52) & ~bits_mask(12) : 0xfffff000;
    mode->global = mmu->cr4 & CR4_PGE ? PE_G : 0;
    mode->xd = mmu->efer & EFER_NXE ? PE_XD : 0;
    for (unsigned level = 1; level <= mode->levels; level++)
        mode->level[level] = (struct walk_level){
            .leaf = level == 1 ? PE_P : level <= leaf_levels ? PE_PS : 0, .shift = 12 + bits * (level - 1),
            .reserved = { walk_reserved(mmu, level, false), walk_reserved(mmu, level, true) },
        };
    for (unsigned bank = 0; bank < BANKS; bank++)
        for (unsigned rights = 0; rights < RIGHTS; rights++)
            mode->allowed[bank][rights] = (uint8_t)perm_allowed(mmu, rights, (enum mmu_bank)bank);
}

void mmu_set_gigabyte_pages(struct mmu *mmu, bool on)
{
    if (mmu->no_gigabyte_pages == !on)
        return;
    mmu->no_gigabyte_pages = !on;
    walk_set_mode(mmu);
    tlb_flush(mmu);
}

void mmu_set_registers(struct mmu *mmu, uint64_t cr0, uint64_t cr3, uint64_t cr4, uint64_t efer, uint64_t keys)
{
    bool everything = mmu->cr0 != cr0 || mmu->cr4 != cr4 || mmu->efer != efer || mmu->pkru != (uint32_t)keys || mmu->pkrs != keys >> 32;
    uint64_t changed;

    if (!everything && mmu->cr3 == cr3)
        return;
    changed = ((mmu->cr0 ^ cr0) & CR0_WP) | (mmu->cr4 ^ cr4) | (mmu->efer ^ efer) | !mmu->mode.levels;
    mmu->cr0 = cr0;
    mmu->cr3 = cr3;
    mmu->cr4 = cr4;
    mmu->efer = efer;
    mmu->pkru = (uint32_t)keys;
    mmu->pkrs = (uint32_t)(keys >> 32);
    if (changed)
        walk_set_mode(mmu);
    if (everything)
        tlb_flush(mmu);
    else
        tlb_flush_local(mmu);
}
