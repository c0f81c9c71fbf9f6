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

/* Zero is the tag of page 0, so memory fresh from the host is no empty TLB. */
static void tlb_clear_all(struct mmu *mmu)
{
    for (unsigned bank = 0; bank < BANKS; bank++)
        for (unsigned i = 0; i < TLB_ENTRIES; i++) {
            tlb_clear(&mmu->tlb[bank][i]);
            mmu->tlb[bank][i].page = 0;
        }
    mmu->ready = true;
}

static void tlb_flush_log(struct tlb_entry *tlb, struct tlb_log *log)
{
    for (unsigned i = 0; i < log->n; i++) {
        struct tlb_entry *e = &tlb[log->entry[i]];

        tlb_clear(e);
        e->page = 0;
    }
    log->n = 0;
}

void tlb_flush(struct mmu *mmu)
{
    if (log_on(LOG_MMU))
        log_printf(LOG_MMU, "flush\n");
    mmu->flushed_all = ++mmu->flushes;
    mmu->large = 0;
    if (!mmu->ready)
        tlb_clear_all(mmu);
    for (unsigned bank = 0; bank < BANKS; bank++)
        for (unsigned global = 0; global < 2; global++)
            tlb_flush_log(mmu->tlb[bank], &mmu->log[bank][global]);
}

/* Entries that have become global leave the log. */
static void tlb_flush_local_log(struct tlb_entry *tlb, struct tlb_log *log)
{
    for (unsigned i = 0; i < log->n; i++) {
        struct tlb_entry *e = &tlb[log->entry[i]];

        e->page &= ~TLB_LOGGED(false);
        if (!(e->page & TLB_GLOBAL))
            tlb_clear(e);
    }
    log->n = 0;
}

void tlb_flush_local(struct mmu *mmu)
{
    if (log_on(LOG_MMU))
        log_printf(LOG_MMU, "flush but for global pages\n");
    mmu->flushed_local = ++mmu->flushes;
    mmu->flushed_page[mmu->flushes % FLUSHED_PAGES] = TLB_NONE;
    for (unsigned bank = 0; bank < BANKS; bank++)
        tlb_flush_local_log(mmu->tlb[bank], &mmu->log[bank][false]);
}

bool tlb_next(struct mmu *mmu, struct tlb_place *at)
{
    for (; at->log < BANKS * 2; at->log++, at->i = 0) {
        const struct tlb_log *log = &mmu->log[at->log / 2][at->log % 2];

        if (at->i < log->n) {
            at->entry = &mmu->tlb[at->log / 2][log->entry[at->i++]];
            return true;
        }
    }
    return false;
}

/* May this address be in a large page of which something is cached? */
static bool tlb_in_large(const struct mmu *mmu, uint64_t gva)
{
    for (unsigned i = 0; i < mmu->large; i++)
        if (gva - mmu->large_run[i].first <= mmu->large_run[i].last - mmu->large_run[i].first)
            return true;
    return false;
}

static uint64_t run_distance(const struct tlb_run *a, const struct tlb_run *b)
{
    return b->first > a->last ? b->first - a->last : a->first > b->last ? a->first - b->last : 0;
}

/* The run that is nearest to it; NULL: there is none. */
static struct tlb_run *run_nearest(struct mmu *mmu, const struct tlb_run *new)
{
    struct tlb_run *best = mmu->large ? mmu->large_run : NULL;

    for (unsigned i = 1; i < mmu->large; i++)
        if (run_distance(&mmu->large_run[i], new) < run_distance(best, new))
            best = &mmu->large_run[i];
    return best;
}

/* A large page joins a neighbour; where there is no room for another run, the nearest gets long enough for it. */
static void tlb_note_large(struct mmu *mmu, uint64_t page, unsigned shift)
{
    struct tlb_run new = { page & ~bits_mask(shift), page | bits_mask(shift) }, *run;

    if (shift == 12 || !(mmu->cr0 & CR0_PG) || tlb_in_large(mmu, page))
        return;
    run = run_nearest(mmu, &new);
    if (!run || (run_distance(run, &new) > 1 && mmu->large < LARGE_RUNS)) {
        mmu->large_run[mmu->large++] = new;
        return;
    }
    run->first = bits_min(run->first, new.first);
    run->last = bits_max(run->last, new.last);
}

/* INVLPG drops all of a large page, however many entries it has here (SDM 3A 5.10.4.1). */
static void tlb_flush_large(struct mmu *mmu, uint64_t gva)
{
    for (struct tlb_place at = { 0 }; tlb_next(mmu, &at);)
        if (tlb_shift(at.entry) > 12 && !((at.entry->page ^ gva) >> tlb_shift(at.entry)))
            tlb_clear(at.entry);
}

void tlb_flush_page(struct mmu *mmu, uint64_t gva)
{
    mmu->flushes++;
    mmu->flushed_page[mmu->flushes % FLUSHED_PAGES] = gva & ~(uint64_t)PAGE_OFFSET;
    for (unsigned bank = 0; bank < BANKS; bank++)
        tlb_clear(&mmu->tlb[bank][tlb_index(gva)]);
    if (!tlb_in_large(mmu, gva))
        return;
    mmu->flushed_all = mmu->flushes;
    tlb_flush_large(mmu, gva);
}

/* -- several CPUs ------------------------------------------------------------------------------------------------------------- */

void mmu_join(struct mmu *mmu, struct mmu *new)
{
    new->next = mmu->next ? mmu->next : mmu;
    mmu->next = new;
}

bool mmu_has_code(const struct mmu *mmu, uint64_t gpa)
{
    for (const struct mmu *m = mmu; m; m = mmu_after(mmu, m))
        if (code_present(m->code, gpa))
            return true;
    return false;
}

bool mmu_has_code_near(const struct mmu *mmu, uint64_t gpa)
{
    for (const struct mmu *m = mmu; m; m = mmu_after(mmu, m))
        if (code_present_near(m->code, gpa))
            return true;
    return false;
}

static bool mmu_code_hit(const struct mmu *mmu, uint64_t gpa, unsigned width)
{
    for (const struct mmu *m = mmu; m; m = mmu_after(mmu, m))
        if (code_hit(m->code, gpa, width))
            return true;
    return false;
}

void mmu_written(struct mmu *mmu, uint64_t gpa, unsigned width)
{
    struct exclusion *x = mmu->bus->exclusion;

    exclusion_fence(x);
    if (likely(!mmu_code_hit(mmu, gpa, width)))
        return;
    exclusion_others(x, true);
    for (struct mmu *m = mmu; m; m = mmu_after(mmu, m))
        code_written(m->code, gpa, width);
    exclusion_others(x, false);
}

static void tlb_protect_one(struct mmu *mmu, uint64_t page)
{
    mmu->protects++;
    for (struct tlb_place at = { 0 }; tlb_next(mmu, &at);)
        if (at.entry->gpa == page && at.entry->tag[TLB_WRITE] != TLB_NONE)
            at.entry->tag[TLB_WRITE] |= TLB_SLOW;
}

bool mmu_mark_code(struct mmu *mmu, uint64_t gpa, uint64_t size)
{
    struct exclusion *x = mmu->bus->exclusion;

    if (code_present(mmu->code, gpa)) {
        code_mark(mmu->code, gpa, size);
        return false;
    }
    exclusion_others(x, true);
    code_mark(mmu->code, gpa, size);
    for (struct mmu *m = mmu; m; m = mmu_after(mmu, m))
        tlb_protect_one(m, gpa & ~(uint64_t)PAGE_OFFSET);
    exclusion_others(x, false);
    return true;
}

/* The next access looks anew. */
static void tlb_release_one(struct mmu *mmu, uint64_t page)
{
    for (struct tlb_place at = { 0 }; tlb_next(mmu, &at);)
        if (at.entry->gpa == page)
            tlb_clear(at.entry);
}

void tlb_release(struct mmu *mmu, uint64_t gpa)
{
    code_unmark(mmu->code, gpa);
    for (struct mmu *m = mmu; m; m = mmu_after(mmu, m))
        tlb_release_one(m, gpa & ~(uint64_t)PAGE_OFFSET);
}

/* -- filling -------------------------------------------------------------------------------------------------------------------- */

static bool tlb_is_watched(const struct mmu *mmu, uint64_t page)
{
    if (likely(!mmu_watches(mmu)))
        return false;
    for (unsigned i = 0; i < WATCHES_ALL; i++) {
        const struct watch *w = &mmu->watch[i];

        if (w->size && w->gva < page + PAGE_BYTES && w->gva + w->size > page)
            return true;
    }
    return false;
}

/* What the page is, and the intents for which it is plain memory. */
static inline unsigned tlb_place(const struct mmu *mmu, struct tlb_entry *e, uint64_t page)
{
    const struct phys_range *range = phys_find(mmu->bus->phys, REGION_MMIO, e->gpa);
    uint64_t into = e->gpa - range->base;
    bool whole = into < range->size && range->size - into >= PAGE_BYTES, watched = tlb_is_watched(mmu, page);

    e->region = NULL;
    if (likely(whole && range->kind == PIECE_MEMORY && range->read)) {
        e->addend = (intptr_t)((uint64_t)(uintptr_t)range->read + into - page);
        return watched ? ACCESS_EXECUTE
               : range->write != range->read || mmu_has_code(mmu, e->gpa) ? ACCESS_EXECUTE | ACCESS_READ
               : ACCESS_EXECUTE | ACCESS_READ | ACCESS_WRITE;
    }
    if (whole && range->kind == PIECE_REGION && !watched)
        e->region = range->region;
    e->region_offset = range->region_offset + into;
    return 0;
}

static inline uint64_t tlb_tag(uint64_t page, unsigned granted, unsigned plain, enum tlb_intent intent)
{
    return granted >> intent & 1 ? page | !(plain >> intent & 1) : TLB_NONE;
}

static inline void tlb_note_use(struct tlb_log *log, struct tlb_entry *e, uint64_t page, bool global)
{
    if (e->page & TLB_LOGGED(global))
        return;
    e->page |= TLB_LOGGED(global);
    log->entry[log->n++] = (uint16_t)tlb_index(page);
}

/* Enters what the walk found; only the intents it has granted so far get a tag. */
static inline void tlb_fill(struct mmu *mmu, struct tlb_entry *e, enum mmu_bank bank, uint64_t page, const struct walk_result *walk)
{
    unsigned plain;

    tlb_note_use(&mmu->log[bank][walk->global], e, page, walk->global);
    e->page = page | walk->shift | (walk->global ? TLB_GLOBAL : 0) | (e->page & (TLB_LOGGED(false) | TLB_LOGGED(true)));
    e->gpa = walk->gpa & mmu->bus->phys->a20_mask & ~(uint64_t)PAGE_OFFSET;
    tlb_note_large(mmu, page, walk->shift);
    plain = tlb_place(mmu, e, page);
    for (unsigned i = 0; i < TLB_INTENTS; i++)
        e->tag[i] = tlb_tag(page, walk->granted, plain, (enum tlb_intent)i);
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
    struct tlb_entry *e = &mmu->tlb[bank][tlb_index(gva)];
    struct walk_result walk;

    if (tlb_grants(e, page, intent))
        return e;
    if (!walk_page(mmu, gva, intent, bank, &walk)) {
        if (log_on(LOG_MMU))
            log_printf(LOG_MMU, "%016llx intent %u bank %u: fault %u error %x\n", (unsigned long long)gva, intent, bank,
                       mmu->fault.vector, mmu->fault.error);
        return NULL;
    }
    if (log_on(LOG_MMU))
        log_printf(LOG_MMU, "%016llx -> %010llx granted %u bank %u\n", (unsigned long long)gva, (unsigned long long)walk.gpa,
                   walk.granted, bank);
    tlb_fill(mmu, e, bank, page, &walk);
    return e;
}
