/*
 * load_linux.h - a Linux bzImage and its initrd, as the 64-bit boot protocol has them
 * (Documentation/arch/x86/boot.rst, zero-page.rst).
 */
#ifndef LOAD_LINUX_H
#define LOAD_LINUX_H

#include "base/err.h"
#include "cpu.h"
#include "phys.h"

struct linux_boot {
    const char *path;
    const uint8_t *data; /* the bzImage */
    size_t size;
    uint64_t ram_bytes;
    const char *append, *initrd; /* NULL: none */
    uint64_t rsdp;               /* of ACPI's tables; 0: none */
};

/* Has it a setup header? */
bool linux_is(const uint8_t *data, size_t size);

/* The kernel, its initrd, command line and zero page into RAM; the CPU at its 64-bit entry. */
bool linux_load(struct phys *phys, struct cpu *cpu, const struct linux_boot *boot, struct err *err);

#endif
