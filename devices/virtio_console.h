/* virtio_console.h - a console on virtio over PCI. */
#ifndef DEVICES_VIRTIO_CONSOLE_H
#define DEVICES_VIRTIO_CONSOLE_H

#include "device.h"

extern const struct device_class virtio_console_class;

/* Plugs it in.  backend: where its bytes go and come from; NULL: nowhere. */
void virtio_console_connect(struct device *device, struct device *pci, uint8_t devfn, struct char_backend *backend);

#endif
