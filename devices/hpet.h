/* hpet.h - the wires of hpet.c. */
#ifndef DEVICES_HPET_H
#define DEVICES_HPET_H

#include "device.h"

extern const struct device_class hpet_class;

#define HPET_PERIOD_FS 69841279u /* 14.31818 MHz */

/* Timer interrupts that are routed to an I/O APIC input, by number. */
void hpet_connect_route(struct device *device, unsigned input, struct irq irq);

/*
 * IRQ0 and IRQ8 pass through here: in legacy replacement mode timers 0 and 1 drive them, else the PIT (0) and the
 * RTC (1), whose outputs belong in the sinks of hpet_legacy_input().
 */
void hpet_connect_legacy(struct device *device, unsigned which, struct irq irq);
struct irq hpet_legacy_input(struct device *device, unsigned which);

#endif
