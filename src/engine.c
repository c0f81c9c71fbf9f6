/* engine.c - the list of engines. */
#include "engine.h"

#include <stddef.h>
#include <string.h>

const struct engine *const engines[] = { &engine_interp, &engine_jit, &engine_kvm, NULL };

const struct engine *engine_find(const char *name)
{
    for (unsigned i = 0; engines[i]; i++)
        if (!strcmp(engines[i]->name, name))
            return engines[i];
    return NULL;
}
