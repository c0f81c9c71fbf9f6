/*
 * pvpanic.c - port 0x505: a guest's kernel says that it has panicked.
 *
 * A read tells which events there are, a write that some have happened: bit 0 a panic, bit 1 a panic after which a crash kernel
 * goes on, of which nobody is told.  The DSDT announces the port (src/acpi/dsdt.c).
 * Manual: the interface is specified in QEMU's docs/specs/pvpanic.
 */
#include "pvpanic.h"

enum { PANICKED = 1, CRASH_LOADED = 2 };

struct pvpanic {
    void (*panicked)(void *opaque);
    void *opaque;
};

static uint64_t pvpanic_read(void *state, uint64_t offset, unsigned width)
{
    (void)state;
    (void)offset;
    (void)width;
    return PANICKED | CRASH_LOADED;
}

static void pvpanic_write(void *state, uint64_t offset, unsigned width, uint64_t value)
{
    struct pvpanic *p = state;

    (void)offset;
    (void)width;
    if (value & PANICKED && p->panicked)
        p->panicked(p->opaque);
}

void pvpanic_connect(struct device *device, void (*panicked)(void *opaque), void *opaque)
{
    struct pvpanic *p = device->state;

    p->panicked = panicked;
    p->opaque = opaque;
}

static const struct region_ops pvpanic_ops = { .read = pvpanic_read, .write = pvpanic_write, .limits = { .widths = W1 } };

#define STATE struct pvpanic
FIELDS(pvpanic_fields, WIRING(panicked), WIRING(opaque))
#undef STATE

const struct device_class pvpanic_class = {
    .name = "pvpanic",
    .title = "panic port 0x505 (QEMU docs/specs/pvpanic)",
    .state_size = sizeof(struct pvpanic),
    .region = { { REGION_PIO, PVPANIC_PORT, 1, &pvpanic_ops, false } },
    .fields = &pvpanic_fields,
};
