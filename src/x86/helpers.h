/* helpers.h - the C side of instructions that IR does not say well; one row each in helpers.def. */
#ifndef X86_HELPERS_H
#define X86_HELPERS_H

#include <stdint.h>

struct vcpu;

enum helper_effect {
    HELP_PURE = 0,
    HELP_FAULTS = 1,    /* may set vcpu->fault; nothing is committed then */
    HELP_STATE = 2,     /* reads or writes registers other than its arguments and result */
    HELP_FLAGS = 4,     /* reads or writes arithmetic flags */
    HELP_MODE = 8,      /* may change what translated code depends on: the block ends after it */
    HELP_MXCSR = 16,    /* reads or writes MXCSR, or computes by it */
};

enum helper_id {
#define HELPER(name, args, effects) HELP_##name,
#include "x86/helpers.def"
#undef HELPER
    HELPERS
};

struct helper {
    const char *name;
    unsigned args;      /* beyond the vcpu: 64-bit each */
    unsigned effects;
    void (*function)(void);
};

extern const struct helper helpers[HELPERS];

#define HELPER_ARGS_0
#define HELPER_ARGS_1 , uint64_t
#define HELPER_ARGS_2 , uint64_t, uint64_t
#define HELPER_ARGS_3 , uint64_t, uint64_t, uint64_t
#define HELPER_ARGS_4 , uint64_t, uint64_t, uint64_t, uint64_t
#define HELPER(name, args, effects) uint64_t help_##name(struct vcpu *v HELPER_ARGS_##args);
#include "x86/helpers.def"
#undef HELPER

#endif
