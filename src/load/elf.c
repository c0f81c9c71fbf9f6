/*
 * elf.c - ELF images (ELF-64 object file format), plain or with the PVH entry of the x86/HVM direct boot ABI.
 */
#include "load/image.h"

#include <elf.h>
#include <string.h>

struct elf_segment {
    uint32_t type;
    uint64_t offset, address, file_size, size;
};

struct elf {
    struct image *im;
    bool wide;
    uint64_t entry, table;
    unsigned count, stride;
};

static bool elf_open(struct image *im, struct elf *e)
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

/* -- PVH: hvm_start_info version 1, its map of memory and its list of modules -------------------------------------------- */

enum { PVH_MAP_AT = LISTS_AT, PVH_MODULES_AT = LISTS_AT + 0x100 };

static bool pvh_enter(struct image *im, uint64_t entry)
{
    struct memory_range range[MEMORY_RANGES];
    uint64_t initrd, n = image_memory(im, range), map[MEMORY_RANGES][3];
    size_t initrd_bytes;
    struct {
        uint32_t magic, version, flags, modules;
        uint64_t module_list, cmdline, rsdp, map;
        uint32_t map_entries, reserved;
    } info = { 0x336ec578, 1, 0, im->k->initrd != NULL, PVH_MODULES_AT, CMDLINE_AT, im->k->rsdp, PVH_MAP_AT, (uint32_t)n, 0 };

    if (!image_place_initrd(im, UINT32_MAX, &initrd, &initrd_bytes))
        return false;
    for (unsigned i = 0; i < n; i++)
        map[i][0] = range[i].base, map[i][1] = range[i].bytes, map[i][2] = range[i].type;
    image_put(im, INFO_AT, &info, sizeof(info));
    image_put(im, PVH_MAP_AT, map, n * sizeof(map[0]));
    image_put(im, PVH_MODULES_AT, (uint64_t[]){ initrd, initrd_bytes, 0, 0 }, 32);
    image_put_cmdline(im);
    image_enter_protected(im, entry);
    im->cpu->slot[RBX] = INFO_AT;
    return true;
}

bool elf_is(const struct image *im) { return im->size > EI_NIDENT && !memcmp(im->data, ELFMAG, SELFMAG); }

bool elf_place_segments(struct image *im, uint64_t *entry)
{
    uint64_t pvh;
    struct elf e;

    if (!elf_open(im, &e) || !elf_place(&e, &pvh))
        return false;
    *entry = e.entry;
    return true;
}

bool elf_load(struct image *im)
{
    struct elf e;
    uint64_t pvh;

    if (!elf_open(im, &e) || !elf_place(&e, &pvh))
        return false;
    if (pvh)
        return pvh_enter(im, pvh);
    if (im->k->initrd)
        return image_bad(im, "--initrd is for a Linux, multiboot or PVH kernel");
    (e.wide ? image_enter_long : image_enter_protected)(im, e.entry);
    return true;
}
