/*
 * phys.c - stop 4: which memory or region claims a physical address or port.
 *
 * Everything that has been added is an `entry` of one list.  A rebuild walks the sorted bases and ends of all
 * entries; between two neighbouring ones the best entry is the same everywhere, and equal neighbours are joined.
 * That is quadratic in the number of entries, of which a PC has a few dozen, and happens only after a change.
 *
 * Not modelled: address decoding by several bus masters (all of them see one map), and the top byte of the
 * 64-bit space as an address of its own (it belongs to the last range).
 */
#include "phys.h"

#include "base/log.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define PORTS 0x10000u
#define A20_BIT BIT(20)

/* One thing laid over the space: a memory or a region, never both. */
struct entry {
    uint64_t base, end; /* end: first address behind it */
    int priority;
    const struct phys_memory *memory;
    struct region *region;
};

static void *phys_alloc(size_t count, size_t size)
{
    void *block = calloc(count ? count : 1, size);

    if (!block)
        abort();
    return block;
}

/* The first address behind a space; for memory it is also where addresses end for us. */
static uint64_t phys_space_end(enum region_space space) { return space == REGION_PIO ? PORTS : UINT64_MAX; }

/* -- rebuild -------------------------------------------------------------------------------------------------- */

/* An entry's range clipped to the space; false if nothing of it is left. */
static bool phys_clip(struct entry *entry, uint64_t base, uint64_t size, uint64_t space_end)
{
    if (!size || base >= space_end)
        return false;
    entry->base = base;
    entry->end = size > space_end - base ? space_end : base + size;
    return true;
}

/* Enabled entries in the order in which a later one wins over an equal earlier one: regions, then memory. */
static size_t phys_collect(const struct phys *phys, enum region_space space, struct entry *entry)
{
    uint64_t space_end = phys_space_end(space);
    size_t n = 0;

    for (size_t i = 0; i < phys->regions; i++) {
        struct region *r = phys->region[i];

        entry[n] = (struct entry){ .priority = r->priority, .region = r };
        if (r->enabled && r->space == space && phys_clip(&entry[n], r->base, r->size, space_end))
            n++;
    }
    for (size_t i = 0; space == REGION_MMIO && i < phys->memories; i++) {
        const struct phys_memory *m = phys->memory[i];

        entry[n] = (struct entry){ .priority = m->priority, .memory = m };
        if (m->enabled && phys_clip(&entry[n], m->base, m->size, space_end))
            n++;
    }
    return n;
}

static const struct entry *phys_best(const struct entry *entry, size_t n, uint64_t at)
{
    const struct entry *best = NULL;

    for (size_t i = 0; i < n; i++)
        if (at >= entry[i].base && at < entry[i].end && (!best || entry[i].priority >= best->priority))
            best = &entry[i];
    return best;
}

static struct phys_range phys_make_range(const struct entry *entry, uint64_t base, uint64_t end)
{
    struct phys_range range = { .base = base, .size = end - base, .kind = PIECE_HOLE };

    if (entry && entry->region) {
        range.kind = PIECE_REGION;
        range.region = entry->region;
        range.region_offset = base - entry->base;
    } else if (entry) {
        range.kind = PIECE_MEMORY;
        range.read = entry->memory->read ? entry->memory->read + (base - entry->base) : NULL;
        range.write = entry->memory->write ? entry->memory->write + (base - entry->base) : NULL;
    }
    return range;
}

static int phys_compare_address(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* 0, every base and end, and the end of the space: sorted; doubles stay in. */
static uint64_t *phys_cuts(const struct entry *entry, size_t n, uint64_t space_end)
{
    uint64_t *cut = phys_alloc(2 * n + 2, sizeof(*cut));

    for (size_t i = 0; i < n; i++) {
        cut[2 * i] = entry[i].base;
        cut[2 * i + 1] = entry[i].end;
    }
    cut[2 * n] = 0;
    cut[2 * n + 1] = space_end;
    qsort(cut, 2 * n + 2, sizeof(*cut), phys_compare_address);
    return cut;
}

/* The first memory from `at` on; `end`: none. */
static const struct phys_range *phys_next_memory(const struct phys_range *at, const struct phys_range *end)
{
    while (at < end && at->kind != PIECE_MEMORY)
        at++;
    return at;
}

static bool phys_same_memory(const struct phys_range *a, size_t a_n, const struct phys_range *b, size_t b_n)
{
    const struct phys_range *a_end = a + a_n, *b_end = b + b_n;

    for (;; a++, b++) {
        a = phys_next_memory(a, a_end);
        b = phys_next_memory(b, b_end);
        if (a == a_end || b == b_end)
            return a == a_end && b == b_end;
        if (a->base != b->base || a->size != b->size || a->read != b->read || a->write != b->write)
            return false;
    }
}

static void phys_rebuild_space(struct phys *phys, enum region_space space)
{
    struct entry *entry = phys_alloc(phys->regions + phys->memories + 1, sizeof(*entry));
    size_t n = phys_collect(phys, space, entry), ranges = 0;
    uint64_t *cut = phys_cuts(entry, n, phys_space_end(space));
    struct phys_range *range = phys_alloc(2 * n + 1, sizeof(*range));
    const struct entry *before = NULL;

    for (size_t i = 0; i + 1 < 2 * n + 2; i++) {
        const struct entry *best;

        if (cut[i] == cut[i + 1])
            continue;
        best = phys_best(entry, n, cut[i]);
        if (ranges && best == before)
            range[ranges - 1].size += cut[i + 1] - cut[i];
        else
            range[ranges++] = phys_make_range(best, cut[i], cut[i + 1]);
        before = best;
    }
    free(cut);
    free(entry);
    phys->memory_generation += !phys_same_memory(phys->range[space], phys->ranges[space], range, ranges);
    free(phys->range[space]);
    phys->range[space] = range;
    phys->ranges[space] = ranges;
    for (unsigned i = 0; i < PHYS_RECENT; i++)
        phys->recent[space][i] = range;
}

static void phys_log_space(const struct phys *phys, enum region_space space)
{
    for (size_t i = 0; i < phys->ranges[space]; i++) {
        const struct phys_range *r = &phys->range[space][i];

        if (r->kind != PIECE_HOLE)
            log_printf(LOG_MAP, "%s %016llx %016llx %s\n", space == REGION_PIO ? "port" : "mem ",
                       (unsigned long long)r->base, (unsigned long long)(r->base + r->size - 1),
                       r->kind == PIECE_REGION ? r->region->name : r->write ? "memory" : "memory, read-only");
    }
}

static void phys_refresh(struct phys *phys)
{
    if (likely(!phys->stale))
        return;
    phys->stale = false;
    for (int space = 0; space < REGION_SPACES; space++) {
        phys_rebuild_space(phys, space);
        if (log_on(LOG_MAP))
            phys_log_space(phys, space);
    }
}

uint64_t phys_memory_generation(struct phys *phys)
{
    phys_refresh(phys);
    return phys->memory_generation;
}

/* -- changes -------------------------------------------------------------------------------------------------- */

/* Where others run, the flat list is made again before they do. */
static void phys_changed(struct phys *phys)
{
    exclusion_others(phys->exclusion, true);
    phys->generation++;
    phys->stale = true;
    for (struct phys_listener *l = phys->listeners; l; l = l->next)
        l->changed(l);
    if (phys->exclusion)
        phys_refresh(phys);
    exclusion_others(phys->exclusion, false);
}

static void phys_region_add(struct region_map *map, struct region *region)
{
    struct phys *phys = (struct phys *)map;

    assert(!region->map);
    phys->region = realloc(phys->region, (phys->regions + 1) * sizeof(*phys->region));
    if (!phys->region)
        abort();
    phys->region[phys->regions++] = region;
    region->map = map;
    phys_changed(phys);
}

static void phys_region_changed(struct region_map *map, struct region *region)
{
    (void)region;
    phys_changed((struct phys *)map);
}

void phys_init(struct phys *phys)
{
    *phys = (struct phys){
        .map = { .add = phys_region_add, .changed = phys_region_changed },
        .a20_mask = ~UINT64_C(0), .generation = 1, .stale = true,
    };
}

void phys_free(struct phys *phys)
{
    for (int space = 0; space < REGION_SPACES; space++)
        free(phys->range[space]);
    free(phys->region);
    free(phys->memory);
    *phys = (struct phys){ 0 };
}

void phys_add_memory(struct phys *phys, struct phys_memory *memory)
{
    phys->memory = realloc(phys->memory, (phys->memories + 1) * sizeof(*phys->memory));
    if (!phys->memory)
        abort();
    phys->memory[phys->memories++] = memory;
    phys_changed(phys);
}

void phys_memory_changed(struct phys *phys) { phys_changed(phys); }

void phys_forget_memory(struct phys *phys)
{
    phys->memory_generation++;
    phys_changed(phys);
}

void phys_set_a20(struct phys *phys, bool on)
{
    uint64_t mask = on ? ~UINT64_C(0) : ~A20_BIT;

    if (phys->a20_mask == mask)
        return;
    phys->a20_mask = mask;
    phys_forget_memory(phys);
}

void phys_listen(struct phys *phys, struct phys_listener *listener)
{
    listener->next = phys->listeners;
    phys->listeners = listener;
}

void phys_unlisten(struct phys *phys, struct phys_listener *listener)
{
    for (struct phys_listener **at = &phys->listeners; *at; at = &(*at)->next)
        if (*at == listener) {
            *at = listener->next;
            return;
        }
}

/* -- look-up -------------------------------------------------------------------------------------------------- */

const struct phys_range *phys_ranges(struct phys *phys, enum region_space space, size_t *n)
{
    phys_refresh(phys);
    *n = phys->ranges[space];
    return phys->range[space];
}

/* The last range whose base is not above the address, which A20 has been applied to. */
const struct phys_range *phys_search(struct phys *phys, enum region_space space, uint64_t gpa)
{
    size_t low = 0, high;

    phys_refresh(phys);
    high = phys->ranges[space] - 1;
    while (low < high) {
        size_t middle = (low + high + 1) / 2;

        if (phys->range[space][middle].base <= gpa)
            low = middle;
        else
            high = middle - 1;
    }
    return phys->recent[space][phys_hash(space, gpa)] = &phys->range[space][low];
}

void phys_resolve(struct phys *phys, struct access *access, uint64_t gpa, unsigned at, unsigned width, unsigned page)
{
    if (!access->pieces)
        access->generation = phys->generation;
    while (width) {
        const struct phys_range *range;
        uint64_t into, room;
        unsigned n;

        gpa = phys_wrap(phys, access->space, gpa);
        range = phys_find(phys, access->space, gpa);
        into = gpa - range->base;
        room = into < range->size ? range->size - into : width; /* else: the very top byte */
        n = bits_min(width, room);
        assert(access->pieces < ACCESS_PIECES);
        access->piece[access->pieces++] = (struct piece){
            .at = at, .width = n, .page = page, .gpa = gpa, .range = range,
            .offset = range->region_offset + into,
        };
        gpa += n;
        at += n;
        width -= n;
    }
}

/* The memory range that holds all of [gpa, gpa + width), or NULL; *into is where in it. */
static const struct phys_range *phys_memory_range(struct phys *phys, uint64_t gpa, uint64_t width, uint64_t *into)
{
    const struct phys_range *range = phys_find(phys, REGION_MMIO, gpa);

    if (range->kind != PIECE_MEMORY)
        return NULL;
    /* Behind a closed A20 gate, consecutive addresses are not consecutive in memory beyond a megabyte. */
    if (~phys->a20_mask && width && (gpa ^ (gpa + width - 1)) & ~(MIB(1) - 1))
        return NULL;
    *into = phys_wrap(phys, REGION_MMIO, gpa) - range->base;
    return *into < range->size && width <= range->size - *into ? range : NULL;
}

uint8_t *phys_readable(struct phys *phys, uint64_t gpa, uint64_t width)
{
    uint64_t into;
    const struct phys_range *range = phys_memory_range(phys, gpa, width, &into);

    return range && range->read ? range->read + into : NULL;
}

uint8_t *phys_writable(struct phys *phys, uint64_t gpa, uint64_t width)
{
    uint64_t into;
    const struct phys_range *range = phys_memory_range(phys, gpa, width, &into);

    return range && range->write ? range->write + into : NULL;
}
