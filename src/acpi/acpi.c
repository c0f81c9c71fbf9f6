/* acpi.c - ACPI tables (ACPI 6.4 section 5.2), and the placing of them. */
#include "acpi/acpi.h"

#include "acpi/aml.h"
#include "acpi/dsdt.h"
#include "base/bits.h"
#include "iommu_tables.h"

#include <string.h>

enum { HEADER_BYTES = 36, LENGTH_AT = 4, CHECKSUM_AT = 9, SCI_LINE = 9 };

static void put(GByteArray *t, size_t at, uint64_t value, unsigned width)
{
    for (unsigned i = 0; i < width; i++)
        t->data[at + i] = (uint8_t)(value >> i * 8);
}

/* -- a table ---------------------------------------------------------------------------------------------------------- */

static size_t table_begin(struct acpi *a, const char *signature, unsigned revision)
{
    GByteArray *t = a->tables;
    size_t at;

    while (t->len % 16)
        aml_number(t, 0, 1);
    at = t->len;
    a->table[a->count++] = (uint32_t)at;
    aml_bytes(t, signature, 4);
    aml_number(t, 0, 4); /* length */
    aml_number(t, revision, 1);
    aml_number(t, 0, 1); /* checksum */
    aml_bytes(t, "WIDELDPC", 6);
    aml_bytes(t, "WIDELDPC", 8);
    aml_number(t, 1, 4);
    aml_bytes(t, "WIDE", 4);
    aml_number(t, 1, 4);
    return at;
}

static void table_end(struct acpi *a, size_t at) { put(a->tables, at + LENGTH_AT, a->tables->len - at, 4); }

/* The field at `at` has the address of what is at `offset`. */
static void add_pointer(struct acpi *a, size_t at, unsigned width, uint64_t offset)
{
    a->fixup[a->fixups++] = (struct acpi_fixup){ (uint32_t)at, (uint8_t)width, false };
    put(a->tables, at, offset, width);
}

static void generic_address(GByteArray *t, unsigned space, unsigned bits, uint64_t address)
{
    aml_number(t, space, 1);
    aml_number(t, bits, 1);
    aml_number(t, 0, 1);
    aml_number(t, bits == 8 ? 1 : bits == 16 ? 2 : 3, 1); /* access size */
    aml_number(t, address, 8);
}

/* -- FACS: 64 bytes on a boundary of 64 -------------------------------------------------------------------------------- */

static size_t build_facs(struct acpi *a)
{
    GByteArray *t = a->tables;
    size_t at = t->len;

    aml_bytes(t, "FACS", 4);
    aml_number(t, 64, 4);
    for (unsigned i = 8; i < 64; i++)
        aml_number(t, i == 32 ? 2 : 0, 1); /* its version */
    return at;
}

static size_t build_dsdt(struct acpi *a, const struct acpi_config *c)
{
    size_t at = table_begin(a, "DSDT", 2);

    dsdt_body(a->tables, c);
    table_end(a, at);
    return at;
}

/* -- FADT: table 5.9 ---------------------------------------------------------------------------------------------------- */

enum { FADT_BYTES = 276, FLAG_WBINVD = 1, FLAG_C1 = 1 << 2, FLAG_NO_SLEEP_BUTTON = 1 << 5, FLAG_RESET = 1 << 10, BOOT_LEGACY = 1, BOOT_8042 = 2 };
enum { SMI_PORT = 0xb2, SMI_ENABLE = 2, SMI_DISABLE = 3, RESET_PORT = 0xcf9, RESET_VALUE = 6, CMOS_CENTURY = 0x32 };
enum { PM_EVENT = 0, PM_CONTROL = 4, PM_TIMER = 8, PM_GPE = 0x20, GPE_BYTES = 16 };

struct fadt_field {
    uint16_t at;
    uint8_t width;
    uint64_t value;
};

static void fadt_addresses(GByteArray *t, size_t at, uint16_t pm)
{
    static const struct { uint16_t at; uint8_t bits, offset; } rows[] = {
        { 148, 32, PM_EVENT }, { 172, 16, PM_CONTROL }, { 208, 32, PM_TIMER }, { 220, GPE_BYTES * 8, PM_GPE },
    };
    GByteArray *address = g_byte_array_new();

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        g_byte_array_set_size(address, 0);
        generic_address(address, 1, rows[i].bits, pm + rows[i].offset);
        memcpy(t->data + at + rows[i].at, address->data, address->len);
    }
    g_byte_array_set_size(address, 0);
    generic_address(address, 1, 8, RESET_PORT);
    memcpy(t->data + at + 116, address->data, address->len);
    g_byte_array_free(address, TRUE);
}

static size_t build_fadt(struct acpi *a, const struct acpi_config *c, size_t facs, size_t dsdt)
{
    const struct fadt_field rows[] = {
        { 46, 2, SCI_LINE }, { 48, 4, SMI_PORT }, { 52, 1, SMI_ENABLE }, { 53, 1, SMI_DISABLE }, { 56, 4, c->pm_base + PM_EVENT },
        { 64, 4, c->pm_base + PM_CONTROL }, { 76, 4, c->pm_base + PM_TIMER }, { 80, 4, c->pm_base + PM_GPE }, { 88, 1, 4 }, { 89, 1, 2 },
        { 91, 1, 4 }, { 92, 1, GPE_BYTES }, { 96, 2, 0xfff /* no C2 */ }, { 98, 2, 0xfff }, { 108, 1, CMOS_CENTURY },
        { 109, 2, BOOT_LEGACY | BOOT_8042 }, { 112, 4, FLAG_WBINVD | FLAG_C1 | FLAG_NO_SLEEP_BUTTON | FLAG_RESET }, { 128, 1, RESET_VALUE },
        { 131, 1, 4 /* minor version */ },
    };
    size_t at = table_begin(a, "FACP", 6);

    while (a->tables->len < at + FADT_BYTES)
        aml_number(a->tables, 0, 1);
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
        put(a->tables, at + rows[i].at, rows[i].value, rows[i].width);
    fadt_addresses(a->tables, at, c->pm_base);
    add_pointer(a, at + 36, 4, facs);
    add_pointer(a, at + 40, 4, dsdt);
    add_pointer(a, at + 140, 8, dsdt);
    table_end(a, at);
    return at;
}

/* -- MADT, HPET, MCFG ----------------------------------------------------------------------------------------------------- */

static void madt_override(GByteArray *t, unsigned source, unsigned gsi, unsigned flags)
{
    aml_number(t, 2 | 10 << 8, 2);
    aml_number(t, source << 8, 2); /* ISA's */
    aml_number(t, gsi, 4);
    aml_number(t, flags, 2);
}

static size_t build_madt(struct acpi *a, const struct acpi_config *c)
{
    enum { LEVEL_HIGH = 0xd, PIC_TOO = 1, NMI_LINT = 1 };
    GByteArray *t = a->tables;
    size_t at = table_begin(a, "APIC", 5);

    aml_number(t, 0xfee00000, 4);
    aml_number(t, PIC_TOO, 4);
    for (unsigned i = 0; i < c->cpus; i++) {
        aml_number(t, 0 | 8 << 8, 2);
        aml_number(t, i | i << 8, 2);
        aml_number(t, 1, 4);
    }
    aml_number(t, 1 | 12 << 8, 2);
    aml_number(t, 0, 2);
    aml_number(t, 0xfec00000, 4);
    aml_number(t, 0, 4);
    madt_override(t, 0, 2, 0);
    madt_override(t, SCI_LINE, SCI_LINE, LEVEL_HIGH);
    aml_number(t, 4 | 6 << 8, 2);
    aml_number(t, 0xff /* every CPU */, 3);
    aml_number(t, NMI_LINT, 1);
    table_end(a, at);
    return at;
}

static size_t build_hpet(struct acpi *a)
{
    GByteArray *t = a->tables;
    size_t at = table_begin(a, "HPET", 1);

    aml_number(t, 0x8086a201, 4); /* the low half of its capabilities */
    generic_address(t, 0, 64, 0xfed00000);
    aml_number(t, 0, 4); /* its number; shortest period; page protection */
    table_end(a, at);
    return at;
}

static size_t build_mcfg(struct acpi *a, const struct acpi_config *c)
{
    GByteArray *t = a->tables;
    size_t at = table_begin(a, "MCFG", 1);

    aml_number(t, 0, 8);
    aml_number(t, c->ecam_base, 8);
    aml_number(t, (uint64_t)0xff << 24, 8); /* segment 0, buses 0 to ff */
    table_end(a, at);
    return at;
}

/* -- DMAR (VT-d 8): one unit for all of the segment, and the I/O APIC as the device of its messages -------------------------- */

static size_t build_dmar(struct acpi *a, const struct acpi_config *c)
{
    enum { INTERRUPTS = 1, INCLUDE_ALL = 1, SCOPE_IOAPIC = 3 };
    GByteArray *t = a->tables;
    size_t at = table_begin(a, "DMAR", 1);

    aml_number(t, IOMMU_ADDRESS_BITS - 1, 1);
    aml_number(t, INTERRUPTS, 1);
    aml_number(t, 0, 8);
    aml_number(t, 0, 2); /* 10 bytes reserved; then a DRHD of 16 bytes and a scope of 8 */
    aml_number(t, (uint64_t)24 << 16, 4);
    aml_number(t, INCLUDE_ALL, 4); /* flags, size, segment */
    aml_number(t, c->iommu_base, 8);
    aml_number(t, SCOPE_IOAPIC | 8 << 8, 4);
    aml_number(t, 0, 1); /* its ID */
    aml_number(t, IRQ_SOURCE_IOAPIC >> 8, 1);
    aml_number(t, IRQ_SOURCE_IOAPIC >> 3 & 31, 1);
    aml_number(t, IRQ_SOURCE_IOAPIC & 7, 1);
    table_end(a, at);
    return at;
}

static size_t build_xsdt(struct acpi *a, const size_t *table, unsigned n)
{
    size_t at = table_begin(a, "XSDT", 1);

    for (unsigned i = 0; i < n; i++) {
        aml_number(a->tables, 0, 8);
        add_pointer(a, at + HEADER_BYTES + i * 8, 8, table[i]);
    }
    table_end(a, at);
    return at;
}

/* -- RSDP: table 5.3 ------------------------------------------------------------------------------------------------------ */

static void build_rsdp(struct acpi *a, size_t xsdt)
{
    uint8_t *r = a->rsdp;

    memset(r, 0, ACPI_RSDP_BYTES);
    memcpy(r, "RSD PTR ", 8);
    memcpy(r + 9, "WIDELD", 6);
    r[15] = 2;
    r[20] = ACPI_RSDP_BYTES;
    for (unsigned i = 0; i < 4; i++)
        r[24 + i] = (uint8_t)(xsdt >> i * 8);
    a->fixup[a->fixups++] = (struct acpi_fixup){ 24, 8, true };
}

void acpi_build(struct acpi *a, const struct acpi_config *c)
{
    size_t facs, dsdt, tables[5];
    unsigned n = 4;

    *a = (struct acpi){ .tables = g_byte_array_new() };
    facs = build_facs(a);
    dsdt = build_dsdt(a, c);
    tables[0] = build_fadt(a, c, facs, dsdt);
    tables[1] = build_madt(a, c);
    tables[2] = build_hpet(a);
    tables[3] = build_mcfg(a, c);
    if (c->iommu_base)
        tables[n++] = build_dmar(a, c);
    build_rsdp(a, build_xsdt(a, tables, n));
}

void acpi_free(struct acpi *a) { g_byte_array_free(a->tables, TRUE); }

/* -- placing ---------------------------------------------------------------------------------------------------------------- */

static void checksum(uint8_t *table, size_t at, size_t bytes)
{
    uint8_t sum = 0;

    table[at] = 0;
    for (size_t i = 0; i < bytes; i++)
        sum = (uint8_t)(sum + table[i]);
    table[at] = (uint8_t)-sum;
}

static uint32_t table_length(const struct acpi *a, uint32_t at)
{
    uint32_t length;

    memcpy(&length, a->tables->data + at + LENGTH_AT, 4);
    return length;
}

void acpi_place(struct acpi *a, uint64_t at)
{
    for (unsigned i = 0; i < a->fixups; i++) {
        const struct acpi_fixup *f = &a->fixup[i];
        uint8_t *field = (f->rsdp ? a->rsdp : a->tables->data) + f->offset;
        uint64_t v = 0;

        memcpy(&v, field, f->width);
        v += at;
        memcpy(field, &v, f->width);
    }
    for (unsigned i = 0; i < a->count; i++)
        checksum(a->tables->data + a->table[i], CHECKSUM_AT, table_length(a, a->table[i]));
    checksum(a->rsdp, 8, 20);
    checksum(a->rsdp, 32, ACPI_RSDP_BYTES);
}

/* -- or firmware places them ------------------------------------------------------------------------------------------------ */

enum { LOADER_ALLOCATE = 1, LOADER_POINTER, LOADER_CHECKSUM, LOADER_BYTES = 128, LOADER_NAME = 56, ZONE_HIGH = 1, ZONE_F_SEGMENT = 2 };

static void loader_name(GByteArray *out, const char *name)
{
    char padded[LOADER_NAME] = "";

    memcpy(padded, name, strlen(name));
    aml_bytes(out, padded, sizeof(padded));
}

static void loader_fill(GByteArray *out)
{
    while (out->len % LOADER_BYTES)
        aml_number(out, 0, 1);
}

static void loader_allocate(GByteArray *out, const char *file, unsigned align, unsigned zone)
{
    aml_number(out, LOADER_ALLOCATE, 4);
    loader_name(out, file);
    aml_number(out, align, 4);
    aml_number(out, zone, 1);
    loader_fill(out);
}

static void loader_pointer(GByteArray *out, const struct acpi_fixup *f)
{
    aml_number(out, LOADER_POINTER, 4);
    loader_name(out, f->rsdp ? ACPI_RSDP_FILE : ACPI_TABLES_FILE);
    loader_name(out, ACPI_TABLES_FILE);
    aml_number(out, f->offset, 4);
    aml_number(out, f->width, 1);
    loader_fill(out);
}

static void loader_checksum(GByteArray *out, const char *file, uint32_t at, uint32_t start, uint32_t bytes)
{
    aml_number(out, LOADER_CHECKSUM, 4);
    loader_name(out, file);
    aml_number(out, at, 4);
    aml_number(out, start, 4);
    aml_number(out, bytes, 4);
    loader_fill(out);
}

GByteArray *acpi_loader(const struct acpi *a)
{
    GByteArray *out = g_byte_array_new();

    loader_allocate(out, ACPI_RSDP_FILE, 16, ZONE_F_SEGMENT);
    loader_allocate(out, ACPI_TABLES_FILE, 64, ZONE_HIGH);
    for (unsigned i = 0; i < a->fixups; i++)
        loader_pointer(out, &a->fixup[i]);
    for (unsigned i = 0; i < a->count; i++)
        loader_checksum(out, ACPI_TABLES_FILE, a->table[i] + CHECKSUM_AT, a->table[i], table_length(a, a->table[i]));
    loader_checksum(out, ACPI_RSDP_FILE, 8, 0, 20);
    loader_checksum(out, ACPI_RSDP_FILE, 32, 0, ACPI_RSDP_BYTES);
    return out;
}
