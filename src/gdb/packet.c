/* packet.c - frames, checksums and hexadecimal. */
#include "gdb/packet.h"

enum { ESCAPE_XOR = 0x20, INTERRUPT_BYTE = 3 };

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static void begin(struct gdb_parser *p)
{
    p->state = GDB_WITHIN;
    p->sum = 0;
    p->n = 0;
    p->damaged = false;
}

static void keep(struct gdb_parser *p, char c)
{
    if (p->n < GDB_PACKET_BYTES)
        p->data[p->n++] = c;
    else
        p->damaged = true;
}

static enum gdb_event between(struct gdb_parser *p, uint8_t byte)
{
    if (byte == '$')
        begin(p);
    return byte == INTERRUPT_BYTE ? GDB_INTERRUPT : byte == '-' ? GDB_AGAIN : GDB_NOTHING;
}

/* A '$' within a packet begins another: the end of the first was lost. */
static void within(struct gdb_parser *p, uint8_t byte)
{
    if (byte == '$') {
        begin(p);
    } else if (byte == '#') {
        p->state = GDB_SUM_HIGH;
    } else {
        p->sum += byte;
        if (byte == '}')
            p->state = GDB_ESCAPED;
        else
            keep(p, (char)byte);
    }
}

static enum gdb_event end(struct gdb_parser *p, uint8_t byte)
{
    int low = digit((char)byte);

    p->state = GDB_BETWEEN;
    p->data[p->n] = 0;
    return low < 0 || p->damaged || (uint8_t)(p->said | low) != p->sum ? GDB_DAMAGED : GDB_PACKET;
}

enum gdb_event gdb_parse(struct gdb_parser *p, uint8_t byte)
{
    switch (p->state) {
    case GDB_WITHIN: within(p, byte); return GDB_NOTHING;
    case GDB_ESCAPED:
        p->sum += byte;
        keep(p, (char)(byte ^ ESCAPE_XOR));
        p->state = GDB_WITHIN;
        return GDB_NOTHING;
    case GDB_SUM_HIGH:
        p->damaged |= digit((char)byte) < 0;
        p->said = (uint8_t)((unsigned)digit((char)byte) << 4);
        p->state = GDB_SUM_LOW;
        return GDB_NOTHING;
    case GDB_SUM_LOW: return end(p, byte);
    default: return between(p, byte);
    }
}

void gdb_frame(GString *out, const char *data, size_t n)
{
    uint8_t sum = 0;
    size_t first;

    g_string_append_c(out, '$');
    first = out->len;
    for (size_t i = 0; i < n; i++) {
        bool special = data[i] == '$' || data[i] == '#' || data[i] == '}' || data[i] == '*';

        if (special)
            g_string_append_c(out, '}');
        g_string_append_c(out, special ? (char)(data[i] ^ ESCAPE_XOR) : data[i]);
    }
    for (size_t i = first; i < out->len; i++)
        sum += (uint8_t)out->str[i];
    g_string_append_printf(out, "#%02x", sum);
}

void gdb_put_hex(GString *out, const void *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        g_string_append_printf(out, "%02x", ((const uint8_t *)bytes)[i]);
}

bool gdb_get_hex(const char *text, void *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++, text += 2) {
        int high = digit(text[0]), low = high < 0 ? -1 : digit(text[1]);

        if (low < 0)
            return false;
        ((uint8_t *)bytes)[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

bool gdb_get_number(const char **text, uint64_t *value)
{
    unsigned digits = 0;

    *value = 0;
    for (; digit(**text) >= 0; (*text)++, digits++)
        *value = *value << 4 | (unsigned)digit(**text);
    return digits > 0 && digits <= 16;
}

bool gdb_get_range(const char **text, uint64_t *address, uint64_t *length, char last)
{
    if (!gdb_get_number(text, address) || *(*text)++ != ',' || !gdb_get_number(text, length) || **text != last)
        return false;
    *text += last != 0;
    return true;
}
