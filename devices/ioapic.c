/*
 * ioapic.c - the I/O APIC of an ICH9: 24 redirection entries at 0xfec00000, messages out to the local APICs.
 *
 * Not modelled: input polarity (wires here carry "asserted", so INTPOL is kept and not used), the delivery status bit
 * (a message is delivered at once), boot-time choice of the APIC bus.
 * Manual: Intel 82093AA data sheet (290566); version 0x20 and the EOI register: ICH9 data sheet (316972) 13.5.
 */
#include "ioapic.h"

enum { IOREGSEL = 0x00, IOWIN = 0x10, IOEOI = 0x40 };
enum { IOAPICID = 0, IOAPICVER = 1, IOAPICARB = 2, IOREDTBL = 0x10 };
enum { RTE_LOGICAL = 1 << 11, RTE_POLARITY = 1 << 13, RTE_REMOTE_IRR = 1 << 14, RTE_LEVEL = 1 << 15,
       RTE_MASKED = 1 << 16 };
#define RTE_WRITABLE UINT64_C(0xff0000000001afff)
#define RTE_INDEX UINT64_C(0x00ff000000000000) /* kept where messages are remapped */

struct ioapic {
    uint8_t select, id;
    uint64_t rte[IOAPIC_PINS];
    uint32_t lines;
    struct irq_bus *bus;
};

/* The entry as an MSI: its upper 16 bits and bit 11 are what an IOMMU looks for (VT-d 5.1.5). */
static void ioapic_deliver(struct ioapic *io, uint64_t rte, const struct irq_message *m)
{
    struct irq_bus *bus = io->bus;
    uint64_t address = 0xfee00000 | (rte >> 48) << 4 | (rte & RTE_LOGICAL ? 4 : 0);

    if (bus && bus->remap)
        bus->remap(bus, IRQ_SOURCE_IOAPIC, address, m->vector | (uint32_t)m->delivery << 8 | 1 << 14 | (m->level ? 1u << 15 : 0));
    else if (bus && bus->deliver)
        bus->deliver(bus, m);
}

static void ioapic_send(struct ioapic *io, unsigned pin)
{
    uint64_t *rte = &io->rte[pin];
    struct irq_message m = {
        .destination = (uint32_t)(*rte >> 56), .logical = *rte & RTE_LOGICAL, .level = *rte & RTE_LEVEL,
        .assert = true, .delivery = (enum irq_delivery)(*rte >> 8 & 7), .vector = (uint8_t)*rte,
    };

    if (m.delivery == 3)
        return; /* reserved */
    if (m.level && m.delivery <= IRQ_LOWEST)
        *rte |= RTE_REMOTE_IRR; /* until the EOI comes back */
    else
        m.level = false;
    ioapic_deliver(io, *rte, &m);
}

/* A level-triggered entry sends while its line is up and nothing is outstanding. */
static void ioapic_service_level(struct ioapic *io, unsigned pin)
{
    uint64_t rte = io->rte[pin];

    if (rte & RTE_LEVEL && !(rte & (RTE_MASKED | RTE_REMOTE_IRR)) && io->lines >> pin & 1)
        ioapic_send(io, pin);
}

static void ioapic_set_line(void *opaque, int line, bool level)
{
    struct ioapic *io = opaque;
    uint32_t bit;

    if (line < 0 || line >= IOAPIC_PINS)
        return;
    bit = 1u << line;
    if (level && !(io->lines & bit) && !(io->rte[line] & (RTE_LEVEL | RTE_MASKED)))
        ioapic_send(io, (unsigned)line); /* an edge on a masked pin is lost (section 3.2.4, bit 16) */
    io->lines = level ? io->lines | bit : io->lines & ~bit;
    ioapic_service_level(io, (unsigned)line);
}

static void ioapic_end(struct ioapic *io, uint8_t vector)
{
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        if ((uint8_t)io->rte[pin] != vector || !(io->rte[pin] & RTE_REMOTE_IRR))
            continue;
        io->rte[pin] &= ~(uint64_t)RTE_REMOTE_IRR;
        ioapic_service_level(io, pin);
    }
}

static void ioapic_write_rte(struct ioapic *io, unsigned pin, unsigned half, uint32_t v)
{
    uint64_t writable = RTE_WRITABLE | (io->bus && io->bus->remap ? RTE_INDEX : 0);
    uint64_t mask = writable & (half ? 0xffffffff00000000 : 0xffffffff);
    uint64_t value = half ? (uint64_t)v << 32 : v;

    io->rte[pin] = (io->rte[pin] & ~mask) | (value & mask);
    if (!(io->rte[pin] & RTE_LEVEL))
        io->rte[pin] &= ~(uint64_t)RTE_REMOTE_IRR; /* has no meaning for edge entries */
    ioapic_service_level(io, pin);
}

static uint32_t ioapic_read_window(const struct ioapic *io)
{
    unsigned index = io->select, pin = (index - IOREDTBL) / 2;

    switch (index) {
    case IOAPICID: case IOAPICARB: return (uint32_t)io->id << 24;
    case IOAPICVER: return (IOAPIC_PINS - 1) << 16 | 0x20;
    default: break;
    }
    if (index < IOREDTBL || pin >= IOAPIC_PINS)
        return 0xffffffff;
    return (uint32_t)(index & 1 ? io->rte[pin] >> 32 : io->rte[pin]);
}

static uint64_t ioapic_read(void *state, uint64_t offset, unsigned width)
{
    struct ioapic *io = state;

    (void)width;
    switch (offset) {
    case IOREGSEL: return io->select;
    case IOWIN: return ioapic_read_window(io);
    default: return 0;
    }
}

static void ioapic_write(void *state, uint64_t offset, unsigned width, uint64_t value)
{
    struct ioapic *io = state;
    unsigned pin = (io->select - IOREDTBL) / 2;

    (void)width;
    if (offset == IOREGSEL)
        io->select = (uint8_t)value;
    else if (offset == IOWIN && io->select == IOAPICID)
        io->id = value >> 24 & 15;
    else if (offset == IOWIN && io->select >= IOREDTBL && pin < IOAPIC_PINS)
        ioapic_write_rte(io, pin, io->select & 1, (uint32_t)value);
    else if (offset == IOEOI)
        ioapic_end(io, (uint8_t)value);
}

static void ioapic_reset(struct device *device)
{
    struct ioapic *io = device->state;

    io->select = io->id = 0;
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
        io->rte[pin] = RTE_MASKED;
    io->bus = device->host.irq_bus;
}

void ioapic_eoi(struct device *device, uint8_t vector) { ioapic_end(device->state, vector); }

bool ioapic_is_masked(const struct device *device, unsigned pin)
{
    const struct ioapic *io = device->state;

    return io->rte[pin] & RTE_MASKED;
}

bool ioapic_has_unmaskable(const struct device *device)
{
    const struct ioapic *io = device->state;

    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
        if (!(io->rte[pin] & RTE_MASKED) && ((io->rte[pin] >> 8 & 7) == IRQ_NMI || (io->rte[pin] >> 8 & 7) == IRQ_INIT))
            return true;
    return false;
}

struct irq ioapic_input(struct device *device, unsigned pin)
{
    return (struct irq){ .set = ioapic_set_line, .opaque = device->state, .line = (int)pin };
}

static const struct region_ops ioapic_ops = { .read = ioapic_read, .write = ioapic_write, .limits = { .widths = W4 } };

#define STATE struct ioapic
FIELDS(ioapic_fields, FIELD(select), FIELD_MAX(id, 15), FIELD_ARRAY(rte), FIELD_MAX(lines, BIT(IOAPIC_PINS) - 1), WIRING(bus))
#undef STATE

const struct device_class ioapic_class = {
    .name = "ioapic",
    .title = "I/O APIC with 24 inputs (Intel 82093AA 290566, ICH9 316972)",
    .state_size = sizeof(struct ioapic),
    .region = { { REGION_MMIO, 0xfec00000, 0x1000, &ioapic_ops, false } },
    .reset = ioapic_reset,
    .fields = &ioapic_fields,
};
