/*
 * lift_alu.c - arithmetic, logic, shifts, bits: everything that computes on general registers.
 *
 * Read-modify-write on memory: LDW (translated for writing first), compute, store back.  With LOCK: one ATOMIC
 * gives the old value, and the flags are computed from it afterwards.
 */
#include "x86/insns.h"

#include "types.h"

static bool lift_locked(const struct lift *l) { return l->i->prefixes & PREFIX_LOCK; }

static ir_operand lift_atomic(struct lift *l, struct place p, unsigned width, enum atomic_kind kind, ir_operand value,
                              ir_operand compare)
{
    ir_operand old = lift_temp(l);
    struct ir_op *o = lift_op(l, IR_ATOMIC, width, old, p.a, value);

    o->imm = p.imm;
    o->stack = p.stack;
    o->cc = (uint8_t)kind;
    o->c = compare;
    return old;
}

/* -- two operands ----------------------------------------------------------------------------------------------- */

/* The value a locked ADC or SBB adds: source plus carry. */
static ir_operand lift_plus_carry(struct lift *l, ir_operand value)
{
    ir_operand carry = lift_temp(l), sum = lift_temp(l);

    lift_op(l, IR_MOV, 8, carry, lift_const(l, 0), IR_NONE);
    lift_opf(l, IR_SETCC, 1, carry, IR_NONE, IR_NONE, FX_USE)->cc = CC_B;
    lift_op(l, IR_LEA, 8, sum, value, carry);
    return sum;
}

static enum ir_fx lift_alu_fx(enum ir_opcode op)
{
    return op == IR_NOT ? FX_NONE : op == IR_ADC || op == IR_SBB || op == IR_INC || op == IR_DEC ? FX_PART : FX_SET;
}

static void lift_locked_alu(struct lift *l, struct place p, unsigned width, enum ir_opcode op, ir_operand value)
{
    static const uint8_t kinds[IR_OPCODES] = {
        [IR_ADD] = ATOMIC_ADD, [IR_ADC] = ATOMIC_ADD, [IR_SUB] = ATOMIC_SUB, [IR_SBB] = ATOMIC_SUB,
        [IR_AND] = ATOMIC_AND, [IR_OR] = ATOMIC_OR, [IR_XOR] = ATOMIC_XOR, [IR_INC] = ATOMIC_ADD,
        [IR_DEC] = ATOMIC_SUB, [IR_NEG] = ATOMIC_NEG, [IR_NOT] = ATOMIC_XOR,
    };
    ir_operand operand = op == IR_ADC || op == IR_SBB ? lift_plus_carry(l, value) : value, old;

    if (op == IR_INC || op == IR_DEC)
        operand = lift_const(l, 1);
    else if (op == IR_NOT)
        operand = lift_const(l, UINT64_MAX);
    else if (op == IR_NEG)
        operand = lift_const(l, 0);
    old = lift_atomic(l, p, width, kinds[op], operand, IR_NONE);
    if (op != IR_NOT)
        lift_opf(l, op, width, lift_temp(l), old, value, lift_alu_fx(op));
}

/* d = op(d, value): on a register, in memory, or in memory locked. */
static void lift_modify(struct lift *l, enum ir_opcode op, ir_operand value, enum ir_fx fx)
{
    const struct operand *o = lift_operand(l, 0);
    unsigned width = o->width;
    struct place p;
    ir_operand t;

    if (o->kind == OPERAND_MEMORY) {
        p = lift_place(l, o, width, ACCESS_READ | ACCESS_WRITE);
        t = lift_load_to_write(l, p, width);
        lift_opf(l, op, width, t, t, value, fx);
        lift_store_back(l, p, width, t);
    } else if (o->class == REG_GPR_HIGH) {
        t = lift_read(l, 0);
        lift_opf(l, op, width, t, t, value, fx);
        lift_write_register(l, o, t);
    } else {
        lift_opf(l, op, width, o->reg, o->reg, value, fx);
    }
}

bool lift_alu(struct lift *l, int op)
{
    ir_operand value = l->i->operands > 1 ? lift_read(l, 1) : IR_NONE;
    unsigned width = lift_operand(l, 0)->width;

    if (op == IR_CMP || op == IR_TEST)
        lift_opf(l, (enum ir_opcode)op, width, IR_NONE, lift_read(l, 0), value, FX_SET);
    else if (lift_is_memory(l, 0) && lift_locked(l))
        lift_locked_alu(l, lift_place(l, lift_operand(l, 0), width, ACCESS_READ | ACCESS_WRITE), width,
                        (enum ir_opcode)op, value);
    else
        lift_modify(l, (enum ir_opcode)op, value, lift_alu_fx((enum ir_opcode)op));
    return true;
}

/* Shifts and rotates; a count of zero leaves the flags alone, rotates keep ZF, SF, PF, AF. */
bool lift_shift(struct lift *l, int op)
{
    const struct operand *count = lift_operand(l, 1);
    unsigned masked = count->kind == OPERAND_IMMEDIATE
                        ? (unsigned)count->immediate & (lift_operand(l, 0)->width == 8 ? 63 : 31) : 0;
    bool sets = masked && (op == IR_SHL || op == IR_SHR || op == IR_SAR);

    lift_modify(l, (enum ir_opcode)op, lift_read(l, 1), sets ? FX_SET : FX_PART);
    return true;
}

bool lift_double_shift(struct lift *l, int op)
{
    const struct operand *o = lift_operand(l, 0);
    ir_operand fill = lift_read(l, 1), count = lift_read(l, 2), t;
    unsigned width = o->width;
    struct place p = { 0 };

    if (o->kind == OPERAND_MEMORY) {
        p = lift_place(l, o, width, ACCESS_READ | ACCESS_WRITE);
        t = lift_load_to_write(l, p, width);
    } else {
        t = o->reg;
    }
    lift_opf(l, (enum ir_opcode)op, width, t, t, fill, FX_PART)->c = count;
    if (o->kind == OPERAND_MEMORY)
        lift_store_back(l, p, width, t);
    return true;
}

/* SHLX, SHRX, SARX, RORX: no flags. */
bool lift_shift_x(struct lift *l, int op)
{
    lift_op(l, (enum ir_opcode)op, lift_operand(l, 0)->width, lift_operand(l, 0)->reg, lift_read(l, 1), lift_read(l, 2));
    return true;
}

/* -- multiply and divide ---------------------------------------------------------------------------------------- */

bool lift_mul(struct lift *l, int op)
{
    unsigned width = lift_operand(l, 0)->width;

    lift_opf(l, (enum ir_opcode)op, width, RAX, RAX, lift_read(l, 0), FX_SET)->aux = RDX;
    return true;
}

bool lift_imul(struct lift *l, int arg)
{
    unsigned width = lift_operand(l, 0)->width;

    (void)arg;
    if (l->i->operands == 1)
        return lift_mul(l, IR_IMUL);
    if (l->i->operands == 2)
        lift_opf(l, IR_IMUL2, width, lift_operand(l, 0)->reg, lift_operand(l, 0)->reg, lift_read(l, 1), FX_SET);
    else
        lift_opf(l, IR_IMUL2, width, lift_operand(l, 0)->reg, lift_read(l, 1), lift_read(l, 2), FX_SET);
    return true;
}

/* MULX hi, lo, source: RDX is the other factor; when both are the same register, it gets the high half. */
bool lift_mulx(struct lift *l, int arg)
{
    unsigned width = lift_operand(l, 0)->width;

    (void)arg;
    lift_op(l, IR_MUL, width, lift_operand(l, 1)->reg, RDX, lift_read(l, 2))->aux = lift_operand(l, 0)->reg;
    return true;
}

bool lift_div(struct lift *l, int op)
{
    lift_op(l, (enum ir_opcode)op, lift_operand(l, 0)->width, IR_NONE, lift_read(l, 0), IR_NONE);
    return true;
}

/* -- bits ------------------------------------------------------------------------------------------------------- */

/* BT with a register offset reaches beyond the operand: the address moves by offset / width units. */
static struct place lift_bit_place(struct lift *l, unsigned width, unsigned intent)
{
    const struct operand *o = lift_operand(l, 0), *offset = lift_operand(l, 1);
    unsigned log2 = (unsigned)__builtin_ctz(width);
    ir_operand index, address;
    struct ir_op *lea;

    if (offset->kind != OPERAND_REGISTER)
        return lift_place(l, o, width, intent);
    index = lift_temp(l);
    lift_op(l, IR_SEXT, width, index, offset->reg, IR_NONE)->aux = 8;
    lift_op(l, IR_SAR, 8, index, index, lift_const(l, 3 + log2));
    address = lift_temp(l);
    lea = lift_op(l, IR_LEA, l->i->address_size, address, lift_effective(l, o), index);
    lea->aux = log2;
    return lift_linear(l, o->segment, address, width, intent);
}

bool lift_bit(struct lift *l, int op)
{
    static const uint8_t kinds[IR_OPCODES] = { [IR_BTS] = ATOMIC_OR, [IR_BTR] = ATOMIC_AND, [IR_BTC] = ATOMIC_XOR };
    const struct operand *o = lift_operand(l, 0);
    unsigned width = o->width;
    ir_operand bit = lift_read(l, 1), t, mask;
    struct place p;

    if (o->kind == OPERAND_REGISTER) {
        lift_opf(l, (enum ir_opcode)op, width, op == IR_BT ? IR_NONE : o->reg, o->reg, bit, FX_PART);
        return true;
    }
    p = lift_bit_place(l, width, op == IR_BT ? ACCESS_READ : ACCESS_READ | ACCESS_WRITE);
    if (op == IR_BT) {
        lift_opf(l, IR_BT, width, IR_NONE, lift_load(l, p, width), bit, FX_PART);
    } else if (lift_locked(l)) {
        mask = lift_temp(l);
        lift_op(l, IR_MOV, 8, mask, lift_const(l, 0), IR_NONE);
        lift_op(l, IR_BTS, width, mask, mask, bit);
        if (op == IR_BTR)
            lift_op(l, IR_NOT, 8, mask, mask, IR_NONE);
        t = lift_atomic(l, p, width, kinds[op], mask, IR_NONE);
        lift_opf(l, IR_BT, width, IR_NONE, t, bit, FX_PART);
    } else {
        t = lift_load_to_write(l, p, width);
        lift_opf(l, (enum ir_opcode)op, width, t, t, bit, FX_PART);
        lift_store_back(l, p, width, t);
    }
    return true;
}

/* d = op(source): BSF, BSR keep d for a source of zero. */
bool lift_scan(struct lift *l, int op)
{
    lift_opf(l, (enum ir_opcode)op, lift_operand(l, 0)->width, lift_operand(l, 0)->reg, lift_read(l, 1), IR_NONE,
             op == IR_POPCNT ? FX_SET : FX_PART);
    return true;
}

/* d = op(a, b): BMI forms. */
bool lift_bmi(struct lift *l, int op)
{
    unsigned width = lift_operand(l, 0)->width;
    ir_operand a = lift_read(l, 1), b = l->i->operands > 2 ? lift_read(l, 2) : IR_NONE;

    lift_opf(l, (enum ir_opcode)op, width, lift_operand(l, 0)->reg, a, b, op == IR_PDEP || op == IR_PEXT ? FX_NONE : FX_SET);
    return true;
}

bool lift_adx(struct lift *l, int op)
{
    lift_opf(l, (enum ir_opcode)op, lift_operand(l, 0)->width, lift_operand(l, 0)->reg, lift_operand(l, 0)->reg,
             lift_read(l, 1), FX_PART);
    return true;
}

bool lift_crc32(struct lift *l, int arg)
{
    ir_operand value = lift_read(l, 1), t = lift_temp(l);

    (void)arg;
    lift_op(l, IR_CRC32, lift_operand(l, 1)->width, t, lift_operand(l, 0)->reg, value);
    lift_op(l, IR_MOV, 4, lift_operand(l, 0)->reg, t, IR_NONE);
    return true;
}

/* -- exchange --------------------------------------------------------------------------------------------------- */

bool lift_xchg(struct lift *l, int arg)
{
    unsigned memory = lift_is_memory(l, 1) ? 1 : 0, other = 1 - memory, width = lift_operand(l, 0)->width;
    ir_operand a, b, t;

    (void)arg;
    if (lift_is_memory(l, memory)) {
        b = lift_read(l, other);
        a = lift_atomic(l, lift_place(l, lift_operand(l, memory), width, ACCESS_READ | ACCESS_WRITE), width, ATOMIC_XCHG,
                        b, IR_NONE);
        lift_write_register(l, lift_operand(l, other), a);
        return true;
    }
    t = lift_temp(l);
    a = lift_read(l, 0);
    lift_op(l, IR_MOV, 8, t, a, IR_NONE);
    lift_write_register(l, lift_operand(l, 0), lift_read(l, 1));
    lift_write_register(l, lift_operand(l, 1), t);
    return true;
}

bool lift_xadd(struct lift *l, int arg)
{
    const struct operand *o = lift_operand(l, 0);
    unsigned width = o->width;
    ir_operand value = lift_read(l, 1), old, sum = lift_temp(l);
    struct place p = { 0 };

    (void)arg;
    if (o->kind != OPERAND_MEMORY) {
        old = lift_temp(l);
        lift_op(l, IR_MOV, 8, old, lift_read(l, 0), IR_NONE);
        lift_opf(l, IR_ADD, width, sum, old, value, FX_SET);
        lift_write_register(l, lift_operand(l, 1), old);
        lift_write_register(l, o, sum);
        return true;
    }
    p = lift_place(l, o, width, ACCESS_READ | ACCESS_WRITE);
    old = lift_locked(l) ? lift_atomic(l, p, width, ATOMIC_ADD, value, IR_NONE) : lift_load_to_write(l, p, width);
    lift_opf(l, IR_ADD, width, sum, old, value, FX_SET);
    if (!lift_locked(l))
        lift_store_back(l, p, width, sum);
    lift_write_register(l, lift_operand(l, 1), old);
    return true;
}

/* RAX after a compare-exchange that saw `old`: as it was on a match, else the old value at its width. */
static void lift_cmpxchg_rax(struct lift *l, unsigned width, ir_operand old)
{
    ir_operand t = lift_temp(l);

    lift_op(l, IR_MOV, 8, t, RAX, IR_NONE);
    lift_op(l, IR_MOV, width, t, old, IR_NONE);
    lift_opf(l, IR_SEL, 8, RAX, RAX, t, FX_USE)->cc = CC_Z;
}

/* On a mismatch a 32-bit destination is left alone whole: its upper half is not cleared. */
static bool lift_cmpxchg_register(struct lift *l, const struct operand *o, ir_operand new)
{
    ir_operand old = lift_temp(l), t = lift_temp(l);

    lift_op(l, IR_MOV, 8, old, lift_read(l, 0), IR_NONE);
    if (o->width == 4) {
        ir_operand cleared = lift_temp(l);

        lift_op(l, IR_MOV, 4, cleared, new, IR_NONE);
        new = cleared;
    }
    lift_opf(l, IR_CMP, o->width, IR_NONE, RAX, old, FX_SET);
    lift_opf(l, IR_SEL, 8, t, new, old, FX_USE)->cc = CC_Z;
    lift_cmpxchg_rax(l, o->width, old);
    if (o->width == 4)
        lift_op(l, IR_MOV, 8, o->reg, t, IR_NONE);
    else
        lift_write_register(l, o, t);
    return true;
}

bool lift_cmpxchg(struct lift *l, int arg)
{
    const struct operand *o = lift_operand(l, 0);
    unsigned width = o->width;
    ir_operand new = lift_read(l, 1), old, t;
    struct place p;

    (void)arg;
    if (o->kind != OPERAND_MEMORY)
        return lift_cmpxchg_register(l, o, new);
    p = lift_place(l, o, width, ACCESS_READ | ACCESS_WRITE);
    if (lift_locked(l)) {
        old = lift_atomic(l, p, width, ATOMIC_CMPXCHG, new, RAX);
        lift_opf(l, IR_CMP, width, IR_NONE, RAX, old, FX_SET);
    } else {
        old = lift_load_to_write(l, p, width);
        t = lift_temp(l);
        lift_opf(l, IR_CMP, width, IR_NONE, RAX, old, FX_SET);
        lift_opf(l, IR_SEL, 8, t, new, old, FX_USE)->cc = CC_Z;
        lift_store_back(l, p, width, t);
    }
    lift_cmpxchg_rax(l, width, old);
    return true;
}

/* CMPXCHG8B, CMPXCHG16B: `arg` bytes. */
bool lift_cmpxchg_wide(struct lift *l, int bytes)
{
    struct place p = lift_place(l, lift_operand(l, 0), (unsigned)bytes, ACCESS_READ | ACCESS_WRITE);
    ir_operand address = lift_temp(l);

    lift_op(l, IR_LEA, 8, address, p.a, IR_NONE)->imm = p.imm;
    lift_help(l, HELP_cmpxchg_wide, IR_NONE, address, IR_NONE, IR_NONE,
              bytes | (lift_locked(l) ? 0x100 : 0) | (p.stack ? 0x200 : 0));
    return true;
}

/* -- one operand, conditions, flags ------------------------------------------------------------------------------ */

bool lift_bswap(struct lift *l, int arg)
{
    const struct operand *o = lift_operand(l, 0);

    (void)arg;
    lift_op(l, IR_BSWAP, o->width, o->reg, o->reg, IR_NONE);
    return true;
}

bool lift_setcc(struct lift *l, int cc)
{
    ir_operand t = lift_temp(l);

    lift_opf(l, IR_SETCC, 1, t, IR_NONE, IR_NONE, FX_USE)->cc = (uint8_t)cc;
    lift_write(l, 0, t);
    return true;
}

bool lift_cmov(struct lift *l, int cc)
{
    const struct operand *o = lift_operand(l, 0);

    lift_opf(l, IR_CMOV, o->width, o->reg, lift_read(l, 1), IR_NONE, FX_USE)->cc = (uint8_t)cc;
    return true;
}

bool lift_carry(struct lift *l, int how)
{
    lift_opf(l, IR_SETCF, 1, IR_NONE, IR_NONE, IR_NONE, FX_PART)->imm = how;
    return true;
}

bool lift_direction(struct lift *l, int df)
{
    lift_op(l, IR_SETDF, 1, IR_NONE, IR_NONE, IR_NONE)->imm = df;
    return true;
}

/* LAHF, SAHF, SALC and the decimal adjustments: a helper by number. */
bool lift_accumulator(struct lift *l, int helper)
{
    ir_operand imm = l->i->operands ? lift_read(l, 0) : IR_NONE;

    lift_help(l, (enum helper_id)helper, IR_NONE, imm, IR_NONE, IR_NONE, 0);
    return true;
}

/* CBW, CWDE, CDQE (arg 0) and CWD, CDQ, CQO (arg 1), by mnemonic's width in bytes. */
bool lift_convert(struct lift *l, int width)
{
    lift_op(l, IR_SEXT, (unsigned)width / 2, RAX, RAX, IR_NONE)->aux = (uint32_t)width;
    return true;
}

bool lift_convert_double(struct lift *l, int width)
{
    ir_operand t = lift_temp(l);

    lift_op(l, IR_SAR, (unsigned)width, t, RAX, lift_const(l, (unsigned)width * 8 - 1));
    lift_op(l, IR_MOV, (unsigned)width, RDX, t, IR_NONE);
    return true;
}
