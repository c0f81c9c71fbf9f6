/*
 * bench.h - a workbench for one device: a map of its regions, a clock moved by hand, memory to DMA to, wires to watch.
 *
 * Accesses go to the region's callbacks only if the region takes them as they are, so a test that asks for what a
 * device does not take fails.  No softmmu is linked.
 */
#ifndef TESTS_DEVICE_BENCH_H
#define TESTS_DEVICE_BENCH_H

#include "device.h"

#include <check.h>

#define BENCH_REGIONS 256
#define BENCH_MEMORY_BYTES 65536

/* A wire's far end. */
struct probe {
    bool level;
    unsigned rises, falls;
};

struct bench {
    struct region_map map; /* first */
    struct region *region[BENCH_REGIONS];
    unsigned regions;
    struct clock clock;
    struct dma dma;        /* to `memory`, guest-physical 0 .. 64 KiB */
    struct irq_bus irq_bus;
    struct irq_message message; /* the last one on the bus */
    unsigned messages, eois;
    uint8_t eoi_vector;
    uint8_t memory[BENCH_MEMORY_BYTES];
    uint8_t output[256];   /* what a backend was given */
    size_t output_bytes;
    struct char_backend backend;
    struct device_host host;
};

/* One bench for each test; tests run in processes of their own. */
extern struct bench bench;

void bench_init(void);
/* A device of this class on the bench; it stays known when bench_init() clears the bench for another. */
struct device *bench_plug(const struct device_class *class);
struct irq bench_probe(struct probe *probe);

/* Moves the clock, stopping at every deadline on the way. */
void bench_advance(uint64_t ns);

uint64_t bench_in(uint16_t port, unsigned width);
void bench_out(uint16_t port, unsigned width, uint64_t value);
uint64_t bench_load(uint64_t gpa, unsigned width);
void bench_store(uint64_t gpa, unsigned width, uint64_t value);
/* In `memory`, little-endian. */
void bench_put(uint64_t gpa, unsigned width, uint64_t value);
uint64_t bench_get(uint64_t gpa, unsigned width);
/* Any transaction at a guest-physical address; fills in the offset.  ERROR where nobody claims or takes it. */
enum transaction_result bench_transact(uint64_t gpa, struct transaction *t);
/* Does somebody claim it? */
bool bench_claims(enum region_space space, uint64_t at);

static inline uint8_t bench_inb(uint16_t port) { return (uint8_t)bench_in(port, 1); }
static inline void bench_outb(uint16_t port, uint8_t v) { bench_out(port, 1, v); }

/* main() of a suite: prints TAP, returns 0 if all passed. */
int bench_main(const char *name, const TTest *const *tests, size_t count);
#define BENCH_MAIN(name, ...)                                                                                          \
    int main(void)                                                                                                     \
    {                                                                                                                  \
        const TTest *const tests[] = { __VA_ARGS__ };                                                                  \
        return bench_main(name, tests, sizeof(tests) / sizeof(tests[0]));                                              \
    }

#endif
