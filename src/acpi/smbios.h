/*
 * smbios.h - what the machine says that it is made of (DMTF DSP0134 3.0): structures and the entry point that leads to them.
 *
 * Firmware places them itself (fw_cfg's SMBIOS_TABLES_FILE and SMBIOS_ANCHOR_FILE); where there is none, smbios_place() says where
 * the structures stand.
 */
#ifndef ACPI_SMBIOS_H
#define ACPI_SMBIOS_H

#include <glib.h>
#include <stdint.h>

struct smbios_config {
    unsigned cpus;
    uint64_t low_bytes, high_bytes; /* RAM from 0 and from 4 GiB on */
    uint32_t rom_bytes;             /* 0: no firmware */
};

enum { SMBIOS_ANCHOR_BYTES = 24 };
#define SMBIOS_TABLES_FILE "etc/smbios/smbios-tables"
#define SMBIOS_ANCHOR_FILE "etc/smbios/smbios-anchor"

struct smbios {
    GByteArray *tables;
    uint8_t anchor[SMBIOS_ANCHOR_BYTES];
};

void smbios_build(struct smbios *smbios, const struct smbios_config *config);
void smbios_place(struct smbios *smbios, uint64_t tables);
void smbios_free(struct smbios *smbios);

#endif
