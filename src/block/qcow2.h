/*
 * qcow2.h - what the parts of the qcow2 format share: qcow2.c (header, reads and writes), qcow2_map.c (where a cluster is),
 * qcow2_alloc.c (refcounts), qcow2_unpack.c (compressed clusters).
 *
 * Nothing in an image is trusted: every table and offset is checked where it is used, and a wrong one is EIO.
 * What changes goes to the file in this order, so that what was flushed survives a crash of the host, and nothing worse than
 * clusters that nobody uses is left: refcounts that grow, and data; flush; L2 tables; flush; L1 entries; flush;
 * refcounts that shrink.  Tables are kept in memory until then, which is the guest's next FLUSH.
 * Format: QEMU's docs/interop/qcow2.txt, versions 2 and 3.
 */
#ifndef BLOCK_QCOW2_H
#define BLOCK_QCOW2_H

#include "base/bits.h"
#include "block/file.h"
#include "block/image.h"

#include <glib.h>

enum { QCOW2_TABLES = 16 }; /* L2 tables in memory */

#define QCOW2_COPIED BIT(63)      /* L1, L2: nobody else uses the cluster */
#define QCOW2_COMPRESSED BIT(62)
#define QCOW2_ZERO BIT(0)         /* version 3 */
#define QCOW2_OFFSET UINT64_C(0x00fffffffffffe00)

struct qcow2_table {
    uint64_t l1;         /* which entry of L1 leads here */
    uint64_t used;       /* when: the least is replaced first */
    uint64_t *entry;     /* NULL: free; in the host's order */
    bool dirty;
};

struct qcow2 {
    struct block_backend backend; /* first */
    struct file file;
    struct block_backend *backing; /* NULL: none */
    unsigned version, cluster_bits, refcount_order, compression;
    uint64_t cluster;    /* bytes */
    uint64_t l1_offset, l1_entries, *l1;
    bool *l1_dirty;
    bool any_l1_dirty;
    struct qcow2_table table[QCOW2_TABLES];
    uint64_t uses;
    uint64_t refs_offset, refs_entries, *refs; /* refcount table */
    uint8_t *block;                            /* one refcount block, as in the file */
    uint64_t block_at;                         /* ... from there; 0: none */
    uint64_t next;                             /* clusters below are in use, or will be free after the next commit */
    GArray *freed;                             /* uint64_t: clusters to be given back then */
    uint8_t *buffer, *unpacked;                /* a cluster each */
    uint64_t unpacked_entry;                   /* whose content is in `unpacked`; 0: nobody's */
};

static inline uint64_t qcow2_l2_entries(const struct qcow2 *q) { return q->cluster / 8; }
static inline uint64_t qcow2_index(const struct qcow2 *q, uint64_t offset) { return offset >> q->cluster_bits; }

/* Is it the offset of a cluster that begins within the file? */
static inline bool qcow2_is_cluster(const struct qcow2 *q, uint64_t offset)
{
    return offset && !(offset & (q->cluster - 1)) && offset < q->file.bytes;
}

/* -- qcow2_map.c: all return 0 or a negative errno ---------------------------------------------------------------------------- */

/* The L2 entry of a guest's offset; 0: nothing is there. */
int qcow2_find(struct qcow2 *q, uint64_t offset, uint64_t *entry);
/* Another one; L2 tables are made, and unshared, for it. */
int qcow2_put(struct qcow2 *q, uint64_t offset, uint64_t entry);
/* Everything in memory to the file, and safe. */
int qcow2_commit(struct qcow2 *q);

/* -- qcow2_alloc.c -------------------------------------------------------------------------------------------------------------- */

int qcow2_alloc(struct qcow2 *q, uint64_t *offset);
/* What an L2 entry leads to is not needed any more: takes effect with the next commit. */
void qcow2_free(struct qcow2 *q, uint64_t entry);
int qcow2_give_back(struct qcow2 *q);

/* -- qcow2_unpack.c -------------------------------------------------------------------------------------------------------------- */

/* Where a compressed cluster's bytes are. */
void qcow2_packed(const struct qcow2 *q, uint64_t entry, uint64_t *offset, uint64_t *bytes);
/* ... into q->unpacked. */
int qcow2_unpack(struct qcow2 *q, uint64_t entry);

#endif
