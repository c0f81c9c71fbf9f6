/* test_testdev.c - the test device, as kvm-unit-tests use it: x86/realmode.c (ports), x86/ioapic.c (lines), x86/emulator.c (memory). */
#include "testdev.h"

#include "lib/bench.h"

START_TEST(testdev_port_keeps_what_each_width_wrote)
{
    device_create(&testdev_class, &bench.host);
    bench_out(0xe0, 4, 0x12345678);
    ck_assert_uint_eq(bench_in(0xe0, 4), 0x12345678);
    bench_out(0xe1, 1, 0xff);
    ck_assert_uint_eq(bench_in(0xe0, 4), 0x1234ff78);
    ck_assert_uint_eq(bench_in(0xe2, 2), 0x1234);
    ck_assert_uint_eq(bench_in(0xe8, 1), 0x78);
    bench_out(0xeb, 1, 0x99);
    ck_assert_uint_eq(bench_in(0xe3, 1), 0x99);
}
END_TEST

START_TEST(testdev_port_of_a_line_raises_and_lowers_it)
{
    struct device *d = device_create(&testdev_class, &bench.host);
    struct probe probe[2];

    testdev_connect(d, 11, bench_probe(&probe[0]));
    testdev_connect(d, 23, bench_probe(&probe[1]));
    bench_out(0x200b, 1, 1);
    ck_assert(probe[0].level && !probe[1].level);
    bench_out(0x2017, 1, 0x80);
    ck_assert(probe[0].level && probe[1].level);
    bench_out(0x200b, 1, 0);
    ck_assert(!probe[0].level && probe[1].level);
    device_reset(d);
    ck_assert(!probe[1].level);
}
END_TEST

START_TEST(testdev_memory_keeps_what_is_written)
{
    device_create(&testdev_class, &bench.host);
    bench_store(0xff000ffd, 8, 0x1122334455667788);
    ck_assert_uint_eq(bench_load(0xff000ffe, 4), 0x44556677);
    bench_store(0xff00ffff, 1, 0x5a);
    ck_assert_uint_eq(bench_load(0xff00ffff, 1), 0x5a);
}
END_TEST

BENCH_MAIN("testdev", testdev_port_keeps_what_each_width_wrote, testdev_port_of_a_line_raises_and_lowers_it,
           testdev_memory_keeps_what_is_written)
