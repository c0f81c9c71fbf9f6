/*
 * vop_mask.c - opmask registers: arithmetic, and between them and vectors.  Spec: SDM 2, each instruction's page.
 *
 * `width` is the opmask's where the instruction names one (KANDB: 1 byte, to KANDQ: 8).
 */
#include "x86/vop.h"

static uint64_t first(const struct vec_call *c) { return bits_trunc(c->a->q[0], c->width); }
static uint64_t second(const struct vec_call *c) { return bits_trunc(c->b->q[0], c->width); }

/* -- arithmetic ---------------------------------------------------------------------------------------------------- */

void vop_kadd(struct vec_call *c) { c->r.q[0] = first(c) + second(c); }
void vop_kand(struct vec_call *c) { c->r.q[0] = first(c) & second(c); }
void vop_kandn(struct vec_call *c) { c->r.q[0] = ~first(c) & second(c); }
void vop_kor(struct vec_call *c) { c->r.q[0] = first(c) | second(c); }
void vop_kxor(struct vec_call *c) { c->r.q[0] = first(c) ^ second(c); }
void vop_kxnor(struct vec_call *c) { c->r.q[0] = ~(first(c) ^ second(c)); }
void vop_knot(struct vec_call *c) { c->r.q[0] = ~second(c); }
void vop_kshiftl(struct vec_call *c) { c->r.q[0] = c->imm < 64 ? second(c) << c->imm : 0; }
void vop_kshiftr(struct vec_call *c) { c->r.q[0] = c->imm < 64 ? second(c) >> c->imm : 0; }

/* `width` is the result's: half of it from a, half from b. */
void vop_kunpack(struct vec_call *c) { c->r.q[0] = first(c) << c->width * 4 | bits_get(second(c), 0, c->width * 4); }

void vop_kortest(struct vec_call *c)
{
    uint64_t r = first(c) | second(c);

    c->flags = (r ? 0 : FLAG_ZF) | (r == bits_mask(c->width * 8) ? FLAG_CF : 0);
}

void vop_ktest(struct vec_call *c)
{
    c->flags = (first(c) & second(c) ? 0 : FLAG_ZF) | (~first(c) & second(c) ? 0 : FLAG_CF);
}

/* -- vectors ------------------------------------------------------------------------------------------------------- */

/* VPMOVM2B: lanes of ones and zeroes; VPMOVB2M: sign bits. */
#define SPREAD(bits, m)                                                                                                \
    void vop_mask_to_lanes##bits(struct vec_call *c)                                                                   \
    {                                                                                                                  \
        for (unsigned i = 0; i < c->lanes; i++)                                                                        \
            c->r.m[i] = (__typeof__(c->r.m[0]))(0 - (c->b->q[0] >> i & 1));                                            \
    }                                                                                                                  \
    void vop_lanes_to_mask##bits(struct vec_call *c)                                                                   \
    {                                                                                                                  \
        uint64_t signs = 0;                                                                                            \
                                                                                                                       \
        for (unsigned i = 0; i < c->lanes && i < ARRAY_LEN(c->b->m); i++)                                              \
            signs |= (uint64_t)(c->b->m[i] >> (bits - 1)) << i;                                                        \
        c->r.q[0] = signs;                                                                                             \
    }

SPREAD(8, b)
SPREAD(16, h)
SPREAD(32, w)
SPREAD(64, q)

/* VPBROADCASTMB2Q, VPBROADCASTMW2D: a mask into every lane. */
void vop_mask_repeat64(struct vec_call *c)
{
    for (unsigned i = 0; i < c->lanes; i++)
        c->r.q[i] = c->b->b[0];
}

void vop_mask_repeat32(struct vec_call *c)
{
    for (unsigned i = 0; i < c->lanes; i++)
        c->r.w[i] = c->b->h[0];
}
