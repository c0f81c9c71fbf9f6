/* points.c - breakpoints and watchpoints: the list that gdb sees, and what becomes of it in the vcpu. */
#include "gdb/server.h"

#include "debug.h"
#include "kvm/kvm.h"

#include <string.h>

static bool is_watch(const struct gdb_point *p) { return p->type >= POINT_WRITE; }

static unsigned count(const struct gdb *g, bool watches)
{
    unsigned n = 0;

    for (unsigned i = 0; i < g->points; i++)
        n += is_watch(&g->point[i]) == watches;
    return n;
}

static bool kvm_is_pvm(void)
{
    struct kvm_probe probe;

    kvm_probe(&probe);
    return probe.kind == KVM_KIND_PVM;
}

/* KVM has the processor's four debug registers for us, and they cannot do everything (SDM 3A 19.2.4). */
static const char *kvm_refuses(const struct gdb *g, const struct gdb_point *p)
{
    if (g->points == WATCHES)
        return "KVM has four breakpoints and watchpoints";
    if (is_watch(p) && kvm_is_pvm())
        return "this KVM emulates the kernel and watches no data there";
    if (p->type == POINT_READ)
        return "KVM cannot watch reads alone";
    if (is_watch(p) && (!bits_is_pow2((unsigned)p->size) || p->size > 8 || p->address & (p->size - 1)))
        return "KVM watches 1, 2, 4 or 8 aligned bytes";
    return NULL;
}

static unsigned find(const struct gdb *g, const struct gdb_point *p)
{
    unsigned i = 0;

    while (i < g->points && (g->point[i].type != p->type || g->point[i].address != p->address || (is_watch(p) && g->point[i].size != p->size)))
        i++;
    return i;
}

const char *gdb_point_add(struct gdb *g, const struct gdb_point *p)
{
    const char *refused = NULL;

    if (find(g, p) < g->points)
        return NULL;
    if (is_watch(p) && (p->size < 1 || p->size > 64 || p->address + p->size < p->address))
        return "1 to 64 bytes can be watched";
    if (count(g, is_watch(p)) == (is_watch(p) ? DEBUG_WATCHES : DEBUG_BREAKS))
        return "too many of these";
    if (g->machine->runs->id == ENGINE_KVM)
        refused = kvm_refuses(g, p);
    if (!refused)
        g->point[g->points++] = *p;
    return refused;
}

const char *gdb_point_remove(struct gdb *g, const struct gdb_point *p)
{
    unsigned i = find(g, p);

    if (i == g->points)
        return "there is none such";
    memmove(&g->point[i], &g->point[i + 1], (--g->points - i) * sizeof(g->point[0]));
    return NULL;
}

static bool same(const struct gdb_point *a, const struct gdb_point *b)
{
    return a->type == b->type && a->address == b->address && a->size == b->size;
}

static bool is_applied(const struct gdb *g)
{
    bool all = g->points == g->applied_points;

    for (unsigned i = 0; all && i < g->points; i++)
        all = same(&g->point[i], &g->applied[i]);
    return all;
}

static void add_watch(struct vcpu_debug *d, unsigned i, const struct gdb_point *p)
{
    d->watch[i] = (struct watch){ .gva = p->address, .size = (uint8_t)p->size, .writes_only = p->type == POINT_WRITE,
                                  .reads_only = p->type == POINT_READ };
}

static void apply_to(const struct gdb *g, struct vcpu *v)
{
    struct vcpu_debug *d = &v->debug;
    unsigned watches = 0;

    d->breaks = 0;
    memset(d->watch, 0, sizeof(d->watch));
    for (unsigned i = 0; i < g->points; i++)
        if (is_watch(&g->point[i]))
            add_watch(d, watches++, &g->point[i]);
        else
            d->at[d->breaks++] = g->point[i].address;
    debug_changed(v, &g->machine->phys);
}

/* gdb takes its breakpoints away whenever it stops and puts them back before it goes on: mostly nothing has changed. */
void gdb_points_apply(struct gdb *g)
{
    if (is_applied(g))
        return;
    for (unsigned i = 0; i < g->machine->cpus; i++)
        apply_to(g, g->machine->cpu[i].v);
    memcpy(g->applied, g->point, sizeof(g->applied));
    g->applied_points = g->points;
}

const struct gdb_point *gdb_point_here(const struct gdb *g)
{
    uint64_t pc = debug_pc(gdb_vcpu(g));

    for (unsigned i = 0; i < g->applied_points; i++)
        if (!is_watch(&g->applied[i]) && g->applied[i].address == pc)
            return &g->applied[i];
    return NULL;
}

const struct gdb_point *gdb_point_watch(const struct gdb *g, unsigned n)
{
    for (unsigned i = 0; i < g->applied_points; i++)
        if (is_watch(&g->applied[i]) && !n--)
            return &g->applied[i];
    return NULL;
}
