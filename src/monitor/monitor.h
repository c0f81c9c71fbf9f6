/*
 * monitor.h - commands to look at a guest and to stop it, typed at the console (Ctrl-A c) or in gdb (`monitor COMMAND`).
 *
 * A command runs between two of the guest's instructions, whether the guest goes on afterwards or not.
 */
#ifndef MONITOR_MONITOR_H
#define MONITOR_MONITOR_H

#include "machine.h"
#include "monitor/recent.h"

#include <glib.h>

enum { MONITOR_LINE = 256 };

struct monitor {
    struct machine *machine;
    unsigned cpu;             /* the one that is looked at: monitor_vcpu() */
    bool stopped;             /* by `stop`: the guest does not run */
    struct recent recent;
    char line[MONITOR_LINE];  /* as far as it has been typed */
    unsigned length;
};

void monitor_init(struct monitor *monitor, struct machine *machine);
static inline struct vcpu *monitor_vcpu(const struct monitor *m) { return m->machine->cpu[m->cpu].v; }
/* Somebody may ask: accesses are kept from now on, which costs a little each. */
void monitor_observe(struct monitor *monitor);

/* Carries out a line; what it has to say is appended to `out`, in whole lines.  An empty line is nothing. */
void monitor_command(struct monitor *monitor, const char *line, GString *out);

/* A key typed at a terminal; `out`: the echo, and what a finished line has to say.  False: Ctrl-D, back to the console. */
bool monitor_key(struct monitor *monitor, uint8_t key, GString *out);
void monitor_prompt(GString *out);

/* What commands are made of: name, arguments, what it does, and the function. */
struct monitor_command {
    const char *name, *args, *help;
    void (*run)(struct monitor *monitor, const char *args, GString *out);
};

/* The things of `info`; ends with a row without a name. */
extern const struct monitor_command monitor_infos[];

/* x and xp (examine.c): args are "/FMT ADDR" or "ADDR". */
void monitor_examine(struct monitor *monitor, const char *args, GString *out);
void monitor_examine_physical(struct monitor *monitor, const char *args, GString *out);

#endif
