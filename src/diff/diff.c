/*
 * diff.c - two runs of one guest side by side: step both, compare the journeys, then the registers, at last memory.
 *
 * A journey that only KVM made, and made of loads only, is a phantom access: it is counted, and KVM is stepped again
 * until it has caught up.
 */
#include "diff/diff.h"

#include "kvm/kvm.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* -- sides ----------------------------------------------------------------------------------------------------------- */

static bool side_open_machine(struct diff_side *s, const struct machine_config *guest, bool console, struct err *err)
{
    struct machine_config c = *guest;

    c.engine = engine_find(s->name);
    c.clock = MACHINE_CLOCK_JOURNEY;
    if (c.assist == ASSIST_OFF)
        c.assist = ASSIST_REPORT;
    c.observe = recorder_observe;
    c.observer = &s->recorder;
    if (!console)
        c.serial = c.debugcon = NULL;
    s->machine = machine_create(&c, err);
    s->recorder.machine = s->machine;
    return s->machine;
}

static bool side_open(struct diff_side *s, const char *name, const struct machine_config *guest, bool console, struct err *err)
{
    s->name = name;
    recorder_init(&s->recorder);
    journey_init(&s->read);
    if (engine_find(name))
        return side_open_machine(s, guest, console, err);
    s->trace = trace_reader_open(name, &s->header, err);
    return s->trace;
}

static void side_close(struct diff_side *s)
{
    machine_destroy(s->machine);
    if (s->trace) {
        trace_reader_close(s->trace);
        trace_header_free(&s->header);
    }
    if (s->name) {
        recorder_free(&s->recorder);
        journey_free(&s->read);
    }
}

static struct journey *side_journey(struct diff_side *s) { return s->trace ? &s->read : &s->recorder.journey; }

/* One journey further; false and err when this side cannot say. */
static bool side_step(struct diff_side *s, struct err *err)
{
    int got;

    journey_clear(side_journey(s));
    if (s->trace) {
        got = trace_read(s->trace, &s->read, err);
        s->end = got > 0 ? MACHINE_JOURNEY : MACHINE_UNTIL;
        return got >= 0;
    }
    s->end = machine_step(s->machine, err);
    /* Also a journey right before an end, such as the store that printed the text waited for. */
    if (s->end == MACHINE_JOURNEY || journey_accesses(&s->recorder.journey))
        recorder_finish(&s->recorder);
    return s->end != MACHINE_FAILED;
}

/* -- comparing ---------------------------------------------------------------------------------------------------------- */

static bool diverged(struct diff *d, const char *cause)
{
    d->diverged = true;
    d->diverged_at = d->pairs;
    g_strlcpy(d->cause, cause, sizeof(d->cause));
    return false;
}

/* General registers, segments, control registers at the boundary after a journey; vectors only at the end. */
static bool compare_registers(struct diff *d, bool whole)
{
    struct cpu cpu[2];
    char text[256], cause[320];

    if (d->side[0].trace || d->side[1].trace)
        return true;
    d->registers_compared = true;
    for (unsigned i = 0; i < 2; i++) {
        struct machine *m = d->side[i].machine;
        struct err err;

        if (whole)
            m->config.engine->get_state(m->cpu[0].engine, &err);
        cpu[i] = m->vcpu.cpu;
        if (!whole) { /* not in the page KVM shares */
            cpu[i].mxcsr = cpu[i].pkru = 0;
            cpu[i].xcr0 = 0;
            memset(cpu[i].zmm, 0, sizeof(cpu[i].zmm));
            memset(cpu[i].k, 0, sizeof(cpu[i].k));
        }
    }
    /* Which arithmetic flags are defined here depends on the instructions before; a wrong one shows in what follows. */
    if (cpu_compare(&cpu[0], &cpu[1], FLAGS_ARITHMETIC, text, sizeof(text)))
        return true;
    snprintf(cause, sizeof(cause), "registers differ after the instruction: %s", text);
    return diverged(d, cause);
}

static bool compare_memory(struct diff *d)
{
    const struct board *a, *b;
    char cause[128];

    if (d->side[0].trace || d->side[1].trace)
        return true;
    a = d->side[0].machine->board;
    b = d->side[1].machine->board;
    for (uint64_t page = 0; page < a->config.ram_bytes; page += PAGE_BYTES)
        if (memcmp(a->ram + page, b->ram + page, PAGE_BYTES)) {
            uint64_t at = page;

            while (a->ram[at] == b->ram[at])
                at++;
            snprintf(cause, sizeof(cause), "memory differs at %#" PRIx64 ": %02x, %02x", at, a->ram[at], b->ram[at]);
            return diverged(d, cause);
        }
    return true;
}

static void count(struct diff *d, const struct journey *a, const struct journey *b, const struct comparison *c)
{
    compare_count(&d->counts, c);
    if (d->config.each)
        d->config.each(d->config.opaque, a, b, c);
}

/* Is this side's journey one that only KVM makes?  Then that side is stepped again. */
static bool skip_phantom(struct diff *d, unsigned i, bool *skipped, struct err *err)
{
    struct diff_side *s = &d->side[i];
    struct comparison c = i ? compare_journeys(NULL, side_journey(s)) : compare_journeys(side_journey(s), NULL);

    *skipped = false;
    if (s->end != MACHINE_JOURNEY || side_journey(s)->engine != ENGINE_KVM || c.verdict == VERDICT_DIVERGENT)
        return true;
    count(d, i ? NULL : side_journey(s), i ? side_journey(s) : NULL, &c);
    if (s->machine)
        s->machine->journeys--;
    *skipped = true;
    return side_step(s, err);
}

static bool ends_agree(struct diff *d)
{
    enum machine_end a = d->side[0].end, b = d->side[1].end;
    bool trace = d->side[0].trace || d->side[1].trace;
    char cause[256];

    if (a == b || trace) /* a trace may be of a longer or shorter run */
        return true;
    if (a == MACHINE_LIMIT || b == MACHINE_LIMIT) /* KVM cannot count instructions: it goes on */
        return true;
    snprintf(cause, sizeof(cause), "%s: %s; %s: %s", d->side[0].name, machine_end_name(a), d->side[1].name, machine_end_name(b));
    return diverged(d, cause);
}

/* One access of a journey, done again on another machine's devices. */
static void replay_access(struct machine *m, const struct journey_access *j)
{
    struct access a = { .space = j->space, .type = j->type, .width = j->width, .flags = j->flags, .gva = j->address,
                        .enables = j->enables, .compare = j->compare };

    a.data = j->type == TRANSACTION_LOAD || j->type == TRANSACTION_STORE || j->type == TRANSACTION_DIRECT_STORE ||
             j->type == TRANSACTION_ENQUEUE ? j->data : j->operand;
    dispatch_physical(&m->dma_bus, &a, j->address);
}

/*
 * A region refused what KVM could only say in pieces: its device saw nothing and its registers got all ones.  So that
 * the comparison can go on, that side's devices get the other's accesses, and its CPU the other's state.
 */
static bool carry_over(struct diff *d, struct err *err)
{
    unsigned kvm = side_journey(&d->side[0])->engine == ENGINE_KVM ? 0 : 1;
    struct diff_side *from = &d->side[!kvm], *to = &d->side[kvm];
    const struct journey *j = side_journey(from);

    if (!from->machine || !to->machine || side_journey(to)->gave_up)
        return true;
    for (unsigned i = 0; i < journey_accesses(j); i++)
        replay_access(to->machine, journey_access_at(j, i));
    to->machine->vcpu.cpu = from->machine->vcpu.cpu;
    return to->machine->config.engine->set_state(to->machine->cpu[0].engine, err);
}

/* One pair.  False: the run is over (an end, a divergence, or err). */
static bool diff_pair(struct diff *d, bool *failed, struct err *err)
{
    struct diff_side *l = &d->side[0], *r = &d->side[1];
    struct comparison c;
    bool skipped = true;

    *failed = !side_step(l, err) || !side_step(r, err);
    if (*failed)
        return false;
    for (unsigned guard = 0; guard < 16 && skipped; guard++) {
        if (!journey_accesses(side_journey(l)) && !journey_accesses(side_journey(r)))
            return ends_agree(d) && l->end == MACHINE_JOURNEY && r->end == MACHINE_JOURNEY;
        if (l->end == MACHINE_LIMIT || r->end == MACHINE_LIMIT)
            return false;
        if ((l->trace && l->end != MACHINE_JOURNEY) || (r->trace && r->end != MACHINE_JOURNEY)) {
            d->trace_ended = true;
            return false;
        }
        c = compare_journeys(side_journey(l), side_journey(r));
        skipped = false;
        for (unsigned i = 0; c.verdict == VERDICT_DIVERGENT && i < 2 && !skipped; i++)
            if (!skip_phantom(d, i, &skipped, err)) {
                *failed = true;
                return false;
            }
    }
    count(d, side_journey(l), side_journey(r), &c);
    if (c.verdict == VERDICT_DIVERGENT)
        return diverged(d, c.cause);
    if (c.verdict == VERDICT_INEXPRESSIBLE && !carry_over(d, err)) {
        *failed = true;
        return false;
    }
    if (!ends_agree(d) || (l->end == MACHINE_JOURNEY && !compare_registers(d, false)))
        return false;
    d->pairs++;
    return l->end == MACHINE_JOURNEY && r->end == MACHINE_JOURNEY;
}

bool diff_run(struct diff *d, struct err *err)
{
    bool failed = false;

    while (d->pairs < d->config.journeys && diff_pair(d, &failed, err))
        if (d->config.progress && d->pairs % 256 == 0)
            d->config.progress(d->config.opaque, d->pairs);
    if (failed)
        return false;
    /* A side that stopped by its instruction limit stands between two journeys, where the other does not. */
    if (!d->diverged && d->side[0].end == d->side[1].end && compare_registers(d, true))
        compare_memory(d);
    return true;
}

/* -- creation -------------------------------------------------------------------------------------------------------------- */

/*
 * Both sides show the guest one CPU: KVM's, which cannot hide all of the host's, or the one a trace was made on.  A soft
 * engine then has what that offers.
 */
static bool share_cpuid(struct diff *d, struct err *err)
{
    const struct cpuid_table *from = NULL;
    struct cpuid_table recorded;

    for (unsigned i = 0; i < 2; i++) {
        struct diff_side *s = &d->side[i];

        if (s->trace && *s->header.cpuid) {
            if (!cpuid_parse(s->header.cpuid, &recorded))
                return err_set(err, "%s: bad cpuid in its header", s->name);
            from = &recorded;
        } else if (s->machine && s->machine->config.engine->id == ENGINE_KVM) {
            from = &s->machine->vcpu.cpuid;
        }
    }
    for (unsigned i = 0; from && i < 2; i++)
        if (d->side[i].machine && d->side[i].machine->config.engine->id != ENGINE_KVM)
            vcpu_set_cpuid(&d->side[i].machine->vcpu, from);
    return true;
}

struct diff *diff_create(const struct diff_config *config, struct err *err)
{
    struct diff *d = g_new0(struct diff, 1);

    d->config = *config;
    if (side_open(&d->side[0], config->side[0], &config->guest, true, err) &&
        side_open(&d->side[1], config->side[1], &config->guest, false, err) && share_cpuid(d, err))
        return d;
    diff_destroy(d);
    return NULL;
}

void diff_destroy(struct diff *d)
{
    if (!d)
        return;
    for (unsigned i = 0; i < 2; i++)
        side_close(&d->side[i]);
    g_free(d);
}
