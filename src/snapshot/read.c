/* read.c - a snapshot's file, read: all of it checked first, then decompressed section by section. */
#include "snapshot/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

enum { CHUNK = 1 << 16, WINDOW_LOG_MAX = 27 };

struct snapshot_in {
    char *path;
    int fd;
    uint64_t left;      /* of the compressed sections, not read yet */
    ZSTD_DCtx *zstd;
    ZSTD_inBuffer from;
    bool whole;         /* everything has been decompressed */
    uint8_t buffer[CHUNK];
};

static bool in_fail(const struct snapshot_in *in, struct err *err, const char *what) { return err_set(err, "%s: %s", in->path, what); }

/* Exactly so many bytes. */
static bool in_raw(struct snapshot_in *in, void *data, size_t bytes, struct err *err)
{
    char *at = data;

    while (bytes) {
        ssize_t n = read(in->fd, at, bytes);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return in_fail(in, err, strerror(errno));
        if (!n)
            return in_fail(in, err, "becomes shorter while it is read");
        at += n, bytes -= (size_t)n;
    }
    return true;
}

/* -- the whole file -------------------------------------------------------------------------------------------------------- */

static bool in_check_kind(struct snapshot_in *in, uint64_t *bytes, struct err *err)
{
    struct stat st;

    if (fstat(in->fd, &st) < 0)
        return in_fail(in, err, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return in_fail(in, err, S_ISDIR(st.st_mode) ? "is a directory" : "not a regular file");
    *bytes = (uint64_t)st.st_size;
    return true;
}

static bool in_check_head(struct snapshot_in *in, uint64_t bytes, GChecksum *checksum, struct err *err)
{
    uint8_t head[STREAM_HEAD_BYTES] = { 0 };
    uint32_t version;

    if (!in_raw(in, head, bytes < sizeof(head) ? (size_t)bytes : sizeof(head), err))
        return false;
    if (memcmp(head, STREAM_MAGIC, 8) != 0)
        return in_fail(in, err, "not a snapshot of wideload");
    if (bytes < STREAM_HEAD_BYTES + STREAM_TAIL_BYTES)
        return in_fail(in, err, "is cut off");
    memcpy(&version, head + 8, 4);
    version = GUINT32_FROM_LE(version);
    if (version != STREAM_VERSION)
        return err_set(err, "%s: a snapshot of format %u, and this program knows format %u", in->path, version, STREAM_VERSION);
    g_checksum_update(checksum, head, sizeof(head));
    return true;
}

static bool in_hash(struct snapshot_in *in, uint64_t bytes, GChecksum *checksum, struct err *err)
{
    while (bytes) {
        size_t n = bytes < CHUNK ? (size_t)bytes : CHUNK;

        if (!in_raw(in, in->buffer, n, err))
            return false;
        g_checksum_update(checksum, in->buffer, (gssize)n);
        bytes -= n;
    }
    return true;
}

static bool in_check_tail(struct snapshot_in *in, GChecksum *checksum, struct err *err)
{
    uint8_t tail[STREAM_TAIL_BYTES];
    guint8 digest[STREAM_CHECKSUM_BYTES];
    gsize n = sizeof(digest);

    if (!in_raw(in, tail, sizeof(tail), err))
        return false;
    if (memcmp(tail, STREAM_END, 8) != 0)
        return in_fail(in, err, "is cut off, or its end is damaged");
    g_checksum_update(checksum, tail, 8);
    g_checksum_get_digest(checksum, digest, &n);
    return !memcmp(digest, tail + 8, sizeof(digest)) || in_fail(in, err, "is damaged: its checksum is another");
}

static bool in_check(struct snapshot_in *in, struct err *err)
{
    GChecksum *checksum = g_checksum_new(G_CHECKSUM_SHA256);
    uint64_t bytes = 0;
    bool ok = in_check_kind(in, &bytes, err) && in_check_head(in, bytes, checksum, err);

    if (ok) {
        in->left = bytes - STREAM_HEAD_BYTES - STREAM_TAIL_BYTES;
        ok = in_hash(in, in->left, checksum, err) && in_check_tail(in, checksum, err);
    }
    g_checksum_free(checksum);
    if (ok && lseek(in->fd, STREAM_HEAD_BYTES, SEEK_SET) < 0)
        ok = in_fail(in, err, strerror(errno));
    return ok;
}

struct snapshot_in *in_open(const char *path, struct err *err)
{
    struct snapshot_in *in = g_new0(struct snapshot_in, 1);

    in->path = g_strdup(path);
    in->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO is refused, not waited for */
    in->zstd = ZSTD_createDCtx();
    ZSTD_DCtx_setParameter(in->zstd, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
    if (in->fd < 0 ? in_fail(in, err, strerror(errno)) : in_check(in, err))
        return in;
    in_close(in);
    return NULL;
}

void in_close(struct snapshot_in *in)
{
    if (!in)
        return;
    if (in->fd >= 0)
        close(in->fd);
    ZSTD_freeDCtx(in->zstd);
    g_free(in->path);
    g_free(in);
}

/* -- sections ---------------------------------------------------------------------------------------------------------------- */

static bool in_refill(struct snapshot_in *in, struct err *err)
{
    size_t n = in->left < CHUNK ? (size_t)in->left : CHUNK;

    if (!n)
        return in_fail(in, err, "ends within a section");
    if (!in_raw(in, in->buffer, n, err))
        return false;
    in->left -= n;
    in->from = (ZSTD_inBuffer){ in->buffer, n, 0 };
    return true;
}

bool in_read(struct snapshot_in *in, void *data, size_t bytes, struct err *err)
{
    ZSTD_outBuffer to = { data, bytes, 0 };

    while (to.pos < to.size) {
        size_t left;

        if (in->whole)
            return in_fail(in, err, "ends within a section");
        left = ZSTD_decompressStream(in->zstd, &to, &in->from);
        if (ZSTD_isError(left))
            return in_fail(in, err, "cannot be decompressed");
        in->whole = left == 0;
        if (to.pos < to.size && !in->whole && in->from.pos == in->from.size && !in_refill(in, err))
            return false;
    }
    return true;
}

bool in_section(struct snapshot_in *in, const char *name, uint64_t max, uint64_t *bytes, struct err *err)
{
    char head[STREAM_NAME_BYTES + 1] = "";
    uint64_t size;

    if (!in_read(in, head, STREAM_NAME_BYTES, err) || !in_read(in, &size, sizeof(size), err))
        return false;
    if (strcmp(head, name) != 0)
        return err_set(err, "%s: another section where '%s' should be", in->path, name);
    *bytes = GUINT64_FROM_LE(size);
    return *bytes <= max || err_set(err, "%s: the section '%s' is too long", in->path, name);
}

bool in_ends(struct snapshot_in *in, struct err *err)
{
    uint8_t more;
    ZSTD_outBuffer to = { &more, 1, 0 };

    while (!in->whole && (in->from.pos < in->from.size || in->left)) {
        size_t left;

        if (in->from.pos == in->from.size && !in_refill(in, err))
            return false;
        left = ZSTD_decompressStream(in->zstd, &to, &in->from);
        if (ZSTD_isError(left) || to.pos)
            break;
        in->whole = left == 0;
    }
    return (in->whole && !to.pos && in->from.pos == in->from.size && !in->left) || in_fail(in, err, "goes on behind its end");
}
