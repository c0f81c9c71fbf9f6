/* console.c - standard input, looked at between two instructions; nothing is read that there is no room for. */
#define _GNU_SOURCE
#include "console/console.h"

#include "console/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { HOLD_NS = 100000000, FEED_NS = 1000000 /* before the guest is asked again whether it has room */ };

bool console_has_input(void)
{
    int flags = fcntl(STDIN_FILENO, F_GETFL);

    return flags >= 0 && (flags & O_ACCMODE) != O_WRONLY;
}

/* -- to the guest --------------------------------------------------------------------------------------------------------- */

static struct char_backend *console_uart(const struct console *c) { return machine_input(c->machine); }

static unsigned console_guest_room(const struct console *c)
{
    const struct char_backend *b = console_uart(c);

    return b->input_room ? (unsigned)b->input_room(b->device) : 0;
}

/* True: the guest has got something, and need not be let wait. */
static bool console_feed(struct console *c)
{
    struct char_backend *b = console_uart(c);
    unsigned before = c->count;

    for (unsigned room = console_guest_room(c); room && c->count; room--, c->count--) {
        b->input(b->device, &c->waiting[c->first], 1);
        c->first = (c->first + 1) % CONSOLE_BYTES;
    }
    return c->count < before;
}

static void console_keep(struct console *c, uint8_t byte)
{
    if (c->count < CONSOLE_BYTES)
        c->waiting[(c->first + c->count++) % CONSOLE_BYTES] = byte;
}

/* -- from the host -------------------------------------------------------------------------------------------------------- */

static void console_switch(struct console *c, GString *out)
{
    c->in_monitor = !c->in_monitor;
    if (c->screen)
        (c->in_monitor ? screen_hide : screen_show)(c->screen);
    g_string_append(out, c->in_monitor ? "\nwideload monitor (help lists commands; Ctrl-A c or Ctrl-D: back)\n" : "\n");
    if (c->in_monitor)
        monitor_prompt(out);
}

static void console_byte(struct console *c, uint8_t byte, GString *out)
{
    if (!c->in_monitor && c->screen)
        screen_type(c->screen, byte);
    else if (!c->in_monitor)
        console_keep(c, byte);
    else if (!monitor_key(&c->monitor, byte, out))
        console_switch(c, out);
}

static void console_key(struct console *c, uint8_t byte)
{
    GString *out = g_string_new(NULL);

    switch (keys_take(&c->keys, &byte)) {
    case KEY_BYTE: console_byte(c, byte, out); break;
    case KEY_QUIT: machine_interrupt(c->machine); break;
    case KEY_HELP: g_string_append(out, keys_help); break;
    case KEY_SWITCH: console_switch(c, out); break;
    default: break;
    }
    fwrite(out->str, 1, out->len, stdout);
    fflush(stdout);
    g_string_free(out, TRUE);
}

/* Keys that are no bytes are for the guest alone. */
static void console_read_screen(struct console *c)
{
    int key;

    while (!c->in_monitor && (key = screen_key(c->screen)) >= 0) {
        if (key < 256)
            console_key(c, (uint8_t)key);
        else
            screen_type(c->screen, key);
    }
}

static void console_read(struct console *c)
{
    uint8_t bytes[CONSOLE_BYTES];
    ssize_t n = read(STDIN_FILENO, bytes, c->terminal ? CONSOLE_BYTES : CONSOLE_BYTES - c->count);

    if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
        c->open = false;
    for (ssize_t i = 0; i < n; i++)
        if (c->terminal)
            console_key(c, bytes[i]);
        else
            console_keep(c, bytes[i]);
}

/* Keys for us are always taken; what a file or a pipe has may wait there. */
static bool console_wants(const struct console *c) { return c->open && (c->terminal || c->count < CONSOLE_BYTES); }

/* gdb is told of what the monitor does. */
static bool console_holds(struct console *c)
{
    if (c->gdb && c->monitor.stopped)
        gdb_stopped_by_monitor(c->gdb);
    return c->monitor.stopped || (c->gdb && gdb_holds(c->gdb));
}

/* in: what may have come from standard input, from gdb, and the bell; a guest that stands still is not rung for. */
static bool console_poll(struct console *c, struct pollfd in[3], uint64_t wait_ns)
{
    struct timespec wait = { (time_t)(wait_ns / 1000000000), (long)(wait_ns % 1000000000) };

    in[0] = (struct pollfd){ .fd = console_wants(c) ? STDIN_FILENO : -1, .events = POLLIN };
    in[1] = (struct pollfd){ .fd = c->gdb ? gdb_socket(c->gdb) : -1, .events = POLLIN };
    in[2] = (struct pollfd){ .fd = console_holds(c) ? -1 : c->machine->bell, .events = POLLIN };
    return ppoll(in, 3, &wait, NULL) > 0;
}

static void console_wait(struct console *c, uint64_t wait_ns)
{
    struct pollfd in[3];

    if (console_poll(c, in, console_feed(c) ? 0 : wait_ns)) {
        if (in[0].revents && c->screen && !c->in_monitor)
            console_read_screen(c);
        else if (in[0].revents)
            console_read(c);
        if (in[1].revents)
            gdb_look(c->gdb);
    }
    console_feed(c);
}

/* While the guest is stopped nothing else happens, and no time passes for it. */
static void console_hold(struct console *c)
{
    gint64 since = g_get_monotonic_time();

    do {
        console_wait(c, HOLD_NS);
    } while (console_holds(c) && !c->machine->interrupted);
    machine_stood_still(c->machine, (uint64_t)(g_get_monotonic_time() - since) * 1000);
}

static void console_look(void *opaque, uint64_t wait_ns)
{
    struct console *c = opaque;

    if (c->screen)
        screen_update(c->screen);
    console_wait(c, wait_ns);
    if (console_holds(c))
        console_hold(c);
}

/* Nothing of the guest's is looked at here: it runs. */
static bool console_expect(void *opaque, uint64_t wait_ns)
{
    struct console *c = opaque;
    struct pollfd in[3];

    return (console_poll(c, in, c->count ? bits_min(wait_ns, FEED_NS) : wait_ns) && (in[0].revents | in[1].revents)) || c->count || c->screen;
}

static void console_stopped(void *opaque, bool step)
{
    struct console *c = opaque;

    if (!c->gdb)
        return;
    gdb_stopped(c->gdb, step);
    if (console_holds(c))
        console_hold(c);
}

static bool console_expects(void *opaque, bool interruptible)
{
    struct console *c = opaque;

    if (c->gdb && gdb_connected(c->gdb))
        return true;
    return interruptible && (c->open || (c->count && console_guest_room(c)));
}

void console_init(struct console *c, bool input)
{
    *c = (struct console){ .open = input, .attendant = { console_look, console_expect, console_expects, console_stopped, c } };
}

void console_start(struct console *c, struct machine *m)
{
    c->machine = m;
    monitor_init(&c->monitor, m);
    if (c->gdb)
        gdb_start(c->gdb, m, &c->monitor, c->gdb_wait);
    if (!c->open || !isatty(STDIN_FILENO))
        return;
    c->terminal = c->open = terminal_is_ours() && terminal_raw();
    if (c->terminal)
        monitor_observe(&c->monitor);
    if (c->terminal && isatty(STDERR_FILENO))
        fprintf(stderr, "wideload run: Ctrl-A x ends the run, Ctrl-A h tells more\n");
    if (c->terminal && c->curses)
        c->screen = screen_open(m->board->vga, m->board->i8042);
}

void console_end(struct console *c, int status)
{
    screen_close(c->screen);
    c->screen = NULL;
    if (c->gdb)
        gdb_ended(c->gdb, status);
}
