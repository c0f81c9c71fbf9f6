/* fuzz.c - wideload fuzz: random instructions on several engines and on the host's processor. */
#include "cmd/cmd.h"

#include "cmd/guest.h"
#include "fuzz/fuzz.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { CASES = 100000, SHOWN = 20, SLICE = 4096 };

static char *fuzz_engines, *fuzz_isa, *fuzz_cases, *fuzz_seed, *fuzz_shard;
static gint fuzz_time, fuzz_mode = 64, fuzz_shown = SHOWN;
static volatile sig_atomic_t interrupted;

static const GOptionEntry fuzz_entries[] = {
    { "engines", 'e', 0, G_OPTION_ARG_STRING, &fuzz_engines, "Of native, interp, jit; the first is right (native,interp,jit)", "LIST" },
    { "isa", 0, 0, G_OPTION_ARG_STRING, &fuzz_isa, "Extensions (SSE2, AVX512) or mnemonics (default: all)", "LIST" },
    { "mode", 0, 0, G_OPTION_ARG_INT, &fuzz_mode, "64 (default) or 32", "BITS" },
    { "cases", 'n', 0, G_OPTION_ARG_STRING, &fuzz_cases, "How many (100000)", "N" },
    { "time", 't', 0, G_OPTION_ARG_INT, &fuzz_time, "... or for how long", "SECONDS" },
    { "seed", 's', 0, G_OPTION_ARG_STRING, &fuzz_seed, "What cases are made from (1)", "S" },
    { "shard", 0, 0, G_OPTION_ARG_STRING, &fuzz_shard, "Every n-th case, from the i-th on: 0/4 to 3/4", "I/N" },
    { "show", 0, 0, G_OPTION_ARG_INT, &fuzz_shown, "Differences to print (20)", "N" },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
};

static int fail(const struct err *err)
{
    fprintf(stderr, "wideload fuzz: %s\n", err->text);
    return 2;
}

static void on_interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

static bool parse_engines(const char *list, unsigned *mask, struct err *err)
{
    char **names = g_strsplit(list, ",", 0);
    bool ok = true;

    *mask = 0;
    for (char **name = names; *name && ok; name++) {
        unsigned e = 0;

        while (e < FUZZ_ENGINES && strcmp(*name, fuzz_engine_names[e]))
            e++;
        ok = e < FUZZ_ENGINES || err_set(err, "--engines: no engine '%s' here (native, interp, jit)", *name);
        *mask |= 1u << e;
    }
    g_strfreev(names);
    return ok && (*mask & (*mask - 1) ? true : err_set(err, "--engines: two at least"));
}

static bool parse_shard(struct fuzz_config *c, struct err *err)
{
    unsigned i = 0, n = 1;
    char rest;

    if (fuzz_shard && (sscanf(fuzz_shard, "%u/%u%c", &i, &n, &rest) != 2 || !n || i >= n))
        return err_set(err, "--shard: I/N with I below N, for example 0/4");
    c->first = i;
    c->step = n;
    return true;
}

static bool configure(struct fuzz_config *c, uint64_t *cases, struct err *err)
{
    *cases = fuzz_time ? UINT64_MAX : CASES;
    c->isa = fuzz_isa;
    c->seed = 1;
    c->code32 = fuzz_mode == 32;
    if (fuzz_mode != 32 && fuzz_mode != 64)
        return err_set(err, "--mode: 64 or 32");
    if (fuzz_time < 0 || fuzz_shown < 0)
        return err_set(err, "--time and --show: not below zero");
    if (fuzz_cases && (!guest_parse_size(fuzz_cases, cases) || !*cases))
        return err_set(err, "--cases: a number such as 100000 or 3M");
    if (fuzz_seed && !g_ascii_string_to_unsigned(fuzz_seed, 10, 0, UINT64_MAX, &c->seed, NULL))
        return err_set(err, "--seed: a number");
    return parse_shard(c, err) && parse_engines(fuzz_engines ? fuzz_engines : "native,interp,jit", &c->engines, err);
}

static void print_difference(void *opaque, const struct fuzz_case *c, enum fuzz_engine reference, enum fuzz_engine engine, const char *what)
{
    uint64_t *shown = opaque;

    if (++*shown > (uint64_t)fuzz_shown)
        return;
    printf("case %" PRIu64 ": %s: %s (%s)\n  ", c->number, fuzz_engine_names[engine], what, fuzz_engine_names[reference]);
    fuzz_print_case(c, stdout);
}

static void print_counts(const struct fuzz *f, double seconds)
{
    struct fuzz_counts c;

    fuzz_count(f, &c);
    printf("%" PRIu64 " cases of %u instructions (legacy, VEX and EVEX forms counted), each %" PRIu64 " times at least; %" PRIu64 " differences\n", c.cases, c.forms, c.least, c.differences);
    if (c.not_on_host)
        printf("%u of them this host has not got: not compared with native\n", c.not_on_host);
    printf("%.0f cases a second; microseconds a case: making it %.2f", (double)c.cases / seconds, (double)c.generate_ns / 1e3 / (double)c.cases);
    for (unsigned e = 0; e < FUZZ_ENGINES; e++)
        if (c.ns[e])
            printf(", %s %.2f", fuzz_engine_names[e], (double)c.ns[e] / 1e3 / (double)c.cases);
    printf("\n");
}

static void progress(const struct fuzz *f, gint64 since)
{
    static gint64 last;
    gint64 now = g_get_monotonic_time();
    struct fuzz_counts c;

    if (!isatty(2) || now - since < 2 * G_USEC_PER_SEC || now - last < G_USEC_PER_SEC / 4)
        return;
    last = now;
    fuzz_count(f, &c);
    fprintf(stderr, "\r%" PRIu64 " cases, %" PRIu64 " differences ", c.cases, c.differences);
}

/* False: an engine failed. */
static bool run(struct fuzz *f, uint64_t cases, struct err *err)
{
    gint64 start = g_get_monotonic_time();

    while (cases && !interrupted && (!fuzz_time || g_get_monotonic_time() - start < fuzz_time * G_USEC_PER_SEC)) {
        unsigned n = (unsigned)MIN(cases, SLICE);

        if (!fuzz_run(f, n, err))
            return false;
        cases -= n;
        progress(f, start);
    }
    if (isatty(2) && g_get_monotonic_time() - start > 2 * G_USEC_PER_SEC)
        fprintf(stderr, "\r%40s\r", "");
    return true;
}

int cmd_fuzz(int argc, char **argv)
{
    GOptionContext *context = g_option_context_new("- random instructions on engines and on the host's processor");
    struct fuzz_config config = { .differs = print_difference };
    struct sigaction action = { .sa_handler = on_interrupt };
    uint64_t cases, shown = 0;
    struct fuzz_counts counts;
    GError *error = NULL;
    struct err err;
    struct fuzz *f;
    gint64 start;
    bool ok;

    g_option_context_add_main_entries(context, fuzz_entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error) || argc > 1) {
        err_set(&err, "%s", error ? error->message : "no argument is expected");
        return fail(&err);
    }
    g_option_context_free(context);
    config.opaque = &shown;
    if (!configure(&config, &cases, &err) || !(f = fuzz_create(&config, &err)))
        return fail(&err);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    start = g_get_monotonic_time();
    ok = run(f, cases, &err);
    if (ok)
        print_counts(f, (double)(g_get_monotonic_time() - start) / G_USEC_PER_SEC);
    fuzz_count(f, &counts);
    fuzz_destroy(f);
    if (!ok)
        return fail(&err);
    if (interrupted)
        fprintf(stderr, "wideload fuzz: interrupted\n");
    return interrupted ? 130 : counts.differences != 0;
}
