/*
 * stream.h - a snapshot's file: sections, compressed, with a checksum behind them (docs/snapshot.md).
 *
 * Writing is to a file without a name, which is put in place when it is whole.  Reading checks the whole file before
 * anything in it is looked at.
 */
#ifndef SNAPSHOT_STREAM_H
#define SNAPSHOT_STREAM_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

enum {
    STREAM_VERSION = 1, STREAM_HEAD_BYTES = 16, STREAM_CHECKSUM_BYTES = 32, STREAM_TAIL_BYTES = 8 + STREAM_CHECKSUM_BYTES,
    STREAM_NAME_BYTES = 16,
};
#define STREAM_MAGIC "\x89WLSNAP\n" /* 8 bytes; then the version, 4 bytes, and 4 of zero */
#define STREAM_END "\nWLEND\r\n"    /* 8 bytes behind the compressed sections, before the checksum of all that stands in front of it */

struct snapshot_out;
struct snapshot_in;

/* Could a snapshot be written there?  Nothing is left behind. */
bool out_possible(const char *path, struct err *err);
/* NULL and err if not. */
struct snapshot_out *out_open(const char *path, struct err *err);
/* A section's head; exactly `bytes` follow by out_write().  What fails is told by out_commit(). */
void out_section(struct snapshot_out *out, const char *name, uint64_t bytes);
void out_write(struct snapshot_out *out, const void *data, size_t bytes);
/* Puts the file in place, durably; or leaves what was there.  `out` is gone afterwards. */
bool out_commit(struct snapshot_out *out, struct err *err);

/* NULL and err for what is no whole snapshot of this version. */
struct snapshot_in *in_open(const char *path, struct err *err);
/* The next section has to be `name`; its size, at most `max`. */
bool in_section(struct snapshot_in *in, const char *name, uint64_t max, uint64_t *bytes, struct err *err);
bool in_read(struct snapshot_in *in, void *data, size_t bytes, struct err *err);
/* Nothing follows. */
bool in_ends(struct snapshot_in *in, struct err *err);
void in_close(struct snapshot_in *in);

#endif
