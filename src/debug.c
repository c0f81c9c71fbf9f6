/* debug.c - a debugger's wishes, outside the guest: no byte of it is changed for them. */
#include "debug.h"

#include "walk.h"

#include <string.h>

void debug_changed(struct vcpu *v, struct phys *phys)
{
    struct vcpu_debug *d = &v->debug;
    bool watched = false;

    for (unsigned i = 0; i < DEBUG_WATCHES; i++) {
        v->mmu.watch[WATCHES + i] = d->watch[i];
        watched |= d->watch[i].size != 0;
    }
    v->cpu.watched = watched;
    vcpu_update(v);
    phys_forget_memory(phys); /* nothing translated or cached holds */
}

uint64_t debug_pc(const struct vcpu *v)
{
    const struct cpu *c = &v->cpu;

    return c->mode & MODE_CODE64 ? c->rip : (uint32_t)(c->seg[SEG_CS].base + c->rip);
}

/* -- memory -------------------------------------------------------------------------------------------------------------- */

static size_t copy_in(struct vcpu *v, uint64_t gpa, void *to, const void *from, size_t n)
{
    const uint8_t *host = phys_readable(v->bus.phys, gpa, n);

    (void)from;
    if (!host)
        return 0;
    memcpy(to, host, n);
    return n;
}

static size_t copy_out(struct vcpu *v, uint64_t gpa, void *to, const void *from, size_t n)
{
    uint8_t *host = phys_writable(v->bus.phys, gpa, n);

    (void)to;
    if (!host)
        return 0;
    memcpy(host, from, n);
    for (size_t at = 0; at < n; at += 64)
        mmu_written(&v->mmu, gpa + at, (unsigned)bits_min(64, n - at));
    return n;
}

typedef size_t copy_function(struct vcpu *v, uint64_t gpa, void *to, const void *from, size_t n);

/* Page by page, and within a page that is not all memory, byte by byte. */
static size_t copy_some(struct vcpu *v, uint64_t gpa, uint8_t *to, const uint8_t *from, size_t n, copy_function *copy)
{
    size_t done = copy(v, gpa, to, from, n);

    while (done < n && copy(v, gpa + done, to + done, from + done, 1))
        done++;
    return done;
}

static size_t copy(struct vcpu *v, uint64_t gva, uint8_t *to, const uint8_t *from, size_t n, copy_function *function)
{
    size_t done = 0;

    while (done < n) {
        struct walk_seen page = walk_look(&v->mmu, gva + done);
        size_t piece = (size_t)bits_min(n - done, PAGE_BYTES - ((gva + done) & PAGE_OFFSET)), moved;

        if (!page.present)
            break;
        moved = copy_some(v, page.gpa, to + done, from + done, piece, function);
        done += moved;
        if (moved < piece)
            break;
    }
    return done;
}

size_t debug_read(struct vcpu *v, uint64_t gva, void *bytes, size_t n) { return copy(v, gva, bytes, bytes, n, copy_in); }

size_t debug_write(struct vcpu *v, uint64_t gva, const void *bytes, size_t n)
{
    return copy(v, gva, (void *)(uintptr_t)bytes, bytes, n, copy_out);
}

size_t debug_read_physical(struct vcpu *v, uint64_t gpa, void *bytes, size_t n)
{
    size_t done = 0;

    while (done < n) {
        size_t piece = (size_t)bits_min(n - done, PAGE_BYTES - ((gpa + done) & PAGE_OFFSET));
        size_t moved = copy_some(v, gpa + done, (uint8_t *)bytes + done, bytes, piece, copy_in);

        done += moved;
        if (moved < piece)
            break;
    }
    return done;
}
