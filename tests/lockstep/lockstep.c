/*
 * lockstep.c - one guest on two soft engines, the same number of instructions at a time, all registers compared after
 * each step and all of memory now and then.
 *
 * usage: lockstep [options] --bios FILE | --kernel FILE | FLAT
 *   --insns N    stop after so many (100M)
 *   --step N     at most so many at a time (64); the number is random
 *   --cache N    bytes of code cache
 *   --flush N    drop all translated code about every N steps
 *   --poke N     write to a page of code about every N steps, the bytes that are there
 *   --seed N     --memory N     --from N (compare from there on)     --off SWITCH
 */
#include "base/bits.h"
#include "base/log.h"
#include "jit/jit.h"
#include "machine.h"
#include "print/disasm.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct lockstep {
    struct machine_config config;
    struct machine *m[2];
    uint64_t insns, step, flush, poke, seed, from, steps, compared;
};

static uint64_t random64(struct lockstep *l)
{
    l->seed ^= l->seed << 13;
    l->seed ^= l->seed >> 7;
    l->seed ^= l->seed << 17;
    return l->seed;
}

static uint64_t number(const char *text)
{
    char *end;
    uint64_t n = strtoull(text, &end, 0);

    return *end == 'G' ? n << 30 : *end == 'M' ? n << 20 : *end == 'K' ? n << 10 : n;
}

static void switch_off(const char *name)
{
#define X(id, text) if (!strcmp(name, #id)) jit_options.id = false;
    JIT_SWITCHES(X)
#undef X
}

static void option(struct lockstep *l, const char *name, const char *value)
{
    if (!strcmp(name, "--insns")) l->insns = number(value);
    else if (!strcmp(name, "--step")) l->step = number(value);
    else if (!strcmp(name, "--cache")) jit_options.cache_bytes = number(value);
    else if (!strcmp(name, "--hot")) jit_options.hot = (unsigned)number(value);
    else if (!strcmp(name, "--flush")) l->flush = number(value);
    else if (!strcmp(name, "--poke")) l->poke = number(value);
    else if (!strcmp(name, "--seed")) l->seed = number(value);
    else if (!strcmp(name, "--from")) l->from = number(value);
    else if (!strcmp(name, "--memory")) l->config.ram_bytes = number(value);
    else if (!strcmp(name, "--off")) switch_off(value);
    else if (!strcmp(name, "--bios")) l->config.bios = value;
    else if (!strcmp(name, "--kernel")) l->config.kernel = value;
    else if (!strcmp(name, "--append")) l->config.append = value;
    else if (!strcmp(name, "--log")) log_enable(value, (char[64]){ 0 }, 64);
    else { fprintf(stderr, "lockstep: %s?\n", name); exit(2); }
}

/* -- the two ---------------------------------------------------------------------------------------------------------- */

static const uint8_t *ram(struct machine *m) { return phys_readable(&m->phys, 0, PAGE_BYTES); }

static bool memory_agrees(struct lockstep *l)
{
    uint64_t bytes = bits_min(l->config.ram_bytes, MIB(16));

    for (uint64_t at = 0; at < bytes; at += PAGE_BYTES) {
        const uint8_t *a = phys_readable(&l->m[0]->phys, at, PAGE_BYTES), *b = phys_readable(&l->m[1]->phys, at, PAGE_BYTES);

        if (a && b && memcmp(a, b, PAGE_BYTES)) {
            unsigned i = 0;

            while (a[i] == b[i])
                i++;
            printf("memory differs at %" PRIx64 ": %02x %02x\n", at + i, a[i], b[i]);
            return false;
        }
    }
    return true;
}

/* Writes to code what is there already: nothing changes but the translation. */
static void poke(struct lockstep *l)
{
    for (unsigned i = 0; i < 2; i++) {
        struct vcpu *v = &l->m[i]->vcpu;
        uint64_t gpa = (v->cpu.seg[SEG_CS].base + v->cpu.rip) & 0xffffff;

        v->bus.wrote(v->bus.wrote_opaque, gpa & ~(uint64_t)63, 64);
    }
}

static void flush(struct lockstep *l)
{
    struct jit *j = l->m[1]->engine;

    if (j->usable)
        jit_drop_all(j);
}

/* The code at a RIP, for whoever looks for the cause. */
static void disassemble(struct machine *m, uint64_t rip)
{
    const struct cpu *c = &m->vcpu.cpu;
    unsigned mode = c->mode & MODE_CODE64 ? 64 : c->mode & MODE_CODE32 ? 32 : 16;
    uint64_t at = rip + (mode == 64 ? 0 : c->seg[SEG_CS].base);
    char text[128];

    for (unsigned i = 0; i < 24; i++) {
        const uint8_t *bytes = phys_readable(&m->phys, at & 0xffffffff, 16);
        unsigned n = bytes ? disasm_one(mode, bytes, 16, rip, text, sizeof(text)) : 0;

        if (!n)
            return;
        printf("  %" PRIx64 "  %s\n", rip, text);
        at += n, rip += n;
    }
}

static void report(struct lockstep *l, uint64_t before, uint64_t rip, const char *text)
{
    static char dump[4096];

    disassemble(l->m[0], rip);
    printf("after %" PRIu64 " instructions (%" PRIu64 " since the last comparison): %s\n", l->m[0]->vcpu.retired,
           l->m[0]->vcpu.retired - before, text);
    for (unsigned i = 0; i < 2; i++) {
        cpu_dump(&l->m[i]->vcpu.cpu, dump, sizeof(dump));
        printf("%s:\n%s", l->m[i]->config.engine->name, dump);
    }
}

/* False at the first difference. */
static bool step(struct lockstep *l, enum machine_end *end)
{
    uint64_t n = 1 + random64(l) % l->step, before = l->m[0]->vcpu.retired, rip = l->m[0]->vcpu.cpu.rip;
    enum machine_end ends[2];
    char text[256];
    struct err err;

    for (unsigned i = 0; i < 2; i++) {
        l->m[i]->config.limit = before + n;
        ends[i] = machine_run(l->m[i], &err);
    }
    *end = ends[0];
    l->steps++;
    if (ends[0] != ends[1] || l->m[0]->vcpu.retired != l->m[1]->vcpu.retired) {
        snprintf(text, sizeof(text), "%s after %" PRIu64 ", %s after %" PRIu64, machine_end_name(ends[0]), l->m[0]->vcpu.retired,
                 machine_end_name(ends[1]), l->m[1]->vcpu.retired);
        report(l, before, rip, text);
        return false;
    }
    if (before < l->from)
        return true;
    l->compared++;
    if (!cpu_compare(&l->m[0]->vcpu.cpu, &l->m[1]->vcpu.cpu, 0, text, sizeof(text))) {
        report(l, before, rip, text);
        return false;
    }
    return l->steps % 200000 || memory_agrees(l);
}

static bool run(struct lockstep *l)
{
    enum machine_end end = MACHINE_LIMIT;

    while (l->m[0]->vcpu.retired < l->insns && end == MACHINE_LIMIT) {
        if (l->flush && random64(l) % l->flush == 0)
            flush(l);
        if (l->poke && random64(l) % l->poke == 0)
            poke(l);
        if (!step(l, &end))
            return false;
    }
    return memory_agrees(l);
}

int main(int argc, char **argv)
{
    struct lockstep l = { .config = { .ram_bytes = MIB(64) }, .insns = 100000000, .step = 64, .seed = 88172645463325252 };
    struct err err;
    bool same;

    jit_options.hot = 1;
    for (int i = 1; i < argc; i++)
        if (argv[i][0] == '-' && i + 1 < argc)
            option(&l, argv[i], argv[i + 1]), i++;
        else
            l.config.flat = argv[i];
    for (unsigned i = 0; i < 2; i++) {
        l.config.engine = i ? &engine_jit : &engine_interp;
        l.config.limit = UINT64_MAX;
        l.m[i] = machine_create(&l.config, &err);
        if (!l.m[i]) {
            fprintf(stderr, "lockstep: %s\n", err.text);
            return 2;
        }
    }
    (void)ram;
    same = run(&l);
    printf("%s: %" PRIu64 " instructions, %" PRIu64 " comparisons, %" PRIu64 " blocks\n", same ? "same" : "DIFFERENT",
           l.m[0]->vcpu.retired, l.compared, ((struct jit *)l.m[1]->engine)->stats.blocks);
    machine_destroy(l.m[0]);
    machine_destroy(l.m[1]);
    return same ? 0 : 1;
}
