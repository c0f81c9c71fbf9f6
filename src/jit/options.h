/* options.h - the JIT as the command line sees it: switches, and what --stats prints. */
#ifndef JIT_OPTIONS_H
#define JIT_OPTIONS_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Switches, to turn one optimisation off at a time: for teaching, measuring and bisecting. */
#define JIT_SWITCHES(X)                                                                                                \
    X(chain, "jump from block to block without a look-up")                                                             \
    X(extend, "go on along what branches did, unroll short loops")                                                     \
    X(lazy, "recompute flags only where a fault asks for them")                                                        \
    X(jumps, "look indirect jumps up in line")                                                                         \
    X(fold, "address arithmetic within the access")                                                                    \
    X(fuse, "read-modify-write in one host instruction")                                                               \
    X(tlb, "look the TLB up in line")                                                                                  \
    X(pages, "remember the page of each base register's accesses")                                                     \
    X(windows, "one look at the page for accesses that lie together")                                                  \
    X(vectors, "vector instructions in the host's registers")                                                          \
    X(x87, "x87 instructions on the host's x87 unit")

struct jit_options {
#define X(name, text) bool name;
    JIT_SWITCHES(X)
#undef X
    bool count;      /* for jit_stats: accesses and executions too, which costs time */
    uint64_t cache_bytes; /* of all processors together */
    unsigned hot;      /* executions before a block is translated ... */
    unsigned patience; /* ... and then before it is translated again, longer; 0: at once */
    bool perf_map;   /* /tmp/perf-PID.map */
    const char *jitdump; /* a file; "": jit-PID.dump; NULL: none */
};

/* Why translated code came back. */
enum jit_exit { EXIT_BUDGET = 1, EXIT_LOOKUP, EXIT_LINK, EXIT_FAULT, EXIT_ARMED, EXIT_AFTER, EXIT_STOP };

/* What `run --stats` prints. */
struct jit_stats {
    uint64_t accesses, executions;            /* only with options.count */
    uint64_t blocks, insns, bytes, flushes, drops, declined;
    uint64_t links, lookups, misses;          /* edges patched; look-ups in C, and those that found no block */
    uint64_t entries, exits[EXIT_STOP + 1];
    uint64_t careful, brief, refusals;        /* blocks that are; windows that did not hold */
    uint64_t slow_walk, slow_device, slow_other, helpers, divides, segments;
    uint64_t translate_ns;
};

extern struct jit_options jit_options; /* of the next engine that is created */

/* False: there is no such switch. */
bool jit_switch_off(const char *name);

/* Can this host run translated code?  False and err: it interprets instead. */
bool jit_usable(struct err *err);

/* Of an engine made by engine_jit. */
const struct jit_stats *jit_engine_stats(const void *engine);
/* Host code of the instruction at RIP (show.c).  False: it is not one for translation. */
bool jit_print_insn(void *engine, FILE *out);
/* The figures as lines of text; `seconds` is how long it ran. */
void jit_print_stats(const void *engine, double seconds, FILE *out);

#endif
