/*
 * msi.c - MSI: the capability, and messages.
 *
 * Not modelled: more than one vector, masking by vector, destination IDs of more than 8 bits.
 * Manual: PCI Local Bus 3.0 section 6.8.1; what a message to the APICs says: Intel SDM 3A section 11.11.
 */
#include "msi.h"

enum { CONTROL = 2, ADDRESS = 4, ADDRESS_HIGH = 8, DATA = 12 };
enum { CONTROL_ENABLE = 1 << 0, CONTROL_64 = 1 << 7, RESERVED_DELIVERY = 3, APIC_PAGE = 0xfee };

/* SDM 3A 11.11.1: destination in 19:12, redirection hint 3, logical 2.  11.11.2: vector, delivery 10:8, assert 14, level 15. */
void msi_deliver(struct irq_bus *bus, uint64_t address, uint32_t data)
{
    struct irq_message message = {
        .destination = address >> 12 & 0xff, .logical = address & 4, .level = data >> 15 & 1,
        .assert = !(data >> 15 & 1) || data >> 14 & 1, .delivery = (enum irq_delivery)(data >> 8 & 7), .vector = (uint8_t)data,
    };

    if ((data >> 8 & 7) != RESERVED_DELIVERY && bus && bus->deliver)
        bus->deliver(bus, &message);
}

void msi_write(struct pci_function *f, uint64_t address, uint32_t data, bool *sending)
{
    struct device_host *host = &f->device->host;

    if (address >> 20 == APIC_PAGE) {
        if (host->irq_bus && host->irq_bus->remap)
            host->irq_bus->remap(host->irq_bus, f->devfn, address, data);
        else
            msi_deliver(host->irq_bus, address, data);
    } else if (!*sending && host->dma) {
        *sending = true;
        host->dma->write(host->dma, address, &data, sizeof(data));
        *sending = false;
    }
}

bool msi_enabled(const struct msi *m) { return pci_function_get(m->function, m->capability + CONTROL, 2) & CONTROL_ENABLE; }

void msi_send(struct msi *m)
{
    const struct pci_function *f = m->function;
    uint64_t address = pci_function_get(f, m->capability + ADDRESS, 4) | (uint64_t)pci_function_get(f, m->capability + ADDRESS_HIGH, 4) << 32;

    if (msi_enabled(m) && pci_function_is_master(f))
        msi_write(m->function, address, pci_function_get(f, m->capability + DATA, 2), &m->sending);
}

void msi_init(struct msi *m, struct pci_function *f, uint8_t capability)
{
    m->function = f;
    m->capability = capability;
    pci_function_capability(f, PCI_CAPABILITY_MSI, capability);
    pci_function_register(f, capability + CONTROL, 2, CONTROL_64, CONTROL_ENABLE);
    pci_function_register(f, capability + ADDRESS, 4, 0, ~3u);
    pci_function_register(f, capability + ADDRESS_HIGH, 4, 0, UINT32_MAX);
    pci_function_register(f, capability + DATA, 2, 0, 0xffff);
}
