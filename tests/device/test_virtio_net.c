/* test_virtio_net.c - a network card driven by hand, as VIRTIO 1.2 section 5.1 says. */
#include "virtio_net.h"

#include "lib/driver.h"

#include <stdlib.h>

enum { RX, TX, CTRL, QUEUES };
enum { DATA = DRIVER_FREE, FRAMES = 16, FRAME_MAX = 4096, HEADER = 12 };
#define MRG_RXBUF ((uint64_t)1 << 15)
#define FEATURES (VERSION_1 | 1 << 5 | 1 << 16 | 1 << 17 | 1 << 18 | 1 << 20 | 1 << 23)

static const uint8_t own[6] = { 2, 0, 0, 0, 0, 9 };

/* -- a network that keeps what is sent, and has what the test puts there ------------------------------------------------------- */

static struct {
    struct net_backend backend;
    uint8_t frame[FRAMES][FRAME_MAX];
    size_t bytes[FRAMES];
    unsigned first, count;
    uint8_t sent[NET_FRAME_BYTES];
    size_t sent_bytes;
    unsigned sends;
    bool echoes;
} net;

static void come(const uint8_t *to, size_t bytes)
{
    uint8_t *f = net.frame[(net.first + net.count) % FRAMES];

    ck_assert_uint_lt(net.count, FRAMES);
    for (size_t i = 0; i < bytes; i++)
        f[i] = (uint8_t)(i ^ i >> 8);
    memcpy(f, to, 6);
    net.bytes[(net.first + net.count++) % FRAMES] = bytes;
}

static void net_send(struct net_backend *b, const uint8_t *frame, size_t bytes)
{
    ck_assert_ptr_eq(b, &net.backend);
    ck_assert_uint_ge(bytes, 14);
    ck_assert_uint_le(bytes, NET_FRAME_BYTES);
    memcpy(net.sent, frame, bytes);
    net.sent_bytes = bytes;
    net.sends++;
    if (!net.echoes)
        return;
    come(own, 60);
    b->arrived(b->device); /* the card is sending: it looks by itself when that is done */
}

static const uint8_t *net_waiting(struct net_backend *b, size_t *bytes)
{
    ck_assert_ptr_eq(b, &net.backend);
    *bytes = net.bytes[net.first];
    return net.count ? net.frame[net.first] : NULL;
}

static void net_taken(struct net_backend *b)
{
    ck_assert_ptr_eq(b, &net.backend);
    ck_assert_uint_gt(net.count, 0);
    net.first = (net.first + 1) % FRAMES;
    net.count--;
}

static void arrive(void) { net.backend.arrived(net.backend.device); }

static void plug_in(void)
{
    struct device *card = device_create(&virtio_net_class, &bench.host);

    memcpy(net.backend.mac, own, 6);
    driver_init();
    virtio_net_connect(card, &net.backend);
    driver_plug(card);
}

static void plug(void)
{
    memset(&net, 0, sizeof(net));
    net.backend = (struct net_backend){ .send = net_send, .waiting = net_waiting, .taken = net_taken };
    plug_in();
}

/* -- what it is ------------------------------------------------------------------------------------------------------------------ */

START_TEST(virtio_net_shows_what_5_1_says)
{
    plug();
    ck_assert_uint_eq(driver_pci_get(0, 4), 0x10411af4);
    ck_assert_uint_eq(driver_pci_get(8, 4) >> 8, 0x020000);
    ck_assert_uint_eq(driver_common(0x12, 2), 3);
    ck_assert_uint_eq(driver_features() & (FEATURES | MRG_RXBUF), FEATURES | MRG_RXBUF);
    for (unsigned i = 0; i < 6; i++)
        ck_assert_uint_eq(driver_config(i, 1), own[i]);
    ck_assert_uint_eq(driver_config(6, 2), 1); /* LINK_UP */
}
END_TEST

/* PCI 3.0 section 6.2.5.2: sized as a BAR, 2 KiB at least, and decoded with its own bit and the command register's. */
START_TEST(virtio_net_shows_its_rom)
{
    static const uint8_t rom[3000] = { 0x55, 0xaa, 6, [2999] = 0x77 };

    memset(&net, 0, sizeof(net));
    net.backend = (struct net_backend){ .send = net_send, .waiting = net_waiting, .taken = net_taken, .rom = rom, .rom_bytes = sizeof(rom) };
    plug_in();
    driver_pci_put(0x30, 4, 0xfffffffe);
    ck_assert_uint_eq(driver_pci_get(0x30, 4), 0xfffff000);
    driver_pci_put(0x30, 4, 0xd0000000);
    ck_assert(!bench_claims(REGION_MMIO, 0xd0000000));
    driver_pci_put(0x30, 4, 0xd0000001);
    ck_assert_uint_eq(bench_load(0xd0000000, 4), 0x0006aa55);
    ck_assert_uint_eq(bench_load(0xd0000bb0, 8), 0x7700000000000000);
    ck_assert_uint_eq(bench_load(0xd0000bb8, 8), UINT64_MAX);
    bench_store(0xd0000000, 4, 0);
    ck_assert_uint_eq(bench_load(0xd0000fff, 1), 0xff);
    ck_assert(!bench_claims(REGION_MMIO, 0xd0001000));
    driver_pci_put(0x04, 2, 0x0004);
    ck_assert(!bench_claims(REGION_MMIO, 0xd0000000));
    plug(); /* none */
    driver_pci_put(0x30, 4, UINT32_MAX);
    ck_assert_uint_eq(driver_pci_get(0x30, 4), 0);
}
END_TEST

START_TEST(virtio_net_tells_the_mtu)
{
    memset(&net, 0, sizeof(net));
    net.backend = (struct net_backend){ .send = net_send, .waiting = net_waiting, .taken = net_taken, .mtu = 65520 };
    plug_in();
    ck_assert_uint_eq(driver_features() >> 3 & 1, 1);
    ck_assert_uint_eq(driver_config(10, 2), 65520);
    plug();
    ck_assert_uint_eq(driver_features() >> 3 & 1, 0);
}
END_TEST

/* -- sending ----------------------------------------------------------------------------------------------------------------------- */

static void fill(uint64_t at, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        bench.memory[at + i] = (uint8_t)(i * 7);
}

START_TEST(virtio_net_sends_what_is_behind_the_header)
{
    plug();
    driver_begin(FEATURES, QUEUES);
    fill(DATA + HEADER, 100);
    driver_describe(TX, 0, DATA, HEADER + 100, 0, 0);
    driver_offer(TX, 0);
    driver_describe(TX, 1, DATA, 5, NEXT, 2); /* cut anywhere */
    driver_describe(TX, 2, DATA + 5, HEADER + 35, NEXT, 3);
    driver_describe(TX, 3, DATA + HEADER + 40, 60, 0, 0);
    driver_offer(TX, 1);
    driver_kick(TX);
    ck_assert_uint_eq(net.sends, 2);
    ck_assert_uint_eq(net.sent_bytes, 100);
    ck_assert_mem_eq(net.sent, bench.memory + DATA + HEADER, 100);
    ck_assert_uint_eq(driver_used(TX), 2);
    ck_assert_uint_eq(driver_used_bytes(TX, 0), 0);
    ck_assert(driver_intx.level);
}
END_TEST

START_TEST(virtio_net_sends_nothing_that_is_no_frame)
{
    static const uint32_t bytes[] = { 0, 1, HEADER, HEADER + 13 };

    plug();
    driver_begin(FEATURES | INDIRECT_DESC, QUEUES);
    for (unsigned i = 0; i < ARRAY_LEN(bytes); i++) {
        driver_describe(TX, i, DATA, bytes[i], 0, 0);
        driver_offer(TX, (uint16_t)i);
    }
    driver_describe(TX, 4, DATA, 0xf0000000, NEXT, 5); /* not in memory */
    driver_describe(TX, 5, DATA, 0xf0000000, 0, 0);
    driver_offer(TX, 4);
    driver_describe(TX, 6, DATA, HEADER + 200, WRITE, 0);
    driver_offer(TX, 6);
    driver_kick(TX);
    ck_assert_uint_eq(net.sends, 0);
    ck_assert_uint_eq(driver_used(TX), 6);
    ck_assert_uint_eq(driver_status(), 15);
}
END_TEST

/* -- receiving --------------------------------------------------------------------------------------------------------------------- */

static void give(unsigned i, uint64_t at, uint32_t bytes)
{
    driver_describe(RX, i, at, bytes, WRITE, 0);
    driver_offer(RX, (uint16_t)i);
}

START_TEST(virtio_net_receives_into_one_chain)
{
    plug();
    driver_begin(FEATURES, QUEUES);
    memset(bench.memory + DATA, 0xee, 2000);
    give(0, DATA, 1526);
    driver_kick(RX);
    come(own, 1514);
    arrive();
    ck_assert_uint_eq(net.count, 0);
    ck_assert_uint_eq(driver_used(RX), 1);
    ck_assert_uint_eq(driver_used_bytes(RX, 0), 1526);
    for (unsigned i = 0; i < HEADER; i++)
        ck_assert_uint_eq(bench.memory[DATA + i], i == 10); /* num_buffers 1, 5.1.6.4.1 */
    ck_assert_mem_eq(bench.memory + DATA + HEADER, net.frame[0], 1514);
    ck_assert_uint_eq(bench.memory[DATA + HEADER + 1514], 0xee);
    ck_assert(driver_intx.level);
}
END_TEST

START_TEST(virtio_net_frames_wait_for_buffers)
{
    plug();
    driver_begin(FEATURES | MRG_RXBUF, QUEUES);
    come(own, 300);
    come(own, 200);
    arrive();
    ck_assert_uint_eq(net.count, 2);
    give(0, DATA, 112); /* a part of the first: not enough */
    driver_kick(RX);
    ck_assert_uint_eq(driver_used(RX), 0);
    ck_assert_uint_eq(net.count, 2);
    give(1, DATA + 1000, 150);
    give(2, DATA + 2000, 600);
    driver_kick(RX);
    ck_assert_uint_eq(net.count, 1);
    ck_assert_uint_eq(driver_used(RX), 3); /* 100 + 150 + 50 */
    ck_assert_uint_eq(driver_used_bytes(RX, 0), 112);
    ck_assert_uint_eq(driver_used_bytes(RX, 1), 150);
    ck_assert_uint_eq(driver_used_bytes(RX, 2), 50);
    ck_assert_uint_eq(bench_get(DATA + 10, 2), 3);
    ck_assert_mem_eq(bench.memory + DATA + HEADER, net.frame[0], 100);
    ck_assert_mem_eq(bench.memory + DATA + 1000, net.frame[0] + 100, 150);
    ck_assert_mem_eq(bench.memory + DATA + 2000, net.frame[0] + 250, 50);
}
END_TEST

START_TEST(virtio_net_a_frame_that_never_fits_is_lost)
{
    plug();
    driver_begin(FEATURES, QUEUES);
    give(0, DATA, 200);
    come(own, 300);
    arrive();
    ck_assert_uint_eq(net.count, 0);
    ck_assert_uint_eq(driver_used(RX), 0);
    come(own, 100); /* the chain is still there */
    arrive();
    ck_assert_uint_eq(driver_used(RX), 1);
    driver_begin(FEATURES | MRG_RXBUF, QUEUES);
    give(0, DATA, 11); /* no room for the header */
    come(own, 100);
    arrive();
    ck_assert_uint_eq(net.count, 0);
    ck_assert_uint_eq(driver_used(RX), 0);
    driver_begin(FEATURES | MRG_RXBUF, QUEUES);
    for (unsigned i = 0; i < DRIVER_SIZE; i++)
        give(i, DATA, 12);
    come(own, 100);
    arrive(); /* seven empty ones behind the header */
    ck_assert_uint_eq(driver_used(RX), 0);
    ck_assert_uint_eq(driver_status(), 15);
}
END_TEST

START_TEST(virtio_net_that_is_not_driven_hears_nothing)
{
    plug();
    come(own, 60);
    arrive();
    ck_assert_uint_eq(net.count, 0);
    driver_begin(FEATURES, QUEUES);
    give(0, DATA, 2000);
    driver_pci_put(0x04, 2, 0x0002); /* no bus master */
    come(own, 60);
    arrive();
    ck_assert_uint_eq(net.count, 0);
    ck_assert_uint_eq(driver_used(RX), 0);
    driver_pci_put(0x04, 2, 0x0006);
    come(own, 60);
    driver_set_common(0x14, 1, 0); /* a reset empties the wire */
    ck_assert_uint_eq(net.count, 0);
}
END_TEST

START_TEST(virtio_net_answers_to_what_is_sent_come_after_it)
{
    plug();
    driver_begin(FEATURES, QUEUES);
    net.echoes = true;
    give(0, DATA, 2000);
    driver_describe(TX, 0, DATA + 4000, HEADER + 60, 0, 0);
    driver_offer(TX, 0);
    driver_kick(TX);
    ck_assert_uint_eq(driver_used(TX), 1);
    ck_assert_uint_eq(driver_used(RX), 1);
    ck_assert_uint_eq(driver_used_bytes(RX, 0), HEADER + 60);
}
END_TEST

/* -- control ----------------------------------------------------------------------------------------------------------------------- */

/* Class, command and data; the acknowledgement. */
static unsigned command(const uint8_t *bytes, unsigned n)
{
    uint16_t before = driver_used(CTRL);

    memcpy(bench.memory + DATA + 8000, bytes, n);
    bench.memory[DATA + 9000] = 0xee;
    driver_describe(CTRL, 0, DATA + 8000, n < 2 ? n : 2, NEXT, n > 2 ? 1 : 2);
    driver_describe(CTRL, 1, DATA + 8002, n - 2, NEXT, 2);
    driver_describe(CTRL, 2, DATA + 9000, 1, WRITE, 0);
    driver_offer(CTRL, 0);
    driver_kick(CTRL);
    ck_assert_uint_eq(driver_used(CTRL), (uint16_t)(before + 1));
    return bench.memory[DATA + 9000];
}
#define COMMAND(...) command((const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

/* Does a frame to there pass? */
static bool passes(const uint8_t *to)
{
    uint16_t before = driver_used(RX);

    give(0, DATA, 2000);
    come(to, 60);
    arrive();
    ck_assert_uint_eq(net.count, 0);
    if (driver_used(RX) != before)
        return true;
    come((const uint8_t[]){ 2, 0, 0, 0, 0, 9 }, 60); /* takes the buffer away */
    arrive();
    return false;
}

static const uint8_t broadcast[6] = { 255, 255, 255, 255, 255, 255 }, group[6] = { 1, 0, 0x5e, 0, 0, 1 }, other[6] = { 2, 0, 0, 0, 0, 8 };

/* Sections 5.1.6.5.1 and 5.1.6.5.2. */
START_TEST(virtio_net_filters_as_it_is_told)
{
    plug();
    driver_begin(FEATURES, QUEUES);
    ck_assert(passes(own) && passes(broadcast) && !passes(group) && !passes(other));
    ck_assert_uint_eq(COMMAND(0, 0, 1), 0);
    ck_assert(passes(group) && passes(other));
    ck_assert_uint_eq(COMMAND(0, 0, 0), 0);
    ck_assert_uint_eq(COMMAND(0, 1, 1), 0); /* ALLMULTI */
    ck_assert(passes(group) && !passes(other));
    ck_assert_uint_eq(COMMAND(0, 3, 1), 0); /* NOMULTI */
    ck_assert(!passes(group));
    ck_assert_uint_eq(COMMAND(0, 2, 1), 0); /* ALLUNI */
    ck_assert(passes(other));
    ck_assert_uint_eq(COMMAND(0, 2, 0), 0);
    ck_assert_uint_eq(COMMAND(0, 3, 0), 0);
    ck_assert_uint_eq(COMMAND(0, 1, 0), 0);
    ck_assert_uint_eq(COMMAND(0, 5, 1), 0); /* NOBCAST */
    ck_assert(!passes(broadcast));
    ck_assert_uint_eq(COMMAND(1, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 8, 1, 0, 0, 0, 1, 0, 0x5e, 0, 0, 1), 0);
    ck_assert(passes(other) && passes(group));
    ck_assert_uint_eq(COMMAND(1, 0, 0, 0, 0, 0, 0, 0, 0, 0), 0);
    ck_assert(!passes(other) && !passes(group));
    ck_assert_uint_eq(COMMAND(1, 1, 2, 0, 0, 0, 0, 8), 0); /* its own address */
    ck_assert(passes(other));
    ck_assert_uint_eq(driver_config(5, 1), 8);
    driver_begin(FEATURES, QUEUES);
    ck_assert_uint_eq(driver_config(5, 1), 9);
}
END_TEST

START_TEST(virtio_net_a_table_that_is_too_long_lets_all_pass)
{
    static uint8_t all[2 + 4 + 33 * 6 + 4] = { 1, 0, 33 };

    plug();
    driver_begin(FEATURES, QUEUES);
    ck_assert_uint_eq(command(all, sizeof(all)), 0);
    ck_assert(passes(other) && !passes(group));
}
END_TEST

START_TEST(virtio_net_refuses_commands_that_are_none)
{
    plug();
    driver_begin(FEATURES, QUEUES);
    ck_assert_uint_eq(COMMAND(0), 1);
    ck_assert_uint_eq(COMMAND(0, 0), 1);
    ck_assert_uint_eq(COMMAND(0, 6, 1), 1);
    ck_assert_uint_eq(COMMAND(1, 2, 1), 1);
    ck_assert_uint_eq(COMMAND(1, 1, 2, 0, 0, 0, 0), 1);
    ck_assert_uint_eq(COMMAND(1, 0, 1, 0, 0), 1);
    ck_assert_uint_eq(COMMAND(1, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 8), 1); /* no second table */
    ck_assert_uint_eq(COMMAND(1, 0, 255, 255, 255, 255, 2, 0, 0, 0, 0, 8), 1);
    ck_assert_uint_eq(COMMAND(2, 0, 1, 0), 1);
    ck_assert_uint_eq(COMMAND(9, 0, 1), 1);
    driver_begin(VERSION_1 | 1 << 17, QUEUES); /* nothing but the queue */
    ck_assert_uint_eq(COMMAND(0, 0, 1), 1);
    ck_assert_uint_eq(COMMAND(1, 1, 2, 0, 0, 0, 0, 8), 1);
    ck_assert(passes(other)); /* no filter */
}
END_TEST

/* -- drivers that are wrong --------------------------------------------------------------------------------------------------------- */

START_TEST(virtio_net_broken_receive_queue_needs_reset)
{
    plug();
    driver_begin(FEATURES, QUEUES);
    driver_describe(RX, 0, DATA, 100, NEXT | WRITE, 0);
    driver_offer(RX, 0);
    come(own, 60);
    arrive();
    ck_assert_uint_eq(driver_status(), 0x4f);
    arrive();
    ck_assert_uint_eq(net.count, 0);
}
END_TEST

START_TEST(virtio_net_survives_random_guests)
{
    plug();
    srand(1);
    net.echoes = true;
    for (unsigned round = 0; round < 3000; round++) {
        net.count = 0;
        driver_random(round, round & 8 ? FEATURES | MRG_RXBUF : FEATURES, QUEUES);
        net.count = 0;
        come(round & 16 ? own : group, 14 + (unsigned)rand() % 4000);
        arrive();
    }
}
END_TEST

BENCH_MAIN("virtio_net", virtio_net_shows_what_5_1_says, virtio_net_shows_its_rom, virtio_net_tells_the_mtu,
           virtio_net_sends_what_is_behind_the_header, virtio_net_sends_nothing_that_is_no_frame,
           virtio_net_receives_into_one_chain, virtio_net_frames_wait_for_buffers, virtio_net_a_frame_that_never_fits_is_lost,
           virtio_net_that_is_not_driven_hears_nothing, virtio_net_answers_to_what_is_sent_come_after_it, virtio_net_filters_as_it_is_told,
           virtio_net_a_table_that_is_too_long_lets_all_pass, virtio_net_refuses_commands_that_are_none,
           virtio_net_broken_receive_queue_needs_reset, virtio_net_survives_random_guests)
