/* devices.h - all device classes there are, for `list devices`. */
#ifndef DEVICES_DEVICES_H
#define DEVICES_DEVICES_H

#include "device.h"

extern const struct device_class *const device_classes[]; /* NULL-terminated */

#endif
