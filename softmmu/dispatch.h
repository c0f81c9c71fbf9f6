/*
 * dispatch.h - stop 5: a resolved access becomes transactions its regions take.
 */
#ifndef SOFTMMU_DISPATCH_H
#define SOFTMMU_DISPATCH_H

#include "base/log.h"
#include "phys.h"
#include "split.h"
#include "types.h"

#include <string.h>

/* What an observer (the trace) is shown, once per access and after its last fragment. */
struct dispatch_report {
    const struct access *access;       /* data: as loaded or stored; the old value for atomics */
    const union wide *operand;         /* data as it came in: the addend or new value of an atomic */
    const struct split_list *split;
    const enum transaction_result *result; /* one per fragment */
    enum transaction_result whole;
    const struct origin *origin;
};

enum { BUS_ANSWERS = 8 };

/* What devices have said already to loads of the instruction under way. */
struct bus_answers {
    unsigned n;
    struct {
        uint64_t gpa;
        uint8_t width; /* at most 8 */
        uint8_t data[8];
    } answer[BUS_ANSWERS];
};

/*
 * The way from one CPU (or DMA) to the maps.  The engine keeps `origin` true before every access it sends.
 */
struct bus {
    struct phys *phys;
    const struct split_policy *policy;
    unsigned policy_arg;               /* N of `bus:N` */
    struct origin origin;
    void (*observe)(void *opaque, const struct dispatch_report *report); /* NULL: nobody looks */
    void *opaque;
    /* A device or a hole was touched since the engine last cleared this: time to look at pins, and a journey's end. */
    bool touched;
    /* Called after memory was written through the bus (code tracking); may be NULL. */
    void (*wrote)(void *opaque, uint64_t gpa, unsigned width);
    void *wrote_opaque;
    /* Called when a device, or a hole, is asked for something: it takes its time.  May be NULL. */
    void (*waits)(void *opaque);
    void *waits_opaque;
    struct exclusion *exclusion;       /* of this CPU's accesses; NULL: nobody else runs, or who sends has seen to it */
    const struct bus_answers *answers; /* loads from these addresses do not reach their device again; NULL: none */
};

/*
 * dispatch_access - carry out an access whose pieces are resolved.
 *
 * Loads go in ascending order.  A store's device fragments go before its memory part.  A typed transaction a
 * region does not take becomes LOAD then STORE, both LOCKED (`split`).  data is filled in for loads and atomics.
 * ERROR where any piece was a hole or a device refused: those bytes read all ones, writes there are dropped.
 * RETRY only for ENQUEUE.
 * Rules: docs/journey.md.
 */
enum transaction_result dispatch_access(struct bus *bus, struct access *access);

/* -- one transaction ------------------------------------------------------------------------------------------ */

/*
 * An access that lies in one region and that the region takes as it is needs no pieces and no split: where one of
 * these two says so and no byte is masked off, dispatch_direct() does all that dispatch_access() would.
 */
static inline bool dispatch_may_be_direct(const struct bus *bus)
{
    return bus->policy == &split_whole && !bus->observe && !bus->answers && !log_on(LOG_ACCESS);
}

static inline bool dispatch_is_direct(const struct bus *bus, const struct region *region, uint64_t offset, unsigned width)
{
    return dispatch_may_be_direct(bus) && region_takes(&region->ops->limits, offset, width);
}

/* For the atomics and DIRECT_STORE, of which a region says itself what it takes. */
static inline bool dispatch_is_direct_typed(const struct bus *bus, const struct region *region,
                                            const struct transaction *t)
{
    const struct region_limits *limits = &region->ops->limits;

    if (!dispatch_may_be_direct(bus) || !(limits->types >> t->type & 1))
        return false;
    if (t->type == TRANSACTION_DIRECT_STORE)
        return region_takes(limits, t->offset, t->width);
    return bits_is_pow2(t->width) && limits->atomic_widths & t->width && !(t->offset & (t->width - 1u));
}

/* With nothing in its data. */
static inline void transaction_begin(struct transaction *t, enum transaction_type type, uint64_t offset, unsigned width)
{
    t->type = type;
    t->width = (uint8_t)width;
    t->flags = 0;
    t->offset = offset;
    t->enables = bits_mask(width);
    t->data = t->compare = (union wide){ 0 };
}

/* The callback itself.  A region without one for this direction reads all ones and drops writes. */
static inline enum transaction_result dispatch_call(struct region *region, struct transaction *t)
{
    const struct region_ops *ops = region->ops;

    if (ops->transact)
        return ops->transact(region->state, t);
    if (t->type == TRANSACTION_LOAD && ops->read) {
        t->data.q[0] = bits_trunc(ops->read(region->state, t->offset, t->width), t->width);
        return TRANSACTION_OK;
    }
    if (t->type == TRANSACTION_STORE && ops->write) {
        ops->write(region->state, t->offset, t->width, t->data.q[0]);
        return TRANSACTION_OK;
    }
    return TRANSACTION_ERROR;
}

static inline bool dispatch_is_atomic(enum transaction_type type)
{
    return type == TRANSACTION_FETCH_ADD || type == TRANSACTION_SWAP || type == TRANSACTION_COMPARE_SWAP;
}

/* Writes no more than it must: a device may load all of `origin` at once, which has to wait for narrow stores. */
static inline void dispatch_note_single(struct bus *bus)
{
    bus->touched = true;
    if (bus->waits)
        bus->waits(bus->waits_opaque);
    if (unlikely(bus->origin.fragments != 1 || bus->origin.fragment)) {
        bus->origin.fragment = 0;
        bus->origin.fragments = 1;
    }
}

/* The callback, and all ones where it refuses.  The map may be another one afterwards. */
static inline enum transaction_result dispatch_direct(struct bus *bus, struct region *region, struct transaction *t)
{
    enum transaction_result result;

    exclusion_devices(bus->exclusion, true);
    dispatch_note_single(bus);
    t->origin = &bus->origin;
    result = dispatch_call(region, t);
    exclusion_devices(bus->exclusion, false);
    if (unlikely(result == TRANSACTION_ERROR) && (t->type == TRANSACTION_LOAD || dispatch_is_atomic(t->type)))
        memset(&t->data, 0xff, t->width);
    return result;
}

/* LOAD and STORE of up to 8 bytes as a transaction. */
uint64_t dispatch_load_typed(struct bus *bus, struct region *region, uint64_t offset, unsigned width);
void dispatch_store_typed(struct bus *bus, struct region *region, uint64_t offset, unsigned width, uint64_t value);

/* The same, but a device of plain registers gets no transaction at all. */
static inline uint64_t dispatch_load_word(struct bus *bus, struct region *region, uint64_t offset, unsigned width)
{
    const struct region_ops *ops = region->ops;
    uint64_t value = UINT64_MAX;

    if (ops->transact)
        return dispatch_load_typed(bus, region, offset, width);
    exclusion_devices(bus->exclusion, true);
    dispatch_note_single(bus);
    if (ops->read)
        value = ops->read(region->state, offset, width);
    exclusion_devices(bus->exclusion, false);
    return bits_trunc(value, width);
}

static inline void dispatch_store_word(struct bus *bus, struct region *region, uint64_t offset, unsigned width, uint64_t value)
{
    const struct region_ops *ops = region->ops;

    if (ops->transact) {
        dispatch_store_typed(bus, region, offset, width, value);
        return;
    }
    exclusion_devices(bus->exclusion, true);
    dispatch_note_single(bus);
    if (ops->write)
        ops->write(region->state, offset, width, bits_trunc(value, width));
    exclusion_devices(bus->exclusion, false);
}

/* -- from outside the page tables ----------------------------------------------------------------------------- */

/* dispatch_access() for a physical address or port, resolved here: KVM exits, DMA, IN and OUT. */
enum transaction_result dispatch_physical(struct bus *bus, struct access *access, uint64_t gpa);

#endif
