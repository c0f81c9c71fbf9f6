/*
 * qcow2_map.c - from a guest's offset to a cluster of the file: L1 and L2 tables, in memory until they are committed.
 */
#include "block/qcow2.h"

#include <errno.h>
#include <string.h>

enum { FREED_MAX = 65536 }; /* clusters that wait for a commit */

static uint64_t l1_index(const struct qcow2 *q, uint64_t offset) { return qcow2_index(q, offset) / qcow2_l2_entries(q); }
static uint64_t l2_index(const struct qcow2 *q, uint64_t offset) { return qcow2_index(q, offset) % qcow2_l2_entries(q); }

/* -- commit ------------------------------------------------------------------------------------------------------------------ */

static void to_be(uint64_t *entry, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        entry[i] = GUINT64_TO_BE(entry[i]);
}

static int write_l2(struct qcow2 *q, struct qcow2_table *t)
{
    uint64_t at = q->l1[t->l1] & QCOW2_OFFSET;
    int error;

    to_be(t->entry, qcow2_l2_entries(q));
    error = file_write(&q->file, at, t->entry, q->cluster);
    to_be(t->entry, qcow2_l2_entries(q));
    if (!error)
        t->dirty = false;
    return error;
}

static int commit_l2(struct qcow2 *q)
{
    bool any = false;
    int error = 0;

    for (unsigned i = 0; i < QCOW2_TABLES; i++)
        any |= q->table[i].dirty;
    if (!any)
        return 0;
    error = file_flush(&q->file); /* counts and data, before somebody refers to them */
    for (unsigned i = 0; i < QCOW2_TABLES && !error; i++)
        if (q->table[i].dirty)
            error = write_l2(q, &q->table[i]);
    return error;
}

static int commit_l1(struct qcow2 *q)
{
    int error = q->any_l1_dirty ? file_flush(&q->file) : 0;

    for (uint64_t i = 0; q->any_l1_dirty && i < q->l1_entries && !error; i++) {
        uint64_t be = GUINT64_TO_BE(q->l1[i]);

        if (!q->l1_dirty[i])
            continue;
        error = file_write(&q->file, q->l1_offset + i * 8, &be, 8);
        q->l1_dirty[i] = error;
    }
    q->any_l1_dirty &= error != 0;
    return error;
}

int qcow2_commit(struct qcow2 *q)
{
    int error = commit_l2(q);

    error = error ? error : commit_l1(q);
    error = error ? error : file_flush(&q->file);
    return error ? error : qcow2_give_back(q);
}

/* -- L2 tables in memory ------------------------------------------------------------------------------------------------------- */

static struct qcow2_table *table_of(struct qcow2 *q, uint64_t l1)
{
    for (unsigned i = 0; i < QCOW2_TABLES; i++)
        if (q->table[i].entry && q->table[i].l1 == l1) {
            q->table[i].used = ++q->uses;
            return &q->table[i];
        }
    return NULL;
}

/* One that can be filled, for entry `l1`; NULL where the one in it cannot be written. */
static struct qcow2_table *table_for(struct qcow2 *q, uint64_t l1, int *error)
{
    struct qcow2_table *t = &q->table[0];

    for (unsigned i = 1; i < QCOW2_TABLES && t->entry; i++)
        if (!q->table[i].entry || q->table[i].used < t->used)
            t = &q->table[i];
    *error = t->dirty ? qcow2_commit(q) : 0;
    if (*error)
        return NULL;
    if (!t->entry)
        t->entry = g_malloc(q->cluster);
    t->l1 = l1;
    t->used = ++q->uses;
    return t;
}

/* A table that has not been filled is no table. */
static void table_drop(struct qcow2_table *t)
{
    g_free(t->entry);
    *t = (struct qcow2_table){ .entry = NULL };
}

static int load_table(struct qcow2 *q, uint64_t l1, struct qcow2_table **table)
{
    uint64_t at = q->l1[l1] & QCOW2_OFFSET;
    int error;

    *table = table_of(q, l1);
    if (*table)
        return 0;
    if (!qcow2_is_cluster(q, at))
        return -EIO;
    *table = table_for(q, l1, &error);
    error = error ? error : file_read(&q->file, at, (*table)->entry, q->cluster);
    if (!error)
        to_be((*table)->entry, qcow2_l2_entries(q));
    else if (*table)
        table_drop(*table);
    return error;
}

int qcow2_find(struct qcow2 *q, uint64_t offset, uint64_t *entry)
{
    struct qcow2_table *t;
    uint64_t l1 = l1_index(q, offset);
    int error;

    *entry = 0;
    if (l1 >= q->l1_entries || !(q->l1[l1] & QCOW2_OFFSET))
        return l1 < q->l1_entries ? 0 : -EIO;
    error = load_table(q, l1, &t);
    if (!error)
        *entry = t->entry[l2_index(q, offset)];
    return error;
}

/* A new place for a table: one that is shared, or that there was not yet. */
static int place_table(struct qcow2 *q, uint64_t l1, struct qcow2_table **table)
{
    uint64_t was = q->l1[l1] & QCOW2_OFFSET, at;
    int error = was ? load_table(q, l1, table) : 0;

    error = error ? error : qcow2_alloc(q, &at);
    if (!error && !was) {
        *table = table_for(q, l1, &error);
        if (*table)
            memset((*table)->entry, 0, q->cluster);
    }
    if (error)
        return error;
    (*table)->dirty = true;
    q->l1[l1] = at | QCOW2_COPIED;
    q->l1_dirty[l1] = q->any_l1_dirty = true;
    if (was)
        qcow2_free(q, was);
    return 0;
}

int qcow2_put(struct qcow2 *q, uint64_t offset, uint64_t entry)
{
    struct qcow2_table *t;
    uint64_t l1 = l1_index(q, offset);
    int error = l1 < q->l1_entries ? 0 : -EIO;

    if (!error && q->freed->len > FREED_MAX)
        error = qcow2_commit(q);
    if (!error)
        error = q->l1[l1] & QCOW2_COPIED ? load_table(q, l1, &t) : place_table(q, l1, &t);
    if (error)
        return error;
    t->entry[l2_index(q, offset)] = entry;
    t->dirty = true;
    return 0;
}
