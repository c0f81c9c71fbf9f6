/* pvpanic.h - who is told that the guest has panicked. */
#ifndef DEVICES_PVPANIC_H
#define DEVICES_PVPANIC_H

#include "device.h"

extern const struct device_class pvpanic_class;

#define PVPANIC_PORT 0x505

void pvpanic_connect(struct device *device, void (*panicked)(void *opaque), void *opaque);

#endif
