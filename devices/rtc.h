/* rtc.h - the wires of rtc.c. */
#ifndef DEVICES_RTC_H
#define DEVICES_RTC_H

#include "device.h"

extern const struct device_class rtc_class;

/* Where IRQ goes (IRQ8, active high here). */
void rtc_connect(struct device *device, struct irq interrupt);

/* Sets the calendar, in seconds since 1970-01-01 00:00 UTC. */
void rtc_set_time(struct device *device, int64_t unix_seconds);

/* The battery-backed bytes 0x0e..0xff, as firmware left them; 0x80 and up are the bank behind ports 0x72 and 0x73. */
void rtc_set_cmos(struct device *device, uint8_t address, uint8_t value);
uint8_t rtc_get_cmos(struct device *device, uint8_t address);

#endif
