/*
 * debug_exit.c - port 0xf4: a guest that writes a value here is done, and the value says how it went.
 *
 * The device only reports; what becomes of the value (wideload exits with value << 1 | 1, as QEMU's isa-debug-exit
 * does, so that test suites written for it work) is the board's owner's business.  Reads give 0.
 */
#include "debug_exit.h"

struct debug_exit {
    void (*exited)(void *opaque, uint32_t value);
    void *opaque;
};

static uint64_t debug_exit_read(void *state, uint64_t offset, unsigned width)
{
    (void)state;
    (void)offset;
    (void)width;
    return 0;
}

static void debug_exit_write(void *state, uint64_t offset, unsigned width, uint64_t value)
{
    struct debug_exit *d = state;

    (void)width;
    if (offset == 0 && d->exited)
        d->exited(d->opaque, (uint32_t)value);
}

void debug_exit_connect(struct device *device, void (*exited)(void *opaque, uint32_t value), void *opaque)
{
    struct debug_exit *d = device->state;

    d->exited = exited;
    d->opaque = opaque;
}

static const struct region_ops debug_exit_ops = {
    .read = debug_exit_read, .write = debug_exit_write, .limits = { .widths = W1 | W2 | W4 },
};

#define STATE struct debug_exit
FIELDS(debug_exit_fields, WIRING(exited), WIRING(opaque))
#undef STATE

const struct device_class debug_exit_class = {
    .name = "debug-exit",
    .title = "exit port 0xf4",
    .state_size = sizeof(struct debug_exit),
    .region = { { REGION_PIO, 0xf4, 4, &debug_exit_ops, false } },
    .fields = &debug_exit_fields,
};
