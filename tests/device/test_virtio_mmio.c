/* test_virtio_mmio.c - virtio devices driven by hand through the registers of VIRTIO 1.2 section 4.2.2; every constant stands here anew. */
#include "virtio_mmio.h"

#include "virtio_9p.h"
#include "virtio_balloon.h"
#include "virtio_blk.h"
#include "virtio_console.h"
#include "virtio_net.h"
#include "virtio_rng.h"

#include "lib/bench.h"
#include "lib/memory_disk.h"

#include <stdlib.h>

#define BASE 0xfeb00200
enum { SIZE = 8, TABLE = 0x1000, AVAIL = 0x1100, USED = 0x1200, DATA = 0x4000, WRITE = 2 };

static struct device *mmio, *device;
static struct probe wire;

static uint32_t get(unsigned offset) { return (uint32_t)bench_load(BASE + offset, 4); }
static void put(unsigned offset, uint32_t v) { bench_store(BASE + offset, 4, v); }

static void fill(void *data, size_t bytes) { memset(data, 0x5a, bytes); }

static struct device *plug(const struct device_class *class)
{
    mmio = bench_plug(&virtio_mmio_class);
    device = bench_plug(class);
    virtio_mmio_connect(mmio, device, BASE, bench_probe(&wire));
    return device;
}

static void plug_rng(void) { virtio_rng_connect(plug(&virtio_rng_class), fill); }

/* Section 3.1.1 with 4.2.3.2's steps for queue 0. */
static void set_queue(void)
{
    put(0x030, 0);
    ck_assert_uint_eq(get(0x044), 0);
    ck_assert_uint_eq(get(0x034), 256);
    put(0x038, SIZE);
    put(0x080, TABLE);
    put(0x084, 0);
    put(0x090, AVAIL);
    put(0x094, 0);
    put(0x0a0, USED);
    put(0x0a4, 0);
    put(0x044, 1);
    ck_assert_uint_eq(get(0x044), 1);
}

static void begin(void)
{
    memset(bench.memory, 0, sizeof(bench.memory));
    put(0x070, 0);
    ck_assert_uint_eq(get(0x070), 0);
    put(0x070, 1);
    put(0x070, 3);
    put(0x024, 1);
    put(0x020, 1); /* VERSION_1 is bit 32 */
    put(0x024, 0);
    put(0x020, 0);
    put(0x070, 11);
    ck_assert_uint_eq(get(0x070), 11);
    set_queue();
    put(0x070, 15);
}

/* A buffer to be filled, as the n-th that is made available. */
static void ask(unsigned n, uint32_t bytes)
{
    bench_put(TABLE, 8, DATA);
    bench_put(TABLE + 8, 4, bytes);
    bench_put(TABLE + 12, 2, WRITE);
    bench_put(AVAIL + 4 + n % SIZE * 2, 2, 0);
    bench_put(AVAIL + 2, 2, n + 1);
    put(0x050, 0);
}

/* -- the registers ------------------------------------------------------------------------------------------------------------ */

/* Table 4.1: what is read after power-on; registers that are only written, and what is none, read as 0 here. */
START_TEST(virtio_mmio_registers_are_those_of_the_table)
{
    static const struct {
        unsigned offset;
        uint32_t value;
    } rows[] = {
        { 0x000, 0x74726976 }, { 0x004, 2 }, { 0x008, 4 }, { 0x00c, 0x1af4 }, { 0x010, 0x30000000 }, { 0x014, 0 }, { 0x020, 0 }, { 0x024, 0 },
        { 0x028, 0 }, { 0x030, 0 }, { 0x034, 256 }, { 0x038, 0 }, { 0x03c, 0 }, { 0x040, 0 }, { 0x044, 0 }, { 0x050, 0 }, { 0x060, 0 },
        { 0x064, 0 }, { 0x070, 0 }, { 0x080, 0 }, { 0x084, 0 }, { 0x090, 0 }, { 0x094, 0 }, { 0x0a0, 0 }, { 0x0a4, 0 }, { 0x0ac, 0 },
        { 0x0b0, UINT32_MAX }, { 0x0b4, UINT32_MAX }, { 0x0b8, UINT32_MAX }, { 0x0bc, UINT32_MAX }, { 0x0c0, 0 }, { 0x0fc, 0 },
    };

    plug_rng();
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        ck_assert_msg(get(rows[i].offset) == rows[i].value, "%#x: %#x", rows[i].offset, get(rows[i].offset));
    put(0x014, 1);
    ck_assert_uint_eq(get(0x010), 1); /* VERSION_1 */
    put(0x014, 2);
    ck_assert_uint_eq(get(0x010), 0);
    put(0x030, 1); /* one queue is there */
    ck_assert_uint_eq(get(0x034), 0);
    put(0x044, 1);
    ck_assert_uint_eq(get(0x044), 0);
    put(0x030, 0x10000); /* no alias of queue 0 */
    ck_assert_uint_eq(get(0x034), 0);
}
END_TEST

/* Section 4.2.2.2: 32 bits, aligned; the configuration as its fields are. */
START_TEST(virtio_mmio_registers_are_32_bits_wide)
{
    static struct memory_disk disk;
    struct transaction t = { .type = TRANSACTION_LOAD };

    memory_disk_init(&disk, MEMORY_DISK_BYTES, false);
    virtio_blk_connect(plug(&virtio_blk_class), &disk.backend);
    for (unsigned width = 1; width <= 8; width *= 2) {
        t.width = (uint8_t)width;
        ck_assert_int_eq(bench_transact(BASE, &t) == TRANSACTION_OK, width == 4);
        ck_assert_int_eq(bench_transact(BASE + 0x100, &t), TRANSACTION_OK);
    }
    ck_assert_uint_eq(bench_load(BASE + 0x100, 8), MEMORY_DISK_BYTES / 512);
    ck_assert_uint_eq(bench_load(BASE + 0x100, 4), MEMORY_DISK_BYTES / 512);
    ck_assert_uint_eq(bench_load(BASE + 0x1fc, 4), UINT32_MAX); /* behind it */
    ck_assert(!bench_claims(REGION_MMIO, BASE - 1) && bench_claims(REGION_MMIO, BASE + 0x1ff) && !bench_claims(REGION_MMIO, BASE + 0x200));
}
END_TEST

/* Section 5. */
START_TEST(virtio_mmio_carries_every_kind_of_device)
{
    static const struct {
        const struct device_class *class;
        uint32_t id;
    } rows[] = { { &virtio_net_class, 1 }, { &virtio_blk_class, 2 }, { &virtio_console_class, 3 },
                 { &virtio_rng_class, 4 }, { &virtio_balloon_class, 5 }, { &virtio_9p_class, 9 } };

    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bench_init();
        plug(rows[i].class);
        ck_assert_uint_eq(get(0x000), 0x74726976);
        ck_assert_uint_eq(get(0x008), rows[i].id);
        begin();
        ck_assert_uint_eq(get(0x070), 15);
    }
}
END_TEST

/* A transport that carries nothing: it has no address. */
START_TEST(virtio_mmio_alone_is_nowhere)
{
    device_create(&virtio_mmio_class, &bench.host);
    ck_assert(!bench_claims(REGION_MMIO, 0) && !bench_claims(REGION_MMIO, 0x100));
}
END_TEST

/* -- queues and interrupts ----------------------------------------------------------------------------------------------------- */

START_TEST(virtio_mmio_queue_is_served_and_interrupts_until_acknowledged)
{
    plug_rng();
    begin();
    ask(0, 100);
    ck_assert_uint_eq(bench_get(USED + 2, 2), 1);
    ck_assert_uint_eq(bench_get(USED + 8, 4), 100);
    ck_assert(bench.memory[DATA] == 0x5a && bench.memory[DATA + 99] == 0x5a && bench.memory[DATA + 100] == 0);
    ck_assert_uint_eq(get(0x060), 1);
    ck_assert_uint_eq(get(0x060), 1); /* reading does not clear */
    ck_assert(wire.level);
    put(0x064, 2);
    ck_assert(wire.level);
    put(0x064, 1);
    ck_assert(!wire.level);
    ck_assert_uint_eq(get(0x060), 0);
    ask(1, 8);
    ck_assert(wire.level && wire.rises == 2);
}
END_TEST

/* Sections 2.5, 4.2.2.1: the generation, and bit 1 of InterruptStatus. */
START_TEST(virtio_mmio_tells_of_a_changed_configuration)
{
    uint32_t generation;

    virtio_balloon_connect(plug(&virtio_balloon_class), NULL, NULL);
    begin();
    generation = get(0x0fc);
    virtio_balloon_ask(device, 1234);
    ck_assert_uint_ne(get(0x0fc), generation);
    ck_assert_uint_eq(get(0x060), 2);
    ck_assert(wire.level);
    ck_assert_uint_eq(bench_load(BASE + 0x100, 4), 1234);
    bench_store(BASE + 0x104, 4, 77); /* `actual` is the driver's */
    ck_assert_uint_eq(virtio_balloon_actual(device), 77);
}
END_TEST

/* Section 4.2.2: a queue that is not ready is not looked at; its registers can be written then alone. */
START_TEST(virtio_mmio_queue_stops_and_begins_anew)
{
    plug_rng();
    begin();
    ask(0, 8);
    put(0x080, 0x2000); /* ignored: the queue is ready */
    ask(1, 8);
    ck_assert_uint_eq(bench_get(USED + 2, 2), 2);
    put(0x044, 0);
    ck_assert_uint_eq(get(0x044), 0);
    ask(2, 8);
    ck_assert_uint_eq(bench_get(USED + 2, 2), 2);
    memset(bench.memory, 0, sizeof(bench.memory));
    set_queue();
    ask(0, 8);
    ck_assert_uint_eq(bench_get(USED + 2, 2), 1);
    ck_assert_uint_eq(get(0x070), 15);
}
END_TEST

/* Sections 2.1.2 and 2.7: what cannot be is an error of the device's. */
START_TEST(virtio_mmio_refuses_queues_that_cannot_be)
{
    static const uint32_t sizes[] = { 0, 3, 512, 0x10008, UINT32_MAX };

    plug_rng();
    begin();
    put(0x044, 0);
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        put(0x038, sizes[i]); /* it stays SIZE */
    put(0x044, 1);
    ask(SIZE, 8); /* an index beyond the ring */
    ck_assert_uint_eq(get(0x070), 15 | 64);
    ck_assert_uint_eq(get(0x060), 2);
    begin();
    put(0x044, 0);
    put(0x080, TABLE + 8);
    put(0x044, 1);
    ck_assert_uint_eq(get(0x044), 0);
    ck_assert_uint_eq(get(0x070), 15 | 64);
}
END_TEST

/* Section 4.2.2.1. */
START_TEST(virtio_mmio_reset_clears_registers_and_wire)
{
    plug_rng();
    for (unsigned power = 0; power < 2; power++) {
        begin();
        put(0x014, 1);
        ask(0, 8);
        ck_assert(wire.level);
        if (power)
            device_reset(device), device_reset(mmio);
        else
            put(0x070, 0);
        ck_assert(!wire.level);
        ck_assert_uint_eq(get(0x060), 0);
        ck_assert_uint_eq(get(0x070), 0);
        ck_assert_uint_eq(get(0x044), 0);
        ck_assert_uint_eq(get(0x010), 0x30000000);
    }
}
END_TEST

/* A snapshot between an interrupt and its acknowledgement. */
START_TEST(virtio_mmio_state_goes_on_elsewhere)
{
    uint8_t saved[2][4096];
    struct device *from[2];
    struct err err;

    plug_rng();
    begin();
    put(0x014, 1);
    ask(0, 8);
    from[0] = mmio, from[1] = device;
    for (unsigned i = 0; i < 2; i++)
        fields_save(from[i]->class->fields, from[i]->state, saved[i]);
    bench.regions = 0;
    plug_rng();
    for (unsigned i = 0; i < 2; i++) {
        struct device *to = i ? device : mmio;

        ck_assert(fields_load(to->class->fields, to->state, &bench.clock, saved[i], fields_size(to->class->fields), &err));
        ck_assert(device_restored(to, &err));
    }
    ck_assert_uint_eq(get(0x010), 1);
    ck_assert_uint_eq(get(0x060), 1);
    ask(1, 8);
    ck_assert_uint_eq(bench_get(USED + 2, 2), 2);
    put(0x064, 1);
    ck_assert_uint_eq(get(0x060), 0);
    ck_assert(!wire.level);
}
END_TEST

START_TEST(virtio_mmio_survives_random_drivers)
{
    unsigned served = 0;

    plug_rng();
    srand(1);
    for (unsigned round = 0; round < 3000; round++) {
        begin();
        for (unsigned i = 0; i < 64; i++) {
            if (rand() & 1)
                put((unsigned)rand() % 0x80 * 4, (uint32_t)rand() % (rand() & 1 ? 16 : 0x12000));
            else
                bench.memory[TABLE + rand() % 0x300] = (uint8_t)rand();
        }
        put(0x050, 0);
        served += bench_get(USED + 2, 2) != 0;
    }
    ck_assert_uint_gt(served, 100);
}
END_TEST

BENCH_MAIN("virtio_mmio", virtio_mmio_registers_are_those_of_the_table, virtio_mmio_registers_are_32_bits_wide,
           virtio_mmio_carries_every_kind_of_device, virtio_mmio_alone_is_nowhere, virtio_mmio_queue_is_served_and_interrupts_until_acknowledged,
           virtio_mmio_tells_of_a_changed_configuration, virtio_mmio_queue_stops_and_begins_anew, virtio_mmio_refuses_queues_that_cannot_be,
           virtio_mmio_reset_clears_registers_and_wire, virtio_mmio_state_goes_on_elsewhere, virtio_mmio_survives_random_drivers)
