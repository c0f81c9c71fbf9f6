/* aml.c - opcodes, names and lengths of ACPI machine language. */
#include "acpi/aml.h"

#include <string.h>

enum { OP_NAME = 0x08, OP_BYTE = 0x0a, OP_WORD, OP_DWORD, OP_STRING, OP_QWORD, OP_SCOPE = 0x10, OP_BUFFER, OP_PACKAGE, OP_METHOD = 0x14,
       OP_DUAL = 0x2e, OP_MULTI, OP_EXTENDED = 0x5b, OP_ARGUMENT0 = 0x68, OP_STORE = 0x70, OP_DEVICE = 0x82, OP_IF = 0xa0, OP_RETURN = 0xa4 };
enum { SEGMENTS_MAX = 8 };

void aml_bytes(GByteArray *out, const void *bytes, size_t n) { g_byte_array_append(out, bytes, (guint)n); }

static void aml_byte(GByteArray *out, unsigned byte) { aml_bytes(out, &(uint8_t){ (uint8_t)byte }, 1); }

void aml_number(GByteArray *out, uint64_t value, unsigned width)
{
    for (unsigned i = 0; i < width; i++)
        aml_byte(out, value >> i * 8 & 0xff);
}

/* -- names: section 20.2.2 -------------------------------------------------------------------------------------------- */

void aml_path(GByteArray *out, const char *name)
{
    char **segment = g_strsplit(name + (*name == '\\'), ".", SEGMENTS_MAX);
    unsigned n = g_strv_length(segment);

    if (*name == '\\')
        aml_byte(out, '\\');
    if (n > 1)
        aml_byte(out, n == 2 ? OP_DUAL : OP_MULTI);
    if (n > 2)
        aml_byte(out, n);
    for (unsigned i = 0; i < n; i++)
        for (unsigned c = 0, length = (unsigned)strlen(segment[i]); c < 4; c++)
            aml_byte(out, c < length ? (uint8_t)segment[i][c] : '_');
    if (n == 0)
        aml_byte(out, 0);
    g_strfreev(segment);
}

/* -- lengths: section 20.2.4; the length counts itself ----------------------------------------------------------------- */

void aml_close(GByteArray *out, size_t at)
{
    size_t body = out->len - at, bytes = body + 1 < 1 << 6 ? 1 : body + 2 < 1 << 12 ? 2 : 3, total = body + bytes;
    uint8_t lead[3] = { (uint8_t)(total & 0x3f), (uint8_t)(total >> 4), (uint8_t)(total >> 12) };

    if (bytes > 1)
        lead[0] = (uint8_t)((bytes - 1) << 6 | (total & 0xf));
    aml_bytes(out, lead, bytes); /* to make room */
    memmove(out->data + at + bytes, out->data + at, body);
    memcpy(out->data + at, lead, bytes);
}

static size_t aml_open(GByteArray *out, unsigned op, const char *name)
{
    size_t at;

    aml_byte(out, op);
    at = out->len;
    if (name)
        aml_path(out, name);
    return at;
}

size_t aml_scope(GByteArray *out, const char *name) { return aml_open(out, OP_SCOPE, name); }

size_t aml_device(GByteArray *out, const char *name)
{
    aml_byte(out, OP_EXTENDED);
    return aml_open(out, OP_DEVICE, name);
}

size_t aml_method(GByteArray *out, const char *name, unsigned arguments)
{
    size_t at = aml_open(out, OP_METHOD, name);

    aml_byte(out, arguments);
    return at;
}

size_t aml_package(GByteArray *out, unsigned elements)
{
    size_t at = aml_open(out, OP_PACKAGE, NULL);

    aml_byte(out, elements);
    return at;
}

size_t aml_if_name(GByteArray *out, const char *name) { return aml_open(out, OP_IF, name); }

/* -- values ------------------------------------------------------------------------------------------------------------ */

void aml_name(GByteArray *out, const char *name)
{
    aml_byte(out, OP_NAME);
    aml_path(out, name);
}

void aml_integer(GByteArray *out, uint64_t value)
{
    unsigned width = value <= 0xff ? 1 : value <= 0xffff ? 2 : value <= 0xffffffff ? 4 : 8;

    if (value > 1) /* 0 and 1 are opcodes themselves */
        aml_byte(out, width == 1 ? OP_BYTE : width == 2 ? OP_WORD : width == 4 ? OP_DWORD : OP_QWORD);
    aml_number(out, value, width);
}

void aml_string(GByteArray *out, const char *text)
{
    aml_byte(out, OP_STRING);
    aml_bytes(out, text, strlen(text) + 1);
}

/* Three letters of 5 bits and four hexadecimal digits, highest byte first (section 19.3.4). */
void aml_eisa_id(GByteArray *out, const char *id)
{
    uint32_t v = (uint32_t)((id[0] - 0x40) << 26 | (id[1] - 0x40) << 21 | (id[2] - 0x40) << 16) | (uint32_t)g_ascii_strtoull(id + 3, NULL, 16);

    aml_byte(out, OP_DWORD);
    aml_number(out, GUINT32_SWAP_LE_BE(v), 4);
}

void aml_buffer(GByteArray *out, const GByteArray *bytes)
{
    size_t at = aml_open(out, OP_BUFFER, NULL);

    aml_integer(out, bytes->len);
    aml_bytes(out, bytes->data, bytes->len);
    aml_close(out, at);
}

void aml_return_name(GByteArray *out, const char *name)
{
    aml_byte(out, OP_RETURN);
    aml_path(out, name);
}

void aml_store_argument0(GByteArray *out, const char *name)
{
    aml_byte(out, OP_STORE);
    aml_byte(out, OP_ARGUMENT0);
    aml_path(out, name);
}

/* -- resources: section 6.4 ------------------------------------------------------------------------------------------- */

void resource_io(GByteArray *out, uint16_t base, uint8_t bytes)
{
    aml_byte(out, 0x47);
    aml_byte(out, 1); /* all 16 bits are decoded */
    aml_number(out, base, 2);
    aml_number(out, base, 2);
    aml_byte(out, 1);
    aml_byte(out, bytes);
}

void resource_irq(GByteArray *out, unsigned line)
{
    aml_byte(out, 0x22);
    aml_number(out, 1u << line, 2);
}

/* ACPI 6.4 section 6.4.3.6. */
void resource_gsi(GByteArray *out, uint32_t gsi)
{
    enum { CONSUMER = 1, ACTIVE_LOW = 4, SHARED = 8 };

    aml_byte(out, 0x89);
    aml_number(out, 6, 2);
    aml_byte(out, gsi < 16 ? CONSUMER : CONSUMER | ACTIVE_LOW | SHARED);
    aml_byte(out, 1); /* of them */
    aml_number(out, gsi, 4);
}

void resource_memory(GByteArray *out, uint32_t base, uint32_t bytes)
{
    aml_byte(out, 0x86);
    aml_number(out, 9, 2);
    aml_byte(out, 1); /* read and write */
    aml_number(out, base, 4);
    aml_number(out, bytes, 4);
}

void resource_window(GByteArray *out, enum resource_kind kind, unsigned width, uint64_t first, uint64_t last)
{
    enum { PRODUCER_FIXED = 0x0c /* minimum and maximum are */ };
    uint64_t fields[] = { 0, first, last, 0, last - first + 1 };

    aml_byte(out, width == 2 ? 0x88 : width == 4 ? 0x87 : 0x8a);
    aml_number(out, 3 + sizeof(fields) / sizeof(*fields) * width, 2);
    aml_byte(out, kind);
    aml_byte(out, PRODUCER_FIXED);
    aml_byte(out, kind == RESOURCE_MEMORY ? 1 /* read and write */ : kind == RESOURCE_IO ? 3 /* the entire range */ : 0);
    for (unsigned i = 0; i < sizeof(fields) / sizeof(*fields); i++)
        aml_number(out, fields[i], width);
}

void resource_end(GByteArray *out)
{
    aml_byte(out, 0x79);
    aml_byte(out, 0); /* no checksum */
}
