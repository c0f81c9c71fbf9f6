/* window.h - which accesses of a block can share one look at the page: the plan. */
#ifndef JIT_WINDOW_H
#define JIT_WINDOW_H

#include "ir/ir.h"

enum { WINDOWS = 64, WINDOW_BYTES = 2048, NO_WINDOW = 0xff };

/*
 * A stretch of guest memory that several instructions' accesses lie in.  The first of them leads: it makes sure that
 * [its address + low, + size) is plain memory in one stretch of the host's.  Its address is taken without an index that is
 * small.
 */
struct window {
    int32_t low;
    uint16_t size;
    uint16_t leader, last; /* operations */
    uint16_t insns;        /* how many have a part in it */
    uint8_t aligned;       /* bytes that the leader is aligned to, or the block is left; 0: it need not be */
    bool write;            /* some of them write */
    bool whole;            /* the host's address of `low` has to be kept; else its distance from the guest's is enough */
};

/* One access. */
struct reach {
    uint8_t window;        /* or NO_WINDOW: it looks for itself */
    bool small;            /* its address has an index that counts as part of `size` ... */
    bool small_first;      /* ... and is the first operand of the LEA that it folds */
    int32_t offset;        /* from the window's `low` */
};

struct window_plan {
    unsigned windows;
    struct window window[WINDOWS];
    struct reach reach[IR_OPS];
};

/*
 * window_plan - plans a block's windows, and marks its operations accordingly (enum ir_cover).
 *
 * bytes   the longest window, up to WINDOW_BYTES; 0: none, every access looks for itself
 * fold    accesses take over the LEA that makes their address (ir_folds_address)
 */
void window_plan(struct window_plan *plan, struct ir_block *ir, unsigned bytes, bool fold);

#endif
