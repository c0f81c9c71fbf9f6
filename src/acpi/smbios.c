/* smbios.c - structures of DSP0134 3.0: BIOS, system, chassis, processors, memory, boot status. */
#include "acpi/smbios.h"

#include "acpi/aml.h"
#include "base/bits.h"

#include <string.h>

enum {
    TYPE_BIOS = 0, TYPE_SYSTEM = 1, TYPE_CHASSIS = 3, TYPE_CPU = 4, TYPE_ARRAY = 16, TYPE_DEVICE = 17, TYPE_MAPPED = 19, TYPE_BOOT = 32,
    TYPE_END = 127,
};
enum { HANDLE_ARRAY = 0x1000, NO_HANDLE = 0xfffe, NOT_THERE = 0xffff };

/* A structure that is being written: numbers go to the table, the texts that they name behind them. */
struct part {
    GByteArray *out;
    size_t at;
    GString *texts;
    unsigned count;
};

static void part_begin(struct part *p, GByteArray *out, uint8_t type, uint16_t handle)
{
    *p = (struct part){ .out = out, .at = out->len, .texts = g_string_new(NULL) };
    aml_number(out, type, 1);
    aml_number(out, 0, 1); /* its length, without texts */
    aml_number(out, handle, 2);
}

static void part_number(struct part *p, uint64_t value, unsigned width) { aml_number(p->out, value, width); }

/* 6.1.3: texts are named by their number, from 1 on. */
static void part_text(struct part *p, const char *text)
{
    g_string_append_len(p->texts, text, (gssize)strlen(text) + 1);
    part_number(p, ++p->count, 1);
}

static void part_zeros(struct part *p, unsigned n)
{
    while (n--)
        part_number(p, 0, 1);
}

static void part_end(struct part *p)
{
    p->out->data[p->at + 1] = (uint8_t)(p->out->len - p->at);
    aml_bytes(p->out, p->texts->str, p->texts->len);
    aml_number(p->out, 0, p->count ? 1 : 2);
    g_string_free(p->texts, TRUE);
}

/* 7.1 */
static void put_bios(GByteArray *out, const struct smbios_config *c)
{
    enum { NO_CHARACTERISTICS = 1 << 3, ACPI = 1, VIRTUAL_MACHINE = 1 << 4 };
    struct part p;

    part_begin(&p, out, TYPE_BIOS, 0);
    part_text(&p, "wideload");
    part_text(&p, "1.0");
    part_number(&p, 0xf000, 2);
    part_text(&p, "01/01/2026");
    part_number(&p, c->rom_bytes ? bits_min(c->rom_bytes / 65536 - (c->rom_bytes >= 65536), 255) : 0, 1);
    part_number(&p, NO_CHARACTERISTICS, 8);
    part_number(&p, ACPI | VIRTUAL_MACHINE << 8, 2);
    part_number(&p, 1, 1); /* release 1.0 */
    part_number(&p, 0, 1);
    part_number(&p, NOT_THERE, 2); /* no embedded controller */
    part_end(&p);
}

/* 7.2: a UUID of zeros is none. */
static void put_system(GByteArray *out)
{
    enum { POWER_SWITCH = 6 };
    struct part p;

    part_begin(&p, out, TYPE_SYSTEM, 0x100);
    part_text(&p, "wideload");
    part_text(&p, "wideload PC");
    part_text(&p, "1.0");
    part_zeros(&p, 1 + 16); /* serial number, UUID */
    part_number(&p, POWER_SWITCH, 1);
    part_zeros(&p, 2);
    part_end(&p);
}

/* 7.4 */
static void put_chassis(GByteArray *out)
{
    enum { OTHER = 1, SAFE = 3, NO_SECURITY = 3 };
    struct part p;

    part_begin(&p, out, TYPE_CHASSIS, 0x300);
    part_text(&p, "wideload");
    part_number(&p, OTHER, 1);
    part_zeros(&p, 3);
    for (unsigned i = 0; i < 3; i++)
        part_number(&p, SAFE, 1);
    part_number(&p, NO_SECURITY, 1);
    part_zeros(&p, 4 + 4 + 1);
    part_end(&p);
}

/* 7.5: one core and one thread each. */
static void put_cpu(GByteArray *out, unsigned n)
{
    enum { CENTRAL = 3, OTHER = 1, ENABLED = 0x41, CAPABLE_64 = 1 << 2 };
    char socket[16];
    struct part p;

    g_snprintf(socket, sizeof(socket), "CPU %u", n);
    part_begin(&p, out, TYPE_CPU, (uint16_t)(0x400 + n));
    part_text(&p, socket);
    part_number(&p, CENTRAL, 1);
    part_number(&p, OTHER, 1);
    part_text(&p, "wideload");
    part_zeros(&p, 8); /* CPUID tells itself */
    part_text(&p, "wideload virtual CPU");
    part_zeros(&p, 1 + 2 + 2 + 2); /* voltage, clocks: unknown */
    part_number(&p, ENABLED, 1);
    part_number(&p, OTHER, 1);
    for (unsigned cache = 0; cache < 3; cache++)
        part_number(&p, NOT_THERE, 2);
    part_zeros(&p, 3);
    for (unsigned i = 0; i < 3; i++)
        part_number(&p, 1, 1); /* cores, enabled ones, threads */
    part_number(&p, CAPABLE_64, 2);
    part_number(&p, OTHER, 2);
    for (unsigned i = 0; i < 3; i++)
        part_number(&p, 1, 2); /* ... and again */
    part_end(&p);
}

/* 7.17: all of it in one array. */
static void put_array(GByteArray *out, uint64_t bytes)
{
    enum { OTHER = 1, SYSTEM_MEMORY = 3, NO_CORRECTION = 3 };
    uint64_t kib = bytes >> 10;
    struct part p;

    part_begin(&p, out, TYPE_ARRAY, HANDLE_ARRAY);
    part_number(&p, OTHER, 1);
    part_number(&p, SYSTEM_MEMORY, 1);
    part_number(&p, NO_CORRECTION, 1);
    part_number(&p, kib < 0x80000000 ? kib : 0x80000000, 4);
    part_number(&p, NO_HANDLE, 2);
    part_number(&p, 1, 2);
    part_number(&p, kib < 0x80000000 ? 0 : bytes, 8);
    part_end(&p);
}

/* 7.18: in KiB with bit 15 where it is little, in MiB, or behind 7fffh in a field of its own. */
static void put_device(GByteArray *out, uint64_t bytes)
{
    enum { DIMM = 9, RAM = 7, OTHER = 1 << 1, IN_KIB = 0x8000, LARGE = 0x7fff };
    uint64_t mib = bytes >> 20;
    struct part p;

    part_begin(&p, out, TYPE_DEVICE, 0x1100);
    part_number(&p, HANDLE_ARRAY, 2);
    part_number(&p, NO_HANDLE, 2);
    part_number(&p, NOT_THERE, 2); /* widths: unknown */
    part_number(&p, NOT_THERE, 2);
    part_number(&p, bytes < MIB(32) && bytes % MIB(1) ? IN_KIB | bytes >> 10 : mib < LARGE ? mib : LARGE, 2);
    part_number(&p, DIMM, 1);
    part_zeros(&p, 1);
    part_text(&p, "DIMM 0");
    part_zeros(&p, 1);
    part_number(&p, RAM, 1);
    part_number(&p, OTHER, 2);
    part_zeros(&p, 2);
    part_text(&p, "wideload");
    part_zeros(&p, 4);
    part_number(&p, mib < LARGE ? 0 : mib, 4);
    part_zeros(&p, 2 + 3 * 2);
    part_end(&p);
}

/* 7.20: in KiB, or in bytes behind ffffffffh. */
static void put_mapped(GByteArray *out, uint16_t handle, uint64_t base, uint64_t bytes)
{
    uint64_t end = base + bytes - 1;
    bool large = end >> 10 >= UINT32_MAX;
    struct part p;

    part_begin(&p, out, TYPE_MAPPED, handle);
    part_number(&p, large ? UINT32_MAX : base >> 10, 4);
    part_number(&p, large ? UINT32_MAX : end >> 10, 4);
    part_number(&p, HANDLE_ARRAY, 2);
    part_number(&p, 1, 1);
    part_number(&p, large ? base : 0, 8);
    part_number(&p, large ? end : 0, 8);
    part_end(&p);
}

static void put_rest(GByteArray *out)
{
    struct part p;

    part_begin(&p, out, TYPE_BOOT, 0x2000);
    part_zeros(&p, 6 + 1); /* no errors */
    part_end(&p);
    part_begin(&p, out, TYPE_END, 0x7f00);
    part_end(&p);
}

/* 5.2.2: the address comes with smbios_place(). */
static void put_anchor(struct smbios *s)
{
    static const uint8_t anchor[] = { '_', 'S', 'M', '3', '_', 0, SMBIOS_ANCHOR_BYTES, 3, 0, 0, 1, 0 };

    memset(s->anchor, 0, sizeof(s->anchor));
    memcpy(s->anchor, anchor, sizeof(anchor));
    for (unsigned i = 0; i < 4; i++)
        s->anchor[12 + i] = (uint8_t)(s->tables->len >> i * 8);
    smbios_place(s, 0);
}

void smbios_build(struct smbios *s, const struct smbios_config *c)
{
    GByteArray *out = s->tables = g_byte_array_new();

    put_bios(out, c);
    put_system(out);
    put_chassis(out);
    for (unsigned n = 0; n < c->cpus; n++)
        put_cpu(out, n);
    put_array(out, c->low_bytes + c->high_bytes);
    put_device(out, c->low_bytes + c->high_bytes);
    put_mapped(out, 0x1300, 0, c->low_bytes);
    if (c->high_bytes)
        put_mapped(out, 0x1301, GIB(4), c->high_bytes);
    put_rest(out);
    put_anchor(s);
}

void smbios_place(struct smbios *s, uint64_t tables)
{
    uint8_t sum = 0;

    for (unsigned i = 0; i < 8; i++)
        s->anchor[16 + i] = (uint8_t)(tables >> i * 8);
    s->anchor[5] = 0;
    for (unsigned i = 0; i < SMBIOS_ANCHOR_BYTES; i++)
        sum = (uint8_t)(sum + s->anchor[i]);
    s->anchor[5] = (uint8_t)-sum;
}

void smbios_free(struct smbios *s) { g_byte_array_free(s->tables, TRUE); }
