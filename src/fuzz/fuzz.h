/*
 * fuzz.h - the same case on several engines, and what they do not agree on.
 *
 * The first engine that is there is what the others are compared with; `native` goes first.
 */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include "fuzz/generate.h"

#include <stdio.h>

enum fuzz_engine { FUZZ_NATIVE, FUZZ_INTERP, FUZZ_JIT, FUZZ_ENGINES };

extern const char *const fuzz_engine_names[FUZZ_ENGINES];

struct fuzz_outcome {
    struct cpu cpu;
    uint8_t memory[FUZZ_BYTES];
    int vector;                  /* -1: none */
    uint32_t error;
    uint64_t cr2;
    bool stuck;                  /* it did not end */
};

struct fuzz_config {
    unsigned engines;            /* a bit each */
    const char *isa;             /* NULL: all (catalog_create()) */
    bool code32;
    uint64_t seed, first, step;  /* cases first, first + step, ... */
    /* A case on which `engine` differs from the reference. */
    void (*differs)(void *opaque, const struct fuzz_case *c, enum fuzz_engine reference, enum fuzz_engine engine, const char *what);
    void *opaque;
};

struct fuzz_counts {
    uint64_t cases, differences;
    uint64_t ns[FUZZ_ENGINES], generate_ns;
    unsigned forms, not_on_host;          /* drawn from (catalog.h); those the host answers with #UD: not compared with it */
    uint64_t least;                       /* cases of the form that was drawn least often */
};

struct fuzz;

/* NULL and err: an engine that is not here, an instruction set nobody knows. */
struct fuzz *fuzz_create(const struct fuzz_config *config, struct err *err);
void fuzz_destroy(struct fuzz *f);

/* The next `count` cases.  False and err: an engine failed. */
bool fuzz_run(struct fuzz *f, unsigned count, struct err *err);
void fuzz_count(const struct fuzz *f, struct fuzz_counts *out);

/* As a line of tests/insn (tests/lib/cases.h): code, inputs that matter, what `outcome` did. */
void fuzz_print_case(const struct fuzz_case *c, FILE *out);

#endif
