/*
 * overlay.c - a disk whose writes are thrown away: in blocks of 4 KiB they go to a file without a name.
 *
 * The file lies in TMPDIR and takes the room of what was written; a bit for each block says that it is there.
 */
#define _GNU_SOURCE
#include "block/image.h"

#include "base/bits.h"
#include "block/file.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { OVERLAY_BLOCK = 4096 };

struct overlay {
    struct block_backend backend; /* first */
    struct block_backend *base;
    struct file file;
    uint8_t *written; /* a bit for each block */
    size_t map_bytes;
};

static bool overlay_has(const struct overlay *o, uint64_t block) { return o->written[block / 8] >> block % 8 & 1; }

/* Bytes from `offset` to the end of its block, or of `bytes`. */
static size_t overlay_piece(uint64_t offset, uint64_t bytes) { return bits_min(bytes, OVERLAY_BLOCK - offset % OVERLAY_BLOCK); }

/* Neighbouring blocks that lie on the same side are one access. */
static size_t overlay_run(const struct overlay *o, uint64_t offset, size_t bytes)
{
    bool has = overlay_has(o, offset / OVERLAY_BLOCK);
    size_t n = overlay_piece(offset, bytes);

    while (n < bytes && overlay_has(o, (offset + n) / OVERLAY_BLOCK) == has)
        n += overlay_piece(offset + n, bytes - n);
    return n;
}

static int overlay_read(struct block_backend *b, uint64_t offset, void *data, size_t bytes)
{
    struct overlay *o = (struct overlay *)b;
    int error = 0;

    for (size_t at = 0, n; at < bytes && !error; at += n) {
        uint8_t *to = (uint8_t *)data + at;

        n = overlay_run(o, offset + at, bytes - at);
        error = overlay_has(o, (offset + at) / OVERLAY_BLOCK) ? file_read(&o->file, offset + at, to, n)
                                                              : o->base->read(o->base, offset + at, to, n);
    }
    return error;
}

/* A block that is written in part has the base's bytes elsewhere. */
static int overlay_write_block(struct overlay *o, uint64_t offset, const uint8_t *data, size_t bytes)
{
    uint8_t block[OVERLAY_BLOCK];
    uint64_t n = offset / OVERLAY_BLOCK, start = n * OVERLAY_BLOCK, whole = bits_min(OVERLAY_BLOCK, o->backend.bytes - start);
    int error;

    if (!overlay_has(o, n) && bytes != whole) {
        error = o->base->read(o->base, start, block, whole);
        memcpy(block + (offset - start), data, bytes);
        error = error ? error : file_write(&o->file, start, block, whole);
    } else {
        error = file_write(&o->file, offset, data, bytes);
    }
    if (!error)
        o->written[n / 8] |= (uint8_t)(1 << n % 8);
    return error;
}

static int overlay_write(struct block_backend *b, uint64_t offset, const void *data, size_t bytes)
{
    int error = 0;

    for (size_t at = 0, n; at < bytes && !error; at += n) {
        n = overlay_piece(offset + at, bytes - at);
        error = overlay_write_block((struct overlay *)b, offset + at, (const uint8_t *)data + at, n);
    }
    return error;
}

static int overlay_zero(struct block_backend *b, uint64_t offset, uint64_t bytes, bool unmap)
{
    static const uint8_t zeros[OVERLAY_BLOCK];
    int error = 0;

    (void)unmap;
    for (uint64_t at = 0, n; at < bytes && !error; at += n) {
        n = overlay_piece(offset + at, bytes - at);
        error = overlay_write_block((struct overlay *)b, offset + at, zeros, n);
    }
    return error;
}

static int overlay_flush(struct block_backend *b)
{
    (void)b;
    return 0; /* nobody will ever read it again */
}

static int overlay_discard(struct block_backend *b, uint64_t offset, uint64_t bytes)
{
    (void)b;
    (void)offset;
    (void)bytes;
    return 0;
}

static void overlay_close(struct block_backend *b)
{
    struct overlay *o = (struct overlay *)b;

    o->base->close(o->base);
    file_close(&o->file);
    if (o->written)
        munmap(o->written, o->map_bytes);
    g_free(o);
}

static int overlay_temporary(void)
{
    int fd = open(g_get_tmp_dir(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    char *path;

    if (fd >= 0)
        return fd;
    path = g_build_filename(g_get_tmp_dir(), "wideload-XXXXXX", NULL); /* a file system without files that have no name */
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        unlink(path);
    g_free(path);
    return fd;
}

struct block_backend *overlay_open(struct block_backend *base, struct err *err)
{
    struct overlay *o = g_new0(struct overlay, 1);

    o->base = base;
    o->file = (struct file){ .fd = overlay_temporary() };
    o->map_bytes = base->bytes / OVERLAY_BLOCK / 8 + 1;
    o->written = mmap(NULL, o->map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (o->written == MAP_FAILED)
        o->written = NULL;
    o->backend = *base;
    o->backend.read_only = false;
    o->backend.read = overlay_read;
    o->backend.write = overlay_write;
    o->backend.flush = overlay_flush;
    o->backend.discard = overlay_discard;
    o->backend.write_zeroes = overlay_zero;
    o->backend.close = overlay_close;
    if (o->file.fd >= 0 && o->written)
        return &o->backend;
    err_set(err, "%s: no temporary file for a disk's snapshot: %s", g_get_tmp_dir(), strerror(errno));
    overlay_close(&o->backend);
    return NULL;
}
