/*
 * iommu.h - the IOMMU's ways in: memory and interrupts of the functions behind it.
 */
#ifndef DEVICES_IOMMU_H
#define DEVICES_IOMMU_H

#include "device.h"

extern const struct device_class iommu_class;

#define IOMMU_BASE UINT64_C(0xfed90000)

/* How the function at devfn of bus 0 reaches memory. */
struct dma *iommu_dma(struct device *device, uint8_t devfn);

/* A message to 0xfeexxxxx on its way to the local APICs, of this source (irq.h). */
void iommu_message(struct device *device, uint16_t source, uint64_t address, uint32_t data);

#endif
