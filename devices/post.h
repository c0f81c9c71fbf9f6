/* post.h - the last POST code. */
#ifndef DEVICES_POST_H
#define DEVICES_POST_H

#include "device.h"

extern const struct device_class post_class;

uint8_t post_code(const struct device *device);

#endif
