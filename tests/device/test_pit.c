/* test_pit.c - the 8254 against Intel's data sheet 231164; port 0x61 against the ICH9's, 316972 section 13.7.1. */
#include "pit.h"

#include "lib/bench.h"

static struct device *pit;
static struct probe irq0;

/* Nanoseconds after which `n` whole clocks of 1.193182 MHz have passed. */
static uint64_t pit_clocks(uint64_t n) { return clock_ticks_to_ns(n, 1193182); }

static void pit_plug(void)
{
    pit = device_create(&pit_class, &bench.host);
    pit_connect(pit, bench_probe(&irq0));
    irq0 = (struct probe){ .level = irq0.level };
}

static unsigned pit_latch(unsigned counter)
{
    unsigned low;

    bench_outb(0x43, (uint8_t)(counter << 6));
    low = bench_inb((uint16_t)(0x40 + counter));
    return low | (unsigned)bench_inb((uint16_t)(0x40 + counter)) << 8;
}

static void pit_program(unsigned counter, unsigned mode, unsigned count)
{
    bench_outb(0x43, (uint8_t)(counter << 6 | 0x30 | mode << 1));
    bench_outb((uint16_t)(0x40 + counter), (uint8_t)count);
    bench_outb((uint16_t)(0x40 + counter), (uint8_t)(count >> 8));
}

/* "Mode 0": OUT is low after the control word and goes high when the count is over, and stays. */
START_TEST(pit_mode0_raises_out_at_terminal_count)
{
    pit_plug();
    pit_program(0, 0, 1000);
    ck_assert(!irq0.level);
    bench_advance(pit_clocks(999));
    ck_assert(!irq0.level);
    bench_advance(pit_clocks(1));
    ck_assert(irq0.level);
    bench_advance(pit_clocks(100000));
    ck_assert_uint_eq(irq0.rises, 1);
}
END_TEST

/* "Mode 0": counting goes on after terminal count, wrapping to FFFFh. */
START_TEST(pit_mode0_counts_down_and_wraps)
{
    pit_plug();
    pit_program(0, 0, 0x1234);
    bench_advance(pit_clocks(0x34));
    ck_assert_uint_eq(pit_latch(0), 0x1200);
    bench_advance(pit_clocks(0x1201));
    ck_assert_uint_eq(pit_latch(0), 0xffff);
}
END_TEST

/* "Mode 2": OUT is low for one clock in N; one interrupt in a period. */
START_TEST(pit_mode2_gives_one_edge_per_period)
{
    pit_plug();
    pit_program(0, 2, 1193);
    irq0.rises = 0;
    bench_advance(pit_clocks(1193 * 10) + 100);
    ck_assert_uint_eq(irq0.rises, 10);
    ck_assert_uint_eq(irq0.falls, 10);
}
END_TEST

/* "Mode 3": high for half the count (N even), and the count goes down by two. */
START_TEST(pit_mode3_is_high_for_half_a_period)
{
    pit_plug();
    pit_program(0, 3, 1000);
    ck_assert(irq0.level);
    bench_advance(pit_clocks(499));
    ck_assert(irq0.level);
    bench_advance(pit_clocks(1));
    ck_assert(!irq0.level);
    ck_assert_uint_eq(pit_latch(0) % 1000, 0);
    bench_advance(pit_clocks(10));
    ck_assert_uint_eq(pit_latch(0), 980);
}
END_TEST

/* "Mode 4": OUT is high, and low for one clock when the count is over. */
START_TEST(pit_mode4_strobes_once)
{
    pit_plug();
    pit_program(0, 4, 100);
    ck_assert(irq0.level);
    irq0 = (struct probe){ .level = true };
    bench_advance(pit_clocks(100));
    ck_assert(!irq0.level);
    bench_advance(pit_clocks(1000));
    ck_assert_uint_eq(irq0.falls, 1);
    ck_assert_uint_eq(irq0.rises, 1);
}
END_TEST

/* A count of 0 is 65536 ("Programming": largest initial count is 0). */
START_TEST(pit_count_zero_is_65536)
{
    pit_plug();
    pit_program(0, 0, 0);
    bench_advance(pit_clocks(65535));
    ck_assert(!irq0.level);
    bench_advance(pit_clocks(1));
    ck_assert(irq0.level);
}
END_TEST

/* "Counter latch command": the value is held until read, and counting goes on. */
START_TEST(pit_latched_count_is_held)
{
    unsigned low, high;

    pit_plug();
    pit_program(0, 0, 0x8000);
    bench_advance(pit_clocks(0x10));
    bench_outb(0x43, 0x00);
    bench_advance(pit_clocks(0x1000));
    bench_outb(0x43, 0x00); /* ignored until the first is read */
    low = bench_inb(0x40);
    high = bench_inb(0x40);
    ck_assert_uint_eq(high << 8 | low, 0x7ff0);
    ck_assert_uint_eq(pit_latch(0), 0x6ff0);
}
END_TEST

/* "Read-back command", figure 11: OUT in bit 7, null count in bit 6, then RW, mode, BCD as programmed. */
START_TEST(pit_read_back_status_shows_out_and_null_count)
{
    pit_plug();
    bench_outb(0x43, 0x30);
    bench_outb(0x43, 0xe2);
    ck_assert_uint_eq(bench_inb(0x40), 0x70);
    bench_outb(0x40, 0x10);
    bench_outb(0x40, 0x00);
    bench_outb(0x43, 0xe2);
    ck_assert_uint_eq(bench_inb(0x40), 0x30);
    bench_advance(pit_clocks(0x10));
    bench_outb(0x43, 0xe2);
    ck_assert_uint_eq(bench_inb(0x40), 0xb0);
}
END_TEST

/* "Read-back command": with both latched the status is read first, then the count. */
START_TEST(pit_read_back_status_precedes_count)
{
    pit_plug();
    pit_program(0, 0, 0x0500);
    bench_advance(pit_clocks(0x100));
    bench_outb(0x43, 0xc2);
    ck_assert_uint_eq(bench_inb(0x40), 0x30);
    ck_assert_uint_eq(bench_inb(0x40), 0x00);
    ck_assert_uint_eq(bench_inb(0x40), 0x04);
}
END_TEST

/* Control word bit 0: four decades. */
START_TEST(pit_bcd_counts_in_decades)
{
    pit_plug();
    bench_outb(0x43, 0x31);
    bench_outb(0x40, 0x00);
    bench_outb(0x40, 0x10); /* 1000 */
    bench_advance(pit_clocks(1));
    ck_assert_uint_eq(pit_latch(0), 0x0999);
}
END_TEST

/* "Mode 0": GATE = 0 stops counting, GATE = 1 goes on; ICH9 13.7.1: bit 0 gates, bit 5 is OUT of counter 2. */
START_TEST(pit_counter2_counts_while_gated_by_port61)
{
    pit_plug();
    bench_outb(0x61, 0x00);
    pit_program(2, 0, 500);
    bench_advance(pit_clocks(1000));
    ck_assert_uint_eq(bench_inb(0x61) & 0x20, 0x00);
    ck_assert_uint_eq(pit_latch(2), 500);
    bench_outb(0x61, 0x01);
    bench_advance(pit_clocks(400));
    bench_outb(0x61, 0x00);
    bench_advance(pit_clocks(400));
    bench_outb(0x61, 0x01);
    bench_advance(pit_clocks(99));
    ck_assert_uint_eq(bench_inb(0x61) & 0x20, 0x00);
    bench_advance(pit_clocks(2));
    ck_assert_uint_eq(bench_inb(0x61) & 0x20, 0x20);
}
END_TEST

/* "Mode 1": a rising gate starts the one-shot, and starts it again. */
START_TEST(pit_mode1_is_retriggered_by_gate)
{
    pit_plug();
    bench_outb(0x61, 0x00);
    pit_program(2, 1, 100);
    ck_assert_uint_eq(bench_inb(0x61) & 0x20, 0x20);
    bench_outb(0x61, 0x01);
    ck_assert_uint_eq(bench_inb(0x61) & 0x20, 0x00);
    bench_advance(pit_clocks(90));
    bench_outb(0x61, 0x00);
    bench_outb(0x61, 0x01);
    bench_advance(pit_clocks(90));
    ck_assert_uint_eq(bench_inb(0x61) & 0x20, 0x00);
    bench_advance(pit_clocks(11));
    ck_assert_uint_eq(bench_inb(0x61) & 0x20, 0x20);
}
END_TEST

BENCH_MAIN("pit", pit_mode0_raises_out_at_terminal_count, pit_mode0_counts_down_and_wraps,
           pit_mode2_gives_one_edge_per_period, pit_mode3_is_high_for_half_a_period, pit_mode4_strobes_once,
           pit_count_zero_is_65536, pit_latched_count_is_held, pit_read_back_status_shows_out_and_null_count,
           pit_read_back_status_precedes_count, pit_bcd_counts_in_decades,
           pit_counter2_counts_while_gated_by_port61, pit_mode1_is_retriggered_by_gate)
