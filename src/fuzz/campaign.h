/*
 * campaign.h - a fuzzer on several processes: each has every n-th case, its own engines, and tells what it finds.
 */
#ifndef FUZZ_CAMPAIGN_H
#define FUZZ_CAMPAIGN_H

#include "fuzz/fuzz.h"

struct campaign {
    struct fuzz *f;              /* created, not started */
    struct fuzz_config config;   /* as it was created with: the whole shard */
    unsigned jobs;
    uint64_t cases;              /* in all; with `seconds`: at most */
    unsigned seconds;            /* 0: no limit */
    bool first_only;             /* stop at the first difference */
    struct fuzz_counts *counts;  /* all jobs' together (coverage_create()); up to date when `tick` is called, and at the end */
    /* In the calling process: the first difference of each cause; some times a second, false to stop. */
    void (*differs)(void *opaque, const struct fuzz_difference *d);
    bool (*tick)(void *opaque);
    void *opaque;
    unsigned not_on_host;        /* out: forms that were not compared with the host */
};

/* False and err: an engine is not here, or has failed. */
bool campaign_run(struct campaign *c, struct err *err);

#endif
