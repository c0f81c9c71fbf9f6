/*
 * lpc.c - the LPC bridge of an ICH9: PMBASE, SCI routing and the PIRQ router.
 *
 * Not modelled: LPC decode ranges (devices are where the board puts them; the registers are storage), GPIO, RCBA's
 * memory-mapped registers (RCBA is storage and nothing answers there), serial IRQ framing, flash protection.
 * Manual: Intel ICH9 data sheet (316972) section 13.1, "PCI Configuration Registers (LPC I/F, D31:F0)".
 */
#include "lpc.h"

#include "acpi_pm.h"

enum { PMBASE = 0x40, ACPI_CNTL = 0x44, GPIOBASE = 0x48, GPIO_CNTL = 0x4c, PIRQA = 0x60, SIRQ_CNTL = 0x64, PIRQE = 0x68,
       LPC_IO_DEC = 0x80, LPC_EN = 0x82, GEN1_DEC = 0x84, GEN_PMCON_1 = 0xa0, FWH_SEL = 0xd0, BIOS_CNTL = 0xdc,
       RCBA = 0xf0 };
enum { PIRQ_OFF = 0x80, ACPI_ON = 0x80 };

struct lpc {
    struct pci_function function;
    struct lpc_wires wires;
    bool pirq[8], sci;
};

static const struct pci_identity lpc_identity = {
    .vendor = 0x8086, .device = 0x2918, .revision = 2, .class_code = 0x060100, .header_type = 0x80,
    .subsystem_vendor = 0x1af4, .subsystem = 0x1100,
};

/* SCI_IRQ_SEL (ACPI_CNTL bits 2:0): IRQ 9, 10, 11, or I/O APIC inputs 20, 21; others are reserved. */
static unsigned lpc_sci_line(const struct lpc *l)
{
    static const uint8_t line[8] = { 9, 10, 11, 9, 20, 21, 9, 9 };

    return line[l->function.config[ACPI_CNTL] & 7];
}

/* All outputs from all inputs; a PIRQ routed to an ISA interrupt still reaches its I/O APIC input. */
static void lpc_update(struct lpc *l)
{
    uint32_t isa = 0, gsi = 0;

    for (unsigned n = 0; n < 8; n++) {
        uint8_t route = l->function.config[n < 4 ? PIRQA + n : PIRQE + n - 4];

        if (!l->pirq[n])
            continue;
        gsi |= 1u << (16 + n);
        if (!(route & PIRQ_OFF))
            isa |= 1u << (route & 15);
    }
    if (l->sci) {
        unsigned line = lpc_sci_line(l);

        gsi |= 1u << line;
        if (line < 16)
            isa |= 1u << line;
    }
    for (unsigned i = 0; i < 16; i++)
        irq_set(&l->wires.isa[i], isa >> i & 1);
    for (unsigned i = 0; i < 24; i++)
        irq_set(&l->wires.gsi[i], gsi >> i & 1);
}

static void lpc_update_pm(struct lpc *l)
{
    if (l->wires.acpi_pm)
        acpi_pm_place(l->wires.acpi_pm, pci_function_get(&l->function, PMBASE, 2) & 0xff80,
                      l->function.config[ACPI_CNTL] & ACPI_ON);
}

static void lpc_written(struct device *device, unsigned offset, unsigned width)
{
    (void)offset;
    (void)width;
    lpc_update_pm(device->state);
    lpc_update(device->state);
}

static void lpc_set_pirq(void *opaque, int line, bool level)
{
    struct lpc *l = opaque;

    l->pirq[line & 7] = level;
    lpc_update(l);
}

static void lpc_set_sci(void *opaque, int line, bool level)
{
    struct lpc *l = opaque;

    (void)line;
    l->sci = level;
    lpc_update(l);
}

static void lpc_reset(struct device *device)
{
    struct lpc *l = device->state;
    struct pci_function *f = &l->function;

    pci_function_init(f, device, &lpc_identity);
    pci_function_register(f, PCI_COMMAND, 2, 0x0007, 0x0140); /* I/O, memory and master are always on */
    pci_function_register(f, PMBASE, 4, 0x00000001, 0x0000ff80);
    pci_function_register(f, ACPI_CNTL, 1, 0x00, 0x87);
    pci_function_register(f, GPIOBASE, 4, 0x00000001, 0x0000ff80);
    pci_function_register(f, GPIO_CNTL, 1, 0x00, 0x11);
    for (unsigned n = 0; n < 4; n++) {
        pci_function_register(f, PIRQA + n, 1, PIRQ_OFF, 0x8f);
        pci_function_register(f, PIRQE + n, 1, PIRQ_OFF, 0x8f);
    }
    pci_function_register(f, SIRQ_CNTL, 1, 0x10, 0xff);
    pci_function_register(f, LPC_IO_DEC, 4, 0, 0x3fff1377);
    for (unsigned n = 0; n < 4; n++)
        pci_function_register(f, GEN1_DEC + n * 4, 4, 0, 0x00fcfffd);
    pci_function_register(f, GEN_PMCON_1, 4, 0, 0x0000ffff);
    pci_function_register(f, FWH_SEL, 4, 0x00112233, 0xffffffff);
    pci_function_register(f, BIOS_CNTL, 1, 0, 0x1f);
    pci_function_register(f, RCBA, 4, 0, 0xffffc001);
    lpc_update_pm(l);
    lpc_update(l);
}

static void lpc_create(struct device *device)
{
    struct lpc *l = device->state;

    l->function.written = lpc_written;
}

void lpc_connect(struct device *device, struct device *pci, const struct lpc_wires *wires)
{
    struct lpc *l = device->state;

    l->wires = *wires;
    pci_add(pci, &l->function, PCI_DEVFN(0x1f, 0));
    lpc_update_pm(l);
}

struct irq lpc_pirq(struct device *device, unsigned n)
{
    return (struct irq){ .set = lpc_set_pirq, .opaque = device->state, .line = (int)n };
}

struct irq lpc_sci(struct device *device) { return (struct irq){ .set = lpc_set_sci, .opaque = device->state }; }

#define STATE struct lpc
FIELDS(lpc_fields, PCI_FUNCTION_FIELDS(function), FIELD_EACH_IRQ(wires.isa), FIELD_EACH_IRQ(wires.gsi), WIRING(wires.acpi_pm),
       FIELD_ARRAY(pirq), FIELD(sci))
#undef STATE

static bool lpc_restored(struct device *device, struct err *err)
{
    (void)err;
    lpc_update_pm(device->state);
    return true;
}

const struct device_class lpc_class = {
    .name = "lpc",
    .title = "LPC bridge (Intel ICH9 316972)",
    .state_size = sizeof(struct lpc),
    .create = lpc_create,
    .reset = lpc_reset,
    .fields = &lpc_fields,
    .restored = lpc_restored,
};
