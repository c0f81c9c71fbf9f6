/* apic.h - local APICs as MSRs, as a sink of messages, and between the PIC and a CPU's pins. */
#ifndef DEVICES_APIC_H
#define DEVICES_APIC_H

#include "device.h"

extern const struct device_class apic_class;

#define APIC_CPUS 16
#define APIC_TIMER_HZ 1000000000u /* before the divide configuration register */

/* Plugs a CPU in, with its index as APIC ID; 0 is the bootstrap processor.  Sets pins->acknowledge and resets it. */
void apic_connect_cpu(struct device *device, unsigned cpu, struct cpu_pins *pins);

/* The 8259A side of LINT0: who answers INTA, and a sink for its INT output. */
void apic_connect_pic(struct device *device, uint8_t (*acknowledge)(struct device *pic), struct device *pic);
struct irq apic_lint0(struct device *device);
bool apic_lint0_is_nmi(const struct device *device);

/* A message from the system bus. */
void apic_deliver(struct device *device, const struct irq_message *message);

/* IA32_APIC_BASE and 0x800..0x8ff; false means #GP(0). */
bool apic_msr_read(struct device *device, unsigned cpu, uint32_t msr, uint64_t *value);
bool apic_msr_write(struct device *device, unsigned cpu, uint32_t msr, uint64_t value);

/* CR8 is the task priority's high nibble. */
uint8_t apic_get_tpr(struct device *device, unsigned cpu);
void apic_set_tpr(struct device *device, unsigned cpu, uint8_t tpr);

#endif
