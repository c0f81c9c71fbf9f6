/* clock.c - the list of deadlines, and conversions between nanoseconds and ticks. */
#include "clock.h"

#include "fields.h"

#include <stddef.h>

uint64_t clock_now(struct clock *clock)
{
    if (clock->source) {
        uint64_t now = clock->source(clock->opaque);

        if (now > clock->ns)
            clock->ns = now;
    }
    return clock->ns;
}

void clock_disarm(struct clock *clock, struct clock_timer *timer)
{
    if (!timer->armed)
        return;
    for (struct clock_timer **at = &clock->timers; *at; at = &(*at)->next)
        if (*at == timer) {
            *at = timer->next;
            break;
        }
    timer->armed = false;
}

static bool clock_before(const struct clock_timer *a, const struct clock_timer *b)
{
    return a->deadline_ns != b->deadline_ns ? a->deadline_ns < b->deadline_ns : a->order <= b->order;
}

void clock_arm_again(struct clock *clock, struct clock_timer *timer)
{
    struct clock_timer **at = &clock->timers;

    while (*at && clock_before(*at, timer))
        at = &(*at)->next;
    timer->next = *at;
    *at = timer;
    timer->armed = true;
}

void clock_arm(struct clock *clock, struct clock_timer *timer, uint64_t deadline_ns)
{
    clock_disarm(clock, timer);
    timer->deadline_ns = deadline_ns;
    timer->order = clock->armings++;
    clock_arm_again(clock, timer);
    if (clock->sooner && deadline_ns < clock->horizon_ns)
        clock->sooner(clock->opaque);
}

uint64_t clock_next(const struct clock *clock) { return clock->timers ? clock->timers->deadline_ns : CLOCK_NEVER; }

uint64_t clock_next_but(const struct clock *clock, const struct clock_timer *timer)
{
    const struct clock_timer *t = clock->timers == timer && timer ? timer->next : clock->timers;

    return t ? t->deadline_ns : CLOCK_NEVER;
}

void clock_run(struct clock *clock)
{
    uint64_t now = clock_now(clock);

    while (clock->timers && clock->timers->deadline_ns <= now) {
        struct clock_timer *due = clock->timers;

        clock_disarm(clock, due);
        due->fire(due->opaque);
    }
}

uint64_t clock_ns_to_ticks(uint64_t ns, uint64_t hz) { return (uint64_t)((unsigned __int128)ns * hz / 1000000000u); }

uint64_t clock_ticks_to_ns(uint64_t ticks, uint64_t hz)
{
    return (uint64_t)(((unsigned __int128)ticks * 1000000000u + hz - 1) / hz);
}

#define STATE struct clock
FIELDS(clock_fields, FIELD_MAX(ns, INT64_MAX), FIELD(armings), WIRING(source), WIRING(sooner), WIRING(opaque), SCRATCH(horizon_ns), SCRATCH(timers))
#undef STATE
