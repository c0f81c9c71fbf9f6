/* fetch.h - guest code for the soft engines. */
#ifndef X86_FETCH_H
#define X86_FETCH_H

#include "vcpu.h"
#include "x86/lift.h"

/* Where a block's bytes came from. */
struct fetched {
    uint64_t gpa[2];  /* physical pages, in order; the second may equal the first */
    bool uncached;    /* some byte did not come from plain memory: good for one run */
};

/*
 * fetch_block - lift from the current RIP on, in the current mode.
 *
 * limit    at most so many instructions
 * history  to go on across jumps (struct lift_source); or NULL
 * Returns the number of instructions; 0 with vcpu->fault set when not even one could be fetched.
 */
unsigned fetch_block(struct vcpu *v, struct ir_block *ir, unsigned limit, const struct history *history,
                     struct fetched *out);

/* After the block's bytes have been marked as code: has no other CPU written to them meanwhile? */
bool fetch_holds(struct vcpu *v, const struct ir_block *ir, const struct fetched *f);

#endif
