/* feature.c - features.def as tables: bits of CPUID, what needs what, what instructions need. */
#include "x86/feature.h"

#include "cpu.h"
#include "x86/cpuid.h"
#include "x86/decode.h"

enum { LEVEL_NONE, LEVEL_V1, LEVEL_V2, LEVEL_V3, LEVEL_V4 };

const struct feature_row feature_rows[FEATURES] = {
#define FEATURE(name, leaf, subleaf, reg, bit, level, needs, also)                                                     \
    [FEATURE_##name] = { #name, leaf, subleaf, offsetof(struct cpuid_result, reg), bit, LEVEL_##level,                 \
                         { FEATURE_##needs, FEATURE_##also } },
#include "x86/features.def"
#undef FEATURE
};

const char *const feature_unoffered[] = {
#define UNOFFERED(name) #name,
#include "x86/features.def"
#undef UNOFFERED
    NULL,
};

const struct feature_set feature_all = { { UINT64_MAX, UINT64_MAX >> (128 - FEATURES) } };

/* -- sets ----------------------------------------------------------------------------------------------------------- */

struct feature_set feature_level(unsigned level)
{
    struct feature_set s = { { 0 } };

    for (unsigned f = 1; f < FEATURES; f++)
        if (feature_rows[f].level && feature_rows[f].level <= level)
            feature_add(&s, f);
    return s;
}

void feature_add(struct feature_set *s, unsigned f)
{
    if (feature_has(s, f))
        return;
    s->bits[f >> 6] |= BIT(f & 63);
    feature_add(s, feature_rows[f].needs[0]);
    feature_add(s, feature_rows[f].needs[1]);
}

void feature_remove(struct feature_set *s, unsigned f)
{
    if (!f || !feature_has(s, f))
        return;
    s->bits[f >> 6] &= ~BIT(f & 63);
    for (unsigned i = 1; i < FEATURES; i++)
        if (feature_rows[i].needs[0] == f || feature_rows[i].needs[1] == f)
            feature_remove(s, i);
}

struct feature_set feature_common(const struct feature_set *a, const struct feature_set *b)
{
    return (struct feature_set){ { a->bits[0] & b->bits[0], a->bits[1] & b->bits[1] } };
}

/* -- names ------------------------------------------------------------------------------------------------------------ */

static bool is_separator(char c) { return c == '_' || c == '-' || c == '.'; }
static char to_lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c | 32) : c; }

bool feature_same_name(const char *a, const char *b, size_t length_b)
{
    const char *end = b + length_b;

    for (;;) {
        while (is_separator(*a))
            a++;
        while (b < end && is_separator(*b))
            b++;
        if (!*a || b == end)
            return !*a && b == end;
        if (to_lower(*a++) != to_lower(*b++))
            return false;
    }
}

/* -- instructions -------------------------------------------------------------------------------------------------------- */

static const uint8_t isa_needs[ZYDIS_ISA_SET_MAX_VALUE + 1][2] = {
#define ISA(set, needs, also) [ZYDIS_ISA_SET_##set] = { FEATURE_##needs, FEATURE_##also },
#include "x86/features.def"
#undef ISA
};

static const uint8_t mnemonic_needs[ZYDIS_MNEMONIC_MAX_VALUE + 1][2] = {
#define MNEMONIC(mnemonic, needs, also) [ZYDIS_MNEMONIC_##mnemonic] = { FEATURE_##needs, FEATURE_##also },
#include "x86/features.def"
#undef MNEMONIC
};

static enum feature feature_missing(const struct feature_set *s, const struct insn *i)
{
    const uint8_t *needs[] = { isa_needs[i->isa], mnemonic_needs[i->mnemonic] };

    for (unsigned n = 0; n < 4; n++)
        if (!feature_has(s, needs[n / 2][n % 2]))
            return (enum feature)needs[n / 2][n % 2];
    return FEATURE_none;
}

enum feature feature_decode(const struct feature_set *s, uint32_t mode, struct insn *insn)
{
    enum feature missing = feature_missing(s, insn);

    if (missing == FEATURE_lahf_lm && !(mode & MODE_CODE64))
        return FEATURE_none;
    if (missing == FEATURE_none || (insn->mnemonic != ZYDIS_MNEMONIC_TZCNT && insn->mnemonic != ZYDIS_MNEMONIC_LZCNT))
        return missing;
    insn->mnemonic = insn->mnemonic == ZYDIS_MNEMONIC_TZCNT ? ZYDIS_MNEMONIC_BSF : ZYDIS_MNEMONIC_BSR;
    return FEATURE_none;
}
