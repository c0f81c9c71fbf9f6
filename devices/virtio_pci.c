/*
 * virtio_pci.c - the registers by which a driver finds and drives a virtio device on PCI.
 *
 * Not modelled: the legacy and transitional interfaces, notification data, queue reset, shared memory.
 * Manual: VIRTIO 1.2 section 4.1: 4.1.4 (capabilities and structures), 4.1.5 (notifications and interrupts).
 */
#include "virtio_pci.h"

enum { /* section 4.1.4: struct virtio_pci_cap, and what follows it in two of them */
    CAP_LENGTH = 2, CAP_TYPE = 3, CAP_BAR = 4, CAP_OFFSET = 8, CAP_BYTES = 12, CAP_SIZE = 16, CAP_NOTIFY_STEP = 16, CAP_DATA = 16,
};
enum { TYPE_COMMON = 1, TYPE_NOTIFY = 2, TYPE_ISR = 3, TYPE_DEVICE = 4, TYPE_PCI = 5 };
enum { /* where each is in configuration space */
    AT_MSIX = 0x40, AT_COMMON = 0x4c, AT_NOTIFY = 0x5c, AT_ISR = 0x70, AT_DEVICE = 0x80, AT_PCI = 0x90,
};
enum { /* section 4.1.4.3: the common configuration */
    DEVICE_FEATURE_SELECT = 0x00, DEVICE_FEATURE = 0x04, DRIVER_FEATURE_SELECT = 0x08, DRIVER_FEATURE = 0x0c, CONFIG_VECTOR = 0x10,
    NUM_QUEUES = 0x12, DEVICE_STATUS = 0x14, CONFIG_GENERATION = 0x15, QUEUE_SELECT = 0x16, QUEUE_SIZE = 0x18, QUEUE_VECTOR = 0x1a,
    QUEUE_ENABLE = 0x1c, QUEUE_NOTIFY_OFF = 0x1e, QUEUE_DESC = 0x20, QUEUE_DRIVER = 0x28, QUEUE_DEVICE = 0x30,
};
enum { NO_VECTOR = 0xffff };

/* -- interrupts --------------------------------------------------------------------------------------------------------- */

static void pci_update_isr(struct virtio_pci *p) { pci_function_interrupt(&p->function, p->isr && !msix_enabled(&p->msix)); }

/* Section 4.1.5.1.4, 4.1.5.2: a vector of its own, or INTx# and a bit that says what it was. */
static void pci_interrupt(struct virtio *v, int n)
{
    struct virtio_pci *p = (struct virtio_pci *)v;

    if (msix_enabled(&p->msix)) {
        msix_send(&p->msix, n == VIRTIO_CONFIGURATION ? p->config_vector : p->vector[n]);
        return;
    }
    p->isr |= n == VIRTIO_CONFIGURATION ? VIRTIO_ISR_CONFIGURATION : VIRTIO_ISR_QUEUE;
    pci_update_isr(p);
}

/* Section 4.1.4.5: reading clears. */
static uint64_t pci_read_isr(void *state, uint64_t offset, unsigned width)
{
    struct virtio_pci *p = state;
    uint8_t isr = p->isr;

    (void)width;
    if (offset)
        return 0;
    p->isr = 0;
    pci_update_isr(p);
    return isr;
}

static void pci_write_isr(void *state, uint64_t offset, unsigned width, uint64_t value)
{
    (void)state;
    (void)offset;
    (void)width;
    (void)value;
}

/* -- the common configuration --------------------------------------------------------------------------------------------- */

static struct virtio_queue *pci_queue(struct virtio_pci *p) { return virtio_queue_at(&p->virtio, p->queue); }

static void pci_put(uint8_t *image, unsigned at, unsigned width, uint64_t value)
{
    for (unsigned i = 0; i < width; i++)
        image[at + i] = (uint8_t)(value >> i * 8);
}

/* A queue that is not there has size 0. */
static void pci_image_queue(struct virtio_pci *p, uint8_t *image)
{
    const struct virtio_queue *q = pci_queue(p);

    pci_put(image, QUEUE_VECTOR, 2, q ? p->vector[p->queue] : NO_VECTOR);
    if (!q)
        return;
    pci_put(image, QUEUE_SIZE, 2, q->size);
    pci_put(image, QUEUE_ENABLE, 2, q->enabled);
    pci_put(image, QUEUE_NOTIFY_OFF, 2, p->queue);
    pci_put(image, QUEUE_DESC, 8, q->descriptors);
    pci_put(image, QUEUE_DRIVER, 8, q->driver);
    pci_put(image, QUEUE_DEVICE, 8, q->device);
}

/* Nothing in it changes by being read. */
static void pci_image(struct virtio_pci *p, uint8_t image[VIRTIO_PCI_COMMON_BYTES])
{
    const struct virtio *v = &p->virtio;

    memset(image, 0, VIRTIO_PCI_COMMON_BYTES);
    pci_put(image, DEVICE_FEATURE_SELECT, 4, p->device_feature);
    pci_put(image, DEVICE_FEATURE, 4, virtio_features_half(v->offered, p->device_feature));
    pci_put(image, DRIVER_FEATURE_SELECT, 4, p->driver_feature);
    pci_put(image, DRIVER_FEATURE, 4, virtio_features_half(v->accepted, p->driver_feature));
    pci_put(image, CONFIG_VECTOR, 2, p->config_vector);
    pci_put(image, NUM_QUEUES, 2, v->queues);
    pci_put(image, DEVICE_STATUS, 1, v->status);
    pci_put(image, CONFIG_GENERATION, 1, v->generation);
    pci_put(image, QUEUE_SELECT, 2, p->queue);
    pci_image_queue(p, image);
}

static uint64_t pci_read_common(void *state, uint64_t offset, unsigned width)
{
    uint8_t image[VIRTIO_PCI_COMMON_BYTES];
    uint64_t value = 0;

    pci_image(state, image);
    for (unsigned i = 0; i < width; i++)
        value |= (uint64_t)image[offset + i] << i * 8;
    return value;
}

/* Section 4.1.5.1.2: a vector that is not there reads back as none. */
static uint16_t pci_vector(const struct virtio_pci *p, uint64_t value) { return value < p->msix.vectors ? (uint16_t)value : NO_VECTOR; }

/* What writing status 0 does: all of virtio's registers, none of PCI's. */
static void pci_reset_virtio(struct virtio_pci *p)
{
    virtio_reset(&p->virtio);
    for (unsigned n = 0; n < VIRTIO_QUEUES; n++)
        p->vector[n] = NO_VECTOR;
    p->config_vector = NO_VECTOR;
    p->queue = 0;
    p->device_feature = p->driver_feature = 0;
    p->isr = 0;
    pci_update_isr(p);
}

static void pci_write_status(struct virtio_pci *p, uint8_t status)
{
    if (status)
        virtio_set_status(&p->virtio, status);
    else
        pci_reset_virtio(p);
}

static enum virtio_part pci_part(unsigned offset)
{
    return offset < QUEUE_DRIVER ? VIRTIO_DESCRIPTORS : offset < QUEUE_DEVICE ? VIRTIO_DRIVER_AREA : VIRTIO_DEVICE_AREA;
}

static void pci_write_queue(struct virtio_pci *p, unsigned offset, unsigned width, uint64_t value)
{
    struct virtio_queue *q = pci_queue(p);

    if (!q)
        return;
    if (offset >= QUEUE_DESC && offset < QUEUE_DEVICE + 8 && width >= 4)
        virtio_set_address(q, pci_part(offset), offset & 4, width, value);
    else if (offset == QUEUE_SIZE)
        virtio_set_queue_size(&p->virtio, p->queue, (uint16_t)value);
    else if (offset == QUEUE_VECTOR)
        p->vector[p->queue] = pci_vector(p, value);
    else if (offset == QUEUE_ENABLE && value == 1)
        virtio_enable_queue(&p->virtio, p->queue);
}

/* Section 4.1.3.1: a field is written as wide as it is, one of eight bytes also in halves. */
static unsigned pci_field_width(unsigned offset)
{
    if (offset < CONFIG_VECTOR)
        return 4;
    if (offset == DEVICE_STATUS || offset == CONFIG_GENERATION)
        return 1;
    return offset < QUEUE_DESC ? 2 : 4;
}

static void pci_write_common(void *state, uint64_t offset, unsigned width, uint64_t value)
{
    struct virtio_pci *p = state;
    unsigned field = pci_field_width((unsigned)offset);

    if (width != field && !(width == 8 && offset >= QUEUE_DESC))
        return;
    switch (offset) {
    case DEVICE_FEATURE_SELECT: p->device_feature = (uint32_t)value; break;
    case DRIVER_FEATURE_SELECT: p->driver_feature = (uint32_t)value; break;
    case DRIVER_FEATURE: virtio_accept(&p->virtio, p->driver_feature, (uint32_t)value); break;
    case CONFIG_VECTOR: p->config_vector = pci_vector(p, value); break;
    case DEVICE_STATUS: pci_write_status(p, (uint8_t)value); break;
    case QUEUE_SELECT: p->queue = (uint16_t)value; break;
    default: pci_write_queue(p, (unsigned)offset, width, value); break;
    }
}

/* -- the other structures -------------------------------------------------------------------------------------------------- */

static uint64_t pci_read_device(void *state, uint64_t offset, unsigned width)
{
    return virtio_config_read(&((struct virtio_pci *)state)->virtio, (unsigned)offset, width);
}

static void pci_write_device(void *state, uint64_t offset, unsigned width, uint64_t value)
{
    virtio_config_write(&((struct virtio_pci *)state)->virtio, (unsigned)offset, width, value);
}

static uint64_t pci_read_notify(void *state, uint64_t offset, unsigned width)
{
    (void)state;
    (void)offset;
    (void)width;
    return 0;
}

/* Section 4.1.5.2: the address names the queue; the value is its number again. */
static void pci_write_notify(void *state, uint64_t offset, unsigned width, uint64_t value)
{
    struct virtio_pci *p = state;

    (void)width;
    (void)value;
    if (offset % VIRTIO_PCI_NOTIFY_STEP == 0)
        virtio_notify(&p->virtio, (unsigned)offset / VIRTIO_PCI_NOTIFY_STEP);
}

const struct region_ops virtio_pci_common_ops = { .read = pci_read_common, .write = pci_write_common, .limits = { .widths = W_REGISTERS } };
const struct region_ops virtio_pci_isr_ops = { .read = pci_read_isr, .write = pci_write_isr, .limits = { .widths = W1 | W2 | W4 } };
const struct region_ops virtio_pci_device_ops = { .read = pci_read_device, .write = pci_write_device, .limits = { .widths = W_REGISTERS } };
const struct region_ops virtio_pci_notify_ops = { .read = pci_read_notify, .write = pci_write_notify, .limits = { .widths = W2 | W4 } };

/* -- configuration space ------------------------------------------------------------------------------------------------------ */

/* Section 4.1.4.9: what pci_cfg_data reaches now: a region, and the offset in it; NULL: nothing. */
static const struct region *pci_window(const struct virtio_pci *p, uint64_t *offset, unsigned *width)
{
    const struct device *device = p->function.device;
    const struct pci_function *f = &p->function;
    uint32_t at = pci_function_get(f, AT_PCI + CAP_OFFSET, 4);

    *width = pci_function_get(f, AT_PCI + CAP_BYTES, 4);
    if (f->config[AT_PCI + CAP_BAR] || (*width != 1 && *width != 2 && *width != 4) || at % *width)
        return NULL;
    for (unsigned n = 0; n < device->regions; n++) {
        const struct region *r = &device->region[n];

        *offset = at - device->class->region[n].base;
        if (at >= device->class->region[n].base && *offset < r->size && region_takes(&r->ops->limits, *offset, *width))
            return r;
    }
    return NULL;
}

static void pci_reading(struct device *device, unsigned offset, unsigned width)
{
    struct virtio_pci *p = device->state;
    const struct region *r;
    uint64_t at;
    unsigned n;

    (void)width;
    if (offset != AT_PCI + CAP_DATA || !(r = pci_window(p, &at, &n)))
        return;
    pci_put(p->function.config, AT_PCI + CAP_DATA, n, r->ops->read(r->state, at, n));
}

static void pci_written(struct device *device, unsigned offset, unsigned width)
{
    struct virtio_pci *p = device->state;
    const struct region *r;
    uint64_t at;
    unsigned n;

    (void)width;
    msix_written(&p->msix);
    pci_update_isr(p);
    if (offset == AT_PCI + CAP_DATA && (r = pci_window(p, &at, &n)))
        r->ops->write(r->state, at, n, pci_function_get(&p->function, AT_PCI + CAP_DATA, n));
}

static void pci_add_structure(struct pci_function *f, uint8_t at, uint8_t type, uint32_t offset, uint32_t bytes)
{
    pci_function_capability(f, PCI_CAPABILITY_VENDOR, at);
    f->config[at + CAP_LENGTH] = type == TYPE_NOTIFY || type == TYPE_PCI ? CAP_SIZE + 4 : CAP_SIZE;
    f->config[at + CAP_TYPE] = type;
    pci_function_register(f, at + CAP_OFFSET, 4, offset, 0);
    pci_function_register(f, at + CAP_BYTES, 4, bytes, 0);
}

/* The list begins with what was added last. */
static void pci_add_structures(struct virtio_pci *p)
{
    struct pci_function *f = &p->function;

    pci_add_structure(f, AT_PCI, TYPE_PCI, 0, 0);
    pci_function_register(f, AT_PCI + CAP_BAR, 1, 0, 0xff);
    pci_function_register(f, AT_PCI + CAP_OFFSET, 4, 0, UINT32_MAX);
    pci_function_register(f, AT_PCI + CAP_BYTES, 4, 0, UINT32_MAX);
    pci_function_register(f, AT_PCI + CAP_DATA, 4, 0, UINT32_MAX);
    if (p->virtio.kind->config_bytes)
        pci_add_structure(f, AT_DEVICE, TYPE_DEVICE, VIRTIO_PCI_DEVICE, p->virtio.kind->config_bytes);
    pci_add_structure(f, AT_ISR, TYPE_ISR, VIRTIO_PCI_ISR, 1);
    pci_add_structure(f, AT_NOTIFY, TYPE_NOTIFY, VIRTIO_PCI_NOTIFY, VIRTIO_QUEUES * VIRTIO_PCI_NOTIFY_STEP);
    pci_function_register(f, AT_NOTIFY + CAP_NOTIFY_STEP, 4, VIRTIO_PCI_NOTIFY_STEP, 0);
    pci_add_structure(f, AT_COMMON, TYPE_COMMON, VIRTIO_PCI_COMMON, VIRTIO_PCI_COMMON_BYTES);
}

/* -- life ------------------------------------------------------------------------------------------------------------------- */

/* PCI 3.0 section 6.2.2. */
static bool pci_may_dma(const struct virtio *v) { return pci_function_is_master(&((const struct virtio_pci *)v)->function); }

void virtio_pci_create(struct device *device, const struct virtio_kind *kind)
{
    struct virtio_pci *p = device->state;

    p->virtio.kind = kind;
    p->virtio.device = device;
    p->virtio.may_dma = pci_may_dma;
    p->virtio.interrupt = pci_interrupt;
    p->function.written = pci_written;
    p->function.reading = pci_reading;
    for (unsigned n = 0; n < device->regions; n++)
        if (device->region[n].ops == &msix_table_ops || device->region[n].ops == &msix_pba_ops)
            device->region[n].state = &p->msix;
}

/* A vector for each queue and one for changes of the configuration. */
void virtio_pci_reset(struct device *device, const struct pci_identity *identity)
{
    struct virtio_pci *p = device->state;
    struct msix_place place = { .capability = AT_MSIX, .vectors = p->virtio.kind->queues + 1, .table = VIRTIO_PCI_TABLE,
                                .pending = VIRTIO_PCI_PENDING };

    pci_function_init(&p->function, device, identity);
    msix_init(&p->msix, &p->function, &place);
    pci_add_structures(p);
    pci_reset_virtio(p);
}

bool virtio_pci_restored(struct device *device, struct err *err)
{
    struct virtio_pci *p = device->state;

    pci_function_restored(&p->function);
    return virtio_restored(&p->virtio, err);
}

void virtio_pci_connect(struct device *device, struct device *pci, uint8_t devfn)
{
    struct virtio_pci *p = device->state;

    pci_add(pci, &p->function, devfn);
}
