/* monitor.c - the table of commands, and a line as it is typed. */
#include "monitor/monitor.h"

#include "display/picture.h"
#include "snapshot/snapshot.h"

#include "virtio_balloon.h"

#include <string.h>

/* The word that a line begins with, and what follows it. */
static const char *first_word(const char *line, size_t *length)
{
    *length = strcspn(line, " \t");
    return line + *length + strspn(line + *length, " \t");
}

static const struct monitor_command *find(const struct monitor_command *table, const char *word, size_t length)
{
    for (const struct monitor_command *c = table; c->name; c++)
        if (strlen(c->name) == length && !strncmp(c->name, word, length))
            return c;
    return NULL;
}

static void print_table(const struct monitor_command *table, const char *before, GString *out)
{
    for (const struct monitor_command *c = table; c->name; c++) {
        char *left = g_strdup_printf("%s%s %s", before, c->name, c->args);

        g_string_append_printf(out, "%-18s %s\n", left, c->help);
        g_free(left);
    }
}

/* -- commands -------------------------------------------------------------------------------------------------------------- */

static void run_info(struct monitor *m, const char *args, GString *out)
{
    size_t length;
    const char *rest = first_word(args, &length);
    const struct monitor_command *c = find(monitor_infos, args, length);
    struct err err;

    if (!c && *args)
        g_string_append_printf(out, "no such thing to show: '%.*s' (info alone lists them)\n", (int)length, args);
    else if (!c)
        print_table(monitor_infos, "info ", out);
    else if (!machine_show_state(m->machine, &err))
        g_string_append_printf(out, "%s\n", err.text);
    else
        c->run(m, rest, out);
}

static void run_stop(struct monitor *m, const char *args, GString *out)
{
    (void)args;
    g_string_append(out, m->stopped ? "it is stopped already\n" : "stopped\n");
    m->stopped = true;
}

static void run_cont(struct monitor *m, const char *args, GString *out)
{
    (void)args;
    if (!m->stopped)
        g_string_append(out, "`stop` has not stopped it\n");
    m->stopped = false;
}

static void run_cpu(struct monitor *m, const char *args, GString *out)
{
    char *end;
    unsigned long n = strtoul(args, &end, 10);

    if (!*args || *end || n >= m->machine->cpus)
        g_string_append_printf(out, "cpu needs a number from 0 to %u\n", m->machine->cpus - 1);
    else
        m->cpu = (unsigned)n;
}

static void run_save(struct monitor *m, const char *args, GString *out)
{
    struct err err;

    if (!*args)
        g_string_append(out, "save needs a file's name\n");
    else if (!snapshot_possible(args, &err) || !snapshot_save(m->machine, args, NULL, &err))
        g_string_append_printf(out, "%s\n", err.text);
    else
        g_string_append_printf(out, "saved to %s\n", args);
}

static void run_screendump(struct monitor *m, const char *args, GString *out)
{
    struct err err;

    if (!m->machine->board->vga)
        g_string_append(out, "the guest has no VGA (--display)\n");
    else if (!*args)
        g_string_append(out, "screendump needs a file's name\n");
    else if (!picture_write(m->machine->board->vga, args, &err))
        g_string_append_printf(out, "%s\n", err.text);
    else
        g_string_append_printf(out, "written to %s\n", args);
}

static void show_balloon(const struct board *b, GString *out)
{
    g_string_append_printf(out, "the guest has %" G_GUINT64_FORMAT " MiB, and shall have %" G_GUINT64_FORMAT "\n",
                           (b->config.ram_bytes - ((uint64_t)virtio_balloon_actual(b->virtio[BOARD_BALLOON]) << 12)) >> 20,
                           (b->config.ram_bytes - ((uint64_t)virtio_balloon_asked(b->virtio[BOARD_BALLOON]) << 12)) >> 20);
}

static void run_balloon(struct monitor *m, const char *args, GString *out)
{
    const struct board *b = m->machine->board;
    guint64 mib;

    if (!b->virtio[BOARD_BALLOON])
        g_string_append(out, "there is no balloon (--balloon)\n");
    else if (!*args)
        show_balloon(b, out);
    else if (!g_ascii_string_to_unsigned(args, 10, 1, b->config.ram_bytes >> 20, &mib, NULL))
        g_string_append_printf(out, "balloon: from 1 to %" G_GUINT64_FORMAT " MiB\n", b->config.ram_bytes >> 20);
    else
        virtio_balloon_ask(b->virtio[BOARD_BALLOON], (uint32_t)((b->config.ram_bytes - (mib << 20)) >> 12));
}

static void run_quit(struct monitor *m, const char *args, GString *out)
{
    (void)args, (void)out;
    machine_interrupt(m->machine);
}

static void run_help(struct monitor *m, const char *args, GString *out);

static const struct monitor_command commands[] = {
    { "info", "[WHAT]", "shows registers, cpus, tlb, mem, pci, irq, journeys, device", run_info },
    { "cpu", "N", "the processor that info and x look at", run_cpu },
    { "x", "/FMT ADDR", "memory at a linear address; FMT: count, x d u o c i, b h w g", monitor_examine },
    { "xp", "/FMT ADDR", "memory at a physical address", monitor_examine_physical },
    { "stop", "", "the guest does not go on", run_stop },
    { "cont", "", "... and does again", run_cont },
    { "balloon", "[MIB]", "the memory that --balloon leaves to the guest", run_balloon },
    { "save", "FILE", "the guest to a file, for run --load", run_save },
    { "screendump", "FILE", "the VGA's picture as PNG", run_screendump },
    { "quit", "", "ends the run", run_quit },
    { "help", "", "this", run_help },
    { NULL, NULL, NULL, NULL },
};

static void run_help(struct monitor *m, const char *args, GString *out)
{
    (void)m, (void)args;
    print_table(commands, "", out);
}

void monitor_command(struct monitor *m, const char *line, GString *out)
{
    char *copy = g_strstrip(g_strdup(line));
    const struct monitor_command *c;
    const char *rest;
    size_t length;

    rest = first_word(copy, &length);
    if (memchr(copy, '/', length)) { /* x/4i is x and /4i */
        length = strcspn(copy, "/");
        rest = copy + length;
    }
    c = find(commands, copy, length);
    if (c)
        c->run(m, rest, out);
    else if (*copy)
        g_string_append_printf(out, "no such command: '%.*s' (help lists them)\n", (int)length, copy);
    g_free(copy);
}

/* -- typing ------------------------------------------------------------------------------------------------------------------ */

enum { KEY_CTRL_C = 3, KEY_CTRL_D = 4, KEY_BACKSPACE = 8, KEY_CTRL_U = 21, KEY_DELETE = 127 };

void monitor_prompt(GString *out) { g_string_append(out, "(wideload) "); }

static void rub_out(struct monitor *m, unsigned n, GString *out)
{
    for (; n && m->length; n--, m->length--)
        g_string_append(out, "\b \b");
}

static void enter(struct monitor *m, GString *out)
{
    m->line[m->length] = 0;
    m->length = 0;
    g_string_append_c(out, '\n');
    monitor_command(m, m->line, out);
    monitor_prompt(out);
}

bool monitor_key(struct monitor *m, uint8_t key, GString *out)
{
    if (key == '\r' || key == '\n') {
        enter(m, out);
    } else if (key == KEY_BACKSPACE || key == KEY_DELETE) {
        rub_out(m, 1, out);
    } else if (key == KEY_CTRL_U || key == KEY_CTRL_C) {
        rub_out(m, m->length, out);
    } else if (key == KEY_CTRL_D && !m->length) {
        return false;
    } else if (key >= ' ' && key < KEY_DELETE && m->length < MONITOR_LINE - 1) {
        m->line[m->length++] = (char)key;
        g_string_append_c(out, (char)key);
    }
    return true;
}

void monitor_init(struct monitor *m, struct machine *machine)
{
    *m = (struct monitor){ .machine = machine, .recent.machine = machine };
}

void monitor_observe(struct monitor *m)
{
    struct machine *machine = m->machine;

    for (unsigned i = 0; i < machine->cpus; i++) {
        struct bus *bus = &machine->cpu[i].v->bus;

        if (bus->observe)
            continue;
        bus->observe = recent_observe;
        bus->opaque = &m->recent;
    }
}
