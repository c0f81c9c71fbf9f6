/*
 * pages.c - page caches: what translated code knows of where guest memory is, filled from the TLB, emptied with it.
 *
 * One holds as long a stretch of plain memory as can be had for little: all of a large page, or neighbours that lie side by
 * side in the host's memory too.
 */
#include "jit/jit.h"

enum { NEIGHBOURS = 15 /* pages to look at on either side */, FEW_CACHES = 4096, REGION_SHIFT = 21 };

/* What it has held stays known. */
static void empty(struct jit *j, struct page_cache *c)
{
    *c = (struct page_cache){ .local = c->local, .writes = c->writes };
    j->filled_count--;
}

static void clear_list(struct jit *j, struct page_cache **list)
{
    struct page_cache *next;

    for (struct page_cache *c = *list; c; c = next) {
        next = c->next;
        empty(j, c);
    }
    *list = NULL;
}

static struct page_cache **list_of(struct jit *j, bool global, bool writes) { return &j->filled_caches[2 * global + writes]; }

void jit_clear_caches(struct jit *j)
{
    for (unsigned i = 0; i < ARRAY_LEN(j->filled_caches); i++)
        clear_list(j, &j->filled_caches[i]);
    memset(j->cached_region, 0, sizeof(j->cached_region));
}

/* -- after the TLB -------------------------------------------------------------------------------------------------------- */

/* Which 2 MiB, by hash. */
static unsigned region_hash(uint64_t gva) { return gva >> REGION_SHIFT & (CACHED_REGIONS - 1); }

static void note_regions(struct jit *j, uint64_t base, uint64_t size)
{
    for (uint64_t at = base >> REGION_SHIFT; at <= (base + size - 1) >> REGION_SHIFT; at++)
        j->cached_region[region_hash(at << REGION_SHIFT)] = true;
}

static bool reaches_into(const struct page_cache *c, unsigned region)
{
    for (uint64_t at = c->base >> REGION_SHIFT; at <= (c->base + c->span[0]) >> REGION_SHIFT; at++)
        if (region_hash(at << REGION_SHIFT) == region)
            return true;
    return false;
}

/* True when others reach into the same 2 MiB. */
static bool clear_page_in(struct jit *j, struct page_cache **at, uint64_t page)
{
    bool others = false;
    struct page_cache *c;

    while ((c = *at)) {
        if (likely(page - c->base > c->span[0])) { /* both are whole pages, but for jit_span_bytes[0] - 1 */
            others = others || reaches_into(c, region_hash(page));
            at = &c->next;
            continue;
        }
        *at = c->next;
        empty(j, c);
    }
    return others;
}

/* Caches that reach into the page go; of many all do, which is quicker than to look at each. */
static void clear_page(struct jit *j, uint64_t page)
{
    bool others = false;

    if (!j->cached_region[region_hash(page)])
        return;
    if (j->filled_count > FEW_CACHES) {
        jit_clear_caches(j);
        return;
    }
    for (unsigned i = 0; i < ARRAY_LEN(j->filled_caches); i++)
        others |= clear_page_in(j, &j->filled_caches[i], page);
    j->cached_region[region_hash(page)] = others;
}

static void follow_page(struct jit *j, uint64_t page)
{
    if (page == TLB_NONE)
        return;
    clear_page(j, page);
    if (j->jump_pages[jit_page_hash(page)])
        jit_clear_page_jumps(j, page);
}

static void follow_each(struct jit *j)
{
    const struct mmu *mmu = &j->v->mmu;

    if (mmu->flushed_local > j->seen_flushes) {
        jit_clear_local_jumps(j);
        clear_list(j, list_of(j, false, false));
        clear_list(j, list_of(j, false, true));
    }
    for (uint64_t n = j->seen_flushes + 1; n <= mmu->flushes; n++)
        follow_page(j, mmu->flushed_page[n % FLUSHED_PAGES]);
}

/* Where nothing is written, nothing is different. */
void jit_follow_protects(struct jit *j)
{
    j->seen_protects = j->v->mmu.protects;
    clear_list(j, list_of(j, false, true));
    clear_list(j, list_of(j, true, true));
}

void jit_follow_flushes(struct jit *j)
{
    const struct mmu *mmu = &j->v->mmu;

    if (j->seen_protects != mmu->protects)
        jit_follow_protects(j);
    if (mmu->flushed_all > j->seen_flushes || mmu->flushes - j->seen_flushes > FLUSHED_PAGES) {
        jit_clear_jumps(j);
        jit_clear_caches(j);
    } else {
        follow_each(j);
    }
    j->seen_flushes = mmu->flushes;
}

/* -- filling ---------------------------------------------------------------------------------------------------------------- */

/* Is all of [gpa, gpa + size), within 2 MiB, plain memory for this intent, from `host` on? */
static bool plain_at(const struct jit *j, uint64_t gpa, uint64_t size, enum tlb_intent intent, uint64_t host)
{
    struct phys *phys = j->v->bus.phys;

    if (intent != TLB_WRITE)
        return (uintptr_t)phys_readable(phys, gpa, size) == host;
    return (uintptr_t)phys_writable(phys, gpa, size) == host &&
           !(size == PAGE_BYTES ? mmu_has_code(&j->v->mmu, gpa) : mmu_has_code_near(&j->v->mmu, gpa));
}

/*
 * Does the page lie in the host's memory as `e`'s does?  It is part of the same large page, or the TLB knows it.  No
 * stretch crosses 2^32: there addresses of 32-bit code wrap.
 */
static bool page_joins(const struct jit *j, const struct tlb_entry *e, uint64_t page, enum tlb_intent intent)
{
    const struct mmu *mmu = &j->v->mmu;
    const struct tlb_entry *n = &mmu->tlb[mmu->bank][tlb_index(page)];

    if ((e->page ^ page) >> 32)
        return false;
    if (!((e->page ^ page) >> tlb_shift(e)))
        return plain_at(j, e->gpa + page - (e->page & ~(uint64_t)PAGE_OFFSET), PAGE_BYTES, intent, page + (uintptr_t)e->addend);
    return n->tag[intent] == page && n->addend == e->addend && !((n->page ^ e->page) & TLB_GLOBAL);
}

/* The stretch around e's page: a large page; and neighbours where it has to reach to `end`. */
static void stretch(const struct jit *j, const struct tlb_entry *e, enum tlb_intent intent, uint64_t end, uint64_t *base, uint64_t *size)
{
    uint64_t large = bits_min(BIT(tlb_shift(e)), MIB(2)), into = *base & (large - 1);

    if (mmu_watches(&j->v->mmu) || j->v->bus.phys->a20_mask != UINT64_MAX)
        return;
    if (large > PAGE_BYTES && plain_at(j, e->gpa - into, large, intent, *base - into + (uintptr_t)e->addend)) {
        *base -= into;
        *size = large;
    }
    if (end - *base <= *size)
        return;
    for (unsigned i = 0; i < NEIGHBOURS && page_joins(j, e, *base + *size, intent); i++)
        *size += PAGE_BYTES;
    for (unsigned i = 0; i < NEIGHBOURS && page_joins(j, e, *base - PAGE_BYTES, intent); i++)
        *base -= PAGE_BYTES, *size += PAGE_BYTES;
}

static void unlist_cache(struct jit *j, struct page_cache *c)
{
    struct page_cache **at = list_of(j, !c->local, c->writes);

    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    empty(j, c);
}

/* It comes onto its list; one that has held global pages alone, or been read through, leaves that for good when that changes. */
static void list_cache(struct jit *j, struct page_cache *c, bool global, bool writes)
{
    struct page_cache **at;

    if (c->span[0] && ((!c->local && !global) || (!c->writes && writes)))
        unlist_cache(j, c);
    c->local |= !global;
    c->writes |= writes;
    if (c->span[0])
        return;
    at = list_of(j, !c->local, c->writes);
    c->next = *at;
    *at = c;
    j->filled_count++;
}

void jit_fill_cache(struct jit *j, struct page_cache *c, uint64_t gva, unsigned bytes, enum tlb_intent intent)
{
    const struct tlb_entry *e = &j->v->mmu.tlb[j->v->mmu.bank][tlb_index(gva)];
    uint64_t base = gva & ~(uint64_t)PAGE_OFFSET, size = PAGE_BYTES;

    if (e->tag[intent] != base)
        return;
    list_cache(j, c, e->page & TLB_GLOBAL, intent == TLB_WRITE);
    stretch(j, e, intent, gva + jit_span_bytes[jit_span(bytes)], &base, &size);
    note_regions(j, base, size);
    c->base = base;
    c->delta = (uintptr_t)e->addend;
    for (unsigned i = 0; i < SPANS; i++)
        c->span[i] = size + 1 - jit_span_bytes[i];
}
