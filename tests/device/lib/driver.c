/* driver.c - see driver.h; every constant stands here anew. */
#include "driver.h"

#include "virtio_pci.h"

#include <stdlib.h>

enum { FUNCTION = 0x80000000 | DRIVER_DEVFN << 8, QUEUE_BYTES = 0x400, AVAIL = 0x100, USED = 0x200, FIRST = 0x1000 };
enum { INTX = 4 + 1 }; /* slot 5, pin A: PIRQF */

static struct device *driver_pci;
struct probe driver_intx;
static uint16_t available[DRIVER_QUEUES];

static uint64_t table_of(unsigned q) { return FIRST + (uint64_t)q * QUEUE_BYTES; }

uint32_t driver_pci_get(unsigned offset, unsigned width)
{
    bench_out(0xcf8, 4, FUNCTION | (offset & 0xfc));
    return (uint32_t)bench_in((uint16_t)(0xcfc + (offset & 3)), width);
}

void driver_pci_put(unsigned offset, unsigned width, uint32_t v)
{
    bench_out(0xcf8, 4, FUNCTION | (offset & 0xfc));
    bench_out((uint16_t)(0xcfc + (offset & 3)), width, v);
}

void driver_init(void)
{
    struct pci_wires wires = { 0 };

    wires.pirq[INTX] = bench_probe(&driver_intx);
    driver_pci = device_create(&pci_class, &bench.host);
    pci_connect(driver_pci, &wires);
}

void driver_plug(struct device *device)
{
    virtio_pci_connect(device, driver_pci, DRIVER_DEVFN);
    driver_plugged();
}

void driver_plugged(void)
{
    driver_pci_put(0x10, 4, DRIVER_BAR);
    driver_pci_put(0x04, 2, 0x0006);
}

uint64_t driver_structure(uint8_t type)
{
    for (unsigned at = driver_pci_get(0x34, 1), n = 0; at && n < 48; at = driver_pci_get(at + 1, 1), n++)
        if (driver_pci_get(at, 1) == 9 && driver_pci_get(at + 3, 1) == type)
            return DRIVER_BAR + driver_pci_get(at + 8, 4);
    ck_abort_msg("no structure %u", type);
}

uint64_t driver_common(unsigned offset, unsigned width) { return bench_load(driver_structure(1) + offset, width); }
void driver_set_common(unsigned offset, unsigned width, uint64_t v) { bench_store(driver_structure(1) + offset, width, v); }
uint64_t driver_config(unsigned offset, unsigned width) { return bench_load(driver_structure(4) + offset, width); }
uint8_t driver_status(void) { return (uint8_t)driver_common(0x14, 1); }

uint64_t driver_features(void)
{
    uint64_t low;

    driver_set_common(0x00, 4, 0);
    low = driver_common(0x04, 4);
    driver_set_common(0x00, 4, 1);
    return low | driver_common(0x04, 4) << 32;
}

static void set_queue(unsigned q)
{
    available[q] = 0;
    driver_set_common(0x16, 2, q);
    driver_set_common(0x18, 2, DRIVER_SIZE);
    driver_set_common(0x20, 4, table_of(q));
    driver_set_common(0x28, 4, table_of(q) + AVAIL);
    driver_set_common(0x30, 4, table_of(q) + USED);
    driver_set_common(0x1c, 2, 1);
}

void driver_begin(uint64_t features, unsigned queues)
{
    memset(bench.memory, 0, sizeof(bench.memory));
    driver_set_common(0x14, 1, 0);
    driver_set_common(0x14, 1, 1);
    driver_set_common(0x14, 1, 3);
    for (unsigned half = 0; half < 2; half++) {
        driver_set_common(0x08, 4, half);
        driver_set_common(0x0c, 4, (uint32_t)(features >> half * 32));
    }
    driver_set_common(0x14, 1, 11);
    ck_assert_uint_eq(driver_status(), 11);
    for (unsigned q = 0; q < queues; q++)
        set_queue(q);
    driver_set_common(0x14, 1, 15);
}

void driver_describe(unsigned q, unsigned i, uint64_t gpa, uint32_t bytes, uint16_t flags, uint16_t next)
{
    uint64_t at = table_of(q) + i * 16;

    bench_put(at, 8, gpa);
    bench_put(at + 8, 4, bytes);
    bench_put(at + 12, 2, flags);
    bench_put(at + 14, 2, next);
}

void driver_offer(unsigned q, uint16_t head)
{
    bench_put(table_of(q) + AVAIL + 4 + available[q] % DRIVER_SIZE * 2, 2, head);
    bench_put(table_of(q) + AVAIL + 2, 2, ++available[q]);
}

void driver_kick(unsigned q) { bench_store(driver_structure(2) + q * 4, 2, q); }

uint16_t driver_used(unsigned q) { return (uint16_t)bench_get(table_of(q) + USED + 2, 2); }
uint32_t driver_used_head(unsigned q, unsigned n) { return (uint32_t)bench_get(table_of(q) + USED + 4 + n % DRIVER_SIZE * 8, 4); }
uint32_t driver_used_bytes(unsigned q, unsigned n) { return (uint32_t)bench_get(table_of(q) + USED + 8 + n % DRIVER_SIZE * 8, 4); }

void driver_random(unsigned round, uint64_t features, unsigned queues)
{
    driver_begin(features | (round & 1 ? INDIRECT_DESC : 0) | (round & 2 ? EVENT_IDX : 0), queues);
    for (unsigned i = 0; i < sizeof(bench.memory); i += 1 + (unsigned)rand() % 64)
        bench.memory[i] = (uint8_t)(rand() >> 7);
    for (unsigned q = 0; q < queues; q++) {
        for (unsigned i = 0; i < DRIVER_SIZE; i++)
            driver_describe(q, i, (uint64_t)rand() % 0x10800, (uint32_t)rand() % 2048, (uint16_t)(rand() >> 8 & 7),
                            (uint16_t)rand() % (DRIVER_SIZE + 1));
        bench_put(table_of(q) + AVAIL + 2, 2, (uint64_t)rand() % (DRIVER_SIZE + 2));
    }
    for (unsigned q = 0; q < queues; q++)
        driver_kick(q);
    bench_store(driver_structure(1) + ((unsigned)rand() % 0x10) * 4, 4, (uint64_t)rand());
}
