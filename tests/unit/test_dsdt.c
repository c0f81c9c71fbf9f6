/* test_dsdt.c - what the DSDT says of virtio devices on MMIO. */
#define _GNU_SOURCE
#include "acpi/dsdt.h"

#include <check.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t lines[2] = { 5, 16 };

static GByteArray *body(unsigned mmios)
{
    const struct acpi_config c = { .cpus = 1, .ecam_base = 0xb0000000, .window_base = 0xc0000000, .window_end = 0xfec00000, .pm_base = 0x600,
                                   .mmio_base = 0xfed60000, .mmios = mmios, .mmio_line = lines };
    GByteArray *out = g_byte_array_new();

    dsdt_body(out, &c);
    return out;
}

static bool has(const GByteArray *b, const void *bytes, size_t n) { return memmem(b->data, b->len, bytes, n) != NULL; }

/*
 * iasl's bytes (ACPICA 20200925) for ResourceTemplate () { Memory32Fixed (ReadWrite, 0xFED60000, 0x200)
 * Interrupt (ResourceConsumer, Level, ActiveHigh, Exclusive) { 5 } }, and for the second window ActiveLow, Shared, 16.
 */
START_TEST(dsdt_has_window_and_line_of_each_virtio_device)
{
    static const uint8_t resources[2][24] = {
        { 0x86, 0x09, 0x00, 0x01, 0x00, 0x00, 0xd6, 0xfe, 0x00, 0x02, 0x00, 0x00, 0x89, 0x06, 0x00, 0x01, 0x01, 0x05, 0x00, 0x00, 0x00, 0x79, 0x00 },
        { 0x86, 0x09, 0x00, 0x01, 0x00, 0x02, 0xd6, 0xfe, 0x00, 0x02, 0x00, 0x00, 0x89, 0x06, 0x00, 0x0d, 0x01, 0x10, 0x00, 0x00, 0x00, 0x79, 0x00 },
    };

    for (unsigned n = 0; n <= 2; n++) {
        GByteArray *b = body(n);

        ck_assert_int_eq(has(b, "_HID\rLNRO0005", 14), n > 0);
        for (unsigned i = 0; i < 2; i++)
            ck_assert_int_eq(has(b, resources[i], 23), i < n);
        g_byte_array_free(b, TRUE);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("dsdt");
    TCase *c = tcase_create("dsdt");
    SRunner *r;
    int failed;

    tcase_add_test(c, dsdt_has_window_and_line_of_each_virtio_device);
    suite_add_tcase(s, c);
    r = srunner_create(s);
    srunner_set_tap(r, "-");
    srunner_run_all(r, CK_SILENT);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
