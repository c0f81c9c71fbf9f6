/* pit.h - the wires of pit.c. */
#ifndef DEVICES_PIT_H
#define DEVICES_PIT_H

#include "device.h"

extern const struct device_class pit_class;

#define PIT_HZ 1193182u

/* Where OUT of counter 0 goes (IRQ0). */
void pit_connect(struct device *device, struct irq interrupt);

/* Its edges. */
const struct clock_timer *pit_timer(const struct device *device);

#endif
