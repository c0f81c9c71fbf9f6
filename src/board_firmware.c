/*
 * board_firmware.c - the board and its firmware: what firmware is told (CMOS, fw_cfg: tables, what to boot from), and where there is
 * none, what it would have left behind.
 */
#include "board_parts.h"

#include "acpi/acpi.h"
#include "acpi/smbios.h"
#include "fw_cfg.h"
#include "iommu.h"
#include "pci.h"
#include "realmode.h"
#include "rtc.h"
#include "virtio_mmio.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

/* -- what firmware is told ---------------------------------------------------------------------------------------- */

static void board_set_cmos16(struct board *b, uint8_t low, uint8_t high, uint64_t value)
{
    rtc_set_cmos(b->rtc, low, (uint8_t)value);
    rtc_set_cmos(b->rtc, high, (uint8_t)(value >> 8));
}

/* The bytes every PC BIOS keeps about memory, and those virtual machines added to them. */
void board_fill_cmos(struct board *b)
{
    uint64_t low = b->ram_low_bytes, high64k = b->ram_high_bytes >> 16;
    uint64_t extended = bits_min((low - MIB(1)) >> 10, 0xfc00);

    board_set_cmos16(b, 0x15, 0x16, 640);
    board_set_cmos16(b, 0x17, 0x18, extended);
    board_set_cmos16(b, 0x30, 0x31, extended);
    board_set_cmos16(b, 0x34, 0x35, low > MIB(16) ? bits_min((low - MIB(16)) >> 16, 0xffff) : 0);
    board_set_cmos16(b, 0x5b, 0x5c, high64k);
    rtc_set_cmos(b->rtc, 0x5d, (uint8_t)(high64k >> 16));
    rtc_set_cmos(b->rtc, 0x5f, (uint8_t)(b->config.cpus - 1));
    rtc_set_cmos(b->rtc, 0x14, 0x06); /* equipment: coprocessor, PS/2 port */
    rtc_set_time(b->rtc, b->config.start_time);
}

static struct acpi_config board_acpi(const struct board *b)
{
    return (struct acpi_config){ .cpus = b->config.cpus, .ecam_base = BOARD_ECAM_BASE, .window_base = BOARD_ECAM_BASE + MIB(256),
                                 .window_end = 0xfec00000, .pm_base = BOARD_PM_BASE, .mmio_base = BOARD_MMIO_BASE,
                                 .mmio_line = board_mmio_line, .mmios = b->mmios, .iommu_base = b->iommu ? IOMMU_BASE : 0 };
}

/* Firmware places the tables and finds their addresses. */
static void board_hand_over_acpi(struct board *b)
{
    const struct acpi_config config = board_acpi(b);
    GByteArray *loader;
    struct acpi acpi;

    acpi_build(&acpi, &config);
    loader = acpi_loader(&acpi);
    fw_cfg_add_file(b->fw_cfg, ACPI_TABLES_FILE, acpi.tables->data, acpi.tables->len);
    fw_cfg_add_file(b->fw_cfg, ACPI_RSDP_FILE, acpi.rsdp, sizeof(acpi.rsdp));
    fw_cfg_add_file(b->fw_cfg, "etc/table-loader", loader->data, loader->len);
    g_byte_array_free(loader, TRUE);
    acpi_free(&acpi);
}

/* Where nobody else does: the RSDP and behind it the tables, where systems look for them. */
static void board_place_acpi(struct board *b)
{
    const struct acpi_config config = board_acpi(b);
    uint64_t tables = BOARD_ACPI;
    struct acpi acpi;

    acpi_build(&acpi, &config);
    acpi_place(&acpi, tables);
    assert(tables + acpi.tables->len <= MIB(1));
    memcpy(b->ram + BOARD_RSDP, acpi.rsdp, sizeof(acpi.rsdp));
    memcpy(b->ram + tables, acpi.tables->data, acpi.tables->len);
    acpi_free(&acpi);
}

struct board_e820 {
    uint64_t base, size;
    uint32_t type;
} __attribute__((packed));

static struct smbios_config board_smbios(const struct board *b)
{
    return (struct smbios_config){ .cpus = b->config.cpus, .low_bytes = b->ram_low_bytes, .high_bytes = b->ram_high_bytes,
                                   .rom_bytes = (uint32_t)b->config.bios_bytes };
}

static void board_hand_over_smbios(struct board *b)
{
    const struct smbios_config config = board_smbios(b);
    struct smbios smbios;

    smbios_build(&smbios, &config);
    fw_cfg_add_file(b->fw_cfg, SMBIOS_TABLES_FILE, smbios.tables->data, smbios.tables->len);
    fw_cfg_add_file(b->fw_cfg, SMBIOS_ANCHOR_FILE, smbios.anchor, sizeof(smbios.anchor));
    smbios_free(&smbios);
}

static void board_place_smbios(struct board *b)
{
    const struct smbios_config config = board_smbios(b);
    struct smbios smbios;

    smbios_build(&smbios, &config);
    smbios_place(&smbios, BOARD_SMBIOS + 32);
    assert(BOARD_SMBIOS + 32 + smbios.tables->len <= BOARD_SMBIOS + REALMODE_CODE);
    memcpy(b->ram + BOARD_SMBIOS, smbios.anchor, sizeof(smbios.anchor));
    memcpy(b->ram + BOARD_SMBIOS + 32, smbios.tables->data, smbios.tables->len);
    smbios_free(&smbios);
}

/* -- what firmware boots from: paths as Open Firmware has them, and as SeaBIOS and OVMF compare them ----------------------- */

/* Disks have the first windows. */
static void boot_disks(const struct board *b, GString *out)
{
    for (unsigned i = 0; i < b->config.disks && b->mmios; i++)
        g_string_append_printf(out, "/virtio-mmio@%016" PRIx64 "/disk@0,0\n", BOARD_MMIO_BASE + i * VIRTIO_MMIO_BYTES);
    for (unsigned i = 0; i < b->config.disks && !b->mmios; i++)
        g_string_append_printf(out, "/pci@i0cf8/scsi@%x/disk@0,0\n", BOARD_DISK_SLOT + i);
}

static void boot_drives(const struct board *b, bool cdrom, GString *out)
{
    for (unsigned i = 0; i < b->config.drives; i++)
        if (b->config.drive[i].cdrom == cdrom)
            g_string_append_printf(out, "/pci@i0cf8/pci8086,2922@%x/drive@%x/disk@0\n", BOARD_AHCI_SLOT, i);
}

/* Whatever network controllers there are. */
static void boot_network(const struct board *b, GString *out)
{
    enum { CLASS_NETWORK = 2 };

    for (unsigned slot = 0; slot < 32; slot++) {
        const struct pci_function *f = pci_function_at(b->pci, (uint8_t)PCI_DEVFN(slot, 0));

        if (f && f->identity->class_code >> 16 == CLASS_NETWORK)
            g_string_append_printf(out, "/pci@i0cf8/ethernet@%x/ethernet-phy@0\n", slot);
    }
}

static void board_hand_over_boot_order(struct board *b)
{
    GString *order = g_string_new(NULL);

    for (const char *p = b->config.boot; p && *p; p++) {
        if (*p == 'c')
            boot_disks(b, order), boot_drives(b, false, order);
        else if (*p == 'd')
            boot_drives(b, true, order);
        else
            boot_network(b, order);
    }
    if (order->len)
        fw_cfg_add_file(b->fw_cfg, "bootorder", order->str, order->len + 1);
    g_string_free(order, TRUE);
}

/* Where there is something to boot from and no display, firmware speaks and listens at the first serial port. */
static void board_hand_over_console(struct board *b)
{
    static const uint8_t com1[2] = { 0xf8, 0x03 };

    if (!b->vga && (b->config.disks || b->config.drives || b->config.nets || b->config.boot))
        fw_cfg_add_file(b->fw_cfg, "etc/sercon-port", com1, sizeof(com1));
}

void board_fill_fw_cfg(struct board *b)
{
    struct board_e820 e820[2] = { { 0, b->ram_low_bytes, 1 }, { GIB(4), b->ram_high_bytes, 1 } };
    uint8_t irq0_override = 1;
    uint16_t menu = b->config.boot_menu;

    fw_cfg_add_u64(b->fw_cfg, FW_CFG_RAM_SIZE, b->config.ram_bytes);
    fw_cfg_add_u16(b->fw_cfg, FW_CFG_CPUS, (uint16_t)b->config.cpus);
    fw_cfg_add_u16(b->fw_cfg, FW_CFG_MAX_CPUS, (uint16_t)b->config.cpus);
    fw_cfg_add_u16(b->fw_cfg, FW_CFG_BOOT_MENU, menu);
    fw_cfg_add_key(b->fw_cfg, FW_CFG_IRQ0_OVERRIDE, &irq0_override, 1);
    fw_cfg_add_file(b->fw_cfg, "etc/e820", e820, sizeof(e820[0]) * (b->ram_high_bytes ? 2 : 1));
    fw_cfg_add_file(b->fw_cfg, "etc/show-boot-menu", &menu, sizeof(menu));
    board_hand_over_acpi(b);
    board_hand_over_smbios(b);
    board_hand_over_boot_order(b);
    board_hand_over_console(b);
    if (b->vga && b->config.vgabios)
        fw_cfg_add_file(b->fw_cfg, "pci1234,1111.rom", b->config.vgabios, b->config.vgabios_bytes);
}

/* -- without firmware ---------------------------------------------------------------------------------------------------- */

static void board_write_config(struct board *b, unsigned devfn, unsigned offset, unsigned width, uint32_t value)
{
    const struct region *ecam = &b->pci->region[1];

    ecam->ops->write(ecam->state, devfn << 12 | offset, width, value);
}

static const uint8_t firmware_irq[4] = { 10, 10, 11, 11 }; /* of PIRQA..D, and of PIRQE..H */

/* A function with one memory BAR; behind slot 24 INTA# is PIRQA (pci_pirq). */
static void board_place_bar(struct board *b, unsigned slot, unsigned bar, uint64_t base)
{
    unsigned devfn = PCI_DEVFN(slot, 0);

    board_write_config(b, devfn, PCI_BAR0 + bar * 4, 4, (uint32_t)base);
    board_write_config(b, devfn, PCI_INTERRUPT_LINE, 1, firmware_irq[slot <= 24 ? slot & 3 : 0]);
    board_write_config(b, devfn, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

static void board_place_function(struct board *b, unsigned slot, uint64_t base) { board_place_bar(b, slot, 0, base); }

static void board_write_port(struct device *device, unsigned region, uint64_t offset, uint64_t value)
{
    device->region[region].ops->write(device->region[region].state, offset, 1, value);
}

/* As a BIOS leaves them: vectors 08h and 70h, of all interrupts the timer's alone, which comes every 54.9 ms. */
static void board_place_interrupts(struct board *b)
{
    enum { PIC_MASTER, PIC_SLAVE, PIC_ELCR, PIT_COUNTER = 0, PIT_CONTROL = 3 };
    static const uint8_t master[4] = { 0x11, 0x08, 0x04, 0x01 }, slave[4] = { 0x11, 0x70, 0x02, 0x01 }; /* ICW1 to ICW4 */

    for (unsigned i = 0; i < 4; i++) {
        board_write_port(b->pic, PIC_MASTER, i > 0, master[i]);
        board_write_port(b->pic, PIC_SLAVE, i > 0, slave[i]);
    }
    board_write_port(b->pic, PIC_MASTER, 1, 0xfe);
    board_write_port(b->pic, PIC_SLAVE, 1, 0xff);
    board_write_port(b->pic, PIC_ELCR, 1, 0x0c); /* IRQ10 and 11 are level */
    board_write_port(b->pit, 0, PIT_CONTROL, 0x34); /* counter 0, both bytes, mode 2 */
    board_write_port(b->pit, 0, PIT_COUNTER, 0);
    board_write_port(b->pit, 0, PIT_COUNTER, 0);
}

static void board_place_virtio(struct board *b)
{
    for (unsigned i = 0; i < b->config.disks; i++)
        board_place_function(b, BOARD_DISK_SLOT + i, BOARD_DISK_BASE + i * KIB(64));
    for (unsigned i = 0; i < b->config.nets; i++)
        board_place_function(b, BOARD_NET_SLOT + i, BOARD_NET_BASE + i * KIB(64));
    for (unsigned i = 0; i < b->config.shares; i++)
        board_place_function(b, BOARD_SHARE_SLOT + i, BOARD_SHARE_BASE + i * KIB(64));
    for (unsigned i = 0; i < BOARD_VIRTIOS; i++)
        if (b->virtio[i])
            board_place_function(b, BOARD_VIRTIO_SLOT + i, BOARD_VIRTIO_BASE + i * KIB(64));
}

void board_place_chipset(struct board *b)
{
    unsigned mch = PCI_DEVFN(0, 0), lpc = PCI_DEVFN(31, 0);

    board_write_config(b, mch, 0x60, 4, BOARD_ECAM_BASE | 1);
    board_write_config(b, mch, 0x90, 1, 0x30);
    for (unsigned i = 1; i <= 6; i++)
        board_write_config(b, mch, 0x90 + i, 1, 0x33);
    board_write_config(b, lpc, 0x40, 4, BOARD_PM_BASE | 1);
    board_write_config(b, lpc, 0x44, 1, 0x80);
    for (unsigned i = 0; i < 4; i++) {
        board_write_config(b, lpc, 0x60 + i, 1, firmware_irq[i]);
        board_write_config(b, lpc, 0x68 + i, 1, firmware_irq[i]);
    }
    board_place_interrupts(b);
    board_place_function(b, BOARD_WIDEREG_SLOT, BOARD_WIDEREG_BASE);
    if (b->edu)
        board_place_function(b, BOARD_EDU_SLOT, BOARD_EDU_BASE);
    if (!b->mmios)
        board_place_virtio(b);
    if (b->vga)
        board_place_bar(b, BOARD_VGA_SLOT, 0, BOARD_VGA_BASE);
    if (b->ahci)
        board_place_bar(b, BOARD_AHCI_SLOT, AHCI_BAR, BOARD_AHCI_BASE);
}

void board_stand_in_for_firmware(struct board *b)
{
    static const uint16_t com[BOARD_COMS] = { 0x3f8, 0x2f8 };

    board_place_chipset(b);
    board_place_acpi(b);
    board_place_smbios(b);
    realmode_place(b->ram, com, BOARD_COMS);
}
