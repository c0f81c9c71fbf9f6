/*
 * edu.c - a PCI device to learn with: a register that answers, a computation, interrupts on request, and DMA.
 *
 * What takes time is done when its time is over, so that a driver has something to wait for.
 * Not modelled: another DMA mask than that of 28 bits.
 * Manual: "EDU device" of QEMU's documentation (docs/specs/edu), whose programming interface this is.
 */
#include "edu.h"

#include "base/log.h"
#include "msi.h"

enum { EDU_MSI = 0x40, EDU_BAR_BYTES = 1 << 20, EDU_SMALL = 0x80 /* registers of 4 bytes end here */ };
enum { EDU_ID = 0x00, EDU_LIVENESS = 0x04, EDU_FACTORIAL = 0x08, EDU_STATUS = 0x20, EDU_INTERRUPTS = 0x24, EDU_RAISE = 0x60,
       EDU_ACKNOWLEDGE = 0x64, EDU_SOURCE = 0x80, EDU_DESTINATION = 0x88, EDU_COUNT = 0x90, EDU_COMMAND = 0x98 };
enum { STATUS_COMPUTING = 1, STATUS_INTERRUPT = 0x80 };
enum { COMMAND_START = 1, COMMAND_TO_MEMORY = 2, COMMAND_INTERRUPT = 4, COMMAND_KEPT = 7 };
enum { INTERRUPT_FACTORIAL = 1, INTERRUPT_DMA = 0x100 };
enum { BUFFER_AT = 0x40000, BUFFER_BYTES = 4096 };
enum { FACTORIAL_NS = 10000, DMA_NS = 100000 };
#define IDENTIFICATION 0x010000edu /* version 1.0 */
#define DMA_MASK bits_mask(28)

struct edu {
    struct pci_function function;
    struct msi msi;
    struct device *device;
    uint32_t liveness, factorial, status, interrupts, command;
    uint64_t source, destination, count;
    struct clock_timer computed, moved;
    uint8_t buffer[BUFFER_BYTES];
};

static const struct pci_identity edu_identity = {
    .vendor = 0x1234, .device = 0x11e8, .revision = 0x10, .class_code = 0x00ff00, .subsystem_vendor = 0x1af4, .subsystem = 0x1100, .pin = 1,
    .bar = { { .kind = PCI_BAR_MEMORY, .size = EDU_BAR_BYTES, .first_region = 0, .regions = 2 } },
};

/* -- interrupts --------------------------------------------------------------------------------------------------------- */

static void edu_update_line(struct edu *e) { pci_function_interrupt(&e->function, e->interrupts && !msi_enabled(&e->msi)); }

static void edu_raise(struct edu *e, uint32_t what)
{
    e->interrupts |= what;
    edu_update_line(e);
    if (e->interrupts)
        msi_send(&e->msi);
}

static void edu_written(struct device *device, unsigned offset, unsigned width)
{
    (void)offset, (void)width;
    edu_update_line(device->state);
}

/* -- the factorial, of 32 bits ------------------------------------------------------------------------------------------- */

/* From 34 on the product is a multiple of 2^32. */
static uint32_t edu_compute(uint32_t n)
{
    uint32_t product = 1;

    if (n >= 34)
        return 0;
    for (uint32_t i = 2; i <= n; i++)
        product *= i;
    return product;
}

static void edu_start_factorial(struct edu *e, uint32_t n)
{
    if (e->status & STATUS_COMPUTING)
        return;
    e->factorial = n;
    e->status |= STATUS_COMPUTING;
    clock_arm(e->device->host.clock, &e->computed, clock_now(e->device->host.clock) + FACTORIAL_NS);
}

static void edu_finish_factorial(void *opaque)
{
    struct edu *e = opaque;

    e->factorial = edu_compute(e->factorial);
    e->status &= ~(uint32_t)STATUS_COMPUTING;
    if (e->status & STATUS_INTERRUPT)
        edu_raise(e, INTERRUPT_FACTORIAL);
}

/* -- DMA ------------------------------------------------------------------------------------------------------------------- */

/* The part of the buffer that a transfer means; NULL: some of it lies outside. */
static uint8_t *edu_place(struct edu *e, uint64_t at)
{
    if (at < BUFFER_AT || e->count > BUFFER_BYTES || at - BUFFER_AT > BUFFER_BYTES - e->count)
        return NULL;
    return e->buffer + (at - BUFFER_AT);
}

static void edu_move(struct edu *e)
{
    bool out = e->command & COMMAND_TO_MEMORY;
    uint8_t *at = edu_place(e, out ? e->source : e->destination);
    struct dma *dma = e->device->host.dma;

    if (!at) {
        log_printf(LOG_GUEST, "edu: a transfer outside its buffer\n");
        return;
    }
    if (!dma || !pci_function_is_master(&e->function))
        return;
    if (out)
        dma->write(dma, e->destination & DMA_MASK, at, e->count);
    else
        dma->read(dma, e->source & DMA_MASK, at, e->count);
}

static void edu_finish_dma(void *opaque)
{
    struct edu *e = opaque;

    edu_move(e);
    e->command &= ~(uint32_t)COMMAND_START;
    if (e->command & COMMAND_INTERRUPT)
        edu_raise(e, INTERRUPT_DMA);
}

static void edu_write_dma(struct edu *e, uint64_t offset, uint64_t value)
{
    if (e->command & COMMAND_START)
        return; /* until it is done, its registers stay */
    switch (offset) {
    case EDU_SOURCE: e->source = value; break;
    case EDU_DESTINATION: e->destination = value; break;
    case EDU_COUNT: e->count = value; break;
    case EDU_COMMAND:
        e->command = value & COMMAND_KEPT;
        if (e->command & COMMAND_START)
            clock_arm(e->device->host.clock, &e->moved, clock_now(e->device->host.clock) + DMA_NS);
        break;
    default: break;
    }
}

/* -- registers: a write of 4 bytes to one of 8 clears its upper half -------------------------------------------------------- */

static uint64_t edu_read_small(void *state, uint64_t offset, unsigned width)
{
    const struct edu *e = state;

    (void)width;
    switch (offset) {
    case EDU_ID: return IDENTIFICATION;
    case EDU_LIVENESS: return ~e->liveness;
    case EDU_FACTORIAL: return e->factorial;
    case EDU_STATUS: return e->status;
    case EDU_INTERRUPTS: return e->interrupts;
    default: return UINT32_MAX;
    }
}

static void edu_write_small(void *state, uint64_t offset, unsigned width, uint64_t value)
{
    struct edu *e = state;

    (void)width;
    switch (offset) {
    case EDU_LIVENESS: e->liveness = (uint32_t)value; break;
    case EDU_FACTORIAL: edu_start_factorial(e, (uint32_t)value); break;
    case EDU_STATUS: e->status = (e->status & STATUS_COMPUTING) | (value & STATUS_INTERRUPT); break;
    case EDU_RAISE: edu_raise(e, (uint32_t)value); break;
    case EDU_ACKNOWLEDGE:
        e->interrupts &= ~(uint32_t)value;
        edu_update_line(e);
        break;
    default: break;
    }
}

static uint64_t edu_read(void *state, uint64_t offset, unsigned width)
{
    const struct edu *e = state;

    switch (offset + EDU_SMALL) {
    case EDU_SOURCE: return bits_trunc(e->source, width);
    case EDU_DESTINATION: return bits_trunc(e->destination, width);
    case EDU_COUNT: return bits_trunc(e->count, width);
    case EDU_COMMAND: return e->command;
    default: return bits_mask(width * 8);
    }
}

static void edu_write(void *state, uint64_t offset, unsigned width, uint64_t value)
{
    (void)width;
    edu_write_dma(state, offset + EDU_SMALL, value);
}

/* -- life ----------------------------------------------------------------------------------------------------------------------- */

static void edu_reset(struct device *device)
{
    struct edu *e = device->state;

    pci_function_init(&e->function, device, &edu_identity);
    msi_init(&e->msi, &e->function, EDU_MSI);
    e->liveness = e->factorial = e->status = e->interrupts = e->command = 0;
    e->source = e->destination = e->count = 0;
    memset(e->buffer, 0, sizeof(e->buffer));
    clock_disarm(device->host.clock, &e->computed);
    clock_disarm(device->host.clock, &e->moved);
}

static void edu_create(struct device *device)
{
    struct edu *e = device->state;

    e->device = device;
    e->function.written = edu_written;
    e->computed = (struct clock_timer){ .fire = edu_finish_factorial, .opaque = e };
    e->moved = (struct clock_timer){ .fire = edu_finish_dma, .opaque = e };
}

void edu_connect(struct device *device, struct device *pci, uint8_t devfn) { pci_add(pci, &((struct edu *)device->state)->function, devfn); }

static bool edu_restored(struct device *device, struct err *err)
{
    (void)err;
    pci_function_restored(&((struct edu *)device->state)->function);
    return true;
}

static const struct region_ops small_ops = { .read = edu_read_small, .write = edu_write_small, .limits = { .widths = W4 } };
static const struct region_ops edu_ops = { .read = edu_read, .write = edu_write, .limits = { .widths = W4 | W8 } };

#define STATE struct edu
FIELDS(edu_fields, PCI_FUNCTION_FIELDS(function), MSI_FIELDS(msi), WIRING(device), FIELD(liveness), FIELD(factorial), FIELD(status),
       FIELD(interrupts), FIELD_MAX(command, COMMAND_KEPT), FIELD(source), FIELD(destination), FIELD(count), FIELD_DEADLINE(computed),
       FIELD_DEADLINE(moved), FIELD_ARRAY(buffer))
#undef STATE

const struct device_class edu_class = {
    .name = "edu",
    .title = "PCI device to learn with (QEMU's docs/specs/edu)",
    .state_size = sizeof(struct edu),
    .region = {
        { REGION_MMIO, 0, EDU_SMALL, &small_ops, true },
        { REGION_MMIO, EDU_SMALL, EDU_BAR_BYTES - EDU_SMALL, &edu_ops, true },
    },
    .create = edu_create,
    .reset = edu_reset,
    .fields = &edu_fields,
    .restored = edu_restored,
};
