/*
 * testdev.c - what test programs for virtual machines want to touch: ports and memory that keep what is written, and a port
 * for each interrupt line.  It is the `pc-testdev` that kvm-unit-tests expect (their x86/ioram.h, x86/emulator.c and
 * lib/x86/asm; QEMU's documentation of -device pc-testdev).
 *
 * Not modelled: the effect of port e4, which makes a hypervisor forget how it maps a page: ours has nothing to forget.
 */
#include "testdev.h"

#define MEMORY_BYTES KIB(64)

struct testdev {
    uint8_t latch[4];             /* ports e0 to e3, and again at e8 */
    uint8_t memory[MEMORY_BYTES];
    struct irq line[TESTDEV_LINES];
};

static uint64_t get(const uint8_t *from, unsigned width)
{
    uint64_t value = 0;

    memcpy(&value, from, width);
    return value;
}

static uint64_t testdev_read_latch(void *state, uint64_t offset, unsigned width)
{
    return get(((struct testdev *)state)->latch + offset, width);
}

static void testdev_write_latch(void *state, uint64_t offset, unsigned width, uint64_t value)
{
    memcpy(((struct testdev *)state)->latch + offset, &value, width);
}

static uint64_t testdev_read_nothing(void *state, uint64_t offset, unsigned width)
{
    (void)state;
    (void)offset;
    return bits_mask(width * 8);
}

static void testdev_write_nothing(void *state, uint64_t offset, unsigned width, uint64_t value)
{
    (void)state;
    (void)offset;
    (void)width;
    (void)value;
}

static void testdev_write_line(void *state, uint64_t offset, unsigned width, uint64_t value)
{
    (void)width;
    irq_set(&((struct testdev *)state)->line[offset], value != 0);
}

static uint64_t testdev_read_memory(void *state, uint64_t offset, unsigned width)
{
    return get(((struct testdev *)state)->memory + offset, width);
}

static void testdev_write_memory(void *state, uint64_t offset, unsigned width, uint64_t value)
{
    memcpy(((struct testdev *)state)->memory + offset, &value, width);
}

static void testdev_reset(struct device *device)
{
    struct testdev *t = device->state;

    memset(t->latch, 0, sizeof(t->latch));
    memset(t->memory, 0, sizeof(t->memory));
    for (unsigned i = 0; i < TESTDEV_LINES; i++)
        irq_set(&t->line[i], false);
}

void testdev_connect(struct device *device, unsigned line, struct irq irq)
{
    if (line < TESTDEV_LINES)
        ((struct testdev *)device->state)->line[line] = irq;
}

static const struct region_ops latch_ops = {
    .read = testdev_read_latch, .write = testdev_write_latch, .limits = { .widths = W1 | W2 | W4 },
};
static const struct region_ops latch_byte_ops = {
    .read = testdev_read_latch, .write = testdev_write_latch, .limits = { .widths = W1 },
};
static const struct region_ops flush_ops = {
    .read = testdev_read_nothing, .write = testdev_write_nothing, .limits = { .widths = W1 | W2 | W4 },
};
static const struct region_ops line_ops = {
    .read = testdev_read_nothing, .write = testdev_write_line, .limits = { .widths = W1 },
};
static const struct region_ops memory_ops = {
    .read = testdev_read_memory, .write = testdev_write_memory, .limits = { .widths = W_REGISTERS, .flags = REGION_UNALIGNED },
};

#define STATE struct testdev
FIELDS(testdev_fields, FIELD_ARRAY(latch), FIELD_ARRAY(memory), FIELD_EACH_IRQ(line))
#undef STATE

const struct device_class testdev_class = {
    .name = "testdev",
    .title = "test device: memory, ports, interrupt lines (pc-testdev)",
    .state_size = sizeof(struct testdev),
    .region = {
        { REGION_PIO, 0xe0, 4, &latch_ops, false },
        { REGION_PIO, 0xe4, 4, &flush_ops, false },
        { REGION_PIO, 0xe8, 4, &latch_byte_ops, false },
        { REGION_PIO, 0x2000, TESTDEV_LINES, &line_ops, false },
        { REGION_MMIO, 0xff000000, MEMORY_BYTES, &memory_ops, false },
    },
    .reset = testdev_reset,
    .fields = &testdev_fields,
};
