/*
 * iommu_tables.h - what the IOMMU's tables in memory say: where a DMA goes, and what an interrupt becomes.
 *
 * Nothing is kept between two questions, so nothing is ever stale.  Each reads a few entries and no more, whatever is in them.
 */
#ifndef DEVICES_IOMMU_TABLES_H
#define DEVICES_IOMMU_TABLES_H

#include "device.h"

enum { IOMMU_ADDRESS_BITS = 40 }; /* of addresses of memory */

/* VT-d 7.1.3, table "Fault conditions", as they are recorded; 20h on: of interrupts. */
enum iommu_reason {
    IOMMU_OK, IOMMU_NO_ROOT = 0x1, IOMMU_NO_CONTEXT = 0x2, IOMMU_BAD_CONTEXT = 0x3, IOMMU_BEYOND = 0x4, IOMMU_NO_WRITE = 0x5,
    IOMMU_NO_READ = 0x6, IOMMU_PAGE_ACCESS = 0x7, IOMMU_ROOT_ACCESS = 0x8, IOMMU_CONTEXT_ACCESS = 0x9, IOMMU_ROOT_RESERVED = 0xa,
    IOMMU_CONTEXT_RESERVED = 0xb, IOMMU_PAGE_RESERVED = 0xc, IOMMU_REQUEST_RESERVED = 0x20, IOMMU_BEYOND_INDEX = 0x21, IOMMU_NO_IRTE = 0x22,
    IOMMU_IRTE_ACCESS = 0x23, IOMMU_IRTE_RESERVED = 0x24, IOMMU_COMPATIBILITY = 0x25, IOMMU_SOURCE = 0x26,
};

struct iommu_request {
    uint16_t source;   /* bus, device and function */
    bool write;
    uint64_t address;
};

/* `quiet`: the entry asks that a fault of this kind be not recorded. */
struct iommu_answer {
    uint64_t gpa;
    bool quiet;
};

/* Of the byte at `address`; its page of 4 KiB goes the same way.  `root` is the root table's address. */
enum iommu_reason iommu_translate(struct dma *dma, uint64_t root, const struct iommu_request *request, struct iommu_answer *answer);

/* A remappable message (VT-d 5.1.2.2). */
struct iommu_interrupt {
    uint16_t source;
    bool verified;     /* is the source to be that of the entry? */
    uint64_t address;
    uint32_t data;
};

struct iommu_delivery {
    struct irq_message message;
    uint32_t index;    /* of the entry */
    bool quiet;
};

enum { IRTA_SIZE = 15, IRTA_EXTENDED = 1 << 11 };
/* `irta` as the register has it. */
enum iommu_reason iommu_remap(struct dma *dma, uint64_t irta, const struct iommu_interrupt *interrupt, struct iommu_delivery *out);

#endif
