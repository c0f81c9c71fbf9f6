/*
 * pci.h - bus 0 of PCI: what a function is, and the host bridge's two ways to its configuration space.
 *
 * A device that is a PCI function keeps a `struct pci_function` in its state, fills it with pci_function_init() at
 * reset, and is plugged in once with pci_add().  The bus then moves its regions as BARs are written.
 */
#ifndef DEVICES_PCI_H
#define DEVICES_PCI_H

#include "device.h"

extern const struct device_class pci_class;

#define PCI_CONFIG_BYTES 256
#define PCI_DEVFN(slot, function) ((slot) << 3 | (function))

enum { /* PCI 3.0 section 6.1, offsets of the type 0 header */
    PCI_VENDOR = 0x00, PCI_DEVICE = 0x02, PCI_COMMAND = 0x04, PCI_STATUS = 0x06, PCI_REVISION = 0x08, PCI_CLASS = 0x09,
    PCI_HEADER_TYPE = 0x0e, PCI_BAR0 = 0x10, PCI_SUBSYSTEM_VENDOR = 0x2c, PCI_SUBSYSTEM = 0x2e, PCI_ROM = 0x30,
    PCI_CAPABILITIES = 0x34, PCI_INTERRUPT_LINE = 0x3c, PCI_INTERRUPT_PIN = 0x3d,
};
/* Capability IDs, PCI 3.0 appendix H. */
enum { PCI_CAPABILITY_MSI = 0x05, PCI_CAPABILITY_VENDOR = 0x09, PCI_CAPABILITY_EXPRESS = 0x10, PCI_CAPABILITY_MSIX = 0x11 };
enum { PCI_COMMAND_IO = 1, PCI_COMMAND_MEMORY = 2, PCI_COMMAND_MASTER = 4, PCI_COMMAND_INTX_OFF = 1 << 10 };
enum { PCI_STATUS_INTERRUPT = 1 << 3, PCI_STATUS_CAPABILITIES = 1 << 4 };

enum { PCI_ROM_ENABLE = 1, PCI_ROM_LEAST = 2048 };

enum pci_bar_kind { PCI_BAR_NONE, PCI_BAR_IO, PCI_BAR_MEMORY, PCI_BAR_MEMORY64 };

/* A BAR decodes `count` regions of its device, at their class's base as an offset. */
struct pci_bar {
    enum pci_bar_kind kind;
    bool prefetchable;
    uint64_t size; /* power of two, at least 16 */
    unsigned first_region, regions;
};

struct pci_identity {
    uint16_t vendor, device, subsystem_vendor, subsystem;
    uint32_t class_code; /* 24 bits: base, sub, interface */
    uint8_t revision, header_type, pin; /* pin 0: none, 1: INTA# */
    bool express;        /* has an extended configuration space (empty) behind byte 256 */
    struct pci_bar bar[6];
};

struct pci_function {
    const struct pci_identity *identity;
    struct device *device;
    uint8_t devfn;
    uint8_t config[PCI_CONFIG_BYTES];
    uint8_t writable[PCI_CONFIG_BYTES];    /* bits a guest may change */
    uint8_t write_clears[PCI_CONFIG_BYTES];/* bits a guest clears by writing one */
    bool interrupt;                        /* what the function asks for */
    uint32_t rom_bytes;                    /* of the expansion ROM's window: a power of two; 0: there is none */
    unsigned rom_region;                   /* ... of the device */
    struct irq *wire;                      /* its INTx#, set when plugged in */
    /* Told after a write has been stored; may be NULL. */
    void (*written)(struct device *device, unsigned offset, unsigned width);
    /* Told before a read is answered, so that it can put the answer into `config`; may be NULL. */
    void (*reading)(struct device *device, unsigned offset, unsigned width);
};

/* Reset state: identity, zeroed rest, standard bits writable.  The owner then adds its own. */
void pci_function_init(struct pci_function *function, struct device *device, const struct pci_identity *identity);

/* Gives `mask`'s bits at `offset` (little endian, `width` bytes) to the guest; with a value to begin with. */
void pci_function_register(struct pci_function *function, unsigned offset, unsigned width, uint32_t value,
                           uint32_t mask);

/* Puts a capability at `offset` (a multiple of 4, 0x40 or more) at the head of the list; its body is the owner's. */
void pci_function_capability(struct pci_function *function, uint8_t id, uint8_t offset);

uint32_t pci_function_get(const struct pci_function *function, unsigned offset, unsigned width);

/* May it reach memory?  DMA and messages need the bus master bit. */
bool pci_function_is_master(const struct pci_function *function);

/*
 * An expansion ROM (PCI 3.0 section 6.2.5.2), from the next pci_function_init() on: `region` of the device, of which `bytes` are the
 * ROM's; up to 16 MiB.
 */
void pci_function_rom(struct pci_function *function, struct device *device, unsigned region, size_t bytes);

/* The level of INTx#. */
void pci_function_interrupt(struct pci_function *function, bool level);

/* Rows of a device's fields for the function in it; pci_function_restored() puts regions where the loaded BARs say. */
#define PCI_FUNCTION_FIELDS(f)                                                                                         \
    WIRING(f.identity), WIRING(f.device), WIRING(f.devfn), WIRING(f.rom_bytes), WIRING(f.rom_region),                \
        FIELD_ARRAY(f.config), FIELD_ARRAY(f.writable), FIELD_ARRAY(f.write_clears), FIELD(f.interrupt), WIRING(f.wire), WIRING(f.written), WIRING(f.reading)
void pci_function_restored(struct pci_function *function);

/* What is plugged in there, or NULL. */
const struct pci_function *pci_function_at(const struct device *bus, uint8_t devfn);

/* Plugs a function in. */
void pci_add(struct device *bus, struct pci_function *function, uint8_t devfn);

struct pci_wires {
    struct irq reset;    /* pulsed by port 0xcf9 */
    struct irq pirq[8];  /* PIRQA..PIRQH */
};

void pci_connect(struct device *bus, const struct pci_wires *wires);

/* The memory-mapped configuration space, as PCIEXBAR says. */
void pci_place_ecam(struct device *bus, uint64_t base, uint64_t size, bool enabled);

#endif
