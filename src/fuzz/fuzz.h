/*
 * fuzz.h - the same case on several engines, and what they do not agree on.
 *
 * The first engine that is there is what the others are compared with; `native` goes first.
 */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include "fuzz/compare.h"
#include "fuzz/coverage.h"

#include <stdio.h>

struct fuzz_config {
    unsigned engines;            /* a bit each */
    const char *isa;             /* NULL: all (catalog_create()) */
    unsigned bits;               /* of the code: 64, 32, 16 */
    bool system;                 /* cases of system state: soft engines and KVM */
    uint64_t seed, first, step;  /* cases first, first + step, ... */
};

/* A case on which two engines do not agree, made as small as it can be; the first of its cause. */
struct fuzz_difference {
    struct fuzz_case c;
    struct fuzz_outcome a, b;    /* of the reference and of the engine */
    enum fuzz_engine reference, engine;
    enum difference kind;
    char what[256];              /* in words */
    char cause[256];             /* equal where the cause seems to be */
};

struct fuzz;

/* NULL and err: an instruction set nobody knows.  The engines come with fuzz_start(), in the process that runs them. */
struct fuzz *fuzz_create(const struct fuzz_config *config, struct err *err);
void fuzz_destroy(struct fuzz *f);

/* False and err: an engine that is not here. */
bool fuzz_start(struct fuzz *f, struct fuzz_counts *counts, struct err *err);

/* A shard of its own: every step-th case from the first-th on. */
void fuzz_set_shard(struct fuzz *f, uint64_t first, uint64_t step);

/* The next `count` cases.  `differs` gets the first difference of each cause.  False and err: an engine failed. */
bool fuzz_run(struct fuzz *f, unsigned count, void (*differs)(void *opaque, const struct fuzz_difference *d), void *opaque, struct err *err);

/* Runs this case again; `differs` for each engine that does.  *compared: two could.  False and err: an engine failed. */
bool fuzz_replay(struct fuzz *f, const struct fuzz_case *c, void (*differs)(void *opaque, const struct fuzz_difference *d), void *opaque,
                 bool *compared, struct err *err);

/* A case that another catalogue has named the forms of. */
void fuzz_adopt(const struct fuzz *f, struct fuzz_case *c);

const struct catalog *fuzz_catalog(const struct fuzz *f);
const struct fuzz_base *fuzz_base(const struct fuzz *f);
/* Forms that the host answers with #UD: not compared with it. */
unsigned fuzz_not_on_host(const struct fuzz *f);

/* As a line of tests/insn (tests/lib/cases.h): code and inputs that matter. */
void fuzz_print_case(const struct fuzz_case *c, const uint8_t *image, FILE *out);
/* The difference in full: disassembly, what each engine did, the line, how to run it again. */
void fuzz_print_difference(const struct fuzz_difference *d, const uint8_t *image, FILE *out);

#endif
