/*
 * vop_float.c - floating-point arithmetic and comparison of vectors.
 *
 * Spec: SDM 2, each instruction's page; SDM 1 11.5.2 (exceptions and their priority), 14.5 (fused operations).
 */
#include "x86/vop_float.h"

#include <math.h>
#include <string.h>

/* -- MXCSR --------------------------------------------------------------------------------------------------------- */

struct fp fp_begin(const struct vec_call *c)
{
    uint32_t mxcsr = c->v->cpu.mxcsr, masks = c->word.suppress ? FP_ALL : mxcsr >> MXCSR_MASKS_SHIFT & FP_ALL;

    return (struct fp){ .rounding = c->word.rounding ? c->word.rounding & 3 : mxcsr >> MXCSR_RC_SHIFT & 3, .masks = masks,
                        .daz = mxcsr & MXCSR_DAZ, .ftz = mxcsr & MXCSR_FTZ && masks & FP_U };
}

void fp_end(struct vec_call *c, const struct fp *s)
{
    c->raised = s->raised & FP_BEFORE & ~s->masks ? s->raised & FP_BEFORE : s->raised;
}

/* One copy for each format: its constants are known then, which more than doubles the speed. */
#define EACH_FORMAT static inline __attribute__((always_inline))

/* -- the host's arithmetic --------------------------------------------------------------------------------------------
 * The host rounds as it is told and keeps what it raised.  Operands and results of operations are volatile, so that
 * none moves to where it is told something else.  Assumed of it: underflow means a result that is tiny after rounding,
 * and not exact.
 */
#ifdef __SSE2__
static void host_set(unsigned rounding) { _mm_setcsr(FP_ALL << MXCSR_MASKS_SHIFT | rounding << MXCSR_RC_SHIFT); }

static uint32_t host_raised(void) { return _mm_getcsr() & FP_ALL & ~(uint32_t)FP_D; }
#else
static void host_set(unsigned rounding)
{
    static const int mode[] = { FE_TONEAREST, FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO };

    fesetround(mode[rounding]);
    feclearexcept(FE_ALL_EXCEPT);
}

static uint32_t host_raised(void)
{
    int e = fetestexcept(FE_ALL_EXCEPT);

    return (e & FE_INVALID ? FP_I : 0u) | (e & FE_DIVBYZERO ? FP_Z : 0u) | (e & FE_OVERFLOW ? FP_O : 0u) |
           (e & FE_UNDERFLOW ? FP_U : 0u) | (e & FE_INEXACT ? FP_P : 0u);
}
#endif

void fp_host_begin(const struct fp *s) { host_set(s->rounding); }

void fp_host_end(struct fp *s)
{
    s->raised |= host_raised();
    host_set(ROUND_NEAREST);
}

union bits32 { uint32_t bits; float number; };
union bits64 { uint64_t bits; double number; };

/* The operation, from operands x, y and z, in both formats; not every one looks at all of them. */
#define OPERATION(name, expression32, expression64)                                                                    \
    static uint64_t name##32(uint64_t a, uint64_t b, uint64_t c)                                                       \
    {                                                                                                                  \
        volatile float x = ((union bits32){ (uint32_t)a }).number;                                                     \
        volatile float y __attribute__((unused)) = ((union bits32){ (uint32_t)b }).number;                             \
        volatile float z __attribute__((unused)) = ((union bits32){ (uint32_t)c }).number, r = expression32;           \
        return ((union bits32){ .number = r }).bits;                                                                   \
    }                                                                                                                  \
    static uint64_t name##64(uint64_t a, uint64_t b, uint64_t c)                                                       \
    {                                                                                                                  \
        volatile double x = ((union bits64){ a }).number;                                                              \
        volatile double y __attribute__((unused)) = ((union bits64){ b }).number;                                      \
        volatile double z __attribute__((unused)) = ((union bits64){ c }).number, r = expression64;                    \
        return ((union bits64){ .number = r }).bits;                                                                   \
    }

OPERATION(add, x + y, x + y)
OPERATION(subtract, x - y, x - y)
OPERATION(multiply, x * y, x * y)
OPERATION(divide, x / y, x / y)
OPERATION(square_root, sqrtf(x), sqrt(x))
OPERATION(fused, fmaf(x, y, z), fma(x, y, z))

/* What this one raises, which is not in `s` then. */
static uint32_t raises(struct fp *s, fp_operation *op, uint64_t x, uint64_t y, uint64_t z)
{
    uint32_t raised;

    s->raised |= host_raised();
    host_set(s->rounding);
    op(x, y, z);
    raised = host_raised();
    host_set(s->rounding);
    return raised;
}

/* The same number but for its exponent, which is 0; how much less that is. */
static uint64_t without_exponent(fp_format f, uint64_t x, int *exponent)
{
    struct fp_number n = fp_unpack(f, x);
    int shift = __builtin_clzll(n.significand | 1) - (63 - f->fraction);

    *exponent += n.exponent - shift + f->fraction;
    return n.sign | fp_one(f) | (n.significand << shift & (fp_smallest_normal(f) - 1));
}

/* The addend's exponent as far as it matters: far away, one is as good as another. */
static uint64_t with_exponent(fp_format f, uint64_t x, int exponent)
{
    int far = 3 * f->fraction;

    exponent = exponent > far ? far : exponent < -far ? -far : exponent;
    return x + ((uint64_t)(int64_t)exponent << f->fraction);
}

/* Is the result rounded, if exponents had no limits?  Of numbers that are not infinite (SDM 1 4.9.1.4, 4.9.1.5). */
static bool rounds(struct fp *s, fp_format f, fp_operation *op, uint64_t x, uint64_t y, uint64_t z)
{
    fp_operation *fused = f->bytes == 4 ? fused32 : fused64;
    int product = 0, addend = 0, unused = 0;

    if (op == add32 || op == add64 || op == subtract32 || op == subtract64) {
        z = op == subtract32 || op == subtract64 ? y ^ fp_sign_bit(f) : y;
        y = fp_one(f);
        op = fused;
    }
    if (fp_is_zero(f, x) || fp_is_zero(f, y))
        return false;
    x = without_exponent(f, x, &product);
    y = without_exponent(f, y, op == fused ? &product : &unused);
    if (op == fused && !fp_is_zero(f, z)) {
        z = without_exponent(f, z, &addend);
        z = with_exponent(f, z, addend - product);
    }
    return raises(s, op, x, y, z) & FP_P;
}

/* Where overflow or underflow may be fatal, what this lane raises has to be known. */
static uint64_t compute_alone(struct fp *s, fp_format f, fp_operation *op, uint64_t x, uint64_t y, uint64_t z)
{
    uint32_t raised = raises(s, op, x, y, z);
    uint64_t r = op(x, y, z);

    host_set(s->rounding);
    if (fp_is_denormal(f, r)) /* whether it is exact or not */
        raised |= FP_U;
    if (raised & ~s->masks & (FP_O | FP_U))
        raised = (raised & ~(uint32_t)FP_P) | (rounds(s, f, op, x, y, z) ? FP_P : 0);
    else if (fp_is_denormal(f, r) && !(raised & FP_P))
        raised &= ~(uint32_t)FP_U;
    s->raised |= raised;
    return r;
}

/* Not of NaNs. */
EACH_FORMAT uint64_t compute(struct fp *s, fp_format f, fp_operation *op, uint64_t x, uint64_t y, uint64_t z)
{
    bool alone = ~s->masks & (FP_O | FP_U);
    uint64_t r = alone ? compute_alone(s, f, op, x, y, z) : op(x, y, z), magnitude = fp_magnitude(f, r);

    if (magnitude > fp_infinity(f))
        return fp_default_nan(f);
    if (!s->ftz || magnitude - 1 >= fp_smallest_normal(f))
        return r;
    if (magnitude == fp_smallest_normal(f) && !(raises(s, op, x, y, z) & FP_U))
        return r;
    s->raised |= FP_U | FP_P;
    return fp_sign(f, r);
}

EACH_FORMAT uint64_t binary(struct fp *s, fp_format f, fp_operation *op, uint64_t x, uint64_t y)
{
    if (fp_is_nan(f, x) || fp_is_nan(f, y))
        return fp_nan2(s, f, x, y);
    if ((op == divide32 || op == divide64) && fp_is_zero(f, fp_flush(s, f, y))) /* comes before a denormal operand */
        return compute(s, f, op, fp_flush(s, f, x), fp_flush(s, f, y), 0);
    x = fp_operand(s, f, x);
    y = fp_operand(s, f, y);
    return compute(s, f, op, x, y, 0);
}

uint64_t fp_add(struct fp *s, fp_format f, uint64_t x, uint64_t y) { return binary(s, f, f->bytes == 4 ? add32 : add64, x, y); }

uint64_t fp_subtract(struct fp *s, fp_format f, uint64_t x, uint64_t y)
{
    return binary(s, f, f->bytes == 4 ? subtract32 : subtract64, x, y);
}

/* -- lane by lane -------------------------------------------------------------------------------------------------- */

EACH_FORMAT void arithmetic(struct vec_call *c, fp_format f, fp_operation *op)
{
    struct fp s = fp_begin(c);

    fp_host_begin(&s);
    for EACH_ACTIVE(c, i)
        fp_put(f, &c->r, i, binary(&s, f, op, fp_get(f, c->a, i), fp_get(f, c->b, i)));
    fp_host_end(&s);
    fp_end(c, &s);
}

void vop_add_f32(struct vec_call *c) { arithmetic(c, &fp32, add32); }
void vop_add_f64(struct vec_call *c) { arithmetic(c, &fp64, add64); }
void vop_sub_f32(struct vec_call *c) { arithmetic(c, &fp32, subtract32); }
void vop_sub_f64(struct vec_call *c) { arithmetic(c, &fp64, subtract64); }
void vop_mul_f32(struct vec_call *c) { arithmetic(c, &fp32, multiply32); }
void vop_mul_f64(struct vec_call *c) { arithmetic(c, &fp64, multiply64); }
void vop_div_f32(struct vec_call *c) { arithmetic(c, &fp32, divide32); }
void vop_div_f64(struct vec_call *c) { arithmetic(c, &fp64, divide64); }

static uint64_t square_root(struct fp *s, fp_format f, uint64_t y)
{
    if (fp_is_nan(f, y))
        return fp_quiet(s, f, y);
    if (fp_sign(f, y) && !fp_is_zero(f, fp_flush(s, f, y)))
        return fp_invalid(s, f);
    return compute(s, f, f->bytes == 4 ? square_root32 : square_root64, fp_operand(s, f, y), 0, 0);
}

static void square_roots(struct vec_call *c, fp_format f)
{
    struct fp s = fp_begin(c);

    fp_host_begin(&s);
    for EACH_ACTIVE(c, i)
        fp_put(f, &c->r, i, square_root(&s, f, fp_get(f, c->b, i)));
    fp_host_end(&s);
    fp_end(c, &s);
}

void vop_sqrt_f32(struct vec_call *c) { square_roots(c, &fp32); }
void vop_sqrt_f64(struct vec_call *c) { square_roots(c, &fp64); }

/* -- lanes with their neighbours ----------------------------------------------------------------------------------- */

/* Even lanes subtract, odd ones add. */
static void add_subtract(struct vec_call *c, fp_format f)
{
    struct fp s = fp_begin(c);

    fp_host_begin(&s);
    for (unsigned i = 0; i < c->lanes; i++)
        fp_put(f, &c->r, i, (i & 1 ? fp_add : fp_subtract)(&s, f, fp_get(f, c->a, i), fp_get(f, c->b, i)));
    fp_host_end(&s);
    fp_end(c, &s);
}

void vop_addsub_f32(struct vec_call *c) { add_subtract(c, &fp32); }
void vop_addsub_f64(struct vec_call *c) { add_subtract(c, &fp64); }

/* In each 16 bytes: the pairs of a, then those of b. */
static void horizontal(struct vec_call *c, fp_format f, fp_operation *op)
{
    unsigned n = 16 / f->bytes;
    struct fp s = fp_begin(c);

    fp_host_begin(&s);
    for (unsigned i = 0; i < c->lanes; i++) {
        const union wide *from = i % n < n / 2 ? c->a : c->b;
        unsigned pair = i - i % n + i % (n / 2) * 2;

        fp_put(f, &c->r, i, binary(&s, f, op, fp_get(f, from, pair), fp_get(f, from, pair + 1)));
    }
    fp_host_end(&s);
    fp_end(c, &s);
}

void vop_hadd_f32(struct vec_call *c) { horizontal(c, &fp32, add32); }
void vop_hadd_f64(struct vec_call *c) { horizontal(c, &fp64, add64); }
void vop_hsub_f32(struct vec_call *c) { horizontal(c, &fp32, subtract32); }
void vop_hsub_f64(struct vec_call *c) { horizontal(c, &fp64, subtract64); }

/* What is found before computing hides the rest in each step; false: an exception that is not masked ends it all. */
static bool step_end(struct vec_call *c, struct fp *s)
{
    uint32_t before = c->raised;

    fp_host_end(s);
    fp_end(c, s);
    c->raised |= before;
    s->raised = 0;
    fp_host_begin(s);
    return !(c->raised & ~s->masks);
}

/* Pairs of the first n of each 4 lanes. */
static void add_pairs(struct vec_call *c, struct fp *s, fp_format f, union wide *v, unsigned n)
{
    for (unsigned at = 0; at < c->lanes; at += 16 / f->bytes)
        for (unsigned i = 0; i < n; i += 2)
            fp_put(f, v, at + i / 2, fp_add(s, f, fp_get(f, v, at + i), fp_get(f, v, at + i + 1)));
}

/* Products that immediate bits 4 to 7 choose, added in pairs, into the lanes that bits 0 to 3 choose. */
static void dot_product(struct vec_call *c, fp_format f)
{
    fp_operation *multiply = f->bytes == 4 ? multiply32 : multiply64;
    unsigned n = 16 / f->bytes;
    struct fp s = fp_begin(c);
    union wide v = { 0 };
    bool go_on;

    fp_host_begin(&s);
    for (unsigned i = 0; i < c->lanes; i++)
        if (c->imm >> (4 + i % n) & 1)
            fp_put(f, &v, i, binary(&s, f, multiply, fp_get(f, c->a, i), fp_get(f, c->b, i)));
    go_on = step_end(c, &s);
    for (unsigned pairs = n; pairs > 1 && go_on; pairs /= 2) {
        add_pairs(c, &s, f, &v, pairs);
        go_on = step_end(c, &s);
    }
    fp_host_end(&s);
    for (unsigned i = 0; i < c->lanes; i++)
        fp_put(f, &c->r, i, c->imm >> i % n & 1 ? fp_get(f, &v, i - i % n) : 0);
}

void vop_dot_f32(struct vec_call *c) { dot_product(c, &fp32); }
void vop_dot_f64(struct vec_call *c) { dot_product(c, &fp64); }

/* -- minimum, maximum: the second operand when in doubt, as it is -------------------------------------------------- */

EACH_FORMAT uint64_t extreme(struct fp *s, fp_format f, int order, uint64_t x, uint64_t y)
{
    if (fp_is_nan(f, x) || fp_is_nan(f, y)) {
        s->raised |= FP_I;
        return fp_flush(s, f, y);
    }
    x = fp_operand(s, f, x);
    y = fp_operand(s, f, y);
    return fp_order(f, x, y) == order ? x : y;
}

EACH_FORMAT void extremes(struct vec_call *c, fp_format f, int order)
{
    struct fp s = fp_begin(c);

    for EACH_ACTIVE(c, i)
        fp_put(f, &c->r, i, extreme(&s, f, order, fp_get(f, c->a, i), fp_get(f, c->b, i)));
    fp_end(c, &s);
}

void vop_min_f32(struct vec_call *c) { extremes(c, &fp32, -1); }
void vop_min_f64(struct vec_call *c) { extremes(c, &fp64, -1); }
void vop_max_f32(struct vec_call *c) { extremes(c, &fp32, 1); }
void vop_max_f64(struct vec_call *c) { extremes(c, &fp64, 1); }

/* -- comparison ---------------------------------------------------------------------------------------------------- */

enum { LESS = 1, EQUAL = 2, GREATER = 4, UNORDERED = 8 };

EACH_FORMAT unsigned compare(struct fp *s, fp_format f, uint64_t x, uint64_t y, bool signals)
{
    if (fp_is_nan(f, x) || fp_is_nan(f, y)) {
        if (signals || fp_is_signalling(f, x) || fp_is_signalling(f, y))
            s->raised |= FP_I;
        return UNORDERED;
    }
    x = fp_operand(s, f, x);
    y = fp_operand(s, f, y);
    return (unsigned)EQUAL << 1 >> (1 - fp_order(f, x, y)); /* 1, 2, 4 */
}

/* What each predicate is true for; the upper 16 differ from these in whether they signal (SDM 2 CMPPD, table 3-1). */
static const uint8_t predicates[16] = {
    EQUAL, LESS, LESS | EQUAL, UNORDERED,
    LESS | GREATER | UNORDERED, EQUAL | GREATER | UNORDERED, GREATER | UNORDERED, LESS | EQUAL | GREATER,
    EQUAL | UNORDERED, LESS | UNORDERED, LESS | EQUAL | UNORDERED, 0,
    LESS | GREATER, EQUAL | GREATER, GREATER, LESS | EQUAL | GREATER | UNORDERED,
};

/* A bit for each lane. */
EACH_FORMAT uint64_t compare_lanes(struct vec_call *c, fp_format f)
{
    unsigned p = c->imm & (c->word.keep ? 7 : 31);
    bool signals = ((p ^ p >> 1) & 1) ^ p >> 4; /* LT, LE, and all that is made of them */
    struct fp s = fp_begin(c);
    uint64_t bits = 0;

    for EACH_ACTIVE(c, i)
        bits |= (uint64_t)!!(predicates[p & 15] & compare(&s, f, fp_get(f, c->a, i), fp_get(f, c->b, i), signals)) << i;
    fp_end(c, &s);
    return bits;
}

static void compare_to_lanes(struct vec_call *c, fp_format f)
{
    uint64_t bits = compare_lanes(c, f);

    for (unsigned i = 0; i < c->lanes; i++)
        fp_put(f, &c->r, i, 0 - (bits >> i & 1));
}

void vop_compare_f32(struct vec_call *c) { compare_to_lanes(c, &fp32); }
void vop_compare_f64(struct vec_call *c) { compare_to_lanes(c, &fp64); }
void vop_compare_f32_bits(struct vec_call *c) { c->r.q[0] = compare_lanes(c, &fp32); }
void vop_compare_f64_bits(struct vec_call *c) { c->r.q[0] = compare_lanes(c, &fp64); }

static void compare_to_flags(struct vec_call *c, fp_format f, bool signals)
{
    struct fp s = fp_begin(c);
    unsigned r = compare(&s, f, fp_get(f, c->a, 0), fp_get(f, c->b, 0), signals);

    c->flags = r == UNORDERED ? FLAG_ZF | FLAG_PF | FLAG_CF : r == EQUAL ? FLAG_ZF : r == LESS ? FLAG_CF : 0;
    fp_end(c, &s);
}

void vop_comi_f32(struct vec_call *c) { compare_to_flags(c, &fp32, true); }
void vop_comi_f64(struct vec_call *c) { compare_to_flags(c, &fp64, true); }
void vop_ucomi_f32(struct vec_call *c) { compare_to_flags(c, &fp32, false); }
void vop_ucomi_f64(struct vec_call *c) { compare_to_flags(c, &fp64, false); }

/* -- fused multiply and add -------------------------------------------------------------------------------------------
 * Sources 1 (the destination), 2 and 3 are r, a and b.  The last two digits of the mnemonic say which are multiplied,
 * and the upper digit of the opcode, which is the immediate here, stands for them.
 */
enum { FMA_132 = 9, FMA_213 = 0xa, FMA_231 = 0xb };

/* By form: the sources that are multiplied, and the one that is added. */
static const uint8_t fused_order[][3] = { [FMA_132] = { 0, 2, 1 }, [FMA_213] = { 1, 0, 2 }, [FMA_231] = { 1, 2, 0 } };

/* Sign bits of the product and of the addend to change. */
EACH_FORMAT uint64_t fused_lane(struct fp *s, fp_format f, const uint64_t v[3], uint64_t product, uint64_t addend)
{
    uint32_t before = s->raised;
    uint64_t x, y, z, r;

    for (unsigned i = 0; i < 3; i++)
        if (fp_is_nan(f, v[i])) {
            for (unsigned n = 0; n < 3; n++)
                s->raised |= fp_is_signalling(f, v[n]) ? FP_I : 0;
            return v[i] | fp_quiet_bit(f);
        }
    x = fp_operand(s, f, v[0]);
    y = fp_operand(s, f, v[1]);
    z = fp_operand(s, f, v[2]);
    r = compute(s, f, f->bytes == 4 ? fused32 : fused64, x ^ product, y, z ^ addend);
    if (fp_is_nan(f, r)) /* which comes before a denormal operand */
        s->raised &= ~(uint32_t)FP_D | before;
    return r;
}

uint64_t fp_fused(struct fp *s, fp_format f, uint64_t x, uint64_t y, uint64_t z)
{
    return fused_lane(s, f, (uint64_t[]){ x, y, z }, 0, 0);
}

/* subtract: bit 0 for even lanes, bit 1 for odd ones */
EACH_FORMAT void fused_lanes(struct vec_call *c, fp_format f, bool negative, unsigned subtract)
{
    uint64_t product = negative ? fp_sign_bit(f) : 0;
    const uint8_t *order = fused_order[c->imm];
    struct fp s = fp_begin(c);

    fp_host_begin(&s);
    for EACH_ACTIVE(c, i) {
        uint64_t source[3] = { fp_get(f, &c->r, i), fp_get(f, c->a, i), fp_get(f, c->b, i) };
        uint64_t v[3] = { source[order[0]], source[order[1]], source[order[2]] };
        uint64_t addend = subtract >> (i & 1) & 1 ? fp_sign_bit(f) : 0;

        fp_put(f, &c->r, i, fused_lane(&s, f, v, product, addend));
    }
    fp_host_end(&s);
    fp_end(c, &s);
}

void vop_fmadd_f32(struct vec_call *c) { fused_lanes(c, &fp32, false, 0); }
void vop_fmadd_f64(struct vec_call *c) { fused_lanes(c, &fp64, false, 0); }
void vop_fmsub_f32(struct vec_call *c) { fused_lanes(c, &fp32, false, 3); }
void vop_fmsub_f64(struct vec_call *c) { fused_lanes(c, &fp64, false, 3); }
void vop_fnmadd_f32(struct vec_call *c) { fused_lanes(c, &fp32, true, 0); }
void vop_fnmadd_f64(struct vec_call *c) { fused_lanes(c, &fp64, true, 0); }
void vop_fnmsub_f32(struct vec_call *c) { fused_lanes(c, &fp32, true, 3); }
void vop_fnmsub_f64(struct vec_call *c) { fused_lanes(c, &fp64, true, 3); }
void vop_fmaddsub_f32(struct vec_call *c) { fused_lanes(c, &fp32, false, 1); }
void vop_fmaddsub_f64(struct vec_call *c) { fused_lanes(c, &fp64, false, 1); }
void vop_fmsubadd_f32(struct vec_call *c) { fused_lanes(c, &fp32, false, 2); }
void vop_fmsubadd_f64(struct vec_call *c) { fused_lanes(c, &fp64, false, 2); }
