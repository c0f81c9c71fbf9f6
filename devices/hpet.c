/*
 * hpet.c - the high precision event timers of an ICH9: a 64-bit counter at 14.31818 MHz and three comparators.
 *
 * Timer 0 is 64 bits wide and can be periodic, timers 1 and 2 are 32-bit one-shots, as in the ICH9.
 * Not modelled: FSB (message) interrupts, which the ICH9 lacks too, and the HPTC register that hides the block.
 * Manual: IA-PC HPET Specification 1.0a (October 2004) section 2.3; Intel ICH9 data sheet (316972) chapter 20.
 */
#include "hpet.h"

enum { HPET_CAP = 0x00, HPET_CONFIG = 0x10, HPET_STATUS = 0x20, HPET_COUNTER = 0xf0, HPET_TIMER = 0x100 };
enum { CONFIG_ENABLE = 1, CONFIG_LEGACY = 2 };
enum { TN_LEVEL = 1 << 1, TN_ENABLE = 1 << 2, TN_PERIODIC = 1 << 3, TN_PERIODIC_CAP = 1 << 4, TN_64_CAP = 1 << 5,
       TN_VAL_SET = 1 << 6, TN_32 = 1 << 8, TN_ROUTE = 0x1f << 9 };
#define TIMERS 3
#define ROUTES 24

struct hpet;

struct hpet_timer {
    struct hpet *hpet;
    unsigned n;
    uint64_t config, comparator, period;
    struct clock_timer timer;
};

struct hpet {
    uint64_t config, status;
    uint64_t counter;    /* the main counter ... */
    uint64_t since_ns;   /* ... at this moment, from which it runs if enabled */
    struct hpet_timer timer[TIMERS];
    struct clock *clock;
    struct irq legacy[2], route[ROUTES];
    bool legacy_in[2];   /* PIT, RTC */
};

static const uint64_t hpet_capabilities[TIMERS] = {
    UINT64_C(0x00f00000) << 32 | TN_64_CAP | TN_PERIODIC_CAP, /* inputs 20..23 */
    UINT64_C(0x00f00000) << 32,
    UINT64_C(0x00f00800) << 32,                               /* and 11 */
};

static uint64_t hpet_ticks(uint64_t ns) { return (uint64_t)((unsigned __int128)ns * 1000000u / HPET_PERIOD_FS); }

/* The first nanosecond at which that many ticks have passed; saturates. */
static uint64_t hpet_ns(uint64_t ticks)
{
    unsigned __int128 ns = ((unsigned __int128)ticks * HPET_PERIOD_FS + 999999u) / 1000000u;

    return ns > INT64_MAX ? INT64_MAX : (uint64_t)ns;
}

static uint64_t hpet_now(const struct hpet *h)
{
    return h->config & CONFIG_ENABLE ? h->counter + hpet_ticks(clock_now(h->clock) - h->since_ns) : h->counter;
}

static bool hpet_is_32(const struct hpet_timer *t)
{
    return !(hpet_capabilities[t->n] & TN_64_CAP) || t->config & TN_32;
}

static bool hpet_is_periodic(const struct hpet_timer *t) { return t->config & TN_PERIODIC && t->period; }

/* The wire a timer drives now; NULL if its route is not one the block offers. */
static struct irq *hpet_wire(struct hpet *h, const struct hpet_timer *t)
{
    unsigned route = t->config >> 9 & 0x1f;

    if (h->config & CONFIG_LEGACY && t->n < 2)
        return &h->legacy[t->n];
    if (route >= ROUTES || !(hpet_capabilities[t->n] >> (32 + route) & 1))
        return NULL;
    return &h->route[route];
}

/* All outputs from all state.  Timers share a route by OR. */
static void hpet_update_wires(struct hpet *h)
{
    uint32_t routes = 0;
    bool legacy[2] = { false, false };

    for (unsigned n = 0; n < TIMERS; n++) {
        struct hpet_timer *t = &h->timer[n];
        struct irq *wire = hpet_wire(h, t);

        if (!wire || !(h->status >> n & 1) || !(t->config & TN_LEVEL) || !(t->config & TN_ENABLE))
            continue;
        if (wire == &h->legacy[0] || wire == &h->legacy[1])
            legacy[wire - h->legacy] = true;
        else
            routes |= 1u << (wire - h->route);
    }
    for (unsigned i = 0; i < ROUTES; i++)
        irq_set(&h->route[i], routes >> i & 1);
    for (unsigned i = 0; i < 2; i++)
        irq_set(&h->legacy[i], h->config & CONFIG_LEGACY ? legacy[i] : h->legacy_in[i]);
}

/* Ticks until the comparator matches next: 1..2^32 or 2^64 - 1. */
static uint64_t hpet_distance(const struct hpet_timer *t, uint64_t now)
{
    uint64_t mask = hpet_is_32(t) ? 0xffffffff : UINT64_MAX, distance = (t->comparator - now) & mask;

    if (distance)
        return distance;
    return mask == UINT64_MAX ? mask : mask + 1;
}

static void hpet_arm(struct hpet *h, struct hpet_timer *t)
{
    uint64_t now, target;

    clock_disarm(h->clock, &t->timer);
    if (!(h->config & CONFIG_ENABLE))
        return;
    now = hpet_now(h);
    target = now - h->counter + hpet_distance(t, now);
    if (target >= now - h->counter)
        clock_arm(h->clock, &t->timer, h->since_ns + hpet_ns(target));
}

static void hpet_arm_all(struct hpet *h)
{
    for (unsigned n = 0; n < TIMERS; n++)
        hpet_arm(h, &h->timer[n]);
}

/* The comparator of a periodic timer has the period added each time it matches. */
static void hpet_advance(struct hpet_timer *t, uint64_t now)
{
    uint64_t mask = hpet_is_32(t) ? 0xffffffff : UINT64_MAX, late = (now - t->comparator) & mask;

    t->comparator = (t->comparator + (late / t->period + 1) * t->period) & mask;
}

static void hpet_fire(void *opaque)
{
    struct hpet_timer *t = opaque;
    struct hpet *h = t->hpet;
    struct irq *wire = hpet_wire(h, t);

    if (hpet_is_periodic(t))
        hpet_advance(t, hpet_now(h));
    if (t->config & TN_LEVEL)
        h->status |= BIT(t->n);
    else if (t->config & TN_ENABLE && wire)
        irq_pulse(wire);
    hpet_update_wires(h);
    hpet_arm(h, t);
}

static void hpet_write_config(struct hpet *h, uint64_t v)
{
    uint64_t now = hpet_now(h);

    h->counter = now;
    h->since_ns = clock_now(h->clock);
    h->config = v & (CONFIG_ENABLE | CONFIG_LEGACY);
    hpet_arm_all(h);
    hpet_update_wires(h);
}

static void hpet_write_timer_config(struct hpet *h, struct hpet_timer *t, uint64_t v)
{
    uint64_t writable = TN_LEVEL | TN_ENABLE | TN_ROUTE, caps = hpet_capabilities[t->n];

    if (caps & TN_PERIODIC_CAP)
        writable |= TN_PERIODIC | TN_VAL_SET;
    if (caps & TN_64_CAP)
        writable |= TN_32;
    t->config = v & writable;
    if (hpet_is_32(t)) {
        t->comparator &= 0xffffffff;
        t->period &= 0xffffffff;
    }
    if (!(t->config & TN_LEVEL))
        h->status &= ~BIT(t->n);
    hpet_arm(h, t);
    hpet_update_wires(h);
}

/* Section 2.3.9.2.2: the last value written is the period; VAL_SET lets one write through to the comparator. */
static void hpet_write_comparator(struct hpet *h, struct hpet_timer *t, uint64_t v)
{
    if (hpet_is_32(t))
        v &= 0xffffffff;
    if (!(t->config & TN_PERIODIC) || t->config & TN_VAL_SET)
        t->comparator = v;
    if (t->config & TN_PERIODIC)
        t->period = v;
    t->config &= ~(uint64_t)TN_VAL_SET;
    hpet_arm(h, t);
}

static uint64_t hpet_read_register(struct hpet *h, unsigned offset)
{
    struct hpet_timer *t = &h->timer[(offset - HPET_TIMER) >> 5 & 3];

    switch (offset) {
    case HPET_CAP: return (uint64_t)HPET_PERIOD_FS << 32 | 0x80860000u | 1 << 15 | 1 << 13 | (TIMERS - 1) << 8 | 1;
    case HPET_CONFIG: return h->config;
    case HPET_STATUS: return h->status;
    case HPET_COUNTER: return hpet_now(h);
    default: break;
    }
    if (offset < HPET_TIMER || offset >= HPET_TIMER + TIMERS * 0x20)
        return 0;
    switch (offset & 0x1f) {
    case 0x00: return t->config | hpet_capabilities[t->n];
    case 0x08: return t->comparator;
    default: return 0;
    }
}

static void hpet_write_register(struct hpet *h, unsigned offset, uint64_t v)
{
    struct hpet_timer *t = &h->timer[(offset - HPET_TIMER) >> 5 & 3];

    switch (offset) {
    case HPET_CONFIG: hpet_write_config(h, v); return;
    case HPET_STATUS:
        h->status &= ~v;
        hpet_update_wires(h);
        return;
    case HPET_COUNTER:
        h->counter = v;
        h->since_ns = clock_now(h->clock);
        hpet_arm_all(h);
        return;
    default: break;
    }
    if (offset < HPET_TIMER || offset >= HPET_TIMER + TIMERS * 0x20)
        return;
    if ((offset & 0x1f) == 0x00)
        hpet_write_timer_config(h, t, v);
    else if ((offset & 0x1f) == 0x08)
        hpet_write_comparator(h, t, v);
}

static uint64_t hpet_read(void *state, uint64_t offset, unsigned width)
{
    uint64_t v = hpet_read_register(state, (unsigned)offset & 0x3f8);

    return bits_trunc(v >> (offset & 4) * 8, width);
}

/* Half a register keeps the other half, except that nothing may be written as one into a write-1-to-clear half. */
static void hpet_write(void *state, uint64_t offset, unsigned width, uint64_t value)
{
    unsigned at = (unsigned)offset & 0x3f8;

    if (width == 4) {
        unsigned shift = (offset & 4) * 8;
        uint64_t old = at == HPET_STATUS ? 0 : hpet_read_register(state, at);

        value = (old & ~(UINT64_C(0xffffffff) << shift)) | (value & 0xffffffff) << shift;
        if (at == HPET_TIMER + 8 && offset & 4 && hpet_is_32(&((struct hpet *)state)->timer[0]))
            return; /* the high half does not exist now, and must not use up VAL_SET */
    }
    hpet_write_register(state, at, value);
}

static void hpet_set_legacy_input(void *opaque, int line, bool level)
{
    struct hpet *h = opaque;

    h->legacy_in[line & 1] = level;
    if (!(h->config & CONFIG_LEGACY))
        irq_set(&h->legacy[line & 1], level);
}

static void hpet_reset(struct device *device)
{
    struct hpet *h = device->state;

    h->config = h->status = h->counter = 0;
    h->since_ns = clock_now(h->clock);
    for (unsigned n = 0; n < TIMERS; n++) {
        h->timer[n].config = h->timer[n].period = 0;
        h->timer[n].comparator = hpet_is_32(&h->timer[n]) ? 0xffffffff : UINT64_MAX;
        clock_disarm(h->clock, &h->timer[n].timer);
    }
    hpet_update_wires(h);
}

static void hpet_create(struct device *device)
{
    struct hpet *h = device->state;

    h->clock = device->host.clock;
    for (unsigned n = 0; n < TIMERS; n++) {
        h->timer[n].hpet = h;
        h->timer[n].n = n;
        h->timer[n].timer = (struct clock_timer){ .fire = hpet_fire, .opaque = &h->timer[n] };
    }
}

static void hpet_destroy(struct device *device)
{
    struct hpet *h = device->state;

    for (unsigned n = 0; n < TIMERS; n++)
        clock_disarm(h->clock, &h->timer[n].timer);
}

void hpet_connect_route(struct device *device, unsigned input, struct irq irq)
{
    struct hpet *h = device->state;

    if (input < ROUTES)
        h->route[input] = irq;
}

void hpet_connect_legacy(struct device *device, unsigned which, struct irq irq)
{
    struct hpet *h = device->state;

    h->legacy[which & 1] = irq;
    hpet_update_wires(h);
}

struct irq hpet_legacy_input(struct device *device, unsigned which)
{
    return (struct irq){ .set = hpet_set_legacy_input, .opaque = device->state, .line = (int)which };
}

static const struct region_ops hpet_ops = { .read = hpet_read, .write = hpet_write, .limits = { .widths = W4 | W8 } };

#define STATE struct hpet
FIELDS(hpet_fields, FIELD_MAX(config, CONFIG_ENABLE | CONFIG_LEGACY), FIELD(status), FIELD(counter), FIELD_PAST(since_ns),
       FIELD_EACH(timer, config), FIELD_EACH(timer, comparator), FIELD_EACH(timer, period), FIELD_EACH_DEADLINE(timer, timer),
       WIRING_EACH(timer, hpet), WIRING_EACH(timer, n), WIRING(clock), FIELD_EACH_IRQ(legacy), FIELD_EACH_IRQ(route),
       FIELD_ARRAY(legacy_in))
#undef STATE

const struct device_class hpet_class = {
    .name = "hpet",
    .title = "high precision event timers (IA-PC HPET 1.0a, ICH9 316972)",
    .state_size = sizeof(struct hpet),
    .region = { { REGION_MMIO, 0xfed00000, 0x400, &hpet_ops, false } },
    .create = hpet_create,
    .reset = hpet_reset,
    .destroy = hpet_destroy,
    .fields = &hpet_fields,
};
