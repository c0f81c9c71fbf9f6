/*
 * debugcon.c - a port that prints what is written to it: 0xe9 as in Bochs, 0x402 as SeaBIOS expects it.
 *
 * Not modelled: nothing; there is no more to it.  A read returns 0xe9, by which a guest finds out that it is there.
 */
#include "debugcon.h"

#define DEBUGCON_PRESENT 0xe9

struct debugcon {
    struct char_backend *backend;
};

static uint64_t debugcon_read(void *state, uint64_t offset, unsigned width)
{
    (void)state;
    (void)offset;
    (void)width;
    return DEBUGCON_PRESENT;
}

static void debugcon_write(void *state, uint64_t offset, unsigned width, uint64_t value)
{
    struct debugcon *d = state;
    uint8_t c = (uint8_t)value;

    (void)offset;
    (void)width;
    backend_output(d->backend, &c, 1);
}

void debugcon_connect(struct device *device, struct char_backend *backend)
{
    struct debugcon *d = device->state;

    d->backend = backend;
}

static const struct region_ops debugcon_ops = {
    .read = debugcon_read, .write = debugcon_write, .limits = { .widths = W1 },
};

#define STATE struct debugcon
FIELDS(debugcon_fields, WIRING(backend))
#undef STATE

const struct device_class debugcon_class = {
    .name = "debugcon",
    .title = "debug console at ports 0xe9 and 0x402",
    .state_size = sizeof(struct debugcon),
    .region = { { REGION_PIO, 0xe9, 1, &debugcon_ops, false }, { REGION_PIO, 0x402, 1, &debugcon_ops, false } },
    .fields = &debugcon_fields,
};
