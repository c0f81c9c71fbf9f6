/*
 * alu.h - what each arithmetic IR operation computes, and its flags, as portable C.
 *
 * Every function takes the width as its last-but-one argument and whether flags are wanted last; the interpreter
 * calls them with constants, so that each instance is a few instructions.  Operands may have anything beyond width.
 * Undefined flags follow what current processors do, where they agree.
 */
#ifndef INTERP_ALU_H
#define INTERP_ALU_H

#include "x86/flags.h"

#define ALU static inline __attribute__((always_inline)) uint64_t

/* ZF, SF, PF of r, and the carry chain shifted to the top (flags.h). */
static inline __attribute__((always_inline)) void alu_flags(struct cpu *c, uint64_t r, uint64_t chain, unsigned w)
{
    c->flag_z = c->flag_s = (uint64_t)bits_sext(r, w);
    c->flag_c = w == 8 ? chain : chain << (64 - w * 8) | (chain & 8);
}

ALU alu_add(struct cpu *c, uint64_t a, uint64_t b, unsigned w, bool f)
{
    uint64_t r = a + b;

    if (f)
        alu_flags(c, r, (a & b) | ((a | b) & ~r), w);
    return r;
}

ALU alu_sub(struct cpu *c, uint64_t a, uint64_t b, unsigned w, bool f)
{
    uint64_t r = a - b;

    if (f)
        alu_flags(c, r, (~a & b) | ((~a | b) & r), w);
    return r;
}

ALU alu_adc(struct cpu *c, uint64_t a, uint64_t b, unsigned w, bool f)
{
    uint64_t r = a + b + flag_cf(c);

    if (f)
        alu_flags(c, r, (a & b) | ((a | b) & ~r), w);
    return r;
}

ALU alu_sbb(struct cpu *c, uint64_t a, uint64_t b, unsigned w, bool f)
{
    uint64_t r = a - b - flag_cf(c);

    if (f)
        alu_flags(c, r, (~a & b) | ((~a | b) & r), w);
    return r;
}

ALU alu_logic(struct cpu *c, uint64_t r, unsigned w, bool f)
{
    if (f)
        flags_logic(c, r, w);
    return r;
}

/* INC and DEC keep CF: the chain's top bit is replaced, and bit 62 with it so that OF stays right. */
static inline void alu_keep_carry(struct cpu *c, bool cf)
{
    flags_put_cf_of(c, cf, flag_of(c));
}

ALU alu_inc(struct cpu *c, uint64_t a, unsigned w, bool f)
{
    bool cf = flag_cf(c);
    uint64_t r = alu_add(c, a, 1, w, f);

    if (f)
        alu_keep_carry(c, cf);
    return r;
}

ALU alu_dec(struct cpu *c, uint64_t a, unsigned w, bool f)
{
    bool cf = flag_cf(c);
    uint64_t r = alu_sub(c, a, 1, w, f);

    if (f)
        alu_keep_carry(c, cf);
    return r;
}

/* -- shifts: count masked to 5 bits, 6 for 64-bit operands; 0 changes nothing, flags included ------------------------- */

static inline unsigned alu_count(uint64_t count, unsigned w) { return (unsigned)(count & (w == 8 ? 63 : 31)); }

static inline void alu_shift_flags(struct cpu *c, uint64_t r, bool cf, bool of, unsigned w)
{
    flags_logic(c, r, w);
    flags_put_cf_of(c, cf, of);
}

ALU alu_shl(struct cpu *c, uint64_t a, uint64_t count, unsigned w, bool f)
{
    unsigned n = alu_count(count, w), bits = w * 8;
    uint64_t r = a << n;
    bool cf;

    if (!n || !f)
        return r;
    cf = n <= bits ? a >> (bits - n) & 1 : 0;
    alu_shift_flags(c, r, cf, (r >> (bits - 1) & 1) ^ cf, w);
    return r;
}

ALU alu_shr(struct cpu *c, uint64_t a, uint64_t count, unsigned w, bool f)
{
    unsigned n = alu_count(count, w), bits = w * 8;
    uint64_t x = bits_trunc(a, w), r = x >> n;

    if (n && f)
        alu_shift_flags(c, r, x >> (n - 1) & 1, (r >> (bits - 1) ^ r >> (bits - 2)) & 1, w);
    return r;
}

ALU alu_sar(struct cpu *c, uint64_t a, uint64_t count, unsigned w, bool f)
{
    unsigned n = alu_count(count, w);
    int64_t x = bits_sext(a, w);
    uint64_t r = (uint64_t)(x >> n);

    if (n && f)
        alu_shift_flags(c, r, (uint64_t)(x >> (n - 1)) & 1, 0, w);
    return r;
}

ALU alu_rol(struct cpu *c, uint64_t a, uint64_t count, unsigned w, bool f)
{
    unsigned n = alu_count(count, w), bits = w * 8, m = n % bits;
    uint64_t x = bits_trunc(a, w), r = m ? x << m | x >> (bits - m) : x;

    if (n && f)
        flags_put_cf_of(c, r & 1, (r >> (bits - 1) & 1) ^ (r & 1));
    return r;
}

ALU alu_ror(struct cpu *c, uint64_t a, uint64_t count, unsigned w, bool f)
{
    unsigned n = alu_count(count, w), bits = w * 8, m = n % bits;
    uint64_t x = bits_trunc(a, w), r = m ? x >> m | x << (bits - m) : x;
    bool top = r >> (bits - 1) & 1;

    if (n && f)
        flags_put_cf_of(c, top, top ^ (r >> (bits - 2) & 1));
    return r;
}

/* Rotates of width + 1 bits, CF the extra one. */
ALU alu_rcl(struct cpu *c, uint64_t a, uint64_t count, unsigned w, bool f)
{
    unsigned n = alu_count(count, w), bits = w * 8;
    uint64_t x = bits_trunc(a, w), cf = flag_cf(c);

    n %= bits + 1;
    for (unsigned i = 0; i < n; i++) {
        uint64_t out = x >> (bits - 1) & 1;

        x = bits_trunc(x << 1 | cf, w);
        cf = out;
    }
    if (f && alu_count(count, w))
        flags_put_cf_of(c, cf, (x >> (bits - 1) & 1) ^ cf);
    return x;
}

ALU alu_rcr(struct cpu *c, uint64_t a, uint64_t count, unsigned w, bool f)
{
    unsigned n = alu_count(count, w), bits = w * 8;
    uint64_t x = bits_trunc(a, w), cf = flag_cf(c);

    n %= bits + 1;
    for (unsigned i = 0; i < n; i++) {
        uint64_t out = x & 1;

        x = x >> 1 | cf << (bits - 1);
        cf = out;
    }
    if (f && alu_count(count, w))
        flags_put_cf_of(c, cf, (x >> (bits - 1) ^ x >> (bits - 2)) & 1);
    return x;
}

/* 16-bit operands with a count above 16 rotate the pair around, as AMD and Intel processors do. */
ALU alu_shld(struct cpu *c, uint64_t a, uint64_t fill, uint64_t count, unsigned w, bool f)
{
    unsigned n = alu_count(count, w), bits = w * 8;
    uint64_t x = bits_trunc(a, w), y = bits_trunc(fill, w), r;
    bool cf;

    if (!n)
        return x;
    if (w == 2) {
        uint64_t wide = x << 32 | y << 16 | x;

        r = wide >> (32 - n) & 0xffff;
        cf = wide >> (48 - n) & 1;
    } else {
        r = x << n | y >> (bits - n);
        cf = x >> (bits - n) & 1;
    }
    if (f)
        alu_shift_flags(c, r, cf, (r >> (bits - 1) ^ x >> (bits - 1)) & 1, w);
    return r;
}

ALU alu_shrd(struct cpu *c, uint64_t a, uint64_t fill, uint64_t count, unsigned w, bool f)
{
    unsigned n = alu_count(count, w), bits = w * 8;
    uint64_t x = bits_trunc(a, w), y = bits_trunc(fill, w), r;
    bool cf;

    if (!n)
        return x;
    if (w == 2) {
        uint64_t wide = x << 32 | y << 16 | x;

        r = wide >> n & 0xffff;
        cf = wide >> (n - 1) & 1;
    } else {
        r = bits_trunc(x >> n | y << (bits - n), w);
        cf = x >> (n - 1) & 1;
    }
    if (f)
        alu_shift_flags(c, r, cf, (r >> (bits - 1) ^ x >> (bits - 1)) & 1, w);
    return r;
}

/* -- bits --------------------------------------------------------------------------------------------------------------- */

static inline void alu_put_zf_cf(struct cpu *c, bool zf, bool cf)
{
    flags_put(c, (flags_get(c) & ~(uint32_t)(FLAG_ZF | FLAG_CF)) | (zf ? FLAG_ZF : 0u) | (cf ? FLAG_CF : 0u));
}

static inline unsigned alu_ctz(uint64_t x, unsigned bits) { return x ? (unsigned)__builtin_ctzll(x) : bits; }
static inline unsigned alu_clz(uint64_t x, unsigned bits) { return x ? (unsigned)__builtin_clzll(x) - (64 - bits) : bits; }

ALU alu_pdep(uint64_t source, uint64_t mask)
{
    uint64_t r = 0;

    for (; mask; mask &= mask - 1, source >>= 1)
        if (source & 1)
            r |= mask & -mask;
    return r;
}

ALU alu_pext(uint64_t source, uint64_t mask)
{
    uint64_t r = 0;

    for (unsigned i = 0; mask; mask &= mask - 1, i++)
        if (source & mask & -mask)
            r |= BIT(i);
    return r;
}

/* Results of the BMI1 group: ZF and SF from r, OF clear, CF as given; AF and PF are undefined and cleared. */
static inline void alu_bmi_flags(struct cpu *c, uint64_t r, bool cf, unsigned w)
{
    flags_logic(c, r, w);
    flags_put_cf_of(c, cf, false);
}

/* CRC-32C, reflected polynomial 82f63b78, one byte at a time (SDM 2 CRC32). */
ALU alu_crc32(uint64_t crc, uint64_t data, unsigned w)
{
    uint32_t r = (uint32_t)crc;

    for (unsigned i = 0; i < w; i++) {
        r ^= (uint8_t)(data >> i * 8);
        for (unsigned bit = 0; bit < 8; bit++)
            r = r >> 1 ^ (r & 1 ? 0x82f63b78 : 0);
    }
    return r;
}

/* -- multiply: CF and OF say whether the high half matters ---------------------------------------------------------------- */

static inline void alu_mul_flags(struct cpu *c, uint64_t low, bool overflow, unsigned w)
{
    flags_logic(c, low, w);
    flags_put_cf_of(c, overflow, overflow);
}

#undef ALU

#endif
