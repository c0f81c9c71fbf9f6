/* side.c - engines by name, and what their guests have in common. */
#include "fuzz/side.h"

#include "fuzz/guest.h"

const char *const fuzz_engine_names[FUZZ_ENGINES] = { "native", "interp", "jit", "kvm" };

bool side_is_systems(uint64_t at) { return (at >= GUEST_GDT && at < NATIVE_CODE) || (at >= GUEST_RAM / 2 && at < GUEST_RAM); }

static unsigned page_flags(uint64_t at)
{
    static const unsigned flags[] = { [NATIVE_RW] = GUEST_PRESENT | GUEST_WRITABLE | GUEST_NO_EXECUTE,
                                      [NATIVE_RO] = GUEST_PRESENT | GUEST_NO_EXECUTE, [NATIVE_NONE] = GUEST_ABSENT };
    uint64_t data = (at - NATIVE_DATA) / NATIVE_PAGE;

    if (at == NATIVE_CODE)
        return GUEST_PRESENT;
    if (side_is_systems(at))
        return GUEST_PRESENT | GUEST_WRITABLE | GUEST_SUPERVISOR;
    return data < FUZZ_PAGES ? flags[fuzz_page[data]] : GUEST_ABSENT;
}

void side_map_pages(struct guest *g)
{
    for (uint64_t at = 0; at < GUEST_RAM; at += PAGE_BYTES)
        guest_map(g, at, at, page_flags(at));
}

void side_settle_breakpoint(struct fuzz_outcome *o, uint64_t start)
{
    if (o->vector != EXCEPTION_BP || o->cpu.rip - 1 == start || o->cpu.rip - 1 - (start - (NATIVE_START - NATIVE_CODE)) >= NATIVE_PAGE)
        return;
    o->vector = -1;
    o->cpu.rip--;
}

bool side_create(enum fuzz_engine engine, const struct fuzz_base *base, struct side *out, struct err *err)
{
    if (engine == FUZZ_KVM && base->bits == 64 && !base->system)
        return side_kvm_create(base, out, err);
    return engine == FUZZ_NATIVE ? side_native_create(base, out, err) : side_soft_create(engine, base, out, err);
}
