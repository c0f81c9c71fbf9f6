/* bench.c - the workbench behind every suite in tests/device. */
#include "bench.h"

#include <stdlib.h>
#include <string.h>

struct bench bench;

static void bench_add(struct region_map *map, struct region *region)
{
    ck_assert_uint_lt(bench.regions, BENCH_REGIONS);
    region->map = map;
    bench.region[bench.regions++] = region;
}

static void bench_changed(struct region_map *map, struct region *region)
{
    (void)map;
    (void)region;
}

static bool bench_dma_read(struct dma *dma, uint64_t gpa, void *data, size_t size)
{
    (void)dma;
    if (gpa > sizeof(bench.memory) || size > sizeof(bench.memory) - gpa) {
        memset(data, 0xff, size);
        return false;
    }
    memcpy(data, bench.memory + gpa, size);
    return true;
}

static bool bench_dma_write(struct dma *dma, uint64_t gpa, const void *data, size_t size)
{
    (void)dma;
    if (gpa > sizeof(bench.memory) || size > sizeof(bench.memory) - gpa)
        return false;
    memcpy(bench.memory + gpa, data, size);
    return true;
}

static void bench_deliver(struct irq_bus *bus, const struct irq_message *message)
{
    (void)bus;
    bench.message = *message;
    bench.messages++;
}

static void bench_eoi(struct irq_bus *bus, uint8_t vector)
{
    (void)bus;
    bench.eoi_vector = vector;
    bench.eois++;
}

static void bench_output(void *opaque, const uint8_t *data, size_t size)
{
    (void)opaque;
    for (size_t i = 0; i < size && bench.output_bytes < sizeof(bench.output); i++)
        bench.output[bench.output_bytes++] = data[i];
}

void bench_init(void)
{
    memset(&bench, 0, sizeof(bench));
    bench.map = (struct region_map){ bench_add, bench_changed };
    bench.dma = (struct dma){ .read = bench_dma_read, .write = bench_dma_write };
    bench.irq_bus = (struct irq_bus){ .deliver = bench_deliver, .eoi = bench_eoi };
    bench.backend.output = bench_output;
    bench.clock.ns = 10000000000; /* 10 s: nothing is special about reset */
    bench.host = (struct device_host){ &bench.map, &bench.clock, &bench.dma, &bench.irq_bus };
}

struct device *bench_plug(const struct device_class *class)
{
    static struct device *plugged[256];
    static unsigned n;

    ck_assert_uint_lt(n, sizeof(plugged) / sizeof(plugged[0]));
    return plugged[n++] = device_create(class, &bench.host);
}

static void bench_set_probe(void *opaque, int line, bool level)
{
    struct probe *probe = opaque;

    (void)line;
    probe->level = level;
    if (level)
        probe->rises++;
    else
        probe->falls++;
}

struct irq bench_probe(struct probe *probe)
{
    *probe = (struct probe){ 0 };
    return (struct irq){ .set = bench_set_probe, .opaque = probe };
}

void bench_advance(uint64_t ns)
{
    uint64_t end = bench.clock.ns + ns;

    while (clock_next(&bench.clock) <= end) {
        if (clock_next(&bench.clock) > bench.clock.ns)
            bench.clock.ns = clock_next(&bench.clock);
        clock_run(&bench.clock);
    }
    bench.clock.ns = end;
}

static struct region *bench_find(enum region_space space, uint64_t at)
{
    struct region *found = NULL;

    for (unsigned i = 0; i < bench.regions; i++) {
        struct region *r = bench.region[i];

        if (r->enabled && r->space == space && at >= r->base && at - r->base < r->size &&
            (!found || r->priority >= found->priority))
            found = r;
    }
    return found;
}

bool bench_claims(enum region_space space, uint64_t at) { return bench_find(space, at) != NULL; }

static enum transaction_result bench_access(enum region_space space, uint64_t at, struct transaction *t)
{
    struct region *r = bench_find(space, at);

    if (!r)
        return TRANSACTION_ERROR;
    t->offset = at - r->base;
    if (t->type <= TRANSACTION_STORE ? !region_takes(&r->ops->limits, t->offset, t->width)
                                     : !(r->ops->limits.types >> t->type & 1))
        return TRANSACTION_ERROR;
    if (t->flags & TRANSACTION_MASKED && !(r->ops->limits.flags & REGION_ENABLES))
        return TRANSACTION_ERROR;
    if (r->ops->transact)
        return r->ops->transact(r->state, t);
    if (t->type == TRANSACTION_STORE)
        r->ops->write(r->state, t->offset, t->width, t->data.q[0]);
    else
        t->data.q[0] = r->ops->read(r->state, t->offset, t->width);
    return TRANSACTION_OK;
}

enum transaction_result bench_transact(uint64_t gpa, struct transaction *t)
{
    return bench_access(REGION_MMIO, gpa, t);
}

static uint64_t bench_read(enum region_space space, uint64_t at, unsigned width)
{
    struct transaction t = { .type = TRANSACTION_LOAD, .width = (uint8_t)width, .enables = bits_mask(width) };

    ck_assert_msg(bench_access(space, at, &t) == TRANSACTION_OK, "%u-byte load at 0x%llx not taken", width,
                  (unsigned long long)at);
    ck_assert_msg(!(t.data.q[0] & ~bits_mask(width * 8)), "%u-byte load at 0x%llx returned more", width,
                  (unsigned long long)at);
    return t.data.q[0];
}

static void bench_write(enum region_space space, uint64_t at, unsigned width, uint64_t value)
{
    struct transaction t = { .type = TRANSACTION_STORE, .width = (uint8_t)width, .enables = bits_mask(width),
                             .data.q[0] = value };

    ck_assert_msg(bench_access(space, at, &t) == TRANSACTION_OK, "%u-byte store at 0x%llx not taken", width,
                  (unsigned long long)at);
}

uint64_t bench_in(uint16_t port, unsigned width) { return bench_read(REGION_PIO, port, width); }
void bench_out(uint16_t port, unsigned width, uint64_t value) { bench_write(REGION_PIO, port, width, value); }
uint64_t bench_load(uint64_t gpa, unsigned width) { return bench_read(REGION_MMIO, gpa, width); }
void bench_store(uint64_t gpa, unsigned width, uint64_t value) { bench_write(REGION_MMIO, gpa, width, value); }

void bench_put(uint64_t gpa, unsigned width, uint64_t value)
{
    for (unsigned i = 0; i < width; i++)
        bench.memory[gpa + i] = (uint8_t)(value >> i * 8);
}

uint64_t bench_get(uint64_t gpa, unsigned width)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < width; i++)
        v |= (uint64_t)bench.memory[gpa + i] << i * 8;
    return v;
}

int bench_main(const char *name, const TTest *const *tests, size_t count)
{
    Suite *suite = suite_create(name);
    TCase *tcase = tcase_create(name);
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tcase, bench_init, NULL);
    for (size_t i = 0; i < count; i++)
        tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
