/*
 * test_ahci.c - a SATA controller driven by hand, as AHCI 1.3.1, ACS-3, MMC-6 and PCI 3.0 section 6.8.1 say: a disk on port 0, a
 * CD-ROM on port 1.
 *
 * Every constant of the driver's side stands here anew.
 */
#include "ahci.h"
#include "pci.h"

#include "lib/bench.h"
#include "lib/memory_disk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SLOT = 24, FUNCTION = 0x80000000 | SLOT << 11, BAR = 0xc0000000, INTX_LINE = 4 };
enum { LIST = 0x1000, FIS = 0x2000, TABLE = 0x3000, DATA = 0x5000 }; /* of port 0; port 1's are 0x800 further on, TABLE's 0x1000 */
enum { CAP = 0, GHC = 4, IS = 8, PI = 12, VS = 16 };
enum { PIS = 0x10, PIE = 0x14, CMD = 0x18, TFD = 0x20, SIG = 0x24, SSTS = 0x28, SCTL = 0x2c, SERR = 0x30, SACT = 0x34, CI = 0x38 };
enum { DHRS = 1, PSS = 2, DSS = 4, SDBS = 8, DPS = 32, OFS = 1 << 24, HBFS = 1 << 29, TFES = 1 << 30 };
enum { ATAPI = 1 << 5, WRITE = 1 << 6 };

static struct memory_disk disk, cd;
static struct device *pci, *ahci;
static struct probe pirq[8];
static unsigned port;

/* -- the machine ---------------------------------------------------------------------------------------------------------------- */

static uint32_t config_get(unsigned offset, unsigned width)
{
    bench_out(0xcf8, 4, FUNCTION | (offset & 0xfc));
    return (uint32_t)bench_in((uint16_t)(0xcfc + (offset & 3)), width);
}

static void config_put(unsigned offset, unsigned width, uint32_t v)
{
    bench_out(0xcf8, 4, FUNCTION | (offset & 0xfc));
    bench_out((uint16_t)(0xcfc + (offset & 3)), width, v);
}

static uint32_t host_get(unsigned at) { return (uint32_t)bench_load(BAR + at, 4); }
static void host_put(unsigned at, uint32_t v) { bench_store(BAR + at, 4, v); }
static uint32_t port_get(unsigned at) { return host_get(0x100 + port * 0x80 + at); }
static void port_put(unsigned at, uint32_t v) { host_put(0x100 + port * 0x80 + at, v); }

static unsigned list(void) { return LIST + port * 0x800; }
static unsigned received(void) { return FIS + port * 0x800; }
static unsigned table(unsigned slot) { return TABLE + port * 0x1000 + slot * 0x100; }

static void start_port(unsigned n)
{
    port = n;
    port_put(0x00, list());
    port_put(0x08, received());
    port_put(SERR, UINT32_MAX);
    port_put(PIS, UINT32_MAX);
    port_put(CMD, 0x10);
    port_put(CMD, 0x11);
}

static void plug(void)
{
    const struct ahci_drive drives[] = { { &disk.backend, false }, { &cd.backend, true } };
    struct pci_wires wires = { 0 };

    for (unsigned i = 0; i < 8; i++)
        wires.pirq[i] = bench_probe(&pirq[i]);
    memory_disk_init(&disk, MEMORY_DISK_BYTES, false);
    memory_disk_init(&cd, 5 * 512, true); /* a block and a quarter */
    pci = device_create(&pci_class, &bench.host);
    ahci = device_create(&ahci_class, &bench.host);
    pci_connect(pci, &wires);
    ahci_connect(ahci, pci, SLOT << 3, drives, 2);
    config_put(0x24, 4, BAR);
    config_put(0x04, 2, 0x0006);
    start_port(1);
    start_port(0);
}

/* -- commands --------------------------------------------------------------------------------------------------------------------- */

struct registers {
    uint8_t command;
    uint64_t lba;
    uint16_t count, features;
    uint8_t device;
};

static void fis(unsigned slot, const struct registers *r)
{
    unsigned at = table(slot);

    memset(bench.memory + at, 0, 0x100);
    bench_put(at, 4, 0x8027 | (uint32_t)r->command << 16 | (uint32_t)(r->features & 0xff) << 24);
    bench_put(at + 4, 3, r->lba);
    bench_put(at + 7, 1, r->device ? r->device : 0x40);
    bench_put(at + 8, 3, r->lba >> 24);
    bench_put(at + 11, 1, r->features >> 8);
    bench_put(at + 12, 2, r->count);
}

static void prd(unsigned slot, unsigned n, uint64_t gpa, uint32_t bytes)
{
    bench_put(table(slot) + 0x80 + n * 16, 8, gpa);
    bench_put(table(slot) + 0x80 + n * 16 + 8, 4, 0);
    bench_put(table(slot) + 0x80 + n * 16 + 12, 4, bytes - 1);
}

static void header(unsigned slot, uint32_t flags, unsigned prds)
{
    bench_put(list() + slot * 32, 4, 5 | flags | (uint32_t)prds << 16);
    bench_put(list() + slot * 32 + 4, 4, 0xeeeeeeee);
    bench_put(list() + slot * 32 + 8, 8, table(slot));
}

static uint32_t transferred(unsigned slot) { return (uint32_t)bench_get(list() + slot * 32 + 4, 4); }

/* In slot 0, to or from DATA; PxIS of it. */
static uint32_t command(const struct registers *r, uint32_t flags, uint32_t bytes)
{
    port_put(PIS, UINT32_MAX);
    fis(0, r);
    if (bytes)
        prd(0, 0, DATA, bytes);
    header(0, flags, bytes != 0);
    port_put(CI, 1);
    return port_get(PIS);
}

#define REGISTERS(...) &(struct registers){ .command = __VA_ARGS__ }
#define COMMAND(flags, bytes, ...) command(REGISTERS(__VA_ARGS__), flags, bytes)

static void restart(void)
{
    port_put(CMD, 0x10);
    port_put(CMD, 0x11);
}

static uint16_t word(unsigned n) { return (uint16_t)bench_get(DATA + n * 2, 2); }

/* -- the controller ----------------------------------------------------------------------------------------------------------------- */

START_TEST(ahci_registers_are_those_of_section_3)
{
    plug();
    ck_assert_uint_eq(config_get(0, 4), 0x29228086);
    ck_assert_uint_eq(config_get(8, 4) >> 8, 0x010601);
    ck_assert_uint_eq(host_get(VS), 0x00010301);
    ck_assert_uint_eq(host_get(PI), 0x3f);
    ck_assert_uint_eq(host_get(CAP) & 0x1f, 5);
    ck_assert_uint_eq(host_get(CAP) >> 8 & 0x1f, 31);
    ck_assert_uint_eq(host_get(CAP) >> 30, 3); /* 64 bits, NCQ */
    ck_assert_uint_eq(host_get(GHC), 0x80000000);
    ck_assert_uint_eq(bench_load(BAR + CAP, 8), host_get(CAP) | (uint64_t)host_get(GHC) << 32);
    ck_assert_uint_eq(port_get(SSTS), 0x133);
    ck_assert_uint_eq(port_get(SIG), 0x00000101);
    ck_assert_uint_eq(port_get(TFD) & 0xff, 0x50);
    ck_assert_uint_eq(port_get(CMD), 0xc017);
    port = 1;
    ck_assert_uint_eq(port_get(SIG), 0xeb140101);
    port = 2;
    ck_assert_uint_eq(port_get(SSTS), 0);
    ck_assert_uint_eq(port_get(SIG), 0xffffffff);
    ck_assert_uint_eq(port_get(TFD), 0x7f);
}
END_TEST

START_TEST(ahci_resets)
{
    plug();
    port_put(SCTL, 1); /* COMRESET */
    ck_assert_uint_eq(port_get(SSTS), 0);
    port_put(SCTL, 0);
    ck_assert_uint_eq(port_get(SSTS), 0x133);
    ck_assert_uint_eq(port_get(SERR) >> 26 & 1, 1);
    ck_assert_uint_eq(port_get(PIS) >> 6 & 1, 1); /* PCS follows SERR.X */
    port_put(SERR, 1 << 26);
    ck_assert_uint_eq(port_get(PIS) >> 6 & 1, 0);
    ck_assert_uint_eq(bench_get(received() + 0x40, 4) & 0xff, 0x34);
    ck_assert_uint_eq(port_get(SIG), 0x00000101);
    for (unsigned srst = 1; srst < 2; srst--) { /* 9.3.9 of SATA: SRST set, then cleared */
        memset(bench.memory + received(), 0, 256);
        memset(bench.memory + table(0), 0, 0x100);
        bench_put(table(0), 4, 0x0027);
        bench_put(table(0) + 15, 1, srst << 2);
        header(0, 0, 0);
        port_put(CI, 1);
        ck_assert_uint_eq(port_get(CI), 0);
        ck_assert_uint_eq(bench_get(received() + 0x40, 1), srst ? 0 : 0x34);
    }
    port_put(PIE, UINT32_MAX);
    host_put(GHC, 0x80000001);
    ck_assert_uint_eq(host_get(GHC), 0x80000000);
    ck_assert_uint_eq(port_get(CMD), 6);
    ck_assert_uint_eq(port_get(PIE), 0);
}
END_TEST

START_TEST(ahci_interrupts_by_wire_until_both_registers_are_cleared)
{
    plug();
    port_put(PIE, DHRS);
    COMMAND(0, 0, 0xe7);
    ck_assert(!pirq[INTX_LINE].level);
    host_put(GHC, 0x80000002);
    ck_assert(pirq[INTX_LINE].level);
    ck_assert_uint_eq(host_get(IS), 1);
    host_put(IS, 1);
    ck_assert(pirq[INTX_LINE].level);
    port_put(PIS, DHRS);
    host_put(IS, 1);
    ck_assert(!pirq[INTX_LINE].level);
}
END_TEST

/* PCI 3.0 6.8.1; what the message says: SDM 3A 11.11. */
START_TEST(ahci_interrupts_by_message)
{
    unsigned at;

    plug();
    for (at = config_get(0x34, 1); at && config_get(at, 1) != 5; at = config_get(at + 1, 1))
        ;
    ck_assert_uint_eq(config_get(at + 2, 2), 0x80);
    config_put(at + 4, 4, 0xfee03000);
    config_put(at + 12, 2, 0x0045);
    config_put(at + 2, 2, 1);
    ck_assert_uint_eq(config_get(at + 2, 2), 0x81);
    port_put(PIE, DHRS);
    host_put(GHC, 0x80000002);
    COMMAND(0, 0, 0xe7);
    ck_assert_uint_eq(bench.messages, 1);
    ck_assert_uint_eq(bench.message.vector, 0x45);
    ck_assert_uint_eq(bench.message.destination, 3);
    ck_assert(!pirq[INTX_LINE].level);
    COMMAND(0, 0, 0xe7);
    ck_assert_uint_eq(bench.messages, 1); /* the bit in IS is still set */
    port_put(PIS, DHRS);
    host_put(IS, 1);
    COMMAND(0, 0, 0xe7);
    ck_assert_uint_eq(bench.messages, 2);
    config_put(0x04, 2, 0x0002); /* a message is a write of a bus master, and so are FISes */
    port_put(CI, 1);
    ck_assert_uint_eq(port_get(CI), 1);
    ck_assert_uint_eq(bench.messages, 2);
}
END_TEST

/* -- a disk --------------------------------------------------------------------------------------------------------------------------- */

START_TEST(ata_identify_is_that_of_7_12_7)
{
    uint8_t sum = 0;

    plug();
    ck_assert_uint_eq(COMMAND(0, 512, 0xec), PSS);
    ck_assert_uint_eq(transferred(0), 512);
    ck_assert_uint_eq(bench_get(received() + 0x20, 1), 0x5f);
    ck_assert_uint_eq(bench_get(received() + 0x20 + 15, 1), 0x50);
    ck_assert_uint_eq(bench_get(received() + 0x20 + 16, 2), 512);
    for (unsigned i = 0; i < 512; i++)
        sum = (uint8_t)(sum + bench.memory[DATA + i]);
    ck_assert_uint_eq(sum, 0);
    ck_assert_uint_eq(word(255) & 0xff, 0xa5);
    ck_assert_uint_eq(bench_get(DATA + 100 * 2, 8), MEMORY_DISK_BYTES / 512);
    ck_assert_uint_eq(bench_get(DATA + 60 * 2, 4), MEMORY_DISK_BYTES / 512);
    ck_assert_uint_eq(word(10), 'a' << 8 | ' '); /* "a serial number" */
    ck_assert_uint_eq(word(49) >> 8 & 3, 3);     /* LBA, DMA */
    ck_assert_uint_eq(word(76) >> 8 & 1, 1);     /* NCQ */
    ck_assert_uint_eq(word(83) >> 10 & 0xd, 0xd); /* FLUSH (EXT), 48 bits */
    ck_assert_uint_eq(word(85) >> 5 & 1, 1);     /* write cache on */
    ck_assert_uint_eq(word(169), 1);             /* TRIM */
    ck_assert(COMMAND(0, 512, 0xa1) & TFES);     /* IDENTIFY PACKET DEVICE is a packet device's */
}
END_TEST

START_TEST(ata_reads_and_writes)
{
    static const uint8_t reads[] = { 0x20, 0x24, 0xc8, 0x25 }, writes[] = { 0x30, 0x34, 0xca, 0x35 };

    plug();
    for (unsigned i = 0; i < 4; i++) {
        memset(bench.memory + DATA, 0, 1024);
        ck_assert_uint_eq(COMMAND(0, 1024, reads[i], .lba = 3, .count = 2), i < 2 ? PSS : DHRS);
        ck_assert_uint_eq(transferred(0), 1024);
        ck_assert_mem_eq(bench.memory + DATA, disk.data + 3 * 512, 1024);
        memset(bench.memory + DATA, 0x50 + (int)i, 512);
        ck_assert_uint_eq(COMMAND(WRITE, 512, writes[i], .lba = 31, .count = 1), i < 2 ? PSS | DHRS : DHRS);
        ck_assert_mem_eq(bench.memory + DATA, disk.data + 31 * 512, 512);
        ck_assert_uint_eq(port_get(TFD), 0x50);
    }
    ck_assert_uint_eq(disk.flushes, 0);
    ck_assert_uint_eq(COMMAND(0, 0, 0xea), DHRS);
    ck_assert_uint_eq(disk.flushes, 1);
    ck_assert_uint_eq(COMMAND(0, 0, 0x42, .lba = 0, .count = 32), DHRS); /* READ VERIFY */
}
END_TEST

START_TEST(ata_multiple_wants_its_mode)
{
    plug();
    ck_assert(COMMAND(0, 512, 0xc4, .count = 1) & TFES);
    restart();
    ck_assert_uint_eq(COMMAND(0, 0, 0xc6, .count = 8), DHRS);
    ck_assert_uint_eq(COMMAND(0, 512, 0xc4, .count = 1), PSS);
    ck_assert(COMMAND(0, 0, 0xc6, .count = 5) & TFES);
}
END_TEST

/* 4.2.3.3: entries of even lengths, anywhere; the last may be longer than what is left. */
START_TEST(ahci_takes_any_prd_table)
{
    plug();
    fis(7, REGISTERS(0x25, .lba = 1, .count = 2));
    prd(7, 0, DATA + 1000, 24);
    prd(7, 1, DATA + 3001 * 2, 2);
    prd(7, 2, DATA, 900);
    bench_put(table(7) + 0x80 + 2 * 16 + 12, 4, 899 | 1u << 31); /* tells when it is done */
    prd(7, 3, DATA + 1024, 4096);
    header(7, 0, 4);
    port_put(CI, 1u << 7);
    ck_assert_uint_eq(port_get(PIS), DHRS | DPS);
    ck_assert_uint_eq(transferred(7), 1024);
    ck_assert_mem_eq(bench.memory + DATA + 1000, disk.data + 512, 24);
    ck_assert_mem_eq(bench.memory + DATA + 6002, disk.data + 512 + 24, 2);
    ck_assert_mem_eq(bench.memory + DATA, disk.data + 512 + 26, 900);
    ck_assert_mem_eq(bench.memory + DATA + 1024, disk.data + 512 + 926, 98);
}
END_TEST

START_TEST(ata_write_cache_off_and_fua_are_safe_at_once)
{
    plug();
    ck_assert_uint_eq(COMMAND(WRITE, 512, 0x3d, .count = 1), DHRS); /* WRITE DMA FUA EXT */
    ck_assert_uint_eq(disk.flushes, 1);
    ck_assert_uint_eq(COMMAND(0, 0, 0xef, .features = 0x82), DHRS);
    ck_assert_uint_eq(disk.flushes, 2);
    COMMAND(WRITE, 512, 0x35, .count = 1);
    ck_assert_uint_eq(disk.flushes, 3);
    COMMAND(0, 512, 0xec);
    ck_assert_uint_eq(word(85) >> 5 & 1, 0);
    COMMAND(0, 0, 0xef, .features = 0x02);
    COMMAND(WRITE, 512, 0x35, .count = 1);
    ck_assert_uint_eq(disk.flushes, 3);
}
END_TEST

START_TEST(ata_trims)
{
    plug();
    memset(bench.memory + DATA, 0, 512);
    bench_put(DATA, 8, (uint64_t)3 << 48 | 2);
    bench_put(DATA + 504, 8, (uint64_t)1 << 48 | 31);
    ck_assert_uint_eq(COMMAND(WRITE, 512, 0x06, .features = 1, .count = 1), DHRS);
    ck_assert_uint_eq(disk.discards, 2);
    ck_assert(disk.data[1024] == 0xdd && disk.data[5 * 512 - 1] == 0xdd && disk.data[5 * 512] != 0xdd && disk.data[31 * 512] == 0xdd);
    bench_put(DATA, 8, (uint64_t)1 << 48 | 32);
    ck_assert(COMMAND(WRITE, 512, 0x06, .features = 1, .count = 1) & TFES);
    ck_assert_uint_eq(port_get(TFD) >> 8, 0x10);
}
END_TEST

START_TEST(ata_power_and_smart)
{
    plug();
    COMMAND(0, 0, 0xe5);
    ck_assert_uint_eq(bench_get(received() + 0x40 + 12, 1), 0xff);
    COMMAND(0, 0, 0xe0);
    ck_assert_uint_eq(disk.flushes, 1);
    COMMAND(0, 0, 0xe5);
    ck_assert_uint_eq(bench_get(received() + 0x40 + 12, 1), 0x00);
    COMMAND(0, 512, 0x25, .count = 1);
    COMMAND(0, 0, 0xe5);
    ck_assert_uint_eq(bench_get(received() + 0x40 + 12, 1), 0xff);
    ck_assert_uint_eq(COMMAND(0, 0, 0xb0, .features = 0xda, .lba = 0xc24f00), DHRS);
    ck_assert_uint_eq(bench_get(received() + 0x40 + 5, 2), 0xc24f); /* no threshold is exceeded */
    ck_assert_uint_eq(COMMAND(0, 512, 0xb0, .features = 0xd0, .lba = 0xc24f00), PSS);
    ck_assert(COMMAND(0, 0, 0xb0, .features = 0xda) & TFES);
}
END_TEST

/* -- queued ------------------------------------------------------------------------------------------------------------------------------ */

START_TEST(ata_queued_commands_end_by_set_device_bits)
{
    plug();
    fis(4, REGISTERS(0x60, .lba = 5, .features = 1, .count = 4 << 3));
    prd(4, 0, DATA, 512);
    header(4, 0, 1);
    fis(9, REGISTERS(0x61, .lba = 6, .features = 1, .count = 9 << 3, .device = 0xc0));
    prd(9, 0, DATA, 512);
    header(9, WRITE, 1);
    port_put(SACT, 1u << 4 | 1u << 9);
    ck_assert_uint_eq(port_get(SACT), 1u << 4 | 1u << 9);
    port_put(CI, 1u << 4 | 1u << 9);
    ck_assert_uint_eq(port_get(CI), 0);
    ck_assert_uint_eq(port_get(SACT), 0);
    ck_assert_uint_eq(port_get(PIS), SDBS);
    ck_assert_uint_eq(bench_get(received() + 0x58, 1), 0xa1);
    ck_assert_uint_eq(bench_get(received() + 0x58 + 4, 4), 1u << 9);
    ck_assert_mem_eq(disk.data + 5 * 512, disk.data + 6 * 512, 512);
    ck_assert_uint_eq(disk.flushes, 1); /* FUA */
}
END_TEST

/* ACS-3 9.13: the log names the tag; until it is read nothing else is done. */
START_TEST(ata_queued_error_is_in_log_10h)
{
    plug();
    fis(3, REGISTERS(0x60, .lba = 40, .features = 1, .count = 3 << 3));
    prd(3, 0, DATA, 512);
    header(3, 0, 1);
    port_put(SACT, 1u << 3);
    port_put(CI, 1u << 3);
    ck_assert_uint_eq(port_get(PIS), SDBS | TFES);
    ck_assert_uint_eq(port_get(SACT), 1u << 3);
    ck_assert_uint_eq(port_get(TFD), 0x1051);
    restart();
    ck_assert_uint_eq(port_get(SACT), 0);
    ck_assert(COMMAND(0, 0, 0xe7) & TFES);
    restart();
    ck_assert_uint_eq(COMMAND(0, 512, 0x2f, .lba = 0x10, .count = 1), PSS);
    ck_assert_uint_eq(bench.memory[DATA], 3);
    ck_assert_uint_eq(bench.memory[DATA + 3], 0x10);
    ck_assert_uint_eq(bench.memory[DATA + 4], 40);
    ck_assert_uint_eq(COMMAND(0, 0, 0xe7), DHRS);
    ck_assert_uint_eq(COMMAND(0, 512, 0x2f, .lba = 0, .count = 1), PSS);
    ck_assert_uint_eq(bench_get(DATA + 0x20, 2), 1);
}
END_TEST

/* -- errors ------------------------------------------------------------------------------------------------------------------------------- */

static void fails(uint32_t is, uint8_t error)
{
    ck_assert_uint_eq(is & TFES, TFES);
    ck_assert_uint_eq(port_get(TFD), 0x51 | (uint32_t)error << 8);
    port_put(CI, 2);
    ck_assert_uint_eq(port_get(CI), 2); /* the list stands still */
    restart();
    ck_assert_uint_eq(port_get(CI), 0);
}

START_TEST(ata_errors_are_task_file_errors)
{
    plug();
    fails(COMMAND(0, 512, 0x25, .lba = 32, .count = 1), 0x10);
    fails(COMMAND(0, 512, 0x25, .lba = 31, .count = 2), 0x10);
    fails(COMMAND(0, 512, 0x25, .count = 0), 0x10); /* 65536 sectors */
    fails(COMMAND(0, 512, 0xc8, .count = 1, .device = 0xa0), 0x04); /* CHS */
    fails(COMMAND(0, 0, 0xff), 0x04);
    disk.error = -EIO;
    fails(COMMAND(0, 512, 0x25, .count = 1), 0x40);
    fails(COMMAND(0, 0, 0xe7), 0x04);
    disk.error = -ENOSPC;
    fails(COMMAND(WRITE, 512, 0x35, .count = 1), 0x04);
    disk.error = 0;
    disk.backend.read_only = true;
    fails(COMMAND(WRITE, 512, 0x35, .count = 1), 0x04);
    fails(COMMAND(WRITE, 512, 0x06, .features = 1, .count = 1), 0x04);
    ck_assert_uint_eq(COMMAND(0, 512, 0x25, .count = 1), DHRS);
}
END_TEST

/* 6.1: what the controller cannot reach or place. */
START_TEST(ahci_lists_that_cannot_be_are_errors)
{
    plug();
    ck_assert_uint_eq(COMMAND(0, 100, 0x25, .count = 1), OFS);
    ck_assert_uint_eq(port_get(CI), 1);
    restart();
    fis(0, REGISTERS(0x25, .count = 1));
    prd(0, 0, UINT64_MAX - 100, 512);
    header(0, 0, 1);
    port_put(CI, 1);
    ck_assert_uint_eq(port_get(PIS), OFS | HBFS);
    restart();
    bench_put(list() + 8, 8, 0xfffffffffff000);
    port_put(PIS, UINT32_MAX);
    port_put(CI, 1);
    ck_assert_uint_eq(port_get(PIS), HBFS);
    restart();
    port_put(PIS, UINT32_MAX);
    port_put(0x04, 1); /* the list */
    port_put(CI, 1);
    ck_assert_uint_eq(port_get(PIS), HBFS);
    port_put(0x04, 0);
    restart();
    port_put(0x0c, 1); /* received FISes */
    ck_assert_uint_eq(COMMAND(0, 0, 0xe7) & HBFS, HBFS);
    port_put(0x0c, 0);
    restart();
    ck_assert_uint_eq(COMMAND(0, 0, 0xe7), DHRS);
}
END_TEST

/* Whatever is in memory: accesses to the images stay in them, and a command that can be is still done in the end. */
START_TEST(ahci_random_commands_do_no_harm)
{
    srand(1);
    plug();
    for (unsigned i = 0; i < 60000; i++) {
        unsigned slot = (unsigned)rand() % 32;

        port = (unsigned)rand() % 3;
        for (unsigned n = 0; n < 8; n++)
            bench_put(table(0) + (unsigned)rand() % 0xc0, 1, (uint64_t)rand());
        if (rand() % 4) {
            bench_put(table(0), 2, 0x8027);
            bench_put(table(0) + 7, 1, 0x40);
            bench_put(table(0) + 4, 6, (uint64_t)rand() % 40);
            bench_put(table(0) + 12, 2, (uint64_t)rand() % 40);
        }
        bench_put(list() + slot * 32, 4, ((uint32_t)rand() & 0x0003ffe0u) | 5);
        bench_put(list() + slot * 32 + 8, 8, rand() % 8 ? table(0) : (uint64_t)rand() << 16);
        for (unsigned n = 0; n < 3; n++)
            prd(0, n, (uint64_t)rand() % 0x18000, (uint32_t)rand() % 2048 + 1);
        port_put(CMD, 0x11);
        port_put(CI, 1u << slot);
        if (rand() % 2)
            port_put((unsigned)rand() % 32 * 4, (uint32_t)rand());
        port_put(SCTL, 0);
        start_port(port);
    }
    host_put(GHC, 0x80000001);
    start_port(0);
    ck_assert_uint_eq(COMMAND(0, 512, 0x25, .count = 1), DHRS);
}
END_TEST

/* -- a CD-ROM ------------------------------------------------------------------------------------------------------------------------------ */

/* PxIS; the packet's bytes come as a text. */
static uint32_t packet(const char *bytes, uint32_t room)
{
    port = 1;
    port_put(PIS, UINT32_MAX);
    fis(0, REGISTERS(0xa0, .features = 1));
    memcpy(bench.memory + table(0) + 0x40, bytes, 12);
    prd(0, 0, DATA, room);
    header(0, ATAPI, 1);
    port_put(CI, 1);
    if (port_get(PIS) & TFES)
        restart();
    return port_get(PIS);
}

static void sense_is(unsigned key, unsigned asc)
{
    ck_assert_uint_eq(port_get(TFD) >> 12, key);
    ck_assert_uint_eq(packet("\x03\0\0\0\x12\0\0\0\0\0\0\0", 18), DHRS);
    ck_assert_uint_eq(bench.memory[DATA] & 0x7f, 0x70);
    ck_assert_uint_eq(bench.memory[DATA + 2], key);
    ck_assert_uint_eq(bench.memory[DATA + 12], asc);
}

#define READY "\0\0\0\0\0\0\0\0\0\0\0\0"

static void plug_ready(void)
{
    plug();
    ck_assert(packet(READY, 2) & TFES);
    sense_is(6, 0x29);
    ck_assert_uint_eq(packet(READY, 2), DHRS);
    ck_assert_uint_eq(transferred(0), 0);
}

START_TEST(atapi_identifies_itself)
{
    plug_ready();
    ck_assert(COMMAND(0, 512, 0xec) & TFES);
    ck_assert_uint_eq(bench_get(received() + 0x40 + 4, 3), 0xeb1401);
    restart();
    ck_assert_uint_eq(COMMAND(0, 512, 0xa1), PSS);
    ck_assert_uint_eq(word(0), 0x85c0);
    ck_assert_uint_eq(packet("\x12\0\0\0\x24\0\0\0\0\0\0\0", 36), DHRS);
    ck_assert_uint_eq(bench.memory[DATA], 5);
    ck_assert_uint_eq(bench.memory[DATA + 1], 0x80);
    ck_assert_uint_eq(transferred(0), 36);
    ck_assert_uint_eq(packet("\x12\0\0\0\x05\0\0\0\0\0\0\0", 36), DHRS);
    ck_assert_uint_eq(transferred(0), 5);
}
END_TEST

START_TEST(atapi_reads)
{
    plug_ready();
    ck_assert_uint_eq(packet("\x25\0\0\0\0\0\0\0\0\0\0\0", 8), DHRS);
    ck_assert_mem_eq(bench.memory + DATA, "\0\0\0\1\0\0\x08\0", 8);
    ck_assert_uint_eq(packet("\x28\0\0\0\0\0\0\0\x02\0\0\0", 4096), DHRS);
    ck_assert_uint_eq(transferred(0), 4096);
    ck_assert_mem_eq(bench.memory + DATA, cd.data, 5 * 512);
    ck_assert_uint_eq(bench_get(DATA + 5 * 512, 8), 0);
    memset(bench.memory + DATA, 0xee, 2048);
    ck_assert_uint_eq(packet("\xa8\0\0\0\0\0\0\0\0\x01\0\0", 2048), DHRS);
    ck_assert_mem_eq(bench.memory + DATA, cd.data, 2048);
    ck_assert_uint_eq(packet("\xbe\0\0\0\0\x01\0\0\x01\x10\0\0", 2048), DHRS);
    ck_assert_mem_eq(bench.memory + DATA, cd.data + 2048, 512);
    ck_assert(packet("\x28\0\0\0\0\x01\0\0\x02\0\0\0", 4096) & TFES);
    sense_is(5, 0x21);
    ck_assert(packet("\xa8\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0", 4096) & TFES);
    sense_is(5, 0x21);
    cd.error = -EIO;
    ck_assert(packet("\x28\0\0\0\0\0\0\0\x01\0\0\0", 2048) & TFES);
    sense_is(3, 0x11);
    ck_assert(packet("\xfe\0\0\0\0\0\0\0\0\0\0\0", 8) & TFES);
    sense_is(5, 0x20);
}
END_TEST

/* MMC-6 6.25.3.2: one track and the lead-out; by frames these are 2 s further on. */
START_TEST(atapi_has_a_table_of_contents)
{
    plug_ready();
    ck_assert_uint_eq(packet("\x43\0\0\0\0\0\0\0\x14\0\0\0", 20), DHRS);
    ck_assert_mem_eq(bench.memory + DATA, "\0\x12\1\1\0\x14\1\0\0\0\0\0\0\x14\xaa\0\0\0\0\2", 20);
    ck_assert_uint_eq(packet("\x43\2\0\0\0\0\xaa\0\x14\0\0\0", 20), DHRS);
    ck_assert_mem_eq(bench.memory + DATA, "\0\x0a\1\1\0\x14\xaa\0\0\0\2\2", 12);
    ck_assert_uint_eq(packet("\x43\0\1\0\0\0\0\0\x14\0\0\0", 20), DHRS);
    ck_assert_mem_eq(bench.memory + DATA, "\0\x0a\1\1\0\x14\1\0\0\0\0\0", 12);
    ck_assert(packet("\x43\0\4\0\0\0\0\0\x14\0\0\0", 20) & TFES);
}
END_TEST

START_TEST(atapi_tells_what_it_can)
{
    plug_ready();
    ck_assert_uint_eq(packet("\x46\0\0\0\0\0\0\1\0\0\0\0", 256), DHRS);
    ck_assert_uint_eq(bench_get(DATA + 7, 1), 8); /* a CD-ROM */
    ck_assert_uint_eq((unsigned)bench.memory[DATA + 2] << 8 | bench.memory[DATA + 3], transferred(0) - 4);
    ck_assert_uint_eq(packet("\x46\2\0\x10\0\0\0\1\0\0\0\0", 256), DHRS);
    ck_assert_uint_eq(transferred(0), 8 + 12);
    ck_assert_uint_eq(packet("\x5a\0\x2a\0\0\0\0\0\x40\0\0\0", 64), DHRS);
    ck_assert_uint_eq(bench.memory[DATA + 8], 0x2a);
    ck_assert_uint_eq(transferred(0), 30);
    ck_assert_uint_eq(packet("\x4a\1\0\0\x10\0\0\0\x08\0\0\0", 8), DHRS);
    ck_assert_mem_eq(bench.memory + DATA, "\0\6\4\x10\0\2\0\0", 8);
    ck_assert_uint_eq(packet("\x51\0\0\0\0\0\0\0\x22\0\0\0", 34), DHRS);
    ck_assert_uint_eq(packet("\x52\1\0\0\0\1\0\0\x24\0\0\0", 36), DHRS);
    ck_assert_uint_eq(bench.memory[DATA + 27], 2);
}
END_TEST

START_TEST(atapi_tray_opens_unless_it_is_locked)
{
    plug_ready();
    packet("\x1e\0\0\0\1\0\0\0\0\0\0\0", 2);
    ck_assert(packet("\x1b\0\0\0\2\0\0\0\0\0\0\0", 2) & TFES);
    sense_is(5, 0x53);
    packet("\x1e\0\0\0\0\0\0\0\0\0\0\0", 2);
    ck_assert_uint_eq(packet("\x1b\0\0\0\2\0\0\0\0\0\0\0", 2), DHRS);
    ck_assert(packet(READY, 2) & TFES);
    sense_is(2, 0x3a);
    packet("\x4a\1\0\0\x10\0\0\0\x08\0\0\0", 8);
    ck_assert_mem_eq(bench.memory + DATA, "\0\6\4\x10\3\1\0\0", 8);
    ck_assert_uint_eq(packet("\x1b\0\0\0\3\0\0\0\0\0\0\0", 2) & TFES, 0);
    ck_assert(packet(READY, 2) & TFES);
    sense_is(6, 0x28);
    ck_assert_uint_eq(packet(READY, 2), DHRS);
}
END_TEST

BENCH_MAIN("ahci", ahci_registers_are_those_of_section_3, ahci_resets, ahci_interrupts_by_wire_until_both_registers_are_cleared,
           ahci_interrupts_by_message, ata_identify_is_that_of_7_12_7, ata_reads_and_writes, ata_multiple_wants_its_mode,
           ahci_takes_any_prd_table, ata_write_cache_off_and_fua_are_safe_at_once, ata_trims, ata_power_and_smart,
           ata_queued_commands_end_by_set_device_bits, ata_queued_error_is_in_log_10h, ata_errors_are_task_file_errors,
           ahci_lists_that_cannot_be_are_errors, ahci_random_commands_do_no_harm, atapi_identifies_itself, atapi_reads,
           atapi_has_a_table_of_contents, atapi_tells_what_it_can, atapi_tray_opens_unless_it_is_locked)
