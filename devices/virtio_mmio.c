/*
 * virtio_mmio.c - the registers by which a driver drives a virtio device that is on no bus.
 *
 * Control registers are 32 bits wide and accessed so; the device's configuration behind them as its fields are.
 * A queue that is not ready any more begins anew when it is ready again.
 * Not modelled: the legacy interface (version 1), notification data, queue reset; there are no shared memory regions.
 * Manual: VIRTIO 1.2 section 4.2: 4.2.2 (registers), 4.2.3 (their use).
 */
#include "virtio_mmio.h"

#include "virtio.h"

enum { /* table 4.1 */
    MAGIC_VALUE = 0x000, VERSION = 0x004, DEVICE_ID = 0x008, VENDOR_ID = 0x00c, DEVICE_FEATURES = 0x010, DEVICE_FEATURES_SEL = 0x014,
    DRIVER_FEATURES = 0x020, DRIVER_FEATURES_SEL = 0x024, QUEUE_SEL = 0x030, QUEUE_NUM_MAX = 0x034, QUEUE_NUM = 0x038,
    QUEUE_READY = 0x044, QUEUE_NOTIFY = 0x050, INTERRUPT_STATUS = 0x060, INTERRUPT_ACK = 0x064, STATUS = 0x070,
    QUEUE_DESC = 0x080, QUEUE_DRIVER = 0x090, QUEUE_DEVICE = 0x0a0, /* each a low half, and a high one behind it */
    SHM_LEN = 0x0b0, SHM_BASE = 0x0b8, CONFIG_GENERATION = 0x0fc,
};
enum { MAGIC = 0x74726976 /* "virt" */, MODERN = 2, VENDOR = 0x1af4 /* as on PCI */ };

struct virtio_mmio {
    struct virtio *virtio; /* NULL: nothing is plugged in */
    struct irq wire;
    uint32_t device_feature, driver_feature, queue; /* which half of the features is shown, and what the queue registers are about */
    uint8_t isr;
};

/* -- interrupts --------------------------------------------------------------------------------------------------------- */

static void mmio_set_isr(struct virtio_mmio *m, uint8_t isr)
{
    m->isr = isr;
    irq_set(&m->wire, isr != 0);
}

static void mmio_interrupt(struct virtio *v, int n)
{
    struct virtio_mmio *m = v->transport;

    mmio_set_isr(m, m->isr | (n == VIRTIO_CONFIGURATION ? VIRTIO_ISR_CONFIGURATION : VIRTIO_ISR_QUEUE));
}

/* -- reading: nothing changes by it ----------------------------------------------------------------------------------------- */

/* Section 4.2.2: a queue that is not there has at most 0 entries; a region of shared memory that is not there a length of -1. */
static uint32_t mmio_read_register(struct virtio_mmio *m, unsigned offset)
{
    const struct virtio *v = m->virtio;
    const struct virtio_queue *q = virtio_queue_at(m->virtio, m->queue);

    switch (offset) {
    case MAGIC_VALUE: return MAGIC;
    case VERSION: return MODERN;
    case DEVICE_ID: return v->kind->id;
    case VENDOR_ID: return VENDOR;
    case DEVICE_FEATURES: return virtio_features_half(v->offered, m->device_feature);
    case QUEUE_NUM_MAX: return q ? VIRTIO_QUEUE_SIZE : 0;
    case QUEUE_READY: return q && q->enabled;
    case INTERRUPT_STATUS: return m->isr;
    case STATUS: return v->status;
    case SHM_LEN: case SHM_LEN + 4: case SHM_BASE: case SHM_BASE + 4: return UINT32_MAX;
    case CONFIG_GENERATION: return v->generation;
    default: return 0;
    }
}

static uint64_t mmio_read_control(void *state, uint64_t offset, unsigned width)
{
    struct virtio_mmio *m = state;

    (void)width;
    return m->virtio ? mmio_read_register(m, (unsigned)offset) : 0;
}

/* -- writing ---------------------------------------------------------------------------------------------------------------- */

/* What writing 0 to Status does, and power-on. */
static void mmio_reset_registers(struct virtio_mmio *m)
{
    m->device_feature = m->driver_feature = m->queue = 0;
    mmio_set_isr(m, 0);
}

static void mmio_write_status(struct virtio_mmio *m, uint8_t status)
{
    if (status) {
        virtio_set_status(m->virtio, status);
        return;
    }
    virtio_reset(m->virtio);
    mmio_reset_registers(m);
}

static void mmio_write_ready(struct virtio_mmio *m, uint32_t value)
{
    if (value & 1)
        virtio_enable_queue(m->virtio, m->queue);
    else
        virtio_stop_queue(m->virtio, m->queue);
}

static void mmio_write_address(struct virtio_mmio *m, unsigned offset, uint32_t value)
{
    static const enum virtio_part parts[3] = { VIRTIO_DESCRIPTORS, VIRTIO_DRIVER_AREA, VIRTIO_DEVICE_AREA };
    unsigned n = (offset - QUEUE_DESC) >> 4;

    if (n < ARRAY_LEN(parts) && (offset & 0xf) <= 4)
        virtio_set_address(virtio_queue_at(m->virtio, m->queue), parts[n], offset & 4, 4, value);
}

static void mmio_write_control(void *state, uint64_t offset, unsigned width, uint64_t value)
{
    struct virtio_mmio *m = state;
    uint32_t v = (uint32_t)value;

    (void)width;
    if (!m->virtio)
        return;
    switch (offset) {
    case DEVICE_FEATURES_SEL: m->device_feature = v; break;
    case DRIVER_FEATURES: virtio_accept(m->virtio, m->driver_feature, v); break;
    case DRIVER_FEATURES_SEL: m->driver_feature = v; break;
    case QUEUE_SEL: m->queue = v; break;
    case QUEUE_NUM: virtio_set_queue_size(m->virtio, m->queue, v > VIRTIO_QUEUE_SIZE ? 0 : (uint16_t)v); break;
    case QUEUE_READY: mmio_write_ready(m, v); break;
    case QUEUE_NOTIFY: virtio_notify(m->virtio, v); break;
    case INTERRUPT_ACK: mmio_set_isr(m, m->isr & (uint8_t)~v); break;
    case STATUS: mmio_write_status(m, (uint8_t)v); break;
    default: mmio_write_address(m, (unsigned)offset, v); break;
    }
}

/* -- the device's configuration ------------------------------------------------------------------------------------------------ */

static uint64_t mmio_read_config(void *state, uint64_t offset, unsigned width)
{
    const struct virtio_mmio *m = state;

    return m->virtio ? virtio_config_read(m->virtio, (unsigned)offset, width) : 0;
}

static void mmio_write_config(void *state, uint64_t offset, unsigned width, uint64_t value)
{
    struct virtio_mmio *m = state;

    if (m->virtio)
        virtio_config_write(m->virtio, (unsigned)offset, width, value);
}

static const struct region_ops mmio_control_ops = { .read = mmio_read_control, .write = mmio_write_control, .limits = { .widths = W4 } };
static const struct region_ops mmio_config_ops = { .read = mmio_read_config, .write = mmio_write_config, .limits = { .widths = W_REGISTERS } };

/* -- life -------------------------------------------------------------------------------------------------------------------- */

static void virtio_mmio_reset(struct device *device) { mmio_reset_registers(device->state); }

void virtio_mmio_connect(struct device *mmio, struct device *device, uint64_t base, struct irq wire)
{
    struct virtio_mmio *m = mmio->state;

    m->virtio = device->state;
    m->wire = wire;
    m->virtio->transport = m;
    m->virtio->interrupt = mmio_interrupt;
    m->virtio->may_dma = NULL;
    for (unsigned i = 0; i < mmio->regions; i++)
        region_move(&mmio->region[i], base + mmio->class->region[i].base, true);
}

#define STATE struct virtio_mmio
FIELDS(virtio_mmio_fields, WIRING(virtio), FIELD_IRQ(wire), FIELD(device_feature), FIELD(driver_feature), FIELD(queue),
       FIELD_MAX(isr, VIRTIO_ISR_QUEUE | VIRTIO_ISR_CONFIGURATION))
#undef STATE

const struct device_class virtio_mmio_class = {
    .name = "virtio_mmio",
    .title = "the registers of a virtio device that is on no bus (VIRTIO 1.2 section 4.2)",
    .state_size = sizeof(struct virtio_mmio),
    .region = { { REGION_MMIO, 0, VIRTIO_MMIO_CONFIG, &mmio_control_ops, true },
                { REGION_MMIO, VIRTIO_MMIO_CONFIG, VIRTIO_MMIO_BYTES - VIRTIO_MMIO_CONFIG, &mmio_config_ops, true } },
    .reset = virtio_mmio_reset,
    .fields = &virtio_mmio_fields,
};
