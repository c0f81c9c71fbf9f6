/*
 * gen_alu.c - moves, arithmetic, shifts, bits: operations that a host instruction does.
 *
 * The host's instruction makes the guest's flags.  Where an operation keeps some of them, or needs one, the guest's are
 * brought into the host's first.
 */
#include "jit/gen.h"

static bool wants_flags(const struct ir_op *o) { return o->fx && o->live; }

static void finish(struct gen *g, ir_operand d, enum host reg)
{
    gen_put(g, d, reg);
    gen_flags_lost(g);
    if (wants_flags(g->op))
        gen_flags_made(g);
}

/* As finish(), for a result that goes to d at the operation's width; `reg` is the operation's own. */
static void finish_at(struct gen *g, ir_operand d, unsigned width, enum host reg)
{
    if (gen_is_temp(d) && width >= 4)
        gen_give(g, d, reg);
    else
        gen_assign(g, d, width, reg);
    gen_flags_lost(g);
    if (wants_flags(g->op))
        gen_flags_made(g);
}

/* Flags the operation keeps or reads have to be the host's. */
static void prepare_flags(struct gen *g)
{
    const struct ir_op *o = g->op;

    if (o->fx != FX_PART)
        return;
    if (o->op == IR_ADC || o->op == IR_SBB || o->op == IR_INC || o->op == IR_DEC) {
        if (o->live || ir_uses_carry(o))
            gen_carry_to_host(g);
    } else if (o->live || ir_uses_carry(o)) {
        gen_flags_to_host(g);
    }
}

/* -- moves -------------------------------------------------------------------------------------------------------------- */

static void gen_mov(struct gen *g)
{
    const struct ir_op *o = g->op;
    enum host d;

    if (o->width == 8 && (gen_is_const(o->a) || (o->a < GPRS && jit_pin[o->a] == H_NONE))) {
        d = gen_result(g, o->d, false);
        gen_load_into(g, d, o->a);
        gen_put(g, o->d, d);
    } else if (o->width == 4 && gen_is_const(o->a)) {
        d = gen_result(g, o->d, false);
        emit_mov_imm(g->e, d, (uint32_t)gen_konst(g, o->a));
        gen_put(g, o->d, d);
    } else {
        gen_assign(g, o->d, o->width, gen_use(g, o->a));
    }
}

static void gen_zext(struct gen *g)
{
    const struct ir_op *o = g->op;
    enum host a = gen_use(g, o->a), d = gen_result(g, o->d, false);

    emit_zext(g->e, o->width, d, a);
    gen_put(g, o->d, d);
}

static void gen_sext(struct gen *g)
{
    const struct ir_op *o = g->op;
    enum host a = gen_use(g, o->a), d = gen_result(g, o->d, o->aux == 2);

    emit_sext(g->e, o->width, o->aux, d, a);
    gen_put(g, o->d, d);
}

static void gen_gethi(struct gen *g)
{
    enum host a = gen_use(g, g->op->a), d = gen_result(g, g->op->d, false);

    emit_rorx(g->e, d, a, 8);
    emit_zext(g->e, 1, d, d);
    gen_put(g, g->op->d, d);
}

static void gen_sethi(struct gen *g)
{
    enum host a = gen_use(g, g->op->a), d = gen_result(g, g->op->d, true), t = a;

    if (a == d) {
        t = gen_scratch(g);
        emit_mov(g->e, t, a);
    }
    emit_rorx(g->e, d, d, 8);
    emit_mov_low(g->e, 1, d, t);
    emit_rorx(g->e, d, d, 56);
    gen_put(g, g->op->d, d);
}

/* RSP moves by n: later, if it can be. */
static bool move_sp(struct gen *g, int64_t n)
{
    if (!g->jit->options.fold || n != (int16_t)n || g->sp + n != (int16_t)(g->sp + n))
        return false;
    g->sp += (int32_t)n;
    gen_slot_written(g, RSP);
    return true;
}

/* d = a + (b << aux) + imm, without touching flags. */
static void gen_lea(struct gen *g)
{
    const struct ir_op *o = g->op;
    struct host_mem m = { .base = H_NONE, .index = H_NONE, .scale = (uint8_t)o->aux };
    int64_t disp = o->imm;
    enum host d;

    if (g->jit->options.fold && ir_folds_address(g->ir, g->at)) {
        g->lea[o->d - GPRS] = o;
        return;
    }
    if (o->d == RSP && o->a == RSP && o->b == IR_NONE && o->width == 8 && move_sp(g, o->imm))
        return;
    if (gen_is_const(o->a))
        disp += (int64_t)gen_konst(g, o->a);
    else if (o->a != IR_NONE)
        m.base = gen_use(g, o->a);
    if (gen_is_const(o->b))
        disp += (int64_t)(gen_konst(g, o->b) << o->aux);
    else if (o->b != IR_NONE)
        m.index = gen_use(g, o->b);
    if (disp != (int32_t)disp && o->width <= 4)
        disp = (int32_t)disp;
    if (disp != (int32_t)disp) {
        g->declined = true;
        return;
    }
    m.disp = (int32_t)disp;
    d = gen_result(g, o->d, false);
    if (m.base == H_NONE && m.index == H_NONE) /* which the host would take for an address of ours, below 2 GiB */
        emit_mov_imm(g->e, d, bits_trunc((uint64_t)disp, o->width));
    else
        emit_lea(g->e, o->width == 8 ? 8 : 4, d, m);
    if (o->width < 4)
        emit_zext(g->e, o->width, d, d);
    gen_put(g, o->d, d);
}

static bool gen_bswap(struct gen *g)
{
    const struct ir_op *o = g->op;
    enum host d;

    if (o->width < 4)
        return false;
    d = gen_result(g, o->d, false);
    emit_mov_low(g->e, o->width, d, gen_use(g, o->a));
    emit_byte(g->e, 0x40 | (o->width == 8 ? 8u : 0u) | (d >> 3 & 1u));
    emit_byte(g->e, 0x0f);
    emit_byte(g->e, 0xc8 | (d & 7u));
    gen_put(g, o->d, d);
    return true;
}

/* -- two operands --------------------------------------------------------------------------------------------------------- */

static enum host_alu alu_host(unsigned op)
{
    static const uint8_t table[IR_OPCODES] = {
        [IR_ADD] = A_ADD, [IR_ADC] = A_ADC, [IR_SUB] = A_SUB, [IR_SBB] = A_SBB, [IR_AND] = A_AND, [IR_OR] = A_OR,
        [IR_XOR] = A_XOR, [IR_CMP] = A_CMP,
    };

    return table[op];
}

/* reg = reg op b, b as it comes. */
static void alu_with(struct gen *g, const struct ir_op *o, enum host reg)
{
    int32_t imm;

    if (gen_imm(g, o->b, o->width, &imm)) {
        if (o->op == IR_TEST)
            emit_test_ri(g->e, o->width, reg, imm);
        else
            emit_alu_ri(g->e, alu_host(o->op), o->width, reg, imm);
    } else if (o->op == IR_TEST) {
        emit_test_rr(g->e, o->width, reg, gen_use(g, o->b));
    } else {
        emit_alu_rr(g->e, alu_host(o->op), o->width, reg, gen_use(g, o->b));
    }
}

static void gen_alu2(struct gen *g)
{
    const struct ir_op *o = g->op;
    int32_t imm;
    enum host d;

    if (o->d == RSP && o->a == RSP && o->width == 8 && (o->op == IR_ADD || o->op == IR_SUB) && !wants_flags(o) &&
        gen_imm(g, o->b, 8, &imm) && move_sp(g, o->op == IR_ADD ? imm : -(int64_t)imm))
        return;
    prepare_flags(g);
    if (o->d == IR_NONE) {
        alu_with(g, o, gen_use(g, o->a));
        finish(g, IR_NONE, H_NONE);
    } else if (o->d == o->a) {
        d = gen_result(g, o->d, true);
        alu_with(g, o, d);
        finish(g, o->d, d);
    } else {
        d = gen_copy(g, o->a);
        alu_with(g, o, d);
        finish_at(g, o->d, o->width, d);
    }
}

/* One operand: INC, DEC, NEG, NOT. */
static void alu_single(struct gen *g, const struct ir_op *o, enum host reg)
{
    switch (o->op) {
    case IR_INC: emit_inc_dec(g->e, false, o->width, reg); break;
    case IR_DEC: emit_inc_dec(g->e, true, o->width, reg); break;
    case IR_NEG: emit_group3(g->e, G3_NEG, o->width, reg); break;
    default: emit_group3(g->e, G3_NOT, o->width, reg); break;
    }
}

static void gen_alu1(struct gen *g)
{
    const struct ir_op *o = g->op;
    enum host d;

    prepare_flags(g);
    d = o->d == o->a ? gen_result(g, o->d, true) : gen_copy(g, o->a);
    alu_single(g, o, d);
    if (o->op == IR_NOT)
        o->d == o->a ? gen_put(g, o->d, d) : gen_assign(g, o->d, o->width, d);
    else if (o->d == o->a)
        finish(g, o->d, d);
    else
        finish_at(g, o->d, o->width, d);
}

/* -- shifts ------------------------------------------------------------------------------------------------------------------ */

static enum host_shift shift_host(unsigned op)
{
    static const uint8_t table[IR_OPCODES] = {
        [IR_SHL] = S_SHL, [IR_SHR] = S_SHR, [IR_SAR] = S_SAR, [IR_ROL] = S_ROL, [IR_ROR] = S_ROR, [IR_RCL] = S_RCL, [IR_RCR] = S_RCR,
    };

    return table[op];
}

static bool shift_count(const struct gen *g, const struct ir_op *o, ir_operand b, unsigned *count)
{
    if (!gen_is_const(b))
        return false;
    *count = gen_konst(g, b) & (o->width == 8 ? 63 : 31);
    return true;
}

/* Without flags: SHLX, SHRX, SARX take the count from any register and leave flags alone. */
static bool gen_shift_x(struct gen *g)
{
    const struct ir_op *o = g->op;
    unsigned pp = o->op == IR_SHL ? 1 : o->op == IR_SHR ? 3 : o->op == IR_SAR ? 2 : 0;
    enum host a, b, d;

    if (o->width < 4 || !pp || wants_flags(o))
        return false;
    a = gen_use(g, o->a);
    b = gen_use(g, o->b);
    d = gen_result(g, o->d, false);
    emit_vex_rr(g->e, pp, 2, 0xf7, o->width == 8, 0, d, b, a);
    gen_put(g, o->d, d);
    gen_flags_lost(g);
    return true;
}

static void gen_shift(struct gen *g)
{
    const struct ir_op *o = g->op;
    unsigned count;
    enum host d;

    if (shift_count(g, o, o->b, &count)) {
        prepare_flags(g);
        d = o->d == o->a ? gen_result(g, o->d, true) : gen_copy(g, o->a);
        gen_flags_before(g, d);
        if (count)
            emit_shift_imm(g->e, shift_host(o->op), o->width, d, count);
        else if (o->width == 4)
            emit_zext(g->e, 4, d, d);
    } else {
        if (gen_shift_x(g))
            return;
        prepare_flags(g);
        gen_take(g, H_RCX);
        gen_load_into(g, H_RCX, o->b);
        d = o->d == o->a ? gen_result(g, o->d, true) : gen_copy(g, o->a);
        emit_shift_cl(g->e, shift_host(o->op), o->width, d);
        if (o->width == 4) /* a count of zero leaves the upper half */
            emit_zext(g->e, 4, d, d);
    }
    if (o->d == o->a)
        finish(g, o->d, d);
    else
        finish_at(g, o->d, o->width, d);
}

/* OF for counts beyond 1 is undefined, and the old value it would take is gone: the interpreter's, where it is seen. */
static bool gen_double_shift(struct gen *g)
{
    const struct ir_op *o = g->op;
    unsigned opcode = OP_0F | (o->op == IR_SHLD ? 0xa4 : 0xac), count;
    enum host d, fill;

    if (wants_flags(o) && !(shift_count(g, o, o->c, &count) && count <= 1))
        return false;
    prepare_flags(g);
    if (shift_count(g, o, o->c, &count)) {
        fill = gen_use(g, o->b);
        d = gen_result(g, o->d, true);
        emit_rr(g->e, opcode, o->width, fill, d);
        emit_byte(g->e, count);
    } else {
        gen_take(g, H_RCX);
        gen_load_into(g, H_RCX, o->c);
        fill = gen_use(g, o->b);
        d = gen_result(g, o->d, true);
        emit_rr(g->e, opcode + 1, o->width, fill, d);
    }
    if (o->width == 4)
        emit_zext(g->e, 4, d, d);
    finish(g, o->d, d);
    return true;
}

/* -- multiply ------------------------------------------------------------------------------------------------------------------ */

/* Through rax and rdx, as the host has it. */
static void gen_mul(struct gen *g)
{
    const struct ir_op *o = g->op;
    enum host b;

    gen_take(g, H_RCX);
    gen_load_into(g, H_RCX, o->b);
    b = H_RCX;
    gen_load_into(g, gen_take(g, H_RAX), o->a);
    gen_take(g, H_RDX);
    emit_group3(g->e, o->op == IR_MUL ? G3_MUL : G3_IMUL, o->width, b);
    gen_release(g, H_RCX);
    if (o->width == 1) {
        gen_assign(g, o->d, 2, H_RAX);
    } else {
        gen_assign(g, o->d, o->width, H_RAX);
        gen_assign(g, (ir_operand)o->aux, o->width, H_RDX);
    }
    gen_flags_lost(g);
    if (wants_flags(o))
        gen_flags_made(g);
}

static void gen_imul2(struct gen *g)
{
    const struct ir_op *o = g->op;
    int32_t imm;
    enum host d, b;

    if (gen_imm(g, o->b, o->width, &imm)) {
        enum host a = gen_use(g, o->a);

        d = o->width >= 4 ? gen_result(g, o->d, false) : gen_scratch(g);
        emit_rr(g->e, 0x69, o->width, d, a);
        for (unsigned i = 0; i < (o->width == 2 ? 2 : 4); i++)
            emit_byte(g->e, (uint32_t)imm >> i * 8 & 0xff);
        if (o->width >= 4)
            finish(g, o->d, d);
        else
            finish_at(g, o->d, o->width, d);
    } else if (o->d == o->a) {
        b = gen_use(g, o->b);
        d = gen_result(g, o->d, true);
        emit_rr(g->e, OP_0F | 0xaf, o->width, d, b);
        finish(g, o->d, d);
    } else {
        b = gen_use(g, o->b);
        d = gen_copy(g, o->a);
        emit_rr(g->e, OP_0F | 0xaf, o->width, d, b);
        finish_at(g, o->d, o->width, d);
    }
}

/* -- bits ------------------------------------------------------------------------------------------------------------------------ */

static void gen_bit(struct gen *g)
{
    const struct ir_op *o = g->op;
    unsigned group = o->op == IR_BT ? 4 : o->op == IR_BTS ? 5 : o->op == IR_BTR ? 6 : 7;
    bool same = o->d == o->a && o->d != IR_NONE;
    enum host b = H_NONE, d;

    prepare_flags(g);
    if (!gen_is_const(o->b))
        b = gen_use(g, o->b);
    d = o->op == IR_BT ? gen_use(g, o->a) : same ? gen_result(g, o->d, true) : gen_copy(g, o->a);
    if (b == H_NONE) {
        emit_rr(g->e, OP_0F | 0xba, o->width, group, d);
        emit_byte(g->e, gen_konst(g, o->b) & (o->width * 8 - 1));
    } else {
        emit_rr(g->e, OP_0F | (0x83 | group << 3), o->width, b, d);
    }
    if (o->op == IR_BT)
        finish(g, IR_NONE, H_NONE);
    else if (same)
        finish(g, o->d, d);
    else
        finish_at(g, o->d, o->width, d);
}

/* BSF and BSR leave the destination alone for a source of zero. */
static void gen_scan(struct gen *g)
{
    const struct ir_op *o = g->op;
    unsigned width = o->width;
    enum host a, t, d;

    if (wants_flags(o))
        gen_flags_aside(g);
    a = gen_use(g, o->a);
    t = gen_scratch(g);
    d = gen_result(g, o->d, true);
    emit_rr(g->e, OP_0F | (o->op == IR_BSF ? 0xbc : 0xbd), width, t, a);
    emit_rr(g->e, OP_0F | 0x45, width == 2 ? 2 : 8, d, t);
    gen_put(g, o->d, d);
    gen_flags_lost(g);
    gen_release(g, t);
    if (wants_flags(o))
        gen_flags_merge(g, false);
}

static void gen_count(struct gen *g)
{
    const struct ir_op *o = g->op;
    unsigned opcode = o->op == IR_TZCNT ? 0xbc : o->op == IR_LZCNT ? 0xbd : 0xb8;
    enum host a, d;

    if (wants_flags(o) && o->op != IR_POPCNT)
        gen_flags_aside(g);
    a = gen_use(g, o->a);
    d = gen_result(g, o->d, o->width == 2);
    emit_rr(g->e, OP_F3 | OP_0F | opcode, o->width, d, a);
    if (o->op == IR_POPCNT) {
        finish(g, o->d, d);
        return;
    }
    gen_put(g, o->d, d);
    gen_flags_lost(g);
    if (wants_flags(o))
        gen_flags_merge(g, true);
}

/* VEX-encoded: ANDN, BEXTR, BZHI, PDEP, PEXT (d, a, b) and BLSI, BLSMSK, BLSR (group 17). */
static void gen_bmi(struct gen *g)
{
    const struct ir_op *o = g->op;
    bool w = o->width == 8;
    enum host a, b = H_NONE, d;

    prepare_flags(g);
    a = gen_use(g, o->a);
    if (o->b != IR_NONE)
        b = gen_use(g, o->b);
    d = gen_result(g, o->d, false);
    switch (o->op) {
    case IR_ANDN: emit_vex_rr(g->e, 0, 2, 0xf2, w, 0, d, a, b); break;
    case IR_BEXTR: emit_vex_rr(g->e, 0, 2, 0xf7, w, 0, d, b, a); break;
    case IR_BZHI: emit_vex_rr(g->e, 0, 2, 0xf5, w, 0, d, b, a); break;
    case IR_PDEP: emit_vex_rr(g->e, 3, 2, 0xf5, w, 0, d, a, b); break;
    case IR_PEXT: emit_vex_rr(g->e, 2, 2, 0xf5, w, 0, d, a, b); break;
    case IR_BLSR: emit_vex_rr(g->e, 0, 2, 0xf3, w, 0, 1, d, a); break;
    case IR_BLSMSK: emit_vex_rr(g->e, 0, 2, 0xf3, w, 0, 2, d, a); break;
    default: emit_vex_rr(g->e, 0, 2, 0xf3, w, 0, 3, d, a); break;
    }
    if (o->op == IR_PDEP || o->op == IR_PEXT)
        gen_put(g, o->d, d);
    else
        finish(g, o->d, d);
}

static void gen_adx(struct gen *g)
{
    const struct ir_op *o = g->op;
    enum host b, d;

    prepare_flags(g);
    b = gen_use(g, o->b);
    d = gen_result(g, o->d, true);
    emit_rr(g->e, (o->op == IR_ADCX ? OP_66 : OP_F3) | OP_0F38 | 0xf6, o->width, d, b);
    finish(g, o->d, d);
}

static void gen_crc32(struct gen *g)
{
    const struct ir_op *o = g->op;
    enum host b = gen_use(g, o->b), d = gen_copy(g, o->a);

    emit_rr(g->e, OP_F2 | OP_0F38 | (o->width == 1 ? 0xf0 : 0xf1), o->width, d, b);
    gen_assign(g, o->d, 8, d);
}

/* -- conditions -------------------------------------------------------------------------------------------------------------------- */

static void gen_setcc(struct gen *g)
{
    unsigned cc = gen_condition(g, g->op->cc);
    enum host d = gen_result(g, g->op->d, true);

    emit_rr(g->e, OP_0F | 0x90 | cc, 1, 0, d);
    gen_put(g, g->op->d, d);
}

static void gen_cmov(struct gen *g)
{
    const struct ir_op *o = g->op;
    unsigned cc = gen_condition(g, o->cc);
    enum host a = gen_use(g, o->a), d = gen_result(g, o->d, true);

    emit_rr(g->e, OP_0F | 0x40 | cc, o->width, d, a);
    gen_put(g, o->d, d);
}

static void gen_sel(struct gen *g)
{
    const struct ir_op *o = g->op;
    unsigned cc = gen_condition(g, o->cc);
    enum host a = gen_use(g, o->a), t = gen_copy(g, o->b);

    emit_rr(g->e, OP_0F | 0x40 | cc, 8, t, a);
    gen_assign(g, o->d, 8, t);
}

static void gen_setcf(struct gen *g)
{
    if (!g->op->live)
        return;
    gen_flags_to_host(g);
    emit_byte(g->e, g->op->imm == 2 ? 0xf5 : g->op->imm ? 0xf9 : 0xf8);
    gen_flags_made(g);
}

static void gen_setdf(struct gen *g)
{
    struct host_mem m = mem_low(&g->jit->v->cpu.rflags);

    gen_flags_lost(g);
    if (g->op->imm)
        emit_alu_mi(g->e, A_OR, 4, m, FLAG_DF);
    else
        emit_alu_mi(g->e, A_AND, 4, m, ~FLAG_DF);
}

/* -- with memory --------------------------------------------------------------------------------------------------------------------- */

bool gen_is_rmw(const struct ir_op *o)
{
    switch (o->op) {
    case IR_ADD: case IR_SUB: case IR_AND: case IR_OR: case IR_XOR: case IR_ADC: case IR_SBB: case IR_INC: case IR_DEC: case IR_NEG:
    case IR_NOT: return true;
    default: return false;
    }
}

void gen_rmw(struct gen *g, const struct ir_op *o, struct host_mem m)
{
    int32_t imm;

    prepare_flags(g);
    if (o->op == IR_INC || o->op == IR_DEC)
        emit_rm(g->e, o->width == 1 ? 0xfe : 0xff, o->width, o->op == IR_DEC, m);
    else if (o->op == IR_NEG || o->op == IR_NOT)
        emit_rm(g->e, o->width == 1 ? 0xf6 : 0xf7, o->width, o->op == IR_NEG ? G3_NEG : G3_NOT, m);
    else if (gen_imm(g, o->b, o->width, &imm))
        emit_alu_mi(g->e, alu_host(o->op), o->width, m, imm);
    else
        emit_alu_mr(g->e, alu_host(o->op), o->width, m, gen_use(g, o->b));
}

/* The same on registers. */
void gen_rmw_register(struct gen *g, const struct ir_op *o, enum host reg, enum host b)
{
    if (o->op == IR_INC || o->op == IR_DEC || o->op == IR_NEG || o->op == IR_NOT)
        alu_single(g, o, reg);
    else
        emit_alu_rr(g->e, alu_host(o->op), o->width, reg, b);
}

/* Can it take its operand t from memory: d = d op t, or flags of a - t, t - b, a & t? */
bool gen_takes_memory(const struct ir_op *o, ir_operand t)
{
    switch (o->op) {
    case IR_ADD: case IR_SUB: case IR_AND: case IR_OR: case IR_XOR: case IR_ADC: case IR_SBB:
        return o->b == t && o->a != t && o->d == o->a && o->d < GPRS && o->d != RSP && jit_pin[o->d] != H_NONE;
    case IR_IMUL2: return o->width >= 4 && o->b == t && o->d == o->a && o->d < GPRS && o->d != RSP && jit_pin[o->d] != H_NONE;
    case IR_CMP: return (o->b == t) != (o->a == t) && !gen_is_temp(o->a == t ? o->b : o->a);
    case IR_TEST: return o->a == t && o->b != t && !gen_is_temp(o->b);
    default: return false;
    }
}

void gen_from_memory(struct gen *g, const struct ir_op *o, ir_operand t, struct host_mem m)
{
    int32_t imm;

    prepare_flags(g);
    if (o->op == IR_TEST && gen_imm(g, o->b, o->width, &imm)) {
        emit_rm_imm(g->e, o->width == 1 ? 0xf6 : 0xf7, o->width, 0, m, o->width == 8 ? 4 : o->width, imm);
    } else if (o->op == IR_TEST) {
        emit_rm(g->e, o->width == 1 ? 0x84 : 0x85, o->width, gen_use(g, o->b), m);
    } else if (o->op == IR_IMUL2) {
        emit_rm(g->e, OP_0F | 0xaf, o->width, jit_pin[o->d], m);
    } else if (o->b == t) {
        emit_alu_rm(g->e, alu_host(o->op), o->width, gen_use(g, o->a), m);
    } else if (gen_imm(g, o->b, o->width, &imm)) {
        emit_alu_mi(g->e, A_CMP, o->width, m, imm);
    } else {
        emit_alu_mr(g->e, A_CMP, o->width, m, gen_use(g, o->b));
    }
}

/* -- the table ------------------------------------------------------------------------------------------------------------------------ */

bool gen_alu(struct gen *g)
{
    switch (g->op->op) {
    case IR_MOV: gen_mov(g); return true;
    case IR_ZEXT: gen_zext(g); return true;
    case IR_SEXT: gen_sext(g); return true;
    case IR_GETHI: gen_gethi(g); return true;
    case IR_SETHI: gen_sethi(g); return true;
    case IR_LEA: gen_lea(g); return true;
    case IR_BSWAP: return gen_bswap(g);
    case IR_ADD: case IR_ADC: case IR_SUB: case IR_SBB: case IR_AND: case IR_OR: case IR_XOR: case IR_CMP: case IR_TEST:
        gen_alu2(g);
        return true;
    case IR_INC: case IR_DEC: case IR_NEG: case IR_NOT: gen_alu1(g); return true;
    case IR_SHL: case IR_SHR: case IR_SAR: case IR_ROL: case IR_ROR: case IR_RCL: case IR_RCR: gen_shift(g); return true;
    case IR_SHLD: case IR_SHRD: return gen_double_shift(g);
    case IR_MUL: case IR_IMUL: gen_mul(g); return true;
    case IR_IMUL2: gen_imul2(g); return true;
    case IR_BT: case IR_BTS: case IR_BTR: case IR_BTC: gen_bit(g); return true;
    case IR_BSF: case IR_BSR: gen_scan(g); return true;
    case IR_TZCNT: case IR_LZCNT: case IR_POPCNT: gen_count(g); return true;
    case IR_ANDN: case IR_BEXTR: case IR_BLSI: case IR_BLSMSK: case IR_BLSR: case IR_BZHI: case IR_PDEP: case IR_PEXT:
        gen_bmi(g);
        return true;
    case IR_ADCX: case IR_ADOX: gen_adx(g); return true;
    case IR_CRC32: gen_crc32(g); return true;
    case IR_SETCC: gen_setcc(g); return true;
    case IR_CMOV: gen_cmov(g); return true;
    case IR_SEL: gen_sel(g); return true;
    case IR_SETCF: gen_setcf(g); return true;
    case IR_SETDF: gen_setdf(g); return true;
    default: return false;
    }
}
