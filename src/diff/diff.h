/*
 * diff.h - two runs of one guest, journey by journey.
 *
 * A side is an engine with its own machine, or a recorded trace.  Both machines start from the same image, with the
 * journey clock, so that devices answer alike as long as the guest does the same on both.
 */
#ifndef DIFF_DIFF_H
#define DIFF_DIFF_H

#include "diff/compare.h"
#include "machine.h"
#include "trace/record.h"

struct diff_side {
    const char *name;             /* "interp", "kvm", or a trace's file name */
    struct machine *machine;      /* or */
    struct trace_reader *trace;
    struct trace_header header;
    struct recorder recorder;     /* machine: its journey is this side's */
    struct journey read;          /* trace: the same */
    enum machine_end end;         /* of the last step; a trace's end is MACHINE_UNTIL */
};

struct diff_config {
    struct machine_config guest;  /* engine, clock and observer are filled in per side */
    const char *side[2];          /* an engine's name, or a trace file */
    uint64_t journeys;            /* stop after so many; UINT64_MAX: never */
    /* Called for each pair (one may be NULL), after it was counted. */
    void (*each)(void *opaque, const struct journey *a, const struct journey *b, const struct comparison *c);
    void (*progress)(void *opaque, uint64_t journeys);
    void *opaque;
};

struct diff {
    struct diff_config config;
    struct diff_side side[2];
    struct compare_counts counts;
    uint64_t pairs;
    bool registers_compared;
    bool trace_ended;             /* the trace was shorter than the run */
    bool diverged;
    char cause[512];              /* of the first divergence */
    uint64_t diverged_at;         /* journey number */
};

/* NULL and err: an engine that cannot be had here, a bad image or trace. */
struct diff *diff_create(const struct diff_config *config, struct err *err);
void diff_destroy(struct diff *d);

/* Runs to the end or the first divergence.  False and err for what is no verdict: a side that failed, a cut trace. */
bool diff_run(struct diff *d, struct err *err);

#endif
