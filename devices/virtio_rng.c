/*
 * virtio_rng.c - the virtio entropy device: fills what the driver gives it.
 *
 * Its own generator is for runs that shall be the same again: its state is the guest's, and anybody can compute what comes.
 * Manual: VIRTIO 1.2 section 5.4.  The generator: splitmix64 (Steele, Lea, Flood, OOPSLA 2014, figure 16).
 */
#include "virtio_rng.h"

#include "virtio_pci.h"

enum { QUEUE, QUEUES, CHAIN_BYTES = 4096 }; /* section 5.4.6: a buffer may come back filled in part */
#define SEED UINT64_C(0x77696465)
#define GAMMA UINT64_C(0x9e3779b97f4a7c15)

struct virtio_rng {
    struct virtio_pci pci; /* first */
    void (*fill)(void *data, size_t bytes);
    uint64_t generator;
};

static uint64_t rng_next(struct virtio_rng *d)
{
    uint64_t z = d->generator += GAMMA;

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static void rng_generate(struct virtio_rng *d, uint8_t *data, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += 8) {
        uint64_t v = rng_next(d);

        for (size_t i = 0; i < 8 && at + i < bytes; i++)
            data[at + i] = (uint8_t)(v >> i * 8);
    }
}

static void rng_notified(struct virtio *v, unsigned n)
{
    struct virtio_rng *d = (struct virtio_rng *)v;
    struct virtio_chain chain;
    uint8_t data[CHAIN_BYTES];

    while (virtio_pop(v, n, &chain)) {
        size_t bytes = bits_min(chain.writable_bytes, CHAIN_BYTES);

        if (d->fill)
            d->fill(data, bytes);
        else
            rng_generate(d, data, bytes);
        virtio_push(v, n, &chain, virtio_write(v, &chain, 0, data, bytes) ? (uint32_t)bytes : 0);
    }
    virtio_tell(v, n);
}

static const struct virtio_kind rng_kind = { .id = VIRTIO_ID_ENTROPY, .queues = QUEUES, .notified = rng_notified };
static const struct pci_identity rng_identity = VIRTIO_PCI_IDENTITY(VIRTIO_ID_ENTROPY, 0x00ff00);

static void virtio_rng_reset(struct device *device)
{
    ((struct virtio_rng *)device->state)->generator = SEED;
    virtio_pci_reset(device, &rng_identity);
}

static void virtio_rng_create(struct device *device) { virtio_pci_create(device, &rng_kind); }

void virtio_rng_connect(struct device *device, void (*fill)(void *data, size_t bytes))
{
    ((struct virtio_rng *)device->state)->fill = fill;
}

#define STATE struct virtio_rng
FIELDS(virtio_rng_fields, VIRTIO_PCI_FIELDS(pci), WIRING(fill), FIELD(generator))
#undef STATE

const struct device_class virtio_rng_class = {
    .name = "virtio_rng",
    .title = "virtio entropy device (VIRTIO 1.2 section 5.4)",
    .state_size = sizeof(struct virtio_rng),
    .region = { VIRTIO_PCI_REGIONS },
    .create = virtio_rng_create,
    .reset = virtio_rng_reset,
    .fields = &virtio_rng_fields,
    .restored = virtio_pci_restored,
};
