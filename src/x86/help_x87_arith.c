/*
 * help_x87_arith.c - x87 arithmetic and comparison.
 *
 * Spec: SDM 1 8.3.3 to 8.3.6, 8.5; SDM 2, the page of each instruction.
 */
#include "x86/x87.h"

/* -- two operands ----------------------------------------------------------------------------------------------------------------- */

bool x87_take_two(struct x87_call *c, struct float80_parts *a, struct float80_parts *b)
{
    if (x87_is_empty(c->x, c->w.to) || (!c->w.memory && x87_is_empty(c->x, c->w.from))) {
        if (x87_stack_fault(c, false))
            x87_result(c, c->w.to, FLOAT80_INDEFINITE);
        return false;
    }
    *a = x87_parts(c->x, c->w.to);
    *b = c->w.memory ? x87_operand(c) : x87_parts(c->x, c->w.from);
    return true;
}

void x87_add(struct x87_call *c)
{
    struct float80_parts a, b;

    if (x87_take_two(c, &a, &b))
        x87_result(c, c->w.to, float80_add(&c->e, a, b, false));
}

void x87_sub(struct x87_call *c)
{
    struct float80_parts a, b;

    if (x87_take_two(c, &a, &b))
        x87_result(c, c->w.to, float80_add(&c->e, a, b, true));
}

void x87_subr(struct x87_call *c)
{
    struct float80_parts a, b;

    if (x87_take_two(c, &a, &b))
        x87_result(c, c->w.to, float80_add(&c->e, b, a, true));
}

void x87_mul(struct x87_call *c)
{
    struct float80_parts a, b;

    if (x87_take_two(c, &a, &b))
        x87_result(c, c->w.to, float80_mul(&c->e, a, b));
}

void x87_div(struct x87_call *c)
{
    struct float80_parts a, b;

    if (x87_take_two(c, &a, &b))
        x87_result(c, c->w.to, float80_div(&c->e, a, b));
}

void x87_divr(struct x87_call *c)
{
    struct float80_parts a, b;

    if (x87_take_two(c, &a, &b))
        x87_result(c, c->w.to, float80_div(&c->e, b, a));
}

void x87_scale(struct x87_call *c)
{
    struct float80_parts a, b;

    if (x87_take_two(c, &a, &b))
        x87_result(c, c->w.to, float80_scale(&c->e, a, b));
}

/* C0, C3, C1: the quotient's bits 2, 1, 0; C2: not done yet. */
static void take_remainder(struct x87_call *c, bool nearest)
{
    struct float80_division d;
    struct float80_parts a, b;
    struct float80 r;

    c->x->status &= (uint16_t)~X87_C2;
    if (!x87_take_two(c, &a, &b))
        return;
    r = float80_rem(&c->e, a, b, nearest, &d);
    x87_result(c, 0, r);
    if (d.none || c->e.flags & ~c->e.masked & FLOAT80_BEFORE)
        return;
    if (d.partial)
        d.quotient = 0;
    x87_set_codes(c->x, (d.partial ? X87_C2 : 0u) | (d.quotient & 4 ? X87_C0 : 0u) | (d.quotient & 2 ? X87_C3 : 0u));
    c->x->status = (uint16_t)((c->x->status & ~X87_C1) | (d.quotient & 1 ? X87_C1 : 0));
}

void x87_rem(struct x87_call *c) { take_remainder(c, false); }
void x87_rem1(struct x87_call *c) { take_remainder(c, true); }

/* -- one operand ----------------------------------------------------------------------------------------------------------------- */

bool x87_take_one(struct x87_call *c, struct float80_parts *a)
{
    if (x87_is_empty(c->x, 0)) {
        if (x87_stack_fault(c, false))
            x87_set(c->x, 0, FLOAT80_INDEFINITE);
        return false;
    }
    *a = x87_parts(c->x, 0);
    return true;
}

void x87_sqrt(struct x87_call *c)
{
    struct float80_parts a;

    if (x87_take_one(c, &a))
        x87_result(c, 0, float80_sqrt(&c->e, a));
}

void x87_round(struct x87_call *c)
{
    struct float80_parts a;

    if (x87_take_one(c, &a))
        x87_result(c, 0, float80_rint(&c->e, a));
}

/* The exponent in place of the operand, and the significand on top of it. */
void x87_extract(struct x87_call *c)
{
    bool overflow = !x87_is_empty(c->x, 7);
    struct float80 exponent = FLOAT80_INDEFINITE, significand = FLOAT80_INDEFINITE;

    if (x87_is_empty(c->x, 0) || overflow) {
        if (!x87_stack_fault(c, !x87_is_empty(c->x, 0)))
            return;
    } else {
        exponent = float80_extract(&c->e, x87_parts(c->x, 0), &significand);
    }
    if (!x87_settle(c))
        return;
    x87_set(c->x, 0, exponent);
    x87_push(c->x, significand);
}

/* -- comparison -------------------------------------------------------------------------------------------------------------------- */

/* An unmasked exception keeps the stack from popping, no more. */
static enum float80_order compare(struct x87_call *c, struct float80_parts b, bool missing, bool quiet)
{
    enum float80_order order = ORDER_UNORDERED;
    bool done;

    if (x87_is_empty(c->x, 0) || missing) {
        done = x87_stack_fault(c, false);
    } else {
        order = float80_compare(&c->e, x87_parts(c->x, 0), b, quiet);
        done = x87_settle(c);
    }
    if (done)
        x87_pops(c);
    return order;
}

static void compare_codes(struct x87_call *c, struct float80_parts b, bool missing, bool quiet)
{
    static const uint16_t codes[] = { [ORDER_LESS] = X87_C0, [ORDER_EQUAL] = X87_C3, [ORDER_GREATER] = 0,
                                      [ORDER_UNORDERED] = X87_C3 | X87_C2 | X87_C0 };

    x87_set_codes(c->x, codes[compare(c, b, missing, quiet)]);
}

static void compare_operands(struct x87_call *c, bool quiet)
{
    if (c->w.memory)
        compare_codes(c, x87_operand(c), false, quiet);
    else
        compare_codes(c, x87_parts(c->x, c->w.from), x87_is_empty(c->x, c->w.from), quiet);
}

void x87_compare(struct x87_call *c) { compare_operands(c, false); }
void x87_compare_quiet(struct x87_call *c) { compare_operands(c, true); }
void x87_test(struct x87_call *c) { compare_codes(c, float80_from_int(0), false, false); }

/* ZF, PF, CF; OF, SF and AF are clear. */
static void compare_to_flags(struct x87_call *c, bool quiet)
{
    static const uint8_t flags[] = { [ORDER_LESS] = FLAG_CF, [ORDER_EQUAL] = FLAG_ZF, [ORDER_GREATER] = 0,
                                     [ORDER_UNORDERED] = FLAG_ZF | FLAG_PF | FLAG_CF };

    flags_put(&c->v->cpu, flags[compare(c, x87_parts(c->x, c->w.from), x87_is_empty(c->x, c->w.from), quiet)]);
}

void x87_compare_flags(struct x87_call *c) { compare_to_flags(c, false); }
void x87_compare_flags_quiet(struct x87_call *c) { compare_to_flags(c, true); }
