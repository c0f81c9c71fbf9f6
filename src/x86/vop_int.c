/* vop_int.c - integer arithmetic and comparison of vectors, lane by lane.  Spec: SDM 2, each instruction's page. */
#include "x86/vop.h"

/* -- sums and differences ------------------------------------------------------------------------------------------ */

LANES2(add8, b, x + y)
LANES2(add16, h, x + y)
LANES2(add32, w, x + y)
LANES2(add64, q, x + y)
LANES2(sub8, b, x - y)
LANES2(sub16, h, x - y)
LANES2(sub32, w, x - y)
LANES2(sub64, q, x - y)
LANES2(adds8, b, saturate_signed(S8(x) + S8(y), 8))
LANES2(adds16, h, saturate_signed(S16(x) + S16(y), 16))
LANES2(addus8, b, saturate_unsigned(x + y, 8))
LANES2(addus16, h, saturate_unsigned(x + y, 16))
LANES2(subs8, b, saturate_signed(S8(x) - S8(y), 8))
LANES2(subs16, h, saturate_signed(S16(x) - S16(y), 16))
LANES2(subus8, b, saturate_unsigned(x - y, 8))
LANES2(subus16, h, saturate_unsigned(x - y, 16))
LANES2(average8, b, (x + y + 1) >> 1)
LANES2(average16, h, (x + y + 1) >> 1)

/* Neighbours with each other: in each 16 bytes the lower half comes from a, the upper one from b. */
#define NEIGHBOURS(name, m, expression)                                                                                \
    void vop_##name(struct vec_call *c)                                                                                \
    {                                                                                                                  \
        unsigned size = sizeof(c->r.m[0]), lanes = vop_part(c) / size;                                                 \
                                                                                                                       \
        for (unsigned i = 0; i < c->width / size; i++) {                                                               \
            const union wide *from = i % lanes < lanes / 2 ? c->a : c->b;                                              \
            unsigned at = i / lanes * lanes + i % (lanes / 2) * 2;                                                     \
            __typeof__(c->r.m[0]) x = from->m[at], y = from->m[at + 1];                                                \
            c->r.m[i] = (__typeof__(c->r.m[0]))(expression);                                                           \
        }                                                                                                              \
    }

NEIGHBOURS(add_pairs16, h, x + y)
NEIGHBOURS(add_pairs32, w, x + y)
NEIGHBOURS(adds_pairs16, h, saturate_signed(S16(x) + S16(y), 16))
NEIGHBOURS(sub_pairs16, h, x - y)
NEIGHBOURS(sub_pairs32, w, x - y)
NEIGHBOURS(subs_pairs16, h, saturate_signed(S16(x) - S16(y), 16))

/* -- signs, minimum, maximum --------------------------------------------------------------------------------------- */

LANES1(abs8, b, S8(y) < 0 ? 0 - y : y)
LANES1(abs16, h, S16(y) < 0 ? 0 - y : y)
LANES1(abs32, w, S32(y) < 0 ? 0 - y : y)
LANES1(abs64, q, S64(y) < 0 ? 0 - y : y)
LANES2(sign8, b, S8(y) < 0 ? 0 - x : y ? x : 0)
LANES2(sign16, h, S16(y) < 0 ? 0 - x : y ? x : 0)
LANES2(sign32, w, S32(y) < 0 ? 0 - x : y ? x : 0)
LANES2(min8, b, S8(x) < S8(y) ? x : y)
LANES2(min16, h, S16(x) < S16(y) ? x : y)
LANES2(min32, w, S32(x) < S32(y) ? x : y)
LANES2(min64, q, S64(x) < S64(y) ? x : y)
LANES2(minu8, b, x < y ? x : y)
LANES2(minu16, h, x < y ? x : y)
LANES2(minu32, w, x < y ? x : y)
LANES2(minu64, q, x < y ? x : y)
LANES2(max8, b, S8(x) > S8(y) ? x : y)
LANES2(max16, h, S16(x) > S16(y) ? x : y)
LANES2(max32, w, S32(x) > S32(y) ? x : y)
LANES2(max64, q, S64(x) > S64(y) ? x : y)
LANES2(maxu8, b, x > y ? x : y)
LANES2(maxu16, h, x > y ? x : y)
LANES2(maxu32, w, x > y ? x : y)
LANES2(maxu64, q, x > y ? x : y)

/* PHMINPOSUW: the smallest word, and where it was first. */
void vop_min_position(struct vec_call *c)
{
    unsigned at = 0;

    for (unsigned i = 1; i < 8; i++)
        if (c->b->h[i] < c->b->h[at])
            at = i;
    c->r = (union wide){ .h = { c->b->h[at], (uint16_t)at } };
}

/* -- products ------------------------------------------------------------------------------------------------------ */

LANES2(mul16, h, (uint32_t)x * y)
LANES2(mul32, w, x * y)
LANES2(mul64, q, x * y)
LANES2(mul_high16, h, S16(x) * S16(y) >> 16)
LANES2(mulu_high16, h, (uint32_t)x * y >> 16)
LANES2(mul_round16, h, ((S16(x) * S16(y) >> 14) + 1) >> 1)
LANES2(mul_even32, q, (int64_t)S32(x) * S32(y))
LANES2(mulu_even32, q, (uint64_t)(uint32_t)x * (uint32_t)y)
LANES2(mul_pairs16, w, (int64_t)S16(x) * S16(y) + S16(x >> 16) * S16(y >> 16))
LANES2(mul_pairs8, h, saturate_signed((uint8_t)x * S8(y) + (x >> 8) * S8(y >> 8), 16))

/* Products onto z, what the lane was before. */
#define LANES2_ONTO(name, m, expression)                                                                               \
    void vop_##name(struct vec_call *c)                                                                                \
    {                                                                                                                  \
        for (unsigned i = 0; i < c->width / sizeof(c->r.m[0]); i++) {                                                  \
            __typeof__(c->r.m[0]) x = c->a->m[i], y = c->b->m[i], z = c->r.m[i];                                       \
            c->r.m[i] = (__typeof__(c->r.m[0]))(expression);                                                           \
        }                                                                                                              \
    }

/* Unsigned bytes by signed ones; signed words. */
static int64_t dot8(uint32_t x, uint32_t y)
{
    int64_t sum = 0;

    for (unsigned i = 0; i < 32; i += 8)
        sum += (uint8_t)(x >> i) * S8(y >> i);
    return sum;
}

static int64_t dot16(uint32_t x, uint32_t y) { return (int64_t)S16(x) * S16(y) + S16(x >> 16) * S16(y >> 16); }

static unsigned __int128 product52(uint64_t x, uint64_t y)
{
    return (unsigned __int128)bits_get(x, 0, 52) * bits_get(y, 0, 52);
}

LANES2_ONTO(dot8, w, z + dot8(x, y))
LANES2_ONTO(dot8_saturate, w, saturate_signed(S32(z) + dot8(x, y), 32))
LANES2_ONTO(dot16, w, z + dot16(x, y))
LANES2_ONTO(dot16_saturate, w, saturate_signed(S32(z) + dot16(x, y), 32))
LANES2_ONTO(mul_low52, q, z + bits_get((uint64_t)product52(x, y), 0, 52))
LANES2_ONTO(mul_high52, q, z + (uint64_t)(product52(x, y) >> 52))

/* -- sums of absolute differences ---------------------------------------------------------------------------------- */

static unsigned distance(const uint8_t *a, const uint8_t *b, unsigned n)
{
    unsigned sum = 0;

    for (unsigned i = 0; i < n; i++)
        sum += (unsigned)(a[i] > b[i] ? a[i] - b[i] : b[i] - a[i]);
    return sum;
}

void vop_distance8(struct vec_call *c)
{
    for (unsigned i = 0; i < c->width / 8; i++)
        c->r.q[i] = distance(&c->a->b[i * 8], &c->b->b[i * 8], 8);
}

/* MPSADBW: four bytes of b with eight places of a; imm has three bits for each 16 bytes. */
void vop_distances4(struct vec_call *c)
{
    for (unsigned part = 0; part < c->width; part += 16) {
        unsigned imm = c->imm >> part / 16 * 3;
        const uint8_t *a = &c->a->b[part + (imm & 4)], *b = &c->b->b[part + (imm & 3) * 4];

        for (unsigned i = 0; i < 8; i++)
            c->r.h[part / 2 + i] = (uint16_t)distance(a + i, b, 4);
    }
}

/* VDBPSADBW: b with its dwords as imm has them; each half of 8 bytes has two places of a and four of b. */
void vop_distances_shuffled(struct vec_call *c)
{
    for (unsigned part = 0; part < c->width; part += 16) {
        union wide b;

        for (unsigned i = 0; i < 4; i++)
            b.w[i] = c->b->w[part / 4 + (c->imm >> i * 2 & 3)];
        for (unsigned i = 0; i < 8; i++)
            c->r.h[part / 2 + i] = (uint16_t)distance(&c->a->b[part + i / 2 * 4], &b.b[i / 4 * 8 + (i & 3)], 4);
    }
}

/* -- comparison: to lanes of ones, or to an opmask register -------------------------------------------------------- */

/* A bit for each lane of which the expression is true. */
#define BITS2(name, m, expression)                                                                                     \
    void vop_##name(struct vec_call *c)                                                                                \
    {                                                                                                                  \
        uint64_t bits = 0;                                                                                             \
                                                                                                                       \
        for (unsigned i = 0; i < c->width / sizeof(c->r.m[0]); i++) {                                                  \
            __typeof__(c->r.m[0]) x = c->a->m[i], y = c->b->m[i];                                                      \
            bits |= (uint64_t)(expression) << i;                                                                       \
        }                                                                                                              \
        c->r.q[0] = bits;                                                                                              \
    }

#define COMPARE2(name, m, expression) LANES2(name, m, (expression) ? ~UINT64_C(0) : 0) BITS2(name##_bits, m, expression)

COMPARE2(equal8, b, x == y)
COMPARE2(equal16, h, x == y)
COMPARE2(equal32, w, x == y)
COMPARE2(equal64, q, x == y)
COMPARE2(greater8, b, S8(x) > S8(y))
COMPARE2(greater16, h, S16(x) > S16(y))
COMPARE2(greater32, w, S32(x) > S32(y))
COMPARE2(greater64, q, S64(x) > S64(y))

/* imm: equal, less, less or equal, false; with bit 2 the contrary (SDM 2 VPCMPD). */
static bool predicate(unsigned imm, bool less, bool equal)
{
    bool holds = (!(imm & 3) && equal) || ((imm & 3) == 1 && less) || ((imm & 3) == 2 && (less || equal));

    return holds ^ (imm >> 2 & 1);
}

BITS2(compare8, b, predicate(c->imm, S8(x) < S8(y), x == y))
BITS2(compare16, h, predicate(c->imm, S16(x) < S16(y), x == y))
BITS2(compare32, w, predicate(c->imm, S32(x) < S32(y), x == y))
BITS2(compare64, q, predicate(c->imm, S64(x) < S64(y), x == y))
BITS2(compareu8, b, predicate(c->imm, x < y, x == y))
BITS2(compareu16, h, predicate(c->imm, x < y, x == y))
BITS2(compareu32, w, predicate(c->imm, x < y, x == y))
BITS2(compareu64, q, predicate(c->imm, x < y, x == y))
BITS2(test8, b, (x & y) != 0)
BITS2(test16, h, (x & y) != 0)
BITS2(test32, w, (x & y) != 0)
BITS2(test64, q, (x & y) != 0)
BITS2(testn8, b, !(x & y))
BITS2(testn16, h, !(x & y))
BITS2(testn32, w, !(x & y))
BITS2(testn64, q, !(x & y))

/* VPCONFLICTD: which lanes below have the same value. */
#define CONFLICT(name, m)                                                                                              \
    void vop_##name(struct vec_call *c)                                                                                \
    {                                                                                                                  \
        for (unsigned i = 0; i < c->width / sizeof(c->r.m[0]); i++) {                                                  \
            c->r.m[i] = 0;                                                                                             \
            for (unsigned j = 0; j < i && j < ARRAY_LEN(c->b->m); j++)                                                 \
                c->r.m[i] |= (__typeof__(c->r.m[0]))(c->b->m[j] == c->b->m[i]) << j;                                   \
        }                                                                                                              \
    }

CONFLICT(conflict32, w)
CONFLICT(conflict64, q)

/* ZF: a and b have no bit in common; CF: b has none that a lacks.  Of `bits` of each 8 bytes. */
static void test_flags(struct vec_call *c, uint64_t bits)
{
    uint64_t both = 0, lacking = 0;

    for (unsigned i = 0; i < c->width / 8; i++) {
        both |= c->a->q[i] & c->b->q[i] & bits;
        lacking |= ~c->a->q[i] & c->b->q[i] & bits;
    }
    c->flags = (both ? 0 : FLAG_ZF) | (lacking ? 0 : FLAG_CF);
}

void vop_test_all(struct vec_call *c) { test_flags(c, UINT64_MAX); }
void vop_test_signs32(struct vec_call *c) { test_flags(c, UINT64_C(0x8000000080000000)); }
void vop_test_signs64(struct vec_call *c) { test_flags(c, UINT64_C(0x8000000000000000)); }
