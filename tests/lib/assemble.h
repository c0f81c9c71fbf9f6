/*
 * assemble.h - instructions as text to bytes: one run of GNU as for a whole table of them.
 */
#ifndef TESTS_ASSEMBLE_H
#define TESTS_ASSEMBLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SNIPPET_BYTES = 64 };

/* One or more instructions, Intel syntax without register prefixes, separated by semicolons. */
struct snippet {
    const char *text;
    bool code32;
    uint8_t bytes[SNIPPET_BYTES]; /* filled in */
    unsigned length;
};

/* Is there an assembler on this host? */
bool assemble_available(void);

/* All `n` of them; false when as refuses one, after it has said on standard error which. */
bool assemble(struct snippet *snippet, size_t n);

#endif
