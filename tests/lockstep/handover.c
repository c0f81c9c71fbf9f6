/*
 * handover.c - a guest on the interpreter alone, and once more handed from engine to engine at random moments.
 *
 * Both on the clock that counts journeys, so that time is the same whoever runs.  Every device access goes into a
 * fingerprint; at the guest's end that, the registers and all of memory are compared.  KVM is among the engines where it
 * can be used: mostly for a few single-stepped instructions, or from one device access to another where there are many.
 *
 * Exit status: 0 no difference, 1 a difference, 2 it could not run.
 */
#include "lib/machines.h"

#include "kvm/kvm.h"
#include "machine.h"
#include "widereg.h"

#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { STEPS_MAX = 40, JOURNEYS_MAX = 8, DENSE = 5000 /* instructions a journey */, ATTEMPTS = 200 };

struct run {
    struct machine *m;
    enum machine_end end;
    GChecksum *accesses;
};

static int hand_overs = 100, memory_mib = 64;
static int64_t seed = 1;
static char *bios, *kernel, *append, *until;
static gboolean soft_only;
static bool with_kvm;

static const GOptionEntry entries[] = {
    { "bios", 0, 0, G_OPTION_ARG_FILENAME, &bios, "Firmware image", "FILE" },
    { "kernel", 0, 0, G_OPTION_ARG_FILENAME, &kernel, "Multiboot 1, PVH or ELF image", "FILE" },
    { "append", 0, 0, G_OPTION_ARG_STRING, &append, "The kernel's command line", "TEXT" },
    { "until", 0, 0, G_OPTION_ARG_STRING, &until, "To this text on the console (otherwise: until the guest ends)", "TEXT" },
    { "memory", 0, 0, G_OPTION_ARG_INT, &memory_mib, "Guest RAM in MiB (64)", "N" },
    { "hand-overs", 0, 0, G_OPTION_ARG_INT, &hand_overs, "As many, at least (100)", "N" },
    { "seed", 0, 0, G_OPTION_ARG_INT64, &seed, "Of the moments and the engines (1)", "S" },
    { "soft", 0, 0, G_OPTION_ARG_NONE, &soft_only, "Without KVM", NULL },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
};

/*
 * What devices saw, transaction by transaction.  Not their data: of an atomic that the device does not take, KVM shows the halves
 * and the interpreter the whole.
 */
static void observe(void *opaque, const struct dispatch_report *report)
{
    const struct access *a = report->access;

    for (unsigned i = 0; i < report->split->n; i++) {
        const struct split_fragment *f = &report->split->fragment[i];
        const struct piece *p = &a->piece[f->piece];
        const uint64_t seen[] = { p->gpa + (uint64_t)(f->at - (int)p->at), f->enables, f->type, f->width };

        g_checksum_update(opaque, (const void *)seen, sizeof(seen));
    }
}

/* -- moments -------------------------------------------------------------------------------------------------------------- */

/* A guest that may come to KVM sees KVM's CPUID: so does the one that never does. */
static GArray *never_to_kvm(void)
{
    GArray *list = g_array_new(FALSE, FALSE, sizeof(struct machine_switch));
    const struct machine_switch s = { .insns = UINT64_MAX, .to = &engine_kvm };

    if (with_kvm)
        g_array_append_val(list, s);
    return list;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static const struct engine *another(GRand *r, const struct engine *than)
{
    const struct engine *all[] = { &engine_interp, &engine_jit, &engine_kvm }, *e;

    do
        e = all[g_rand_int_range(r, 0, with_kvm ? 3 : 2)];
    while (e == than);
    return e;
}

/* From KVM it goes on soon: after some instructions, or some journeys and some instructions. */
static struct machine_switch away_from_kvm(GRand *r, const struct run *alone, uint64_t at)
{
    bool dense = alone->m->journeys && alone->m->vcpu.retired / alone->m->journeys < DENSE;
    struct machine_switch s = { .insns = at + (unsigned)g_rand_int_range(r, 0, STEPS_MAX), .to = another(r, &engine_kvm) };

    if (dense && g_rand_boolean(r)) {
        s.insns = (unsigned)g_rand_int_range(r, 0, STEPS_MAX);
        s.journeys = at * alone->m->journeys / alone->m->vcpu.retired + (unsigned)g_rand_int_range(r, 1, JOURNEYS_MAX);
    }
    return s;
}

static GArray *draw(GRand *r, const struct run *alone)
{
    GArray *list = g_array_new(FALSE, FALSE, sizeof(struct machine_switch));
    const struct engine *now = &engine_interp;
    uint64_t *at = g_new(uint64_t, (gsize)hand_overs);

    for (int i = 0; i < hand_overs; i++)
        at[i] = (uint64_t)(g_rand_double(r) * (double)alone->m->vcpu.retired);
    qsort(at, (size_t)hand_overs, sizeof(*at), by_number);
    for (int i = 0; i < hand_overs; i++) {
        struct machine_switch s = { .insns = at[i], .to = another(r, now) };

        g_array_append_val(list, s);
        if (s.to->id == ENGINE_KVM) {
            s = away_from_kvm(r, alone, at[i]);
            g_array_append_val(list, s);
        }
        now = s.to;
    }
    g_free(at);
    return list;
}

/* -- runs ------------------------------------------------------------------------------------------------------------------ */

static bool run(struct run *to, GArray *switches)
{
    struct machine_config config = {
        .engine = &engine_interp, .ram_bytes = MIB((uint64_t)memory_mib), .bios = bios, .kernel = kernel, .append = append, .until = until,
        .clock = MACHINE_CLOCK_JOURNEY, .limit = UINT64_MAX, .observe = observe, .assist = ASSIST_INSTRUCTION,
    };
    struct err err;

    to->accesses = g_checksum_new(G_CHECKSUM_SHA256);
    config.observer = to->accesses;
    config.switches = (const struct machine_switch *)(void *)switches->data;
    config.switch_count = switches->len;
    to->m = machine_create(&config, &err);
    if (to->m) {
        to->end = machine_run(to->m, &err);
        if (to->end == MACHINE_FAILED || !to->m->runs->get_state(to->m->cpu[0].engine, &err))
            to->end = MACHINE_FAILED;
    }
    if (!to->m || to->end == MACHINE_FAILED)
        fprintf(stderr, "handover: %s\n", err.text);
    return to->m && to->end != MACHINE_FAILED;
}

static void forget(struct run *r)
{
    machine_destroy(r->m);
    if (r->accesses)
        g_checksum_free(r->accesses);
    *r = (struct run){ 0 };
}

static bool same_windows(struct machine *a, struct machine *b)
{
    for (unsigned i = 0; i < WIDEREG_WINDOWS_COUNT; i++)
        if (i != WIDEREG_HISTORY && memcmp(widereg_bytes(a->board->widereg, i), widereg_bytes(b->board->widereg, i), WIDEREG_WINDOW_BYTES) != 0)
            return false;
    return true;
}

static bool same(const struct run *a, const struct run *b)
{
    char text[256] = "";

    if (a->end != b->end || a->m->exit_code != b->m->exit_code)
        snprintf(text, sizeof(text), "%s != %s", machine_end_name(a->end), machine_end_name(b->end));
    else if (a->m->journeys != b->m->journeys)
        snprintf(text, sizeof(text), "%" PRIu64 " != %" PRIu64 " journeys", a->m->journeys, b->m->journeys);
    else if (strcmp(g_checksum_get_string(a->accesses), g_checksum_get_string(b->accesses)) != 0)
        snprintf(text, sizeof(text), "the devices saw something else");
    else if (!same_windows(a->m, b->m))
        snprintf(text, sizeof(text), "widereg holds something else");
    else if (cpu_compare(&a->m->vcpu.cpu, &b->m->vcpu.cpu, 0, text, sizeof(text)) && machines_same_memory(a->m, b->m, text, sizeof(text)))
        return true;
    printf("# different: %s\n", text);
    return false;
}

static void print_list(const GArray *list, const char *before)
{
    const char *from = "interp";

    printf("# %s", before);
    for (unsigned i = 0; i < list->len; i++) {
        const struct machine_switch *s = &g_array_index(list, struct machine_switch, i);

        printf("%s%s@", i ? "," : "", from);
        if (s->journeys)
            printf("%" PRIu64 "j+", s->journeys);
        printf("%" PRIu64 ":%s", s->insns, s->to->name);
        from = s->to->name;
    }
    printf("\n");
}

/* The guest again and again, until there were hand-overs enough. */
static int hand_over(const struct run *alone)
{
    GRand *r = g_rand_new_with_seed((guint32)seed);
    unsigned done = 0, rounds = 0;
    bool ok = true;

    while (ok && done < (unsigned)hand_overs && rounds < ATTEMPTS) {
        GArray *list = draw(r, alone);
        struct run handed = { 0 };

        ok = run(&handed, list) && same(alone, &handed);
        if (!ok)
            print_list(list, "after --switch ");
        done += handed.m ? handed.m->switched : 0;
        rounds++;
        forget(&handed);
        g_array_free(list, TRUE);
    }
    printf("# %s: %u hand-overs%s, %" PRIu64 " journeys, %u rounds\n", ok ? "same" : "DIFFERENT", done, with_kvm ? "" : " without KVM",
           alone->m->journeys, rounds);
    g_rand_free(r);
    return ok ? 0 : 1;
}

static int compare(void)
{
    struct run alone = { 0 };
    struct kvm_probe probe;
    GArray *never;
    int status = 2;

    kvm_probe(&probe);
    with_kvm = probe.kind != KVM_KIND_NONE && !soft_only;
    never = never_to_kvm();
    if (run(&alone, never))
        status = hand_over(&alone);
    forget(&alone);
    g_array_free(never, TRUE);
    return status;
}

int main(int argc, char **argv)
{
    GOptionContext *context = g_option_context_new("- a guest handed from engine to engine");
    GError *error = NULL;
    int status = 2;

    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error)) {
        fprintf(stderr, "handover: %s\n", error->message);
        g_error_free(error);
    } else if (argc > 1 || !bios == !kernel) {
        fprintf(stderr, "handover: what to run: --bios FILE or --kernel FILE\n");
    } else {
        status = compare();
    }
    g_option_context_free(context);
    return status;
}
