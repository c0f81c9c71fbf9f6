/*
 * vop.h - vector operations: what an instruction computes from its operands, in portable C, one row each in vops.def.
 *
 * An operation is a function of a struct vec_call: it reads a, b, c and imm and writes r.  vop.c does what all have in
 * common: it finds the operands, repeats a broadcast element, merges by mask, zeroes what VEX and EVEX zero.
 */
#ifndef X86_VOP_H
#define X86_VOP_H

#include "vcpu.h"
#include "x86/vec.h"

enum vop_result {
    RESULT_LANES,   /* a vector of lanes: masked by lane */
    RESULT_SCALAR,  /* lane 0; the rest of 16 bytes comes from a, or stays with VOP_REST */
    RESULT_BITS,    /* r.q[0], a bit a lane, to an opmask register; what the mask leaves out becomes 0 */
    RESULT_OPMASK,  /* r.q[0], `width` bytes of it, to an opmask register */
    RESULT_GENERAL, /* `general` */
    RESULT_FLAGS,   /* `flags` */
};

enum vop_flags {
    VOP_UNARY = 1,      /* of one source, b; an immediate does not count */
    VOP_DEST = 2,       /* r is a source too: the destination's old value */
    VOP_ALL = 4,        /* the memory operand is read whole whatever the mask (SDM 2 exception types with NF) */
    VOP_UNALIGNED = 8,  /* the legacy form wants no alignment */
    VOP_FLOAT = 16,     /* looks at MXCSR, may raise #XM */
    VOP_XMM0 = 32,      /* the legacy form has XMM0 as c */
    VOP_GENERAL = 64,   /* b is a general register or a word of memory: `general` */
    VOP_REGISTERS = 128, /* looks at or changes registers that are no operands */
    VOP_REST = 256,     /* what a scalar's result leaves of 16 bytes stays as it is */
};

struct vec_call {
    struct vcpu *v;
    union vec_word word;
    const union wide *a, *b, *c; /* never r */
    union wide r;                /* the destination's old value; the result */
    unsigned width;              /* bytes of the vector that the instruction names: 8 (MMX), 16, 32, 64; or of the opmask */
    unsigned out;                /* bytes of the result: what stands above them becomes zero, with legacy forms up to width */
    unsigned lanes;              /* of the result */
    uint64_t active;             /* those that the mask leaves: the others may be computed or not; more may be added */
    uint8_t imm;
    uint64_t general;            /* a general register's value, in or out */
    uint64_t flags;              /* RESULT_FLAGS: the arithmetic flags as in RFLAGS */
    uint32_t raised;             /* VOP_FLOAT: exceptions as in MXCSR bits 0 to 5 */
};

typedef void vop_function(struct vec_call *c);

struct vop {
    const char *name;
    vop_function *function;
    uint8_t element;   /* bytes of a lane of the result */
    uint8_t shrink;    /* the result has 1/shrink of the vector's bytes */
    uint8_t result;    /* enum vop_result */
    uint16_t flags;    /* enum vop_flags */
};

enum vop_id {
#define VOP(name, element, shrink, result, flags) VOP_##name,
#include "x86/vops.def"
#undef VOP
    VOPS
};

_Static_assert(VOPS < 1 << 11, "struct vec_word has 11 bits for it");

extern const struct vop vops[VOPS];

#define VOP(name, element, shrink, result, flags) vop_function vop_##name;
#include "x86/vops.def"
#undef VOP

/* -- for the functions ------------------------------------------------------------------------------------------------ */

/* Lane i as an unsigned or signed number of its width: m is b, h, w or q of union wide. */
#define S8(x) ((int8_t)(x))
#define S16(x) ((int16_t)(x))
#define S32(x) ((int32_t)(x))
#define S64(x) ((int64_t)(x))

/* Bytes of the parts that PSHUFB, PACKSSWB and many others treat separately. */
static inline unsigned vop_part(const struct vec_call *c) { return (unsigned)bits_min(c->width, 16); }

/* The nearest number that has so many bits. */
static inline int64_t saturate_signed(int64_t x, unsigned bits)
{
    int64_t most = (int64_t)bits_mask(bits - 1);

    return x > most ? most : x < -most - 1 ? -most - 1 : x;
}

static inline int64_t saturate_unsigned(int64_t x, unsigned bits)
{
    int64_t most = (int64_t)bits_mask(bits);

    return x > most ? most : x < 0 ? 0 : x;
}

/* r = expression of x, lane i of a, and y, lane i of b, for all lanes of member m. */
#define LANES2(name, m, expression)                                                                                    \
    void vop_##name(struct vec_call *c)                                                                                \
    {                                                                                                                  \
        for (unsigned i = 0; i < c->width / sizeof(c->r.m[0]); i++) {                                                  \
            __typeof__(c->r.m[0]) x = c->a->m[i], y = c->b->m[i];                                                      \
            c->r.m[i] = (__typeof__(c->r.m[0]))(expression);                                                           \
        }                                                                                                              \
    }

/* r = expression of y, lane i of b. */
#define LANES1(name, m, expression)                                                                                    \
    void vop_##name(struct vec_call *c)                                                                                \
    {                                                                                                                  \
        for (unsigned i = 0; i < c->width / sizeof(c->r.m[0]); i++) {                                                  \
            __typeof__(c->r.m[0]) y = c->b->m[i];                                                                      \
            c->r.m[i] = (__typeof__(c->r.m[0]))(expression);                                                           \
        }                                                                                                              \
    }

#endif
