/*
 * phys.h - stop 4: the guest-physical map and the port map.
 *
 * Memory (RAM, ROM) and regions are laid over each other by priority; the flat, sorted result is rebuilt when a
 * region moves and looked up by binary search.  KVM's memory slots follow the same list.
 */
#ifndef SOFTMMU_PHYS_H
#define SOFTMMU_PHYS_H

#include "exclusion.h"
#include "types.h"

/*
 * A piece of host memory in the guest's physical space.  Reads and writes may differ, as behind a chipset's
 * shadow-RAM registers: `read` NULL gives all ones, `write` NULL drops.
 */
struct phys_memory {
    const char *name;
    uint64_t base, size; /* page-aligned */
    uint8_t *read, *write;
    bool enabled;
    int priority;        /* memory wins over a region of the same priority */
};

struct phys_range {
    uint64_t base, size;
    enum piece_kind kind;
    uint8_t *read, *write;    /* PIECE_MEMORY: host address of `base`; NULL: see above */
    struct region *region;    /* PIECE_REGION */
    uint64_t region_offset;   /* of `base` within the region */
};

/* Told after the map has changed: engines flush translations, KVM moves its slots. */
struct phys_listener {
    void (*changed)(struct phys_listener *listener);
    struct phys_listener *next;
};

enum { PHYS_RECENT = 64 };

struct phys {
    struct region_map map;    /* what devices get; first, so that it can be cast back */
    struct phys_range *range[REGION_SPACES]; /* use phys_ranges(): these may be stale */
    size_t ranges[REGION_SPACES];
    const struct phys_range *recent[REGION_SPACES][PHYS_RECENT]; /* found last for an address of this hash */
    struct region **region;
    size_t regions;
    struct phys_memory **memory;
    size_t memories;
    uint64_t a20_mask;        /* ANDed to every MMIO-space address; all ones when A20 is on */
    uint64_t generation;      /* counts changes */
    uint64_t memory_generation; /* ... of where memory is: phys_memory_generation() */
    bool stale;               /* the flat list has to be rebuilt before the next look-up */
    struct phys_listener *listeners;
    struct exclusion *exclusion; /* CPUs run at the same time; NULL: they do not */
};

void phys_init(struct phys *phys);
/* Forgets everything that was added, without looking at it: devices may be gone already. */
void phys_free(struct phys *phys);
void phys_add_memory(struct phys *phys, struct phys_memory *memory);
/* After any change to a phys_memory that has been added. */
void phys_memory_changed(struct phys *phys);
/* Tells listeners that memory is another, so that what they have made of it goes. */
void phys_forget_memory(struct phys *phys);
void phys_set_a20(struct phys *phys, bool on);
void phys_listen(struct phys *phys, struct phys_listener *listener);
void phys_unlisten(struct phys *phys, struct phys_listener *listener);

/* The flat list of a space, brought up to date: `*n` ranges, ascending, without gaps. */
const struct phys_range *phys_ranges(struct phys *phys, enum region_space space, size_t *n);

/* Another number when memory has come, gone or moved since; the same where only regions have, elsewhere. */
uint64_t phys_memory_generation(struct phys *phys);

/* The address as the map knows it. */
static inline uint64_t phys_wrap(const struct phys *phys, enum region_space space, uint64_t gpa)
{
    return space == REGION_PIO ? (uint16_t)gpa : gpa & phys->a20_mask;
}

/* Where an address is remembered: devices are told apart by page, ports by their low bits. */
static inline unsigned phys_hash(enum region_space space, uint64_t gpa)
{
    return (space == REGION_PIO ? gpa ^ gpa >> 6 : gpa >> 12 ^ gpa >> 24) % PHYS_RECENT;
}

/* phys_find() for an address that is not remembered. */
const struct phys_range *phys_search(struct phys *phys, enum region_space space, uint64_t gpa);

/*
 * The range that holds gpa (after A20); never NULL: what nobody claims is a PIECE_HOLE range.  The pointer lives
 * until the next look-up after a change, and any device callback may be such a change.
 */
static inline const struct phys_range *phys_find(struct phys *phys, enum region_space space, uint64_t gpa)
{
    uint64_t at = phys_wrap(phys, space, gpa);
    const struct phys_range *range = phys->recent[space][phys_hash(space, at)];

    return likely(!phys->stale && at - range->base < range->size) ? range : phys_search(phys, space, at);
}

/*
 * phys_resolve - cut `width` bytes at gpa at range ends, and append them to the access's pieces.
 *
 * at      where in the operand these bytes begin
 * page    0 or 1, stored in the pieces
 * The bytes lie in one page (MMIO); a port range may wrap at 64 KiB.
 */
void phys_resolve(struct phys *phys, struct access *access, uint64_t gpa, unsigned at, unsigned width, unsigned page);

/* Host address of [gpa, gpa + width) if all of it is one readable (writable) memory range, else NULL. */
uint8_t *phys_readable(struct phys *phys, uint64_t gpa, uint64_t width);
uint8_t *phys_writable(struct phys *phys, uint64_t gpa, uint64_t width);

#endif
