/*
 * block.h - the host's end of a disk: an image file, a host's block device, a unit test's memory.
 *
 * The device keeps offset + bytes within `bytes`, and both multiples of 512.  Every call is done when it returns: 0, or a
 * negative errno.  What `write` has taken is safe from a crash of the host only after the next `flush`.
 */
#ifndef DEVICES_BLOCK_H
#define DEVICES_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BLOCK_SECTOR_BYTES 512
#define BLOCK_SERIAL_BYTES 20

struct block_backend {
    uint64_t bytes;      /* a multiple of 512 */
    uint32_t sector;     /* bytes that it prefers to be accessed by: a power of two, 512 or more */
    bool read_only;
    char serial[BLOCK_SERIAL_BYTES + 1]; /* "": none */
    int (*read)(struct block_backend *b, uint64_t offset, void *data, size_t bytes);
    int (*write)(struct block_backend *b, uint64_t offset, const void *data, size_t bytes);
    int (*flush)(struct block_backend *b);
    /* The bytes are not needed any more; they may read as anything. */
    int (*discard)(struct block_backend *b, uint64_t offset, uint64_t bytes);
    /* They read as zeros from now on; `unmap`: and need not take room. */
    int (*write_zeroes)(struct block_backend *b, uint64_t offset, uint64_t bytes, bool unmap);
    void (*close)(struct block_backend *b); /* and free */
};

#endif
