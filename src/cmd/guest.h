/*
 * guest.h - the options every command that runs a guest shares.
 */
#ifndef CMD_GUEST_H
#define CMD_GUEST_H

#include "machine.h"

#include <glib.h>

struct guest_options {
    char *engine, *memory, *bios, *kernel, *append, *serial, *debugcon, *split, *clock, *log, *log_file, *limit, *until;
};

extern struct guest_options guest_options;
extern const GOptionEntry guest_entries[];

/*
 * Checks and fills in a configuration; flat is the positional argument or NULL.  The backends are opened by
 * guest_open_console(), and closed by guest_close_console().
 */
bool guest_configure(struct machine_config *config, const char *flat, struct err *err);
bool guest_open_console(struct machine_config *config, struct err *err);
void guest_close_console(void);

/* "512M", "2G", "4096K", plain bytes. */
bool guest_parse_size(const char *text, uint64_t *bytes);

/* Ctrl-C stops this machine; NULL: nobody. */
void guest_catch_signals(struct machine *m);

const struct engine *guest_find_engine(const char *name, struct err *err);

#endif
