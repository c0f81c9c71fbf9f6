/* test_virtio_console.c - a console driven by hand, as VIRTIO 1.2 section 5.3 says. */
#include "virtio_console.h"

#include "lib/driver.h"

#include <stdlib.h>

enum { RX, TX, QUEUES, DATA = DRIVER_FREE };

static void plug(void)
{
    struct device *console = device_create(&virtio_console_class, &bench.host);

    driver_init();
    virtio_console_connect(console, &bench.backend);
    driver_plug(console);
}

static size_t room(void) { return bench.backend.input_room(bench.backend.device); }
static void type(const char *text) { bench.backend.input(bench.backend.device, (const uint8_t *)text, strlen(text)); }

static void give(uint64_t at, uint32_t bytes)
{
    driver_describe(RX, 0, at, bytes, WRITE, 0);
    driver_offer(RX, 0);
    driver_kick(RX);
}

START_TEST(virtio_console_shows_what_5_3_says)
{
    plug();
    ck_assert_uint_eq(driver_pci_get(0, 4), 0x10431af4);
    ck_assert_uint_eq(driver_common(0x12, 2), 2);
    ck_assert_uint_eq(driver_features() & 7, 4); /* EMERG_WRITE; no size, one port */
    bench_store(driver_structure(4) + 8, 4, '!');
    ck_assert_uint_eq(bench.output_bytes, 1);
    ck_assert_uint_eq(bench.output[0], '!');
}
END_TEST

START_TEST(virtio_console_prints)
{
    plug();
    driver_begin(VERSION_1, QUEUES);
    memcpy(bench.memory + DATA, "hello, world", 12);
    driver_describe(TX, 0, DATA, 7, NEXT, 1);
    driver_describe(TX, 1, DATA + 7, 5, 0, 0);
    driver_offer(TX, 0);
    driver_describe(TX, 2, 0xfffff0, 100, 0, 0); /* no memory there */
    driver_offer(TX, 2);
    driver_kick(TX);
    ck_assert_uint_eq(driver_used(TX), 2);
    ck_assert_uint_eq(bench.output_bytes, 12);
    ck_assert_mem_eq(bench.output, "hello, world", 12);
    ck_assert(driver_intx.level);
}
END_TEST

START_TEST(virtio_console_input_waits_for_buffers)
{
    plug();
    ck_assert_uint_eq(room(), 0); /* nobody reads */
    type("lost");
    driver_begin(VERSION_1, QUEUES);
    ck_assert_uint_eq(room(), 256);
    type("abcdef");
    ck_assert_uint_eq(room(), 250);
    give(DATA, 4);
    ck_assert_uint_eq(driver_used_bytes(RX, 0), 4);
    ck_assert_mem_eq(bench.memory + DATA, "abcd", 4);
    give(DATA, 100);
    ck_assert_uint_eq(driver_used_bytes(RX, 1), 2);
    ck_assert_mem_eq(bench.memory + DATA, "ef", 2);
    give(DATA, 100);
    ck_assert_uint_eq(driver_used(RX), 2);
    type("g");
    ck_assert_uint_eq(driver_used(RX), 3);
    ck_assert_uint_eq(bench.memory[DATA], 'g');
    for (unsigned i = 0; i < 300; i++)
        type("x");
    ck_assert_uint_eq(room(), 0);
}
END_TEST

START_TEST(virtio_console_survives_random_guests)
{
    plug();
    srand(1);
    for (unsigned round = 0; round < 2000; round++) {
        driver_random(round, VERSION_1, QUEUES);
        type("some input");
    }
}
END_TEST

BENCH_MAIN("virtio_console", virtio_console_shows_what_5_3_says, virtio_console_prints, virtio_console_input_waits_for_buffers,
           virtio_console_survives_random_guests)
