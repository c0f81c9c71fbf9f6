/* i8042.h - the wires of i8042.c. */
#ifndef DEVICES_I8042_H
#define DEVICES_I8042_H

#include "device.h"

extern const struct device_class i8042_class;

struct i8042_wires {
    struct irq keyboard;  /* IRQ1 */
    struct irq auxiliary; /* IRQ12 */
    struct irq a20;       /* level: may address bit 20 be one? */
    struct irq reset;     /* pulsed: INIT or reset of the CPU is asked for */
};

void i8042_connect(struct device *device, const struct i8042_wires *wires);

/* Key codes of set 2 as a keyboard sends them (make; F0 make).  Returns how many its queue took. */
size_t i8042_type(struct device *device, const uint8_t *codes, size_t size);

#endif
