/*
 * test_qcow2.c - qcow2 images: random use against a disk in memory, with the image's tables counted after it; and images in which
 * bits are flipped, which harm nobody.
 *
 * Images are made and counted here, by QEMU's docs/interop/qcow2.txt and none of src/block.  tests/cli/qcow2.sh has QEMU's own.
 */
#include "base/bits.h"
#include "block/image.h"

#include <check.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DISK_BYTES = 1 << 20, OPERATIONS = 1500, FLIPS = 2500, USES = 40, CUTS = 300, PIECE_MAX = 1 << 17 };
#define OFFSET UINT64_C(0x00fffffffffffe00)

static char *folder, *path, *backing_path;
static GRand *numbers;
static uint8_t model[DISK_BYTES], piece[PIECE_MAX];

static uint32_t below(uint32_t n) { return (uint32_t)g_rand_int_range(numbers, 0, (gint32)n); }

static void setup(void)
{
    folder = g_dir_make_tmp("wideload-qcow2-XXXXXX", NULL);
    path = g_build_filename(folder, "image", NULL);
    backing_path = g_build_filename(folder, "backing", NULL);
    numbers = g_rand_new_with_seed(7);
}

static void teardown(void)
{
    g_unlink(path);
    g_unlink(backing_path);
    g_rmdir(folder);
    g_free(path);
    g_free(backing_path);
    g_free(folder);
    g_rand_free(numbers);
}

/* -- an image ------------------------------------------------------------------------------------------------------------------- */

struct shape {
    unsigned version, cluster_bits, refcount_order;
    bool backing;
};

static void put(GByteArray *a, size_t at, unsigned width, uint64_t v)
{
    for (unsigned i = 0; i < width; i++)
        a->data[at + i] = (uint8_t)(v >> (width - 1 - i) * 8);
}

static uint64_t get(const uint8_t *p, unsigned width)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < width; i++)
        v = v << 8 | p[i];
    return v;
}

static void put_backing(GByteArray *a, unsigned header, const char *name, const char *format)
{
    put(a, header, 4, 0xe2792aca);
    put(a, header + 4, 4, strlen(format));
    memcpy(a->data + header + 8, format, strlen(format));
    put(a, 8, 8, header + 32);
    put(a, 16, 4, strlen(name));
    memcpy(a->data + header + 32, name, strlen(name));
}

/* Cluster 0 header, 1 refcount table, 2 its first block, then as much L1 as it takes. */
static GByteArray *make(const struct shape *s, const char *backing, const char *format)
{
    uint64_t cluster = BIT(s->cluster_bits), l1 = (DISK_BYTES + cluster * (cluster / 8) - 1) / (cluster * (cluster / 8));
    unsigned l1_clusters = (unsigned)((l1 * 8 + cluster - 1) / cluster), bits = 1u << s->refcount_order, used = 3 + l1_clusters;
    GByteArray *a = g_byte_array_new();

    g_byte_array_set_size(a, (guint)(used * cluster));
    memset(a->data, 0, a->len);
    put(a, 0, 4, 0x514649fb);
    put(a, 4, 4, s->version);
    put(a, 20, 4, s->cluster_bits);
    put(a, 24, 8, DISK_BYTES);
    put(a, 36, 4, l1);
    put(a, 40, 8, 3 * cluster);
    put(a, 48, 8, cluster);
    put(a, 56, 4, 1);
    if (s->version > 2) {
        put(a, 96, 4, s->refcount_order);
        put(a, 100, 4, 104);
    }
    put(a, cluster, 8, 2 * cluster);
    for (unsigned i = 0; i < used; i++) {
        if (bits < 8)
            a->data[2 * cluster + i * bits / 8] |= (uint8_t)(1 << i * bits % 8);
        else
            put(a, 2 * cluster + i * (bits / 8), bits / 8, 1);
    }
    if (backing)
        put_backing(a, s->version > 2 ? 104 : 72, backing, format);
    return a;
}

static void store(const uint8_t *data, size_t bytes)
{
    ck_assert(g_file_set_contents_full(path, (const char *)data, (gssize)bytes, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
}

static struct block_backend *open_it(bool read_only, struct err *err)
{
    return qcow2_open(path, &(struct qcow2_options){ .read_only = read_only }, err);
}

/* -- counting ------------------------------------------------------------------------------------------------------------------- */

struct count {
    const uint8_t *data;
    size_t bytes;
    uint64_t cluster;
    unsigned *uses; /* of each cluster */
};

static void use(struct count *c, uint64_t offset, uint64_t bytes)
{
    for (uint64_t n = offset / c->cluster; n * c->cluster < offset + bytes; n++) {
        ck_assert_msg(n * c->cluster < c->bytes, "a cluster beyond the file");
        c->uses[n]++;
    }
}

static void use_l2(struct count *c, uint64_t table)
{
    for (uint64_t i = 0; i < c->cluster / 8; i++) {
        uint64_t entry = get(c->data + table + i * 8, 8);

        ck_assert_msg(!(entry >> 62 & 1), "nothing here is compressed");
        if (entry & OFFSET)
            use(c, entry & OFFSET, c->cluster);
        ck_assert_msg(!(entry & OFFSET) || entry >> 63, "an own cluster without its bit");
    }
}

static void use_all(struct count *c)
{
    uint64_t l1 = get(c->data + 40, 8), l1_entries = get(c->data + 36, 4), refs = get(c->data + 48, 8), clusters = get(c->data + 56, 4);

    use(c, 0, c->cluster);
    use(c, l1, l1_entries * 8);
    use(c, refs, clusters * c->cluster);
    for (uint64_t i = 0; i < l1_entries; i++) {
        uint64_t table = get(c->data + l1 + i * 8, 8) & OFFSET;

        if (table) {
            use(c, table, c->cluster);
            use_l2(c, table);
        }
    }
    for (uint64_t i = 0; i < clusters * c->cluster / 8; i++)
        if (get(c->data + refs + i * 8, 8))
            use(c, get(c->data + refs + i * 8, 8), c->cluster);
}

static uint64_t count_of(const struct count *c, unsigned order, uint64_t n)
{
    uint64_t per_block = c->cluster * 8 >> order, refs = get(c->data + 48, 8), block;
    unsigned bits = 1u << order;

    if (n / per_block >= get(c->data + 56, 4) * c->cluster / 8)
        return 0;
    block = get(c->data + refs + n / per_block * 8, 8);
    n %= per_block;
    if (!block)
        return 0;
    return bits < 8 ? c->data[block + n * bits / 8] >> n * bits % 8 & bits_mask(bits) : get(c->data + block + n * (bits / 8), bits / 8);
}

/* Every cluster is counted as often as it is used: nothing is used twice and, but for `lost` clusters, nothing is lost. */
static void check_counts(const struct shape *s, unsigned lost)
{
    struct count c = { .cluster = BIT(s->cluster_bits) };
    gchar *data;
    gsize bytes;

    ck_assert(g_file_get_contents(path, &data, &bytes, NULL));
    bytes = bits_align_up(bytes, c.cluster);
    data = g_realloc(data, bytes + c.cluster);
    c.data = (uint8_t *)data;
    c.bytes = bytes;
    c.uses = g_new0(unsigned, bytes / c.cluster + 1);
    use_all(&c);
    for (uint64_t n = 0; n < bytes / c.cluster; n++) {
        uint64_t count = count_of(&c, s->refcount_order, n);

        if (lost && count && !c.uses[n] && lost--)
            continue;
        ck_assert_msg(c.uses[n] <= 1 && count == c.uses[n], "cluster %lu of %lu: used %u times, counted %lu", n, bytes / c.cluster, c.uses[n], count);
    }
    g_free(c.uses);
    g_free(data);
}

/* -- random use ------------------------------------------------------------------------------------------------------------------- */

static void a_range(uint64_t *offset, uint64_t *bytes)
{
    *bytes = (1 + below(below(4) ? 16 : PIECE_MAX / 512)) * 512;
    *offset = (uint64_t)below((uint32_t)((DISK_BYTES - *bytes) / 512 + 1)) * 512;
}

/* One thing, on the image and on the model. */
static void operate(struct block_backend *b)
{
    uint64_t offset, bytes;

    a_range(&offset, &bytes);
    switch (below(8)) {
    case 0: ck_assert_int_eq(b->flush(b), 0); break;
    case 1:
        ck_assert_int_eq(b->write_zeroes(b, offset, bytes, below(2)), 0);
        memset(model + offset, 0, bytes);
        break;
    case 2:
        ck_assert_int_eq(b->discard(b, offset, bytes), 0);
        ck_assert_int_eq(b->read(b, offset, model + offset, bytes), 0);
        break;
    case 3: case 4: case 5:
        memset(piece, (int)below(256), bytes);
        memcpy(model + offset, piece, bytes);
        ck_assert_int_eq(b->write(b, offset, piece, bytes), 0);
        break;
    default:
        ck_assert_int_eq(b->read(b, offset, piece, bytes), 0);
        ck_assert_mem_eq(piece, model + offset, bytes);
        break;
    }
}

static void check_model(struct block_backend *b)
{
    uint8_t *all = g_malloc(DISK_BYTES);

    ck_assert_int_eq(b->read(b, 0, all, DISK_BYTES), 0);
    ck_assert_mem_eq(all, model, DISK_BYTES);
    g_free(all);
}

static void make_backing(void)
{
    enum { HALF = DISK_BYTES / 2 + 512 };

    memset(model, 0, sizeof(model));
    for (unsigned i = 0; i < HALF; i++)
        model[i] = (uint8_t)(i >> 9 ^ i);
    ck_assert(g_file_set_contents(backing_path, (char *)model, HALF, NULL));
}

static const struct shape shapes[] = {
    { 3, 16, 4, false }, { 3, 9, 4, false }, { 3, 12, 0, false }, { 3, 12, 6, true }, { 2, 12, 4, false }, { 2, 9, 4, true }, { 3, 21, 3, true },
};

START_TEST(qcow2_is_a_disk_and_its_counts_are_right)
{
    const struct shape *s = &shapes[_i];
    GByteArray *a = make(s, s->backing ? "backing" : NULL, "raw");
    struct block_backend *b = NULL;
    struct err err;

    memset(model, 0, sizeof(model));
    if (s->backing)
        make_backing();
    store(a->data, a->len);
    g_byte_array_free(a, TRUE);
    for (unsigned i = 0; i < OPERATIONS; i++) {
        if (!b)
            ck_assert_msg((b = open_it(false, &err)) != NULL, "%s", err.text);
        operate(b);
        if (i + 1 == OPERATIONS || !below(100)) {
            check_model(b);
            b->close(b);
            b = NULL;
            check_counts(s, 0);
        }
    }
    ck_assert((b = open_it(true, &err)) != NULL);
    check_model(b);
    b->close(b);
}
END_TEST

/* A table of one cluster whose counts are all but used up: the next is longer, and the old one's cluster is free. */
START_TEST(qcow2_refcount_table_grows)
{
    enum { CLUSTER = 512, BLOCKS = 64, COVERED = BLOCKS * 64, FREE = 16, FIRST = 8 };
    static const struct shape s = { 3, 9, 6, false };
    GByteArray *a = make(&s, NULL, NULL);
    struct block_backend *b;
    struct err err;
    unsigned used = a->len / CLUSTER + BLOCKS - 1;
    gchar *data;

    memset(model, 0, sizeof(model));
    g_byte_array_set_size(a, (COVERED - FREE) * CLUSTER);
    for (unsigned i = 0; i < BLOCKS; i++) {
        uint64_t block = i ? FIRST + i : 2;

        put(a, CLUSTER + i * 8, 8, block * CLUSTER);
        for (unsigned n = 0; n < 64; n++)
            put(a, block * CLUSTER + n * 8, 8, i * 64 + n < COVERED - FREE);
    }
    store(a->data, a->len);
    g_byte_array_free(a, TRUE);
    ck_assert_msg((b = open_it(false, &err)) != NULL, "%s", err.text);
    for (unsigned i = 0; i < 300; i++)
        operate(b);
    check_model(b);
    b->close(b);
    check_counts(&s, COVERED - FREE - used);
    ck_assert(g_file_get_contents(path, &data, NULL, NULL));
    ck_assert_uint_eq(get((uint8_t *)data + 56, 4), 2);
    g_free(data);
}
END_TEST

/* -- images that are wrong ---------------------------------------------------------------------------------------------------------- */

/* An image with something of everything in it. */
static GByteArray *used_image(const struct shape *s)
{
    GByteArray *a = make(s, "backing", "raw");
    struct block_backend *b;
    struct err err;
    gchar *data;
    gsize bytes;

    make_backing();
    store(a->data, a->len);
    g_byte_array_free(a, TRUE);
    ck_assert((b = open_it(false, &err)) != NULL);
    for (unsigned i = 0; i < 60; i++)
        operate(b);
    b->close(b);
    ck_assert(g_file_get_contents(path, &data, &bytes, NULL));
    return g_byte_array_new_take((guint8 *)data, bytes);
}

/* Whatever comes of it. */
static void use_somehow(bool read_only, uint64_t most)
{
    struct err err = { "" };
    struct block_backend *b = open_it(read_only, &err);

    if (!b) {
        ck_assert_msg(*err.text && !strchr(err.text, '\n'), "not one line: '%s'", err.text);
        return;
    }
    most = bits_min(most, b->bytes);
    for (unsigned i = 0; i < USES; i++) {
        uint64_t bytes = (1 + below(16)) * 512, room = most > bytes ? most - bytes : 0;
        uint64_t offset = bits_align_down((uint64_t)(g_rand_double(numbers) * (double)room), 512);

        bytes = bits_min(bytes, b->bytes - offset);
        if (read_only || below(3) == 0)
            b->read(b, offset, piece, bytes);
        else if (below(3))
            b->write(b, offset, piece, bytes);
        else if (below(2))
            b->write_zeroes(b, offset, bytes, true);
        else
            b->flush(b);
    }
    b->close(b);
}

/* Bits of the header, of tables, of the whole file; sometimes an entry is made to look like a compressed cluster. */
static void damage(uint8_t *data, size_t bytes, uint64_t cluster)
{
    size_t at = below(4) ? below((uint32_t)(below(2) ? 112 : 4 * cluster)) : below((uint32_t)bytes);

    for (unsigned i = 0, n = 1 + below(3); i < n; i++)
        data[(at + i * below(9)) % bytes] ^= (uint8_t)(1 << below(8));
    if (!below(4))
        data[bits_align_down(below((uint32_t)bytes), 8)] |= 0x40;
}

START_TEST(qcow2_with_flipped_bits_harms_nobody)
{
    static const struct shape some[] = { { 3, 9, 4, true }, { 3, 12, 4, true }, { 2, 12, 4, true } };
    const struct shape *s = &some[_i];
    GByteArray *a = used_image(s);

    for (unsigned i = 0; i < FLIPS; i++) {
        uint8_t *copy = g_memdup2(a->data, a->len);

        damage(copy, a->len, BIT(s->cluster_bits));
        store(copy, a->len);
        use_somehow(i & 1, below(8) ? DISK_BYTES : UINT64_MAX);
        g_free(copy);
    }
    g_byte_array_free(a, TRUE);
}
END_TEST

START_TEST(qcow2_that_is_cut_off_harms_nobody)
{
    GByteArray *a = used_image(&(struct shape){ 3, 12, 4, true });

    for (unsigned i = 0; i < CUTS; i++) {
        store(a->data, i < 120 ? i : below(a->len));
        use_somehow(i & 1, DISK_BYTES);
    }
    g_byte_array_free(a, TRUE);
}
END_TEST

/* A compressed cluster that is none, at every place; both compressions. */
START_TEST(qcow2_with_bad_compression_is_an_error)
{
    static const struct shape s = { 3, 12, 4, false };
    GByteArray *a = make(&s, NULL, NULL);
    struct block_backend *b;
    struct err err;

    g_byte_array_set_size(a, 6 * 4096);
    memset(a->data + 4 * 4096, 0, 2 * 4096);
    put(a, 3 * 4096, 8, BIT(63) | 4 * 4096);
    for (unsigned i = 0; i < 512; i++)
        put(a, 4 * 4096 + i * 8, 8, BIT(62) | (uint64_t)(i % 16) << 58 | (5 * 4096 + i * 7));
    for (unsigned i = 0; i < 4096; i++)
        a->data[5 * 4096 + i] = (uint8_t)g_rand_int(numbers);
    for (unsigned zstd = 0; zstd < 2; zstd++) {
        put(a, 72, 8, zstd ? 8 : 0);
        a->data[104] = (uint8_t)zstd;
        store(a->data, a->len);
        ck_assert_msg((b = open_it(true, &err)) != NULL, "%s", err.text);
        for (unsigned i = 0; i < DISK_BYTES / 4096; i++)
            b->read(b, i * 4096u, piece, 4096);
        b->close(b);
    }
    g_byte_array_free(a, TRUE);
}
END_TEST

static const char *refusal(const struct shape *s, const char *backing, const char *format)
{
    static struct err err;
    GByteArray *a = make(s, backing, format);
    struct block_backend *b;

    store(a->data, a->len);
    g_byte_array_free(a, TRUE);
    err.text[0] = 0;
    b = open_it(true, &err);
    if (b)
        b->close(b);
    return err.text;
}

/* An image names no file of the host's: only one beside it, without a folder, of a format that is said. */
START_TEST(qcow2_opens_only_backing_files_beside_it)
{
    static const struct shape s = { 3, 12, 4, true };
    static const char *const names[] = { "/etc/passwd", "../backing", "./backing", "a/b", "/dev/mem", "file:///etc/passwd" };

    make_backing();
    ck_assert_str_eq(refusal(&s, "backing", "raw"), "");
    for (unsigned i = 0; i < ARRAY_LEN(names); i++)
        ck_assert_msg(strstr(refusal(&s, names[i], "raw"), "not beside it"), "%s", names[i]);
    ck_assert(strstr(refusal(&s, "backing", "vmdk"), "neither raw nor qcow2"));
    ck_assert(strstr(refusal(&s, "backing", "qcow2"), "no such image"));
    ck_assert(strstr(refusal(&s, "image", "qcow2"), "too many backing files"));
    ck_assert(strstr(refusal(&s, "missing", "raw"), "missing: No such file"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("qcow2");
    TCase *tcase = tcase_create("qcow2");
    SRunner *runner;
    int failed;

    tcase_set_timeout(tcase, 120);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, qcow2_is_a_disk_and_its_counts_are_right, 0, ARRAY_LEN(shapes));
    tcase_add_test(tcase, qcow2_refcount_table_grows);
    tcase_add_loop_test(tcase, qcow2_with_flipped_bits_harms_nobody, 0, 3);
    tcase_add_test(tcase, qcow2_that_is_cut_off_harms_nobody);
    tcase_add_test(tcase, qcow2_with_bad_compression_is_an_error);
    tcase_add_test(tcase, qcow2_opens_only_backing_files_beside_it);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
