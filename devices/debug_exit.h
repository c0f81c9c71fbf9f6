/* debug_exit.h - who is told that the guest is done. */
#ifndef DEVICES_DEBUG_EXIT_H
#define DEVICES_DEBUG_EXIT_H

#include "device.h"

extern const struct device_class debug_exit_class;

void debug_exit_connect(struct device *device, void (*exited)(void *opaque, uint32_t value), void *opaque);

#endif
