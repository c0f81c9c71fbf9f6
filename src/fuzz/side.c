/* side.c - engines by name. */
#include "fuzz/side.h"

const char *const fuzz_engine_names[FUZZ_ENGINES] = { "native", "interp", "jit", "kvm" };

bool side_create(enum fuzz_engine engine, const struct fuzz_base *base, struct side *out, struct err *err)
{
    return engine == FUZZ_NATIVE ? side_native_create(base, out, err) : side_soft_create(engine, base, out, err);
}
