/* mch.h - the wires of mch.c. */
#ifndef DEVICES_MCH_H
#define DEVICES_MCH_H

#include "pci.h"
#include "shadow.h"

extern const struct device_class mch_class;

/* Plugs it in as 00:00.0 and says who lays ROM and RAM below 1 MiB over each other; told at once and at reset. */
void mch_connect(struct device *device, struct device *pci, const struct shadow_sink *shadow);

#endif
