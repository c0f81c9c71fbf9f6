/*
 * load.h - guest images into RAM, and the CPU state they expect.
 */
#ifndef LOAD_H
#define LOAD_H

#include "base/err.h"
#include "cpu.h"
#include "phys.h"

/* A whole file of 1..max bytes; NULL and err for a missing, empty, too large file, a directory.  g_free() it. */
uint8_t *load_file(const char *path, size_t max, size_t *size, struct err *err);

/*
 * A kernel: Linux bzImage (64-bit entry), multiboot 1 (32-bit, paging off, EBX at its information), PVH ELF (EBX at hvm_start_info), plain ELF64 in
 * long mode with the first 4 GiB mapped one to one, or plain ELF32 in flat protected mode.
 * The image must lie in RAM.  initrd: NULL, or a file for a Linux kernel.
 */
bool load_kernel(struct phys *phys, struct cpu *cpu, uint64_t ram_bytes, const char *path, const char *append,
                 const char *initrd, struct err *err);

/* What every boot protocol needs stands at 576 KiB; an image that reaches there is refused. */
enum { LOAD_LOW_TOP = 0x9f000, LOAD_BOOT_AT = 0x90000 };

/* Long mode at `entry`, the first 4 GiB one to one in 2 MiB pages; flat segments, selectors 8 and 16. */
void load_long_mode(struct phys *phys, struct cpu *cpu, uint64_t entry);

/* A flat binary: at 0x7c00 in real mode, as a boot sector. */
bool load_flat(struct phys *phys, struct cpu *cpu, const char *path, struct err *err);

#endif
