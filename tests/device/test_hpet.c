/* test_hpet.c - event timers against the IA-PC HPET Specification 1.0a and the ICH9 data sheet (316972) chapter 20. */
#include "hpet.h"

#include "lib/bench.h"

#define BASE 0xfed00000u
enum { CAP = BASE, CONFIG = BASE + 0x10, STATUS = BASE + 0x20, COUNTER = BASE + 0xf0 };
#define TN_CONFIG(n) (BASE + 0x100 + (n) * 0x20)
#define TN_COMPARATOR(n) (BASE + 0x108 + (n) * 0x20)

static struct device *hpet;
static struct probe legacy[2], route20;
static struct irq pit, rtc;

static void hpet_plug(void)
{
    hpet = device_create(&hpet_class, &bench.host);
    for (unsigned i = 0; i < 2; i++)
        hpet_connect_legacy(hpet, i, bench_probe(&legacy[i]));
    hpet_connect_route(hpet, 20, bench_probe(&route20));
    pit = hpet_legacy_input(hpet, 0);
    rtc = hpet_legacy_input(hpet, 1);
}

/* The first nanosecond at which n ticks of 69841279 fs have passed. */
static uint64_t hpet_ticks(uint64_t n) { return (n * 69841279 + 999999) / 1000000; }

/* ICH9 20.1.1: 0429B17F8086A201h. */
START_TEST(hpet_capabilities_are_the_ich9s)
{
    hpet_plug();
    ck_assert_uint_eq(bench_load(CAP, 8), 0x0429b17f8086a201);
    ck_assert_uint_eq(bench_load(CAP + 4, 4), 0x0429b17f);
}
END_TEST

/* 2.3.5, 2.3.7: the counter runs only while ENABLE_CNF is set, and is 0 at reset. */
START_TEST(hpet_counter_runs_while_enabled)
{
    hpet_plug();
    bench_advance(1000000);
    ck_assert_uint_eq(bench_load(COUNTER, 8), 0);
    bench_store(CONFIG, 8, 1);
    bench_advance(hpet_ticks(1000));
    ck_assert_uint_eq(bench_load(COUNTER, 8), 1000);
    bench_store(CONFIG, 8, 0);
    bench_advance(1000000);
    ck_assert_uint_eq(bench_load(COUNTER, 8), 1000);
    bench_store(COUNTER, 8, 0x123456789a);
    ck_assert_uint_eq(bench_load(COUNTER + 4, 4), 0x12);
}
END_TEST

/* 2.3.9.2.1: one-shot, edge: one pulse when the counter reaches the comparator. */
START_TEST(hpet_one_shot_pulses_at_comparator)
{
    hpet_plug();
    bench_store(TN_CONFIG(0), 8, 0x0004 | 20 << 9);
    bench_store(TN_COMPARATOR(0), 8, 500);
    bench_store(CONFIG, 8, 1);
    bench_advance(hpet_ticks(500) - 1);
    ck_assert_uint_eq(route20.rises, 0);
    bench_advance(1);
    ck_assert_uint_eq(route20.rises, 1);
    ck_assert(!route20.level);
    bench_advance(hpet_ticks(100000));
    ck_assert_uint_eq(route20.rises, 1);
}
END_TEST

/* 2.3.6: level: the status bit holds the line until one is written to it. */
START_TEST(hpet_level_holds_line_until_status_is_cleared)
{
    hpet_plug();
    bench_store(TN_CONFIG(0), 8, 0x0006 | 20 << 9);
    bench_store(TN_COMPARATOR(0), 8, 10);
    bench_store(CONFIG, 8, 1);
    bench_advance(hpet_ticks(10));
    ck_assert(route20.level);
    ck_assert_uint_eq(bench_load(STATUS, 8), 1);
    bench_store(STATUS, 8, 0);
    ck_assert(route20.level);
    bench_store(STATUS, 8, 1);
    ck_assert(!route20.level);
}
END_TEST

/* 2.3.9.2.2: periodic: the comparator moves on by the last value written; VAL_SET clears itself. */
START_TEST(hpet_periodic_advances_comparator)
{
    hpet_plug();
    bench_store(TN_CONFIG(0), 8, 0x004c | 20 << 9);
    bench_store(TN_COMPARATOR(0), 8, 1000);
    ck_assert_uint_eq(bench_load(TN_CONFIG(0), 8) & 0x40, 0);
    bench_store(TN_COMPARATOR(0), 8, 250);
    ck_assert_uint_eq(bench_load(TN_COMPARATOR(0), 8), 1000);
    bench_store(CONFIG, 8, 1);
    bench_advance(hpet_ticks(1000));
    ck_assert_uint_eq(route20.rises, 1);
    ck_assert_uint_eq(bench_load(TN_COMPARATOR(0), 8), 1250);
    bench_advance(hpet_ticks(1000));
    ck_assert_uint_eq(route20.rises, 5);
}
END_TEST

/* 2.3.5 LEG_RT_CNF: timers 0 and 1 take the places of the PIT and the RTC. */
START_TEST(hpet_legacy_replacement_takes_irq0_and_irq8)
{
    hpet_plug();
    irq_raise(&pit);
    irq_raise(&rtc);
    ck_assert(legacy[0].level && legacy[1].level);
    bench_store(CONFIG, 8, 2);
    ck_assert(!legacy[0].level && !legacy[1].level);
    legacy[0].rises = legacy[1].rises = 0;
    irq_lower(&pit);
    irq_raise(&pit);
    ck_assert_uint_eq(legacy[0].rises, 0);
    bench_store(TN_CONFIG(1), 8, 0x0004);
    bench_store(TN_COMPARATOR(1), 8, 100);
    bench_store(CONFIG, 8, 3);
    bench_advance(hpet_ticks(100));
    ck_assert_uint_eq(legacy[1].rises, 1);
}
END_TEST

/* ICH9 20.1.5: timers 1 and 2 are 32 bits and not periodic: those bits read back 0. */
START_TEST(hpet_timers_1_and_2_are_32_bit_one_shots)
{
    hpet_plug();
    for (unsigned n = 1; n < 3; n++) {
        bench_store(TN_CONFIG(n), 8, 0x0148);
        ck_assert_uint_eq(bench_load(TN_CONFIG(n), 4) & 0x0178, 0);
        bench_store(TN_COMPARATOR(n), 8, 0x1122334455667788);
        ck_assert_uint_eq(bench_load(TN_COMPARATOR(n), 8), 0x55667788);
    }
    ck_assert_uint_eq(bench_load(TN_CONFIG(0), 4) & 0x30, 0x30);
    ck_assert_uint_eq(bench_load(TN_CONFIG(2) + 4, 4), 0x00f00800);
}
END_TEST

/* Registers of timers that do not exist read 0 and take nothing. */
START_TEST(hpet_beyond_last_timer_reads_zero)
{
    hpet_plug();
    bench_store(TN_COMPARATOR(3), 8, ~0ull);
    ck_assert_uint_eq(bench_load(TN_COMPARATOR(3), 8), 0);
    ck_assert_uint_eq(bench_load(BASE + 0x3f8, 8), 0);
}
END_TEST

BENCH_MAIN("hpet", hpet_capabilities_are_the_ich9s, hpet_counter_runs_while_enabled,
           hpet_one_shot_pulses_at_comparator, hpet_level_holds_line_until_status_is_cleared,
           hpet_periodic_advances_comparator, hpet_legacy_replacement_takes_irq0_and_irq8,
           hpet_timers_1_and_2_are_32_bit_one_shots, hpet_beyond_last_timer_reads_zero)
