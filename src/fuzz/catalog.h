/*
 * catalog.h - what encodings there are, by form (a mnemonic's legacy, VEX and EVEX encodings are three) and by shape (what
 * operands they have).
 */
#ifndef FUZZ_CATALOG_H
#define FUZZ_CATALOG_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum template_kind { TEMPLATE_LEGACY, TEMPLATE_VEX, TEMPLATE_EVEX };

enum { SHAPE_NAME = 48 };

struct template {
    char name[SHAPE_NAME];     /* mnemonic and operands, in words: "EVEX vaddps zmm, zmm, m512" */
    uint16_t form, shape;      /* which of the catalogue's */
    uint16_t mnemonic;
    uint8_t kind;              /* enum template_kind */
    uint8_t map, pp, w, length; /* pp: none, 66, F3, F2; length: 128, 256, 512 bits */
    uint8_t opcode;
    uint8_t regs;              /* ModRM.reg may be one of these, as a mask */
    uint8_t modrm;             /* `exact`: this one */
    bool memory, exact;
    bool vsib;                 /* the index is a vector */
    bool vvvv_free;            /* VEX.vvvv names a register */
};

/* What is drawn before the opcode. */
struct template_choice {
    unsigned reg, index, base, vvvv; /* high bits of register numbers; vvvv whole; EVEX: also bit 4 of reg and vvvv */
    unsigned mask;
    bool zeroing, b;
    unsigned length;
};

/* Templates are sorted: those of a form lie together, and in it those of a shape. */
struct catalog {
    struct template *template;
    unsigned templates, room;
    unsigned *first;           /* template of form i; one more at the end */
    unsigned forms;            /* mnemonics, once for each of legacy, VEX and EVEX that they have */
    unsigned *shape;           /* the first template of shape i; one more at the end */
    unsigned shapes;           /* the same, once for each combination of operands */
};


/*
 * catalog_create - tries encodings, which takes about a second.
 *
 * isa    comma-separated: instruction-set extensions as Zydis spells them (BASE, SSE2, AVX512VL; any that begin so) or
 *        mnemonics; NULL: everything that one piece of user-mode code can show
 * bits         of the code: 64, 32, 16
 * privileged   what one piece of user-mode code cannot show as well
 * NULL and err: nothing is named so.
 */
struct catalog *catalog_create(const char *isa, unsigned bits, bool privileged, struct err *err);
void catalog_free(struct catalog *c);

/* The bytes before the opcode; returns how many. */
unsigned template_prefix(const struct template *t, const struct template_choice *c, uint8_t *bytes);

#endif
