/* uart.h - the wires of uart.c. */
#ifndef DEVICES_UART_H
#define DEVICES_UART_H

#include "device.h"

extern const struct device_class uart_class;

void uart_connect(struct device *device, struct irq interrupt, struct char_backend *backend);

/* The class stands at COM1, port 0x3f8; this moves it. */
void uart_place(struct device *device, uint16_t port);

#endif
