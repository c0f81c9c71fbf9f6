/*
 * test_virtio_blk.c - a disk driven by hand, as VIRTIO 1.2 sections 2.7, 4.1 and 5.2 and PCI 3.0 section 6.8.2 say.
 *
 * Every constant of the driver's side stands here anew.
 */
#include "pci.h"
#include "virtio_pci.h"
#include "virtio_blk.h"

#include "lib/bench.h"

#include <errno.h>
#include <stdlib.h>

enum { FUNCTION = 0x80002800, BAR = 0xc0000000 }; /* slot 5 */
enum { TABLE = 0x1000, AVAIL = 0x2000, USED = 0x3000, HEADER = 0x4000, STATUS = 0x4800, DATA = 0x5000, INDIRECT = 0x7000, SIZE = 8 };
enum { NEXT = 1, WRITE = 2, IS_INDIRECT = 4 };
enum { DISK_BYTES = 16384, INTX_LINE = 4 + 1 }; /* slot 5, pin A: PIRQF */
#define FEATURES ((uint64_t)1 << 32 | 1 << 9 | 1 << 13 | 1 << 14)
#define INDIRECT_DESC ((uint64_t)1 << 28)
#define EVENT_IDX ((uint64_t)1 << 29)

/* -- a disk in memory ----------------------------------------------------------------------------------------------------- */

static struct memory_disk {
    struct block_backend backend;
    uint8_t data[DISK_BYTES];
    unsigned flushes, discards;
    bool unmapped;
    int error;
} disk;

static int disk_read(struct block_backend *b, uint64_t offset, void *data, size_t bytes)
{
    ck_assert_uint_le(offset + bytes, b->bytes);
    memcpy(data, disk.data + offset, bytes);
    return disk.error;
}

static int disk_write(struct block_backend *b, uint64_t offset, const void *data, size_t bytes)
{
    ck_assert_uint_le(offset + bytes, b->bytes);
    ck_assert(!b->read_only);
    memcpy(disk.data + offset, data, bytes);
    return disk.error;
}

static int disk_flush(struct block_backend *b)
{
    (void)b;
    disk.flushes++;
    return disk.error;
}

static int disk_discard(struct block_backend *b, uint64_t offset, uint64_t bytes)
{
    ck_assert_uint_le(offset + bytes, b->bytes);
    memset(disk.data + offset, 0xdd, bytes);
    disk.discards++;
    return disk.error;
}

static int disk_zero(struct block_backend *b, uint64_t offset, uint64_t bytes, bool unmap)
{
    ck_assert_uint_le(offset + bytes, b->bytes);
    memset(disk.data + offset, 0, bytes);
    disk.unmapped = unmap;
    return disk.error;
}

/* -- the machine ------------------------------------------------------------------------------------------------------------ */

static struct device *pci, *blk;
static struct probe pirq[8];

static uint32_t config_get(unsigned offset, unsigned width)
{
    bench_out(0xcf8, 4, FUNCTION | (offset & 0xfc));
    return (uint32_t)bench_in((uint16_t)(0xcfc + (offset & 3)), width);
}

static void config_put(unsigned offset, unsigned width, uint32_t v)
{
    bench_out(0xcf8, 4, FUNCTION | (offset & 0xfc));
    bench_out((uint16_t)(0xcfc + (offset & 3)), width, v);
}

static void plug(void)
{
    struct pci_wires wires = { 0 };

    for (unsigned i = 0; i < 8; i++)
        wires.pirq[i] = bench_probe(&pirq[i]);
    for (unsigned i = 0; i < DISK_BYTES; i++)
        disk.data[i] = (uint8_t)(i >> 9 ^ i);
    disk.backend = (struct block_backend){ .bytes = DISK_BYTES, .sector = 512, .serial = "a serial number", .read = disk_read,
                                           .write = disk_write, .flush = disk_flush, .discard = disk_discard, .write_zeroes = disk_zero };
    pci = device_create(&pci_class, &bench.host);
    blk = device_create(&virtio_blk_class, &bench.host);
    pci_connect(pci, &wires);
    virtio_blk_connect(blk, &disk.backend);
    virtio_pci_connect(blk, pci, 5 << 3);
    config_put(0x10, 4, BAR);
    config_put(0x04, 2, 0x0006);
}

/* The capability of VIRTIO's `type` (4.1.4), or PCI's ID for type 0. */
static unsigned capability(uint8_t id, uint8_t type)
{
    for (unsigned at = config_get(0x34, 1), n = 0; at && n < 48; at = config_get(at + 1, 1), n++)
        if (config_get(at, 1) == id && (!type || config_get(at + 3, 1) == type))
            return at;
    return 0;
}

static uint64_t structure(uint8_t type)
{
    unsigned at = capability(9, type);

    ck_assert_uint_ne(at, 0);
    ck_assert_uint_eq(config_get(at + 4, 1), 0);
    return BAR + config_get(at + 8, 4);
}

static uint64_t common(unsigned offset, unsigned width) { return bench_load(structure(1) + offset, width); }
static void set_common(unsigned offset, unsigned width, uint64_t v) { bench_store(structure(1) + offset, width, v); }
static uint64_t config(unsigned offset, unsigned width) { return bench_load(structure(4) + offset, width); }
static uint8_t status(void) { return (uint8_t)common(0x14, 1); }

/* -- the driver --------------------------------------------------------------------------------------------------------------- */

static uint16_t available, seen;

static void accept(uint64_t features)
{
    for (unsigned half = 0; half < 2; half++) {
        set_common(0x08, 4, half);
        set_common(0x0c, 4, (uint32_t)(features >> half * 32));
    }
}

/* Section 3.1.1, with a queue of SIZE entries. */
static void begin(uint64_t features)
{
    available = seen = 0;
    memset(bench.memory, 0, sizeof(bench.memory));
    set_common(0x14, 1, 0);
    set_common(0x14, 1, 1);
    set_common(0x14, 1, 3);
    accept(features);
    set_common(0x14, 1, 11);
    ck_assert_uint_eq(status(), 11);
    set_common(0x16, 2, 0);
    set_common(0x18, 2, SIZE);
    set_common(0x20, 4, TABLE);
    set_common(0x28, 4, AVAIL);
    set_common(0x30, 4, USED);
    set_common(0x1c, 2, 1);
    set_common(0x14, 1, 15);
}

static void describe(uint64_t table, unsigned i, uint64_t gpa, uint32_t bytes, uint16_t flags, uint16_t next)
{
    bench_put(table + i * 16, 8, gpa);
    bench_put(table + i * 16 + 8, 4, bytes);
    bench_put(table + i * 16 + 12, 2, flags);
    bench_put(table + i * 16 + 14, 2, next);
}

static void offer(uint16_t head)
{
    bench_put(AVAIL + 4 + available % SIZE * 2, 2, head);
    bench_put(AVAIL + 2, 2, ++available);
}

static void kick(void) { bench_store(structure(2), 2, 0); }

static void header(uint32_t type, uint64_t sector)
{
    bench_put(HEADER, 4, type);
    bench_put(HEADER + 4, 4, 0);
    bench_put(HEADER + 8, 8, sector);
    bench_put(STATUS, 1, 0xee);
}

/* A request of three descriptors; the status it gets. */
static unsigned request(uint32_t type, uint64_t sector, uint32_t bytes, bool in)
{
    header(type, sector);
    describe(TABLE, 0, HEADER, 16, NEXT, bytes ? 1 : 2);
    describe(TABLE, 1, DATA, bytes, in ? NEXT | WRITE : NEXT, 2);
    describe(TABLE, 2, STATUS, 1, WRITE, 0);
    offer(0);
    kick();
    ck_assert_uint_eq(bench_get(USED + 2, 2), (uint16_t)++seen);
    return (unsigned)bench_get(STATUS, 1);
}

static uint32_t used_bytes(void) { return (uint32_t)bench_get(USED + 4 + (seen - 1) % SIZE * 8 + 4, 4); }

/* -- PCI -------------------------------------------------------------------------------------------------------------------------- */

START_TEST(virtio_pci_shows_every_structure)
{
    plug();
    ck_assert_uint_eq(config_get(0, 4), 0x10421af4);
    ck_assert_uint_ge(config_get(0x2e, 2), 0x40);
    ck_assert_uint_eq(config_get(0x08, 1), 1);
    for (uint8_t type = 1; type <= 5; type++)
        ck_assert_uint_eq(capability(9, type) % 4, 0);
    ck_assert_uint_ge(config_get(capability(9, 1) + 12, 4), 0x38);
    ck_assert_uint_eq(config_get(capability(9, 2) + 2, 1), 20);
    ck_assert_uint_eq(config_get(capability(0x11, 0) + 2, 2), 4); /* five vectors */
    ck_assert_uint_eq(common(0x12, 2), 4);
    set_common(0x16, 2, 4);
    ck_assert_uint_eq(common(0x18, 2), 0);
    set_common(0x16, 2, 3);
    ck_assert_uint_eq(common(0x18, 2), 256);
    ck_assert_uint_eq(common(0x1e, 2), 3);
}
END_TEST

START_TEST(virtio_pci_configuration_access_reaches_the_bar)
{
    unsigned at;

    plug();
    at = capability(9, 5);
    config_put(at + 4, 1, 0);
    config_put(at + 8, 4, config_get(capability(9, 4) + 8, 4));
    config_put(at + 12, 4, 4);
    ck_assert_uint_eq(config_get(at + 16, 4), DISK_BYTES / 512);
    config_put(at + 8, 4, 0x14);
    config_put(at + 12, 4, 1);
    config_put(at + 16, 1, 1);
    ck_assert_uint_eq(status(), 1);
    config_put(at + 12, 4, 3);
    config_put(at + 16, 4, 0xff);
    config_put(at + 4, 1, 7);
    config_put(at + 16, 4, 0xff);
    ck_assert_uint_eq(status(), 1);
}
END_TEST

START_TEST(virtio_features_are_negotiated)
{
    plug();
    set_common(0x00, 4, 1);
    ck_assert_uint_eq(common(0x04, 4) & 1, 1); /* VERSION_1 */
    set_common(0x00, 4, 2);
    ck_assert_uint_eq(common(0x04, 4), 0);
    set_common(0x14, 1, 3);
    set_common(0x14, 1, 11);
    ck_assert_uint_eq(status(), 3); /* not without VERSION_1 */
    accept((uint64_t)1 << 32 | 1u << 31);
    set_common(0x14, 1, 11);
    ck_assert_uint_eq(status(), 3); /* not what is not offered */
    accept(FEATURES);
    set_common(0x14, 1, 11);
    ck_assert_uint_eq(status(), 11);
    accept(0);
    set_common(0x08, 4, 1);
    ck_assert_uint_eq(common(0x0c, 4), 1);
    set_common(0x14, 1, 0);
    ck_assert_uint_eq(status(), 0);
    ck_assert_uint_eq(common(0x0c, 4), 0);
}
END_TEST

START_TEST(virtio_blk_configuration_is_that_of_5_2_4)
{
    plug();
    ck_assert_uint_eq(config(0x00, 8), DISK_BYTES / 512);
    ck_assert_uint_eq(config(0x0c, 4), 254);
    ck_assert_uint_eq(config(0x14, 4), 512);
    ck_assert_uint_eq(config(0x22, 2), 4);
    bench_store(structure(4), 4, 1);
    ck_assert_uint_eq(config(0x00, 4), DISK_BYTES / 512);
}
END_TEST

/* -- requests ---------------------------------------------------------------------------------------------------------------------- */

START_TEST(virtio_blk_reads_and_writes)
{
    plug();
    begin(FEATURES);
    ck_assert_uint_eq(request(0, 3, 1024, true), 0);
    ck_assert_uint_eq(used_bytes(), 1025);
    ck_assert_mem_eq(bench.memory + DATA, disk.data + 3 * 512, 1024);
    memset(bench.memory + DATA, 0x5a, 512);
    ck_assert_uint_eq(request(1, 31, 512, false), 0);
    ck_assert_uint_eq(used_bytes(), 1);
    ck_assert_mem_eq(bench.memory + DATA, disk.data + 31 * 512, 512);
    ck_assert_uint_eq(disk.flushes, 0);
    ck_assert_uint_eq(request(4, 0, 0, false), 0);
    ck_assert_uint_eq(disk.flushes, 1);
    ck_assert_uint_eq(request(8, 0, 20, true), 0);
    ck_assert_str_eq((char *)bench.memory + DATA, "a serial number");
    ck_assert_uint_eq(request(99, 0, 512, true), 2);
}
END_TEST

/* Section 5.2.5.2: a driver that has not taken FLUSH never loses what was written. */
START_TEST(virtio_blk_without_flush_is_writethrough)
{
    plug();
    begin((uint64_t)1 << 32);
    ck_assert_uint_eq(request(1, 0, 512, false), 0);
    ck_assert_uint_eq(disk.flushes, 1);
}
END_TEST

static unsigned range(uint32_t type, uint64_t sector, uint32_t sectors, uint32_t flags)
{
    bench_put(DATA, 8, sector);
    bench_put(DATA + 8, 4, sectors);
    bench_put(DATA + 12, 4, flags);
    return request(type, 0, 16, false);
}

START_TEST(virtio_blk_discards_and_zeroes)
{
    plug();
    begin(FEATURES);
    ck_assert_uint_eq(range(11, 2, 3, 0), 0);
    ck_assert(disk.discards == 1 && disk.data[2 * 512] == 0xdd && disk.data[5 * 512 - 1] == 0xdd && disk.data[5 * 512] != 0xdd);
    ck_assert_uint_eq(range(13, 8, 1, 1), 0);
    ck_assert(disk.unmapped && disk.data[8 * 512 + 7] == 0 && disk.data[9 * 512 + 7] != 0);
    ck_assert_uint_eq(range(13, 8, 1, 0), 0);
    ck_assert(!disk.unmapped);
    ck_assert_uint_eq(range(11, 0, 1, 1), 2);  /* unmap means nothing to a discard */
    ck_assert_uint_eq(range(13, 0, 1, 2), 2);  /* no such flag */
    ck_assert_uint_eq(range(13, 31, 2, 0), 1); /* beyond the end */
    ck_assert_uint_eq(range(13, UINT64_MAX, 2, 0), 1);
    ck_assert_uint_eq(request(11, 0, 24, false), 1);
}
END_TEST

START_TEST(virtio_blk_refuses_what_does_not_fit)
{
    plug();
    begin(FEATURES);
    ck_assert_uint_eq(request(0, 31, 1024, true), 1);
    ck_assert_uint_eq(request(0, UINT64_MAX, 512, true), 1);
    ck_assert_uint_eq(request(0, UINT64_MAX / 512 + 1, 512, true), 1);
    ck_assert_uint_eq(request(0, 0, 100, true), 1);
    ck_assert_uint_eq(request(1, 32, 512, false), 1);
    disk.error = -EIO;
    ck_assert_uint_eq(request(0, 0, 512, true), 1);
    ck_assert_uint_eq(request(4, 0, 0, false), 1);
    disk.error = -ENOSPC;
    ck_assert_uint_eq(request(1, 0, 512, false), 1);
    disk.error = 0;
    disk.backend.read_only = true;
    ck_assert_uint_eq(request(1, 0, 512, false), 1);
    ck_assert_uint_eq(range(11, 0, 1, 0), 1);
    ck_assert_uint_eq(status(), 15);
}
END_TEST

/* Data where no memory is. */
START_TEST(virtio_blk_data_outside_memory_is_an_error)
{
    plug();
    begin(FEATURES);
    header(0, 0);
    describe(TABLE, 0, HEADER, 16, NEXT, 1);
    describe(TABLE, 1, UINT64_MAX - 100, 512, NEXT | WRITE, 2);
    describe(TABLE, 2, STATUS, 1, WRITE, 0);
    offer(0);
    kick();
    ck_assert_uint_eq(bench_get(STATUS, 1), 1);
    ck_assert_uint_eq(status(), 15);
}
END_TEST

/* Section 2.7.4: how a request is cut into descriptors means nothing. */
START_TEST(virtio_blk_takes_any_layout)
{
    plug();
    begin(FEATURES);
    header(0, 1);
    describe(TABLE, 5, HEADER, 7, NEXT, 1);
    describe(TABLE, 1, HEADER + 7, 9, NEXT, 7);
    describe(TABLE, 7, DATA, 100, NEXT | WRITE, 2);
    describe(TABLE, 2, DATA + 100, 0, NEXT | WRITE, 3);
    describe(TABLE, 3, DATA + 100, 413, WRITE, 0);
    offer(5);
    kick();
    ck_assert_mem_eq(bench.memory + DATA, disk.data + 512, 512);
    ck_assert_uint_eq(bench.memory[DATA + 512], 0);
    ck_assert_uint_eq(bench_get(USED + 4, 4), 5);
    ck_assert_uint_eq(bench_get(USED + 8, 4), 513);
}
END_TEST

START_TEST(virtio_takes_indirect_tables)
{
    plug();
    begin(FEATURES | INDIRECT_DESC);
    header(0, 2);
    describe(TABLE, 4, INDIRECT, 48, IS_INDIRECT, 0);
    describe(INDIRECT, 0, HEADER, 16, NEXT, 2);
    describe(INDIRECT, 2, DATA, 512, NEXT | WRITE, 1);
    describe(INDIRECT, 1, STATUS, 1, WRITE, 0);
    offer(4);
    kick();
    ck_assert_uint_eq(bench_get(STATUS, 1), 0);
    ck_assert_mem_eq(bench.memory + DATA, disk.data + 1024, 512);
}
END_TEST

/* -- interrupts -------------------------------------------------------------------------------------------------------------------- */

START_TEST(virtio_pci_raises_intx_until_isr_is_read)
{
    plug();
    begin(FEATURES);
    request(0, 0, 512, true);
    ck_assert(pirq[INTX_LINE].level);
    ck_assert_uint_eq(config_get(0x06, 2) & 8, 8);
    ck_assert_uint_eq(bench_load(structure(3), 1), 1);
    ck_assert(!pirq[INTX_LINE].level);
    ck_assert_uint_eq(bench_load(structure(3), 1), 0);
    bench_put(AVAIL, 2, 1); /* NO_INTERRUPT */
    request(0, 0, 512, true);
    ck_assert(!pirq[INTX_LINE].level);
}
END_TEST

static uint64_t msix_table(void) { return BAR + (config_get(capability(0x11, 0) + 4, 4) & ~7u); }
static uint64_t msix_pending(void) { return BAR + (config_get(capability(0x11, 0) + 8, 4) & ~7u); }

static void set_vector(unsigned n, uint64_t address, uint32_t data, uint32_t control)
{
    bench_store(msix_table() + n * 16, 8, address);
    bench_store(msix_table() + n * 16 + 8, 4, data);
    bench_store(msix_table() + n * 16 + 12, 4, control);
}

static void use_msix(void)
{
    config_put(capability(0x11, 0) + 2, 2, 0x8000);
    begin(FEATURES);
    set_common(0x1a, 2, 1);
    ck_assert_uint_eq(common(0x1a, 2), 1);
    set_common(0x10, 2, 0);
    set_vector(0, 0xfee00000, 0x0051, 0);
    set_vector(1, 0xfee07004, 0x0162, 0);
}

/* PCI 3.0 6.8.2; what the message says: SDM 3A 11.11. */
START_TEST(msix_message_arrives_as_written)
{
    plug();
    use_msix();
    request(0, 0, 512, true);
    ck_assert_uint_eq(bench.messages, 1);
    ck_assert_uint_eq(bench.message.destination, 7);
    ck_assert(bench.message.logical && !bench.message.level);
    ck_assert_uint_eq(bench.message.vector, 0x62);
    ck_assert_int_eq(bench.message.delivery, IRQ_LOWEST);
    ck_assert(!pirq[INTX_LINE].level);
    set_common(0x1a, 2, 5); /* there are five: 0 to 4 */
    ck_assert_uint_eq(common(0x1a, 2), 0xffff);
    request(0, 0, 512, true);
    ck_assert_uint_eq(bench.messages, 1);
}
END_TEST

START_TEST(msix_masked_vectors_wait)
{
    plug();
    use_msix();
    bench_store(msix_table() + 16 + 12, 4, 1);
    request(0, 0, 512, true);
    ck_assert_uint_eq(bench.messages, 0);
    ck_assert_uint_eq(bench_load(msix_pending(), 4), 2);
    bench_store(msix_table() + 16 + 12, 4, 0);
    ck_assert_uint_eq(bench.messages, 1);
    ck_assert_uint_eq(bench_load(msix_pending(), 8), 0);
    config_put(capability(0x11, 0) + 2, 2, 0xc000); /* function mask */
    request(0, 0, 512, true);
    ck_assert_uint_eq(bench.messages, 1);
    config_put(capability(0x11, 0) + 2, 2, 0x8000);
    ck_assert_uint_eq(bench.messages, 2);
    config_put(0x04, 2, 0x0002); /* a message is a write of a bus master */
    bench_store(msix_pending(), 4, 2);
    ck_assert_uint_eq(bench.messages, 2);
}
END_TEST

START_TEST(msix_message_to_memory_is_a_write)
{
    plug();
    use_msix();
    set_vector(1, 0x8008, 0x12345678, 0);
    request(0, 0, 512, true);
    ck_assert_uint_eq(bench_get(0x8008, 4), 0x12345678);
    ck_assert_uint_eq(bench.messages, 0);
}
END_TEST

/* Section 2.7.10: used_event behind the available ring, avail_event behind the used ring. */
START_TEST(virtio_event_index_says_when)
{
    plug();
    begin(FEATURES | EVENT_IDX);
    bench_put(AVAIL + 4 + SIZE * 2, 2, 1);
    request(0, 0, 512, true);
    ck_assert(!pirq[INTX_LINE].level);
    ck_assert_uint_eq(bench_get(USED + 4 + SIZE * 8, 2), 1);
    request(0, 0, 512, true);
    ck_assert(pirq[INTX_LINE].level);
    bench_load(structure(3), 1);
    request(0, 0, 512, true);
    ck_assert(!pirq[INTX_LINE].level);
    ck_assert_uint_eq(bench_get(USED + 4 + SIZE * 8, 2), 3);
}
END_TEST

/* -- drivers that are wrong ----------------------------------------------------------------------------------------------------------- */

START_TEST(virtio_takes_nothing_before_driver_ok)
{
    plug();
    begin(FEATURES);
    set_common(0x14, 1, 0);
    kick();
    set_common(0x14, 1, 11);
    kick();
    ck_assert_uint_eq(bench_get(USED + 2, 2), 0);
    begin(FEATURES);
    config_put(0x04, 2, 0x0002);
    describe(TABLE, 0, STATUS, 1, WRITE, 0);
    offer(0);
    kick(); /* no bus master: no DMA */
    ck_assert_uint_eq(bench_get(USED + 2, 2), 0);
}
END_TEST

static void loop(void) { describe(TABLE, 0, DATA, 16, NEXT, 0); offer(0); }
static void beyond(void) { describe(TABLE, 0, DATA, 16, NEXT, SIZE); offer(0); }
static void head_beyond(void) { offer(SIZE); }
static void too_far(void) { bench_put(AVAIL + 2, 2, SIZE + 1); }
static void backwards(void) { describe(TABLE, 0, DATA, 1, NEXT | WRITE, 1); describe(TABLE, 1, DATA, 16, 0, 0); offer(0); }
static void nested(void) { describe(TABLE, 0, TABLE, 16, IS_INDIRECT, 0); offer(0); }
static void indirect_and_next(void) { describe(TABLE, 0, INDIRECT, 16, IS_INDIRECT | NEXT, 1); offer(0); }
static void indirect_empty(void) { describe(TABLE, 0, INDIRECT, 0, IS_INDIRECT, 0); offer(0); }
static void indirect_odd(void) { describe(TABLE, 0, INDIRECT, 17, IS_INDIRECT, 0); offer(0); }
static void indirect_nowhere(void) { describe(TABLE, 0, UINT64_MAX - 15, 0xfffffff0, IS_INDIRECT, 0); offer(0); }

/* Section 2.1.2: the device needs a reset, says so, does nothing until it gets one, and is well then. */
START_TEST(virtio_broken_queue_needs_reset)
{
    static void (*const breaks[])(void) = { loop, beyond, head_beyond, too_far, backwards, nested, indirect_and_next, indirect_empty,
                                            indirect_odd, indirect_nowhere };

    plug();
    for (unsigned i = 0; i < ARRAY_LEN(breaks); i++) {
        begin(FEATURES | INDIRECT_DESC);
        breaks[i]();
        kick();
        ck_assert_msg(status() == 0x4f, "break %u is not seen", i);
        ck_assert_uint_eq(bench_load(structure(3), 1), 2);
        ck_assert_uint_eq(bench_get(USED + 2, 2), 0);
        begin(FEATURES);
        ck_assert_uint_eq(request(0, 0, 512, true), 0);
    }
}
END_TEST

START_TEST(virtio_queue_that_is_not_aligned_needs_reset)
{
    plug();
    begin(FEATURES);
    set_common(0x16, 2, 1);
    set_common(0x18, 2, 3); /* no power of two: not taken */
    ck_assert_uint_eq(common(0x18, 2), 256);
    set_common(0x20, 4, 8);
    set_common(0x1c, 2, 1);
    ck_assert_uint_eq(common(0x1c, 2), 0);
    ck_assert_uint_eq(status(), 0x4f);
}
END_TEST

/* A request that cannot be answered comes back. */
START_TEST(virtio_blk_without_header_or_status_comes_back)
{
    plug();
    begin(FEATURES);
    describe(TABLE, 0, HEADER, 16, 0, 0);
    offer(0);
    describe(TABLE, 1, STATUS, 1, WRITE, 0);
    offer(1);
    describe(TABLE, 2, HEADER, 15, NEXT, 3);
    describe(TABLE, 3, STATUS, 1, WRITE, 0);
    offer(2);
    kick();
    ck_assert_uint_eq(bench_get(USED + 2, 2), 3);
    ck_assert_uint_eq(bench_get(USED + 8, 4), 0);
    ck_assert_uint_eq(status(), 15);
}
END_TEST

/* DMA into the device's own registers: `dma` has the BAR too. */
static bool loop_write(struct dma *dma, uint64_t gpa, const void *data, size_t size)
{
    struct transaction t = { .type = TRANSACTION_STORE, .width = size & 2 ? 2 : 4, .enables = bits_mask(size & 2 ? 2 : 4) };

    if (gpa < BAR)
        return bench.dma.write(dma, gpa, data, size);
    memcpy(&t.data, data, t.width);
    bench_transact(gpa, &t); /* taken or not */
    return true;
}

START_TEST(virtio_blk_that_writes_to_its_own_registers_ends)
{
    struct dma loops;

    plug();
    begin(FEATURES);
    loops = (struct dma){ .read = bench.dma.read, .write = loop_write };
    blk->host.dma = &loops;
    set_common(0x14, 1, 0);
    set_common(0x14, 1, 3);
    accept(FEATURES);
    set_common(0x14, 1, 11);
    set_common(0x18, 2, SIZE);
    set_common(0x20, 4, TABLE);
    set_common(0x28, 4, AVAIL);
    set_common(0x30, 4, structure(2)); /* the used ring is the notification register */
    set_common(0x1c, 2, 1);
    set_common(0x14, 1, 15);
    header(4, 0);
    describe(TABLE, 0, HEADER, 16, NEXT, 1);
    describe(TABLE, 1, STATUS, 1, WRITE, 0);
    for (unsigned i = 0; i < SIZE; i++)
        offer(0);
    kick();
    ck_assert_uint_eq(disk.flushes, SIZE);
}
END_TEST

/* Nothing in memory or in a register harms: random bytes, most of them made to look like a queue. */
START_TEST(virtio_blk_survives_random_guests)
{
    plug();
    srand(1);
    for (unsigned round = 0; round < 3000; round++) {
        begin(FEATURES | (round & 1 ? INDIRECT_DESC : 0) | (round & 2 ? EVENT_IDX : 0));
        for (unsigned i = 0; i < sizeof(bench.memory); i += 1 + (unsigned)rand() % 64)
            bench.memory[i] = (uint8_t)(rand() >> 7);
        for (unsigned i = 0; i < SIZE; i++)
            describe(round & 4 ? TABLE : INDIRECT, i, (uint64_t)rand() % 0x10800, (uint32_t)rand() % 2048, (uint16_t)(rand() >> 8 & 7),
                     (uint16_t)rand() % (SIZE + 1));
        header((uint32_t)rand() % 16, (uint64_t)rand() % 40);
        bench_put(AVAIL + 2, 2, (uint64_t)rand() % (SIZE + 2));
        kick();
        bench_store(structure(1) + ((unsigned)rand() % 0x10) * 4, 4, (uint64_t)rand());
        kick();
    }
}
END_TEST

BENCH_MAIN("virtio_blk", virtio_pci_shows_every_structure, virtio_pci_configuration_access_reaches_the_bar, virtio_features_are_negotiated,
           virtio_blk_configuration_is_that_of_5_2_4, virtio_blk_reads_and_writes, virtio_blk_without_flush_is_writethrough,
           virtio_blk_discards_and_zeroes, virtio_blk_refuses_what_does_not_fit, virtio_blk_data_outside_memory_is_an_error,
           virtio_blk_takes_any_layout, virtio_takes_indirect_tables, virtio_pci_raises_intx_until_isr_is_read,
           msix_message_arrives_as_written, msix_masked_vectors_wait, msix_message_to_memory_is_a_write, virtio_event_index_says_when,
           virtio_takes_nothing_before_driver_ok, virtio_broken_queue_needs_reset, virtio_queue_that_is_not_aligned_needs_reset,
           virtio_blk_without_header_or_status_comes_back, virtio_blk_that_writes_to_its_own_registers_ends,
           virtio_blk_survives_random_guests)
