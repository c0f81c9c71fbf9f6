/*
 * flags.h - the arithmetic flags as three words, so that an instruction that sets them pays three stores.
 *
 *   z   ZF = (z == 0)
 *   s   SF = bit 63; PF = even parity of the low byte
 *   c   the carry chain, shifted so that the operand's top bit is bit 63:
 *       CF = bit 63; OF = bit 63 ^ bit 62; AF = bit 3 (kept in place)
 *
 * The carry out of every bit of a sum is (a & b) | ((a | b) & ~r); of a difference, (~a & b) | ((~a | b) & r).
 */
#ifndef X86_FLAGS_H
#define X86_FLAGS_H

#include "cpu.h"

enum condition { CC_O, CC_NO, CC_B, CC_NB, CC_Z, CC_NZ, CC_BE, CC_NBE, CC_S, CC_NS, CC_P, CC_NP, CC_L, CC_NL, CC_LE,
                 CC_NLE };

static inline bool flag_cf(const struct cpu *c) { return c->flag_c >> 63; }
static inline bool flag_of(const struct cpu *c) { return (c->flag_c ^ c->flag_c << 1) >> 63; }
static inline bool flag_zf(const struct cpu *c) { return !c->flag_z; }
static inline bool flag_sf(const struct cpu *c) { return c->flag_s >> 63; }
static inline bool flag_pf(const struct cpu *c) { return !__builtin_parity((uint8_t)c->flag_s); }
static inline bool flag_af(const struct cpu *c) { return c->flag_c >> 3 & 1; }

static inline uint32_t flags_get(const struct cpu *c)
{
    return (uint32_t)(c->flag_c >> 63 | (c->flag_c << 1 & FLAG_AF) | (flag_pf(c) ? FLAG_PF : 0u) | (flag_zf(c) ? FLAG_ZF : 0u) |
                      (c->flag_s >> 56 & FLAG_SF) | ((c->flag_c ^ c->flag_c << 1) >> 52 & FLAG_OF));
}

/* The words for flags as a table index has them: as in RFLAGS, but OF is bit 1. */
struct flag_words {
    uint64_t z, s, c, unused;
};

extern const struct flag_words flag_words[256];

static inline void flags_put(struct cpu *c, uint64_t f)
{
    const struct flag_words *w = &flag_words[(f & 0xd5) | (f >> 10 & 2)];

    c->flag_z = w->z;
    c->flag_s = w->s;
    c->flag_c = w->c;
}

/* RFLAGS with the arithmetic flags in place; and the other way. */
static inline uint64_t cpu_rflags(const struct cpu *c) { return (c->rflags & ~(uint64_t)FLAGS_ARITHMETIC) | flags_get(c) | FLAG_ONE; }

static inline void cpu_set_rflags(struct cpu *c, uint64_t rflags)
{
    c->rflags = (rflags & 0x3f7fd5) | FLAG_ONE;
    flags_put(c, rflags);
}

/* CF and OF alone, the others as they are. */
static inline void flags_put_cf_of(struct cpu *c, bool cf, bool of)
{
    c->flag_c = (uint64_t)cf << 63 | (uint64_t)(cf ^ of) << 62 | (c->flag_c & 8);
}

static inline void flags_put_cf(struct cpu *c, bool cf) { flags_put_cf_of(c, cf, flag_of(c)); }

/* r of `width` bytes: ZF, SF, PF from it; CF, OF, AF clear. */
static inline void flags_logic(struct cpu *c, uint64_t r, unsigned width)
{
    c->flag_z = c->flag_s = (uint64_t)bits_sext(r, width);
    c->flag_c = 0;
}

static inline bool flags_condition(const struct cpu *c, unsigned cc)
{
    bool r;

    switch (cc >> 1) {
    case 0: r = flag_of(c); break;
    case 1: r = flag_cf(c); break;
    case 2: r = flag_zf(c); break;
    case 3: r = flag_cf(c) || flag_zf(c); break;
    case 4: r = flag_sf(c); break;
    case 5: r = flag_pf(c); break;
    case 6: r = flag_sf(c) != flag_of(c); break;
    default: r = flag_zf(c) || flag_sf(c) != flag_of(c); break;
    }
    return r ^ (cc & 1);
}

#endif
