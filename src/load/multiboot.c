/*
 * multiboot.c - kernels with a header of the Multiboot specification, version 1 (0.6.96) or 2 (2.0).
 *
 * Not done: graphics modes, symbols, drives, and what version 2 asks for by tags that are not optional.
 */
#include "load/image.h"

#include <glib.h>
#include <string.h>

enum { MAGIC_1 = 0x1badb002, MAGIC_2 = 0xe85250d6, LOADED_1 = 0x2badb002, LOADED_2 = 0x36d76289 };
enum { SEARCH_1 = 8192, SEARCH_2 = 32768, HAS_ADDRESSES = 1 << 16 };
static const char loader_name[] = "wideload";

static uint32_t get32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, 4);
    return v;
}

static bool header_1(const uint8_t *h) { return get32(h) == MAGIC_1 && get32(h) + get32(h + 4) + get32(h + 8) == 0; }

static bool header_2(const uint8_t *h)
{
    return get32(h) == MAGIC_2 && get32(h) + get32(h + 4) + get32(h + 8) + get32(h + 12) == 0;
}

const uint8_t *multiboot_find(const struct image *im)
{
    for (size_t at = 0; at + 16 <= im->size && at < SEARCH_2; at += 4)
        if ((at < SEARCH_1 && header_1(im->data + at)) || (at % 8 == 0 && header_2(im->data + at)))
            return im->data + at;
    return NULL;
}

/* -- where the image goes -------------------------------------------------------------------------------------------------- */

struct addresses {
    uint32_t header, load, load_end, bss_end; /* ends may be 0 */
};

static bool place(struct image *im, const uint8_t *header, struct addresses a)
{
    size_t at = (size_t)(header - im->data);
    uint64_t file, end, load_end;

    if (a.load > a.header || (uint64_t)a.header - a.load > at)
        return image_bad(im, "multiboot header is cut or wrong");
    file = (uint64_t)at - (a.header - a.load);
    load_end = a.load_end ? a.load_end : a.load + (im->size - file);
    end = bits_max(a.bss_end, load_end);
    if (load_end < a.load)
        return image_bad(im, "multiboot header is wrong: it ends before it begins");
    return image_place(im, a.load, file, load_end - a.load, end - a.load);
}

static void enter(const struct image *im, uint64_t entry, uint32_t magic)
{
    image_enter_protected(im, entry);
    im->cpu->slot[RAX] = magic;
    im->cpu->slot[RBX] = INFO_AT;
}

/* Kilobytes from 1 MiB on. */
static uint32_t upper_kib(const struct image *im) { return (uint32_t)(image_ram_low(im) / 1024 - 1024); }

/* -- version 1: section 3.3 ------------------------------------------------------------------------------------------------ */

enum { MAP_1_AT = LISTS_AT, MODULE_1_AT = LISTS_AT + 0x100, NAME_1_AT = LISTS_AT + 0x120 };
enum { HAS_MEMORY = 1 << 0, HAS_CMDLINE = 1 << 2, HAS_MODULES = 1 << 3, HAS_MAP = 1 << 6, HAS_NAME = 1 << 9 };

static unsigned put_map_1(const struct image *im)
{
    struct memory_range range[MEMORY_RANGES];
    unsigned n = image_memory(im, range);

    for (unsigned i = 0; i < n; i++) {
        struct { uint32_t size; uint64_t base, bytes; uint32_t type; } __attribute__((packed)) row = {
            20, range[i].base, range[i].bytes, range[i].type,
        };

        image_put(im, MAP_1_AT + i * sizeof(row), &row, sizeof(row));
    }
    return n * 24;
}

static bool tell_1(const struct image *im)
{
    uint32_t info[29] = { HAS_MEMORY | HAS_CMDLINE | HAS_MAP | HAS_NAME, 639, upper_kib(im), 0, CMDLINE_AT };
    uint64_t initrd;
    size_t bytes;

    if (!image_place_initrd(im, UINT32_MAX, &initrd, &bytes))
        return false;
    if (bytes) {
        info[0] |= HAS_MODULES;
        info[5] = 1;
        info[6] = MODULE_1_AT;
        image_put(im, MODULE_1_AT, (uint32_t[]){ (uint32_t)initrd, (uint32_t)(initrd + bytes), CMDLINE_AT, 0 }, 16);
    }
    info[11] = put_map_1(im);
    info[12] = MAP_1_AT;
    info[16] = NAME_1_AT;
    image_put(im, NAME_1_AT, loader_name, sizeof(loader_name));
    image_put(im, INFO_AT, info, sizeof(info));
    image_put_cmdline(im);
    return true;
}

static bool load_1(struct image *im, const uint8_t *h)
{
    size_t left = im->size - (size_t)(h - im->data);
    uint64_t entry;

    if (get32(h + 4) & HAS_ADDRESSES) {
        if (left < 32)
            return image_bad(im, "multiboot header is cut or wrong");
        if (!place(im, h, (struct addresses){ get32(h + 12), get32(h + 16), get32(h + 20), get32(h + 24) }))
            return false;
        entry = get32(h + 28);
    } else if (!elf_is(im)) {
        return image_bad(im, "a multiboot kernel without addresses that is no ELF");
    } else if (!elf_place_segments(im, &entry)) {
        return false;
    }
    if (!tell_1(im))
        return false;
    enter(im, entry, LOADED_1);
    return true;
}

/* -- version 2: section 3.6 ------------------------------------------------------------------------------------------------ */

enum { INFO_2_MAX = CMDLINE_AT - INFO_AT };
enum { TAG_CMDLINE = 1, TAG_NAME = 2, TAG_MODULE = 3, TAG_MEMORY = 4, TAG_MAP = 6, TAG_RSDP = 15 };
enum { HEADER_TAG_ADDRESS = 2, HEADER_TAG_ENTRY = 3 };

static void add_tag(GByteArray *info, uint32_t type, const void *data, size_t bytes)
{
    uint32_t head[2] = { type, (uint32_t)(8 + bytes) };
    static const uint8_t zeroes[8];

    g_byte_array_append(info, (uint8_t *)head, 8);
    g_byte_array_append(info, data, (guint)bytes);
    g_byte_array_append(info, zeroes, -bytes & 7);
}

static void add_map_tag(GByteArray *info, const struct image *im)
{
    struct memory_range range[MEMORY_RANGES];
    unsigned n = image_memory(im, range);
    struct { uint32_t entry_bytes, version; struct { uint64_t base, bytes; uint32_t type, zero; } row[MEMORY_RANGES]; } map = { .entry_bytes = 24 };

    for (unsigned i = 0; i < n; i++)
        map.row[i].base = range[i].base, map.row[i].bytes = range[i].bytes, map.row[i].type = range[i].type;
    add_tag(info, TAG_MAP, &map, 8 + n * 24);
}

static void add_tags(GByteArray *info, const struct image *im, uint64_t initrd, size_t bytes)
{
    const char *line = im->k->append ? im->k->append : "";
    const uint8_t *rsdp = im->k->rsdp ? phys_writable(im->phys, im->k->rsdp, 36) : NULL;

    add_tag(info, TAG_CMDLINE, line, strlen(line) + 1);
    add_tag(info, TAG_NAME, loader_name, sizeof(loader_name));
    if (bytes)
        add_tag(info, TAG_MODULE, (uint32_t[]){ (uint32_t)initrd, (uint32_t)(initrd + bytes), 0 }, 12);
    add_tag(info, TAG_MEMORY, (uint32_t[]){ 639, upper_kib(im) }, 8);
    add_map_tag(info, im);
    if (rsdp)
        add_tag(info, TAG_RSDP, rsdp, 36);
    add_tag(info, 0, NULL, 0);
}

static bool tell_2(const struct image *im)
{
    GByteArray *info = g_byte_array_new();
    uint64_t initrd;
    size_t bytes;
    bool fits;

    if (!image_place_initrd(im, UINT32_MAX, &initrd, &bytes)) {
        g_byte_array_free(info, TRUE);
        return false;
    }
    g_byte_array_append(info, (uint8_t[8]){ 0 }, 8);
    add_tags(info, im, initrd, bytes);
    memcpy(info->data, &info->len, 4);
    fits = info->len <= INFO_2_MAX;
    if (fits)
        image_put(im, INFO_AT, info->data, info->len);
    g_byte_array_free(info, TRUE);
    return fits || err_set(im->err, "--append: longer than fits");
}

/* Tags of the header: where it goes, or else it is an ELF. */
static bool place_2(struct image *im, const uint8_t *h, uint64_t *entry)
{
    uint64_t left = im->size - (size_t)(h - im->data), bytes = get32(h + 8), size;
    bool placed = false, has_entry = false;

    if (get32(h + 4) != 0 || bytes > left || bytes < 16)
        return image_bad(im, "multiboot header is cut or wrong, or for another processor");
    for (uint64_t at = 16; at + 8 <= bytes; at += bits_align_up(size, 8)) {
        const uint8_t *tag = h + at;
        unsigned type = get32(tag) & 0xffff;

        size = get32(tag + 4);
        if (size < 8 || size > bytes - at)
            return image_bad(im, "multiboot header is cut or wrong");
        if (type == 0)
            break;
        if (type == HEADER_TAG_ADDRESS && size >= 24) {
            if (!place(im, h, (struct addresses){ get32(tag + 8), get32(tag + 12), get32(tag + 16), get32(tag + 20) }))
                return false;
            placed = true;
        } else if (type == HEADER_TAG_ENTRY && size >= 12) {
            *entry = get32(tag + 8);
            has_entry = true;
        }
    }
    if (placed)
        return has_entry || image_bad(im, "a multiboot kernel without an entry");
    if (!elf_is(im))
        return image_bad(im, "a multiboot kernel without addresses that is no ELF");
    return elf_place_segments(im, has_entry ? &(uint64_t){ 0 } : entry);
}

static bool load_2(struct image *im, const uint8_t *h)
{
    uint64_t entry;

    if (!place_2(im, h, &entry) || !tell_2(im))
        return false;
    enter(im, entry, LOADED_2);
    return true;
}

bool multiboot_load(struct image *im, const uint8_t *h) { return get32(h) == MAGIC_1 ? load_1(im, h) : load_2(im, h); }
