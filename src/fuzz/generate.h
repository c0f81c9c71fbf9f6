/*
 * generate.h - cases: instructions drawn from the encoding space, registers and memory that make them interesting.
 *
 * Case n of a seed is the same whatever else a campaign does: shards need nothing of each other.
 */
#ifndef FUZZ_GENERATE_H
#define FUZZ_GENERATE_H

#include "fuzz/case.h"
#include "fuzz/catalog.h"
#include "fuzz/random.h"

/* Raised when another case comes of the same number. */
enum { GENERATOR_VERSION = 1 };

/* What is the same in all cases: control registers, mode; the image of memory; what is drawn from. */
struct fuzz_base {
    const struct catalog *catalog;
    uint8_t bits;        /* of the code */
    struct cpu cpu;
    uint8_t image[FUZZ_BYTES];
    bool system;         /* cases of system state; for them: */
    struct cpu cpu0;     /* ... at CPL 0 */
    uint64_t entry[SYSTEM_ENTRIES], code_entry;
    bool pvm;            /* one engine is a KVM that leaves code at CPL 3 to the host's control registers and descriptors */
    bool refusing;       /* windows of the device that refuse some accesses, too */
};

/* Case `number` of this seed: most are one instruction, some are sequences. */
void generate(const struct fuzz_base *base, uint64_t seed, uint64_t number, struct fuzz_case *out);

/* One instruction of this form. */
void generate_form(const struct fuzz_base *base, uint64_t seed, uint64_t number, unsigned form, struct fuzz_case *out);

/* Several instructions, and branches among them (sequence.c).  Their registers are the caller's to draw. */
void generate_sequence(struct random *r, const struct fuzz_base *base, struct fuzz_case *out);

/* A template: half of them from a form drawn evenly, half from a shape. */
unsigned generate_template(struct random *r, const struct catalog *k);

/* Decodes the code again after it was changed, at the same places. */
bool generate_decode(struct fuzz_case *c);

#endif
