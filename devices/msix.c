/*
 * msix.c - MSI-X: the capability, the table of vectors, and the pending bits; messages are msi.c's.
 *
 * Not modelled: steering tags.
 * Manual: PCI Local Bus 3.0 section 6.8.2.
 */
#include "msix.h"

#include "msi.h"

enum { CONTROL = 2, TABLE = 4, PENDING = 8 };
enum { CONTROL_ENABLE = 1 << 15, CONTROL_MASK = 1 << 14 };
enum { ENTRY_BYTES = 16, ENTRY_ADDRESS = 0, ENTRY_ADDRESS_HIGH = 4, ENTRY_DATA = 8, ENTRY_CONTROL = 12, VECTOR_MASKED = 1 };

static unsigned msix_control(const struct msix *m) { return pci_function_get(m->function, m->capability + CONTROL, 2); }

bool msix_enabled(const struct msix *m) { return msix_control(m) & CONTROL_ENABLE; }

/* Sends what waits and may. */
static void msix_update(struct msix *m)
{
    if ((msix_control(m) & (CONTROL_ENABLE | CONTROL_MASK)) != CONTROL_ENABLE || !pci_function_is_master(m->function))
        return;
    for (unsigned i = 0; i < m->vectors; i++) {
        struct msix_vector v = m->vector[i];

        if (!(m->pending >> i & 1) || v.control & VECTOR_MASKED)
            continue;
        m->pending &= ~BIT(i);
        msi_write(m->function, v.address, v.data, &m->sending);
    }
}

void msix_send(struct msix *m, unsigned vector)
{
    if (!msix_enabled(m) || vector >= m->vectors)
        return;
    m->pending |= BIT(vector);
    msix_update(m);
}

void msix_written(struct msix *m) { msix_update(m); }

void msix_init(struct msix *m, struct pci_function *f, const struct msix_place *p)
{
    m->function = f;
    m->capability = p->capability;
    m->vectors = p->vectors;
    m->pending = 0;
    for (unsigned i = 0; i < MSIX_VECTORS; i++)
        m->vector[i] = (struct msix_vector){ .control = VECTOR_MASKED };
    pci_function_capability(f, PCI_CAPABILITY_MSIX, p->capability);
    pci_function_register(f, p->capability + CONTROL, 2, p->vectors - 1u, CONTROL_ENABLE | CONTROL_MASK);
    pci_function_register(f, p->capability + TABLE, 4, p->table | p->bar, 0);
    pci_function_register(f, p->capability + PENDING, 4, p->pending | p->bar, 0);
}

/* -- the table and the pending bits --------------------------------------------------------------------------------- */

static uint64_t msix_read_half(const struct msix *m, unsigned offset)
{
    const struct msix_vector *v = &m->vector[offset / ENTRY_BYTES % MSIX_VECTORS];

    return offset & 8 ? (uint64_t)v->control << 32 | v->data : v->address;
}

static uint64_t msix_read_table(void *state, uint64_t offset, unsigned width)
{
    return bits_trunc(msix_read_half(state, (unsigned)offset) >> (offset & 4) * 8, width);
}

static void msix_write_dword(struct msix *m, unsigned offset, uint32_t value)
{
    struct msix_vector *v = &m->vector[offset / ENTRY_BYTES % MSIX_VECTORS];

    switch (offset % ENTRY_BYTES) {
    case ENTRY_ADDRESS: v->address = (v->address & ~UINT64_C(0xffffffff)) | (value & ~3u); break;
    case ENTRY_ADDRESS_HIGH: v->address = (uint64_t)value << 32 | (v->address & 0xffffffff); break;
    case ENTRY_DATA: v->data = value; break;
    default: v->control = value & VECTOR_MASKED; break;
    }
}

/* Section 6.8.2: aligned accesses of four or eight bytes. */
static void msix_write_table(void *state, uint64_t offset, unsigned width, uint64_t value)
{
    for (unsigned i = 0; i < width; i += 4)
        msix_write_dword(state, (unsigned)offset + i, (uint32_t)(value >> i * 8));
    msix_update(state);
}

static uint64_t msix_read_pending(void *state, uint64_t offset, unsigned width)
{
    return bits_trunc(((struct msix *)state)->pending >> (offset & 4) * 8, width);
}

static void msix_ignore(void *state, uint64_t offset, unsigned width, uint64_t value)
{
    (void)state;
    (void)offset;
    (void)width;
    (void)value;
}

const struct region_ops msix_table_ops = { .read = msix_read_table, .write = msix_write_table, .limits = { .widths = W4 | W8 } };
const struct region_ops msix_pba_ops = { .read = msix_read_pending, .write = msix_ignore, .limits = { .widths = W4 | W8 } };
