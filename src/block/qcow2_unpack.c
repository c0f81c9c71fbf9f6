/* qcow2_unpack.c - compressed clusters: raw deflate or zstd, in as many bytes as the entry says, or fewer. */
#include "block/qcow2.h"

#include <errno.h>
#include <zlib.h>
#include <zstd.h>

enum { SECTOR_BITS = 9, COMPRESSION_ZSTD = 1 };

/* The offset's bits end where the count of further sectors begins. */
void qcow2_packed(const struct qcow2 *q, uint64_t entry, uint64_t *offset, uint64_t *bytes)
{
    unsigned x = 62 - (q->cluster_bits - 8);

    *offset = entry & bits_mask(x);
    *bytes = ((bits_get(entry, x, 62 - x) + 1) << SECTOR_BITS) - (*offset & bits_mask(SECTOR_BITS));
}

static bool unpack_deflate(const uint8_t *from, size_t bytes, uint8_t *to, size_t room)
{
    z_stream z = { .next_in = (uint8_t *)(uintptr_t)from, .avail_in = (uInt)bytes, .next_out = to, .avail_out = (uInt)room };

    if (inflateInit2(&z, -MAX_WBITS) != Z_OK)
        return false;
    inflate(&z, Z_FINISH);
    inflateEnd(&z);
    return !z.avail_out;
}

static bool unpack_zstd(const uint8_t *from, size_t bytes, uint8_t *to, size_t room)
{
    ZSTD_DCtx *context = ZSTD_createDCtx();
    ZSTD_inBuffer in = { from, bytes, 0 };
    ZSTD_outBuffer out = { to, room, 0 };
    size_t left = 1;

    while (context && left && !ZSTD_isError(left) && out.pos < out.size) {
        size_t before = in.pos + out.pos;

        left = ZSTD_decompressStream(context, &out, &in);
        if (in.pos + out.pos == before)
            break;
    }
    ZSTD_freeDCtx(context);
    return out.pos == out.size;
}

int qcow2_unpack(struct qcow2 *q, uint64_t entry)
{
    uint64_t offset, bytes;
    uint8_t *packed;
    int error;
    bool ok;

    if (q->unpacked_entry == entry)
        return 0;
    q->unpacked_entry = 0;
    qcow2_packed(q, entry, &offset, &bytes);
    if (offset >= q->file.bytes)
        return -EIO;
    packed = g_malloc(bytes);
    error = file_read(&q->file, offset, packed, bytes);
    ok = !error && (q->compression == COMPRESSION_ZSTD ? unpack_zstd : unpack_deflate)(packed, bytes, q->unpacked, q->cluster);
    g_free(packed);
    if (ok)
        q->unpacked_entry = entry;
    return ok ? 0 : -EIO;
}
