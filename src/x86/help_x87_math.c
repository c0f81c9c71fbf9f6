/*
 * help_x87_math.c - x87 transcendental instructions.
 *
 * Spec: SDM 1 8.3.7 to 8.3.10; SDM 2, the page of each instruction.
 */
#include "x86/x87.h"

#include "x86/float80_math.h"

void x87_exp2_less_1(struct x87_call *c)
{
    struct float80_parts a;

    if (x87_take_one(c, &a))
        x87_result(c, 0, float80_exp2_less_1(&c->e, a));
}

/* -- ST(1) and ST(0) ------------------------------------------------------------------------------------------------------------------- */

static void two(struct x87_call *c, struct float80 (*function)(struct float80_env *, struct float80_parts x, struct float80_parts y))
{
    struct float80_parts x, y;

    if (x87_take_two(c, &y, &x))
        x87_result(c, c->w.to, function(&c->e, x, y));
}

void x87_y_log2(struct x87_call *c) { two(c, float80_y_log2); }
void x87_y_log2_above_1(struct x87_call *c) { two(c, float80_y_log2_above_1); }
void x87_arctangent(struct x87_call *c) { two(c, float80_atan); }

/* -- angles ---------------------------------------------------------------------------------------------------------------------------- */

/* C2: too large, nothing is done. */
static bool is_too_large(struct x87_call *c, struct float80_parts a)
{
    bool large = !float80_is_angle(a);

    c->x->status |= large ? X87_C2 : 0;
    return large;
}

static void clear_c2(struct x87_call *c) { c->x->status &= (uint16_t)~X87_C2; }

void x87_sine(struct x87_call *c)
{
    struct float80_parts a;

    clear_c2(c);
    if (x87_take_one(c, &a) && !is_too_large(c, a))
        x87_result(c, 0, float80_sin(&c->e, a));
}

void x87_cosine(struct x87_call *c)
{
    struct float80_parts a;

    clear_c2(c);
    if (x87_take_one(c, &a) && !is_too_large(c, a))
        x87_result(c, 0, float80_cos(&c->e, a));
}

/* In place of ST(0), and on top of it. */
static void put_two(struct x87_call *c, struct float80 first, struct float80 second)
{
    if (!x87_settle(c))
        return;
    x87_set(c->x, 0, first);
    x87_push(c->x, second);
}

/* An operand, and a place for the second result. */
static bool take_one_of_two(struct x87_call *c, struct float80_parts *a)
{
    bool empty = x87_is_empty(c->x, 0);

    clear_c2(c);
    *a = x87_parts(c->x, 0);
    if (!empty && x87_is_empty(c->x, 7))
        return true;
    if (x87_stack_fault(c, !empty))
        put_two(c, FLOAT80_INDEFINITE, FLOAT80_INDEFINITE);
    return false;
}

/* A one on top, or the NaN twice. */
void x87_tangent(struct x87_call *c)
{
    struct float80_parts a;
    struct float80 r;

    if (!take_one_of_two(c, &a) || is_too_large(c, a))
        return;
    r = float80_tan(&c->e, a);
    put_two(c, r, float80_is_nan(float80_unpack(r)) ? r : float80_pack(float80_from_int(1)));
}

/* C1 tells of the sine's rounding. */
void x87_sine_and_cosine(struct x87_call *c)
{
    struct float80_parts a;
    struct float80 sine, cosine;

    if (!take_one_of_two(c, &a) || is_too_large(c, a))
        return;
    cosine = float80_cos(&c->e, a);
    sine = float80_sin(&c->e, a);
    put_two(c, sine, cosine);
}
