/* acpi_pm.h - the wires of acpi_pm.c. */
#ifndef DEVICES_ACPI_PM_H
#define DEVICES_ACPI_PM_H

#include "device.h"

extern const struct device_class acpi_pm_class;

#define ACPI_PM_TIMER_HZ 3579545u

struct acpi_pm_wires {
    struct irq sci;
    struct irq power_off; /* pulsed: soft-off was entered */
    struct irq sleep;     /* ... suspend to RAM */
    struct irq wake;      /* ... and is to end: a reset comes, in which the status stays */
};

void acpi_pm_connect(struct device *device, const struct acpi_pm_wires *wires);

/* PMBASE of the LPC bridge. */
void acpi_pm_place(struct device *device, uint16_t base, bool enabled);

/* A sink for the real-time clock's interrupt. */
struct irq acpi_pm_rtc(struct device *device);

void acpi_pm_press_power_button(struct device *device);

#endif
