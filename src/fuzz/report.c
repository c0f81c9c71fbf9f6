/* report.c - text, JSON, and JUnit's XML, which build servers show. */
#include "fuzz/report.h"

#include <glib.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { WANTED = 100 /* executions of each operand form */, LISTED = 12 };

const char *const report_format_names[REPORT_FORMATS] = { "text", "json", "junit" };

/* -- numbers ----------------------------------------------------------------------------------------------------------------- */

struct totals {
    GHashTable *counter;      /* name: uint64_t */
    uint64_t forms, least, below;
    double seconds;
    uint64_t campaigns, differences;
};

static uint64_t counter(const struct totals *t, const char *name)
{
    const uint64_t *value = g_hash_table_lookup(t->counter, name);

    return value ? *value : 0;
}

static void add_up(struct store *s, struct totals *t)
{
    struct store_rows *r = store_rows(s, STORE_COUNTERS);

    *t = (struct totals){ .counter = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free), .least = UINT64_MAX };
    while (store_row(r)) {
        uint64_t value = strtoull(store_text(r, 1), NULL, 10);

        g_hash_table_insert(t->counter, g_strdup(store_text(r, 0)), g_memdup2(&value, sizeof(value)));
    }
    store_rows_free(r);
    r = store_rows(s, STORE_COVERAGE);
    while (store_row(r)) {
        uint64_t executed = strtoull(store_text(r, 1), NULL, 10);

        t->forms++;
        t->least = MIN(t->least, executed);
        t->below += executed < WANTED;
    }
    store_rows_free(r);
    r = store_rows(s, STORE_CAMPAIGNS);
    while (store_row(r)) {
        t->campaigns++;
        t->seconds += strtod(store_text(r, 7), NULL);
    }
    store_rows_free(r);
    r = store_rows(s, STORE_DIFFERENCES);
    while (store_row(r))
        t->differences++;
    store_rows_free(r);
    t->least = t->forms ? t->least : 0;
}

/* -- text ---------------------------------------------------------------------------------------------------------------------- */

/* "name: value, ..." of the counters that begin so, the larger first. */
static void print_group(struct store *s, const char *prefix, const char *title, FILE *out)
{
    struct store_rows *r = store_rows(s, STORE_COUNTERS);
    const char *between = "";

    fprintf(out, "%s: ", title);
    while (store_row(r)) {
        if (!g_str_has_prefix(store_text(r, 0), prefix))
            continue;
        fprintf(out, "%s%s %s", between, store_text(r, 0) + strlen(prefix), store_text(r, 1));
        between = ", ";
    }
    fprintf(out, "%s\n", *between ? "" : "-");
    store_rows_free(r);
}

static void print_speed(const struct totals *t, FILE *out)
{
    double cases = (double)MAX(counter(t, "cases"), 1);

    fprintf(out, "%.0f cases a second of a job; microseconds a case: making it %.2f", cases / t->seconds, (double)counter(t, "generator: ns") / 1e3 / cases);
    for (unsigned e = 0; e < FUZZ_ENGINES; e++) {
        char name[64];
        uint64_t n, ns;

        snprintf(name, sizeof(name), "engine: %s: cases", fuzz_engine_names[e]);
        n = counter(t, name);
        snprintf(name, sizeof(name), "engine: %s: ns", fuzz_engine_names[e]);
        ns = counter(t, name);
        if (n)
            fprintf(out, ", %s %.2f (%.0f a second)", fuzz_engine_names[e], (double)ns / 1e3 / (double)n, (double)n * 1e9 / (double)ns);
    }
    fprintf(out, "\n");
}

static void print_rare(struct store *s, const struct totals *t, FILE *out)
{
    struct store_rows *r = store_rows(s, STORE_COVERAGE);
    unsigned n = 0;

    if (t->below)
        fprintf(out, "seldom executed:");
    while (t->below && n < LISTED && store_row(r) && strtoull(store_text(r, 1), NULL, 10) < WANTED)
        fprintf(out, "%s %s (%s)", n++ ? ";" : "", store_text(r, 0), store_text(r, 1));
    if (t->below)
        fprintf(out, "%s\n", t->below > LISTED ? "; ..." : "");
    store_rows_free(r);
}

static void print_text(struct store *s, const struct totals *t, FILE *out)
{
    struct store_rows *r = store_rows(s, STORE_DIFFERENCES);

    while (store_row(r))
        fprintf(out, "#%s %s\n%s", store_text(r, 0), store_text(r, 1), store_text(r, 10));
    store_rows_free(r);
    fprintf(out, "%" PRIu64 " cases (%" PRIu64 " of them sequences, %" PRIu64 " instructions in all); %" PRIu64 " differences of %" PRIu64 " causes\n",
            counter(t, "cases"), counter(t, "sequences"), counter(t, "instructions"), counter(t, "differences"), t->differences);
    fprintf(out, "at a device: %" PRIu64 " cases, %" PRIu64 " with an access of more than 8 bytes or across a boundary, %" PRIu64 " transactions\n",
            counter(t, "device: cases"), counter(t, "device: wider than 8 bytes or across a boundary"), counter(t, "device: transactions"));
    fprintf(out, "%" PRIu64 " operand forms, each executed %" PRIu64 " times at least; %" PRIu64 " of them less than %d times\n", t->forms, t->least,
            t->below, WANTED);
    print_rare(s, t, out);
    print_group(s, "form: ", "with", out);
    print_group(s, "operands: ", "operands", out);
    print_group(s, "ended: legacy: ", "legacy encodings ended with", out);
    print_group(s, "ended: VEX: ", "VEX encodings ended with", out);
    print_group(s, "ended: EVEX: ", "EVEX encodings ended with", out);
    if (t->seconds > 0)
        print_speed(t, out);
}

/* -- JSON ---------------------------------------------------------------------------------------------------------------------- */

static void json_string(const char *text, FILE *out)
{
    fputc('"', out);
    for (; *text; text++)
        if (*text == '"' || *text == '\\')
            fprintf(out, "\\%c", *text);
        else if ((unsigned char)*text < 0x20)
            fprintf(out, "\\u%04x", *text);
        else
            fputc(*text, out);
    fputc('"', out);
}

/* An array of objects, a member for each column. */
static void json_rows(struct store *s, enum store_query query, const char *name, const char *const *column, unsigned columns, FILE *out)
{
    struct store_rows *r = store_rows(s, query);
    const char *between = "\n    ";

    fprintf(out, "  \"%s\": [", name);
    while (store_row(r)) {
        fprintf(out, "%s{", between);
        for (unsigned i = 0; i < columns; i++) {
            fprintf(out, "%s\"%s\": ", i ? ", " : "", column[i]);
            json_string(store_text(r, (int)i), out);
        }
        fprintf(out, "}");
        between = ",\n    ";
    }
    fprintf(out, "\n  ]");
    store_rows_free(r);
}

static void print_json(struct store *s, const struct totals *t, FILE *out)
{
    static const char *const campaign[] = { "seed", "first", "step", "mode", "engines", "isa", "cases", "seconds", "build", "processor" };
    static const char *const difference[] = { "id", "cause", "seed", "case", "mode", "engine", "reference", "what", "code", "line" };
    static const char *const pair[] = { "name", "value" }, *const coverage[] = { "encoding", "executed" };

    fprintf(out, "{\n  \"cases\": %" PRIu64 ",\n  \"differences\": %" PRIu64 ",\n  \"causes\": %" PRIu64 ",\n", counter(t, "cases"),
            counter(t, "differences"), t->differences);
    json_rows(s, STORE_CAMPAIGNS, "campaigns", campaign, G_N_ELEMENTS(campaign), out);
    fprintf(out, ",\n");
    json_rows(s, STORE_DIFFERENCES, "found", difference, G_N_ELEMENTS(difference), out);
    fprintf(out, ",\n");
    json_rows(s, STORE_COUNTERS, "counters", pair, G_N_ELEMENTS(pair), out);
    fprintf(out, ",\n");
    json_rows(s, STORE_COVERAGE, "coverage", coverage, G_N_ELEMENTS(coverage), out);
    fprintf(out, "\n}\n");
}

/* -- JUnit --------------------------------------------------------------------------------------------------------------------- */

/* A test for each cause found, which failed, and one that is the campaign. */
static void print_junit(struct store *s, const struct totals *t, FILE *out)
{
    struct store_rows *r = store_rows(s, STORE_DIFFERENCES);

    fprintf(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"wideload fuzz\" tests=\"%" PRIu64 "\" failures=\"%" PRIu64
                 "\" time=\"%.3f\">\n  <testcase classname=\"fuzz\" name=\"%" PRIu64 " cases\"/>\n",
            t->differences + 1, t->differences, t->seconds, counter(t, "cases"));
    while (store_row(r)) {
        char *test = g_markup_printf_escaped("  <testcase classname=\"fuzz.%s\" name=\"%s\">\n    <failure message=\"%s\">%s</failure>\n  </testcase>\n",
                                             store_text(r, 5), store_text(r, 1), store_text(r, 7), store_text(r, 10));

        fputs(test, out);
        g_free(test);
    }
    fprintf(out, "</testsuite>\n");
    store_rows_free(r);
}

/* -- any ------------------------------------------------------------------------------------------------------------------------- */

uint64_t report_print(struct store *s, enum report_format format, FILE *out)
{
    struct totals t;

    add_up(s, &t);
    if (format == REPORT_JSON)
        print_json(s, &t, out);
    else if (format == REPORT_JUNIT)
        print_junit(s, &t, out);
    else
        print_text(s, &t, out);
    g_hash_table_destroy(t.counter);
    return t.differences;
}

void report_print_coverage(struct store *s, FILE *out)
{
    struct store_rows *r = store_rows(s, STORE_COVERAGE);

    while (store_row(r))
        fprintf(out, "%10s  %s\n", store_text(r, 1), store_text(r, 0));
    store_rows_free(r);
}
