/* server.h - the parts of the server among themselves: gdb.c has the connection, commands.c what packets ask for. */
#ifndef GDB_SERVER_H
#define GDB_SERVER_H

#include "gdb/gdb.h"

/* As the Z packets number them. */
enum gdb_point_type { POINT_SOFTWARE, POINT_HARDWARE, POINT_WRITE, POINT_READ, POINT_ACCESS, POINT_TYPES };

struct gdb_point {
    enum gdb_point_type type;
    uint64_t address, size;
};

enum { GDB_POINTS = DEBUG_BREAKS + DEBUG_WATCHES, GDB_STOP_TEXT = 96 };

struct gdb {
    struct machine *machine;
    struct monitor *monitor;
    unsigned cpu;              /* gdb's thread, from 0: whose registers it sees, and which steps */
    char *path;                /* of the socket we made; NULL: TCP */
    int listener, fd;          /* fd < 0: nobody is connected */
    bool holds;                /* the guest stands still for gdb */
    bool goes_on;              /* after the step over a breakpoint that it was stopped at */
    bool says_why;             /* gdb knows stop reasons "swbreak" and "hwbreak" */
    bool no_ack;
    char why[GDB_STOP_TEXT];   /* the last stop reply */
    struct gdb_parser parser;
    struct gdb_registers registers;
    GString *xml, *reply, *sent;
    struct gdb_point point[GDB_POINTS];
    unsigned points;
    struct gdb_point applied[GDB_POINTS]; /* as the vcpu has them */
    unsigned applied_points;
};

static inline struct vcpu *gdb_vcpu(const struct gdb *g) { return g->machine->cpu[g->cpu].v; }

/* A packet: the answer is in g->reply, if there is one: false, there is none yet, or never. */
bool gdb_command(struct gdb *g, const char *packet, size_t n);

/* Lets the guest run: an instruction, or until something stops it. */
void gdb_resume(struct gdb *g, bool step);
/* Makes a stop reply: "T05", "swbreak:;" or nothing. */
void gdb_say_why(struct gdb *g, const char *signal, const char *reason);
/* Sends what is in g->reply. */
void gdb_send(struct gdb *g);
/* Nobody is there any more: nothing is asked of the guest, and it runs. */
void gdb_let_go(struct gdb *g);
void gdb_hang_up(struct gdb *g);

/* -- points.c ------------------------------------------------------------------------------------------------------ */

/* NULL: done; else the text of an error. */
const char *gdb_point_add(struct gdb *g, const struct gdb_point *p);
const char *gdb_point_remove(struct gdb *g, const struct gdb_point *p);
/* The vcpu's are what is wanted now. */
void gdb_points_apply(struct gdb *g);
/* Is there a breakpoint in front of the next instruction? */
const struct gdb_point *gdb_point_here(const struct gdb *g);
/* The watch that bit i of vcpu.debug.hits means. */
const struct gdb_point *gdb_point_watch(const struct gdb *g, unsigned i);

#endif
