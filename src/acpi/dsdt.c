/*
 * dsdt.c - the DSDT's contents: the PCI host bridge with its windows and interrupt routing, the ISA devices behind the LPC
 * bridge, the HPET, virtio devices that are on no bus, the CPUs, and how the machine is switched off.
 *
 * The power button is the fixed one of the FADT.  Interrupts of PCI slots go where devices/pci.c and the LPC bridge lead
 * them: I/O APIC inputs 16 to 23, or, as long as the system uses the PICs (_PIC), IRQ 10 and 11, which is what SeaBIOS and
 * the board choose.
 */
#include "acpi/dsdt.h"

#include "acpi/aml.h"
#include "base/bits.h"

enum { SLOTS = 32, PINS = 4, GSI_PIRQ = 16, LPC_ADDRESS = 31 << 16, SLEEP_RAM = 5, SLEEP_OFF = 7 };

static void name_integer(GByteArray *out, const char *name, uint64_t value)
{
    aml_name(out, name);
    aml_integer(out, value);
}

static void name_id(GByteArray *out, const char *name, const char *id)
{
    aml_name(out, name);
    aml_eisa_id(out, id);
}

/* Ends the resources and frees them. */
static void name_resources(GByteArray *out, GByteArray *resources)
{
    resource_end(resources);
    aml_name(out, "_CRS");
    aml_buffer(out, resources);
    g_byte_array_free(resources, TRUE);
}

/* -- PCI -------------------------------------------------------------------------------------------------------------- */

/* As pci_pirq() has it: the wire of a slot's pin. */
static unsigned pirq_of(unsigned slot, unsigned pin) { return slot <= 24 ? 4 + ((slot + pin) & 3) : pin; }

/* { address of the slot, pin, 0, global interrupt } */
static void name_routing(GByteArray *out, const char *name, const uint8_t gsi[8])
{
    size_t at, row;

    aml_name(out, name);
    at = aml_package(out, (SLOTS - 1) * PINS);
    for (unsigned i = PINS; i < SLOTS * PINS; i++) {
        row = aml_package(out, 4);
        aml_integer(out, i / PINS << 16 | 0xffff);
        aml_integer(out, i % PINS);
        aml_integer(out, 0);
        aml_integer(out, gsi[pirq_of(i / PINS, i % PINS)]);
        aml_close(out, row);
    }
    aml_close(out, at);
}

static void routing(GByteArray *out)
{
    static const uint8_t apic[8] = { GSI_PIRQ, 17, 18, 19, 20, 21, 22, 23 }, pic[8] = { 10, 10, 11, 11, 10, 10, 11, 11 };
    size_t method, in_apic;

    name_routing(out, "PRTA", apic);
    name_routing(out, "PRTP", pic);
    method = aml_method(out, "_PRT", 0);
    in_apic = aml_if_name(out, "\\PICM");
    aml_return_name(out, "PRTA");
    aml_close(out, in_apic);
    aml_return_name(out, "PRTP");
    aml_close(out, method);
}

static void pci_windows(GByteArray *out, const struct acpi_config *c)
{
    GByteArray *r = g_byte_array_new();

    resource_window(r, RESOURCE_BUS, 2, 0, 0xff);
    resource_io(r, 0xcf8, 8);
    resource_window(r, RESOURCE_IO, 2, 0, 0xcf7);
    resource_window(r, RESOURCE_IO, 2, 0xd00, 0xffff);
    resource_window(r, RESOURCE_MEMORY, 4, 0xa0000, 0xbffff);
    resource_window(r, RESOURCE_MEMORY, 4, c->window_base, c->window_end - 1);
    name_resources(out, r);
}

/* -- ISA -------------------------------------------------------------------------------------------------------------- */

struct isa_device {
    const char *name, *id;
    uint16_t port[2];
    uint8_t ports, irq; /* of each; 0: none */
    unsigned number;
};

static void isa_device(GByteArray *out, const struct isa_device *d)
{
    GByteArray *r = g_byte_array_new();
    size_t at = aml_device(out, d->name);

    name_id(out, "_HID", d->id);
    name_integer(out, "_UID", d->number);
    for (unsigned i = 0; i < 2 && d->port[i]; i++)
        resource_io(r, d->port[i], d->ports);
    if (d->irq)
        resource_irq(r, d->irq);
    name_resources(out, r);
    aml_close(out, at);
}

/* QEMU's docs/specs/pvpanic. */
static void pvpanic(GByteArray *out)
{
    GByteArray *r = g_byte_array_new();
    size_t at = aml_device(out, "PEVT");

    aml_name(out, "_HID");
    aml_string(out, "QEMU0001");
    resource_io(r, 0x505, 1);
    name_resources(out, r);
    aml_close(out, at);
}

static void isa(GByteArray *out)
{
    static const struct isa_device rows[] = {
        { "RTC", "PNP0B00", { 0x70 }, 2, 8, 0 }, { "KBD", "PNP0303", { 0x60, 0x64 }, 1, 1, 0 }, { "MOU", "PNP0F13", { 0 }, 0, 12, 0 },
        { "COM1", "PNP0501", { 0x3f8 }, 8, 4, 1 }, { "COM2", "PNP0501", { 0x2f8 }, 8, 3, 2 },
    };
    size_t at = aml_device(out, "ISA");

    name_integer(out, "_ADR", LPC_ADDRESS);
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
        isa_device(out, &rows[i]);
    pvpanic(out);
    aml_close(out, at);
}

static void pci(GByteArray *out, const struct acpi_config *c)
{
    size_t at = aml_device(out, "PCI0");

    name_id(out, "_HID", "PNP0A08");
    name_id(out, "_CID", "PNP0A03");
    name_integer(out, "_UID", 0);
    pci_windows(out, c);
    routing(out);
    isa(out);
    aml_close(out, at);
}

/* -- the rest --------------------------------------------------------------------------------------------------------- */

/* Memory that belongs to the board and that no device announces: the ECAM window. */
static void board_resources(GByteArray *out, const struct acpi_config *c)
{
    GByteArray *r = g_byte_array_new();
    size_t at = aml_device(out, "MBRD");

    name_id(out, "_HID", "PNP0C02");
    resource_memory(r, (uint32_t)c->ecam_base, 0x10000000);
    name_resources(out, r);
    aml_close(out, at);
}

static void hpet(GByteArray *out)
{
    GByteArray *r = g_byte_array_new();
    size_t at = aml_device(out, "HPET");

    name_id(out, "_HID", "PNP0103");
    resource_memory(r, 0xfed00000, 0x400);
    name_resources(out, r);
    aml_close(out, at);
}

/* LNRO0005 is Linux' and everybody's name for them. */
static void virtio_mmio(GByteArray *out, const struct acpi_config *c)
{
    enum { WINDOW_BYTES = 0x200 };

    for (unsigned i = 0; i < c->mmios; i++) {
        GByteArray *r = g_byte_array_new();
        char name[5];
        size_t at;

        g_snprintf(name, sizeof(name), "VR%02u", i % 100);
        at = aml_device(out, name);
        aml_name(out, "_HID");
        aml_string(out, "LNRO0005");
        name_integer(out, "_UID", i);
        resource_memory(r, (uint32_t)(c->mmio_base + i * WINDOW_BYTES), WINDOW_BYTES);
        resource_gsi(r, c->mmio_line[i]);
        name_resources(out, r);
        aml_close(out, at);
    }
}

static void cpus(GByteArray *out, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        char name[5];
        size_t at;

        g_snprintf(name, sizeof(name), "C%03u", i % 1000);
        at = aml_device(out, name);
        aml_name(out, "_HID");
        aml_string(out, "ACPI0007");
        name_integer(out, "_UID", i);
        aml_close(out, at);
    }
}

/* What goes into PM1a_CNT and PM1b_CNT, and two reserved ones (ACPI 7.4.2). */
static void sleep_state(GByteArray *out, const char *name, unsigned type)
{
    size_t at;

    aml_name(out, name);
    at = aml_package(out, 4);
    for (unsigned i = 0; i < 4; i++)
        aml_integer(out, i < 2 ? type : 0);
    aml_close(out, at);
}

void dsdt_body(GByteArray *out, const struct acpi_config *c)
{
    size_t at;

    name_integer(out, "\\PICM", 0);
    at = aml_method(out, "\\_PIC", 1);
    aml_store_argument0(out, "\\PICM");
    aml_close(out, at);
    at = aml_scope(out, "\\_SB");
    pci(out, c);
    board_resources(out, c);
    hpet(out);
    virtio_mmio(out, c);
    cpus(out, c->cpus);
    aml_close(out, at);
    sleep_state(out, "\\_S3", SLEEP_RAM);
    sleep_state(out, "\\_S5", SLEEP_OFF);
}
