/* run.c - wideload run: a guest on one engine. */
#include "cmd/cmd.h"

#include "cmd/guest.h"
#include "cmd/options.h"
#include "console/console.h"
#include "console/terminal.h"
#include "display/picture.h"
#include "jit/options.h"
#include "kvm/kvm.h"
#include "trace/record.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static gboolean run_no_reboot, run_stats, run_perf_map, run_gdb_wait;
static char *run_gdb, *run_trace, *run_journeys, *run_jitdump, *run_assist, *run_switch, *run_save, *run_load, *run_on_panic;
static struct snapshot *run_loaded;
static struct console run_console;
static uint64_t run_journeys_max = UINT64_MAX;
static char **run_files, **run_net;
static struct net_options run_nets[BOARD_NETS];
static char **run_share;
static struct share_options run_shares[BOARD_SHARES];

static const GOptionEntry run_entries[] = {
    { "engine", 'e', 0, G_OPTION_ARG_STRING, &guest_options.engine, "interp (default), jit or kvm", "ENGINE" },
    { "assist", 0, 0, G_OPTION_ARG_STRING, &run_assist, "What KVM cannot do or say whole: off (default), instruction or burst, by a soft engine", "WHAT" },
    { "switch", 0, 0, G_OPTION_ARG_STRING, &run_switch, "Hand the guest over: interp@1M:jit,jit@300j:kvm,kvm@500j+20:interp", "LIST" },
    { "save", 0, 0, G_OPTION_ARG_FILENAME, &run_save, "Where --limit, --until, --journeys or Ctrl-C ends the run: the guest to a file", "FILE" },
    { "load", 0, 0, G_OPTION_ARG_FILENAME, &run_load, "The guest of such a file goes on, instead of an image", "FILE" },
    { "trace", 0, 0, G_OPTION_ARG_FILENAME, &run_trace, "Write every journey to a file; .zst compresses it (docs/trace.md)", "FILE" },
    { "journeys", 'n', 0, G_OPTION_ARG_STRING, &run_journeys, "With --trace: stop after so many journeys", "N" },
    { "net", 0, 0, G_OPTION_ARG_STRING_ARRAY, &run_net, "A virtio network card (see the manual page); once for each", "user[,...]" },
    { "share", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &run_share, "A folder of the host, over 9P; once for each", "FOLDER,tag=TAG[,readonly]" },
    { "on-panic", 0, 0, G_OPTION_ARG_STRING, &run_on_panic, "A guest that has panicked: exit (default, status 1) or continue", "WHAT" },
    { "no-reboot", 0, 0, G_OPTION_ARG_NONE, &run_no_reboot, "A reset, or a triple fault, ends the run", NULL },
    { "gdb", 0, 0, G_OPTION_ARG_STRING, &run_gdb, "Serve gdb at a TCP port of this host, or at a socket", "PORT|PATH" },
    { "gdb-wait", 0, 0, G_OPTION_ARG_NONE, &run_gdb_wait, "... and do not start the guest before gdb does", NULL },
    { "stats", 0, 0, G_OPTION_ARG_NONE, &run_stats, "Instructions, page walks, speed, and what the JIT did at the end", NULL },
    { "perf-map", 0, 0, G_OPTION_ARG_NONE, &run_perf_map, "Names of translated code for perf, in /tmp/perf-PID.map", NULL },
    { "jitdump", 0, 0, G_OPTION_ARG_FILENAME, &run_jitdump, "Translated code for perf inject (default: jit-PID.dump here)", "[FILE]" },
    { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &run_files, NULL, "[FLAT]" },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
};

static void print_stats(const struct machine *m, double seconds)
{
    fprintf(stderr, "instructions %" PRIu64 "\nseconds %.3f\nmillion instructions a second %.1f\npage walks %" PRIu64 "\nTLB flushes %" PRIu64 "\n",
            machine_retired(m), seconds, (double)machine_retired(m) / seconds / 1e6, m->vcpu.mmu.walks, m->vcpu.mmu.flushes);
    if (m->switched)
        fprintf(stderr, "hand-overs %u\n", m->switched);
    if (m->config.assist)
        fprintf(stderr, "assisted instructions %" PRIu64 "\n", m->vcpu.assist.instructions);
    if (m->runs->id == ENGINE_JIT)
        jit_print_stats(m->cpu[0].engine, seconds, stderr);
}

/* The status the guest asked for; 0 where it was stopped on purpose; 1 where it could not go on. */
static int run_status(const struct machine *m, enum machine_end end, const struct err *err)
{
    switch (end) {
    case MACHINE_DEBUG_EXIT: return m->exit_code;
    case MACHINE_LIMIT: case MACHINE_JOURNEY: case MACHINE_UNTIL: case MACHINE_POWERED_OFF: return 0;
    case MACHINE_RESET: fprintf(stderr, "wideload run: %s\n", machine_end_name(end)); return 0;
    case MACHINE_INTERRUPTED: fprintf(stderr, "wideload run: interrupted\n"); return 130;
    case MACHINE_FAILED: fprintf(stderr, "wideload run: %s: %s\n", m->runs->name, err->text); return 1;
    default: fprintf(stderr, "wideload run: %s\n", machine_end_name(end)); return 1;
    }
}

/* Nothing can be refused any more.  Says what KVM this is, before anything runs on it. */
static void run_begins(const struct machine *m)
{
    struct kvm_probe probe;
    char text[256];

    guest_keep_outputs();
    if (m->config.engine->id != ENGINE_KVM)
        return;
    kvm_probe(&probe);
    kvm_describe(&probe, text, sizeof(text));
    fprintf(stderr, "wideload run: %s\n", text);
}

/* Journey by journey, each onto the trace. */
static enum machine_end run_traced(struct machine *m, struct recorder *r, struct trace_writer *writer, struct err *err)
{
    enum machine_end end;

    do {
        end = machine_step(m, err);
        if (journey_accesses(&r->journey)) {
            recorder_finish(r);
            trace_write(writer, &r->journey);
        }
        journey_clear(&r->journey);
    } while (end == MACHINE_JOURNEY && m->journeys < run_journeys_max);
    return end;
}

static bool run_with_trace(struct machine *m, struct recorder *r, const char *command, enum machine_end *end, struct err *err)
{
    struct trace_header header;
    struct trace_writer *writer;

    r->machine = m;
    recorder_header(&header, m, command);
    writer = trace_writer_open(run_trace, &header, err);
    trace_header_free(&header);
    if (!writer)
        return false;
    run_begins(m);
    *end = run_traced(m, r, writer, err);
    return trace_writer_close(writer, err);
}

/* -- snapshots --------------------------------------------------------------------------------------------------------------- */

static gint64 saving_since;

static void show_saving(uint64_t done, uint64_t of)
{
    if (g_get_monotonic_time() - saving_since > 2 * G_USEC_PER_SEC)
        fprintf(stderr, "\rsaving: %" PRIu64 "%% ", done * 100 / of);
}

/* A guest that has ended by itself is not one to go on with. */
static bool can_go_on(enum machine_end end)
{
    return end == MACHINE_LIMIT || end == MACHINE_UNTIL || end == MACHINE_INTERRUPTED || end == MACHINE_JOURNEY;
}

/* Returns `status`, or what it is instead where the guest was not saved. */
static int run_saves(struct machine *m, enum machine_end end, int status)
{
    bool show = isatty(STDERR_FILENO), ok;
    struct err err;

    if (!can_go_on(end)) {
        fprintf(stderr, "wideload run: %s: not written: the guest has ended (%s)\n", run_save, machine_end_name(end));
        return 1;
    }
    saving_since = g_get_monotonic_time();
    ok = snapshot_save(m, run_save, show ? show_saving : NULL, &err);
    if (show && g_get_monotonic_time() - saving_since > 2 * G_USEC_PER_SEC)
        fprintf(stderr, "\r              \r");
    return ok ? status : options_fail(&err);
}

static int run_machine(struct machine *m, struct recorder *r, const char *command)
{
    struct err err = { "" };
    gint64 start = g_get_monotonic_time();
    enum machine_end end;
    int status;

    guest_catch_signals(m, NULL);
    if (m->config.attendant)
        console_start(&run_console, m);
    if (!run_trace) {
        run_begins(m);
        end = machine_run(m, &err);
    } else if (!run_with_trace(m, r, command, &end, &err)) {
        return options_fail(&err);
    }
    guest_catch_signals(NULL, NULL);
    terminal_restore();
    if (run_stats)
        print_stats(m, (double)(g_get_monotonic_time() - start) / 1e6);
    status = run_status(m, end, &err);
    if (guest_picture() && !picture_write(m->board->vga, guest_picture(), &err))
        status = options_fail(&err);
    if (m->config.attendant)
        console_end(&run_console, status);
    return run_save ? run_saves(m, end, status) : status;
}

static int run_guest(struct machine_config *config, const char *command)
{
    struct recorder recorder;
    struct err err = { "" };
    struct machine *m;
    int status;

    recorder_init(&recorder);
    if (run_trace) {
        config->observe = recorder_observe;
        config->observer = &recorder;
        if (config->clock == MACHINE_CLOCK_JOURNEY && config->assist == ASSIST_OFF)
            config->assist = ASSIST_REPORT; /* a trace is of the whole guest */
    }
    if (run_console.open || run_console.gdb)
        config->attendant = &run_console.attendant;
    m = machine_create(config, &err);
    snapshot_close(run_loaded);
    run_loaded = NULL;
    status = m ? run_machine(m, &recorder, command) : options_fail(&err);
    machine_destroy(m);
    recorder_free(&recorder);
    return status;
}

/* Without "=FILE" the next word is not its file. */
static void mark_jitdump(int argc, char **argv)
{
    static char without[] = "--jitdump=";

    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (!strcmp(argv[i], "--jitdump"))
            argv[i] = without;
}

static bool parse_assist(struct machine_config *config, struct err *err)
{
    if (!run_assist)
        return true;
    if (config->engine->id != ENGINE_KVM && !(run_switch && strstr(run_switch, ":kvm")))
        return err_set(err, "--assist is about what KVM cannot do: with --engine kvm");
    return guest_parse_assist(run_assist, &config->assist, err);
}

/* -- hand-overs --------------------------------------------------------------------------------------------------------------- */

static GArray *switches; /* struct machine_switch */

/* INSNS, Nj or Nj+INSNS. */
static bool parse_moment(char *text, struct machine_switch *s)
{
    size_t n = strlen(text);
    char *plus = strchr(text, '+'), *insns = plus ? plus + 1 : text;

    if (plus)
        n = (size_t)(plus - text);
    if (!n || text[n - 1] != 'j')
        return !plus && guest_parse_count(insns, &s->insns);
    text[n - 1] = 0;
    return guest_parse_count(text, &s->journeys) && s->journeys && (!plus || guest_parse_count(insns, &s->insns));
}

/* FROM@MOMENT:TO, where FROM runs by then. */
static bool parse_switch(const char *text, const struct engine **runs, struct err *err)
{
    const char *name = (*runs)->name, *at = strchr(text, '@'), *colon = strrchr(text, ':');
    char *moment = at && colon && at < colon ? g_strndup(at + 1, (gsize)(colon - at - 1)) : NULL;
    struct machine_switch s = { 0 };
    bool ok = moment && (size_t)(at - text) == strlen(name) && !strncmp(text, name, strlen(name)) && parse_moment(moment, &s);

    g_free(moment);
    if (!ok)
        return err_set(err, "--switch: %s@INSNS:ENGINE or %s@JOURNEYSj+INSNS:ENGINE here, not '%s'", name, name, text);
    s.to = guest_find_engine(colon + 1, err);
    if (!s.to)
        return false;
    g_array_append_val(switches, s);
    *runs = s.to;
    return true;
}

static bool kvm_is_here(struct err *err)
{
    struct kvm_probe probe;

    kvm_probe(&probe);
    return probe.kind != KVM_KIND_NONE || err_set(err, "%s", probe.why);
}

static bool parse_switches(struct machine_config *config, struct err *err)
{
    const struct engine *runs = config->engine;
    char **list = g_strsplit(run_switch ? run_switch : "", ",", -1);
    bool ok = true, kvm = false;

    switches = g_array_new(FALSE, FALSE, sizeof(struct machine_switch));
    for (char **text = list; *text && ok; text++) {
        ok = parse_switch(*text, &runs, err);
        kvm |= runs->id == ENGINE_KVM;
    }
    g_strfreev(list);
    config->switches = (const struct machine_switch *)(void *)switches->data;
    config->switch_count = switches->len;
    if (!ok || !kvm)
        return ok;
    if (config->clock == MACHINE_CLOCK_VIRTUAL)
        return err_set(err, "--switch to kvm, which does not count instructions: with --clock host or journey");
    return kvm_is_here(err);
}

static bool configure_snapshots(struct err *err)
{
    if (run_save && !snapshot_possible(run_save, err))
        return false;
    return !run_load || (run_loaded = snapshot_open(run_load, err));
}

static bool configure_gdb(struct err *err)
{
    run_console.gdb_wait = run_gdb_wait;
    if (run_gdb_wait && !run_gdb)
        return err_set(err, "--gdb-wait waits for a connection: with --gdb");
    return !run_gdb || (run_console.gdb = gdb_listen(run_gdb, err));
}

static bool configure_nets(struct machine_config *config, struct err *err)
{
    for (char **text = run_net; text && *text; text++) {
        if (config->nets == BOARD_NETS)
            return err_set(err, "--net: at most %u of them", BOARD_NETS);
        if (!net_parse(*text, &run_nets[config->nets], err))
            return false;
        if (config->virtio_mmio && run_nets[config->nets].rom)
            return err_set(err, "--net: rom= is a card's on PCI: without --virtio mmio");
        config->nets++;
    }
    config->net = run_nets;
    if (config->nets && config->clock == MACHINE_CLOCK_JOURNEY)
        return err_set(err, "--net: on the journey clock two runs are compared, and a network is never the same twice");
    if (run_loaded && config->nets != snapshot_guest(run_loaded)->nets)
        return err_set(err, "the snapshot's guest has %u network cards: --net for each, not %u", snapshot_guest(run_loaded)->nets, config->nets);
    return true;
}

static bool configure_shares(struct machine_config *config, struct err *err)
{
    for (char **text = run_share; text && *text; text++) {
        if (config->shares == BOARD_SHARES)
            return err_set(err, "--share: at most %u of them", BOARD_SHARES);
        if (!share_parse(*text, &run_shares[config->shares], err))
            return false;
        config->shares++;
    }
    config->share = run_shares;
    if (run_loaded && config->shares != snapshot_guest(run_loaded)->shares)
        return err_set(err, "the snapshot's guest has %u shares: --share for each, not %u", snapshot_guest(run_loaded)->shares, config->shares);
    return true;
}

static bool configure(struct machine_config *config, struct err *err)
{
    if (run_files && run_files[1])
        return err_set(err, "more than one image");
    if (run_journeys && !guest_parse_size(run_journeys, &run_journeys_max))
        return err_set(err, "not a number of journeys: '%s'", run_journeys);
    if (!configure_snapshots(err) || !guest_configure(config, run_files ? run_files[0] : NULL, run_loaded, err))
        return false;
    if (run_on_panic && strcmp(run_on_panic, "exit") != 0 && strcmp(run_on_panic, "continue") != 0)
        return err_set(err, "--on-panic: exit or continue, not '%s'", run_on_panic);
    config->panic_continues = run_on_panic && run_on_panic[0] == 'c';
    config->no_reboot = run_no_reboot;
    config->shutdown_resets = true;
    if (run_loaded && run_journeys && run_journeys_max <= snapshot_guest(run_loaded)->journeys)
        return err_set(err, "--journeys %s: the snapshot's guest has made %" PRIu64, run_journeys, snapshot_guest(run_loaded)->journeys);
    if (!configure_nets(config, err) || !configure_shares(config, err) || !parse_assist(config, err) || !parse_switches(config, err))
        return false;
    config->counts = run_save && config->assist != ASSIST_BURST; /* so that who loads it may go on counting */
    if ((run_perf_map || run_jitdump) && config->engine->id != ENGINE_JIT)
        return err_set(err, "--perf-map and --jitdump are about translated code: with --engine jit");
    jit_options.count = run_stats;
    jit_options.perf_map = run_perf_map;
    jit_options.jitdump = run_jitdump;
    /* A recorded run is the same again: nobody types into it. */
    run_console.curses = guest_display_is_curses();
    if (run_console.curses && (run_trace || !isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)))
        return err_set(err, "--display curses is for a terminal, and not with --trace");
    run_console.open &= !run_trace && (guest_reads_stdio() || run_console.curses) && config->clock != MACHINE_CLOCK_JOURNEY;
    config->debugged = run_gdb;
    return configure_gdb(err) && guest_open_console(config, err);
}

int cmd_run(int argc, char **argv)
{
    static const GOptionEntry *const tables[] = { run_entries, guest_entries, NULL };
    struct machine_config config;
    char *command = guest_command_line(argc, argv, "--trace", 0);
    struct err err;
    int status = 2;

    console_init(&run_console, console_has_input());
    mark_jitdump(argc, argv);
    if (options_parse("wideload run", "- run a guest", tables, &argc, &argv))
        status = configure(&config, &err) ? run_guest(&config, command) : options_fail(&err);
    guest_close_console();
    guest_free_disks();
    gdb_close(run_console.gdb);
    snapshot_close(run_loaded);
    if (switches)
        g_array_free(switches, TRUE);
    for (unsigned i = 0; i < BOARD_NETS; i++)
        net_options_free(&run_nets[i]);
    for (unsigned i = 0; i < BOARD_SHARES; i++)
        share_options_free(&run_shares[i]);
    g_strfreev(run_share);
    g_strfreev(run_net);
    g_free(command);
    return status;
}
