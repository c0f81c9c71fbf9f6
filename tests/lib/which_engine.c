/* which_engine.c - which engine, and that it is the one that runs. */
#include "lib/which_engine.h"

#include "jit/jit.h"

#include <stdio.h>
#include <stdlib.h>

const struct engine *test_engine(void)
{
    const char *name = getenv("WIDELOAD_TEST_ENGINE");
    const struct engine *engine = engine_find(name ? name : "interp");

    if (engine)
        return engine;
    printf("Bail out! WIDELOAD_TEST_ENGINE names no engine\n");
    exit(2);
}

bool test_engine_usable(const struct engine *engine, struct err *err) { return engine->id != ENGINE_JIT || jit_usable(err); }

bool test_engine_skips(void)
{
    struct err err;

    if (test_engine_usable(test_engine(), &err))
        return false;
    printf("1..0 # SKIP %s\n", err.text);
    return true;
}

void *test_engine_create(const struct engine *engine, struct vcpu *v, struct err *err)
{
    void *self;

    jit_options.hot = jit_options.patience = 0;
    jit_options.cache_bytes = MIB(1); /* many engines are made and soon destroyed */
    self = engine->create(v, err);
    if (self && engine->id == ENGINE_JIT && !((const struct jit *)self)->usable) {
        printf("Bail out! the JIT interprets\n");
        exit(2);
    }
    return self;
}
