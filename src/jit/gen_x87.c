/*
 * gen_x87.c - x87 instructions as themselves, on the host's x87 unit (x87.h).
 *
 * The guest's state is there or in the vcpu: the first instruction of a block that wants it there looks, and so does the
 * first one after a call of C.  From then on an instruction is its own two bytes, or its opcode with the operand where the
 * host has it.  Its address goes to the vcpu at once; which instruction was the last is noted where the block is left or C
 * called (struct x87_state).
 */
#include "jit/gen.h"

#include "x86/x87.h"

#include <string.h>

static struct host_mem in_vcpu(const struct gen *g, size_t offset) { return mem_low((char *)&g->jit->v->cpu + offset); }

/* The instruction's opcode, D8 to DF; ModRM is behind it. */
static const uint8_t *code_of(const struct gen *g)
{
    const uint8_t *code = g->ir->code[g->op->insn];

    while ((*code & 0xf8) != 0xd8)
        code++;
    return code;
}

/* -- where the state is ----------------------------------------------------------------------------------------------------- */

static void enter(struct gen *g)
{
    struct gen_stub *s;

    if (g->x87.inside)
        return;
    gen_flags_lost(g);
    emit_alu_mi(g->e, A_CMP, 1, mem_low(&g->jit->x87_inside), 0);
    s = gen_stub(g, STUB_X87, g->op);
    s->from[0] = emit_jcc(g->e, CC_Z);
    s->back = emit_address(g->e);
    g->x87.inside = true;
    g->x87.outside = false;
}

void gen_x87_save(struct gen *g, const struct x87_state *s)
{
    struct x87_note *note = &g->jit->x87_note;

    if (!s->note.due)
        return;
    emit_store_imm(g->e, 4, mem_low(&note->ip), (int32_t)s->note.ip);
    emit_store_imm(g->e, 4, mem_low((char *)&note->ip + 4), (int32_t)(s->note.ip >> 32));
    emit_store_imm(g->e, 2, mem_low(&note->opcode), s->note.opcode);
    emit_store_imm(g->e, 1, mem_low(&note->due), true);
    if (s->note.segment)
        emit_store_imm(g->e, 1, mem_low(&note->segment), s->note.segment);
}

void gen_x87_restore(struct gen *g, const struct x87_state *s)
{
    if (s->inside)
        emit_call_to(g->e, g->jit->stub_x87_in);
}

void gen_x87_drop(struct gen *g)
{
    gen_x87_save(g, &g->x87);
    g->x87 = (struct x87_state){ .outside = true };
}

/* MMX: the operation works on the registers where the vcpu has them.  The stub looks, and keeps flags. */
static void leave(struct gen *g)
{
    if (g->x87.outside)
        return;
    gen_vector_drop(g);
    gen_x87_drop(g);
    emit_call_to(g->e, g->jit->stub_x87_leave);
}

/* -- operands in memory ------------------------------------------------------------------------------------------------------ */

static void emit_operation(struct gen *g, struct host_mem m)
{
    const uint8_t *code = code_of(g);

    emit_rm(g->e, code[0], 4, code[1] >> 3 & 7, m);
}

void gen_x87_again(struct gen *g) { emit_operation(g, mem_low(&g->jit->x87_operand)); }

static uint16_t opcode_of(const struct gen *g)
{
    const uint8_t *code = code_of(g);

    return (uint16_t)((code[0] & 7) << 8 | code[1]);
}

/* The instruction is done. */
static void note(struct gen *g)
{
    g->x87.note.due = true;
    g->x87.note.ip = g->ir->insn[g->op->insn].rip;
    g->x87.note.opcode = opcode_of(g);
}

static void note_operand(struct gen *g, ir_operand offset, union x87_word w)
{
    struct host_mem dp = in_vcpu(g, offsetof(struct cpu, x87.dp));
    int32_t imm;

    g->x87.note.segment = (uint8_t)(w.segment + 1);
    if (gen_imm(g, offset, 8, &imm))
        emit_store_imm(g->e, 8, dp, imm);
    else
        emit_store(g->e, 8, dp, gen_use(g, offset));
}

/* Of up to eight bytes: what follows is a helper that has nothing to do but to note it. */
static void make_load(struct gen *g)
{
    struct gen_stub *s;
    struct host_mem m;

    enter(g);
    m = gen_operand(g, STUB_X87_LOAD, g->op, TLB_READ, &s);
    emit_operation(g, m);
    stub_comes_back(g, s);
}

/* A store, or ten bytes.  Where that is not plain memory, all of it is C. */
static void make_access(struct gen *g)
{
    const struct ir_op *o = g->op;
    union x87_word w = { .imm = o->aux };
    struct gen_stub *s;
    struct host_mem m;

    enter(g);
    m = o->op == IR_ST ? gen_operand(g, STUB_X87_ACCESS, o, TLB_WRITE, &s) : gen_wide_operand(g, STUB_X87_ACCESS, &s);
    emit_operation(g, m);
    g->locked = 0;
    note_operand(g, o->b, w);
    stub_comes_back(g, s);
    note(g);
    w.opcode = opcode_of(g) & 0x7ff;
    if (s)
        s->site->imm = w.imm;
}

/* -- registers ------------------------------------------------------------------------------------------------------------------ */

static void make_operation(struct gen *g)
{
    const struct ir_op *o = g->op;
    const uint8_t *code = code_of(g);
    union x87_word w = { .imm = o->imm };

    if (w.memory) {
        note_operand(g, o->b, w);
        note(g);
        return;
    }
    enter(g);
    if (o->fx == FX_USE)
        gen_flags_to_host(g);
    emit_byte(g->e, code[0]);
    emit_byte(g->e, code[1]);
    note(g);
    if (o->fx != FX_SET)
        return;
    gen_flags_lost(g);
    if (o->live)
        gen_flags_made(g);
}

/* FNSTSW, FNSTCW. */
static void make_get(struct gen *g)
{
    bool control = x87_is_fnstcw(g->op);

    if (!control)
        enter(g);
    gen_take(g, H_RAX);
    if (control) {
        emit_load(g->e, 2, H_RAX, in_vcpu(g, offsetof(struct cpu, x87.control)));
    } else {
        emit_byte(g->e, 0xdf);
        emit_byte(g->e, 0xe0);
        emit_zext(g->e, 2, H_RAX, H_RAX);
    }
    gen_give(g, g->op->d, H_RAX);
}

/* FLDCW, as help_x87.c has it; C does what leaves an exception unmasked. */
static void make_control(struct gen *g)
{
    struct host_mem control = in_vcpu(g, offsetof(struct cpu, x87.control));
    enum host value = gen_use(g, g->op->a), x;
    struct gen_stub *s;

    enter(g);
    gen_settle_sp(g);
    gen_flags_lost(g);
    x = gen_scratch(g);
    emit_zext(g->e, 4, x, value);
    emit_group3(g->e, G3_NOT, 4, x);
    emit_test_ri(g->e, 4, x, X87_MASKS);
    s = gen_stub(g, STUB_HELPER, g->op);
    s->site = gen_site_of_helper(g, g->op);
    s->from[0] = emit_jcc(g->e, CC_NZ);
    s->address.mem.base = (uint8_t)value;
    memcpy(s->owner, g->owner, sizeof(s->owner));
    emit_group3(g->e, G3_NOT, 4, x);
    emit_alu_ri(g->e, A_AND, 4, x, 0x1f7f);
    emit_alu_ri(g->e, A_OR, 4, x, 0x40);
    emit_store(g->e, 2, control, x);
    emit_rm(g->e, 0xd9, 4, 5, control);
    stub_comes_back(g, s);
}

bool gen_x87(struct gen *g)
{
    const struct ir_op *o = g->op;

    if (x87_in_vcpu(o))
        leave(g);
    if (!o->x87)
        return false;
    if (o->op == IR_LD) {
        make_load(g);
    } else if (o->op != IR_HELPER) {
        make_access(g);
    } else if (o->aux == HELP_x87) {
        make_operation(g);
    } else if (o->aux == HELP_vec_get) {
        make_get(g);
    } else if (o->aux == HELP_fldcw) {
        make_control(g);
    } else {
        enter(g);
        emit_byte(g->e, 0xdb);
        emit_byte(g->e, 0xe2); /* FNCLEX */
    }
    return true;
}
