/*
 * acpi.h - the ACPI tables of the board: RSDP, XSDT, FADT, FACS, DSDT, MADT, HPET, MCFG, DMAR (ACPI 6.4 section 5.2).
 *
 * Tables are built with offsets in place of addresses; who knows where they will stand says so at the end: the loader of a
 * kernel, or firmware by the "table loader" of fw_cfg.
 */
#ifndef ACPI_ACPI_H
#define ACPI_ACPI_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct acpi_config {
    unsigned cpus;
    uint64_t ecam_base;               /* of 256 buses */
    uint64_t window_base, window_end; /* of memory that PCI devices may have below 4 GiB */
    uint16_t pm_base;                 /* of acpi-pm's registers */
    uint64_t iommu_base;              /* of the IOMMU's; 0: there is none */
    uint64_t mmio_base;               /* of so many windows of virtio devices, below 4 GiB ... */
    unsigned mmios;
    const uint8_t *mmio_line;         /* ... and each one's input of the I/O APIC */
};

/* The FACS begins `tables`; where it says where to go on after suspend to RAM, 4 bytes. */
enum { ACPI_WAKING_VECTOR = 12 };

enum { ACPI_FIXUPS = 16, ACPI_TABLES = 8, ACPI_RSDP_BYTES = 36 };

/* A field in `tables` (or in the RSDP) to which the address of `tables` is to be added. */
struct acpi_fixup {
    uint32_t offset;
    uint8_t width;
    bool rsdp;
};

struct acpi {
    GByteArray *tables;
    uint8_t rsdp[ACPI_RSDP_BYTES];
    struct acpi_fixup fixup[ACPI_FIXUPS];
    unsigned fixups;
    uint32_t table[ACPI_TABLES]; /* where each begins that has a checksum, at byte 9, and its length at byte 4 */
    unsigned count;
};

void acpi_build(struct acpi *acpi, const struct acpi_config *config);
void acpi_free(struct acpi *acpi);

/* Addresses and checksums, for `tables` at `at`. */
void acpi_place(struct acpi *acpi, uint64_t at);

/*
 * What firmware is to do for it: entries of 128 bytes for fw_cfg's file "etc/table-loader", which name the files
 * ACPI_TABLES_FILE and ACPI_RSDP_FILE.  Caller frees.
 */
#define ACPI_TABLES_FILE "etc/acpi/tables"
#define ACPI_RSDP_FILE "etc/acpi/rsdp"
GByteArray *acpi_loader(const struct acpi *acpi);

#endif
