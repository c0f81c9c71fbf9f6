/* vop_bits.c - bitwise logic, shifts and counts of vectors.  Spec: SDM 2, each instruction's page. */
#include "x86/vop.h"

/* -- logic; lanes matter to masks alone ---------------------------------------------------------------------------- */

LANES2(and32, w, x & y)
LANES2(and64, q, x & y)
LANES2(andn32, w, ~x & y)
LANES2(andn64, q, ~x & y)
LANES2(or32, w, x | y)
LANES2(or64, q, x | y)
LANES2(xor32, w, x ^ y)
LANES2(xor64, q, x ^ y)

/* VPTERNLOG: imm is the truth table, its index a bit each of the destination, a and b. */
static void ternary(struct vec_call *c)
{
    for (unsigned i = 0; i < c->width / 8; i++) {
        uint64_t r = 0;

        for (unsigned n = 0; n < 8; n++)
            if (c->imm >> n & 1)
                r |= (n & 4 ? c->r.q[i] : ~c->r.q[i]) & (n & 2 ? c->a->q[i] : ~c->a->q[i]) &
                     (n & 1 ? c->b->q[i] : ~c->b->q[i]);
        c->r.q[i] = r;
    }
}

void vop_ternary32(struct vec_call *c) { ternary(c); }
void vop_ternary64(struct vec_call *c) { ternary(c); }

/* -- shifts: of a by the low 64 bits of b, of b by the immediate, of a by b lane by lane --------------------------- */

#define SHIFT(name, m, expression)                                                                                     \
    static void shift_##name(struct vec_call *c, const union wide *from, uint64_t n)                                   \
    {                                                                                                                  \
        for (unsigned i = 0; i < c->width / sizeof(c->r.m[0]); i++) {                                                  \
            __typeof__(c->r.m[0]) x = from->m[i];                                                                      \
            c->r.m[i] = (__typeof__(c->r.m[0]))(expression);                                                           \
        }                                                                                                              \
    }                                                                                                                  \
    void vop_##name(struct vec_call *c) { shift_##name(c, c->a, c->b->q[0]); }                                         \
    void vop_##name##_imm(struct vec_call *c) { shift_##name(c, c->b, c->imm); }

#define SHIFT_EACH(name, m, expression)                                                                                \
    void vop_##name(struct vec_call *c)                                                                                \
    {                                                                                                                  \
        for (unsigned i = 0; i < c->width / sizeof(c->r.m[0]); i++) {                                                  \
            __typeof__(c->r.m[0]) x = c->a->m[i], n = c->b->m[i];                                                      \
            c->r.m[i] = (__typeof__(c->r.m[0]))(expression);                                                           \
        }                                                                                                              \
    }

SHIFT(shl16, h, n < 16 ? (uint32_t)x << n : 0)
SHIFT(shl32, w, n < 32 ? x << n : 0)
SHIFT(shl64, q, n < 64 ? x << n : 0)
SHIFT(shr16, h, n < 16 ? x >> n : 0)
SHIFT(shr32, w, n < 32 ? x >> n : 0)
SHIFT(shr64, q, n < 64 ? x >> n : 0)
SHIFT(sar16, h, S16(x) >> bits_min(n, 15))
SHIFT(sar32, w, S32(x) >> bits_min(n, 31))
SHIFT(sar64, q, S64(x) >> bits_min(n, 63))
SHIFT_EACH(shl_each16, h, n < 16 ? (uint32_t)x << n : 0)
SHIFT_EACH(shl_each32, w, n < 32 ? x << n : 0)
SHIFT_EACH(shl_each64, q, n < 64 ? x << n : 0)
SHIFT_EACH(shr_each16, h, n < 16 ? x >> n : 0)
SHIFT_EACH(shr_each32, w, n < 32 ? x >> n : 0)
SHIFT_EACH(shr_each64, q, n < 64 ? x >> n : 0)
SHIFT_EACH(sar_each16, h, S16(x) >> bits_min(n, 15))
SHIFT_EACH(sar_each32, w, S32(x) >> bits_min(n, 31))
SHIFT_EACH(sar_each64, q, S64(x) >> bits_min(n, 63))

/* The upper half of high:low after a shift to the left; the lower half after one to the right. */
static uint64_t funnel_left(uint64_t high, uint64_t low, uint64_t n, unsigned bits)
{
    n &= bits - 1;
    return n ? high << n | low >> (bits - n) : high;
}

static uint64_t funnel_right(uint64_t high, uint64_t low, uint64_t n, unsigned bits)
{
    n &= bits - 1;
    return n ? low >> n | high << (bits - n) : low;
}

LANES2(rol_each32, w, funnel_left(x, x, y, 32))
LANES2(rol_each64, q, funnel_left(x, x, y, 64))
LANES2(ror_each32, w, funnel_right(x, x, y, 32))
LANES2(ror_each64, q, funnel_right(x, x, y, 64))
LANES1(rol32_imm, w, funnel_left(y, y, c->imm, 32))
LANES1(rol64_imm, q, funnel_left(y, y, c->imm, 64))
LANES1(ror32_imm, w, funnel_right(y, y, c->imm, 32))
LANES1(ror64_imm, q, funnel_right(y, y, c->imm, 64))

/* VPSHLD a:b, VPSHRD b:a, by the immediate; VPSHLDV, VPSHRDV the destination with a, by b. */
LANES2(shld16, h, funnel_left(x, y, c->imm, 16))
LANES2(shld32, w, funnel_left(x, y, c->imm, 32))
LANES2(shld64, q, funnel_left(x, y, c->imm, 64))
LANES2(shrd16, h, funnel_right(y, x, c->imm, 16))
LANES2(shrd32, w, funnel_right(y, x, c->imm, 32))
LANES2(shrd64, q, funnel_right(y, x, c->imm, 64))
LANES2(shld_each16, h, funnel_left(c->r.h[i], x, y, 16))
LANES2(shld_each32, w, funnel_left(c->r.w[i], x, y, 32))
LANES2(shld_each64, q, funnel_left(c->r.q[i], x, y, 64))
LANES2(shrd_each16, h, funnel_right(x, c->r.h[i], y, 16))
LANES2(shrd_each32, w, funnel_right(x, c->r.w[i], y, 32))
LANES2(shrd_each64, q, funnel_right(x, c->r.q[i], y, 64))

/* PSLLDQ, PSRLDQ: by bytes, each 16 for themselves. */
void vop_shl_bytes(struct vec_call *c)
{
    for (unsigned i = 0; i < c->width; i++)
        c->r.b[i] = i % 16 >= c->imm ? c->b->b[i - c->imm] : 0;
}

void vop_shr_bytes(struct vec_call *c)
{
    for (unsigned i = 0; i < c->width; i++)
        c->r.b[i] = i % 16 + c->imm < 16 ? c->b->b[i + c->imm] : 0;
}

/* VPMULTISHIFTQB: eight bits of each 8 bytes of b from where a says. */
void vop_multishift(struct vec_call *c)
{
    for (unsigned i = 0; i < c->width; i++) {
        uint64_t y = c->b->q[i / 8];

        c->r.b[i] = (uint8_t)funnel_right(y, y, c->a->b[i], 64);
    }
}

/* VPSHUFBITQMB: one bit of each 8 bytes of a from where b says. */
void vop_pick_bits(struct vec_call *c)
{
    uint64_t bits = 0;

    for (unsigned i = 0; i < c->width; i++)
        bits |= (c->a->q[i / 8] >> (c->b->b[i] & 63) & 1) << i;
    c->r.q[0] = bits;
}

/* -- counts -------------------------------------------------------------------------------------------------------- */

LANES1(popcount8, b, __builtin_popcountll(y))
LANES1(popcount16, h, __builtin_popcountll(y))
LANES1(popcount32, w, __builtin_popcountll(y))
LANES1(popcount64, q, __builtin_popcountll(y))
LANES1(leading_zeros32, w, y ? __builtin_clz(y) : 32)
LANES1(leading_zeros64, q, y ? __builtin_clzll(y) : 64)

/* -- SSE4a fields: length and index, 6 bits each, at bit 0 and 8; length 0 is 64 ----------------------------------- */

static uint64_t field_mask(uint64_t field) { return bits_mask(field & 63 ? field & 63 : 64); }

static void extract(struct vec_call *c, const union wide *from, uint64_t field)
{
    c->r.q[0] = from->q[0] >> (field >> 8 & 63) & field_mask(field);
    c->r.q[1] = 0;
}

static void insert(struct vec_call *c, uint64_t field)
{
    uint64_t mask = field_mask(field) << (field >> 8 & 63);

    c->r.q[0] = (c->a->q[0] & ~mask) | (c->b->q[0] << (field >> 8 & 63) & mask);
    c->r.q[1] = 0;
}

void vop_extract_field(struct vec_call *c) { extract(c, c->a, c->b->q[0]); }
void vop_extract_field_imm(struct vec_call *c) { extract(c, c->b, c->general); }
void vop_insert_field(struct vec_call *c) { insert(c, c->b->q[1]); }
void vop_insert_field_imm(struct vec_call *c) { insert(c, c->general); }
