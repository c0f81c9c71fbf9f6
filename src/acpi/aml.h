/*
 * aml.h - writing ACPI machine language, as ACPI 6.4 chapter 20 has it, and resource descriptors (section 6.4).
 *
 * Bytes are appended; what has a length in front of it is opened and closed:
 *
 *     at = aml_device(out, "PCI0");
 *     aml_name(out, "_UID"), aml_integer(out, 0);
 *     aml_close(out, at);
 *
 * Names are paths of segments, with a dot between and perhaps a backslash in front; shorter segments are padded.
 */
#ifndef ACPI_AML_H
#define ACPI_AML_H

#include <glib.h>
#include <stdint.h>

void aml_bytes(GByteArray *out, const void *bytes, size_t n);
void aml_number(GByteArray *out, uint64_t value, unsigned width); /* little endian, as it stands */

/* Each returns what aml_close() wants. */
size_t aml_scope(GByteArray *out, const char *name);
size_t aml_device(GByteArray *out, const char *name);
size_t aml_method(GByteArray *out, const char *name, unsigned arguments);
size_t aml_package(GByteArray *out, unsigned elements);
size_t aml_if_name(GByteArray *out, const char *name); /* if it is not zero */
void aml_close(GByteArray *out, size_t at);

void aml_path(GByteArray *out, const char *name);
void aml_name(GByteArray *out, const char *name); /* its value comes next */
void aml_integer(GByteArray *out, uint64_t value);
void aml_string(GByteArray *out, const char *text);
void aml_eisa_id(GByteArray *out, const char *id); /* "PNP0A08" */
void aml_buffer(GByteArray *out, const GByteArray *bytes);
void aml_return_name(GByteArray *out, const char *name);
void aml_store_argument0(GByteArray *out, const char *name);

/* Resource descriptors; resource_end() comes last. */
void resource_io(GByteArray *out, uint16_t base, uint8_t bytes);
void resource_irq(GByteArray *out, unsigned line); /* edge, active high */
/* An input of the I/O APIC: level, and like an ISA line or, from 16 on, like one of PCI's. */
void resource_gsi(GByteArray *out, uint32_t gsi);
void resource_memory(GByteArray *out, uint32_t base, uint32_t bytes);
enum resource_kind { RESOURCE_MEMORY, RESOURCE_IO, RESOURCE_BUS };
/* What a bridge passes on: [first, last], in fields of `width` bytes (2, 4 or 8). */
void resource_window(GByteArray *out, enum resource_kind kind, unsigned width, uint64_t first, uint64_t last);
void resource_end(GByteArray *out);

#endif
