/*
 * iommu.c - an IOMMU after Intel's VT-d: registers, the invalidation queue, faults and their interrupts, and the way of each
 * function on bus 0 to memory.
 *
 * What is cached by hardware is looked up anew here (iommu_tables.c), so that an invalidation is done as soon as it is asked for.
 * Not modelled: advanced fault log, protected memory regions, page requests, performance monitoring; the source of the I/O APIC's
 * messages is not verified.
 * Manual: Intel Virtualization Technology for Directed I/O (D51397), sections 6.5 (invalidation), 7 (faults), 10.4 (registers).
 */
#include "iommu.h"

#include "iommu_tables.h"
#include "msi.h"

enum {
    VER = 0x00, CAP = 0x08, ECAP = 0x10, GCMD = 0x18, GSTS = 0x1c, RTADDR = 0x20, CCMD = 0x28, FSTS = 0x34, FECTL = 0x38, IQH = 0x80,
    IQT = 0x88, IQA = 0x90, ICS = 0x9c, IECTL = 0xa0, IRTA = 0xb8, IVA = 0x200, IOTLB = 0x208, FRCD = 0x220, END = 0x300,
};
/* A block of four registers sends an event's interrupt: control, data, address, upper address. */
enum { EVENT_DATA = 4, EVENT_ADDRESS = 8, EVENT_MASKED = 1 << 31, EVENT_PENDING = 1 << 30 };
enum { TRANSLATE = 1 << 31, SET_ROOT = 1 << 30, QUEUE = 1 << 26, REMAP = 1 << 25, SET_REMAP = 1 << 24, COMPATIBLE = 1 << 23 };
enum { FSTS_OVERFLOW = 1, FSTS_PENDING = 2, FSTS_QUEUE = 1 << 4, FSTS_ALL = 0x73, FSTS_INDEX_AT = 8 };
enum { FAULTS = 8, FAULT_BYTES = 16, FAULT_HIGH = 12, FAULT_THERE = 1 << 31, FAULT_READ = 1 << 30 };
enum { ICS_COMPLETE = 1, QUEUE_SIZE = 7, QUEUE_ENTRY = 16 };
enum { APIC_PAGE = 0xfee, PAGE = 4096 };

/* Domains of 16 bits; 39 and 48 bits; pages of 4 KiB, 2 MiB and 1 GiB; invalidation by page; writes and reads are drained. */
#define CAP_LAST_INPUT_BIT UINT64_C(47)
#define CAP_LAST_FAULT UINT64_C(7)
#define CAP_VALUE                                                                                                                   \
    (UINT64_C(6) | UINT64_C(6) << 8 | CAP_LAST_INPUT_BIT << 16 | (uint64_t)FRCD / 16 << 24 | UINT64_C(3) << 34 | BIT(39) |           \
     CAP_LAST_FAULT << 40 | UINT64_C(18) << 48 | UINT64_C(3) << 54)
/* Coherent, with a queue, interrupt remapping, x2APIC destinations, pass-through. */
#define ECAP_VALUE (BIT(0) | BIT(1) | BIT(3) | BIT(4) | BIT(6) | (uint64_t)IVA / 16 << 8 | UINT64_C(15) << 20)

struct iommu_port {
    struct dma dma; /* first */
    struct iommu *iommu;
    uint8_t devfn;
};

struct iommu {
    uint32_t reg[END / 4];
    uint64_t root, irta;   /* RTADDR and IRTA as they were when they were set */
    uint8_t next_fault;    /* the record for the next one */
    bool busy;             /* the queue is being worked on */
    struct device *device;
    struct iommu_port port[256];
};

static uint32_t get(const struct iommu *m, unsigned at) { return m->reg[at / 4]; }
static uint64_t get64(const struct iommu *m, unsigned at) { return m->reg[at / 4] | (uint64_t)m->reg[at / 4 + 1] << 32; }
static void put(struct iommu *m, unsigned at, uint32_t value) { m->reg[at / 4] = value; }

static void put64(struct iommu *m, unsigned at, uint64_t value)
{
    put(m, at, (uint32_t)value);
    put(m, at + 4, (uint32_t)(value >> 32));
}

/* -- events (7.3) --------------------------------------------------------------------------------------------------------- */

static void event_send(struct iommu *m, unsigned block)
{
    uint64_t address = get64(m, block + EVENT_ADDRESS);

    if (address >> 20 == APIC_PAGE)
        msi_deliver(m->device->host.irq_bus, address, get(m, block + EVENT_DATA));
}

static void event_raise(struct iommu *m, unsigned block)
{
    if (get(m, block) & EVENT_MASKED)
        put(m, block, get(m, block) | EVENT_PENDING);
    else
        event_send(m, block);
}

/* After a write to its control: one that waits goes once it may.  `asks`: its status still says so. */
static void event_update(struct iommu *m, unsigned block, bool asks)
{
    uint32_t control = get(m, block);

    if (!(control & EVENT_PENDING))
        return;
    if (!asks) {
        put(m, block, control & ~(uint32_t)EVENT_PENDING);
    } else if (!(control & EVENT_MASKED)) {
        put(m, block, control & ~(uint32_t)EVENT_PENDING);
        event_send(m, block);
    }
}

/* -- faults (7.2) ----------------------------------------------------------------------------------------------------------- */

/* An event is one status that comes while there is none. */
static void fault_set_status(struct iommu *m, uint32_t bits)
{
    bool first = !(get(m, FSTS) & FSTS_ALL);

    put(m, FSTS, get(m, FSTS) | bits);
    if (first)
        event_raise(m, FECTL);
}

/* PPF is there while a record is. */
static void fault_update(struct iommu *m)
{
    bool any = false;

    for (unsigned i = 0; i < FAULTS; i++)
        any |= get(m, FRCD + i * FAULT_BYTES + FAULT_HIGH) >> 31;
    if (!any)
        put(m, FSTS, get(m, FSTS) & ~(uint32_t)FSTS_PENDING);
    event_update(m, FECTL, get(m, FSTS) & FSTS_ALL);
}

/* `what`: the page's address, or the index of an interrupt's entry in 63:48. */
static void fault_record(struct iommu *m, uint64_t what, uint32_t source, enum iommu_reason reason, bool read)
{
    unsigned at = FRCD + m->next_fault * FAULT_BYTES;
    uint32_t status = get(m, FSTS);

    if (status & FSTS_OVERFLOW)
        return;
    if (get(m, at + FAULT_HIGH) & FAULT_THERE) {
        fault_set_status(m, FSTS_OVERFLOW);
        return;
    }
    put64(m, at, what);
    put(m, at + 8, source);
    put(m, at + FAULT_HIGH, (uint32_t)FAULT_THERE | (read ? FAULT_READ : 0u) | reason);
    if (!(status & FSTS_PENDING))
        put(m, FSTS, (status & 0xff) | (uint32_t)m->next_fault << FSTS_INDEX_AT);
    m->next_fault = (m->next_fault + 1) % FAULTS;
    fault_set_status(m, FSTS_PENDING);
}

/* -- the invalidation queue (6.5.2) ---------------------------------------------------------------------------------------- */

enum { TYPE_CONTEXT = 1, TYPE_IOTLB = 2, TYPE_INTERRUPT = 4, TYPE_WAIT = 5, WAIT_INTERRUPT = 1 << 4, WAIT_STATUS = 1 << 5 };

/* What must be clear in a descriptor, and whether its granularity (5:4) may not be 0. */
struct descriptor_type {
    uint64_t reserved, reserved_high;
    bool known, granularity;
};

static const struct descriptor_type descriptor_types[] = {
    [TYPE_CONTEXT] = { UINT64_C(0xfffc00000000f1c0), UINT64_MAX, true, true },
    [TYPE_IOTLB] = { UINT64_C(0xffffffff0000f100), 0xf80, true, true },
    [TYPE_INTERRUPT] = { UINT64_C(0xffff000007fff1e0), UINT64_MAX, true, false },
    [TYPE_WAIT] = { UINT64_C(0xfffff180), 3, true, false },
};

static bool descriptor_is_valid(const uint64_t *d)
{
    unsigned type = (d[0] & 15) | (d[0] >> 9 & 7) << 4;
    const struct descriptor_type *t;

    if (type >= ARRAY_LEN(descriptor_types) || !descriptor_types[type].known)
        return false;
    t = &descriptor_types[type];
    return !(d[0] & t->reserved) && !(d[1] & t->reserved_high) && (!t->granularity || d[0] >> 4 & 3);
}

static void queue_complete(struct iommu *m)
{
    if (get(m, ICS) & ICS_COMPLETE)
        return;
    put(m, ICS, ICS_COMPLETE);
    event_raise(m, IECTL);
}

/* All before it is done already. */
static void queue_wait(struct iommu *m, const uint64_t *d)
{
    struct dma *dma = m->device->host.dma;
    uint32_t status = (uint32_t)(d[0] >> 32);

    if (d[0] & WAIT_STATUS)
        dma->write(dma, d[1], &status, sizeof(status));
    if (d[0] & WAIT_INTERRUPT)
        queue_complete(m);
}

static bool queue_step(struct iommu *m, uint32_t entries)
{
    struct dma *dma = m->device->host.dma;
    uint32_t head = get(m, IQH);
    uint64_t d[2];

    if (get(m, IQT) / QUEUE_ENTRY >= entries || head / QUEUE_ENTRY >= entries)
        return false;
    if (!dma->read(dma, (get64(m, IQA) & ~UINT64_C(0xfff)) + head, d, sizeof(d)) || !descriptor_is_valid(d))
        return false;
    if ((d[0] & 15) == TYPE_WAIT)
        queue_wait(m, d);
    put(m, IQH, (head + QUEUE_ENTRY) % (entries * QUEUE_ENTRY));
    return true;
}

/* At most once around: a status that is written may be another tail. */
static void queue_run(struct iommu *m)
{
    uint32_t entries = UINT32_C(256) << (get(m, IQA) & QUEUE_SIZE);

    if (m->busy)
        return;
    m->busy = true;
    for (uint32_t n = 0; n < entries && get(m, GSTS) & QUEUE && get(m, IQH) != get(m, IQT) && !(get(m, FSTS) & FSTS_QUEUE); n++)
        if (!queue_step(m, entries))
            fault_set_status(m, FSTS_QUEUE);
    m->busy = false;
}

/* -- registers (10.4) ---------------------------------------------------------------------------------------------------------- */

/* What a write to 32 bits changes, and what it clears where it has ones. */
struct iommu_word {
    uint16_t at;
    uint32_t writable, clears;
};

static const struct iommu_word iommu_words[] = {
    { RTADDR, 0xfffff000, 0 }, { RTADDR + 4, UINT32_MAX, 0 }, { CCMD, UINT32_MAX, 0 }, { CCMD + 4, 0xe0000003, 0 },
    { FSTS, 0, 0x71 }, { FECTL, EVENT_MASKED, 0 }, { FECTL + 4, UINT32_MAX, 0 }, { FECTL + 8, 0xfffffffc, 0 }, { FECTL + 12, UINT32_MAX, 0 },
    { IQT, 0x7fff0, 0 }, { IQA, 0xfffff007, 0 }, { IQA + 4, UINT32_MAX, 0 },
    { ICS, 0, ICS_COMPLETE }, { IECTL, EVENT_MASKED, 0 }, { IECTL + 4, UINT32_MAX, 0 }, { IECTL + 8, 0xfffffffc, 0 }, { IECTL + 12, UINT32_MAX, 0 },
    { IRTA, 0xfffff80f, 0 }, { IRTA + 4, UINT32_MAX, 0 }, { IVA, UINT32_MAX, 0 }, { IVA + 4, UINT32_MAX, 0 }, { IOTLB + 4, 0xb003ffff, 0 },
};

static struct iommu_word word_find(unsigned at)
{
    for (unsigned i = 0; i < ARRAY_LEN(iommu_words); i++)
        if (iommu_words[i].at == at)
            return iommu_words[i];
    return (struct iommu_word){ .clears = at >= FRCD && at < FRCD + FAULTS * FAULT_BYTES && at % FAULT_BYTES == FAULT_HIGH ? FAULT_THERE : 0 };
}

static void iommu_command(struct iommu *m, uint32_t command)
{
    uint32_t status = get(m, GSTS);

    if (command & SET_ROOT)
        m->root = get64(m, RTADDR) & bits_mask(52);
    if (command & SET_REMAP)
        m->irta = get64(m, IRTA);
    status |= command & (SET_ROOT | SET_REMAP);
    status = (status & (SET_ROOT | SET_REMAP)) | (command & ((uint32_t)TRANSLATE | QUEUE | REMAP | COMPATIBLE));
    put(m, GSTS, status);
    if (!(status & QUEUE))
        put(m, IQH, 0);
    queue_run(m);
}

/* Bit 31 asks for an invalidation, `asked` of this granularity; done, `done` says of which. */
static void iommu_invalidated(struct iommu *m, unsigned at, unsigned asked, unsigned done)
{
    uint32_t v = get(m, at), granularity = v >> asked & 3;

    if (v >> 31)
        put(m, at, (v & ~(UINT32_C(3) << done) & 0x7fffffff) | granularity << done);
}

/* CCMD: CIRG 62:61, CAIG 60:59.  IOTLB: IIRG 61:60, IAIG 58:57. */
static void iommu_written(struct iommu *m, unsigned at, uint32_t value)
{
    switch (at) {
    case GCMD: iommu_command(m, value); break;
    case CCMD + 4: iommu_invalidated(m, at, 29, 27); break;
    case IOTLB + 4: iommu_invalidated(m, at, 28, 25); break;
    case IQT: queue_run(m); break;
    case FSTS:
        fault_update(m);
        queue_run(m);
        break;
    case ICS: case IECTL: event_update(m, IECTL, get(m, ICS) & ICS_COMPLETE); break;
    default:
        if (at == FECTL || at >= FRCD)
            fault_update(m);
    }
}

static void iommu_write_word(struct iommu *m, unsigned at, uint32_t value)
{
    struct iommu_word w = word_find(at);

    if (at >= END)
        return;
    put(m, at, ((get(m, at) & ~w.writable) | (value & w.writable)) & ~(value & w.clears));
    iommu_written(m, at, value);
}

static uint64_t iommu_read(void *state, uint64_t offset, unsigned width)
{
    const struct iommu *m = state;

    if (offset >= END)
        return 0;
    return width == 8 ? get64(m, (unsigned)offset) : get(m, (unsigned)offset);
}

static void iommu_write(void *state, uint64_t offset, unsigned width, uint64_t value)
{
    for (unsigned i = 0; i < width; i += 4)
        iommu_write_word(state, (unsigned)offset + i, (uint32_t)(value >> i * 8));
}

/* -- interrupts of functions and of the I/O APIC ------------------------------------------------------------------------------- */

static void iommu_remap_message(struct iommu *m, const struct iommu_interrupt *i)
{
    struct irq_bus *bus = m->device->host.irq_bus;
    struct iommu_delivery d;
    enum iommu_reason reason = iommu_remap(m->device->host.dma, m->irta, i, &d);

    if (reason) {
        if (!d.quiet)
            fault_record(m, (uint64_t)d.index << 48, i->source, reason, false);
    } else if (bus && bus->deliver) {
        bus->deliver(bus, &d.message);
    }
}

void iommu_message(struct device *device, uint16_t source, uint64_t address, uint32_t data)
{
    struct iommu *m = device->state;
    uint32_t status = get(m, GSTS);
    bool remappable = address >> 4 & 1;

    if (!(status & REMAP) || (!remappable && status & COMPATIBLE && !(m->irta & IRTA_EXTENDED)))
        msi_deliver(device->host.irq_bus, address, data);
    else if (!remappable)
        fault_record(m, 0, source, IOMMU_COMPATIBILITY, false);
    else
        iommu_remap_message(m, &(struct iommu_interrupt){ source, source != IRQ_SOURCE_IOAPIC, address, data });
}

/* -- memory ---------------------------------------------------------------------------------------------------------------------- */

/* Within a page.  A write of four bytes to the APICs' addresses is an interrupt; there is nothing else to do there. */
static bool port_access(struct iommu_port *p, uint64_t address, uint8_t *bytes, size_t n, bool write)
{
    struct iommu *m = p->iommu;
    struct dma *dma = m->device->host.dma;
    struct iommu_answer answer = { .gpa = address };
    enum iommu_reason reason = IOMMU_OK;
    uint32_t data;

    if (address >> 20 == APIC_PAGE) {
        if (!write || n != sizeof(data))
            return false;
        memcpy(&data, bytes, sizeof(data));
        iommu_message(m->device, p->devfn, address, data);
        return true;
    }
    if (get(m, GSTS) & TRANSLATE)
        reason = iommu_translate(dma, m->root, &(struct iommu_request){ p->devfn, write, address }, &answer);
    if (!reason)
        return write ? dma->write(dma, answer.gpa, bytes, n) : dma->read(dma, answer.gpa, bytes, n);
    if (!answer.quiet)
        fault_record(m, address & ~(uint64_t)(PAGE - 1), p->devfn, reason, !write);
    return false;
}

static bool port_read(struct dma *dma, uint64_t address, void *data, size_t size)
{
    bool ok = true;

    for (size_t at = 0, n; at < size; at += n) {
        n = bits_min(size - at, PAGE - (address + at) % PAGE);
        if (!port_access((struct iommu_port *)dma, address + at, (uint8_t *)data + at, n, false)) {
            memset((uint8_t *)data + at, 0xff, n);
            ok = false;
        }
    }
    return ok;
}

static bool port_write(struct dma *dma, uint64_t address, const void *data, size_t size)
{
    bool ok = true;

    for (size_t at = 0, n; at < size; at += n) {
        n = bits_min(size - at, PAGE - (address + at) % PAGE);
        ok &= port_access((struct iommu_port *)dma, address + at, (uint8_t *)(uintptr_t)data + at, n, true);
    }
    return ok;
}

struct dma *iommu_dma(struct device *device, uint8_t devfn) { return &((struct iommu *)device->state)->port[devfn].dma; }

/* -- life -------------------------------------------------------------------------------------------------------------------------- */

static void iommu_reset(struct device *device)
{
    struct iommu *m = device->state;

    memset(m->reg, 0, sizeof(m->reg));
    m->root = m->irta = 0;
    m->next_fault = 0;
    put(m, VER, 0x10);
    put64(m, CAP, CAP_VALUE);
    put64(m, ECAP, ECAP_VALUE);
    put(m, FECTL, EVENT_MASKED);
    put(m, IECTL, EVENT_MASKED);
}

static void iommu_create(struct device *device)
{
    struct iommu *m = device->state;

    m->device = device;
    for (unsigned i = 0; i < ARRAY_LEN(m->port); i++)
        m->port[i] = (struct iommu_port){ { port_read, port_write, .translates = true }, m, (uint8_t)i };
}

static const struct region_ops iommu_ops = { .read = iommu_read, .write = iommu_write, .limits = { .widths = W4 | W8 } };

#define STATE struct iommu
FIELDS(iommu_fields, FIELD_ARRAY(reg), FIELD(root), FIELD(irta), FIELD_MAX(next_fault, FAULTS - 1), SCRATCH(busy), WIRING(device),
       WIRING_EACH(port, dma), WIRING_EACH(port, iommu), WIRING_EACH(port, devfn))
#undef STATE

const struct device_class iommu_class = {
    .name = "iommu",
    .title = "IOMMU: DMA and interrupt remapping (Intel VT-d, D51397)",
    .state_size = sizeof(struct iommu),
    .region = { { REGION_MMIO, IOMMU_BASE, 0x1000, &iommu_ops, false } },
    .create = iommu_create,
    .reset = iommu_reset,
    .fields = &iommu_fields,
};
