/* device.c - making, resetting, restoring and ending a device. */
#include "device.h"

#include <stdlib.h>

static void *device_alloc(size_t size)
{
    void *p = calloc(1, size ? size : 1);

    if (!p)
        abort();
    return p;
}

/* On a page: a device may lend memory that is in its state. */
static void *device_alloc_state(size_t size)
{
    size_t bytes = bits_align_up(size ? size : 1, 4096);
    void *p = aligned_alloc(4096, bytes);

    if (!p)
        abort();
    return memset(p, 0, bytes);
}

struct device *device_create(const struct device_class *class, const struct device_host *host)
{
    struct device *device = device_alloc(sizeof(*device));

    device->class = class;
    device->host = *host;
    device->state = device_alloc_state(class->state_size);
    for (unsigned i = 0; i < DEVICE_REGIONS && class->region[i].size; i++) {
        const struct region_class *from = &class->region[i];

        device->region[i] = (struct region){
            .name = class->name, .space = from->space, .base = from->base, .size = from->size,
            .enabled = !from->disabled, .ops = from->ops, .state = device->state,
        };
        device->regions++;
    }
    if (class->create)
        class->create(device);
    for (unsigned i = 0; i < device->regions; i++)
        host->map->add(host->map, &device->region[i]);
    device_reset(device);
    return device;
}

void device_reset(struct device *device)
{
    if (device->class->reset)
        device->class->reset(device);
}

void device_destroy(struct device *device)
{
    if (!device)
        return;
    if (device->class->destroy)
        device->class->destroy(device);
    free(device->state);
    free(device);
}

bool device_restored(struct device *device, struct err *err)
{
    return !device->class->restored || device->class->restored(device, err);
}
