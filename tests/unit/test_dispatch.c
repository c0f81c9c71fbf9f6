/* test_dispatch.c - what a region's callbacks get, in which order, and what comes back: all on fake regions. */
#include "dispatch.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* A device of 256 bytes that writes down what it was asked. */
static struct recorder {
    uint8_t bytes[256];
    struct { enum transaction_type type; uint64_t offset; unsigned width; uint16_t flags; uint64_t enables;
             uint16_t fragment, fragments; } seen[256];
    unsigned n;
    enum transaction_result answer;
    struct region *move_on_store; /* region to switch off at the first store */
} recorder;

static uint8_t ram_bytes[2 * PAGE_BYTES], rom_bytes[PAGE_BYTES];
static struct phys phys;
static struct phys_memory ram, rom;
static struct region wide, narrow;
static struct region_ops wide_ops, narrow_ops;
static struct bus bus;
static unsigned observed, wrote;
static uint8_t ram_at_store; /* of the first RAM byte behind the device, when the device was stored to */

static void record(enum transaction_type type, uint64_t offset, unsigned width, const struct transaction *t)
{
    ck_assert_uint_le(offset + width, 256);
    recorder.seen[recorder.n].type = type;
    recorder.seen[recorder.n].offset = offset;
    recorder.seen[recorder.n].width = width;
    recorder.seen[recorder.n].flags = t ? t->flags : 0;
    recorder.seen[recorder.n].enables = t ? t->enables : 0;
    recorder.seen[recorder.n].fragment = t ? t->origin->fragment : 0;
    recorder.seen[recorder.n++].fragments = t ? t->origin->fragments : 0;
    if (type != TRANSACTION_LOAD && recorder.move_on_store)
        region_move(recorder.move_on_store, recorder.move_on_store->base, false);
    if (type != TRANSACTION_LOAD)
        ram_at_store = ram_bytes[0];
}

static uint64_t narrow_read(void *state, uint64_t offset, unsigned width)
{
    struct recorder *r = state;
    uint64_t value = ~UINT64_C(0); /* a device may leave junk above */

    record(TRANSACTION_LOAD, offset, width, NULL);
    memcpy(&value, r->bytes + offset, width);
    return value;
}

static void narrow_write(void *state, uint64_t offset, unsigned width, uint64_t value)
{
    struct recorder *r = state;

    record(TRANSACTION_STORE, offset, width, NULL);
    ck_assert_uint_eq(value, bits_trunc(value, width));
    memcpy(r->bytes + offset, &value, width);
}

static enum transaction_result wide_transact(void *state, struct transaction *t)
{
    struct recorder *r = state;
    union wide old = { 0 };

    record(t->type, t->offset, t->width, t);
    memcpy(&old, r->bytes + t->offset, t->width);
    for (unsigned i = 0; i < t->width; i++) {
        if (t->type == TRANSACTION_COMPARE_SWAP && memcmp(&old, &t->compare, t->width))
            break;
        if (t->type != TRANSACTION_LOAD && t->enables >> i & 1)
            r->bytes[t->offset + i] = t->type == TRANSACTION_FETCH_ADD ? old.b[i] + t->data.b[i] : t->data.b[i];
    }
    t->data = old;
    return r->answer;
}

/* 0000..1fff ram, 2000..20ff wide, 2100..21ff narrow, 3000..3fff rom; the rest holes. */
static void setup(void)
{
    memset(&recorder, 0, sizeof(recorder));
    for (unsigned i = 0; i < 256; i++)
        recorder.bytes[i] = i;
    memset(ram_bytes, 0x11, sizeof(ram_bytes));
    wide_ops = (struct region_ops){
        .transact = wide_transact,
        .limits = { .widths = W_ALL, .flags = REGION_UNALIGNED | REGION_ODD | REGION_ENABLES, .types = 0x7c,
                    .atomic_widths = W4 | W8 | W16 },
    };
    narrow_ops = (struct region_ops){
        .read = narrow_read, .write = narrow_write, .limits = { .widths = W1 | W2 | W4 },
    };
    ram = (struct phys_memory){ "ram", 0, sizeof(ram_bytes), ram_bytes, ram_bytes, true, 0 };
    rom = (struct phys_memory){ "rom", 0x3000, sizeof(rom_bytes), rom_bytes, NULL, true, 0 };
    wide = (struct region){ .name = "wide", .base = 0x2000, .size = 0x100, .enabled = true, .ops = &wide_ops,
                            .state = &recorder };
    narrow = (struct region){ .name = "narrow", .base = 0x2100, .size = 0x100, .enabled = true, .ops = &narrow_ops,
                              .state = &recorder };
    phys_init(&phys);
    phys_add_memory(&phys, &ram);
    phys_add_memory(&phys, &rom);
    phys.map.add(&phys.map, &wide);
    phys.map.add(&phys.map, &narrow);
    bus = (struct bus){ .phys = &phys, .policy = &split_whole };
    observed = wrote = 0;
}

static void teardown(void) { phys_free(&phys); }

static struct access make(enum transaction_type type, unsigned width)
{
    struct access access = { .type = type, .width = width, .enables = bits_mask(width) };

    for (unsigned i = 0; i < width; i++)
        access.data.b[i] = 0xa0 + i;
    return access;
}

static void observe(void *opaque, const struct dispatch_report *report)
{
    (void)opaque, (void)report;
    observed++;
}

static void count_wrote(void *opaque, uint64_t gpa, unsigned width)
{
    (void)opaque, (void)gpa;
    wrote += width;
}

START_TEST(dispatch_wide_load_arrives_whole)
{
    for (unsigned watched = 0; watched < 2; watched++) {
        struct access access = make(TRANSACTION_LOAD, 64);

        bus.observe = watched ? observe : NULL;
        recorder.n = 0;
        ck_assert_int_eq(dispatch_physical(&bus, &access, 0x2041), TRANSACTION_OK);
        ck_assert_uint_eq(recorder.n, 1);
        ck_assert_uint_eq(recorder.seen[0].width, 64);
        ck_assert_uint_eq(recorder.seen[0].offset, 0x41);
        ck_assert_uint_eq(recorder.seen[0].fragments, 1);
        ck_assert_uint_eq(access.data.b[63], 0x41 + 63);
        ck_assert_uint_eq(observed, watched);
    }
    ck_assert(bus.touched);
}
END_TEST

START_TEST(dispatch_load_clears_what_is_beyond_the_width)
{
    struct access access = make(TRANSACTION_LOAD, 64);

    access.width = 2;
    ck_assert_int_eq(dispatch_physical(&bus, &access, 0x2102), TRANSACTION_OK);
    ck_assert_uint_eq(access.data.q[0], 0x0302);
    ck_assert_uint_eq(access.data.q[1], 0);
}
END_TEST

START_TEST(dispatch_narrow_region_never_sees_more_than_it_declares)
{
    struct access access = make(TRANSACTION_STORE, 16);

    ck_assert_int_eq(dispatch_physical(&bus, &access, 0x2101), TRANSACTION_OK);
    for (unsigned i = 0; i < recorder.n; i++)
        ck_assert(region_takes(&narrow_ops.limits, recorder.seen[i].offset, recorder.seen[i].width));
    ck_assert_mem_eq(recorder.bytes + 1, access.data.b, 16);
    ck_assert_uint_eq(recorder.bytes[0], 0);
    ck_assert_uint_eq(recorder.bytes[17], 17);
}
END_TEST

START_TEST(dispatch_every_policy_loads_and_stores_the_same_bytes)
{
    for (unsigned i = 0; split_policies[i]; i++)
        for (unsigned offset = 0x2108; offset < 0x2118; offset++) {
            struct access load = make(TRANSACTION_LOAD, 16), store = make(TRANSACTION_STORE, 16);

            bus.policy = split_policies[i];
            bus.policy_arg = 8;
            recorder.n = 0;
            load.gva = store.gva = offset;
            for (unsigned b = 0; b < 256; b++)
                recorder.bytes[b] = b;
            ck_assert_int_eq(dispatch_physical(&bus, &load, offset), TRANSACTION_OK);
            ck_assert_mem_eq(load.data.b, recorder.bytes + (offset & 0xff), 16);
            ck_assert_int_eq(dispatch_physical(&bus, &store, offset), TRANSACTION_OK);
            ck_assert_mem_eq(store.data.b, recorder.bytes + (offset & 0xff), 16);
            ck_assert_uint_eq(recorder.bytes[(offset & 0xff) + 16], (offset & 0xff) + 16);
            ck_assert_uint_eq(recorder.bytes[(offset & 0xff) - 1], (offset & 0xff) - 1);
        }
}
END_TEST

START_TEST(dispatch_hole_loads_all_ones_and_drops_stores)
{
    struct access access = make(TRANSACTION_LOAD, 8);

    ck_assert_int_eq(dispatch_physical(&bus, &access, 0x9000), TRANSACTION_ERROR);
    ck_assert_uint_eq(access.data.q[0], ~UINT64_C(0));
    ck_assert_uint_eq(access.data.q[1], 0);
    access = make(TRANSACTION_STORE, 8);
    ck_assert_int_eq(dispatch_physical(&bus, &access, 0x9000), TRANSACTION_ERROR);
    ck_assert(bus.touched);
}
END_TEST

START_TEST(dispatch_edge_of_a_hole_loads_ones_only_there)
{
    struct access access = make(TRANSACTION_LOAD, 8);

    ck_assert_int_eq(dispatch_physical(&bus, &access, 0x21fc), TRANSACTION_ERROR);
    ck_assert_uint_eq(access.data.q[0], 0xfffffffffffefdfc);
}
END_TEST

START_TEST(dispatch_width_below_the_smallest_is_refused_not_widened)
{
    struct access access = make(TRANSACTION_STORE, 2);

    narrow_ops.limits.widths = W4;
    ck_assert_int_eq(dispatch_physical(&bus, &access, 0x2100), TRANSACTION_ERROR);
    ck_assert_uint_eq(recorder.n, 0);
    access = make(TRANSACTION_LOAD, 2);
    ck_assert_int_eq(dispatch_physical(&bus, &access, 0x2100), TRANSACTION_ERROR);
    ck_assert_uint_eq(access.data.q[0], 0xffff);
}
END_TEST

START_TEST(dispatch_rom_reads_and_drops_writes)
{
    struct access access = make(TRANSACTION_STORE, 4);

    bus.wrote = count_wrote;
    rom_bytes[0] = 0x55;
    ck_assert_int_eq(dispatch_physical(&bus, &access, 0x3000), TRANSACTION_OK);
    ck_assert_uint_eq(wrote, 0);
    access = make(TRANSACTION_LOAD, 1);
    dispatch_physical(&bus, &access, 0x3000);
    ck_assert_uint_eq(access.data.q[0], 0x55);
}
END_TEST

START_TEST(dispatch_memory_only_is_not_observed_but_reported_as_written)
{
    struct access access = make(TRANSACTION_STORE, 16);

    bus.observe = observe;
    bus.wrote = count_wrote;
    ck_assert_int_eq(dispatch_physical(&bus, &access, 0xff8), TRANSACTION_OK); /* across a page */
    ck_assert_mem_eq(ram_bytes + 0xff8, access.data.b, 16);
    ck_assert_uint_eq(wrote, 16);
    ck_assert_uint_eq(observed, 0);
    ck_assert(!bus.touched);
}
END_TEST

START_TEST(dispatch_store_reaches_the_device_before_memory)
{
    struct access access = make(TRANSACTION_STORE, 16);

    access.pieces = 0; /* RAM at 0000, then the device: two disjoint pages */
    phys_resolve(&phys, &access, 0, 0, 8, 0);
    phys_resolve(&phys, &access, 0x2000, 8, 8, 1);
    ck_assert_int_eq(dispatch_access(&bus, &access), TRANSACTION_OK);
    ck_assert_uint_eq(ram_at_store, 0x11);
    ck_assert_mem_eq(ram_bytes, access.data.b, 8);
    ck_assert_mem_eq(recorder.bytes, access.data.b + 8, 8);
}
END_TEST

START_TEST(dispatch_atomic_is_one_typed_transaction_where_taken)
{
    struct access access = make(TRANSACTION_FETCH_ADD, 4);

    access.data.q[0] = 1;
    ck_assert_int_eq(dispatch_physical(&bus, &access, 0x2010), TRANSACTION_OK);
    ck_assert_uint_eq(recorder.n, 1);
    ck_assert_int_eq(recorder.seen[0].type, TRANSACTION_FETCH_ADD);
    ck_assert_uint_eq(access.data.q[0], 0x13121110);
    ck_assert_uint_eq(recorder.bytes[0x10], 0x11);
}
END_TEST

START_TEST(dispatch_atomic_elsewhere_computes_between_a_locked_load_and_store)
{
    struct access access = make(TRANSACTION_FETCH_ADD, 8);

    wide_ops.limits.types = 0;
    access.data.q[0] = 0xf1;
    ck_assert_int_eq(dispatch_physical(&bus, &access, 0x2010), TRANSACTION_OK);
    ck_assert_uint_eq(recorder.n, 2);
    ck_assert_int_eq(recorder.seen[0].type, TRANSACTION_LOAD);
    ck_assert_int_eq(recorder.seen[1].type, TRANSACTION_STORE);
    ck_assert(recorder.seen[0].flags & TRANSACTION_LOCKED && recorder.seen[1].flags & TRANSACTION_LOCKED);
    ck_assert_uint_eq(access.data.q[0], 0x1716151413121110);
    ck_assert_uint_eq(recorder.bytes[0x10], 0x01);
    ck_assert_uint_eq(recorder.bytes[0x11], 0x12); /* the carry */
}
END_TEST

START_TEST(dispatch_compare_swap_writes_the_old_value_back_on_mismatch)
{
    struct access access = make(TRANSACTION_COMPARE_SWAP, 16);

    wide_ops.limits.types = 0;
    ck_assert_int_eq(dispatch_physical(&bus, &access, 0x2010), TRANSACTION_OK);
    ck_assert_uint_eq(recorder.n, 2);
    ck_assert_uint_eq(recorder.bytes[0x10], 0x10);
    access = make(TRANSACTION_COMPARE_SWAP, 16);
    memcpy(&access.compare, recorder.bytes + 0x10, 16);
    dispatch_physical(&bus, &access, 0x2010);
    ck_assert_uint_eq(recorder.bytes[0x1f], 0xaf);
    ck_assert_uint_eq(access.data.b[15], 0x1f);
}
END_TEST

START_TEST(dispatch_atomic_across_memory_and_device_changes_both)
{
    struct access access = make(TRANSACTION_SWAP, 8);

    phys_resolve(&phys, &access, 0x1ffc, 0, 4, 0);
    phys_resolve(&phys, &access, 0x2000, 4, 4, 1);
    ck_assert_int_eq(dispatch_access(&bus, &access), TRANSACTION_OK);
    ck_assert_uint_eq(access.data.q[0], 0x0302010011111111);
    ck_assert_uint_eq(ram_bytes[0x1ffc], 0xa0);
    ck_assert_uint_eq(recorder.bytes[3], 0xa7);
}
END_TEST

START_TEST(dispatch_memory_atomic_needs_no_device)
{
    struct access access = make(TRANSACTION_FETCH_ADD, 2);

    ck_assert_int_eq(dispatch_physical(&bus, &access, 0x10), TRANSACTION_OK);
    ck_assert_uint_eq(access.data.q[0], 0x1111);
    ck_assert_uint_eq(ram_bytes[0x10], 0xb1);
    ck_assert_uint_eq(ram_bytes[0x11], 0xb2);
}
END_TEST

START_TEST(dispatch_enqueue_is_answered_by_the_device_or_refused)
{
    struct access access = make(TRANSACTION_ENQUEUE, 64);

    recorder.answer = TRANSACTION_RETRY;
    ck_assert_int_eq(dispatch_physical(&bus, &access, 0x2040), TRANSACTION_RETRY);
    ck_assert_uint_eq(recorder.n, 1);
    recorder.answer = TRANSACTION_OK;
    ck_assert_int_eq(dispatch_physical(&bus, &access, 0x2040), TRANSACTION_OK);
    ck_assert_int_eq(dispatch_physical(&bus, &access, 0x2140), TRANSACTION_RETRY);
    ck_assert_int_eq(dispatch_physical(&bus, &access, 0x40), TRANSACTION_RETRY);
    ck_assert_int_eq(dispatch_physical(&bus, &access, 0x9000), TRANSACTION_RETRY);
    ck_assert_uint_eq(recorder.n, 2);
    ck_assert_uint_eq(ram_bytes[0x40], 0x11);
}
END_TEST

START_TEST(dispatch_direct_store_keeps_its_type_or_becomes_stores)
{
    struct access access = make(TRANSACTION_DIRECT_STORE, 64);

    ck_assert_int_eq(dispatch_physical(&bus, &access, 0x2040), TRANSACTION_OK);
    ck_assert_int_eq(recorder.seen[0].type, TRANSACTION_DIRECT_STORE);
    ck_assert_int_eq(dispatch_physical(&bus, &access, 0x2140), TRANSACTION_OK);
    ck_assert_uint_eq(recorder.n, 17);
    ck_assert_mem_eq(recorder.bytes + 0x40, access.data.b, 64);
    ck_assert_int_eq(dispatch_physical(&bus, &access, 0x40), TRANSACTION_OK);
    ck_assert_mem_eq(ram_bytes + 0x40, access.data.b, 64);
}
END_TEST

START_TEST(dispatch_masked_store_touches_only_enabled_bytes)
{
    static const unsigned at[] = { 0x2020, 0x2120, 0x20 };

    for (unsigned i = 0; i < ARRAY_LEN(at); i++) {
        struct access access = make(TRANSACTION_STORE, 16);
        uint8_t *bytes = i == 2 ? ram_bytes + 0x20 : recorder.bytes + 0x20;
        uint8_t before[16];

        memcpy(before, bytes, 16);
        recorder.n = 0;
        access.flags = TRANSACTION_MASKED;
        access.enables = 0xf00e;
        ck_assert_int_eq(dispatch_physical(&bus, &access, at[i]), TRANSACTION_OK);
        for (unsigned b = 0; b < 16; b++)
            ck_assert_uint_eq(bytes[b], access.enables >> b & 1 ? 0xa0 + b : before[b]);
        if (i == 0)
            ck_assert_uint_eq(recorder.n, 1);
        if (i == 0)
            ck_assert_uint_eq(recorder.seen[0].enables, 0xf00e);
        teardown();
        setup();
    }
}
END_TEST

START_TEST(dispatch_masked_load_gives_zero_where_disabled)
{
    struct access access = make(TRANSACTION_LOAD, 8);

    access.flags = TRANSACTION_MASKED;
    access.enables = 0xf0;
    ck_assert_int_eq(dispatch_physical(&bus, &access, 0x2008), TRANSACTION_OK);
    ck_assert_uint_eq(access.data.q[0], 0x0f0e0d0c00000000);
}
END_TEST

START_TEST(dispatch_access_with_no_piece_does_nothing)
{
    struct access access = make(TRANSACTION_LOAD, 8);

    access.flags = TRANSACTION_MASKED;
    access.enables = 0;
    ck_assert_int_eq(dispatch_access(&bus, &access), TRANSACTION_OK);
    ck_assert_uint_eq(access.data.q[0], 0);
}
END_TEST

START_TEST(dispatch_hint_touches_a_device_only_as_kvm_does)
{
    struct access access = make(TRANSACTION_LOAD, 1);

    access.form = FORM_HINT;
    ck_assert_int_eq(dispatch_physical(&bus, &access, 0x2000), TRANSACTION_OK);
    ck_assert_uint_eq(recorder.n, 0);
    bus.policy = &split_kvm;
    dispatch_physical(&bus, &access, 0x2000);
    ck_assert_uint_eq(recorder.n, 1);
}
END_TEST

START_TEST(dispatch_survives_a_region_that_moves_in_its_callback)
{
    struct access access = make(TRANSACTION_STORE, 64);
    struct access after = make(TRANSACTION_LOAD, 1);

    recorder.move_on_store = &narrow;
    ck_assert_int_eq(dispatch_physical(&bus, &access, 0x20e0), TRANSACTION_OK); /* both regions: as resolved */
    ck_assert_uint_eq(recorder.bytes[0x1f], 0xa0 + 63);
    ck_assert_int_eq(dispatch_physical(&bus, &after, 0x2100), TRANSACTION_ERROR);
}
END_TEST

START_TEST(dispatch_resolves_again_after_a_change)
{
    struct access access = make(TRANSACTION_LOAD, 4);

    phys_resolve(&phys, &access, 0x2000, 0, 4, 0);
    region_move(&wide, 0x5000, true);
    ck_assert_int_eq(dispatch_access(&bus, &access), TRANSACTION_ERROR);
    ck_assert_uint_eq(access.data.q[0], 0xffffffff);
}
END_TEST

START_TEST(dispatch_device_error_gives_all_ones)
{
    struct access access = make(TRANSACTION_LOAD, 32);

    recorder.answer = TRANSACTION_ERROR;
    ck_assert_int_eq(dispatch_physical(&bus, &access, 0x2000), TRANSACTION_ERROR);
    ck_assert_uint_eq(access.data.q[3], ~UINT64_C(0));
    ck_assert_uint_eq(access.data.q[4], 0);
}
END_TEST

/* -- random accesses ------------------------------------------------------------------------------------------ */

/* A byte array behind every region that answers anything, and checks that it was promised. */
struct checked {
    struct region region;
    struct region_ops ops;
    uint8_t bytes[64];
};

/* ck_assert() writes to a pipe each time, so everything is one condition. */
static bool was_promised(const struct checked *c, const struct transaction *t)
{
    const struct region_limits *limits = &c->ops.limits;
    bool atomic = t->type > TRANSACTION_STORE && t->type <= TRANSACTION_COMPARE_SWAP;
    static const union wide zero;

    return t->width && t->width <= c->region.size && t->offset <= c->region.size - t->width &&
           (atomic ? limits->atomic_widths & t->width && !(t->offset & (t->width - 1u))
                   : region_takes(limits, t->offset, t->width)) &&
           (t->type <= TRANSACTION_STORE || limits->types >> t->type & 1) &&
           (!(t->flags & TRANSACTION_MASKED) || limits->flags & REGION_ENABLES) &&
           !memcmp(t->data.b + t->width, zero.b, WIDE_BYTES - t->width);
}

static enum transaction_result checked_transact(void *state, struct transaction *t)
{
    struct checked *c = state;
    union wide old = { 0 };

    if (!was_promised(c, t))
        ck_abort_msg("type %d width %u offset %#llx flags %#x", t->type, t->width, (unsigned long long)t->offset,
                     t->flags);
    memcpy(&old, c->bytes + t->offset, t->width);
    for (unsigned i = 0; i < t->width && t->type == TRANSACTION_STORE; i++)
        if (!(t->flags & TRANSACTION_MASKED) || t->enables >> i & 1)
            c->bytes[t->offset + i] = t->data.b[i];
    t->data = old;
    return rand() % 16 ? TRANSACTION_OK : TRANSACTION_ERROR;
}

static void randomise(struct checked *c)
{
    c->ops = (struct region_ops){
        .transact = checked_transact,
        .limits = { .widths = 1 + rand() % 127, .flags = rand() % 8, .types = rand() & 0x7c,
                    .atomic_widths = rand() & W_REGISTERS },
    };
    region_move(&c->region, 0x4000 - 256 + rand() % 512, rand() % 8);
}

static struct access random_access(void)
{
    static const uint8_t elements[] = { 1, 2, 4, 8 };
    struct access a = make(rand() % TRANSACTION_TYPES, 1 + rand() % 64);

    a.form = rand() % (FORM_HINT + 1);
    a.space = rand() % 4 ? REGION_MMIO : REGION_PIO;
    if (rand() % 3 == 0 && a.type <= TRANSACTION_STORE) {
        a.flags = TRANSACTION_MASKED;
        a.element = elements[rand() % 4];
        a.enables = ((uint64_t)rand() << 33 ^ (uint64_t)rand()) & bits_mask(a.width);
    }
    return a;
}

START_TEST(dispatch_random_accesses_keep_the_contract)
{
    static struct checked many[12];

    srand(_i);
    memset(many, 0, sizeof(many));
    region_move(&wide, 0, false);
    region_move(&narrow, 0, false);
    for (unsigned i = 0; i < ARRAY_LEN(many); i++) {
        many[i].region = (struct region){ .name = "many", .size = 1 + rand() % 64, .priority = rand() % 3,
                                          .space = rand() % 4 ? REGION_MMIO : REGION_PIO, .ops = &many[i].ops,
                                          .state = &many[i] };
        phys.map.add(&phys.map, &many[i].region);
    }
    bus.observe = observe;
    bus.wrote = count_wrote;
    for (unsigned i = 0; i < 4000; i++) {
        struct access a = random_access();
        uint64_t gpa = 0x4000 - 300 + rand() % 600;
        unsigned first = 1 + rand() % a.width;

        bus.policy = split_policies[rand() % 8];
        bus.policy_arg = 4u << rand() % 5;
        if (i % 8 == 0)
            randomise(&many[rand() % ARRAY_LEN(many)]);
        a.gva = gpa;
        if (rand() % 2 || first == a.width) {
            dispatch_physical(&bus, &a, gpa);
            continue;
        }
        a.gva = 0x5000 - first; /* two pages that lie anywhere */
        phys_resolve(&phys, &a, 0x3fff - rand() % 300, 0, first, 0);
        phys_resolve(&phys, &a, 0x1000 * (rand() % 5), first, a.width - first, 1);
        dispatch_access(&bus, &a);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        dispatch_wide_load_arrives_whole,
        dispatch_load_clears_what_is_beyond_the_width,
        dispatch_narrow_region_never_sees_more_than_it_declares,
        dispatch_every_policy_loads_and_stores_the_same_bytes,
        dispatch_hole_loads_all_ones_and_drops_stores,
        dispatch_edge_of_a_hole_loads_ones_only_there,
        dispatch_width_below_the_smallest_is_refused_not_widened,
        dispatch_rom_reads_and_drops_writes,
        dispatch_memory_only_is_not_observed_but_reported_as_written,
        dispatch_store_reaches_the_device_before_memory,
        dispatch_atomic_is_one_typed_transaction_where_taken,
        dispatch_atomic_elsewhere_computes_between_a_locked_load_and_store,
        dispatch_compare_swap_writes_the_old_value_back_on_mismatch,
        dispatch_atomic_across_memory_and_device_changes_both,
        dispatch_memory_atomic_needs_no_device,
        dispatch_enqueue_is_answered_by_the_device_or_refused,
        dispatch_direct_store_keeps_its_type_or_becomes_stores,
        dispatch_masked_store_touches_only_enabled_bytes,
        dispatch_masked_load_gives_zero_where_disabled,
        dispatch_access_with_no_piece_does_nothing,
        dispatch_hint_touches_a_device_only_as_kvm_does,
        dispatch_survives_a_region_that_moves_in_its_callback,
        dispatch_resolves_again_after_a_change,
        dispatch_device_error_gives_all_ones,
    };
    Suite *suite = suite_create("dispatch");
    TCase *all = tcase_create("dispatch");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(all, setup, teardown);
    for (unsigned i = 0; i < ARRAY_LEN(tests); i++)
        tcase_add_test(all, tests[i]);
    tcase_add_loop_test(all, dispatch_random_accesses_keep_the_contract, 0, 50);
    suite_add_tcase(suite, all);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
