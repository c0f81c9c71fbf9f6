/*
 * rtc.c - the MC146818A real-time clock and 256 bytes of CMOS RAM behind ports 0x70..0x73.
 *
 * The calendar is one number of seconds and the moment it was true; registers, flags and UIP are computed from the
 * clock when read.  A timer is armed only while an interrupt is enabled.
 * Not modelled: daylight saving (DSE is kept but does nothing), the square-wave output, the NMI mask of port 0x70
 * (nothing drives NMI), time bases other than 32.768 kHz, garbage in the registers while UIP is set.
 * Manual: Motorola MC146818A data sheet (1984); century byte 0x32 and bank 2: Intel ICH9 data sheet (316972) 13.6.
 */
#include "rtc.h"

enum {
    RTC_SECONDS = 0, RTC_SECONDS_ALARM = 1, RTC_MINUTES = 2, RTC_MINUTES_ALARM = 3, RTC_HOURS = 4, RTC_HOURS_ALARM = 5,
    RTC_WEEKDAY = 6, RTC_DAY = 7, RTC_MONTH = 8, RTC_YEAR = 9, RTC_A = 10, RTC_B = 11, RTC_C = 12, RTC_D = 13,
    RTC_CENTURY = 0x32,
};
enum { A_UIP = 0x80, A_DV = 0x70, A_DV_NORMAL = 0x20, A_RS = 15 };
enum { B_SET = 0x80, B_PIE = 0x40, B_AIE = 0x20, B_UIE = 0x10, B_SQWE = 8, B_BINARY = 4, B_24H = 2 };
enum { C_IRQF = 0x80, C_PF = 0x40, C_AF = 0x20, C_UF = 0x10 };
enum { D_VRT = 0x80, HOURS_PM = 0x80, ALARM_ANY = 0xc0 };

#define SECOND_NS 1000000000ull
#define UPDATE_WARNING_NS 244000ull /* tBUC: UIP rises this long before an update (table 6) */
#define UPDATE_NS 1984000ull        /* tUC: an update takes this long */
#define CRYSTAL_HZ 32768u
#define DAY_SECONDS 86400
#define RTC_SECONDS_MAX ((int64_t)1 << 40) /* in either direction: the year 16665, and what the clock may have run since */

struct rtc {
    uint8_t cmos[256];
    uint8_t index[2];
    int64_t seconds;     /* the calendar as seconds since 1970, local time ... */
    uint64_t since_ns;   /* ... at this moment; updates follow every second after it */
    unsigned weekday_shift; /* the weekday register counts on its own */
    uint64_t synced_ns;  /* flags are true up to here */
    struct clock_timer timer;
    struct clock *clock;
    struct irq interrupt;
};

/* -- calendar ----------------------------------------------------------------------------------------------------- */

struct rtc_time {
    int year;
    unsigned month, day, hour, minute, second, weekday; /* Sunday is 1 */
};

/* Days since 1970-01-01 in the proleptic Gregorian calendar; months and days out of range carry over. */
static int64_t rtc_days(int64_t year, int64_t month, int64_t day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400, in_era = y - era * 400;
    int64_t in_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year - 719468;
}

static struct rtc_time rtc_split_seconds(int64_t seconds)
{
    int64_t days = seconds / DAY_SECONDS - (seconds % DAY_SECONDS < 0), rest = seconds - days * DAY_SECONDS;
    int64_t era_days = days + 719468, era = (era_days >= 0 ? era_days : era_days - 146096) / 146097;
    int64_t doe = era_days - era * 146097, yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    struct rtc_time t = {
        .day = (unsigned)(doy - (153 * mp + 2) / 5 + 1), .month = (unsigned)(mp < 10 ? mp + 3 : mp - 9),
        .hour = (unsigned)(rest / 3600), .minute = (unsigned)(rest / 60 % 60), .second = (unsigned)(rest % 60),
        .weekday = (unsigned)(((days + 4) % 7 + 7) % 7 + 1),
    };

    t.year = (int)(yoe + era * 400 + (t.month <= 2));
    return t;
}

static bool rtc_is_stopped(const struct rtc *r)
{
    return r->cmos[RTC_B] & B_SET || (r->cmos[RTC_A] & A_DV) != A_DV_NORMAL;
}

static int64_t rtc_seconds_at(const struct rtc *r, uint64_t ns)
{
    return r->seconds + (rtc_is_stopped(r) || ns < r->since_ns ? 0 : (int64_t)((ns - r->since_ns) / SECOND_NS));
}

static uint8_t rtc_encode(const struct rtc *r, unsigned v)
{
    return (uint8_t)(r->cmos[RTC_B] & B_BINARY ? v : v / 10 % 10 << 4 | v % 10);
}

static unsigned rtc_decode(const struct rtc *r, uint8_t v)
{
    return r->cmos[RTC_B] & B_BINARY ? v : (v >> 4) * 10u + (v & 15);
}

static uint8_t rtc_encode_hour(const struct rtc *r, unsigned hour)
{
    if (r->cmos[RTC_B] & B_24H)
        return rtc_encode(r, hour);
    return rtc_encode(r, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOURS_PM : 0);
}

static unsigned rtc_decode_hour(const struct rtc *r, uint8_t v)
{
    if (r->cmos[RTC_B] & B_24H)
        return rtc_decode(r, v);
    return rtc_decode(r, v & 0x7f) % 12 + (v & HOURS_PM ? 12 : 0);
}

/* Writes the calendar into the registers, where they are read from and changed by the guest. */
static void rtc_store_registers(struct rtc *r)
{
    struct rtc_time t = rtc_split_seconds(rtc_seconds_at(r, clock_now(r->clock)));

    r->cmos[RTC_SECONDS] = rtc_encode(r, t.second);
    r->cmos[RTC_MINUTES] = rtc_encode(r, t.minute);
    r->cmos[RTC_HOURS] = rtc_encode_hour(r, t.hour);
    r->cmos[RTC_WEEKDAY] = rtc_encode(r, (t.weekday - 1 + r->weekday_shift) % 7 + 1);
    r->cmos[RTC_DAY] = rtc_encode(r, t.day);
    r->cmos[RTC_MONTH] = rtc_encode(r, t.month);
    r->cmos[RTC_YEAR] = rtc_encode(r, (unsigned)t.year % 100);
    r->cmos[RTC_CENTURY] = (uint8_t)(t.year / 1000 % 10 << 4 | t.year / 100 % 10);
}

/* The other way.  The divider runs on, so the next update comes when it would have come. */
static void rtc_load_registers(struct rtc *r)
{
    uint64_t now = clock_now(r->clock);
    int64_t century = (r->cmos[RTC_CENTURY] >> 4) * 10 + (r->cmos[RTC_CENTURY] & 15);
    int64_t days = rtc_days(century * 100 + rtc_decode(r, r->cmos[RTC_YEAR]), rtc_decode(r, r->cmos[RTC_MONTH]),
                            rtc_decode(r, r->cmos[RTC_DAY]));
    unsigned weekday = rtc_decode(r, r->cmos[RTC_WEEKDAY]);

    r->seconds = days * DAY_SECONDS + rtc_decode_hour(r, r->cmos[RTC_HOURS]) * 3600 +
                 rtc_decode(r, r->cmos[RTC_MINUTES]) * 60 + rtc_decode(r, r->cmos[RTC_SECONDS]);
    if (now > r->since_ns)
        r->since_ns += (now - r->since_ns) / SECOND_NS * SECOND_NS;
    r->weekday_shift = (weekday + 14 - rtc_split_seconds(r->seconds).weekday) % 7;
}

/* -- flags and the interrupt -------------------------------------------------------------------------------------- */

/* Table 5: periods of the taps, in crystal cycles. */
static unsigned rtc_period(const struct rtc *r)
{
    unsigned rs = r->cmos[RTC_A] & A_RS;

    if (!rs || (r->cmos[RTC_A] & A_DV) != A_DV_NORMAL)
        return 0;
    return 1u << (rs <= 2 ? rs + 6 : rs - 1);
}

static uint64_t rtc_crystal(const struct rtc *r, uint64_t ns)
{
    uint64_t phase = r->since_ns % SECOND_NS;

    return clock_ns_to_ticks(ns + SECOND_NS - phase, CRYSTAL_HZ);
}

static uint64_t rtc_crystal_to_ns(const struct rtc *r, uint64_t ticks)
{
    return clock_ticks_to_ns(ticks, CRYSTAL_HZ) + r->since_ns % SECOND_NS - SECOND_NS;
}

/* How many updates have ended at `ns`, counted from since_ns. */
static uint64_t rtc_updates(const struct rtc *r, uint64_t ns)
{
    return rtc_is_stopped(r) || ns < r->since_ns + UPDATE_NS ? 0 : (ns - r->since_ns - UPDATE_NS) / SECOND_NS;
}

static bool rtc_alarm_byte_matches(uint8_t alarm, uint8_t now)
{
    return (alarm & ALARM_ANY) == ALARM_ANY || alarm == now;
}

/* Seconds of calendar time after `from`, 1..limit, until the alarm matches; 0 if it does not. */
static int64_t rtc_find_alarm(const struct rtc *r, int64_t from, int64_t limit)
{
    for (int64_t at = from + 1; at <= from + limit;) {
        struct rtc_time t = rtc_split_seconds(at);

        if (!rtc_alarm_byte_matches(r->cmos[RTC_HOURS_ALARM], rtc_encode_hour(r, t.hour)))
            at += 3600 - t.minute * 60 - t.second;
        else if (!rtc_alarm_byte_matches(r->cmos[RTC_MINUTES_ALARM], rtc_encode(r, t.minute)))
            at += 60 - t.second;
        else if (!rtc_alarm_byte_matches(r->cmos[RTC_SECONDS_ALARM], rtc_encode(r, t.second)))
            at++;
        else
            return at - from;
    }
    return 0;
}

/* Sets the flags for everything that has happened since the last call. */
static void rtc_sync(struct rtc *r)
{
    uint64_t now = clock_now(r->clock), before = rtc_updates(r, r->synced_ns), updates = rtc_updates(r, now);
    unsigned period = rtc_period(r);

    if (period && rtc_crystal(r, now) / period != rtc_crystal(r, r->synced_ns) / period)
        r->cmos[RTC_C] |= C_PF;
    if (updates > before) {
        r->cmos[RTC_C] |= C_UF;
        if (rtc_find_alarm(r, r->seconds + (int64_t)before, (int64_t)bits_min(updates - before, DAY_SECONDS)))
            r->cmos[RTC_C] |= C_AF;
    }
    r->synced_ns = now;
}

static uint64_t rtc_next_event(const struct rtc *r)
{
    uint64_t next = CLOCK_NEVER, now = r->synced_ns, updates = rtc_updates(r, now);
    unsigned period = rtc_period(r);

    if (r->cmos[RTC_B] & B_PIE && period)
        next = rtc_crystal_to_ns(r, (rtc_crystal(r, now) / period + 1) * period);
    if (rtc_is_stopped(r))
        return next;
    if (r->cmos[RTC_B] & B_UIE)
        next = bits_min(next, r->since_ns + (updates + 1) * SECOND_NS + UPDATE_NS);
    if (r->cmos[RTC_B] & B_AIE) {
        int64_t wait = rtc_find_alarm(r, r->seconds + (int64_t)updates, DAY_SECONDS);

        if (wait)
            next = bits_min(next, r->since_ns + (updates + (uint64_t)wait) * SECOND_NS + UPDATE_NS);
    }
    return next;
}

static void rtc_update(struct rtc *r)
{
    uint64_t next;

    rtc_sync(r);
    if (r->cmos[RTC_C] & r->cmos[RTC_B] & (C_PF | C_AF | C_UF))
        r->cmos[RTC_C] |= C_IRQF;
    else
        r->cmos[RTC_C] &= ~C_IRQF;
    irq_set(&r->interrupt, r->cmos[RTC_C] & C_IRQF);
    clock_disarm(r->clock, &r->timer);
    if (r->cmos[RTC_C] & C_IRQF)
        return; /* nothing new can be seen before C is read */
    next = rtc_next_event(r);
    if (next != CLOCK_NEVER)
        clock_arm(r->clock, &r->timer, next);
}

static void rtc_fire(void *opaque) { rtc_update(opaque); }

/* -- registers ---------------------------------------------------------------------------------------------------- */

static uint8_t rtc_read_a(const struct rtc *r)
{
    uint64_t now = clock_now(r->clock), phase;

    if (rtc_is_stopped(r))
        return r->cmos[RTC_A];
    if (now < r->since_ns)
        phase = SECOND_NS - (r->since_ns - now) % SECOND_NS;
    else
        phase = (now - r->since_ns) % SECOND_NS;
    /* since_ns itself is a time set by hand, not an update. */
    if (phase >= SECOND_NS - UPDATE_WARNING_NS || (phase < UPDATE_NS && now >= r->since_ns + SECOND_NS))
        return r->cmos[RTC_A] | A_UIP;
    return r->cmos[RTC_A];
}

/* Changing what stops or scales the calendar: take it out as seconds before, put it back after. */
static void rtc_write_control(struct rtc *r, unsigned which, uint8_t v)
{
    bool was_set = r->cmos[RTC_B] & B_SET, held = (r->cmos[RTC_A] & A_DV) != A_DV_NORMAL;

    rtc_sync(r);
    if (!was_set)
        rtc_store_registers(r);
    r->cmos[which] = v;
    if (!was_set && !(r->cmos[RTC_B] & B_SET) && which == RTC_B) {
        /* format changed while running: registers are not converted by the chip, so they now mean something else */
        rtc_load_registers(r);
    } else if (was_set != !!(r->cmos[RTC_B] & B_SET) || which == RTC_A) {
        rtc_load_registers(r);
    }
    if (held && (r->cmos[RTC_A] & A_DV) == A_DV_NORMAL) /* the first update comes half a second after divider reset */
        r->since_ns = clock_now(r->clock) + SECOND_NS / 2 - SECOND_NS * (clock_now(r->clock) >= SECOND_NS / 2);
    r->synced_ns = clock_now(r->clock);
}

static uint8_t rtc_read_register(struct rtc *r, uint8_t index)
{
    uint8_t v;

    switch (index) {
    case RTC_SECONDS: case RTC_MINUTES: case RTC_HOURS: case RTC_WEEKDAY: case RTC_DAY: case RTC_MONTH: case RTC_YEAR:
    case RTC_CENTURY:
        if (!(r->cmos[RTC_B] & B_SET))
            rtc_store_registers(r);
        return r->cmos[index];
    case RTC_A: return rtc_read_a(r);
    case RTC_C:
        rtc_update(r);
        v = r->cmos[RTC_C];
        r->cmos[RTC_C] = 0;
        rtc_update(r);
        return v;
    case RTC_D: return D_VRT;
    default: return r->cmos[index];
    }
}

static void rtc_write_register(struct rtc *r, uint8_t index, uint8_t v)
{
    switch (index) {
    case RTC_SECONDS: case RTC_MINUTES: case RTC_HOURS: case RTC_WEEKDAY: case RTC_DAY: case RTC_MONTH: case RTC_YEAR:
    case RTC_CENTURY:
        rtc_sync(r);
        if (!(r->cmos[RTC_B] & B_SET)) {
            rtc_store_registers(r);
            r->cmos[index] = v;
            rtc_load_registers(r);
        }
        r->cmos[index] = v;
        break;
    case RTC_A: rtc_write_control(r, RTC_A, v & ~A_UIP); break;
    case RTC_B: rtc_write_control(r, RTC_B, v & B_SET ? v & ~B_UIE : v); break; /* SET clears UIE */
    case RTC_C: case RTC_D: break;
    default:
        rtc_sync(r);
        r->cmos[index] = v;
        break;
    }
    rtc_update(r);
}

static uint64_t rtc_read(void *state, uint64_t offset, unsigned width)
{
    struct rtc *r = state;

    (void)width;
    switch (offset) {
    case 1: return rtc_read_register(r, r->index[0]);
    case 2: return r->index[1];
    case 3: return r->cmos[0x80 | r->index[1]];
    default: return 0xff; /* port 0x70 is write-only */
    }
}

static void rtc_write(void *state, uint64_t offset, unsigned width, uint64_t value)
{
    struct rtc *r = state;

    (void)width;
    switch (offset) {
    case 0: r->index[0] = value & 0x7f; break;
    case 1: rtc_write_register(r, r->index[0], (uint8_t)value); break;
    case 2: r->index[1] = value & 0x7f; break;
    default: r->cmos[0x80 | r->index[1]] = (uint8_t)value; break;
    }
}

/* The RESET pin: interrupt enables, SQWE and flags; calendar and RAM go on. */
static void rtc_reset(struct device *device)
{
    struct rtc *r = device->state;

    r->cmos[RTC_B] &= ~(B_PIE | B_AIE | B_UIE | B_SQWE);
    r->cmos[RTC_C] = 0;
    r->synced_ns = clock_now(r->clock);
    r->index[0] = r->index[1] = 0;
    rtc_update(r);
}

static void rtc_create(struct device *device)
{
    struct rtc *r = device->state;

    r->clock = device->host.clock;
    r->timer = (struct clock_timer){ .fire = rtc_fire, .opaque = r };
    r->cmos[RTC_A] = A_DV_NORMAL | 6; /* as a PC's firmware leaves it: 1024 Hz, BCD, 24 hours */
    r->cmos[RTC_B] = B_24H;
    r->seconds = 946684800;           /* 2000-01-01 */
    r->since_ns = r->synced_ns = clock_now(r->clock);
}

static void rtc_destroy(struct device *device)
{
    struct rtc *r = device->state;

    clock_disarm(r->clock, &r->timer);
}

void rtc_connect(struct device *device, struct irq interrupt)
{
    struct rtc *r = device->state;

    r->interrupt = interrupt;
}

void rtc_set_time(struct device *device, int64_t unix_seconds)
{
    struct rtc *r = device->state;

    r->seconds = unix_seconds;
    r->since_ns = r->synced_ns = clock_now(r->clock);
    r->weekday_shift = 0;
    rtc_store_registers(r);
    rtc_update(r);
}

void rtc_set_cmos(struct device *device, uint8_t address, uint8_t value)
{
    struct rtc *r = device->state;

    if (address > RTC_D && address != RTC_CENTURY)
        r->cmos[address] = value;
}

uint8_t rtc_get_cmos(struct device *device, uint8_t address)
{
    struct rtc *r = device->state;

    return r->cmos[address];
}

static const struct region_ops rtc_ops = { .read = rtc_read, .write = rtc_write, .limits = { .widths = W1 } };

#define STATE struct rtc
FIELDS(rtc_fields, FIELD_ARRAY(cmos), FIELD_ARRAY_MAX(index, 0x7f), FIELD(seconds), FIELD(since_ns), FIELD_MAX(weekday_shift, 6),
       FIELD_PAST(synced_ns), FIELD_DEADLINE(timer), WIRING(clock), FIELD_IRQ(interrupt))
#undef STATE

/* The calendar is one that its registers can be set to, and the next update is a second away at most. */
static bool rtc_restored(struct device *device, struct err *err)
{
    struct rtc *r = device->state;

    if (r->seconds < -RTC_SECONDS_MAX || r->seconds > RTC_SECONDS_MAX)
        return err_set(err, "the calendar is beyond what its registers hold");
    if (r->since_ns > r->clock->ns + SECOND_NS)
        return err_set(err, "since_ns is more than a second ahead");
    return true;
}

const struct device_class rtc_class = {
    .name = "rtc",
    .title = "MC146818A real-time clock and CMOS RAM",
    .state_size = sizeof(struct rtc),
    .region = { { REGION_PIO, 0x70, 4, &rtc_ops, false } },
    .create = rtc_create,
    .reset = rtc_reset,
    .destroy = rtc_destroy,
    .fields = &rtc_fields,
    .restored = rtc_restored,
};
