/* run.c - wideload run: a guest on one engine. */
#include "cmd/cmd.h"

#include "cmd/guest.h"

#include <inttypes.h>
#include <stdio.h>

static gboolean run_stats;
static char **run_files;

static const GOptionEntry run_entries[] = {
    { "engine", 'e', 0, G_OPTION_ARG_STRING, &guest_options.engine, "interp (default) or kvm", "ENGINE" },
    { "stats", 0, 0, G_OPTION_ARG_NONE, &run_stats, "Instructions, journeys and speed at the end", NULL },
    { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &run_files, NULL, "[FLAT]" },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
};

static int fail(const struct err *err)
{
    fprintf(stderr, "wideload run: %s\n", err->text);
    return 2;
}

static void print_stats(const struct machine *m, double seconds)
{
    fprintf(stderr, "instructions %" PRIu64 "\nseconds %.3f\nmillion instructions a second %.1f\npage walks %" PRIu64 "\n",
            m->vcpu.retired, seconds, (double)m->vcpu.retired / seconds / 1e6, m->vcpu.mmu.walks);
}

/* The status the guest asked for; 0 where it was stopped on purpose; 1 where it could not go on. */
static int run_status(const struct machine *m, enum machine_end end, const struct err *err)
{
    switch (end) {
    case MACHINE_DEBUG_EXIT: return m->exit_code;
    case MACHINE_LIMIT: case MACHINE_UNTIL: case MACHINE_POWERED_OFF: return 0;
    case MACHINE_INTERRUPTED: fprintf(stderr, "wideload run: interrupted\n"); return 130;
    case MACHINE_FAILED: fprintf(stderr, "wideload run: %s\n", err->text); return 1;
    default: fprintf(stderr, "wideload run: %s\n", machine_end_name(end)); return 1;
    }
}

static int run_guest(const struct machine_config *config)
{
    struct err err = { "" };
    struct machine *m = machine_create(config, &err);
    enum machine_end end;
    gint64 start;
    int status;

    if (!m)
        return fail(&err);
    guest_catch_signals(m);
    start = g_get_monotonic_time();
    end = machine_run(m, &err);
    guest_catch_signals(NULL);
    if (run_stats)
        print_stats(m, (double)(g_get_monotonic_time() - start) / 1e6);
    status = run_status(m, end, &err);
    machine_destroy(m);
    return status;
}

int cmd_run(int argc, char **argv)
{
    GOptionContext *context = g_option_context_new("- run a guest");
    struct machine_config config;
    GError *error = NULL;
    struct err err;
    int status = 2;

    g_option_context_add_main_entries(context, run_entries, NULL);
    g_option_context_add_main_entries(context, guest_entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error)) {
        fprintf(stderr, "wideload run: %s\n", error->message);
        g_error_free(error);
    } else if (run_files && run_files[1]) {
        fprintf(stderr, "wideload run: more than one image\n");
    } else if (!guest_configure(&config, run_files ? run_files[0] : NULL, &err) || !guest_open_console(&config, &err)) {
        status = fail(&err);
    } else {
        status = run_guest(&config);
    }
    guest_close_console();
    g_option_context_free(context);
    return status;
}
