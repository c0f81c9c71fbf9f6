/*
 * lift_mov.c - moves, the stack, strings, and stores that are more than a store.
 */
#include "x86/insns.h"

#include "types.h"
#include "x86/vop.h"

bool lift_mov(struct lift *l, int arg)
{
    const struct operand *d = lift_operand(l, 0), *s = lift_operand(l, 1);

    (void)arg;
    if (d->class == REG_SEGMENT || s->class == REG_SEGMENT) {
        ir_operand t;

        if (d->class == REG_SEGMENT) {
            lift_help(l, HELP_load_segment, IR_NONE, lift_read(l, 1), IR_NONE, IR_NONE, d->reg);
            lift_end(l);
            return d->reg != SEG_CS;
        }
        t = lift_temp(l);
        lift_help(l, HELP_read_selector, t, IR_NONE, IR_NONE, IR_NONE, s->reg);
        lift_write(l, 0, t);
        return true;
    }
    if (d->class == REG_CONTROL || d->class == REG_DEBUG) {
        lift_help(l, d->class == REG_CONTROL ? HELP_write_control : HELP_write_debug, IR_NONE, lift_read(l, 1), IR_NONE,
                  IR_NONE, d->reg);
        return true;
    }
    if (s->class == REG_CONTROL || s->class == REG_DEBUG) {
        ir_operand t = lift_temp(l);

        lift_help(l, s->class == REG_CONTROL ? HELP_read_control : HELP_read_debug, t, IR_NONE, IR_NONE, IR_NONE, s->reg);
        lift_op(l, IR_MOV, l->mode & MODE_CODE64 ? 8 : 4, d->reg, t, IR_NONE);
        return true;
    }
    lift_write(l, 0, lift_read(l, 1));
    return true;
}

bool lift_movzx(struct lift *l, int arg)
{
    const struct operand *d = lift_operand(l, 0);
    ir_operand t = lift_temp(l);

    (void)arg;
    lift_op(l, IR_ZEXT, lift_operand(l, 1)->width, t, lift_read(l, 1), IR_NONE);
    lift_write_register(l, d, t);
    return true;
}

bool lift_movsx(struct lift *l, int arg)
{
    const struct operand *d = lift_operand(l, 0);

    (void)arg;
    lift_op(l, IR_SEXT, lift_operand(l, 1)->width, d->reg, lift_read(l, 1), IR_NONE)->aux = d->width;
    return true;
}

bool lift_movbe(struct lift *l, int arg)
{
    unsigned width = lift_operand(l, 0)->width;
    ir_operand t = lift_temp(l);

    (void)arg;
    lift_op(l, IR_MOV, 8, t, lift_read(l, 1), IR_NONE);
    lift_op(l, IR_BSWAP, width, t, t, IR_NONE);
    lift_write(l, 0, t);
    return true;
}

bool lift_lea(struct lift *l, int arg)
{
    const struct operand *d = lift_operand(l, 0);

    (void)arg;
    lift_op(l, IR_MOV, d->width, d->reg, lift_effective(l, lift_operand(l, 1)), IR_NONE);
    return true;
}

bool lift_xlat(struct lift *l, int arg)
{
    ir_operand index = lift_temp(l), offset = lift_temp(l);

    (void)arg;
    lift_op(l, IR_ZEXT, 1, index, RAX, IR_NONE);
    lift_op(l, IR_LEA, l->i->address_size, offset, RBX, index);
    lift_op(l, IR_MOV, 1, RAX, lift_load(l, lift_linear(l, l->i->segment, offset, 1, ACCESS_READ), 1), IR_NONE);
    return true;
}

/* -- stack ------------------------------------------------------------------------------------------------------- */

/* The width of a PUSH or POP: the operand size, except that 64-bit mode has no 32-bit form. */
static unsigned lift_stack_operand(const struct lift *l)
{
    unsigned size = l->i->operand_size;

    return l->mode & MODE_CODE64 && size != 2 ? 8 : size;
}

bool lift_push_insn(struct lift *l, int arg)
{
    const struct operand *o = lift_operand(l, 0);
    unsigned width = lift_stack_operand(l);
    ir_operand t;

    (void)arg;
    if (o->class == REG_SEGMENT && o->kind == OPERAND_REGISTER) {
        t = lift_temp(l);
        lift_help(l, HELP_read_selector, t, IR_NONE, IR_NONE, IR_NONE, o->reg);
        /* SDM 2 PUSH: a 32-bit push of a selector writes 16 bits on current processors. */
        if (width == 4) {
            lift_help(l, HELP_push_selector, IR_NONE, t, IR_NONE, IR_NONE, 0);
            return true;
        }
    } else {
        t = lift_read(l, 0);
    }
    lift_push(l, width, t);
    return true;
}

bool lift_pop_insn(struct lift *l, int arg)
{
    const struct operand *o = lift_operand(l, 0);
    unsigned width = lift_stack_operand(l);
    ir_operand t;
    struct operand moved;

    (void)arg;
    if (o->kind == OPERAND_REGISTER && o->class == REG_SEGMENT) {
        lift_help(l, HELP_pop_segment, IR_NONE, IR_NONE, IR_NONE, IR_NONE, o->reg | width << 8);
        lift_end(l);
        return true;
    }
    if (o->kind == OPERAND_MEMORY) { /* an address through RSP is computed after the increment */
        moved = *o;
        if (moved.has_base && moved.base == RSP)
            moved.displacement += width;
        t = lift_top(l, width);
        lift_store(l, lift_place(l, &moved, width, ACCESS_WRITE), width, t);
        lift_drop(l, width);
        return true;
    }
    t = lift_top(l, width);
    lift_drop(l, width);
    lift_op(l, IR_MOV, width, o->reg, t, IR_NONE);
    return true;
}

/* PUSHA, POPA, ENTER: several words, all probed first. */
bool lift_stack_helper(struct lift *l, int helper)
{
    int64_t imm = l->i->operand_size;

    if (helper == HELP_enter) {
        imm = lift_stack_operand(l);
        imm |= (int64_t)(lift_operand(l, 0)->immediate & 0xffff) << 8 | (int64_t)(lift_operand(l, 1)->immediate & 31) << 24;
    }
    lift_help(l, (enum helper_id)helper, IR_NONE, IR_NONE, IR_NONE, IR_NONE, imm);
    return true;
}

bool lift_leave(struct lift *l, int arg)
{
    unsigned width = lift_stack_operand(l), stack = lift_stack_width(l);
    ir_operand frame = lift_temp(l), t, after = lift_temp(l);
    struct place top;

    (void)arg;
    lift_op(l, IR_ZEXT, stack, frame, RBP, IR_NONE);
    top = l->mode & MODE_CODE64 ? (struct place){ .a = frame, .stack = true } : lift_linear(l, SEG_SS, frame, width, ACCESS_READ);
    top.form = FORM_STACK;
    t = lift_load(l, top, width);
    lift_op(l, IR_LEA, stack, after, frame, IR_NONE)->imm = width;
    lift_op(l, IR_MOV, stack, RSP, after, IR_NONE);
    lift_op(l, IR_MOV, width, RBP, t, IR_NONE);
    return true;
}

bool lift_pushf(struct lift *l, int arg)
{
    unsigned width = lift_stack_operand(l);
    ir_operand t = lift_temp(l);

    (void)arg;
    lift_help(l, HELP_pushf, t, IR_NONE, IR_NONE, IR_NONE, width);
    lift_push(l, width, t);
    return true;
}

bool lift_popf(struct lift *l, int arg)
{
    unsigned width = lift_stack_operand(l);
    ir_operand t = lift_top(l, width);

    (void)arg;
    lift_help(l, HELP_popf, IR_NONE, t, IR_NONE, IR_NONE, width);
    lift_drop(l, width);
    lift_end(l);
    return true;
}

/* -- strings ------------------------------------------------------------------------------------------------------- */

/*
 * imm of the string helpers: element bytes, address bytes << 8, segment << 16, REP << 24, REPNE << 25.
 * A REP form is its own block end: it may stay at its own RIP for another go.
 */
static int64_t lift_string_shape(const struct lift *l, int width)
{
    return width | l->i->address_size << 8 | l->i->segment << 16 |
           (l->i->prefixes & PREFIX_REP ? 1 << 24 : 0) | (l->i->prefixes & PREFIX_REPNE ? 1 << 25 : 0);
}

/* arg: helper << 8 | element bytes */
bool lift_string(struct lift *l, int arg)
{
    enum helper_id id = (enum helper_id)(arg >> 8);
    int64_t shape = lift_string_shape(l, arg & 0xff);

    if (l->i->prefixes & (PREFIX_REP | PREFIX_REPNE)) {
        lift_help_end(l, id, IR_NONE, IR_NONE, shape);
        return true;
    }
    lift_help(l, id, IR_NONE, IR_NONE, IR_NONE, IR_NONE, shape);
    return true;
}

/* MOVSD and CMPSD are also SSE instructions: told apart by their opcodes. */
bool lift_movsd(struct lift *l, int arg)
{
    int vector;

    (void)arg;
    if (l->i->map == 0)
        return l->i->opcode == 0xa5 && lift_string(l, HELP_movs << 8 | 4);
    vector = lift_availability(l, STATE_SSE);
    return vector >= 0 ? lift_raise(l, vector) : lift_vec_scalar(l, 8);
}

bool lift_cmpsd(struct lift *l, int arg)
{
    int vector;

    (void)arg;
    if (l->i->map == 0)
        return l->i->opcode == 0xa7 && lift_string(l, HELP_cmps << 8 | 4);
    vector = lift_availability(l, STATE_SSE);
    return vector >= 0 ? lift_raise(l, vector) : lift_vop_scalar(l, VOP_compare_f64);
}

/* -- stores that are more than a store ------------------------------------------------------------------------------ */

bool lift_movnti(struct lift *l, int arg)
{
    const struct operand *o = lift_operand(l, 0);
    struct place p = lift_place(l, o, o->width, ACCESS_WRITE);
    ir_operand address = lift_temp(l);

    lift_op(l, IR_LEA, 8, address, p.a, IR_NONE)->imm = p.imm;
    lift_help(l, HELP_store_direct, IR_NONE, address, lift_read(l, 1), IR_NONE, o->width | (p.stack ? 0x100 : 0) | arg << 9);
    return true;
}

/* MOVDIR64B, ENQCMD, ENQCMDS: 64 bytes from memory to ES:[register]. */
bool lift_move_64(struct lift *l, int helper)
{
    struct place source = lift_place(l, lift_operand(l, 1), 64, ACCESS_READ);
    ir_operand from = lift_temp(l), offset = lift_temp(l);
    struct place to;

    lift_op(l, IR_LEA, 8, from, source.a, IR_NONE)->imm = source.imm;
    lift_op(l, IR_ZEXT, l->i->address_size, offset, lift_operand(l, 0)->kind == OPERAND_MEMORY ? lift_operand(l, 0)->base
                                                                                                 : lift_operand(l, 0)->reg, IR_NONE);
    to = lift_linear(l, SEG_ES, offset, 64, ACCESS_WRITE);
    lift_help(l, (enum helper_id)helper, IR_NONE, to.a, from, IR_NONE, source.stack);
    return true;
}

bool lift_clzero(struct lift *l, int arg)
{
    ir_operand offset = lift_temp(l);

    (void)arg;
    lift_op(l, IR_ZEXT, l->i->address_size, offset, RAX, IR_NONE);
    lift_help(l, HELP_clzero, IR_NONE, lift_linear(l, l->i->segment, offset, 64, ACCESS_WRITE).a, IR_NONE, IR_NONE, 0);
    return true;
}
