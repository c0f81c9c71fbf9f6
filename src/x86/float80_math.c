/*
 * float80_math.c - the x87's transcendental functions, from 128-bit arithmetic.
 *
 * Each is a Taylor series of at most 34 terms on a reduced argument, computed with a relative error of about 2^-120 and
 * rounded once to 64 bits.  Angles are reduced by the 66 bits of pi that processors have (SDM 1 8.3.8).
 *
 * Spec: SDM 1 8.3.7 to 8.3.10; SDM 2, the page of each instruction.
 */
#include "x86/float80_math.h"

/* m * 2^(exponent - 127), bit 127 of m set; or m = 0. */
struct real {
    bool sign;
    int32_t exponent;
    float80_wide m;
};

#define WIDE(high, low) ((float80_wide)UINT64_C(high) << 64 | UINT64_C(low))

static const struct real one = { false, 0, WIDE(0x8000000000000000, 0) };
static const struct real ln_2 = { false, -1, WIDE(0xb17217f7d1cf79ab, 0xc9e3b39803f2f6af) };
static const struct real log2_e = { false, 0, WIDE(0xb8aa3b295c17f0bb, 0xbe87fed0691d3e89) };
static const struct real pi = { false, 1, WIDE(0xc90fdaa22168c234, 0xc4c6628b80dc1cd1) };
static const struct real half_pi = { false, 0, WIDE(0xc90fdaa22168c234, 0xc4c6628b80dc1cd1) };

/* -- 128-bit numbers ---------------------------------------------------------------------------------------------------------------- */

static struct real real_normal(bool sign, int32_t exponent, float80_wide m)
{
    unsigned n = m ? float80_clz(m) : 0;

    return (struct real){ sign, exponent - (int32_t)n, m << n };
}

static struct real real_of(struct float80_parts p)
{
    return (struct real){ p.sign, p.exponent, (float80_wide)p.significand << 64 };
}

static struct real real_negate(struct real a) { return (struct real){ !a.sign, a.exponent, a.m }; }

/* The upper half of a product. */
static float80_wide multiply_high(float80_wide a, float80_wide b)
{
    uint64_t ah = (uint64_t)(a >> 64), al = (uint64_t)a, bh = (uint64_t)(b >> 64), bl = (uint64_t)b;
    float80_wide x = (float80_wide)ah * bl, y = (float80_wide)al * bh;
    float80_wide carry = (((float80_wide)al * bl >> 64) + (uint64_t)x + (uint64_t)y) >> 64;

    return (float80_wide)ah * bh + (x >> 64) + (y >> 64) + carry;
}

static struct real real_mul(struct real a, struct real b)
{
    return real_normal(a.sign ^ b.sign, a.exponent + b.exponent + 1, multiply_high(a.m, b.m));
}

static bool real_is_less(struct real a, struct real b)
{
    return !a.m ? b.m != 0 : b.m && (a.exponent != b.exponent ? a.exponent < b.exponent : a.m < b.m);
}

/* One bit is lost to the carry. */
static struct real real_add(struct real a, struct real b)
{
    struct real large = real_is_less(a, b) ? b : a, small = real_is_less(a, b) ? a : b;
    float80_wide x = large.m >> 1, y;

    if (!small.m)
        return large;
    if (large.exponent == small.exponent && large.sign != small.sign)
        return real_normal(large.sign, large.exponent, large.m - small.m);
    y = float80_shift_right(small.m, 1 + (unsigned)(large.exponent - small.exponent));
    return real_normal(large.sign, large.exponent + 1, large.sign == small.sign ? x + y : x - y);
}

static struct real real_sub(struct real a, struct real b) { return real_add(a, real_negate(b)); }

/* Bit by bit; both have bit 127 set, or a is zero. */
static struct real real_div(struct real a, struct real b)
{
    float80_wide rest = a.m, quotient = 0;
    bool carry = false;

    for (unsigned i = 0; i < 128; i++) {
        bool fits = carry || rest >= b.m;

        quotient = quotient << 1 | fits;
        rest -= fits ? b.m : 0;
        carry = rest >> 127;
        rest <<= 1;
    }
    return real_normal(a.sign ^ b.sign, a.exponent - b.exponent, quotient);
}

static struct real real_div_small(struct real a, unsigned n)
{
    return real_normal(a.sign, a.exponent, a.m / n);
}

/* An irrational number: there is always something below what is computed.  Precision control does not matter. */
static struct float80 rounded(struct float80_env *e, struct real a) { return float80_round_whole(e, a.sign, a.exponent, a.m | 1); }

/* -- series -------------------------------------------------------------------------------------------------------------------------- */

/* e^t - 1 = t (1 + t/2 (1 + t/3 (...))), |t| < 0.7. */
static struct real exponential(struct real t)
{
    struct real p = one;

    for (unsigned n = 34; n > 1; n--)
        p = real_add(one, real_div_small(real_mul(p, t), n));
    return real_mul(t, p);
}

/* sin r = r (1 - r^2/(2 3) (1 - r^2/(4 5) (...))); cos r the same from 1/(1 2), 1/(3 4); |r| < 0.8. */
static struct real trigonometric(struct real r, bool cosine)
{
    struct real square = real_negate(real_mul(r, r)), p = one;

    for (unsigned n = 34 - cosine; n > 1; n -= 2)
        p = real_add(one, real_div_small(real_mul(p, square), n * (n + 1)));
    if (cosine)
        return real_add(one, real_div_small(real_mul(p, square), 2));
    return real_mul(r, p);
}

/* s (1 + z (1/3 + z (1/5 + ...))): atanh s for z = s^2, atan s for z = -s^2; |s| < 0.18. */
static struct real arc(struct real s, struct real z)
{
    struct real p = real_div_small(one, 57);

    for (int n = 55; n > 0; n -= 2)
        p = real_add(real_div_small(one, (unsigned)n), real_mul(p, z));
    return real_mul(s, p);
}

/* log2 of f = 1 + above, between the square roots of 1/2 and 2. */
static struct real logarithm_near_one(struct real above)
{
    struct real s = real_div(above, real_add((struct real){ false, 1, one.m }, above)), r;

    r = real_mul(arc(s, real_mul(s, s)), log2_e);
    r.exponent++;
    return r;
}

/* log2 of a positive number; m = 0 for one. */
static struct real logarithm(struct real a)
{
    int32_t exponent = a.exponent;
    struct real whole, above;

    a.exponent = 0;
    if (a.m > WIDE(0xb504f333f9de6484, 0)) {
        a.exponent = -1;
        exponent++;
    }
    whole = real_of(float80_from_int(exponent));
    whole.m = exponent ? whole.m : 0;
    above = real_sub(a, one);
    return above.m ? real_add(whole, logarithm_near_one(above)) : whole;
}

/* Of 0 < r <= 1: from the nearest eighth on. */
static struct real arctangent(struct real r)
{
    static const struct real eighths[] = {
        [1] = { false, -4, WIDE(0xfeadd4d5617b6e32, 0xc897989f3e888ef8) },
        [2] = { false, -3, WIDE(0xfadbafc96406eb15, 0x6dc79ef5f7a217e6) },
        [3] = { false, -2, WIDE(0xb7b0ca0f26f78473, 0x8aa32122dcfe4483) },
        [4] = { false, -2, WIDE(0xed63382b0dda7b45, 0x6fe445ecbc3a8d03) },
        [5] = { false, -1, WIDE(0x8f005d5ef7f59f9b, 0x5c835e1665c43748) },
        [6] = { false, -1, WIDE(0xa4bc7d1934f70924, 0x19a87f2a457dac9f) },
        [7] = { false, -1, WIDE(0xb8053e2bc2319e73, 0xcb2da55210a4443d) },
        [8] = { false, -1, WIDE(0xc90fdaa22168c234, 0xc4c6628b80dc1cd1) },
    };
    unsigned k = r.exponent < -4 ? 0 : ((unsigned)(r.m >> (123 - r.exponent)) + 1) >> 1;
    struct real from, t = r;

    if (k) {
        from = real_of(float80_from_int(k));
        from.exponent -= 3;
        t = real_div(real_sub(r, from), real_add(one, real_mul(r, from)));
    }
    if (!t.m)
        return eighths[k];
    t = arc(t, real_negate(real_mul(t, t)));
    return k ? real_add(eighths[k], t) : t;
}

/* -- powers and logarithms ---------------------------------------------------------------------------------------------------------- */

/* -1/2 for -1, 1 for 1; beyond it is undefined, and the operand on an EPYC, which calls all of these inexact. */
static struct float80 exp2_less_1_from_1(struct float80_env *e, struct float80_parts a)
{
    bool is_one = !a.exponent && a.significand == FLOAT80_INTEGER_BIT;

    e->flags |= FLOAT80_INEXACT;
    e->up = is_one && !a.sign;
    if (is_one && a.sign)
        a.exponent = -1;
    return float80_pack(a);
}

struct float80 float80_exp2_less_1(struct float80_env *e, struct float80_parts a)
{
    struct float80 r;

    if (float80_take_nan(e, a, a, &r))
        return r;
    float80_note_denormals(e, a, a);
    if (a.kind == FLOAT80_INFINITE)
        return a.sign ? float80_pack(float80_from_int(-1)) : float80_infinity(false);
    if (a.kind == FLOAT80_ZERO)
        return float80_zero(a.sign);
    if (a.exponent >= 0)
        return exp2_less_1_from_1(e, a);
    return rounded(e, exponential(real_mul(real_of(a), ln_2)));
}

/* What an infinite logarithm and y make, or one that is zero, or any with an infinite or zero y. */
static struct float80 times_special(struct float80_env *e, struct float80_parts y, bool negative, bool infinite)
{
    if (y.kind == (infinite ? FLOAT80_ZERO : FLOAT80_INFINITE))
        return float80_invalid(e);
    return infinite ? float80_infinity(y.sign ^ negative) : float80_zero(y.sign ^ negative);
}

/* A power of two has an integer for its logarithm.  Processors call the product inexact all the same. */
static struct float80 rounded_whole(struct float80_env *e, struct real a)
{
    struct float80 r = float80_round_whole(e, a.sign, a.exponent, a.m);

    e->flags |= FLOAT80_INEXACT | (r.exponent & 0x7fff ? 0 : FLOAT80_UNDERFLOW);
    return r;
}

struct float80 float80_y_log2(struct float80_env *e, struct float80_parts x, struct float80_parts y)
{
    bool is_one = x.kind == FLOAT80_FINITE && !x.exponent && x.significand == FLOAT80_INTEGER_BIT;
    struct float80 r;
    struct real l;

    if (float80_take_nan(e, x, y, &r))
        return r;
    if (x.sign && x.kind != FLOAT80_ZERO)
        return float80_invalid(e);
    if (x.kind == FLOAT80_ZERO && y.kind == FLOAT80_FINITE) {
        e->flags |= FLOAT80_DIVIDE;
        return float80_infinity(!y.sign);
    }
    if (x.kind != FLOAT80_FINITE || is_one) {
        r = times_special(e, y, x.kind == FLOAT80_ZERO, !is_one);
        if (!(e->flags & FLOAT80_INVALID))
            float80_note_denormals(e, x, y);
        return r;
    }
    float80_note_denormals(e, x, y);
    if (y.kind != FLOAT80_FINITE)
        return times_special(e, y, x.exponent < 0, y.kind == FLOAT80_INFINITE);
    l = real_mul(logarithm(real_of(x)), real_of(y));
    return x.significand == FLOAT80_INTEGER_BIT ? rounded_whole(e, l) : rounded(e, l);
}

/* log2(1 + x), x > -1: without adding where that would lose bits. */
static struct real logarithm_above(struct real x)
{
    if (x.exponent < -2)
        return logarithm_near_one(x);
    return logarithm(real_add(one, x));
}

struct float80 float80_y_log2_above_1(struct float80_env *e, struct float80_parts x, struct float80_parts y)
{
    struct float80 r;

    if (float80_take_nan(e, x, y, &r))
        return r;
    if (x.sign && x.kind == FLOAT80_INFINITE)
        return float80_invalid(e);
    if (x.kind != FLOAT80_FINITE) {
        r = times_special(e, y, x.sign, x.kind == FLOAT80_INFINITE);
        if (!(e->flags & FLOAT80_INVALID))
            float80_note_denormals(e, x, y);
        return r;
    }
    float80_note_denormals(e, x, y);
    if (y.kind != FLOAT80_FINITE)
        return times_special(e, y, x.sign, y.kind == FLOAT80_INFINITE);
    if (x.sign && x.exponent >= 0) { /* undefined; the operand on an EPYC */
        e->flags |= FLOAT80_INEXACT;
        return float80_pack(x);
    }
    return rounded(e, real_mul(logarithm_above(real_of(x)), real_of(y)));
}

/* -- angles ----------------------------------------------------------------------------------------------------------------------------- */

/* r = |a| - quadrant pi/2, |r| <= pi/4, for |a| < 2^63: a remainder of integers, so exact. */
static struct real reduce(struct float80_parts a, unsigned *quadrant)
{
    const float80_wide by = (float80_wide)3 << 64 | UINT64_C(0x243f6a8885a308d3); /* units of 2^-65 */
    float80_wide rest = a.significand;
    bool negative;

    *quadrant = 0;
    if (a.exponent < -2)
        return (struct real){ false, a.exponent, rest << 64 };
    for (int32_t i = a.exponent + 2; i > 0; i--) {
        rest <<= 1;
        *quadrant = *quadrant << 1 | (rest >= by);
        rest -= rest >= by ? by : 0;
    }
    negative = rest > by - rest;
    *quadrant += negative;
    return real_normal(negative, 127 - 65, negative ? by - rest : rest);
}

bool float80_is_angle(struct float80_parts a) { return a.kind != FLOAT80_FINITE || a.exponent < 63; }

/* NaNs, infinities and zeros: *r is the sine. */
static bool special_angle(struct float80_env *e, struct float80_parts a, struct float80 *r)
{
    if (float80_take_nan(e, a, a, r))
        return true;
    if (a.kind == FLOAT80_INFINITE) {
        *r = float80_invalid(e);
        return true;
    }
    float80_note_denormals(e, a, a);
    *r = float80_zero(a.sign);
    return a.kind == FLOAT80_ZERO;
}

/* Of quadrant pi/2 + r, r not zero. */
static struct real sine_of(struct real r, bool sign, unsigned quadrant)
{
    struct real s = trigonometric(r, quadrant & 1);

    s.sign ^= sign ^ (quadrant >> 1 & 1);
    return s;
}

struct float80 float80_sin(struct float80_env *e, struct float80_parts a)
{
    unsigned quadrant;
    struct float80 s;
    struct real r;

    if (special_angle(e, a, &s))
        return s;
    r = reduce(a, &quadrant);
    return rounded(e, sine_of(r, a.sign, quadrant));
}

struct float80 float80_cos(struct float80_env *e, struct float80_parts a)
{
    unsigned quadrant;
    struct float80 s;
    struct real r;

    if (special_angle(e, a, &s))
        return a.kind == FLOAT80_ZERO ? float80_pack(float80_from_int(1)) : s;
    r = reduce(a, &quadrant);
    return rounded(e, sine_of(r, false, quadrant + 1));
}

/* r + r^3/3 of a small angle: more than r, which a quotient of two rounded numbers might miss. */
static struct real tangent_of_small(struct real r) { return real_add(r, real_div_small(real_mul(r, real_mul(r, r)), 3)); }

static struct real tangent_of(struct real r, unsigned quadrant)
{
    if (r.exponent < -33 && !(quadrant & 1))
        return tangent_of_small(r);
    return real_div(sine_of(r, false, quadrant), sine_of(r, false, quadrant + 1));
}

struct float80 float80_tan(struct float80_env *e, struct float80_parts a)
{
    unsigned quadrant;
    struct float80 s;
    struct real r;

    if (special_angle(e, a, &s))
        return s;
    r = reduce(a, &quadrant);
    r = tangent_of(r, quadrant);
    r.sign ^= a.sign;
    return rounded(e, r);
}

/* The angle of a direction: from its smaller part over its larger one. */
static struct real angle_of(struct real x, struct real y)
{
    bool left = x.sign, steep;
    struct real r;

    x.sign = y.sign = false;
    steep = real_is_less(x, y);
    r = arctangent(steep ? real_div(x, y) : real_div(y, x));
    if (steep)
        r = real_sub(half_pi, r);
    return left ? real_sub(pi, r) : r;
}

/* Multiples of pi/4: where one of both is zero or infinite. */
static struct float80 special_arctangent(struct float80_env *e, struct float80_parts x, struct float80_parts y)
{
    bool flat = y.kind == FLOAT80_ZERO || (x.kind == FLOAT80_INFINITE && y.kind != FLOAT80_INFINITE);
    bool diagonal = x.kind == FLOAT80_INFINITE && y.kind == FLOAT80_INFINITE;
    struct real r = flat ? pi : half_pi;

    if (flat && !x.sign)
        return float80_zero(y.sign);
    if (diagonal) {
        r.exponent--;
        r = x.sign ? real_sub(pi, r) : r;
    }
    r.sign = y.sign;
    return rounded(e, r);
}

struct float80 float80_atan(struct float80_env *e, struct float80_parts x, struct float80_parts y)
{
    struct float80 s;
    struct real r;

    if (float80_take_nan(e, x, y, &s))
        return s;
    float80_note_denormals(e, x, y);
    if (x.kind != FLOAT80_FINITE || y.kind != FLOAT80_FINITE)
        return special_arctangent(e, x, y);
    r = angle_of(real_of(x), real_of(y));
    r.sign = y.sign;
    return rounded(e, r);
}
