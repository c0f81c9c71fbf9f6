/*
 * device.h - what every device has: a class, its state, its regions, and the world it is plugged into.
 *
 * State lives in a struct the class gives the size of, never in a static variable, and holds no pointers into
 * the host except those set at creation.  A class's `create` wires it; `reset` brings it to its power-on state.
 */
#ifndef DEVICES_DEVICE_H
#define DEVICES_DEVICE_H

#include "backend.h"
#include "base/err.h"
#include "clock.h"
#include "dma.h"
#include "fields.h"
#include "irq.h"
#include "region.h"

#define DEVICE_REGIONS 20

struct device;

struct region_class {
    enum region_space space;
    uint64_t base, size;
    const struct region_ops *ops;
    bool disabled; /* at reset; a BAR starts so */
};

/* What the board lends to every device. */
struct device_host {
    struct region_map *map;
    struct clock *clock;
    struct dma *dma;
    struct irq_bus *irq_bus;
};

struct device_class {
    const char *name;  /* as in devices.def and `list devices` */
    const char *title; /* one line, with the data sheet it follows */
    size_t state_size;
    struct region_class region[DEVICE_REGIONS]; /* up to the first of size 0 */
    void (*create)(struct device *device);      /* once, after state is zeroed and regions are filled in */
    void (*reset)(struct device *device);
    void (*destroy)(struct device *device);
    const struct fields *fields;                /* all of the state, for snapshots */
    /*
     * After fields have been loaded, here and in all other devices: checks what a row's `max` cannot, and recomputes what
     * follows from them (where regions are, A20).  Wires have their levels already, and stay as they are.
     */
    bool (*restored)(struct device *device, struct err *err);
};

struct device {
    const struct device_class *class;
    void *state;
    struct region region[DEVICE_REGIONS];
    unsigned regions;
    struct device_host host;
};

/*
 * Makes a device, puts its regions on the map (state is what their callbacks get) and resets it.
 * Devices whose state has wires (`struct irq *` or `struct irq`) or a backend expose setters in their header.
 * Never fails but for memory, which aborts.
 */
struct device *device_create(const struct device_class *class, const struct device_host *host);
void device_reset(struct device *device);
void device_destroy(struct device *device);

/* After the fields of all devices have been loaded; false and err for a state that the device cannot be in. */
bool device_restored(struct device *device, struct err *err);

#endif
