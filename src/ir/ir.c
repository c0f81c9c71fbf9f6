/* ir.c - building, checking and printing blocks of IR. */
#include "ir/ir.h"

#include <assert.h>
#include <inttypes.h>

const char *const ir_names[IR_OPCODES] = {
#define IR(id, name, faults, ends) [IR_##id] = name,
#include "ir/ops.def"
#undef IR
};

const bool ir_faults[IR_OPCODES] = {
#define IR(id, name, faults, ends) [IR_##id] = faults,
#include "ir/ops.def"
#undef IR
};

const bool ir_ends[IR_OPCODES] = {
#define IR(id, name, faults, ends) [IR_##id] = ends,
#include "ir/ops.def"
#undef IR
};

struct ir_op *ir_emit(struct ir_block *b, enum ir_opcode op, unsigned width, ir_operand d, ir_operand a, ir_operand rhs)
{
    struct ir_op *o;

    assert(b->ops < IR_OPS);
    o = &b->op[b->ops++];
    *o = (struct ir_op){
        .op = (uint8_t)op, .width = (uint8_t)width, .d = d, .a = a, .b = rhs, .c = IR_NONE,
        .insn = (uint16_t)(b->insns - 1),
    };
    return o;
}

ir_operand ir_const(struct ir_block *b, uint64_t value)
{
    for (unsigned i = 0; i < b->consts; i++)
        if (b->konst[i] == value)
            return (ir_operand)(IR_CONST + i);
    assert(b->consts < IR_CONSTS);
    b->konst[b->consts] = value;
    return (ir_operand)(IR_CONST + b->consts++);
}

static bool ir_can_fault(const struct ir_op *o) { return ir_faults[o->op] && !o->proven; }

static bool ir_leaves(const struct ir_op *o)
{
    return ir_ends[o->op] || o->op == IR_JCC || o->op == IR_JZ || o->op == IR_JNZ;
}

/* An exception or a block's end shows the flags to the guest, so they must be there. */
void ir_optimise(struct ir_block *b)
{
    bool wanted = true;

    for (unsigned i = b->ops; i-- > 0;) {
        struct ir_op *o = &b->op[i];

        if (ir_can_fault(o) || ir_leaves(o))
            wanted = true;
        if (o->fx == FX_SET) {
            o->live = wanted;
            wanted = false;
        } else if (o->fx == FX_PART) {
            o->live = true;
            wanted = true;
        } else if (o->fx == FX_USE) {
            wanted = true;
        }
    }
}

const char *ir_verify(const struct ir_block *b)
{
    bool committed = false;

    for (unsigned i = 0; i < b->ops; i++) {
        const struct ir_op *o = &b->op[i];

        if (i == 0 || o->insn != b->op[i - 1].insn)
            committed = false;
        if (ir_can_fault(o) && committed)
            return "a faulting operation follows a write of architectural state";
        if (o->d < GPRS || o->fx == FX_SET || o->fx == FX_PART || o->op == IR_MOVX || o->op == IR_ZEROX ||
            o->op == IR_SETDF || o->op == IR_SETCF)
            committed = true;
    }
    return NULL;
}

static void ir_print_operand(const struct ir_block *b, ir_operand x, FILE *out)
{
    if (x == IR_NONE)
        return;
    if (x >= IR_CONST)
        fprintf(out, " #%" PRIx64, b->konst[x - IR_CONST]);
    else if (x < GPRS)
        fprintf(out, " %s", cpu_gpr_names[x]);
    else
        fprintf(out, " t%u", x - GPRS);
}

void ir_print(const struct ir_block *b, FILE *out)
{
    for (unsigned i = 0; i < b->ops; i++) {
        const struct ir_op *o = &b->op[i];

        if (i == 0 || o->insn != b->op[i - 1].insn)
            fprintf(out, "%016" PRIx64 ":\n", b->insn[o->insn].rip);
        fprintf(out, "    %s.%u%s", ir_names[o->op], o->width * 8u, o->fx == FX_SET && !o->live ? "" : o->fx ? "f" : "");
        ir_print_operand(b, o->d, out);
        fputs(o->d != IR_NONE ? " =" : "", out);
        ir_print_operand(b, o->a, out);
        ir_print_operand(b, o->b, out);
        ir_print_operand(b, o->c, out);
        if (o->op == IR_SETCC || o->op == IR_CMOV || o->op == IR_SEL || o->op == IR_JCC || o->op == IR_ATOMIC)
            fprintf(out, " cc%u", o->cc);
        if (o->aux)
            fprintf(out, " aux=%u", o->aux);
        if (o->imm)
            fprintf(out, " imm=%" PRIx64, (uint64_t)o->imm);
        fputc('\n', out);
    }
}
