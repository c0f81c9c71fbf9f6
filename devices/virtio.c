/*
 * virtio.c - the core of every virtio device: feature negotiation, status, split queues.
 *
 * The driver runs on a CPU that stands still while its notification is looked at; what the device finds then it does at
 * once, and the driver hears of it before its next instruction.
 * Not modelled: packed queues, notification data, resetting one queue, in-order use, shared memory regions.
 * Manual: VIRTIO 1.2, sections 2.1 (status), 2.2 (features), 2.5 (configuration), 2.7 (split queues).
 */
#include "virtio.h"

#include "base/log.h"

enum { DESCRIPTOR_BYTES = 16, RING_FLAGS = 0, RING_INDEX = 2, RING_ENTRIES = 4, AVAILABLE_BYTES = 2, USED_BYTES = 8 };
enum { DESCRIPTOR_NEXT = 1, DESCRIPTOR_WRITE = 2, DESCRIPTOR_INDIRECT = 4 };
enum { AVAILABLE_NO_INTERRUPT = 1 };
enum { POPS_MAX = 65536 }; /* for one notification: what is read from a disk may be rings that never end */

struct virtio_descriptor {
    uint64_t gpa;
    uint32_t bytes;
    uint16_t flags, next;
};

/* A table of descriptors: the queue's own, or one that a descriptor of it points to. */
struct virtio_table {
    uint64_t gpa;
    uint32_t entries;
    bool indirect;
};

/* -- guest memory ------------------------------------------------------------------------------------------------------ */

static bool virtio_get(struct virtio *v, uint64_t gpa, void *data, size_t bytes)
{
    struct dma *dma = v->device->host.dma;

    return dma && gpa + bytes >= gpa && dma->read(dma, gpa, data, bytes);
}

static bool virtio_put(struct virtio *v, uint64_t gpa, const void *data, size_t bytes)
{
    struct dma *dma = v->device->host.dma;

    return dma && gpa + bytes >= gpa && dma->write(dma, gpa, data, bytes);
}

static bool virtio_get16(struct virtio *v, uint64_t gpa, uint16_t *value)
{
    uint8_t b[2];

    if (!virtio_get(v, gpa, b, 2))
        return false;
    *value = (uint16_t)(b[0] | b[1] << 8);
    return true;
}

static void virtio_pack(uint8_t *to, unsigned width, uint64_t value)
{
    for (unsigned i = 0; i < width; i++)
        to[i] = (uint8_t)(value >> i * 8);
}

static uint64_t virtio_unpack(const uint8_t *from, unsigned width)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < width; i++)
        value |= (uint64_t)from[i] << i * 8;
    return value;
}

static bool virtio_put16(struct virtio *v, uint64_t gpa, uint16_t value)
{
    uint8_t b[2];

    virtio_pack(b, 2, value);
    return virtio_put(v, gpa, b, 2);
}

/* -- status and features ------------------------------------------------------------------------------------------------ */

bool virtio_has(const struct virtio *v, unsigned feature) { return v->accepted >> feature & 1; }

uint32_t virtio_features_half(uint64_t features, uint32_t half) { return half > 1 ? 0 : (uint32_t)(features >> half * 32); }

static bool virtio_runs(const struct virtio *v)
{
    return (v->status & (VIRTIO_DRIVER_OK | VIRTIO_FEATURES_OK | VIRTIO_NEEDS_RESET)) == (VIRTIO_DRIVER_OK | VIRTIO_FEATURES_OK);
}

/* Section 2.1.2: the device is in an error state that only a reset ends, and a running driver is told. */
static bool virtio_break(struct virtio *v, const char *why)
{
    log_printf(LOG_GUEST, "virtio device %u: %s\n", v->kind->id, why);
    v->status |= VIRTIO_NEEDS_RESET;
    if (v->status & VIRTIO_DRIVER_OK)
        v->interrupt(v, VIRTIO_CONFIGURATION);
    return false;
}

/* Section 3.1.1: features are chosen before FEATURES_OK. */
void virtio_accept(struct virtio *v, unsigned half, uint32_t features)
{
    if (half > 1 || v->status & VIRTIO_FEATURES_OK)
        return;
    v->accepted = half ? (uint64_t)features << 32 | (v->accepted & 0xffffffff) : (v->accepted & ~UINT64_C(0xffffffff)) | features;
}

/* Section 2.2.2: FEATURES_OK stays clear where the driver wants what was not offered, or not VERSION_1. */
static bool virtio_features_fit(const struct virtio *v)
{
    return !(v->accepted & ~v->offered) && virtio_has(v, VIRTIO_F_VERSION_1);
}

/* A driver sets bits and never clears one; DEVICE_NEEDS_RESET is not its own. */
void virtio_set_status(struct virtio *v, uint8_t status)
{
    uint8_t rising = status & (uint8_t)~v->status & (uint8_t)~VIRTIO_NEEDS_RESET;

    if (rising & VIRTIO_FEATURES_OK && !virtio_features_fit(v))
        rising &= (uint8_t)~VIRTIO_FEATURES_OK;
    v->status |= rising;
}

void virtio_reset(struct virtio *v)
{
    v->offered = BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_INDIRECT_DESC) | BIT(VIRTIO_F_EVENT_IDX);
    if (v->device->host.dma && v->device->host.dma->translates)
        v->offered |= BIT(VIRTIO_F_ACCESS_PLATFORM);
    v->accepted = 0;
    v->status = v->generation = 0;
    v->queues = v->kind->queues;
    for (unsigned n = 0; n < VIRTIO_QUEUES; n++)
        v->queue[n] = (struct virtio_queue){ .size = VIRTIO_QUEUE_SIZE };
    memset(v->config, 0, sizeof(v->config));
    if (v->kind->reset)
        v->kind->reset(v);
}

/* -- configuration -------------------------------------------------------------------------------------------------------- */

void virtio_config_set(struct virtio *v, unsigned offset, unsigned width, uint64_t value)
{
    if (offset + width <= VIRTIO_CONFIG_BYTES)
        virtio_pack(v->config + offset, width, value);
}

/* Section 2.5.2: the generation changes with the configuration. */
void virtio_config_changed(struct virtio *v)
{
    v->generation++;
    if (v->status & VIRTIO_DRIVER_OK)
        v->interrupt(v, VIRTIO_CONFIGURATION);
}

uint64_t virtio_config_read(const struct virtio *v, unsigned offset, unsigned width)
{
    if (offset + width > v->kind->config_bytes)
        return bits_mask(width * 8);
    return virtio_unpack(v->config + offset, width);
}

void virtio_config_write(struct virtio *v, unsigned offset, unsigned width, uint64_t value)
{
    if (v->kind->config_written && offset + width <= v->kind->config_bytes)
        v->kind->config_written(v, offset, width, value);
}

/* -- queues --------------------------------------------------------------------------------------------------------------- */

struct virtio_queue *virtio_queue_at(struct virtio *v, unsigned n) { return n < v->queues ? &v->queue[n] : NULL; }

void virtio_set_address(struct virtio_queue *q, enum virtio_part part, unsigned offset, unsigned width, uint64_t value)
{
    uint64_t *to, mask = bits_mask(width * 8) << offset * 8;

    if (!q || q->enabled)
        return;
    to = part == VIRTIO_DESCRIPTORS ? &q->descriptors : part == VIRTIO_DRIVER_AREA ? &q->driver : &q->device;
    *to = (*to & ~mask) | (value << offset * 8 & mask);
}

void virtio_set_queue_size(struct virtio *v, unsigned n, uint16_t size)
{
    if (n < v->queues && !v->queue[n].enabled && bits_is_pow2(size) && size <= VIRTIO_QUEUE_SIZE)
        v->queue[n].size = size;
}

/* Section 2.7: the parts' alignment is 16, 2 and 4. */
void virtio_enable_queue(struct virtio *v, unsigned n)
{
    struct virtio_queue *q = virtio_queue_at(v, n);

    if (!q || q->enabled)
        return;
    if (q->descriptors & 15 || q->driver & 1 || q->device & 3)
        virtio_break(v, "a queue that is not aligned");
    else
        q->enabled = true;
}

/* Section 4.2.2: nothing of it is looked at any more; a driver that has it again begins at its first entry (4.2.3.2). */
void virtio_stop_queue(struct virtio *v, unsigned n)
{
    struct virtio_queue *q = virtio_queue_at(v, n);

    if (q) {
        q->enabled = false;
        q->next = q->used = q->told = 0;
    }
}

/* One at a time: a device's own DMA may hit a notification register. */
bool virtio_begin(struct virtio *v, unsigned n)
{
    if (n >= v->queues || !v->queue[n].enabled || !virtio_runs(v) || v->busy || (v->may_dma && !v->may_dma(v)))
        return false;
    v->busy = true;
    v->pops = POPS_MAX;
    return true;
}

void virtio_end(struct virtio *v) { v->busy = false; }

void virtio_notify(struct virtio *v, unsigned n)
{
    if (!virtio_begin(v, n))
        return;
    v->kind->notified(v, n);
    virtio_end(v);
}

/* -- chains ----------------------------------------------------------------------------------------------------------------- */

static bool virtio_get_descriptor(struct virtio *v, const struct virtio_table *t, uint32_t i, struct virtio_descriptor *d)
{
    uint8_t b[DESCRIPTOR_BYTES];

    if (i >= t->entries)
        return virtio_break(v, "a descriptor beyond its table");
    if (!virtio_get(v, t->gpa + (uint64_t)i * DESCRIPTOR_BYTES, b, sizeof(b)))
        return virtio_break(v, "a descriptor where there is no memory");
    *d = (struct virtio_descriptor){ virtio_unpack(b, 8), (uint32_t)virtio_unpack(b + 8, 4), (uint16_t)virtio_unpack(b + 12, 2),
                                     (uint16_t)virtio_unpack(b + 14, 2) };
    return true;
}

static bool virtio_add_buffer(struct virtio *v, struct virtio_chain *c, const struct virtio_descriptor *d)
{
    unsigned n = c->readable + c->writable;

    if (n == VIRTIO_QUEUE_SIZE)
        return virtio_break(v, "a chain that is too long, or a loop");
    if (!(d->flags & DESCRIPTOR_WRITE) && c->writable)
        return virtio_break(v, "a readable descriptor behind a writable one");
    c->buffer[n] = (struct virtio_buffer){ d->gpa, d->bytes };
    if (d->flags & DESCRIPTOR_WRITE) {
        c->writable++;
        c->writable_bytes += d->bytes;
    } else {
        c->readable++;
        c->readable_bytes += d->bytes;
    }
    return true;
}

/* Section 2.7.5.3: only in the queue's own table, last in its chain, and a table of whole descriptors. */
static bool virtio_enter_indirect(struct virtio *v, struct virtio_table *t, const struct virtio_descriptor *d)
{
    if (!virtio_has(v, VIRTIO_F_INDIRECT_DESC) || t->indirect || d->flags & DESCRIPTOR_NEXT)
        return virtio_break(v, "an indirect descriptor where there may be none");
    if (!d->bytes || d->bytes % DESCRIPTOR_BYTES)
        return virtio_break(v, "an indirect table that is no table");
    *t = (struct virtio_table){ d->gpa, d->bytes / DESCRIPTOR_BYTES, true };
    return true;
}

static bool virtio_walk(struct virtio *v, const struct virtio_queue *q, struct virtio_chain *c)
{
    struct virtio_table table = { q->descriptors, q->size, false };
    struct virtio_descriptor d;
    uint32_t i = c->head;

    for (;;) {
        if (!virtio_get_descriptor(v, &table, i, &d))
            return false;
        i = d.next;
        if (d.flags & DESCRIPTOR_INDIRECT) {
            if (!virtio_enter_indirect(v, &table, &d))
                return false;
            i = 0;
            continue;
        }
        if (!virtio_add_buffer(v, c, &d))
            return false;
        if (!(d.flags & DESCRIPTOR_NEXT))
            return true;
    }
}

/* Section 2.7.10: with EVENT_IDX the driver notifies when it has made this entry available. */
static void virtio_ask_for_notification(struct virtio *v, const struct virtio_queue *q)
{
    if (virtio_has(v, VIRTIO_F_EVENT_IDX))
        virtio_put16(v, q->device + RING_ENTRIES + (uint64_t)q->size * USED_BYTES, q->next);
}

bool virtio_pop(struct virtio *v, unsigned n, struct virtio_chain *c)
{
    struct virtio_queue *q = &v->queue[n];
    uint16_t index;

    if (!virtio_runs(v) || !q->enabled || !v->pops)
        return false;
    v->pops--;
    if (!virtio_get16(v, q->driver + RING_INDEX, &index))
        return virtio_break(v, "an available ring where there is no memory");
    if ((uint16_t)(index - q->next) > q->size)
        return virtio_break(v, "an available index that is too far");
    if (index == q->next) {
        virtio_ask_for_notification(v, q);
        return false;
    }
    c->readable = c->writable = 0;
    c->readable_bytes = c->writable_bytes = 0;
    if (!virtio_get16(v, q->driver + RING_ENTRIES + (uint64_t)(q->next % q->size) * AVAILABLE_BYTES, &c->head))
        return virtio_break(v, "an available ring where there is no memory");
    q->next++;
    return virtio_walk(v, q, c);
}

void virtio_unpop(struct virtio *v, unsigned n, unsigned count) { v->queue[n].next -= (uint16_t)count; }

static bool virtio_put_used(struct virtio *v, const struct virtio_queue *q, uint16_t at, const struct virtio_use *use)
{
    uint8_t entry[USED_BYTES];

    virtio_pack(entry, 4, use->head);
    virtio_pack(entry + 4, 4, use->written);
    return virtio_put(v, q->device + RING_ENTRIES + (uint64_t)(at % q->size) * USED_BYTES, entry, sizeof(entry));
}

/* Section 2.7.8: the entries first, then the index. */
void virtio_push_all(struct virtio *v, unsigned n, const struct virtio_use *use, unsigned count)
{
    struct virtio_queue *q = &v->queue[n];
    bool ok = true;

    if (!virtio_runs(v) || !q->enabled)
        return;
    for (unsigned i = 0; i < count; i++)
        ok &= virtio_put_used(v, q, (uint16_t)(q->used + i), &use[i]);
    q->used += (uint16_t)count;
    if (!ok || !virtio_put16(v, q->device + RING_INDEX, q->used))
        virtio_break(v, "a used ring where there is no memory");
}

void virtio_push(struct virtio *v, unsigned n, const struct virtio_chain *c, uint32_t written)
{
    const struct virtio_use use = { c->head, written };

    virtio_push_all(v, n, &use, 1);
}

/* Section 2.7.7.1: has the index that the driver wants to hear of been passed since it was last looked at? */
static bool virtio_wants_interrupt(struct virtio *v, struct virtio_queue *q)
{
    uint16_t value = 0, old = q->told;

    q->told = q->used;
    if (virtio_has(v, VIRTIO_F_EVENT_IDX))
        return virtio_get16(v, q->driver + RING_ENTRIES + (uint64_t)q->size * AVAILABLE_BYTES, &value) &&
               (uint16_t)(q->used - value - 1) < (uint16_t)(q->used - old);
    return virtio_get16(v, q->driver + RING_FLAGS, &value) && !(value & AVAILABLE_NO_INTERRUPT);
}

void virtio_tell(struct virtio *v, unsigned n)
{
    struct virtio_queue *q = &v->queue[n];

    if (virtio_runs(v) && q->told != q->used && virtio_wants_interrupt(v, q))
        v->interrupt(v, (int)n);
}

/* -- a chain's bytes ---------------------------------------------------------------------------------------------------------- */

/* Moves through `count` buffers; exactly one of `to` and `from` is set. */
static bool virtio_move(struct virtio *v, const struct virtio_buffer *b, unsigned count, uint64_t skip, uint8_t *to, const uint8_t *from,
                        size_t bytes)
{
    for (; count && bytes; count--, b++) {
        size_t n = skip < b->bytes ? bits_min(b->bytes - skip, bytes) : 0;

        if (n && !(to ? virtio_get(v, b->gpa + skip, to, n) : virtio_put(v, b->gpa + skip, from, n)))
            return false;
        skip -= n ? skip : b->bytes;
        bytes -= n;
        if (to)
            to += n;
        else
            from += n;
    }
    return !bytes;
}

bool virtio_read(struct virtio *v, const struct virtio_chain *c, uint64_t from, void *data, size_t bytes)
{
    return virtio_move(v, c->buffer, c->readable, from, data, NULL, bytes);
}

bool virtio_write(struct virtio *v, const struct virtio_chain *c, uint64_t from, const void *data, size_t bytes)
{
    return virtio_move(v, c->buffer + c->readable, c->writable, from, NULL, data, bytes);
}

/* -- a snapshot ----------------------------------------------------------------------------------------------------------------- */

bool virtio_restored(const struct virtio *v, struct err *err)
{
    for (unsigned n = 0; n < VIRTIO_QUEUES; n++)
        if (!bits_is_pow2(v->queue[n].size))
            return err_set(err, "virtio: queue %u cannot have %u entries", n, v->queue[n].size);
    if (v->queues > v->kind->queues)
        return err_set(err, "virtio: %u queues", v->queues);
    return true;
}
