/* engine.c - the list of engines. */
#include "engine.h"

#include <stddef.h>

const struct engine *const engines[] = { &engine_interp, &engine_kvm, NULL };
