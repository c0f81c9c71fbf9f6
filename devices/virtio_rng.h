/* virtio_rng.h - a source of random bytes on virtio. */
#ifndef DEVICES_VIRTIO_RNG_H
#define DEVICES_VIRTIO_RNG_H

#include "device.h"

extern const struct device_class virtio_rng_class;

/* Before it is plugged in.  fill: where the bytes come from; NULL: the device's own generator, which gives the same ones in every run. */
void virtio_rng_connect(struct device *device, void (*fill)(void *data, size_t bytes));

#endif
