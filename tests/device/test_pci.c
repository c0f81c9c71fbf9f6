/* test_pci.c - bus 0, host bridge and LPC bridge against PCI 3.0 and the data sheets 316966 (MCH) and 316972 (ICH9). */
#include "acpi_pm.h"
#include "lpc.h"
#include "mch.h"
#include "pci.h"
#include "widereg.h"

#include "lib/bench.h"

enum { MCH = 0x80000000, LPC = 0x8000f800, WIDEREG = 0x80002000 };

static struct device *pci, *mch, *lpc, *pm, *widereg;
static struct probe reset, isa[16], gsi[24];
static struct { bool read, write; unsigned calls; } segment[SHADOW_SEGMENTS];

static void pci_set_segment(void *opaque, unsigned n, bool read_ram, bool write_ram)
{
    (void)opaque;
    segment[n].read = read_ram;
    segment[n].write = write_ram;
    segment[n].calls++;
}

static void pci_plug(void)
{
    struct shadow_sink shadow = { .set = pci_set_segment };
    struct pci_wires wires = { .reset = bench_probe(&reset) };
    struct lpc_wires router;

    pci = device_create(&pci_class, &bench.host);
    mch = device_create(&mch_class, &bench.host);
    lpc = device_create(&lpc_class, &bench.host);
    pm = device_create(&acpi_pm_class, &bench.host);
    widereg = device_create(&widereg_class, &bench.host);
    router = (struct lpc_wires){ .acpi_pm = pm };
    for (unsigned i = 0; i < 16; i++)
        router.isa[i] = bench_probe(&isa[i]);
    for (unsigned i = 0; i < 24; i++)
        router.gsi[i] = bench_probe(&gsi[i]);
    for (unsigned i = 0; i < 8; i++)
        wires.pirq[i] = lpc_pirq(lpc, i);
    pci_connect(pci, &wires);
    mch_connect(mch, pci, &shadow);
    lpc_connect(lpc, pci, &router);
    widereg_connect(widereg, pci, PCI_DEVFN(4, 0));
}

static uint32_t pci_get(uint32_t function, unsigned offset, unsigned width)
{
    bench_out(0xcf8, 4, function | (offset & 0xfc));
    return (uint32_t)bench_in((uint16_t)(0xcfc + (offset & 3)), width);
}

static void pci_put(uint32_t function, unsigned offset, unsigned width, uint32_t v)
{
    bench_out(0xcf8, 4, function | (offset & 0xfc));
    bench_out((uint16_t)(0xcfc + (offset & 3)), width, v);
}

/* PCI 3.0 3.2.2.3.2: only a dword access is the address register; its reserved bits read 0. */
START_TEST(pci_address_port_takes_dwords_only)
{
    pci_plug();
    bench_out(0xcf8, 4, 0xffffffff);
    ck_assert_uint_eq(bench_in(0xcf8, 4), 0x80fffffc);
    bench_out(0xcf8, 1, 0);
    bench_out(0xcfa, 2, 0);
    ck_assert_uint_eq(bench_in(0xcf8, 4), 0x80fffffc);
}
END_TEST

/* As kvm-unit-tests' lib/x86/asm/pci.h has it: the register's lowest bits are in the address, and the access is to 0xcfc. */
START_TEST(pci_word_and_byte_may_be_chosen_in_the_address)
{
    pci_plug();
    bench_out(0xcf8, 4, MCH | 2);
    ck_assert_uint_eq(bench_in(0xcfc, 2), 0x29c0);
    ck_assert_uint_eq(bench_in(0xcfc, 1), 0xc0);
    ck_assert_uint_eq(bench_in(0xcfc, 4), 0x29c08086);
    ck_assert_uint_eq(bench_in(0xcf8, 4), MCH);
    bench_out(0xcf8, 4, MCH | 1);
    ck_assert_uint_eq(bench_in(0xcfc, 2), 0x8086);
    ck_assert_uint_eq(bench_in(0xcfd, 1), 0x80);
}
END_TEST

START_TEST(pci_identities_are_those_firmware_looks_for)
{
    pci_plug();
    ck_assert_uint_eq(pci_get(MCH, 0, 4), 0x29c08086);
    ck_assert_uint_eq(pci_get(MCH, 0x2c, 4), 0x11001af4);
    ck_assert_uint_eq(pci_get(MCH, 0x0a, 2), 0x0600);
    ck_assert_uint_eq(pci_get(LPC, 2, 2), 0x2918);
    ck_assert_uint_eq(pci_get(LPC, 0x0b, 1), 0x06);
    ck_assert_uint_eq(pci_get(LPC, 0x0e, 1), 0x80);
}
END_TEST

/* 6.1: a function that is not there reads all ones; so does any other bus. */
START_TEST(pci_absent_function_reads_all_ones)
{
    pci_plug();
    ck_assert_uint_eq(pci_get(0x80001000, 0, 4), 0xffffffff);
    ck_assert_uint_eq(pci_get(0x80010000, 0, 2), 0xffff);
    bench_out(0xcf8, 4, 0x00000000); /* enable bit clear */
    ck_assert_uint_eq(bench_in(0xcfc, 1), 0xff);
}
END_TEST

/* 6.2.5.1: all ones written to a BAR reads back the size; the upper half of a 64-bit BAR follows. */
START_TEST(pci_bar_sizing_gives_64k)
{
    pci_plug();
    ck_assert_uint_eq(pci_get(WIDEREG, 0x10, 4), 0x4);
    pci_put(WIDEREG, 0x10, 4, 0xffffffff);
    pci_put(WIDEREG, 0x14, 4, 0xffffffff);
    ck_assert_uint_eq(pci_get(WIDEREG, 0x10, 4), 0xffff0004);
    ck_assert_uint_eq(pci_get(WIDEREG, 0x14, 4), 0xffffffff);
    pci_put(WIDEREG, 0x18, 4, 0xffffffff);
    ck_assert_uint_eq(pci_get(WIDEREG, 0x18, 4), 0);
}
END_TEST

/* 6.2.2: the command register's memory bit lets a BAR decode. */
START_TEST(pci_bar_decodes_while_memory_is_on)
{
    pci_plug();
    pci_put(WIDEREG, 0x10, 4, 0xc0000000);
    ck_assert(!bench_claims(REGION_MMIO, 0xc0000000));
    pci_put(WIDEREG, 0x04, 2, 0x0002);
    ck_assert(bench_claims(REGION_MMIO, 0xc0000000));
    ck_assert(bench_claims(REGION_MMIO, 0xc000ffff));
    ck_assert_uint_eq(bench_load(0xc0000000, 4), 0x47455257);
    pci_put(WIDEREG, 0x14, 4, 0x1);
    ck_assert(!bench_claims(REGION_MMIO, 0xc0000000));
    ck_assert_uint_eq(bench_load(0x1c0000000, 4), 0x47455257);
    pci_put(WIDEREG, 0x14, 4, 0xffffffff); /* beyond any address: decodes nothing */
    ck_assert(!bench_claims(REGION_MMIO, 0xffffffffc0000000));
}
END_TEST

/* 6.2.2, 6.2.3: INTx disable and the interrupt status bit; slot 4 pin A is PIRQE on this chipset. */
START_TEST(pci_interrupt_reaches_router_unless_disabled)
{
    pci_plug();
    pci_put(WIDEREG, 0x10, 4, 0xc0000000);
    pci_put(WIDEREG, 0x04, 2, 0x0002);
    bench_store(0xc0000014, 4, 1);
    ck_assert_uint_eq(pci_get(WIDEREG, 0x06, 2) & 8, 8);
    ck_assert(gsi[20].level);
    ck_assert(!isa[10].level); /* PIRQ route bit 7 is set at reset */
    pci_put(LPC, 0x68, 1, 0x0a);
    ck_assert(isa[10].level);
    pci_put(WIDEREG, 0x04, 2, 0x0402);
    ck_assert(!gsi[20].level && !isa[10].level);
    ck_assert_uint_eq(pci_get(WIDEREG, 0x06, 2) & 8, 8);
}
END_TEST

/* 316966 5.1.18: PCIEXBAR; the same bytes through both mechanisms; nothing behind byte 255 of a conventional one. */
START_TEST(pci_ecam_shows_the_same_registers)
{
    pci_plug();
    ck_assert(!bench_claims(REGION_MMIO, 0xb0000000));
    pci_put(MCH, 0x60, 4, 0xb0000001);
    ck_assert_uint_eq(bench_load(0xb0000000, 4), 0x29c08086);
    ck_assert_uint_eq(bench_load(0xb0000000 + (31 << 15) + 2, 2), 0x2918);
    ck_assert_uint_eq(bench_load(0xb0000100, 4), 0xffffffff);
    ck_assert_uint_eq(bench_load(0xb0000000 + (4 << 15) + 0x100, 4), 0); /* widereg is PCI Express */
    bench_store(0xb0000000 + (31 << 15) + 0x60, 1, 0x0b);
    ck_assert_uint_eq(pci_get(LPC, 0x60, 1), 0x0b);
    pci_put(MCH, 0x60, 4, 0xb0000003); /* 128 MiB */
    ck_assert(!bench_claims(REGION_MMIO, 0xb8000000));
}
END_TEST

/* 316966 5.1.20..26: PAM fields: bit 0 reads, bit 1 writes go to DRAM. */
START_TEST(mch_pam_fields_name_segments)
{
    pci_plug();
    pci_put(MCH, 0x90, 1, 0x10);
    ck_assert(segment[0].read && !segment[0].write);
    pci_put(MCH, 0x91, 1, 0x31); /* C0000 read, C4000 read and write */
    pci_put(MCH, 0x92, 1, 0x20); /* CC000 write */
    ck_assert(segment[1].read && !segment[1].write);
    ck_assert(segment[2].read && segment[2].write);
    ck_assert(!segment[3].read && !segment[3].write);
    ck_assert(!segment[4].read && segment[4].write);
    pci_put(MCH, 0x96, 1, 0xff);
    ck_assert_uint_eq(pci_get(MCH, 0x96, 1), 0x33);
    ck_assert(segment[11].read && segment[12].write);
    ck_assert_uint_eq(shadow_base(12), 0xec000);
}
END_TEST

/* 316972 13.1.7, 13.1.8: PMBASE is 128-byte aligned, bit 0 reads 1; ACPI_EN lets it decode; SCI_IRQ_SEL routes. */
START_TEST(lpc_pmbase_moves_power_management)
{
    struct acpi_pm_wires wires = { 0 };

    pci_plug();
    wires.sci = lpc_sci(lpc);
    acpi_pm_connect(pm, &wires);
    pci_put(LPC, 0x40, 4, 0xffffb07f);
    ck_assert_uint_eq(pci_get(LPC, 0x40, 4), 0x0000b001);
    ck_assert(!bench_claims(REGION_PIO, 0xb000));
    pci_put(LPC, 0x44, 1, 0x80);
    ck_assert(bench_claims(REGION_PIO, 0xb000));
    bench_out(0xb002, 2, 0x100);
    bench_out(0xb004, 4, 1);
    acpi_pm_press_power_button(pm);
    ck_assert(isa[9].level && gsi[9].level);
    pci_put(LPC, 0x44, 1, 0x84);
    ck_assert(!isa[9].level && gsi[20].level);
}
END_TEST

/* 316972 13.7.5: RST_CPU rising resets. */
START_TEST(pci_reset_control_acts_on_rising_bit_2)
{
    pci_plug();
    bench_out(0xcf9, 1, 0x02);
    ck_assert_uint_eq(reset.rises, 0);
    bench_out(0xcf9, 1, 0x06);
    bench_out(0xcf9, 1, 0x06);
    ck_assert_uint_eq(reset.rises, 1);
    ck_assert_uint_eq(bench_in(0xcf9, 1), 0x06);
}
END_TEST

/* Every byte of every function takes every value without harm. */
START_TEST(pci_config_space_survives_all_writes)
{
    pci_plug();
    for (unsigned value = 0; value < 256; value += 0x33)
        for (unsigned devfn = 0; devfn < 256; devfn++)
            for (unsigned offset = 0; offset < 256; offset++)
                pci_put(0x80000000 | devfn << 8, offset, 1, value);
    device_reset(mch);
    device_reset(lpc);
    device_reset(widereg);
    ck_assert_uint_eq(pci_get(MCH, 0, 4), 0x29c08086);
    ck_assert_uint_eq(pci_get(MCH, 0x90, 1), 0);
}
END_TEST

BENCH_MAIN("pci", pci_address_port_takes_dwords_only, pci_word_and_byte_may_be_chosen_in_the_address, pci_identities_are_those_firmware_looks_for,
           pci_absent_function_reads_all_ones, pci_bar_sizing_gives_64k, pci_bar_decodes_while_memory_is_on,
           pci_interrupt_reaches_router_unless_disabled, pci_ecam_shows_the_same_registers,
           mch_pam_fields_name_segments, lpc_pmbase_moves_power_management, pci_reset_control_acts_on_rising_bit_2,
           pci_config_space_survives_all_writes)
