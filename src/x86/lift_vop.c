/*
 * lift_vop.c - vector computation: an instruction's operands into the word that help_vop() takes.
 *
 * A memory operand is loaded into scratch first, under the mask where the instruction has fault suppression; then one
 * helper computes, and commits all at once.
 *
 * Spec: SDM 2 2.7 (exception types), SDM 1 15.6 (masks, broadcast, rounding).
 */
#include "x86/insns.h"

#include "x86/vop.h"

struct vop_operands {
    const struct vop *op;
    union vec_word word;
    unsigned source[INSN_OPERANDS], sources; /* operands that are no immediate, after the destination */
    ir_operand general;
};

static unsigned log2_of(unsigned n) { return (unsigned)__builtin_ctz(n); }

static unsigned place_of(const struct operand *o)
{
    return o->reg + (o->class == REG_MMX ? PLACE_MMX - (o->reg & ~7u) : o->class == REG_MASK ? PLACE_MASK : PLACE_VECTOR);
}

static bool has_mmx(const struct lift *l)
{
    for (unsigned n = 0; n < l->i->operands; n++)
        if (l->i->op[n].kind == OPERAND_REGISTER && l->i->op[n].class == REG_MMX)
            return true;
    return false;
}

static unsigned vector_bytes(const struct lift *l)
{
    return l->i->op[0].class == REG_MMX ? 8 : l->i->vector_length ? l->i->vector_length : 16;
}

static bool is_scalar(const struct vop_operands *v) { return v->op->result == RESULT_SCALAR || v->word.scalar; }

/* -- memory ------------------------------------------------------------------------------------------------------------- */

/* Lanes of the result that the mask has a bit for. */
static unsigned lanes_of(const struct vop_operands *v)
{
    return is_scalar(v) ? 1 : (1u << v->word.width) / v->op->shrink / v->op->element;
}

/* Only the lanes that the mask leaves; a broadcast element if there is any. */
static void load_masked(struct lift *l, struct vop_operands *v, const struct operand *o)
{
    unsigned lanes = lanes_of(v), element = l->i->broadcast ? o->width : o->width / lanes;
    union vec_shape s = { .reg = PLACE_SCRATCH, .mask = l->i->mask, .element = log2_of(element), .memory = log2_of(o->width),
                          .width = log2_of(element * lanes), .segment = o->segment, .address_size = l->i->address_size };

    lift_help(l, HELP_vec_load, IR_NONE, lift_effective(l, o), IR_NONE, IR_NONE, s.imm);
}

static void load_whole(struct lift *l, struct vop_operands *v, const struct operand *o)
{
    struct place p = lift_place(l, o, o->width, ACCESS_READ);
    struct ir_op *load = lift_op(l, IR_LDX, o->width, IR_NONE, p.a, IR_NONE);
    bool aligned = l->i->encoding == ENCODING_LEGACY && o->width == 16 && !(v->op->flags & VOP_UNALIGNED);

    load->aux = vec_place_offset(PLACE_SCRATCH);
    load->imm = p.imm;
    load->stack = p.stack;
    load->cc = (uint8_t)((aligned ? LDX_ALIGNED : 0) | (p.stack ? LDX_STACK : 0));
    if (l->i->broadcast) {
        v->word.broadcast = 1;
        v->word.unit = log2_of(o->width);
    }
}

/* Where an operand is; memory is brought to scratch. */
static unsigned source(struct lift *l, struct vop_operands *v, unsigned n)
{
    const struct operand *o = lift_operand(l, n);

    if (o->kind == OPERAND_MEMORY) {
        if (l->i->mask && !(v->op->flags & VOP_ALL))
            load_masked(l, v, o);
        else
            load_whole(l, v, o);
        return PLACE_SCRATCH;
    }
    return place_of(o);
}

/* -- operands --------------------------------------------------------------------------------------------------------- */

static void find_sources(const struct lift *l, struct vop_operands *v)
{
    for (unsigned n = v->op->result == RESULT_FLAGS ? 0 : 1; n < l->i->operands; n++) {
        if (l->i->op[n].kind == OPERAND_IMMEDIATE)
            v->word.imm8 = (uint8_t)l->i->op[n].immediate;
        else
            v->source[v->sources++] = n;
    }
}

/*
 * Legacy forms have the destination as their first source where there are two.  Shifts by an immediate name a register
 * alone, or a destination and a source.
 */
static void place_sources(struct lift *l, struct vop_operands *v)
{
    bool unary = v->op->flags & VOP_UNARY && !v->word.scalar; /* a scalar's rest comes from a */
    unsigned n = 0, wanted = unary ? 1 : 2;
    bool xmm0 = v->op->flags & VOP_XMM0 && l->i->encoding == ENCODING_LEGACY;

    if (v->op->flags & VOP_GENERAL)
        v->word.unit = log2_of(l->i->op[v->source[v->sources - 1]].width);
    v->word.a = v->word.b = v->word.c = PLACE_NONE;
    if (v->sources < wanted && unary)
        v->word.b = v->word.d;
    else if (v->sources < wanted)
        v->word.a = v->word.d;
    else if (wanted == 2)
        v->word.a = source(l, v, v->source[n++]);
    if (n < v->sources) {
        if (v->op->flags & VOP_GENERAL)
            v->general = lift_read(l, v->source[n++]);
        else
            v->word.b = source(l, v, v->source[n++]);
    }
    if (n < v->sources)
        v->word.c = source(l, v, v->source[n]);
    else if (xmm0)
        v->word.c = PLACE_VECTOR + 0;
}

static void operate(struct lift *l, const struct vop_operands *v, ir_operand d)
{
    struct ir_op *o = lift_help(l, HELP_vop, d, v->general, IR_NONE, IR_NONE, v->word.imm);

    o->proven = !(v->op->flags & VOP_FLOAT);
    o->state = (v->op->flags & VOP_REGISTERS) != 0;
    o->fx = v->op->result == RESULT_FLAGS ? FX_USE : FX_NONE;
}

/* The result into memory: made in scratch, and stored under the mask. */
static bool store(struct lift *l, struct vop_operands *v)
{
    const struct operand *d = lift_operand(l, 0);
    union vec_shape s = { .reg = PLACE_SCRATCH, .mask = l->i->mask, .element = log2_of(v->op->element), .memory = log2_of(d->width),
                          .width = log2_of(d->width), .segment = d->segment, .address_size = l->i->address_size };
    struct place p;
    struct ir_op *o;

    if (v->op->flags & VOP_FLOAT) /* a page fault comes before a floating-point exception, and leaves MXCSR as it was */
        lift_help(l, HELP_vec_probe, IR_NONE, lift_effective(l, d), IR_NONE, IR_NONE, s.imm);
    v->word.d = PLACE_SCRATCH;
    place_sources(l, v);
    operate(l, v, IR_NONE);
    if (l->i->mask) {
        lift_help(l, HELP_vec_store, IR_NONE, lift_effective(l, d), IR_NONE, IR_NONE, s.imm);
        return true;
    }
    p = lift_place(l, d, d->width, ACCESS_WRITE);
    o = lift_op(l, IR_STX, d->width, IR_NONE, p.a, IR_NONE);
    o->aux = vec_place_offset(PLACE_SCRATCH);
    o->imm = p.imm;
    o->stack = p.stack;
    o->cc = p.stack ? LDX_STACK : 0;
    return true;
}

/*
 * word: what the operands do not say; bytes: of the vector or opmask, 0: as the operands have it; general: what the function
 * finds there, or IR_NONE
 */
static bool lift_operation(struct lift *l, int id, union vec_word word, unsigned bytes, ir_operand general)
{
    struct vop_operands v = { .op = &vops[id], .word = word, .general = general };
    const struct operand *d = lift_operand(l, 0);
    bool mmx = has_mmx(l);
    ir_operand result = IR_NONE;

    if (mmx)
        lift_x87_wait(l, 0);
    v.word.op = (uint64_t)id;
    v.word.width = log2_of(bytes ? bytes : vector_bytes(l));
    v.word.mask = l->i->mask;
    v.word.zeroing = l->i->mask_zeroing;
    v.word.rounding = l->i->rounding;
    v.word.suppress = l->i->suppress;
    v.word.keep = l->i->encoding == ENCODING_LEGACY;
    find_sources(l, &v);
    if (d->kind == OPERAND_MEMORY && v.op->result < RESULT_GENERAL)
        return store(l, &v);
    v.word.d = v.op->result >= RESULT_GENERAL ? PLACE_NONE : place_of(d);
    place_sources(l, &v);
    if (v.op->result == RESULT_GENERAL) {
        v.word.unit = log2_of(d->width);
        result = lift_temp(l);
    }
    operate(l, &v, result);
    if (v.op->result == RESULT_GENERAL)
        lift_write_register(l, d, result);
    if (mmx)
        lift_help(l, HELP_mmx_use, IR_NONE, IR_NONE, IR_NONE, IR_NONE, d->class == REG_MMX ? d->reg & 7 : 8);
    return true;
}

/* id: enum vop_id */
static bool lift_plain(struct lift *l, int id, union vec_word word) { return lift_operation(l, id, word, 0, IR_NONE); }
static bool lift_bytes(struct lift *l, int id, unsigned bytes) { return lift_operation(l, id, (union vec_word){ .imm = 0 }, bytes, IR_NONE); }

bool lift_vop(struct lift *l, int id) { return lift_plain(l, id, (union vec_word){ .imm = 0 }); }

/* The same of lane 0. */
bool lift_vop_scalar(struct lift *l, int id) { return lift_plain(l, id, (union vec_word){ .scalar = 1 }); }

/* The VEX form, if there is one, is of an extension that is not here. */
bool lift_vop_evex(struct lift *l, int id) { return l->i->encoding == ENCODING_EVEX && lift_vop(l, id); }

/* The vector has 8 or 16 bytes, whatever the operands say: conversions with MMX registers. */
bool lift_vop_8(struct lift *l, int id) { return lift_bytes(l, id, 8); }
bool lift_vop_16(struct lift *l, int id) { return lift_bytes(l, id, 16); }

/* Fused operations: the opcode's upper digit says in which order. */
bool lift_vop_fma(struct lift *l, int id) { return lift_plain(l, id, (union vec_word){ .imm8 = l->i->opcode >> 4 }); }

bool lift_vop_fma_scalar(struct lift *l, int id)
{
    return lift_plain(l, id, (union vec_word){ .imm8 = l->i->opcode >> 4, .scalar = 1 });
}

/* Shifts by the low 64 bits of a vector operand, permutes by a vector; with an immediate it is the next operation. */
bool lift_vop_shift(struct lift *l, int id)
{
    const struct operand *last = lift_operand(l, l->i->operands - 1);

    return lift_vop(l, last->kind == OPERAND_IMMEDIATE ? id + 1 : id);
}

/* Comparisons whose EVEX form, which is the next operation, goes to an opmask register. */
bool lift_vop_compare(struct lift *l, int id) { return lift_vop(l, l->i->encoding == ENCODING_EVEX ? id + 1 : id); }

bool lift_vop_compare_scalar(struct lift *l, int id) { return lift_vop_scalar(l, l->i->encoding == ENCODING_EVEX ? id + 1 : id); }

/* Opmask arithmetic; arg: enum vop_id, bytes of the opmask << 16. */
bool lift_vop_opmask(struct lift *l, int arg) { return lift_bytes(l, arg & 0xffff, (unsigned)arg >> 16); }

/* PCMPESTRI, PCMPESTRM: `general` is how many bytes of RAX and RDX are lengths. */
bool lift_vop_text(struct lift *l, int id)
{
    return lift_operation(l, id, (union vec_word){ .imm = 0 }, 16, lift_const(l, l->i->operand_size == 8 ? 8 : 4));
}

/* EXTRQ, INSERTQ: with two immediates it is the next operation, `general` is length | index << 8. */
bool lift_vop_field(struct lift *l, int id)
{
    const struct operand *length = lift_operand(l, l->i->operands - 2), *index = length + 1;

    if (index->kind != OPERAND_IMMEDIATE)
        return lift_vop(l, id);
    return lift_operation(l, id + 1, (union vec_word){ .imm = 0 }, 16,
                          lift_const(l, (length->immediate & 0xff) | (index->immediate & 0xff) << 8));
}
