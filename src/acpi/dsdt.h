/* dsdt.h - what the board has that nothing announces, for the DSDT. */
#ifndef ACPI_DSDT_H
#define ACPI_DSDT_H

#include "acpi/acpi.h"

/* Appends everything behind the table's header. */
void dsdt_body(GByteArray *out, const struct acpi_config *config);

#endif
