/*
 * registers.h - the guest's registers as gdb numbers them, and the description from which it learns that.
 *
 * Manual: "Debugging with GDB", appendix G, "Target Descriptions", section G.5.8, "x86 Architecture".  Features that the guest's
 * CPU has not are not described.
 */
#ifndef GDB_REGISTERS_H
#define GDB_REGISTERS_H

#include "vcpu.h"

#include <glib.h>

enum { GDB_REGISTERS = 256, GDB_REGISTER_BYTES = 32 };

struct gdb_register {
    char name[12];
    const char *type;      /* of the description */
    const char *feature;   /* the first of a feature: its name; else NULL */
    uint8_t bytes;
    uint8_t kind;          /* enum kind, registers.c */
    uint16_t offset;       /* in struct cpu; or which one */
};

struct gdb_registers {
    unsigned n;
    struct gdb_register row[GDB_REGISTERS];
};

void gdb_registers_init(struct gdb_registers *r, const struct feature_set *features);
/* target.xml. */
void gdb_registers_describe(const struct gdb_registers *r, GString *out);

/* `bytes` has room for GDB_REGISTER_BYTES. */
void gdb_register_get(const struct gdb_register *row, const struct cpu *cpu, uint8_t *bytes);
/* False: it is one that only the guest changes, or the value is none for it. */
bool gdb_register_set(const struct gdb_register *row, struct cpu *cpu, const uint8_t *bytes);

#endif
