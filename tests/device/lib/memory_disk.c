/* memory_disk.c - the calls of devices/block.h on an array. */
#include "memory_disk.h"

#include <check.h>
#include <string.h>

static struct memory_disk *of(struct block_backend *b) { return (struct memory_disk *)b; }

static void check_range(const struct block_backend *b, uint64_t offset, uint64_t bytes)
{
    ck_assert_uint_eq(offset % 512, 0);
    ck_assert_uint_eq(bytes % 512, 0);
    ck_assert(offset <= b->bytes && bytes <= b->bytes - offset);
}

static int disk_read(struct block_backend *b, uint64_t offset, void *data, size_t bytes)
{
    check_range(b, offset, bytes);
    memcpy(data, of(b)->data + offset, bytes);
    return of(b)->error;
}

static int disk_write(struct block_backend *b, uint64_t offset, const void *data, size_t bytes)
{
    check_range(b, offset, bytes);
    ck_assert(!b->read_only);
    if (!of(b)->error)
        memcpy(of(b)->data + offset, data, bytes);
    return of(b)->error;
}

static int disk_flush(struct block_backend *b)
{
    of(b)->flushes++;
    return of(b)->error;
}

static int disk_discard(struct block_backend *b, uint64_t offset, uint64_t bytes)
{
    check_range(b, offset, bytes);
    ck_assert(!b->read_only);
    memset(of(b)->data + offset, 0xdd, bytes);
    of(b)->discards++;
    return of(b)->error;
}

static int disk_zero(struct block_backend *b, uint64_t offset, uint64_t bytes, bool unmap)
{
    (void)unmap;
    check_range(b, offset, bytes);
    memset(of(b)->data + offset, 0, bytes);
    return of(b)->error;
}

void memory_disk_init(struct memory_disk *d, uint64_t bytes, bool read_only)
{
    memset(d, 0, sizeof(*d));
    for (unsigned i = 0; i < MEMORY_DISK_BYTES; i++)
        d->data[i] = (uint8_t)(i >> 9 ^ i);
    d->backend = (struct block_backend){ .bytes = bytes, .sector = 512, .read_only = read_only, .serial = "a serial number",
                                         .read = disk_read, .write = disk_write, .flush = disk_flush, .discard = disk_discard,
                                         .write_zeroes = disk_zero };
}
