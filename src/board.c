/*
 * board.c - the PC: creates, wires and resets the devices in a written order.
 *
 * A Q35-like machine: RAM below 2 GiB and above 4 GiB, a flash ROM that ends at 4 GiB and whose last 128 KiB show below
 * 1 MiB under the PAM registers, a hole where a VGA is, the ISA devices, one PCI bus with the host bridge, the
 * LPC bridge, widereg, disks, network cards and other virtio devices; the test devices, a VGA, a SATA controller with its
 * drives, and an IOMMU, on request.  Not modelled: USB; it would be added here.
 * Manuals: each device's own; the memory map is that of Intel's 316966 section 3 with a fixed TOLUD.
 */
#include "board_parts.h"

#include "acpi/acpi.h"
#include "acpi_pm.h"
#include "debug_exit.h"
#include "debugcon.h"
#include "edu.h"
#include "fw_cfg.h"
#include "hpet.h"
#include "i8042.h"
#include "ioapic.h"
#include "iommu.h"
#include "lpc.h"
#include "mch.h"
#include "pci.h"
#include "pic.h"
#include "pit.h"
#include "post.h"
#include "pvpanic.h"
#include "rtc.h"
#include "testdev.h"
#include "uart.h"
#include "vga.h"
#include "virtio_9p.h"
#include "virtio_balloon.h"
#include "virtio_blk.h"
#include "virtio_console.h"
#include "virtio_mmio.h"
#include "virtio_net.h"
#include "virtio_pci.h"
#include "virtio_rng.h"
#include "widereg.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ISA_ROM_BYTES KIB(128)
#define FLASH_MAX MIB(16)
#define PRIORITY_RAM 0
#define PRIORITY_SEGMENT 1
#define PRIORITY_ROM 2

/* -- interrupt lines: several sources, one level ------------------------------------------------------------------ */

enum { SOURCE_DEVICE, SOURCE_LPC, SOURCE_HPET, SOURCE_PIC, SOURCE_TESTDEV, SOURCE_VIRTIO };
#define LINE(n, source) ((int)((n) | (source) << 8))

static void board_set_source(struct irq *line, uint8_t *sources, unsigned source, bool level)
{
    if (level)
        *sources |= BIT(source);
    else
        *sources &= ~BIT(source);
    irq_set(line, *sources != 0);
}

static void board_set_pic(void *opaque, int line, bool level)
{
    struct board *b = opaque;

    board_set_source(&b->pic_line[line & 15], &b->pic_sources[line & 15], (unsigned)line >> 8, level);
}

static void board_set_ioapic(void *opaque, int line, bool level)
{
    struct board *b = opaque;
    unsigned n = line & 0xff;

    board_set_source(&b->ioapic_line[n], &b->ioapic_sources[n], (unsigned)line >> 8, level);
}

/* An ISA interrupt reaches both controllers; IRQ0 is input 2 of the I/O APIC, where the PIC has its cascade. */
static void board_set_isa(void *opaque, int line, bool level)
{
    board_set_pic(opaque, line, level);
    board_set_ioapic(opaque, line & 15 ? line : line | 2, level);
}

/* The HPET reaches I/O APIC inputs by their number, and the PIC where that is one of its own. */
static void board_set_route(void *opaque, int line, bool level)
{
    if ((line & 0xff) < 16)
        board_set_pic(opaque, line, level);
    board_set_ioapic(opaque, line, level);
}

/* INT of the PIC: LINT0 of the first CPU, and input 0 of the I/O APIC for those who route ExtINT there. */
static void board_set_int(void *opaque, int line, bool level)
{
    struct board *b = opaque;

    (void)line;
    irq_set(&b->lint0, level);
    board_set_ioapic(b, LINE(0, SOURCE_PIC), level);
}

static struct irq board_isa(struct board *b, unsigned n)
{
    return (struct irq){ .set = board_set_isa, .opaque = b, .line = LINE(n, SOURCE_DEVICE) };
}

/* IRQ8, which the power management hears too. */
static void board_set_rtc(void *opaque, int line, bool level)
{
    struct board *b = opaque;
    struct irq power = acpi_pm_rtc(b->acpi_pm), legacy = hpet_legacy_input(b->hpet, 1);

    (void)line;
    legacy.set(legacy.opaque, legacy.line, level);
    power.set(power.opaque, 0, level);
}

static void board_deliver(struct irq_bus *bus, const struct irq_message *message)
{
    apic_deliver(((struct board *)bus)->apic, message);
}

static void board_eoi(struct irq_bus *bus, uint8_t vector) { ioapic_eoi(((struct board *)bus)->ioapic, vector); }

/* Where there is an IOMMU. */
static void board_remap(struct irq_bus *bus, uint16_t source, uint64_t address, uint32_t data)
{
    iommu_message(((struct board *)bus)->iommu, source, address, data);
}

/* -- what leaves the board ---------------------------------------------------------------------------------------- */

static void board_request_reset(void *opaque, int line, bool level)
{
    struct board *b = opaque;

    (void)line;
    if (level && b->config.reset_requested)
        b->config.reset_requested(b->config.opaque);
}

static void board_power_off(void *opaque, int line, bool level)
{
    struct board *b = opaque;

    (void)line;
    if (level && b->config.powered_off)
        b->config.powered_off(b->config.opaque);
}

static void board_set_a20(void *opaque, int line, bool level)
{
    struct board *b = opaque;

    (void)line;
    phys_set_a20(b->phys, level);
    if (b->config.a20_changed)
        b->config.a20_changed(b->config.opaque, level);
}

/* -- memory ------------------------------------------------------------------------------------------------------- */

/* A PAM field has changed: DRAM or ROM for reads, DRAM or nothing for writes. */
static void board_set_segment(void *opaque, unsigned n, bool read_ram, bool write_ram)
{
    struct board *b = opaque;
    struct board_segment *s = &b->segment[n];
    bool firmware = b->config.bios_bytes != 0;
    uint8_t *read = read_ram || !firmware ? s->ram : s->rom, *write = write_ram || !firmware ? s->ram : NULL;

    if (s->memory.read == read && s->memory.write == write)
        return;
    s->memory.read = read;
    s->memory.write = write;
    s->memory.enabled = read || write;
    phys_memory_changed(b->phys);
}

static bool board_move_memory(struct phys_memory *m, uint64_t base, uint8_t *host)
{
    if (m->read == host && (!host || m->base == base))
        return false;
    m->base = base;
    m->read = m->write = host;
    m->enabled = host;
    return true;
}

/* The VGA's memory is plain here and there, or not any more. */
static void board_map_vga(void *opaque, const struct vga_mapping *mapping)
{
    struct board *b = opaque;
    bool linear = board_move_memory(&b->vga_linear, mapping->linear_base, mapping->linear_enabled ? mapping->linear : NULL);

    if (board_move_memory(&b->vga_window, VGA_WINDOW_BASE, mapping->window) || linear)
        phys_memory_changed(b->phys);
}

static void board_add_vga(struct board *b)
{
    b->vga_linear = (struct phys_memory){ .name = "vga", .size = VGA_MEMORY_BYTES, .priority = PRIORITY_RAM };
    b->vga_window = (struct phys_memory){ .name = "vga", .size = VGA_WINDOW_BYTES, .priority = PRIORITY_RAM };
    phys_add_memory(b->phys, &b->vga_linear);
    phys_add_memory(b->phys, &b->vga_window);
}

static uint8_t *board_map(uint64_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

static void board_fall_asleep(void *opaque, int line, bool level)
{
    struct board *b = opaque;

    (void)line;
    if (level && b->config.fell_asleep)
        b->config.fell_asleep(b->config.opaque);
}

static void board_be_woken(void *opaque, int line, bool level)
{
    struct board *b = opaque;

    (void)line;
    if (level && b->config.woken)
        b->config.woken(b->config.opaque);
}

static unsigned board_count_virtio(const struct board_config *c)
{
    unsigned n = c->disks + c->nets + c->shares;

    for (unsigned i = 0; i < BOARD_VIRTIOS; i++)
        n += c->virtio[i];
    return n;
}

static bool board_check_config(const struct board_config *c, struct err *err)
{
    if (c->ram_bytes < MIB(1) || c->ram_bytes & 0xfff || c->ram_bytes > GIB(1024))
        return err_set(err, "board: RAM of %llu bytes: must be 1 MiB to 1 TiB, in steps of 4 KiB",
                       (unsigned long long)c->ram_bytes);
    if (c->bios && (!c->bios_bytes || c->bios_bytes & 0xfff || c->bios_bytes > FLASH_MAX))
        return err_set(err, "board: firmware of %zu bytes: must be a multiple of 4 KiB up to 16 MiB", c->bios_bytes);
    if (!c->cpus || c->cpus > APIC_CPUS)
        return err_set(err, "board: %u CPUs: must be 1 to %u", c->cpus, APIC_CPUS);
    if (c->disks > BOARD_DISKS)
        return err_set(err, "board: %u disks: %u at most", c->disks, BOARD_DISKS);
    if (c->drives > AHCI_PORTS)
        return err_set(err, "board: %u SATA drives: %u at most", c->drives, AHCI_PORTS);
    if (c->shares > BOARD_SHARES)
        return err_set(err, "board: %u shared folders: %u at most", c->shares, BOARD_SHARES);
    if (c->nets > BOARD_NETS)
        return err_set(err, "board: %u network cards: %u at most", c->nets, BOARD_NETS);
    if (c->virtio_mmio && board_count_virtio(c) > BOARD_MMIOS)
        return err_set(err, "board: %u virtio devices on MMIO: %u at most", board_count_virtio(c), BOARD_MMIOS);
    return true;
}

static bool board_allocate(struct board *b, struct err *err)
{
    const struct board_config *c = &b->config;

    b->ram = board_map(c->ram_bytes);
    b->isa_rom = board_map(ISA_ROM_BYTES);
    b->flash = c->bios_bytes ? board_map(c->bios_bytes) : NULL;
    if (!b->ram || !b->isa_rom || (c->bios_bytes && !b->flash))
        return err_set(err, "board: no memory for %llu bytes of RAM", (unsigned long long)c->ram_bytes);
    memset(b->isa_rom, 0xff, ISA_ROM_BYTES);
    if (c->bios_bytes) {
        size_t tail = bits_min(c->bios_bytes, ISA_ROM_BYTES);

        memcpy(b->flash, c->bios, c->bios_bytes);
        memcpy(b->isa_rom + ISA_ROM_BYTES - tail, c->bios + c->bios_bytes - tail, tail);
    }
    return true;
}

static void board_add_memory(struct board *b, struct phys_memory *memory, const char *name, uint64_t base,
                             uint64_t size, uint8_t *host)
{
    *memory = (struct phys_memory){ .name = name, .base = base, .size = size, .read = host, .write = host,
                                    .enabled = true, .priority = PRIORITY_RAM };
    if (size)
        phys_add_memory(b->phys, memory);
}

static void board_add_segments(struct board *b)
{
    for (unsigned n = 0; n < SHADOW_SEGMENTS; n++) {
        struct board_segment *s = &b->segment[n];
        uint32_t base = shadow_base(n);

        s->ram = b->ram + base;
        s->rom = base >= MIB(1) - ISA_ROM_BYTES ? b->isa_rom + (base - (MIB(1) - ISA_ROM_BYTES)) : NULL;
        s->memory = (struct phys_memory){ .name = "shadow", .base = base, .size = shadow_size(n),
                                          .priority = PRIORITY_SEGMENT };
        phys_add_memory(b->phys, &s->memory);
    }
}

static void board_lay_out_memory(struct board *b)
{
    uint64_t ram = b->config.ram_bytes, low = bits_min(ram, BOARD_RAM_LOW_MAX);

    b->ram_low_bytes = low;
    b->ram_high_bytes = ram - low;
    board_add_memory(b, &b->ram_base, "ram", 0, 0xa0000, b->ram);
    board_add_memory(b, &b->ram_low, "ram", MIB(1), low - MIB(1), b->ram + MIB(1));
    board_add_memory(b, &b->ram_high, "ram", GIB(4), b->ram_high_bytes, b->ram + low);
    board_add_segments(b);
    if (b->flash) {
        b->rom_high = (struct phys_memory){ .name = "rom", .base = GIB(4) - b->config.bios_bytes,
                                            .size = b->config.bios_bytes, .read = b->flash, .enabled = true,
                                            .priority = PRIORITY_ROM };
        phys_add_memory(b->phys, &b->rom_high);
    }
}

/* -- devices ------------------------------------------------------------------------------------------------------ */

static const struct device_class *const board_virtio_class[BOARD_VIRTIOS] = {
    [BOARD_RNG] = &virtio_rng_class, [BOARD_HVC] = &virtio_console_class, [BOARD_BALLOON] = &virtio_balloon_class,
};

/* A function of bus 0: with an IOMMU, its way to memory leads through that. */
static struct device *board_create_function(struct board *b, const struct device_class *class, const struct device_host *host, unsigned slot)
{
    struct device_host own = *host;

    if (b->iommu)
        own.dma = iommu_dma(b->iommu, (uint8_t)PCI_DEVFN(slot, 0));
    return device_create(class, &own);
}

/* Off PCI there is no IOMMU in front of memory. */
static struct device *board_create_virtio(struct board *b, const struct device_class *class, const struct device_host *host, unsigned slot)
{
    return b->config.virtio_mmio ? device_create(class, host) : board_create_function(b, class, host, slot);
}

static void board_create_functions(struct board *b, const struct device_host *host)
{
    b->widereg = board_create_function(b, &widereg_class, host, BOARD_WIDEREG_SLOT);
    b->edu = b->config.edu ? board_create_function(b, &edu_class, host, BOARD_EDU_SLOT) : NULL;
    b->vga = b->config.vga ? board_create_function(b, &vga_class, host, BOARD_VGA_SLOT) : NULL;
    b->ahci = b->config.drives ? board_create_function(b, &ahci_class, host, BOARD_AHCI_SLOT) : NULL;
    for (unsigned i = 0; i < b->config.disks; i++)
        b->disk[i] = board_create_virtio(b, &virtio_blk_class, host, BOARD_DISK_SLOT + i);
    for (unsigned i = 0; i < b->config.nets; i++)
        b->net[i] = board_create_virtio(b, &virtio_net_class, host, BOARD_NET_SLOT + i);
    for (unsigned i = 0; i < b->config.shares; i++)
        b->share[i] = board_create_virtio(b, &virtio_9p_class, host, BOARD_SHARE_SLOT + i);
    for (unsigned i = 0; i < BOARD_VIRTIOS; i++)
        b->virtio[i] = b->config.virtio[i] ? board_create_virtio(b, board_virtio_class[i], host, BOARD_VIRTIO_SLOT + i) : NULL;
}

static void board_create_devices(struct board *b)
{
    struct device_host host = { .map = &b->phys->map, .clock = b->config.clock, .dma = b->config.dma,
                                .irq_bus = &b->irq_bus };

    b->iommu = b->config.iommu ? device_create(&iommu_class, &host) : NULL;
    b->irq_bus.remap = b->iommu ? board_remap : NULL;
    b->pic = device_create(&pic_class, &host);
    b->ioapic = device_create(&ioapic_class, &host);
    b->apic = device_create(&apic_class, &host);
    b->pit = device_create(&pit_class, &host);
    b->rtc = device_create(&rtc_class, &host);
    b->hpet = device_create(&hpet_class, &host);
    b->i8042 = device_create(&i8042_class, &host);
    for (unsigned i = 0; i < BOARD_COMS; i++)
        b->com[i] = device_create(&uart_class, &host);
    uart_place(b->com[1], 0x2f8);
    b->pci = device_create(&pci_class, &host);
    b->mch = device_create(&mch_class, &host);
    b->lpc = device_create(&lpc_class, &host);
    b->acpi_pm = device_create(&acpi_pm_class, &host);
    b->fw_cfg = device_create(&fw_cfg_class, &host);
    b->debugcon = device_create(&debugcon_class, &host);
    b->debug_exit = device_create(&debug_exit_class, &host);
    b->pvpanic = device_create(&pvpanic_class, &host);
    b->post = device_create(&post_class, &host);
    b->testdev = b->config.testdev ? device_create(&testdev_class, &host) : NULL;
    board_create_functions(b, &host);
}

static void board_wire_interrupts(struct board *b)
{
    for (unsigned n = 0; n < 16; n++)
        b->pic_line[n] = pic_input(b->pic, n);
    for (unsigned n = 0; n < IOAPIC_PINS; n++)
        b->ioapic_line[n] = ioapic_input(b->ioapic, n);
    for (unsigned i = 0; i < b->config.cpus; i++)
        if (b->config.pins[i])
            apic_connect_cpu(b->apic, i, b->config.pins[i]);
    b->lint0 = apic_lint0(b->apic);
    apic_connect_pic(b->apic, pic_acknowledge, b->pic);
    pic_connect(b->pic, (struct irq){ .set = board_set_int, .opaque = b });
    hpet_connect_legacy(b->hpet, 0, board_isa(b, 0));
    hpet_connect_legacy(b->hpet, 1, board_isa(b, 8));
    for (unsigned n = 0; n < IOAPIC_PINS; n++)
        hpet_connect_route(b->hpet, n,
                           (struct irq){ .set = board_set_route, .opaque = b, .line = LINE(n, SOURCE_HPET) });
    pit_connect(b->pit, hpet_legacy_input(b->hpet, 0));
    rtc_connect(b->rtc, (struct irq){ .set = board_set_rtc, .opaque = b });
    for (unsigned n = 0; b->testdev && n < TESTDEV_LINES; n++)
        testdev_connect(b->testdev, n, (struct irq){ .set = n < 16 ? board_set_isa : board_set_ioapic, .opaque = b,
                                                     .line = LINE(n, SOURCE_TESTDEV) });
    uart_connect(b->com[0], board_isa(b, 4), b->config.com[0]);
    uart_connect(b->com[1], board_isa(b, 3), b->config.com[1]);
}

/* ISA lines that nothing else here has, which the PICs have too, and those of PCI's pins. */
const uint8_t board_mmio_line[BOARD_MMIOS] = { 5, 6, 7, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23 };

/* A virtio device whose other end is connected: in its slot, or at the next window. */
static void board_plug(struct board *b, struct device *device, unsigned slot)
{
    unsigned n = b->mmios;

    if (!b->config.virtio_mmio) {
        virtio_pci_connect(device, b->pci, (uint8_t)PCI_DEVFN(slot, 0));
        return;
    }
    b->mmio[b->mmios++] = device_create(&virtio_mmio_class, &device->host);
    virtio_mmio_connect(b->mmio[n], device, BOARD_MMIO_BASE + n * VIRTIO_MMIO_BYTES,
                        (struct irq){ .set = board_mmio_line[n] < 16 ? board_set_isa : board_set_ioapic, .opaque = b,
                                      .line = LINE(board_mmio_line[n], SOURCE_VIRTIO) });
}

static void board_wire_chipset(struct board *b)
{
    struct lpc_wires lpc = { .acpi_pm = b->acpi_pm };
    struct pci_wires pci = { .reset = { .set = board_request_reset, .opaque = b } };
    struct acpi_pm_wires pm = { .sci = lpc_sci(b->lpc), .power_off = { .set = board_power_off, .opaque = b },
                                .sleep = { .set = board_fall_asleep, .opaque = b }, .wake = { .set = board_be_woken, .opaque = b } };
    struct shadow_sink shadow = { .set = board_set_segment, .opaque = b };

    for (unsigned n = 0; n < 16; n++)
        lpc.isa[n] = (struct irq){ .set = board_set_isa, .opaque = b, .line = LINE(n, SOURCE_LPC) };
    for (unsigned n = 0; n < 24; n++)
        lpc.gsi[n] = (struct irq){ .set = board_set_ioapic, .opaque = b, .line = LINE(n, SOURCE_LPC) };
    for (unsigned n = 0; n < 8; n++)
        pci.pirq[n] = lpc_pirq(b->lpc, n);
    pci_connect(b->pci, &pci);
    mch_connect(b->mch, b->pci, &shadow);
    lpc_connect(b->lpc, b->pci, &lpc);
    acpi_pm_connect(b->acpi_pm, &pm);
    widereg_connect(b->widereg, b->pci, PCI_DEVFN(BOARD_WIDEREG_SLOT, 0));
    if (b->edu)
        edu_connect(b->edu, b->pci, PCI_DEVFN(BOARD_EDU_SLOT, 0));
    if (b->vga) {
        board_add_vga(b);
        vga_connect(b->vga, b->pci, PCI_DEVFN(BOARD_VGA_SLOT, 0), &(struct vga_sink){ board_map_vga, b });
    }
    if (b->ahci)
        ahci_connect(b->ahci, b->pci, PCI_DEVFN(BOARD_AHCI_SLOT, 0), b->config.drive, b->config.drives);
}

static void board_release_from(const struct board *b, const struct phys_memory *ram, uint64_t gpa, uint64_t bytes)
{
    uint64_t from = gpa > ram->base ? gpa : ram->base, to = bits_min(gpa + bytes, ram->base + ram->size);
    uint64_t offset = ram->base < GIB(4) ? 0 : GIB(4) - b->ram_low_bytes;

    if (from < to)
        madvise(b->ram + (from - offset), to - from, MADV_DONTNEED);
}

/* The host gets the memory, and the guest zeros when it asks for it again.  What is below 1 MiB stays. */
static void board_release(void *opaque, uint64_t gpa, uint64_t bytes)
{
    const struct board *b = opaque;

    board_release_from(b, &b->ram_low, gpa, bytes);
    board_release_from(b, &b->ram_high, gpa, bytes);
}

static void board_wire_virtio(struct board *b)
{
    for (unsigned i = 0; i < b->config.disks; i++)
        virtio_blk_connect(b->disk[i], b->config.disk[i]), board_plug(b, b->disk[i], BOARD_DISK_SLOT + i);
    for (unsigned i = 0; i < b->config.nets; i++)
        virtio_net_connect(b->net[i], b->config.net[i]), board_plug(b, b->net[i], BOARD_NET_SLOT + i);
    for (unsigned i = 0; i < b->config.shares; i++)
        virtio_9p_connect(b->share[i], b->config.share[i]), board_plug(b, b->share[i], BOARD_SHARE_SLOT + i);
    if (b->virtio[BOARD_RNG])
        virtio_rng_connect(b->virtio[BOARD_RNG], b->config.random);
    if (b->virtio[BOARD_HVC])
        virtio_console_connect(b->virtio[BOARD_HVC], b->config.hvc);
    if (b->virtio[BOARD_BALLOON])
        virtio_balloon_connect(b->virtio[BOARD_BALLOON], board_release, b);
    for (unsigned i = 0; i < BOARD_VIRTIOS; i++)
        if (b->virtio[i])
            board_plug(b, b->virtio[i], BOARD_VIRTIO_SLOT + i);
}

static void board_wire_rest(struct board *b)
{
    struct i8042_wires keyboard = {
        .keyboard = board_isa(b, 1), .auxiliary = board_isa(b, 12),
        .a20 = { .set = board_set_a20, .opaque = b }, .reset = { .set = board_request_reset, .opaque = b },
    };

    i8042_connect(b->i8042, &keyboard);
    debugcon_connect(b->debugcon, b->config.debugcon);
    pvpanic_connect(b->pvpanic, b->config.panicked, b->config.opaque);
    debug_exit_connect(b->debug_exit, b->config.debug_exited, b->config.opaque);
}

/* -- life --------------------------------------------------------------------------------------------------------- */

struct device *board_device(const struct board *b, unsigned i)
{
    struct device *const all[] = {
        b->pci, b->mch, b->lpc, b->acpi_pm, b->widereg,       /* first who owns address space */
        b->i8042, b->com[0], b->com[1], b->fw_cfg, b->debugcon, b->debug_exit, b->pvpanic, b->post,
        b->pit, b->rtc, b->hpet,                              /* then who raises lines */
        b->pic, b->ioapic, b->apic,                           /* last who collects them */
    };

    if (i < b->config.disks)
        return b->disk[i];
    i -= b->config.disks;
    if (i < b->config.nets)
        return b->net[i];
    i -= b->config.nets;
    if (i < b->config.shares)
        return b->share[i];
    i -= b->config.shares;
    for (unsigned n = 0; n < BOARD_VIRTIOS; n++)
        if (b->virtio[n] && i-- == 0)
            return b->virtio[n];
    if (i < b->mmios)
        return b->mmio[i];
    i -= b->mmios;
    if (b->testdev && i-- == 0)
        return b->testdev;
    if (b->edu && i-- == 0)
        return b->edu;
    if (b->ahci && i-- == 0)
        return b->ahci;
    if (b->iommu && i-- == 0)
        return b->iommu;
    if (b->vga && i-- == 0)
        return b->vga;
    return i < ARRAY_LEN(all) ? all[i] : NULL;
}

uint64_t board_next_interrupt(const struct board *b)
{
    bool masked = pic_is_masked(b->pic, 0) && ioapic_is_masked(b->ioapic, 2);

    return clock_next_but(b->config.clock, masked ? pit_timer(b->pit) : NULL);
}

bool board_has_unmaskable(const struct board *b) { return ioapic_has_unmaskable(b->ioapic) || apic_lint0_is_nmi(b->apic); }

void board_reset(struct board *b)
{
    struct device *device;

    for (unsigned i = 0; (device = board_device(b, i)); i++)
        device_reset(device);
    if (!b->config.bios_bytes)
        board_stand_in_for_firmware(b);
}

void board_sleep(struct board *b)
{
    struct device *device;

    for (unsigned i = 0; (device = board_device(b, i)); i++)
        if (device != b->acpi_pm && device != b->rtc && device != b->mch)
            device_reset(device);
}

/* What firmware looks at to know that it is not to boot: the shutdown byte of the AT, with a value that SeaBIOS resumes for. */
uint32_t board_wake(struct board *b)
{
    enum { SHUTDOWN = 0x0f, RESUME = 0xfe };
    const uint8_t *vector = b->ram + BOARD_ACPI + ACPI_WAKING_VECTOR;
    struct device *device;

    for (unsigned i = 0; (device = board_device(b, i)); i++)
        if (device != b->mch)
            device_reset(device);
    rtc_set_cmos(b->rtc, SHUTDOWN, RESUME);
    if (b->config.bios_bytes)
        return 0;
    board_place_chipset(b);
    return vector[0] | vector[1] << 8 | vector[2] << 16 | (uint32_t)vector[3] << 24;
}

/* Private pages without a file are zeros when they come back. */
void board_clear_ram(struct board *b)
{
    if (madvise(b->ram, b->config.ram_bytes, MADV_DONTNEED))
        memset(b->ram, 0, b->config.ram_bytes);
}

static void board_free_memory(struct board *b)
{
    if (b->ram)
        munmap(b->ram, b->config.ram_bytes);
    if (b->isa_rom)
        munmap(b->isa_rom, ISA_ROM_BYTES);
    if (b->flash)
        munmap(b->flash, b->config.bios_bytes);
    free(b);
}

struct board *board_create(const struct board_config *config, struct phys *phys, struct err *err)
{
    struct board *b;

    if (!board_check_config(config, err))
        return NULL;
    b = calloc(1, sizeof(*b));
    if (!b) {
        err_set(err, "board: out of memory");
        return NULL;
    }
    b->config = *config;
    if (!config->bios)
        b->config.bios_bytes = 0;
    b->phys = phys;
    b->irq_bus = (struct irq_bus){ .deliver = board_deliver, .eoi = board_eoi };
    if (!board_allocate(b, err)) {
        board_free_memory(b);
        return NULL;
    }
    b->config.bios = NULL; /* copied */
    board_lay_out_memory(b);
    board_create_devices(b);
    board_wire_interrupts(b);
    board_wire_chipset(b);
    board_wire_virtio(b);
    b->config.net = NULL; /* each card has its own now */
    board_wire_rest(b);
    board_fill_cmos(b);
    board_fill_fw_cfg(b);
    board_reset(b);
    return b;
}

void board_destroy(struct board *b)
{
    if (!b)
        return;
    for (unsigned i = 0; board_device(b, i); i++)
        device_destroy(board_device(b, i));
    board_free_memory(b);
}
