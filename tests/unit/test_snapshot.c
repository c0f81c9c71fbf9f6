/*
 * test_snapshot.c - snapshots that are damaged are refused; those with any content and a right checksum harm nobody; and
 * the tables of what is saved are complete.
 */
#include "snapshot/snapshot.h"
#include "snapshot/stream.h"
#include "snapshot/tables.h"

#include "lib/machines.h"
#include "lib/which_engine.h"

#include <check.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

enum { FLIPS = 10000, CUTS = 2000, SEEDS = 8, CHANGES = 150, DEVICE_POKES = 4000, STATES = 24,
       HEAD_BYTES = STREAM_NAME_BYTES + 8, INSNS = 3000, POKES = 300 };

static char *folder, *path;
static struct image_options disk;
static GRand *random_numbers;
static const struct engine *engine;

static const uint8_t disk_content[65536];

static void setup(void)
{
    folder = g_dir_make_tmp("wideload-snapshot-XXXXXX", NULL);
    path = g_build_filename(folder, "snapshot", NULL);
    disk.path = g_build_filename(folder, "disk", NULL);
    disk.snapshot = true; /* two machines at a time */
    ck_assert(g_file_set_contents(disk.path, (const char *)disk_content, sizeof(disk_content), NULL));
    random_numbers = g_rand_new_with_seed(1);
    engine = test_engine();
}

static void teardown(void)
{
    g_unlink(path);
    g_unlink(disk.path);
    image_options_free(&disk);
    g_rmdir(folder);
    g_free(path);
    g_free(folder);
    g_rand_free(random_numbers);
}

static uint64_t below(uint64_t n) { return (uint64_t)(g_rand_double(random_numbers) * (double)n); }

/* -- a small guest ---------------------------------------------------------------------------------------------------------- */

/* Programs the PIT, the second PIC's mask and widereg's command, and counts for ever: enough that timers and lines are in use. */
static const uint8_t image[] = {
    0xfa,                               /* cli */
    0xb0, 0x34, 0xe6, 0x43,             /* mov al, 0x34; out 0x43, al */
    0xb0, 0x40, 0xe6, 0x40, 0xe6, 0x40, /* mov al, 0x40; out 0x40, al, twice */
    0xb0, 0xfe, 0xe6, 0x21,             /* mov al, 0xfe; out 0x21, al */
    0x40,                               /* inc ax */
    0xe7, 0x80,                         /* out 0x80, ax */
    0xeb, 0xfb,                         /* jmp to inc */
};

static struct machine_config config_of(struct snapshot *load)
{
    struct machine_config c = { .engine = engine, .ram_bytes = MIB(1), .flat = path, .limit = INSNS, .disk = &disk, .disks = 1 };

    if (load) {
        c.flat = NULL;
        c.load = load;
        c.ram_bytes = snapshot_guest(load)->ram_bytes;
        c.clock = (enum machine_clock)snapshot_guest(load)->clock;
        c.limit = snapshot_guest(load)->retired + INSNS;
    }
    return c;
}

static void write_file(const void *data, size_t bytes)
{
    FILE *f = fopen(path, "wb");

    ck_assert(f && fwrite(data, 1, bytes, f) == bytes && fclose(f) == 0);
}

/* A machine that has run for a while. */
static struct machine *running(void)
{
    struct machine_config c;
    struct machine *m;
    struct err err;

    write_file(image, sizeof(image));
    c = config_of(NULL);
    m = machine_create(&c, &err);
    ck_assert_msg(m != NULL, "%s", err.text);
    ck_assert_int_eq(machine_run(m, &err), MACHINE_LIMIT);
    return m;
}

static struct machine *loaded(struct err *err)
{
    struct snapshot *s = snapshot_open(path, err);
    struct machine_config c;
    struct machine *m;

    if (!s)
        return NULL;
    c = config_of(s);
    m = machine_create(&c, err);
    snapshot_close(s);
    return m;
}

static uint8_t *saved(size_t *bytes)
{
    struct machine *m = running();
    gchar *data;
    gsize n;
    struct err err;

    ck_assert_msg(snapshot_save(m, path, NULL, &err), "%s", err.text);
    machine_destroy(m);
    ck_assert(g_file_get_contents(path, &data, &n, NULL));
    *bytes = n;
    return (uint8_t *)data;
}

static void expect_refusal(const uint8_t *data, size_t bytes, const char *what, size_t at)
{
    struct err err = { "" };
    struct machine *m;

    write_file(data, bytes);
    m = loaded(&err);
    ck_assert_msg(!m, "%s %zu was not seen", what, at);
    ck_assert_msg(*err.text && !strchr(err.text, '\n'), "%s %zu: not one line: '%s'", what, at, err.text);
}

/* -- tests -------------------------------------------------------------------------------------------------------------------- */

START_TEST(snapshot_tables_cover_every_byte)
{
    const struct fields *const all[] = { &cpu_fields, &vcpu_fields, &machine_fields, &board_fields };

    for (unsigned i = 0; i < ARRAY_LEN(all); i++)
        ck_assert_msg(fields_uncovered(all[i]) == all[i]->state_size, "table %u: the byte at %zu is in no row", i, fields_uncovered(all[i]));
}
END_TEST

START_TEST(snapshot_loads_as_it_was_saved_and_goes_on_the_same)
{
    struct machine *a = running(), *b;
    char text[256];
    struct err err;

    ck_assert(snapshot_save(a, path, NULL, &err));
    b = loaded(&err);
    ck_assert_msg(b != NULL, "%s", err.text);
    for (unsigned i = 0; i < 2; i++) {
        ck_assert_msg(machines_same_state(a, b, text, sizeof(text)) && machines_same_memory(a, b, text, sizeof(text)), "%s", text);
        ck_assert_uint_eq(a->vcpu.retired, b->vcpu.retired);
        ck_assert_uint_eq(clock_now(&a->clock), clock_now(&b->clock));
        ck_assert_uint_eq(clock_next(&a->clock), clock_next(&b->clock));
        ck_assert_uint_ne(clock_next(&a->clock), CLOCK_NEVER);
        a->config.limit = b->config.limit = a->vcpu.retired + 12345;
        ck_assert_int_eq(machine_run(a, &err), MACHINE_LIMIT);
        ck_assert_int_eq(machine_run(b, &err), MACHINE_LIMIT);
    }
    machine_destroy(a);
    machine_destroy(b);
}
END_TEST

START_TEST(snapshot_with_one_bit_changed_is_refused)
{
    size_t bytes;
    uint8_t *data = saved(&bytes);

    for (unsigned i = 0; i < FLIPS; i++) {
        size_t bit = below(bytes * 8);

        data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        expect_refusal(data, bytes, "bit", bit);
        data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    g_free(data);
}
END_TEST

START_TEST(snapshot_cut_off_or_longer_is_refused)
{
    size_t bytes;
    uint8_t *data = saved(&bytes), *longer = g_malloc0(bytes + 1);

    memcpy(longer, data, bytes);
    expect_refusal(longer, bytes + 1, "longer by one", bytes);
    for (unsigned i = 0; i < CUTS; i++) {
        size_t n = i < 100 ? i : i < 200 ? bytes - 1 - (i - 100) : below(bytes);

        expect_refusal(data, n, "cut to", n);
    }
    g_free(longer);
    g_free(data);
}
END_TEST

/* -- any content, with a right checksum ------------------------------------------------------------------------------------------ */

static GByteArray *unpack(const uint8_t *data, size_t bytes)
{
    GByteArray *content = g_byte_array_sized_new(4 << 20);
    ZSTD_DCtx *zstd = ZSTD_createDCtx();
    ZSTD_inBuffer in = { data + STREAM_HEAD_BYTES, bytes - STREAM_HEAD_BYTES - STREAM_TAIL_BYTES, 0 };
    ZSTD_outBuffer out = { content->data, 4 << 20, 0 };

    ck_assert_uint_eq(ZSTD_decompressStream(zstd, &out, &in), 0);
    g_byte_array_set_size(content, (guint)out.pos);
    ZSTD_freeDCtx(zstd);
    return content;
}

static void pack(const GByteArray *content)
{
    size_t room = ZSTD_compressBound(content->len), n;
    uint8_t *data = g_malloc0(STREAM_HEAD_BYTES + room + STREAM_TAIL_BYTES);
    GChecksum *checksum = g_checksum_new(G_CHECKSUM_SHA256);
    gsize digest = STREAM_CHECKSUM_BYTES;

    memcpy(data, STREAM_MAGIC, 8);
    data[8] = STREAM_VERSION;
    n = STREAM_HEAD_BYTES + ZSTD_compress(data + STREAM_HEAD_BYTES, room, content->data, content->len, 1);
    memcpy(data + n, STREAM_END, 8);
    g_checksum_update(checksum, data, (gssize)n + 8);
    g_checksum_get_digest(checksum, data + n + 8, &digest);
    write_file(data, n + STREAM_TAIL_BYTES);
    g_checksum_free(checksum);
    g_free(data);
}

struct place {
    size_t head, at, bytes;
};

/* Where a section's head and its bytes are; false behind the last. */
static bool section(const GByteArray *content, unsigned n, struct place *p)
{
    size_t at = 0;

    do {
        uint64_t bytes;

        if (at >= content->len)
            return false;
        memcpy(&bytes, content->data + at + STREAM_NAME_BYTES, 8);
        *p = (struct place){ at, at + HEAD_BYTES, bytes };
        at += HEAD_BYTES + bytes;
    } while (n--);
    return true;
}

static unsigned count_sections(const GByteArray *content)
{
    struct place p;
    unsigned n = 0;

    while (section(content, n, &p))
        n++;
    return n;
}

static void change_byte(uint8_t *at)
{
    switch (below(4)) {
    case 0: *at ^= (uint8_t)(1u << below(8)); break;
    case 1: *at = (uint8_t)below(256); break;
    case 2: *at = 0xff; break;
    default: *at += below(2) ? 1 : 0xff; break;
    }
}

static bool has_fields(const uint8_t *head)
{
    static const char *const others[] = { "model", "features", "cpuid", "bios", "ram", "end" };

    for (unsigned i = 0; i < ARRAY_LEN(others); i++)
        if (!strcmp((const char *)head, others[i]))
            return false;
    return true;
}

/* A value of one row: an element's bytes, all of them or one. */
static void change_value(uint8_t *at, const uint8_t *end)
{
    uint8_t *row[64];
    unsigned rows = 0, size;
    uint32_t count;

    for (; at < end && rows < ARRAY_LEN(row); at += (size_t)size * count) {
        row[rows++] = at;
        at += 1 + *at;
        size = *at++;
        memcpy(&count, at, 4);
        at += 4;
    }
    at = row[below(rows)];
    at += 1 + *at;
    size = *at++;
    memcpy(&count, at, 4);
    at += 4 + below(count) * size;
    switch (below(4)) {
    case 0: memset(at, 0, size); break;
    case 1: memset(at, 0xff, size); break;
    case 2: change_byte(at); break;
    default: change_byte(at + below(size)); break;
    }
}

/* Some values of one section; or its head, or its bytes, or all of it. */
static void corrupt(GByteArray *content)
{
    struct place p = { 0 };
    bool values;

    section(content, (unsigned)below(count_sections(content)), &p);
    switch (below(40)) {
    case 0: change_byte(content->data + p.head + below(HEAD_BYTES)); return;
    case 1: g_byte_array_remove_range(content, (guint)p.head, (guint)(HEAD_BYTES + p.bytes)); return;
    case 2: g_byte_array_append(content, content->data + p.head, (guint)(HEAD_BYTES + bits_min(p.bytes, 64))); return;
    case 3: g_byte_array_set_size(content, (guint)(p.at + below(p.bytes + 1))); return;
    default: break;
    }
    values = has_fields(content->data + p.head) && below(10);
    for (uint64_t n = 1 + below(3); n && p.bytes; n--)
        if (values)
            change_value(content->data + p.at, content->data + p.at + p.bytes);
        else
            change_byte(content->data + p.at + below(p.bytes));
}

/* A device's region that is on the map now, any of them as likely. */
static const struct phys_range *any_region(struct machine *m, enum region_space *space)
{
    const struct phys_range *found = NULL;
    unsigned seen = 0;

    for (unsigned s = 0; s < REGION_SPACES; s++) {
        size_t n;
        const struct phys_range *all = phys_ranges(&m->phys, (enum region_space)s, &n);

        for (size_t i = 0; i < n; i++)
            if (all[i].kind == PIECE_REGION && !below(++seen)) {
                found = &all[i];
                *space = (enum region_space)s;
            }
    }
    return found;
}

/* Any access to a device, mostly of a shape that it takes.  Returns what a load gave. */
static union wide poke(struct machine *m)
{
    enum region_space space = REGION_PIO;
    const struct phys_range *range = any_region(m, &space);
    unsigned width = 1u << below(space == REGION_PIO ? 3 : 7), widths = range->region->ops->limits.widths;
    uint64_t at = range->base + below(bits_min(range->size, below(2) ? 0x1000 : 64u << below(5)));
    struct access a = { .space = space, .type = below(2) ? TRANSACTION_STORE : TRANSACTION_LOAD };

    while (below(16) && !(widths & width))
        width = width < 64 ? width * 2 : 1;
    if (below(16))
        at &= ~(uint64_t)(width - 1);
    if (space == REGION_MMIO && below(2))
        at &= ~UINT64_C(15);
    a.width = (uint8_t)width;
    a.gva = at;
    a.enables = bits_mask(width);
    if ((at & 0xfff) + width > 0x1000)
        return (union wide){ 0 };
    for (unsigned i = 0; i < width; i++)
        a.data.b[i] = (uint8_t)below(below(2) ? 256 : i ? 1 : 48);
    dispatch_physical(&m->vcpu.bus, &a, at);
    return a.data;
}

/* The local APIC's: its base, and x2APIC's registers. */
static union wide poke_msr(struct machine *m)
{
    static const uint64_t bases[] = { 0xfee00900, 0xfed80900, 0xfee00100, 0xfee00d00 }; /* on, elsewhere, off, x2APIC */
    const struct vcpu_host *h = &m->vcpu.host;
    uint32_t index = below(2) ? 0x1b : 0x800 + (uint32_t)below(0x40);
    union wide answer = { .q = { below(0x400) } };

    if (below(2))
        answer.q[1] = h->write_msr(h->opaque, index, index == 0x1b ? bases[below(below(8) ? 2 : 4)] : answer.q[0]);
    else
        answer.q[1] = h->read_msr(h->opaque, index, &answer.q[0]);
    return answer;
}

static void pass_time(struct machine *m, uint64_t ns)
{
    m->skipped_ns += ns;
    clock_run(&m->clock);
}

static void enough(void *machine) { machine_interrupt(machine); }

/* Halted, with timers that wake nobody, is for ever. */
static void run_a_second(struct machine *m)
{
    struct clock_timer second = { .fire = enough, .opaque = m };
    struct err err;

    m->interrupted = false;
    clock_arm(&m->clock, &second, clock_now(&m->clock) + 1000000000);
    machine_run(m, &err);
    clock_disarm(&m->clock, &second);
}

static void exercise(struct machine *m)
{
    run_a_second(m);
    for (unsigned i = 0; i < POKES; i++)
        poke(m);
    pass_time(m, 60000000000); /* timers that are due */
    if (m->vcpu.pins.intr)
        m->vcpu.pins.acknowledge(m->vcpu.pins.opaque);
    m->config.limit = m->vcpu.retired + INSNS;
    run_a_second(m);
}

START_TEST(snapshot_of_any_content_harms_nobody)
{
    size_t bytes;
    uint8_t *data = saved(&bytes);
    GByteArray *good = unpack(data, bytes);
    unsigned ran = 0, refused = 0;
    struct err none;
    bool jit = test_engine_usable(&engine_jit, &none);

    g_rand_set_seed(random_numbers, (guint32)_i + 1);
    for (unsigned i = 0; i < CHANGES; i++) {
        GByteArray *content = g_byte_array_append(g_byte_array_new(), good->data, good->len);
        struct err err = { "" };
        struct machine *m;

        engine = jit && i % 2 ? &engine_jit : test_engine();
        corrupt(content);
        pack(content);
        m = loaded(&err);
        if (m)
            exercise(m);
        ck_assert_msg(m || (*err.text && !strchr(err.text, '\n')), "not one line: '%s'", err.text);
        ran += m != NULL;
        refused += !m;
        machine_destroy(m);
        g_byte_array_free(content, TRUE);
    }
    ck_assert_uint_gt(ran, 0);
    ck_assert_uint_gt(refused, 0);
    g_byte_array_free(good, TRUE);
    g_free(data);
}
END_TEST

/* -- devices in any state go on as they would have ---------------------------------------------------------------------------------- */

/* The same to both; what they answer. */
static void step(struct machine *m, GRand *r, union wide *answer, unsigned *vector)
{
    random_numbers = r;
    *answer = below(20) ? poke(m) : poke_msr(m);
    if (!below(4))
        pass_time(m, below(below(8) ? 100000 : 2000000000));
    *vector = !below(8) && m->vcpu.pins.intr ? m->vcpu.pins.acknowledge(m->vcpu.pins.opaque) : 256;
}

static struct machine *poked(void)
{
    struct machine *m = running();
    union wide answer;
    unsigned vector;

    for (unsigned i = 0; i < DEVICE_POKES; i++)
        step(m, random_numbers, &answer, &vector);
    return m;
}

/* A state with zeros in the place of everything but what its rows call wiring. */
static uint8_t *wiring_of(const struct fields *fields, const void *state)
{
    uint8_t *copy = g_malloc0(fields->state_size + 1);

    for (size_t i = 0; i < fields->rows; i++)
        for (uint32_t n = 0; fields->row[i].kind == FIELD_WIRING && n < fields_elements(&fields->row[i]); n++) {
            size_t at = fields_place(&fields->row[i], n);

            memcpy(copy + at, (const uint8_t *)state + at, fields->row[i].size);
        }
    return copy;
}

static void expect_wiring(const char *name, const struct fields *fields, const void *state, const uint8_t *before)
{
    uint8_t *now = wiring_of(fields, state);
    size_t at = 0;

    while (at < fields->state_size && now[at] == before[at])
        at++;
    ck_assert_msg(at == fields->state_size, "%s: the byte at %zu has changed, and is said to be wiring", name, at);
    g_free(now);
}

/* What is not saved because it is wiring stays as it was made, whatever happens to a device. */
START_TEST(snapshot_wiring_never_changes)
{
    struct machine *m = running();
    uint8_t *before[32], *board = wiring_of(&board_fields, m->board);
    struct device *d;
    unsigned n = 0, vector;
    union wide answer;

    for (; (d = board_device(m->board, n)); n++)
        before[n] = wiring_of(d->class->fields, d->state);
    g_rand_set_seed(random_numbers, (guint32)_i + 200);
    for (unsigned i = 0; i < DEVICE_POKES; i++)
        step(m, random_numbers, &answer, &vector);
    expect_wiring("board", &board_fields, m->board, board);
    for (unsigned i = 0; i < n; i++) {
        d = board_device(m->board, i);
        expect_wiring(d->class->name, d->class->fields, d->state, before[i]);
        g_free(before[i]);
    }
    g_free(board);
    machine_destroy(m);
}
END_TEST

static void compare_steps(struct machine *a, struct machine *b)
{
    GRand *mine = random_numbers, *left = g_rand_new_with_seed(7), *right = g_rand_copy(left);

    for (unsigned i = 0; i < DEVICE_POKES; i++) {
        union wide x, y;
        unsigned u, v;

        step(a, left, &x, &u);
        step(b, right, &y, &v);
        ck_assert_msg(!memcmp(&x, &y, sizeof(x)), "access %u: %#lx, and after loading %#lx", i, (long)x.q[0], (long)y.q[0]);
        ck_assert_uint_eq(u, v);
        ck_assert_uint_eq(a->vcpu.pins.intr, b->vcpu.pins.intr);
        ck_assert_uint_eq(clock_next(&a->clock), clock_next(&b->clock));
    }
    random_numbers = mine;
    g_rand_free(left);
    g_rand_free(right);
}

static void save_to(struct machine *m, gchar **data, gsize *bytes)
{
    struct err err;

    ck_assert_msg(snapshot_save(m, path, NULL, &err), "%s", err.text);
    ck_assert(g_file_get_contents(path, data, bytes, NULL));
}

START_TEST(snapshot_of_devices_in_any_state_goes_on_the_same)
{
    struct machine *a, *b;
    gchar *left, *right;
    gsize m, n;
    struct err err;

    g_rand_set_seed(random_numbers, (guint32)_i + 100);
    a = poked();
    save_to(a, &left, &m);
    g_free(left);
    b = loaded(&err);
    ck_assert_msg(b != NULL, "%s", err.text);
    compare_steps(a, b);
    save_to(a, &left, &m);
    save_to(b, &right, &n);
    ck_assert(m == n && !memcmp(left, right, n));
    g_free(left);
    g_free(right);
    machine_destroy(a);
    machine_destroy(b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("snapshot");
    TCase *tcase = tcase_create("snapshot");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, snapshot_tables_cover_every_byte);
    tcase_add_test(tcase, snapshot_loads_as_it_was_saved_and_goes_on_the_same);
    tcase_add_test(tcase, snapshot_with_one_bit_changed_is_refused);
    tcase_add_test(tcase, snapshot_cut_off_or_longer_is_refused);
    tcase_add_loop_test(tcase, snapshot_of_any_content_harms_nobody, 0, SEEDS);
    tcase_add_loop_test(tcase, snapshot_wiring_never_changes, 0, STATES);
    tcase_add_loop_test(tcase, snapshot_of_devices_in_any_state_goes_on_the_same, 0, STATES);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
