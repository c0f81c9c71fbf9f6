/* examine.c - x and xp: memory as numbers, characters or instructions. */
#include "monitor/monitor.h"

#include "debug.h"
#include "print/disasm.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { EXAMINE_MOST = 4096 };

struct format {
    unsigned count, bytes;
    char form; /* x d u o c i */
};

typedef size_t read_function(struct vcpu *v, uint64_t address, void *bytes, size_t n);

/* "/8xg": a count, a form, a size, each may be missing. */
static bool parse_format(const char **text, struct format *f)
{
    const char *at = *text;
    uint64_t count = 1;

    *f = (struct format){ 1, 4, 'x' };
    if (*at++ != '/')
        return true;
    if (*at >= '0' && *at <= '9')
        count = strtoull(at, (char **)(uintptr_t)&at, 10);
    for (; *at && *at != ' '; at++) {
        const char *sizes = "bh w   g", *size = strchr(sizes, *at);

        if (size)
            f->bytes = (unsigned)(size - sizes) + 1;
        else if (strchr("xduoci", *at))
            f->form = *at;
        else
            return false;
    }
    f->bytes = f->form == 'c' ? 1 : f->bytes;
    f->count = (unsigned)bits_min(count, EXAMINE_MOST);
    *text = at + strspn(at, " ");
    return true;
}

static bool parse_term(const struct cpu *c, const char **text, uint64_t *value)
{
    char *end;

    if (**text != '$') {
        errno = 0;
        *value = strtoull(*text, &end, 0);
        if (end == *text || errno || **text < '0' || **text > '9')
            return false;
        *text = end;
        return true;
    }
    for (unsigned i = 0; i <= GPRS; i++) {
        const char *name = i < GPRS ? cpu_gpr_names[i] : "rip";
        size_t length = strcspn(*text + 1, "+- ");

        if (strlen(name) != length || strncmp(name, *text + 1, length))
            continue;
        *value = i < GPRS ? c->slot[i] : c->rip;
        *text += 1 + length;
        return true;
    }
    return false;
}

/* Numbers and $registers, added and subtracted. */
static bool parse_address(const struct cpu *c, const char *text, uint64_t *address)
{
    bool minus = false;

    *address = 0;
    for (;;) {
        uint64_t term;

        if (!parse_term(c, &text, &term))
            return false;
        *address += minus ? -term : term;
        text += strspn(text, " ");
        if (!*text)
            return true;
        if (*text != '+' && *text != '-')
            return false;
        minus = *text == '-';
        text += 1 + strspn(text + 1, " ");
    }
}

static void print_value(const struct format *f, uint64_t value, GString *out)
{
    int64_t sign = bits_sext(value, f->bytes);
    int digits = (int)f->bytes * 2;

    switch (f->form) {
    case 'd': g_string_append_printf(out, " %" PRId64, sign); break;
    case 'u': g_string_append_printf(out, " %" PRIu64, value); break;
    case 'o': g_string_append_printf(out, " %#" PRIo64, value); break;
    case 'c': g_string_append_printf(out, value >= ' ' && value < 127 ? " '%c'" : " \\x%02x", (int)value); break;
    default: g_string_append_printf(out, " 0x%0*" PRIx64, digits, value); break;
    }
}

static void nothing_at(uint64_t address, GString *out)
{
    g_string_append_printf(out, "%s%016" PRIx64 ": no memory there\n", out->len && out->str[out->len - 1] != '\n' ? "\n" : "", address);
}

static void examine_numbers(struct vcpu *v, const struct format *f, uint64_t address, read_function *read, GString *out)
{
    unsigned line = f->form == 'c' ? 16 : 16 / f->bytes;

    for (unsigned i = 0; i < f->count; i++, address += f->bytes) {
        uint64_t value = 0;

        if (read(v, address, &value, f->bytes) < f->bytes) {
            nothing_at(address, out);
            return;
        }
        if (i % line == 0)
            g_string_append_printf(out, "%s%016" PRIx64 ":", i ? "\n" : "", address);
        print_value(f, value, out);
    }
    g_string_append_c(out, '\n');
}

static void examine_code(struct vcpu *v, const struct format *f, uint64_t address, read_function *read, GString *out)
{
    unsigned mode = v->cpu.mode & MODE_CODE64 ? 64 : v->cpu.mode & MODE_CODE32 ? 32 : 16;

    for (unsigned i = 0; i < f->count; i++) {
        uint8_t bytes[15];
        size_t n = read(v, address, bytes, sizeof(bytes));
        char text[96];
        unsigned length = n ? disasm_one(mode, bytes, n, address, text, sizeof(text)) : 0;

        if (!n) {
            nothing_at(address, out);
            return;
        }
        g_string_append_printf(out, "%016" PRIx64 ":  %s\n", address, length ? text : "(bad)");
        address += length ? length : 1;
    }
}

static void examine(struct monitor *m, const char *args, read_function *read, GString *out)
{
    struct vcpu *v = monitor_vcpu(m);
    struct format f;
    uint64_t address;
    struct err err;

    if (!machine_show_state(m->machine, &err))
        g_string_append_printf(out, "%s\n", err.text);
    else if (!parse_format(&args, &f))
        g_string_append(out, "not a format (a count, one of x d u o c i, one of b h w g)\n");
    else if (!parse_address(&v->cpu, args, &address))
        g_string_append(out, "not an address (numbers and $registers, + and -)\n");
    else if (f.form == 'i')
        examine_code(v, &f, address, read, out);
    else
        examine_numbers(v, &f, address, read, out);
}

void monitor_examine(struct monitor *m, const char *args, GString *out) { examine(m, args, debug_read, out); }
void monitor_examine_physical(struct monitor *m, const char *args, GString *out) { examine(m, args, debug_read_physical, out); }
