/* test_virtio_balloon.c - a memory balloon driven by hand, as VIRTIO 1.2 section 5.5 says. */
#include "virtio_balloon.h"

#include "lib/driver.h"

#include <stdlib.h>

enum { INFLATE, DEFLATE, QUEUES, DATA = DRIVER_FREE };

static struct {
    uint64_t gpa, bytes;
} released[8];
static unsigned releases;

static void release(void *opaque, uint64_t gpa, uint64_t bytes)
{
    ck_assert_ptr_eq(opaque, released);
    released[releases % 8].gpa = gpa;
    released[releases++ % 8].bytes = bytes;
}

static struct device *balloon;

static void plug(void)
{
    balloon = device_create(&virtio_balloon_class, &bench.host);
    driver_init();
    virtio_balloon_connect(balloon, release, released);
    driver_plug(balloon);
}

START_TEST(virtio_balloon_tells_how_large_it_shall_be)
{
    plug();
    ck_assert_uint_eq(driver_pci_get(0, 4), 0x10451af4);
    ck_assert_uint_eq(driver_common(0x12, 2), 2);
    ck_assert_uint_eq(driver_features() & 0x3f, 4); /* DEFLATE_ON_OOM */
    driver_begin(VERSION_1, QUEUES);
    ck_assert_uint_eq(driver_config(0, 4), 0);
    virtio_balloon_ask(balloon, 1000);
    ck_assert_uint_eq(driver_config(0, 4), 1000);
    ck_assert_uint_eq(bench_load(driver_structure(3), 1), 2); /* the configuration has changed */
    ck_assert_uint_eq(driver_common(0x15, 1), 1);
    bench_store(driver_structure(4) + 4, 4, 900);
    bench_store(driver_structure(4), 4, 7); /* not the driver's to set */
    ck_assert_uint_eq(virtio_balloon_actual(balloon), 900);
    ck_assert_uint_eq(virtio_balloon_asked(balloon), 1000);
    driver_begin(VERSION_1, QUEUES);
    ck_assert_uint_eq(driver_config(0, 4), 1000); /* the host still wants that */
    ck_assert_uint_eq(virtio_balloon_actual(balloon), 0);
}
END_TEST

/* Section 5.5.6: page numbers of 4 KiB. */
START_TEST(virtio_balloon_releases_what_it_gets)
{
    static const uint32_t pages[] = { 0x100, 0x101, 0x102, 0x205, 0x204, 0xffffffff };

    plug();
    driver_begin(VERSION_1, QUEUES);
    for (unsigned i = 0; i < ARRAY_LEN(pages); i++)
        bench_put(DATA + i * 4, 4, pages[i]);
    driver_describe(INFLATE, 0, DATA, 10, NEXT, 1); /* cut anywhere; what is left over is no page */
    driver_describe(INFLATE, 1, DATA + 10, 17, 0, 0);
    driver_offer(INFLATE, 0);
    driver_kick(INFLATE);
    ck_assert_uint_eq(releases, 3);
    ck_assert(released[0].gpa == 0x100000 && released[0].bytes == 0x3000);
    ck_assert(released[1].gpa == 0x204000 && released[1].bytes == 0x2000);
    ck_assert(released[2].gpa == UINT64_C(0xffffffff000) && released[2].bytes == 0x1000);
    driver_describe(DEFLATE, 0, DATA, 24, 0, 0);
    driver_offer(DEFLATE, 0);
    driver_kick(DEFLATE);
    ck_assert_uint_eq(releases, 3);
    ck_assert_uint_eq(driver_used(DEFLATE), 1);
}
END_TEST

START_TEST(virtio_balloon_survives_random_guests)
{
    plug();
    srand(1);
    for (unsigned round = 0; round < 2000; round++)
        driver_random(round, VERSION_1, QUEUES);
}
END_TEST

BENCH_MAIN("virtio_balloon", virtio_balloon_tells_how_large_it_shall_be, virtio_balloon_releases_what_it_gets,
           virtio_balloon_survives_random_guests)
