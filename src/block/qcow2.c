/*
 * qcow2.c - qcow2 images: the header, and reads and writes of clusters.
 *
 * Refused in one line: encryption, external data files, extended L2 entries, features that are not known; images that are marked dirty or
 * corrupt, unless they are only read.  Internal snapshots are kept, and cannot be chosen.
 * Format: QEMU's docs/interop/qcow2.txt.
 */
#include "block/qcow2.h"

#include <errno.h>
#include <string.h>

enum { /* the header, big endian */
    H_MAGIC = 0, H_VERSION = 4, H_BACKING = 8, H_BACKING_BYTES = 16, H_CLUSTER_BITS = 20, H_SIZE = 24, H_CRYPT = 32, H_L1_ENTRIES = 36, H_L1 = 40,
    H_REFS = 48, H_REFS_CLUSTERS = 56, H_V2_BYTES = 72, H_INCOMPATIBLE = 72, H_AUTOCLEAR = 88, H_REFCOUNT_ORDER = 96, H_LENGTH = 100,
    H_V3_BYTES = 104, H_COMPRESSION = 104, H_BYTES = 112,
};
enum { I_DIRTY = 1, I_CORRUPT = 2, I_EXTERNAL = 4, I_COMPRESSION = 8, I_EXTENDED_L2 = 16 };
enum { CLUSTER_BITS_LEAST = 9, CLUSTER_BITS_MOST = 21, L1_BYTES_MAX = 32 << 20, REFS_BYTES_MAX = 8 << 20, NAME_MAX_BYTES = 1023, DEPTH_MAX = 8 };
enum { EXTENSION_END = 0 };
#define QCOW2_MAGIC 0x514649fbu
#define EXTENSION_FORMAT 0xe2792acau
#define SIZE_MAX_BYTES BIT(60)

/* -- one cluster -------------------------------------------------------------------------------------------------------------- */

static int read_backing(struct qcow2 *q, uint64_t offset, uint8_t *data, size_t bytes)
{
    uint64_t there = q->backing && offset < q->backing->bytes ? bits_min(bytes, q->backing->bytes - offset) : 0;

    memset(data + there, 0, bytes - there);
    return there ? q->backing->read(q->backing, offset, data, there) : 0;
}

/* What `entry` says is at a guest's offset; within one cluster, and whole sectors. */
static int read_entry(struct qcow2 *q, uint64_t entry, uint64_t offset, uint8_t *data, size_t bytes)
{
    uint64_t within = offset & (q->cluster - 1);
    int error;

    if (entry & QCOW2_COMPRESSED) {
        error = qcow2_unpack(q, entry);
        if (!error)
            memcpy(data, q->unpacked + within, bytes);
        return error;
    }
    if (q->version > 2 && entry & QCOW2_ZERO) {
        memset(data, 0, bytes);
        return 0;
    }
    if (!(entry & QCOW2_OFFSET))
        return read_backing(q, offset, data, bytes);
    return entry & QCOW2_OFFSET & (q->cluster - 1) ? -EIO : file_read(&q->file, (entry & QCOW2_OFFSET) + within, data, bytes);
}

static int read_piece(struct qcow2 *q, uint64_t offset, uint8_t *data, size_t bytes)
{
    uint64_t entry;
    int error = qcow2_find(q, offset, &entry);

    return error ? error : read_entry(q, entry, offset, data, bytes);
}

/* Ours alone, and in use as it is. */
static bool is_own(const struct qcow2 *q, uint64_t entry)
{
    return (entry & QCOW2_COPIED) && !(entry & QCOW2_COMPRESSED) && !(q->version > 2 && entry & QCOW2_ZERO) &&
           qcow2_is_cluster(q, entry & QCOW2_OFFSET);
}

/* The cluster's content with `bytes` of it replaced, at a new place. */
static int write_new(struct qcow2 *q, uint64_t entry, uint64_t offset, const uint8_t *data, size_t bytes)
{
    uint64_t within = offset & (q->cluster - 1), at;
    int error = bytes == q->cluster ? 0 : read_entry(q, entry, offset - within, q->buffer, q->cluster);

    error = error ? error : qcow2_alloc(q, &at);
    if (error)
        return error;
    memcpy(q->buffer + within, data, bytes);
    error = file_write(&q->file, at, q->buffer, q->cluster);
    error = error ? error : qcow2_put(q, offset, at | QCOW2_COPIED);
    qcow2_free(q, error ? at : entry);
    return error;
}

static int write_piece(struct qcow2 *q, uint64_t offset, const uint8_t *data, size_t bytes)
{
    uint64_t entry;
    int error = qcow2_find(q, offset, &entry);

    if (error)
        return error;
    if (is_own(q, entry))
        return file_write(&q->file, (entry & QCOW2_OFFSET) + (offset & (q->cluster - 1)), data, bytes);
    return write_new(q, entry, offset, data, bytes);
}

/* A whole cluster, or the rest of the disk, is zeros from now on, and takes no room. */
static int zero_cluster(struct qcow2 *q, uint64_t offset)
{
    uint64_t entry, zero = q->version > 2 && q->backing ? QCOW2_ZERO : 0;
    int error = qcow2_find(q, offset, &entry);

    if (error || entry == zero || (q->version > 2 && entry == QCOW2_ZERO))
        return error;
    error = qcow2_put(q, offset, zero);
    if (!error)
        qcow2_free(q, entry);
    return error;
}

/* -- the backend --------------------------------------------------------------------------------------------------------------- */

static size_t piece(const struct qcow2 *q, uint64_t offset, uint64_t bytes)
{
    return bits_min(bytes, q->cluster - (offset & (q->cluster - 1)));
}

static int qcow2_read(struct block_backend *b, uint64_t offset, void *data, size_t bytes)
{
    struct qcow2 *q = (struct qcow2 *)b;
    int error = 0;

    for (size_t at = 0, n; at < bytes && !error; at += n) {
        n = piece(q, offset + at, bytes - at);
        error = read_piece(q, offset + at, (uint8_t *)data + at, n);
    }
    return error;
}

static int qcow2_write(struct block_backend *b, uint64_t offset, const void *data, size_t bytes)
{
    struct qcow2 *q = (struct qcow2 *)b;
    int error = 0;

    for (size_t at = 0, n; at < bytes && !error; at += n) {
        n = piece(q, offset + at, bytes - at);
        error = write_piece(q, offset + at, (const uint8_t *)data + at, n);
    }
    return error;
}

static int qcow2_flush(struct block_backend *b) { return b->read_only ? 0 : qcow2_commit((struct qcow2 *)b); }

/* Version 2 cannot say that a cluster is zeros where its backing file has something else. */
static bool can_zero(const struct qcow2 *q, uint64_t offset, uint64_t bytes)
{
    return (bytes == q->cluster || offset + bytes == q->backend.bytes) && !(offset & (q->cluster - 1)) && (q->version > 2 || !q->backing);
}

static int qcow2_write_zeroes(struct block_backend *b, uint64_t offset, uint64_t bytes, bool unmap)
{
    struct qcow2 *q = (struct qcow2 *)b;
    uint8_t *zeros = g_malloc0(q->cluster);
    int error = 0;

    (void)unmap;
    for (uint64_t at = 0, n; at < bytes && !error; at += n) {
        n = piece(q, offset + at, bytes - at);
        error = can_zero(q, offset + at, n) ? zero_cluster(q, offset + at) : write_piece(q, offset + at, zeros, n);
    }
    g_free(zeros);
    return error;
}

static int qcow2_discard(struct block_backend *b, uint64_t offset, uint64_t bytes)
{
    struct qcow2 *q = (struct qcow2 *)b;
    int error = 0;

    for (uint64_t at = 0, n; at < bytes && !error; at += n) {
        n = piece(q, offset + at, bytes - at);
        error = can_zero(q, offset + at, n) ? zero_cluster(q, offset + at) : 0;
    }
    return error;
}

static void qcow2_close(struct block_backend *b)
{
    struct qcow2 *q = (struct qcow2 *)b;

    if (!b->read_only && q->freed)
        qcow2_commit(q);
    if (q->backing)
        q->backing->close(q->backing);
    for (unsigned i = 0; i < QCOW2_TABLES; i++)
        g_free(q->table[i].entry);
    if (q->freed)
        g_array_free(q->freed, TRUE);
    g_free(q->l1);
    g_free(q->l1_dirty);
    g_free(q->refs);
    g_free(q->block);
    g_free(q->buffer);
    g_free(q->unpacked);
    file_close(&q->file);
    g_free(q);
}

/* -- the header ---------------------------------------------------------------------------------------------------------------- */

static uint64_t get(const uint8_t *h, unsigned at, unsigned width)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < width; i++)
        v = v << 8 | h[at + i];
    return v;
}

static bool bad(const struct qcow2 *q, struct err *err, const char *why) { return err_set(err, "%s: qcow2: %s", q->file.path, why); }

static bool check_features(struct qcow2 *q, const uint8_t *h, struct err *err)
{
    uint64_t features = q->version > 2 ? get(h, H_INCOMPATIBLE, 8) : 0;

    if (get(h, H_CRYPT, 4))
        return bad(q, err, "an encrypted image, which this program cannot read");
    if (features & I_EXTERNAL)
        return bad(q, err, "its data is in another file, which this program cannot read");
    if (features & I_EXTENDED_L2)
        return bad(q, err, "extended L2 entries, which this program cannot read");
    if (features & ~(uint64_t)(I_DIRTY | I_CORRUPT | I_COMPRESSION))
        return bad(q, err, "a feature that this program does not know");
    if (features & (I_DIRTY | I_CORRUPT) && !q->backend.read_only)
        return bad(q, err, "marked dirty or corrupt: qemu-img check -r all, or readonly");
    if (features & I_COMPRESSION)
        q->compression = h[H_COMPRESSION];
    if (q->compression > 1)
        return bad(q, err, "a compression that this program does not know");
    return true;
}

static bool check_numbers(struct qcow2 *q, const uint8_t *h, struct err *err)
{
    uint64_t bits = get(h, H_CLUSTER_BITS, 4), size = get(h, H_SIZE, 8), header = q->version > 2 ? get(h, H_LENGTH, 4) : H_V2_BYTES;

    q->refcount_order = q->version > 2 ? (unsigned)bits_min(get(h, H_REFCOUNT_ORDER, 4), 99) : 4;
    if (bits < CLUSTER_BITS_LEAST || bits > CLUSTER_BITS_MOST)
        return bad(q, err, "clusters of an impossible size");
    q->cluster_bits = (unsigned)bits;
    q->cluster = BIT(bits);
    if (q->refcount_order > 6 || header > q->cluster || (q->version > 2 && header < H_V3_BYTES))
        return bad(q, err, "a header that is none");
    if (!size || size > SIZE_MAX_BYTES)
        return bad(q, err, "a disk of an impossible size");
    q->backend.bytes = bits_align_up(size, BLOCK_SECTOR_BYTES);
    return true;
}

/* A table of 8-byte entries within the file, into memory. */
static bool load_entries(struct qcow2 *q, uint64_t at, uint64_t entries, uint64_t **to, struct err *err)
{
    int error;

    if (!qcow2_is_cluster(q, at) || entries * 8 > q->file.bytes - at)
        return bad(q, err, "a table that is not in the file");
    *to = g_new(uint64_t, entries);
    error = file_read(&q->file, at, *to, entries * 8);
    if (error)
        return err_set(err, "%s: %s", q->file.path, g_strerror(-error));
    for (uint64_t i = 0; i < entries; i++)
        (*to)[i] = GUINT64_FROM_BE((*to)[i]);
    return true;
}

static bool load_l1(struct qcow2 *q, const uint8_t *h, struct err *err)
{
    uint64_t reach = q->cluster * qcow2_l2_entries(q), needed = (q->backend.bytes + reach - 1) / reach;

    q->l1_entries = get(h, H_L1_ENTRIES, 4);
    q->l1_offset = get(h, H_L1, 8);
    if (q->l1_entries * 8 > L1_BYTES_MAX || q->l1_entries < needed)
        return bad(q, err, "an L1 table of an impossible size");
    if (!load_entries(q, q->l1_offset, q->l1_entries, &q->l1, err))
        return false;
    q->l1_dirty = g_new0(bool, q->l1_entries);
    return true;
}

static bool load_refs(struct qcow2 *q, const uint8_t *h, struct err *err)
{
    uint64_t clusters = get(h, H_REFS_CLUSTERS, 4);

    q->refs_offset = get(h, H_REFS, 8);
    if (!clusters || clusters << q->cluster_bits > REFS_BYTES_MAX)
        return bad(q, err, "a refcount table of an impossible size");
    q->refs_entries = clusters * q->cluster / 8;
    q->block = g_malloc(q->cluster);
    q->freed = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    q->next = 1;
    return load_entries(q, q->refs_offset, q->refs_entries, &q->refs, err);
}

/* Who writes and does not know a feature clears its bit. */
static bool clear_autoclear(struct qcow2 *q, const uint8_t *h, struct err *err)
{
    static const uint8_t none[8];
    int error = q->version > 2 && get(h, H_AUTOCLEAR, 8) ? file_write(&q->file, H_AUTOCLEAR, none, sizeof(none)) : 0;

    return !error || err_set(err, "%s: %s", q->file.path, g_strerror(-error));
}

/* -- backing files --------------------------------------------------------------------------------------------------------------- */

/* The name of the backing file's format, from the header's extensions; NULL: none is said. */
static char *backing_format(struct qcow2 *q, const uint8_t *h)
{
    uint64_t at = q->version > 2 ? get(h, H_LENGTH, 4) : H_V2_BYTES;
    uint8_t head[8];

    while (at + 8 <= q->cluster && !file_read(&q->file, at, head, 8)) {
        uint32_t type = (uint32_t)get(head, 0, 4), bytes = (uint32_t)get(head, 4, 4);
        char *name;

        if (type == EXTENSION_END || bytes > q->cluster - at - 8)
            break;
        if (type == EXTENSION_FORMAT) {
            name = g_malloc0(bytes + 1);
            if (!file_read(&q->file, at + 8, name, bytes))
                return name;
            g_free(name);
            break;
        }
        at += 8 + bits_align_up(bytes, 8);
    }
    return NULL;
}

/*
 * Which file: the one the user names, or one beside the image, by a name without a folder.  An image may come from anywhere, and
 * shall not name a file of the host's.
 */
static char *backing_path(struct qcow2 *q, const uint8_t *h, const char *asked, struct err *err)
{
    uint64_t at = get(h, H_BACKING, 8), bytes = get(h, H_BACKING_BYTES, 4);
    char name[NAME_MAX_BYTES + 1] = "", *folder, *path;

    if (bytes > NAME_MAX_BYTES || at + bytes < at || at + bytes > q->cluster || file_read(&q->file, at, name, bytes)) {
        bad(q, err, "the name of its backing file is not in its first cluster");
        return NULL;
    }
    if (asked)
        return g_strdup(asked);
    if (strchr(name, '/') || !*name) {
        bad(q, err, "names a backing file that is not beside it: backing=FILE says which, if that is meant");
        return NULL;
    }
    folder = g_path_get_dirname(q->file.path);
    path = g_build_filename(folder, name, NULL);
    g_free(folder);
    return path;
}

static struct block_backend *open_backing_as(struct qcow2 *q, const char *path, const char *format, bool direct, unsigned depth, struct err *err)
{
    if (!g_strcmp0(format, "raw"))
        return raw_open(path, true, direct, err);
    if (!g_strcmp0(format, "qcow2") && depth < DEPTH_MAX)
        return qcow2_open(path, &(struct qcow2_options){ .read_only = true, .direct = direct, .depth = depth + 1 }, err);
    bad(q, err, !format ? "does not say the format of its backing file" : depth < DEPTH_MAX ? "a backing file that is neither raw nor qcow2"
                                                                                          : "too many backing files");
    return NULL;
}

static bool open_backing(struct qcow2 *q, const uint8_t *h, const struct qcow2_options *o, struct err *err)
{
    char *path, *format;

    if (!get(h, H_BACKING, 8))
        return !o->backing || err_set(err, "%s: backing= is for an image that has a backing file", q->file.path);
    path = backing_path(q, h, o->backing, err);
    if (!path)
        return false;
    format = backing_format(q, h);
    q->backing = open_backing_as(q, path, format, o->direct, o->depth, err);
    g_free(format);
    g_free(path);
    return q->backing;
}

/* -- opening --------------------------------------------------------------------------------------------------------------------- */

static bool open_image(struct qcow2 *q, const struct qcow2_options *o, struct err *err)
{
    uint8_t h[H_BYTES];
    int error = file_read(&q->file, 0, h, sizeof(h));

    if (error)
        return err_set(err, "%s: %s", q->file.path, g_strerror(-error));
    q->version = (unsigned)get(h, H_VERSION, 4);
    if (get(h, H_MAGIC, 4) != QCOW2_MAGIC || (q->version != 2 && q->version != 3))
        return bad(q, err, "no such image, or of a version that is neither 2 nor 3");
    if (!check_features(q, h, err) || !check_numbers(q, h, err) || !load_l1(q, h, err))
        return false;
    q->buffer = g_malloc0(q->cluster);
    q->unpacked = g_malloc0(q->cluster);
    if (!o->read_only && (!load_refs(q, h, err) || !clear_autoclear(q, h, err)))
        return false;
    return open_backing(q, h, o, err);
}

struct block_backend *qcow2_open(const char *path, const struct qcow2_options *o, struct err *err)
{
    struct qcow2 *q = g_new0(struct qcow2, 1);

    if (!file_open(&q->file, path, o->read_only, o->direct, err)) {
        g_free(q);
        return NULL;
    }
    q->backend = (struct block_backend){ .sector = BLOCK_SECTOR_BYTES, .read_only = o->read_only, .read = qcow2_read, .write = qcow2_write,
                                         .flush = qcow2_flush, .discard = qcow2_discard, .write_zeroes = qcow2_write_zeroes, .close = qcow2_close };
    if (open_image(q, o, err))
        return &q->backend;
    q->backend.read_only = true; /* nothing to commit */
    qcow2_close(&q->backend);
    return NULL;
}
