/*
 * window.c - which accesses of a block can share one look at the page.
 *
 * The block is followed with symbols in place of values: an address is base + (index << scale) + offset, where base and
 * index name values, not registers.  Accesses that differ in the offset alone lie at known distances.  The first of them
 * checks, for all, that everything from the lowest byte to the highest is plain memory in one stretch of the host's: the
 * window.  The others need no check.  Where the first finds it otherwise, a page's end or a device, the block is left for
 * one in which each access looks for itself (struct jit_block, careful).
 *
 *     mov eax, [rsi]        leads: [rsi, rsi + 12) must be in one stretch
 *     add rsi, 4
 *     add eax, [rsi]        follows, at 4 from there
 *     mov [rsi + 4], eax    follows, at 8; so the stretch must be writable
 *
 * An index that is known to be small, a byte for instance, only makes the stretch longer: its base is what counts.
 *
 * Rules.
 *   1. A window ends with a helper that has state: it may change what addresses mean.  What else does, a device, makes the block end
 *      before the next instruction (slow.c).
 *   2. Offsets are exact: only operations on whole registers are followed, 64 bits wide in 64-bit code, 32 bits wide,
 *      modulo 2^32, in 32-bit code.  A stretch never crosses 2^32, so what wraps is outside.
 *   3. An access that must be aligned follows only one that was found to be, at a multiple of its width from there.
 *   4. Whether an access that follows happens does not matter: a check touches nothing.
 */
#include "jit/window.h"

#include <string.h>

enum { NOTHING = 0, FIRST_SYMBOL = 1 };

/* A value or an address: base + (index << scale) + offset, + at most `extra`.  Symbol NOTHING is 0. */
struct form {
    uint32_t base, index;
    uint8_t scale;
    bool small, small_first; /* see struct reach */
    uint32_t extra;
    int64_t offset;
    uint64_t most;           /* of a value; UINT64_MAX: unknown */
};

struct follow {
    struct window_plan *plan;
    struct ir_block *ir;
    unsigned bytes;           /* of the longest window */
    bool fold;
    unsigned whole;           /* bytes of a whole register */
    uint32_t symbols;
    struct form value[SLOTS]; /* a temporary that accesses fold: the address */
    struct form place[WINDOWS];
    int64_t low[WINDOWS], high[WINDOWS];
    int64_t offset[IR_OPS];   /* of accesses in windows */
    bool open[WINDOWS];
};

static bool is_const(const struct form *v) { return !v->base && !v->index && !v->small; }

static struct form form_const(uint64_t v) { return (struct form){ .offset = (int64_t)v, .most = v }; }
static struct form form_new(struct follow *f, uint64_t most) { return (struct form){ .base = f->symbols++, .most = most }; }

static struct form form_of(const struct follow *f, ir_operand x)
{
    if (x == IR_NONE)
        return form_const(0);
    return x >= IR_CONST ? form_const(f->ir->konst[x - IR_CONST]) : f->value[x];
}

static struct form form_plus(const struct follow *f, struct form v, int64_t n)
{
    v.offset += n;
    if (f->whole == 4)
        v.offset = is_const(&v) ? (int64_t)(uint32_t)v.offset : (int32_t)v.offset;
    if (is_const(&v))
        v.most = (uint64_t)v.offset;
    else if (n)
        v.most = UINT64_MAX;
    return v;
}

/* a + (b << scale); false: not of this form. */
static bool form_sum(const struct follow *f, struct form a, struct form b, unsigned scale, struct form *sum)
{
    if (is_const(&b)) {
        *sum = form_plus(f, a, (int64_t)((uint64_t)b.offset << scale));
        return true;
    }
    if (is_const(&a) && !scale) {
        *sum = form_plus(f, b, a.offset);
        return true;
    }
    if (a.index || b.index || a.small || b.small)
        return false;
    *sum = (struct form){ .base = a.base, .index = b.base, .scale = (uint8_t)scale, .most = UINT64_MAX };
    if (!scale && a.base > b.base)
        sum->base = b.base, sum->index = a.base;
    *sum = form_plus(f, *sum, a.offset + (int64_t)((uint64_t)b.offset << scale));
    return true;
}

/* a + (b << scale) where one of them is small and the other says where; false: it is not so. */
static bool form_with_small(const struct follow *f, struct form a, struct form b, unsigned scale, struct form *sum)
{
    bool first = !scale && a.most < b.most;
    struct form base = first ? b : a, index = first ? a : b;

    if (is_const(&index) || index.most << scale > f->bytes - 8 || index.most > f->bytes || base.index || base.small)
        return false;
    *sum = base;
    sum->small = true;
    sum->small_first = first;
    sum->extra = (uint32_t)index.most << scale;
    *sum = form_plus(f, *sum, 0);
    return true;
}

/* -- what operations do to values ------------------------------------------------------------------------------------- */

static void set(struct follow *f, ir_operand d, struct form v)
{
    if (d < SLOTS)
        f->value[d] = v;
}

/* A result of `width` bytes, at most `most`.  What is narrower than 4 bytes leaves the rest of the register. */
static void set_new(struct follow *f, ir_operand d, unsigned width, uint64_t most)
{
    most = bits_min(most, bits_mask(width * 8));
    if (width < 4 && (d >= GPRS || f->value[d].most > bits_mask(width * 8)))
        most = UINT64_MAX;
    set(f, d, form_new(f, most));
}

static void follow_move(struct follow *f, const struct ir_op *o)
{
    struct form a = form_of(f, o->a);

    if (o->width >= 4 && is_const(&a))
        set(f, o->d, form_const(bits_trunc((uint64_t)a.offset, o->width)));
    else if (o->width == f->whole || (o->width == 4 && a.most <= UINT32_MAX))
        set(f, o->d, a);
    else
        set_new(f, o->d, o->width, UINT64_MAX);
}

static void follow_extend(struct follow *f, const struct ir_op *o)
{
    struct form a = form_of(f, o->a);

    set(f, o->d, a.most <= bits_mask(o->width * 8) ? a : form_new(f, bits_mask(o->width * 8)));
}

static void follow_lea(struct follow *f, const struct ir_op *o)
{
    struct form a = form_of(f, o->a), b = form_of(f, o->b), sum;
    bool folds = f->fold && ir_folds_address(f->ir, (unsigned)(o - f->ir->op));

    if (o->width == f->whole && ((folds && form_with_small(f, a, b, o->aux, &sum)) || form_sum(f, a, b, o->aux, &sum)))
        set(f, o->d, form_plus(f, sum, o->imm));
    else
        set(f, o->d, form_new(f, bits_mask(o->width * 8)));
}

static void follow_add(struct follow *f, const struct ir_op *o)
{
    struct form a = form_of(f, o->a), b = o->op == IR_INC || o->op == IR_DEC ? form_const(1) : form_of(f, o->b), sum;
    bool minus = o->op == IR_SUB || o->op == IR_DEC;

    if (minus)
        b.offset = -b.offset;
    if (o->width == f->whole && (!minus || is_const(&b)) && form_sum(f, a, b, 0, &sum))
        set(f, o->d, sum);
    else
        set_new(f, o->d, o->width, UINT64_MAX);
}

static void follow_bits(struct follow *f, const struct ir_op *o)
{
    struct form a = form_of(f, o->a), b = form_of(f, o->b);
    uint64_t most = UINT64_MAX;

    if (o->op == IR_AND) {
        most = bits_min(a.most, is_const(&b) ? bits_trunc((uint64_t)b.offset, o->width) : b.most);
    } else if (o->op == IR_SHR && is_const(&b)) {
        most = bits_min(a.most, bits_mask(o->width * 8)) >> ((uint64_t)b.offset & (o->width == 8 ? 63 : 31));
    } else if (o->op == IR_SHL && is_const(&b) && a.most <= UINT32_MAX && b.offset < 12) {
        most = a.most << b.offset;
    } else if (o->op == IR_XOR && o->a == o->b && o->width >= 4) {
        set(f, o->d, form_const(0));
        return;
    }
    set_new(f, o->d, o->width, most);
}

/* Whatever else it writes is something new. */
static void follow_writes(struct follow *f, const struct ir_op *o)
{
    for (unsigned i = 0; i < GPRS; i++)
        if (ir_writes(o, (ir_operand)i))
            f->value[i] = form_new(f, UINT64_MAX);
    set(f, o->d, form_new(f, UINT64_MAX));
}

static void follow(struct follow *f, const struct ir_op *o)
{
    switch (o->op) {
    case IR_MOV: follow_move(f, o); break;
    case IR_ZEXT: follow_extend(f, o); break;
    case IR_LEA: follow_lea(f, o); break;
    case IR_ADD: case IR_SUB: case IR_INC: case IR_DEC: follow_add(f, o); break;
    case IR_AND: case IR_XOR: case IR_SHR: case IR_SHL: follow_bits(f, o); break;
    case IR_LD: case IR_LDW: set(f, o->d, form_new(f, bits_mask(o->width * 8))); break;
    case IR_SETCC: set_new(f, o->d, 1, 1); break;
    case IR_HELPER:
        if (o->state)
            memset(f->open, 0, sizeof(f->open));
        follow_writes(f, o);
        break;
    default: follow_writes(f, o); break;
    }
}

/* -- windows -------------------------------------------------------------------------------------------------------------- */

/* The LEA an access's address comes from, in the same instruction. */
static const struct ir_op *address_lea(const struct ir_block *ir, unsigned at)
{
    for (unsigned i = at; i-- > ir->insn[ir->op[at].insn].first;)
        if (ir->op[i].d == ir->op[at].a)
            return ir->op[i].op == IR_LEA ? &ir->op[i] : NULL;
    return NULL;
}

/* Does its address take two registers?  Then there is no room for a third. */
static bool has_two_registers(const struct follow *f, unsigned at)
{
    const struct ir_op *lea = f->fold ? address_lea(f->ir, at) : NULL;

    return lea && lea->a != IR_NONE && lea->b != IR_NONE && ir_folds_address(f->ir, (unsigned)(lea - f->ir->op));
}

static bool window_takes(const struct follow *f, unsigned w, const struct form *p, unsigned width)
{
    const struct form *q = &f->place[w];
    int64_t low = p->offset < f->low[w] ? p->offset : f->low[w], high = p->offset + p->extra + width;

    if (!f->open[w] || p->base != q->base || p->index != q->index || p->scale != q->scale)
        return false;
    high = high > f->high[w] ? high : f->high[w];
    return high - low <= f->bytes;
}

static bool is_access(const struct ir_op *o)
{
    return o->op == IR_LD || o->op == IR_LDW || o->op == IR_ST || o->op == IR_LDX || o->op == IR_STX;
}

static bool wants_alignment(const struct follow *f, unsigned at)
{
    const struct ir_op *o = &f->ir->op[at];

    return (o->op == IR_LDX || o->op == IR_STX) && o->cc & LDX_ALIGNED && o->width > 1;
}

/* Is it aligned if the access is that leads? */
static bool window_aligns(const struct follow *f, unsigned w, const struct form *p, unsigned width)
{
    const struct window *window = &f->plan->window[w];

    return window->aligned >= width && !((p->offset - f->offset[window->leader]) & (width - 1));
}

/* An address that is no 32-bit displacement, as of position-independent programs far up. */
static bool is_far_constant(const struct ir_op *o, const struct form *p)
{
    return o->a >= IR_CONST && p->offset != (int32_t)p->offset;
}

static void window_join(struct follow *f, unsigned w, const struct form *p, unsigned at)
{
    const struct ir_op *o = &f->ir->op[at];
    struct window *window = &f->plan->window[w];
    int64_t high = p->offset + p->extra + o->width;

    f->low[w] = p->offset < f->low[w] ? p->offset : f->low[w];
    f->high[w] = high > f->high[w] ? high : f->high[w];
    f->offset[at] = p->offset;
    window->write |= o->op != IR_LD && o->op != IR_LDX;
    window->whole |= f->whole == 4 || has_two_registers(f, at) || is_far_constant(o, p);
    window->insns += at == window->leader || f->ir->op[window->last].insn != o->insn;
    window->last = (uint16_t)at;
    f->plan->reach[at] = (struct reach){ .window = (uint8_t)w, .small = p->small, .small_first = p->small_first };
}

static void window_open(struct follow *f, const struct form *p, unsigned at)
{
    unsigned w = f->plan->windows;

    if (w == WINDOWS)
        return;
    f->plan->windows++;
    f->place[w] = *p;
    f->low[w] = f->high[w] = p->offset;
    f->open[w] = true;
    f->plan->window[w] = (struct window){ .leader = (uint16_t)at, .last = (uint16_t)at };
    if (wants_alignment(f, at))
        f->plan->window[w].aligned = f->ir->op[at].width;
    window_join(f, w, p, at);
}

static void plan_access(struct follow *f, unsigned at)
{
    const struct ir_op *o = &f->ir->op[at];
    struct form place = form_plus(f, form_of(f, o->a), o->imm);

    if (wants_alignment(f, at) && place.small)
        return;
    for (unsigned w = 0; w < f->plan->windows; w++)
        if (window_takes(f, w, &place, o->width) && (!wants_alignment(f, at) || window_aligns(f, w, &place, o->width))) {
            window_join(f, w, &place, at);
            return;
        }
    window_open(f, &place, at);
}

static void follow_block(struct follow *f)
{
    for (unsigned i = 0; i < GPRS; i++) /* temporaries are written before they are read */
        f->value[i] = form_new(f, UINT64_MAX);
    for (unsigned at = 0; at < f->ir->ops; at++) {
        const struct ir_op *o = &f->ir->op[at];

        if (is_access(o))
            plan_access(f, at);
        follow(f, o);
    }
}

/* Now the ends are known.  An instruction alone looks for itself, and goes on in the block whatever it finds. */
static void settle(struct follow *f)
{
    for (unsigned at = 0; at < f->ir->ops; at++) {
        struct reach *r = &f->plan->reach[at];
        struct window *w;

        if (r->window == NO_WINDOW)
            continue;
        w = &f->plan->window[r->window];
        if (w->insns < 2) {
            r->window = NO_WINDOW;
            continue;
        }
        r->offset = (int32_t)(f->offset[at] - f->low[r->window]);
        f->ir->op[at].cover = at == w->leader ? COVER_LEADS : COVER_FOLLOWS;
        if (at != w->leader)
            continue;
        w->low = -r->offset;
        w->size = (uint16_t)(f->high[r->window] - f->low[r->window]);
    }
}

/* A window is of two instructions at least. */
static bool accesses_of_two(const struct ir_block *ir)
{
    int first = -1;

    for (unsigned i = 0; i < ir->ops; i++) {
        if (!is_access(&ir->op[i]) || first == ir->op[i].insn)
            continue;
        if (first >= 0)
            return true;
        first = ir->op[i].insn;
    }
    return false;
}

void window_plan(struct window_plan *plan, struct ir_block *ir, unsigned bytes, bool fold)
{
    static _Thread_local struct follow f; /* large */

    plan->windows = 0;
    for (unsigned i = 0; i < ir->ops; i++) {
        plan->reach[i].window = NO_WINDOW;
        ir->op[i].cover = COVER_NONE;
    }
    f.plan = plan, f.ir = ir, f.bytes = bytes, f.fold = fold;
    f.whole = ir->mode & MODE_CODE64 ? 8 : 4;
    f.symbols = FIRST_SYMBOL;
    if (bytes && ir->mode & (MODE_CODE64 | MODE_CODE32) && accesses_of_two(ir))
        follow_block(&f);
    settle(&f);
    ir_mark_live_flags(ir);
}
