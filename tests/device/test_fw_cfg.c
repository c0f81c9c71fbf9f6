/* test_fw_cfg.c - the firmware configuration device against QEMU's docs/specs/fw_cfg. */
#include "fw_cfg.h"

#include "lib/bench.h"

#include <stdio.h>
#include <string.h>

static struct device *fw_cfg;

static void fw_cfg_plug(void) { fw_cfg = device_create(&fw_cfg_class, &bench.host); }

static void fw_cfg_put_be(uint64_t gpa, unsigned bytes, uint64_t v)
{
    for (unsigned i = 0; i < bytes; i++)
        bench.memory[gpa + i] = (uint8_t)(v >> 8 * (bytes - 1 - i));
}

static uint32_t fw_cfg_get_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Puts a descriptor at 0x100 and starts it; returns the control word that came back. */
static uint32_t fw_cfg_dma(uint32_t control, uint32_t length, uint64_t address)
{
    fw_cfg_put_be(0x100, 4, control);
    fw_cfg_put_be(0x104, 4, length);
    fw_cfg_put_be(0x108, 8, address);
    bench_out(0x514, 4, 0);
    bench_out(0x518, 4, __builtin_bswap32(0x100));
    return fw_cfg_get_be32(bench.memory + 0x100);
}

START_TEST(fw_cfg_signature_and_id_read_by_port)
{
    char text[5] = { 0 };

    fw_cfg_plug();
    bench_out(0x510, 2, 0x0000);
    for (int i = 0; i < 4; i++)
        text[i] = (char)bench_inb(0x511);
    ck_assert_str_eq(text, "QEMU");
    bench_out(0x510, 2, 0x0001);
    ck_assert_uint_eq(bench_inb(0x511), 3); /* bit 0: traditional, bit 1: DMA */
}
END_TEST

/* The DMA address register reads "QEMU CFG", big endian. */
START_TEST(fw_cfg_dma_register_reads_signature)
{
    fw_cfg_plug();
    ck_assert_uint_eq(bench_in(0x514, 4), __builtin_bswap32(0x51454d55));
    ck_assert_uint_eq(bench_in(0x518, 4), __builtin_bswap32(0x20434647));
}
END_TEST

START_TEST(fw_cfg_reads_zero_beyond_item)
{
    fw_cfg_plug();
    fw_cfg_add_u16(fw_cfg, FW_CFG_CPUS, 0x1234);
    bench_out(0x510, 2, FW_CFG_CPUS);
    ck_assert_uint_eq(bench_inb(0x511), 0x34);
    ck_assert_uint_eq(bench_inb(0x511), 0x12);
    ck_assert_uint_eq(bench_inb(0x511), 0x00);
    bench_out(0x510, 2, 0x7fff); /* no such item */
    ck_assert_uint_eq(bench_inb(0x511), 0x00);
    bench_out(0x510, 2, 0xffff);
    ck_assert_uint_eq(bench_inb(0x511), 0x00);
}
END_TEST

/* Directory: count, then size, select, reserved, name[56]; numbers big endian. */
START_TEST(fw_cfg_directory_lists_files)
{
    uint8_t entry[4 + 2 * 64];

    fw_cfg_plug();
    ck_assert(fw_cfg_add_file(fw_cfg, "etc/one", "1", 1));
    ck_assert(fw_cfg_add_file(fw_cfg, "etc/two", "22", 2));
    ck_assert(fw_cfg_add_file(fw_cfg, "etc/one", "111", 3));
    bench_out(0x510, 2, 0x19);
    for (size_t i = 0; i < sizeof(entry); i++)
        entry[i] = bench_inb(0x511);
    ck_assert_uint_eq(fw_cfg_get_be32(entry), 2);
    ck_assert_uint_eq(fw_cfg_get_be32(entry + 4), 3);
    ck_assert_uint_eq(entry[8] << 8 | entry[9], 0x20);
    ck_assert_str_eq((char *)entry + 12, "etc/one");
    ck_assert_uint_eq(entry[72] << 8 | entry[73], 0x21);
}
END_TEST

START_TEST(fw_cfg_dma_selects_and_reads)
{
    fw_cfg_plug();
    fw_cfg_add_file(fw_cfg, "etc/text", "hello", 5);
    memset(bench.memory + 0x200, 0xaa, 16);
    ck_assert_uint_eq(fw_cfg_dma(0x20u << 16 | 8 | 2, 8, 0x200), 0);
    ck_assert_mem_eq(bench.memory + 0x200, "hello\0\0\0\xaa", 9);
}
END_TEST

START_TEST(fw_cfg_dma_skip_moves_on)
{
    fw_cfg_plug();
    fw_cfg_add_file(fw_cfg, "etc/text", "hello", 5);
    ck_assert_uint_eq(fw_cfg_dma(0x20u << 16 | 8 | 4, 3, 0), 0);
    ck_assert_uint_eq(fw_cfg_dma(2, 2, 0x200), 0);
    ck_assert_mem_eq(bench.memory + 0x200, "lo", 2);
    ck_assert_uint_eq(fw_cfg_dma(4, 0xffffffff, 0), 0);
    ck_assert_uint_eq(fw_cfg_dma(2, 1, 0x200), 0);
    ck_assert_uint_eq(bench.memory[0x200], 0);
}
END_TEST

/* Bit 0 of the control word comes back on an error: no write access, no memory there. */
START_TEST(fw_cfg_dma_reports_errors)
{
    fw_cfg_plug();
    fw_cfg_add_file(fw_cfg, "etc/text", "hello", 5);
    ck_assert_uint_eq(fw_cfg_dma(0x20u << 16 | 8 | 16, 5, 0x200), 1);
    ck_assert_uint_eq(fw_cfg_dma(0x20u << 16 | 8 | 2, 5, 0x7fffffff00000000), 1);
    ck_assert_uint_eq(fw_cfg_dma(0x20u << 16 | 8 | 2, 0xffffffff, 0), 1);
}
END_TEST

START_TEST(fw_cfg_refuses_long_names_and_full_directories)
{
    char name[80];

    fw_cfg_plug();
    memset(name, 'x', sizeof(name));
    name[56] = 0;
    ck_assert(!fw_cfg_add_file(fw_cfg, name, "", 0));
    for (int i = 0; i < FW_CFG_FILES; i++) {
        snprintf(name, sizeof(name), "file%d", i);
        ck_assert(fw_cfg_add_file(fw_cfg, name, &i, sizeof(i)));
    }
    ck_assert(!fw_cfg_add_file(fw_cfg, "one more", "", 0));
}
END_TEST

BENCH_MAIN("fw_cfg", fw_cfg_signature_and_id_read_by_port, fw_cfg_dma_register_reads_signature,
           fw_cfg_reads_zero_beyond_item, fw_cfg_directory_lists_files, fw_cfg_dma_selects_and_reads,
           fw_cfg_dma_skip_moves_on, fw_cfg_dma_reports_errors, fw_cfg_refuses_long_names_and_full_directories)
