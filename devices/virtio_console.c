/*
 * virtio_console.c - the virtio console: one port, /dev/hvc0 to Linux.
 *
 * What is behind the first MiB of a chain is not printed.  Input waits in a small buffer until the driver gives some of its own.
 * Not modelled: several ports, the console's size.
 * Manual: VIRTIO 1.2 section 5.3.
 */
#include "virtio_console.h"

#include "virtio_pci.h"

enum { F_EMERG_WRITE = 2 };                                       /* section 5.3.3 */
enum { MAX_NR_PORTS = 4, EMERG_WRITE = 8, CONFIG_END = 12 };      /* section 5.3.4 */
enum { RECEIVE, TRANSMIT, QUEUES, INPUT_BYTES = 256, PIECE_BYTES = 4096, CHAIN_BYTES = 1 << 20 };

struct virtio_console {
    struct virtio_pci pci; /* first */
    struct char_backend *backend;
    uint8_t input[INPUT_BYTES];
    uint16_t inputs;       /* so many of `input` wait */
};

/* While a notification is looked at, or between virtio_begin() and virtio_end(). */
static void console_deliver(struct virtio_console *d)
{
    struct virtio *v = &d->pci.virtio;
    struct virtio_chain chain;

    while (d->inputs && virtio_pop(v, RECEIVE, &chain)) {
        uint16_t n = (uint16_t)bits_min(d->inputs, chain.writable_bytes);

        virtio_write(v, &chain, 0, d->input, n);
        virtio_push(v, RECEIVE, &chain, n);
        d->inputs -= n;
        memmove(d->input, d->input + n, d->inputs);
    }
    virtio_tell(v, RECEIVE);
}

static void console_print(struct virtio_console *d, const struct virtio_chain *c)
{
    uint8_t data[PIECE_BYTES];
    size_t n;

    for (uint64_t at = 0, end = bits_min(c->readable_bytes, CHAIN_BYTES); at < end; at += n) {
        n = bits_min(end - at, sizeof(data));
        if (!virtio_read(&d->pci.virtio, c, at, data, n))
            return;
        backend_output(d->backend, data, n);
    }
}

static void console_notified(struct virtio *v, unsigned n)
{
    struct virtio_console *d = (struct virtio_console *)v;
    struct virtio_chain chain;

    if (n == RECEIVE) {
        console_deliver(d);
        return;
    }
    while (virtio_pop(v, TRANSMIT, &chain)) {
        console_print(d, &chain);
        virtio_push(v, TRANSMIT, &chain, 0);
    }
    virtio_tell(v, TRANSMIT);
}

/* Section 5.3.6.1: a character without a queue. */
static void console_config_written(struct virtio *v, unsigned offset, unsigned width, uint64_t value)
{
    uint8_t byte = (uint8_t)value;

    (void)width;
    if (offset == EMERG_WRITE)
        backend_output(((struct virtio_console *)v)->backend, &byte, 1);
}

static void console_reset(struct virtio *v)
{
    v->offered |= BIT(F_EMERG_WRITE);
    virtio_config_set(v, MAX_NR_PORTS, 4, 1);
    ((struct virtio_console *)v)->inputs = 0;
}

/* -- the host's end ------------------------------------------------------------------------------------------------------------ */

/* A console that nobody drives has room for nothing. */
static size_t console_input_room(void *device)
{
    const struct virtio_console *d = ((struct device *)device)->state;

    return d->pci.virtio.status & VIRTIO_DRIVER_OK ? (size_t)(INPUT_BYTES - d->inputs) : 0;
}

static void console_input(void *device, const uint8_t *data, size_t bytes)
{
    struct virtio_console *d = ((struct device *)device)->state;

    bytes = bits_min(bytes, console_input_room(device));
    memcpy(d->input + d->inputs, data, bytes);
    d->inputs += (uint16_t)bytes;
    if (!virtio_begin(&d->pci.virtio, RECEIVE))
        return;
    console_deliver(d);
    virtio_end(&d->pci.virtio);
}

/* -- life ----------------------------------------------------------------------------------------------------------------------- */

static const struct virtio_kind console_kind = {
    .id = VIRTIO_ID_CONSOLE, .queues = QUEUES, .config_bytes = CONFIG_END, .reset = console_reset, .notified = console_notified,
    .config_written = console_config_written,
};
static const struct pci_identity console_identity = VIRTIO_PCI_IDENTITY(VIRTIO_ID_CONSOLE, 0x078000);

static void virtio_console_reset(struct device *device) { virtio_pci_reset(device, &console_identity); }
static void virtio_console_create(struct device *device) { virtio_pci_create(device, &console_kind); }

void virtio_console_connect(struct device *device, struct char_backend *backend)
{
    ((struct virtio_console *)device->state)->backend = backend;
    if (backend) {
        backend->input_room = console_input_room;
        backend->input = console_input;
        backend->device = device;
    }
}

#define STATE struct virtio_console
FIELDS(virtio_console_fields, VIRTIO_PCI_FIELDS(pci), WIRING(backend), FIELD_ARRAY(input), FIELD_MAX(inputs, INPUT_BYTES))
#undef STATE

const struct device_class virtio_console_class = {
    .name = "virtio_console",
    .title = "virtio console (VIRTIO 1.2 section 5.3)",
    .state_size = sizeof(struct virtio_console),
    .region = { VIRTIO_PCI_REGIONS },
    .create = virtio_console_create,
    .reset = virtio_console_reset,
    .fields = &virtio_console_fields,
    .restored = virtio_pci_restored,
};
