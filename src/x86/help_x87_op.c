/*
 * help_x87_op.c - x87 instructions: beginning, end, the register stack; loads, moves and what looks at one register.
 *
 * Spec: SDM 1 8.1.2, 8.1.8, 8.3, 8.5.1; SDM 2, the page of each instruction.
 */
#include "x86/x87.h"

#include "x86/helpers.h"
#include "x86/save.h"

#include <string.h>

/* -- the stack ------------------------------------------------------------------------------------------------------------------ */

void x87_set(struct x87 *x, unsigned i, struct float80 f)
{
    unsigned r = x87_register(x, i);

    x->significand[r] = f.significand;
    x->exponent[r] = f.exponent;
    x->valid |= (uint8_t)(1u << r);
}

void x87_rotate_stack(struct x87 *x, unsigned by)
{
    x->status = (uint16_t)((x->status & ~X87_TOP) | ((x87_top(x) + by) & 7) << 11);
}

void x87_free_register(struct x87 *x, unsigned i) { x->valid &= (uint8_t)~(1u << x87_register(x, i)); }

void x87_pop(struct x87 *x)
{
    x87_free_register(x, 0);
    x87_rotate_stack(x, 1);
}

void x87_push(struct x87 *x, struct float80 f)
{
    x87_rotate_stack(x, 7);
    x87_set(x, 0, f);
}

void x87_pops(struct x87_call *c)
{
    for (unsigned n = c->w.pops; n; n--)
        x87_pop(c->x);
}

/* -- beginning and end ------------------------------------------------------------------------------------------------------------ */

bool x87_ready(struct vcpu *v)
{
    return !(v->cpu.x87.status & X87_ES && v->cpu.cr0 & CR0_NE) || vcpu_raise(v, EXCEPTION_MF);
}

struct x87_call x87_begin(struct vcpu *v, uint64_t value, uint64_t imm)
{
    static const uint8_t bits[] = { 24, 64 /* reserved */, 53, 64 };
    struct x87 *x = &v->cpu.x87;

    return (struct x87_call){
        .v = v, .x = x, .w.imm = (int64_t)imm, .value = value,
        .e = { .rounding = x->control >> 10 & 3, .bits = bits[x->control >> 8 & 3], .masked = x->control & X87_EXCEPTIONS },
    };
}

void x87_note(struct x87_call *c, uint64_t offset)
{
    struct x87 *x = c->x;

    x->ip = c->v->cpu.rip;
    x->cs = c->v->cpu.seg[SEG_CS].selector;
    x->opcode = c->w.opcode;
    if (!c->w.memory)
        return;
    x->dp = offset;
    x->ds = c->v->cpu.seg[c->w.segment].selector;
}

bool x87_stack_fault(struct x87_call *c, bool overflow)
{
    c->e.flags |= X87_IE;
    c->x->status |= X87_SF;
    x87_settle(c);
    c->x->status = (uint16_t)((c->x->status & ~X87_C1) | (overflow ? X87_C1 : 0));
    return c->e.masked & X87_IE;
}

bool x87_settle(struct x87_call *c)
{
    bool before = c->e.flags & ~c->e.masked & FLOAT80_BEFORE;

    c->x->status |= before ? c->e.flags & FLOAT80_BEFORE : c->e.flags;
    if (c->e.up && !before)
        c->x->status |= X87_C1;
    x87_summarise(c->x);
    return !before;
}

void x87_result(struct x87_call *c, unsigned i, struct float80 f)
{
    if (!x87_settle(c))
        return;
    x87_set(c->x, i, f);
    x87_pops(c);
}

void x87_set_codes(struct x87 *x, unsigned codes)
{
    x->status = (uint16_t)((x->status & ~(X87_C0 | X87_C2 | X87_C3)) | codes);
}

/* C1 tells of a rounding or a stack fault; FCMOVcc and FCOMI leave it to a fault, as AMD's processors do. */
static bool keeps_c1(unsigned op)
{
    return op == X87_move_if || op == X87_compare_flags || op == X87_compare_flags_quiet;
}

static void operate(struct x87_call *c, uint64_t offset)
{
    static void (*const functions[X87_OPS])(struct x87_call *) = {
#define X87_OP(name) [X87_##name] = x87_##name,
#include "x86/x87_ops.def"
#undef X87_OP
    };

    x87_note(c, offset);
    if (!keeps_c1(c->w.op))
        c->x->status &= (uint16_t)~X87_C1;
    functions[c->w.op](c);
}

/* value: of a memory operand of up to eight bytes; offset: where in its segment */
uint64_t help_x87(struct vcpu *v, uint64_t value, uint64_t offset, uint64_t imm)
{
    struct x87_call c = x87_begin(v, value, imm);

    if (!x87_ready(v))
        return 0;
    operate(&c, offset);
    return 1;
}

/* The memory operand has ten bytes. */
uint64_t help_x87_load(struct vcpu *v, uint64_t linear, uint64_t offset, uint64_t imm)
{
    struct x87_call c = x87_begin(v, 0, imm);

    if (!x87_ready(v))
        return 0;
    if (!access_load(&v->mmu, linear, c.bytes, 10, FORM_X87, c.w.segment == SEG_SS ? ACCESS_STACK : 0))
        return vcpu_raise_mmu(v);
    operate(&c, offset);
    return 1;
}

/* -- loads ---------------------------------------------------------------------------------------------------------------------- */

/* Eighteen digits, two a byte; the sign is the last byte's top bit. */
static struct float80_parts from_decimal(const uint8_t *bytes)
{
    struct float80_parts p;
    int64_t n = 0;

    for (unsigned i = 9; i--;)
        n = n * 100 + (bytes[i] >> 4) * 10 + (bytes[i] & 15);
    p = float80_from_int(n);
    p.sign = bytes[9] >> 7;
    return p;
}

static struct float80 extended_operand(const struct x87_call *c)
{
    struct float80 f;

    memcpy(&f.significand, c->bytes, 8);
    memcpy(&f.exponent, c->bytes + 8, 2);
    return f;
}

struct float80_parts x87_operand(const struct x87_call *c)
{
    switch (c->w.format) {
    case X87_SINGLE: return float80_from_single((uint32_t)c->value);
    case X87_DOUBLE: return float80_from_double(c->value);
    case X87_EXTENDED: return float80_unpack(extended_operand(c));
    case X87_INT16: return float80_from_int((int16_t)c->value);
    case X87_INT32: return float80_from_int((int32_t)c->value);
    case X87_INT64: return float80_from_int((int64_t)c->value);
    default: return from_decimal(c->bytes);
    }
}


/* The number a load pushes, and what it raises; registers and ten bytes are taken as they are. */
static struct float80 loaded(struct x87_call *c)
{
    struct float80_parts p;
    struct float80 f;

    if (!c->w.memory)
        return x87_get(c->x, c->w.from);
    if (c->w.format == X87_EXTENDED)
        return extended_operand(c);
    p = x87_operand(c);
    if (float80_take_nan(&c->e, p, p, &f))
        return f;
    c->e.flags |= p.denormal ? FLOAT80_DENORMAL : 0;
    return float80_pack(p);
}

void x87_load(struct x87_call *c)
{
    bool underflow = !c->w.memory && x87_is_empty(c->x, c->w.from), overflow = !x87_is_empty(c->x, 7);
    struct float80 f = FLOAT80_INDEFINITE;
    bool done;

    if (underflow || overflow) {
        done = x87_stack_fault(c, !underflow);
    } else {
        f = loaded(c);
        x87_settle(c);
        done = !(c->e.flags & ~c->e.masked & X87_IE); /* a denormal is loaded in any case */
    }
    if (done)
        x87_push(c->x, f);
}

/* In the order of D9 E8: 1, log2(10), log2(e), pi, log10(2), ln(2), 0; 128 bits each, rounded by RC (SDM 1 8.3.8). */
void x87_load_constant(struct x87_call *c)
{
    static const struct { int32_t exponent; uint64_t high, low; } constants[] = {
        { 0, UINT64_C(0x8000000000000000), 0 },
        { 1, UINT64_C(0xd49a784bcd1b8afe), UINT64_C(0x492bf6ff4dafdb4c) },
        { 0, UINT64_C(0xb8aa3b295c17f0bb), UINT64_C(0xbe87fed0691d3e88) },
        { 1, UINT64_C(0xc90fdaa22168c234), UINT64_C(0xc4c6628b80dc1cd1) },
        { -2, UINT64_C(0x9a209a84fbcff798), UINT64_C(0x8f8959ac0b7c9178) },
        { -1, UINT64_C(0xb17217f7d1cf79ab), UINT64_C(0xc9e3b39803f2f6af) },
        { 0, 0, 0 },
    };
    struct float80_env e = { .rounding = c->e.rounding, .bits = 64 };
    float80_wide m = (float80_wide)constants[c->w.from].high << 64 | constants[c->w.from].low;
    struct float80 f = float80_normalise(&e, false, constants[c->w.from].exponent, m, float80_zero(false));

    if (x87_is_empty(c->x, 7))
        x87_push(c->x, f);
    else if (x87_stack_fault(c, true))
        x87_push(c->x, FLOAT80_INDEFINITE);
}

/* -- moves ---------------------------------------------------------------------------------------------------------------------- */

/* FST ST(i), FSTP ST(i). */
void x87_store_register(struct x87_call *c)
{
    if (!x87_is_empty(c->x, 0))
        x87_result(c, c->w.from, x87_get(c->x, 0));
    else if (x87_stack_fault(c, false))
        x87_result(c, c->w.from, FLOAT80_INDEFINITE);
}

/* FSTPNCE: an empty register is none to complain of. */
void x87_store_unchecked(struct x87_call *c)
{
    if (!x87_is_empty(c->x, 0))
        x87_set(c->x, c->w.from, x87_get(c->x, 0));
    x87_pop(c->x);
}

void x87_exchange(struct x87_call *c)
{
    struct float80 a, b;

    if ((x87_is_empty(c->x, 0) || x87_is_empty(c->x, c->w.from)) && !x87_stack_fault(c, false))
        return;
    a = x87_is_empty(c->x, 0) ? FLOAT80_INDEFINITE : x87_get(c->x, 0);
    b = x87_is_empty(c->x, c->w.from) ? FLOAT80_INDEFINITE : x87_get(c->x, c->w.from);
    x87_set(c->x, 0, b);
    x87_set(c->x, c->w.from, a);
}

void x87_move_if(struct x87_call *c)
{
    if (x87_is_empty(c->x, 0) || x87_is_empty(c->x, c->w.from)) {
        if (x87_stack_fault(c, false))
            x87_set(c->x, 0, FLOAT80_INDEFINITE);
    } else if (flags_condition(&c->v->cpu, c->w.cc)) {
        x87_set(c->x, 0, x87_get(c->x, c->w.from));
    }
}

void x87_free(struct x87_call *c)
{
    x87_free_register(c->x, c->w.from);
    if (c->w.pops)
        x87_pop(c->x);
}

void x87_rotate(struct x87_call *c) { x87_rotate_stack(c->x, c->w.to); }

/* -- one register ------------------------------------------------------------------------------------------------------------------ */

static void put_sign(struct x87_call *c, uint16_t flip, uint16_t clear)
{
    struct float80 f = x87_get(c->x, 0);

    f.exponent = (uint16_t)((f.exponent ^ flip) & ~clear);
    if (x87_is_empty(c->x, 0)) {
        if (!x87_stack_fault(c, false))
            return;
        f = FLOAT80_INDEFINITE;
    }
    x87_set(c->x, 0, f);
}

void x87_change_sign(struct x87_call *c) { put_sign(c, 0x8000, 0); }
void x87_absolute(struct x87_call *c) { put_sign(c, 0, 0x8000); }

/* Looks at empty registers too, for their sign (SDM 2 FXAM). */
void x87_examine(struct x87_call *c)
{
    static const uint16_t codes[] = { [FLOAT80_ZERO] = X87_C3, [FLOAT80_FINITE] = X87_C2, [FLOAT80_INFINITE] = X87_C2 | X87_C0,
                                      [FLOAT80_QUIET] = X87_C0, [FLOAT80_SIGNALLING] = X87_C0, [FLOAT80_UNSUPPORTED] = 0 };
    struct float80_parts p = x87_parts(c->x, 0);

    c->x->status |= p.sign ? X87_C1 : 0;
    x87_set_codes(c->x, x87_is_empty(c->x, 0) ? X87_C3 | X87_C0 : codes[p.kind] | (p.denormal ? X87_C3 : 0u));
}
