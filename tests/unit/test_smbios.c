/* test_smbios.c - SMBIOS structures, read as DSP0134 3.0 sections 5.2.2 and 6.1 say. */
#include "acpi/smbios.h"

#include <check.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static struct smbios smbios;

static void build(unsigned cpus, uint64_t low, uint64_t high)
{
    const struct smbios_config c = { .cpus = cpus, .low_bytes = low, .high_bytes = high, .rom_bytes = 0x40000 };

    smbios_build(&smbios, &c);
    smbios_place(&smbios, 0xf0020);
}

static uint64_t get(const uint8_t *from, unsigned width)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < width; i++)
        v |= (uint64_t)from[i] << i * 8;
    return v;
}

/* What follows a structure: its formatted part, texts that end with a zero each, and one more (two where there is none). */
static const uint8_t *next(const uint8_t *s, unsigned *texts)
{
    const uint8_t *p = s + s[1];

    *texts = 0;
    if (!*p)
        return p + 2;
    for (; *p; p += strlen((const char *)p) + 1)
        ++*texts;
    return p + 1;
}

static const uint8_t *find(uint8_t type, unsigned n)
{
    const uint8_t *s = smbios.tables->data, *end = s + smbios.tables->len;
    unsigned texts;

    for (; s < end; s = next(s, &texts))
        if (*s == type && n-- == 0)
            return s;
    return NULL;
}

START_TEST(smbios_anchor_is_that_of_5_2_2)
{
    uint8_t sum = 0;

    build(1, 128 << 20, 0);
    ck_assert_mem_eq(smbios.anchor, "_SM3_", 5);
    for (unsigned i = 0; i < sizeof(smbios.anchor); i++)
        sum = (uint8_t)(sum + smbios.anchor[i]);
    ck_assert_uint_eq(sum, 0);
    ck_assert_uint_eq(smbios.anchor[6], 24);
    ck_assert_uint_eq(smbios.anchor[7], 3);
    ck_assert_uint_ge(get(smbios.anchor + 12, 4), smbios.tables->len);
    ck_assert_uint_eq(get(smbios.anchor + 16, 8), 0xf0020);
    smbios_free(&smbios);
}
END_TEST

/* Lengths of version 3.0: tables 6, 10, 16, 21, 71, 75, 80 and 106; handles are unique; the end is the last. */
START_TEST(smbios_structures_have_their_lengths)
{
    static const uint8_t lengths[][2] = { { 0, 0x18 }, { 1, 0x1b }, { 3, 0x16 }, { 4, 0x30 }, { 16, 0x17 }, { 17, 0x28 }, { 19, 0x1f }, { 32, 0x0b } };
    const uint8_t *s, *end;
    unsigned texts, n = 0;
    bool seen[65536] = { false };

    build(4, UINT64_C(2) << 30, UINT64_C(30) << 30);
    for (unsigned i = 0; i < sizeof(lengths) / 2; i++) {
        ck_assert_ptr_nonnull(find(lengths[i][0], 0));
        ck_assert_uint_eq(find(lengths[i][0], 0)[1], lengths[i][1]);
    }
    for (s = smbios.tables->data, end = s + smbios.tables->len; s < end; s = next(s, &texts), n++) {
        ck_assert(!seen[get(s + 2, 2)]);
        seen[get(s + 2, 2)] = true;
        if (*s == 127)
            break;
    }
    ck_assert_ptr_eq(next(s, &texts), end);
    ck_assert_uint_eq(n, 3 + 4 + 2 + 2 + 1);
    next(find(4, 3), &texts);
    ck_assert_uint_eq(texts, 3);
    ck_assert_str_eq((const char *)find(4, 3) + 0x30, "CPU 3");
    smbios_free(&smbios);
}
END_TEST

START_TEST(smbios_memory_adds_up)
{
    build(1, UINT64_C(2) << 30, UINT64_C(62) << 30);
    ck_assert_uint_eq(get(find(16, 0) + 7, 4), UINT64_C(64) << 20);
    ck_assert_uint_eq(get(find(17, 0) + 0x0c, 2), 0x7fff);
    ck_assert_uint_eq(get(find(17, 0) + 0x1c, 4), 65536);
    ck_assert_uint_eq(get(find(19, 0) + 8, 4), (2 << 20) - 1);
    ck_assert_uint_eq(get(find(19, 1) + 4, 4), 4 << 20);
    smbios_free(&smbios);
    build(1, (5 << 20) + 4096, 0);
    ck_assert_uint_eq(get(find(17, 0) + 0x0c, 2), 0x8000 | (5 * 1024 + 4));
    ck_assert_ptr_null(find(19, 1));
    smbios_free(&smbios);
    build(1, UINT64_C(2) << 30, UINT64_C(8190) << 30);
    ck_assert_uint_eq(get(find(16, 0) + 7, 4), 0x80000000);
    ck_assert_uint_eq(get(find(16, 0) + 0x0f, 8), UINT64_C(8) << 40);
    ck_assert_uint_eq(get(find(19, 1) + 8, 4), UINT32_MAX);
    ck_assert_uint_eq(get(find(19, 1) + 0x17, 8), (UINT64_C(8194) << 30) - 1);
    smbios_free(&smbios);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = { smbios_anchor_is_that_of_5_2_2, smbios_structures_have_their_lengths, smbios_memory_adds_up };
    Suite *suite = suite_create("smbios");
    TCase *tcase = tcase_create("smbios");
    SRunner *runner;
    int failed;

    for (unsigned i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
