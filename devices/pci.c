/*
 * pci.c - PCI bus 0: configuration mechanism 1 at 0xcf8, ECAM, base address registers, INTx# to PIRQ routing.
 *
 * Not modelled: other buses (bridges; type 1 cycles are unclaimed), MSI (MSI-X: msix.c), parity and error reporting.
 * Port 0xcf9, the reset control register, lies inside the address port and so lives here.
 * Manual: PCI Local Bus 3.0 sections 3.2.2.3, 6 and 6.2.5.2; PCI Express Base 3.0 section 7.2.2 (ECAM); Intel ICH9 data sheet
 * (316972) section 13.7.5 (RST_CNT) and 10.1 (which pins reach which PIRQ by default).
 */
#include "pci.h"

#include <string.h>

#define ADDRESS_ENABLE 0x80000000u
#define ADDRESS_MASK 0x80fffffcu
#define ADDRESS_KEPT 0x80ffffffu /* bits 1:0 read as zero */
enum { PORT_ADDRESS = 0, PORT_RESET = 1, PORT_DATA = 4 };
enum { RESET_HARD = 1 << 1, RESET_CPU = 1 << 2, RESET_KEPT = 0x0e };

struct pci {
    uint32_t address;
    uint8_t reset_control;
    struct pci_function *function[256];
    struct irq pin[32][4];       /* INTA#..INTD# of every slot: sinks that count into pirq */
    uint32_t pirq_slots[8][4];   /* per PIRQ and pin, which slots pull it */
    struct pci_wires wires;
};

/* -- a function --------------------------------------------------------------------------------------------------- */

void pci_function_register(struct pci_function *f, unsigned offset, unsigned width, uint32_t value, uint32_t mask)
{
    for (unsigned i = 0; i < width && offset + i < PCI_CONFIG_BYTES; i++) {
        f->config[offset + i] = (uint8_t)(value >> i * 8);
        f->writable[offset + i] = (uint8_t)(mask >> i * 8);
    }
}

uint32_t pci_function_get(const struct pci_function *f, unsigned offset, unsigned width)
{
    uint32_t v = 0;

    for (unsigned i = 0; i < width && offset + i < PCI_CONFIG_BYTES; i++)
        v |= (uint32_t)f->config[offset + i] << i * 8;
    return v;
}

/* Section 6.7. */
void pci_function_capability(struct pci_function *f, uint8_t id, uint8_t offset)
{
    f->config[PCI_STATUS] |= PCI_STATUS_CAPABILITIES;
    f->config[offset] = id;
    f->config[offset + 1] = f->config[PCI_CAPABILITIES];
    f->config[PCI_CAPABILITIES] = offset;
}

bool pci_function_is_master(const struct pci_function *f) { return f->config[PCI_COMMAND] & PCI_COMMAND_MASTER; }

/* Section 6.2.5.1: the bits below the size are wired to zero, which is how software learns the size. */
static void pci_init_bars(struct pci_function *f)
{
    for (unsigned i = 0; i < 6; i++) {
        const struct pci_bar *bar = &f->identity->bar[i];
        unsigned at = PCI_BAR0 + i * 4;
        uint64_t mask = ~(bar->size - 1);

        switch (bar->kind) {
        case PCI_BAR_IO: pci_function_register(f, at, 4, 1, (uint32_t)mask & ~3u); break;
        case PCI_BAR_MEMORY: pci_function_register(f, at, 4, bar->prefetchable ? 8 : 0, (uint32_t)mask & ~15u); break;
        case PCI_BAR_MEMORY64:
            pci_function_register(f, at, 4, bar->prefetchable ? 12 : 4, (uint32_t)mask & ~15u);
            pci_function_register(f, at + 4, 4, 0, (uint32_t)(mask >> 32));
            i++;
            break;
        case PCI_BAR_NONE: break;
        }
    }
}

static void pci_init_rom(struct pci_function *f)
{
    if (f->rom_bytes)
        pci_function_register(f, PCI_ROM, 4, 0, ~(f->rom_bytes - 1) | PCI_ROM_ENABLE);
}

static void pci_update_wire(struct pci_function *f)
{
    bool off = pci_function_get(f, PCI_COMMAND, 2) & PCI_COMMAND_INTX_OFF;

    if (f->interrupt)
        f->config[PCI_STATUS] |= PCI_STATUS_INTERRUPT;
    else
        f->config[PCI_STATUS] &= ~PCI_STATUS_INTERRUPT;
    irq_set(f->wire, f->interrupt && !off);
}

static void pci_place_bar(struct pci_function *f, unsigned i)
{
    const struct pci_bar *bar = &f->identity->bar[i];
    uint16_t command = (uint16_t)pci_function_get(f, PCI_COMMAND, 2);
    uint64_t base = pci_function_get(f, PCI_BAR0 + i * 4, 4);
    bool enabled;

    if (bar->kind == PCI_BAR_IO) {
        base &= 0xfffc;
        enabled = command & PCI_COMMAND_IO;
    } else {
        if (bar->kind == PCI_BAR_MEMORY64)
            base |= (uint64_t)pci_function_get(f, PCI_BAR0 + i * 4 + 4, 4) << 32;
        base &= ~(bar->size - 1);
        enabled = command & PCI_COMMAND_MEMORY;
    }
    /* Address 0 means "not yet given"; a window that wraps or lies beyond any CPU's reach decodes nothing. */
    if (!base || base + bar->size - 1 < base || base + bar->size - 1 > bits_mask(52))
        enabled = false;
    for (unsigned n = bar->first_region; n < bar->first_region + bar->regions && n < f->device->regions; n++)
        region_move(&f->device->region[n], base + f->device->class->region[n].base, enabled);
}

/* Section 6.2.5.2: decoded where both its own bit and the command register's are set. */
static void pci_place_rom(struct pci_function *f)
{
    uint32_t rom = pci_function_get(f, PCI_ROM, 4), base = rom & ~(uint32_t)PCI_ROM_ENABLE;

    if (f->rom_bytes)
        region_move(&f->device->region[f->rom_region], base, base && rom & PCI_ROM_ENABLE && f->config[PCI_COMMAND] & PCI_COMMAND_MEMORY);
}

static void pci_place_bars(struct pci_function *f)
{
    pci_place_rom(f);
    for (unsigned i = 0; i < 6; i++)
        if (f->identity->bar[i].kind != PCI_BAR_NONE)
            pci_place_bar(f, i);
}

void pci_function_rom(struct pci_function *f, struct device *device, unsigned region, size_t bytes)
{
    f->rom_region = region;
    f->rom_bytes = PCI_ROM_LEAST;
    while (f->rom_bytes < bytes)
        f->rom_bytes *= 2;
    region_move(&device->region[region], 0, false);
    device->region[region].size = f->rom_bytes;
}

void pci_function_init(struct pci_function *f, struct device *device, const struct pci_identity *identity)
{
    uint32_t command = PCI_COMMAND_MEMORY | PCI_COMMAND_IO | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_OFF | 0x140;

    f->identity = identity;
    f->device = device;
    f->interrupt = false;
    memset(f->config, 0, sizeof(f->config));
    memset(f->writable, 0, sizeof(f->writable));
    memset(f->write_clears, 0, sizeof(f->write_clears));
    pci_function_register(f, PCI_VENDOR, 4, identity->vendor | (uint32_t)identity->device << 16, 0);
    pci_function_register(f, PCI_COMMAND, 2, 0, command);
    pci_function_register(f, PCI_REVISION, 4, identity->revision | identity->class_code << 8, 0);
    pci_function_register(f, 0x0c, 2, 0, 0xffff); /* cache line size, latency timer */
    pci_function_register(f, PCI_HEADER_TYPE, 1, identity->header_type, 0);
    pci_function_register(f, PCI_SUBSYSTEM_VENDOR, 4, identity->subsystem_vendor | (uint32_t)identity->subsystem << 16,
                          0);
    pci_function_register(f, PCI_INTERRUPT_LINE, 2, (uint32_t)identity->pin << 8, identity->pin ? 0xff : 0);
    pci_init_bars(f);
    pci_init_rom(f);
    pci_place_bars(f);
    pci_update_wire(f);
}

void pci_function_restored(struct pci_function *f) { pci_place_bars(f); }

void pci_function_interrupt(struct pci_function *f, bool level)
{
    f->interrupt = level;
    pci_update_wire(f);
}

static void pci_function_write(struct pci_function *f, unsigned offset, unsigned width, uint32_t value)
{
    for (unsigned i = 0; i < width; i++) {
        uint8_t *at = &f->config[offset + i], v = (uint8_t)(value >> i * 8);

        *at = (*at & ~f->writable[offset + i]) | (v & f->writable[offset + i]);
        *at &= ~(v & f->write_clears[offset + i]);
    }
    if (offset < PCI_ROM + 4) {
        pci_place_bars(f);
        pci_update_wire(f);
    }
    if (f->written)
        f->written(f->device, offset, width);
}

/* -- the bus ------------------------------------------------------------------------------------------------------ */

static uint32_t pci_read_config(struct pci *p, uint32_t bus, uint32_t devfn, unsigned offset, unsigned width)
{
    struct pci_function *f = bus ? NULL : p->function[devfn & 0xff];

    if (!f || (offset >= PCI_CONFIG_BYTES && !f->identity->express))
        return (uint32_t)bits_mask(width * 8); /* master abort */
    if (f->reading && offset < PCI_CONFIG_BYTES)
        f->reading(f->device, offset, width);
    return offset >= PCI_CONFIG_BYTES ? 0 : pci_function_get(f, offset, width);
}

static void pci_write_config(struct pci *p, uint32_t bus, uint32_t devfn, unsigned offset, unsigned width,
                             uint32_t value)
{
    struct pci_function *f = bus ? NULL : p->function[devfn & 0xff];

    if (f && offset + width <= PCI_CONFIG_BYTES)
        pci_function_write(f, offset, width, value);
}

/*
 * Which bytes of the dword an access to the data port means, its lower address bits say.  Programs that were tried on other virtual
 * machines alone leave the word or byte in bits 1:0 of the address register instead, which are to be 0 (section 3.2.2.3.2).
 */
static unsigned pci_register(const struct pci *p, unsigned offset, unsigned width)
{
    unsigned at = (p->address & 0xff) | (offset & 3);

    return at % width ? (p->address & 0xfc) + (offset & 3) : at;
}

static uint64_t pci_read_port(void *state, uint64_t offset, unsigned width)
{
    struct pci *p = state;

    if (offset == PORT_ADDRESS && width == 4)
        return p->address & ADDRESS_MASK;
    if (offset == PORT_RESET && width == 1)
        return p->reset_control;
    if (offset < PORT_DATA || !(p->address & ADDRESS_ENABLE))
        return bits_mask(width * 8); /* an ordinary port access, which nobody claims */
    return pci_read_config(p, p->address >> 16 & 0xff, p->address >> 8 & 0xff, pci_register(p, (unsigned)offset, width), width);
}

/* Bit 2 rising resets; hard and soft are the same to us. */
static void pci_write_reset(struct pci *p, uint8_t v)
{
    bool rise = v & ~p->reset_control & RESET_CPU;

    p->reset_control = v & RESET_KEPT;
    if (rise)
        irq_pulse(&p->wires.reset);
}

static void pci_write_port(void *state, uint64_t offset, unsigned width, uint64_t value)
{
    struct pci *p = state;

    if (offset == PORT_ADDRESS && width == 4)
        p->address = (uint32_t)value & ADDRESS_KEPT;
    else if (offset == PORT_RESET && width == 1)
        pci_write_reset(p, (uint8_t)value);
    else if (offset >= PORT_DATA && p->address & ADDRESS_ENABLE)
        pci_write_config(p, p->address >> 16 & 0xff, p->address >> 8 & 0xff, pci_register(p, (unsigned)offset, width),
                         width, (uint32_t)value);
}

/* ECAM: bus 27:20, device and function 19:12, register 11:0. */
static uint64_t pci_read_ecam(void *state, uint64_t offset, unsigned width)
{
    return pci_read_config(state, offset >> 20 & 0xff, offset >> 12 & 0xff, offset & 0xfff, width);
}

static void pci_write_ecam(void *state, uint64_t offset, unsigned width, uint64_t value)
{
    pci_write_config(state, offset >> 20 & 0xff, offset >> 12 & 0xff, offset & 0xfff, width, (uint32_t)value);
}

/*
 * Slots 0..24 rotate over PIRQE..H by slot and pin, slots 25..31 use PIRQA..D by pin alone: the power-on values of the
 * ICH9's interrupt route registers, and what SeaBIOS and its ACPI tables take for granted on a Q35.
 */
static unsigned pci_pirq(unsigned slot, unsigned pin) { return slot <= 24 ? 4 + ((slot + pin) & 3) : pin; }

static void pci_set_pin(void *opaque, int line, bool level)
{
    struct pci *p = opaque;
    unsigned slot = (unsigned)line >> 2, pin = line & 3, n = pci_pirq(slot, pin);
    uint32_t all = 0;

    if (level)
        p->pirq_slots[n][pin] |= 1u << slot;
    else
        p->pirq_slots[n][pin] &= ~(1u << slot);
    for (unsigned i = 0; i < 4; i++)
        all |= p->pirq_slots[n][i];
    irq_set(&p->wires.pirq[n], all != 0);
}

void pci_add(struct device *bus, struct pci_function *f, uint8_t devfn)
{
    struct pci *p = bus->state;
    uint8_t pin = f->identity->pin;

    p->function[devfn] = f;
    f->devfn = devfn;
    f->wire = pin ? &p->pin[devfn >> 3][(pin - 1) & 3] : NULL;
    pci_update_wire(f);
}

const struct pci_function *pci_function_at(const struct device *bus, uint8_t devfn)
{
    return ((const struct pci *)bus->state)->function[devfn];
}

void pci_connect(struct device *bus, const struct pci_wires *wires)
{
    struct pci *p = bus->state;

    p->wires = *wires;
}

void pci_place_ecam(struct device *bus, uint64_t base, uint64_t size, bool enabled)
{
    struct region *ecam = &bus->region[1];

    if (ecam->size != size) {
        region_move(ecam, ecam->base, false);
        ecam->size = size;
    }
    region_move(ecam, base, enabled);
}

static void pci_reset(struct device *device)
{
    struct pci *p = device->state;

    p->address = 0;
    p->reset_control = 0;
    region_move(&device->region[1], device->region[1].base, false);
}

static void pci_create(struct device *device)
{
    struct pci *p = device->state;

    for (unsigned slot = 0; slot < 32; slot++)
        for (unsigned pin = 0; pin < 4; pin++)
            p->pin[slot][pin] = (struct irq){ .set = pci_set_pin, .opaque = p, .line = (int)(slot << 2 | pin) };
}

static const struct region_ops pci_port_ops = {
    .read = pci_read_port, .write = pci_write_port, .limits = { .widths = W1 | W2 | W4 },
};
static const struct region_ops pci_ecam_ops = {
    .read = pci_read_ecam, .write = pci_write_ecam, .limits = { .widths = W1 | W2 | W4 },
};

#define STATE struct pci
FIELDS(pci_fields, FIELD(address), FIELD_MAX(reset_control, RESET_KEPT), WIRING(function), FIELD_GRID_IRQ(pin), FIELD_GRID(pirq_slots),
       FIELD_IRQ(wires.reset), FIELD_EACH_IRQ(wires.pirq))
#undef STATE

const struct device_class pci_class = {
    .name = "pci",
    .title = "PCI bus 0: ports 0xcf8..0xcff and ECAM (PCI 3.0, PCI Express 3.0)",
    .state_size = sizeof(struct pci),
    .region = {
        { REGION_PIO, 0xcf8, 8, &pci_port_ops, false },
        { REGION_MMIO, 0xb0000000, MIB(256), &pci_ecam_ops, true },
    },
    .create = pci_create,
    .reset = pci_reset,
    .fields = &pci_fields,
};
