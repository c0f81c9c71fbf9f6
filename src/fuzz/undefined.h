/* undefined.h - results that the manual leaves undefined: nobody compares them. */
#ifndef FUZZ_UNDEFINED_H
#define FUZZ_UNDEFINED_H

#include "cpu.h"
#include "x86/decode.h"

/* Arithmetic flags, as in RFLAGS, that are undefined after this instruction, run from `before`. */
uint64_t undefined_flags(const struct insn *i, const struct cpu *before);

/* Is what it writes undefined altogether, or a matter of who made the processor? */
bool undefined_result(const struct insn *i, const struct cpu *before);

/* Is a page fault here one that a limit may come before? */
bool undefined_wrap(const struct insn *i, uint64_t cr2);

/* May it end with either of these exceptions, where both have a reason? */
bool undefined_priority(const struct insn *i, int a, int b);

#endif
