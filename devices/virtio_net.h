/* virtio_net.h - a network card on virtio. */
#ifndef DEVICES_VIRTIO_NET_H
#define DEVICES_VIRTIO_NET_H

#include "device.h"
#include "net.h"

extern const struct device_class virtio_net_class;

/* Before it is plugged in.  backend: its network, which outlives the device; NULL: the cable is not plugged in. */
void virtio_net_connect(struct device *device, struct net_backend *backend);

#endif
