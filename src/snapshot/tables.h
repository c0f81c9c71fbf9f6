/* tables.h - which fields of a machine are saved; each device's own are in its class. */
#ifndef SNAPSHOT_TABLES_H
#define SNAPSHOT_TABLES_H

#include "base/err.h"
#include "cpu.h"
#include "fields.h"
#include "x86/feature.h"

/* Of struct cpu, where `rflags` has the arithmetic flags; struct vcpu without it; struct machine without that; struct board. */
extern const struct fields cpu_fields, vcpu_fields, machine_fields, board_fields;

/* A loaded state in which engines may run: what processors and this program's own code keep true of registers. */
bool cpu_check(const struct cpu *cpu, struct err *err);

#endif
