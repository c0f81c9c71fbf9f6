/*
 * float80.c - the formats: numbers taken apart, rounded and put together.
 *
 * Spec: SDM 1 4.2, 4.8, 8.2, 8.5; tininess is detected after rounding.
 */
#include "x86/float80.h"

/* -- taking apart ------------------------------------------------------------------------------------------------------------ */

static enum float80_kind nan_kind(uint64_t significand)
{
    return significand & FLOAT80_QUIET_BIT ? FLOAT80_QUIET : FLOAT80_SIGNALLING;
}

/* significand * 2^(exponent - 63), not zero. */
static struct float80_parts finite_parts(bool sign, bool denormal, int32_t exponent, uint64_t significand)
{
    unsigned n = (unsigned)__builtin_clzll(significand);

    return (struct float80_parts){ FLOAT80_FINITE, sign, denormal, exponent - (int32_t)n, significand << n };
}

struct float80_parts float80_unpack(struct float80 f)
{
    struct float80_parts p = { .sign = f.exponent >> 15, .significand = f.significand };
    int32_t biased = f.exponent & 0x7fff;

    if (!biased && !f.significand)
        p.kind = FLOAT80_ZERO;
    else if (!biased)
        return finite_parts(p.sign, true, FLOAT80_MIN, f.significand);
    else if (!(f.significand & FLOAT80_INTEGER_BIT))
        p.kind = FLOAT80_UNSUPPORTED;
    else if (biased < 0x7fff)
        return finite_parts(p.sign, false, biased - FLOAT80_BIAS, f.significand);
    else
        p.kind = f.significand == FLOAT80_INTEGER_BIT ? FLOAT80_INFINITE : nan_kind(f.significand);
    return p;
}

/* A format whose fraction is `bits` wide, at the top of `fraction`. */
static struct float80_parts from_binary(bool sign, int32_t biased, uint64_t fraction, int32_t bias)
{
    struct float80_parts p = { .sign = sign, .significand = fraction >> 1 | FLOAT80_INTEGER_BIT };

    if (biased == bias * 2 + 1) {
        p.kind = fraction ? nan_kind(p.significand) : FLOAT80_INFINITE;
        return p;
    }
    if (biased)
        return finite_parts(sign, false, biased - bias, p.significand);
    if (fraction)
        return finite_parts(sign, true, 1 - bias, fraction >> 1);
    return (struct float80_parts){ .kind = FLOAT80_ZERO, .sign = sign };
}

struct float80_parts float80_from_single(uint32_t f)
{
    return from_binary(f >> 31, f >> 23 & 0xff, (uint64_t)f << 41, 127);
}

struct float80_parts float80_from_double(uint64_t f)
{
    return from_binary(f >> 63, f >> 52 & 0x7ff, f << 12, 1023);
}

struct float80_parts float80_from_int(int64_t i)
{
    if (!i)
        return (struct float80_parts){ .kind = FLOAT80_ZERO };
    return finite_parts(i < 0, false, 63, i < 0 ? -(uint64_t)i : (uint64_t)i);
}

/* -- putting together --------------------------------------------------------------------------------------------------------- */

struct float80 float80_zero(bool sign) { return (struct float80){ 0, (uint16_t)(sign << 15) }; }
struct float80 float80_infinity(bool sign) { return (struct float80){ FLOAT80_INTEGER_BIT, (uint16_t)(sign << 15 | 0x7fff) }; }

struct float80 float80_pack(struct float80_parts p)
{
    if (p.kind == FLOAT80_ZERO)
        return float80_zero(p.sign);
    if (p.kind == FLOAT80_INFINITE)
        return float80_infinity(p.sign);
    if (p.kind != FLOAT80_FINITE)
        return (struct float80){ p.significand, (uint16_t)(p.sign << 15 | 0x7fff) };
    if (p.exponent < FLOAT80_MIN)
        return (struct float80){ p.significand >> (FLOAT80_MIN - p.exponent), (uint16_t)(p.sign << 15) };
    return (struct float80){ p.significand, (uint16_t)(p.sign << 15 | (p.exponent + FLOAT80_BIAS)) };
}

/* -- rounding ------------------------------------------------------------------------------------------------------------------- */

/* wraps: what unmasked overflow and underflow subtract from and add to the exponent (SDM 1 8.5.4, 8.5.5). */
struct format { uint8_t bits; int32_t min, max, wraps; };

struct rounded {
    uint64_t significand; /* bit 63 clear: denormal */
    int32_t exponent;
    bool infinite, inexact, carried;
};

float80_wide float80_shift_right(float80_wide m, unsigned n)
{
    if (!n)
        return m;
    if (n > 127)
        return m != 0;
    return m >> n | ((m << (128 - n)) != 0);
}

unsigned float80_clz(float80_wide m)
{
    uint64_t high = (uint64_t)(m >> 64);

    return high ? (unsigned)__builtin_clzll(high) : 64 + (unsigned)__builtin_clzll((uint64_t)m);
}

/* Is what lies between two numbers rounded away from zero? */
static bool rounds_up(unsigned rounding, bool sign, float80_wide rest, float80_wide half, bool odd)
{
    switch (rounding) {
    case ROUND_NEAREST: return rest > half || (rest == half && odd);
    case ROUND_DOWN: return sign && rest;
    case ROUND_UP: return !sign && rest;
    default: return false;
    }
}

/* To the top `bits` of m. */
static struct rounded round_top(struct float80_env *e, bool sign, float80_wide m, unsigned bits)
{
    float80_wide unit = (float80_wide)1 << (128 - bits), rest = m & (unit - 1), kept = m - rest;
    struct rounded r = { .inexact = rest != 0 };

    e->up = rounds_up(e->rounding, sign, rest, unit >> 1, (kept & unit) != 0);
    if (e->up)
        kept += unit;
    r.carried = e->up && !kept;
    r.significand = r.carried ? FLOAT80_INTEGER_BIT : (uint64_t)(kept >> 64);
    return r;
}

/* The masked response: infinity, or the largest number where rounding does not lead away from zero. */
static void overflow(struct float80_env *e, const struct format *f, bool sign, struct rounded *r)
{
    r->infinite = rounds_up(e->rounding, sign, 2, 1, true);
    r->inexact = true;
    r->exponent = f->max;
    r->significand = ~UINT64_C(0) << (64 - f->bits);
    e->up = r->infinite;
}

static struct rounded round_to(struct float80_env *e, const struct format *f, bool sign, int32_t exponent, float80_wide m)
{
    struct rounded r = round_top(e, sign, m, f->bits);

    r.exponent = exponent + r.carried;
    if (r.exponent < f->min && e->masked & FLOAT80_UNDERFLOW) {
        r = round_top(e, sign, float80_shift_right(m, (unsigned)(f->min - exponent)), f->bits);
        r.exponent = f->min;
        e->flags |= r.inexact ? FLOAT80_UNDERFLOW : 0;
    } else if (r.exponent < f->min) {
        e->flags |= FLOAT80_UNDERFLOW;
        r.exponent += f->wraps;
    } else if (r.exponent > f->max) {
        e->flags |= FLOAT80_OVERFLOW;
        if (e->masked & FLOAT80_OVERFLOW)
            overflow(e, f, sign, &r);
        else
            r.exponent -= f->wraps;
    }
    e->flags |= r.inexact ? FLOAT80_INEXACT : 0;
    return r;
}

/* FSCALE alone gets so far that a wrapped exponent does not fit either: infinity, zero (SDM 2 FSCALE). */
struct float80 float80_round(struct float80_env *e, bool sign, int32_t exponent, float80_wide m)
{
    const struct format f = { e->bits, FLOAT80_MIN, FLOAT80_MAX, 24576 };
    struct rounded r = round_to(e, &f, sign, exponent, m);
    bool integer = r.significand & FLOAT80_INTEGER_BIT;

    if (r.exponent > FLOAT80_MAX || r.exponent < FLOAT80_MIN) {
        e->flags |= FLOAT80_INEXACT;
        e->up = r.infinite = r.exponent > 0;
        if (!r.infinite)
            return float80_zero(sign);
    }
    if (r.infinite)
        return float80_infinity(sign);
    return (struct float80){ r.significand, (uint16_t)(sign << 15 | (integer ? r.exponent + FLOAT80_BIAS : 0)) };
}

struct float80 float80_round_whole(struct float80_env *e, bool sign, int32_t exponent, float80_wide m)
{
    uint8_t bits = e->bits;
    struct float80 r;

    e->bits = 64;
    r = float80_round(e, sign, exponent, m);
    e->bits = bits;
    return r;
}

struct float80 float80_normalise(struct float80_env *e, bool sign, int32_t exponent, float80_wide m, struct float80 zero)
{
    unsigned n;

    if (!m)
        return zero;
    n = float80_clz(m);
    return float80_round(e, sign, exponent - (int32_t)n, m << n);
}

/* -- to memory formats ---------------------------------------------------------------------------------------------------------- */

/* Sign, exponent and fraction of a format whose exponent has `width` bits, at the top of the result. */
static uint64_t to_binary(struct float80_env *e, struct float80_parts a, unsigned width, unsigned bits)
{
    int32_t bias = (int32_t)bits_mask(width - 1), biased = 0;
    const struct format f = { (uint8_t)bits, 1 - bias, bias, 0 };
    uint64_t significand = 0;
    struct rounded r;

    if (a.kind == FLOAT80_UNSUPPORTED)
        a = float80_unpack(float80_invalid(e));
    if (a.kind == FLOAT80_SIGNALLING)
        e->flags |= FLOAT80_INVALID;
    if (float80_is_nan(a)) {
        significand = a.significand | FLOAT80_QUIET_BIT;
        biased = bias * 2 + 1;
    } else if (a.kind == FLOAT80_INFINITE) {
        biased = bias * 2 + 1;
    } else if (a.kind == FLOAT80_FINITE) {
        r = round_to(e, &f, a.sign, a.exponent, (float80_wide)a.significand << 64);
        significand = r.infinite ? 0 : r.significand;
        biased = r.infinite ? bias * 2 + 1 : significand & FLOAT80_INTEGER_BIT ? r.exponent + bias : 0;
    }
    return (uint64_t)a.sign << 63 | (uint64_t)biased << (63 - width) | significand << 1 >> (width + 1);
}

uint32_t float80_to_single(struct float80_env *e, struct float80_parts a) { return (uint32_t)(to_binary(e, a, 8, 24) >> 32); }
uint64_t float80_to_double(struct float80_env *e, struct float80_parts a) { return to_binary(e, a, 11, 53); }

bool float80_to_magnitude(struct float80_env *e, struct float80_parts a, uint64_t *magnitude)
{
    float80_wide m = (float80_wide)a.significand << 64;
    struct rounded r;

    *magnitude = 0;
    if (a.kind == FLOAT80_ZERO)
        return true;
    if (a.exponent > 63)
        return false;
    r = round_top(e, a.sign, float80_shift_right(m, (unsigned)(63 - a.exponent)), 64);
    if (r.carried)
        return false;
    e->flags |= r.inexact ? FLOAT80_INEXACT : 0;
    *magnitude = r.significand;
    return true;
}

int64_t float80_to_int(struct float80_env *e, struct float80_parts a, unsigned bits)
{
    uint64_t limit = BIT(bits - 1), magnitude;
    struct float80_env rounded = *e;

    if ((a.kind != FLOAT80_ZERO && a.kind != FLOAT80_FINITE) || !float80_to_magnitude(&rounded, a, &magnitude) ||
        magnitude > limit - !a.sign) {
        float80_invalid(e);
        return (int64_t)-limit;
    }
    *e = rounded;
    return (int64_t)(a.sign ? -magnitude : magnitude);
}
