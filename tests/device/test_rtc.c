/* test_rtc.c - the real-time clock against the Motorola MC146818A data sheet (1984). */
#include "rtc.h"

#include "lib/bench.h"

#define SECOND 1000000000ull

static struct device *rtc;
static struct probe irq8;

static uint8_t rtc_get(uint8_t index)
{
    bench_outb(0x70, index);
    return bench_inb(0x71);
}

static void rtc_put(uint8_t index, uint8_t v)
{
    bench_outb(0x70, index);
    bench_outb(0x71, v);
}

/* 2001-02-03 (a Saturday) 23:59:58 UTC */
static void rtc_plug(void)
{
    rtc = device_create(&rtc_class, &bench.host);
    rtc_connect(rtc, bench_probe(&irq8));
    rtc_set_time(rtc, 981244798);
}

START_TEST(rtc_time_reads_in_bcd_24h)
{
    rtc_plug();
    ck_assert_uint_eq(rtc_get(0x00), 0x58);
    ck_assert_uint_eq(rtc_get(0x02), 0x59);
    ck_assert_uint_eq(rtc_get(0x04), 0x23);
    ck_assert_uint_eq(rtc_get(0x06), 0x07); /* Sunday is 1 */
    ck_assert_uint_eq(rtc_get(0x07), 0x03);
    ck_assert_uint_eq(rtc_get(0x08), 0x02);
    ck_assert_uint_eq(rtc_get(0x09), 0x01);
    ck_assert_uint_eq(rtc_get(0x32), 0x20);
}
END_TEST

START_TEST(rtc_day_and_weekday_roll_over_at_midnight)
{
    rtc_plug();
    bench_advance(2 * SECOND);
    ck_assert_uint_eq(rtc_get(0x00), 0x00);
    ck_assert_uint_eq(rtc_get(0x04), 0x00);
    ck_assert_uint_eq(rtc_get(0x06), 0x01);
    ck_assert_uint_eq(rtc_get(0x07), 0x04);
}
END_TEST

/* Table 3: in 12-hour mode the hours byte has PM in bit 7. */
START_TEST(rtc_12_hour_mode_sets_pm_bit)
{
    rtc_plug();
    rtc_put(0x0b, 0x80);
    rtc_put(0x04, 0x91); /* 11 PM */
    rtc_put(0x0b, 0x00);
    ck_assert_uint_eq(rtc_get(0x04), 0x91);
    bench_advance(2 * SECOND);
    ck_assert_uint_eq(rtc_get(0x04), 0x12); /* midnight is 12 AM */
}
END_TEST

/* Register B: SET stops updates and lets the program set the time. */
START_TEST(rtc_set_bit_freezes_time)
{
    rtc_plug();
    rtc_put(0x0b, 0x82);
    bench_advance(5 * SECOND);
    ck_assert_uint_eq(rtc_get(0x00), 0x58);
    rtc_put(0x00, 0x10);
    rtc_put(0x02, 0x20);
    rtc_put(0x04, 0x05);
    rtc_put(0x0b, 0x02);
    bench_advance(SECOND);
    ck_assert_uint_eq(rtc_get(0x00), 0x11);
    ck_assert_uint_eq(rtc_get(0x02), 0x20);
    ck_assert_uint_eq(rtc_get(0x04), 0x05);
}
END_TEST

/* Table 6 and figure 11: UIP is set tBUC = 244 us before the update and through its tUC = 1984 us. */
START_TEST(rtc_update_in_progress_is_set_244us_before_update)
{
    rtc_plug();
    ck_assert_uint_eq(rtc_get(0x0a) & 0x80, 0);
    bench_advance(SECOND - 244000 - 1000);
    ck_assert_uint_eq(rtc_get(0x0a) & 0x80, 0);
    bench_advance(1000);
    ck_assert_uint_eq(rtc_get(0x0a) & 0x80, 0x80);
    bench_advance(244000 + 1984000 - 1);
    ck_assert_uint_eq(rtc_get(0x0a) & 0x80, 0x80);
    bench_advance(1);
    ck_assert_uint_eq(rtc_get(0x0a) & 0x80, 0);
}
END_TEST

/* Register C: UF is set after each update cycle and cleared by reading. */
START_TEST(rtc_update_ended_flag_clears_on_read)
{
    rtc_plug();
    rtc_get(0x0c);
    bench_advance(SECOND + 1984000);
    ck_assert_uint_eq(rtc_get(0x0c) & 0x10, 0x10);
    ck_assert_uint_eq(rtc_get(0x0c), 0x00);
}
END_TEST

/* Register B: UIE lets UF assert IRQ; IRQF is bit 7 of C; reading C releases the pin. */
START_TEST(rtc_update_interrupt_is_released_by_reading_c)
{
    rtc_plug();
    rtc_put(0x0b, 0x12);
    bench_advance(SECOND + 1984000 - 1);
    ck_assert(!irq8.level);
    bench_advance(1);
    ck_assert(irq8.level);
    ck_assert_uint_eq(rtc_get(0x0c), 0x90 | 0x40); /* the periodic flag rises too, enabled or not */
    ck_assert(!irq8.level);
}
END_TEST

/* Table 5: with a 32.768 kHz crystal RS = 6 is 976.562 us, RS = 15 is 500 ms, RS = 1 is 3.90625 ms. */
START_TEST(rtc_periodic_interrupt_follows_rate_select)
{
    static const struct { uint8_t rs; unsigned per_second; } row[] = {
        { 1, 256 }, { 2, 128 }, { 3, 8192 }, { 6, 1024 }, { 15, 2 },
    };

    rtc_plug();
    for (size_t i = 0; i < ARRAY_LEN(row); i++) {
        unsigned count = 0;

        rtc_put(0x0a, 0x20 | row[i].rs);
        rtc_put(0x0b, 0x42);
        rtc_get(0x0c);
        for (uint64_t us = 0; us < 1000000; us += 50) {
            bench_advance(50000);
            count += rtc_get(0x0c) >> 6 & 1;
        }
        ck_assert_uint_eq(count, row[i].per_second);
    }
}
END_TEST

/* "Alarm": all three bytes match; C0h..FFh are "don't care". */
START_TEST(rtc_alarm_matches_once_and_honours_dont_care)
{
    rtc_plug();
    rtc_put(0x01, 0x00);
    rtc_put(0x03, 0x00);
    rtc_put(0x05, 0x00);
    rtc_put(0x0b, 0x22);
    bench_advance(2 * SECOND);
    ck_assert(!irq8.level);
    bench_advance(1984000);
    ck_assert(irq8.level);
    ck_assert_uint_eq(rtc_get(0x0c) & 0xa0, 0xa0);
    bench_advance(3600 * SECOND);
    ck_assert(!irq8.level);
    rtc_put(0x03, 0xc0);
    rtc_put(0x05, 0xff);
    bench_advance(60 * SECOND);
    ck_assert(irq8.level);
}
END_TEST

/* Register A: the divider in reset holds the clock; the first update comes half a second after it is let go. */
START_TEST(rtc_divider_reset_delays_first_update_half_a_second)
{
    rtc_plug();
    rtc_put(0x0a, 0x66);
    bench_advance(3 * SECOND);
    ck_assert_uint_eq(rtc_get(0x00), 0x58);
    rtc_put(0x0a, 0x26);
    bench_advance(SECOND / 2 - 1000);
    ck_assert_uint_eq(rtc_get(0x00), 0x58);
    bench_advance(1000);
    ck_assert_uint_eq(rtc_get(0x00), 0x59);
}
END_TEST

/* "RESET": PIE, AIE, UIE and SQWE are cleared; time, calendar and RAM are not touched.  Register D: VRT reads 1. */
START_TEST(rtc_reset_clears_enables_only)
{
    rtc_plug();
    rtc_put(0x0b, 0x7a);
    rtc_put(0x40, 0x5a);
    device_reset(rtc);
    ck_assert_uint_eq(rtc_get(0x0b), 0x02);
    ck_assert_uint_eq(rtc_get(0x0d), 0x80);
    ck_assert_uint_eq(rtc_get(0x40), 0x5a);
    ck_assert_uint_eq(rtc_get(0x09), 0x01);
}
END_TEST

/* ICH9 13.6: ports 72h and 73h reach the upper 128 bytes. */
START_TEST(rtc_upper_bank_is_separate)
{
    rtc_plug();
    rtc_put(0x40, 0x11);
    bench_outb(0x72, 0x40);
    bench_outb(0x73, 0x22);
    ck_assert_uint_eq(bench_inb(0x73), 0x22);
    ck_assert_uint_eq(rtc_get(0x40), 0x11);
    ck_assert_uint_eq(rtc_get_cmos(rtc, 0xc0), 0x22);
}
END_TEST

BENCH_MAIN("rtc", rtc_time_reads_in_bcd_24h, rtc_day_and_weekday_roll_over_at_midnight, rtc_12_hour_mode_sets_pm_bit,
           rtc_set_bit_freezes_time, rtc_update_in_progress_is_set_244us_before_update,
           rtc_update_ended_flag_clears_on_read, rtc_update_interrupt_is_released_by_reading_c,
           rtc_periodic_interrupt_follows_rate_select, rtc_alarm_matches_once_and_honours_dont_care,
           rtc_divider_reset_delays_first_update_half_a_second, rtc_reset_clears_enables_only,
           rtc_upper_bank_is_separate)
