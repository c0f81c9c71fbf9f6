/*
 * virtio_mmio.h - the transport of virtio devices over MMIO: a window of registers and a wire for each, where no bus announces them.
 *
 * The transport is a device of its own beside the one that it carries, whose PCI function is then plugged in nowhere.
 * Manual: VIRTIO 1.2 section 4.2, version 2 of the registers.
 */
#ifndef DEVICES_VIRTIO_MMIO_H
#define DEVICES_VIRTIO_MMIO_H

#include "device.h"

extern const struct device_class virtio_mmio_class;

enum { VIRTIO_MMIO_CONFIG = 0x100, VIRTIO_MMIO_BYTES = 0x200 };

/* Plugs `device` in: one whose state begins with a `struct virtio`.  Its window is at `base`; `wire` is up while it interrupts. */
void virtio_mmio_connect(struct device *mmio, struct device *device, uint64_t base, struct irq wire);

#endif
