/*
 * cases.c - the instructions of tests/insn in random order, several after another, from random registers and memory, on
 * the interpreter and on the JIT: everything must be the same afterwards.
 *
 * What one line of tests/insn does is known; here it is what instructions do to each other that matters: flags that
 * one leaves and another takes, registers that are shared, a fault or a jump in the middle.  With --x87 or --memory a
 * loop of random instructions instead (lib/programs.h).
 *
 * Exit status: 0 no difference, 1 a difference, 2 it could not run.
 */
#include "lib/assemble.h"
#include "lib/cases.h"
#include "lib/programs.h"
#include "lib/which_engine.h"
#include "fuzz/draw_x87.h"
#include "fuzz/guest.h"

#include "jit/jit.h"
#include "print/disasm.h"
#include "x86/insns.h"

#include <glib.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST = 12 /* cases in a program */, BUDGET = 400, CODE_BYTES = GUEST_CODE + PAGE_BYTES - CASE_CODE - 64 };

static struct test_case *cases;
static struct snippet *code;
static size_t n_cases;

static struct guest guests[2]; /* interp, jit */
static struct guest_end ends[2];
static uint64_t generator, seed = 1, programs = 20000, flush, patience, insns;
static size_t chosen[LONGEST];
static unsigned n_chosen;
static struct case_state begin;
static enum { CASES, X87, MEMORY } kind;

static uint64_t random64(void)
{
    generator ^= generator << 13;
    generator ^= generator >> 7;
    generator ^= generator << 17;
    return generator * UINT64_C(0x2545f4914f6cdd1d);
}

/* -- a program ------------------------------------------------------------------------------------------------------------ */

/* A register: as the first case wants it, an address of data or of the code, a number at which something changes, or any. */
static uint64_t random_register(uint64_t wanted)
{
    static const uint64_t edges[] = { 0, 1, UINT64_MAX, INT64_MAX, UINT64_C(1) << 63, 0x7fffffff, 0x80000000, 0xffffffff, 0x7fff, 0x8000,
                                      0x7f, 0x80, 0xff, 0xffff, 31, 32, 63, 64 };

    switch (random64() >> 61) {
    case 0: case 1: case 2: return wanted;
    case 3: return CASE_DATA + random64() % (CASE_PAGES * PAGE_BYTES);
    case 4: return random64() & 1 ? CASE_CODE + random64() % 64 : CASE_STACK + random64() % PAGE_BYTES;
    case 5: case 6: return edges[random64() % ARRAY_LEN(edges)];
    default: return random64();
    }
}

/* For its mode alone. */
static void choose_loop(uint8_t *bytes, unsigned *length)
{
    struct random r = { random64() };

    chosen[0] = random64() % n_cases;
    n_chosen = 1;
    *length = (kind == X87 ? program_x87 : program_memory)(&r, bytes, cases[chosen[0]].code32);
}

/* Cases of the first one's mode. */
static void choose(uint8_t *bytes, unsigned *length)
{
    size_t want = 1 + random64() % LONGEST;

    *length = n_chosen = 0;
    while (n_chosen < want) {
        size_t i = random64() % n_cases;

        if (n_chosen && cases[i].code32 != cases[chosen[0]].code32)
            continue;
        if (*length + code[i].length > CODE_BYTES)
            break;
        memcpy(bytes + *length, code[i].bytes, code[i].length);
        *length += code[i].length;
        chosen[n_chosen++] = i;
    }
}

static void choose_loop_state(void)
{
    struct random r = { random64() };

    program_pointers(&r, &begin.cpu, CASE_DATA, CASE_PAGES * PAGE_BYTES, CASE_CODE);
    if (kind == X87)
        draw_x87(&r, &begin.cpu.x87);
}

static bool choose_state(void)
{
    if (!case_begin(&cases[chosen[0]], &begin))
        return false;
    for (unsigned i = 0; i < GPRS; i++)
        if (i != RSP)
            begin.cpu.slot[i] = random_register(begin.cpu.slot[i]);
    cpu_set_rflags(&begin.cpu, FLAG_ONE | FLAG_IF | (random64() & (FLAGS_ARITHMETIC | (random64() & 1 ? FLAG_DF : 0))));
    for (unsigned i = 0; i < CASE_BYTES; i += 8)
        if (random64() & 1)
            memcpy(begin.memory + i, (uint64_t[]){ random64() }, 8);
    for (unsigned i = 0; i < 32 * 8; i++)
        if (random64() & 1)
            begin.cpu.zmm[i / 8].q[i % 8] = random64();
    if (kind != CASES)
        choose_loop_state();
    return true;
}

static void enter(struct guest *g, const uint8_t *bytes, unsigned length)
{
    struct cpu *c = &g->vcpu.cpu;

    guest_reset(g, cases[chosen[0]].code32 ? GUEST_CPL3_32 : GUEST_CPL3);
    guest_set_code(g, CASE_CODE, bytes, length);
    memcpy(g->ram + CASE_STACK, begin.memory, CASE_BYTES);
    for (unsigned i = 0; i < CASE_BYTES; i += 64) /* a jump may have led there */
        g->vcpu.bus.wrote(g->vcpu.bus.wrote_opaque, CASE_STACK + i, 64);
    memcpy(c->slot, begin.cpu.slot, sizeof(c->slot));
    memcpy(c->zmm, begin.cpu.zmm, sizeof(c->zmm));
    memcpy(c->k, begin.cpu.k, sizeof(c->k));
    memcpy(c->x87.significand, begin.cpu.x87.significand, sizeof(c->x87.significand));
    if (kind == X87)
        c->x87 = begin.cpu.x87;
    c->rip = begin.cpu.rip;
    cpu_set_rflags(c, cpu_rflags(&begin.cpu));
    cpu_update(c);
}

/* -- a difference ------------------------------------------------------------------------------------------------------------ */

static bool memory_agrees(char *text, size_t size)
{
    for (unsigned at = 0; at < GUEST_RAM; at++)
        if (guests[0].ram[at] != guests[1].ram[at]) {
            snprintf(text, size, "memory at %x: %02x != %02x", at, guests[0].ram[at], guests[1].ram[at]);
            return false;
        }
    return true;
}

static bool agree(char *text, size_t size)
{
    const struct cpu *a = &guests[0].vcpu.cpu, *b = &guests[1].vcpu.cpu;

    if (ends[0].stop != ends[1].stop || ends[0].vector != ends[1].vector || ends[0].error != ends[1].error ||
        guests[0].vcpu.retired != guests[1].vcpu.retired) {
        snprintf(text, size, "stop %d vector %d error %x after %" PRIu64 " != stop %d vector %d error %x after %" PRIu64, ends[0].stop,
                 ends[0].vector, ends[0].error, guests[0].vcpu.retired, ends[1].stop, ends[1].vector, ends[1].error, guests[1].vcpu.retired);
        return false;
    }
    if (!cpu_compare(a, b, 0, text, size))
        return false;
    snprintf(text, size, "x87");
    return !memcmp(&a->x87, &b->x87, sizeof(a->x87)) &&
           (!memcmp(guests[0].ram, guests[1].ram, GUEST_RAM) || memory_agrees(text, size));
}

/* The program once more on the interpreter, instruction by instruction. */
static void replay(const uint8_t *bytes, unsigned length)
{
    struct guest *g = &guests[0];
    struct cpu *c = &g->vcpu.cpu;
    struct cpu end = *c;
    char text[128];
    struct err err;

    enter(g, bytes, length);
    g->engine->set_state(g->self, &err);
    for (unsigned i = 0; i < BUDGET && c->activity == CPU_RUNNING && c->cpl == 3; i++) {
        disasm_one(c->mode & MODE_CODE64 ? 64 : 32, g->ram + c->rip % GUEST_RAM, 15, c->rip, text, sizeof(text));
        printf("#   %6" PRIx64 "  %s\n", c->rip, text);
        g->engine->run(g->self, 1, &err);
    }
    *c = end;
}

static void report(uint64_t program, const char *text, const uint8_t *bytes, unsigned length)
{
    static char dump[4096];
    const char *names[] = { "before", "interp", "jit" };
    const struct cpu *states[] = { &begin.cpu, &guests[0].vcpu.cpu, &guests[1].vcpu.cpu };

    printf("# different: %s\n# program %" PRIu64 " of seed %" PRIu64 ", %u-bit code:\n", text, program, seed, cases[chosen[0]].code32 ? 32 : 64);
    for (unsigned i = 0; i < n_chosen && kind == CASES; i++)
        printf("#   %-40s %s.case:%u\n", cases[chosen[i]].text, cases[chosen[i]].file, cases[chosen[i]].line);
    printf("# executed:\n");
    replay(bytes, length);
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        cpu_dump(states[i], dump, sizeof(dump));
        printf("# %s:\n", names[i]);
        for (char *line = strtok(dump, "\n"); line; line = strtok(NULL, "\n"))
            printf("#   %s\n", line);
    }
}

/* Only what enter() fills anew can be written, and the stack of the handlers. */
static void protect(struct guest *g)
{
    for (uint64_t at = 0; at < GUEST_RAM; at += PAGE_BYTES)
        if (at != GUEST_CODE && at != GUEST_HANDLER_STACK && (at < CASE_STACK || at >= CASE_STACK + CASE_BYTES))
            guest_map(g, at, at, GUEST_PRESENT);
}

/* -- all of it ---------------------------------------------------------------------------------------------------------------- */

static bool run_program(uint64_t program)
{
    uint8_t bytes[PAGE_BYTES];
    char text[256];
    unsigned length;

    (kind == CASES ? choose : choose_loop)(bytes, &length);
    if (!choose_state())
        return true;
    if (flush && random64() % flush == 0)
        jit_drop_all(guests[1].self);
    for (unsigned i = 0; i < 2; i++) {
        enter(&guests[i], bytes, length);
        guests[i].vcpu.retired = 0;
        ends[i] = guest_run(&guests[i], BUDGET);
    }
    insns += guests[0].vcpu.retired;
    if (agree(text, sizeof(text)))
        return true;
    report(program, text, bytes, length);
    return false;
}

static bool prepare(char **files)
{
    struct err err;

    for (unsigned i = 0; files && files[i]; i++)
        if (!cases_load(files[i], &cases, &n_cases))
            return false;
    code = calloc(n_cases + 1, sizeof(*code));
    if (!code)
        abort();
    for (size_t i = 0; i < n_cases; i++)
        code[i] = (struct snippet){ .text = cases[i].text, .code32 = cases[i].code32 };
    if (!n_cases || !assemble(code, n_cases)) {
        fprintf(stderr, "cases: nothing to run\n");
        return false;
    }
    if (!guest_create(&guests[0], &engine_interp, &err) || !guest_create(&guests[1], &engine_jit, &err))
        return false;
    ((struct jit *)guests[1].self)->options.patience = (unsigned)patience;
    protect(&guests[0]);
    protect(&guests[1]);
    return true;
}

static int run(char **files)
{
    uint64_t i;
    bool same = true;

    if (!prepare(files))
        return 2;
    generator = UINT64_C(0x9e3779b97f4a7c15) * (2 * seed + 1);
    for (i = 0; same && i < programs; i++)
        same = run_program(i);
    printf("# %s: %" PRIu64 " instructions, %" PRIu64 " programs, %" PRIu64 " blocks\n", same ? "same" : "DIFFERENT", insns, i,
           jit_engine_stats(guests[1].self)->blocks);
    guest_destroy(&guests[0]);
    guest_destroy(&guests[1]);
    return same ? 0 : 1;
}

int main(int argc, char **argv)
{
    static gboolean x87, memory;
    static char **files;
    const GOptionEntry entries[] = {
        { "programs", 0, 0, G_OPTION_ARG_INT64, &programs, "As many (20000)", "N" },
        { "seed", 0, 0, G_OPTION_ARG_INT64, &seed, "Of everything that is random (1)", "N" },
        { "x87", 0, 0, G_OPTION_ARG_NONE, &x87, "Programs of x87 instructions; FILE.case says which modes", NULL },
        { "memory", 0, 0, G_OPTION_ARG_NONE, &memory, "Programs of memory operands near each other", NULL },
        { "patience", 0, 0, G_OPTION_ARG_INT64, &patience, "Blocks are brief, and made again after so many executions (0: whole at once)", "N" },
        { "flush", 0, 0, G_OPTION_ARG_INT64, &flush, "Drop all translated code before about every Nth", "N" },
        { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &files, NULL, "FILE.case..." },
        { NULL, 0, 0, 0, NULL, NULL, NULL },
    };
    GOptionContext *context = g_option_context_new("- random programs of tests/insn on interp and jit");
    GError *error = NULL;
    int status = 2;

    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error)) {
        fprintf(stderr, "cases: %s\n", error->message);
        g_error_free(error);
    } else if (!files) {
        fprintf(stderr, "cases: which? tests/insn/NAME.case...\n");
    } else {
        kind = x87 ? X87 : memory ? MEMORY : CASES;
        status = run(files);
    }
    g_option_context_free(context);
    g_strfreev(files);
    return status;
}
