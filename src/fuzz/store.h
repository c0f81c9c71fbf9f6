/*
 * store.h - campaigns, their counters, their coverage and the differences they found, in an SQLite database.
 *
 * A campaign is one shard of one seed, by one build on one kind of processor.  The same shard again replaces what is there, if it has as many cases: databases of
 * shards can be merged in any order, and twice.
 */
#ifndef FUZZ_STORE_H
#define FUZZ_STORE_H

#include "fuzz/fuzz.h"

struct store;

struct store_campaign {
    const struct fuzz_config *config;
    uint64_t cases;
    double seconds;
};

/* NULL path: in memory.  `create` it if it is not there; else it is only read.  NULL and err: no database of ours, no permission. */
struct store *store_open(const char *path, bool create, struct err *err);
void store_close(struct store *s);

/* What a campaign has come to so far; again as often as you like.  Nothing happens where it had come further. */
bool store_campaign(struct store *s, const struct store_campaign *c, const struct fuzz_counts *counts, const struct catalog *k, struct err *err);

/* The first of its cause is kept. */
bool store_difference(struct store *s, const struct fuzz_difference *d, const uint8_t *image, struct err *err);

/* Everything of another database. */
bool store_merge(struct store *s, const char *path, struct err *err);

/* The case of difference `id`; false and err: there is none, or it is another version's. */
bool store_case(struct store *s, int64_t id, struct fuzz_case *out, struct err *err);

/* Ids in order: the first above `after`; 0: no more. */
int64_t store_next(struct store *s, int64_t after);

/* -- for reports: rows of a query, as text (NULL: no more) ---------------------------------------------------------------- */

struct store_rows;
enum store_query {
    STORE_CAMPAIGNS,   /* seed, first, step, mode, engines, isa, cases, seconds, build, processor */
    STORE_COUNTERS,    /* name, value */
    STORE_COVERAGE,    /* form, executed */
    STORE_DIFFERENCES, /* id, cause, seed, number, mode, engine, reference, what, code, line, text */
    STORE_QUERIES
};
struct store_rows *store_rows(struct store *s, enum store_query query);
bool store_row(struct store_rows *r);
const char *store_text(struct store_rows *r, int column);
void store_rows_free(struct store_rows *r);

#endif
