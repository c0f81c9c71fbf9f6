/* zfile.c - zstd behind stdio, by fopencookie(3). */
#define _GNU_SOURCE
#include "trace/zfile.h"

#include <errno.h>
#include <glib.h>
#include <stdbool.h>
#include <string.h>
#include <zstd.h>

enum { CHUNK = 1 << 16, LEVEL = 12 };

struct zfile {
    FILE *raw;
    ZSTD_DCtx *d;
    ZSTD_CCtx *c;
    ZSTD_inBuffer in;
    char buffer[CHUNK];
    bool frame_open; /* reading: the end of the file would cut a frame */
};

static ssize_t zfile_read(void *cookie, char *data, size_t size)
{
    struct zfile *z = cookie;
    ZSTD_outBuffer out = { data, size, 0 };

    while (!out.pos) {
        size_t left;

        if (z->in.pos == z->in.size) {
            z->in = (ZSTD_inBuffer){ z->buffer, fread(z->buffer, 1, CHUNK, z->raw), 0 };
            if (!z->in.size && (z->frame_open || ferror(z->raw))) {
                errno = EIO;
                return -1;
            }
            if (!z->in.size)
                return 0;
        }
        left = ZSTD_decompressStream(z->d, &out, &z->in);
        if (ZSTD_isError(left)) {
            errno = EIO;
            return -1;
        }
        z->frame_open = left != 0;
    }
    return (ssize_t)out.pos;
}

static bool zfile_push(struct zfile *z, ZSTD_inBuffer *in, ZSTD_EndDirective end)
{
    size_t left;

    do {
        ZSTD_outBuffer out = { z->buffer, CHUNK, 0 };

        left = ZSTD_compressStream2(z->c, &out, in, end);
        if (ZSTD_isError(left) || fwrite(z->buffer, 1, out.pos, z->raw) != out.pos)
            return false;
    } while (left && end == ZSTD_e_end);
    return true;
}

static ssize_t zfile_write(void *cookie, const char *data, size_t size)
{
    ZSTD_inBuffer in = { data, size, 0 };

    while (in.pos < in.size)
        if (!zfile_push(cookie, &in, ZSTD_e_continue))
            return 0;
    return (ssize_t)size;
}

static int zfile_close(void *cookie)
{
    struct zfile *z = cookie;
    ZSTD_inBuffer none = { NULL, 0, 0 };
    bool ok = !z->c || zfile_push(z, &none, ZSTD_e_end);

    ZSTD_freeCCtx(z->c);
    ZSTD_freeDCtx(z->d);
    ok &= fclose(z->raw) == 0;
    g_free(z);
    return ok ? 0 : EOF;
}

FILE *zfile_open(const char *path, const char *mode)
{
    FILE *raw = fopen(path, *mode == 'r' ? "re" : "we"), *file;
    cookie_io_functions_t io = { .close = zfile_close };
    struct zfile *z;

    if (!raw || !g_str_has_suffix(path, ".zst"))
        return raw;
    z = g_new0(struct zfile, 1);
    z->raw = raw;
    if (*mode == 'r') {
        z->d = ZSTD_createDCtx();
        io.read = zfile_read;
    } else {
        z->c = ZSTD_createCCtx();
        ZSTD_CCtx_setParameter(z->c, ZSTD_c_compressionLevel, LEVEL);
        io.write = zfile_write;
    }
    file = fopencookie(z, mode, io);
    if (!file)
        zfile_close(z);
    return file;
}
