/* draw.h - register values for a case. */
#ifndef FUZZ_DRAW_H
#define FUZZ_DRAW_H

#include "cpu.h"
#include "fuzz/random.h"
#include "x86/decode.h"

/* Registers that instructions of a case name; those with a use of their own (RAX to RDI) always count as such. */
struct draw_named {
    uint32_t general, masks, mmx; /* a bit each */
};
void draw_note(const struct insn *i, struct draw_named *named);

/* All registers but x87 ones; those that no instruction names from a pool of 2 KiB. */
void draw_registers(struct random *r, const struct draw_named *named, const uint8_t *pool, struct cpu *c);

/* Vector registers that the instruction names. */
void draw_vectors(struct random *r, const struct insn *i, struct cpu *c);

/* n bytes, a multiple of 8. */
void draw_bytes(struct random *r, uint8_t *to, unsigned n);

#endif
