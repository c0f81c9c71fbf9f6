/*
 * shadow.h - how a chipset says which segments below 1 MiB are RAM for reads and for writes.
 *
 * Segment 0 is 0xf0000 (64 KiB); segments 1..12 are 16 KiB each from 0xc0000 up.
 */
#ifndef DEVICES_SHADOW_H
#define DEVICES_SHADOW_H

#include <stdbool.h>
#include <stdint.h>

#define SHADOW_SEGMENTS 13

static inline uint32_t shadow_base(unsigned segment) { return segment ? 0xc0000 + (segment - 1) * 0x4000 : 0xf0000; }
static inline uint32_t shadow_size(unsigned segment) { return segment ? 0x4000 : 0x10000; }

struct shadow_sink {
    /* read_ram, write_ram: DRAM answers; otherwise the access goes on to the ROM. */
    void (*set)(void *opaque, unsigned segment, bool read_ram, bool write_ram);
    void *opaque;
};

#endif
