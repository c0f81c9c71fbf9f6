/* virtio_blk.h - a disk on virtio. */
#ifndef DEVICES_VIRTIO_BLK_H
#define DEVICES_VIRTIO_BLK_H

#include "block.h"
#include "device.h"

extern const struct device_class virtio_blk_class;

enum { VIRTIO_BLK_QUEUES = 4 };

/* Before it is plugged in.  backend: the disk's content, which outlives the device. */
void virtio_blk_connect(struct device *device, struct block_backend *backend);

#endif
