/*
 * vec.h - what the vector lifters tell their helpers: one 64-bit word that names registers, lanes and widths.
 *
 * Sizes are logarithms: 0 is a byte, 6 a whole ZMM register.
 */
#ifndef X86_VEC_H
#define X86_VEC_H

#include "cpu.h"

enum vec_packing {
    VEC_LANES,     /* lane i of the register is lane i of memory; memory narrower than the register is repeated */
    VEC_PACKED,    /* VPCOMPRESS, VPEXPAND: the enabled lanes lie side by side in memory */
    VEC_PROBE_ALL, /* VEC_LANES, but a masked-off byte faults all the same (SDM 2 exception type E6NF) */
};

union vec_shape {
    struct {
        uint64_t reg : 5;         /* the data */
        uint64_t mask : 5;        /* opmask register, 0: all lanes; or a vector register */
        uint64_t by_sign : 1;     /* the mask is a vector register: its lanes' sign bits */
        uint64_t zeroing : 1;     /* masked-off lanes become zero, else they stay */
        uint64_t aligned : 1;     /* #GP unless aligned to the memory operand's size */
        uint64_t part : 2;        /* the data to store begins at this 16-byte part of `reg` */
        uint64_t segment : 3;
        uint64_t packing : 2;     /* enum vec_packing */
        uint64_t element : 3;     /* a lane */
        uint64_t memory : 3;      /* the memory operand */
        uint64_t width : 3;       /* the register's part that counts */
        /* gathers, scatters */
        uint64_t index : 5;       /* vector register; register compress and expand: the source */
        uint64_t index_element : 3;
        uint64_t scale : 2;
        uint64_t count : 5;       /* elements */
        uint64_t address_size : 4;/* bytes */
    };
    int64_t imm;
};

_Static_assert(sizeof(union vec_shape) == 8, "a shape is a helper's imm");

/* A helper's `imm` that names bytes of struct cpu. */
static inline int64_t vec_state(uint32_t at, unsigned width) { return at | (int64_t)width << 32; }

enum vec_dup { VEC_DUP_ODD, VEC_DUP_EVEN, VEC_DUP_DOUBLE };

/* Arguments of the vector rows in insns.def: a lane's bytes, and these; or a lane's bytes << 8 and a part's. */
enum { VEC_ALIGNED = 0x10, VEC_NON_TEMPORAL = 0x20 };

#endif
