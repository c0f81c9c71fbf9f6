/*
 * msi.h - MSI: the interrupt of a PCI function as a message; and messages as MSI-X (msix.h) sends them too.
 *
 * A function with one vector keeps a `struct msi` in its state and calls msi_init() at reset; its address and data are in
 * configuration space alone.
 */
#ifndef DEVICES_MSI_H
#define DEVICES_MSI_H

#include "pci.h"

#define MSI_CAPABILITY_BYTES 14

struct msi {
    struct pci_function *function;
    uint8_t capability; /* where it is in configuration space */
    bool sending;
};

/* Reset state: the capability, off; one vector, an address of 64 bits, no masking. */
void msi_init(struct msi *msi, struct pci_function *function, uint8_t capability);

/* Is it in use instead of INTx#? */
bool msi_enabled(const struct msi *msi);

/* The message, if it is in use and the function may reach memory. */
void msi_send(struct msi *msi);

/*
 * A write of four bytes.  One to 0xfeexxxxx reaches the local APICs; one to anywhere else is DMA, which may come back here by
 * way of a register that it hits: `sending` is set meanwhile, and keeps another from leaving.
 */
void msi_write(struct pci_function *function, uint64_t address, uint32_t data, bool *sending);

/* The message to the local APICs that such a write is (SDM 3A 11.11). */
void msi_deliver(struct irq_bus *bus, uint64_t address, uint32_t data);

#define MSI_FIELDS(m) WIRING(m.function), WIRING(m.capability), SCRATCH(m.sending)

#endif
