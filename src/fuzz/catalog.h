/* catalog.h - what catalog.c finds and generate.c draws from. */
#ifndef FUZZ_CATALOG_H
#define FUZZ_CATALOG_H

#include "fuzz/generate.h"

enum template_kind { TEMPLATE_LEGACY, TEMPLATE_VEX, TEMPLATE_EVEX };

struct template {
    uint16_t mnemonic;
    uint8_t kind;              /* enum template_kind */
    uint8_t map, pp, w, length; /* pp: none, 66, F3, F2; length: 128, 256, 512 bits */
    uint8_t opcode;
    uint8_t regs;              /* ModRM.reg may be one of these, as a mask */
    uint8_t modrm;             /* `exact`: this one */
    bool memory, exact;
    bool vvvv_free;            /* VEX.vvvv names a register */
};

/* What is drawn before the opcode. */
struct template_choice {
    unsigned reg, index, base, vvvv; /* high bits of register numbers; vvvv whole; EVEX: also bit 4 of reg and vvvv */
    unsigned mask;
    bool zeroing, b;
    unsigned length;
};

struct catalog {
    struct template *template; /* by form */
    unsigned templates, room;
    unsigned *first;           /* of form i; one more at the end */
    unsigned forms;            /* mnemonics, once for each of legacy, VEX and EVEX that they have */
};

/* The bytes before the opcode; returns how many. */
unsigned template_prefix(const struct template *t, const struct template_choice *c, uint8_t *bytes);

#endif
