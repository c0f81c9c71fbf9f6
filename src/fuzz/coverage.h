/* coverage.h - what the cases of a campaign were, and how they ended: counters that several processes can share. */
#ifndef FUZZ_COVERAGE_H
#define FUZZ_COVERAGE_H

#include "fuzz/side.h"

enum { FUZZ_VECTORS = 33 };  /* exceptions by number; the last: none */

/* Where a case's memory operands are. */
enum fuzz_place { PLACE_NONE, PLACE_MEMORY, PLACE_ACROSS /* two pages */, PLACE_BAD /* not mapped, or not that way */, PLACE_DEVICE,
                  PLACE_DEVICE_ACROSS, FUZZ_PLACES };

extern const char *const fuzz_place_names[FUZZ_PLACES];

struct fuzz_counts {
    uint64_t cases, sequences, instructions, differences;
    uint64_t device, device_wide;              /* cases with transactions; ... with more than 8 bytes at once, or across a boundary */
    uint64_t transactions;
    uint64_t ended[3][FUZZ_VECTORS];           /* by encoding of the last instruction: enum template_kind */
    uint64_t placed[FUZZ_PLACES];
    uint64_t masked, zeroed, broadcast, rounded, locked;
    uint64_t run[FUZZ_ENGINES], ns[FUZZ_ENGINES], generate_ns;
    unsigned shapes;
    uint64_t executed[];                       /* by shape of the catalogue */
};

/* All zero, shared with child processes. */
struct fuzz_counts *coverage_create(const struct catalog *k);
void coverage_destroy(struct fuzz_counts *counts);
void coverage_add(struct fuzz_counts *to, const struct fuzz_counts *from);

/* A case, the way it ended; not in `cases`. */
void coverage_count(struct fuzz_counts *counts, const struct catalog *k, const struct fuzz_case *c, const struct fuzz_outcome *o);

#endif
