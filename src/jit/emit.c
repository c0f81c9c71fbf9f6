/* emit.c - the encoder (SDM 2, chapter 2). */
#include "jit/emit.h"

#include <string.h>

void emit_byte(struct emit *e, unsigned byte)
{
    if (e->at < e->end)
        *e->at++ = (uint8_t)byte;
    else
        e->full = true;
}

void emit_u32(struct emit *e, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        emit_byte(e, value >> i * 8 & 0xff);
}

void emit_u64(struct emit *e, uint64_t value)
{
    emit_u32(e, (uint32_t)value);
    emit_u32(e, (uint32_t)(value >> 32));
}

/* -- prefixes, opcode, ModRM ------------------------------------------------------------------------------------------ */

static void emit_opcode(struct emit *e, unsigned opcode)
{
    static const uint8_t maps[] = { 0, 0, 0x38, 0x3a };
    unsigned map = opcode >> 8 & 3;

    if (map)
        emit_byte(e, 0x0f);
    if (map > 1)
        emit_byte(e, maps[map]);
    emit_byte(e, opcode & 0xff);
}

/* `byte_reg`: a register that, as a byte, needs a REX prefix from SPL on. */
static void emit_prefixes(struct emit *e, unsigned opcode, unsigned width, unsigned reg, unsigned index, unsigned base,
                          bool byte_reg)
{
    unsigned rex = (width == 8 ? 8u : 0u) | (reg >> 3 & 1) << 2 | (index >> 3 & 1) << 1 | (base >> 3 & 1);

    if (width == 2 || opcode & OP_66)
        emit_byte(e, 0x66);
    if (opcode & OP_F3)
        emit_byte(e, 0xf3);
    if (opcode & OP_F2)
        emit_byte(e, 0xf2);
    if (rex || byte_reg)
        emit_byte(e, 0x40 | rex);
    emit_opcode(e, opcode);
}

/*
 * RIP-relative: processors forward a store to a later load of the same variable without delay when the address is a
 * register and a displacement, not when it is a displacement alone.  `imm`: bytes that follow.
 */
static void emit_modrm_rip(struct emit *e, unsigned reg, struct host_mem m, unsigned imm)
{
    emit_byte(e, (reg & 7) << 3 | 5);
    emit_u32(e, (uint32_t)(m.disp - (int64_t)(intptr_t)emit_address(e) - 4 - imm));
}

static void emit_modrm_mem(struct emit *e, unsigned reg, struct host_mem m, unsigned imm)
{
    bool none = m.base == H_NONE, sib = m.index != H_NONE || (m.base & 7) == H_RSP;
    unsigned index = m.index == H_NONE ? 4 : m.index & 7;
    unsigned mod = none || (!m.disp && (m.base & 7) != H_RBP) ? 0 : m.disp == (int8_t)m.disp ? 1 : 2;

    if (none && m.index == H_NONE) {
        emit_modrm_rip(e, reg, m, imm);
        return;
    }
    emit_byte(e, mod << 6 | (reg & 7) << 3 | (sib ? 4u : m.base & 7u));
    if (sib)
        emit_byte(e, (unsigned)m.scale << 6 | index << 3 | (none ? 5u : m.base & 7u));
    if (none || mod == 2)
        emit_u32(e, (uint32_t)m.disp);
    else if (mod == 1)
        emit_byte(e, (uint8_t)m.disp);
}

static unsigned mem_index(struct host_mem m) { return m.index == H_NONE ? 0 : m.index; }
static unsigned mem_base(struct host_mem m) { return m.base == H_NONE ? 0 : m.base; }

void emit_rr(struct emit *e, unsigned opcode, unsigned width, unsigned reg, enum host rm)
{
    emit_prefixes(e, opcode, width, reg, 0, rm, width == 1 && (reg >= 4 || rm >= 4));
    emit_byte(e, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

void emit_rm(struct emit *e, unsigned opcode, unsigned width, unsigned reg, struct host_mem m)
{
    emit_prefixes(e, opcode, width, reg, mem_index(m), mem_base(m), width == 1 && reg >= 4);
    emit_modrm_mem(e, reg, m, 0);
}

void emit_rm_imm(struct emit *e, unsigned opcode, unsigned width, unsigned group, struct host_mem m, unsigned bytes, int32_t value)
{
    emit_prefixes(e, opcode, width, 0, mem_index(m), mem_base(m), false);
    emit_modrm_mem(e, group, m, bytes);
    for (unsigned i = 0; i < bytes; i++)
        emit_byte(e, (uint32_t)value >> i * 8 & 0xff);
}

static void emit_vex(struct emit *e, unsigned pp, unsigned map, bool w, unsigned l, unsigned reg, unsigned vvvv, unsigned index,
                     unsigned base)
{
    emit_byte(e, 0xc4);
    emit_byte(e, (~reg >> 3 & 1) << 7 | (~index >> 3 & 1) << 6 | (~base >> 3 & 1) << 5 | map);
    emit_byte(e, (w ? 0x80u : 0u) | (~vvvv & 15) << 3 | l << 2 | pp);
}

void emit_vex_rr(struct emit *e, unsigned pp, unsigned map, unsigned opcode, bool w, unsigned l, unsigned reg, unsigned vvvv,
                 enum host rm)
{
    emit_vex(e, pp, map, w, l, reg, vvvv, 0, rm);
    emit_byte(e, opcode);
    emit_byte(e, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

void emit_vex_rm(struct emit *e, unsigned pp, unsigned map, unsigned opcode, bool w, unsigned l, unsigned reg, unsigned vvvv,
                 struct host_mem m)
{
    emit_vex(e, pp, map, w, l, reg, vvvv, mem_index(m), mem_base(m));
    emit_byte(e, opcode);
    emit_modrm_mem(e, reg, m, 0);
}

/* EVEX.512.F3.0F.W1 6F/7F; a disp8 would be scaled, so the displacement is always 32 bits or none. */
void emit_move_zmm(struct emit *e, bool store, struct host_mem m)
{
    unsigned index = mem_index(m), base = mem_base(m);
    bool none = m.base == H_NONE;

    emit_byte(e, 0x62);
    emit_byte(e, 0x80 | (~index >> 3 & 1) << 6 | (~base >> 3 & 1) << 5 | 0x10 | 1);
    emit_byte(e, 0xfe);
    emit_byte(e, 0x48);
    emit_byte(e, store ? 0x7f : 0x6f);
    emit_byte(e, (none ? 0u : 2u) << 6 | 4);
    emit_byte(e, (unsigned)m.scale << 6 | (m.index == H_NONE ? 4u : index & 7) << 3 | (none ? 5u : base & 7));
    emit_u32(e, (uint32_t)m.disp);
}

/* The displacement of EVEX forms is always 32 bits: one of 8 would be scaled. */
static void emit_evex_mem(struct emit *e, unsigned reg, struct host_mem m, unsigned imm)
{
    unsigned index = mem_index(m), base = mem_base(m);

    if (m.base == H_NONE && m.index == H_NONE) {
        emit_modrm_rip(e, reg, m, imm);
        return;
    }
    emit_byte(e, (m.base == H_NONE ? 0u : 2u) << 6 | (reg & 7) << 3 | 4);
    emit_byte(e, (unsigned)m.scale << 6 | (m.index == H_NONE ? 4u : index & 7) << 3 | (m.base == H_NONE ? 5u : base & 7));
    emit_u32(e, (uint32_t)m.disp);
}

/* Up to the opcode; index and base: of the operand, or of the register (4 and 3 of its bits). */
static void emit_vec(struct emit *e, const struct host_vec *v, unsigned index, unsigned base)
{
    static const unsigned prefix[] = { 0, OP_66, OP_F3, OP_F2 }, map[] = { 0, OP_0F, OP_0F38, OP_0F3A };

    switch (v->kind) {
    case VEC_LEGACY: emit_prefixes(e, prefix[v->pp] | map[v->map] | v->opcode, v->w ? 8 : 4, v->reg, index, base, false); return;
    case VEC_VEX: emit_vex(e, v->pp, v->map, v->w, v->length, v->reg, v->vvvv, index, base); break;
    default:
        emit_byte(e, 0x62);
        emit_byte(e, (~(unsigned)v->reg >> 3 & 1) << 7 | (~index >> 3 & 1) << 6 | (~base >> 3 & 1) << 5 | (~(unsigned)v->reg >> 4 & 1) << 4 | v->map);
        emit_byte(e, (unsigned)v->w << 7 | (~(unsigned)v->vvvv & 15) << 3 | 4 | v->pp);
        emit_byte(e, (unsigned)v->zeroing << 7 | (unsigned)v->length << 5 | (unsigned)v->broadcast << 4 | (~(unsigned)v->vvvv >> 4 & 1) << 3 | v->mask);
    }
    emit_byte(e, v->opcode);
}

void emit_vec_rm(struct emit *e, const struct host_vec *v, struct host_mem m)
{
    emit_vec(e, v, mem_index(m), mem_base(m));
    if (v->kind == VEC_EVEX)
        emit_evex_mem(e, v->reg, m, v->has_imm);
    else
        emit_modrm_mem(e, v->reg, m, v->has_imm);
    if (v->has_imm)
        emit_byte(e, v->imm);
}

void emit_vec_rr(struct emit *e, const struct host_vec *v, unsigned rm)
{
    emit_vec(e, v, v->kind == VEC_EVEX ? rm >> 1 : 0, rm);
    emit_byte(e, 0xc0 | (v->reg & 7u) << 3 | (rm & 7));
    if (v->has_imm)
        emit_byte(e, v->imm);
}

/* -- moves -------------------------------------------------------------------------------------------------------------- */

void emit_mov(struct emit *e, enum host d, enum host s)
{
    if (d != s)
        emit_rr(e, 0x8b, 8, d, s);
}

void emit_mov_low(struct emit *e, unsigned width, enum host d, enum host s)
{
    if (d != s || width == 4)
        emit_rr(e, width == 1 ? 0x8a : 0x8b, width, d, s);
}

void emit_zext(struct emit *e, unsigned width, enum host d, enum host s)
{
    if (width == 1) {
        emit_prefixes(e, OP_0F | 0xb6, 4, d, 0, s, s >= 4);
        emit_byte(e, 0xc0 | (d & 7u) << 3 | (s & 7u));
    } else if (width == 2) {
        emit_rr(e, OP_0F | 0xb7, 4, d, s);
    } else if (width == 4) {
        emit_rr(e, 0x8b, 4, d, s);
    } else {
        emit_mov(e, d, s);
    }
}

/* Sign-extends `from` bytes to `to`; 2 keeps the rest of d. */
void emit_sext(struct emit *e, unsigned from, unsigned to, enum host d, enum host s)
{
    unsigned opcode = from == 1 ? OP_0F | 0xbe : from == 2 ? OP_0F | 0xbf : 0x63;

    if (from == to) {
        emit_mov_low(e, to, d, s);
        return;
    }
    emit_prefixes(e, opcode, to, d, 0, s, from == 1 && s >= 4);
    emit_byte(e, 0xc0 | (d & 7u) << 3 | (s & 7u));
}

void emit_mov_imm(struct emit *e, enum host d, uint64_t value)
{
    if (value == (uint32_t)value) {
        if (d >= 8)
            emit_byte(e, 0x41);
        emit_byte(e, 0xb8 | (d & 7u));
        emit_u32(e, (uint32_t)value);
    } else if (value == (uint64_t)(int64_t)(int32_t)value) {
        emit_rr(e, 0xc7, 8, 0, d);
        emit_u32(e, (uint32_t)value);
    } else {
        emit_byte(e, 0x48 | (d >> 3 & 1u));
        emit_byte(e, 0xb8 | (d & 7u));
        emit_u64(e, value);
    }
}

void emit_load(struct emit *e, unsigned width, enum host d, struct host_mem m)
{
    static const unsigned opcodes[] = { [1] = OP_0F | 0xb6, [2] = OP_0F | 0xb7, [4] = 0x8b, [8] = 0x8b };

    emit_rm(e, opcodes[width], width == 8 ? 8 : 4, d, m);
}

void emit_store(struct emit *e, unsigned width, struct host_mem m, enum host s)
{
    emit_rm(e, width == 1 ? 0x88 : 0x89, width, s, m);
}

void emit_store_imm(struct emit *e, unsigned width, struct host_mem m, int32_t value)
{
    emit_rm_imm(e, width == 1 ? 0xc6 : 0xc7, width, 0, m, width == 8 ? 4 : width, value);
}

void emit_lea(struct emit *e, unsigned width, enum host d, struct host_mem m) { emit_rm(e, 0x8d, width, d, m); }

/* -- arithmetic ----------------------------------------------------------------------------------------------------------- */

static unsigned alu_opcode(enum host_alu op, unsigned width, bool to_register)
{
    return (unsigned)op << 3 | (to_register ? 2u : 0u) | (width > 1 ? 1u : 0u);
}

void emit_alu_rr(struct emit *e, enum host_alu op, unsigned width, enum host d, enum host s)
{
    emit_rr(e, alu_opcode(op, width, true), width, d, s);
}

void emit_alu_rm(struct emit *e, enum host_alu op, unsigned width, enum host d, struct host_mem m)
{
    emit_rm(e, alu_opcode(op, width, true), width, d, m);
}

void emit_alu_mr(struct emit *e, enum host_alu op, unsigned width, struct host_mem m, enum host s)
{
    emit_rm(e, alu_opcode(op, width, false), width, s, m);
}

/* The immediate's bytes, after a group 1 opcode has been chosen by the same rule. */
static unsigned imm_opcode(unsigned width, int32_t value)
{
    return width == 1 ? 0x80 : value == (int8_t)value ? 0x83 : 0x81;
}

static unsigned imm_bytes(unsigned width, int32_t value)
{
    return width == 1 || value == (int8_t)value ? 1 : width == 2 ? 2 : 4;
}

void emit_alu_ri(struct emit *e, enum host_alu op, unsigned width, enum host d, int32_t value)
{
    emit_prefixes(e, imm_opcode(width, value), width, 0, 0, d, width == 1 && d >= 4);
    emit_byte(e, 0xc0 | (unsigned)op << 3 | (d & 7u));
    for (unsigned i = 0; i < imm_bytes(width, value); i++)
        emit_byte(e, (uint32_t)value >> i * 8 & 0xff);
}

void emit_alu_mi(struct emit *e, enum host_alu op, unsigned width, struct host_mem m, int32_t value)
{
    emit_rm_imm(e, imm_opcode(width, value), width, op, m, imm_bytes(width, value), value);
}

void emit_test_rr(struct emit *e, unsigned width, enum host a, enum host b)
{
    emit_rr(e, width == 1 ? 0x84 : 0x85, width, b, a);
}

void emit_test_ri(struct emit *e, unsigned width, enum host a, int32_t value)
{
    emit_prefixes(e, width == 1 ? 0xf6 : 0xf7, width, 0, 0, a, width == 1 && a >= 4);
    emit_byte(e, 0xc0 | (a & 7u));
    for (unsigned i = 0; i < (width == 8 ? 4 : width); i++)
        emit_byte(e, (uint32_t)value >> i * 8 & 0xff);
}

/* A group's ModRM.reg is not a register: it must not count as SPL..DIL. */
static void emit_group(struct emit *e, unsigned opcode, unsigned width, unsigned reg, enum host rm)
{
    emit_prefixes(e, opcode, width, 0, 0, rm, width == 1 && rm >= 4);
    emit_byte(e, 0xc0 | reg << 3 | (rm & 7u));
}

void emit_group3(struct emit *e, enum host_group3 op, unsigned width, enum host rm)
{
    emit_group(e, width == 1 ? 0xf6 : 0xf7, width, op, rm);
}

void emit_inc_dec(struct emit *e, bool dec, unsigned width, enum host rm)
{
    emit_group(e, width == 1 ? 0xfe : 0xff, width, dec, rm);
}

void emit_inc(struct emit *e, const void *low) { emit_rm(e, 0xff, 8, 0, mem_low(low)); }

void emit_shift_imm(struct emit *e, enum host_shift op, unsigned width, enum host rm, unsigned count)
{
    if (count == 1) {
        emit_group(e, width == 1 ? 0xd0 : 0xd1, width, op, rm);
        return;
    }
    emit_group(e, width == 1 ? 0xc0 : 0xc1, width, op, rm);
    emit_byte(e, count);
}

void emit_shift_cl(struct emit *e, enum host_shift op, unsigned width, enum host rm)
{
    emit_group(e, width == 1 ? 0xd2 : 0xd3, width, op, rm);
}

void emit_rorx(struct emit *e, enum host d, enum host s, unsigned count)
{
    emit_vex_rr(e, 3, 3, 0xf0, true, 0, d, 0, s);
    emit_byte(e, count);
}

/* -- jumps ------------------------------------------------------------------------------------------------------------------ */

uint8_t *emit_jcc(struct emit *e, unsigned cc)
{
    emit_byte(e, 0x0f);
    emit_byte(e, 0x80 | cc);
    emit_u32(e, 0);
    return e->at - 4;
}

uint8_t *emit_jmp(struct emit *e)
{
    emit_byte(e, 0xe9);
    emit_u32(e, 0);
    return e->at - 4;
}

void emit_point(uint8_t *displacement, intptr_t run, const void *where)
{
    int32_t d = (int32_t)((intptr_t)where - ((intptr_t)displacement + run + 4));

    memcpy(displacement, &d, 4);
}

void emit_here(struct emit *e, uint8_t *displacement)
{
    if (!e->full)
        emit_point(displacement, e->run, emit_address(e));
}

void emit_jcc_to(struct emit *e, unsigned cc, const void *where)
{
    uint8_t *at = emit_jcc(e, cc);

    if (!e->full)
        emit_point(at, e->run, where);
}

void emit_jmp_to(struct emit *e, const void *where)
{
    uint8_t *at = emit_jmp(e);

    if (!e->full)
        emit_point(at, e->run, where);
}

void emit_call_to(struct emit *e, const void *where)
{
    emit_byte(e, 0xe8);
    emit_u32(e, 0);
    if (!e->full)
        emit_point(e->at - 4, e->run, where);
}
