/* testdev.h - the lines that the test device pulls. */
#ifndef DEVICES_TESTDEV_H
#define DEVICES_TESTDEV_H

#include "device.h"

extern const struct device_class testdev_class;

#define TESTDEV_LINES 24

void testdev_connect(struct device *device, unsigned line, struct irq irq);

#endif
