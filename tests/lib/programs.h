/*
 * programs.h - random machine code for cases.c: loops whose instructions mostly do not end them.
 */
#ifndef TESTS_PROGRAMS_H
#define TESTS_PROGRAMS_H

#include "fuzz/random.h"

#include "cpu.h"

#include <stdbool.h>
#include <stdint.h>

enum { PROGRAM_BYTES = 2048 /* at most */ };

/*
 * program_x87    x87 instructions, right and wrong, and what else wants the x87's registers or the flags in between
 * program_memory integer and vector instructions that go to memory through a few pointers, at small distances from each
 *                other: what the JIT finds the way for once is used by several, with few registers left
 *
 * One loop, which RBP counts.  Returns its length.
 */
unsigned program_x87(struct random *r, uint8_t *bytes, bool code32);
unsigned program_memory(struct random *r, uint8_t *bytes, bool code32);

/* The registers they go through: addresses in [data, data + size), small numbers where an index is wanted. */
void program_pointers(struct random *r, struct cpu *c, uint64_t data, uint64_t size, uint64_t code);

#endif
