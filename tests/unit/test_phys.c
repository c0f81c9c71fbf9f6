/* test_phys.c - the map: priorities, overlaps, holes, moves, A20, port wrap, and pieces across range edges. */
#include "phys.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct region_ops no_ops;
static uint8_t ram_bytes[4 * PAGE_BYTES], rom_bytes[PAGE_BYTES];
static struct phys phys;
static struct phys_memory ram, rom;
static struct region device, other, port;
static unsigned told;

static void count_change(struct phys_listener *listener)
{
    (void)listener;
    told++;
}

static struct phys_listener listener;

/*
 *     0000..3fff  ram       2000..20ff  device, above it
 *     8000..8fff  rom       20f0..210f  other, above that; disabled
 */
static void setup(void)
{
    phys_init(&phys);
    ram = (struct phys_memory){ "ram", 0, sizeof(ram_bytes), ram_bytes, ram_bytes, true, 0 };
    rom = (struct phys_memory){ "rom", 0x8000, sizeof(rom_bytes), rom_bytes, NULL, true, 0 };
    device = (struct region){ .name = "device", .base = 0x2000, .size = 0x100, .enabled = true, .priority = 1,
                              .ops = &no_ops };
    other = (struct region){ .name = "other", .base = 0x20f0, .size = 0x20, .priority = 2, .ops = &no_ops };
    port = (struct region){ .name = "port", .space = REGION_PIO, .base = 0x60, .size = 1, .enabled = true,
                            .ops = &no_ops };
    listener = (struct phys_listener){ .changed = count_change };
    told = 0;
    phys_add_memory(&phys, &ram);
    phys_add_memory(&phys, &rom);
    phys.map.add(&phys.map, &device);
    phys.map.add(&phys.map, &other);
    phys.map.add(&phys.map, &port);
    phys_listen(&phys, &listener);
}

static void teardown(void) { phys_free(&phys); }

static enum piece_kind kind_at(uint64_t gpa) { return phys_find(&phys, REGION_MMIO, gpa)->kind; }
static struct region *region_at(uint64_t gpa) { return phys_find(&phys, REGION_MMIO, gpa)->region; }

START_TEST(phys_higher_priority_wins_and_the_rest_shows_around_it)
{
    ck_assert_int_eq(kind_at(0x1fff), PIECE_MEMORY);
    ck_assert_ptr_eq(region_at(0x2000), &device);
    ck_assert_ptr_eq(region_at(0x20ff), &device);
    ck_assert_int_eq(kind_at(0x2100), PIECE_MEMORY);
    ck_assert_ptr_eq(phys_find(&phys, REGION_MMIO, 0x2100)->read, ram_bytes + 0x2100);
}
END_TEST

START_TEST(phys_equal_priority_memory_wins_over_region_and_later_over_earlier)
{
    struct region late = { .name = "late", .base = 0x2080, .size = 0x80, .enabled = true, .priority = 1,
                           .ops = &no_ops };

    phys.map.add(&phys.map, &late);
    ck_assert_ptr_eq(region_at(0x207f), &device);
    ck_assert_ptr_eq(region_at(0x2080), &late);
    region_move(&late, 0x8000, true);
    ck_assert_ptr_eq(region_at(0x8000), &late);
    late.priority = 0;
    phys_memory_changed(&phys);
    ck_assert_int_eq(kind_at(0x8000), PIECE_MEMORY);
}
END_TEST

START_TEST(phys_unclaimed_is_a_hole_up_to_the_last_address)
{
    ck_assert_int_eq(kind_at(0x4000), PIECE_HOLE);
    ck_assert_int_eq(kind_at(0x7fff), PIECE_HOLE);
    ck_assert_int_eq(kind_at(UINT64_C(1) << 51), PIECE_HOLE);
    ck_assert_int_eq(kind_at(UINT64_MAX), PIECE_HOLE);
    ck_assert_int_eq(phys_find(&phys, REGION_PIO, 0x61)->kind, PIECE_HOLE);
}
END_TEST

START_TEST(phys_region_at_the_very_top_is_clipped_not_wrapped)
{
    struct access access = { .width = 16 };

    region_move(&other, UINT64_MAX - 15, true);
    ck_assert_ptr_eq(region_at(UINT64_MAX - 15), &other);
    ck_assert_ptr_eq(region_at(UINT64_MAX), &other);
    ck_assert_int_eq(kind_at(0), PIECE_MEMORY);
    phys_resolve(&phys, &access, UINT64_MAX - 15, 0, 16, 0);
    ck_assert_uint_eq(access.piece[access.pieces - 1].at + access.piece[access.pieces - 1].width, 16);
}
END_TEST

START_TEST(phys_move_tells_listeners_once_and_rebuilds)
{
    uint64_t before = phys.generation;

    ck_assert_ptr_eq(region_at(0x20f8), &device);
    region_move(&other, 0x20f0, true);
    ck_assert_uint_eq(told, 1);
    ck_assert_uint_eq(phys.generation, before + 1);
    ck_assert_ptr_eq(region_at(0x20f8), &other);
    ck_assert_ptr_eq(region_at(0x210f), &other);
    region_move(&other, 0x20f0, true);
    ck_assert_uint_eq(told, 1);
    region_move(&other, 0x5000, true);
    ck_assert_ptr_eq(region_at(0x20f8), &device);
    ck_assert_ptr_eq(region_at(0x5000), &other);
    ck_assert_int_eq(kind_at(0x5020), PIECE_HOLE);
}
END_TEST

START_TEST(phys_resolve_cuts_at_range_edges)
{
    struct access access = { .width = 48 };

    region_move(&other, 0x20f0, true);
    phys_resolve(&phys, &access, 0x20e8, 0, 48, 0);
    ck_assert_uint_eq(access.pieces, 3);
    ck_assert_ptr_eq(access.piece[0].range->region, &device);
    ck_assert_uint_eq(access.piece[0].offset, 0xe8);
    ck_assert_uint_eq(access.piece[0].width, 8);
    ck_assert_ptr_eq(access.piece[1].range->region, &other);
    ck_assert_uint_eq(access.piece[1].offset, 0);
    ck_assert_uint_eq(access.piece[1].at, 8);
    ck_assert_uint_eq(access.piece[1].width, 32);
    ck_assert_int_eq(access.piece[2].range->kind, PIECE_MEMORY);
    ck_assert_uint_eq(access.piece[2].width, 8);
    ck_assert_uint_eq(access.generation, phys.generation);
}
END_TEST

START_TEST(phys_resolve_offset_counts_from_the_region_not_from_what_shows)
{
    struct access access = { .width = 4 };

    region_move(&other, 0x1ff0, true); /* hides 10 bytes of the device's beginning */
    phys_resolve(&phys, &access, 0x2010, 0, 4, 0);
    ck_assert_ptr_eq(access.piece[0].range->region, &device);
    ck_assert_uint_eq(access.piece[0].offset, 0x10);
}
END_TEST

START_TEST(phys_a20_off_folds_the_second_megabyte)
{
    phys_set_a20(&phys, false);
    ck_assert_uint_eq(told, 1);
    ck_assert_ptr_eq(region_at(0x102000), &device);
    ck_assert_ptr_eq(phys_readable(&phys, 0x100010, 16), ram_bytes + 0x10);
    ck_assert_ptr_null(phys_readable(&phys, 0xffff8, 16));
    phys_set_a20(&phys, true);
    ck_assert_int_eq(kind_at(0x102000), PIECE_HOLE);
    phys_set_a20(&phys, true);
    ck_assert_uint_eq(told, 2);
}
END_TEST

START_TEST(phys_ports_wrap_at_64_kib)
{
    struct access access = { .space = REGION_PIO, .width = 4 };

    region_move(&port, 0, true);
    phys_resolve(&phys, &access, 0xfffe, 0, 4, 0);
    ck_assert_uint_eq(access.pieces, 3);
    ck_assert_int_eq(access.piece[0].range->kind, PIECE_HOLE);
    ck_assert_ptr_eq(access.piece[1].range->region, &port);
    ck_assert_uint_eq(access.piece[1].at, 2);
    ck_assert_int_eq(access.piece[2].range->kind, PIECE_HOLE);
}
END_TEST

START_TEST(phys_readable_and_writable_want_one_memory)
{
    ck_assert_ptr_eq(phys_readable(&phys, 0x1000, 0x1000), ram_bytes + 0x1000);
    ck_assert_ptr_null(phys_readable(&phys, 0x1000, 0x1001)); /* the device is there */
    ck_assert_ptr_eq(phys_readable(&phys, 0x8000, 1), rom_bytes);
    ck_assert_ptr_null(phys_writable(&phys, 0x8000, 1));
    ck_assert_ptr_null(phys_readable(&phys, 0x9000, 1));
    ck_assert_ptr_null(phys_readable(&phys, 0x3000, UINT64_MAX));
}
END_TEST

/* The flat list against the definition, on random maps. */
START_TEST(phys_flat_list_agrees_with_the_definition)
{
    struct region many[12];
    size_t n;
    const struct phys_range *range;

    srand(_i);
    for (unsigned i = 0; i < ARRAY_LEN(many); i++) {
        many[i] = (struct region){ .name = "many", .base = rand() % 256, .size = rand() % 64, .enabled = rand() % 4,
                                   .priority = rand() % 4, .space = REGION_PIO, .ops = &no_ops };
        phys.map.add(&phys.map, &many[i]);
    }
    for (unsigned at = 0; at < 512; at++) {
        struct region *best = at == 0x60 ? &port : NULL;

        for (unsigned i = 0; i < ARRAY_LEN(many); i++)
            if (many[i].enabled && at - many[i].base < many[i].size && (!best || many[i].priority >= best->priority))
                best = &many[i];
        ck_assert_ptr_eq(phys_find(&phys, REGION_PIO, at)->region, best);
    }
    range = phys_ranges(&phys, REGION_PIO, &n);
    for (size_t i = 0; i < n; i++)
        ck_assert_uint_eq(range[i].base, i ? range[i - 1].base + range[i - 1].size : 0);
    ck_assert_uint_eq(range[n - 1].base + range[n - 1].size, 0x10000);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("phys");
    TCase *map = tcase_create("map");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(map, setup, teardown);
    tcase_add_test(map, phys_higher_priority_wins_and_the_rest_shows_around_it);
    tcase_add_test(map, phys_equal_priority_memory_wins_over_region_and_later_over_earlier);
    tcase_add_test(map, phys_unclaimed_is_a_hole_up_to_the_last_address);
    tcase_add_test(map, phys_region_at_the_very_top_is_clipped_not_wrapped);
    tcase_add_test(map, phys_move_tells_listeners_once_and_rebuilds);
    tcase_add_test(map, phys_resolve_cuts_at_range_edges);
    tcase_add_test(map, phys_resolve_offset_counts_from_the_region_not_from_what_shows);
    tcase_add_test(map, phys_a20_off_folds_the_second_megabyte);
    tcase_add_test(map, phys_ports_wrap_at_64_kib);
    tcase_add_test(map, phys_readable_and_writable_want_one_memory);
    tcase_add_loop_test(map, phys_flat_list_agrees_with_the_definition, 0, 20);
    suite_add_tcase(suite, map);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
