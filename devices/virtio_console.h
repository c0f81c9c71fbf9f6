/* virtio_console.h - a console on virtio. */
#ifndef DEVICES_VIRTIO_CONSOLE_H
#define DEVICES_VIRTIO_CONSOLE_H

#include "device.h"

extern const struct device_class virtio_console_class;

/* Before it is plugged in.  backend: where its bytes go and come from; NULL: nowhere. */
void virtio_console_connect(struct device *device, struct char_backend *backend);

#endif
