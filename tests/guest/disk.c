/*
 * disk.c - a driver of virtio disks, for long mode without anything else: VIRTIO 1.2 sections 3.1, 2.7, 4.1 and 5.2.
 *
 * The disk in slot 6 says what to do with the one in slot 5; its first words are the mode and a number N.
 *   0  writes for ever: blocks 1, 2, ... of 8 KiB, each to a place of its own number and filled with it, then FLUSH; after each,
 *      the number goes to the debug console in four bytes.
 *   1  checks what a run of mode 0 has left that was killed after it had printed N: "ok", or "bad" and exit status 1.
 *   2  one of each request, with what comes of it: "ok", or "bad", a letter and exit status 1.
 *   3  writes block 1, and prints the request's status as a digit.
 *   4  writes blocks 1 to N, then FLUSH; "written", and checks them as mode 1 does.
 */
#include "bare.h"

enum { SLOTS = 512, BLOCK_BYTES = 8192, SECTOR = 512, QUEUE = 8 };
enum { NEXT = 1, WRITE = 2 };
enum { IN = 0, OUT = 1, FLUSH = 4, GET_ID = 8, DISCARD = 11, WRITE_ZEROES = 13 };

/* -- one disk ------------------------------------------------------------------------------------------------------------- */

struct disk {
    struct descriptor table[QUEUE] __attribute__((aligned(16)));
    struct { uint16_t flags, index, ring[QUEUE], event; } available __attribute__((aligned(2)));
    struct { uint16_t flags, index; struct { uint32_t id, bytes; } ring[QUEUE]; uint16_t event; } used __attribute__((aligned(4)));
    struct { uint32_t type, reserved; uint64_t sector; } header __attribute__((aligned(16)));
    volatile uint8_t status;
    uint64_t common, notify, config;
};

/* Where the structures are: each capability names BAR 0 and an offset. */
static void find(struct disk *d, unsigned slot)
{
    uint64_t bar = (config_read(slot, 0x10) & ~15u) | (uint64_t)config_read(slot, 0x14) << 32;

    if (config_read(slot, 0) != 0x10421af4)
        fail('p');
    for (unsigned at = config_read(slot, 0x34) & 0xff; at; at = config_read(slot, at + 1) & 0xff) {
        unsigned type = config_read(slot, at + 3) & 0xff;
        uint64_t place = bar + config_read(slot, at + 8);

        if ((config_read(slot, at) & 0xff) != 9)
            continue;
        if (type == 1)
            d->common = place;
        else if (type == 2)
            d->notify = place;
        else if (type == 4)
            d->config = place;
    }
}

/* VERSION_1, FLUSH, and DISCARD and WRITE_ZEROES where they are offered. */
static void begin(struct disk *d, unsigned slot)
{
    uint64_t c;
    uint32_t features;

    find(d, slot);
    c = d->common;
    REGISTER(uint8_t, c + 0x14) = 0;
    REGISTER(uint8_t, c + 0x14) = 1 | 2;
    REGISTER(uint32_t, c + 0x00) = 0;
    features = REGISTER(uint32_t, c + 0x04) & (1u << 9 | 1u << 13 | 1u << 14);
    REGISTER(uint32_t, c + 0x08) = 0;
    REGISTER(uint32_t, c + 0x0c) = features;
    REGISTER(uint32_t, c + 0x08) = 1;
    REGISTER(uint32_t, c + 0x0c) = 1;
    REGISTER(uint8_t, c + 0x14) = 1 | 2 | 8;
    if (REGISTER(uint8_t, c + 0x14) != (1 | 2 | 8))
        fail('f');
    REGISTER(uint16_t, c + 0x16) = 0;
    REGISTER(uint16_t, c + 0x18) = QUEUE;
    REGISTER(uint64_t, c + 0x20) = (uintptr_t)d->table;
    REGISTER(uint64_t, c + 0x28) = (uintptr_t)&d->available;
    REGISTER(uint64_t, c + 0x30) = (uintptr_t)&d->used;
    REGISTER(uint16_t, c + 0x1c) = 1;
    REGISTER(uint8_t, c + 0x14) = 1 | 2 | 4 | 8;
}

static uint8_t request(struct disk *d, uint32_t type, uint64_t sector, void *data, uint32_t bytes)
{
    uint16_t seen = d->used.index, in = type == IN || type == GET_ID ? WRITE : 0;

    d->header.type = type;
    d->header.sector = sector;
    d->status = 0xee;
    d->table[0] = (struct descriptor){ (uintptr_t)&d->header, 16, NEXT, bytes ? 1 : 2 };
    d->table[1] = (struct descriptor){ (uintptr_t)data, bytes, NEXT | in, 2 };
    d->table[2] = (struct descriptor){ (uintptr_t)&d->status, 1, WRITE, 0 };
    d->available.ring[d->available.index % QUEUE] = 0;
    __asm__ volatile("" : : : "memory");
    d->available.index++;
    __asm__ volatile("" : : : "memory");
    REGISTER(uint16_t, d->notify) = 0;
    while (((volatile struct disk *)d)->used.index == seen)
        ;
    return d->status;
}

/* -- what it does ------------------------------------------------------------------------------------------------------------ */

static struct disk disk, order;
static uint32_t block[BLOCK_BYTES / 4], other[BLOCK_BYTES / 4];

static unsigned slot_of(uint32_t n) { return n * 181 % SLOTS; }
static uint64_t sector_of(uint32_t n) { return (uint64_t)slot_of(n) * (BLOCK_BYTES / SECTOR); }

static uint8_t write_block(uint32_t n)
{
    for (unsigned i = 0; i < BLOCK_BYTES / 4; i++)
        block[i] = n;
    return request(&disk, OUT, sector_of(n), block, BLOCK_BYTES);
}

static void write_for_ever(void)
{
    for (uint32_t n = 1;; n++) {
        if (write_block(n) || request(&disk, FLUSH, 0, 0, 0))
            fail('w');
        for (unsigned i = 0; i < 4; i++)
            outb(0xe9, (uint8_t)(n >> i * 8));
    }
}

/* Block n is whole; n + 1, which was perhaps being written, may be there in part. */
static void check(uint32_t count)
{
    for (uint32_t n = count > SLOTS - 1 ? count - (SLOTS - 1) : 1; n <= count; n++) {
        if (request(&disk, IN, sector_of(n), block, BLOCK_BYTES))
            fail('r');
        for (unsigned i = 0; i < BLOCK_BYTES / 4; i++)
            if (block[i] != n && !(block[i] == count + 1 && slot_of(n) == slot_of(count + 1)))
                fail('c');
    }
    print("ok");
    leave(0);
}

static int same(uint32_t word, const uint32_t *words, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++)
        if (words[i] != word)
            return 0;
    return 1;
}

static void one_of_each(void)
{
    struct { uint64_t sector; uint32_t sectors, flags; } range = { sector_of(3) + 1, 4, 1 };
    uint64_t sectors = REGISTER(uint64_t, disk.config);

    if (write_block(3) || request(&disk, IN, sector_of(3), other, BLOCK_BYTES) || !same(3, other, 0, BLOCK_BYTES / 4))
        fail('a');
    if (request(&disk, WRITE_ZEROES, 0, &range, 16) || request(&disk, IN, sector_of(3), other, BLOCK_BYTES))
        fail('b');
    if (!same(3, other, 0, 128) || !same(0, other, 128, 640) || !same(3, other, 640, BLOCK_BYTES / 4))
        fail('c');
    range.flags = 0;
    if (request(&disk, DISCARD, 0, &range, 16) || request(&disk, IN, sector_of(3), other, BLOCK_BYTES) || !same(3, other, 0, 128))
        fail('d');
    if (request(&disk, IN, sectors, other, SECTOR) != 1 || request(&disk, OUT, sectors - 1, other, 2 * SECTOR) != 1)
        fail('e');
    if (request(&disk, OUT, sectors - 1, block, SECTOR) || request(&disk, IN, sectors - 1, other, SECTOR) || !same(3, other, 0, 128))
        fail('f');
    if (request(&disk, GET_ID, 0, other, 20) || request(&disk, FLUSH, 0, 0, 0) || request(&disk, 77, 0, other, SECTOR) != 2)
        fail('g');
    print("ok");
    leave(0);
}

static void write_some(uint32_t count)
{
    for (uint32_t n = 1; n <= count; n++)
        if (write_block(n))
            fail('w');
    if (request(&disk, FLUSH, 0, 0, 0))
        fail('f');
    print("written ");
    check(count);
}

void _start(void)
{
    begin(&order, 6);
    if (request(&order, IN, 0, other, SECTOR))
        fail('o');
    begin(&disk, 5);
    switch (other[0]) {
    case 0: write_for_ever(); break;
    case 1: check(other[1]); break;
    case 2: one_of_each(); break;
    case 3:
        outb(0xe9, (uint8_t)('0' + write_block(1)));
        leave(0);
        break;
    default: write_some(other[1]); break;
    }
}
