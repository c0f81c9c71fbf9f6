/*
 * lift_x87.c - x87 control, FXSAVE and XSAVE families, MXCSR: addresses for helpers (help_x87.c, help_save.c).
 *
 * x87 arithmetic, loads and stores are not implemented (src/unimp.def).
 */
#include "x86/insns.h"

#include "types.h"

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

bool lift_fnstsw(struct lift *l, int arg)
{
    ir_operand t = lift_temp(l);

    if (lift_is_memory(l, 0))
        return lift_save(l, arg);
    lift_help(l, HELP_vec_get, t, IR_NONE, IR_NONE, IR_NONE, vec_state(offsetof(struct cpu, x87.status), 2));
    lift_op(l, IR_MOV, 2, RAX, t, IR_NONE);
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
