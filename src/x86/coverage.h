/* coverage.h - which mnemonics the decoder knows and insns.def has no row for, by instruction-set extension. */
#ifndef X86_COVERAGE_H
#define X86_COVERAGE_H

struct coverage_row {
    const char *extension, *mnemonic; /* as Zydis spells them; they live as long as the program */
};

struct coverage {
    unsigned covered, missing;
    struct coverage_row *row;         /* the missing ones, sorted by extension, then mnemonic */
};

/* Takes about a second: the decoder tells a mnemonic's extension only for an encoding, so encodings are tried. */
void coverage_collect(struct coverage *out);
void coverage_free(struct coverage *c);

#endif
