/* test_virtio_rng.c - an entropy device driven by hand, as VIRTIO 1.2 section 5.4 says. */
#include "virtio_rng.h"

#include "lib/driver.h"

#include <stdlib.h>

enum { DATA = DRIVER_FREE };

static unsigned fills;

static void fill(void *data, size_t bytes)
{
    ck_assert_uint_le(bytes, 4096);
    memset(data, 0x5a, bytes);
    fills++;
}

static struct device *plug(void (*from)(void *data, size_t bytes))
{
    struct device *d = device_create(&virtio_rng_class, &bench.host);

    driver_init();
    virtio_rng_connect(d, from);
    driver_plug(d);
    return d;
}

static void ask(uint64_t at, uint32_t bytes)
{
    driver_describe(0, 0, at, bytes, WRITE, 0);
    driver_offer(0, 0);
    driver_kick(0);
}

START_TEST(virtio_rng_fills_what_it_is_given)
{
    plug(fill);
    ck_assert_uint_eq(driver_pci_get(0, 4), 0x10441af4);
    ck_assert_uint_eq(driver_common(0x12, 2), 1);
    driver_begin(VERSION_1, 1);
    ask(DATA, 100);
    ck_assert_uint_eq(driver_used_bytes(0, 0), 100);
    ck_assert(bench.memory[DATA] == 0x5a && bench.memory[DATA + 99] == 0x5a && bench.memory[DATA + 100] == 0);
    ask(DATA, 20000); /* in part */
    ck_assert_uint_eq(driver_used_bytes(0, 1), 4096);
    ask(0xfffff0, 100); /* no memory there */
    ck_assert_uint_eq(driver_used_bytes(0, 2), 0);
    driver_describe(0, 0, DATA, 16, 0, 0); /* nothing to write to */
    driver_offer(0, 0);
    driver_kick(0);
    ck_assert_uint_eq(driver_used(0), 4);
    ck_assert_uint_eq(driver_used_bytes(0, 3), 0);
    ck_assert_uint_eq(driver_status(), 15);
}
END_TEST

/* It goes on over a reset by the driver, and begins anew at power-on alone. */
START_TEST(virtio_rng_of_its_own_is_the_same_in_every_run)
{
    struct device *d = plug(NULL);
    uint64_t first, second;

    driver_begin(VERSION_1, 1);
    ask(DATA, 16);
    first = bench_get(DATA, 8);
    second = bench_get(DATA + 8, 8);
    ck_assert_uint_ne(first, second);
    driver_begin(VERSION_1, 1);
    ask(DATA, 8);
    ck_assert(bench_get(DATA, 8) != first && bench_get(DATA, 8) != second);
    device_reset(d);
    driver_plugged();
    driver_begin(VERSION_1, 1);
    ask(DATA, 5);
    ck_assert_uint_eq(bench_get(DATA, 5), first & 0xffffffffff);
    ask(DATA, 8);
    ck_assert_uint_eq(bench_get(DATA, 8), second);
}
END_TEST

START_TEST(virtio_rng_survives_random_guests)
{
    plug(fill);
    srand(1);
    for (unsigned round = 0; round < 2000; round++)
        driver_random(round, VERSION_1, 1);
    ck_assert_uint_gt(fills, 0);
}
END_TEST

BENCH_MAIN("virtio_rng", virtio_rng_fills_what_it_is_given, virtio_rng_of_its_own_is_the_same_in_every_run, virtio_rng_survives_random_guests)
