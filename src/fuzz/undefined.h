/* undefined.h - results that the manual leaves undefined, or that depend on who made the processor: nobody compares them. */
#ifndef FUZZ_UNDEFINED_H
#define FUZZ_UNDEFINED_H

#include "cpu.h"
#include "x86/decode.h"

/* Arithmetic flags, as in RFLAGS, that are undefined after this instruction, run from `before`. */
uint64_t undefined_flags(const struct insn *i, const struct cpu *before);

/* ... from whatever state; and whether it is the state that decides. */
uint64_t undefined_flags_at_worst(const struct insn *i);
bool undefined_depends_on_count(const struct insn *i);

/* Is what it writes undefined altogether, or a matter of who made the processor?  For this state; for some state. */
bool undefined_result(const struct insn *i, const struct cpu *before);
bool undefined_somewhere(const struct insn *i);

/* Is a page fault here one that a limit may come before?  `end`: the last byte that addresses reach. */
bool undefined_wrap(const struct insn *i, uint64_t end, uint64_t cr2);

/* Two memory operands that both fault: which is told is left open (SDM 2 CMPS). */
bool undefined_order(const struct insn *i);

/* May it end with either of these exceptions, where both have a reason? */
bool undefined_priority(const struct insn *i, int a, int b);

#endif
