/*
 * load_linux.c - a Linux bzImage and its initrd, as the 64-bit boot protocol has them
 * (Documentation/arch/x86/boot.rst, zero-page.rst).
 *
 * The kernel goes where it prefers to be, the initrd to the top of the memory that it can reach, the zero page and the
 * command line to 576 KiB.  Not done: the 16-bit and the 32-bit entry, which kernels before 3.8 need.
 */
#include "load_linux.h"

#include "board.h"
#include "load.h"

#include <glib.h>
#include <inttypes.h>
#include <string.h>

/* Offsets in the setup header, which are those in the zero page. */
enum {
    SETUP_SECTS = 0x1f1, HEADER = 0x1f1, HEADER_END = 0x201, MAGIC = 0x202, VERSION = 0x206, LOADER = 0x210, LOADFLAGS = 0x211, RAMDISK = 0x218,
    RAMDISK_SIZE = 0x21c, HEAP_END = 0x224, CMDLINE = 0x228, INITRD_MAX = 0x22c, ALIGNMENT = 0x230, RELOCATABLE = 0x234, XLOADFLAGS = 0x236,
    CMDLINE_SIZE = 0x238, PREFERRED = 0x258, INIT_SIZE = 0x260, HEADER_BYTES = 0x268
};

/* ... and what the zero page has besides. */
enum { RSDP = 0x70, E820_ENTRIES = 0x1e8, E820_TABLE = 0x2d0, E820_BYTES = 20, ZERO_PAGE_BYTES = 4096 };

enum { XLF_KERNEL_64 = 1, LOADER_UNKNOWN = 0xff, PROTOCOL_LEAST = 0x20c, E820_RAM = 1, E820_RESERVED = 2, ENTRY_64 = 0x200 };
enum { ZERO_PAGE_AT = LOAD_BOOT_AT + 0x8000, CMDLINE_AT = ZERO_PAGE_AT + ZERO_PAGE_BYTES, CMDLINE_BYTES = 2048 };
#define INITRD_BYTES_MAX ((size_t)1 << 31)

static uint64_t get(const uint8_t *p, unsigned at, unsigned width)
{
    uint64_t v = 0;

    memcpy(&v, p + at, width);
    return v;
}

static void put(uint8_t *p, unsigned at, uint64_t v, unsigned width) { memcpy(p + at, &v, width); }

bool linux_is(const uint8_t *data, size_t size) { return size > HEADER_BYTES && !memcmp(data + MAGIC, "HdrS", 4); }

static uint64_t ram_low(const struct linux_boot *b) { return bits_min(b->ram_bytes, BOARD_RAM_LOW_MAX); }

static bool bad(const struct linux_boot *b, struct err *err, const char *why) { return err_set(err, "%s: %s", b->path, why); }

/* -- the zero page ---------------------------------------------------------------------------------------------------- */

static void put_e820(uint8_t *zero, uint64_t base, uint64_t bytes, uint32_t type)
{
    unsigned n = zero[E820_ENTRIES]++, at = E820_TABLE + n * E820_BYTES;

    put(zero, at, base, 8);
    put(zero, at + 8, bytes, 8);
    put(zero, at + 16, type, 4);
}

static void put_memory_map(uint8_t *zero, const struct linux_boot *b)
{
    uint64_t low = ram_low(b);

    put_e820(zero, 0, LOAD_LOW_TOP, E820_RAM);
    put_e820(zero, LOAD_LOW_TOP, 0x100000 - LOAD_LOW_TOP, E820_RESERVED);
    put_e820(zero, 0x100000, low - 0x100000, E820_RAM);
    put_e820(zero, BOARD_ECAM_BASE, 0x10000000, E820_RESERVED);
    if (b->ram_bytes > low)
        put_e820(zero, UINT64_C(1) << 32, b->ram_bytes - low, E820_RAM);
}

static void put_zero_page(uint8_t *zero, const struct linux_boot *b, uint64_t initrd, uint64_t initrd_bytes)
{
    unsigned header = bits_min(MAGIC + b->data[HEADER_END], HEADER_BYTES) - HEADER;

    memset(zero, 0, ZERO_PAGE_BYTES);
    memcpy(zero + HEADER, b->data + HEADER, header);
    zero[LOADER] = LOADER_UNKNOWN;
    put(zero, CMDLINE, CMDLINE_AT, 4);
    put(zero, RAMDISK, initrd, 4);
    put(zero, RAMDISK_SIZE, initrd_bytes, 4);
    put(zero, RSDP, b->rsdp, 8);
    put_memory_map(zero, b);
}

/* -- pieces ------------------------------------------------------------------------------------------------------------- */

/* Where the kernel goes, and the end of what it needs there. */
static bool place_kernel(struct phys *phys, const struct linux_boot *b, uint64_t *at, uint64_t *end, struct err *err)
{
    size_t setup = ((size_t)(b->data[SETUP_SECTS] ? b->data[SETUP_SECTS] : 4) + 1) * 512;
    uint64_t needs = get(b->data, INIT_SIZE, 4);
    uint8_t *host;

    if (get(b->data, VERSION, 2) < PROTOCOL_LEAST || !(get(b->data, XLOADFLAGS, 2) & XLF_KERNEL_64))
        return bad(b, err, "a Linux kernel without the 64-bit entry (before 3.8, or 32-bit)");
    if (setup + ENTRY_64 >= b->size)
        return bad(b, err, "truncated: the kernel ends within its set-up");
    *at = get(b->data, PREFERRED, 8);
    *end = *at + bits_min(needs, UINT32_MAX);
    needs = *end - *at > b->size - setup ? *end - *at : b->size - setup;
    if (*at < 0x100000 || *at >= ram_low(b) || needs > ram_low(b) - *at)
        return err_set(err, "%s: needs memory up to %" PRIu64 " MiB (--memory)", b->path, ((*at & 0xffffffff) + needs + MIB(1) - 1) >> 20);
    *end = *at + needs;
    host = phys_writable(phys, *at, b->size - setup);
    if (!host)
        return bad(b, err, "does not lie in RAM");
    memcpy(host, b->data + setup, b->size - setup);
    return true;
}

/* At the top of what the kernel can reach. */
static bool place_initrd(struct phys *phys, const struct linux_boot *b, uint64_t kernel_end, uint64_t *at, size_t *bytes, struct err *err)
{
    uint64_t top = bits_min(ram_low(b), get(b->data, INITRD_MAX, 4) + 1);
    uint8_t *data, *host;

    *at = *bytes = 0;
    if (!b->initrd)
        return true;
    data = load_file(b->initrd, INITRD_BYTES_MAX, bytes, err);
    if (!data)
        return false;
    *at = bits_align_down(top - bits_min(*bytes, top), PAGE_BYTES);
    host = *at >= kernel_end ? phys_writable(phys, *at, *bytes) : NULL;
    if (host)
        memcpy(host, data, *bytes);
    g_free(data);
    return host || err_set(err, "%s: %zu MiB do not fit behind the kernel (--memory)", b->initrd, (*bytes >> 20) + 1);
}

static bool place_cmdline(struct phys *phys, const struct linux_boot *b, struct err *err)
{
    const char *line = b->append ? b->append : "";
    size_t n = strlen(line) + 1;

    if (n > CMDLINE_BYTES || n > get(b->data, CMDLINE_SIZE, 4) + 1)
        return err_set(err, "--append: longer than the kernel takes (%" PRIu64 ")", bits_min(CMDLINE_BYTES - 1, get(b->data, CMDLINE_SIZE, 4)));
    memcpy(phys_writable(phys, CMDLINE_AT, n), line, n);
    return true;
}

/* Linux wants its own selectors: 10 for code, 18 for data. */
static void enter(struct phys *phys, struct cpu *cpu, uint64_t entry)
{
    const uint64_t gdt[] = { 0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff };

    load_long_mode(phys, cpu, entry);
    memcpy(phys_writable(phys, LOAD_BOOT_AT, sizeof(gdt)), gdt, sizeof(gdt));
    cpu->gdtr.limit = sizeof(gdt) - 1;
    for (unsigned i = 0; i < SEG_LDTR; i++)
        cpu->seg[i].selector += 8;
    cpu->slot[RSI] = ZERO_PAGE_AT;
}

bool linux_load(struct phys *phys, struct cpu *cpu, const struct linux_boot *b, struct err *err)
{
    uint64_t at, end, initrd;
    size_t initrd_bytes;

    if (!place_kernel(phys, b, &at, &end, err) || !place_initrd(phys, b, end, &initrd, &initrd_bytes, err) || !place_cmdline(phys, b, err))
        return false;
    put_zero_page(phys_writable(phys, ZERO_PAGE_AT, ZERO_PAGE_BYTES), b, initrd, initrd_bytes);
    enter(phys, cpu, at + ENTRY_64);
    return true;
}
