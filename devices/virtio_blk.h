/* virtio_blk.h - a disk on virtio over PCI. */
#ifndef DEVICES_VIRTIO_BLK_H
#define DEVICES_VIRTIO_BLK_H

#include "block.h"
#include "device.h"

extern const struct device_class virtio_blk_class;

enum { VIRTIO_BLK_QUEUES = 4 };

/* Plugs it in.  backend: the disk's content, which outlives the device. */
void virtio_blk_connect(struct device *device, struct device *pci, uint8_t devfn, struct block_backend *backend);

#endif
