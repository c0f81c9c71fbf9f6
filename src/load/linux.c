/*
 * linux.c - a Linux bzImage and its initrd, as the 64-bit boot protocol has them
 * (Documentation/arch/x86/boot.rst, zero-page.rst).
 *
 * The kernel goes where it prefers to be, the initrd to the top of the memory that it can reach, the zero page and the
 * command line to where image.h says.  Not done: the 16-bit and the 32-bit entry, which kernels before 3.8 need.
 */
#include "load/image.h"

#include "board.h"

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

enum { XLF_KERNEL_64 = 1, LOADER_UNKNOWN = 0xff, PROTOCOL_LEAST = 0x20c, ENTRY_64 = 0x200, LINUX_CMDLINE_BYTES = 2048 };

static uint64_t get(const uint8_t *p, unsigned at, unsigned width)
{
    uint64_t v = 0;

    memcpy(&v, p + at, width);
    return v;
}

static void put(uint8_t *p, unsigned at, uint64_t v, unsigned width) { memcpy(p + at, &v, width); }

bool linux_is(const uint8_t *data, size_t size) { return size > HEADER_BYTES && !memcmp(data + MAGIC, "HdrS", 4); }

/* -- the zero page ---------------------------------------------------------------------------------------------------- */

static void put_memory_map(uint8_t *zero, const struct image *im)
{
    struct memory_range range[MEMORY_RANGES];
    unsigned n = image_memory(im, range);

    zero[E820_ENTRIES] = (uint8_t)n;
    for (unsigned i = 0; i < n; i++) {
        put(zero, E820_TABLE + i * E820_BYTES, range[i].base, 8);
        put(zero, E820_TABLE + i * E820_BYTES + 8, range[i].bytes, 8);
        put(zero, E820_TABLE + i * E820_BYTES + 16, range[i].type, 4);
    }
}

static void put_zero_page(uint8_t *zero, const struct image *im, uint64_t initrd, uint64_t initrd_bytes)
{
    size_t header = bits_min(MAGIC + im->data[HEADER_END], HEADER_BYTES) - HEADER;

    memset(zero, 0, ZERO_PAGE_BYTES);
    memcpy(zero + HEADER, im->data + HEADER, header);
    zero[LOADER] = LOADER_UNKNOWN;
    put(zero, CMDLINE, LINUX_CMDLINE_AT, 4);
    put(zero, RAMDISK, initrd, 4);
    put(zero, RAMDISK_SIZE, initrd_bytes, 4);
    put(zero, RSDP, im->k->rsdp, 8);
    put_memory_map(zero, im);
}

/* -- pieces ------------------------------------------------------------------------------------------------------------- */

/* Where the kernel goes, and what it needs there. */
static bool place_kernel(struct image *im, uint64_t *at)
{
    size_t setup = ((size_t)(im->data[SETUP_SECTS] ? im->data[SETUP_SECTS] : 4) + 1) * 512;
    uint64_t low = image_ram_low(im), needs = get(im->data, INIT_SIZE, 4);

    if (get(im->data, VERSION, 2) < PROTOCOL_LEAST || !(get(im->data, XLOADFLAGS, 2) & XLF_KERNEL_64))
        return image_bad(im, "a Linux kernel without the 64-bit entry (before 3.8, or 32-bit)");
    if (setup + ENTRY_64 >= im->size)
        return image_bad(im, "truncated: the kernel ends within its set-up");
    *at = get(im->data, PREFERRED, 8);
    needs = bits_max(needs, im->size - setup);
    if (*at < MIB(1) || *at > UINT32_MAX)
        return image_bad(im, "a Linux kernel that prefers an address where no kernel can be");
    if (*at >= low || needs > low - *at)
        return err_set(im->err, "%s: needs memory up to %" PRIu64 " MiB (--memory)", im->k->path, (*at + needs + MIB(1) - 1) >> 20);
    return image_place(im, *at, setup, im->size - setup, needs);
}

static bool place_cmdline(const struct image *im)
{
    const char *line = im->k->append ? im->k->append : "";
    size_t n = strlen(line) + 1, most = bits_min(LINUX_CMDLINE_BYTES, get(im->data, CMDLINE_SIZE, 4) + 1);

    if (n > most)
        return err_set(im->err, "--append: longer than the %zu bytes that the kernel takes", most - 1);
    image_put(im, LINUX_CMDLINE_AT, line, n);
    return true;
}

/* Linux wants its own selectors: 10 for code, 18 for data. */
static void enter(const struct image *im, uint64_t entry)
{
    const uint64_t gdt[] = { 0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff };
    struct cpu *cpu = im->cpu;

    image_enter_long(im, entry);
    image_put(im, GDT_AT, gdt, sizeof(gdt));
    cpu->gdtr.limit = sizeof(gdt) - 1;
    for (unsigned i = 0; i < SEG_LDTR; i++)
        cpu->seg[i].selector += 8;
    cpu->slot[RSI] = ZERO_PAGE_AT;
}

bool linux_load(struct image *im)
{
    uint64_t at = 0, initrd;
    size_t initrd_bytes;

    if (!place_kernel(im, &at) || !image_place_initrd(im, get(im->data, INITRD_MAX, 4) + 1, &initrd, &initrd_bytes) || !place_cmdline(im))
        return false;
    put_zero_page(phys_writable(im->phys, ZERO_PAGE_AT, ZERO_PAGE_BYTES), im, initrd, initrd_bytes);
    enter(im, at + ENTRY_64);
    return true;
}
