/* vop_int.c - integer operations of vectors, lane by lane.  Spec: SDM 2, each instruction's page. */
#include "x86/vop.h"

LANES2(add8, b, x + y)
LANES2(add16, h, x + y)
LANES2(add32, w, x + y)
LANES2(add64, q, x + y)
LANES1(abs32, w, S32(y) < 0 ? 0 - y : y)

/* -- shifts: of a, by the low 64 bits of b; of b, by the immediate ------------------------------------------------------ */

static void shift_left32(struct vec_call *c, const union wide *from, uint64_t count)
{
    for (unsigned i = 0; i < c->width / 4; i++)
        c->r.w[i] = count < 32 ? from->w[i] << count : 0;
}

void vop_shl32(struct vec_call *c) { shift_left32(c, c->a, c->b->q[0]); }
void vop_shl32_imm(struct vec_call *c) { shift_left32(c, c->b, c->imm); }

/* -- comparison: to lanes of ones, or to an opmask register -------------------------------------------------------------- */

LANES2(equal8, b, x == y ? ~0 : 0)

void vop_equal8_bits(struct vec_call *c)
{
    uint64_t bits = 0;

    for (unsigned i = 0; i < c->width; i++)
        bits |= (uint64_t)(c->a->b[i] == c->b->b[i]) << i;
    c->r.q[0] = bits;
}
