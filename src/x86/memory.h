/*
 * memory.h - what both soft engines do out of line: loads, stores, atomics and divisions of the guest.
 *
 * An engine's inline code has looked at the TLB and did not find plain memory, or does not look at all.  Before a call
 * cpu.rip and bus.origin.rip are the instruction's.  False: vcpu->fault is set and nothing has happened.  A device may
 * have been touched (bus.touched), and with it anything may have changed but this CPU's registers.
 */
#ifndef X86_MEMORY_H
#define X86_MEMORY_H

#include "ir/ir.h"
#include "vcpu.h"

#include <string.h>

/* How an operand is accessed.  Eight bytes, so that generated code passes it as one constant. */
struct memory_shape {
    uint8_t width;   /* bytes: 1, 2, 4, 8; wide: 1..64 */
    uint8_t form;    /* enum access_form */
    uint8_t kind;    /* enum atomic_kind */
    uint8_t flags;   /* enum ldx_flags */
    bool to_write;   /* a load whose store follows: the page must be writable */
    uint8_t unused[3];
};

_Static_assert(sizeof(struct memory_shape) == 8, "one register");

/* What an access came to: false is a fault. */
enum memory_way { MEMORY_FAULT, MEMORY_PLAIN /* one page of plain memory, which the TLB knows */, MEMORY_REGION, MEMORY_ANY };

/*
 * Where an instruction met a region that takes its accesses as they are: as long as the TLB has not been flushed since, one
 * to the page goes there without a look at it.  All zero: nowhere yet.
 */
struct memory_spot {
    uint64_t page, flushes;  /* linear address; mmu.flushes then */
    struct region *region;
    uint64_t offset;         /* of the page within it */
    uint16_t last;           /* where in the page an access may begin, and no later */
    uint16_t odd;            /* bits of an offset that have to be zero */
};

/* The region, if it takes this access as it is, and where in it; else NULL.  Not where alignment is checked. */
static inline struct region *memory_spot_region(const struct vcpu *v, const struct memory_spot *spot, uint64_t gva, uint64_t *offset)
{
    uint64_t into = gva - spot->page;

    *offset = spot->offset + into;
    if (into > spot->last || into & spot->odd || spot->flushes != v->mmu.flushes || !dispatch_may_be_direct(&v->bus))
        return NULL;
    return spot->region;
}

/* Keeps where an access has gone, if that is such a region. */
void memory_spot_keep(const struct vcpu *v, struct memory_spot *spot, uint64_t gva, struct memory_shape shape);

/* Up to 8 bytes; a load is zero-extended. */
enum memory_way guest_load(struct vcpu *v, uint64_t gva, struct memory_shape shape, uint64_t *value);
enum memory_way guest_store(struct vcpu *v, uint64_t gva, struct memory_shape shape, uint64_t value);

/* 1..64 bytes between the guest and `state`. */
enum memory_way guest_load_wide(struct vcpu *v, uint64_t gva, struct memory_shape shape, void *state);
enum memory_way guest_store_wide(struct vcpu *v, uint64_t gva, struct memory_shape shape, const void *state);

/* Constant sizes, which the compiler does not call a function for. */
static inline void memory_copy(void *to, const void *from, unsigned width)
{
    switch (width) {
    case 1: memcpy(to, from, 1); break;
    case 2: memcpy(to, from, 2); break;
    case 4: memcpy(to, from, 4); break;
    case 8: memcpy(to, from, 8); break;
    case 16: memcpy(to, from, 16); break;
    case 32: memcpy(to, from, 32); break;
    case 64: memcpy(to, from, 64); break;
    default: memcpy(to, from, width); break;
    }
}

static inline uint16_t memory_flags(struct memory_shape shape)
{
    return shape.flags & LDX_NON_TEMPORAL ? TRANSACTION_NON_TEMPORAL : 0;
}

/* The same where the region is known. */
static inline void region_load_wide(struct vcpu *v, struct region *region, uint64_t offset, struct memory_shape shape, void *state)
{
    struct transaction t;

    transaction_begin(&t, TRANSACTION_LOAD, offset, shape.width);
    t.flags = memory_flags(shape);
    dispatch_direct(&v->bus, region, &t);
    memory_copy(state, &t.data, shape.width);
}

static inline void region_store_wide(struct vcpu *v, struct region *region, uint64_t offset, struct memory_shape shape, const void *state)
{
    struct transaction t;

    transaction_begin(&t, TRANSACTION_STORE, offset, shape.width);
    t.flags = memory_flags(shape);
    memory_copy(&t.data, state, shape.width);
    dispatch_direct(&v->bus, region, &t);
}

/*
 * guest_atomic - a locked read-modify-write of 1, 2, 4 or 8 bytes; *old is what was there.
 *
 * operand    what is added, stored, ...; ignored by ATOMIC_NEG
 * compare    ATOMIC_CMPXCHG alone: `operand` is stored where this is found
 */
bool guest_atomic(struct vcpu *v, uint64_t gva, struct memory_shape shape, uint64_t operand, uint64_t compare,
                  uint64_t *old);

/* The same on memory of the host.  Atomic where it is aligned to its width. */
uint64_t memory_atomic(void *host, struct memory_shape shape, uint64_t operand, uint64_t compare);

/* DIV and IDIV of the accumulator by `width` bytes: #DE is false. */
bool guest_divide(struct vcpu *v, uint64_t by, unsigned width);
bool guest_divide_signed(struct vcpu *v, uint64_t by, unsigned width);

#endif
