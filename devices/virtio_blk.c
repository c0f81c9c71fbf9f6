/*
 * virtio_blk.c - the virtio block device: reads, writes, flushes, discards and zeroes sectors of a backend.
 *
 * A request is done when its notification returns.  Where the driver has not taken VIRTIO_BLK_F_FLUSH, every write is
 * flushed by itself (5.2.5.2: the cache is then writethrough).  The backend's errors are VIRTIO_BLK_S_IOERR.
 * Not modelled: topology, a writeback switch (CONFIG_WCE), lifetime, secure erase, zones.
 * Manual: VIRTIO 1.2 section 5.2.
 */
#include "virtio_blk.h"

#include "virtio_pci.h"

#include <stdlib.h>

enum { /* section 5.2.3 */
    F_SIZE_MAX = 1, F_SEG_MAX = 2, F_RO = 5, F_BLK_SIZE = 6, F_FLUSH = 9, F_MQ = 12, F_DISCARD = 13, F_WRITE_ZEROES = 14,
};
enum { /* section 5.2.4: struct virtio_blk_config */
    CAPACITY = 0x00, SIZE_MAX_AT = 0x08, SEG_MAX_AT = 0x0c, BLK_SIZE = 0x14, NUM_QUEUES = 0x22, MAX_DISCARD_SECTORS = 0x24, MAX_DISCARD_SEG = 0x28,
    DISCARD_ALIGNMENT = 0x2c, MAX_ZERO_SECTORS = 0x30, MAX_ZERO_SEG = 0x34, ZERO_MAY_UNMAP = 0x38, CONFIG_END = 0x3c,
};
enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_WRITE_ZEROES = 13 }; /* section 5.2.6 */
enum { S_OK = 0, S_IOERR = 1, S_UNSUPP = 2 };
enum { HEADER_BYTES = 16, RANGE_BYTES = 16, RANGE_UNMAP = 1, ID_BYTES = 20 };

enum {
    SEGMENT_BYTES = 1 << 20, SEGMENTS = VIRTIO_QUEUE_SIZE - 2, /* beside header and status */
    RANGES = 16, RANGE_SECTORS = 1 << 22,                      /* of one DISCARD or WRITE_ZEROES: 2 GiB each */
    BOUNCE_BYTES = 1 << 18,
};
#define REQUEST_BYTES ((uint64_t)SEGMENT_BYTES * VIRTIO_QUEUE_SIZE)

struct virtio_blk {
    struct virtio_pci pci; /* first */
    struct block_backend *backend;
    uint8_t *bounce;       /* BOUNCE_BYTES, aligned to a page */
};

/* What one request asks for. */
struct blk_request {
    uint32_t type;
    uint64_t sector;
    uint64_t out, in; /* bytes behind the header, and before the status */
};

/* -- moving data ------------------------------------------------------------------------------------------------------------ */

static bool blk_fits(const struct block_backend *b, uint64_t sector, uint64_t bytes)
{
    return b && sector <= b->bytes / BLOCK_SECTOR_BYTES && bytes <= b->bytes - sector * BLOCK_SECTOR_BYTES;
}

static bool blk_is_transfer(const struct virtio_blk *d, const struct blk_request *r, uint64_t bytes)
{
    return bytes % BLOCK_SECTOR_BYTES == 0 && bytes <= REQUEST_BYTES && blk_fits(d->backend, r->sector, bytes);
}

static uint8_t blk_in(struct virtio_blk *d, const struct virtio_chain *c, const struct blk_request *r, uint32_t *written)
{
    if (!blk_is_transfer(d, r, r->in))
        return S_IOERR;
    for (uint64_t at = 0; at < r->in;) {
        size_t n = bits_min(r->in - at, BOUNCE_BYTES);

        if (d->backend->read(d->backend, r->sector * BLOCK_SECTOR_BYTES + at, d->bounce, n) ||
            !virtio_write(&d->pci.virtio, c, at, d->bounce, n))
            return S_IOERR;
        at += n;
        *written = (uint32_t)at;
    }
    return S_OK;
}

static uint8_t blk_flush(struct virtio_blk *d)
{
    return !d->backend || d->backend->flush(d->backend) ? S_IOERR : S_OK;
}

/* After a change: without a cache to flush, it has to be safe by now. */
static uint8_t blk_changed(struct virtio_blk *d)
{
    return virtio_has(&d->pci.virtio, F_FLUSH) ? S_OK : blk_flush(d);
}

static uint8_t blk_out(struct virtio_blk *d, const struct virtio_chain *c, const struct blk_request *r)
{
    if (!blk_is_transfer(d, r, r->out) || d->backend->read_only)
        return S_IOERR;
    for (uint64_t at = 0; at < r->out;) {
        size_t n = bits_min(r->out - at, BOUNCE_BYTES);

        if (!virtio_read(&d->pci.virtio, c, HEADER_BYTES + at, d->bounce, n) ||
            d->backend->write(d->backend, r->sector * BLOCK_SECTOR_BYTES + at, d->bounce, n))
            return S_IOERR;
        at += n;
    }
    return blk_changed(d);
}

static uint8_t blk_id(struct virtio_blk *d, const struct virtio_chain *c, const struct blk_request *r, uint32_t *written)
{
    char id[ID_BYTES + 1] = "";
    size_t n = bits_min(r->in, ID_BYTES);

    if (d->backend)
        memcpy(id, d->backend->serial, ID_BYTES);
    *written = (uint32_t)n;
    return virtio_write(&d->pci.virtio, c, 0, id, n) ? S_OK : S_IOERR;
}

/* -- ranges ------------------------------------------------------------------------------------------------------------------- */

static uint64_t blk_unpack(const uint8_t *from, unsigned width)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < width; i++)
        value |= (uint64_t)from[i] << i * 8;
    return value;
}

/* Section 5.2.6.2: flags a device does not know, and unmap for a discard, are unsupported. */
static uint8_t blk_range(struct virtio_blk *d, uint32_t type, const uint8_t *range)
{
    struct block_backend *b = d->backend;
    uint64_t sector = blk_unpack(range, 8), bytes = blk_unpack(range + 8, 4) * BLOCK_SECTOR_BYTES;
    uint32_t flags = (uint32_t)blk_unpack(range + 12, 4);

    if (flags & ~(uint32_t)RANGE_UNMAP || (flags && type == T_DISCARD))
        return S_UNSUPP;
    if (!blk_fits(b, sector, bytes) || bytes > (uint64_t)RANGE_SECTORS * BLOCK_SECTOR_BYTES)
        return S_IOERR;
    sector *= BLOCK_SECTOR_BYTES;
    if (!bytes)
        return S_OK;
    return (type == T_DISCARD ? b->discard(b, sector, bytes) : b->write_zeroes(b, sector, bytes, flags & RANGE_UNMAP)) ? S_IOERR : S_OK;
}

static uint8_t blk_ranges(struct virtio_blk *d, const struct virtio_chain *c, const struct blk_request *r)
{
    uint8_t range[RANGE_BYTES];

    if (!d->backend || d->backend->read_only || !r->out || r->out % RANGE_BYTES || r->out > RANGES * RANGE_BYTES)
        return S_IOERR;
    for (uint64_t at = 0; at < r->out; at += RANGE_BYTES) {
        uint8_t status = virtio_read(&d->pci.virtio, c, HEADER_BYTES + at, range, RANGE_BYTES) ? blk_range(d, r->type, range) : S_IOERR;

        if (status)
            return status;
    }
    return blk_changed(d);
}

/* -- requests ------------------------------------------------------------------------------------------------------------------ */

static uint8_t blk_carry_out(struct virtio_blk *d, const struct virtio_chain *c, const struct blk_request *r, uint32_t *written)
{
    switch (r->type) {
    case T_IN: return blk_in(d, c, r, written);
    case T_OUT: return blk_out(d, c, r);
    case T_FLUSH: return blk_flush(d);
    case T_GET_ID: return blk_id(d, c, r, written);
    case T_DISCARD: case T_WRITE_ZEROES: return blk_ranges(d, c, r);
    default: return S_UNSUPP;
    }
}

/* The status is the last writable byte; a request without one, or without a header, cannot be answered and goes back as it is. */
static void blk_request(struct virtio_blk *d, unsigned n, const struct virtio_chain *c)
{
    struct virtio *v = &d->pci.virtio;
    uint8_t header[HEADER_BYTES], status;
    struct blk_request r;
    uint32_t written = 0;

    if (!c->writable_bytes || !virtio_read(v, c, 0, header, sizeof(header))) {
        virtio_push(v, n, c, 0);
        return;
    }
    r = (struct blk_request){ (uint32_t)blk_unpack(header, 4), blk_unpack(header + 8, 8), c->readable_bytes - HEADER_BYTES,
                              c->writable_bytes - 1 };
    status = blk_carry_out(d, c, &r, &written);
    virtio_write(v, c, r.in, &status, 1);
    virtio_push(v, n, c, written + 1);
}

static void blk_notified(struct virtio *v, unsigned n)
{
    struct virtio_chain chain;

    while (virtio_pop(v, n, &chain))
        blk_request((struct virtio_blk *)v, n, &chain);
    virtio_tell(v, n);
}

/* -- life ------------------------------------------------------------------------------------------------------------------------ */

static void blk_offer(struct virtio *v, const struct block_backend *b)
{
    v->offered |= BIT(F_SIZE_MAX) | BIT(F_SEG_MAX) | BIT(F_BLK_SIZE) | BIT(F_FLUSH) | BIT(F_MQ);
    v->offered |= b && b->read_only ? BIT(F_RO) : BIT(F_DISCARD) | BIT(F_WRITE_ZEROES);
}

static void blk_reset(struct virtio *v)
{
    const struct block_backend *b = ((struct virtio_blk *)v)->backend;

    blk_offer(v, b);
    virtio_config_set(v, CAPACITY, 8, b ? b->bytes / BLOCK_SECTOR_BYTES : 0);
    virtio_config_set(v, SIZE_MAX_AT, 4, SEGMENT_BYTES);
    virtio_config_set(v, SEG_MAX_AT, 4, SEGMENTS);
    virtio_config_set(v, BLK_SIZE, 4, b ? b->sector : BLOCK_SECTOR_BYTES);
    virtio_config_set(v, NUM_QUEUES, 2, VIRTIO_BLK_QUEUES);
    virtio_config_set(v, MAX_DISCARD_SECTORS, 4, RANGE_SECTORS);
    virtio_config_set(v, MAX_DISCARD_SEG, 4, RANGES);
    virtio_config_set(v, DISCARD_ALIGNMENT, 4, (b ? b->sector : BLOCK_SECTOR_BYTES) / BLOCK_SECTOR_BYTES);
    virtio_config_set(v, MAX_ZERO_SECTORS, 4, RANGE_SECTORS);
    virtio_config_set(v, MAX_ZERO_SEG, 4, RANGES);
    virtio_config_set(v, ZERO_MAY_UNMAP, 1, 1);
}

static const struct virtio_kind blk_kind = {
    .id = VIRTIO_ID_BLOCK, .queues = VIRTIO_BLK_QUEUES, .config_bytes = CONFIG_END, .reset = blk_reset, .notified = blk_notified,
};
static const struct pci_identity blk_identity = VIRTIO_PCI_IDENTITY(VIRTIO_ID_BLOCK, 0x010000);

static void virtio_blk_reset(struct device *device) { virtio_pci_reset(device, &blk_identity); }

static void virtio_blk_create(struct device *device)
{
    struct virtio_blk *d = device->state;

    virtio_pci_create(device, &blk_kind);
    d->bounce = aligned_alloc(4096, BOUNCE_BYTES);
    if (!d->bounce)
        abort();
}

static void virtio_blk_destroy(struct device *device) { free(((struct virtio_blk *)device->state)->bounce); }

void virtio_blk_connect(struct device *device, struct block_backend *backend)
{
    struct virtio_blk *d = device->state;

    d->backend = backend;
    virtio_reset(&d->pci.virtio);
}

#define STATE struct virtio_blk
FIELDS(virtio_blk_fields, VIRTIO_PCI_FIELDS(pci), WIRING(backend), WIRING(bounce))
#undef STATE

/* A driver knows a disk's size, and if it can be written. */
static bool virtio_blk_restored(struct device *device, struct err *err)
{
    struct virtio_blk *d = device->state;
    uint64_t sectors = virtio_config_read(&d->pci.virtio, CAPACITY, 8), here = d->backend ? d->backend->bytes / BLOCK_SECTOR_BYTES : 0;

    if (sectors != here)
        return err_set(err, "the guest's disk has %llu sectors, and this one %llu", (unsigned long long)sectors, (unsigned long long)here);
    if (d->backend && d->backend->read_only != (d->pci.virtio.offered >> F_RO & 1))
        return err_set(err, "the guest's disk is %s, and this one is not", d->backend->read_only ? "writable" : "read-only");
    return virtio_pci_restored(device, err);
}

const struct device_class virtio_blk_class = {
    .name = "virtio_blk",
    .title = "virtio block device (VIRTIO 1.2 section 5.2)",
    .state_size = sizeof(struct virtio_blk),
    .region = { VIRTIO_PCI_REGIONS },
    .create = virtio_blk_create,
    .reset = virtio_blk_reset,
    .destroy = virtio_blk_destroy,
    .fields = &virtio_blk_fields,
    .restored = virtio_blk_restored,
};
