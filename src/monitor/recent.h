/* recent.h - the last few device accesses of a guest, for `info journeys`. */
#ifndef MONITOR_RECENT_H
#define MONITOR_RECENT_H

#include "machine.h"

#include <glib.h>

enum { RECENT_ACCESSES = 32 };

struct recent_access {
    uint64_t rip, instruction, address;
    union wide data;      /* as loaded or stored */
    uint8_t space, type, width, fragments, result;
};

struct recent {
    struct machine *machine;
    struct recent_access access[RECENT_ACCESSES];
    uint64_t n;           /* so far */
};

/* bus.observe, with a struct recent. */
void recent_observe(void *opaque, const struct dispatch_report *report);
/* A line for each instruction that touched a device, a line for each access; the newest last. */
void recent_print(const struct recent *recent, GString *out);

#endif
