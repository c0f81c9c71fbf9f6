/*
 * gen_vector.c - vector instructions as themselves, in the host's registers of the same numbers.
 *
 * What the host has is run as it stands in the guest's code: registers keep their numbers, so only a memory operand is
 * encoded anew.  A register is loaded from the vcpu where the block first uses it, and stored where the block is left or C is
 * called (struct vec_state).  MXCSR is the guest's while translated code runs, once some of it looks at it; its exceptions are
 * all masked, or the code is not translated so (MODE_SIMD_TRAPS).
 *
 * Opmasks are loaded each time they are used.  Memory under a mask, MMX, approximations, and what the host has not got are C
 * (x86/vop.c).  Its results are the same: tests and `wideload fuzz` hold C to the silicon.
 *
 * In place of the IR of such an instruction, of which only addresses are made, stands the instruction.
 */
#include "jit/gen.h"

#include "jit/host.h"
#include "x86/insns.h"
#include "x86/vop.h"

#include <string.h>

enum { LEVELS = 3 };

static unsigned level_of(unsigned bytes) { return bytes <= 16 ? 0 : bytes <= 32 ? 1 : 2; }
static unsigned most(const struct gen *g) { return g->jit->avx512 ? 2 : 1; }
static struct host_mem in_vcpu(const struct gen *g, unsigned reg) { return mem_low(&g->jit->v->cpu.zmm[reg]); }

/* -- registers ------------------------------------------------------------------------------------------------------------ */

/* VMOVUPS, as wide as the level. */
static void emit_vector_move(struct gen *g, bool store, unsigned reg, unsigned level)
{
    struct host_vec v = { .kind = level == 2 || reg >= 16 ? VEC_EVEX : VEC_VEX, .map = 1, .opcode = store ? 0x11 : 0x10, .reg = (uint8_t)reg,
                          .length = (uint8_t)level };

    emit_vec_rm(g->e, &v, in_vcpu(g, reg));
}

static int level_in(const uint32_t bits[LEVELS], unsigned reg)
{
    for (int level = LEVELS; level-- > 0;)
        if (bits[level] >> reg & 1)
            return level;
    return -1;
}

static void set_level(uint32_t bits[LEVELS], unsigned reg, int level)
{
    for (int i = 0; i < LEVELS; i++)
        bits[i] = (bits[i] & ~(1u << reg)) | (uint32_t)(i <= level) << reg;
}

void gen_vector_save(struct gen *g, const struct vec_state *s)
{
    for (unsigned reg = 0; reg < 32; reg++) {
        int level = level_in(s->dirty, reg);

        if (level >= 0)
            emit_vector_move(g, true, reg, (unsigned)level);
    }
}

void gen_vector_restore(struct gen *g, const struct vec_state *s)
{
    for (unsigned reg = 0; reg < 32; reg++) {
        int level = level_in(s->valid, reg);

        if (level >= 0)
            emit_vector_move(g, false, reg, (unsigned)level);
    }
}

void gen_vector_drop(struct gen *g)
{
    gen_vector_save(g, &g->vec);
    g->vec = (struct vec_state){ .valid = { 0 } };
    g->vec_upper_zero = 0;
}

/* The register's low bytes are in the host's. */
static void need(struct gen *g, unsigned reg, unsigned bytes)
{
    unsigned level = level_of(bytes);
    int dirty = level_in(g->vec.dirty, reg);

    if (level_in(g->vec.valid, reg) >= (int)level)
        return;
    if (dirty >= 0)
        emit_vector_move(g, true, reg, (unsigned)dirty);
    emit_vector_move(g, false, reg, level);
    set_level(g->vec.dirty, reg, -1);
    set_level(g->vec.valid, reg, (int)level);
}

/* It has been written: all of it, by VEX and EVEX forms, else 16 bytes. */
static void written(struct gen *g, unsigned reg, bool all)
{
    int valid = level_in(g->vec.valid, reg), dirty = level_in(g->vec.dirty, reg);
    int level = all ? (int)most(g) : 0;

    set_level(g->vec.valid, reg, valid > level ? valid : level);
    set_level(g->vec.dirty, reg, dirty > level ? dirty : level);
    if (!all || most(g) == 2 || g->vec_upper_zero >> reg & 1)
        return;
    for (unsigned i = 0; i < 4; i++)
        emit_store_imm(g->e, 8, mem_low(&g->jit->v->cpu.zmm[reg].q[4 + i]), 0);
    g->vec_upper_zero |= (uint16_t)(1u << reg);
}

/* -- which instructions ---------------------------------------------------------------------------------------------------- */

/* Does its IR look like a vector instruction's? */
static bool looks_like_vector(const struct gen *g)
{
    for (unsigned i = g->at; i < g->ir->ops && g->ir->op[i].insn == g->op->insn; i++) {
        const struct ir_op *o = &g->ir->op[i];

        if (o->op == IR_LDX || o->op == IR_STX || o->op == IR_MOVX ||
            (o->op == IR_HELPER && (o->aux == HELP_vop || o->aux == HELP_vec_set || o->aux == HELP_vec_get)))
            return true;
    }
    return false;
}

/* MOVSD and CMPSD have their rows as strings; what they are with vectors is where their VEX forms are. */
static const struct insn_row *row_of(const struct insn *i)
{
    bool vector = i->encoding == ENCODING_LEGACY && i->map == 1;

    return insn_find(vector && i->mnemonic == ZYDIS_MNEMONIC_MOVSD   ? ZYDIS_MNEMONIC_VMOVSD
                     : vector && i->mnemonic == ZYDIS_MNEMONIC_CMPSD ? ZYDIS_MNEMONIC_VCMPSD
                                                                     : i->mnemonic);
}

static const struct vop *operation(const struct insn *i, const struct insn_row *row)
{
    const struct operand *last = &i->op[i->operands - 1];
    unsigned id = (unsigned)row->arg;

    if (row->lift == lift_vop || row->lift == lift_vop_scalar || row->lift == lift_vop_fma || row->lift == lift_vop_fma_scalar ||
        (row->lift == lift_vop_evex && i->encoding == ENCODING_EVEX))
        return &vops[id];
    if (row->lift == lift_vop_compare || row->lift == lift_vop_compare_scalar)
        return &vops[i->encoding == ENCODING_EVEX ? id + 1 : id];
    if (row->lift == lift_vop_opmask)
        return &vops[id & 0xffff];
    if (row->lift == lift_vop_shift)
        return &vops[last->kind == OPERAND_IMMEDIATE ? id + 1 : id];
    return NULL;
}

static bool is_move(const struct insn_row *row)
{
    return row->lift == lift_vec_move || row->lift == lift_vec_scalar || row->lift == lift_vec_half || row->lift == lift_vec_cross ||
           row->lift == lift_vec_dup || row->lift == lift_vec_broadcast || row->lift == lift_vec_insert || row->lift == lift_vec_extract ||
           row->lift == lift_vec_insertps;
}

/* MOVD and MOVQ between a general and a vector register. */
static bool is_word_move(const struct insn *i, const struct insn_row *row)
{
    return row->lift == lift_vec_word && (i->op[0].class == REG_GPR || i->op[1].class == REG_GPR);
}

static bool has_memory(const struct insn *i)
{
    for (unsigned n = 0; n < i->operands; n++)
        if (i->op[n].kind == OPERAND_MEMORY)
            return true;
    return false;
}

/* Vector registers, one plain memory operand, immediates; a general register where the operation has one. */
static bool operands_fit(const struct gen *g, const struct insn *i, bool general)
{
    unsigned limit = most(g) == 2 ? 64 : 32;

    if (i->vector_length > limit || !i->operands || (i->mask && has_memory(i)))
        return false;
    for (unsigned n = 0; n < i->operands; n++) {
        const struct operand *o = &i->op[n];

        if (general && o->kind == OPERAND_REGISTER && o->class == REG_GPR && o->width >= 4)
            continue;
        if (o->kind == OPERAND_REGISTER && o->class == REG_MASK && limit == 64)
            continue;
        if (o->kind == OPERAND_REGISTER && (o->class != REG_VECTOR || (o->reg >= 16 && limit < 64)))
            return false;
        if (o->kind == OPERAND_MEMORY && o->vsib)
            return false;
    }
    return i->encoding != ENCODING_EVEX || limit == 64;
}

/* An approximation: another processor's, C's among them, is another one. */
static bool is_approximate(const struct insn *i)
{
    return (i->map == 1 && (i->opcode == 0x52 || i->opcode == 0x53)) ||
           (i->map == 2 && i->encoding == ENCODING_EVEX && (i->opcode == 0x4c || i->opcode == 0x4d || i->opcode == 0x4e || i->opcode == 0x4f));
}

static bool can_be_native(const struct gen *g, const struct insn *i, const struct insn_row *row)
{
    const struct vop *op = row ? operation(i, row) : NULL;
    bool store = i->op[0].kind == OPERAND_MEMORY && (!op || op->result < RESULT_GENERAL);
    bool general = op ? op->flags & VOP_GENERAL || op->result == RESULT_GENERAL : row && is_word_move(i, row);

    if (!row || !host_has(i->isa) || !operands_fit(g, i, general))
        return false;
    if ((general || row->lift == lift_vec_word) && !(g->ir->mode & MODE_CODE64) && i->encoding != ENCODING_LEGACY)
        return false; /* nor W */
    if (i->operands == 4 && i->op[3].kind == OPERAND_REGISTER && !(g->ir->mode & MODE_CODE64))
        return false; /* 32-bit code has no bit 7 of the register in the immediate */
    if (!op)
        return is_move(row) || row->lift == lift_vec_word;
    if (store || op->flags & VOP_REGISTERS || is_approximate(i))
        return false;
    return !(op->flags & VOP_FLOAT) || !(g->ir->mode & MODE_SIMD_TRAPS);
}

/* -- the guest's bytes ----------------------------------------------------------------------------------------------------- */

/* Legacy prefixes and REX, which counts right before the opcode (SDM 2 2.2.1); returns where the opcode map begins. */
static unsigned parse_legacy(const uint8_t *code, struct host_vec *v)
{
    unsigned n = 0, rex = 0;

    for (; code[n] != 0x0f; n++) {
        rex = (code[n] & 0xf0) == 0x40 ? code[n] : 0;
        if (code[n] == 0x66)
            v->pp = v->pp ? v->pp : 1;
        else if (code[n] == 0xf3 || code[n] == 0xf2)
            v->pp = code[n] == 0xf3 ? 2 : 3;
    }
    v->w = rex >> 3 & 1;
    v->reg = (uint8_t)((rex >> 2 & 1) << 3);
    v->map = code[n + 1] == 0x38 ? 2 : code[n + 1] == 0x3a ? 3 : 1;
    return n + (v->map == 1 ? 1 : 2);
}

static unsigned skip_prefixes(const uint8_t *code)
{
    unsigned n = 0;

    while (code[n] != 0xc4 && code[n] != 0xc5 && code[n] != 0x62)
        n++;
    return n;
}

static unsigned parse_vex(const uint8_t *code, struct host_vec *v)
{
    unsigned n = skip_prefixes(code), last = code[n] == 0xc5 ? 1 : 2;

    v->reg = (uint8_t)((~code[n + 1] >> 7 & 1) << 3);
    v->map = last == 1 ? 1 : code[n + 1] & 31;
    v->w = last == 2 && code[n + 2] & 0x80;
    v->vvvv = ~code[n + last] >> 3 & 15;
    v->length = code[n + last] >> 2 & 1;
    v->pp = code[n + last] & 3;
    return n + last + 1;
}

static unsigned parse_evex(const uint8_t *code, struct host_vec *v)
{
    unsigned n = skip_prefixes(code);

    v->reg = (uint8_t)((~code[n + 1] >> 7 & 1) << 3 | (~code[n + 1] >> 4 & 1) << 4);
    v->map = code[n + 1] & 7;
    v->w = code[n + 2] >> 7;
    v->vvvv = (uint8_t)((~code[n + 2] >> 3 & 15) | (~code[n + 3] >> 3 & 1) << 4);
    v->pp = code[n + 2] & 3;
    v->length = code[n + 3] >> 5 & 3;
    v->broadcast = code[n + 3] >> 4 & 1;
    return n + 4;
}

static bool takes_immediate(const struct host_vec *v)
{
    return v->map == 3 || (v->map == 1 && ((v->opcode >= 0x70 && v->opcode <= 0x73) || v->opcode == 0xc2 || (v->opcode >= 0xc4 && v->opcode <= 0xc6)));
}

static void parse(const uint8_t *code, const struct insn *i, struct host_vec *v)
{
    unsigned n;

    *v = (struct host_vec){ .kind = i->encoding == ENCODING_LEGACY ? VEC_LEGACY : i->encoding == ENCODING_VEX ? VEC_VEX : VEC_EVEX };
    n = v->kind == VEC_LEGACY ? parse_legacy(code, v) : v->kind == VEC_VEX ? parse_vex(code, v) : parse_evex(code, v);
    v->opcode = code[n];
    v->reg |= code[n + 1] >> 3 & 7;
    v->has_imm = takes_immediate(v);
    v->imm = code[i->length - 1];
}

/* -- making it --------------------------------------------------------------------------------------------------------------- */

/* KMOVQ. */
static void emit_opmask_move(struct gen *g, bool store, unsigned k)
{
    emit_vex_rm(g->e, 0, 1, store ? 0x91 : 0x90, true, 0, k, 0, mem_low(&g->jit->v->cpu.k[k]));
}

/* Does it read what its destination held? */
static bool reads_destination(const struct insn *i, const struct insn_row *row)
{
    const struct vop *op = operation(i, row);
    bool scalar = (op && op->result == RESULT_SCALAR) || row->lift == lift_vop_scalar || row->lift == lift_vop_compare_scalar;

    if (i->op[0].kind != OPERAND_REGISTER)
        return false;
    if ((op && op->flags & VOP_DEST) || (i->mask && !i->mask_zeroing))
        return true;
    if (i->encoding != ENCODING_LEGACY || row->lift == lift_vec_move || row->lift == lift_vec_dup)
        return false;
    if (op)
        return scalar || !(op->flags & VOP_UNARY) || i->operands < 2 || i->op[1].kind == OPERAND_IMMEDIATE;
    return row->lift != lift_vec_scalar || !has_memory(i);
}

static void need_operands(struct gen *g)
{
    const struct insn *i = &g->native.insn;
    const struct insn_row *row = row_of(i);
    const struct vop *op = operation(i, row);

    for (unsigned n = 0; n < i->operands; n++)
        if (i->op[n].kind == OPERAND_REGISTER && i->op[n].class == REG_VECTOR && (n || reads_destination(i, row) || g->native.flags))
            need(g, i->op[n].reg, (unsigned)bits_max(i->vector_length, 16));
    for (unsigned n = g->native.flags ? 0 : 1; n < i->operands; n++)
        if (i->op[n].kind == OPERAND_REGISTER && i->op[n].class == REG_MASK)
            emit_opmask_move(g, false, i->op[n].reg);
    if (i->mask)
        emit_opmask_move(g, false, i->mask);
    if (op && op->flags & VOP_XMM0 && i->encoding == ENCODING_LEGACY)
        need(g, 0, 16);
}

static void finish(struct gen *g)
{
    const struct operand *d = &g->native.insn.op[0];

    if (d->kind == OPERAND_REGISTER && d->class == REG_MASK && !g->native.flags)
        emit_opmask_move(g, true, d->reg);
    if (d->kind == OPERAND_REGISTER && d->class == REG_VECTOR && !g->native.flags)
        written(g, d->reg, g->native.insn.encoding != ENCODING_LEGACY);
    g->native.done = true;
}

static void make_registers(struct gen *g)
{
    const uint8_t *code = g->ir->code[g->op->insn];

    need_operands(g);
    for (unsigned n = 0; n < g->native.insn.length; n++)
        emit_byte(g->e, code[n]);
    finish(g);
}

static void make_memory(struct gen *g)
{
    struct gen_stub *s;
    struct host_mem m;

    need_operands(g);
    m = gen_wide_operand(g, STUB_VECTOR, &s);
    emit_vec_rm(g->e, &g->native.host, m);
    if (s)
        s->host_vec = g->native.host;
    stub_comes_back(g, s);
    finish(g);
}

/* With a general register, or flags; memory has been loaded to scratch, or into the helper's argument. */
static void make_general(struct gen *g)
{
    const struct insn *i = &g->native.insn;
    const struct operand *last = &i->op[i->operands - 1], *source = last->kind == OPERAND_IMMEDIATE ? last - 1 : last;
    struct host_vec v = g->native.host;
    enum host x = H_NONE;

    need_operands(g);
    if (g->native.in)
        x = gen_use(g, g->op->a);
    else if (g->native.out)
        x = gen_scratch(g);
    if (g->native.out && !i->op[0].in_rm)
        v.reg = (uint8_t)x;
    if (g->native.in || (g->native.out && i->op[0].in_rm))
        emit_vec_rr(g->e, &v, x);
    else if (has_memory(i))
        emit_vec_rm(g->e, &v, mem_low(&g->jit->v->cpu.scratch));
    else
        emit_vec_rr(g->e, &v, source->reg);
    if (g->native.out)
        gen_give(g, g->op->d, x);
    finish(g);
    if (!g->native.flags)
        return;
    g->in_host = true;
    g->in_memory = g->is_lazy = g->raw = false;
    gen_flags_save(g);
}

/* The vcpu's registers are aligned to 16 bytes and no more: moves that want more become ones that do not. */
static struct host_vec unaligned(struct host_vec v)
{
    if (v.map == 1 && v.opcode == 0x28) /* MOVAPS, MOVAPD */
        v.opcode = 0x10;
    if (v.map == 2 && v.opcode == 0x2a && v.pp == 1) /* MOVNTDQA */
        v.map = 1, v.opcode = 0x6f;
    if (v.map == 1 && v.opcode == 0x6f && v.pp == 1) /* MOVDQA */
        v.pp = 2;
    return v;
}

void gen_vector_again(struct gen *g, const struct gen_stub *s)
{
    struct host_vec v = unaligned(s->host_vec);

    emit_vec_rm(g->e, &v, mem_low((char *)&g->jit->v->cpu + s->op->aux));
}

void gen_vector_begin(struct gen *g)
{
    const uint8_t *code = g->ir->code[g->op->insn];
    struct insn *i = &g->native.insn;
    const struct insn_row *row;
    const struct vop *op;

    g->native.active = g->native.done = false;
    if (!g->jit->vectors || !looks_like_vector(g) || decode(g->ir->mode, code, IR_CODE, i) != DECODE_OK)
        return;
    row = row_of(i);
    if (!can_be_native(g, i, row))
        return;
    op = operation(i, row);
    parse(code, i, &g->native.host);
    g->native.active = true;
    g->native.in = (op && op->flags & VOP_GENERAL) || (!op && is_word_move(i, row) && i->op[0].class == REG_VECTOR);
    g->native.out = (op && op->result == RESULT_GENERAL) || (!op && is_word_move(i, row) && i->op[0].class == REG_GPR);
    g->native.flags = op && op->result == RESULT_FLAGS;
    g->native.memory = has_memory(i) && !g->native.in && !g->native.out && !g->native.flags;
    g->jit->reals |= op && op->flags & VOP_FLOAT;
}

bool gen_vector(struct gen *g)
{
    bool wide = g->op->op == IR_LDX || g->op->op == IR_STX, rest = g->op->op == IR_MOVX || g->op->op == IR_ZEROX || g->op->op == IR_HELPER;

    if (!wide && !rest)
        return false;
    if (!g->native.active) {
        if (g->op->op != IR_HELPER) /* that drops them itself, or needs not */
            gen_vector_drop(g);
        return false;
    }
    if (wide && !g->native.memory) {
        if (g->op->width > 8)
            gen_vector_drop(g); /* the copy is through a vector register */
        return false;
    }
    if (g->op->op == IR_HELPER)
        gen_flags_lost(g); /* as gen_plan() has it of calls */
    if (g->native.in || g->native.out || g->native.flags) {
        if (g->op->op == IR_HELPER && !g->native.done)
            make_general(g);
        return true;
    }
    if (wide)
        make_memory(g);
    else if (!g->native.memory && !g->native.done)
        make_registers(g);
    return true;
}
