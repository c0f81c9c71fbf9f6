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
 * A kernel: multiboot 1 (32-bit, paging off, EBX at its information), PVH ELF (EBX at hvm_start_info), plain ELF64 in
 * long mode with the first 4 GiB mapped one to one, or plain ELF32 in flat protected mode.
 * The image must lie in RAM.
 */
bool load_kernel(struct phys *phys, struct cpu *cpu, uint64_t ram_bytes, const char *path, const char *append,
                 struct err *err);

/* A flat binary: at 0x7c00 in real mode, as a boot sector. */
bool load_flat(struct phys *phys, struct cpu *cpu, const char *path, struct err *err);

#endif
