/*
 * gen_flags.c - where the guest's arithmetic flags are, and what it takes to bring them elsewhere.
 *
 * Before an operation that makes flags is emitted, gen_plan() looks ahead to who will ask for them and where they will
 * be by then.  They stay in the host's flags as long as nothing clobbers those; where only a fault, an interrupt or an
 * exit can ask, it is enough that they can be made again from operands that are still there; else they are saved.
 */
#include "jit/gen.h"

enum {
    EV_CLOBBER_FIRST = 1, /* the host's flags are gone before the operation looks at the guest's */
    EV_USE = 2,           /* reads the guest's flags */
    EV_OBSERVE = 4,       /* somebody outside may look: a fault, an exit, a helper */
    EV_KILL = 8,          /* makes all of them anew */
    EV_CLOBBER = 16,
};

/* On the host's x87 unit, which leaves the flags alone; but who comes first looks where it has its state from. */
static unsigned x87_events(const struct ir_op *o)
{
    unsigned first = o->x87 == X87_HOST_FIRST ? EV_CLOBBER_FIRST : 0;

    if (o->op == IR_HELPER && o->state) /* FLDCW may be C */
        return EV_CLOBBER_FIRST | EV_OBSERVE;
    return first | (o->fx == FX_SET ? EV_KILL | EV_CLOBBER : o->fx == FX_USE ? EV_USE : 0);
}

static unsigned flags_events(const struct ir_op *o)
{
    if (o->x87 && (o->op == IR_HELPER || o->cover == COVER_FOLLOWS))
        return x87_events(o);
    if (o->cover == COVER_FOLLOWS)
        return 0;
    switch (o->op) {
    case IR_MOV: case IR_ZEXT: case IR_SEXT: case IR_GETHI: case IR_SETHI: case IR_LEA: case IR_BSWAP: case IR_SEGBASE:
    case IR_MOVX: case IR_ZEROX: case IR_PDEP: case IR_PEXT: case IR_CRC32: case IR_NOT: return 0;
    case IR_SETCC: case IR_CMOV: case IR_SEL: return EV_USE;
    case IR_LD: case IR_LDW: case IR_ST: case IR_ATOMIC: case IR_LDX: case IR_STX: case IR_SEGCHECK: case IR_DIV: case IR_IDIV:
        return EV_CLOBBER_FIRST | EV_OBSERVE;
    case IR_JZ: case IR_JNZ: case IR_GUARD: return EV_CLOBBER_FIRST | EV_OBSERVE;
    case IR_JCC: return EV_USE | EV_OBSERVE;
    case IR_JMP: case IR_JMPR: case IR_HELPER_END: return EV_OBSERVE | EV_CLOBBER;
    case IR_HELPER:
        if (o->aux == HELP_check_target)
            return EV_CLOBBER_FIRST | EV_OBSERVE;
        return (o->state || !o->proven ? EV_OBSERVE : 0) | EV_CLOBBER;
    default: break;
    }
    if (o->fx == FX_SET)
        return EV_KILL | EV_CLOBBER;
    if (o->fx == FX_PART && (o->live || ir_uses_carry(o)))
        return EV_USE | EV_KILL | EV_CLOBBER;
    return EV_CLOBBER;
}

/* May the instruction end with somebody waiting: did it touch memory or call a helper? */
static bool flags_insn_touches(const struct gen *g, unsigned insn)
{
    for (unsigned i = g->ir->insn[insn].first; i < g->ir->ops && g->ir->op[i].insn == insn; i++)
        switch (g->ir->op[i].cover ? IR_MOV : g->ir->op[i].op) {
        case IR_HELPER:
            if (ir_calls(&g->ir->op[i]))
                return true;
            break;
        case IR_LD: case IR_LDW: case IR_ST: case IR_ATOMIC: case IR_LDX: case IR_STX: return true;
        default: break;
        }
    return false;
}

/* -- recomputing -------------------------------------------------------------------------------------------------------- */

/* The constant by which SHL, SHR or SAR shifts; 0: by none, by CL, or another operation. */
static unsigned shift_by(const struct gen *g, const struct ir_op *o)
{
    if ((o->op != IR_SHL && o->op != IR_SHR && o->op != IR_SAR) || !gen_is_const(o->b))
        return 0;
    return gen_konst(g, o->b) & (o->width == 8 ? 63 : 31);
}

/* What would make this operation's flags again; op IR_OPCODES: nothing. */
static struct lazy flags_recipe(const struct gen *g, const struct ir_op *o)
{
    struct lazy l = { .op = IR_OPCODES, .width = o->width, .a = o->d, .b = IR_NONE };
    int32_t imm;

    switch (o->op) {
    case IR_CMP: l = (struct lazy){ IR_CMP, o->width, gen_is_temp(o->a) ? LAZY_A : o->a, gen_is_temp(o->b) ? LAZY_B : o->b }; break;
    case IR_TEST:
        if (o->a == o->b)
            l = (struct lazy){ IR_TEST, o->width, gen_is_temp(o->a) ? LAZY_A : o->a, IR_NONE };
        break;
    case IR_AND: case IR_OR: case IR_XOR:
        l.op = IR_TEST;
        l.a = gen_is_temp(o->d) ? LAZY_A : o->d;
        break;
    case IR_ADD: case IR_SUB:
        if (o->d == o->a && o->b != o->d) {
            l.op = o->op;
            l.a = gen_is_temp(o->d) ? LAZY_A : o->d;
            l.b = gen_is_temp(o->b) ? LAZY_B : o->b;
        }
        break;
    case IR_SHL: case IR_SHR: case IR_SAR: /* of the value before, which gen_flags_before() keeps */
        if (o->d == o->a && shift_by(g, o))
            l = (struct lazy){ o->op, o->width, LAZY_A, o->b };
        break;
    default: break;
    }
    if (gen_is_const(l.b) && !gen_imm(g, l.b, l.width, &imm))
        l.op = IR_OPCODES;
    return l;
}

static bool flags_of_shift(const struct lazy *l) { return l->op == IR_SHL || l->op == IR_SHR || l->op == IR_SAR; }

/* A shift is about to destroy the value that its flags can be made from again. */
void gen_flags_before(struct gen *g, enum host value)
{
    if (g->op->live && g->keep_lazy && !g->save)
        emit_store(g->e, 8, gen_slot(g, LAZY_A), value);
}

/* Somebody asks, and the host's flags are gone: the recipe must do, from copies of what has been overwritten by then. */
static void flags_wanted(struct gen *g, bool host, bool recipe, bool a, bool b)
{
    if (host)
        return;
    g->save |= !recipe;
    g->keep_lazy |= recipe;
    g->copy_a |= !a;
    g->copy_b |= !b;
}

void gen_plan(struct gen *g)
{
    struct lazy l = flags_recipe(g, g->op);
    bool host = true, a = true, b = true, recipe = l.op != IR_OPCODES && g->jit->options.lazy, seen = false;

    g->save = g->keep_lazy = g->copy_a = g->copy_b = g->unseen = false;
    for (unsigned i = g->at + 1; i < g->ir->ops; i++) {
        const struct ir_op *o = &g->ir->op[i];
        unsigned ev = flags_events(o);

        if (o->insn != g->ir->op[i - 1].insn && flags_insn_touches(g, g->ir->op[i - 1].insn))
            flags_wanted(g, host, recipe, a, b);
        host &= !(ev & EV_CLOBBER_FIRST);
        if (ev & (EV_USE | EV_OBSERVE))
            flags_wanted(g, host, recipe, a, b);
        seen |= ev & (EV_USE | EV_OBSERVE);
        if (ev & EV_KILL || ir_ends[o->op]) {
            g->unseen = !seen && !g->save && !g->keep_lazy;
            return;
        }
        host &= !(ev & EV_CLOBBER);
        a &= !(l.a < GPRS && ir_writes(o, l.a));
        b &= !(l.b < GPRS && ir_writes(o, l.b));
    }
}

/* -- as the code goes ------------------------------------------------------------------------------------------------------ */

/* AH = SF ZF AF PF CF, AL = OF. */
static void emit_pack(struct gen *g)
{
    emit_byte(g->e, 0x9f);
    emit_rr(g->e, OP_0F | 0x90, 1, 0, H_RAX);
}

void gen_emit_save(struct gen *g, bool packed)
{
    emit_pack(g);
    emit_store(g->e, 2, mem_low(&g->jit->flags), H_RAX);
    if (!packed)
        emit_store_imm(g->e, 4, mem_low(&g->jit->recipe), 0);
}

/* One operand of a recipe, to where the recipe in memory has it. */
static void emit_save_operand(struct gen *g, ir_operand x, unsigned which)
{
    struct host_mem m = gen_slot(g, (ir_operand)(LAZY_A + which));
    int32_t imm;

    if (x == (ir_operand)(LAZY_A + which))
        return;
    if (gen_imm(g, x, 8, &imm)) {
        emit_store_imm(g->e, 8, m, imm);
    } else if (x < GPRS && jit_pin[x] != H_NONE) {
        emit_store(g->e, 8, m, jit_pin[x]);
    } else {
        gen_load_into(g, H_RAX, x);
        emit_store(g->e, 8, m, H_RAX);
    }
}

/* Instead of flags, what makes them: whoever needs them does. */
static void emit_save_recipe(struct gen *g, const struct lazy *l)
{
    emit_save_operand(g, l->a, 0);
    if (l->op != IR_TEST)
        emit_save_operand(g, l->b, 1);
    emit_store_imm(g->e, 4, mem_low(&g->jit->recipe), (int32_t)jit_recipe(l));
}

static bool operand_takes_rax(ir_operand x) { return x < SLOTS && !(x < GPRS && jit_pin[x] != H_NONE); }

/* Does what follows use rax? */
bool gen_flags_out_take_rax(const struct flags_at *at)
{
    if (at->place != FLAGS_LAZY)
        return at->place == FLAGS_HOST;
    return operand_takes_rax(at->lazy.a) || (at->lazy.op != IR_TEST && operand_takes_rax(at->lazy.b));
}

/* At a way out: the flags, or their recipe, into memory.  rax is free. */
void gen_emit_flags_out(struct gen *g, const struct flags_at *at, bool packed)
{
    if (at->place == FLAGS_LAZY)
        emit_save_recipe(g, &at->lazy);
    else if (at->place == FLAGS_HOST)
        gen_emit_save(g, packed);
}

/* What is in memory may be a recipe, from before this block. */
static void flags_pack(struct gen *g)
{
    struct gen_stub *s;

    if (g->packed)
        return;
    s = gen_stub(g, STUB_PACK, g->op);
    emit_alu_mi(g->e, A_CMP, 4, mem_low(&g->jit->recipe), 0);
    s->from[0] = emit_jcc(g->e, CC_NZ);
    s->back = emit_address(g->e);
    g->packed = true;
}

/* One bit of the packed flags into the host's CF. */
void gen_emit_flag(struct gen *g, unsigned bit)
{
    emit_rm_imm(g->e, OP_0F | 0xba, 2, 4, mem_low(&g->jit->flags), 1, (int32_t)bit);
}

void gen_emit_restore(struct gen *g)
{
    emit_load(g->e, 2, H_RAX, mem_low(&g->jit->flags));
    emit_alu_ri(g->e, A_ADD, 1, H_RAX, 0x7f);
    emit_byte(g->e, 0x9e);
}

static void gen_lazy_rr(struct gen *g, enum host_alu op, const struct lazy *l, enum host reg)
{
    int32_t imm;

    if (gen_imm(g, l->b, l->width, &imm))
        emit_alu_ri(g->e, op, l->width, reg, imm);
    else if (l->b < GPRS && jit_pin[l->b] != H_NONE)
        emit_alu_rr(g->e, op, l->width, reg, jit_pin[l->b]);
    else if (!gen_is_const(l->b))
        emit_alu_rm(g->e, op, l->width, reg, gen_slot(g, l->b));
    else
        g->declined = true;
}

/* Uses rax when the first operand is not in a register. */
void gen_emit_lazy(struct gen *g, const struct lazy *l)
{
    enum host reg = l->a < GPRS && jit_pin[l->a] != H_NONE ? jit_pin[l->a] : H_RAX;

    if (reg == H_RAX || l->op == IR_ADD || l->op == IR_SUB)
        gen_load_into(g, H_RAX, l->a);
    switch (l->op) {
    case IR_CMP: gen_lazy_rr(g, A_CMP, l, reg); break;
    case IR_TEST: emit_test_rr(g->e, l->width, reg, reg); break;
    case IR_ADD:
        gen_lazy_rr(g, A_SUB, l, H_RAX);
        gen_lazy_rr(g, A_ADD, l, H_RAX);
        break;
    case IR_SHL: case IR_SHR: case IR_SAR:
        emit_shift_imm(g->e, l->op == IR_SHL ? S_SHL : l->op == IR_SHR ? S_SHR : S_SAR, l->width, H_RAX,
                       gen_konst(g, l->b) & (l->width == 8 ? 63 : 31));
        break;
    default:
        gen_lazy_rr(g, A_ADD, l, H_RAX);
        gen_lazy_rr(g, A_SUB, l, H_RAX);
        break;
    }
}

/* Does an operation use the guest's flags while the host has what this one leaves? */
static bool flags_used_soon(const struct gen *g)
{
    for (unsigned i = g->at + 1; i < g->ir->ops; i++) {
        unsigned ev = flags_events(&g->ir->op[i]);

        if (ev & (EV_USE | EV_CLOBBER | EV_CLOBBER_FIRST))
            return ev & EV_USE && !(ev & EV_CLOBBER_FIRST);
    }
    return false;
}

/* AF after a shift: undefined by the manual, here clear; a count of zero has changed nothing. */
static void normal_shift(struct gen *g)
{
    ir_operand count = g->op->op == IR_SHLD || g->op->op == IR_SHRD ? g->op->c : g->op->b;
    bool by_cl = !gen_is_const(count);
    uint8_t *none = NULL;

    emit_pack(g);
    if (by_cl) {
        emit_test_ri(g->e, 1, H_RCX, g->op->width == 8 ? 63 : 31);
        none = emit_jcc(g->e, CC_Z);
    } else if (!(gen_konst(g, count) & (g->op->width == 8 ? 63 : 31))) {
        return;
    }
    emit_alu_ri(g->e, A_AND, 4, H_RAX, ~0x1000);
    if (none)
        emit_here(g->e, none);
}

/* SF, ZF, PF and AF after a multiplication: undefined by the manual, here those of the low half. */
static void normal_multiply(struct gen *g)
{
    const struct ir_op *o = g->op;
    enum host low = gen_use(g, o->d);

    emit_rr(g->e, OP_0F | 0x90, 1, 0, H_RAX);
    emit_test_rr(g->e, o->width, low, low);
    emit_byte(g->e, 0x9f);
    emit_byte(g->e, 0x08); /* or ah, al */
    emit_byte(g->e, 0xc4);
}

/* Only an interrupt right after the instruction can ask: jit_flags_out() does then what normal() does. */
static bool flags_raw(struct gen *g)
{
    const struct ir_op *o = g->op;

    if (!g->unseen || o->d >= GPRS || (o->op != IR_IMUL2 && !shift_by(g, o)))
        return false;
    g->lazy = (struct lazy){ o->op, o->width, o->d, IR_NONE };
    g->in_host = g->raw = true;
    g->in_memory = g->is_lazy = false;
    return true;
}

/* AF and PF (BEXTR: SF too) of the BMI group: undefined by the manual, here those of the result. */
static void normal_bmi(struct gen *g)
{
    const struct ir_op *o = g->op;
    enum host result = gen_use(g, o->d), carry = gen_scratch(g);

    emit_rr(g->e, OP_0F | 0x92, 1, 0, carry);
    emit_test_rr(g->e, o->width, result, result);
    emit_byte(g->e, 0x9f);
    emit_rr(g->e, 0x8a, 1, 0, carry); /* al = carry, for a moment */
    emit_byte(g->e, 0x08);            /* or ah, al */
    emit_byte(g->e, 0xc4);
    emit_alu_rr(g->e, A_XOR, 1, H_RAX, H_RAX);
    gen_release(g, carry);
}

/*
 * Some flags of some operations are undefined, and host processors differ in them.  A guest shall not depend on the
 * host, so they are what the interpreter gives.
 */
static bool flags_normal(struct gen *g)
{
    void (*normal)(struct gen *g);

    switch (g->op->op) {
    case IR_SHL: case IR_SHR: case IR_SAR: case IR_SHLD: case IR_SHRD: normal = normal_shift; break;
    case IR_MUL: case IR_IMUL: case IR_IMUL2: normal = normal_multiply; break;
    case IR_ANDN: case IR_BEXTR: case IR_BLSI: case IR_BLSMSK: case IR_BLSR: case IR_BZHI: normal = normal_bmi; break;
    default: return false;
    }
    if (flags_raw(g))
        return true;
    if (g->keep_lazy && !g->save) { /* a shift: gen_flags_before() has what it takes */
        g->lazy = flags_recipe(g, g->op);
        g->is_lazy = g->in_host = true;
        g->in_memory = false;
        return true;
    }
    gen_release(g, H_RAX);
    gen_take(g, H_RAX);
    normal(g);
    emit_store(g->e, 2, mem_low(&g->jit->flags), H_RAX);
    if (!g->packed)
        emit_store_imm(g->e, 4, mem_low(&g->jit->recipe), 0);
    g->packed = true;
    g->in_memory = true;
    g->is_lazy = false;
    g->in_host = flags_used_soon(g);
    if (g->in_host) {
        emit_alu_ri(g->e, A_ADD, 1, H_RAX, 0x7f);
        emit_byte(g->e, 0x9e);
    }
    gen_release(g, H_RAX);
    return true;
}

/*
 * Scans and counts: ZF (and CF) are the host's now, the others what they were in memory.  The processor may have left
 * anything in those.
 */
void gen_flags_merge(struct gen *g, bool carry)
{
    gen_take(g, H_RAX);
    gen_take(g, H_RDX);
    emit_rr(g->e, OP_0F | 0x94, 1, 0, H_RAX);
    emit_rr(g->e, OP_0F | 0x92, 1, 0, H_RDX);
    emit_zext(g->e, 1, H_RAX, H_RAX);
    emit_shift_imm(g->e, S_SHL, 4, H_RAX, 14);
    if (carry) {
        emit_zext(g->e, 1, H_RDX, H_RDX);
        emit_shift_imm(g->e, S_SHL, 4, H_RDX, 8);
        emit_alu_rr(g->e, A_OR, 4, H_RAX, H_RDX);
    }
    emit_load(g->e, 2, H_RDX, mem_low(&g->jit->flags));
    emit_alu_ri(g->e, A_AND, 4, H_RDX, carry ? ~0x4100 : ~0x4000);
    emit_alu_rr(g->e, A_OR, 4, H_RAX, H_RDX);
    emit_store(g->e, 2, mem_low(&g->jit->flags), H_RAX);
    gen_release(g, H_RAX);
    gen_release(g, H_RDX);
    g->in_memory = g->packed = true;
    g->in_host = g->is_lazy = false;
}

/* Called when the result is in place, while temporaries still are where the operation used them. */
void gen_flags_made(struct gen *g)
{
    struct lazy l = flags_recipe(g, g->op);
    const struct ir_op *o = g->op;

    if (flags_normal(g))
        return;
    g->in_host = true;
    g->in_memory = g->is_lazy = false;
    if (g->save) {
        gen_flags_save(g);
    } else if (g->keep_lazy) {
        if (l.a == LAZY_A || (g->copy_a && l.a < GPRS)) {
            emit_store(g->e, 8, gen_slot(g, LAZY_A), gen_use(g, l.op == IR_CMP || o->op == IR_TEST ? o->a : o->d));
            l.a = LAZY_A;
        }
        if (l.b == LAZY_B || (g->copy_b && l.b < GPRS)) {
            emit_store(g->e, 8, gen_slot(g, LAZY_B), gen_use(g, o->b));
            l.b = LAZY_B;
        }
        g->lazy = l;
        g->is_lazy = true;
    } else if (l.op != IR_OPCODES && l.a != LAZY_A && l.b != LAZY_B && g->jit->options.lazy) {
        g->lazy = l; /* as long as it lasts */
        g->is_lazy = true;
    }
}

void gen_flags_save(struct gen *g)
{
    enum host reg;

    if (g->in_memory)
        return;
    reg = gen_take(g, H_RAX);
    if (g->is_lazy && flags_of_shift(&g->lazy)) { /* AF as in normal_shift() */
        emit_pack(g);
        emit_alu_ri(g->e, A_AND, 4, H_RAX, ~0x1000);
        emit_store(g->e, 2, mem_low(&g->jit->flags), H_RAX);
        if (!g->packed)
            emit_store_imm(g->e, 4, mem_low(&g->jit->recipe), 0);
        g->in_host = false;
    } else {
        gen_emit_save(g, g->packed);
    }
    gen_release(g, reg);
    g->in_memory = g->packed = true;
}

void gen_flags_lost(struct gen *g) { g->in_host = g->raw = false; }

void gen_slot_written(struct gen *g, ir_operand x)
{
    if (g->is_lazy && (g->lazy.a == x || g->lazy.b == x))
        g->is_lazy = false;
}

void gen_flags_to_host(struct gen *g)
{
    enum host reg;

    if (g->in_host)
        return;
    if (g->in_memory)
        flags_pack(g);
    reg = gen_take(g, H_RAX);
    if (g->in_memory)
        gen_emit_restore(g);
    else
        gen_emit_lazy(g, &g->lazy);
    gen_release(g, reg);
    g->in_host = true;
    if (!g->in_memory && flags_of_shift(&g->lazy)) {
        gen_flags_save(g);
        gen_flags_to_host(g);
    }
}

/* CF alone: BT leaves the others undefined but ZF, so they are not the guest's. */
void gen_carry_to_host(struct gen *g)
{
    if (g->in_host)
        return;
    if (!g->in_memory) {
        gen_flags_to_host(g);
        return;
    }
    flags_pack(g);
    gen_emit_flag(g, PACKED_CF);
}

/* The flags are in memory and may be looked at bit by bit. */
void gen_flags_aside(struct gen *g)
{
    if (!g->in_memory) {
        gen_flags_to_host(g);
        gen_flags_save(g);
    }
    flags_pack(g);
}

unsigned gen_condition(struct gen *g, unsigned cc)
{
    static const uint8_t bits[] = { [CC_O >> 1] = 0, [CC_B >> 1] = PACKED_CF, [CC_Z >> 1] = 14, [CC_S >> 1] = 15, [CC_P >> 1] = 10 };
    unsigned pair = cc >> 1;

    if (g->in_host)
        return cc;
    if (g->in_memory && (pair == CC_O >> 1 || pair == CC_B >> 1 || pair == CC_Z >> 1 || pair == CC_S >> 1 || pair == CC_P >> 1)) {
        flags_pack(g);
        gen_emit_flag(g, bits[pair]);
        return CC_B | (cc & 1);
    }
    gen_flags_to_host(g);
    return cc;
}

struct flags_at gen_flags_at(const struct gen *g)
{
    if (g->in_memory)
        return (struct flags_at){ .place = FLAGS_MEMORY };
    if (g->is_lazy)
        return (struct flags_at){ .place = FLAGS_LAZY, .lazy = g->lazy };
    if (g->raw)
        return (struct flags_at){ .place = FLAGS_RAW, .lazy = g->lazy };
    return (struct flags_at){ .place = g->in_host ? FLAGS_HOST : FLAGS_DEAD };
}
