/*
 * float80_arith.c - arithmetic on 80-bit numbers.
 *
 * Each function first answers NaNs and unsupported operands, then infinities and zeros, then computes 128 bits and has
 * them rounded once.
 *
 * Spec: SDM 1 table 4-7, 8.3, 8.5; SDM 2, the page of each instruction.
 */
#include "x86/float80.h"

/* -- NaNs ---------------------------------------------------------------------------------------------------------------------- */

struct float80 float80_invalid(struct float80_env *e)
{
    e->flags |= FLOAT80_INVALID;
    return FLOAT80_INDEFINITE;
}

/* Of two NaNs the one with the larger significand; as large, the positive one. */
static bool nan_is_larger(struct float80_parts a, struct float80_parts b)
{
    return a.significand != b.significand ? a.significand > b.significand : a.sign < b.sign;
}

static struct float80_parts choose_nan(struct float80_parts a, struct float80_parts b)
{
    if (!float80_is_nan(a) || !float80_is_nan(b))
        return float80_is_nan(a) ? a : b;
    if (a.kind != b.kind)
        return a.kind == FLOAT80_QUIET ? a : b;
    return nan_is_larger(a, b) ? a : b;
}

bool float80_take_nan(struct float80_env *e, struct float80_parts a, struct float80_parts b, struct float80 *r)
{
    struct float80_parts nan;

    if (a.kind == FLOAT80_UNSUPPORTED || b.kind == FLOAT80_UNSUPPORTED) {
        *r = float80_invalid(e);
        return true;
    }
    if (!float80_is_nan(a) && !float80_is_nan(b))
        return false;
    if (a.kind == FLOAT80_SIGNALLING || b.kind == FLOAT80_SIGNALLING)
        e->flags |= FLOAT80_INVALID;
    nan = choose_nan(a, b);
    nan.significand |= FLOAT80_QUIET_BIT;
    *r = float80_pack(nan);
    return true;
}

void float80_note_denormals(struct float80_env *e, struct float80_parts a, struct float80_parts b)
{
    if (a.denormal || b.denormal)
        e->flags |= FLOAT80_DENORMAL;
}

/* -- sums ---------------------------------------------------------------------------------------------------------------------- */

/* |a| >= |b| where both are finite: the larger exponent, or significand. */
static bool is_smaller(struct float80_parts a, struct float80_parts b)
{
    return a.exponent != b.exponent ? a.exponent < b.exponent : a.significand < b.significand;
}

static struct float80 add_finite(struct float80_env *e, struct float80_parts a, struct float80_parts b)
{
    struct float80_parts large = is_smaller(a, b) ? b : a, small = is_smaller(a, b) ? a : b;
    float80_wide x = (float80_wide)large.significand << 63, y = (float80_wide)small.significand << 63;

    y = float80_shift_right(y, (unsigned)(large.exponent - small.exponent));
    return float80_normalise(e, large.sign, large.exponent + 1, a.sign == b.sign ? x + y : x - y, float80_zero(e->rounding == ROUND_DOWN));
}

static struct float80 add_zeros(struct float80_env *e, struct float80_parts a, struct float80_parts b)
{
    return float80_zero(a.sign == b.sign ? a.sign : e->rounding == ROUND_DOWN);
}

struct float80 float80_add(struct float80_env *e, struct float80_parts a, struct float80_parts b, bool subtract)
{
    struct float80 r;

    if (float80_take_nan(e, a, b, &r))
        return r;
    b.sign ^= subtract;
    if (a.kind == FLOAT80_INFINITE && b.kind == FLOAT80_INFINITE && a.sign != b.sign)
        return float80_invalid(e);
    float80_note_denormals(e, a, b);
    if (a.kind == FLOAT80_INFINITE || b.kind == FLOAT80_INFINITE)
        return float80_infinity(a.kind == FLOAT80_INFINITE ? a.sign : b.sign);
    if (a.kind == FLOAT80_ZERO && b.kind == FLOAT80_ZERO)
        return add_zeros(e, a, b);
    if (b.kind == FLOAT80_ZERO || a.kind == FLOAT80_ZERO) {
        struct float80_parts p = b.kind == FLOAT80_ZERO ? a : b;

        return float80_round(e, p.sign, p.exponent, (float80_wide)p.significand << 64);
    }
    return add_finite(e, a, b);
}

/* -- products -------------------------------------------------------------------------------------------------------------------- */

struct float80 float80_mul(struct float80_env *e, struct float80_parts a, struct float80_parts b)
{
    bool sign = a.sign ^ b.sign, zero = a.kind == FLOAT80_ZERO || b.kind == FLOAT80_ZERO;
    bool infinite = a.kind == FLOAT80_INFINITE || b.kind == FLOAT80_INFINITE;
    struct float80 r;

    if (float80_take_nan(e, a, b, &r))
        return r;
    if (zero && infinite)
        return float80_invalid(e);
    float80_note_denormals(e, a, b);
    if (zero || infinite)
        return zero ? float80_zero(sign) : float80_infinity(sign);
    return float80_normalise(e, sign, a.exponent + b.exponent + 1, (float80_wide)a.significand * b.significand, r);
}

/* 128 bits of a / b, bit 127 being 1; what remains shows in bit 0. */
static float80_wide divide(uint64_t a, uint64_t b)
{
    float80_wide n = (float80_wide)a << 63, rest = n % b << 64;

    return (n / b) << 64 | rest / b | (rest % b != 0);
}

struct float80 float80_div(struct float80_env *e, struct float80_parts a, struct float80_parts b)
{
    bool sign = a.sign ^ b.sign;
    struct float80 r;

    if (float80_take_nan(e, a, b, &r))
        return r;
    if (a.kind == b.kind && a.kind != FLOAT80_FINITE)
        return float80_invalid(e);
    if (a.kind == FLOAT80_FINITE && b.kind == FLOAT80_ZERO) {
        e->flags |= FLOAT80_DIVIDE; /* and not denormal */
        return float80_infinity(sign);
    }
    float80_note_denormals(e, a, b);
    if (a.kind == FLOAT80_INFINITE)
        return float80_infinity(sign);
    if (a.kind == FLOAT80_ZERO || b.kind == FLOAT80_INFINITE)
        return float80_zero(sign);
    return float80_normalise(e, sign, a.exponent - b.exponent, divide(a.significand, b.significand), r);
}

/* -- roots ---------------------------------------------------------------------------------------------------------------------- */

/* The integer root of n, bit by bit; *rest is what remains. */
static uint64_t root(float80_wide n, float80_wide *rest)
{
    float80_wide r = 0, bit = (float80_wide)1 << 126;

    for (; bit; bit >>= 2) {
        if (n >= r + bit) {
            n -= r + bit;
            r = (r >> 1) + bit;
        } else {
            r >>= 1;
        }
    }
    *rest = n;
    return (uint64_t)r;
}

struct float80 float80_sqrt(struct float80_env *e, struct float80_parts a)
{
    unsigned odd = (unsigned)a.exponent & 1;
    float80_wide rest, m;
    struct float80 r;

    if (float80_take_nan(e, a, a, &r))
        return r;
    if (a.kind == FLOAT80_ZERO)
        return float80_zero(a.sign);
    if (a.sign)
        return float80_invalid(e);
    float80_note_denormals(e, a, a);
    if (a.kind == FLOAT80_INFINITE)
        return float80_infinity(false);
    m = (float80_wide)root((float80_wide)a.significand << (63 + odd), &rest) << 64;
    m |= rest > (m >> 64) ? FLOAT80_INTEGER_BIT : 0; /* half a unit more */
    return float80_round(e, false, (a.exponent - (int32_t)odd) / 2, m | (rest != 0));
}

/* -- remainders ------------------------------------------------------------------------------------------------------------------- */

/* One bit of the quotient a step: after `steps`, a * 2^steps mod b. */
static float80_wide reduce(float80_wide a, uint64_t b, unsigned steps, uint64_t *quotient)
{
    *quotient = a >= b;
    a -= a >= b ? b : 0;
    while (steps--) {
        a <<= 1;
        *quotient = *quotient << 1 | (a >= b);
        a -= a >= b ? b : 0;
    }
    return a;
}

/* m * 2^(exponent - 63); zero has the dividend's sign. */
static struct float80 rem_result(struct float80_env *e, bool sign, int32_t exponent, float80_wide m, bool zero_sign)
{
    unsigned n;

    if (!m)
        return float80_zero(zero_sign);
    n = float80_clz(m);
    return float80_round_whole(e, sign, exponent + 64 - (int32_t)n, m << n);
}

static struct float80 rem_finite(struct float80_env *e, struct float80_parts a, struct float80_parts b, bool nearest,
                                 struct float80_division *d)
{
    int32_t distance = a.exponent - b.exponent, steps = distance;
    bool less = distance < 0, sign = a.sign;
    float80_wide rest = a.significand, twice, by = b.significand;

    d->partial = distance > 63;
    if (distance < -1 || (less && !nearest))
        return rem_result(e, a.sign, a.exponent, rest, a.sign);
    if (less)
        by <<= 1;
    else
        rest = reduce(rest, b.significand, (unsigned)(steps = d->partial ? (distance & 31) | 32 : distance), &d->quotient);
    twice = rest << 1;
    if (nearest && !d->partial && (twice > by || (twice == by && d->quotient & 1))) {
        rest = by - rest;
        sign = !sign;
        d->quotient++;
    }
    return rem_result(e, sign, less ? a.exponent : a.exponent - steps, rest, a.sign);
}

struct float80 float80_rem(struct float80_env *e, struct float80_parts a, struct float80_parts b, bool nearest, struct float80_division *d)
{
    struct float80 r;

    *d = (struct float80_division){ .none = true };
    if (float80_take_nan(e, a, b, &r))
        return r;
    if (a.kind == FLOAT80_INFINITE || b.kind == FLOAT80_ZERO)
        return float80_invalid(e);
    d->none = false;
    float80_note_denormals(e, a, b);
    if (a.kind == FLOAT80_ZERO)
        return float80_zero(a.sign);
    if (b.kind == FLOAT80_INFINITE)
        return rem_result(e, a.sign, a.exponent, a.significand, a.sign);
    return rem_finite(e, a, b, nearest, d);
}

/* -- integers and exponents ---------------------------------------------------------------------------------------------------------- */

struct float80 float80_rint(struct float80_env *e, struct float80_parts a)
{
    struct float80_parts whole;
    uint64_t magnitude;
    struct float80 r;

    if (float80_take_nan(e, a, a, &r))
        return r;
    float80_note_denormals(e, a, a);
    if (a.kind != FLOAT80_FINITE || a.exponent > 62)
        return float80_pack(a);
    float80_to_magnitude(e, a, &magnitude);
    whole = float80_from_int((int64_t)magnitude);
    if (magnitude & FLOAT80_INTEGER_BIT)
        whole = (struct float80_parts){ FLOAT80_FINITE, false, false, 63, magnitude };
    whole.sign = a.sign;
    return float80_pack(whole);
}

/* b rounded to an integer towards zero, as far as it makes a difference. */
static int32_t scale_of(struct float80_parts b)
{
    struct float80_env e = { .rounding = ROUND_ZERO };
    uint64_t magnitude;

    if (!float80_to_magnitude(&e, b, &magnitude) || magnitude > 0x10000)
        magnitude = 0x10000;
    return b.sign ? -(int32_t)magnitude : (int32_t)magnitude;
}

struct float80 float80_scale(struct float80_env *e, struct float80_parts a, struct float80_parts b)
{
    struct float80 r;

    if (float80_take_nan(e, a, b, &r))
        return r;
    if (b.kind == FLOAT80_INFINITE && a.kind == (b.sign ? FLOAT80_INFINITE : FLOAT80_ZERO))
        return float80_invalid(e);
    float80_note_denormals(e, a, b);
    if (a.kind != FLOAT80_FINITE)
        return float80_pack(a);
    if (b.kind == FLOAT80_INFINITE)
        return b.sign ? float80_zero(a.sign) : float80_infinity(a.sign);
    return float80_round_whole(e, a.sign, a.exponent + scale_of(b), (float80_wide)a.significand << 64);
}

struct float80 float80_extract(struct float80_env *e, struct float80_parts a, struct float80 *significand)
{
    struct float80 r;
    int32_t exponent = a.exponent;

    if (float80_take_nan(e, a, a, &r))
        return *significand = r;
    float80_note_denormals(e, a, a);
    if (a.kind == FLOAT80_FINITE)
        a.exponent = 0;
    *significand = float80_pack(a);
    if (a.kind == FLOAT80_FINITE)
        return float80_pack(float80_from_int(exponent));
    if (a.kind == FLOAT80_INFINITE)
        return float80_infinity(false);
    e->flags |= FLOAT80_DIVIDE;
    return float80_infinity(true);
}

/* -- comparison ------------------------------------------------------------------------------------------------------------------- */

/* Where a number is on the line: zeros are equal, infinities at its ends. */
static int side(struct float80_parts a) { return a.kind == FLOAT80_ZERO ? 0 : a.sign ? -1 : 1; }

static bool magnitude_is_less(struct float80_parts a, struct float80_parts b)
{
    if (a.kind == FLOAT80_INFINITE || b.kind == FLOAT80_INFINITE)
        return a.kind != FLOAT80_INFINITE;
    return is_smaller(a, b);
}

static bool magnitude_is_equal(struct float80_parts a, struct float80_parts b)
{
    if (a.kind != FLOAT80_FINITE || b.kind != FLOAT80_FINITE)
        return a.kind == b.kind;
    return a.exponent == b.exponent && a.significand == b.significand;
}

enum float80_order float80_compare(struct float80_env *e, struct float80_parts a, struct float80_parts b, bool quiet)
{
    if (a.kind >= FLOAT80_QUIET || b.kind >= FLOAT80_QUIET) {
        if (!quiet || a.kind > FLOAT80_QUIET || b.kind > FLOAT80_QUIET)
            e->flags |= FLOAT80_INVALID;
        return ORDER_UNORDERED;
    }
    float80_note_denormals(e, a, b);
    if (side(a) != side(b))
        return side(a) < side(b) ? ORDER_LESS : ORDER_GREATER;
    if (!side(a) || magnitude_is_equal(a, b))
        return ORDER_EQUAL;
    return magnitude_is_less(a, b) != a.sign ? ORDER_LESS : ORDER_GREATER;
}
