/*
 * write.c - a snapshot's file, written: compression, checksum, and a name only for what is whole.
 *
 * The file has no name at first (O_TMPFILE), so that whatever ends this process leaves nothing.  Where the file system
 * cannot do that, it has a temporary one.
 */
#define _GNU_SOURCE
#include "snapshot/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

enum { CHUNK = 1 << 16, LEVEL = 3 };

struct snapshot_out {
    char *path, *folder;
    char *named;    /* what the file is called until it is in place; NULL: nothing */
    int fd;
    ZSTD_CCtx *zstd;
    GChecksum *checksum;
    int error;      /* the first errno */
    char buffer[CHUNK];
};

/* -- where ---------------------------------------------------------------------------------------------------------------- */

/* The file that a chain of links leads to: that one is replaced, not the link. */
static char *out_target(const char *path)
{
    char *real = realpath(path, NULL), *target = g_strdup(real ? real : path);

    free(real);
    return target;
}

static bool out_check_target(const char *path, struct err *err)
{
    struct stat st;

    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return err_set(err, "%s: not a regular file", path);
    return true;
}

static bool out_cannot(int error) { return error == EOPNOTSUPP || error == EISDIR || error == EINVAL; }

static int out_open_nameless(const char *folder) { return open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666); }

/* With the rights that a new file has, which mkstemp() does not give. */
static int out_open_named(struct snapshot_out *out)
{
    char *base = g_path_get_basename(out->path);
    mode_t mask = umask(0);
    int fd;

    umask(mask);
    out->named = g_strdup_printf("%s/.%s.XXXXXX", out->folder, base);
    g_free(base);
    fd = mkostemp(out->named, O_CLOEXEC);
    if (fd >= 0 && fchmod(fd, 0666 & ~mask) == 0)
        return fd;
    if (fd >= 0) {
        unlink(out->named);
        close(fd);
    }
    g_free(out->named);
    out->named = NULL;
    return -1;
}

bool out_possible(const char *path, struct err *err)
{
    char *target = out_target(path), *folder = g_path_get_dirname(target);
    int fd = -1;
    bool ok = *path ? out_check_target(target, err) : err_set(err, "--save needs the name of a file");

    if (ok && (fd = out_open_nameless(folder)) < 0 && (!out_cannot(errno) || access(folder, W_OK) < 0))
        ok = err_set(err, "%s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    g_free(folder);
    g_free(target);
    return ok;
}

/* -- bytes ------------------------------------------------------------------------------------------------------------------ */

static void out_raw(struct snapshot_out *out, const void *data, size_t bytes)
{
    const char *at = data;

    g_checksum_update(out->checksum, data, (gssize)bytes);
    while (bytes && !out->error) {
        ssize_t n = write(out->fd, at, bytes);

        if (n < 0 && errno != EINTR)
            out->error = errno;
        if (n > 0)
            at += n, bytes -= (size_t)n;
    }
}

static void out_push(struct snapshot_out *out, const void *data, size_t bytes, ZSTD_EndDirective end)
{
    ZSTD_inBuffer in = { data, bytes, 0 };
    size_t left;

    do {
        ZSTD_outBuffer to = { out->buffer, CHUNK, 0 };

        left = ZSTD_compressStream2(out->zstd, &to, &in, end);
        if (ZSTD_isError(left))
            out->error = ENOMEM;
        else
            out_raw(out, out->buffer, to.pos);
    } while (!out->error && (in.pos < in.size || (end == ZSTD_e_end && left)));
}

void out_write(struct snapshot_out *out, const void *data, size_t bytes)
{
    if (!out->error)
        out_push(out, data, bytes, ZSTD_e_continue);
}

void out_section(struct snapshot_out *out, const char *name, uint64_t bytes)
{
    char head[STREAM_NAME_BYTES] = "";
    uint64_t size = GUINT64_TO_LE(bytes);

    g_strlcpy(head, name, sizeof(head));
    out_write(out, head, sizeof(head));
    out_write(out, &size, sizeof(size));
}

static void out_head(struct snapshot_out *out)
{
    uint8_t head[STREAM_HEAD_BYTES] = STREAM_MAGIC;

    head[8] = STREAM_VERSION;
    out_raw(out, head, sizeof(head));
}

static void out_tail(struct snapshot_out *out)
{
    guint8 digest[STREAM_CHECKSUM_BYTES];
    gsize n = sizeof(digest);

    if (!out->error)
        out_push(out, NULL, 0, ZSTD_e_end);
    out_raw(out, STREAM_END, 8);
    g_checksum_get_digest(out->checksum, digest, &n);
    g_checksum_free(out->checksum);
    out->checksum = g_checksum_new(G_CHECKSUM_SHA256);
    out_raw(out, digest, sizeof(digest));
}

/* -- life ------------------------------------------------------------------------------------------------------------------- */

static void out_free(struct snapshot_out *out)
{
    if (out->named)
        unlink(out->named);
    if (out->fd >= 0)
        close(out->fd);
    ZSTD_freeCCtx(out->zstd);
    if (out->checksum)
        g_checksum_free(out->checksum);
    g_free(out->named);
    g_free(out->folder);
    g_free(out->path);
    g_free(out);
}

struct snapshot_out *out_open(const char *path, struct err *err)
{
    struct snapshot_out *out = g_new0(struct snapshot_out, 1);

    out->path = out_target(path);
    out->folder = g_path_get_dirname(out->path);
    out->fd = -1;
    if (!out_check_target(out->path, err)) {
        out_free(out);
        return NULL;
    }
    out->fd = out_open_nameless(out->folder);
    if (out->fd < 0 && out_cannot(errno))
        out->fd = out_open_named(out);
    if (out->fd < 0) {
        err_set(err, "%s: %s", path, strerror(errno));
        out_free(out);
        return NULL;
    }
    out->checksum = g_checksum_new(G_CHECKSUM_SHA256);
    out->zstd = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(out->zstd, ZSTD_c_compressionLevel, LEVEL);
    out_head(out);
    return out;
}

static bool out_link(const struct snapshot_out *out, const char *name)
{
    char from[32];

    snprintf(from, sizeof(from), "/proc/self/fd/%d", out->fd);
    return linkat(AT_FDCWD, from, AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0;
}

/* A name of its own first where the final one is taken: only rename() replaces, and it takes names only. */
static bool out_name(struct snapshot_out *out)
{
    char *base;

    if (out->named)
        return true;
    if (out_link(out, out->path))
        return false; /* in place already */
    if (errno != EEXIST) {
        out->error = errno;
        return false;
    }
    base = g_path_get_basename(out->path);
    out->named = g_strdup_printf("%s/.%s.new", out->folder, base);
    g_free(base);
    unlink(out->named); /* of one that was killed between these two lines and rename() */
    if (!out_link(out, out->named))
        out->error = errno;
    return !out->error;
}

static void out_sync_folder(const struct snapshot_out *out)
{
    int fd = open(out->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return;
    fsync(fd); /* not every file system can; the file itself is safe */
    close(fd);
}

static void out_put_in_place(struct snapshot_out *out)
{
    if (fsync(out->fd) < 0)
        out->error = errno;
    if (out->error || !out_name(out))
        return;
    if (rename(out->named, out->path) < 0) {
        out->error = errno;
        return;
    }
    g_free(out->named);
    out->named = NULL;
}

bool out_commit(struct snapshot_out *out, struct err *err)
{
    bool ok;

    out_tail(out);
    if (!out->error)
        out_put_in_place(out);
    ok = !out->error || err_set(err, "%s: %s", out->path, strerror(out->error));
    if (ok)
        out_sync_folder(out);
    out_free(out);
    return ok;
}
