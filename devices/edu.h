/* edu.h - the wiring of edu.c. */
#ifndef DEVICES_EDU_H
#define DEVICES_EDU_H

#include "pci.h"

extern const struct device_class edu_class;

void edu_connect(struct device *device, struct device *pci, uint8_t devfn);

#endif
