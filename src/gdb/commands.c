/*
 * commands.c - what gdb's packets ask for: a table by first letters, and a small function each.
 *
 * A packet that is not in the table is answered with nothing, which means "not supported"; one that cannot be understood or
 * carried out, with an error (manual, section E.2, "Packets", and E.4, "General Query Packets").
 */
#include "gdb/server.h"

#include "debug.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool ok(struct gdb *g)
{
    g_string_assign(g->reply, "OK");
    return true;
}

static bool wrong(struct gdb *g, const char *text)
{
    g_string_printf(g->reply, "E.%s", text);
    return true;
}

/* To a packet whose answer is hexadecimal, of which gdb 13 would take a text for a part. */
static bool failed(struct gdb *g, int number)
{
    g_string_printf(g->reply, "E%02x", number);
    return true;
}

/* An answer that is always the same. */
static bool says(struct gdb *g, const char *text)
{
    g_string_assign(g->reply, text);
    return true;
}

static struct cpu *cpu(struct gdb *g) { return &gdb_vcpu(g)->cpu; }

static bool changed(struct gdb *g)
{
    struct err err;

    return machine_take_state(g->machine, &err) ? ok(g) : wrong(g, err.text);
}

/* -- registers --------------------------------------------------------------------------------------------------------------- */

static void put_register(struct gdb *g, unsigned i)
{
    uint8_t bytes[GDB_REGISTER_BYTES];

    gdb_register_get(&g->registers.row[i], cpu(g), bytes);
    gdb_put_hex(g->reply, bytes, g->registers.row[i].bytes);
}

static bool read_registers(struct gdb *g, const char *args, size_t n)
{
    (void)args, (void)n;
    for (unsigned i = 0; i < g->registers.n; i++)
        put_register(g, i);
    return true;
}

/* Those that only the guest changes stay as they are. */
static bool write_registers(struct gdb *g, const char *args, size_t n)
{
    uint8_t bytes[GDB_REGISTER_BYTES];
    size_t all = 0;

    for (unsigned i = 0; i < g->registers.n; i++)
        all += g->registers.row[i].bytes * 2u;
    if (n != all || strspn(args, "0123456789abcdefABCDEF") != n)
        return wrong(g, "not all registers");
    for (unsigned i = 0; i < g->registers.n; args += g->registers.row[i++].bytes * 2)
        if (gdb_get_hex(args, bytes, g->registers.row[i].bytes))
            gdb_register_set(&g->registers.row[i], cpu(g), bytes);
    return changed(g);
}

static bool read_register(struct gdb *g, const char *args, size_t n)
{
    uint64_t i;

    (void)n;
    if (!gdb_get_number(&args, &i) || *args || i >= g->registers.n)
        return failed(g, EINVAL);
    put_register(g, (unsigned)i);
    return true;
}

static bool write_register(struct gdb *g, const char *args, size_t n)
{
    uint8_t bytes[GDB_REGISTER_BYTES];
    const struct gdb_register *row;
    uint64_t i;

    (void)n;
    if (!gdb_get_number(&args, &i) || *args++ != '=' || i >= g->registers.n)
        return wrong(g, "no such register");
    row = &g->registers.row[i];
    if (strlen(args) != row->bytes * 2u || !gdb_get_hex(args, bytes, row->bytes))
        return wrong(g, "not a value of that register");
    if (!gdb_register_set(row, cpu(g), bytes))
        return wrong(g, "only the guest changes this register");
    return changed(g);
}

/* -- memory ------------------------------------------------------------------------------------------------------------------ */

enum { MEMORY_BYTES = (GDB_PACKET_BYTES - 64) / 2 };

/* What there is of it; nothing at all is an error. */
static size_t get_memory(struct gdb *g, const char *args, uint8_t *bytes, uint64_t *wanted)
{
    uint64_t address;

    if (!gdb_get_range(&args, &address, wanted, 0))
        return 0;
    *wanted = bits_min(*wanted, MEMORY_BYTES);
    return debug_read(gdb_vcpu(g), address, bytes, (size_t)*wanted);
}

static bool read_memory(struct gdb *g, const char *args, size_t n)
{
    uint8_t bytes[MEMORY_BYTES];
    uint64_t wanted = 1;
    size_t got = get_memory(g, args, bytes, &wanted);

    (void)n;
    if (!got && wanted)
        return failed(g, EFAULT);
    gdb_put_hex(g->reply, bytes, got);
    return true;
}

static bool read_binary(struct gdb *g, const char *args, size_t n)
{
    uint8_t bytes[MEMORY_BYTES];
    uint64_t wanted = 1;
    size_t got = get_memory(g, args, bytes, &wanted);

    (void)n;
    if (!got && wanted)
        return failed(g, EFAULT);
    g_string_append_c(g->reply, 'b');
    g_string_append_len(g->reply, (const char *)bytes, (gssize)got);
    return true;
}

static bool put_memory(struct gdb *g, uint64_t address, const void *bytes, uint64_t length)
{
    return debug_write(gdb_vcpu(g), address, bytes, (size_t)length) == length ? ok(g) : wrong(g, "no memory there");
}

static bool write_memory(struct gdb *g, const char *args, size_t n)
{
    uint8_t bytes[MEMORY_BYTES];
    uint64_t address, length;

    (void)n;
    if (!gdb_get_range(&args, &address, &length, ':') || length > MEMORY_BYTES || strlen(args) != length * 2 ||
        !gdb_get_hex(args, bytes, (size_t)length))
        return wrong(g, "not an address, a length and bytes");
    return put_memory(g, address, bytes, length);
}

static bool write_binary(struct gdb *g, const char *args, size_t n)
{
    const char *end = args + n;
    uint64_t address, length;

    if (!gdb_get_range(&args, &address, &length, ':') || length != (uint64_t)(end - args))
        return wrong(g, "not an address, a length and bytes");
    return put_memory(g, address, args, length);
}

/* -- breakpoints ------------------------------------------------------------------------------------------------------------- */

/* "TYPE,ADDRESS,KIND", and conditions, which we did not say that we know. */
static bool get_point(const char *args, struct gdb_point *p)
{
    uint64_t type;

    if (!gdb_get_number(&args, &type) || type >= POINT_TYPES || *args++ != ',')
        return false;
    p->type = (enum gdb_point_type)type;
    return gdb_get_range(&args, &p->address, &p->size, 0);
}

static bool point(struct gdb *g, const char *args, const char *(*what)(struct gdb *g, const struct gdb_point *p))
{
    struct gdb_point p;
    const char *refused;

    if (!get_point(args, &p))
        return wrong(g, "not a type, an address and a size");
    refused = what(g, &p);
    return refused ? wrong(g, refused) : ok(g);
}

static bool add_point(struct gdb *g, const char *args, size_t n)
{
    (void)n;
    return point(g, args, gdb_point_add);
}

static bool remove_point(struct gdb *g, const char *args, size_t n)
{
    (void)n;
    return point(g, args, gdb_point_remove);
}

/* -- running ----------------------------------------------------------------------------------------------------------------- */

static bool goes(struct gdb *g, const char *args, bool step)
{
    uint64_t rip;

    if (*args) {
        if (!gdb_get_number(&args, &rip) || *args)
            return wrong(g, "not an address");
        cpu(g)->rip = rip;
        changed(g);
        g_string_truncate(g->reply, 0);
    }
    gdb_resume(g, step);
    return false;
}

static bool run_on(struct gdb *g, const char *args, size_t n)
{
    (void)n;
    return goes(g, args, false);
}

static bool step(struct gdb *g, const char *args, size_t n)
{
    (void)n;
    return goes(g, args, true);
}

/* "SIGNAL[;ADDRESS]": a guest gets no signals. */
static const char *after_signal(const char *args)
{
    const char *address = strchr(args, ';');

    return address ? address + 1 : "";
}

static bool run_on_signal(struct gdb *g, const char *args, size_t n)
{
    (void)n;
    return goes(g, after_signal(args), false);
}

static bool step_signal(struct gdb *g, const char *args, size_t n)
{
    (void)n;
    return goes(g, after_signal(args), true);
}

/* Thread 1 is processor 0; 0 and -1: any. */
static bool choose(struct gdb *g, const char *text)
{
    uint64_t thread;

    if (!strcmp(text, "-1") || !strcmp(text, "0"))
        return true;
    if (!gdb_get_number(&text, &thread) || !thread || thread > g->machine->cpus)
        return false;
    g->cpu = (unsigned)thread - 1;
    return true;
}

/* "ACTION[:THREAD];...": one that steps does so alone; otherwise all go on. */
static bool resume(struct gdb *g, const char *args, size_t n)
{
    const char *step = strchr(args, 's');

    (void)n;
    if (!step)
        step = strchr(args, 'S');
    if (step) {
        const char *thread = strchr(step, ':');
        char text[32] = "0";

        if (thread)
            g_strlcpy(text, thread + 1, bits_min(sizeof(text), strcspn(thread + 1, ";") + 1));
        return choose(g, text) ? goes(g, "", true) : wrong(g, "no such thread");
    }
    switch (args[0]) {
    case 'c': case 'C': return goes(g, "", false);
    case 't': gdb_say_why(g, "T00", ""); return says(g, g->why);
    default: return wrong(g, "not an action");
    }
}

/* "gTHREAD" for registers and memory, "cTHREAD" for going on, which vCont says better. */
static bool set_thread(struct gdb *g, const char *args, size_t n)
{
    (void)n;
    return *args != 'g' || choose(g, args + 1) ? ok(g) : failed(g, EINVAL);
}

static bool is_alive(struct gdb *g, const char *args, size_t n)
{
    uint64_t thread;

    (void)n;
    return gdb_get_number(&args, &thread) && thread && thread <= g->machine->cpus ? ok(g) : failed(g, EINVAL);
}

static bool threads(struct gdb *g, const char *args, size_t n)
{
    (void)args, (void)n;
    for (unsigned i = 0; i < g->machine->cpus; i++)
        g_string_append_printf(g->reply, "%c%02x", i ? ',' : 'm', i + 1);
    return true;
}

static bool thread_name(struct gdb *g, const char *args, size_t n)
{
    static const char *const activities[] = { "running", "halted", "waits for start-up", "shut down" };
    char text[64];
    uint64_t thread;

    (void)n;
    if (!gdb_get_number(&args, &thread) || !thread || thread > g->machine->cpus)
        return failed(g, EINVAL);
    g_snprintf(text, sizeof(text), "CPU#%u [%s]", (unsigned)thread - 1, activities[g->machine->cpu[thread - 1].v->cpu.activity]);
    gdb_put_hex(g->reply, text, strlen(text));
    return true;
}

static bool this_thread(struct gdb *g, const char *args, size_t n)
{
    (void)args, (void)n;
    g_string_printf(g->reply, "QC%02x", g->cpu + 1);
    return true;
}

static bool why(struct gdb *g, const char *args, size_t n)
{
    (void)args, (void)n;
    return says(g, g->why);
}

static bool detach(struct gdb *g, const char *args, size_t n)
{
    (void)args, (void)n;
    ok(g);
    gdb_send(g);
    gdb_hang_up(g);
    return false;
}

static bool kill_guest(struct gdb *g, const char *args, size_t n)
{
    (void)args, (void)n;
    machine_interrupt(g->machine);
    return false;
}

static bool kill_process(struct gdb *g, const char *args, size_t n)
{
    kill_guest(g, args, n);
    return ok(g);
}

/* -- queries ----------------------------------------------------------------------------------------------------------------- */

static bool supported(struct gdb *g, const char *args, size_t n)
{
    (void)n;
    g->says_why = strstr(args, "swbreak+") && strstr(args, "hwbreak+");
    g_string_printf(g->reply, "PacketSize=%x;qXfer:features:read+;QStartNoAckMode+;vContSupported+;swbreak+;hwbreak+;binary-upload+",
                    GDB_PACKET_BYTES);
    return true;
}

/* After 'l' all of it has been sent, after 'm' there is more. */
static bool description(struct gdb *g, const char *args, size_t n)
{
    uint64_t offset, length, left;

    (void)n;
    if (!gdb_get_range(&args, &offset, &length, 0) || offset > g->xml->len)
        return wrong(g, "not an offset and a length");
    left = g->xml->len - offset;
    length = bits_min(bits_min(length, left), MEMORY_BYTES);
    g_string_append_c(g->reply, length < left ? 'm' : 'l');
    g_string_append_len(g->reply, g->xml->str + offset, (gssize)length);
    return true;
}

/* A command of the monitor; what it says is its answer. */
static bool monitor(struct gdb *g, const char *args, size_t n)
{
    char line[MONITOR_LINE] = "";
    GString *out;

    if (n % 2 || n / 2 >= sizeof(line) || !gdb_get_hex(args, line, n / 2))
        return failed(g, EINVAL);
    out = g_string_new(NULL);
    monitor_command(g->monitor, line, out);
    for (size_t at = 0; at < out->len; at += MEMORY_BYTES) {
        g_string_assign(g->reply, "O");
        gdb_put_hex(g->reply, out->str + at, (size_t)bits_min(MEMORY_BYTES, out->len - at));
        gdb_send(g);
    }
    g_string_free(out, TRUE);
    return ok(g);
}

static bool without_acks(struct gdb *g, const char *args, size_t n)
{
    (void)args, (void)n;
    g->no_ack = true;
    return ok(g);
}

static bool agrees(struct gdb *g, const char *args, size_t n)
{
    (void)args, (void)n;
    return ok(g);
}

/* -- the table --------------------------------------------------------------------------------------------------------------- */

struct row {
    const char *prefix;
    bool (*run)(struct gdb *g, const char *args, size_t n); /* args: what follows the prefix */
    const char *answer;                                     /* instead */
};

static const struct row rows[] = {
    { "qSupported", supported, NULL },
    { "qXfer:features:read:target.xml:", description, NULL },
    { "qRcmd,", monitor, NULL },
    { "QStartNoAckMode", without_acks, NULL },
    { "qAttached", NULL, "1" },
    { "qfThreadInfo", threads, NULL },
    { "qsThreadInfo", NULL, "l" },
    { "qThreadExtraInfo,", thread_name, NULL },
    { "qC", this_thread, NULL },
    { "qSymbol", agrees, NULL },
    { "vCont?", NULL, "vCont;c;C;s;S;t" },
    { "vCont;", resume, NULL },
    { "vKill", kill_process, NULL },
    { "?", why, NULL },
    { "H", set_thread, NULL },
    { "T", is_alive, NULL },
    { "g", read_registers, NULL },
    { "G", write_registers, NULL },
    { "p", read_register, NULL },
    { "P", write_register, NULL },
    { "m", read_memory, NULL },
    { "M", write_memory, NULL },
    { "x", read_binary, NULL },
    { "X", write_binary, NULL },
    { "Z", add_point, NULL },
    { "z", remove_point, NULL },
    { "c", run_on, NULL },
    { "C", run_on_signal, NULL },
    { "s", step, NULL },
    { "S", step_signal, NULL },
    { "D", detach, NULL },
    { "k", kill_guest, NULL },
};

bool gdb_command(struct gdb *g, const char *packet, size_t n)
{
    g_string_truncate(g->reply, 0);
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        size_t length = strlen(rows[i].prefix);

        if (n >= length && !memcmp(packet, rows[i].prefix, length))
            return rows[i].run ? rows[i].run(g, packet + length, n - length) : says(g, rows[i].answer);
    }
    return true;
}
