/* devices.c - the list of device classes, from devices.def. */
#include "devices.h"

#define DEVICE(name) extern const struct device_class name##_class;
#include "devices.def"
#undef DEVICE

const struct device_class *const device_classes[] = {
#define DEVICE(name) &name##_class,
#include "devices.def"
#undef DEVICE
    NULL,
};
