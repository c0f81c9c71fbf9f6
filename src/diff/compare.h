/*
 * compare.h - did two engines do the same to the devices in one instruction, and if not, in what do they differ?
 *
 * Pure: two journeys in, a verdict with a one-line cause out.  What is compared are bytes: which address was read
 * or written, in which order, with which value.  How they were cut decides only between `same` and `refragmented`.
 */
#ifndef DIFF_COMPARE_H
#define DIFF_COMPARE_H

#include "trace/journey.h"

enum verdict {
    VERDICT_SAME,
    VERDICT_REFRAGMENTED,  /* same bytes in the same order, other cuts (or types, or a merged string operation) */
    VERDICT_INEXPRESSIBLE, /* one engine could not carry the instruction out */
    VERDICT_DIVERGENT,
    VERDICTS
};

/*
 * phantoms   bytes each side touched that the architecture does not ask for (fragmentation by a peer's habit, such as
 *            KVM's read for CLFLUSH).  They do not make a journey divergent, but a device may mind: count them apart.
 */
struct comparison {
    enum verdict verdict;
    unsigned phantoms[2];
    char cause[160]; /* "" where same */
};

/*
 * compare_journeys - the verdict on one pair.
 *
 * A NULL journey stands for an engine that touched no device there: the other's loads are then phantoms if it is
 * KVM, and a divergence if not.  Flags, types and results are compared only where both engines can express them,
 * that is, where neither is KVM.
 */
struct comparison compare_journeys(const struct journey *a, const struct journey *b);

/* Sums over a run. */
struct compare_counts {
    uint64_t verdict[VERDICTS];
    uint64_t phantom_journeys, phantoms[2];
};

void compare_count(struct compare_counts *counts, const struct comparison *comparison);

extern const char *const verdict_names[VERDICTS];

#endif
