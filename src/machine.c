/*
 * machine.c - a guest driven: budgets between device deadlines, turns, halts, resets, stops; handed from engine to engine;
 * looked after by who is attached (console, monitor, gdb).
 */
#define _GNU_SOURCE
#include "machine_parts.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>

enum { JOURNEY_NS = 1000, HOST_SLICE = 200000, SPIN_INSNS = 200000000, ATTEND_INSNS = 1 << 18, ATTEND_WAITS = 1024 };
enum { SLEEP_NS = 10000000, TURN_INSNS = 50000, TURN_NS = 4000000 };

/* -- time --------------------------------------------------------------------------------------------------------- */

uint64_t machine_host_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t machine_retired(const struct machine *m)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < m->cpus; i++)
        n += vcpu_retired(m->cpu[i].v);
    return n;
}

uint64_t machine_time(void *opaque)
{
    struct machine *m = opaque;

    switch (m->config.clock) {
    case MACHINE_CLOCK_HOST: return machine_host_ns() - m->host_start_ns;
    case MACHINE_CLOCK_JOURNEY: return m->journeys * JOURNEY_NS + m->skipped_ns;
    default: return machine_retired(m) + m->skipped_ns;
    }
}

/* -- ends ----------------------------------------------------------------------------------------------------------- */

/* A string instruction has told devices only a part of its journey: the rest comes first. */
static bool machine_within_journey(const struct machine *m)
{
    const struct vcpu *v = m->cpu[m->at].v;

    return v->again && v->bus.touched && v->stop_on_touch && machine_retired(m) < m->config.limit;
}

static bool machine_can_reset(const struct machine *m)
{
    return !m->config.no_reboot && (m->board->config.bios_bytes || m->config.kernel || m->config.flat);
}

bool machine_shutdown_resets(const struct machine *m) { return m->config.shutdown_resets && machine_can_reset(m); }

/* A reset that the machine goes on from is no end: machine_drive() carries it out before the next instruction. */
bool machine_over(struct machine *m, enum machine_end *end)
{
    if (machine_within_journey(m))
        return false;
    if (m->interrupted)
        *end = MACHINE_INTERRUPTED;
    else if (m->debug_exited)
        *end = MACHINE_DEBUG_EXIT;
    else if (m->powered_off)
        *end = MACHINE_POWERED_OFF;
    else if (m->panicked)
        *end = MACHINE_PANIC;
    else if (m->reset_requested && !machine_can_reset(m))
        *end = MACHINE_RESET;
    else if (m->until_seen)
        *end = MACHINE_UNTIL;
    else if (machine_retired(m) >= m->config.limit)
        *end = MACHINE_LIMIT;
    else
        return false;
    return true;
}

/* What a soft engine has made of memory so far goes with it. */
static bool machine_reset_engines(struct machine *m, struct err *err)
{
    if (m->runs->id != ENGINE_KVM) {
        machine_destroy_engines(m);
        return machine_create_engines(m, err);
    }
    for (unsigned i = 0; i < m->cpus; i++)
        if (!m->runs->set_state(m->cpu[i].engine, err))
            return false;
    return true;
}

static void machine_reset_cpus(struct machine *m)
{
    m->at = 0;
    for (unsigned i = 0; i < m->cpus; i++)
        vcpu_reset(m->cpu[i].v);
}

/* No processor runs, and no device but the clock that may wake them. */
static void machine_fall_asleep(struct machine *m)
{
    m->sleep_requested = false;
    m->asleep = true;
    board_sleep(m->board);
}

/* ACPI 16.2.4: firmware, or the guest itself where its FACS says, in real mode. */
static bool machine_wake(struct machine *m, struct err *err)
{
    struct cpu *c = &m->vcpu.cpu;
    uint32_t vector = board_wake(m->board);

    m->asleep = m->woken = false;
    machine_reset_cpus(m);
    if (!m->board->config.bios_bytes) {
        c->seg[SEG_CS].selector = (uint16_t)(vector >> 4);
        c->seg[SEG_CS].base = (uint32_t)c->seg[SEG_CS].selector << 4;
        c->rip = vector & 15;
    }
    vcpu_sync(&m->vcpu);
    return machine_reset_engines(m, err);
}

/* Firmware finds RAM as it was; a guest without any is loaded anew. */
static bool machine_reset(struct machine *m, struct err *err)
{
    bool image = m->config.kernel || m->config.flat;

    m->reset_requested = false;
    if (image)
        board_clear_ram(m->board);
    board_reset(m->board);
    machine_reset_cpus(m);
    if (image) {
        phys_forget_memory(&m->phys);
        if (!machine_load_image(m, err))
            return false;
        vcpu_sync(&m->vcpu);
    }
    return machine_reset_engines(m, err);
}

/* What has been asked for within the last instruction. */
bool machine_change_power(struct machine *m, struct err *err)
{
    if (m->sleep_requested)
        machine_fall_asleep(m);
    if (m->woken && !machine_wake(m, err))
        return false;
    return !m->reset_requested || !machine_can_reset(m) || machine_reset(m, err);
}

/* -- hand-overs ---------------------------------------------------------------------------------------------------------- */

static const struct machine_switch *machine_next_switch(const struct machine *m)
{
    return m->switched < m->config.switch_count ? &m->config.switches[m->switched] : NULL;
}

/* Instructions; UINT64_MAX: not to be counted yet. */
static uint64_t machine_until_switch(struct machine *m)
{
    const struct machine_switch *next = machine_next_switch(m);
    uint64_t at;

    if (!next || m->journeys < next->journeys)
        return UINT64_MAX;
    if (!m->switch_counts)
        m->switch_from = next->journeys ? machine_retired(m) : 0;
    m->switch_counts = true;
    at = m->switch_from + next->insns;
    return at > machine_retired(m) ? at - machine_retired(m) : 0;
}

/* Between two instructions: all of the state is in each vcpu.cpu, and the next engine takes it from there. */
static bool machine_hand_over(struct machine *m, const struct engine *to, struct err *err)
{
    for (unsigned i = 0; i < m->cpus; i++)
        if (!m->runs->get_state(m->cpu[i].engine, err))
            return false;
    machine_destroy_engines(m);
    m->runs = to;
    return machine_create_engines(m, err);
}

static bool machine_switch_due(struct machine *m, struct err *err)
{
    while (machine_until_switch(m) == 0) {
        m->switch_counts = false;
        if (!machine_hand_over(m, m->config.switches[m->switched++].to, err))
            return false;
    }
    for (unsigned i = 0; i < m->cpus; i++)
        m->cpu[i].v->exact = m->switch_counts || m->cpu[i].v->debug.step;
    return true;
}

static bool machine_counts_journeys(const struct machine *m)
{
    for (unsigned i = m->switched; i < m->config.switch_count; i++)
        if (m->config.switches[i].journeys)
            return true;
    return false;
}

/* -- turns ----------------------------------------------------------------------------------------------------------------- */

bool machine_cpu_can_run(const struct machine_cpu *cpu)
{
    const struct vcpu *v = cpu->v;

    return v->cpu.activity == CPU_RUNNING || vcpu_wakes(v);
}

static bool machine_others_wait(const struct machine *m)
{
    for (unsigned i = 0; i < m->cpus; i++)
        if (i != m->at && machine_cpu_can_run(&m->cpu[i]))
            return true;
    return false;
}

void machine_give_turn(struct machine *m, unsigned cpu)
{
    m->at = cpu;
    m->turn_ends = machine_retired(m) + TURN_INSNS;
    m->turn_ends_ns = machine_host_ns() + TURN_NS;
    m->pauses = 0;
}

/* The next that has something to do, maybe the same.  Not within an instruction that is to be one journey. */
static void machine_next_turn(struct machine *m)
{
    unsigned i = m->at;

    if (m->cpus == 1 || machine_within_journey(m))
        return;
    do
        i = (i + 1) % m->cpus;
    while (i != m->at && !machine_cpu_can_run(&m->cpu[i]));
    machine_give_turn(m, i);
}

/* KVM counts no instructions. */
static bool machine_turn_is_over(const struct machine *m)
{
    if (m->cpus == 1)
        return false;
    if (m->pauses >= TURN_PAUSES || !machine_cpu_can_run(&m->cpu[m->at]))
        return true;
    return m->runs->id == ENGINE_KVM ? machine_host_ns() >= m->turn_ends_ns : machine_retired(m) >= m->turn_ends;
}

/* -- budgets --------------------------------------------------------------------------------------------------------------- */

/* Instructions until something has to be looked at. */
static uint64_t machine_budget(struct machine *m)
{
    uint64_t retired = machine_retired(m), left = m->config.limit - retired, next = clock_next(&m->clock), now = clock_now(&m->clock);

    if (m->cpu[m->at].v->debug.step)
        return bits_min(left, 1);
    left = bits_min(left, machine_until_switch(m));
    if (m->config.attendant && m->runs->id != ENGINE_KVM)
        left = bits_min(left, m->attend_at - retired);
    if (m->cpus > 1 && machine_others_wait(m))
        left = bits_min(left, m->turn_ends - retired);
    if (m->nets.count)
        left = bits_min(left, HOST_SLICE);
    if (m->config.clock == MACHINE_CLOCK_HOST)
        return bits_min(left, HOST_SLICE);
    if (m->config.clock == MACHINE_CLOCK_JOURNEY)
        return bits_min(left, SPIN_INSNS);
    m->clock.horizon_ns = next;
    return next == CLOCK_NEVER ? left : bits_min(left, next > now ? next - now : 1);
}

/* -- whoever looks after the guest --------------------------------------------------------------------------------------- */

static void machine_look(struct machine *m, uint64_t wait_ns)
{
    m->attend_at = machine_retired(m) + ATTEND_INSNS;
    m->idle_waits = 0;
    m->config.attendant->look(m->config.attendant->opaque, wait_ns);
}

void machine_ring(void *machine)
{
    struct machine *m = machine;

    m->rung = true;
    for (unsigned i = 0; i < m->cpus && !m->threads; i++)
        m->cpu[i].v->attention = true;
    eventfd_write(m->bell, 1);
}

/* In this order: what comes behind a step is seen by the next, or rings again. */
void machine_answer(struct machine *m)
{
    eventfd_t count;

    if (!m->rung && !nets_stirred(&m->nets))
        return;
    m->rung = false;
    eventfd_read(m->bell, &count);
    nets_look(&m->nets);
}

static void machine_attend(struct machine *m)
{
    machine_answer(m);
    if (m->config.attendant && (m->runs->id == ENGINE_KVM || machine_retired(m) >= m->attend_at || m->idle_waits >= ATTEND_WAITS))
        machine_look(m, 0);
}

static bool machine_takes_interrupts(const struct machine *m)
{
    for (unsigned i = 0; i < m->cpus; i++)
        if (m->cpu[i].v->cpu.rflags & FLAG_IF)
            return true;
    return false;
}

static bool machine_expects(struct machine *m)
{
    const struct machine_attendant *a = m->config.attendant;

    /* The board's wires lead to the first processor, a card's messages to any. */
    return (a && a->expects(a->opaque, m->vcpu.cpu.rflags & FLAG_IF)) || (nets_expect(&m->nets) && machine_takes_interrupts(m));
}

bool machine_show_state(struct machine *m, struct err *err)
{
    for (unsigned i = 0; i < m->cpus; i++) {
        if (!m->runs->get_state(m->cpu[i].engine, err))
            return false;
        if (m->runs->id == ENGINE_KVM) /* the soft-MMU has not been asked yet */
            vcpu_sync(m->cpu[i].v);
    }
    return true;
}

bool machine_take_state(struct machine *m, struct err *err)
{
    for (unsigned i = 0; i < m->cpus; i++) {
        vcpu_update(m->cpu[i].v);
        if (m->runs->id == ENGINE_KVM && !m->runs->set_state(m->cpu[i].engine, err))
            return false;
    }
    return true;
}

/* A step ends with an instruction, whatever else that has done. */
static void machine_debug(struct machine *m, enum stop_reason stop)
{
    const struct machine_attendant *a = m->config.attendant;
    bool step = m->cpu[m->at].v->debug.step && (stop == STOP_BUDGET || stop == STOP_TOUCHED);

    if (a && (step || stop == STOP_DEBUG))
        a->stopped(a->opaque, step);
}

void machine_stood_still(struct machine *m, uint64_t ns)
{
    if (m->config.clock == MACHINE_CLOCK_HOST)
        m->host_start_ns += ns;
}

/* -- HLT ----------------------------------------------------------------------------------------------------------------- */

static void machine_sleep(struct machine *m, uint64_t ns)
{
    struct pollfd bell = { .fd = m->bell, .events = POLLIN };
    struct timespec t = { 0, (long)ns };

    if (m->config.attendant)
        machine_look(m, ns);
    else
        ppoll(&bell, 1, &t, NULL);
}

/* On the virtual clock too, who waits for the network waits as long as the host does. */
static void machine_sleep_counted(struct machine *m, uint64_t ns)
{
    uint64_t since = machine_host_ns();

    machine_sleep(m, ns);
    if (m->config.clock == MACHINE_CLOCK_VIRTUAL)
        m->skipped_ns += bits_min(machine_host_ns() - since, ns);
}

/* Is what a deadline brings an interrupt that somebody takes? */
static bool machine_is_woken(const struct machine *m) { return m->asleep || machine_takes_interrupts(m) || board_has_unmaskable(m->board); }

static uint64_t machine_next_interrupt(const struct machine *m) { return m->asleep ? clock_next(&m->clock) : board_next_interrupt(m->board); }

/* An answer of the network's may be there already. */
bool machine_may_wake(struct machine *m)
{
    return nets_stirred(&m->nets) || (machine_next_interrupt(m) != CLOCK_NEVER && machine_is_woken(m)) || machine_expects(m);
}

/* Time goes to the next deadline.  False if there is none and nothing else can happen: nothing will ever wake the CPU. */
static bool machine_wait(struct machine *m)
{
    uint64_t next = machine_next_interrupt(m), now = clock_now(&m->clock);

    if (!machine_may_wake(m))
        return false;
    if (nets_stirred(&m->nets))
        return true;
    m->idle_waits++;
    if (next > now && nets_expect(&m->nets))
        machine_sleep_counted(m, bits_min(next - now, SLEEP_NS));
    else if (next == CLOCK_NEVER || (next > now && m->config.clock == MACHINE_CLOCK_HOST))
        machine_sleep(m, bits_min(next - now, SLEEP_NS));
    else if (next > now)
        m->skipped_ns += next - now;
    clock_run(&m->clock);
    return true;
}

/* Nobody has anything to do.  False: nor ever will. */
static bool machine_idle(struct machine *m) { return machine_others_wait(m) || machine_cpu_can_run(&m->cpu[m->at]) || machine_wait(m); }

/* Runs out of instructions on the journey clock, where only a device access would have let time pass. */
static bool machine_spins(struct machine *m)
{
    return m->config.clock == MACHINE_CLOCK_JOURNEY && !m->config.attendant && machine_retired(m) < m->config.limit && machine_until_switch(m);
}

static void machine_watch_touches(struct machine *m, bool one_journey)
{
    bool stop = one_journey || m->config.counts || m->config.clock == MACHINE_CLOCK_JOURNEY || machine_counts_journeys(m);

    for (unsigned i = 0; i < m->cpus; i++)
        m->cpu[i].v->stop_on_touch = stop;
}

static enum machine_end machine_drive(struct machine *m, bool one_journey, struct err *err)
{
    enum machine_end end;

    machine_watch_touches(m, one_journey);
    for (;;) {
        enum stop_reason stop;

        machine_attend(m);
        if (!machine_change_power(m, err) || !machine_switch_due(m, err))
            return MACHINE_FAILED;
        if (machine_over(m, &end))
            return end;
        if (m->asleep) {
            if (!machine_wait(m))
                return MACHINE_HALTED_FOREVER;
            continue;
        }
        clock_run(&m->clock);
        if (machine_turn_is_over(m))
            machine_next_turn(m);
        stop = m->runs->run(m->cpu[m->at].engine, machine_budget(m), err);
        m->clock.horizon_ns = 0;
        machine_debug(m, stop);
        switch (stop) {
        case STOP_FAILED: return MACHINE_FAILED;
        case STOP_SHUTDOWN:
            if (!machine_shutdown_resets(m))
                return MACHINE_SHUTDOWN;
            m->reset_requested = true;
            break;
        case STOP_HALT:
            if (!machine_idle(m))
                return MACHINE_HALTED_FOREVER;
            break;
        case STOP_TOUCHED:
            m->journeys++;
            clock_run(&m->clock);
            if (one_journey)
                return machine_over(m, &end) ? end : MACHINE_JOURNEY;
            break;
        case STOP_BUDGET:
            if (machine_spins(m))
                return MACHINE_SPINNING;
            break;
        default: break;
        }
    }
}

enum machine_end machine_run(struct machine *m, struct err *err)
{
    return machine_can_run_threads(m) ? machine_run_threads(m, err) : machine_drive(m, false, err);
}

enum machine_end machine_step(struct machine *m, struct err *err) { return machine_drive(m, true, err); }

void machine_interrupt(struct machine *m)
{
    m->interrupted = true;
    if (m->threads)
        eventfd_write(m->bell, 1);
    for (unsigned i = 0; i < m->cpus; i++)
        if (m->cpu[i].engine)
            m->runs->kick(m->cpu[i].engine);
}

const char *machine_end_name(enum machine_end end)
{
    static const char *const names[] = {
        [MACHINE_LIMIT] = "instruction limit reached", [MACHINE_UNTIL] = "text seen", [MACHINE_DEBUG_EXIT] = "debug exit",
        [MACHINE_SHUTDOWN] = "triple fault", [MACHINE_HALTED_FOREVER] = "halted, and nothing will wake it",
        [MACHINE_POWERED_OFF] = "powered off", [MACHINE_INTERRUPTED] = "interrupted", [MACHINE_FAILED] = "failed",
        [MACHINE_SPINNING] = "spins on memory: no device access brings the interrupt it waits for",
        [MACHINE_JOURNEY] = "journey", [MACHINE_PANIC] = "the guest has panicked",
        [MACHINE_RESET] = "reset by the guest",
    };

    return names[end];
}
