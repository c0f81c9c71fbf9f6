/*
 * test_debug.c - a debugger's breakpoints and watches stop exactly where they should, at full speed or not: what a guest does is
 * first recorded with a budget of one instruction at a time, without any of them.
 */
#include "debug.h"
#include "machine.h"
#include "walk.h"

#include "lib/which_engine.h"

#include <check.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ORIGIN = 0x7c00, WORD = 0x9000, FILLED = 0x9100, STEPS_MAX = 4000, SEEDS = 12 };

/* A loop with a branch, a repetition, memory and the stack; then it halts for ever. */
static const uint8_t image[] = {
    0xbc, 0x00, 0x70,       /* mov sp, 0x7000 */
    0xbf, 0x00, 0x91,       /* mov di, 0x9100 */
    0xba, 0x96, 0x00,       /* mov dx, 150 */
    0x31, 0xc0,             /* xor ax, ax */
    0xfc,                   /* cld */
#define LOOP 12
    0xff, 0x06, 0x00, 0x90, /* inc word [0x9000] */
    0x05, 0x03, 0x00,       /* add ax, 3 */
    0xa8, 0x04,             /* test al, 4 */
    0x74, 0x02,             /* jz over the next two */
    0x50, 0x5b,             /* push ax; pop bx */
    0xb9, 0x03, 0x00,       /* mov cx, 3 */
    0xf3, 0xaa,             /* rep stosb */
    0xfb,                   /* sti */
    0xbf, 0x00, 0x91,       /* mov di, 0x9100 */
    0xfa, 0x4a,             /* cli; dec dx */
    0x75, 0xe6,             /* jnz to inc */
    0xf4,                   /* hlt */
};

static char *folder, *path;
static GRand *numbers;
static uint64_t pc[STEPS_MAX]; /* before each instruction */
static uint16_t word[STEPS_MAX];
static unsigned steps;

static struct machine *make(void)
{
    struct machine_config c = { .engine = test_engine(), .ram_bytes = MIB(1), .flat = path, .limit = UINT64_MAX };
    struct err err;
    struct machine *m = machine_create(&c, &err);

    ck_assert_msg(m != NULL, "%s", err.text);
    return m;
}

static uint16_t word_now(struct machine *m)
{
    uint16_t v = 0;

    ck_assert_uint_eq(debug_read_physical(&m->vcpu, WORD, &v, 2), 2);
    return v;
}

static enum stop_reason run(struct machine *m, uint64_t budget)
{
    struct err err;

    return m->runs->run(m->cpu[0].engine, budget, &err);
}

static void record(void)
{
    struct machine *m = make();

    do {
        ck_assert_uint_lt(steps, STEPS_MAX);
        pc[steps] = debug_pc(&m->vcpu);
        word[steps++] = word_now(m);
    } while (run(m, 1) == STOP_BUDGET);
    machine_destroy(m);
    ck_assert_uint_gt(steps, 1000);
}

static void setup(void)
{
    folder = g_dir_make_tmp("wideload-debug-XXXXXX", NULL);
    path = g_build_filename(folder, "guest", NULL);
    numbers = g_rand_new_with_seed(1);
    steps = 0;
    ck_assert(g_file_set_contents(path, (const char *)image, sizeof(image), NULL));
    record();
}

static void teardown(void)
{
    g_unlink(path);
    g_rmdir(folder);
    g_free(path);
    g_free(folder);
    g_rand_free(numbers);
}

static bool has_break(const struct vcpu *v, uint64_t at)
{
    for (unsigned i = 0; i < v->debug.breaks; i++)
        if (v->debug.at[i] == at)
            return true;
    return false;
}

/* The instruction at a breakpoint, and then on. */
static enum stop_reason step_over(struct machine *m)
{
    enum stop_reason stop;

    m->vcpu.debug.step = true;
    stop = run(m, 1);
    m->vcpu.debug.step = false;
    return stop;
}

/* Breakpoints at any addresses, most of which are an instruction's: all of them and no other stop it, in the order of the record. */
/* What somebody has written into a processor's registers holds, whichever it is. */
START_TEST(state_is_taken_of_every_processor)
{
    struct machine_config c = { .engine = test_engine(), .ram_bytes = MIB(1), .flat = path, .limit = UINT64_MAX, .smp = 3 };
    struct err err;
    struct machine *m = machine_create(&c, &err);

    ck_assert_msg(m != NULL, "%s", err.text);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert(machine_show_state(m, &err));
        m->cpu[i].v->cpu.cr3 = 0x1000 * (i + 1);
        ck_assert(machine_take_state(m, &err));
        ck_assert_uint_eq(m->cpu[i].v->mmu.cr3, 0x1000 * (i + 1));
    }
    machine_destroy(m);
}
END_TEST

START_TEST(debug_breakpoints_stop_before_their_instructions_and_nowhere_else)
{
    struct machine *m = make();
    struct vcpu *v = &m->vcpu;
    enum stop_reason stop;
    unsigned at = 0;

    g_rand_set_seed(numbers, (guint32)_i + 1);
    run(m, (uint64_t)g_rand_int_range(numbers, 1, 400)); /* so that there is translated code already */
    at = (unsigned)v->retired;
    for (v->debug.breaks = 0; v->debug.breaks < 1 + (unsigned)_i % 5; v->debug.breaks++)
        v->debug.at[v->debug.breaks] = ORIGIN + (unsigned)g_rand_int_range(numbers, 0, (gint32)sizeof(image));
    debug_changed(v, &m->phys);
    while ((stop = run(m, UINT64_MAX)) == STOP_DEBUG) {
        while (at < steps && !has_break(v, pc[at]))
            at++;
        ck_assert_uint_eq(v->retired, at);
        ck_assert_uint_eq(debug_pc(v), pc[at]);
        ck_assert_uint_eq(word_now(m), word[at]);
        ck_assert_int_eq(step_over(m), STOP_BUDGET);
        ck_assert_uint_eq(v->retired, ++at);
    }
    ck_assert_int_eq(stop, STOP_HALT);
    while (at < steps && !has_break(v, pc[at]))
        at++;
    ck_assert_uint_ge(at, steps - 1);
    machine_destroy(m);
}
END_TEST

/* The first instruction from `at` on after which the word is another; there is none: steps. */
static unsigned next_write(unsigned at)
{
    while (at + 1 < steps && word[at + 1] == word[at])
        at++;
    return at + 1;
}

START_TEST(debug_watch_stops_after_the_instruction_that_writes)
{
    struct machine *m = make();
    struct vcpu *v = &m->vcpu;
    unsigned at = 0;

    run(m, (uint64_t)_i * 100 + 1);
    at = (unsigned)v->retired;
    v->debug.watch[_i % DEBUG_WATCHES] = (struct watch){ .gva = WORD + 1, .size = 1, .writes_only = true };
    debug_changed(v, &m->phys);
    while (run(m, UINT64_MAX) == STOP_DEBUG) {
        ck_assert_uint_eq(v->debug.hits, 1u << (_i % DEBUG_WATCHES));
        at = next_write(at);
        ck_assert_uint_eq(v->retired, at);
        ck_assert_uint_eq(word_now(m), word[at]);
    }
    ck_assert_uint_eq(next_write(at), steps);
    v->debug.watch[_i % DEBUG_WATCHES].size = 0;
    debug_changed(v, &m->phys);
    ck_assert(!(v->cpu.mode & MODE_STEP));
    machine_destroy(m);
}
END_TEST

/* REP STOSB is stopped at once for a step, and reads are not writes. */
START_TEST(debug_watch_tells_reads_from_writes)
{
    static const struct {
        struct watch watch;
        unsigned stops;
    } rows[] = {
        { { .gva = FILLED, .size = 3, .writes_only = true }, 150 * 3 }, { { .gva = FILLED, .size = 3, .reads_only = true }, 0 },
        { { .gva = WORD, .size = 2 }, 150 },                            { { .gva = WORD, .size = 2, .reads_only = true }, 150 },
        { { .gva = WORD + 2, .size = 64 }, 0 },                         { { .gva = WORD - 63, .size = 64 }, 150 },
    };
    struct machine *m = make();
    unsigned stops = 0;

    m->vcpu.debug.watch[0] = rows[_i].watch;
    debug_changed(&m->vcpu, &m->phys);
    while (run(m, UINT64_MAX) == STOP_DEBUG)
        stops++;
    ck_assert_uint_eq(stops, rows[_i].stops);
    machine_destroy(m);
}
END_TEST

/* A look at memory: what is not there is said, devices are left alone, and written code runs as it is now. */
START_TEST(debug_memory_is_memory_only)
{
    struct machine *m = make();
    uint8_t bytes[64] = { 0 };
    bool touched;

    ck_assert_uint_eq(debug_read(&m->vcpu, ORIGIN, bytes, sizeof(image)), sizeof(image));
    ck_assert(!memcmp(bytes, image, sizeof(image)));
    touched = m->vcpu.bus.touched;
    ck_assert_uint_eq(debug_read(&m->vcpu, BOARD_WIDEREG_BASE, bytes, 8), 0);
    ck_assert_uint_eq(debug_read(&m->vcpu, UINT64_C(0x100000000), bytes, 8), 0);
    ck_assert_uint_eq(debug_write(&m->vcpu, BOARD_WIDEREG_BASE, bytes, 8), 0);
    ck_assert_uint_eq(debug_read_physical(&m->vcpu, UINT64_MAX - 3, bytes, 8), 0);
    ck_assert_uint_eq(debug_read(&m->vcpu, MIB(1) - 4, bytes, 8), 4);
    ck_assert(m->vcpu.bus.touched == touched);
    run(m, 500);
    bytes[0] = 0xf4; /* the loop's first becomes HLT */
    ck_assert_uint_eq(debug_write(&m->vcpu, ORIGIN + LOOP, bytes, 1), 1);
    ck_assert_int_eq(run(m, UINT64_MAX), STOP_HALT);
    ck_assert_uint_eq(debug_pc(&m->vcpu), ORIGIN + LOOP + 1);
    machine_destroy(m);
}
END_TEST

/* walk_look() sees what a walk sees, and leaves no accessed bit behind: tables at 0x10000, one page of each right. */
START_TEST(debug_walk_look_agrees_with_the_walk_and_sets_nothing)
{
    struct machine *m = make();
    uint64_t *ram = (uint64_t *)(void *)phys_writable(&m->phys, 0x10000, 0x5000);
    static const uint64_t rights[] = { 1, 3, 5, 7, 1 | BIT(63), 3 | BIT(63), 0, 0x83 };

    ck_assert_ptr_nonnull(ram);
    ram[0] = 0x11007, ram[512] = 0x12007, ram[1024] = 0x13007, ram[1025] = 0x200087;
    for (unsigned i = 0; i < ARRAY_LEN(rights); i++)
        ram[1536 + i] = 0x40000 + i * 0x1000 + rights[i];
    mmu_set_registers(&m->vcpu.mmu, CR0_PG | CR0_PE, 0x10000, CR4_PAE, EFER_LMA | EFER_LME | EFER_NXE, 0);
    for (unsigned i = 0; i < ARRAY_LEN(rights); i++) {
        struct walk_seen s = walk_look(&m->vcpu.mmu, i * 0x1000 + 5);
        struct walk_result r;

        ck_assert_uint_eq(s.present, rights[i] & 1);
        ck_assert(!s.present || s.gpa == 0x40005 + i * 0x1000);
        ck_assert_uint_eq(s.shift, 12);
        ck_assert(!s.present || (s.rights == ((rights[i] & 2 ? RIGHTS_WRITABLE : 0) | (rights[i] & 4 ? RIGHTS_USER : 0) |
                                              (rights[i] >> 63 ? 0 : RIGHTS_EXECUTABLE))));
        ck_assert_uint_eq(ram[1536 + i], 0x40000 + i * 0x1000 + rights[i]);
        ck_assert_uint_eq(walk_page(&m->vcpu.mmu, i * 0x1000, ACCESS_READ, BANK_SUPERVISOR, &r), s.present);
    }
    ck_assert_uint_eq(walk_look(&m->vcpu.mmu, 0x234567).gpa, 0x234567);
    ck_assert_uint_eq(walk_look(&m->vcpu.mmu, 0x234567).shift, 21);
    ck_assert(!walk_look(&m->vcpu.mmu, UINT64_C(0x800000000000)).present);
    ram[1026] = 0x7ff0000000000007 & bits_mask(52); /* a table that is not in memory */
    ck_assert(!walk_look(&m->vcpu.mmu, 0x400000).present);
    machine_destroy(m);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("debug");
    TCase *all = tcase_create("debug");
    SRunner *runner;
    int failed;

    if (test_engine_skips())
        return 0;
    tcase_set_timeout(all, 60);
    tcase_add_checked_fixture(all, setup, teardown);
    tcase_add_loop_test(all, debug_breakpoints_stop_before_their_instructions_and_nowhere_else, 0, SEEDS);
    tcase_add_loop_test(all, debug_watch_stops_after_the_instruction_that_writes, 0, 6);
    tcase_add_loop_test(all, debug_watch_tells_reads_from_writes, 0, 6);
    tcase_add_test(all, state_is_taken_of_every_processor);
    tcase_add_test(all, debug_memory_is_memory_only);
    tcase_add_test(all, debug_walk_look_agrees_with_the_walk_and_sets_nothing);
    suite_add_tcase(suite, all);
    runner = srunner_create(suite);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
