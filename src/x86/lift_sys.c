/*
 * lift_sys.c - system instructions.  Nearly all are helpers; what is here hands them their operands.
 */
#include "x86/insns.h"

#include "types.h"

bool lift_nop(struct lift *l, int arg)
{
    (void)l;
    (void)arg;
    return true;
}

/* A helper without operands; HELP_MODE ones end the block. */
bool lift_plain_helper(struct lift *l, int helper)
{
    lift_help(l, (enum helper_id)helper, IR_NONE, IR_NONE, IR_NONE, IR_NONE, l->i->operand_size);
    return true;
}

/* Bytes and intent of the operands that helpers take by address; INVLPG's is never accessed. */
static struct place lift_helper_place(struct lift *l, enum helper_id helper, const struct operand *o)
{
    unsigned table = l->mode & MODE_CODE64 ? 10 : 6;
    struct place p = { .stack = o->segment == SEG_SS };

    switch (helper) {
    case HELP_lgdt: case HELP_lidt: return lift_place(l, o, table, ACCESS_READ);
    case HELP_sgdt: case HELP_sidt: return lift_place(l, o, table, ACCESS_WRITE);
    case HELP_invlpg:
        p.a = lift_temp(l);
        lift_op(l, IR_SEGBASE, l->mode & MODE_CODE64 ? 8 : 4, p.a, lift_effective(l, o), IR_NONE)->aux = o->segment;
        return p;
    default: return lift_place(l, o, 1, ACCESS_READ);
    }
}

/* A helper on the linear address of its memory operand: LGDT, INVLPG, CLFLUSH ... */
bool lift_address_helper(struct lift *l, int helper)
{
    const struct operand *o = lift_operand(l, l->i->op[0].kind == OPERAND_MEMORY ? 0 : 1);
    struct place p;
    ir_operand t;

    if (o->kind != OPERAND_MEMORY)
        return false;
    p = lift_helper_place(l, (enum helper_id)helper, o);
    t = lift_temp(l);
    lift_op(l, IR_LEA, 8, t, p.a, IR_NONE)->imm = p.imm;
    lift_help(l, (enum helper_id)helper, IR_NONE, t, IR_NONE, IR_NONE,
              l->i->operand_size | (p.stack ? 0x100 : 0) | (l->i->prefixes & PREFIX_REX_W ? 0x200 : 0) |
                  (l->mode & MODE_CODE64 ? 0x400 : 0));
    return true;
}

/* Writes a helper's result to operand 0 (SLDT, STR, SMSW, RDRAND ...): arg is the helper. */
bool lift_result_helper(struct lift *l, int helper)
{
    const struct operand *o = lift_operand(l, 0);
    ir_operand t = lift_temp(l);

    lift_help(l, (enum helper_id)helper, t, IR_NONE, IR_NONE, IR_NONE, o->width);
    if (o->kind == OPERAND_MEMORY)
        lift_store(l, lift_place(l, o, 2, ACCESS_WRITE), 2, t);
    else
        lift_op(l, IR_MOV, o->width, o->reg, t, IR_NONE);
    return true;
}

/* Gives operand 0's value to a helper: LLDT, LTR, LMSW, VERR, WRFSBASE ... */
bool lift_value_helper(struct lift *l, int helper)
{
    ir_operand value = lift_read(l, 0);

    lift_help(l, (enum helper_id)helper, IR_NONE, value, IR_NONE, IR_NONE, lift_operand(l, 0)->width);
    return true;
}

/* LLDT, LTR, LMSW: CPL counts before the operand is read. */
bool lift_privileged_value(struct lift *l, int helper)
{
    if (!(l->mode & MODE_PROTECTED) || l->mode & MODE_CPL0)
        return lift_value_helper(l, helper);
    lift_help_end(l, HELP_raise_error, IR_NONE, IR_NONE, EXCEPTION_GP);
    return true;
}

/* LAR, LSL: the helper sets ZF and returns the value to load, or the old one. */
bool lift_lar(struct lift *l, int helper)
{
    const struct operand *d = lift_operand(l, 0), *s = lift_operand(l, 1);
    ir_operand t = lift_temp(l), value;

    value = s->kind == OPERAND_MEMORY ? lift_load(l, lift_place(l, s, 2, ACCESS_READ), 2) : s->reg;
    lift_help(l, (enum helper_id)helper, t, value, d->reg, IR_NONE, d->width);
    lift_op(l, IR_MOV, d->width == 2 ? 2 : 8, d->reg, t, IR_NONE); /* t is the old register, whole, if ZF is clear */
    return true;
}

/* LDS, LES, LFS, LGS, LSS: arg is the segment. */
bool lift_load_far(struct lift *l, int segment)
{
    const struct operand *d = lift_operand(l, 0);
    struct place p = lift_place(l, lift_operand(l, 1), l->i->operand_size + 2u, ACCESS_READ);
    ir_operand address = lift_temp(l), t = lift_temp(l);

    lift_op(l, IR_LEA, 8, address, p.a, IR_NONE)->imm = p.imm;
    lift_help(l, HELP_load_far, t, address, IR_NONE, IR_NONE, segment | l->i->operand_size << 8 | (p.stack ? 0x10000 : 0));
    lift_op(l, IR_MOV, d->width, d->reg, t, IR_NONE);
    lift_end(l);
    return true;
}

/* IN (arg 0), OUT (arg 1): the port is DX or an immediate. */
bool lift_io(struct lift *l, int out)
{
    const struct operand *port = lift_operand(l, out ? 0 : 1), *value = lift_operand(l, out ? 1 : 0);
    ir_operand p = lift_temp(l), t = lift_temp(l);

    if (port->kind == OPERAND_IMMEDIATE)
        p = lift_const(l, port->immediate & 0xff);
    else
        lift_op(l, IR_ZEXT, 2, p, RDX, IR_NONE);
    if (out) {
        lift_help(l, HELP_out, IR_NONE, p, RAX, IR_NONE, value->width);
        return true;
    }
    lift_help(l, HELP_in, t, p, IR_NONE, IR_NONE, value->width);
    lift_op(l, IR_MOV, value->width, RAX, t, IR_NONE);
    return true;
}

/* BOUND, ARPL, INVPCID, RDMSR-like odd ones with two operands: the address or value, and a register. */
bool lift_bound(struct lift *l, int arg)
{
    unsigned width = l->i->operand_size;
    struct place p = lift_place(l, lift_operand(l, 1), width * 2, ACCESS_READ);
    ir_operand lower = lift_load(l, p, width), upper;
    struct place second = p;

    (void)arg;
    if (p.imm || !(l->mode & MODE_CODE64)) {
        ir_operand t = lift_temp(l);

        lift_op(l, IR_LEA, 4, t, p.a, IR_NONE)->imm = p.imm + width;
        second = (struct place){ .a = t, .stack = p.stack };
    }
    upper = lift_load(l, second, width);
    lift_help(l, HELP_bound, IR_NONE, lift_operand(l, 0)->reg, lower, upper, width);
    return true;
}

bool lift_arpl(struct lift *l, int arg)
{
    const struct operand *o = lift_operand(l, 0);
    ir_operand t = lift_temp(l), source = lift_operand(l, 1)->reg;

    (void)arg;
    if (o->kind == OPERAND_MEMORY) {
        struct place p = lift_place(l, o, 2, ACCESS_READ);

        lift_op(l, IR_LEA, 8, t, p.a, IR_NONE)->imm = p.imm;
        lift_help(l, HELP_arpl_memory, IR_NONE, t, source, IR_NONE, o->segment | (p.stack ? 0x100 : 0));
    } else {
        lift_help(l, HELP_arpl, t, o->reg, source, IR_NONE, 0);
        lift_op(l, IR_MOV, 2, o->reg, t, IR_NONE);
    }
    return true;
}

bool lift_invpcid(struct lift *l, int arg)
{
    struct place p = lift_place(l, lift_operand(l, 1), 16, ACCESS_READ);
    ir_operand t = lift_temp(l);

    (void)arg;
    lift_op(l, IR_LEA, 8, t, p.a, IR_NONE)->imm = p.imm;
    lift_help(l, HELP_invpcid, IR_NONE, t, lift_operand(l, 0)->reg, IR_NONE, p.stack);
    return true;
}
