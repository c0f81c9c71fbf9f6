/*
 * driver.h - the driver's side of a virtio device on PCI, as VIRTIO 1.2 sections 2.7, 3.1 and 4.1 say.
 *
 * The device is in slot 5.  Queue n has DRIVER_SIZE entries; everything of it is in `bench.memory` below DRIVER_FREE.
 */
#ifndef TESTS_DEVICE_DRIVER_H
#define TESTS_DEVICE_DRIVER_H

#include "lib/bench.h"

enum { DRIVER_SIZE = 8, DRIVER_QUEUES = 4, DRIVER_FREE = 0x4000, DRIVER_DEVFN = 5 << 3, DRIVER_BAR = 0xc0000000 };
enum { NEXT = 1, WRITE = 2, IS_INDIRECT = 4 };
#define VERSION_1 ((uint64_t)1 << 32)
#define EVENT_IDX ((uint64_t)1 << 29)
#define INDIRECT_DESC ((uint64_t)1 << 28)

extern struct probe driver_intx;  /* its INTA# */

void driver_init(void);                  /* makes the bus */
void driver_plug(struct device *device); /* plugs it in, and ... */
void driver_plugged(void);               /* ... places the BAR: also after a reset */

uint32_t driver_pci_get(unsigned offset, unsigned width);
void driver_pci_put(unsigned offset, unsigned width, uint32_t v);
uint64_t driver_structure(uint8_t type); /* guest-physical; section 4.1.4 */
uint64_t driver_common(unsigned offset, unsigned width);
void driver_set_common(unsigned offset, unsigned width, uint64_t v);
uint64_t driver_config(unsigned offset, unsigned width);
uint8_t driver_status(void);
uint64_t driver_features(void);    /* offered */

/* Section 3.1.1, up to DRIVER_OK, with so many queues; memory is zeroed first. */
void driver_begin(uint64_t features, unsigned queues);

void driver_describe(unsigned q, unsigned i, uint64_t gpa, uint32_t bytes, uint16_t flags, uint16_t next);
void driver_offer(unsigned q, uint16_t head);
void driver_kick(unsigned q);
/* How many chains have come back, and the n-th of these, from 0 on. */
uint16_t driver_used(unsigned q);
uint32_t driver_used_head(unsigned q, unsigned n);
uint32_t driver_used_bytes(unsigned q, unsigned n);

/* One round of nonsense in memory and registers, made to look a little like queues; `round` chooses. */
void driver_random(unsigned round, uint64_t features, unsigned queues);

#endif
