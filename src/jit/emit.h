/*
 * emit.h - host instructions as bytes: the small part of x86-64 that the generator uses.
 *
 * Registers are numbered as in ModRM.  Widths are bytes.  Code is written through one view of the cache and run
 * through another (cache.h): `emit_address` gives the address it will run at.  Running out of room sets `full`; what
 * was emitted then is thrown away by the caller.
 */
#ifndef JIT_EMIT_H
#define JIT_EMIT_H

#include "base/bits.h"

enum host { H_RAX, H_RCX, H_RDX, H_RBX, H_RSP, H_RBP, H_RSI, H_RDI, H_R8, H_R9, H_R10, H_R11, H_R12, H_R13, H_R14, H_R15,
            H_NONE = 0x7f };

struct emit {
    uint8_t *start, *at, *end; /* the writable view */
    intptr_t run;              /* running address - writable address */
    bool full;
};

/* base + (index << scale) + disp; base H_NONE: an absolute address below 2 GiB, as the code is. */
struct host_mem {
    uint8_t base, index, scale;
    int32_t disp;
};

static inline struct host_mem mem_at(enum host base, int32_t disp)
{
    return (struct host_mem){ .base = (uint8_t)base, .index = H_NONE, .disp = disp };
}

/* A variable of ours; all of them live below 2 GiB (base/low.h). */
static inline struct host_mem mem_low(const void *p)
{
    return (struct host_mem){ .base = H_NONE, .index = H_NONE, .disp = (int32_t)(uintptr_t)p };
}

static inline struct host_mem mem_indexed(enum host base, enum host index, unsigned scale, int32_t disp)
{
    return (struct host_mem){ .base = (uint8_t)base, .index = (uint8_t)index, .scale = (uint8_t)scale, .disp = disp };
}

/* A variable of ours, indexed by bytes. */
static inline struct host_mem mem_table(const void *p, enum host offset)
{
    return mem_at(offset, (int32_t)(uintptr_t)p);
}

/* ADD OR ADC SBB AND SUB XOR CMP, in the order of their encodings; TEST, MOV and LEA apart. */
enum host_alu { A_ADD, A_OR, A_ADC, A_SBB, A_AND, A_SUB, A_XOR, A_CMP };
/* Group 2 and group 3 by ModRM.reg. */
enum host_shift { S_ROL, S_ROR, S_RCL, S_RCR, S_SHL, S_SHR, S_SAR = 7 };
enum host_group3 { G3_NOT = 2, G3_NEG, G3_MUL, G3_IMUL, G3_DIV, G3_IDIV };

/* Opcode maps and mandatory prefixes packed with the opcode. */
enum { OP_0F = 0x100, OP_0F38 = 0x200, OP_0F3A = 0x300, OP_F3 = 0x1000, OP_F2 = 0x2000, OP_66 = 0x4000 };

/* opcode reg, rm of `width` bytes; width 1 takes care of SIL, DIL, BPL.  The opcode itself says 8 bits or more. */
void emit_rr(struct emit *e, unsigned opcode, unsigned width, unsigned reg, enum host rm);
void emit_rm(struct emit *e, unsigned opcode, unsigned width, unsigned reg, struct host_mem m);
/* A group's opcode on memory, with an immediate of so many bytes. */
void emit_rm_imm(struct emit *e, unsigned opcode, unsigned width, unsigned group, struct host_mem m, unsigned bytes, int32_t value);
/* VEX-encoded: pp 0 none, 1 66, 2 F3, 3 F2; map 1 0F, 2 0F38, 3 0F3A; l: 0 128 bits, 1 256 bits. */
void emit_vex_rr(struct emit *e, unsigned pp, unsigned map, unsigned opcode, bool w, unsigned l, unsigned reg, unsigned vvvv,
                 enum host rm);
void emit_vex_rm(struct emit *e, unsigned pp, unsigned map, unsigned opcode, bool w, unsigned l, unsigned reg, unsigned vvvv,
                 struct host_mem m);
/* VMOVDQU64 zmm0 <-> memory. */
void emit_move_zmm(struct emit *e, bool store, struct host_mem m);

/* A vector instruction but for its memory operand: what its prefixes say (SDM 2 2.3, 2.7). */
struct host_vec {
    enum { VEC_LEGACY, VEC_VEX, VEC_EVEX } kind;
    uint8_t map, pp, opcode; /* as for emit_vex_rr */
    bool w, has_imm, zeroing, broadcast;
    uint8_t length, reg, vvvv, mask, imm;
};

void emit_vec_rm(struct emit *e, const struct host_vec *v, struct host_mem m);
void emit_vec_rr(struct emit *e, const struct host_vec *v, unsigned rm);

void emit_byte(struct emit *e, unsigned byte);
void emit_u32(struct emit *e, uint32_t value);
void emit_u64(struct emit *e, uint64_t value);

/* Moves.  Loads of 1 and 2 bytes zero-extend; a move of 4 or less between registers zero-extends from its width. */
void emit_mov(struct emit *e, enum host d, enum host s);                       /* 64 bits; nothing if d == s */
void emit_mov_low(struct emit *e, unsigned width, enum host d, enum host s);   /* width 1, 2 keep the rest of d */
void emit_zext(struct emit *e, unsigned width, enum host d, enum host s);
void emit_sext(struct emit *e, unsigned from, unsigned to, enum host d, enum host s);
void emit_mov_imm(struct emit *e, enum host d, uint64_t value);
void emit_load(struct emit *e, unsigned width, enum host d, struct host_mem m);
void emit_store(struct emit *e, unsigned width, struct host_mem m, enum host s);
void emit_store_imm(struct emit *e, unsigned width, struct host_mem m, int32_t value);
void emit_lea(struct emit *e, unsigned width, enum host d, struct host_mem m);

void emit_alu_rr(struct emit *e, enum host_alu op, unsigned width, enum host d, enum host s);
void emit_alu_rm(struct emit *e, enum host_alu op, unsigned width, enum host d, struct host_mem m);
void emit_alu_mr(struct emit *e, enum host_alu op, unsigned width, struct host_mem m, enum host s);
void emit_alu_ri(struct emit *e, enum host_alu op, unsigned width, enum host d, int32_t value);
void emit_alu_mi(struct emit *e, enum host_alu op, unsigned width, struct host_mem m, int32_t value);
void emit_test_rr(struct emit *e, unsigned width, enum host a, enum host b);
void emit_test_ri(struct emit *e, unsigned width, enum host a, int32_t value);
void emit_group3(struct emit *e, enum host_group3 op, unsigned width, enum host rm);
void emit_inc_dec(struct emit *e, bool dec, unsigned width, enum host rm);
/* Adds 1 to a 64-bit variable of ours. */
void emit_inc(struct emit *e, const void *low);
void emit_shift_imm(struct emit *e, enum host_shift op, unsigned width, enum host rm, unsigned count);
void emit_shift_cl(struct emit *e, enum host_shift op, unsigned width, enum host rm);
void emit_rorx(struct emit *e, enum host d, enum host s, unsigned count); /* 64 bits, no flags */

/* Jumps: forward ones return where their displacement is, for emit_here(); others take a running address. */
uint8_t *emit_jcc(struct emit *e, unsigned cc);
uint8_t *emit_jmp(struct emit *e);
void emit_here(struct emit *e, uint8_t *displacement);
void emit_jcc_to(struct emit *e, unsigned cc, const void *where);
void emit_jmp_to(struct emit *e, const void *where);
void emit_call_to(struct emit *e, const void *where);
/* Sets a displacement that has been written before, through the writable view. */
void emit_point(uint8_t *displacement, intptr_t run, const void *where);

static inline void *emit_address(const struct emit *e) { return e->at + e->run; }

#endif
