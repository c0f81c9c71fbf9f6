/*
 * vop_float_avx512.c - floating-point operations that AVX-512 brought: exponents and significands taken apart, ranges,
 * special values and their classes, bfloat16.
 *
 * Spec: SDM 2, each instruction's page.
 */
#include "x86/vop_float.h"

/* The power of 2 that is not above x, which is neither zero nor special. */
static int exponent_of(fp_format f, uint64_t x)
{
    struct fp_number n = fp_unpack(f, x);

    return n.exponent + 63 - __builtin_clzll(n.significand | 1);
}

/* -- VGETEXP: the exponent as a number ----------------------------------------------------------------------------- */

static uint64_t get_exponent(struct fp *s, fp_format f, uint64_t x)
{
    int e;

    if (fp_is_nan(f, x))
        return fp_quiet(s, f, x);
    x = fp_operand(s, f, x);
    if (fp_is_infinity(f, x))
        return fp_infinity(f);
    if (fp_is_zero(f, x))
        return fp_sign_bit(f) | fp_infinity(f);
    e = exponent_of(f, x);
    return fp_pack(s, f, e < 0 ? fp_sign_bit(f) : 0, 0, (uint64_t)(e < 0 ? -e : e));
}

static void get_exponents(struct vec_call *c, fp_format f)
{
    struct fp s = fp_begin(c);

    for EACH_ACTIVE(c, i)
        fp_put(f, &c->r, i, get_exponent(&s, f, fp_get(f, c->b, i)));
    fp_end(c, &s);
}

void vop_getexp_f32(struct vec_call *c) { get_exponents(c, &fp32); }
void vop_getexp_f64(struct vec_call *c) { get_exponents(c, &fp64); }

/* -- VGETMANT: the significand, of a sign and in an interval ------------------------------------------------------- */

enum { MANTISSA_1_2, MANTISSA_HALF_2, MANTISSA_HALF_1, MANTISSA_3_4, /* up to 3/2 */
       MANTISSA_POSITIVE = 4, MANTISSA_NO_NEGATIVE = 8 };

/* Is it below 1? */
static bool mantissa_halved(fp_format f, uint64_t x, unsigned interval)
{
    switch (interval) {
    case MANTISSA_1_2: return false;
    case MANTISSA_HALF_2: return exponent_of(f, x) & 1;
    case MANTISSA_HALF_1: return true;
    default: {
        struct fp_number n = fp_unpack(f, x);

        return n.significand << __builtin_clzll(n.significand | 1) << 1 >> 63; /* 3/2 and above */
    }
    }
}

static uint64_t get_mantissa(struct fp *s, fp_format f, uint64_t x, unsigned imm)
{
    uint64_t sign = imm & MANTISSA_POSITIVE ? 0 : fp_sign(f, x);
    struct fp_number n;

    if (fp_is_nan(f, x))
        return fp_quiet(s, f, x);
    x = fp_flush(s, f, x);
    if (fp_is_zero(f, x))
        return sign | fp_one(f);
    if (fp_sign(f, x) && imm & MANTISSA_NO_NEGATIVE)
        return fp_invalid(s, f);
    if (fp_is_infinity(f, x))
        return sign | fp_one(f);
    n = fp_unpack(f, fp_operand(s, f, x));
    n.exponent -= exponent_of(f, x) + mantissa_halved(f, x, imm & 3);
    return fp_pack(s, f, sign, n.exponent, n.significand);
}

static void get_mantissas(struct vec_call *c, fp_format f)
{
    struct fp s = fp_begin(c);

    for EACH_ACTIVE(c, i)
        fp_put(f, &c->r, i, get_mantissa(&s, f, fp_get(f, c->b, i), c->imm));
    fp_end(c, &s);
}

void vop_getmant_f32(struct vec_call *c) { get_mantissas(c, &fp32); }
void vop_getmant_f64(struct vec_call *c) { get_mantissas(c, &fp64); }

/* -- VSCALEF: x times 2 to the power of y, rounded down ------------------------------------------------------------ */

/* Beyond what any exponent can make up for. */
enum { POWER_LIMIT = 5000 };

/* Of a number that is not special, as an integer. */
static int floor_of(fp_format f, uint64_t y)
{
    struct fp quiet = { .masks = FP_ALL };
    struct fp_number n = fp_unpack(f, fp_round(&quiet, f, y, ROUND_DOWN, 0));

    if (fp_is_zero(f, n.significand))
        return 0;
    if (n.exponent + f->fraction > 12)
        return n.sign ? -POWER_LIMIT : POWER_LIMIT;
    return (int)(n.significand >> -n.exponent) * (n.sign ? -1 : 1);
}

static uint64_t scale_by_infinity(struct fp *s, fp_format f, uint64_t x, uint64_t y)
{
    uint64_t none = fp_sign(f, y) ? fp_infinity(f) : 0; /* what that makes no sense for */

    if (fp_magnitude(f, fp_flush(s, f, x)) == none)
        return fp_invalid(s, f);
    fp_operand(s, f, x);
    return fp_sign(f, x) | (fp_sign(f, y) ? 0 : fp_infinity(f));
}

static uint64_t scale(struct fp *s, fp_format f, uint64_t x, uint64_t y)
{
    struct fp_number n;

    if (fp_is_nan(f, x) && !fp_is_signalling(f, x) && fp_is_infinity(f, y))
        return fp_sign(f, y) ? 0 : fp_infinity(f);
    if (fp_is_nan(f, x) || fp_is_nan(f, y))
        return fp_nan2(s, f, x, y);
    if (fp_is_infinity(f, y))
        return scale_by_infinity(s, f, x, y);
    x = fp_operand(s, f, x);
    y = fp_flush(s, f, y); /* a denormal power is no exception */
    if (fp_is_infinity(f, x) || fp_is_zero(f, x))
        return x;
    n = fp_unpack(f, x);
    return fp_pack(s, f, n.sign, n.exponent + floor_of(f, y), n.significand);
}

static void scales(struct vec_call *c, fp_format f)
{
    struct fp s = fp_begin(c);

    for EACH_ACTIVE(c, i)
        fp_put(f, &c->r, i, scale(&s, f, fp_get(f, c->a, i), fp_get(f, c->b, i)));
    fp_end(c, &s);
}

void vop_scalef_f32(struct vec_call *c) { scales(c, &fp32); }
void vop_scalef_f64(struct vec_call *c) { scales(c, &fp64); }

/* -- VRANGE: the smaller or larger, of a sign ---------------------------------------------------------------------- */

enum { RANGE_MAXIMUM = 1, RANGE_ABSOLUTE = 2, RANGE_SIGN_SHIFT = 2, SIGN_FIRST = 0, SIGN_RESULT, SIGN_PLUS, SIGN_MINUS };

/* Neither is a NaN.  Of equal magnitudes the minimum is the negative one. */
static uint64_t range_choose(fp_format f, uint64_t x, uint64_t y, unsigned imm)
{
    uint64_t mask = imm & RANGE_ABSOLUTE ? fp_sign_bit(f) - 1 : UINT64_MAX;
    int order = fp_order(f, x & mask, y & mask);
    bool first = order < 0 || (!order && fp_sign(f, x));

    return first != (imm & RANGE_MAXIMUM) ? x : y;
}

static uint64_t range(struct fp *s, fp_format f, uint64_t x, uint64_t y, unsigned imm)
{
    uint64_t r, sign;

    if (fp_is_signalling(f, x) || fp_is_signalling(f, y))
        return fp_quiet(s, f, fp_is_signalling(f, x) ? x : y);
    if (!fp_is_nan(f, x) && !fp_is_nan(f, y)) {
        x = fp_operand(s, f, x);
        y = fp_operand(s, f, y);
        r = range_choose(f, x, y, imm);
    } else {
        r = fp_flush(s, f, fp_is_nan(f, y) ? x : y);
    }
    switch (imm >> RANGE_SIGN_SHIFT & 3) {
    case SIGN_FIRST: sign = fp_sign(f, x); break;
    case SIGN_RESULT: sign = fp_sign(f, r); break;
    case SIGN_PLUS: sign = 0; break;
    default: sign = fp_sign_bit(f);
    }
    return sign | fp_magnitude(f, r);
}

static void ranges(struct vec_call *c, fp_format f)
{
    struct fp s = fp_begin(c);

    for EACH_ACTIVE(c, i)
        fp_put(f, &c->r, i, range(&s, f, fp_get(f, c->a, i), fp_get(f, c->b, i), c->imm));
    fp_end(c, &s);
}

void vop_range_f32(struct vec_call *c) { ranges(c, &fp32); }
void vop_range_f64(struct vec_call *c) { ranges(c, &fp64); }

/* -- VREDUCE: what VRNDSCALE takes away ---------------------------------------------------------------------------- */

/* 2^step - low, which has to be above 0, in units of 2^unit: what does not fit in 64 bits is in the lowest one. */
static uint64_t pack_difference(struct fp *s, fp_format f, uint64_t sign, int unit, uint64_t low, unsigned step)
{
    unsigned shift = step > 64 ? step - 64 : 0;
    bool cut = shift < 64 ? low & bits_mask(shift) : low;
    uint64_t kept = (shift < 64 ? low >> shift : 0) + cut;

    return fp_pack(s, f, sign, unit + (int)shift, ((step < 64 ? UINT64_C(1) << step : 0) - kept) | cut);
}

/* x less its rounded value, which is a step of 2^-bits further from zero, or nearer. */
static uint64_t remainder_of(struct fp *s, fp_format f, uint64_t x, uint64_t rounded, int bits)
{
    struct fp_number n = fp_unpack(f, x);
    unsigned step = (unsigned)(-bits - n.exponent);
    uint64_t low = step < 64 ? n.significand & bits_mask(step) : n.significand;

    if (fp_magnitude(f, rounded) < fp_magnitude(f, x))
        return fp_pack(s, f, n.sign, n.exponent, low);
    return pack_difference(s, f, n.sign ^ fp_sign_bit(f), n.exponent, low, step);
}

static uint64_t reduce(struct fp *s, fp_format f, uint64_t x, unsigned imm)
{
    int bits = (int)(imm >> 4);
    struct fp own = *s;
    uint64_t r;

    if (fp_is_nan(f, x))
        return fp_quiet(s, f, x);
    own.rounding = imm & 4 ? s->rounding : imm & 3;
    own.masks = FP_ALL;
    if (fp_is_infinity(f, x))
        return 0;
    x = fp_flush(s, f, x);
    r = fp_round(&own, f, x, imm & 15, bits);
    if (r == x)
        return own.rounding == ROUND_DOWN ? fp_sign_bit(f) : 0;
    own.raised = 0;
    r = remainder_of(&own, f, x, r, bits);
    s->raised |= imm & 8 ? 0 : own.raised & FP_P;
    return r;
}

static void reduces(struct vec_call *c, fp_format f)
{
    struct fp s = fp_begin(c);

    for EACH_ACTIVE(c, i)
        fp_put(f, &c->r, i, reduce(&s, f, fp_get(f, c->b, i), c->imm));
    fp_end(c, &s);
}

void vop_reduce_f32(struct vec_call *c) { reduces(c, &fp32); }
void vop_reduce_f64(struct vec_call *c) { reduces(c, &fp64); }

/* -- VFIXUPIMM: a table from what a number is to what it becomes --------------------------------------------------- */

enum token { TOKEN_QNAN, TOKEN_SNAN, TOKEN_ZERO, TOKEN_ONE, TOKEN_MINUS_INFINITY, TOKEN_INFINITY, TOKEN_NEGATIVE, TOKEN_POSITIVE };

static enum token token_of(fp_format f, uint64_t x)
{
    if (fp_is_nan(f, x))
        return fp_is_signalling(f, x) ? TOKEN_SNAN : TOKEN_QNAN;
    if (fp_is_zero(f, x))
        return TOKEN_ZERO;
    if (x == fp_one(f))
        return TOKEN_ONE;
    if (fp_is_infinity(f, x))
        return fp_sign(f, x) ? TOKEN_MINUS_INFINITY : TOKEN_INFINITY;
    return fp_sign(f, x) ? TOKEN_NEGATIVE : TOKEN_POSITIVE;
}

/* What the bits of the immediate raise. */
static const struct { enum token token; uint32_t raised; } fixup_raises[8] = {
    { TOKEN_ZERO, FP_Z }, { TOKEN_ZERO, FP_I }, { TOKEN_ONE, FP_Z }, { TOKEN_ONE, FP_I },
    { TOKEN_SNAN, FP_I }, { TOKEN_MINUS_INFINITY, FP_I }, { TOKEN_NEGATIVE, FP_I }, { TOKEN_INFINITY, FP_I },
};

static uint64_t fixup_response(fp_format f, unsigned response, uint64_t old, uint64_t x)
{
    bool single = f->bytes == 4;
    uint64_t minus = fp_sign_bit(f), infinity = fp_infinity(f);

    switch (response) {
    case 0: return old;
    case 1: return x;
    case 2: return x | infinity | fp_quiet_bit(f);
    case 3: return fp_default_nan(f);
    case 4: return minus | infinity;
    case 5: return infinity;
    case 6: return fp_sign(f, x) | infinity;
    case 7: return minus;
    case 8: return 0;
    case 9: return minus | fp_one(f);
    case 10: return fp_one(f);
    case 11: return fp_one(f) - fp_smallest_normal(f); /* 1/2 */
    case 12: return single ? 0x42b40000 : UINT64_C(0x4056800000000000); /* 90 */
    case 13: return single ? 0x3fc90fdb : UINT64_C(0x3ff921fb54442d18); /* pi/2 */
    case 14: return infinity - 1;
    default: return minus | (infinity - 1);
    }
}

static uint64_t fixup(struct fp *s, fp_format f, uint64_t old, uint64_t x, uint32_t table, unsigned imm)
{
    enum token token;

    x = fp_flush(s, f, x);
    token = token_of(f, x);
    for (unsigned i = 0; i < 8; i++)
        if (imm >> i & 1 && fixup_raises[i].token == token)
            s->raised |= fixup_raises[i].raised;
    return fixup_response(f, table >> (4 * token) & 15, old, x);
}

static void fixups(struct vec_call *c, fp_format f)
{
    struct fp s = fp_begin(c);

    for EACH_ACTIVE(c, i) {
        uint32_t table = (uint32_t)fp_get(f, c->b, i);

        fp_put(f, &c->r, i, fixup(&s, f, fp_get(f, &c->r, i), fp_get(f, c->a, i), table, c->imm));
    }
    fp_end(c, &s);
}

void vop_fixup_f32(struct vec_call *c) { fixups(c, &fp32); }
void vop_fixup_f64(struct vec_call *c) { fixups(c, &fp64); }

/* -- VFPCLASS ------------------------------------------------------------------------------------------------------ */

enum { CLASS_QNAN = 1, CLASS_PLUS_ZERO = 2, CLASS_MINUS_ZERO = 4, CLASS_INFINITY = 8, CLASS_MINUS_INFINITY = 16,
       CLASS_DENORMAL = 32, CLASS_NEGATIVE = 64, CLASS_SNAN = 128 };

static unsigned class_of(fp_format f, uint64_t x)
{
    bool minus = fp_sign(f, x);

    if (fp_is_nan(f, x))
        return fp_is_signalling(f, x) ? CLASS_SNAN : CLASS_QNAN;
    if (fp_is_zero(f, x))
        return minus ? CLASS_MINUS_ZERO : CLASS_PLUS_ZERO;
    if (fp_is_infinity(f, x))
        return minus ? CLASS_MINUS_INFINITY : CLASS_INFINITY;
    return (minus ? CLASS_NEGATIVE : 0) | (fp_is_denormal(f, x) ? CLASS_DENORMAL : 0);
}

static void classes(struct vec_call *c, fp_format f)
{
    struct fp s = fp_begin(c);
    uint64_t bits = 0;

    for (unsigned i = 0; i < c->lanes; i++)
        bits |= (uint64_t)!!(class_of(f, fp_flush(&s, f, fp_get(f, c->b, i))) & c->imm) << i;
    c->r.q[0] = bits;
}

void vop_fpclass_f32(struct vec_call *c) { classes(c, &fp32); }
void vop_fpclass_f64(struct vec_call *c) { classes(c, &fp64); }

/* -- bfloat16: to nearest, no denormals, no exceptions, whatever MXCSR says ---------------------------------------- */

static const struct fp bf16_rules = { .rounding = ROUND_NEAREST, .masks = FP_ALL, .daz = true, .ftz = true };

static uint64_t to_bf16(uint64_t x)
{
    struct fp s = bf16_rules;
    struct fp_number n = fp_unpack(&fp32, fp_flush(&s, &fp32, x));

    if (fp_is_nan(&fp32, x))
        return fp_quiet(&s, &fp32, x) >> 16;
    if (fp_is_infinity(&fp32, x))
        return x >> 16;
    return fp_pack(&s, &fp_bf16, n.sign >> 16, n.exponent, n.significand);
}

void vop_f32_bf16(struct vec_call *c)
{
    for (unsigned i = 0; i < c->lanes; i++)
        c->r.h[i] = (uint16_t)to_bf16(c->b->w[i]);
}

/* The upper half is a's. */
void vop_f32x2_bf16(struct vec_call *c)
{
    unsigned half = c->lanes / 2;

    for (unsigned i = 0; i < c->lanes; i++)
        c->r.h[i] = (uint16_t)to_bf16(i < half ? c->b->w[i] : c->a->w[i - half]);
}

/* Odd products first, then even ones, each fused with the sum so far. */
void vop_dot_bf16(struct vec_call *c)
{
    struct fp s = bf16_rules;

    fp_host_begin(&s);
    for EACH_ACTIVE(c, i) {
        uint64_t x = c->a->w[i], y = c->b->w[i], sum = c->r.w[i];

        sum = fp_fused(&s, &fp32, x & 0xffff0000, y & 0xffff0000, sum);
        c->r.w[i] = (uint32_t)fp_fused(&s, &fp32, x << 16 & 0xffff0000, y << 16 & 0xffff0000, sum);
    }
    fp_host_end(&s);
}
