/* side.c - engines by name. */
#include "fuzz/side.h"

const char *const fuzz_engine_names[FUZZ_ENGINES] = { "native", "interp", "jit", "kvm" };

bool side_create(enum fuzz_engine engine, const struct fuzz_base *base, struct side *out, struct err *err)
{
    if (engine == FUZZ_KVM && base->bits == 64 && !base->system)
        return side_kvm_create(base, out, err);
    return engine == FUZZ_NATIVE ? side_native_create(base, out, err) : side_soft_create(engine, base, out, err);
}
