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

bool ir_can_fault(const struct ir_op *o) { return ir_faults[o->op] && !o->proven && o->cover != COVER_FOLLOWS; }

bool ir_leaves(const struct ir_op *o)
{
    return ir_ends[o->op] || o->op == IR_JCC || o->op == IR_JZ || o->op == IR_JNZ || o->op == IR_GUARD;
}

/* -- dead flags ------------------------------------------------------------------------------------------------------- */

bool ir_uses_carry(const struct ir_op *o)
{
    switch (o->op) {
    case IR_ADC: case IR_SBB: case IR_RCL: case IR_RCR: case IR_ADCX: case IR_ADOX: return true;
    case IR_SETCF: return o->imm == 2;
    default: return false;
    }
}

/* Is `at` an instruction's last operation, and did the instruction do what an interrupt may follow? */
static bool ir_boundary_shows(const struct ir_block *b, unsigned at)
{
    if (at + 1 < b->ops && b->op[at + 1].insn == b->op[at].insn)
        return false;
    for (unsigned i = b->insn[b->op[at].insn].first; i <= at; i++)
        switch (b->op[i].cover ? IR_MOV : b->op[i].op) {
        case IR_HELPER:
            if (ir_calls(&b->op[i]))
                return true;
            break;
        case IR_LD: case IR_LDW: case IR_ST: case IR_ATOMIC: case IR_LDX: case IR_STX: return true;
        default: break;
        }
    return false;
}

/*
 * An exception, an interrupt after a device was touched, or a block's end shows the flags to the guest, so they must
 * be there.  What writes only some of them (FX_PART) is not needed either where nobody wants any.
 */
void ir_mark_live_flags(struct ir_block *b)
{
    bool wanted = true;

    for (unsigned i = b->ops; i-- > 0;) {
        struct ir_op *o = &b->op[i];

        if (ir_can_fault(o) || ir_leaves(o) || ir_boundary_shows(b, i))
            wanted = true;
        if (o->fx == FX_SET) {
            o->live = wanted;
            wanted = false;
        } else if (o->fx == FX_PART) {
            o->live = wanted;
            wanted |= ir_uses_carry(o);
        } else if (o->fx == FX_USE) {
            wanted = true;
        }
    }
}

/* -- copies ----------------------------------------------------------------------------------------------------------- */

/* Also what is not among the operands: a partial write keeps the rest of d, so it reads it. */
bool ir_reads(const struct ir_op *o, ir_operand x)
{
    if (o->a == x || o->b == x || o->c == x)
        return true;
    if (o->state)
        return x < GPRS;
    if (o->op == IR_DIV || o->op == IR_IDIV)
        return x == RAX || x == RDX;
    return o->d == x && o->op != IR_LD && o->op != IR_LDW && o->op != IR_LEA && o->op != IR_ZEXT && o->op != IR_GETHI;
}

bool ir_writes(const struct ir_op *o, ir_operand x)
{
    if (o->d == x)
        return true;
    if (o->state)
        return x < GPRS;
    if (o->op == IR_DIV || o->op == IR_IDIV)
        return x == RAX || x == RDX;
    return (o->op == IR_MUL || o->op == IR_IMUL) && o->width > 1 && o->aux == x;
}

static unsigned ir_insn_end(const struct ir_block *b, unsigned insn)
{
    return insn + 1 < b->insns ? b->insn[insn + 1].first : b->ops;
}

static bool ir_is_register(ir_operand x) { return x < GPRS || x == IR_NONE; }

static bool ir_takes_address(const struct ir_op *o, ir_operand t)
{
    return (o->op == IR_LD || o->op == IR_LDW || o->op == IR_ST || o->op == IR_LDX || o->op == IR_STX) && o->a == t && o->b != t;
}

bool ir_folds_address(const struct ir_block *b, unsigned at)
{
    const struct ir_op *o = &b->op[at];
    unsigned last = ir_insn_end(b, o->insn);

    if (o->d < GPRS || o->d >= SLOTS || o->width < 4 || !ir_is_register(o->a) || !ir_is_register(o->b) || o->imm != (int32_t)o->imm)
        return false;
    while (--last > at && !ir_reads(&b->op[last], o->d) && !ir_writes(&b->op[last], o->d))
        continue;
    for (unsigned i = at + 1; i <= last; i++) {
        const struct ir_op *u = &b->op[i];

        if (ir_writes(u, o->d) || (ir_reads(u, o->d) && !ir_takes_address(u, o->d)))
            return false;
        if (i < last && ((o->a < GPRS && ir_writes(u, o->a)) || (o->b < GPRS && ir_writes(u, o->b))))
            return false;
    }
    return true;
}

/* Does `o` hand on unchanged what `from` produced?  Loads, LEA, ZEXT and GETHI fill all 64 bits, zero beyond their width. */
static bool ir_is_copy(const struct ir_op *o, const struct ir_op *from)
{
    if (from->op != IR_LD && from->op != IR_LEA && from->op != IR_ZEXT && from->op != IR_GETHI)
        return false;
    if (o->op == IR_MOV)
        return o->width == 8 || (o->width == 4 && (from->width <= 4 || from->op == IR_LEA));
    return o->op == IR_ZEXT && from->width <= o->width;
}

/* The operation of the same instruction that made `o`'s source, if its result may go to o->d directly. */
static struct ir_op *ir_copy_source(struct ir_block *b, unsigned at, unsigned end)
{
    struct ir_op *o = &b->op[at];
    unsigned i;

    for (i = at + 1; i < end; i++)
        if (ir_reads(&b->op[i], o->a) || ir_writes(&b->op[i], o->a))
            return NULL;
    for (i = at; i-- > b->insn[o->insn].first;) {
        struct ir_op *from = &b->op[i];

        if (from->op == IR_OPCODES)
            continue;
        if (from->d == o->a)
            return ir_is_copy(o, from) ? from : NULL;
        if (ir_can_fault(from) || ir_leaves(from) || ir_reads(from, o->a) || ir_reads(from, o->d) || ir_writes(from, o->d))
            return NULL;
    }
    return NULL;
}

/* Removes the operations marked with opcode IR_OPCODES. */
static void ir_compact(struct ir_block *b)
{
    unsigned to = 0, insn = 0;

    for (unsigned i = 0; i < b->ops; i++) {
        while (insn < b->insns && b->insn[insn].first == i)
            b->insn[insn++].first = (uint16_t)to;
        if (b->op[i].op != IR_OPCODES)
            b->op[to++] = b->op[i];
    }
    while (insn < b->insns)
        b->insn[insn++].first = (uint16_t)to;
    b->ops = to;
}

/* Results go where a copy would have taken them; nothing else reads the temporary. */
static void ir_forward_copies(struct ir_block *b)
{
    for (unsigned i = 0; i < b->ops; i++) {
        struct ir_op *o = &b->op[i], *from;

        if ((o->op != IR_MOV && o->op != IR_ZEXT) || o->a < GPRS || o->a >= SLOTS || o->d == IR_NONE)
            continue;
        from = ir_copy_source(b, i, ir_insn_end(b, o->insn));
        if (!from)
            continue;
        from->d = o->d;
        if (o->op == IR_MOV && from->op == IR_LEA && o->width < from->width)
            from->width = o->width; /* the low half of a sum is the sum of the low halves */
        o->op = IR_OPCODES;
        o->d = o->a = IR_NONE;
    }
    ir_compact(b);
}

void ir_truncate(struct ir_block *b, unsigned insns)
{
    uint64_t rip = b->insn[insns].rip;

    b->ops = b->insn[insns].first;
    b->insns = insns;
    ir_emit(b, IR_JMP, 8, IR_NONE, IR_NONE, IR_NONE)->imm = (int64_t)rip;
    ir_mark_live_flags(b);
}

void ir_optimise(struct ir_block *b)
{
    ir_forward_copies(b);
    ir_mark_live_flags(b);
}

/* -- checking and printing ---------------------------------------------------------------------------------------------- */

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
