/*
 * generate.h - cases: an instruction drawn from the encoding space, registers and memory that make it interesting.
 *
 * Case n of a seed is the same whatever else a campaign does: shards need nothing of each other.
 */
#ifndef FUZZ_GENERATE_H
#define FUZZ_GENERATE_H

#include "native/native.h"
#include "x86/decode.h"

enum { FUZZ_CODE_BYTES = 16, FUZZ_PAGES = 5, FUZZ_BYTES = FUZZ_PAGES * NATIVE_PAGE };

/* From NATIVE_DATA on. */
static const enum native_page fuzz_page[FUZZ_PAGES] = { NATIVE_RW, NATIVE_RW, NATIVE_RO, NATIVE_NONE, NATIVE_RW };

struct fuzz_case {
    uint64_t number;
    unsigned form;                /* in the catalog */
    bool code32;
    uint8_t code[FUZZ_CODE_BYTES];
    unsigned bytes;
    struct insn insn;
    struct cpu cpu;               /* general, vector, opmask, x87 and MMX registers, flags, MXCSR, RIP */
    uint8_t memory[FUZZ_BYTES];   /* from NATIVE_DATA on */
};

/* What encodings there are, by form: a mnemonic's legacy, VEX and EVEX encodings are three. */
struct catalog;

/*
 * catalog_create - tries encodings, which takes about a second.
 *
 * isa    comma-separated: instruction-set extensions as Zydis spells them (BASE, SSE2, AVX512VL; any that begin so) or
 *        mnemonics; NULL: everything that one piece of user-mode code can show
 * NULL and err: nothing is named so.
 */
struct catalog *catalog_create(const char *isa, bool code32, struct err *err);
void catalog_free(struct catalog *c);
unsigned catalog_forms(const struct catalog *c);

/* What is the same in all cases: control registers, mode; memory that is not drawn. */
struct fuzz_base {
    const struct cpu *cpu;
    const uint8_t *memory;
};

/* Case `number` of this seed.  False: none came of it, in many tries. */
bool generate(const struct catalog *c, uint64_t seed, uint64_t number, const struct fuzz_base *base, struct fuzz_case *out);

#endif
