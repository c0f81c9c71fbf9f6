/* insns.h - the instruction table: one row of insns.def per mnemonic. */
#ifndef X86_INSNS_H
#define X86_INSNS_H

#include "x86/lift.h"
#include "x86/vec.h"
#include "x86/x87.h"

/* Which register state an instruction uses, and so which enabling bits it is subject to. */
enum insn_state {
    STATE_INT, STATE_X87, STATE_MMX, STATE_SSE, STATE_AVX, STATE_AVX512, STATE_PROTECTED,
    STATE_VECTOR, /* MMX with an MMX operand, else SSE */
    STATE_WAIT,   /* FWAIT */
    STATE_XSAVE,
};

struct insn_row {
    uint16_t mnemonic;
    enum insn_state state;
    lift_function *lift;
    int arg;
};

#define INSN(mnemonic, state, lifter, argument) lift_function lift_##lifter;
#include "x86/insns.def"
#undef INSN

/* The exception to raise because this state is not enabled (SDM 2 2.4, 2.5; SDM 3A 2.5), or -1. */
int lift_availability(const struct lift *l, enum insn_state state);

/* NULL for a mnemonic that has no row. */
const struct insn_row *insn_find(uint16_t mnemonic);

#endif
