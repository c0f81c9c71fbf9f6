/* virtio_9p.h - a shared folder on virtio. */
#ifndef DEVICES_VIRTIO_9P_H
#define DEVICES_VIRTIO_9P_H

#include "device.h"
#include "share.h"

extern const struct device_class virtio_9p_class;

/* Before it is plugged in.  backend: the folder, which outlives the device. */
void virtio_9p_connect(struct device *device, struct share_backend *backend);

#endif
