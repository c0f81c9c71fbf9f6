/*
 * gdb.h - a server of the GDB remote serial protocol: `run --gdb`.
 *
 * One connection at a time, from this host; a thread for each of the guest's CPUs.  All of it happens in the thread that runs the guest,
 * between two instructions: whoever waits for input waits for gdb_socket() too, and calls gdb_look() then.
 */
#ifndef GDB_GDB_H
#define GDB_GDB_H

#include "gdb/packet.h"
#include "gdb/registers.h"
#include "machine.h"
#include "monitor/monitor.h"

struct gdb;

/* `where`: a TCP port of localhost, or the path of a socket to be made.  NULL and err. */
struct gdb *gdb_listen(const char *where, struct err *err);
void gdb_close(struct gdb *g);

/* `wait`: the guest does not run before gdb says so. */
void gdb_start(struct gdb *g, struct machine *machine, struct monitor *monitor, bool wait);

/* What to wait for: bytes, or somebody who wants to connect. */
int gdb_socket(const struct gdb *g);
/* Takes what has come in. */
void gdb_look(struct gdb *g);

/* Does it hold the guest? */
bool gdb_holds(const struct gdb *g);
bool gdb_connected(const struct gdb *g);

/* vcpu.debug has stopped the guest (machine.h). */
void gdb_stopped(struct gdb *g, bool step);
/* `stop` of the monitor. */
void gdb_stopped_by_monitor(struct gdb *g);
/* The guest is over, and this is its exit status. */
void gdb_ended(struct gdb *g, int status);

#endif
