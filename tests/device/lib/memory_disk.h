/* memory_disk.h - a disk in memory for suites of disks' devices: it checks what it is asked for, counts, and fails on request. */
#ifndef TESTS_DEVICE_MEMORY_DISK_H
#define TESTS_DEVICE_MEMORY_DISK_H

#include "block.h"

#define MEMORY_DISK_BYTES 16384

struct memory_disk {
    struct block_backend backend; /* first */
    uint8_t data[MEMORY_DISK_BYTES];
    unsigned flushes, discards;
    int error; /* of everything from now on */
};

/* Its bytes are i >> 9 ^ i; `bytes` of it are there. */
void memory_disk_init(struct memory_disk *disk, uint64_t bytes, bool read_only);

#endif
