/*
 * machine_threads.c - a guest whose processors run at the same time, each in a thread; this one drives devices, and looks after
 * who is attached.
 *
 * The lock for devices (world.h) is that of all state here too.  A processor's thread gives it up to run guest code, and in HLT.
 * What takes all of a guest (a reset, a monitor's look) parks the processors first: then none is inside its engine.
 */
#define _GNU_SOURCE
#include "machine_parts.h"

#include "base/swap.h"

#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>

enum { LONGEST_WAIT_NS = 10000000, PAUSES_TO_YIELD = 64 };

bool machine_can_run_threads(const struct machine *m)
{
    const struct machine_config *c = &m->config;

    return SWAP_IS_ATOMIC && m->cpus > 1 && c->clock == MACHINE_CLOCK_HOST && m->runs->id != ENGINE_KVM && !c->debugged && !c->observe &&
           !c->counts && !c->switch_count && c->limit == UINT64_MAX;
}

/* -- processors ------------------------------------------------------------------------------------------------------ */

static void threads_kick(void *opaque)
{
    struct machine *m = opaque;

    for (unsigned i = 0; i < m->cpus; i++)
        m->cpu[i].v->attention = true;
}

/* The machine is about to end, or to become another. */
static bool machine_stops(const struct machine *m)
{
    return m->interrupted | m->debug_exited | m->powered_off | m->panicked | m->reset_requested | m->until_seen | m->sleep_requested | m->asleep;
}

static bool cpu_may_run(const struct machine_cpu *cpu)
{
    return !cpu->machine->threads->parking && !machine_stops(cpu->machine) && machine_cpu_can_run(cpu);
}

static void cpu_run(struct machine_threads *t, struct machine_cpu *cpu)
{
    struct exclusion *x = &t->world.exclusion;
    enum stop_reason stop;
    struct err err;

    t->outside--;
    exclusion_devices(x, false);
    world_enter(&t->world);
    stop = cpu->machine->runs->run(cpu->engine, UINT64_MAX, &err);
    world_leave(&t->world);
    exclusion_devices(x, true);
    t->outside++;
    pthread_cond_signal(&t->parked);
    if (stop != STOP_SHUTDOWN && stop != STOP_FAILED)
        return;
    t->stop = stop;
    if (stop == STOP_FAILED)
        t->err = err;
    machine_ring(cpu->machine);
}

static void *cpu_thread(void *opaque)
{
    struct machine_cpu *cpu = opaque;
    struct machine_threads *t = cpu->machine->threads;

    exclusion_devices(&t->world.exclusion, true);
    while (!t->ending)
        if (cpu_may_run(cpu))
            cpu_run(t, cpu);
        else
            world_wait(&t->world, &cpu->wake);
    exclusion_devices(&t->world.exclusion, false);
    return NULL;
}

void machine_wake_cpu(struct machine_cpu *cpu) { pthread_cond_signal(&cpu->wake); }

static void threads_wake(struct machine *m)
{
    for (unsigned i = 0; i < m->cpus; i++)
        machine_wake_cpu(&m->cpu[i]);
}

/* Until threads_go_on() no processor is inside its engine. */
static void threads_park(struct machine *m)
{
    struct machine_threads *t = m->threads;

    t->parking = true;
    threads_kick(m);
    while (t->outside < m->cpus)
        world_wait(&t->world, &t->parked);
}

static void threads_go_on(struct machine *m)
{
    m->threads->parking = false;
    threads_wake(m);
}

void machine_cpu_pauses(struct machine_cpu *cpu)
{
    if (++cpu->pauses % PAUSES_TO_YIELD == 0)
        sched_yield();
}

/* -- what goes on beside them ----------------------------------------------------------------------------------------- */

static bool threads_wait(struct machine *m, uint64_t ns)
{
    const struct machine_attendant *a = m->config.attendant;
    struct pollfd bell = { .fd = m->bell, .events = POLLIN };
    struct timespec t = { 0, (long)ns };

    if (a)
        return a->wait(a->opaque, ns);
    ppoll(&bell, 1, &t, NULL);
    return false;
}

/* Without the lock: true when who is attached wants to look. */
static bool threads_idle(struct machine *m)
{
    uint64_t now = clock_now(&m->clock), ns = bits_min(clock_next(&m->clock) - bits_min(now, clock_next(&m->clock)), LONGEST_WAIT_NS);
    struct exclusion *x = &m->threads->world.exclusion;
    bool look;

    m->clock.horizon_ns = now + ns;
    exclusion_devices(x, false);
    look = threads_wait(m, ns);
    exclusion_devices(x, true);
    m->clock.horizon_ns = 0;
    return look;
}

static bool threads_change_power(struct machine *m, struct err *err)
{
    bool ok;

    if (!(m->sleep_requested | m->woken | m->reset_requested))
        return true;
    threads_park(m);
    ok = machine_change_power(m, err);
    threads_go_on(m);
    return ok;
}

/* Has a processor come to an end, and the machine with it? */
static bool threads_are_over(struct machine *m, enum machine_end *end, struct err *err)
{
    struct machine_threads *t = m->threads;
    enum stop_reason stop = t->stop;

    t->stop = STOP_BUDGET;
    if (stop == STOP_FAILED) {
        *end = MACHINE_FAILED;
        *err = t->err;
        return true;
    }
    *end = MACHINE_SHUTDOWN;
    if (stop == STOP_SHUTDOWN && !machine_shutdown_resets(m))
        return true;
    m->reset_requested |= stop == STOP_SHUTDOWN;
    return false;
}

/* All wait for what will never come. */
static bool threads_are_dead(struct machine *m)
{
    for (unsigned i = 0; i < m->cpus; i++)
        if (machine_cpu_can_run(&m->cpu[i]) && !m->asleep)
            return false;
    return m->threads->outside == m->cpus && !m->woken && !machine_may_wake(m);
}

static void threads_look(struct machine *m)
{
    threads_park(m);
    m->config.attendant->look(m->config.attendant->opaque, 0);
    threads_go_on(m);
}

static enum machine_end threads_drive(struct machine *m, struct err *err)
{
    enum machine_end end;

    for (;;) {
        machine_answer(m);
        if (threads_are_over(m, &end, err))
            return end;
        if (!threads_change_power(m, err))
            return MACHINE_FAILED;
        if (machine_over(m, &end))
            return end;
        clock_run(&m->clock);
        if (threads_are_dead(m))
            return MACHINE_HALTED_FOREVER;
        if (threads_idle(m))
            threads_look(m);
    }
}

/* -- beginning and end ---------------------------------------------------------------------------------------------------- */

static void threads_share(struct machine *m, struct exclusion *x)
{
    m->phys.exclusion = x;
    for (unsigned i = 0; i < m->cpus; i++)
        m->cpu[i].v->bus.exclusion = x;
}

static bool threads_begin(struct machine *m, struct err *err)
{
    for (; m->threads->begun < m->cpus; m->threads->begun++) {
        struct machine_cpu *cpu = &m->cpu[m->threads->begun];

        pthread_cond_init(&cpu->wake, NULL);
        if (pthread_create(&cpu->thread, NULL, cpu_thread, cpu))
            return err_set(err, "no thread for processor %u", m->threads->begun);
    }
    return true;
}

static void threads_end(struct machine *m)
{
    struct machine_threads *t = m->threads;

    t->ending = true;
    threads_kick(m);
    threads_wake(m);
    exclusion_devices(&t->world.exclusion, false);
    for (unsigned i = 0; i < t->begun; i++) {
        pthread_join(m->cpu[i].thread, NULL);
        pthread_cond_destroy(&m->cpu[i].wake);
        m->cpu[i].v->attention = false;
    }
}

enum machine_end machine_run_threads(struct machine *m, struct err *err)
{
    struct machine_threads t = { .outside = m->cpus, .stop = STOP_BUDGET };
    enum machine_end end = MACHINE_FAILED;

    world_init(&t.world, threads_kick, m);
    pthread_cond_init(&t.parked, NULL);
    m->threads = &t;
    threads_share(m, &t.world.exclusion);
    exclusion_devices(&t.world.exclusion, true);
    if (threads_begin(m, err))
        end = threads_drive(m, err);
    threads_end(m);
    threads_share(m, NULL);
    m->threads = NULL;
    pthread_cond_destroy(&t.parked);
    world_free(&t.world);
    return end;
}
