/* raw.c - an image that is the disk, byte for byte. */
#include "block/image.h"

#include "base/bits.h"
#include "block/file.h"

#include <glib.h>

struct raw {
    struct block_backend backend; /* first */
    struct file file;
};

static struct file *raw_file(struct block_backend *b) { return &((struct raw *)b)->file; }

static int raw_read(struct block_backend *b, uint64_t offset, void *data, size_t bytes) { return file_read(raw_file(b), offset, data, bytes); }

static int raw_write(struct block_backend *b, uint64_t offset, const void *data, size_t bytes)
{
    return file_write(raw_file(b), offset, data, bytes);
}

static int raw_flush(struct block_backend *b) { return b->read_only ? 0 : file_flush(raw_file(b)); }

static int raw_discard(struct block_backend *b, uint64_t offset, uint64_t bytes) { return file_discard(raw_file(b), offset, bytes); }

static int raw_write_zeroes(struct block_backend *b, uint64_t offset, uint64_t bytes, bool unmap)
{
    return file_zero(raw_file(b), offset, bytes, unmap);
}

static void raw_close(struct block_backend *b)
{
    file_close(raw_file(b));
    g_free(b);
}

/* The last sector may be a part of one: the rest of it reads as zeros. */
struct block_backend *raw_open(const char *path, bool read_only, bool direct, struct err *err)
{
    struct raw *r = g_new0(struct raw, 1);

    if (!file_open(&r->file, path, read_only, direct, err)) {
        g_free(r);
        return NULL;
    }
    r->backend = (struct block_backend){ .bytes = bits_align_up(r->file.bytes, BLOCK_SECTOR_BYTES), .sector = r->file.sector,
                                         .read_only = read_only, .read = raw_read, .write = raw_write, .flush = raw_flush,
                                         .discard = raw_discard, .write_zeroes = raw_write_zeroes, .close = raw_close };
    if (r->backend.bytes)
        return &r->backend;
    err_set(err, "%s: an empty image is no disk", path);
    raw_close(&r->backend);
    return NULL;
}
