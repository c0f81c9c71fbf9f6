/*
 * side_soft.c - cases on the interpreter, the JIT and KVM: a guest whose address space is as the native child's.
 *
 * To the soft engines one page is a device.  To KVM it is memory, so that its results are those of the whole operand.
 */
#include "fuzz/side.h"

#include "base/low.h"
#include "fuzz/device.h"
#include "fuzz/guest.h"

#include <stdlib.h>
#include <string.h>

enum { BUDGET = 64 };

struct side_soft {
    struct guest guest;            /* below 2 GiB, for the JIT */
    const struct fuzz_base *base;
    struct fuzz_device device;
    bool has_device;
    unsigned window;               /* mapped now */
};

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

static void map_pages(struct side_soft *s)
{
    for (uint64_t at = 0; at < GUEST_RAM; at += PAGE_BYTES)
        guest_map(&s->guest, at, at, page_flags(at));
}

/* What a case changes. */
static void copy_registers(struct cpu *to, const struct cpu *from)
{
    memcpy(to->slot, from->slot, GPRS * sizeof(to->slot[0]));
    memcpy(to->zmm, from->zmm, sizeof(to->zmm));
    memcpy(to->k, from->k, sizeof(to->k));
    to->x87 = from->x87;
    to->mxcsr = from->mxcsr;
    to->rip = from->rip;
    cpu_set_rflags(to, cpu_rflags(from));
}

/* -- memory: the image but while a case runs --------------------------------------------------------------------------- */

static bool is_mapped_device(const struct side_soft *s, unsigned offset)
{
    return s->has_device && offset - (FUZZ_DEVICE - NATIVE_DATA) < NATIVE_PAGE;
}

static void put_memory(struct side_soft *s, const struct fuzz_case *c, struct fuzz_outcome *o)
{
    for (unsigned i = 0; i < c->memory.n; i++)
        memcpy(s->guest.ram + NATIVE_DATA + c->memory.at[i] * LINE_BYTES, c->memory.line[i], LINE_BYTES);
    if (!s->has_device)
        return;
    if (s->window != c->window)
        guest_map(&s->guest, FUZZ_DEVICE, FUZZ_DEVICE_GPA + c->window * PAGE_BYTES, page_flags(FUZZ_DEVICE));
    s->window = c->window;
    fuzz_device_begin(&s->device, c, s->base->image, o);
}

static void take_memory(struct side_soft *s, struct fuzz_outcome *o)
{
    uint8_t *memory = s->guest.ram + NATIVE_DATA;

    o->memory.n = 0;
    for (unsigned i = 0; i < FUZZ_PAGES; i++)
        if (is_mapped_device(s, i * NATIVE_PAGE))
            fuzz_device_end(&s->device, s->base->image);
        else
            lines_find(&o->memory, s->base->image, i * NATIVE_PAGE, memory + i * NATIVE_PAGE, NATIVE_PAGE);
    for (unsigned i = 0; i < o->memory.n; i++)
        memcpy(memory + o->memory.at[i] * LINE_BYTES, s->base->image + o->memory.at[i] * LINE_BYTES, LINE_BYTES);
}

/* -- a case --------------------------------------------------------------------------------------------------------------- */

static bool run_case(struct side_soft *s, const struct fuzz_case *c, struct fuzz_outcome *o, struct err *err)
{
    struct guest *g = &s->guest;
    struct guest_end end;

    guest_reset(g, c->code32 ? GUEST_CPL3_32 : GUEST_CPL3);
    guest_set_code(g, NATIVE_START, c->code, c->bytes);
    put_memory(s, c, o);
    copy_registers(&g->vcpu.cpu, &c->cpu);
    cpu_update(&g->vcpu.cpu);
    end = guest_run(g, BUDGET);
    o->cpu = s->base->cpu;
    copy_registers(&o->cpu, &g->vcpu.cpu);
    take_memory(s, o);
    o->vector = end.vector;
    o->error = end.error;
    o->cr2 = end.cr2;
    o->stuck = end.stuck;
    return end.stop != STOP_FAILED || g->engine->id == ENGINE_KVM || err_set(err, "%s failed", g->engine->name);
}

static bool run(void *self, const struct fuzz_case *c, unsigned count, struct fuzz_outcome *out, struct err *err)
{
    for (unsigned i = 0; i < count; i++)
        if (!run_case(self, &c[i], &out[i], err))
            return false;
    return true;
}

static void destroy(void *self)
{
    struct side_soft *s = self;

    if (s->has_device)
        fuzz_device_destroy(&s->device);
    guest_destroy(&s->guest);
    low_free(s, sizeof(*s));
}

bool side_soft_create(enum fuzz_engine e, const struct fuzz_base *base, struct side *out, struct err *err)
{
    static const struct engine *const engine[FUZZ_ENGINES] = { NULL, &engine_interp, &engine_jit, &engine_kvm };
    struct side_soft *s = low_alloc(sizeof(*s));

    s->base = base;
    s->has_device = e != FUZZ_KVM;
    if (!guest_create(&s->guest, engine[e], err)) {
        low_free(s, sizeof(*s));
        return false;
    }
    map_pages(s);
    memcpy(s->guest.ram + NATIVE_DATA, base->image, FUZZ_BYTES);
    if (s->has_device)
        fuzz_device_create(&s->device, &s->guest.phys);
    if (e == FUZZ_INTERP) {
        s->guest.vcpu.bus.observe = fuzz_device_observe;
        s->guest.vcpu.bus.opaque = &s->device;
    }
    *out = (struct side){ .self = s, .run = run, .destroy = destroy };
    return true;
}

bool side_describe(bool code32, struct cpu *out, struct err *err)
{
    struct guest *g = low_alloc(sizeof(*g));
    bool ok = guest_create(g, &engine_interp, err);

    if (ok) {
        guest_reset(g, code32 ? GUEST_CPL3_32 : GUEST_CPL3);
        *out = g->vcpu.cpu;
        guest_destroy(g);
    }
    low_free(g, sizeof(*g));
    return ok;
}
