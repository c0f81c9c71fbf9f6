/* pic.h - the wires of pic.c. */
#ifndef DEVICES_PIC_H
#define DEVICES_PIC_H

#include "device.h"

extern const struct device_class pic_class;

/* Where INT of the master goes. */
void pic_connect(struct device *device, struct irq interrupt);

/* A sink for IR input 0..15 (2 is the cascade and does nothing). */
struct irq pic_input(struct device *device, unsigned line);

bool pic_is_masked(const struct device *device, unsigned line);

/* INTA: the vector of the highest request, now in service.  With none left it is IR7 of the chip that was asked. */
uint8_t pic_acknowledge(struct device *device);

#endif
