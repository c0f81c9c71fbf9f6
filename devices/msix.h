/*
 * msix.h - MSI-X: interrupts of a PCI function as messages, a vector each.
 *
 * A function keeps a `struct msix` in its state, calls msix_init() at reset and msix_written() from its `written`, and
 * places two of its regions with msix_table_ops and msix_pba_ops (their state is the struct) in a BAR.
 */
#ifndef DEVICES_MSIX_H
#define DEVICES_MSIX_H

#include "pci.h"

#define MSIX_VECTORS 16
#define MSIX_TABLE_BYTES (MSIX_VECTORS * 16)
#define MSIX_PBA_BYTES 8
#define MSIX_CAPABILITY_BYTES 12

struct msix_vector {
    uint64_t address;
    uint32_t data, control; /* control bit 0: masked */
};

struct msix {
    struct pci_function *function;
    uint8_t capability; /* where it is in configuration space */
    uint8_t vectors;    /* 1..MSIX_VECTORS */
    bool sending;
    struct msix_vector vector[MSIX_VECTORS];
    uint64_t pending;   /* a bit each */
};

struct msix_place {
    uint8_t capability, vectors;
    uint8_t bar;              /* of both, and their offsets in it: multiples of 8 */
    uint32_t table, pending;
};

/* Reset state: the capability, all vectors masked, nothing pending. */
void msix_init(struct msix *msix, struct pci_function *function, const struct msix_place *place);

/* After a write to configuration space. */
void msix_written(struct msix *msix);

/* Is it in use instead of INTx#? */
bool msix_enabled(const struct msix *msix);

/* A message, or a pending bit where the vector or the function is masked.  Vectors that are not there send nothing. */
void msix_send(struct msix *msix, unsigned vector);

extern const struct region_ops msix_table_ops, msix_pba_ops;

#define MSIX_FIELDS(m)                                                                                                 \
    WIRING(m.function), WIRING(m.capability), WIRING(m.vectors), SCRATCH(m.sending), FIELD_EACH(m.vector, address),    \
        FIELD_EACH(m.vector, data), FIELD_EACH(m.vector, control), FIELD(m.pending)

#endif
