/*
 * lockstep.c - one guest on the interpreter and on the JIT, a random number of instructions at a time: all registers are
 * compared after each step, all of memory now and then and at the end.
 *
 * On the virtual clock a guest depends on nothing but how many instructions have retired.  So a difference is shown by
 * running the interpreter once more, to the last agreement, and from there instruction by instruction.  A guest that
 * ends begins again, with other steps, until there were instructions enough.
 *
 * Exit status: 0 no difference, 1 a difference, 2 it could not run.
 */
#include "lib/machines.h"

#include "jit/jit.h"
#include "machine.h"
#include "print/disasm.h"

#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MEMORY_EVERY = 20000 /* steps */, SHOWN = 400 /* instructions of a difference */ };

struct lockstep {
    struct machine_config config;
    struct machine *m[2];       /* interp, jit */
    uint64_t insns, step, flush, poke, seed, from;
    uint64_t random;            /* state of the generator */
    uint64_t done, steps, compared, blocks, rounds;
};

static const struct engine *const sides[2] = { &engine_interp, &engine_jit };

/* xorshift64 */
static uint64_t random64(struct lockstep *l)
{
    l->random ^= l->random << 13;
    l->random ^= l->random >> 7;
    l->random ^= l->random << 17;
    return l->random;
}

static bool once_in(struct lockstep *l, uint64_t n) { return n && random64(l) % n == 0; }

/* -- machines ----------------------------------------------------------------------------------------------------------- */

static struct machine *create(struct lockstep *l, const struct engine *engine, struct err *err)
{
    struct machine_config config = l->config;

    config.engine = engine;
    return machine_create(&config, err);
}

static bool create_both(struct lockstep *l, struct err *err)
{
    for (unsigned i = 0; i < 2; i++)
        if (!(l->m[i] = create(l, sides[i], err)))
            return false;
    return ((const struct jit *)l->m[1]->cpu[0].engine)->usable || err_set(err, "the JIT interprets");
}

static void destroy_both(struct lockstep *l)
{
    for (unsigned i = 0; i < 2; i++) {
        if (l->m[i] && i)
            l->blocks += jit_engine_stats(l->m[i]->cpu[0].engine)->blocks;
        machine_destroy(l->m[i]);
        l->m[i] = NULL;
    }
}

static enum machine_end run_to(struct machine *m, uint64_t retired)
{
    struct err err;

    m->config.limit = retired;
    return machine_run(m, &err);
}

/* -- disturbances: nothing changes by them but what is translated ---------------------------------------------------------- */

/* Writes to code what is there already.  Where RIP leads is taken for a physical address, as it mostly is. */
static void poke(struct lockstep *l)
{
    const struct cpu *c = &l->m[0]->vcpu.cpu;
    uint64_t at = (c->mode & MODE_CODE64 ? 0 : c->seg[SEG_CS].base) + c->rip, gpa;

    gpa = (at % l->config.ram_bytes & ~(uint64_t)63) + (random64(l) & 1 ? 64 : 0);
    for (unsigned i = 0; i < 2; i++)
        l->m[i]->vcpu.bus.wrote(l->m[i]->vcpu.bus.wrote_opaque, gpa, 64);
}

static void disturb(struct lockstep *l)
{
    for (unsigned i = 0; i < l->m[1]->cpus; i++)
        if (once_in(l, l->flush))
            jit_drop_all(l->m[1]->cpu[i].engine);
    if (once_in(l, l->poke))
        poke(l);
}

/* -- a difference ------------------------------------------------------------------------------------------------------------ */

static void print_instruction(struct machine *m)
{
    struct vcpu *v = m->cpu[m->at].v;
    const struct cpu *c = &v->cpu;
    unsigned mode = c->mode & MODE_CODE64 ? 64 : c->mode & MODE_CODE32 ? 32 : 16;
    uint64_t linear = mode == 64 ? c->rip : (uint32_t)(c->seg[SEG_CS].base + c->rip);
    const struct tlb_entry *e = tlb_translate(&v->mmu, linear, ACCESS_EXECUTE, v->mmu.bank);
    const uint8_t *bytes = e ? phys_readable(&m->phys, e->gpa + linear % PAGE_BYTES, 1) : NULL;
    char text[128] = "?";

    if (bytes)
        disasm_one(mode, bytes, bits_min(16, PAGE_BYTES - linear % PAGE_BYTES), c->rip, text, sizeof(text));
    printf("#   %u  %9" PRIu64 "  %016" PRIx64 "  %s\n", v->id, machine_retired(m), c->rip, text);
}

/* What the interpreter does from `from` on, in a machine of its own. */
static void print_instructions(struct lockstep *l, uint64_t from, uint64_t to)
{
    struct err err;
    struct machine *m = create(l, &engine_interp, &err);
    enum machine_end end;

    if (!m)
        return;
    end = run_to(m, from);
    while (end == MACHINE_LIMIT && machine_retired(m) < to && machine_retired(m) < from + SHOWN) {
        print_instruction(m);
        end = run_to(m, machine_retired(m) + 1);
    }
    machine_destroy(m);
}

static void print_state(const struct machine *m)
{
    char text[4096];

    printf("# %s, %" PRIu64 " instructions:\n", m->config.engine->name, machine_retired(m));
    for (unsigned i = 0; i < m->cpus; i++) {
        cpu_dump(&m->cpu[i].v->cpu, text, sizeof(text));
        for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
            printf("#   %s\n", line);
    }
}

static void report(struct lockstep *l, uint64_t before, const char *text)
{
    printf("# different: %s\n# the same before these instructions, in round %" PRIu64 " of seed %" PRIu64 ":\n", text, l->rounds, l->seed);
    print_instructions(l, before, machine_retired(l->m[0]));
    print_state(l->m[0]);
    print_state(l->m[1]);
}

static bool ends_agree(const struct lockstep *l, const enum machine_end *end, char *text, size_t size)
{
    const struct machine *a = l->m[0], *b = l->m[1];

    if (end[0] == end[1] && machine_retired(a) == machine_retired(b) && a->exit_code == b->exit_code)
        return true;
    snprintf(text, size, "%s after %" PRIu64 " != %s after %" PRIu64, machine_end_name(end[0]), machine_retired(a), machine_end_name(end[1]),
             machine_retired(b));
    return false;
}

/* -- steps ------------------------------------------------------------------------------------------------------------------- */

/* Half of them short, so that a difference shows early; half long, so that blocks run whole and in chains. */
static uint64_t step_insns(struct lockstep *l) { return 1 + random64(l) % (random64(l) & 1 ? l->step : l->step * 32); }

/* False at the first difference. */
static bool step(struct lockstep *l, enum machine_end *end)
{
    uint64_t before = machine_retired(l->m[0]), n = bits_min(step_insns(l), l->insns - l->done);
    enum machine_end ends[2];
    char text[256];
    bool same;

    for (unsigned i = 0; i < 2; i++)
        ends[i] = run_to(l->m[i], before + n);
    *end = ends[0];
    l->done += machine_retired(l->m[0]) - before;
    l->steps++;
    same = ends_agree(l, ends, text, sizeof(text));
    if (same && l->done > l->from) {
        l->compared++;
        same = machines_same_state(l->m[0], l->m[1], text, sizeof(text)) &&
               ((l->steps % MEMORY_EVERY && *end == MACHINE_LIMIT) || machines_same_memory(l->m[0], l->m[1], text, sizeof(text)));
    }
    if (!same)
        report(l, before, text);
    return same;
}

/* The guest from its beginning to its end. */
static bool round_of(struct lockstep *l)
{
    enum machine_end end = MACHINE_LIMIT;
    bool same = true;

    l->rounds++;
    while (same && end == MACHINE_LIMIT && l->done < l->insns) {
        disturb(l);
        same = step(l, &end);
    }
    return same;
}

static int run(struct lockstep *l, bool once)
{
    struct err err;
    bool same = true;

    do {
        uint64_t before = l->done;

        if (!create_both(l, &err)) {
            fprintf(stderr, "lockstep: %s\n", err.text);
            destroy_both(l);
            return 2;
        }
        same = round_of(l);
        destroy_both(l);
        if (l->done == before) /* a guest that does nothing */
            break;
    } while (same && !once && l->done < l->insns);
    printf("# %s: %" PRIu64 " instructions, %" PRIu64 " comparisons, %" PRIu64 " blocks, %" PRIu64 " rounds\n", same ? "same" : "DIFFERENT",
           l->done, l->compared, l->blocks, l->rounds);
    return same ? 0 : 1;
}

/* -- the command line ---------------------------------------------------------------------------------------------------------- */

static char *insns_text, *step_text, *cache_text, *hot_text, *patience_text, *flush_text, *poke_text, *seed_text, *memory_text, *smp_text, *from_text, *bios, *kernel,
    *append;
static char **off, **files;
static gboolean once, journey;

static const GOptionEntry entries[] = {
    { "bios", 0, 0, G_OPTION_ARG_FILENAME, &bios, "Firmware image", "FILE" },
    { "kernel", 0, 0, G_OPTION_ARG_FILENAME, &kernel, "Multiboot 1, PVH or ELF image", "FILE" },
    { "append", 0, 0, G_OPTION_ARG_STRING, &append, "The kernel's command line", "TEXT" },
    { "memory", 0, 0, G_OPTION_ARG_STRING, &memory_text, "Guest RAM (64M)", "SIZE" },
    { "smp", 0, 0, G_OPTION_ARG_STRING, &smp_text, "Processors (1)", "N" },
    { "insns", 0, 0, G_OPTION_ARG_STRING, &insns_text, "As many instructions (100M)", "N" },
    { "once", 0, 0, G_OPTION_ARG_NONE, &once, "Not again when the guest ends before", NULL },
    { "journey", 0, 0, G_OPTION_ARG_NONE, &journey, "Out of the engines after every instruction that touched a device", NULL },
    { "step", 0, 0, G_OPTION_ARG_STRING, &step_text, "Instructions of a short step, at most (64)", "N" },
    { "from", 0, 0, G_OPTION_ARG_STRING, &from_text, "Compare from this instruction on (0)", "N" },
    { "seed", 0, 0, G_OPTION_ARG_STRING, &seed_text, "Of everything that is random (1)", "N" },
    { "cache", 0, 0, G_OPTION_ARG_STRING, &cache_text, "Memory for translated code (64M)", "SIZE" },
    { "hot", 0, 0, G_OPTION_ARG_STRING, &hot_text, "Executions before code is translated (1)", "N" },
    { "patience", 0, 0, G_OPTION_ARG_STRING, &patience_text, "Executions of a brief block before it is made again (3); 0: whole at once", "N" },
    { "off", 0, 0, G_OPTION_ARG_STRING_ARRAY, &off, "A switch of the JIT (wideload list jit-switches)", "NAME" },
    { "flush", 0, 0, G_OPTION_ARG_STRING, &flush_text, "Drop all translated code about every N steps", "N" },
    { "poke", 0, 0, G_OPTION_ARG_STRING, &poke_text, "Write to code what is there about every N steps", "N" },
    { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &files, NULL, "[FLAT]" },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
};

static bool number(const char *text, uint64_t otherwise, uint64_t *value, struct err *err)
{
    char *end;

    *value = text ? strtoull(text, &end, 0) : otherwise;
    if (!text)
        return true;
    if (end != text && *end && !end[1] && strchr("KMG", *end))
        *value <<= *end == 'K' ? 10 : *end == 'M' ? 20 : 30, end++;
    return (end != text && !*end) || err_set(err, "not a number: '%s'", text);
}

static bool configure(struct lockstep *l, struct err *err)
{
    uint64_t smp, hot, patience;

    l->config = (struct machine_config){ .bios = bios, .kernel = kernel, .append = append, .flat = files ? files[0] : NULL,
                                         .clock = journey ? MACHINE_CLOCK_JOURNEY : MACHINE_CLOCK_VIRTUAL };
    if (!!bios + !!kernel + !!files != 1 || (files && files[1]))
        return err_set(err, "what to run: one of --bios FILE, --kernel FILE, or a flat image");
    for (unsigned i = 0; off && off[i]; i++)
        if (!jit_switch_off(off[i]))
            return err_set(err, "no such switch '%s'", off[i]);
    if (!number(insns_text, 100000000, &l->insns, err) || !number(step_text, 64, &l->step, err) || !number(from_text, 0, &l->from, err) ||
        !number(flush_text, 0, &l->flush, err) || !number(poke_text, 0, &l->poke, err) || !number(seed_text, 1, &l->seed, err) ||
        !number(memory_text, MIB(64), &l->config.ram_bytes, err) || !number(cache_text, MIB(64), &jit_options.cache_bytes, err) ||
        !number(smp_text, 1, &smp, err) || !number(hot_text, 1, &hot, err) || !number(patience_text, 3, &patience, err))
        return false;
    l->config.smp = (unsigned)bits_min(smp, APIC_CPUS);
    jit_options.hot = (unsigned)hot;
    jit_options.patience = (unsigned)patience;
    l->random = UINT64_C(0x9e3779b97f4a7c15) * (l->seed | 1);
    return (l->step && l->random) || err_set(err, "--step must not be 0");
}

int main(int argc, char **argv)
{
    GOptionContext *context = g_option_context_new("- a guest on interp and jit, step by step");
    struct lockstep l = { .done = 0 };
    GError *error = NULL;
    struct err err;
    int status = 2;

    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error)) {
        fprintf(stderr, "lockstep: %s\n", error->message);
        g_error_free(error);
    } else if (!configure(&l, &err)) {
        fprintf(stderr, "lockstep: %s\n", err.text);
    } else {
        status = run(&l, once);
    }
    g_option_context_free(context);
    return status;
}
