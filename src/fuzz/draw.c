/*
 * draw.c - values that tend to show mistakes: zero, ones, the ends of each width, special floating-point numbers, equal
 * operands.
 */
#include "fuzz/draw.h"

#include "native/native.h"
#include "x86/flags.h"

#include <string.h>

static uint64_t draw_integer(struct random *r)
{
    static const uint64_t values[] = { 0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff,
                                       UINT64_C(0x7fffffffffffffff), UINT64_C(0x8000000000000000), UINT64_MAX, 3, 31, 32, 63, 64 };
    uint64_t v = random_one_in(r, 2) ? random_next(r) : values[random_below(r, ARRAY_LEN(values))];

    return random_one_in(r, 8) ? v >> random_below(r, 64) : v;
}

static uint32_t draw_single(struct random *r)
{
    static const uint32_t values[] = { 0, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00000, 0x7f800001,
                                       0xffa00000, 1, 0x80000001, 0x007fffff, 0x00800000, 0x80800000, 0x7f7fffff, 0xff7fffff, 0x40000000,
                                       0x3effffff, 0x3f000000, 0x3fc00000, 0x4b000001, 0x4f000000, 0xcf000000, 0x5f000000, 0x33800000 };

    if (random_one_in(r, 3))
        return values[random_below(r, ARRAY_LEN(values))];
    if (random_one_in(r, 3))
        return (uint32_t)(random_next(r) & 0x83ffffff) + 0x3e000000; /* near one */
    return (uint32_t)random_next(r);
}

static uint64_t draw_double(struct random *r)
{
    static const uint64_t values[] = {
        0, UINT64_C(0x8000000000000000), UINT64_C(0x3ff0000000000000), UINT64_C(0xbff0000000000000), UINT64_C(0x7ff0000000000000),
        UINT64_C(0xfff0000000000000), UINT64_C(0x7ff8000000000000), UINT64_C(0x7ff0000000000001), UINT64_C(0xfff4000000000000), 1,
        UINT64_C(0x8000000000000001), UINT64_C(0x000fffffffffffff), UINT64_C(0x0010000000000000), UINT64_C(0x7fefffffffffffff),
        UINT64_C(0x3fe0000000000000), UINT64_C(0x3ff8000000000000), UINT64_C(0x41dfffffffc00000), UINT64_C(0xc1e0000000000000),
        UINT64_C(0x43e0000000000000), UINT64_C(0x47efffffe0000000), UINT64_C(0x3810000000000000), UINT64_C(0x36a0000000000000),
    };

    if (random_one_in(r, 3))
        return values[random_below(r, ARRAY_LEN(values))];
    if (random_one_in(r, 3))
        return (random_next(r) & UINT64_C(0x801fffffffffffff)) + UINT64_C(0x3fe0000000000000);
    return random_next(r);
}

void draw_bytes(struct random *r, uint8_t *to, unsigned n)
{
    unsigned kind = random_below(r, 6);

    for (unsigned i = 0; i < n; i += 8) {
        uint64_t v;

        switch (kind) {
        case 0: v = random_next(r); break;
        case 1: v = (uint64_t)draw_single(r) << 32 | draw_single(r); break;
        case 2: v = draw_double(r); break;
        case 3: v = draw_integer(r); break;
        case 4: v = (draw_integer(r) & 0xffff) | (draw_integer(r) & 0xffff) << 16 | (draw_integer(r) & 0xffff) << 32 | draw_integer(r) << 48; break;
        default: v = (random_next(r) & UINT64_C(0x0707070707070707)) << (random_below(r, 5)); break;
        }
        memcpy(to + i, &v, 8);
    }
}

void draw_vectors(struct random *r, const struct insn *i, struct cpu *c)
{
    unsigned last = 0;

    for (unsigned n = 0; n < i->operands; n++) {
        const struct operand *o = &i->op[n];
        bool named = o->kind == OPERAND_REGISTER && o->class == REG_VECTOR;
        unsigned reg = named ? o->reg : o->index;

        if (!named && !(o->kind == OPERAND_MEMORY && o->vsib))
            continue;
        if (random_one_in(r, 6))
            c->zmm[reg] = c->zmm[last];
        else
            draw_bytes(r, c->zmm[reg].b, WIDE_BYTES);
        last = reg;
    }
}

void draw_note(const struct insn *i, struct draw_named *n)
{
    n->general |= BIT(R8) - 1;
    n->masks |= i->mask ? 1u << i->mask : 0;
    for (unsigned k = 0; k < i->operands; k++) {
        const struct operand *o = &i->op[k];

        if (o->kind == OPERAND_MEMORY)
            n->general |= (uint32_t)o->has_base << (o->base & 15) | (uint32_t)(o->has_index && !o->vsib) << (o->index & 15);
        else if (o->kind == OPERAND_REGISTER && o->class == REG_GPR)
            n->general |= 1u << (o->reg & 15);
        else if (o->kind == OPERAND_REGISTER && o->class == REG_MASK)
            n->masks |= 1u << (o->reg & 7);
        else if (o->kind == OPERAND_REGISTER && o->class == REG_MMX)
            n->mmx |= 1u << (o->reg & 7);
    }
}

/* Numbers of eight bytes: drawn where they are named, else from the pool. */
static uint64_t draw_or_take(struct random *r, uint32_t named, unsigned i, uint64_t (*draw)(struct random *r), const uint8_t *pool)
{
    uint64_t v;

    if (named >> i & 1)
        return draw(r);
    memcpy(&v, pool + i * 8, 8);
    return v;
}

static uint64_t draw_mask(struct random *r) { return random_one_in(r, 4) ? draw_integer(r) : random_next(r); }

static uint64_t draw_mmx(struct random *r)
{
    uint64_t v;

    draw_bytes(r, (uint8_t *)&v, 8);
    return v;
}

void draw_registers(struct random *r, const struct draw_named *named, const uint8_t *pool, struct cpu *c)
{
    memcpy(c->zmm, pool, sizeof(c->zmm));
    draw_bytes(r, c->zmm[0].b, WIDE_BYTES);
    for (unsigned i = 0; i < GPRS; i++)
        c->slot[i] = draw_or_take(r, named->general, i, draw_integer, pool);
    if (random_one_in(r, 2))
        c->slot[RCX] &= 31;
    c->slot[RSI] = NATIVE_DATA + random_below(r, NATIVE_PAGE * 2);
    c->slot[RDI] = NATIVE_DATA + random_below(r, NATIVE_PAGE * 2);
    c->slot[RSP] = (NATIVE_DATA + 0x200 + random_below(r, NATIVE_PAGE + 0xc00)) & ~(random_one_in(r, 8) ? 0u : 15u);
    for (unsigned i = 0; i < 8; i++)
        c->x87.significand[i] = draw_or_take(r, named->mmx, i, draw_mmx, pool + 128);
    for (unsigned i = 0; i < 8; i++)
        c->k[i] = draw_or_take(r, named->masks, i, draw_mask, pool + 256);
    cpu_set_rflags(c, FLAG_IF | (random_next(r) & (FLAGS_ARITHMETIC | (random_one_in(r, 8) ? FLAG_DF : 0))));
    c->mxcsr = random_one_in(r, 2) ? 0x1f80 : 0x1f80 | (uint32_t)(random_next(r) & 0xe07f);
    if (random_one_in(r, 16))
        c->mxcsr &= ~(uint32_t)(random_next(r) & 0x1f80);
}

