/*
 * record.h - from a machine's device accesses to journeys.
 */
#ifndef TRACE_RECORD_H
#define TRACE_RECORD_H

#include "machine.h"
#include "trace/journey.h"
#include "trace/trace.h"

struct recorder {
    struct machine *machine; /* set once it exists */
    struct journey journey;  /* the one under way */
};

void recorder_init(struct recorder *r);
void recorder_free(struct recorder *r);

/* machine_config.observe, with the recorder as observer. */
void recorder_observe(void *opaque, const struct dispatch_report *report);

/* After machine_step() returned MACHINE_JOURNEY: fills in what is known only then.  Then journey_clear(). */
void recorder_finish(struct recorder *r);

/* Who records, on what host, with which CPUID; text for `guest`. */
void recorder_header(struct trace_header *header, const struct machine *machine, const char *guest);

#endif
