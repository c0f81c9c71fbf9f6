/*
 * region.h - the device contract: a range of addresses a device claims, and the transactions it sees there.
 *
 * A device sees a transaction, not a C integer: what kind of access, how wide, which bytes, by whom.  A simple
 * register device fills in `read` and `write` of up to 8 bytes; a wide one fills in `transact`.  What a region
 * declares it takes is what its callbacks get, never anything else: the dispatcher turns other accesses into
 * these first (softmmu/split.h).
 *
 * Ports and memory are two address spaces with the same contract.
 */
#ifndef DEVICES_REGION_H
#define DEVICES_REGION_H

#include "base/bits.h"
#include "base/wide.h"

#include <stddef.h>
#include <string.h>

enum transaction_type {
    TRANSACTION_LOAD,
    TRANSACTION_STORE,
    TRANSACTION_FETCH_ADD,    /* data = addend in, old value out */
    TRANSACTION_SWAP,         /* data = new value in, old value out */
    TRANSACTION_COMPARE_SWAP, /* compare = expected, data = new value in, old value out (new is stored on a match) */
    TRANSACTION_DIRECT_STORE, /* 64 bytes whole, posted: MOVDIR64B; also MOVDIRI of 4 or 8 */
    TRANSACTION_ENQUEUE,      /* 64 bytes whole, may be refused: ENQCMD, ENQCMDS */
    TRANSACTION_TYPES
};

enum transaction_flags {
    TRANSACTION_LOCKED = 1 << 0,       /* half of a read-modify-write that nothing comes between */
    TRANSACTION_NON_TEMPORAL = 1 << 1, /* MOVNT*, MASKMOVDQU */
    TRANSACTION_FETCH = 1 << 2,        /* instruction fetch */
    TRANSACTION_PAGE_WALK = 1 << 3,    /* paging-structure entry */
    TRANSACTION_MASKED = 1 << 4,       /* only the bytes set in `enables` are meant */
    TRANSACTION_DMA = 1 << 5,          /* asked for by a device, not a CPU */
};

enum transaction_result {
    TRANSACTION_OK,
    TRANSACTION_ERROR, /* unclaimed: a load gives all ones, a store is dropped */
    TRANSACTION_RETRY, /* ENQUEUE refused: ZF = 1 */
};

/* Who asked, for traces and for devices that keep a history. */
struct origin {
    uint16_t fragment;         /* this is fragment i ... */
    uint16_t fragments;        /* ... of n of one access */
    uint8_t engine;            /* enum engine_id of src/engine.h */
    uint8_t vcpu;
    uint64_t rip;              /* linear address of the instruction is not known to all engines: this is RIP */
    uint64_t journey;          /* number of the journey this belongs to */
};

/* In pieces: rip has mostly just been stored, and a load of it together with others has to wait for that. */
static inline void origin_copy(struct origin *to, const struct origin *from)
{
    static const struct origin nobody;

    from = from ? from : &nobody;
    memcpy(to, from, offsetof(struct origin, rip));
    to->rip = from->rip;
    to->journey = from->journey;
}

struct transaction {
    enum transaction_type type;
    uint8_t width;        /* bytes, 1..64 */
    uint16_t flags;       /* enum transaction_flags */
    uint64_t offset;      /* within the region */
    uint64_t enables;     /* one bit per byte; bits_mask(width) unless MASKED */
    const struct origin *origin;
    union wide data;      /* little endian, zero beyond width */
    union wide compare;
};

/* Widths as a mask: the bit for width w has the value w. */
enum { W1 = 1, W2 = 2, W4 = 4, W8 = 8, W16 = 16, W32 = 32, W64 = 64, W_REGISTERS = W1 | W2 | W4 | W8, W_ALL = 127 };

enum region_flags {
    REGION_UNALIGNED = 1 << 0, /* any offset; otherwise only multiples of the width */
    REGION_ODD = 1 << 1,       /* also widths between powers of two, from the smallest declared to the largest */
    REGION_ENABLES = 1 << 2,   /* takes MASKED loads and stores whole, with `enables` */
};

/* What a region takes.  LOAD and STORE are always taken. */
struct region_limits {
    uint8_t widths;       /* W1 | W2 ... */
    uint8_t flags;        /* enum region_flags */
    uint8_t types;        /* bit per enum transaction_type beyond LOAD and STORE */
    uint8_t atomic_widths;/* widths of FETCH_ADD, SWAP and COMPARE_SWAP; naturally aligned */
};

struct region_ops {
    /* Little endian, width one of limits.widths and at most 8. */
    uint64_t (*read)(void *state, uint64_t offset, unsigned width);
    void (*write)(void *state, uint64_t offset, unsigned width, uint64_t value);
    /* Used instead of the two above where set; fills in data for loads and atomics. */
    enum transaction_result (*transact)(void *state, struct transaction *t);
    struct region_limits limits;
};

enum region_space { REGION_MMIO, REGION_PIO, REGION_SPACES };

struct region_map;

/*
 * A region as it stands in an address space.  `base` and `enabled` change through region_move() only.
 * Where regions overlap, the higher `priority` wins; equal ones: the later added.
 */
struct region {
    const char *name;
    enum region_space space;
    uint64_t base, size;
    bool enabled;
    int priority;
    const struct region_ops *ops;
    void *state;            /* handed to the callbacks */
    struct region_map *map; /* where it has been added */
};

/* What the owner of the address spaces (softmmu/phys.c; a unit test) offers to devices. */
struct region_map {
    void (*add)(struct region_map *map, struct region *region);
    void (*changed)(struct region_map *map, struct region *region);
};

/* Moves or switches a region, and tells its map if anything changed. */
static inline void region_move(struct region *region, uint64_t base, bool enabled)
{
    if (region->base == base && region->enabled == enabled)
        return;
    region->base = base;
    region->enabled = enabled;
    if (region->map)
        region->map->changed(region->map, region);
}

/* Does [offset, offset + width) of this shape fit what `limits` takes as it is? */
static inline bool region_takes(const struct region_limits *limits, uint64_t offset, unsigned width)
{
    unsigned lowest = limits->widths & -limits->widths;
    unsigned highest = 1u << (31 - __builtin_clz(limits->widths | 1u));

    if (!bits_is_pow2(width))
        return limits->flags & REGION_ODD && width >= lowest && width <= highest && limits->flags & REGION_UNALIGNED;
    return limits->widths & width && (limits->flags & REGION_UNALIGNED || !(offset & (width - 1)));
}

#endif
