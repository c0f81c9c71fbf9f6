/*
 * vop_shuffle.c - lanes that change places or widths: interleaving, packing, shuffles, permutes, blends, extension.
 *
 * "Part": 16 bytes of a longer vector, which most of these treat by itself; an MMX register is one of 8.
 *
 * Spec: SDM 2, each instruction's page.
 */
#include "x86/vop.h"

#define LANES(m) (c->width / (unsigned)sizeof(c->r.m[0]))
#define PART_LANES(m) (vop_part(c) / (unsigned)sizeof(c->r.m[0]))

/* -- interleaving: PUNPCKLBW and relatives ------------------------------------------------------------------------- */

/* The lower or upper (first: half a part) lanes of a and b in turn. */
#define INTERLEAVE(name, m, first)                                                                                     \
    void vop_##name(struct vec_call *c)                                                                                \
    {                                                                                                                  \
        unsigned n = PART_LANES(m);                                                                                    \
                                                                                                                       \
        for (unsigned i = 0; i < LANES(m); i++)                                                                        \
            c->r.m[i] = (i & 1 ? c->b : c->a)->m[i / n * n + (first) + i % n / 2];                                     \
    }

INTERLEAVE(unpack_low8, b, 0)
INTERLEAVE(unpack_low16, h, 0)
INTERLEAVE(unpack_low32, w, 0)
INTERLEAVE(unpack_low64, q, 0)
INTERLEAVE(unpack_high8, b, n / 2)
INTERLEAVE(unpack_high16, h, n / 2)
INTERLEAVE(unpack_high32, w, n / 2)
INTERLEAVE(unpack_high64, q, n / 2)

/* -- packing: a's part, then b's, in lanes of half the width ------------------------------------------------------- */

#define PACK(name, m, wide, expression)                                                                                \
    void vop_##name(struct vec_call *c)                                                                                \
    {                                                                                                                  \
        unsigned n = PART_LANES(m);                                                                                    \
                                                                                                                       \
        for (unsigned i = 0; i < LANES(m); i++) {                                                                      \
            uint64_t x = (i % n < n / 2 ? c->a : c->b)->wide[i / n * (n / 2) + i % (n / 2)];                           \
            c->r.m[i] = (__typeof__(c->r.m[0]))(expression);                                                           \
        }                                                                                                              \
    }

PACK(pack16to8, b, h, saturate_signed(S16(x), 8))
PACK(packu16to8, b, h, saturate_unsigned(S16(x), 8))
PACK(pack32to16, h, w, saturate_signed(S32(x), 16))
PACK(packu32to16, h, w, saturate_unsigned(S32(x), 16))

/* -- wider and narrower lanes -------------------------------------------------------------------------------------- */

/* PMOVSXBW and relatives: y is a lane of b. */
#define CONVERT(name, m, from, expression)                                                                             \
    void vop_##name(struct vec_call *c)                                                                                \
    {                                                                                                                  \
        for (unsigned i = 0; i < c->lanes; i++) {                                                                      \
            __typeof__(c->r.from[0]) y = c->b->from[i];                                                                \
            c->r.m[i] = (__typeof__(c->r.m[0]))(expression);                                                           \
        }                                                                                                              \
    }

CONVERT(sign8to16, h, b, S8(y))
CONVERT(sign8to32, w, b, S8(y))
CONVERT(sign8to64, q, b, S8(y))
CONVERT(sign16to32, w, h, S16(y))
CONVERT(sign16to64, q, h, S16(y))
CONVERT(sign32to64, q, w, S32(y))
CONVERT(zero8to16, h, b, y)
CONVERT(zero8to32, w, b, y)
CONVERT(zero8to64, q, b, y)
CONVERT(zero16to32, w, h, y)
CONVERT(zero16to64, q, h, y)
CONVERT(zero32to64, q, w, y)

/* VPMOVWB and relatives: truncated, from signed to signed, from unsigned to unsigned. */
CONVERT(narrow16to8, b, h, y)
CONVERT(narrow32to8, b, w, y)
CONVERT(narrow32to16, h, w, y)
CONVERT(narrow64to8, b, q, y)
CONVERT(narrow64to16, h, q, y)
CONVERT(narrow64to32, w, q, y)
CONVERT(narrows16to8, b, h, saturate_signed(S16(y), 8))
CONVERT(narrows32to8, b, w, saturate_signed(S32(y), 8))
CONVERT(narrows32to16, h, w, saturate_signed(S32(y), 16))
CONVERT(narrows64to8, b, q, saturate_signed(S64(y), 8))
CONVERT(narrows64to16, h, q, saturate_signed(S64(y), 16))
CONVERT(narrows64to32, w, q, saturate_signed(S64(y), 32))
CONVERT(narrowus16to8, b, h, bits_min(y, UINT8_MAX))
CONVERT(narrowus32to8, b, w, bits_min(y, UINT8_MAX))
CONVERT(narrowus32to16, h, w, bits_min(y, UINT16_MAX))
CONVERT(narrowus64to8, b, q, bits_min(y, UINT8_MAX))
CONVERT(narrowus64to16, h, q, bits_min(y, UINT16_MAX))
CONVERT(narrowus64to32, w, q, bits_min(y, UINT32_MAX))

/* -- shuffles within a part ---------------------------------------------------------------------------------------- */

/* PSHUFB: where b's lane has bit 7 set, zero. */
void vop_shuffle8(struct vec_call *c)
{
    unsigned n = vop_part(c);

    for (unsigned i = 0; i < c->width; i++)
        c->r.b[i] = c->b->b[i] & 0x80 ? 0 : c->a->b[i / n * n + (c->b->b[i] & (n - 1))];
}

/* Lane i: base is its part's first, two(n) the bits of the immediate that say where from. */
#define SHUFFLE(name, m, expression)                                                                                   \
    void vop_##name(struct vec_call *c)                                                                                \
    {                                                                                                                  \
        for (unsigned i = 0; i < LANES(m); i++) {                                                                      \
            unsigned base = i / PART_LANES(m) * PART_LANES(m);                                                         \
            c->r.m[i] = (expression);                                                                                  \
        }                                                                                                              \
    }

static unsigned two(const struct vec_call *c, unsigned n) { return c->imm >> (n & 3) * 2 & 3; }

SHUFFLE(shuffle32_imm, w, c->b->w[base + two(c, i)])
SHUFFLE(shuffle_low16_imm, h, i - base < 4 ? c->b->h[base + two(c, i)] : c->b->h[i])
SHUFFLE(shuffle_high16_imm, h, i - base < 4 ? c->b->h[i] : c->b->h[base + 4 + two(c, i)])
SHUFFLE(shuffle_pair32, w, (i - base < 2 ? c->a : c->b)->w[base + two(c, i)])
SHUFFLE(shuffle_pair64, q, (i == base ? c->a : c->b)->q[base + (c->imm >> i & 1)])
SHUFFLE(permute_part32, w, c->a->w[base + (c->b->w[i] & 3)])
SHUFFLE(permute_part32_imm, w, c->b->w[base + two(c, i)])
SHUFFLE(permute_part64, q, c->a->q[base + (c->b->q[i] >> 1 & 1)])
SHUFFLE(permute_part64_imm, q, c->b->q[base + (c->imm >> i & 1)])

/* -- a and b as one, moved right: PALIGNR by bytes within parts, VALIGND by lanes ---------------------------------- */

void vop_align8(struct vec_call *c)
{
    unsigned n = vop_part(c);

    for (unsigned i = 0; i < c->width; i++) {
        unsigned base = i / n * n, at = i % n + c->imm;

        c->r.b[i] = at < n ? c->b->b[base + at] : at < 2 * n ? c->a->b[base + at - n] : 0;
    }
}

#define ALIGN(name, m)                                                                                                 \
    void vop_##name(struct vec_call *c)                                                                                \
    {                                                                                                                  \
        unsigned n = LANES(m);                                                                                         \
                                                                                                                       \
        for (unsigned i = 0; i < n; i++) {                                                                             \
            unsigned at = i + (c->imm & (n - 1));                                                                      \
            c->r.m[i] = at < n ? c->b->m[at] : c->a->m[at - n];                                                        \
        }                                                                                                              \
    }

ALIGN(align32, w)
ALIGN(align64, q)

/* -- permutes across parts ----------------------------------------------------------------------------------------- */

/* VPERMB and relatives: a says where in b; VPERMT2B: where in the destination and b; VPERMI2B: r does, a and b. */
#define PERMUTE(bits, m)                                                                                               \
    void vop_permute##bits(struct vec_call *c)                                                                         \
    {                                                                                                                  \
        for (unsigned i = 0; i < LANES(m); i++)                                                                        \
            c->r.m[i] = c->b->m[c->a->m[i] & (LANES(m) - 1)];                                                          \
    }                                                                                                                  \
    static void permute_both##bits(struct vec_call *c, const union wide *at, const union wide *low)                    \
    {                                                                                                                  \
        for (unsigned i = 0; i < LANES(m); i++)                                                                        \
            c->r.m[i] = (at->m[i] & LANES(m) ? c->b : low)->m[at->m[i] & (LANES(m) - 1)];                              \
    }                                                                                                                  \
    void vop_permute_table##bits(struct vec_call *c)                                                                   \
    {                                                                                                                  \
        union wide table = c->r;                                                                                       \
                                                                                                                       \
        permute_both##bits(c, c->a, &table);                                                                           \
    }                                                                                                                  \
    void vop_permute_index##bits(struct vec_call *c)                                                                   \
    {                                                                                                                  \
        union wide index = c->r;                                                                                       \
                                                                                                                       \
        permute_both##bits(c, &index, c->a);                                                                           \
    }

PERMUTE(8, b)
PERMUTE(16, h)
PERMUTE(32, w)
PERMUTE(64, q)

/* VPERMQ by an immediate: each 32 bytes by themselves. */
void vop_permute64_imm(struct vec_call *c)
{
    for (unsigned i = 0; i < c->width / 8; i++)
        c->r.q[i] = c->b->q[i / 4 * 4 + two(c, i)];
}

static void put_part(struct vec_call *c, unsigned i, const union wide *from, unsigned n)
{
    c->r.q[i * 2] = from->q[n * 2];
    c->r.q[i * 2 + 1] = from->q[n * 2 + 1];
}

/* VPERM2F128: any two parts of a and b, or zero. */
void vop_permute_parts(struct vec_call *c)
{
    for (unsigned i = 0; i < 2; i++) {
        unsigned control = c->imm >> i * 4;

        if (control & 8)
            c->r.q[i * 2] = c->r.q[i * 2 + 1] = 0;
        else
            put_part(c, i, control & 2 ? c->b : c->a, control & 1);
    }
}

/* VSHUFF32X4: the lower parts from a, the upper ones from b. */
static void shuffle_parts(struct vec_call *c)
{
    unsigned n = c->width / 16, bits = n / 2;

    for (unsigned i = 0; i < n; i++)
        put_part(c, i, i < n / 2 ? c->a : c->b, c->imm >> i * bits & (n - 1));
}

void vop_shuffle_parts32(struct vec_call *c) { shuffle_parts(c); }
void vop_shuffle_parts64(struct vec_call *c) { shuffle_parts(c); }

/* -- blends: by the immediate, by the signs of c, by an opmask ----------------------------------------------------- */

LANES2(blend16, h, c->imm >> i % 8 & 1 ? y : x)
LANES2(blend32, w, c->imm >> i & 1 ? y : x)
LANES2(blend64, q, c->imm >> i & 1 ? y : x)
LANES2(blend_signs8, b, S8(c->c->b[i]) < 0 ? y : x)
LANES2(blend_signs32, w, S32(c->c->w[i]) < 0 ? y : x)
LANES2(blend_signs64, q, S64(c->c->q[i]) < 0 ? y : x)

/* VPBLENDMB: what the mask leaves out is a's, or zero, and not the destination's. */
#define SELECT(name, m)                                                                                                \
    void vop_##name(struct vec_call *c)                                                                                \
    {                                                                                                                  \
        for (unsigned i = 0; i < LANES(m); i++)                                                                        \
            c->r.m[i] = (c->active >> i & 1 ? c->b : c->a)->m[i];                                                      \
        if (!c->word.zeroing)                                                                                          \
            c->active = bits_mask(c->lanes);                                                                           \
    }

SELECT(select8, b)
SELECT(select16, h)
SELECT(select32, w)
SELECT(select64, q)
