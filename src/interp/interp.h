/*
 * interp.h - the interpreter: threaded execution of IR, portable C.
 *
 * A block's IR becomes an array of steps, each with the address of its code and pointers to its operands.  Blocks are
 * kept by physical address, RIP and mode, and linked to their successors.
 */
#ifndef INTERP_INTERP_H
#define INTERP_INTERP_H

#include "engine.h"
#include "ir/ir.h"
#include "vcpu.h"
#include "x86/history.h"

struct step {
    const void *go;
    uint64_t *a;
    union {
        struct { uint64_t *d, *b, *c; };
        /* Of one that can end the block and has no operands but a: where it went last time, good while the generation holds. */
        struct { struct iblock *link; uint64_t link_generation; };
    };
    int64_t imm;
    uint32_t aux;
    uint16_t insn;
    uint8_t cc, width;
    bool stack;
};

struct iblock {
    uint64_t rip, cs_base;
    uint64_t gpa[2];           /* physical pages its bytes come from; the second may equal the first */
    uint64_t flushes;          /* mmu.flushes when it was looked up last */
    struct iblock *next;       /* in its hash bucket, or on the dead list */
    uint32_t mode;
    unsigned insns;
    bool dead;                 /* its code has been written to */
    uint8_t visits;            /* from other blocks, while `patience` counts them */
    size_t bytes;
    struct iblock *page_next[2]; /* in the chains of its pages */
    struct ir_insn *insn;
    uint64_t *konst;
    struct step step[];
};

enum { HASH_BITS = 17, JUMP_BITS = 12, PAGE_HASH = 1 << 16, BLOCK_BYTES_MOST = 128 << 20 };

struct interp {
    struct phys_listener listener; /* first, so that it can be cast back */
    uint64_t memory;               /* phys_memory_generation() of the blocks */
    struct vcpu *v;
    struct iblock *hash[1 << HASH_BITS];
    struct iblock *jump[1 << JUMP_BITS]; /* by RIP: the block run there last */
    struct iblock *page[PAGE_HASH];      /* by guest-physical page: its blocks, and those of pages with the same hash */
    size_t bytes;                        /* of what is in `hash`; at BLOCK_BYTES_MOST all goes */
    struct iblock *dead;
    struct iblock *current;
    const struct step *at;     /* the step under way, when something outside may ask */
    uint64_t generation;       /* of links */
    uint64_t seen_flushes;
    struct step *armed;        /* the step that was replaced by a way out, and what it was */
    const void *armed_go;
    unsigned armed_insn;       /* out before this one */
    bool single;               /* one instruction, then out */
    uint8_t patience;          /* leave before a block that has been run from others so often; UINT8_MAX: run on */
    struct history *history;   /* of the branches it runs; NULL: nobody asks */
    /* The JIT's, for what it has translated: true when it ran something. */
    bool (*translated)(void *opaque);
    void *opaque;
};

/* Before the first of them: what all interpreters share. */
void interp_prepare(void);

/* Labels of the steps, for building blocks. */
const void *interp_label(const struct ir_op *op);

/*
 * The block at the current RIP and mode, found or made, of at most `limit` instructions; NULL with vcpu->fault set when it
 * cannot be fetched.
 */
struct iblock *interp_find(struct interp *it, unsigned limit);
void interp_free_dead(struct interp *it);
void interp_drop_all(struct interp *it);
/* Blocks in the pages of [gpa, gpa + width) go; the block under way stops before its next instruction. */
void interp_drop_written(struct interp *it, uint64_t gpa, unsigned width);

/* Makes the block under way stop before its next instruction. */
void interp_arm(struct interp *it);

/* Runs from this block on, until something wants attention; RIP and retired are true afterwards. */
void interp_execute(struct interp *it, struct iblock *block);

#endif
