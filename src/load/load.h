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

/* A kernel, and what it is told. */
struct load_kernel {
    const char *path;
    const char *append, *initrd; /* NULL: none */
    uint64_t ram_bytes;
    uint64_t rsdp;               /* where ACPI's tables begin; 0: there are none */
};

/*
 * load_kernel - Linux bzImage (64-bit entry), multiboot 1 (32-bit, paging off, EBX at its information), PVH ELF (EBX at
 * hvm_start_info), plain ELF64 in long mode with the first 4 GiB mapped one to one, or plain ELF32 in flat protected mode.
 *
 * The image must lie in RAM.
 */
bool load_kernel(struct phys *phys, struct cpu *cpu, const struct load_kernel *k, struct err *err);

/* A flat binary: at 0x7c00 in real mode, as a boot sector. */
bool load_flat(struct phys *phys, struct cpu *cpu, const char *path, struct err *err);

#endif
