/* helpers.c - helpers.def as a table. */
#include "x86/helpers.h"

const struct helper helpers[HELPERS] = {
#define HELPER(name, args, effects) [HELP_##name] = { #name, args, effects, (void (*)(void))help_##name },
#include "x86/helpers.def"
#undef HELPER
};
