/* test_edu.c - the device to learn with, driven as QEMU's docs/specs/edu says.  Every constant stands here anew. */
#include "edu.h"

#include "lib/bench.h"

#include <string.h>

enum { BAR = 0xc0000000, FUNCTION = 0x80000000 | 3 << 11, BUFFER = 0x40000 };
enum { ID = 0, LIVENESS = 4, FACTORIAL = 8, STATUS = 0x20, PENDING = 0x24, RAISE = 0x60, ACKNOWLEDGE = 0x64, SOURCE = 0x80,
       DESTINATION = 0x88, COUNT = 0x90, COMMAND = 0x98 };

static struct device *pci, *edu;
static struct probe pirq[8];

static void config_put(unsigned offset, unsigned width, uint32_t v)
{
    bench_out(0xcf8, 4, FUNCTION | (offset & 0xfc));
    bench_out((uint16_t)(0xcfc + (offset & 3)), width, v);
}

static uint32_t config_get(unsigned offset, unsigned width)
{
    bench_out(0xcf8, 4, FUNCTION | (offset & 0xfc));
    return (uint32_t)bench_in((uint16_t)(0xcfc + (offset & 3)), width);
}

static uint32_t get(unsigned at) { return (uint32_t)bench_load(BAR + at, 4); }
static void put(unsigned at, uint32_t v) { bench_store(BAR + at, 4, v); }

static bool interrupts(void)
{
    for (unsigned i = 0; i < 8; i++)
        if (pirq[i].level)
            return true;
    return false;
}

static void plug(void)
{
    struct pci_wires wires = { 0 };

    for (unsigned i = 0; i < 8; i++)
        wires.pirq[i] = bench_probe(&pirq[i]);
    pci = device_create(&pci_class, &bench.host);
    edu = device_create(&edu_class, &bench.host);
    pci_connect(pci, &wires);
    edu_connect(edu, pci, 3 << 3);
    config_put(0x10, 4, BAR);
    config_put(0x04, 2, 0x0006);
}

/* To where the device has done what it was told. */
static void wait_for(unsigned at, uint32_t bit)
{
    for (unsigned i = 0; i < 1000 && get(at) & bit; i++)
        bench_advance(1000000);
    ck_assert(!(get(at) & bit));
}

static void move(uint64_t from, uint64_t to, uint64_t count, uint32_t command)
{
    bench_store(BAR + SOURCE, 8, from);
    bench_store(BAR + DESTINATION, 8, to);
    bench_store(BAR + COUNT, 8, count);
    put(COMMAND, command);
    wait_for(COMMAND, 1);
}

START_TEST(edu_identifies_itself_and_is_alive)
{
    plug();
    ck_assert_uint_eq(config_get(0, 4), 0x11e81234);
    config_put(0x10, 4, UINT32_MAX);
    ck_assert_uint_eq(config_get(0x10, 4), 0xfff00000);
    config_put(0x10, 4, BAR);
    ck_assert_uint_eq(get(ID), 0x010000ed);
    put(LIVENESS, 0x12345678);
    ck_assert_uint_eq(get(LIVENESS), 0xedcba987);
}
END_TEST

START_TEST(edu_computes_a_factorial_while_its_status_says_so)
{
    plug();
    put(FACTORIAL, 10);
    ck_assert_uint_eq(get(STATUS), 1);
    put(FACTORIAL, 3); /* not now */
    wait_for(STATUS, 1);
    ck_assert_uint_eq(get(FACTORIAL), 3628800);
    ck_assert_uint_eq(get(PENDING), 0);
    put(STATUS, 0x80);
    put(FACTORIAL, UINT32_MAX);
    wait_for(STATUS, 1);
    ck_assert_uint_eq(get(FACTORIAL), 0); /* of 32 bits */
    ck_assert_uint_eq(get(PENDING), 1);
    ck_assert(interrupts());
}
END_TEST

START_TEST(edu_interrupt_is_raised_and_acknowledged_bit_by_bit)
{
    plug();
    put(RAISE, 0x30);
    ck_assert(interrupts());
    ck_assert_uint_eq(get(PENDING), 0x30);
    put(ACKNOWLEDGE, 0x10);
    ck_assert(interrupts());
    put(ACKNOWLEDGE, 0x20);
    ck_assert(!interrupts());
    put(RAISE, 0);
    ck_assert(!interrupts());
}
END_TEST

START_TEST(edu_interrupt_is_a_message_with_msi)
{
    plug();
    ck_assert_uint_eq(config_get(config_get(0x34, 1), 1), 5);
    config_put(0x44, 4, 0xfee03000);
    config_put(0x4c, 2, 0x45);
    config_put(0x42, 2, 1);
    put(RAISE, 1);
    ck_assert(!interrupts());
    ck_assert_uint_eq(bench.messages, 1);
    ck_assert(bench.message.vector == 0x45 && bench.message.destination == 3);
}
END_TEST

START_TEST(edu_moves_bytes_both_ways)
{
    plug();
    for (unsigned i = 0; i < 4096; i++)
        bench.memory[0x1000 + i] = (uint8_t)(i * 7);
    move(0x1000, BUFFER, 4096, 1);
    ck_assert_uint_eq(get(PENDING), 0);
    move(BUFFER + 16, 0x4000, 100, 7);
    ck_assert_mem_eq(bench.memory + 0x4000, bench.memory + 0x1010, 100);
    ck_assert_uint_eq(bench.memory[0x4064], 0);
    ck_assert_uint_eq(get(PENDING), 0x100);
    ck_assert(interrupts());
}
END_TEST

START_TEST(edu_registers_stay_while_it_moves)
{
    plug();
    put(SOURCE, 0x1000);
    put(DESTINATION, BUFFER);
    put(COUNT, 4);
    put(COMMAND, 1);
    put(SOURCE, 0x2000);
    put(COMMAND, 0);
    ck_assert_uint_eq(bench_load(BAR + SOURCE, 8), 0x1000);
    ck_assert_uint_eq(get(COMMAND), 1);
    wait_for(COMMAND, 1);
}
END_TEST

/* The documentation's mask of 28 bits; a driver that asks for more than the buffer gets nothing. */
START_TEST(edu_moves_within_its_buffer_and_mask_alone)
{
    static const struct { uint64_t at, count; bool moves; } rows[] = {
        { BUFFER, 8, true }, { BUFFER + 4088, 8, true }, { BUFFER + 4089, 8, false }, { BUFFER - 1, 8, false }, { 0, 8, false },
        { BUFFER, 4097, false }, { BUFFER + 8, UINT64_MAX - 4, false }, { UINT64_MAX, 8, false },
    };

    plug();
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        bench_put(0x1000, 8, 0x1122334455667788 + i);
        bench_put(0x2000, 8, 0);
        move(UINT64_C(0x10001000), rows[i].at, rows[i].count, 1);
        move(rows[i].at, 0x2000, rows[i].count, 3);
        ck_assert_msg(bench_get(0x2000, 8) == (rows[i].moves ? UINT64_C(0x1122334455667788) + i : 0), "row %u", i);
    }
    config_put(0x04, 2, 0x0002); /* no bus master */
    move(BUFFER, 0x2000, 8, 3);
    ck_assert_uint_eq(bench_get(0x2000, 8), 0);
}
END_TEST

START_TEST(edu_reset_forgets_what_was_under_way)
{
    plug();
    put(RAISE, 1);
    put(FACTORIAL, 5);
    put(COMMAND, 5);
    device_reset(edu);
    bench_advance(1000000000);
    ck_assert(!interrupts());
    config_put(0x10, 4, BAR);
    config_put(0x04, 2, 0x0006);
    ck_assert_uint_eq(get(PENDING) | get(STATUS) | get(COMMAND), 0);
}
END_TEST

BENCH_MAIN("edu", edu_identifies_itself_and_is_alive, edu_computes_a_factorial_while_its_status_says_so,
           edu_interrupt_is_raised_and_acknowledged_bit_by_bit, edu_interrupt_is_a_message_with_msi, edu_moves_bytes_both_ways,
           edu_registers_stay_while_it_moves, edu_moves_within_its_buffer_and_mask_alone, edu_reset_forgets_what_was_under_way)
