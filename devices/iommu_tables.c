/*
 * iommu_tables.c - root, context and second-level tables, and the interrupt remapping table.
 *
 * Not modelled: scalable mode, nested and first-level translation, device TLBs, snoop control, posted interrupts.
 * Manual: Intel Virtualization Technology for Directed I/O (D51397), sections 3.4 (root and context entries), 3.7 (second level),
 * 5.1 (interrupt remapping), 7.1 (faults), 9 (formats).
 */
#include "iommu_tables.h"

enum { ENTRY_BYTES = 16, PRESENT = 1, NO_FAULTS = 2 };
#define PAGE_ADDRESS (bits_mask(52) & ~UINT64_C(0xfff))
#define BEYOND_MEMORY (bits_mask(52) & ~bits_mask(IOMMU_ADDRESS_BITS))

/* -- entries ------------------------------------------------------------------------------------------------------------- */

static bool entry_read(struct dma *dma, uint64_t gpa, uint64_t *words, unsigned n)
{
    uint8_t bytes[ENTRY_BYTES];

    if (!dma->read(dma, gpa, bytes, n * 8))
        return false;
    memcpy(words, bytes, n * 8);
    return true;
}

/*
 * A context entry, for the function that asks:
 *
 *     63        12      3:2  1  0 | 87:72  66:64
 *     second level  ..  TT FPD  P | domain   AW
 */
enum { TYPE_TABLES = 0, TYPE_PASS = 2 };
#define ROOT_RESERVED (UINT64_C(0xffe) | ~bits_mask(IOMMU_ADDRESS_BITS))
#define CONTEXT_RESERVED (UINT64_C(0xff0) | ~bits_mask(IOMMU_ADDRESS_BITS))
#define CONTEXT_RESERVED_HIGH (~bits_mask(24) | BIT(7))

static enum iommu_reason context_find(struct dma *dma, uint64_t root, uint16_t source, uint64_t *context)
{
    uint64_t entry[2];

    if (!entry_read(dma, root + (uint64_t)(source >> 8) * ENTRY_BYTES, entry, 2))
        return IOMMU_ROOT_ACCESS;
    if (!(entry[0] & PRESENT))
        return IOMMU_NO_ROOT;
    if (entry[0] & ROOT_RESERVED || entry[1])
        return IOMMU_ROOT_RESERVED;
    return entry_read(dma, (entry[0] & PAGE_ADDRESS) + (uint64_t)(source & 0xff) * ENTRY_BYTES, context, 2) ? IOMMU_OK : IOMMU_CONTEXT_ACCESS;
}

/* The levels of its tables: AW 1 is 39 bits, 2 is 48; 0: a width that CAP does not offer. */
static unsigned context_levels(const uint64_t *context)
{
    unsigned width = context[1] & 7;

    return width == 1 || width == 2 ? width + 2 : 0;
}

static enum iommu_reason context_check(const uint64_t *context, uint64_t address)
{
    unsigned type = context[0] >> 2 & 3, levels = context_levels(context);

    if (!(context[0] & PRESENT))
        return IOMMU_NO_CONTEXT;
    if (context[0] & CONTEXT_RESERVED || context[1] & CONTEXT_RESERVED_HIGH)
        return IOMMU_CONTEXT_RESERVED;
    if (!levels || (type != TYPE_TABLES && type != TYPE_PASS))
        return IOMMU_BAD_CONTEXT;
    return address >> (12 + levels * 9) ? IOMMU_BEYOND : IOMMU_OK;
}

/* -- the second level ------------------------------------------------------------------------------------------------------ */

enum { PAGE_READ = 1, PAGE_WRITE = 2, PAGE_LARGE = 1 << 7, PAGE_SNOOP = 1 << 11 };

/* Bits that must be clear in an entry of this level, 1 to 4, by whether it maps a page. */
static uint64_t page_reserved(unsigned level, bool leaf)
{
    uint64_t offset = bits_mask(3 + level * 9) & ~UINT64_C(0xfff); /* of a large page, which is aligned */

    return BEYOND_MEMORY | PAGE_SNOOP | (level == 4 ? PAGE_LARGE : 0) | (leaf && level > 1 ? offset : 0);
}

static enum iommu_reason page_walk(struct dma *dma, uint64_t table, unsigned levels, const struct iommu_request *r, uint64_t *gpa)
{
    uint64_t wanted = r->write ? PAGE_WRITE : PAGE_READ;

    for (unsigned level = levels; level; level--) {
        unsigned shift = 3 + level * 9;
        bool leaf;
        uint64_t entry;

        if (!entry_read(dma, table + (r->address >> shift & 511) * 8, &entry, 1))
            return IOMMU_PAGE_ACCESS;
        leaf = level == 1 || entry & PAGE_LARGE;
        if (entry & (PAGE_READ | PAGE_WRITE) && entry & page_reserved(level, leaf))
            return IOMMU_PAGE_RESERVED;
        if (!(entry & wanted))
            return r->write ? IOMMU_NO_WRITE : IOMMU_NO_READ;
        table = entry & PAGE_ADDRESS;
        if (leaf) {
            *gpa = table | (r->address & bits_mask(shift));
            return IOMMU_OK;
        }
    }
    return IOMMU_PAGE_RESERVED; /* not reached: level 1 is a leaf */
}

enum iommu_reason iommu_translate(struct dma *dma, uint64_t root, const struct iommu_request *r, struct iommu_answer *answer)
{
    uint64_t context[2];
    enum iommu_reason reason = context_find(dma, root, r->source, context);

    *answer = (struct iommu_answer){ .gpa = r->address };
    if (reason)
        return reason;
    answer->quiet = context[0] & NO_FAULTS;
    reason = context_check(context, r->address);
    if (reason || (context[0] >> 2 & 3) == TYPE_PASS)
        return reason;
    return page_walk(dma, context[0] & PAGE_ADDRESS, context_levels(context), r, &answer->gpa);
}

/* -- interrupts -------------------------------------------------------------------------------------------------------------- */

/*
 * An entry of the interrupt remapping table (9.10):
 *
 *     63:32        23:16  15  7:5  4  3  2   1  0 | 83:82 81:80 79:64
 *     destination  vector IM  DLM TM RH DM FPD  P |  SVT    SQ   SID
 */
#define IRTE_RESERVED (UINT64_C(0xff000000) | UINT64_C(0xf000)) /* IM too: nothing is posted */
#define IRTE_RESERVED_XAPIC UINT64_C(0xffff00ff00000000)
#define IRTE_RESERVED_HIGH (~bits_mask(20))
enum { DELIVERY_RESERVED_3 = 3, DELIVERY_RESERVED_6 = 6, VERIFY_NOTHING = 0, VERIFY_SOURCE = 1, VERIFY_BUS = 2 };

static bool source_fits(uint64_t high, uint16_t source)
{
    static const uint16_t ignored[4] = { 0, 4, 6, 7 }; /* bits of the function's number, by SQ */
    uint16_t wanted = (uint16_t)high, mask = (uint16_t)~ignored[high >> 16 & 3];

    switch (high >> 18 & 3) {
    case VERIFY_NOTHING: return true;
    case VERIFY_SOURCE: return (source & mask) == (wanted & mask);
    default: return source >> 8 >= wanted >> 8 && source >> 8 <= (wanted & 0xff);
    }
}

static bool irte_is_reserved(const uint64_t *irte, bool extended)
{
    unsigned delivery = irte[0] >> 5 & 7;

    return irte[0] & IRTE_RESERVED || (!extended && irte[0] & IRTE_RESERVED_XAPIC) || irte[1] & IRTE_RESERVED_HIGH ||
           (irte[1] >> 18 & 3) > VERIFY_BUS || delivery == DELIVERY_RESERVED_3 || delivery == DELIVERY_RESERVED_6;
}

static struct irq_message irte_message(uint64_t irte, bool extended)
{
    uint32_t destination = (uint32_t)(irte >> 32);

    return (struct irq_message){
        .destination = extended ? destination : destination >> 8 & 0xff, .logical = irte >> 2 & 1, .level = irte >> 4 & 1, .assert = true,
        .delivery = (enum irq_delivery)(irte >> 5 & 7), .vector = (uint8_t)(irte >> 16),
    };
}

/* Handle: 19:5 and 2 of the address; with SHV (3), the data's low half is added. */
static uint32_t interrupt_index(const struct iommu_interrupt *i)
{
    uint32_t handle = (i->address >> 5 & 0x7fff) | (i->address >> 2 & 1) << 15;

    return handle + (i->address >> 3 & 1 ? i->data & 0xffff : 0);
}

enum iommu_reason iommu_remap(struct dma *dma, uint64_t irta, const struct iommu_interrupt *i, struct iommu_delivery *out)
{
    uint64_t irte[2];
    bool extended = irta & IRTA_EXTENDED;

    *out = (struct iommu_delivery){ .index = interrupt_index(i) };
    if (i->data >> 16)
        return IOMMU_REQUEST_RESERVED;
    if (out->index >> ((irta & IRTA_SIZE) + 1))
        return IOMMU_BEYOND_INDEX;
    if (!entry_read(dma, (irta & PAGE_ADDRESS) + (uint64_t)out->index * ENTRY_BYTES, irte, 2))
        return IOMMU_IRTE_ACCESS;
    out->quiet = irte[0] & NO_FAULTS;
    if (!(irte[0] & PRESENT))
        return IOMMU_NO_IRTE;
    if (irte_is_reserved(irte, extended))
        return IOMMU_IRTE_RESERVED;
    if (i->verified && !source_fits(irte[1], i->source))
        return IOMMU_SOURCE;
    out->message = irte_message(irte[0], extended);
    return IOMMU_OK;
}
