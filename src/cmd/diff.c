/* diff.c - wideload diff: the same guest on two engines, or against a recorded trace. */
#include "cmd/cmd.h"

#include "cmd/guest.h"
#include "cmd/options.h"
#include "diff/diff.h"
#include "kvm/kvm.h"
#include "print/disasm.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { JOURNEYS = 30000 }; /* a guest that never ends must be left at some point */

static char *diff_left, *diff_right, *diff_format, *diff_journeys, *diff_assist;
static gboolean diff_table;
static char **diff_files;

static const GOptionEntry diff_entries[] = {
    { "left", 'l', 0, G_OPTION_ARG_STRING, &diff_left, "interp (default), jit, kvm, or a trace file", "SIDE" },
    { "right", 'r', 0, G_OPTION_ARG_STRING, &diff_right, "kvm (default), interp, jit, or a trace file", "SIDE" },
    { "assist", 0, 0, G_OPTION_ARG_STRING, &diff_assist, "KVM with a soft engine's help: off (default), instruction or burst", "WHAT" },
    { "format", 0, 0, G_OPTION_ARG_STRING, &diff_format, "text (default) or json", "FORMAT" },
    { "journeys", 'n', 0, G_OPTION_ARG_STRING, &diff_journeys, "Stop after so many journeys (30000 unless --until or --limit says when)", "N" },
    { "table", 0, 0, G_OPTION_ARG_NONE, &diff_table, "A line for every journey that is not the same on both", NULL },
    { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &diff_files, NULL, "[FLAT]" },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
};

/* -- progress -------------------------------------------------------------------------------------------------------- */

static gint64 progress_since;

static void progress(void *opaque, uint64_t journeys)
{
    (void)opaque;
    if (g_get_monotonic_time() - progress_since > 2 * G_USEC_PER_SEC)
        fprintf(stderr, "\r%" PRIu64 " journeys compared ", journeys);
}

/* -- the table ---------------------------------------------------------------------------------------------------------- */

static void print_shape(const struct journey *j)
{
    if (!j) {
        printf("-");
        return;
    }
    if (j->gave_up)
        printf("(gave up; interp:) ");
    for (unsigned i = 0; i < journey_accesses(j); i++) {
        const struct journey_access *a = journey_access_at(j, i);

        printf("%s%s:%u", i ? " " : "", a->type == TRANSACTION_LOAD ? "R" : a->type == TRANSACTION_STORE ? "W" : journey_type_names[a->type],
               a->width);
        for (unsigned f = 0; a->fragments > 1 && f < a->fragments; f++)
            printf("%s%u", f ? "+" : "=", journey_fragment_at(j, a, f)->width);
    }
}

static void print_row(void *opaque, const struct journey *a, const struct journey *b, const struct comparison *c)
{
    const struct journey *known = a && a->code_bytes ? a : b;
    char text[96] = "?";

    (void)opaque;
    if (c->verdict == VERDICT_SAME && !c->phantoms[0] && !c->phantoms[1])
        return;
    if (known && known->code_bytes)
        disasm_one(known->mode, known->code, known->code_bytes, known->rip, text, sizeof(text));
    printf("%6" PRIu64 "  %-14s %-38s ", a ? a->number : b->number, verdict_names[c->verdict], text);
    print_shape(a);
    printf(" | ");
    print_shape(b);
    printf("%s%s\n", *c->cause ? "  " : "", c->cause);
}

/* -- the result ----------------------------------------------------------------------------------------------------------- */

static void print_side(const struct diff_side *s)
{
    struct kvm_probe probe;
    char text[256];

    if (s->machine && s->machine->config.engine->id == ENGINE_KVM) {
        kvm_probe(&probe);
        kvm_describe(&probe, text, sizeof(text));
        printf("%s\n", text);
    }
    if (s->trace)
        printf("%s: recorded trace of %s, kernel %s, %s%s%s\n", s->name, s->header.engine, s->header.kernel, s->header.cpu,
               *s->header.kvm ? ", KVM " : "", s->header.kvm);
    else
        printf("%s: %" PRIu64 " journeys", s->name, s->machine->journeys);
    if (s->machine && s->machine->vcpu.assist.instructions)
        printf(", %" PRIu64 " instructions carried out for it by %s", s->machine->vcpu.assist.instructions,
               s->machine->config.assist == ASSIST_BURST ? "jit" : "interp");
    if (!s->trace)
        printf("\n");
}

static void print_state(const struct diff_side *s)
{
    char text[4096];

    if (!s->machine)
        return;
    cpu_dump(&s->machine->vcpu.cpu, text, sizeof(text));
    printf("%s:\n%s", s->name, text);
}

static void print_divergence(struct diff *d, const char *command)
{
    struct diff_side *s = &d->side[0];
    const struct journey *j = s->trace ? &s->read : &s->recorder.journey;
    char text[96];

    printf("divergent at journey %" PRIu64 ": %s\n", d->diverged_at, d->cause);
    if (j->code_bytes) {
        disasm_one(j->mode, j->code, j->code_bytes, j->rip, text, sizeof(text));
        printf("  instruction at %" PRIx64 ": %s\n", j->rip, text);
    }
    print_state(&d->side[0]);
    print_state(&d->side[1]);
    printf("reproduce: wideload %s --journeys %" PRIu64 "\n", command, d->diverged_at + 1);
}

static void print_text(struct diff *d, const char *command)
{
    const struct diff_side *machine = d->side[0].machine ? &d->side[0] : d->side[1].machine ? &d->side[1] : NULL;
    const struct compare_counts *c = &d->counts;

    for (unsigned i = 0; i < 2; i++)
        print_side(&d->side[i]);
    printf("compared %" PRIu64 " journeys:", d->pairs);
    for (unsigned v = 0; v < VERDICTS; v++)
        printf("%s %" PRIu64 " %s", v ? "," : "", c->verdict[v], verdict_names[v]);
    printf("; phantom accesses in %" PRIu64 " journeys (%s %" PRIu64 " bytes, %s %" PRIu64 ")\n", c->phantom_journeys,
           d->side[0].name, c->phantoms[0], d->side[1].name, c->phantoms[1]);
    if (machine && machine->end != MACHINE_JOURNEY && !d->diverged) /* both ended alike */
        printf("the guest ended: %s\n", machine_end_name(machine->end));
    if (d->trace_ended)
        printf("the trace ends there; the run would go on\n");
    if (d->registers_compared)
        printf("registers compared after every journey, vector registers and memory at the end\n");
    if (d->diverged)
        print_divergence(d, command);
}

static void print_json(const struct diff *d, const char *command)
{
    const struct compare_counts *c = &d->counts;
    char *cause = g_strescape(d->cause, NULL), *shown = g_strescape(command, NULL);

    printf("{\"left\":\"%s\",\"right\":\"%s\",\"journeys\":%" PRIu64, d->side[0].name, d->side[1].name, d->pairs);
    for (unsigned v = 0; v < VERDICTS; v++)
        printf(",\"%s\":%" PRIu64, verdict_names[v], c->verdict[v]);
    printf(",\"phantom_journeys\":%" PRIu64 ",\"diverged\":%s", c->phantom_journeys, d->diverged ? "true" : "false");
    if (d->diverged)
        printf(",\"at\":%" PRIu64 ",\"cause\":\"%s\",\"reproduce\":\"wideload %s\"", d->diverged_at, cause, shown);
    printf("}\n");
    g_free(cause);
    g_free(shown);
}

/* -- the command ------------------------------------------------------------------------------------------------------------- */

static bool interrupted(const struct diff *d)
{
    for (unsigned i = 0; i < 2; i++)
        if (d->side[i].machine && d->side[i].machine->interrupted)
            return true;
    return false;
}

static int run_diff(struct diff_config *config, const char *command)
{
    struct err err = { "" };
    struct diff *d = diff_create(config, &err);
    bool ok;
    int status;

    if (!d)
        return options_fail(&err);
    guest_keep_outputs();
    progress_since = g_get_monotonic_time();
    guest_catch_signals(d->side[0].machine, d->side[1].machine);
    ok = diff_run(d, &err);
    guest_catch_signals(NULL, NULL);
    if (config->progress && g_get_monotonic_time() - progress_since > 2 * G_USEC_PER_SEC)
        fprintf(stderr, "\r\033[K");
    status = ok ? d->diverged : 2;
    if (interrupted(d)) {
        fprintf(stderr, "wideload diff: interrupted\n");
        status = 130;
    } else if (!ok) {
        options_fail(&err);
    } else if (diff_format && !strcmp(diff_format, "json")) {
        print_json(d, command);
    } else {
        print_text(d, command);
    }
    diff_destroy(d);
    return status;
}

static bool configure(struct diff_config *c, struct err *err)
{
    if (diff_files && diff_files[1])
        return err_set(err, "more than one image");
    if (!guest_configure(&c->guest, diff_files ? diff_files[0] : NULL, NULL, err))
        return false;
    if (guest_display_is_curses())
        return err_set(err, "--display curses is for run");
    guest_throw_away_writes();
    if (!guest_options.serial)
        guest_options.serial = g_strdup("none");
    if (diff_assist && !guest_parse_assist(diff_assist, &c->guest.assist, err))
        return false;
    c->side[0] = diff_left ? diff_left : "interp";
    c->side[1] = diff_right ? diff_right : "kvm";
    c->journeys = guest_options.until || guest_options.limit ? UINT64_MAX : JOURNEYS;
    if (diff_journeys && !guest_parse_size(diff_journeys, &c->journeys))
        return err_set(err, "not a number of journeys: '%s'", diff_journeys);
    if (diff_format && strcmp(diff_format, "text") && strcmp(diff_format, "json"))
        return err_set(err, "no such format '%s' (text, json)", diff_format);
    if (isatty(STDERR_FILENO))
        c->progress = progress;
    if (diff_table)
        c->each = print_row;
    return guest_open_console(&c->guest, err);
}

int cmd_diff(int argc, char **argv)
{
    static const GOptionEntry *const tables[] = { diff_entries, guest_entries, NULL };
    char *command = guest_command_line(argc, argv, "--journeys", 'n');
    struct diff_config config = { .journeys = 0 };
    struct err err;
    int status = 2;

    if (options_parse("wideload diff", "- run a guest on two engines and compare every device access", tables, &argc, &argv))
        status = configure(&config, &err) ? run_diff(&config, command) : options_fail(&err);
    guest_close_console();
    guest_free_disks();
    g_free(command);
    return status;
}
