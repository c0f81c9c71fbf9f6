/* machines.c - are two machines in the same state? */
#define _GNU_SOURCE
#include "lib/machines.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum { CHUNK = 64 * PAGE_BYTES };

/* Has the host given memory for any of it?  What nobody has touched is zero. */
static bool touched(const uint8_t *p, uint64_t bytes)
{
    unsigned char pages[CHUNK / PAGE_BYTES];

    if (mincore((void *)(uintptr_t)p, bytes, pages)) /* not aligned */
        return true;
    for (unsigned i = 0; i < bytes / PAGE_BYTES; i++)
        if (pages[i] & 1)
            return true;
    return false;
}

static bool chunk_agrees(struct machine *left, struct machine *right, uint64_t at, uint64_t bytes, char *text, size_t size)
{
    const uint8_t *a = phys_readable(&left->phys, at, bytes), *b = phys_readable(&right->phys, at, bytes);
    uint64_t i = 0;

    if (!a || !b) { /* not of one piece; or a device */
        for (; bytes > PAGE_BYTES && i < bytes; i += PAGE_BYTES)
            if (!chunk_agrees(left, right, at + i, PAGE_BYTES, text, size))
                return false;
        return true;
    }
    if ((!touched(a, bytes) && !touched(b, bytes)) || !memcmp(a, b, bytes))
        return true;
    while (a[i] == b[i])
        i++;
    snprintf(text, size, "memory at %" PRIx64 ": %02x != %02x", at + i, a[i], b[i]);
    return false;
}

bool machines_same_memory(struct machine *left, struct machine *right, char *text, size_t size)
{
    for (uint64_t at = 0; at < left->config.ram_bytes; at += CHUNK)
        if (!chunk_agrees(left, right, at, bits_min(CHUNK, left->config.ram_bytes - at), text, size))
            return false;
    return true;
}

static bool cpus_agree(const struct cpu *a, const struct cpu *b, char *text, size_t size)
{
    if (!cpu_compare(a, b, 0, text, size))
        return false;
    snprintf(text, size, "x87, MXCSR, PKRU, an MSR, a debug register, RF, or what the CPU waits for");
    return !memcmp(&a->x87, &b->x87, sizeof(a->x87)) && a->mxcsr == b->mxcsr && a->pkru == b->pkru && !memcmp(&a->msr, &b->msr, sizeof(a->msr)) &&
           !memcmp(a->dr, b->dr, sizeof(a->dr)) && a->tsc_base == b->tsc_base && a->activity == b->activity && a->shadow == b->shadow &&
           a->nmi_blocked == b->nmi_blocked && a->rflags == b->rflags;
}

bool machines_same_state(struct machine *left, struct machine *right, char *text, size_t size)
{
    for (unsigned i = 0; i < left->cpus; i++)
        if (!cpus_agree(&left->cpu[i].v->cpu, &right->cpu[i].v->cpu, text, size))
            return false;
    snprintf(text, size, "whose turn it is");
    return left->at == right->at;
}
