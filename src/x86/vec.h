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
        uint64_t reg : 6;         /* the data: enum vec_place, a vector register or scratch */
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

/* A vector operation with its operands: the imm of HELP_vop. */
union vec_word {
    struct {
        uint64_t op : 11;         /* enum vop_id */
        uint64_t d : 6;           /* enum vec_place */
        uint64_t a : 6;
        uint64_t b : 6;
        uint64_t c : 6;
        uint64_t mask : 3;        /* opmask register; 0: all lanes */
        uint64_t zeroing : 1;
        uint64_t width : 3;       /* the vector */
        uint64_t imm8 : 8;
        uint64_t rounding : 3;    /* 4 + mode: in place of MXCSR's; 0: MXCSR's */
        uint64_t suppress : 1;    /* of exceptions (SAE) */
        uint64_t broadcast : 1;   /* b is one element, to be repeated */
        uint64_t unit : 3;        /* ... of this size; the size of a general register */
        uint64_t keep : 1;        /* legacy forms: what is above the result stays */
        uint64_t scalar : 1;      /* lane 0 alone; see RESULT_SCALAR */
    };
    int64_t imm;
};

_Static_assert(sizeof(union vec_word) == 8, "the same");

/* Where a vector operation finds its operands: a register by its number plus one of these, or scratch. */
enum vec_place { PLACE_VECTOR = 0, PLACE_SCRATCH = 32, PLACE_MMX = 40, PLACE_MASK = 48, PLACE_NONE = 63 };

static inline unsigned vec_place_offset(unsigned place)
{
    return (unsigned)(place < PLACE_SCRATCH ? offsetof(struct cpu, zmm) + place * sizeof(union wide)
                    : place < PLACE_MMX     ? offsetof(struct cpu, scratch)
                    : place < PLACE_MASK    ? offsetof(struct cpu, x87.significand) + (place - PLACE_MMX) * 8
                                            : offsetof(struct cpu, k) + (place - PLACE_MASK) * 8);
}

/* A helper's `imm` that names bytes of struct cpu. */
static inline int64_t vec_state(uint32_t at, unsigned width) { return at | (int64_t)width << 32; }

enum vec_dup { VEC_DUP_ODD, VEC_DUP_EVEN, VEC_DUP_DOUBLE };

/* Arguments of the vector rows in insns.def: a lane's bytes, and these; or a lane's bytes << 8 and a part's. */
enum { VEC_ALIGNED = 0x10, VEC_NON_TEMPORAL = 0x20 };

#endif
