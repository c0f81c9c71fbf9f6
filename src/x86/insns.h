/* insns.h - the instruction table: one row of insns.def per mnemonic. */
#ifndef X86_INSNS_H
#define X86_INSNS_H

#include "x86/lift.h"

/* Which register state an instruction uses, and so which enabling bits it is subject to. */
enum insn_state { STATE_INT, STATE_X87, STATE_MMX, STATE_SSE, STATE_AVX, STATE_AVX512, STATE_PROTECTED };

struct insn_row {
    uint16_t mnemonic;
    enum insn_state state;
    lift_function *lift;
    int arg;
};

#define INSN(mnemonic, state, lifter, argument) lift_function lift_##lifter;
#include "x86/insns.def"
#undef INSN

/* NULL for a mnemonic that has no row. */
const struct insn_row *insn_find(uint16_t mnemonic);

#endif
