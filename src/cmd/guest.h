/*
 * guest.h - the options every command that runs a guest shares.
 */
#ifndef CMD_GUEST_H
#define CMD_GUEST_H

#include "machine.h"
#include "snapshot/snapshot.h"

#include <glib.h>

struct guest_options {
    char *engine, *cpu, *memory, *bios, *kernel, *append, *initrd, *serial, *debugcon, *split, *clock, *log, *log_file, *limit, *until, *jit_cache, *jit_off;
    char *smp, *virtio, *hvc, *boot, *display, *vgabios;
    char **disk, **cdrom;
    gboolean testdev, edu, iommu, rng, balloon;
};

extern struct guest_options guest_options;
extern const GOptionEntry guest_entries[];

/*
 * Checks and fills in a configuration; flat is the positional argument or NULL, load a snapshot instead of any image or
 * NULL.  The backends are opened by
 * guest_open_console(), and closed by guest_close_console().  Without guest_keep_outputs() in between, the files named
 * by --serial, --debugcon and --log-file are as they were: bad input leaves nothing behind.
 */
bool guest_configure(struct machine_config *config, const char *flat, struct snapshot *load, struct err *err);
bool guest_open_console(struct machine_config *config, struct err *err);
void guest_keep_outputs(void);
void guest_close_console(void);
/* --display curses */
bool guest_display_is_curses(void);
/* The file of --display png:FILE, or NULL. */
const char *guest_picture(void);
/* What --disk has taken. */
void guest_free_disks(void);
/* Two machines on the same images: each has its own writes, which neither keeps. */
void guest_throw_away_writes(void);
bool guest_reads_stdio(void);

/* The command line without the program's name and without the option `skip` ("--trace"; `letter` is its short form). */
char *guest_command_line(int argc, char **argv, const char *skip, char letter);

/* "512M", "2G", "4096K", plain bytes. */
bool guest_parse_size(const char *text, uint64_t *bytes);
/* off, instruction, burst. */
bool guest_parse_assist(const char *text, enum assist_mode *mode, struct err *err);
/* 20M: million. */
bool guest_parse_count(const char *text, uint64_t *n);

/* Ctrl-C stops these machines; NULL: nobody. */
void guest_catch_signals(struct machine *m, struct machine *other);

const struct engine *guest_find_engine(const char *name, struct err *err);

#endif
