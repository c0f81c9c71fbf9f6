/*
 * image.h - what the formats of load.c share: an image, putting it into RAM, and the CPU's state at its entry.
 */
#ifndef LOAD_IMAGE_H
#define LOAD_IMAGE_H

#include "load/load.h"

/* What boot protocols need in memory stands at 576 KiB; an image that reaches there is refused. */
enum { BOOT_AT = 0x90000, LOW_TOP = 0x9f000, STACK_TOP = BOOT_AT, GDT_AT = BOOT_AT, INFO_AT = 0x91000, CMDLINE_AT = 0x91800, CMDLINE_MAX = 0x700,
       TABLES_AT = 0x92000, LISTS_AT = 0x98000 /* of memory and modules */, ZERO_PAGE_AT = 0x99000, LINUX_CMDLINE_AT = 0x9a000 };

struct image {
    const struct load_kernel *k;
    const uint8_t *data;
    size_t size;
    bool is_flat;
    struct phys *phys;
    struct cpu *cpu;
    uint64_t end;  /* of what has been put below 2 GiB */
    struct err *err;
};

/* The E820 map, as every protocol words it in its own way. */
enum { MEMORY_RAM = 1, MEMORY_RESERVED = 2, MEMORY_RANGES = 5 };
struct memory_range {
    uint64_t base, bytes;
    uint32_t type;
};
unsigned image_memory(const struct image *im, struct memory_range range[MEMORY_RANGES]);
uint64_t image_ram_low(const struct image *im); /* RAM below 4 GiB, bytes */

/* Returns false. */
bool image_bad(const struct image *im, const char *why);

/* File bytes [offset, offset + file_size) to gpa, and zeroes up to size. */
bool image_place(struct image *im, uint64_t gpa, uint64_t offset, uint64_t file_size, uint64_t size);

/* To where RAM is known to be. */
void image_put(const struct image *im, uint64_t gpa, const void *data, size_t size);
void image_put_cmdline(const struct image *im);

/* The initial RAM disk to the highest pages below `top` and behind the image; 0 and 0: there is none. */
bool image_place_initrd(const struct image *im, uint64_t top, uint64_t *at, size_t *bytes);

/* 32-bit protected mode, or long mode with the first 4 GiB one to one in 2 MiB pages: flat segments, selectors 8 and 16. */
void image_enter_protected(const struct image *im, uint64_t entry);
void image_enter_long(const struct image *im, uint64_t entry);

/* The formats; each true when the image is in place and the CPU at its entry. */
bool linux_is(const uint8_t *data, size_t size);
bool linux_load(struct image *im);
bool elf_is(const struct image *im);
bool elf_load(struct image *im);
bool elf_place_segments(struct image *im, uint64_t *entry); /* only the segments */
const uint8_t *multiboot_find(const struct image *im);      /* a header of version 1 or 2, or NULL */
bool multiboot_load(struct image *im, const uint8_t *header);

#endif
