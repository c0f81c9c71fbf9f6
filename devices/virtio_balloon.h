/* virtio_balloon.h - a balloon in the guest's memory, on virtio. */
#ifndef DEVICES_VIRTIO_BALLOON_H
#define DEVICES_VIRTIO_BALLOON_H

#include "device.h"

extern const struct device_class virtio_balloon_class;

/* Before it is plugged in.  release: the guest does not need these bytes any more, whatever is in them, until it writes there; NULL: nobody cares. */
void virtio_balloon_connect(struct device *device, void (*release)(void *opaque, uint64_t gpa, uint64_t bytes), void *opaque);

/* Between two instructions: how large the balloon shall be, and how large the driver says it is; in pages of 4 KiB. */
void virtio_balloon_ask(struct device *device, uint32_t pages);
uint32_t virtio_balloon_asked(const struct device *device);
uint32_t virtio_balloon_actual(const struct device *device);

#endif
