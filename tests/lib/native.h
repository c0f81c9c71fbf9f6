/*
 * native.h - a snippet on the host processor: where the expected values of tests/insn come from.
 *
 * A signal handler replaces the state it interrupted by the snippet's, and the snippet ends in a signal of its own, in
 * whose handler the state is taken.  No assembly, and the kernel moves all register state.  32-bit code runs through a
 * changed CS.  For x86-64 Linux; the caller forks, because a snippet may do anything.
 */
#ifndef TESTS_NATIVE_H
#define TESTS_NATIVE_H

#include "cpu.h"

struct native_end {
    int vector;       /* -1: reached a CC */
    uint32_t error;
    uint64_t cr2;
};

/* Sets up handlers, the signal stack and flat DS and ES; once in the forked child.  False: not on this host. */
bool native_prepare(void);

/*
 * Runs from cpu->rip with the general, vector, mask and MMX registers and arithmetic flags of `cpu`; they are those at
 * the end afterwards.  Pages with code, data and stack are mapped by the caller.
 */
struct native_end native_run(struct cpu *cpu, bool code32);

#endif
