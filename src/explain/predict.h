/*
 * predict.h - what a peer's devices would see of one whole instruction.
 *
 * split() knows one operand; some habits of peers concern several: the order of two operands, a port read between a
 * phantom and a store, elements merged into one.  This puts the operands' fragments in the peer's order.
 * Evidence: tests/vectors/; held to it by tests/unit/test_vectors.c.
 */
#ifndef EXPLAIN_PREDICT_H
#define EXPLAIN_PREDICT_H

#include "cpu.h"
#include "split.h"
#include "x86/decode.h"

enum { PREDICT_STEPS = 1024, PREDICT_ACCESSES = 256 };

struct predict_step {
    bool port, phantom;
    enum transaction_type type;
    uint64_t address;  /* linear, or the port */
    uint8_t width;
    uint16_t count;    /* port elements in one go (KVM); else 1 */
};

/* gives_up as in split_list: the steps are what is seen before. */
struct prediction {
    unsigned n;
    bool gives_up;
    struct predict_step step[PREDICT_STEPS];
};

/*
 * predict - one instruction as `peer` would carry it out.
 *
 * insn     decoded
 * before   the state it began in
 * access   its `n` accesses that involve a device, ports and hints, resolved, in architectural order
 * arg      of the policy, where it has one
 * Only KVM, QEMU, Bochs and Unicorn have such habits; for the other policies this is split() of each access.
 */
void predict(const struct split_policy *peer, unsigned arg, const struct insn *insn, const struct cpu *before,
             const struct access *access, unsigned n, struct prediction *out);

/*
 * predict_recut - cuts each step once more, as QEMU does with KVM's exits (memory_access_size): naturally, at offsets
 * in the region that `limits` describes; ports byte by byte.
 */
void predict_recut(struct prediction *p, const struct region_limits *limits);

/* Drops what QEMU's `valid.min_access_size` refuses: narrower steps, and unaligned ones. */
void predict_drop_invalid(struct prediction *p, unsigned min_bytes);

#endif
