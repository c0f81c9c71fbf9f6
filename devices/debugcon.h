/* debugcon.h - where the debug console's bytes go. */
#ifndef DEVICES_DEBUGCON_H
#define DEVICES_DEBUGCON_H

#include "device.h"

extern const struct device_class debugcon_class;

void debugcon_connect(struct device *device, struct char_backend *backend);

#endif
