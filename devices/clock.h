/*
 * clock.h - time as devices see it.  Time is computed when asked, never ticked.
 *
 * The board owns one clock and moves it: by retired instructions (`--clock virtual`), by the host's monotonic
 * clock (`--clock host`), by journeys (diff), by hand (a unit test).  Devices read it and set deadlines.
 */
#ifndef DEVICES_CLOCK_H
#define DEVICES_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct fields;

struct clock_timer {
    void (*fire)(void *opaque);
    void *opaque;
    uint64_t deadline_ns;
    uint64_t order; /* of arming, among equal deadlines */
    bool armed;
    struct clock_timer *next;
};

struct clock {
    uint64_t (*source)(void *opaque); /* nanoseconds since reset; NULL: `ns` is moved by hand */
    void *opaque;
    uint64_t ns;                      /* the last time given out; never goes back */
    uint64_t armings;                 /* so far */
    uint64_t horizon_ns;              /* who moves the clock looks at it then, at the latest ... */
    void (*sooner)(void *opaque);     /* ... and is told when a deadline is set that comes before; may be NULL */
    struct clock_timer *timers;       /* armed ones, earliest first; equal deadlines in the order of arming */
};

/* For a snapshot (fields.h): `ns`, and how many timers have been armed; each timer is a field of its device. */
extern const struct fields clock_fields;

#define CLOCK_NEVER UINT64_MAX

/* Nanoseconds since reset. */
uint64_t clock_now(struct clock *clock);

/* Sets (or moves) a deadline; one in the past fires at the next clock_run(). */
void clock_arm(struct clock *clock, struct clock_timer *timer, uint64_t deadline_ns);
void clock_disarm(struct clock *clock, struct clock_timer *timer);
/* Puts one that is not armed where its deadline and order say: a loaded snapshot's. */
void clock_arm_again(struct clock *clock, struct clock_timer *timer);

/* The earliest deadline, or CLOCK_NEVER. */
uint64_t clock_next(const struct clock *clock);
/* ... of all timers but one. */
uint64_t clock_next_but(const struct clock *clock, const struct clock_timer *timer);

/* Fires every timer that is due, in order of deadline; a timer re-armed into the past fires again. */
void clock_run(struct clock *clock);

/* ticks of a `hz` counter in `ns` nanoseconds, and the first nanosecond at which `ticks` have passed; 128-bit inside. */
uint64_t clock_ns_to_ticks(uint64_t ns, uint64_t hz);
uint64_t clock_ticks_to_ns(uint64_t ticks, uint64_t hz);

#endif
