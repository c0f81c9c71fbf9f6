/* fuzz.c - wideload fuzz: random instructions on several engines and on the host's processor. */
#include "cmd/cmd.h"

#include "cmd/guest.h"
#include "cmd/options.h"
#include "fuzz/campaign.h"
#include "fuzz/report.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CASES = 100000, SAVE_EVERY_S = 10, JOBS_MAX = 1024 };

static char *fuzz_engines, *fuzz_isa, *fuzz_cases, *fuzz_seed, *fuzz_shard, *fuzz_db, *fuzz_replay_what, *fuzz_report;
static gint fuzz_time, fuzz_mode = 64, fuzz_jobs = 1;
static gboolean fuzz_system, fuzz_merge, fuzz_coverage, fuzz_first;
static volatile sig_atomic_t interrupted;

static const GOptionEntry fuzz_entries[] = {
    { "engines", 'e', 0, G_OPTION_ARG_STRING, &fuzz_engines, "Of native, interp, jit, kvm; the first is right (native,interp,jit)", "LIST" },
    { "isa", 0, 0, G_OPTION_ARG_STRING, &fuzz_isa, "Extensions (SSE2, AVX512) or mnemonics (default: all)", "LIST" },
    { "mode", 0, 0, G_OPTION_ARG_INT, &fuzz_mode, "64 (default), 32 or 16", "BITS" },
    { "system", 0, 0, G_OPTION_ARG_NONE, &fuzz_system, "Cases of system state: page tables, descriptors, control registers (interp,jit)", NULL },
    { "cases", 'n', 0, G_OPTION_ARG_STRING, &fuzz_cases, "How many (100000)", "N" },
    { "time", 't', 0, G_OPTION_ARG_INT, &fuzz_time, "... or for how long", "SECONDS" },
    { "seed", 's', 0, G_OPTION_ARG_STRING, &fuzz_seed, "What cases are made from (1)", "S" },
    { "shard", 0, 0, G_OPTION_ARG_STRING, &fuzz_shard, "Every n-th case, from the i-th on: 0/4 to 3/4", "I/N" },
    { "jobs", 'j', 0, G_OPTION_ARG_INT, &fuzz_jobs, "Processes to share the cases (1)", "N" },
    { "first", 0, 0, G_OPTION_ARG_NONE, &fuzz_first, "Stop at the first difference", NULL },
    { "db", 0, 0, G_OPTION_ARG_FILENAME, &fuzz_db, "Keep counts and differences in this SQLite database", "FILE" },
    { "report", 0, 0, G_OPTION_ARG_STRING, &fuzz_report, "text (default), json or junit", "FORMAT" },
    { "coverage", 0, 0, G_OPTION_ARG_NONE, &fuzz_coverage, "List every encoding and how often it was executed", NULL },
    { "merge", 0, 0, G_OPTION_ARG_NONE, &fuzz_merge, "Run nothing: put the databases named into that of --db, and report", NULL },
    { "replay", 0, 0, G_OPTION_ARG_STRING, &fuzz_replay_what, "Run a difference of --db by its number, SEED:CASE, or all of a database", "WHAT" },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
};

static void on_interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

/* -- options ------------------------------------------------------------------------------------------------------------------ */

static bool parse_engines(const char *list, unsigned *mask, struct err *err)
{
    char **names = g_strsplit(list, ",", 0);
    bool ok = true;

    *mask = 0;
    for (char **name = names; *name && ok; name++) {
        unsigned e = 0;

        while (e < FUZZ_ENGINES && strcmp(*name, fuzz_engine_names[e]))
            e++;
        ok = e < FUZZ_ENGINES || err_set(err, "--engines: no engine '%s' here (native, interp, jit, kvm)", *name);
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

static bool parse_report(enum report_format *format, struct err *err)
{
    for (*format = 0; *format < REPORT_FORMATS; (*format)++)
        if (!fuzz_report ? *format == REPORT_TEXT : !strcmp(fuzz_report, report_format_names[*format]))
            return true;
    return err_set(err, "--report: text, json or junit, not '%s'", fuzz_report);
}

static bool configure(struct fuzz_config *c, uint64_t *cases, struct err *err)
{
    *cases = fuzz_time ? UINT64_MAX : CASES;
    *c = (struct fuzz_config){ .isa = fuzz_isa, .seed = 1, .bits = (unsigned)fuzz_mode, .system = fuzz_system };
    if (fuzz_mode != 16 && fuzz_mode != 32 && fuzz_mode != 64)
        return err_set(err, "--mode: 64, 32 or 16");
    if (fuzz_time < 0)
        return err_set(err, "--time: not below zero");
    if (fuzz_jobs < 1 || fuzz_jobs > JOBS_MAX)
        return err_set(err, "--jobs: 1 to %d", JOBS_MAX);
    if (fuzz_cases && (!guest_parse_size(fuzz_cases, cases) || !*cases))
        return err_set(err, "--cases: a number such as 100000 or 3M");
    if (fuzz_seed && !g_ascii_string_to_unsigned(fuzz_seed, 10, 0, UINT64_MAX, &c->seed, NULL))
        return err_set(err, "--seed: a number");
    if (!parse_shard(c, err) ||
        !parse_engines(fuzz_engines ? fuzz_engines : fuzz_system ? "interp,jit" : "native,interp,jit", &c->engines, err))
        return false;
    return !fuzz_system || !(c->engines & 1u << FUZZ_NATIVE) || err_set(err, "--system: native is a process of user mode; interp, jit and kvm can");
}

/* -- a campaign ---------------------------------------------------------------------------------------------------------------- */

struct running {
    struct store *store;
    struct fuzz *f;
    struct campaign campaign;
    gint64 start, saved, shown;
    struct err err;              /* of the database */
    bool failed;
};

static double seconds_since(gint64 start) { return (double)(g_get_monotonic_time() - start) / G_USEC_PER_SEC; }

static void save(struct running *r)
{
    const struct store_campaign c = { &r->campaign.config, r->campaign.counts->cases, seconds_since(r->start) * r->campaign.jobs };

    r->saved = g_get_monotonic_time();
    r->failed |= !store_campaign(r->store, &c, r->campaign.counts, fuzz_catalog(r->f), &r->err);
}

static void on_difference(void *opaque, const struct fuzz_difference *d)
{
    struct running *r = opaque;

    r->failed |= !store_difference(r->store, d, fuzz_base(r->f)->image, &r->err);
}

static void show_progress(struct running *r)
{
    const struct fuzz_counts *n = r->campaign.counts;

    if (!isatty(2) || g_get_monotonic_time() - r->start < 2 * G_USEC_PER_SEC)
        return;
    r->shown = g_get_monotonic_time();
    fprintf(stderr, "\r%" PRIu64 " cases, %.0f a second, %" PRIu64 " differences ", n->cases, (double)n->cases / seconds_since(r->start), n->differences);
}

static bool on_tick(void *opaque)
{
    struct running *r = opaque;

    show_progress(r);
    if (fuzz_db && g_get_monotonic_time() - r->saved > SAVE_EVERY_S * G_USEC_PER_SEC)
        save(r);
    return !interrupted && !r->failed;
}

/* Nothing is written before everything asked for has been found right. */
static bool prepare(struct running *r, struct err *err)
{
    r->start = g_get_monotonic_time();
    if (!configure(&r->campaign.config, &r->campaign.cases, err) || !(r->f = fuzz_create(&r->campaign.config, err)))
        return false;
    r->store = store_open(fuzz_db, true, err);
    if (!r->store)
        fuzz_destroy(r->f);
    return r->store;
}

/* To the database; then the report. */
static int run_campaign(enum report_format format, struct err *err)
{
    struct sigaction action = { .sa_handler = on_interrupt };
    struct running r = { 0 };
    uint64_t differences;
    bool ok;

    if (!prepare(&r, err))
        return options_fail(err);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    r.campaign.f = r.f;
    r.campaign.jobs = (unsigned)fuzz_jobs;
    r.campaign.seconds = (unsigned)fuzz_time;
    r.campaign.first_only = fuzz_first;
    r.campaign.counts = coverage_create(fuzz_catalog(r.f));
    r.campaign.differs = on_difference;
    r.campaign.tick = on_tick;
    r.campaign.opaque = &r;
    r.start = r.saved = g_get_monotonic_time();
    ok = campaign_run(&r.campaign, err);
    if (r.shown)
        fprintf(stderr, "\r%60s\r", "");
    if (ok)
        save(&r);
    coverage_destroy(r.campaign.counts);
    fuzz_destroy(r.f);
    if (!ok || r.failed) {
        store_close(r.store);
        return options_fail(ok ? &r.err : err);
    }
    differences = report_print(r.store, format, stdout);
    if (format == REPORT_TEXT && r.campaign.not_on_host)
        printf("%u instructions this host has not got: compared with neither native nor kvm\n", r.campaign.not_on_host);
    if (fuzz_coverage)
        report_print_coverage(r.store, stdout);
    store_close(r.store);
    if (interrupted)
        fprintf(stderr, "wideload fuzz: interrupted\n");
    return interrupted ? 130 : differences != 0;
}

/* -- merging, replaying --------------------------------------------------------------------------------------------------------- */

static bool is_target(const char *path)
{
    struct stat a, b;

    return !stat(path, &a) && !stat(fuzz_db, &b) && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* All of them are looked at before the first is taken. */
static bool can_merge(char **paths, struct err *err)
{
    for (; *paths; paths++) {
        struct store *s = is_target(*paths) ? NULL : store_open(*paths, false, err);

        if (is_target(*paths))
            return err_set(err, "--merge: %s cannot be merged into itself", *paths);
        if (!s)
            return false;
        store_close(s);
    }
    return true;
}

static int merge(char **paths, enum report_format format, struct err *err)
{
    struct store *store = can_merge(paths, err) ? store_open(fuzz_db, true, err) : NULL;
    uint64_t differences;
    bool ok = store != NULL;

    for (; ok && *paths; paths++)
        ok = store_merge(store, *paths, err);
    if (!ok) {
        if (store)
            store_close(store);
        return options_fail(err);
    }
    differences = report_print(store, format, stdout);
    if (fuzz_coverage)
        report_print_coverage(store, stdout);
    store_close(store);
    return differences != 0;
}

struct replay {
    struct fuzz *f;
    bool differs;
};

static void print_replayed(void *opaque, const struct fuzz_difference *d)
{
    struct replay *r = opaque;

    r->differs = true;
    printf("%s\n", d->cause);
    fuzz_print_difference(d, fuzz_base(r->f)->image, stdout);
}

/* False and err: it could not be run. */
static bool replay_case(struct fuzz *f, const struct fuzz_case *c, const char *name, bool *differs, struct err *err)
{
    struct replay r = { .f = f };
    bool compared;

    if (!fuzz_replay(f, c, print_replayed, &r, &compared, err))
        return false;
    if (!compared)
        return err_set(err, "--replay: %s: this host cannot run it on two engines", name);
    if (!r.differs)
        printf("%s: the same on all engines\n", name);
    *differs |= r.differs;
    return true;
}

static struct fuzz *create_for(const struct fuzz_config *config, const struct fuzz_case *c, struct fuzz_counts **counts, struct err *err)
{
    struct fuzz_config own = *config;
    struct fuzz *f;

    own.bits = c ? c->bits : config->bits;
    f = fuzz_create(&own, err);
    if (!f)
        return NULL;
    *counts = coverage_create(fuzz_catalog(f));
    if (fuzz_start(f, *counts, err))
        return f;
    coverage_destroy(*counts);
    fuzz_destroy(f);
    return NULL;
}

/* One case, on engines made for it. */
static bool replay_one(const struct fuzz_config *config, struct fuzz_case *c, const char *name, bool *differs, struct err *err)
{
    struct fuzz_counts *counts;
    struct fuzz *f = create_for(config, c, &counts, err);
    bool ok = f && (fuzz_adopt(f, c), replay_case(f, c, name, differs, err));

    if (!f)
        return false;
    fuzz_destroy(f);
    coverage_destroy(counts);
    return ok;
}

static bool replay_number(const struct fuzz_config *config, uint64_t seed, uint64_t number, struct fuzz_case *c, bool *differs, struct err *err)
{
    struct fuzz_counts *counts;
    struct fuzz *f = create_for(config, NULL, &counts, err);
    bool ok;

    if (!f)
        return false;
    generate(fuzz_base(f), seed, number, c);
    ok = replay_case(f, c, fuzz_replay_what, differs, err);
    fuzz_destroy(f);
    coverage_destroy(counts);
    return ok;
}

static bool replay_stored(struct store *s, int64_t id, const struct fuzz_config *config, struct fuzz_case *c, bool *differs, struct err *err)
{
    char name[32];

    snprintf(name, sizeof(name), "#%" PRId64, id);
    return store_case(s, id, c, err) && replay_one(config, c, name, differs, err);
}

/* A number of --db, SEED:CASE, or the path of a database. */
static int replay(struct err *err)
{
    struct fuzz_case *c = g_malloc0(sizeof(*c));
    uint64_t seed, number, id, cases;
    struct fuzz_config config;
    bool differs = false, ok;
    struct store *s;
    char rest;

    if (!configure(&config, &cases, err))
        return options_fail(err);
    if (sscanf(fuzz_replay_what, "%" SCNu64 ":%" SCNu64 "%c", &seed, &number, &rest) == 2) {
        ok = replay_number(&config, seed, number, c, &differs, err);
    } else if (g_ascii_string_to_unsigned(fuzz_replay_what, 10, 1, INT64_MAX, &id, NULL)) {
        ok = fuzz_db || err_set(err, "--replay: which database?  Say --db FILE");
        if (ok && (ok = (s = store_open(fuzz_db, false, err)) != NULL)) {
            ok = replay_stored(s, (int64_t)id, &config, c, &differs, err);
            store_close(s);
        }
    } else if ((ok = (s = store_open(fuzz_replay_what, false, err)) != NULL)) {
        for (int64_t i = 0; ok && (i = store_next(s, i));)
            ok = replay_stored(s, i, &config, c, &differs, err);
        store_close(s);
    }
    g_free(c);
    return ok ? differs : options_fail(err);
}

int cmd_fuzz(int argc, char **argv)
{
    static const GOptionEntry *const tables[] = { fuzz_entries, NULL };
    enum report_format format;
    struct err err;

    if (!options_parse("wideload fuzz", "[DB...] - random instructions on engines and on the host's processor", tables, &argc, &argv))
        return 2;
    if (argc > 1 && !fuzz_merge) {
        err_set(&err, "no argument is expected but with --merge");
        return options_fail(&err);
    }
    if (fuzz_merge && (!fuzz_db || fuzz_replay_what)) {
        err_set(&err, fuzz_db ? "--merge and --replay: one at a time" : "--merge: into which database?  Say --db FILE");
        return options_fail(&err);
    }
    if (!parse_report(&format, &err))
        return options_fail(&err);
    if (fuzz_replay_what)
        return replay(&err);
    return fuzz_merge ? merge(argv + 1, format, &err) : run_campaign(format, &err);
}
