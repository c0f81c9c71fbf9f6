/*
 * ir.h - what a block of guest code is to the engines.
 *
 * A block is straight-line guest code: up to a branch, a page's end or BLOCK_INSNS instructions.  Its operations
 * work on slots (general registers, then temporaries) and constants.
 *
 * The rule that makes faults precise, checked by ir_verify(): within an instruction, no operation that may fault
 * comes after one that has written architectural state.  A store that follows LDW of the same bytes is `proven`
 * and cannot fault.
 */
#ifndef IR_IR_H
#define IR_IR_H

#include "cpu.h"

#include <stdio.h>

enum ir_opcode {
#define IR(id, name, faults, ends) IR_##id,
#include "ir/ops.def"
#undef IR
    IR_OPCODES
};

/* What the JIT knows of an access: it goes on only if this is plain memory; an earlier one has seen to that. */
enum ir_cover { COVER_NONE, COVER_LEADS, COVER_FOLLOWS };

/* Whose an x87 operation is in the JIT (jit/x87.h): C's, or the host unit's; the first to need it there looks. */
enum ir_x87 { X87_IS_C, X87_HOST, X87_HOST_FIRST };

enum ir_fx { FX_NONE, FX_SET, FX_PART, FX_USE };

enum atomic_kind { ATOMIC_ADD, ATOMIC_SUB, ATOMIC_AND, ATOMIC_OR, ATOMIC_XOR, ATOMIC_XCHG, ATOMIC_CMPXCHG,
                   ATOMIC_NEG };

enum ldx_flags { LDX_ALIGNED = 1, LDX_NON_TEMPORAL = 2, LDX_STACK = 4 };

/* Operand: a slot, or IR_CONST + index into the block's constants. */
typedef uint16_t ir_operand;
enum { IR_CONST = 0x4000, IR_NONE = 0xffff };

struct ir_op {
    uint8_t op, width;
    uint8_t cc;     /* condition; LD, LDW, ST: enum access_form; LDX, STX: enum ldx_flags; SEGCHECK: intent; ATOMIC: kind */
    uint8_t fx;
    bool proven;    /* cannot fault: see above */
    uint8_t cover;  /* enum ir_cover: the JIT's */
    uint8_t x87;    /* enum ir_x87: the JIT's */
    bool live;      /* its flags are wanted (ir_optimise) */
    bool stack;     /* through SS: a non-canonical address is #SS */
    bool state;     /* HELPER, HELPER_END: may look at registers, beyond its operands, and change them */
    uint16_t insn;  /* index of its instruction */
    ir_operand d, a, b, c;
    uint32_t aux;
    int64_t imm;
};

enum { IR_OPS = 1920, IR_CONSTS = 512, IR_CODE = 15 };

struct ir_insn {
    uint64_t rip;
    uint8_t length;
    uint16_t first;  /* its first operation */
};

struct ir_block {
    uint64_t rip;      /* of its first instruction */
    uint32_t mode;
    unsigned insns, ops, consts;
    struct ir_insn insn[BLOCK_INSNS];
    struct ir_op op[IR_OPS];
    uint64_t konst[IR_CONSTS];
    uint8_t code[BLOCK_INSNS][IR_CODE]; /* the bytes of each instruction */
};

extern const char *const ir_names[IR_OPCODES];
extern const bool ir_faults[IR_OPCODES], ir_ends[IR_OPCODES];

/* Appends an operation to the block's last instruction; the block has room (the lifter checks per instruction). */
struct ir_op *ir_emit(struct ir_block *b, enum ir_opcode op, unsigned width, ir_operand d, ir_operand a, ir_operand rhs);
ir_operand ir_const(struct ir_block *b, uint64_t value);

/* A helper that is called: not an x87 operation of the host's, unless it is FLDCW, which may be C after all. */
static inline bool ir_calls(const struct ir_op *o) { return o->op == IR_HELPER && !(o->x87 && !o->state); }

/* May raise a guest exception; may leave the block. */
bool ir_can_fault(const struct ir_op *o);
bool ir_leaves(const struct ir_op *o);
/* Does it read, or write, this slot?  A helper with state counts as reading and writing every general register. */
bool ir_reads(const struct ir_op *o, ir_operand x);
bool ir_writes(const struct ir_op *o, ir_operand x);
/*
 * Can the LEA that is operation `at` be left to the accesses that use its result?  It makes a temporary that only they
 * use, as their address, while its operands still hold.
 */
bool ir_folds_address(const struct ir_block *b, unsigned at);
/* Is CF (ADOX: OF) an input? */
bool ir_uses_carry(const struct ir_op *o);

/* Which operations' flags are wanted: `live`.  Part of ir_optimise(); again when `cover` has been set. */
void ir_mark_live_flags(struct ir_block *b);

/* Drops flags nobody reads and moves nobody needs.  Flags count as read wherever an exception could show them. */
void ir_optimise(struct ir_block *b);

/* Keeps the first `insns` instructions, not all of them; the block goes on at the next one's RIP. */
void ir_truncate(struct ir_block *b, unsigned insns);

/* NULL, or what breaks the rule above. */
const char *ir_verify(const struct ir_block *b);

void ir_print(const struct ir_block *b, FILE *out);

#endif
