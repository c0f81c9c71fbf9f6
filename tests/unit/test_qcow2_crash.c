/*
 * test_qcow2_crash.c - a host that crashes: what a flush has acknowledged is in a qcow2 image, and it can be used on.
 *
 * pwrite(), fallocate() and fdatasync() are this program's own, and keep a log.  After a crash the file has everything up to the last
 * fdatasync() that returned, and of what came later any sectors of 512 bytes.  It crashes at any write, within a flush too.
 */
#define _GNU_SOURCE
#include "base/bits.h"
#include "block/image.h"

#include <check.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { DISK_BYTES = 1 << 18, SECTORS = DISK_BYTES / 512, ROUNDS = 400, CHANGES = 300, FILE_MAX = 1 << 24 };

/* -- the host -------------------------------------------------------------------------------------------------------------------- */

struct change {
    uint64_t offset;
    size_t bytes;
    uint8_t *data; /* NULL: zeros */
};

static GArray *changes;        /* since `durable`; NULL: nobody keeps a log */
static GByteArray *durable;    /* the file as it is for certain */
static unsigned fuse;          /* changes until the crash */
static GRand *numbers;

static uint32_t below(uint32_t n) { return (uint32_t)g_rand_int_range(numbers, 0, (gint32)n); }

static void apply(const struct change *c, uint64_t at, size_t bytes)
{
    ck_assert_uint_lt(at + bytes, FILE_MAX);
    if (durable->len < at + bytes) {
        guint was = durable->len;

        g_byte_array_set_size(durable, (guint)(at + bytes));
        memset(durable->data + was, 0, durable->len - was);
    }
    if (c->data)
        memcpy(durable->data + at, c->data + (at - c->offset), bytes);
    else
        memset(durable->data + at, 0, bytes);
}

/* Each sector of all changes with a chance of so many percent. */
static void settle(unsigned percent)
{
    for (unsigned i = 0; i < changes->len; i++) {
        struct change *c = &g_array_index(changes, struct change, i);

        for (uint64_t at = c->offset, n; at < c->offset + c->bytes; at += n) {
            n = bits_min(512 - at % 512, c->offset + c->bytes - at);
            if (below(100) < percent)
                apply(c, at, n);
        }
        g_free(c->data);
    }
    g_array_set_size(changes, 0);
}

/* Nothing counts after the crash. */
static void crash(void)
{
    settle(below(101));
    g_array_free(changes, TRUE);
    changes = NULL;
}

static void remember(uint64_t offset, const void *data, size_t bytes)
{
    struct change c = { offset, bytes, NULL };

    if (!changes)
        return;
    c.data = data ? g_memdup2(data, bytes) : NULL;
    g_array_append_val(changes, c);
    if (!--fuse)
        crash();
}

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset)
{
    remember((uint64_t)offset, data, bytes);
    return syscall(SYS_pwrite64, fd, data, bytes, offset);
}

int fallocate(int fd, int mode, off_t offset, off_t bytes)
{
    int result = (int)syscall(SYS_fallocate, fd, mode, offset, bytes);

    if (result == 0)
        remember((uint64_t)offset, NULL, (size_t)bytes);
    return result;
}

int fdatasync(int fd)
{
    (void)fd;
    if (changes)
        settle(100);
    return 0;
}

/* -- an image -------------------------------------------------------------------------------------------------------------------- */

static char *path;
static uint8_t model[DISK_BYTES], flushed[DISK_BYTES], data[DISK_BYTES];
static bool changed[SECTORS]; /* since the last flush */

static void put(uint8_t *at, unsigned width, uint64_t v)
{
    for (unsigned i = 0; i < width; i++)
        at[i] = (uint8_t)(v >> (width - 1 - i) * 8);
}

static uint64_t get(const uint8_t *at, unsigned width)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < width; i++)
        v = v << 8 | at[i];
    return v;
}

/* Version 3, 16-bit counts: header, refcount table, a block of it, L1 of one cluster. */
static void make(unsigned cluster_bits)
{
    uint64_t cluster = BIT(cluster_bits), reach = cluster * (cluster / 8);
    uint8_t *h;

    durable = g_byte_array_new();
    g_byte_array_set_size(durable, (guint)(4 * cluster));
    h = durable->data;
    memset(h, 0, 4 * cluster);
    put(h, 4, 0x514649fb);
    put(h + 4, 4, 3);
    put(h + 20, 4, cluster_bits);
    put(h + 24, 8, DISK_BYTES);
    put(h + 36, 4, (DISK_BYTES + reach - 1) / reach);
    put(h + 40, 8, 3 * cluster);
    put(h + 48, 8, cluster);
    put(h + 56, 4, 1);
    put(h + 96, 4, 4);
    put(h + 100, 4, 104);
    put(h + cluster, 8, 2 * cluster);
    for (unsigned i = 0; i < 4; i++)
        put(h + 2 * cluster + i * 2, 2, 1);
}

static void store(void)
{
    ck_assert(g_file_set_contents_full(path, (const char *)durable->data, (gssize)durable->len, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
}

static struct block_backend *open_it(void)
{
    struct err err;
    struct block_backend *b = qcow2_open(path, &(struct qcow2_options){ .read_only = false }, &err);

    ck_assert_msg(b != NULL, "%s", err.text);
    return b;
}

/* -- counting: a cluster that is used twice, or used and not counted, will be lost one day -------------------------------------------- */

static unsigned uses[FILE_MAX / 512];

static uint64_t count_of(uint64_t cluster, uint64_t n)
{
    const uint8_t *d = durable->data;
    uint64_t block = get(d + get(d + 48, 8) + n / (cluster / 2) * 8, 8);

    return block ? get(d + block + n % (cluster / 2) * 2, 2) : 0;
}

static void use(uint64_t cluster, uint64_t entry)
{
    uint64_t offset = entry & UINT64_C(0x00fffffffffffe00);

    if (!offset)
        return;
    ck_assert_msg(offset < durable->len && offset % cluster == 0, "an entry that leads nowhere");
    ck_assert_msg(++uses[offset / cluster] == 1, "a cluster is used twice");
    ck_assert_msg(count_of(cluster, offset / cluster) == 1, "cluster %lu is used, and counted %lu", offset / cluster,
                  count_of(cluster, offset / cluster));
}

static void check_counts(uint64_t cluster)
{
    const uint8_t *d = durable->data;
    uint64_t l1 = get(d + 40, 8);

    memset(uses, 0, sizeof(uses));
    g_byte_array_set_size(durable, (guint)bits_align_up(durable->len, cluster));
    d = durable->data;
    for (uint64_t i = 0; i < get(d + 36, 4); i++) {
        uint64_t entry = get(d + l1 + i * 8, 8), table = entry & UINT64_C(0x00fffffffffffe00);

        use(cluster, entry);
        for (uint64_t n = 0; table && n < cluster / 8; n++)
            use(cluster, get(d + table + n * 8, 8));
    }
}

/* -- the test -------------------------------------------------------------------------------------------------------------------------- */

static void flush(struct block_backend *b)
{
    ck_assert_int_eq(b->flush(b), 0);
    if (!changes)
        return;
    memcpy(flushed, model, sizeof(model));
    memset(changed, 0, sizeof(changed));
}

static void operate(struct block_backend *b)
{
    uint64_t bytes = (1 + below(24)) * 512, offset = (uint64_t)below((uint32_t)((DISK_BYTES - bytes) / 512 + 1)) * 512;

    if (!below(6)) {
        flush(b);
        return;
    }
    memset(data, below(4) ? (int)below(256) : 0, bytes);
    memcpy(model + offset, data, bytes);
    if (below(4))
        ck_assert_int_eq(b->write(b, offset, data, bytes), 0);
    else if (below(2))
        ck_assert_int_eq(b->write_zeroes(b, offset, bytes, true), 0);
    else
        ck_assert_int_eq(b->discard(b, offset, bytes), 0);
    ck_assert_int_eq(b->read(b, offset, model + offset, bytes), 0);
    for (uint64_t s = offset / 512; s < (offset + bytes) / 512; s++)
        changed[s] = true;
}

static void check_flushed(struct block_backend *b)
{
    ck_assert_int_eq(b->read(b, 0, data, DISK_BYTES), 0);
    for (unsigned s = 0; s < SECTORS; s++)
        ck_assert_msg(changed[s] || !memcmp(data + s * 512, flushed + s * 512, 512), "sector %u was flushed, and is lost", s);
}

/* As if an internal snapshot had L2 tables too: the image makes new ones before it changes them. */
static void share_tables(void)
{
    uint8_t *l1 = durable->data + get(durable->data + 40, 8);

    for (uint64_t i = 0; i < get(durable->data + 36, 4); i++)
        l1[i * 8] &= 0x7f;
}

/* Runs for a while, crashes, and goes on with what is left; what the guest has flushed is always there. */
START_TEST(qcow2_keeps_what_was_flushed_over_crashes)
{
    static const unsigned shapes[] = { 9, 12, 16 };
    unsigned bits = shapes[_i];
    struct block_backend *b;

    memset(model, 0, sizeof(model));
    make(bits);
    for (unsigned round = 0; round < ROUNDS; round++) {
        if (round % 50 == 0) { /* anew: an image fills up with clusters that crashes have lost */
            g_byte_array_free(durable, TRUE);
            make(bits);
            memset(model, 0, sizeof(model));
        }
        if (below(2))
            share_tables();
        store();
        b = open_it();
        changes = g_array_new(FALSE, FALSE, sizeof(struct change));
        ck_assert_int_eq(b->read(b, 0, model, DISK_BYTES), 0);
        fuse = UINT32_MAX;
        flush(b);
        fuse = 1 + below(CHANGES);
        while (changes)
            operate(b);
        b->close(b); /* of no consequence */
        store();
        check_counts(BIT(bits));
        b = open_it();
        check_flushed(b);
        b->close(b);
    }
    g_byte_array_free(durable, TRUE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("qcow2_crash");
    TCase *tcase = tcase_create("qcow2_crash");
    SRunner *runner;
    int failed;

    path = g_build_filename(g_get_tmp_dir(), "wideload-crash-XXXXXX", NULL);
    close(g_mkstemp(path));
    numbers = g_rand_new_with_seed(3);
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, qcow2_keeps_what_was_flushed_over_crashes, 0, 3);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    g_unlink(path);
    g_free(path);
    return failed != 0;
}
