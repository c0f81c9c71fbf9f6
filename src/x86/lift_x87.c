/*
 * lift_x87.c - x87 instructions, FXSAVE and XSAVE families, MXCSR: operands and addresses for helpers (help_x87*.c,
 * help_save.c).
 */
#include "x86/insns.h"

#include "types.h"
#include "x86/x87.h"

/* -- x87 computation ------------------------------------------------------------------------------------------------------------- */

static enum x87_format x87_format(const struct operand *o, bool integer)
{
    switch (o->width) {
    case 2: return X87_INT16;
    case 4: return integer ? X87_INT32 : X87_SINGLE;
    case 8: return integer ? X87_INT64 : X87_DOUBLE;
    default: return integer ? X87_BCD : X87_EXTENDED;
    }
}

/* The row's word, and the registers that the encoding names: one is the source, of two the first is the destination. */
static union x87_word x87_word(const struct lift *l, int arg)
{
    const struct insn *i = l->i;
    union x87_word w = { .op = (uint64_t)arg & 0x3f, .pops = (uint64_t)arg >> 9 & 3, .from = (uint64_t)arg >> 12 & 7,
                         .to = (uint64_t)arg >> 15 & 7,
                         .truncate = (arg & X87_TRUNCATE) != 0, .cc = (uint64_t)arg >> 24 & 15,
                         .opcode = (i->opcode & 7u) << 8 | i->modrm_mod << 6 | i->modrm_reg << 3 | i->modrm_rm };

    if (lift_is_memory(l, 0)) {
        w.memory = 1;
        w.format = x87_format(&i->op[0], arg & X87_INTEGER);
        w.segment = i->op[0].segment;
    } else if (i->operands == 2) {
        w.to = i->op[0].reg;
        w.from = i->op[1].reg;
    } else if (i->operands == 1) {
        w.from = i->op[0].reg;
    }
    return w;
}

/*
 * FWAIT, and the beginning of every waiting instruction, MMX's among them: an exception that is pending comes before
 * whatever a memory operand has to say.  None can be while all are masked.
 */
bool lift_x87_wait(struct lift *l, int arg)
{
    (void)arg;
    if (l->mode & MODE_X87_TRAPS)
        lift_help(l, HELP_x87_wait, IR_NONE, IR_NONE, IR_NONE, IR_NONE, 0);
    return true;
}

/* The helper makes the access itself. */
static bool x87_access(struct lift *l, enum helper_id id, union x87_word w, unsigned intent)
{
    const struct operand *o = lift_operand(l, 0);
    struct place p;

    lift_x87_wait(l, 0);
    p = lift_place(l, o, o->width, intent);
    if (p.imm) {
        ir_operand linear = lift_temp(l);

        lift_op(l, IR_LEA, 8, linear, p.a, IR_NONE)->imm = p.imm;
        p.a = linear;
    }
    lift_help(l, id, IR_NONE, p.a, lift_effective(l, o), IR_NONE, w.imm);
    return true;
}

/* arg: enum x87_op and what is beside it (x87.h) */
bool lift_x87(struct lift *l, int arg)
{
    const struct operand *o = lift_operand(l, 0);
    union x87_word w = x87_word(l, arg);
    ir_operand value = IR_NONE, offset = IR_NONE;
    struct ir_op *help;
    struct place p;

    if (w.memory && o->width > 8)
        return x87_access(l, HELP_x87_load, w, ACCESS_READ);
    if (w.memory) {
        lift_x87_wait(l, 0);
        offset = lift_effective(l, o);
        p = lift_place(l, o, o->width, ACCESS_READ);
        p.form = FORM_X87;
        value = lift_load(l, p, o->width);
    }
    help = lift_help(l, HELP_x87, IR_NONE, value, offset, IR_NONE, w.imm);
    if (w.op != X87_move_if && w.op != X87_compare_flags && w.op != X87_compare_flags_quiet)
        help->fx = FX_NONE;
    return true;
}

/* To memory, or to ST(i). */
bool lift_x87_store(struct lift *l, int arg)
{
    if (!lift_is_memory(l, 0))
        return lift_x87(l, arg | X87_store_register);
    return x87_access(l, HELP_x87_store, x87_word(l, arg), ACCESS_WRITE);
}

/* -- state ------------------------------------------------------------------------------------------------------------------------ */

/*
 * A helper on the linear address of operand 0.  arg: the helper, and from bit 16 the intent.
 * Its imm: operand size, 0x100 stack segment, 0x200 REX.W, 0x400 64-bit mode.
 */
bool lift_save(struct lift *l, int arg)
{
    const struct operand *o = lift_operand(l, 0);
    struct place p = lift_place(l, o, o->width, (unsigned)arg >> 16);
    ir_operand t = lift_temp(l);

    lift_op(l, IR_LEA, 8, t, p.a, IR_NONE)->imm = p.imm;
    lift_help(l, (enum helper_id)(arg & 0xffff), IR_NONE, t, IR_NONE, IR_NONE,
              l->i->operand_size | (p.stack ? 0x100 : 0) | (l->i->prefixes & PREFIX_REX_W ? 0x200 : 0) |
                  (l->mode & MODE_CODE64 ? 0x400 : 0));
    return true;
}

/* FNSTSW and FNSTCW, which wait for nothing.  arg: the word's offset in struct cpu. */
bool lift_x87_store_word(struct lift *l, int arg)
{
    ir_operand t = lift_temp(l);
    struct place p;

    lift_help(l, HELP_vec_get, t, IR_NONE, IR_NONE, IR_NONE, vec_state((uint32_t)arg, 2));
    if (!lift_is_memory(l, 0)) {
        lift_op(l, IR_MOV, 2, RAX, t, IR_NONE);
        return true;
    }
    p = lift_place(l, lift_operand(l, 0), 2, ACCESS_WRITE);
    p.form = FORM_X87;
    lift_store(l, p, 2, t);
    return true;
}

bool lift_fldcw(struct lift *l, int arg)
{
    struct place p;

    lift_x87_wait(l, arg);
    p = lift_place(l, lift_operand(l, 0), 2, ACCESS_READ);
    p.form = FORM_X87;
    lift_help(l, HELP_fldcw, IR_NONE, lift_load(l, p, 2), IR_NONE, IR_NONE, 0);
    return true;
}

bool lift_ldmxcsr(struct lift *l, int arg)
{
    (void)arg;
    lift_help(l, HELP_ldmxcsr, IR_NONE, lift_read(l, 0), IR_NONE, IR_NONE, 0);
    return true;
}

bool lift_stmxcsr(struct lift *l, int arg)
{
    ir_operand t = lift_temp(l);

    (void)arg;
    lift_help(l, HELP_vec_get, t, IR_NONE, IR_NONE, IR_NONE, vec_state(offsetof(struct cpu, mxcsr), 4));
    lift_write(l, 0, t);
    return true;
}
