/* tlb.c - stop 2: a direct-mapped cache of translations, 4 KiB each whatever the guest's page size. */
#include "tlb.h"

#include "base/log.h"
#include "code.h"
#include "walk.h"

#include <string.h>

static void tlb_clear(struct tlb_entry *e)
{
    for (unsigned i = 0; i < TLB_INTENTS; i++)
        e->tag[i] = TLB_NONE;
}

void tlb_flush(struct mmu *mmu)
{
    log_printf(LOG_MMU, "flush\n");
    mmu->flushes++;
    mmu->large_pages = false;
    for (unsigned bank = 0; bank < BANKS; bank++)
        for (unsigned i = 0; i < TLB_ENTRIES; i++)
            tlb_clear(&mmu->tlb[bank][i]);
}

/* INVLPG drops all of a large page, however many entries it has here (SDM 3A 5.10.4.1). */
static void tlb_flush_large(struct mmu *mmu, uint64_t gva)
{
    for (unsigned bank = 0; bank < BANKS; bank++)
        for (unsigned i = 0; i < TLB_ENTRIES; i++) {
            struct tlb_entry *e = &mmu->tlb[bank][i];

            if (tlb_shift(e) > 12 && !((e->page ^ gva) >> tlb_shift(e)))
                tlb_clear(e);
        }
}

void tlb_flush_page(struct mmu *mmu, uint64_t gva)
{
    mmu->flushes++;
    for (unsigned bank = 0; bank < BANKS; bank++)
        tlb_clear(&mmu->tlb[bank][gva >> 12 & (TLB_ENTRIES - 1)]);
    if (mmu->large_pages)
        tlb_flush_large(mmu, gva);
}

void tlb_protect(struct mmu *mmu, uint64_t gpa)
{
    for (unsigned bank = 0; bank < BANKS; bank++)
        for (unsigned i = 0; i < TLB_ENTRIES; i++) {
            struct tlb_entry *e = &mmu->tlb[bank][i];

            if (e->gpa == (gpa & ~(uint64_t)PAGE_OFFSET) && e->tag[TLB_WRITE] != TLB_NONE)
                e->tag[TLB_WRITE] |= TLB_SLOW;
        }
}

static bool tlb_is_watched(const struct mmu *mmu, uint64_t page)
{
    for (unsigned i = 0; i < WATCHES; i++)
        if (mmu->watch[i].size && (mmu->watch[i].gva & ~(uint64_t)PAGE_OFFSET) == page)
            return true;
    return false;
}

/* Enters what the walk found; only the intents it has granted so far get a tag. */
static void tlb_fill(struct mmu *mmu, struct tlb_entry *e, uint64_t page, const struct walk_result *walk)
{
    uint64_t gpa = walk->gpa & ~(uint64_t)PAGE_OFFSET;
    const struct phys_range *range = phys_find(mmu->bus->phys, REGION_MMIO, gpa);
    bool whole = range->kind == PIECE_MEMORY && gpa >= range->base && gpa + PAGE_BYTES <= range->base + range->size;
    uint8_t *read = whole && range->read ? range->read + (gpa - range->base) : NULL;
    uint8_t *write = whole && range->write ? range->write + (gpa - range->base) : NULL;
    uint8_t *host = read ? read : write;
    bool watched = tlb_is_watched(mmu, page);

    tlb_clear(e);
    e->gpa = gpa;
    e->page = page | walk->shift;
    mmu->large_pages |= walk->shift > 12;
    e->addend = (intptr_t)((uint64_t)(uintptr_t)host - page);
    if (walk->granted & ACCESS_READ)
        e->tag[TLB_READ] = page | (read && !watched ? 0 : TLB_SLOW);
    if (walk->granted & ACCESS_WRITE)
        e->tag[TLB_WRITE] = page | (write && write == host && !watched && !code_present(mmu->code, gpa) ? 0 : TLB_SLOW);
    if (walk->granted & ACCESS_EXECUTE)
        e->tag[TLB_EXECUTE] = page | (read ? 0 : TLB_SLOW);
}

static bool tlb_grants(const struct tlb_entry *e, uint64_t page, unsigned intent)
{
    for (unsigned i = 0; i < TLB_INTENTS; i++)
        if (intent >> i & 1 && (e->tag[i] & ~TLB_SLOW) != page)
            return false;
    return true;
}

const struct tlb_entry *tlb_translate(struct mmu *mmu, uint64_t gva, unsigned intent, enum mmu_bank bank)
{
    uint64_t page = gva & ~(uint64_t)PAGE_OFFSET;
    struct tlb_entry *e = &mmu->tlb[bank][gva >> 12 & (TLB_ENTRIES - 1)];
    struct walk_result walk;

    if (tlb_grants(e, page, intent))
        return e;
    if (!walk_page(mmu, gva, intent, bank, &walk)) {
        log_printf(LOG_MMU, "%016llx intent %u bank %u: fault %u error %x\n", (unsigned long long)gva, intent, bank,
                   mmu->fault.vector, mmu->fault.error);
        return NULL;
    }
    if (log_on(LOG_MMU))
        log_printf(LOG_MMU, "%016llx -> %010llx granted %u bank %u\n", (unsigned long long)gva, (unsigned long long)walk.gpa,
                   walk.granted, bank);
    tlb_fill(mmu, e, page, &walk);
    return e;
}
