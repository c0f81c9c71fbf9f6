/*
 * virtio_pci.h - the transport of virtio devices over PCI, modern alone.
 *
 * A device has a `struct virtio_pci` first in its state, its regions from VIRTIO_PCI_REGIONS, its identity from
 * VIRTIO_PCI_IDENTITY, and the three functions below as or in its class's create, reset and restored.
 * Manual: VIRTIO 1.2 section 4.1.
 */
#ifndef DEVICES_VIRTIO_PCI_H
#define DEVICES_VIRTIO_PCI_H

#include "msix.h"
#include "virtio.h"

struct virtio_pci {
    struct virtio virtio; /* first, so that it can be cast back */
    struct pci_function function;
    struct msix msix;
    uint16_t vector[VIRTIO_QUEUES], config_vector;
    uint16_t queue;                            /* that the queue registers are about */
    uint32_t device_feature, driver_feature;   /* which half of the features is shown */
    uint8_t isr;
};

enum { /* places in BAR 0; each its own region */
    VIRTIO_PCI_COMMON = 0x0000, VIRTIO_PCI_ISR = 0x1000, VIRTIO_PCI_DEVICE = 0x2000, VIRTIO_PCI_NOTIFY = 0x3000,
    VIRTIO_PCI_TABLE = 0x4000, VIRTIO_PCI_PENDING = 0x5000, VIRTIO_PCI_BAR_BYTES = 0x8000,
};
enum { VIRTIO_PCI_COMMON_BYTES = 0x40, VIRTIO_PCI_NOTIFY_STEP = 4 };

extern const struct region_ops virtio_pci_common_ops, virtio_pci_isr_ops, virtio_pci_device_ops, virtio_pci_notify_ops;

#define VIRTIO_PCI_REGIONS                                                                                             \
    { REGION_MMIO, VIRTIO_PCI_COMMON, VIRTIO_PCI_COMMON_BYTES, &virtio_pci_common_ops, true },                         \
    { REGION_MMIO, VIRTIO_PCI_ISR, 4, &virtio_pci_isr_ops, true },                                                     \
    { REGION_MMIO, VIRTIO_PCI_DEVICE, VIRTIO_CONFIG_BYTES, &virtio_pci_device_ops, true },                             \
    { REGION_MMIO, VIRTIO_PCI_NOTIFY, VIRTIO_QUEUES * VIRTIO_PCI_NOTIFY_STEP, &virtio_pci_notify_ops, true },          \
    { REGION_MMIO, VIRTIO_PCI_TABLE, MSIX_TABLE_BYTES, &msix_table_ops, true },                                        \
    { REGION_MMIO, VIRTIO_PCI_PENDING, MSIX_PBA_BYTES, &msix_pba_ops, true }

/* Sections 4.1.2.1, 4.1.2.2: IDs of a device that is not transitional; class as PCI has it. */
#define VIRTIO_PCI_IDENTITY(id, class)                                                                                 \
    { .vendor = 0x1af4, .device = 0x1040 + (id), .revision = 1, .class_code = (class), .pin = 1,                       \
      .subsystem_vendor = 0x1af4, .subsystem = 0x1100,                                                                 \
      .bar[0] = { .kind = PCI_BAR_MEMORY64, .size = VIRTIO_PCI_BAR_BYTES, .first_region = 0, .regions = 6 } }

/* In `create`, `reset` (which resets the virtio device too), and `restored`. */
void virtio_pci_create(struct device *device, const struct virtio_kind *kind);
void virtio_pci_reset(struct device *device, const struct pci_identity *identity);
bool virtio_pci_restored(struct device *device, struct err *err);

/* Plugs it in. */
void virtio_pci_connect(struct device *device, struct device *pci, uint8_t devfn);

#define VIRTIO_PCI_FIELDS(p)                                                                                           \
    VIRTIO_FIELDS(p.virtio), PCI_FUNCTION_FIELDS(p.function), MSIX_FIELDS(p.msix), FIELD_ARRAY(p.vector),              \
        FIELD(p.config_vector), FIELD(p.queue), FIELD(p.device_feature), FIELD(p.driver_feature), FIELD_MAX(p.isr, 3)

#endif
