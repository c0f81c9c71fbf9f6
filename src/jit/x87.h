/* x87.h - the guest's x87 in the host's x87 unit: which operations of a block are carried out there, and its state. */
#ifndef JIT_X87_H
#define JIT_X87_H

#include "ir/ir.h"

struct jit;

/* What the x87's last-instruction registers get when the state comes back: the unit itself has seen ours. */
struct x87_note {
    uint64_t ip;
    uint16_t opcode;
    bool due;              /* there has been an instruction since; */
    uint8_t segment;       /* one with an operand in memory, through segment - 1; 0: none */
};

/* What is known of it at a point of a block. */
struct x87_state {
    bool inside, outside;  /* the unit has the guest's state; the vcpu has; neither: one of them */
    struct x87_note note;  /* what the code has not noted yet */
};

/* Marks the operations of the block that the host's unit can do (enum ir_x87), and makes accesses what they are. */
void x87_plan(struct ir_block *ir, bool host_agrees);

/* Where the manual leaves C1 open it is as in help_x87_op.c: FCOMI and FCMOVcc leave it alone, FFREE clears it. */
bool x87_host_agrees(void);

/* The state from the vcpu into the unit, and back. */
void jit_x87_in(struct jit *j);
void jit_x87_out(struct jit *j);
void jit_x87_note(struct jit *j, const struct x87_note *note);

bool x87_is_fnstcw(const struct ir_op *o);

/* An operation that is not marked, on x87 registers where the vcpu has them: MMX. */
bool x87_in_vcpu(const struct ir_op *o);

#endif
