/*
 * lift_vec.c - vector moves: SSE, AVX, AVX-512 and MMX loads, stores, broadcasts, inserts, gathers; opmask moves.
 *
 * Registers are named by their byte offset in struct cpu (LDX, STX, MOVX, ZEROX).  A plain memory operand is one LDX
 * or STX; whatever depends on a mask is a helper (help_vec.c).  A masked result without masked memory is made in
 * cpu.scratch and blended into its register last.  VEX and EVEX forms zero the register above what they write.
 *
 * Spec: SDM 2; for masks SDM 1 15.6 and SDM 2 2.8.
 */
#include "x86/insns.h"

#include "types.h"

#define SCRATCH ((uint32_t)offsetof(struct cpu, scratch))

/* -- registers as places in struct cpu -------------------------------------------------------------------------- */

static uint32_t vec_register(unsigned reg) { return (uint32_t)(offsetof(struct cpu, zmm) + reg * sizeof(union wide)); }

static uint32_t vec_at(const struct operand *o)
{
    switch (o->class) {
    case REG_MMX: return (uint32_t)(offsetof(struct cpu, x87.significand) + (o->reg & 7u) * 8);
    case REG_MASK: return (uint32_t)(offsetof(struct cpu, k) + o->reg * 8u);
    default: return vec_register(o->reg);
    }
}

static bool vec_is_vex(const struct lift *l) { return l->i->encoding != ENCODING_LEGACY; }
static unsigned vec_length(const struct lift *l) { return l->i->vector_length ? l->i->vector_length : 16; }
static unsigned vec_log2(unsigned n) { return (unsigned)__builtin_ctz(n); }

static bool vec_is(const struct lift *l, unsigned n, enum register_class class)
{
    return l->i->op[n].kind == OPERAND_REGISTER && l->i->op[n].class == class;
}

static void vec_copy(struct lift *l, uint32_t to, uint32_t from, unsigned width)
{
    if (to == from || !width)
        return;
    lift_op(l, IR_MOVX, width, IR_NONE, IR_NONE, IR_NONE)->aux = to;
    l->b->op[l->b->ops - 1].imm = from;
}

static void vec_zero(struct lift *l, uint32_t at, unsigned bytes)
{
    if (!bytes)
        return;
    lift_op(l, IR_ZEROX, 8, IR_NONE, IR_NONE, IR_NONE)->aux = at;
    l->b->op[l->b->ops - 1].imm = bytes;
}

/* The register's bytes from `written` on, as the encoding has it. */
static void vec_zero_upper(struct lift *l, const struct operand *d, unsigned written)
{
    if (vec_is_vex(l))
        vec_zero(l, vec_at(d) + written, WIDE_BYTES - written);
}

/* All of a register but the part [at, at + width) from another: what an insert leaves alone. */
static void vec_copy_around(struct lift *l, uint32_t to, uint32_t from, unsigned at, unsigned width, unsigned total)
{
    vec_copy(l, to, from, at);
    vec_copy(l, to + at + width, from + at + width, total - at - width);
}

/* -- memory ------------------------------------------------------------------------------------------------------- */

static void vec_memory(struct lift *l, enum ir_opcode op, unsigned n, uint32_t state, unsigned width, int flags)
{
    struct place p = lift_place(l, lift_operand(l, n), width, op == IR_LDX ? ACCESS_READ : ACCESS_WRITE);
    struct ir_op *o = lift_op(l, op, width, IR_NONE, p.a, IR_NONE);

    o->aux = state;
    o->imm = p.imm;
    o->stack = p.stack;
    o->cc = (uint8_t)((flags & VEC_ALIGNED ? LDX_ALIGNED : 0) | (flags & VEC_NON_TEMPORAL ? LDX_NON_TEMPORAL : 0) |
                      (p.stack ? LDX_STACK : 0));
}

static void vec_load(struct lift *l, unsigned n, uint32_t to, unsigned width) { vec_memory(l, IR_LDX, n, to, width, 0); }
static void vec_store(struct lift *l, unsigned n, uint32_t from, unsigned width) { vec_memory(l, IR_STX, n, from, width, 0); }

/* -- masks ---------------------------------------------------------------------------------------------------------- */

static union vec_shape vec_shape(const struct lift *l, const struct operand *reg, unsigned element, unsigned width)
{
    return (union vec_shape){
        .reg = reg->reg, .mask = l->i->mask, .zeroing = l->i->mask_zeroing, .element = vec_log2(element),
        .memory = vec_log2(width), .width = vec_log2(width),
    };
}

/* A helper between the shape's register and memory operand n. */
static void vec_masked(struct lift *l, enum helper_id id, unsigned n, union vec_shape s)
{
    const struct operand *o = lift_operand(l, n);

    s.segment = o->segment;
    s.address_size = l->i->address_size;
    lift_help(l, id, IR_NONE, lift_effective(l, o), IR_NONE, IR_NONE, s.imm);
}

/* Where a result is made: in place, or beside it when a mask decides what of it arrives. */
static uint32_t vec_target(const struct lift *l, const struct operand *d) { return l->i->mask ? SCRATCH : vec_at(d); }

static void vec_finish(struct lift *l, const struct operand *d, unsigned element, unsigned width)
{
    if (l->i->mask)
        lift_help(l, HELP_vec_blend, IR_NONE, IR_NONE, IR_NONE, IR_NONE, vec_shape(l, d, element, width).imm);
    vec_zero_upper(l, d, width);
}

/* -- general registers ------------------------------------------------------------------------------------------------ */

static void vec_from_general(struct lift *l, uint32_t to, unsigned n, unsigned width)
{
    lift_help(l, HELP_vec_set, IR_NONE, lift_operand(l, n)->reg, IR_NONE, IR_NONE, vec_state(to, width));
}

static void vec_to_general(struct lift *l, unsigned n, uint32_t from, unsigned width)
{
    ir_operand t = lift_temp(l);

    lift_help(l, HELP_vec_get, t, IR_NONE, IR_NONE, IR_NONE, vec_state(from, width));
    lift_write_register(l, lift_operand(l, n), t);
}

/* -- MMX ---------------------------------------------------------------------------------------------------------------- */

/* Before: a pending x87 exception.  After: TOP 0, no register empty, the written one's exponent all ones. */
static bool mmx_begin(struct lift *l)
{
    for (unsigned n = 0; n < l->i->operands; n++)
        if (vec_is(l, n, REG_MMX)) {
            lift_x87_wait(l, 0);
            return true;
        }
    return false;
}

static void mmx_end(struct lift *l, bool mmx)
{
    if (mmx)
        lift_help(l, HELP_mmx_use, IR_NONE, IR_NONE, IR_NONE, IR_NONE,
                  vec_is(l, 0, REG_MMX) ? lift_operand(l, 0)->reg & 7 : 8);
}

/* -- whole registers ------------------------------------------------------------------------------------------------------ */

/* arg: element bytes, VEC_ALIGNED, VEC_NON_TEMPORAL */
bool lift_vec_move(struct lift *l, int arg)
{
    const struct operand *d = lift_operand(l, 0), *s = lift_operand(l, 1);
    unsigned width = vec_length(l), element = (unsigned)arg & 15;
    union vec_shape shape;

    if (l->i->mask && (lift_is_memory(l, 0) || lift_is_memory(l, 1))) {
        shape = vec_shape(l, lift_is_memory(l, 0) ? s : d, element, width);
        shape.aligned = (arg & VEC_ALIGNED) != 0;
        vec_masked(l, lift_is_memory(l, 0) ? HELP_vec_store : HELP_vec_load, lift_is_memory(l, 0) ? 0 : 1, shape);
    } else if (lift_is_memory(l, 0)) {
        vec_memory(l, IR_STX, 0, vec_at(s), width, arg);
    } else if (lift_is_memory(l, 1)) {
        vec_memory(l, IR_LDX, 1, vec_at(d), width, arg);
    } else {
        vec_copy(l, vec_target(l, d), vec_at(s), width);
        vec_finish(l, d, element, width);
        return true;
    }
    if (!lift_is_memory(l, 0))
        vec_zero_upper(l, d, width);
    return true;
}

/* MOVSS, MOVSD (arg: element bytes) and MOVNTSS, MOVNTSD. */
bool lift_vec_scalar(struct lift *l, int arg)
{
    const struct operand *d = lift_operand(l, 0), *s = lift_operand(l, 1);
    unsigned width = (unsigned)arg & 15;

    if (lift_is_memory(l, 0)) {
        if (l->i->mask)
            vec_masked(l, HELP_vec_store, 0, vec_shape(l, s, width, width));
        else
            vec_memory(l, IR_STX, 0, vec_at(s), width, arg);
    } else if (lift_is_memory(l, 1)) {
        if (l->i->mask)
            vec_masked(l, HELP_vec_load, 1, vec_shape(l, d, width, width));
        else
            vec_load(l, 1, vec_at(d), width);
        vec_zero(l, vec_at(d) + width, (vec_is_vex(l) ? WIDE_BYTES : 16) - width);
    } else if (!vec_is_vex(l)) {
        vec_copy(l, vec_at(d), vec_at(s), width);
    } else { /* the low element of the last operand over the middle one */
        vec_copy(l, vec_target(l, d), vec_at(lift_operand(l, 2)), width);
        if (l->i->mask)
            lift_help(l, HELP_vec_blend, IR_NONE, IR_NONE, IR_NONE, IR_NONE, vec_shape(l, d, width, width).imm);
        vec_copy(l, vec_at(d) + width, vec_at(s) + width, 16 - width);
        vec_zero_upper(l, d, 16);
    }
    return true;
}

/* MOVLPS, MOVLPD (arg 0), MOVHPS, MOVHPD (arg 8): 8 bytes at `half`, the other half stays or comes from operand 1. */
bool lift_vec_half(struct lift *l, int half)
{
    const struct operand *d = lift_operand(l, 0), *s = lift_operand(l, 1);

    if (lift_is_memory(l, 0)) {
        vec_store(l, 0, vec_at(s) + (unsigned)half, 8);
        return true;
    }
    vec_load(l, vec_is_vex(l) ? 2 : 1, vec_at(d) + (unsigned)half, 8);
    if (vec_is_vex(l))
        vec_copy(l, vec_at(d) + 8 - (unsigned)half, vec_at(s) + 8 - (unsigned)half, 8);
    vec_zero_upper(l, d, 16);
    return true;
}

/* MOVHLPS (arg 8: the source's high half to the low one), MOVLHPS (arg 0).  This order is right for all overlaps. */
bool lift_vec_cross(struct lift *l, int from)
{
    const struct operand *d = lift_operand(l, 0), *s = lift_operand(l, vec_is_vex(l) ? 2 : 1);

    vec_copy(l, vec_at(d) + 8 - (unsigned)from, vec_at(s) + (unsigned)from, 8);
    if (vec_is_vex(l))
        vec_copy(l, vec_at(d) + (unsigned)from, vec_at(lift_operand(l, 1)) + (unsigned)from, 8);
    vec_zero_upper(l, d, 16);
    return true;
}

/* -- 4 and 8 bytes: MOVD, MOVQ and the moves between MMX and XMM --------------------------------------------------------- */

static unsigned vec_word_width(const struct lift *l)
{
    for (unsigned n = 0; n < 2; n++)
        if (l->i->op[n].kind == OPERAND_MEMORY || l->i->op[n].class == REG_GPR)
            return l->i->op[n].width;
    return 8;
}

bool lift_vec_word(struct lift *l, int arg)
{
    const struct operand *d = lift_operand(l, 0), *s = lift_operand(l, 1);
    unsigned width = vec_word_width(l);
    bool mmx = mmx_begin(l);

    if (lift_is_memory(l, 0))
        vec_memory(l, IR_STX, 0, vec_at(s), width, arg);
    else if (vec_is(l, 0, REG_GPR))
        vec_to_general(l, 0, vec_at(s), width);
    else {
        if (lift_is_memory(l, 1))
            vec_load(l, 1, vec_at(d), width);
        else if (vec_is(l, 1, REG_GPR))
            vec_from_general(l, vec_at(d), 1, width);
        else
            vec_copy(l, vec_at(d), vec_at(s), width);
        vec_zero(l, vec_at(d) + width, (d->class == REG_MMX ? 8 : vec_is_vex(l) ? WIDE_BYTES : 16) - width);
    }
    mmx_end(l, mmx);
    return true;
}

/* -- duplicates and broadcasts --------------------------------------------------------------------------------------------- */

/*
 * MOVSHDUP, MOVSLDUP, MOVDDUP: no fault suppression, so a mask does not spare a load (SDM 2 types E4NF, E5NF).  The
 * legacy forms of the first two want alignment (type 4).
 */
bool lift_vec_dup(struct lift *l, int kind)
{
    const struct operand *d = lift_operand(l, 0), *s = lift_operand(l, 1);
    unsigned width = vec_length(l);

    if (lift_is_memory(l, 1))
        vec_memory(l, IR_LDX, 1, SCRATCH, kind == VEC_DUP_DOUBLE && width == 16 ? 8 : width,
                   vec_is_vex(l) || kind == VEC_DUP_DOUBLE ? 0 : VEC_ALIGNED);
    else
        vec_copy(l, SCRATCH, vec_at(s), width);
    lift_help(l, HELP_vec_dup, IR_NONE, IR_NONE, IR_NONE, IR_NONE, kind);
    if (!l->i->mask)
        vec_copy(l, vec_at(d), SCRATCH, width);
    vec_finish(l, d, kind == VEC_DUP_DOUBLE ? 8 : 4, width);
    return true;
}

/* arg: bytes that are repeated, element bytes << 8 */
bool lift_vec_broadcast(struct lift *l, int arg)
{
    const struct operand *d = lift_operand(l, 0);
    unsigned unit = (unsigned)arg & 0xff, element = (unsigned)arg >> 8, width = vec_length(l);
    uint32_t target = vec_target(l, d);

    if (l->i->mask && lift_is_memory(l, 1)) {
        union vec_shape s = vec_shape(l, d, element, width);

        s.memory = vec_log2(unit);
        vec_masked(l, HELP_vec_load, 1, s);
        vec_zero_upper(l, d, width);
        return true;
    }
    if (lift_is_memory(l, 1))
        vec_load(l, 1, target, unit);
    else if (vec_is(l, 1, REG_GPR))
        vec_from_general(l, target, 1, unit);
    else
        vec_copy(l, target, vec_at(lift_operand(l, 1)), unit);
    for (unsigned n = unit; n < width; n *= 2)
        vec_copy(l, target + n, target, n);
    vec_finish(l, d, element, width);
    return true;
}

/* -- inserts and extracts ------------------------------------------------------------------------------------------------------ */

/* VINSERTF128 and relatives; arg: part bytes, element bytes << 8.  A mask does not spare the load (E6NF). */
bool lift_vec_insert(struct lift *l, int arg)
{
    const struct operand *d = lift_operand(l, 0);
    unsigned part = (unsigned)arg & 0xff, width = vec_length(l);
    unsigned at = ((unsigned)lift_operand(l, 3)->immediate & (width / part - 1)) * part;
    uint32_t target = vec_target(l, d);

    if (lift_is_memory(l, 2))
        vec_load(l, 2, target + at, part);
    else
        vec_copy(l, target + at, vec_at(lift_operand(l, 2)), part);
    vec_copy_around(l, target, vec_at(lift_operand(l, 1)), at, part, width);
    vec_finish(l, d, (unsigned)arg >> 8, width);
    return true;
}

/* VEXTRACTF128 and relatives; to memory under a mask the whole operand must be writable (E6NF). */
bool lift_vec_extract(struct lift *l, int arg)
{
    const struct operand *d = lift_operand(l, 0), *s = lift_operand(l, 1);
    unsigned part = (unsigned)arg & 0xff, element = (unsigned)arg >> 8;
    unsigned index = (unsigned)lift_operand(l, 2)->immediate & (vec_length(l) / part - 1);
    uint32_t from = vec_at(s) + index * part;

    if (lift_is_memory(l, 0) && l->i->mask) {
        union vec_shape shape = vec_shape(l, s, element, part);

        shape.part = index * part / 16;
        shape.packing = VEC_PROBE_ALL;
        vec_masked(l, HELP_vec_store, 0, shape);
    } else if (lift_is_memory(l, 0)) {
        vec_store(l, 0, from, part);
    } else {
        vec_copy(l, vec_target(l, d), from, part);
        vec_finish(l, d, element, part);
    }
    return true;
}

/* PINSRB to PINSRQ; arg: element bytes. */
bool lift_vec_insert_element(struct lift *l, int arg)
{
    const struct operand *d = lift_operand(l, 0);
    unsigned source = vec_is_vex(l) ? 2 : 1, width = (unsigned)arg, total = d->class == REG_MMX ? 8 : 16;
    unsigned at = ((unsigned)lift_operand(l, source + 1)->immediate & (total / width - 1)) * width;
    uint32_t to = vec_at(d), rest = vec_is_vex(l) ? vec_at(lift_operand(l, 1)) : to;
    bool mmx = mmx_begin(l);

    if (lift_is_memory(l, source))
        vec_load(l, source, to + at, width);
    else
        vec_from_general(l, to + at, source, width);
    if (rest != to)
        vec_copy_around(l, to, rest, at, width, total);
    mmx_end(l, mmx);
    vec_zero_upper(l, d, 16);
    return true;
}

/* PEXTRB to PEXTRQ, EXTRACTPS. */
bool lift_vec_extract_element(struct lift *l, int arg)
{
    const struct operand *s = lift_operand(l, 1);
    unsigned width = (unsigned)arg, total = s->class == REG_MMX ? 8 : 16;
    uint32_t from = vec_at(s) + ((unsigned)lift_operand(l, 2)->immediate & (total / width - 1)) * width;
    bool mmx = mmx_begin(l);

    if (lift_is_memory(l, 0))
        vec_store(l, 0, from, width);
    else
        vec_to_general(l, 0, from, width);
    mmx_end(l, mmx);
    return true;
}

/* imm: bits 7:6 the source's lane (registers only), 5:4 the destination's, 3:0 lanes to zero. */
bool lift_vec_insertps(struct lift *l, int arg)
{
    const struct operand *d = lift_operand(l, 0);
    unsigned source = vec_is_vex(l) ? 2 : 1, imm = (unsigned)lift_operand(l, source + 1)->immediate;
    unsigned at = (imm >> 4 & 3) * 4;
    uint32_t to = vec_at(d);

    (void)arg;
    if (lift_is_memory(l, source))
        vec_load(l, source, to + at, 4);
    else
        vec_copy(l, to + at, vec_at(lift_operand(l, source)) + (imm >> 6 & 3) * 4, 4);
    if (vec_is_vex(l) && vec_at(lift_operand(l, 1)) != to)
        vec_copy_around(l, to, vec_at(lift_operand(l, 1)), at, 4, 16);
    for (unsigned i = 0; i < 4; i++)
        if (imm >> i & 1)
            vec_zero(l, to + i * 4, 4);
    vec_zero_upper(l, d, 16);
    return true;
}

/* MOVMSKPS, MOVMSKPD, PMOVMSKB; arg: element bytes. */
bool lift_vec_signs(struct lift *l, int element)
{
    const struct operand *s = lift_operand(l, 1);
    unsigned lanes = (s->class == REG_MMX ? 8 : vec_length(l)) / (unsigned)element;
    ir_operand t = lift_temp(l);
    bool mmx = mmx_begin(l);

    lift_help(l, HELP_vec_signs, t, IR_NONE, IR_NONE, IR_NONE, vec_state(vec_at(s), lanes | (unsigned)element << 8));
    mmx_end(l, mmx);
    lift_write_register(l, lift_operand(l, 0), t);
    return true;
}

/* -- moves whose memory operand depends on a mask ---------------------------------------------------------------------------------- */

/* VMASKMOVPS, VMASKMOVPD, VPMASKMOVD, VPMASKMOVQ: the sign bits of operand 1 are the mask, loads zero what it leaves. */
bool lift_vec_maskmov(struct lift *l, int element)
{
    bool store = lift_is_memory(l, 0);
    union vec_shape s = vec_shape(l, lift_operand(l, store ? 2 : 0), (unsigned)element, vec_length(l));

    s.mask = lift_operand(l, 1)->reg;
    s.by_sign = 1;
    s.zeroing = 1;
    vec_masked(l, store ? HELP_vec_store : HELP_vec_load, store ? 0 : 2, s);
    if (!store)
        vec_zero_upper(l, lift_operand(l, 0), vec_length(l));
    return true;
}

/* MASKMOVDQU, MASKMOVQ: bytes of operand 0 whose sign bit in operand 1 is set, to [rDI]. */
bool lift_vec_maskmov_bytes(struct lift *l, int arg)
{
    bool mmx = mmx_begin(l);
    ir_operand offset = lift_temp(l);
    union vec_shape s = { .reg = lift_operand(l, 0)->reg, .mask = lift_operand(l, 1)->reg, .segment = l->i->segment,
                          .width = mmx ? 3 : 4 };

    (void)arg;
    lift_op(l, IR_ZEXT, l->i->address_size, offset, RDI, IR_NONE);
    lift_help(l, HELP_maskmov, IR_NONE, offset, IR_NONE, IR_NONE, s.imm);
    if (mmx) /* reads both: no exponent changes */
        lift_help(l, HELP_mmx_use, IR_NONE, IR_NONE, IR_NONE, IR_NONE, 8);
    return true;
}

/* VPCOMPRESSD and relatives; arg: element bytes. */
bool lift_vec_compress(struct lift *l, int element)
{
    const struct operand *d = lift_operand(l, 0), *s = lift_operand(l, 1);
    unsigned width = vec_length(l);
    union vec_shape shape = vec_shape(l, lift_is_memory(l, 0) ? s : d, (unsigned)element, width);

    if (!l->i->mask)
        return lift_vec_move(l, element);
    shape.packing = VEC_PACKED;
    if (lift_is_memory(l, 0)) {
        vec_masked(l, HELP_vec_store, 0, shape);
        return true;
    }
    shape.index = s->reg;
    lift_help(l, HELP_vec_compress, IR_NONE, IR_NONE, IR_NONE, IR_NONE, shape.imm);
    vec_zero_upper(l, d, width);
    return true;
}

bool lift_vec_expand(struct lift *l, int element)
{
    const struct operand *d = lift_operand(l, 0), *s = lift_operand(l, 1);
    unsigned width = vec_length(l);
    union vec_shape shape = vec_shape(l, d, (unsigned)element, width);

    if (!l->i->mask)
        return lift_vec_move(l, element);
    shape.packing = VEC_PACKED;
    if (lift_is_memory(l, 1)) {
        vec_masked(l, HELP_vec_load, 1, shape);
    } else {
        shape.index = s->reg;
        lift_help(l, HELP_vec_expand, IR_NONE, IR_NONE, IR_NONE, IR_NONE, shape.imm);
    }
    vec_zero_upper(l, d, width);
    return true;
}

/* -- gathers and scatters ------------------------------------------------------------------------------------------------------------ */

/* arg: index bytes, element bytes << 8.  The helper sets RIP aside: what it has done stays done when it faults. */
static void vec_indexed(struct lift *l, enum helper_id id, unsigned memory, const struct operand *reg, int arg)
{
    const struct operand *m = lift_operand(l, memory);
    unsigned index = (unsigned)arg & 15, element = (unsigned)arg >> 8;
    unsigned count = vec_length(l) / (unsigned)bits_max(index, element);
    union vec_shape s = { .reg = reg->reg, .mask = l->i->mask, .element = vec_log2(element), .index = m->index,
                          .index_element = vec_log2(index), .scale = m->scale, .count = count };

    if (l->i->encoding == ENCODING_VEX) {
        s.mask = lift_operand(l, 2)->reg;
        s.by_sign = 1;
    }
    vec_masked(l, id, memory, s);
}

bool lift_vec_gather(struct lift *l, int arg)
{
    vec_indexed(l, HELP_vec_gather, 1, lift_operand(l, 0), arg);
    return true;
}

bool lift_vec_scatter(struct lift *l, int arg)
{
    vec_indexed(l, HELP_vec_scatter, 0, lift_operand(l, 1), arg);
    return true;
}

/* -- opmask registers; VZEROUPPER, VZEROALL -------------------------------------------------------------------------------------------- */

/* arg: bytes */
bool lift_kmov(struct lift *l, int width)
{
    const struct operand *d = lift_operand(l, 0), *s = lift_operand(l, 1);

    if (lift_is_memory(l, 0)) {
        vec_store(l, 0, vec_at(s), (unsigned)width);
        return true;
    }
    if (vec_is(l, 0, REG_GPR)) {
        vec_to_general(l, 0, vec_at(s), (unsigned)width);
        return true;
    }
    if (lift_is_memory(l, 1))
        vec_load(l, 1, vec_at(d), (unsigned)width);
    else if (vec_is(l, 1, REG_GPR))
        vec_from_general(l, vec_at(d), 1, (unsigned)width);
    else
        vec_copy(l, vec_at(d), vec_at(s), (unsigned)width);
    vec_zero(l, vec_at(d) + (unsigned)width, 8 - (unsigned)width);
    return true;
}

/* arg: the first byte to zero.  Registers 16 to 31 keep their values. */
bool lift_vzero(struct lift *l, int from)
{
    for (unsigned reg = 0; reg < (l->mode & MODE_CODE64 ? 16u : 8u); reg++)
        vec_zero(l, vec_register(reg) + (unsigned)from, WIDE_BYTES - (unsigned)from);
    return true;
}
