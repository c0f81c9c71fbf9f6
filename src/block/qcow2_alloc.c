/*
 * qcow2_alloc.c - refcounts of a qcow2 image: a table of blocks, with a count of 1 to 64 bits for each cluster of the file.
 *
 * A count that grows is in the file before anything refers to the cluster; one that shrinks, after nothing does any more.
 */
#include "block/qcow2.h"

#include <errno.h>
#include <string.h>

enum { SEARCH_MAX = 1 << 22, REFS_BYTES_MAX = 8 << 20, HEADER_REFS = 48 };

/* An offset has 56 bits. */
static uint64_t clusters_max(const struct qcow2 *q) { return BIT(56 - q->cluster_bits); }
static uint64_t counts_in_block(const struct qcow2 *q) { return q->cluster * 8 >> q->refcount_order; }

/* -- one block in memory ---------------------------------------------------------------------------------------------------- */

static int load_block(struct qcow2 *q, uint64_t at)
{
    int error;

    if (!qcow2_is_cluster(q, at))
        return -EIO;
    if (q->block_at == at)
        return 0;
    q->block_at = 0;
    error = file_read(&q->file, at, q->block, q->cluster);
    if (!error)
        q->block_at = at;
    return error;
}

/* Count n: whole bytes are big endian, parts of one begin at its low end. */
static uint64_t get_count(const struct qcow2 *q, uint64_t n)
{
    unsigned bits = 1u << q->refcount_order;
    uint64_t v = 0;

    if (bits < 8)
        return q->block[n * bits / 8] >> n * bits % 8 & bits_mask(bits);
    for (unsigned i = 0; i < bits / 8; i++)
        v = v << 8 | q->block[n * (bits / 8) + i];
    return v;
}

static void set_count(struct qcow2 *q, uint64_t n, uint64_t v)
{
    unsigned bits = 1u << q->refcount_order, shift = n * bits % 8;
    uint8_t *at = &q->block[n * bits / 8];

    if (bits < 8)
        *at = (uint8_t)((*at & ~(bits_mask(bits) << shift)) | v << shift);
    for (unsigned i = 0; bits >= 8 && i < bits / 8; i++)
        at[i] = (uint8_t)(v >> (bits - 8 - i * 8));
}

static int write_count(struct qcow2 *q, uint64_t n, uint64_t v)
{
    unsigned bits = 1u << q->refcount_order;
    uint64_t at = n * bits / 8;

    set_count(q, n, v);
    return file_write(&q->file, q->block_at + at, q->block + at, bits < 8 ? 1 : bits / 8);
}

/* -- the table of blocks ------------------------------------------------------------------------------------------------------ */

static int write_reference(struct qcow2 *q, uint64_t i, uint64_t at)
{
    uint64_t be = GUINT64_TO_BE(at);
    int error = file_flush(&q->file); /* what it leads to comes first */

    q->refs[i] = at;
    return error ? error : file_write(&q->file, q->refs_offset + i * 8, &be, 8);
}

/* A block that counts itself is its first cluster that nobody can be using. */
static int add_block(struct qcow2 *q, uint64_t cluster)
{
    int error;

    q->block_at = cluster << q->cluster_bits;
    memset(q->block, 0, q->cluster);
    set_count(q, cluster % counts_in_block(q), 1);
    error = file_write(&q->file, q->block_at, q->block, q->cluster);
    return error ? error : write_reference(q, cluster / counts_in_block(q), q->block_at);
}

static int write_table(struct qcow2 *q, uint64_t at, const uint64_t *refs, uint64_t entries)
{
    uint64_t *be = g_new(uint64_t, entries);
    int error;

    for (uint64_t i = 0; i < entries; i++)
        be[i] = GUINT64_TO_BE(refs[i]);
    error = file_write(&q->file, at, be, entries * 8);
    g_free(be);
    return error;
}

static int write_header(struct qcow2 *q, uint64_t at, uint64_t clusters)
{
    struct {
        uint64_t at;
        uint32_t clusters;
    } __attribute__((packed)) be = { GUINT64_TO_BE(at), GUINT32_TO_BE((uint32_t)clusters) };
    int error = file_flush(&q->file);

    return error ? error : file_write(&q->file, HEADER_REFS, &be, sizeof(be));
}

/*
 * A longer table, where the old one's last count ends: its clusters come first there, then a block that counts these and
 * itself.  Nothing refers to any of it until the header does.
 */
static int grow_table(struct qcow2 *q)
{
    uint64_t per_block = counts_in_block(q), old = q->refs_entries * 8 >> q->cluster_bits, first = q->refs_entries * per_block;
    uint64_t clusters = bits_min(old * 2, bits_min(per_block - 1, REFS_BYTES_MAX >> q->cluster_bits)), was = q->refs_offset, *refs;
    int error;

    if (clusters <= old || first >= clusters_max(q) || first << q->cluster_bits < q->file.bytes)
        return -EFBIG;
    refs = g_new0(uint64_t, clusters * q->cluster / 8);
    memcpy(refs, q->refs, q->refs_entries * 8);
    q->block_at = (first + clusters) << q->cluster_bits;
    refs[q->refs_entries] = q->block_at;
    memset(q->block, 0, q->cluster);
    for (uint64_t i = 0; i <= clusters; i++)
        set_count(q, i, 1);
    error = write_table(q, first << q->cluster_bits, refs, clusters * q->cluster / 8);
    error = error ? error : file_write(&q->file, q->block_at, q->block, q->cluster);
    error = error ? error : write_header(q, first << q->cluster_bits, clusters);
    if (error) {
        q->block_at = 0;
        g_free(refs);
        return error;
    }
    g_free(q->refs);
    q->refs = refs;
    q->refs_entries = clusters * q->cluster / 8;
    q->refs_offset = first << q->cluster_bits;
    for (uint64_t i = 0; i < old; i++)
        qcow2_free(q, was + (i << q->cluster_bits));
    return 0;
}

/* -- taking and giving -------------------------------------------------------------------------------------------------------- */

/* Makes `*used` true where the cluster is somebody's. */
static int take(struct qcow2 *q, uint64_t cluster, bool *used)
{
    uint64_t i = cluster / counts_in_block(q), n = cluster % counts_in_block(q);
    int error = 0;

    *used = true;
    if (i >= q->refs_entries)
        return grow_table(q);
    if (!q->refs[i])
        return add_block(q, cluster);
    error = load_block(q, q->refs[i]);
    if (error || get_count(q, n))
        return error;
    *used = false;
    return write_count(q, n, 1);
}

/* The header's cluster is nobody's, whatever its count says. */
int qcow2_alloc(struct qcow2 *q, uint64_t *offset)
{
    bool used = true;
    int error = 0;

    for (unsigned tries = 0; used && !error; tries++) {
        if (tries == SEARCH_MAX) /* an image that is full up to here: behind its end */
            q->next = bits_max(q->next, qcow2_index(q, q->file.bytes + q->cluster - 1));
        if (q->next >= clusters_max(q) || tries == 2u * SEARCH_MAX)
            return -EFBIG;
        *offset = q->next << q->cluster_bits;
        error = take(q, q->next, &used);
        if (!used || q->next / counts_in_block(q) < q->refs_entries)
            q->next++;
    }
    return error;
}

void qcow2_free(struct qcow2 *q, uint64_t entry)
{
    uint64_t offset = entry & QCOW2_OFFSET, bytes = q->cluster, last;

    if (entry & QCOW2_COMPRESSED)
        qcow2_packed(q, entry, &offset, &bytes);
    if (!offset)
        return;
    last = qcow2_index(q, offset + bytes - 1);
    for (uint64_t cluster = qcow2_index(q, offset); cluster <= last; cluster++)
        g_array_append_val(q->freed, cluster);
}

static int give_back(struct qcow2 *q, uint64_t cluster)
{
    uint64_t i = cluster / counts_in_block(q), n = cluster % counts_in_block(q), count;
    int error = i < q->refs_entries ? load_block(q, q->refs[i]) : -EIO;

    if (error)
        return error;
    count = get_count(q, n);
    if (!count)
        return -EIO;
    error = write_count(q, n, count - 1);
    if (error || count > 1)
        return error;
    q->next = bits_min(q->next, cluster);
    return file_discard(&q->file, cluster << q->cluster_bits, q->cluster);
}

/* A count that is wrong is left: a cluster that nobody uses does no harm. */
int qcow2_give_back(struct qcow2 *q)
{
    int error = 0;

    for (unsigned i = 0; i < q->freed->len; i++) {
        int this = give_back(q, g_array_index(q->freed, uint64_t, i));

        error = this && this != -EIO ? this : error;
    }
    g_array_set_size(q->freed, 0);
    return error;
}
