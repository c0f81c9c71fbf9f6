/*
 * lift.h - from an instruction to IR: what the lift_* families share.
 *
 * A lifter emits, in this order: what may fault (addresses, checks, loads, the store), then what commits
 * (registers, flags, RIP).  Where it cannot, it calls a helper that keeps the order itself.
 */
#ifndef X86_LIFT_H
#define X86_LIFT_H

#include "ir/ir.h"
#include "types.h"
#include "x86/decode.h"
#include "x86/feature.h"
#include "x86/flags.h"
#include "x86/history.h"
#include "x86/helpers.h"

enum { LIFT_CALLS = 16 };

struct lift {
    struct ir_block *b;
    const struct insn *i;
    uint32_t mode;
    uint64_t rip, next;
    unsigned temps;
    bool ended;        /* the block cannot go on after this instruction */
    uint64_t returns[LIFT_CALLS]; /* where RETs of the block's own CALLs lead */
    unsigned calls;
    unsigned loop;     /* instructions of the loop the block goes round; 0: none */
};

/* Where an operand is in memory: [a + imm]. */
struct place {
    ir_operand a;
    int64_t imm;
    bool stack;        /* through SS */
    enum access_form form;
};

/* False: this form is not implemented, the guest gets #UD. */
typedef bool lift_function(struct lift *l, int arg);

/* One instruction onto the end of the block; decides itself what an undefined or missing one becomes. */
void lift_insn(struct lift *l);

/*
 * lift_block - decode and lift from `rip` on.
 *
 * fetch   copies up to n bytes of code at a linear address, and says how many it got (a page's end, a fault)
 * limit   at most so many instructions
 * Returns the number of instructions: 0 when not even the first could be fetched whole.
 */
struct debug_breaks {
    unsigned n;
    const uint64_t *at; /* linear addresses */
};

struct lift_source {
    size_t (*fetch)(void *opaque, uint64_t rip, uint8_t *bytes, size_t n);
    void *opaque;
    /* Go on along what branches did, within the page, and end where the page does; NULL: end with the first branch. */
    const struct history *history;
    uint64_t cs_base;   /* where RIP 0 is: says where pages end */
    const struct feature_set *features; /* of the CPU; NULL: all */
    const struct debug_breaks *breaks;  /* where a debugger wants to stop; NULL: nowhere */
};
unsigned lift_block(struct ir_block *b, uint64_t rip, uint32_t mode, unsigned limit, const struct lift_source *source);

/* -- temporaries, constants, operations ------------------------------------------------------------------- */

ir_operand lift_temp(struct lift *l);
static inline ir_operand lift_const(struct lift *l, uint64_t v) { return ir_const(l->b, v); }
struct ir_op *lift_op(struct lift *l, enum ir_opcode op, unsigned width, ir_operand d, ir_operand a, ir_operand b);
/* The same, with an effect on the flags. */
struct ir_op *lift_opf(struct lift *l, enum ir_opcode op, unsigned width, ir_operand d, ir_operand a, ir_operand b,
                       enum ir_fx fx);
/* d may be IR_NONE; arguments not needed are IR_NONE. */
struct ir_op *lift_help(struct lift *l, enum helper_id id, ir_operand d, ir_operand a, ir_operand b, ir_operand c,
                        int64_t imm);
/* A helper that sets RIP; the block ends. */
void lift_help_end(struct lift *l, enum helper_id id, ir_operand a, ir_operand b, int64_t imm);
/* The block ends, execution goes on at the next instruction: after what changes the mode. */
void lift_end(struct lift *l);
bool lift_raise(struct lift *l, int vector);

/* -- operands --------------------------------------------------------------------------------------------- */

static inline const struct operand *lift_operand(const struct lift *l, unsigned n) { return &l->i->op[n]; }
static inline bool lift_is_memory(const struct lift *l, unsigned n) { return l->i->op[n].kind == OPERAND_MEMORY; }

/* The effective address, without segment. */
ir_operand lift_effective(struct lift *l, const struct operand *o);
/* The linear address of `width` bytes, checked for `intent` (ACCESS_READ, ACCESS_WRITE). */
struct place lift_place(struct lift *l, const struct operand *o, unsigned width, unsigned intent);
/* The linear address of an effective one in a segment. */
struct place lift_linear(struct lift *l, unsigned segment, ir_operand offset, unsigned width, unsigned intent);
ir_operand lift_load(struct lift *l, struct place p, unsigned width);
ir_operand lift_load_to_write(struct lift *l, struct place p, unsigned width);
void lift_store(struct lift *l, struct place p, unsigned width, ir_operand value);
/* After lift_load_to_write of the same place: cannot fault. */
void lift_store_back(struct lift *l, struct place p, unsigned width, ir_operand value);

/* Operand n's value: only its low `width` bytes mean anything. */
ir_operand lift_read(struct lift *l, unsigned n);
/* To a register operand, at its width (memory: a store). */
void lift_write(struct lift *l, unsigned n, ir_operand value);
void lift_write_register(struct lift *l, const struct operand *o, ir_operand value);

/* -- the stack ----------------------------------------------------------------------------------------------- */

unsigned lift_stack_width(const struct lift *l);
void lift_push(struct lift *l, unsigned width, ir_operand value);
/* Reads the top; lift_drop() then commits. */
ir_operand lift_top(struct lift *l, unsigned width);
void lift_drop(struct lift *l, int64_t bytes);
/* Faults unless RIP may become this. */
void lift_check_target(struct lift *l, ir_operand target);

#endif
