/*
 * lift_ctl.c - control transfer.  Near branches in IR; everything that changes CS goes to help_far.c.
 */
#include "x86/insns.h"

#include "types.h"

/* RIP after a relative branch, at the width the branch has. */
static uint64_t lift_relative(const struct lift *l)
{
    unsigned width = l->mode & MODE_CODE64 ? 8 : l->i->operand_size == 2 ? 2 : 4;

    return bits_trunc(l->next + lift_operand(l, 0)->immediate, width);
}

static void lift_jump(struct lift *l, uint64_t rip)
{
    lift_op(l, IR_JMP, 8, IR_NONE, IR_NONE, IR_NONE)->imm = (int64_t)rip;
    l->ended = true;
}

static void lift_jump_register(struct lift *l, ir_operand target)
{
    lift_op(l, IR_JMPR, 8, IR_NONE, target, IR_NONE);
    l->ended = true;
}

/* An indirect target, zero-extended from the branch's width and checked.  What moves RSP comes before the jump. */
static ir_operand lift_indirect(struct lift *l, ir_operand value, unsigned width)
{
    ir_operand t = value;

    if (width < 8 || value == RSP) {
        t = lift_temp(l);
        lift_op(l, IR_ZEXT, width, t, value, IR_NONE);
    }
    lift_check_target(l, t);
    return t;
}

static unsigned lift_branch_width(const struct lift *l) { return l->mode & MODE_CODE64 ? 8 : l->i->operand_size; }

static bool lift_far_memory(struct lift *l, enum helper_id id)
{
    const struct operand *o = lift_operand(l, 0);
    unsigned offset = l->i->operand_size;
    struct place p = lift_place(l, o, offset + 2, ACCESS_READ);
    ir_operand t = lift_temp(l);

    lift_op(l, IR_LEA, 8, t, p.a, IR_NONE)->imm = p.imm;
    lift_help_end(l, id, t, IR_NONE, offset | (p.stack ? 0x100 : 0));
    return true;
}

bool lift_jmp(struct lift *l, int arg)
{
    const struct operand *o = lift_operand(l, 0);

    (void)arg;
    if (o->kind == OPERAND_FAR_POINTER) {
        lift_help_end(l, HELP_far_jump, lift_const(l, o->immediate), lift_const(l, o->selector), l->i->operand_size);
    } else if (o->kind == OPERAND_IMMEDIATE) {
        ir_operand target = lift_const(l, lift_relative(l));

        lift_check_target(l, target);
        lift_jump(l, lift_relative(l));
    } else if (o->kind == OPERAND_MEMORY && l->i->modrm_reg == 5) {
        return lift_far_memory(l, HELP_far_jump_memory);
    } else {
        lift_jump_register(l, lift_indirect(l, lift_read(l, 0), lift_branch_width(l)));
    }
    return true;
}

bool lift_call(struct lift *l, int arg)
{
    const struct operand *o = lift_operand(l, 0);
    unsigned width = lift_branch_width(l);
    ir_operand target;

    (void)arg;
    if (o->kind == OPERAND_FAR_POINTER) {
        lift_help_end(l, HELP_far_call, lift_const(l, o->immediate), lift_const(l, o->selector), l->i->operand_size);
        return true;
    }
    if (o->kind == OPERAND_MEMORY && l->i->modrm_reg == 3)
        return lift_far_memory(l, HELP_far_call_memory);
    if (o->kind == OPERAND_IMMEDIATE) {
        lift_check_target(l, lift_const(l, lift_relative(l)));
        lift_push(l, width, lift_const(l, l->next));
        lift_jump(l, lift_relative(l));
        return true;
    }
    target = lift_indirect(l, lift_read(l, 0), width);
    lift_push(l, width, lift_const(l, l->next));
    lift_jump_register(l, target);
    return true;
}

bool lift_ret(struct lift *l, int arg)
{
    unsigned width = lift_branch_width(l);
    int64_t extra = l->i->operands ? (int64_t)(lift_operand(l, 0)->immediate & 0xffff) : 0;
    ir_operand target;

    (void)arg;
    if (l->i->opcode == 0xca || l->i->opcode == 0xcb) {
        lift_help_end(l, HELP_far_return, lift_const(l, (uint64_t)extra), IR_NONE, l->i->operand_size);
        return true;
    }
    target = lift_indirect(l, lift_top(l, width), width);
    lift_drop(l, width + extra);
    lift_jump_register(l, target);
    return true;
}

bool lift_jcc(struct lift *l, int cc)
{
    lift_check_target(l, lift_const(l, lift_relative(l)));
    {
        struct ir_op *o = lift_opf(l, IR_JCC, 8, IR_NONE, IR_NONE, IR_NONE, FX_USE);

        o->cc = (uint8_t)cc;
        o->imm = (int64_t)lift_relative(l);
    }
    lift_jump(l, l->next);
    return true;
}

/* JCXZ, JECXZ, JRCXZ: arg is the counter's width. */
bool lift_jcxz(struct lift *l, int width)
{
    lift_check_target(l, lift_const(l, lift_relative(l)));
    lift_op(l, IR_JZ, (unsigned)width, IR_NONE, RCX, IR_NONE)->imm = (int64_t)lift_relative(l);
    lift_jump(l, l->next);
    return true;
}

/* LOOP (arg -1), LOOPE (CC_Z), LOOPNE (CC_NZ); the counter has the address size. */
bool lift_loop(struct lift *l, int cc)
{
    unsigned width = l->i->address_size;
    ir_operand count = lift_temp(l), go = lift_temp(l), zero = lift_const(l, 0);

    lift_check_target(l, lift_const(l, lift_relative(l)));
    lift_op(l, IR_LEA, width, count, RCX, IR_NONE)->imm = -1;
    if (cc < 0) {
        go = count;
    } else {
        lift_opf(l, IR_SEL, 8, go, count, zero, FX_USE)->cc = (uint8_t)cc;
    }
    lift_op(l, IR_MOV, width, RCX, count, IR_NONE);
    lift_op(l, IR_JNZ, width, IR_NONE, go, IR_NONE)->imm = (int64_t)lift_relative(l);
    lift_jump(l, l->next);
    return true;
}

/* INT n (arg -1), INT3, INT1, INTO. */
bool lift_int(struct lift *l, int vector)
{
    if (vector < 0)
        lift_help_end(l, HELP_interrupt, IR_NONE, IR_NONE, (int64_t)(lift_operand(l, 0)->immediate & 0xff));
    else
        lift_help_end(l, vector == EXCEPTION_OF ? HELP_into : vector == EXCEPTION_DB ? HELP_int1 : HELP_int3, IR_NONE,
                      IR_NONE, 0);
    return true;
}

bool lift_iret(struct lift *l, int bytes)
{
    lift_help_end(l, HELP_iret, IR_NONE, IR_NONE, bytes);
    return true;
}

/* UD0, UD1, UD2 and whatever is #UD by definition. */
bool lift_ud(struct lift *l, int arg)
{
    (void)arg;
    return lift_raise(l, EXCEPTION_UD);
}

/* A helper that ends the block and sets RIP: HLT, SYSCALL, SYSENTER ... */
bool lift_ctl_helper(struct lift *l, int helper)
{
    lift_help_end(l, (enum helper_id)helper, IR_NONE, IR_NONE, l->i->operand_size);
    return true;
}
