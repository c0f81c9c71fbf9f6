/*
 * feature.h - what a CPU has (features.def): sets of features, and which instructions there are with them.
 */
#ifndef X86_FEATURE_H
#define X86_FEATURE_H

#include "base/bits.h"

struct insn;

enum feature {
    FEATURE_none, /* what everything needs: in every set */
#define FEATURE(name, leaf, subleaf, reg, bit, level, needs, also) FEATURE_##name,
#include "x86/features.def"
#undef FEATURE
    FEATURES
};

struct feature_set {
    uint64_t bits[2];
};

_Static_assert(FEATURES > 64 && FEATURES <= 128, "a feature_set has room for all");

struct feature_row {
    const char *name;
    uint32_t leaf;
    uint8_t subleaf;
    uint8_t reg;           /* offset in struct cpuid_result */
    uint8_t bit;
    uint8_t level;         /* 1..4: of the psABI; 0: of none */
    uint8_t needs[2];      /* enum feature */
};

extern const struct feature_row feature_rows[FEATURES];
/* Names that other CPUs have and this program does not; ends with NULL. */
extern const char *const feature_unoffered[];

static inline bool feature_has(const struct feature_set *s, unsigned f) { return !f || s->bits[f >> 6] >> (f & 63) & 1; }

/* Everything that is implemented. */
extern const struct feature_set feature_all;

/* The psABI's level, 1..4, with all below it. */
struct feature_set feature_level(unsigned level);

/* With what it needs, and without what needs it. */
void feature_add(struct feature_set *s, unsigned f);
void feature_remove(struct feature_set *s, unsigned f);
/* What is in both. */
struct feature_set feature_common(const struct feature_set *a, const struct feature_set *b);

/* Do two names mean the same?  Case, '_', '-' and '.' do not count. */
bool feature_same_name(const char *a, const char *b, size_t length_b);

/*
 * feature_decode - an instruction, as a CPU that has only these features decodes it.
 *
 * Returns what it lacks, and the instruction is #UD; FEATURE_none: it is there.  TZCNT and LZCNT, whose prefix means
 * nothing to CPUs without them, become BSF and BSR (SDM 2 LZCNT, TZCNT).
 */
enum feature feature_decode(const struct feature_set *s, uint32_t mode, struct insn *insn);

#endif
