/*
 * console.h - the host's end of a guest's console: standard input to its first serial port, keys that are for us; and whoever
 * else looks after the guest, the monitor and gdb.
 *
 * One thread reads: the one that runs the guest, between two instructions (machine.h, struct machine_attendant).
 */
#ifndef CONSOLE_CONSOLE_H
#define CONSOLE_CONSOLE_H

#include "console/keys.h"
#include "display/screen.h"
#include "gdb/gdb.h"
#include "monitor/monitor.h"

enum { CONSOLE_BYTES = 256 };

struct console {
    struct machine *machine;
    struct machine_attendant attendant;
    bool open;                     /* standard input may bring more */
    bool terminal;                 /* it is one, raw; else keys are nothing special */
    struct keys keys;
    struct monitor monitor;
    struct gdb *gdb;               /* NULL: nobody asked for it */
    bool gdb_wait;                 /* ... it lets the guest begin */
    bool curses;                   /* the VGA has the terminal, and keys are its keyboard's */
    struct screen *screen;         /* ... when it is open */
    bool in_monitor;               /* it has the keyboard */
    uint8_t waiting[CONSOLE_BYTES]; /* for the guest, which is not ready for it */
    unsigned first, count;
};

/* Is there a standard input at all?  Asked before anything is opened, which might get its number. */
bool console_has_input(void);

/* `input`: the guest's input is standard input.  Then console_start() once there is a machine, and console_end() when it has
 * run, with its exit status; the terminal is put back by then. */
void console_init(struct console *c, bool input);
void console_start(struct console *c, struct machine *m);
void console_end(struct console *c, int status);

#endif
