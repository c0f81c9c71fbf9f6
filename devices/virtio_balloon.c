/*
 * virtio_balloon.c - the traditional memory balloon: the driver gives pages to it, and the host gets their memory.
 *
 * A page in the balloon reads as anything; the guest may use it again without asking, as DEFLATE_ON_OOM needs.
 * Not modelled: statistics, free page hints and reports, page poison.
 * Manual: VIRTIO 1.2 section 5.5.
 */
#include "virtio_balloon.h"

#include "virtio_pci.h"

enum { F_DEFLATE_ON_OOM = 2 };                          /* section 5.5.3 */
enum { NUM_PAGES = 0, ACTUAL = 4, CONFIG_END = 8 };     /* section 5.5.4 */
enum { INFLATE, DEFLATE, QUEUES, PFN_BYTES = 4, PAGE_SHIFT = 12, BATCH = 256, CHAIN_BYTES = 1 << 20 };

struct virtio_balloon {
    struct virtio_pci pci; /* first */
    void (*release)(void *opaque, uint64_t gpa, uint64_t bytes);
    void *opaque;
    uint32_t asked;        /* pages; a reset leaves it */
};

/* Pages that follow each other are released together. */
struct balloon_run {
    uint64_t first, pages;
};

static void balloon_flush(struct virtio_balloon *d, struct balloon_run *run)
{
    if (run->pages && d->release)
        d->release(d->opaque, run->first << PAGE_SHIFT, run->pages << PAGE_SHIFT);
    run->pages = 0;
}

/* Drivers give pages from high to low as often as from low to high. */
static void balloon_add(struct virtio_balloon *d, struct balloon_run *run, uint32_t pfn)
{
    if (run->pages && pfn + UINT64_C(1) == run->first) {
        run->first--;
        run->pages++;
    } else if (run->pages && pfn == run->first + run->pages) {
        run->pages++;
    } else {
        balloon_flush(d, run);
        *run = (struct balloon_run){ pfn, 1 };
    }
}

/* Section 5.5.6: an array of page numbers, 32 bits each; of a chain, those of 1 GiB. */
static void balloon_inflate(struct virtio_balloon *d, const struct virtio_chain *c)
{
    struct balloon_run run = { 0, 0 };
    uint8_t data[BATCH * PFN_BYTES];
    size_t n;

    for (uint64_t at = 0, end = bits_min(c->readable_bytes / PFN_BYTES * PFN_BYTES, CHAIN_BYTES); at < end; at += n) {
        n = bits_min(end - at, sizeof(data));
        if (!virtio_read(&d->pci.virtio, c, at, data, n))
            break;
        for (size_t i = 0; i < n; i += PFN_BYTES)
            balloon_add(d, &run, data[i] | (uint32_t)data[i + 1] << 8 | (uint32_t)data[i + 2] << 16 | (uint32_t)data[i + 3] << 24);
    }
    balloon_flush(d, &run);
}

static void balloon_notified(struct virtio *v, unsigned n)
{
    struct virtio_chain chain;

    while (virtio_pop(v, n, &chain)) {
        if (n == INFLATE)
            balloon_inflate((struct virtio_balloon *)v, &chain);
        virtio_push(v, n, &chain, 0);
    }
    virtio_tell(v, n);
}

/* The driver says how large it is. */
static void balloon_config_written(struct virtio *v, unsigned offset, unsigned width, uint64_t value)
{
    if (offset == ACTUAL && width == 4)
        virtio_config_set(v, ACTUAL, 4, value);
}

static void balloon_reset(struct virtio *v)
{
    v->offered |= BIT(F_DEFLATE_ON_OOM);
    virtio_config_set(v, NUM_PAGES, 4, ((struct virtio_balloon *)v)->asked);
}

void virtio_balloon_ask(struct device *device, uint32_t pages)
{
    struct virtio_balloon *d = device->state;

    d->asked = pages;
    virtio_config_set(&d->pci.virtio, NUM_PAGES, 4, pages);
    virtio_config_changed(&d->pci.virtio);
}

uint32_t virtio_balloon_asked(const struct device *device) { return ((const struct virtio_balloon *)device->state)->asked; }

uint32_t virtio_balloon_actual(const struct device *device)
{
    return (uint32_t)virtio_config_read(&((const struct virtio_balloon *)device->state)->pci.virtio, ACTUAL, 4);
}

static const struct virtio_kind balloon_kind = {
    .id = VIRTIO_ID_BALLOON, .queues = QUEUES, .config_bytes = CONFIG_END, .reset = balloon_reset, .notified = balloon_notified,
    .config_written = balloon_config_written,
};
static const struct pci_identity balloon_identity = VIRTIO_PCI_IDENTITY(VIRTIO_ID_BALLOON, 0x00ff00);

static void virtio_balloon_reset(struct device *device) { virtio_pci_reset(device, &balloon_identity); }
static void virtio_balloon_create(struct device *device) { virtio_pci_create(device, &balloon_kind); }

void virtio_balloon_connect(struct device *device, void (*release)(void *opaque, uint64_t gpa, uint64_t bytes), void *opaque)
{
    struct virtio_balloon *d = device->state;

    d->release = release;
    d->opaque = opaque;
}

#define STATE struct virtio_balloon
FIELDS(virtio_balloon_fields, VIRTIO_PCI_FIELDS(pci), WIRING(release), WIRING(opaque), FIELD(asked))
#undef STATE

const struct device_class virtio_balloon_class = {
    .name = "virtio_balloon",
    .title = "virtio memory balloon (VIRTIO 1.2 section 5.5)",
    .state_size = sizeof(struct virtio_balloon),
    .region = { VIRTIO_PCI_REGIONS },
    .create = virtio_balloon_create,
    .reset = virtio_balloon_reset,
    .fields = &virtio_balloon_fields,
    .restored = virtio_pci_restored,
};
