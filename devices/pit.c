/*
 * pit.c - the 8254 interval timer of a PC, and port 0x61 that gates counter 2 and the speaker.
 *
 * A counter stores when its present count began; its value and its output are computed from the clock when read.
 * Not modelled: BCD counting is done, but a count written in the middle of a mode 2 or 3 period takes effect at once
 * and not at the period's end; the one clock pulse between writing a count and loading it; parity and IOCHK (0).
 * Manual: Intel 8254 data sheet (231164); port 0x61: Intel ICH9 data sheet (316972) section 13.7.1.
 */
#include "pit.h"

enum { RW_LATCH = 0, RW_LSB = 1, RW_MSB = 2, RW_BOTH = 3 };
enum { STATUS_OUT = 0x80, STATUS_NULL = 0x40 };
enum { PORT61_GATE2 = 1, PORT61_SPEAKER = 2, PORT61_MASK = 15, PORT61_REFRESH = 16, PORT61_OUT2 = 32 };

#define REFRESH_NS 15085u /* counter 1's period of 18 clocks in an AT */

struct pit_counter {
    uint8_t control;       /* RW in bits 5:4, mode in 3:1, BCD in bit 0 */
    uint32_t count;        /* initial count, 1..65536 (10000 in BCD) */
    uint64_t start_ns;     /* when counting from `count` began */
    uint64_t stopped;      /* clocks that had passed when the gate went low */
    bool gate, loaded, running, null_count;
    uint8_t write_low;     /* first byte of a two-byte count */
    bool write_high_next, read_high_next;
    uint16_t latch;
    uint8_t latch_bytes;   /* of `latch` still to be read: 0..2 */
    bool status_latched;
    uint8_t status;
};

struct pit {
    struct pit_counter counter[3];
    uint8_t port61;
    struct clock_timer timer;
    struct clock *clock;
    struct irq interrupt;
};

static unsigned pit_mode(const struct pit_counter *c)
{
    unsigned mode = c->control >> 1 & 7;

    return mode > 5 ? mode & 3 : mode; /* 6 and 7 are 2 and 3: the bit is "don't care" */
}

static unsigned pit_access(const struct pit_counter *c) { return c->control >> 4 & 3; }
static bool pit_is_periodic(const struct pit_counter *c) { return pit_mode(c) == 2 || pit_mode(c) == 3; }

static uint64_t pit_elapsed(const struct pit *p, const struct pit_counter *c)
{
    if (!c->running)
        return c->stopped;
    return clock_ns_to_ticks(clock_now(p->clock) - c->start_ns, PIT_HZ);
}

/* What the counting element holds: data sheet, "Mode Definitions". */
static uint32_t pit_value(const struct pit *p, const struct pit_counter *c)
{
    uint32_t modulus = c->control & 1 ? 10000 : 65536;
    uint64_t passed = pit_elapsed(p, c);

    if (!c->loaded)
        return c->count % modulus;
    switch (pit_mode(c)) {
    case 2: return c->count - passed % c->count;
    case 3: return (c->count & ~1u) - 2 * passed % (c->count & ~1u ? c->count & ~1u : 2);
    default: return (c->count + (uint64_t)modulus - passed % modulus) % modulus;
    }
}

static bool pit_output(const struct pit *p, const struct pit_counter *c)
{
    uint64_t passed = pit_elapsed(p, c);

    switch (pit_mode(c)) {
    case 0: return c->loaded && passed >= c->count;
    case 1: return !c->loaded || passed >= c->count;
    case 2: return !c->loaded || !c->gate || passed % c->count != c->count - 1;
    case 3: return !c->loaded || !c->gate || passed % c->count < (c->count + 1) / 2;
    default: return !c->loaded || passed != c->count; /* strobe: low for one clock */
    }
}

/* Clocks from the start until the output changes next after `passed`; UINT64_MAX if never. */
static uint64_t pit_next_edge(const struct pit_counter *c, uint64_t passed)
{
    uint64_t period = passed / c->count * c->count, at = passed - period;

    switch (pit_mode(c)) {
    case 0:
    case 1: return passed < c->count ? c->count : UINT64_MAX;
    case 2: return at < c->count - 1 ? period + c->count - 1 : period + c->count;
    case 3: return at < (c->count + 1) / 2 ? period + (c->count + 1) / 2 : period + c->count;
    default: return passed < c->count ? c->count : passed == c->count ? c->count + 1u : UINT64_MAX;
    }
}

/* Drives IRQ0 from counter 0 and asks to be woken at its next edge. */
static void pit_update(struct pit *p)
{
    struct pit_counter *c = &p->counter[0];
    uint64_t edge;

    irq_set(&p->interrupt, pit_output(p, c));
    clock_disarm(p->clock, &p->timer);
    if (!c->loaded || !c->running)
        return;
    edge = pit_next_edge(c, pit_elapsed(p, c));
    if (edge != UINT64_MAX)
        clock_arm(p->clock, &p->timer, c->start_ns + clock_ticks_to_ns(edge, PIT_HZ));
}

static void pit_fire(void *opaque)
{
    struct pit *p = opaque;
    struct pit_counter *c = &p->counter[0];
    uint64_t due = p->timer.deadline_ns, now = clock_now(p->clock);

    /* Edges that went by unseen were still edges: show the controller one rise for all that were skipped. */
    if (pit_is_periodic(c) && now > due && (pit_output(p, c) || now - due >= clock_ticks_to_ns(c->count, PIT_HZ))) {
        irq_lower(&p->interrupt);
        irq_raise(&p->interrupt);
    }
    pit_update(p);
}

static void pit_start(struct pit *p, struct pit_counter *c)
{
    c->start_ns = clock_now(p->clock);
    c->stopped = 0;
    c->null_count = false;
    c->running = c->gate || pit_mode(c) == 1 || pit_mode(c) == 5;
}

static uint32_t pit_decode(const struct pit_counter *c, uint16_t raw)
{
    uint32_t n = raw;

    if (c->control & 1)
        n = (raw >> 12) * 1000u + (raw >> 8 & 15) * 100u + (raw >> 4 & 15) * 10u + (raw & 15);
    return n ? n : c->control & 1 ? 10000 : 65536;
}

static uint16_t pit_encode(const struct pit_counter *c, uint32_t n)
{
    if (c->control & 1)
        return (uint16_t)((n / 1000 % 10) << 12 | (n / 100 % 10) << 8 | (n / 10 % 10) << 4 | n % 10);
    return (uint16_t)n;
}

static void pit_load(struct pit *p, struct pit_counter *c, uint16_t raw)
{
    unsigned mode = pit_mode(c);

    c->count = pit_decode(c, raw);
    if ((mode == 2 || mode == 3) && c->count == 1)
        c->count = 2; /* a count of 1 is illegal there */
    if (mode == 1 || mode == 5) {
        c->null_count = true; /* waits for a rising gate */
        return;
    }
    c->loaded = true;
    pit_start(p, c);
}

static void pit_set_gate(struct pit *p, struct pit_counter *c, bool gate)
{
    unsigned mode = pit_mode(c);
    bool rise = gate && !c->gate;

    if (gate == c->gate)
        return;
    if (!gate && (mode == 0 || mode == 4)) {
        c->stopped = pit_elapsed(p, c);
        c->running = false;
    }
    if (!gate && (mode == 2 || mode == 3)) {
        c->stopped = 0;
        c->running = false;
    }
    c->gate = gate;
    if (!rise)
        return;
    if ((mode == 0 || mode == 4) && c->loaded) {
        c->start_ns = clock_now(p->clock) - clock_ticks_to_ns(c->stopped, PIT_HZ);
        c->running = true;
    } else if (mode != 0 && mode != 4 && c->count) { /* a trigger: begin anew */
        c->loaded = true;
        pit_start(p, c);
    }
}

static void pit_latch_count(struct pit *p, struct pit_counter *c)
{
    if (c->latch_bytes)
        return; /* a second latch before the first is read does nothing */
    c->latch = pit_encode(c, pit_value(p, c));
    c->latch_bytes = pit_access(c) == RW_BOTH ? 2 : 1;
}

static void pit_latch_status(struct pit *p, struct pit_counter *c)
{
    if (c->status_latched)
        return;
    c->status_latched = true;
    c->status = (c->control & 0x3f) | (c->null_count ? STATUS_NULL : 0) | (pit_output(p, c) ? STATUS_OUT : 0);
}

static void pit_write_control(struct pit *p, uint8_t v)
{
    struct pit_counter *c;

    if (v >> 6 == 3) { /* read-back: bit 5 low latches counts, bit 4 low latches status, bits 3:1 choose */
        for (unsigned n = 0; n < 3; n++) {
            if (!(v >> (n + 1) & 1))
                continue;
            if (!(v & 0x20))
                pit_latch_count(p, &p->counter[n]);
            if (!(v & 0x10))
                pit_latch_status(p, &p->counter[n]);
        }
        return;
    }
    c = &p->counter[v >> 6];
    if ((v >> 4 & 3) == RW_LATCH) {
        pit_latch_count(p, c);
        return;
    }
    *c = (struct pit_counter){ .control = v & 0x3f, .gate = c->gate, .null_count = true };
    pit_update(p);
}

static uint8_t pit_read_counter(struct pit *p, struct pit_counter *c)
{
    uint16_t value;

    if (c->status_latched) {
        c->status_latched = false;
        return c->status;
    }
    if (c->latch_bytes) {
        bool high = pit_access(c) == RW_MSB || (pit_access(c) == RW_BOTH && c->latch_bytes == 1);

        c->latch_bytes--;
        return (uint8_t)(high ? c->latch >> 8 : c->latch);
    }
    value = pit_encode(c, pit_value(p, c));
    if (pit_access(c) == RW_BOTH) {
        c->read_high_next = !c->read_high_next;
        return (uint8_t)(c->read_high_next ? value : value >> 8);
    }
    return (uint8_t)(pit_access(c) == RW_MSB ? value >> 8 : value);
}

static void pit_write_counter(struct pit *p, struct pit_counter *c, uint8_t v)
{
    switch (pit_access(c)) {
    case RW_LSB: pit_load(p, c, v); break;
    case RW_MSB: pit_load(p, c, (uint16_t)(v << 8)); break;
    default:
        if (c->write_high_next) {
            pit_load(p, c, (uint16_t)(v << 8 | c->write_low));
        } else {
            c->write_low = v;
            c->null_count = true;
            if (pit_mode(c) == 0) { /* the first byte stops the count and lowers OUT */
                c->loaded = c->running = false;
                c->stopped = 0;
            }
        }
        c->write_high_next = !c->write_high_next;
    }
    pit_update(p);
}

static uint64_t pit_read(void *state, uint64_t offset, unsigned width)
{
    struct pit *p = state;

    (void)width;
    return offset < 3 ? pit_read_counter(p, &p->counter[offset]) : 0xff; /* the control word cannot be read */
}

static void pit_write(void *state, uint64_t offset, unsigned width, uint64_t value)
{
    struct pit *p = state;

    (void)width;
    if (offset < 3)
        pit_write_counter(p, &p->counter[offset], (uint8_t)value);
    else
        pit_write_control(p, (uint8_t)value);
}

static uint64_t pit_read_port61(void *state, uint64_t offset, unsigned width)
{
    struct pit *p = state;
    bool refresh = clock_now(p->clock) / REFRESH_NS & 1;

    (void)offset;
    (void)width;
    return p->port61 | (refresh ? PORT61_REFRESH : 0) | (pit_output(p, &p->counter[2]) ? PORT61_OUT2 : 0);
}

static void pit_write_port61(void *state, uint64_t offset, unsigned width, uint64_t value)
{
    struct pit *p = state;

    (void)offset;
    (void)width;
    p->port61 = value & PORT61_MASK;
    pit_set_gate(p, &p->counter[2], value & PORT61_GATE2);
}

/* The 8254 is undefined until programmed; we begin idle, in mode 3 so that OUT of counter 0 is high. */
static void pit_reset(struct device *device)
{
    struct pit *p = device->state;

    for (unsigned n = 0; n < 3; n++)
        p->counter[n] = (struct pit_counter){ .control = 0x36, .gate = n != 2, .null_count = true };
    p->port61 = 0;
    pit_update(p);
}

static void pit_create(struct device *device)
{
    struct pit *p = device->state;

    p->clock = device->host.clock;
    p->timer = (struct clock_timer){ .fire = pit_fire, .opaque = p };
}

static void pit_destroy(struct device *device)
{
    struct pit *p = device->state;

    clock_disarm(p->clock, &p->timer);
}

const struct clock_timer *pit_timer(const struct device *device) { return &((const struct pit *)device->state)->timer; }

void pit_connect(struct device *device, struct irq interrupt)
{
    struct pit *p = device->state;

    p->interrupt = interrupt;
    pit_update(p);
}

static const struct region_ops pit_ops = { .read = pit_read, .write = pit_write, .limits = { .widths = W1 } };
static const struct region_ops pit_port61_ops = {
    .read = pit_read_port61, .write = pit_write_port61, .limits = { .widths = W1 },
};

#define STATE struct pit
FIELDS(pit_fields, FIELD_EACH_MAX(counter, control, 0x3f), FIELD_EACH_MAX(counter, count, 65536), FIELD_EACH_PAST(counter, start_ns),
       FIELD_EACH(counter, stopped), FIELD_EACH(counter, gate), FIELD_EACH(counter, loaded), FIELD_EACH(counter, running),
       FIELD_EACH(counter, null_count), FIELD_EACH(counter, write_low), FIELD_EACH(counter, write_high_next),
       FIELD_EACH(counter, read_high_next), FIELD_EACH(counter, latch), FIELD_EACH_MAX(counter, latch_bytes, 2),
       FIELD_EACH(counter, status_latched), FIELD_EACH(counter, status), FIELD_MAX(port61, PORT61_MASK), FIELD_DEADLINE(timer),
       WIRING(clock), FIELD_IRQ(interrupt))
#undef STATE

/* A counter counts from 1 at least, from 2 in the modes that divide. */
static bool pit_restored(struct device *device, struct err *err)
{
    struct pit *p = device->state;

    for (unsigned n = 0; n < 3; n++) {
        const struct pit_counter *c = &p->counter[n];

        if ((c->loaded && !c->count) || (c->count == 1 && pit_is_periodic(c)))
            return err_set(err, "counter %u counts from %u", n, c->count);
    }
    return true;
}

const struct device_class pit_class = {
    .name = "pit",
    .title = "8254 interval timer and port 0x61 (Intel 231164, 316972)",
    .state_size = sizeof(struct pit),
    .region = {
        { REGION_PIO, 0x40, 4, &pit_ops, false },
        { REGION_PIO, 0x61, 1, &pit_port61_ops, false },
    },
    .create = pit_create,
    .reset = pit_reset,
    .destroy = pit_destroy,
    .fields = &pit_fields,
    .restored = pit_restored,
};
