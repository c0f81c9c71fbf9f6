/*
 * virtio.h - what all virtio devices have in common: features, status, configuration, and queues in guest memory.
 *
 * A device (virtio_blk.c) keeps a `struct virtio_pci` in its state, which begins with a `struct virtio`, and says with a
 * `struct virtio_kind` what it is; a transport (virtio_pci.c, virtio_mmio.c) shows the registers of this to the guest.  Nothing
 * in guest memory is trusted: a queue that cannot be makes the device ask for a reset (DEVICE_NEEDS_RESET).
 * Manual: Virtual I/O Device (VIRTIO) 1.2, sections 2.1 to 2.7.
 */
#ifndef DEVICES_VIRTIO_H
#define DEVICES_VIRTIO_H

#include "device.h"

#define VIRTIO_QUEUES 8
#define VIRTIO_QUEUE_SIZE 256  /* descriptors in a queue, at most; and in a chain */
#define VIRTIO_CONFIG_BYTES 128

enum { VIRTIO_ID_NET = 1, VIRTIO_ID_BLOCK = 2, VIRTIO_ID_CONSOLE = 3, VIRTIO_ID_ENTROPY = 4, VIRTIO_ID_BALLOON = 5,
       VIRTIO_ID_9P = 9 }; /* section 5 */

enum { /* section 2.1 */
    VIRTIO_ACKNOWLEDGE = 1, VIRTIO_DRIVER = 2, VIRTIO_DRIVER_OK = 4, VIRTIO_FEATURES_OK = 8, VIRTIO_NEEDS_RESET = 64, VIRTIO_FAILED = 128,
};
enum { VIRTIO_ISR_QUEUE = 1, VIRTIO_ISR_CONFIGURATION = 2 }; /* sections 4.1.4.5, 4.2.2 */
enum { VIRTIO_F_INDIRECT_DESC = 28, VIRTIO_F_EVENT_IDX = 29, VIRTIO_F_VERSION_1 = 32, VIRTIO_F_ACCESS_PLATFORM = 33 }; /* section 6 */

/* Section 2.7. */
struct virtio_queue {
    uint64_t descriptors, driver, device; /* guest-physical: table, available ring, used ring */
    uint16_t size;                        /* a power of two up to VIRTIO_QUEUE_SIZE */
    uint16_t next;                        /* the available entry to be taken next, as the driver's index counts */
    uint16_t used;                        /* so many have been given back, modulo 65536 */
    uint16_t told;                        /* `used` when the driver was last asked to be told, if it was */
    bool enabled;
};

struct virtio;

struct virtio_kind {
    uint16_t id;
    uint8_t queues;        /* 1..VIRTIO_QUEUES; fewer where the device says so at reset */
    uint16_t config_bytes; /* up to VIRTIO_CONFIG_BYTES */
    /* Adds to `offered`, and fills in `queues` and `config` where they depend on more than the kind. */
    void (*reset)(struct virtio *v);
    /* The driver has put something into queue n: virtio_pop() until nothing comes. */
    void (*notified)(struct virtio *v, unsigned n);
    /* The driver writes to the device's configuration; NULL: it is read-only. */
    void (*config_written)(struct virtio *v, unsigned offset, unsigned width, uint64_t value);
};

struct virtio {
    const struct virtio_kind *kind;
    struct device *device;
    void *transport; /* whatever the next two want */
    /* May it reach memory?  The transport's; NULL: always. */
    bool (*may_dma)(const struct virtio *v);
    /* To the driver: queue n has buffers given back, or VIRTIO_CONFIGURATION has changed.  The transport's. */
    void (*interrupt)(struct virtio *v, int n);
    uint64_t offered, accepted; /* features */
    uint8_t status, generation, queues;
    bool busy;                  /* chains are being taken */
    uint32_t pops;              /* that it may still make */
    struct virtio_queue queue[VIRTIO_QUEUES];
    uint8_t config[VIRTIO_CONFIG_BYTES]; /* as the driver reads it: little endian */
};
enum { VIRTIO_CONFIGURATION = -1 };

/* -- for a device ----------------------------------------------------------------------------------------------------- */

/* A piece of guest memory; pieces that the device may read come before those that it may write. */
struct virtio_buffer {
    uint64_t gpa;
    uint32_t bytes;
};

struct virtio_chain {
    uint16_t head;
    uint16_t readable, writable;             /* so many of `buffer` */
    uint64_t readable_bytes, writable_bytes; /* of these */
    struct virtio_buffer buffer[VIRTIO_QUEUE_SIZE];
};

bool virtio_has(const struct virtio *v, unsigned feature);

/* The next chain that the driver made available; false: there is none, or the queue is broken and nothing comes any more. */
bool virtio_pop(struct virtio *v, unsigned n, struct virtio_chain *chain);

/* The last `count` chains were not taken after all: they come again. */
void virtio_unpop(struct virtio *v, unsigned n, unsigned count);

/* Gives it back; `written` bytes of its writable part have been. */
void virtio_push(struct virtio *v, unsigned n, const struct virtio_chain *chain, uint32_t written);

/* The same of several, which the driver sees all at once. */
struct virtio_use {
    uint16_t head;
    uint32_t written;
};
void virtio_push_all(struct virtio *v, unsigned n, const struct virtio_use *use, unsigned count);

/* After some pushes: an interrupt, if the driver wants one. */
void virtio_tell(struct virtio *v, unsigned n);

/* Bytes from `from` on of the readable part, and to the writable part.  False beyond its end, and where there is no memory. */
bool virtio_read(struct virtio *v, const struct virtio_chain *chain, uint64_t from, void *data, size_t bytes);
bool virtio_write(struct virtio *v, const struct virtio_chain *chain, uint64_t from, const void *data, size_t bytes);

/*
 * For what the host begins, between two instructions: from the one to the other, chains of queue n can be taken as in
 * `notified`.  False: the driver is not ready, or a notification is being looked at; virtio_end() is not to follow.
 */
bool virtio_begin(struct virtio *v, unsigned n);
void virtio_end(struct virtio *v);

/* `width` bytes of the device's configuration; virtio_config_changed() then tells the driver. */
void virtio_config_set(struct virtio *v, unsigned offset, unsigned width, uint64_t value);
void virtio_config_changed(struct virtio *v);

/* -- for a transport -------------------------------------------------------------------------------------------------- */

/* What writing 0 to the status does; also at power-on. */
void virtio_reset(struct virtio *v);
void virtio_accept(struct virtio *v, unsigned half, uint32_t features);
void virtio_set_status(struct virtio *v, uint8_t status);
void virtio_set_queue_size(struct virtio *v, unsigned n, uint16_t size);
void virtio_enable_queue(struct virtio *v, unsigned n);
void virtio_stop_queue(struct virtio *v, unsigned n);
void virtio_notify(struct virtio *v, unsigned n);
/* Half 0 or 1 of a set of features; there is nothing in others. */
uint32_t virtio_features_half(uint64_t features, uint32_t half);
/* NULL: the device has no such queue. */
struct virtio_queue *virtio_queue_at(struct virtio *v, unsigned n);
/* `width` bytes, at `offset` in them, of where a part of the queue is.  Nothing happens while it is enabled, or if it is NULL. */
enum virtio_part { VIRTIO_DESCRIPTORS, VIRTIO_DRIVER_AREA, VIRTIO_DEVICE_AREA };
void virtio_set_address(struct virtio_queue *q, enum virtio_part part, unsigned offset, unsigned width, uint64_t value);
uint64_t virtio_config_read(const struct virtio *v, unsigned offset, unsigned width);
void virtio_config_write(struct virtio *v, unsigned offset, unsigned width, uint64_t value);

/* Rows of a device's fields, and what they cannot say. */
#define VIRTIO_FIELDS(v)                                                                                               \
    WIRING(v.kind), WIRING(v.device), WIRING(v.transport), WIRING(v.may_dma), WIRING(v.interrupt), FIELD(v.offered), FIELD(v.accepted), FIELD(v.status),       \
        FIELD(v.generation), FIELD_MAX(v.queues, VIRTIO_QUEUES), SCRATCH(v.busy), SCRATCH(v.pops),                   \
        FIELD_EACH(v.queue, descriptors), FIELD_EACH(v.queue, driver), FIELD_EACH(v.queue, device),                    \
        FIELD_EACH_MAX(v.queue, size, VIRTIO_QUEUE_SIZE),                                                              \
        FIELD_EACH(v.queue, next), FIELD_EACH(v.queue, used), FIELD_EACH(v.queue, told), FIELD_EACH(v.queue, enabled), \
        FIELD_ARRAY(v.config)
bool virtio_restored(const struct virtio *v, struct err *err);

#endif
