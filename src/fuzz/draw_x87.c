/*
 * draw_x87.c - x87 state that makes an x87 instruction interesting.
 *
 * The stack is full, empty or in between; numbers are special, near each other, near a rounding boundary, or any.
 */
#include "fuzz/draw_x87.h"

static uint64_t draw_significand(struct random *r)
{
    static const uint64_t values[] = { UINT64_C(0x8000000000000000), UINT64_C(0xc000000000000000), UINT64_C(0xffffffffffffffff),
                                       UINT64_C(0x8000000000000001), UINT64_C(0xfffffffffffff800), UINT64_C(0xfffffffffffffbff),
                                       UINT64_C(0xfffffffffffffc00), UINT64_C(0x8000000000000400), UINT64_C(0xffffff8000000000),
                                       UINT64_C(0xffffff0000000000), UINT64_C(0x8000008000000000), UINT64_C(0x8000000000000c00) };

    switch (random_below(r, 4)) {
    case 0: return values[random_below(r, ARRAY_LEN(values))];
    case 1: return BIT(63) | random_next(r) << random_below(r, 63);
    default: return BIT(63) | random_next(r);
    }
}

/* 0: zero; 1, 2: denormal and pseudo-denormal; 3 to 5: infinity, NaN; 6: unsupported; others are ordinary. */
static void draw_register(struct random *r, struct x87 *x, unsigned i)
{
    uint16_t sign = (uint16_t)(random_next(r) & 0x8000);
    uint64_t significand = draw_significand(r);
    unsigned exponent;

    switch (random_below(r, 24)) {
    case 0: exponent = 0; significand = 0; break;
    case 1: exponent = 0; significand >>= random_below(r, 64); break;
    case 2: exponent = 0; break;
    case 3: exponent = 0x7fff; significand = BIT(63); break;
    case 4: exponent = 0x7fff; break;
    case 5: exponent = 0x7fff; significand |= BIT(62); break;
    case 6: exponent = random_below(r, 0x8000); significand = random_next(r) >> 1; break;
    case 7: case 8: exponent = random_below(r, 0x7fff); break;
    case 9: exponent = random_below(r, 70); break;
    case 10: exponent = 0x7ffe - random_below(r, 70); break;
    case 11: exponent = 16383 - 127 - 26 + random_below(r, 28); break;
    case 12: exponent = 16383 - 1023 - 55 + random_below(r, 57); break;
    case 13: exponent = 16383 + 127 - random_below(r, 2); break;
    case 14: exponent = 16383 + 1023 - random_below(r, 2); break;
    case 15: case 16: case 17: exponent = 16383 + random_below(r, 66); break;
    case 18: exponent = 16383 + random_below(r, 66); significand = BIT(63) | (random_next(r) & ~UINT64_C(0) << random_below(r, 63)); break;
    default: exponent = 16383 - 8 + random_below(r, 16); break;
    }
    x->significand[i] = significand;
    x->exponent[i] = (uint16_t)(sign | exponent);
}

/* Some of the registers are equal, or almost. */
static void repeat_some(struct random *r, struct x87 *x)
{
    for (unsigned n = random_below(r, 3); n; n--) {
        unsigned to = random_below(r, 8), from = random_below(r, 8);

        x->significand[to] = x->significand[from] ^ (random_one_in(r, 3) ? random_next(r) & 3 : 0);
        x->exponent[to] = x->exponent[from] ^ (random_one_in(r, 3) ? 0x8000 : 0);
        if (x->exponent[to] & 0x7fff && random_one_in(r, 4))
            x->exponent[to] ^= 1;
    }
}

void draw_x87(struct random *r, struct x87 *x)
{
    static const uint8_t valid[] = { 0xff, 0xff, 0, 0x0f };

    for (unsigned i = 0; i < 8; i++)
        draw_register(r, x, i);
    repeat_some(r, x);
    x->control = (uint16_t)(0x7f | (random_next(r) & 0x1000) | random_below(r, 4) << 10);
    x->control |= (uint16_t)((random_one_in(r, 2) ? 3 : random_one_in(r, 16) ? 1 : random_one_in(r, 2) * 2) << 8);
    if (random_one_in(r, 8))
        x->control &= (uint16_t)~(random_next(r) & 0x3f);
    x->status = (uint16_t)(random_next(r) & 0x7f00); /* condition codes, TOP */
    if (random_one_in(r, 4))
        x->status |= (uint16_t)(random_next(r) & x->control & 0x3f); /* masked ones */
    if (random_one_in(r, 32)) {
        x->control &= (uint16_t)~1;
        x->status |= 0x8081; /* pending */
    }
    x->valid = random_one_in(r, 4) ? (uint8_t)random_next(r) : valid[random_below(r, ARRAY_LEN(valid))];
    if (random_one_in(r, 2)) { /* ST(0) and ST(1) alone, or most of them */
        unsigned two = 3u << (x->status >> 11 & 7);

        x->valid = (uint8_t)(random_one_in(r, 2) ? two | two >> 8 : ~((1u << (((x->status >> 11) + 7) & 7))));
    }
}
