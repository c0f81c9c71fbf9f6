/*
 * vop_convert.c - conversion of vectors between floating-point formats, and from and to integers; rounding to integers.
 *
 * Spec: SDM 2, each instruction's page; SDM 1 4.8.4 (rounding), 4.9.1.4 and 4.9.1.5 (overflow, underflow).
 */
#include "x86/vop_float.h"

/* -- rounding ------------------------------------------------------------------------------------------------------ */

/* Does the magnitude grow by what is cut off? */
static bool rounds_up(unsigned rounding, bool negative, bool odd, uint64_t low, uint64_t half)
{
    switch (rounding) {
    case ROUND_NEAREST: return low > half || (low == half && odd);
    case ROUND_DOWN: return negative && low;
    case ROUND_UP: return !negative && low;
    default: return false;
    }
}

/* significand / 2^shift */
static uint64_t shift_rounded(unsigned rounding, bool negative, uint64_t significand, unsigned shift, bool *inexact)
{
    uint64_t kept = shift < 64 ? significand >> shift : 0;
    uint64_t low = shift < 64 ? significand & bits_mask(shift) : shift == 64 ? significand : significand != 0;
    uint64_t half = !shift ? 1 : shift <= 64 ? UINT64_C(1) << (shift - 1) : 2;

    *inexact = low;
    return kept + rounds_up(rounding, negative, kept & 1, low, half);
}

/* Below the smallest normal number; unlimited: inexact even if exponents had no limits. */
static uint64_t pack_tiny(struct fp *s, uint64_t sign, uint64_t significand, unsigned shift, bool unlimited)
{
    bool inexact;
    uint64_t r = shift_rounded(s->rounding, sign, significand, shift, &inexact);

    if (!(s->masks & FP_U))
        s->raised |= FP_U | (unlimited ? FP_P : 0);
    else if (inexact || s->ftz)
        s->raised |= FP_U | FP_P;
    return sign | (s->ftz ? 0 : r);
}

/* Beyond the largest number: that, or infinity, whichever rounding ends at. */
static uint64_t pack_huge(struct fp *s, fp_format f, uint64_t sign, bool unlimited)
{
    bool infinite = s->rounding == ROUND_NEAREST || s->rounding == (sign ? ROUND_DOWN : ROUND_UP);

    s->raised |= FP_O | (unlimited || s->masks & FP_O ? FP_P : 0);
    return sign | (fp_infinity(f) - !infinite);
}

uint64_t fp_pack(struct fp *s, fp_format f, uint64_t sign, int exponent, uint64_t significand)
{
    unsigned shift = (unsigned)__builtin_clzll(significand | 1), drop = 63u - f->fraction;
    int biased = exponent - (int)shift + 63 + fp_bias(f);
    bool inexact;
    uint64_t r;

    if (!significand)
        return sign;
    significand <<= shift;
    r = shift_rounded(s->rounding, sign, significand, drop, &inexact);
    if (biased < (r >> (f->fraction + 1) ? 0 : 1))
        return pack_tiny(s, sign, significand, drop + 1 + (unsigned)-biased, inexact);
    if (biased >= f->top)
        return pack_huge(s, f, sign, inexact);
    r += (uint64_t)(int64_t)(biased - 1) << f->fraction; /* a carry goes into the exponent */
    if (r >= fp_infinity(f))
        return pack_huge(s, f, sign, inexact);
    s->raised |= inexact ? FP_P : 0;
    return sign | r;
}

/* -- to another format --------------------------------------------------------------------------------------------- */

/* A NaN keeps the upper bits of its fraction. */
static uint64_t convert_nan(struct fp *s, fp_format from, fp_format to, uint64_t x)
{
    uint64_t fraction = fp_quiet(s, from, x) & (fp_smallest_normal(from) - 1), sign = fp_sign(from, x) ? fp_sign_bit(to) : 0;

    return sign | fp_infinity(to) | (to->fraction > from->fraction ? fraction << (to->fraction - from->fraction)
                                                                    : fraction >> (from->fraction - to->fraction));
}

static uint64_t convert(struct fp *s, fp_format from, fp_format to, uint64_t x)
{
    uint64_t sign = fp_sign(from, x) ? fp_sign_bit(to) : 0;
    struct fp_number n;

    if (fp_is_nan(from, x))
        return convert_nan(s, from, to, x);
    if (fp_is_infinity(from, x))
        return sign | fp_infinity(to);
    n = fp_unpack(from, from == &fp16 ? x : fp_operand(s, from, x));
    return fp_pack(s, to, sign, n.exponent, n.significand);
}

static void formats(struct vec_call *c, struct fp s, fp_format from, fp_format to)
{
    for EACH_ACTIVE(c, i)
        fp_put(to, &c->r, i, convert(&s, from, to, fp_get(from, c->b, i)));
    fp_end(c, &s);
}

void vop_f32_f64(struct vec_call *c) { formats(c, fp_begin(c), &fp32, &fp64); }
void vop_f64_f32(struct vec_call *c) { formats(c, fp_begin(c), &fp64, &fp32); }

/* Neither DAZ nor denormal operands (SDM 1 14.4.1). */
void vop_f16_f32(struct vec_call *c) { formats(c, fp_begin(c), &fp16, &fp32); }

/* Rounding as the immediate says; no FTZ. */
void vop_f32_f16(struct vec_call *c)
{
    struct fp s = fp_begin(c);

    s.ftz = false;
    if (!(c->imm & 4))
        s.rounding = c->imm & 3;
    formats(c, s, &fp32, &fp16);
}


/* -- to integers --------------------------------------------------------------------------------------------------- */

struct integer { unsigned bytes; bool is_signed; };

static const struct integer i32 = { 4, true }, u32 = { 4, false }, i64 = { 8, true }, u64 = { 8, false };

/* What cannot be said in that many bits is the indefinite integer (SDM 1 4.2.3); unsigned: all ones. */
static uint64_t indefinite(struct fp *s, struct integer to)
{
    s->raised |= FP_I;
    return to.is_signed ? UINT64_C(1) << (to.bytes * 8 - 1) : bits_mask(to.bytes * 8);
}

static uint64_t to_integer(struct fp *s, fp_format f, struct integer to, uint64_t x)
{
    uint64_t limit = bits_mask(to.bytes * 8 - to.is_signed), magnitude;
    struct fp_number n = fp_unpack(f, fp_flush(s, f, x));
    bool inexact = false;

    if (n.exponent > 63 - f->fraction) /* infinities and NaNs too */
        return indefinite(s, to);
    if (n.exponent >= 0)
        magnitude = n.significand << n.exponent;
    else
        magnitude = shift_rounded(s->rounding, n.sign, n.significand, (unsigned)-n.exponent, &inexact);
    if (magnitude > (!n.sign ? limit : to.is_signed ? limit + 1 : 0))
        return indefinite(s, to);
    s->raised |= inexact ? FP_P : 0;
    return n.sign ? 0 - magnitude : magnitude;
}

static void put_integer(union wide *w, unsigned bytes, unsigned i, uint64_t x)
{
    if (bytes == 4)
        w->w[i] = (uint32_t)x;
    else
        w->q[i] = x;
}

static void to_integers(struct vec_call *c, fp_format f, struct integer to, bool truncate)
{
    struct fp s = fp_begin(c);

    if (truncate)
        s.rounding = ROUND_ZERO;
    for EACH_ACTIVE(c, i)
        put_integer(&c->r, to.bytes, i, to_integer(&s, f, to, fp_get(f, c->b, i)));
    fp_end(c, &s);
}

#define TO_INTEGERS(name, format, integer)                                                                             \
    void vop_##name(struct vec_call *c) { to_integers(c, &format, integer, false); }                                  \
    void vop_##name##_truncate(struct vec_call *c) { to_integers(c, &format, integer, true); }

TO_INTEGERS(f32_i32, fp32, i32)
TO_INTEGERS(f32_u32, fp32, u32)
TO_INTEGERS(f32_i64, fp32, i64)
TO_INTEGERS(f32_u64, fp32, u64)
TO_INTEGERS(f64_i32, fp64, i32)
TO_INTEGERS(f64_u32, fp64, u32)
TO_INTEGERS(f64_i64, fp64, i64)
TO_INTEGERS(f64_u64, fp64, u64)

/* To a general register of the width that the word has as `unit`. */
static void to_general(struct vec_call *c, fp_format f, bool is_signed, bool truncate)
{
    struct fp s = fp_begin(c);

    if (truncate)
        s.rounding = ROUND_ZERO;
    c->general = to_integer(&s, f, (struct integer){ 1u << c->word.unit, is_signed }, fp_get(f, c->b, 0));
    fp_end(c, &s);
}

void vop_f32_general(struct vec_call *c) { to_general(c, &fp32, true, false); }
void vop_f64_general(struct vec_call *c) { to_general(c, &fp64, true, false); }
void vop_f32_general_truncate(struct vec_call *c) { to_general(c, &fp32, true, true); }
void vop_f64_general_truncate(struct vec_call *c) { to_general(c, &fp64, true, true); }
void vop_f32_general_unsigned(struct vec_call *c) { to_general(c, &fp32, false, false); }
void vop_f64_general_unsigned(struct vec_call *c) { to_general(c, &fp64, false, false); }
void vop_f32_general_unsigned_truncate(struct vec_call *c) { to_general(c, &fp32, false, true); }
void vop_f64_general_unsigned_truncate(struct vec_call *c) { to_general(c, &fp64, false, true); }

/* -- from integers ------------------------------------------------------------------------------------------------- */

static uint64_t from_integer(struct fp *s, fp_format f, struct integer from, uint64_t x)
{
    unsigned above = 64 - from.bytes * 8;
    uint64_t wide = from.is_signed ? (uint64_t)((int64_t)(x << above) >> above) : x << above >> above;
    bool negative = from.is_signed && wide >> 63;

    return fp_pack(s, f, negative ? fp_sign_bit(f) : 0, 0, negative ? 0 - wide : wide);
}

static void from_integers(struct vec_call *c, fp_format f, struct integer from)
{
    struct fp s = fp_begin(c);

    for EACH_ACTIVE(c, i)
        fp_put(f, &c->r, i, from_integer(&s, f, from, from.bytes == 4 ? c->b->w[i] : c->b->q[i]));
    fp_end(c, &s);
}

void vop_i32_f32(struct vec_call *c) { from_integers(c, &fp32, i32); }
void vop_i32_f64(struct vec_call *c) { from_integers(c, &fp64, i32); }
void vop_u32_f32(struct vec_call *c) { from_integers(c, &fp32, u32); }
void vop_u32_f64(struct vec_call *c) { from_integers(c, &fp64, u32); }
void vop_i64_f32(struct vec_call *c) { from_integers(c, &fp32, i64); }
void vop_i64_f64(struct vec_call *c) { from_integers(c, &fp64, i64); }
void vop_u64_f32(struct vec_call *c) { from_integers(c, &fp32, u64); }
void vop_u64_f64(struct vec_call *c) { from_integers(c, &fp64, u64); }

static void from_general(struct vec_call *c, fp_format f, bool is_signed)
{
    struct fp s = fp_begin(c);

    fp_put(f, &c->r, 0, from_integer(&s, f, (struct integer){ 1u << c->word.unit, is_signed }, c->general));
    fp_end(c, &s);
}

void vop_general_f32(struct vec_call *c) { from_general(c, &fp32, true); }
void vop_general_f64(struct vec_call *c) { from_general(c, &fp64, true); }
void vop_general_f32_unsigned(struct vec_call *c) { from_general(c, &fp32, false); }
void vop_general_f64_unsigned(struct vec_call *c) { from_general(c, &fp64, false); }

/* -- rounding to integers, or to fractions of them ----------------------------------------------------------------- */

uint64_t fp_round(struct fp *s, fp_format f, uint64_t x, unsigned imm, int bits)
{
    struct fp_number n;
    bool inexact;
    uint64_t r;

    if (fp_is_nan(f, x))
        return fp_quiet(s, f, x);
    x = fp_flush(s, f, x);
    n = fp_unpack(f, x);
    if (n.exponent >= -bits || fp_is_zero(f, x)) /* infinities too */
        return x;
    r = shift_rounded(imm & 4 ? s->rounding : imm & 3, n.sign, n.significand, (unsigned)(-bits - n.exponent), &inexact);
    s->raised |= inexact && !(imm & 8) ? FP_P : 0;
    return fp_pack(s, f, n.sign, -bits, r);
}

static void rounds(struct vec_call *c, fp_format f, int bits)
{
    struct fp s = fp_begin(c);

    for EACH_ACTIVE(c, i)
        fp_put(f, &c->r, i, fp_round(&s, f, fp_get(f, c->b, i), c->imm & 15, bits));
    fp_end(c, &s);
}

void vop_round_f32(struct vec_call *c) { rounds(c, &fp32, 0); }
void vop_round_f64(struct vec_call *c) { rounds(c, &fp64, 0); }
void vop_rndscale_f32(struct vec_call *c) { rounds(c, &fp32, c->imm >> 4); }
void vop_rndscale_f64(struct vec_call *c) { rounds(c, &fp64, c->imm >> 4); }
