/* ioapic.h - the wires of ioapic.c. */
#ifndef DEVICES_IOAPIC_H
#define DEVICES_IOAPIC_H

#include "device.h"

extern const struct device_class ioapic_class;

#define IOAPIC_PINS 24

/* A sink for INTIN 0..23; its level is "asserted", whatever polarity the guest programs. */
struct irq ioapic_input(struct device *device, unsigned pin);

bool ioapic_is_masked(const struct device *device, unsigned pin);

/* Does an input give an NMI or INIT#, which no CPU can refuse? */
bool ioapic_has_unmaskable(const struct device *device);

/* A local APIC has broadcast the end of a level-triggered interrupt. */
void ioapic_eoi(struct device *device, uint8_t vector);

#endif
