/*
 * side_soft.c - cases on the interpreter, the JIT and KVM: a guest whose address space is as the native child's.
 *
 * To the soft engines one page is a device.  To KVM it is memory, so that its results are those of the whole operand.
 */
#include "fuzz/side.h"

#include "base/low.h"
#include "fuzz/device.h"
#include "fuzz/guest.h"
#include "kvm/kvm.h"

#include <stdlib.h>
#include <string.h>

enum { BUDGET = 64, PTE_D = 1 << 6, WARM_PAGES = 2 };

struct side_soft {
    struct guest guest;            /* below 2 GiB, for the JIT */
    const struct fuzz_base *base;
    struct fuzz_device device;
    bool has_device, on_device;    /* ... in this case */
    unsigned window;               /* mapped now */
    uint8_t *entry[SYSTEM_ENTRIES], *code_entry, *data_entry[FUZZ_PAGES];
};

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
    return s->on_device && offset - (FUZZ_DEVICE - NATIVE_DATA) < NATIVE_PAGE;
}

static void put_memory(struct side_soft *s, const struct fuzz_case *c, struct fuzz_outcome *o)
{
    for (unsigned i = 0; i < c->memory.n; i++)
        memcpy(s->guest.ram + NATIVE_DATA + c->memory.at[i] * LINE_BYTES, c->memory.line[i], LINE_BYTES);
    for (unsigned i = 0; i < FUZZ_PAGES; i++)
        *s->data_entry[i] &= (uint8_t)~PTE_D;
    s->on_device = s->has_device && !c->system.on;
    o->transactions = o->wide = o->crossing = 0;
    o->touched = false;
    o->device[0] = 0;
    s->device.out = NULL;
    if (!s->on_device)
        return;
    if (s->window != c->window)
        guest_map(&s->guest, FUZZ_DEVICE, FUZZ_DEVICE_GPA + c->window * PAGE_BYTES, GUEST_PRESENT | GUEST_WRITABLE | GUEST_NO_EXECUTE);
    s->window = c->window;
    fuzz_device_begin(&s->device, c, o);
}

/* Has the guest written the page, or the case?  Then its dirty bit tells; KVM's shadows may not. */
static bool may_be_changed(const struct side_soft *s, const struct fuzz_case *c, unsigned page)
{
    for (unsigned i = 0; i < c->memory.n; i++)
        if (c->memory.at[i] * LINE_BYTES / NATIVE_PAGE == page)
            return true;
    return c->system.on || s->guest.engine->id == ENGINE_KVM || *s->data_entry[page] & PTE_D;
}

static void take_memory(struct side_soft *s, const struct fuzz_case *c, struct fuzz_outcome *o)
{
    uint8_t *memory = s->guest.ram + NATIVE_DATA;

    o->memory.n = 0;
    for (unsigned i = 0; i < FUZZ_PAGES; i++)
        if (is_mapped_device(s, i * NATIVE_PAGE))
            fuzz_device_end(&s->device, s->base->image);
        else if (may_be_changed(s, c, i))
            lines_find(&o->memory, s->base->image, i * NATIVE_PAGE, memory + i * NATIVE_PAGE, NATIVE_PAGE);
    for (unsigned i = 0; i < o->memory.n; i++)
        memcpy(memory + o->memory.at[i] * LINE_BYTES, s->base->image + o->memory.at[i] * LINE_BYTES, LINE_BYTES);
}

/* -- system state --------------------------------------------------------------------------------------------------------- */

static const struct { uint64_t gva; unsigned level; } entries[SYSTEM_ENTRIES] = {
    { SYSTEM_DATA, 4 }, { SYSTEM_DATA, 3 }, { SYSTEM_DATA, 2 }, { SYSTEM_DATA + 4 * PAGE_BYTES, 2 },
    { SYSTEM_DATA, 1 }, { SYSTEM_DATA + PAGE_BYTES, 1 }, { SYSTEM_DATA + 2 * PAGE_BYTES, 1 }, { SYSTEM_DATA + 3 * PAGE_BYTES, 1 },
    { SYSTEM_DATA + 4 * PAGE_BYTES, 1 }, { SYSTEM_DATA + 5 * PAGE_BYTES, 1 }, { SYSTEM_DATA + 6 * PAGE_BYTES, 1 },
};

static void map_system_pages(struct guest *g)
{
    for (unsigned i = 0; i < FUZZ_PAGES; i++)
        guest_map(g, SYSTEM_DATA + i * PAGE_BYTES, NATIVE_DATA + i * PAGE_BYTES, GUEST_PRESENT | GUEST_WRITABLE);
}

static uint8_t *entry_at(struct guest *g, unsigned i) { return g->ram + guest_entry(g, entries[i].gva, entries[i].level); }

/* The entries lead to each other: from the leaves up while they are right, from the root down. */
static void put_system(struct side_soft *s, const struct fuzz_system *from)
{
    for (unsigned i = SYSTEM_ENTRIES; i--;)
        memcpy(s->entry[i], &from->entry[i], 8);
    memcpy(s->guest.ram + GUEST_GDT + SYSTEM_SELECTOR, from->descriptor, sizeof(from->descriptor));
    memcpy(s->code_entry, &from->code_entry, 8);
    if (s->guest.engine->id == ENGINE_KVM)
        kvm_forget_tables(((const struct kvm_engine *)s->guest.self)->vm, &(struct err){ "" });
}

static void take_system(const struct side_soft *s, struct fuzz_system *to)
{
    for (unsigned i = 0; i < SYSTEM_ENTRIES; i++)
        memcpy(&to->entry[i], s->entry[i], 8);
    memcpy(to->descriptor, s->guest.ram + GUEST_GDT + SYSTEM_SELECTOR, sizeof(to->descriptor));
}

/* -- a case --------------------------------------------------------------------------------------------------------------- */

static enum guest_ring ring_of(unsigned bits) { return bits == 64 ? GUEST_CPL3 : bits == 32 ? GUEST_CPL3_32 : GUEST_CPL3_16; }

static void put_cpu(struct side_soft *s, const struct fuzz_case *c)
{
    struct guest *g = &s->guest;

    guest_reset(g, c->system.on && !(c->cpu.seg[SEG_CS].selector & 3) ? GUEST_CPL0 : ring_of(c->bits));
    if (c->system.on) {
        g->vcpu.cpu = c->cpu;
        put_system(s, &c->system);
    } else {
        copy_registers(&g->vcpu.cpu, &c->cpu);
    }
    cpu_update(&g->vcpu.cpu);
}

static void take_cpu(struct side_soft *s, const struct fuzz_case *c, struct fuzz_outcome *o)
{
    if (c->system.on) {
        o->cpu = s->guest.vcpu.cpu;
        take_system(s, &o->system);
        return;
    }
    copy_registers(&o->cpu, &s->guest.vcpu.cpu);
}

static void run_case(struct side_soft *s, const struct fuzz_case *c, struct fuzz_outcome *o)
{
    struct guest *g = &s->guest;
    struct guest_end end;

    put_cpu(s, c);
    guest_set_code(g, NATIVE_START, c->code, c->bytes);
    put_memory(s, c, o);
    g->warm = NATIVE_DATA; /* every other time: windows of the JIT hold only where pages are known */
    g->warm_pages = c->number & 1 && !c->system.on && g->engine->id == ENGINE_JIT ? WARM_PAGES : 0;
    end = guest_run(g, BUDGET);
    take_cpu(s, c, o);
    take_memory(s, c, o);
    o->vector = end.vector;
    o->error = end.error;
    o->cr2 = end.cr2;
    o->stuck = end.stuck;
    o->shutdown = end.stop == STOP_SHUTDOWN;
    o->inexpressible = end.stop == STOP_FAILED;
    o->shadowed = g->engine->id == ENGINE_KVM;
}

static bool run(void *self, const struct fuzz_case *c, unsigned count, struct fuzz_outcome *out, struct err *err)
{
    (void)err;
    for (unsigned i = 0; i < count; i++)
        run_case(self, &c[i], &out[i]);
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
    side_map_pages(&s->guest);
    map_system_pages(&s->guest);
    for (unsigned i = 0; i < SYSTEM_ENTRIES; i++)
        s->entry[i] = entry_at(&s->guest, i);
    for (unsigned i = 0; i < FUZZ_PAGES; i++)
        s->data_entry[i] = s->guest.ram + guest_entry(&s->guest, NATIVE_DATA + i * PAGE_BYTES, 1);
    s->code_entry = s->guest.ram + guest_entry(&s->guest, NATIVE_CODE, 1);
    memcpy(s->guest.ram + NATIVE_DATA, base->image, FUZZ_BYTES);
    if (s->has_device)
        fuzz_device_create(&s->device, base->image, &s->guest.phys);
    if (e == FUZZ_INTERP) {
        s->guest.vcpu.bus.observe = fuzz_device_observe;
        s->guest.vcpu.bus.opaque = &s->device;
    }
    *out = (struct side){ .self = s, .run = run, .destroy = destroy };
    return true;
}

static void describe(struct guest *g, unsigned bits, struct fuzz_base *base)
{
    guest_reset(g, GUEST_CPL0);
    base->cpu0 = g->vcpu.cpu;
    guest_reset(g, ring_of(bits));
    base->cpu = g->vcpu.cpu;
    map_system_pages(g);
    for (unsigned i = 0; i < SYSTEM_ENTRIES; i++)
        memcpy(&base->entry[i], entry_at(g, i), 8);
    memcpy(&base->code_entry, g->ram + guest_entry(g, NATIVE_CODE, 1), 8);
}

bool side_describe(unsigned bits, struct fuzz_base *base, struct err *err)
{
    struct guest *g = low_alloc(sizeof(*g));
    bool ok = guest_create(g, &engine_interp, err);

    if (ok) {
        describe(g, bits, base);
        guest_destroy(g);
    }
    low_free(g, sizeof(*g));
    return ok;
}
