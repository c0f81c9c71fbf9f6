/* test_ioapic.c - the I/O APIC against the Intel 82093AA data sheet (290566) section 3. */
#include "ioapic.h"

#include "lib/bench.h"

#define BASE 0xfec00000u

static struct device *io;
static struct irq pin[IOAPIC_PINS];

static void ioapic_plug(void)
{
    io = device_create(&ioapic_class, &bench.host);
    for (unsigned i = 0; i < IOAPIC_PINS; i++)
        pin[i] = ioapic_input(io, i);
}

static uint32_t ioapic_get(uint8_t index)
{
    bench_store(BASE, 4, index);
    return (uint32_t)bench_load(BASE + 0x10, 4);
}

static void ioapic_put(uint8_t index, uint32_t v)
{
    bench_store(BASE, 4, index);
    bench_store(BASE + 0x10, 4, v);
}

/* 3.2.2: 24 entries; 3.2.4: entries reset to masked. */
START_TEST(ioapic_reset_has_24_masked_entries)
{
    ioapic_plug();
    ck_assert_uint_eq(ioapic_get(1) >> 16 & 0xff, 23);
    for (uint8_t i = 0; i < 24; i++) {
        ck_assert_uint_eq(ioapic_get((uint8_t)(0x10 + i * 2)), 0x10000);
        ck_assert_uint_eq(ioapic_get((uint8_t)(0x11 + i * 2)), 0);
    }
}
END_TEST

/* 3.2.1: ID is bits 27:24, the rest is reserved. */
START_TEST(ioapic_id_has_four_bits)
{
    ioapic_plug();
    ioapic_put(0, 0xffffffff);
    ck_assert_uint_eq(ioapic_get(0), 0x0f000000);
}
END_TEST

/* 3.2.4: bits 12 and 14 are read-only. */
START_TEST(ioapic_entry_status_bits_are_read_only)
{
    ioapic_plug();
    ioapic_put(0x10, 0x1ffff);
    ck_assert_uint_eq(ioapic_get(0x10), 0x1afff);
    ioapic_put(0x11, 0xffffffff);
    ck_assert_uint_eq(ioapic_get(0x11), 0xff000000);
}
END_TEST

START_TEST(ioapic_edge_sends_one_message)
{
    ioapic_plug();
    ioapic_put(0x10 + 2 * 4 + 1, 0x03000000);
    ioapic_put(0x10 + 2 * 4, 0x0931); /* lowest priority, logical, vector 31h */
    irq_raise(&pin[4]);
    ck_assert_uint_eq(bench.messages, 1);
    ck_assert_uint_eq(bench.message.vector, 0x31);
    ck_assert_uint_eq(bench.message.destination, 3);
    ck_assert(bench.message.logical);
    ck_assert_int_eq(bench.message.delivery, IRQ_LOWEST);
    ck_assert(!bench.message.level);
    irq_lower(&pin[4]);
    ck_assert_uint_eq(bench.messages, 1);
}
END_TEST

/* 3.2.4 bit 16: an edge on a masked input is ignored, not held pending. */
START_TEST(ioapic_edge_on_masked_input_is_lost)
{
    ioapic_plug();
    ioapic_put(0x18, 0x10031);
    irq_raise(&pin[4]);
    ioapic_put(0x18, 0x00031);
    ck_assert_uint_eq(bench.messages, 0);
}
END_TEST

/* 3.2.4 bits 14, 15: a level is sent once, Remote IRR set; EOI clears it, and a level still up is sent again. */
START_TEST(ioapic_level_waits_for_eoi)
{
    ioapic_plug();
    ioapic_put(0x30, 0x18042);
    irq_raise(&pin[16]);
    ck_assert_uint_eq(bench.messages, 0);
    ioapic_put(0x30, 0x08042);
    ck_assert_uint_eq(bench.messages, 1);
    ck_assert(bench.message.level);
    ck_assert_uint_eq(ioapic_get(0x30), 0x0c042);
    ioapic_eoi(io, 0x41);
    ck_assert_uint_eq(bench.messages, 1);
    ioapic_eoi(io, 0x42);
    ck_assert_uint_eq(bench.messages, 2);
    irq_lower(&pin[16]);
    bench_store(BASE + 0x40, 4, 0x42); /* ICH9 13.5.3: the EOI register */
    ck_assert_uint_eq(bench.messages, 2);
    ck_assert_uint_eq(ioapic_get(0x30), 0x08042);
}
END_TEST

START_TEST(ioapic_register_beyond_table_is_unclaimed)
{
    ioapic_plug();
    ck_assert_uint_eq(ioapic_get(0x40), 0xffffffff);
    ioapic_put(0xff, 0);
    ck_assert_uint_eq(ioapic_get(0x05), 0xffffffff);
}
END_TEST

BENCH_MAIN("ioapic", ioapic_reset_has_24_masked_entries, ioapic_id_has_four_bits,
           ioapic_entry_status_bits_are_read_only, ioapic_edge_sends_one_message, ioapic_edge_on_masked_input_is_lost,
           ioapic_level_waits_for_eoi, ioapic_register_beyond_table_is_unclaimed)
