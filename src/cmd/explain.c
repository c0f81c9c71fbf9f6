/* explain.c - wideload explain: one instruction's journey to a device. */
#include "cmd/cmd.h"

#include "cmd/guest.h"
#include "cmd/options.h"
#include "explain/assemble.h"
#include "explain/explain.h"
#include "x86/decode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *explain_region, *explain_bytes, *explain_split, **explain_texts, *explain_registers[GPRS];

static const GOptionEntry explain_entries[] = {
    { "region", 0, 0, G_OPTION_ARG_STRING, &explain_region, "The device: BASE+SIZE[,widths=1-64][,unaligned][,enables][,atomics][,direct]", "REGION" },
    { "bytes", 0, 0, G_OPTION_ARG_STRING, &explain_bytes, "The instruction in hexadecimal, instead of text", "HEX" },
    { "split", 0, 0, G_OPTION_ARG_STRING, &explain_split, "Policy of the step-by-step part (whole)", "POLICY" },
    { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_STRING_ARRAY, &explain_texts, NULL, "['INSTRUCTION']" },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
};

static bool parse_hex(const char *text, uint8_t *bytes, size_t size, size_t *n, struct err *err)
{
    for (*n = 0; *text;) {
        char pair[3] = { text[0], text[0] ? text[1] : 0, 0 };

        if (*text == ' ') {
            text++;
            continue;
        }
        if (!g_ascii_isxdigit(pair[0]) || !g_ascii_isxdigit(pair[1]) || *n == size)
            return err_set(err, "--bytes: up to 15 bytes as pairs of hexadecimal digits");
        bytes[(*n)++] = (uint8_t)strtoul(pair, NULL, 16);
        text += 2;
    }
    return *n || err_set(err, "--bytes: no bytes");
}

static bool parse_region(const char *text, struct explain_request *r, struct err *err)
{
    char **halves = g_strsplit(text, ",", 2), **range = g_strsplit(halves[0] ? halves[0] : "", "+", 2);
    bool ok = range[0] && range[1] && guest_parse_size(range[0], &r->region_base) && guest_parse_size(range[1], &r->region_bytes) &&
              r->region_bytes && r->region_base + r->region_bytes > r->region_base;

    if (!ok)
        err_set(err, "--region: BASE+SIZE, for example 0x10000000+0x10000");
    else
        ok = explain_parse_limits(halves[1] ? halves[1] : "", &r->limits, err);
    g_strfreev(range);
    g_strfreev(halves);
    return ok;
}

/* explain() looks at the first instruction; whoever gives two would not notice. */
static bool check_single(const struct explain_request *r, struct err *err)
{
    struct insn insn;

    if (decode(MODE_CODE64 | MODE_LONG | MODE_PROTECTED, r->bytes, r->n, &insn) != DECODE_OK)
        return err_set(err, "these bytes are no instruction");
    return insn.length == r->n || err_set(err, "not one instruction: it has %u bytes, and %zu follow", insn.length, r->n - insn.length);
}

/* The recorded table: beside the sources, or where make install put it. */
static const char *find_vectors(void)
{
    static const char *const places[] = { WIDELOAD_SOURCE "/tests/vectors/kvm-6.18-mmio.tsv",
                                          WIDELOAD_PREFIX "/share/wideload/kvm-6.18-mmio.tsv" };

    for (unsigned i = 0; i < ARRAY_LEN(places); i++)
        if (g_file_test(places[i], G_FILE_TEST_IS_REGULAR))
            return places[i];
    return NULL;
}

static bool configure(struct explain_request *r, struct err *err)
{
    *r = (struct explain_request){ .mode = 64, .policy = &split_whole, .vectors = find_vectors() };
    if (!!explain_bytes + !!explain_texts != 1 || (explain_texts && explain_texts[1]))
        return err_set(err, "one instruction: as text, or with --bytes");
    if (!parse_region(explain_region ? explain_region : "0x10000000+0x10000", r, err))
        return false;
    r->registers[RSP] = 0x8000;
    r->registers[RDI] = r->registers[RSI] = r->region_base;
    for (unsigned i = 0; i < GPRS; i++)
        if (explain_registers[i] && !guest_parse_size(explain_registers[i], &r->registers[i]))
            return err_set(err, "--%s: not a number: '%s'", cpu_gpr_names[i], explain_registers[i]);
    if (explain_split && !(r->policy = split_find(explain_split, &r->policy_arg)))
        return err_set(err, "no such split policy '%s' (see wideload list policies)", explain_split);
    return (explain_bytes ? parse_hex(explain_bytes, r->bytes, sizeof(r->bytes), &r->n, err)
                          : assemble(explain_texts[0], r->mode, r->bytes, sizeof(r->bytes), &r->n, err)) &&
           check_single(r, err);
}

static const GOptionEntry *register_entries(void)
{
    static GOptionEntry entries[GPRS + 1];

    for (unsigned i = 0; i < GPRS; i++)
        entries[i] = (GOptionEntry){ cpu_gpr_names[i], 0, i == RDI ? 0 : G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_STRING, &explain_registers[i],
                                     "A register's value (also --rax, --rsi ...; RDI and RSI: the region's base)", "VALUE" };
    return entries;
}

int cmd_explain(int argc, char **argv)
{
    const GOptionEntry *const tables[] = { explain_entries, register_entries(), NULL };
    struct explain_request request;
    struct err err;

    if (!options_parse("wideload explain", "- draw the journey of one instruction's access to a device", tables, &argc, &argv))
        return 2;
    return configure(&request, &err) && explain(&request, stdout, &err) ? 0 : options_fail(&err);
}
