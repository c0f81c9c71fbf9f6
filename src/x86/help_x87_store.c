/*
 * help_x87_store.c - FST, FIST, FBSTP: conversion, the store, then the status word and the stack.
 *
 * An unmasked exception of the conversion but inexact leaves memory and stack as they are (SDM 1 8.5.1 to 8.5.5).
 */
#include "x86/x87.h"

#include "x86/helpers.h"

#include <string.h>

enum { FLOAT80_NO_STORE = FLOAT80_BEFORE | FLOAT80_OVERFLOW | FLOAT80_UNDERFLOW };

/* What goes to memory. */
struct image {
    uint8_t bytes[10];
    unsigned width;
};

static struct image image_of(uint64_t value, unsigned width)
{
    struct image m = { .width = width };

    memcpy(m.bytes, &value, 8);
    return m;
}

static struct image extended(struct float80 f)
{
    struct image m = image_of(f.significand, 10);

    memcpy(m.bytes + 8, &f.exponent, 2);
    return m;
}

/* Eighteen digits and a sign; the indefinite is FFFF C000000000000000. */
static struct image decimal(struct float80_env *e, struct float80_parts a)
{
    struct float80_env rounded = *e;
    struct image m = { .width = 10 };
    uint64_t n;

    if ((a.kind != FLOAT80_ZERO && a.kind != FLOAT80_FINITE) || !float80_to_magnitude(&rounded, a, &n) ||
        n > UINT64_C(999999999999999999)) {
        float80_invalid(e);
        return extended(FLOAT80_INDEFINITE);
    }
    *e = rounded;
    for (unsigned i = 0; i < 9; i++, n /= 100)
        m.bytes[i] = (uint8_t)(n / 10 % 10 << 4 | n % 10);
    m.bytes[9] = a.sign ? 0x80 : 0;
    return m;
}

/* Does an unmasked exception leave everything as it is? */
static bool is_kept(const struct x87_call *c) { return c->e.flags & ~c->e.masked & FLOAT80_NO_STORE; }

static struct image convert(struct x87_call *c, struct float80 f)
{
    struct float80_parts p = float80_unpack(f);

    if (c->w.truncate)
        c->e.rounding = ROUND_ZERO;
    switch (c->w.format) {
    case X87_SINGLE: return image_of(float80_to_single(&c->e, p), 4);
    case X87_DOUBLE: return image_of(float80_to_double(&c->e, p), 8);
    case X87_EXTENDED: return extended(f);
    case X87_INT16: return image_of((uint64_t)float80_to_int(&c->e, p, 16), 2);
    case X87_INT32: return image_of((uint64_t)float80_to_int(&c->e, p, 32), 4);
    case X87_INT64: return image_of((uint64_t)float80_to_int(&c->e, p, 64), 8);
    default: return decimal(&c->e, p);
    }
}

/* Where nothing is stored, the memory has to be there all the same. */
static bool store(struct x87_call *c, uint64_t linear, const struct image *m)
{
    unsigned options = c->w.segment == SEG_SS ? ACCESS_STACK : 0;
    struct access a;

    if (is_kept(c)) {
        access_begin(&a, TRANSACTION_STORE, linear, m->width);
        return access_prepare(&c->v->mmu, &a, ACCESS_WRITE | options) || vcpu_raise_mmu(c->v);
    }
    return access_store(&c->v->mmu, linear, m->bytes, m->width, FORM_X87, options) || vcpu_raise_mmu(c->v);
}

uint64_t help_x87_store(struct vcpu *v, uint64_t linear, uint64_t offset, uint64_t imm)
{
    struct x87_call c = x87_begin(v, 0, imm);
    bool empty = x87_is_empty(c.x, 0);
    struct image m;

    if (!x87_ready(v))
        return 0;
    m = convert(&c, empty ? FLOAT80_INDEFINITE : x87_get(c.x, 0));
    if (empty)
        c.e.flags = X87_IE;
    if (is_kept(&c)) {
        c.e.flags &= FLOAT80_NO_STORE;
        c.e.up = false;
    }
    if (!store(&c, linear, &m))
        return 0;
    x87_note(&c, offset);
    c.x->status &= (uint16_t)~X87_C1;
    if (empty)
        x87_stack_fault(&c, false);
    else
        x87_settle(&c);
    if (!is_kept(&c))
        x87_pops(&c);
    return 1;
}
