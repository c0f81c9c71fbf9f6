/* ahci.h - a SATA controller with drives: AHCI over PCI. */
#ifndef DEVICES_AHCI_H
#define DEVICES_AHCI_H

#include "block.h"
#include "device.h"

extern const struct device_class ahci_class;

enum { AHCI_PORTS = 6, AHCI_BAR = 5, AHCI_BAR_BYTES = 4096 };

/* A drive on the next port: a disk, or a CD-ROM drive with this medium.  backend outlives the device. */
struct ahci_drive {
    struct block_backend *backend;
    bool cdrom;
};

/* Plugs the controller in, with so many drives on its first ports. */
void ahci_connect(struct device *device, struct device *pci, uint8_t devfn, const struct ahci_drive *drive, unsigned drives);

#endif
