/* lpc.h - the wires of lpc.c. */
#ifndef DEVICES_LPC_H
#define DEVICES_LPC_H

#include "pci.h"

extern const struct device_class lpc_class;

struct lpc_wires {
    struct irq isa[16];   /* PIC inputs that a PIRQ or the SCI may be routed to */
    struct irq gsi[24];   /* I/O APIC inputs: PIRQA..H are 16..23; the SCI is where SCI_IRQ_SEL says */
    struct device *acpi_pm; /* follows PMBASE */
};

/* Plugs it in as 00:1f.0. */
void lpc_connect(struct device *device, struct device *pci, const struct lpc_wires *wires);

struct irq lpc_pirq(struct device *device, unsigned n); /* PIRQA is 0 */
struct irq lpc_sci(struct device *device);

#endif
