/*
 * load.c - guest images into RAM: flat, ELF, PVH, multiboot 1 (Multiboot specification 0.6.96; x86/HVM direct boot ABI
 * of the Xen project; ELF-64 object file format).
 *
 * Every number in an image is checked against the file and against RAM before anything is copied.
 */
#include "load.h"

#include "load_linux.h"

#include <elf.h>
#include <errno.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* What the boot protocols need in memory stands at 576 KiB; an image that reaches there is refused. */
enum { KERNEL_MAX = 256 << 20, LOW_TOP = 0x9f000, BOOT_AT = 0x90000, STACK_TOP = BOOT_AT, GDT_AT = BOOT_AT,
       INFO_AT = 0x91000, CMDLINE_AT = 0x91800, CMDLINE_MAX = 0x700, TABLES_AT = 0x92000 };

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

struct image {
    const char *path;
    const uint8_t *data;
    size_t size;
    bool is_flat;
    struct phys *phys;
    struct err *err;
};

static bool image_bad(const struct image *im, const char *why) { return err_set(im->err, "%s: %s", im->path, why); }

/* file bytes [offset, offset + file_size) to gpa, and zeroes up to size. */
static bool image_place(const struct image *im, uint64_t gpa, uint64_t offset, uint64_t file_size, uint64_t size)
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
                       im->path, size, gpa);
    memcpy(host, im->data + offset, file_size);
    memset(host + file_size, 0, size - file_size);
    return true;
}

static void ram_put(struct phys *phys, uint64_t gpa, const void *data, size_t size)
{
    memcpy(phys_writable(phys, gpa, size), data, size);
}

static void ram_put_cmdline(struct phys *phys, const char *append)
{
    char line[CMDLINE_MAX] = "";

    g_strlcpy(line, append ? append : "", sizeof(line));
    ram_put(phys, CMDLINE_AT, line, sizeof(line));
}

/* -- CPU states ----------------------------------------------------------------------------------------------------------- */

static struct segment load_segment(uint16_t selector, bool code, bool l)
{
    return (struct segment){ .selector = selector, .limit = UINT32_MAX,
                             .ar = AR_P | AR_S | AR_G | AR_WRITABLE | AR_ACCESSED | (code ? AR_CODE : 0) | (l ? AR_L : AR_DB) };
}

static void cpu_flat(struct phys *phys, struct cpu *cpu, uint64_t entry, bool long_mode)
{
    const uint64_t gdt[] = { 0, long_mode ? 0x00af9b000000ffff : 0x00cf9b000000ffff, 0x00cf93000000ffff };

    ram_put(phys, GDT_AT, gdt, sizeof(gdt));
    cpu->gdtr = (struct descriptor_table){ .base = GDT_AT, .limit = sizeof(gdt) - 1 };
    cpu->idtr = (struct descriptor_table){ 0 };
    for (unsigned i = 0; i < 6; i++)
        cpu->seg[i] = i == SEG_CS ? load_segment(8, true, long_mode) : load_segment(16, false, false);
    cpu->cr0 = CR0_PE | CR0_ET;
    cpu->rip = entry;
    cpu->slot[RSP] = STACK_TOP;
}

void load_long_mode(struct phys *phys, struct cpu *cpu, uint64_t entry)
{
    uint64_t table[512] = { (TABLES_AT + 0x1000) | 3 };

    cpu_flat(phys, cpu, entry, true);
    ram_put(phys, TABLES_AT, table, sizeof(table));
    for (unsigned i = 0; i < 4; i++)
        table[i] = (TABLES_AT + 0x2000 + i * 0x1000) | 3;
    ram_put(phys, TABLES_AT + 0x1000, table, sizeof(table));
    for (unsigned page = 0; page < 4; page++) {
        for (unsigned i = 0; i < 512; i++)
            table[i] = ((uint64_t)page * 512 + i) << 21 | 0x83;
        ram_put(phys, TABLES_AT + 0x2000 + page * 0x1000, table, sizeof(table));
    }
    cpu->cr3 = TABLES_AT;
    cpu->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;
    cpu->efer = EFER_LME | EFER_LMA;
    cpu->cr0 |= CR0_PG | CR0_NE | CR0_MP | CR0_WP;
}

/* -- multiboot 1 ------------------------------------------------------------------------------------------------------------ */

enum { MULTIBOOT_MAGIC = 0x1badb002, MULTIBOOT_ADDRESSES = 1 << 16, MULTIBOOT_LOADED = 0x2badb002 };

static const uint32_t *multiboot_find(const struct image *im)
{
    for (size_t at = 0; at + 12 <= im->size && at < 8192; at += 4) {
        const uint32_t *h = (const uint32_t *)(const void *)(im->data + at);

        if (h[0] == MULTIBOOT_MAGIC && h[0] + h[1] + h[2] == 0)
            return h;
    }
    return NULL;
}

static bool multiboot_place(const struct image *im, const uint32_t *h, uint64_t *entry)
{
    size_t at = (size_t)((const uint8_t *)h - im->data);
    uint64_t file, end, load_end;

    if (at + 32 > im->size || h[4] > h[3] || (uint64_t)h[3] - h[4] > at)
        return image_bad(im, "multiboot header is cut or wrong");
    file = (uint64_t)at - ((uint64_t)h[3] - h[4]);
    load_end = h[5] ? h[5] : h[4] + (im->size - file);
    end = h[6] > load_end ? h[6] : load_end;
    if (load_end < h[4])
        return image_bad(im, "multiboot header is wrong: it ends before it begins");
    *entry = h[7];
    return image_place(im, h[4], file, load_end - h[4], end - h[4]);
}

static void multiboot_enter(const struct image *im, struct cpu *cpu, uint64_t entry, uint64_t ram_bytes, const char *append)
{
    uint32_t info[29] = { 1 << 0 | 1 << 2 | 1 << 9, 639, (uint32_t)(bits_min(ram_bytes, 0x80000000) / 1024 - 1024), 0, CMDLINE_AT };
    static const char name[] = "wideload";

    info[16] = INFO_AT + 0x200;
    ram_put(im->phys, INFO_AT, info, sizeof(info));
    ram_put(im->phys, INFO_AT + 0x200, name, sizeof(name));
    ram_put_cmdline(im->phys, append);
    cpu_flat(im->phys, cpu, entry, false);
    cpu->slot[RAX] = MULTIBOOT_LOADED;
    cpu->slot[RBX] = INFO_AT;
}

/* -- ELF ---------------------------------------------------------------------------------------------------------------------- */

struct elf_segment {
    uint32_t type;
    uint64_t offset, address, file_size, size;
};

struct elf {
    const struct image *im;
    bool wide;
    uint64_t entry, table;
    unsigned count, stride;
};

static bool elf_open(const struct image *im, struct elf *e)
{
    *e = (struct elf){ .im = im, .wide = im->data[EI_CLASS] == ELFCLASS64 };
    if (im->size < (e->wide ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr)))
        return image_bad(im, "truncated ELF header");
    if (im->data[EI_DATA] != ELFDATA2LSB || (!e->wide && im->data[EI_CLASS] != ELFCLASS32))
        return image_bad(im, "not a little-endian ELF file");
    if (e->wide) {
        Elf64_Ehdr h;

        memcpy(&h, im->data, sizeof(h));
        if (h.e_machine != EM_X86_64)
            return image_bad(im, "ELF file is not for x86-64");
        e->entry = h.e_entry, e->table = h.e_phoff, e->count = h.e_phnum, e->stride = h.e_phentsize;
    } else {
        Elf32_Ehdr h;

        memcpy(&h, im->data, sizeof(h));
        if (h.e_machine != EM_386)
            return image_bad(im, "ELF file is not for i386");
        e->entry = h.e_entry, e->table = h.e_phoff, e->count = h.e_phnum, e->stride = h.e_phentsize;
    }
    if (e->stride < (e->wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)) || e->table > im->size ||
        (uint64_t)e->count * e->stride > im->size - e->table)
        return image_bad(im, "truncated: program headers lie beyond the end of the file");
    return true;
}

static struct elf_segment elf_segment(const struct elf *e, unsigned i)
{
    const uint8_t *at = e->im->data + e->table + (uint64_t)i * e->stride;

    if (e->wide) {
        Elf64_Phdr h;

        memcpy(&h, at, sizeof(h));
        return (struct elf_segment){ h.p_type, h.p_offset, h.p_paddr, h.p_filesz, h.p_memsz };
    } else {
        Elf32_Phdr h;

        memcpy(&h, at, sizeof(h));
        return (struct elf_segment){ h.p_type, h.p_offset, h.p_paddr, h.p_filesz, h.p_memsz };
    }
}

enum { XEN_ELFNOTE_PHYS32_ENTRY = 18 };

/* The PVH entry point from the notes, 0 if there is none. */
static uint64_t elf_pvh_entry(const struct elf *e, const struct elf_segment *notes)
{
    uint64_t at = notes->offset, end = notes->offset + notes->file_size;

    if (end > e->im->size || end < at)
        return 0;
    while (at + 12 <= end) {
        uint32_t n[3], entry;
        uint64_t name, description;

        memcpy(n, e->im->data + at, sizeof(n));
        name = at + 12;
        description = name + bits_align_up(n[0], 4);
        if (description + n[1] > end)
            return 0;
        if (n[2] == XEN_ELFNOTE_PHYS32_ENTRY && n[0] == 4 && !memcmp(e->im->data + name, "Xen", 4) && n[1] >= 4) {
            memcpy(&entry, e->im->data + description, 4);
            return entry;
        }
        at = description + bits_align_up(n[1], 4);
    }
    return 0;
}

static bool elf_place(const struct elf *e, uint64_t *pvh)
{
    bool any = false;

    *pvh = 0;
    for (unsigned i = 0; i < e->count; i++) {
        struct elf_segment s = elf_segment(e, i);

        if (s.type == PT_NOTE && !*pvh)
            *pvh = elf_pvh_entry(e, &s);
        if (s.type != PT_LOAD)
            continue;
        if (!image_place(e->im, s.address, s.offset, s.file_size, s.size))
            return false;
        any = true;
    }
    return any || image_bad(e->im, "nothing to load");
}

/* hvm_start_info version 1 and its memory map. */
static void pvh_enter(const struct image *im, struct cpu *cpu, uint64_t entry, uint64_t ram_bytes, const char *append)
{
    uint64_t low = bits_min(ram_bytes, 0x80000000);
    uint64_t map[3][3] = { { 0, LOW_TOP, 1 }, { 0x100000, low - 0x100000, 1 }, { 0x100000000, ram_bytes - low, 1 } };
    struct {
        uint32_t magic, version, flags, modules;
        uint64_t module_list, cmdline, rsdp, map;
        uint32_t map_entries, reserved;
    } info = { 0x336ec578, 1, 0, 0, 0, CMDLINE_AT, 0, INFO_AT + 0x100, ram_bytes > low ? 3 : 2, 0 };

    ram_put(im->phys, INFO_AT, &info, sizeof(info));
    ram_put(im->phys, INFO_AT + 0x100, map, sizeof(map));
    ram_put_cmdline(im->phys, append);
    cpu_flat(im->phys, cpu, entry, false);
    cpu->slot[RBX] = INFO_AT;
}

static bool elf_load(const struct image *im, struct cpu *cpu, uint64_t ram_bytes, const char *append)
{
    struct elf e;
    uint64_t pvh;

    if (!elf_open(im, &e) || !elf_place(&e, &pvh))
        return false;
    if (pvh)
        pvh_enter(im, cpu, pvh, ram_bytes, append);
    else if (e.wide)
        load_long_mode(im->phys, cpu, e.entry);
    else
        cpu_flat(im->phys, cpu, e.entry, false);
    return true;
}

/* -- entry points -------------------------------------------------------------------------------------------------------------- */

static bool kernel_load(const struct image *im, struct cpu *cpu, uint64_t ram_bytes, const char *append, const char *initrd)
{
    const uint32_t *multiboot = multiboot_find(im);
    bool elf = im->size > EI_NIDENT && !memcmp(im->data, ELFMAG, SELFMAG);
    uint64_t entry = 0, pvh;
    struct elf e;

    if (linux_is(im->data, im->size)) {
        struct linux_boot boot = { .path = im->path, .data = im->data, .size = im->size, .ram_bytes = ram_bytes, .append = append, .initrd = initrd };

        return linux_load(im->phys, cpu, &boot, im->err);
    }
    if (initrd)
        return image_bad(im, "--initrd is for Linux kernels (bzImage)");
    if (multiboot && multiboot[1] & MULTIBOOT_ADDRESSES) {
        if (!multiboot_place(im, multiboot, &entry))
            return false;
        multiboot_enter(im, cpu, entry, ram_bytes, append);
        return true;
    }
    if (multiboot && elf) {
        if (!elf_open(im, &e) || !elf_place(&e, &pvh))
            return false;
        multiboot_enter(im, cpu, e.entry, ram_bytes, append);
        return true;
    }
    return elf ? elf_load(im, cpu, ram_bytes, append) : image_bad(im, "neither a Linux kernel nor multiboot nor ELF");
}

bool load_kernel(struct phys *phys, struct cpu *cpu, uint64_t ram_bytes, const char *path, const char *append,
                 const char *initrd, struct err *err)
{
    struct image im = { .path = path, .phys = phys, .err = err };
    uint8_t *data = load_file(path, KERNEL_MAX, &im.size, err);
    bool ok;

    if (!data)
        return false;
    im.data = data;
    ok = kernel_load(&im, cpu, ram_bytes, append, initrd);
    g_free(data);
    return ok;
}

bool load_flat(struct phys *phys, struct cpu *cpu, const char *path, struct err *err)
{
    struct image im = { .path = path, .phys = phys, .err = err, .is_flat = true };
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
