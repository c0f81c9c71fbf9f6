/* test_board.c - the PC as a whole: its memory map under the PAM registers, its wiring, its reset. */
#include "board.h"

#include "fw_cfg.h"
#include "i8042.h"
#include "widereg.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define BIOS_BYTES KIB(256)

static struct phys phys;
static struct clock fake_clock;
static struct cpu_pins pins;
static struct board *board;
static struct err err;
static uint8_t bios[BIOS_BYTES];
static unsigned resets, power_offs, exit_value;
static bool a20;

static void count_reset(void *opaque) { ++*(unsigned *)opaque; }
static void count_power_off(void *opaque) { (void)opaque; power_offs++; }
static void keep_exit_value(void *opaque, uint32_t value) { (void)opaque; exit_value = value; }
static void keep_a20(void *opaque, bool on) { (void)opaque; a20 = on; }

static struct board_config make_config(uint64_t ram_bytes, bool firmware)
{
    for (size_t i = 0; i < sizeof(bios); i++)
        bios[i] = (uint8_t)(i >> 12 ^ i);
    return (struct board_config){
        .ram_bytes = ram_bytes, .bios = firmware ? bios : NULL, .bios_bytes = firmware ? sizeof(bios) : 0,
        .clock = &fake_clock, .cpus = 1, .pins = { &pins }, .reset_requested = count_reset,
        .powered_off = count_power_off, .debug_exited = keep_exit_value, .a20_changed = keep_a20, .opaque = &resets,
    };
}

static void build(uint64_t ram_bytes, bool firmware)
{
    struct board_config config = make_config(ram_bytes, firmware);

    memset(&fake_clock, 0, sizeof(fake_clock));
    memset(&pins, 0, sizeof(pins));
    phys_init(&phys);
    board = board_create(&config, &phys, &err);
    ck_assert_ptr_nonnull(board);
}

static void teardown(void)
{
    phys_free(&phys);
    board_destroy(board);
}

static void out(uint16_t port, unsigned width, uint64_t value)
{
    const struct phys_range *r = phys_find(&phys, REGION_PIO, port);

    ck_assert_int_eq(r->kind, PIECE_REGION);
    r->region->ops->write(r->region->state, port - r->base + r->region_offset, width, value);
}

static uint64_t in(uint16_t port, unsigned width)
{
    const struct phys_range *r = phys_find(&phys, REGION_PIO, port);

    ck_assert_int_eq(r->kind, PIECE_REGION);
    return r->region->ops->read(r->region->state, port - r->base + r->region_offset, width);
}

static void config_byte(uint32_t address, uint8_t value)
{
    out(0xcf8, 4, 0x80000000 | (address & 0xfffffc));
    out((uint16_t)(0xcfc + (address & 3)), 1, value);
}

static enum piece_kind kind_at(uint64_t gpa) { return phys_find(&phys, REGION_MMIO, gpa)->kind; }

static const char *name_at(uint64_t gpa)
{
    const struct phys_range *r = phys_find(&phys, REGION_MMIO, gpa);

    return r->kind == PIECE_REGION ? r->region->name : "";
}

START_TEST(board_refuses_impossible_configurations)
{
    struct board_config good = make_config(MIB(16), true), bad;

    phys_init(&phys);
    bad = good, bad.ram_bytes = KIB(512);
    ck_assert_ptr_null(board_create(&bad, &phys, &err));
    bad = good, bad.ram_bytes = MIB(16) + 1;
    ck_assert_ptr_null(board_create(&bad, &phys, &err));
    bad = good, bad.bios_bytes = 100;
    ck_assert_ptr_null(board_create(&bad, &phys, &err));
    bad = good, bad.bios_bytes = 0;
    ck_assert_ptr_null(board_create(&bad, &phys, &err));
    bad = good, bad.cpus = 0;
    ck_assert_ptr_null(board_create(&bad, &phys, &err));
    bad = good, bad.cpus = APIC_CPUS + 1;
    ck_assert_ptr_null(board_create(&bad, &phys, &err));
    phys_free(&phys);
}
END_TEST

START_TEST(board_rom_stands_below_4g_and_below_1m)
{
    build(MIB(16), true);
    ck_assert_mem_eq(phys_readable(&phys, GIB(4) - 16, 16), bios + BIOS_BYTES - 16, 16);
    ck_assert_mem_eq(phys_readable(&phys, GIB(4) - BIOS_BYTES, 16), bios, 16);
    ck_assert_mem_eq(phys_readable(&phys, 0xe0000, 16), bios + KIB(128), 16);
    ck_assert_mem_eq(phys_readable(&phys, 0xffff0, 16), bios + BIOS_BYTES - 16, 16);
    ck_assert_ptr_null(phys_writable(&phys, 0xffff0, 1));
    ck_assert_ptr_null(phys_writable(&phys, GIB(4) - 16, 1));
    ck_assert_int_eq(kind_at(0xc0000), PIECE_HOLE);
    teardown();
}
END_TEST

/* The four states of a PAM field (Intel 316966 5.1.20). */
START_TEST(board_pam_chooses_rom_or_ram_per_direction)
{
    build(MIB(16), true);
    config_byte(0x90, 0x20); /* writes to RAM, reads from ROM: how firmware copies itself */
    ck_assert_ptr_eq(phys_writable(&phys, 0xf1000, 1), board->ram + 0xf1000);
    ck_assert_mem_eq(phys_readable(&phys, 0xf1000, 16), bios + BIOS_BYTES - 0xf000, 16);
    config_byte(0x90, 0x10); /* write-protected shadow */
    ck_assert_ptr_null(phys_writable(&phys, 0xf1000, 1));
    ck_assert_ptr_eq(phys_readable(&phys, 0xf1000, 1), board->ram + 0xf1000);
    config_byte(0x90, 0x30);
    ck_assert_ptr_eq(phys_writable(&phys, 0xf1000, 1), board->ram + 0xf1000);
    config_byte(0x91, 0x30); /* C4000 only */
    ck_assert_int_eq(kind_at(0xc0000), PIECE_HOLE);
    ck_assert_ptr_eq(phys_readable(&phys, 0xc4000, 1), board->ram + 0xc4000);
    board_reset(board);
    ck_assert_mem_eq(phys_readable(&phys, 0xf1000, 16), bios + BIOS_BYTES - 0xf000, 16);
    ck_assert_int_eq(kind_at(0xc4000), PIECE_HOLE);
    teardown();
}
END_TEST

START_TEST(board_ram_beyond_2g_moves_to_4g)
{
    build(GIB(3), true);
    ck_assert_ptr_eq(phys_readable(&phys, 0, 1), board->ram);
    ck_assert_ptr_eq(phys_readable(&phys, GIB(2) - 1, 1), board->ram + GIB(2) - 1);
    ck_assert_int_eq(kind_at(GIB(2)), PIECE_HOLE);
    ck_assert_ptr_eq(phys_readable(&phys, GIB(4), 1), board->ram + GIB(2));
    ck_assert_ptr_eq(phys_readable(&phys, GIB(5) - 1, 1), board->ram + GIB(3) - 1);
    ck_assert_int_eq(kind_at(GIB(5)), PIECE_HOLE);
    ck_assert_int_eq(kind_at(0xa0000), PIECE_HOLE);
    ck_assert_int_eq(kind_at(0xbffff), PIECE_HOLE);
    ck_assert_str_eq(name_at(0xfec00000), "ioapic");
    ck_assert_str_eq(name_at(0xfed00000), "hpet");
    ck_assert_str_eq(name_at(0xfee00000), "apic");
    teardown();
}
END_TEST

START_TEST(board_a20_follows_keyboard_controller)
{
    build(MIB(16), true);
    ck_assert(a20);
    ck_assert(phys.a20_mask & BIT(20));
    out(0x64, 1, 0xdd);
    ck_assert(!a20);
    ck_assert(!(phys.a20_mask & BIT(20)));
    out(0x92, 1, 2);
    ck_assert(phys.a20_mask & BIT(20));
    teardown();
}
END_TEST

START_TEST(board_requests_leave_by_callback)
{
    resets = power_offs = 0;
    build(MIB(16), false);
    out(0x64, 1, 0xfe);
    out(0xcf9, 1, 0x06);
    out(0x92, 1, 0x01);
    ck_assert_uint_eq(resets, 3);
    out(0xf4, 4, 42);
    ck_assert_uint_eq(exit_value, 42);
    out(BOARD_PM_BASE + 4, 2, 7 << 10 | 1 << 13);
    ck_assert_uint_eq(power_offs, 1);
    teardown();
}
END_TEST

static void init_pic(void)
{
    static const uint8_t master[] = { 0x20, 0x04, 0x01 }, slave[] = { 0x28, 0x02, 0x01 };

    out(0x20, 1, 0x11);
    out(0xa0, 1, 0x11);
    for (unsigned i = 0; i < 3; i++) {
        out(0x21, 1, master[i]);
        out(0xa1, 1, slave[i]);
    }
}

/* PIT to PIC to LINT0, with the local APIC still disabled. */
START_TEST(board_timer_interrupt_reaches_cpu_through_pic)
{
    build(MIB(16), true);
    init_pic();
    out(0x43, 1, 0x34);
    out(0x40, 1, 0xa9);
    out(0x40, 1, 0x04); /* 1193: 1 kHz */
    ck_assert(!pins.intr);
    fake_clock.ns += 1100000;
    clock_run(&fake_clock);
    ck_assert(pins.intr);
    ck_assert_uint_eq(pins.acknowledge(pins.opaque), 0x20);
    ck_assert(!pins.intr);
    teardown();
}
END_TEST

/* The same timer as input 2 of the I/O APIC, the keyboard as input 1. */
START_TEST(board_isa_interrupts_reach_ioapic)
{
    static const uint8_t key = 0x1c;
    const struct region *io, *local;
    struct transaction svr = { .type = TRANSACTION_STORE, .width = 4, .offset = 0xf0, .data.w[0] = 0x1ff };

    build(MIB(16), true);
    io = &board->ioapic->region[0];
    local = &board->apic->region[0];
    out(0x21, 1, 0xff);
    local->ops->transact(local->state, &svr);
    io->ops->write(io->state, 0x00, 4, 0x12);
    io->ops->write(io->state, 0x10, 4, 0x41);
    i8042_type(board->i8042, &key, 1);
    ck_assert(pins.intr);
    ck_assert_uint_eq(pins.acknowledge(pins.opaque), 0x41);
    io->ops->write(io->state, 0x00, 4, 0x14);
    io->ops->write(io->state, 0x10, 4, 0x52);
    out(0x43, 1, 0x30);
    out(0x40, 1, 0x10);
    out(0x40, 1, 0x00);
    fake_clock.ns += 100000;
    clock_run(&fake_clock);
    ck_assert_uint_eq(pins.acknowledge(pins.opaque), 0x52);
    teardown();
}
END_TEST

START_TEST(board_without_firmware_is_ready_for_a_kernel)
{
    build(MIB(16), false);
    ck_assert_ptr_eq(phys_writable(&phys, 0xf0000, 1), board->ram + 0xf0000);
    ck_assert_str_eq(name_at(BOARD_WIDEREG_BASE), "control");
    ck_assert_int_eq(kind_at(GIB(4) - 16), PIECE_HOLE);
    ck_assert_int_eq(kind_at(BOARD_ECAM_BASE), PIECE_REGION);
    ck_assert_uint_eq(in(BOARD_PM_BASE + 0x30, 4) & 0x20, 0x20);
    board_reset(board);
    ck_assert_str_eq(name_at(BOARD_WIDEREG_BASE), "control");
    teardown();
}
END_TEST

START_TEST(board_tells_firmware_about_ram)
{
    uint64_t size = 0;

    build(MIB(48), true);
    out(0x510, 2, FW_CFG_RAM_SIZE);
    for (unsigned i = 0; i < 8; i++)
        size |= in(0x511, 1) << i * 8;
    ck_assert_uint_eq(size, MIB(48));
    out(0x70, 1, 0x34); /* CMOS: 64 KiB units above 16 MiB */
    ck_assert_uint_eq(in(0x71, 1), 0x00);
    out(0x70, 1, 0x35);
    ck_assert_uint_eq(in(0x71, 1), 0x02);
    teardown();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("board");
    TCase *tcase = tcase_create("board");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_test(tcase, board_refuses_impossible_configurations);
    tcase_add_test(tcase, board_rom_stands_below_4g_and_below_1m);
    tcase_add_test(tcase, board_pam_chooses_rom_or_ram_per_direction);
    tcase_add_test(tcase, board_ram_beyond_2g_moves_to_4g);
    tcase_add_test(tcase, board_a20_follows_keyboard_controller);
    tcase_add_test(tcase, board_requests_leave_by_callback);
    tcase_add_test(tcase, board_timer_interrupt_reaches_cpu_through_pic);
    tcase_add_test(tcase, board_isa_interrupts_reach_ioapic);
    tcase_add_test(tcase, board_without_firmware_is_ready_for_a_kernel);
    tcase_add_test(tcase, board_tells_firmware_about_ram);
    suite_add_tcase(suite, tcase);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
