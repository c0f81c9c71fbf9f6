/*
 * load.c - guest images into RAM: which format it is, files, memory and the CPU's state at an entry.
 *
 * Every number in an image is checked against the file and against RAM before anything is copied.
 */
#include "load/image.h"

#include "board.h"

#include <errno.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { KERNEL_MAX = 256 << 20 };
#define INITRD_MAX ((size_t)1 << 31)

/* -- files ---------------------------------------------------------------------------------------------------------- */

static bool load_check_file(FILE *f, const char *path, size_t max, size_t *size, struct err *err)
{
    struct stat st;

    if (fstat(fileno(f), &st) < 0)
        return err_set(err, "%s: %s", path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return err_set(err, "%s: is a directory", path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, "%s: not a regular file", path);
    if (st.st_size == 0)
        return err_set(err, "%s: empty file", path);
    if ((uint64_t)st.st_size > max)
        return err_set(err, "%s: %lld bytes are more than the %zu that fit", path, (long long)st.st_size, max);
    *size = (size_t)st.st_size;
    return true;
}

uint8_t *load_file(const char *path, size_t max, size_t *size, struct err *err)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data;

    if (!f) {
        err_set(err, "%s: %s", path, strerror(errno));
        return NULL;
    }
    if (!load_check_file(f, path, max, size, err)) {
        fclose(f);
        return NULL;
    }
    data = g_malloc(*size);
    if (fread(data, 1, *size, f) != *size) {
        err_set(err, "%s: cannot be read", path);
        g_free(data);
        data = NULL;
    }
    fclose(f);
    return data;
}

/* -- into RAM --------------------------------------------------------------------------------------------------------- */

bool image_bad(const struct image *im, const char *why) { return err_set(im->err, "%s: %s", im->k->path, why); }

bool image_place(struct image *im, uint64_t gpa, uint64_t offset, uint64_t file_size, uint64_t size)
{
    uint8_t *host;

    if (file_size > size || offset > im->size || file_size > im->size - offset)
        return image_bad(im, "truncated: a segment lies beyond the end of the file");
    if (!size)
        return true;
    if (gpa < LOW_TOP && gpa + size > BOOT_AT && gpa + size > gpa && !im->is_flat)
        return image_bad(im, "a segment lies at 576 KiB, where the boot information goes");
    host = gpa + size > gpa ? phys_writable(im->phys, gpa, size) : NULL;
    if (!host)
        return err_set(im->err, "%s: a segment of %" G_GUINT64_FORMAT " bytes at %#" G_GINT64_MODIFIER "x does not lie in RAM",
                       im->k->path, size, gpa);
    memcpy(host, im->data + offset, file_size);
    memset(host + file_size, 0, size - file_size);
    if (gpa < BOARD_RAM_LOW_MAX)
        im->end = bits_max(im->end, gpa + size);
    return true;
}

void image_put(const struct image *im, uint64_t gpa, const void *data, size_t size) { memcpy(phys_writable(im->phys, gpa, size), data, size); }

void image_put_cmdline(const struct image *im)
{
    char line[CMDLINE_MAX] = "";

    g_strlcpy(line, im->k->append ? im->k->append : "", sizeof(line));
    image_put(im, CMDLINE_AT, line, sizeof(line));
}

bool image_place_initrd(const struct image *im, uint64_t top, uint64_t *at, size_t *bytes)
{
    uint8_t *data, *host;

    *at = *bytes = 0;
    if (!im->k->initrd)
        return true;
    data = load_file(im->k->initrd, INITRD_MAX, bytes, im->err);
    if (!data)
        return false;
    top = bits_min(top, image_ram_low(im));
    *at = bits_align_down(top - bits_min(*bytes, top), PAGE_BYTES);
    host = *at >= im->end ? phys_writable(im->phys, *at, *bytes) : NULL;
    if (host)
        memcpy(host, data, *bytes);
    g_free(data);
    return host || err_set(im->err, "%s: %zu MiB do not fit behind the kernel (--memory)", im->k->initrd, (*bytes >> 20) + 1);
}

/* -- the map of memory -------------------------------------------------------------------------------------------------- */

uint64_t image_ram_low(const struct image *im) { return bits_min(im->k->ram_bytes, BOARD_RAM_LOW_MAX); }

unsigned image_memory(const struct image *im, struct memory_range range[MEMORY_RANGES])
{
    uint64_t low = image_ram_low(im);
    unsigned n = 0;

    range[n++] = (struct memory_range){ 0, LOW_TOP, MEMORY_RAM };
    range[n++] = (struct memory_range){ LOW_TOP, MIB(1) - LOW_TOP, MEMORY_RESERVED };
    range[n++] = (struct memory_range){ MIB(1), low - MIB(1), MEMORY_RAM };
    range[n++] = (struct memory_range){ BOARD_ECAM_BASE, MIB(256), MEMORY_RESERVED };
    if (im->k->ram_bytes > low)
        range[n++] = (struct memory_range){ GIB(4), im->k->ram_bytes - low, MEMORY_RAM };
    return n;
}

/* -- CPU states ----------------------------------------------------------------------------------------------------------- */

static struct segment load_segment(uint16_t selector, bool code, bool l)
{
    return (struct segment){ .selector = selector, .limit = UINT32_MAX,
                             .ar = AR_P | AR_S | AR_G | AR_WRITABLE | AR_ACCESSED | (code ? AR_CODE : 0) | (l ? AR_L : AR_DB) };
}

static void enter_flat(const struct image *im, uint64_t entry, bool long_mode)
{
    const uint64_t gdt[] = { 0, long_mode ? 0x00af9b000000ffff : 0x00cf9b000000ffff, 0x00cf93000000ffff };
    struct cpu *cpu = im->cpu;

    image_put(im, GDT_AT, gdt, sizeof(gdt));
    cpu->gdtr = (struct descriptor_table){ .base = GDT_AT, .limit = sizeof(gdt) - 1 };
    cpu->idtr = (struct descriptor_table){ 0 };
    for (unsigned i = 0; i < 6; i++)
        cpu->seg[i] = i == SEG_CS ? load_segment(8, true, long_mode) : load_segment(16, false, false);
    cpu->cr0 = CR0_PE | CR0_ET;
    cpu->rip = entry;
    cpu->slot[RSP] = STACK_TOP;
}

void image_enter_protected(const struct image *im, uint64_t entry) { enter_flat(im, entry, false); }

void image_enter_long(const struct image *im, uint64_t entry)
{
    uint64_t table[512] = { (TABLES_AT + 0x1000) | 3 };
    struct cpu *cpu = im->cpu;

    enter_flat(im, entry, true);
    image_put(im, TABLES_AT, table, sizeof(table));
    for (unsigned i = 0; i < 4; i++)
        table[i] = (TABLES_AT + 0x2000 + i * 0x1000) | 3;
    image_put(im, TABLES_AT + 0x1000, table, sizeof(table));
    for (unsigned page = 0; page < 4; page++) {
        for (unsigned i = 0; i < 512; i++)
            table[i] = ((uint64_t)page * 512 + i) << 21 | 0x83;
        image_put(im, TABLES_AT + 0x2000 + page * 0x1000, table, sizeof(table));
    }
    cpu->cr3 = TABLES_AT;
    cpu->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;
    cpu->efer = EFER_LME | EFER_LMA;
    cpu->cr0 |= CR0_PG | CR0_NE | CR0_MP | CR0_WP;
}

/* -- which format ----------------------------------------------------------------------------------------------------------- */

static bool load_any(struct image *im)
{
    const uint8_t *multiboot = multiboot_find(im);

    if (linux_is(im->data, im->size))
        return linux_load(im);
    if (multiboot)
        return multiboot_load(im, multiboot);
    return elf_is(im) ? elf_load(im) : image_bad(im, "neither a Linux kernel nor multiboot nor ELF");
}

bool load_kernel(struct phys *phys, struct cpu *cpu, const struct load_kernel *k, struct err *err)
{
    struct image im = { .k = k, .phys = phys, .cpu = cpu, .err = err };
    uint8_t *data = load_file(k->path, KERNEL_MAX, &im.size, err);
    bool ok;

    if (!data)
        return false;
    im.data = data;
    ok = load_any(&im);
    g_free(data);
    return ok;
}

bool load_flat(struct phys *phys, struct cpu *cpu, const char *path, struct err *err)
{
    const struct load_kernel k = { .path = path };
    struct image im = { .k = &k, .phys = phys, .err = err, .is_flat = true };
    uint8_t *data = load_file(path, LOW_TOP - 0x7c00, &im.size, err);
    bool ok;

    if (!data)
        return false;
    im.data = data;
    ok = image_place(&im, 0x7c00, 0, im.size, im.size);
    g_free(data);
    cpu->seg[SEG_CS].selector = 0;
    cpu->seg[SEG_CS].base = 0;
    cpu->rip = 0x7c00;
    cpu->slot[RSP] = 0x7c00;
    return ok;
}
