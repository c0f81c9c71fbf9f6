/* bench.c - wideload bench: what an assisted access costs under KVM. */
#include "cmd/cmd.h"

#include "base/low.h"
#include "cmd/options.h"
#include "fuzz/guest.h"
#include "widereg.h"

#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- a guest at CPL 3 with widereg ---------------------------------------------------------------------------------------- */

enum { DEVICE_GPA = 0x10000000, BUFFER = 0x180000, LOOP_BYTES = 32, ACCESSES = 2000, ROUNDS = 5, WARM_UP = 50 };

struct bench_guest {
    struct guest guest;
    struct device *widereg;
};

static void bench_destroy(struct bench_guest *b)
{
    if (!b)
        return;
    guest_destroy(&b->guest);
    if (b->widereg)
        device_destroy(b->widereg);
    low_free(b, sizeof(*b));
}

static struct bench_guest *bench_create(const struct engine *engine, enum assist_mode assist, struct err *err)
{
    struct bench_guest *b = low_alloc(sizeof(*b));
    struct device_host host = { 0 };

    if (!guest_create(&b->guest, engine, err)) {
        low_free(b, sizeof(*b));
        return NULL;
    }
    b->guest.vcpu.assist.mode = assist;
    host.map = &b->guest.phys.map;
    b->widereg = device_create(&widereg_class, &host);
    for (unsigned i = 0; i < WIDEREG_WINDOWS_COUNT; i++) {
        region_move(&b->widereg->region[i], DEVICE_GPA + (uint64_t)i * WIDEREG_WINDOW_BYTES, true);
        guest_map(&b->guest, DEVICE_GPA + (uint64_t)i * WIDEREG_WINDOW_BYTES, DEVICE_GPA + (uint64_t)i * WIDEREG_WINDOW_BYTES,
                  GUEST_PRESENT | GUEST_WRITABLE);
    }
    return b;
}

/* -- rows -------------------------------------------------------------------------------------------------------------------- */

struct bench_row {
    const char *what;
    const struct engine *engine;
    enum assist_mode assist;
    unsigned window, bytes;  /* of widereg; bytes of an access */
    unsigned accesses;       /* of one turn of the loop */
    uint8_t length, code[LOOP_BYTES - 4];
    unsigned against;        /* the row it is compared with */
    bool new_group;
};

/* RDI is the device, RSI memory. */
static const struct bench_row rows[] = {
    { "4-byte store, a plain exit", &engine_kvm, ASSIST_OFF, WIDEREG_REGISTERS, 4, 1, 2, { 0x89, 0x07 }, 0, false },
    { "4-byte load, a plain exit", &engine_kvm, ASSIST_OFF, WIDEREG_REGISTERS, 4, 1, 2, { 0x8b, 0x07 }, 0, false },
    { "4-byte store, the same with assist", &engine_kvm, ASSIST_INSTRUCTION, WIDEREG_REGISTERS, 4, 1, 2, { 0x89, 0x07 }, 0, false },
    { "16-byte store, two plain exits", &engine_kvm, ASSIST_OFF, WIDEREG_ANY, 16, 1, 4, { 0xf3, 0x0f, 0x7f, 0x07 }, 0, false },
    { "16-byte store, put together", &engine_kvm, ASSIST_INSTRUCTION, WIDEREG_ANY, 16, 1, 4, { 0xf3, 0x0f, 0x7f, 0x07 }, 0, false },
    { "16-byte load, taken over", &engine_kvm, ASSIST_INSTRUCTION, WIDEREG_ANY, 16, 1, 4, { 0xf3, 0x0f, 0x6f, 0x0f }, 0, false },
    { "LOCK XADD, taken over", &engine_kvm, ASSIST_INSTRUCTION, WIDEREG_ATOMIC, 4, 1, 4, { 0xf0, 0x0f, 0xc1, 0x07 }, 0, false },
    { "32-byte store, KVM gives up", &engine_kvm, ASSIST_INSTRUCTION, WIDEREG_ANY, 32, 1, 4, { 0xc5, 0xfe, 0x7f, 0x07 }, 0, false },
    { "64-byte store, KVM gives up", &engine_kvm, ASSIST_INSTRUCTION, WIDEREG_ANY, 64, 1, 6, { 0x62, 0xf1, 0xfe, 0x48, 0x7f, 0x07 }, 0, false },
    { "64-byte load, KVM gives up", &engine_kvm, ASSIST_INSTRUCTION, WIDEREG_ANY, 64, 1, 6, { 0x62, 0xf1, 0xfe, 0x48, 0x6f, 0x0f }, 0, false },
    { "copy 64 bytes by eights, plain KVM", &engine_kvm, ASSIST_OFF, WIDEREG_REGISTERS, 64, 8, 6, { 0x48, 0x8b, 0x06, 0x48, 0x89, 0x07 }, 10, true },
    { "copy 64 bytes, assist instruction", &engine_kvm, ASSIST_INSTRUCTION, WIDEREG_ANY, 64, 1, 12,
      { 0x62, 0xf1, 0xfe, 0x48, 0x6f, 0x06, 0x62, 0xf1, 0xfe, 0x48, 0x7f, 0x07 }, 10, false },
    { "copy 64 bytes, assist burst", &engine_kvm, ASSIST_BURST, WIDEREG_ANY, 64, 1, 12,
      { 0x62, 0xf1, 0xfe, 0x48, 0x6f, 0x06, 0x62, 0xf1, 0xfe, 0x48, 0x7f, 0x07 }, 10, false },
    { "copy 64 bytes, jit", &engine_jit, ASSIST_OFF, WIDEREG_ANY, 64, 1, 12,
      { 0x62, 0xf1, 0xfe, 0x48, 0x6f, 0x06, 0x62, 0xf1, 0xfe, 0x48, 0x7f, 0x07 }, 10, false },
};

enum { ROWS = ARRAY_LEN(rows) };

/* The row's instructions, DEC ECX, JNZ back. */
static void put_loop(struct guest *g, const struct bench_row *row)
{
    uint8_t code[LOOP_BYTES];
    unsigned n = row->length;

    memcpy(code, row->code, n);
    memcpy(code + n, (const uint8_t[]){ 0xff, 0xc9, 0x75, (uint8_t)-(n + 4) }, 4);
    guest_set_code(g, GUEST_CODE, code, n + 4);
}

/* Nanoseconds of an access; false when the guest did not end as it should. */
static bool measure(struct bench_guest *b, const struct bench_row *row, unsigned accesses, double *ns, struct err *err)
{
    struct guest *g = &b->guest;
    struct guest_end end;
    gint64 start;

    put_loop(g, row);
    guest_reset(g, GUEST_CPL3);
    g->vcpu.cpu.slot[RCX] = accesses * row->accesses;
    g->vcpu.cpu.slot[RDI] = DEVICE_GPA + (uint64_t)row->window * WIDEREG_WINDOW_BYTES;
    g->vcpu.cpu.slot[RSI] = BUFFER;
    start = g_get_monotonic_time();
    end = guest_run(g, UINT32_MAX);
    *ns = (double)(g_get_monotonic_time() - start) * 1000 / accesses;
    return (!end.stuck && end.vector < 0) || err_set(err, "%s: the guest did not come to its end", row->what);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static double median(double *values)
{
    qsort(values, ROUNDS, sizeof(*values), by_value);
    return values[ROUNDS / 2];
}

/* Row after row, round after round. */
static bool measure_all(double ns[ROWS][ROUNDS], struct err *err)
{
    for (unsigned round = 0; round < ROUNDS; round++)
        for (unsigned i = 0; i < ROWS; i++) {
            struct bench_guest *b = bench_create(rows[i].engine, rows[i].assist, err);
            bool ok = b && measure(b, &rows[i], WARM_UP, &ns[i][round], err) && measure(b, &rows[i], ACCESSES, &ns[i][round], err);

            bench_destroy(b);
            if (!ok)
                return false;
        }
    return true;
}

static void print_rows(double ns[ROWS][ROUNDS])
{
    double medians[ROWS];

    printf("%-38s %10s %8s\n", "access of a guest at CPL 3", "ns", "ratio");
    for (unsigned i = 0; i < ROWS; i++) {
        medians[i] = median(ns[i]);
        printf("%s%-38s %10.0f %8.2f\n", rows[i].new_group ? "\n" : "", rows[i].what, medians[i], medians[i] / medians[rows[i].against]);
    }
    printf("\nmedians of %d rounds of %d accesses, interleaved; the ratio is to the first row of its group\n", ROUNDS, ACCESSES);
}

/* -- the command -------------------------------------------------------------------------------------------------------------- */

static char **bench_what;

static const GOptionEntry bench_entries[] = {
    { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_STRING_ARRAY, &bench_what, NULL, "assist" },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
};

static int bench_assist(void)
{
    static double ns[ROWS][ROUNDS];
    struct err err;

    if (!measure_all(ns, &err))
        return options_fail(&err);
    print_rows(ns);
    return 0;
}

int cmd_bench(int argc, char **argv)
{
    static const GOptionEntry *const tables[] = { bench_entries, NULL };
    struct err err;

    if (!options_parse("wideload bench", "- what an assisted access costs under KVM", tables, &argc, &argv))
        return 2;
    if (!bench_what || strcmp(bench_what[0], "assist") != 0 || bench_what[1]) {
        err_set(&err, "what to measure: assist (the JIT's speed: make bench)");
        return options_fail(&err);
    }
    return bench_assist();
}
