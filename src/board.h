/*
 * board.h - the PC: RAM, ROM and devices on one physical map, wired and reset in a written order.
 *
 * The board owns RAM, ROM and devices; the physical map, the clock, the DMA path, the CPU pins and the backends are
 * lent to it and must outlive it.
 */
#ifndef BOARD_H
#define BOARD_H

#include "ahci.h"
#include "apic.h"
#include "backend.h"
#include "base/err.h"
#include "block.h"
#include "clock.h"
#include "device.h"
#include "dma.h"
#include "net.h"
#include "phys.h"
#include "shadow.h"
#include "share.h"
#include "vga.h"

#define BOARD_COMS 2
#define BOARD_RAM_LOW_MAX UINT64_C(0x80000000) /* RAM beyond it stands at 4 GiB */
#define BOARD_WIDEREG_BASE UINT64_C(0xfe000000) /* BAR of widereg where no firmware gives it one */
#define BOARD_ECAM_BASE UINT64_C(0xb0000000)
#define BOARD_PM_BASE 0x600
#define BOARD_ACPI (BOARD_RSDP + 64)
#define BOARD_RSDP 0xe0000 /* of ACPI's tables, where no firmware places them */
#define BOARD_SMBIOS 0xf0000 /* ... and of SMBIOS's */
#define BOARD_VGA_SLOT 1
#define BOARD_VGA_BASE UINT64_C(0xfd000000)
#define BOARD_AHCI_SLOT 2
#define BOARD_AHCI_BASE UINT64_C(0xfe300000)
#define BOARD_EDU_SLOT 3
#define BOARD_EDU_BASE UINT64_C(0xfe400000)
#define BOARD_WIDEREG_SLOT 4
#define BOARD_DISK_SLOT 5  /* of the first disk */
#define BOARD_DISKS 16
#define BOARD_DISK_BASE UINT64_C(0xfe100000) /* their BARs where no firmware gives them one, 64 KiB apart */
#define BOARD_NET_SLOT (BOARD_DISK_SLOT + BOARD_DISKS) /* of the first network card */
#define BOARD_NETS 4
#define BOARD_NET_BASE UINT64_C(0xfe200000)  /* ... likewise */
#define BOARD_VIRTIO_SLOT (BOARD_NET_SLOT + BOARD_NETS) /* of the first of the virtio devices that there is one of */
#define BOARD_VIRTIO_BASE UINT64_C(0xfe240000) /* ... likewise */
#define BOARD_SHARE_SLOT (BOARD_VIRTIO_SLOT + BOARD_VIRTIOS) /* of the first shared folder */
#define BOARD_SHARES 3
#define BOARD_MMIO_BASE UINT64_C(0xfed60000) /* of the windows of virtio devices, where they are not on PCI */
#define BOARD_MMIOS 13 /* a line of the I/O APIC for each */
#define BOARD_SHARE_BASE UINT64_C(0xfe280000)  /* ... likewise */

enum board_virtio { BOARD_RNG, BOARD_HVC, BOARD_BALLOON, BOARD_VIRTIOS };

struct board_config {
    uint64_t ram_bytes;         /* 1 MiB or more, a multiple of 4 KiB */
    const uint8_t *bios;        /* NULL: none; the board is then left as firmware would leave it */
    size_t bios_bytes;          /* a multiple of 4 KiB up to 16 MiB; copied */
    int64_t start_time;         /* of the real-time clock: seconds since 1970 */
    struct clock *clock;
    struct dma *dma;            /* how devices reach guest memory */
    unsigned cpus;
    struct cpu_pins *pins[APIC_CPUS];
    struct char_backend *com[BOARD_COMS]; /* may be NULL */
    struct char_backend *debugcon;
    struct block_backend *const *disk; /* so many, up to BOARD_DISKS; they outlive the board */
    unsigned disks;
    const struct ahci_drive *drive;    /* so many, up to AHCI_PORTS; the controller is there if they are */
    unsigned drives;
    struct net_backend *const *net;    /* so many network cards, up to BOARD_NETS; the backends outlive the board */
    unsigned nets;
    struct share_backend *const *share; /* so many shared folders, up to BOARD_SHARES; likewise */
    unsigned shares;
    bool virtio[BOARD_VIRTIOS];        /* is it there? */
    bool virtio_mmio;                  /* all these are on MMIO, not on PCI: up to BOARD_MMIOS together */
    void (*random)(void *data, size_t bytes); /* where BOARD_RNG has its bytes from; NULL: the same in every run */
    struct char_backend *hvc;          /* BOARD_HVC's; may be NULL */
    bool testdev, vga, edu, iommu;
    const uint8_t *vgabios;     /* what firmware runs to set the VGA up; NULL: nothing; copied */
    size_t vgabios_bytes;
    const char *boot;           /* what firmware boots from, first to last: c disks, d CD-ROMs, n network; NULL: its own mind */
    bool boot_menu;
    /* Callbacks, called from within a device access; any may be NULL. */
    void (*reset_requested)(void *opaque);
    void (*powered_off)(void *opaque);
    void (*fell_asleep)(void *opaque); /* who carries it out calls board_sleep(), and board_wake() some time after ... */
    void (*woken)(void *opaque);       /* ... this */
    void (*debug_exited)(void *opaque, uint32_t value);
    void (*panicked)(void *opaque);
    void (*a20_changed)(void *opaque, bool on); /* after phys_set_a20() */
    void *opaque;
};

struct board_segment { /* below 1 MiB, see devices/shadow.h */
    struct phys_memory memory;
    uint8_t *ram, *rom;
};

struct board {
    struct irq_bus irq_bus;     /* first, so that it can be cast back */
    struct board_config config;
    struct phys *phys;
    uint8_t *ram, *flash, *isa_rom;
    uint64_t ram_low_bytes, ram_high_bytes;
    struct phys_memory ram_base, ram_low, ram_high, rom_high, vga_linear, vga_window;
    struct board_segment segment[SHADOW_SEGMENTS];
    struct irq pic_line[16], ioapic_line[24], lint0;
    uint8_t pic_sources[16], ioapic_sources[24]; /* who holds a line up, a bit per source */
    struct device *pic, *ioapic, *apic, *pit, *rtc, *hpet, *i8042, *com[BOARD_COMS];
    struct device *pci, *mch, *lpc, *acpi_pm, *fw_cfg, *debugcon, *debug_exit, *pvpanic, *post, *widereg;
    struct device *testdev, *ahci, *vga, *edu, *iommu; /* or NULL */
    struct device *disk[BOARD_DISKS];
    struct device *net[BOARD_NETS], *virtio[BOARD_VIRTIOS], *share[BOARD_SHARES];
    struct device *mmio[BOARD_MMIOS]; /* the transports of these, in the order in which the board plugs them in */
    unsigned mmios;
};

/* NULL and err if the configuration is not one, or there is no memory.  The devices are reset. */
struct board *board_create(const struct board_config *config, struct phys *phys, struct err *err);

/* Power-on state of every device and of the map; RAM keeps its contents.  CPUs are the caller's. */
void board_reset(struct board *board);

/* Suspend to RAM: of all devices what has a battery, and the memory controller, go on. */
void board_sleep(struct board *board);
/* As after a reset, with the guest's memory as it left it.  Without firmware: where the guest goes on, in real mode; else 0. */
uint32_t board_wake(struct board *board);

/* ... and its contents, for who loads a guest anew. */
void board_clear_ram(struct board *board);

/* phys_free() comes first: the map still points into the board's devices and memory. */
void board_destroy(struct board *board);

/* The next deadline that may be an interrupt: the interval timer runs on where both controllers mask it. */
uint64_t board_next_interrupt(const struct board *board);

/* Can an interrupt come that no CPU refuses? */
bool board_has_unmaskable(const struct board *board);

/* All devices the board has, in the order they are reset; NULL beyond the last. */
struct device *board_device(const struct board *board, unsigned i);

#endif
