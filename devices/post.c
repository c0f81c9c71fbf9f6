/*
 * post.c - port 0x80, where firmware shows how far it has come and everybody else waits a microsecond.
 *
 * An AT has a DMA page register here that nobody uses as such: what was written reads back.
 * Not modelled: the other page registers; the microsecond.
 */
#include "post.h"

struct post {
    uint8_t code;
};

static uint64_t post_read(void *state, uint64_t offset, unsigned width)
{
    (void)offset;
    (void)width;
    return ((struct post *)state)->code;
}

static void post_write(void *state, uint64_t offset, unsigned width, uint64_t value)
{
    (void)offset;
    (void)width;
    ((struct post *)state)->code = (uint8_t)value;
}

static void post_reset(struct device *device) { ((struct post *)device->state)->code = 0; }

uint8_t post_code(const struct device *device) { return ((const struct post *)device->state)->code; }

static const struct region_ops post_ops = { .read = post_read, .write = post_write, .limits = { .widths = W1 } };

#define STATE struct post
FIELDS(post_fields, FIELD(code))
#undef STATE

const struct device_class post_class = {
    .name = "post",
    .title = "POST code port 0x80",
    .state_size = sizeof(struct post),
    .region = { { REGION_PIO, 0x80, 1, &post_ops, false } },
    .reset = post_reset,
    .fields = &post_fields,
};
