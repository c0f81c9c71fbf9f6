/*
 * vop_float.h - floating point of vector operations: formats, MXCSR, special operands, rounding.
 *
 * A number is its bits in a uint64_t, and its format stands beside it.  Arithmetic is the host's, by C's operators;
 * what the standard leaves open is decided here: which NaN is the result, denormals, what is raised before what.
 *
 * Spec: SDM 1 4.8.3 (special values), 10.2.3 (MXCSR), 11.5 (SIMD floating-point exceptions).
 */
#ifndef X86_VOP_FLOAT_H
#define X86_VOP_FLOAT_H

#include "x86/vop.h"

#ifdef __SSE2__
#include <xmmintrin.h>
#else
#include <fenv.h>
#endif

/* -- MXCSR --------------------------------------------------------------------------------------------------------- */

enum { FP_I = 1, FP_D = 2, FP_Z = 4, FP_O = 8, FP_U = 16, FP_P = 32, FP_BEFORE = FP_I | FP_D | FP_Z /* computing */,
       FP_ALL = 0x3f, MXCSR_DAZ = 1 << 6, MXCSR_MASKS_SHIFT = 7, MXCSR_RC_SHIFT = 13, MXCSR_FTZ = 1 << 15 };

enum fp_rounding { ROUND_NEAREST, ROUND_DOWN, ROUND_UP, ROUND_ZERO };

/* What one instruction is under. */
struct fp {
    unsigned rounding;         /* enum fp_rounding */
    uint32_t masks;            /* bits as in `raised` */
    bool daz, ftz;             /* ftz: and underflow is masked */
    uint32_t raised;
};

struct fp fp_begin(const struct vec_call *c);

/* What was raised into the call: nothing found after computing where what was found before is not masked. */
void fp_end(struct vec_call *c, const struct fp *s);

/* -- formats ------------------------------------------------------------------------------------------------------- */

struct fp_format {
    uint8_t bytes, fraction;   /* the latter in bits */
    uint16_t top;              /* the exponent of infinities and NaNs, biased */
};

static const struct fp_format fp16 = { 2, 10, 31 }, fp_bf16 = { 2, 7, 255 }, fp32 = { 4, 23, 255 }, fp64 = { 8, 52, 2047 };

typedef const struct fp_format *fp_format;

static inline uint64_t fp_sign_bit(fp_format f) { return UINT64_C(1) << (f->bytes * 8 - 1); }
static inline uint64_t fp_magnitude(fp_format f, uint64_t x) { return x & (fp_sign_bit(f) - 1); }
static inline uint64_t fp_sign(fp_format f, uint64_t x) { return x & fp_sign_bit(f); }
static inline uint64_t fp_infinity(fp_format f) { return (uint64_t)f->top << f->fraction; }
static inline uint64_t fp_smallest_normal(fp_format f) { return UINT64_C(1) << f->fraction; }
static inline uint64_t fp_quiet_bit(fp_format f) { return UINT64_C(1) << (f->fraction - 1); }
static inline uint64_t fp_default_nan(fp_format f) { return fp_sign_bit(f) | fp_infinity(f) | fp_quiet_bit(f); }
static inline int fp_bias(fp_format f) { return f->top / 2; }
static inline uint64_t fp_one(fp_format f) { return (uint64_t)fp_bias(f) << f->fraction; }

static inline bool fp_is_nan(fp_format f, uint64_t x) { return fp_magnitude(f, x) > fp_infinity(f); }
static inline bool fp_is_signalling(fp_format f, uint64_t x) { return fp_is_nan(f, x) && !(x & fp_quiet_bit(f)); }
static inline bool fp_is_infinity(fp_format f, uint64_t x) { return fp_magnitude(f, x) == fp_infinity(f); }
static inline bool fp_is_zero(fp_format f, uint64_t x) { return !fp_magnitude(f, x); }
static inline bool fp_is_denormal(fp_format f, uint64_t x) { return fp_magnitude(f, x) - 1 < fp_smallest_normal(f) - 1; }

/* Lane i. */
static inline uint64_t fp_get(fp_format f, const union wide *w, unsigned i)
{
    return f->bytes == 4 ? w->w[i] : f->bytes == 8 ? w->q[i] : w->h[i];
}

static inline void fp_put(fp_format f, union wide *w, unsigned i, uint64_t x)
{
    if (f->bytes == 4)
        w->w[i] = (uint32_t)x;
    else if (f->bytes == 8)
        w->q[i] = x;
    else
        w->h[i] = (uint16_t)x;
}

#define EACH_ACTIVE(c, i) (unsigned i = 0; i < (c)->lanes; i++) if ((c)->active >> i & 1)

/* -- operands ------------------------------------------------------------------------------------------------------ */

/* A denormal as DAZ has it. */
static inline uint64_t fp_flush(const struct fp *s, fp_format f, uint64_t x)
{
    return s->daz && fp_is_denormal(f, x) ? fp_sign(f, x) : x;
}

/* The same, and a denormal that stays one is an exception. */
static inline uint64_t fp_operand(struct fp *s, fp_format f, uint64_t x)
{
    if (!fp_is_denormal(f, x))
        return x;
    if (s->daz)
        return fp_sign(f, x);
    s->raised |= FP_D;
    return x;
}

/* A NaN as a result. */
static inline uint64_t fp_quiet(struct fp *s, fp_format f, uint64_t x)
{
    if (!(x & fp_quiet_bit(f)))
        s->raised |= FP_I;
    return x | fp_quiet_bit(f);
}

static inline uint64_t fp_invalid(struct fp *s, fp_format f)
{
    s->raised |= FP_I;
    return fp_default_nan(f);
}

/* The first that is a NaN is the result; any that is a signalling one is an exception (SDM 1 table 4-7). */
static inline uint64_t fp_nan2(struct fp *s, fp_format f, uint64_t x, uint64_t y)
{
    if (fp_is_signalling(f, x) || fp_is_signalling(f, y))
        s->raised |= FP_I;
    return (fp_is_nan(f, x) ? x : y) | fp_quiet_bit(f);
}

/* Neither is a NaN: -1, 0, 1. */
static inline int fp_order(fp_format f, uint64_t x, uint64_t y)
{
    int64_t a = (int64_t)fp_magnitude(f, x), b = (int64_t)fp_magnitude(f, y);

    a = fp_sign(f, x) ? -a : a;
    b = fp_sign(f, y) ? -b : b;
    return (a > b) - (a < b);
}

/* -- arithmetic: vop_float.c --------------------------------------------------------------------------------------- */

/* On bits, by the host; not on NaNs. */
typedef uint64_t fp_operation(uint64_t x, uint64_t y, uint64_t z);

/* x + y, x - y and so on; between fp_host_begin() and fp_host_end(). */
uint64_t fp_add(struct fp *s, fp_format f, uint64_t x, uint64_t y);
uint64_t fp_subtract(struct fp *s, fp_format f, uint64_t x, uint64_t y);
uint64_t fp_fused(struct fp *s, fp_format f, uint64_t x, uint64_t y, uint64_t z); /* x * y + z */

/* The host computes as `s` says; and no longer, what it raised is in `s`. */
void fp_host_begin(const struct fp *s);
void fp_host_end(struct fp *s);

/*
 * significand * 2^exponent, negative if `sign` has the format's sign bit, rounded; the lowest bit of the significand
 * also stands for what is below it.
 * Here and below: vop_convert.c.
 */
uint64_t fp_pack(struct fp *s, fp_format f, uint64_t sign, int exponent, uint64_t significand);

/* To an integer, or so that `bits` of the fraction stay; imm: rounding, 4: MXCSR's, 8: inexact is no exception. */
uint64_t fp_round(struct fp *s, fp_format f, uint64_t x, unsigned imm, int bits);

/* A number that is not infinite and no NaN as the same. */
struct fp_number { uint64_t sign, significand; int exponent; };

static inline struct fp_number fp_unpack(fp_format f, uint64_t x)
{
    unsigned biased = (unsigned)(fp_magnitude(f, x) >> f->fraction);
    uint64_t fraction = x & (fp_smallest_normal(f) - 1);

    return (struct fp_number){ .sign = fp_sign(f, x), .significand = fraction | (biased ? fp_smallest_normal(f) : 0),
                               .exponent = (int)(biased ? biased : 1) - fp_bias(f) - f->fraction };
}

#endif
