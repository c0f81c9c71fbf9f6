/*
 * dispatch.h - stop 5: a resolved access becomes transactions its regions take.
 */
#ifndef SOFTMMU_DISPATCH_H
#define SOFTMMU_DISPATCH_H

#include "phys.h"
#include "split.h"
#include "types.h"

/* What an observer (the trace) is shown, once per access and after its last fragment. */
struct dispatch_report {
    const struct access *access;       /* data: as loaded or stored; the old value for atomics */
    const union wide *operand;         /* data as it came in: the addend or new value of an atomic */
    const struct split_list *split;
    const enum transaction_result *result; /* one per fragment */
    enum transaction_result whole;
    const struct origin *origin;
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
    /* A device has been touched since the engine last cleared this: time to look at interrupt pins. */
    bool touched;
    /* Called after memory was written through the bus (code tracking); may be NULL. */
    void (*wrote)(void *opaque, uint64_t gpa, unsigned width);
    void *wrote_opaque;
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

/* The same for a physical address or port, from outside the page tables: KVM exits, DMA, IN and OUT. */
enum transaction_result dispatch_physical(struct bus *bus, struct access *access, uint64_t gpa);

#endif
