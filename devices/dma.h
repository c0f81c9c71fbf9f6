/* dma.h - how a device reaches guest memory: RAM, or another device, by guest-physical address. */
#ifndef DEVICES_DMA_H
#define DEVICES_DMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Both return false where some byte was unclaimed (read: all ones there; written: dropped). */
struct dma {
    bool (*read)(struct dma *dma, uint64_t gpa, void *data, size_t size);
    bool (*write)(struct dma *dma, uint64_t gpa, const void *data, size_t size);
    bool translates; /* what it takes for addresses may be another's: a driver has to be told */
};

#endif
