/* test_widereg.c - the wide test device against its own manual, docs/devices/widereg.md. */
#include "widereg.h"

#include "lib/bench.h"

#include <string.h>

#define BAR 0xc0000000u
#define WINDOW(id) (BAR + WIDEREG_##id * WIDEREG_WINDOW_BYTES)
#define REGISTER(id) (WINDOW(CONTROL) + WIDEREG_##id)

static struct device *pci, *widereg;
static struct probe pirq[8];

static void widereg_config(unsigned offset, uint32_t v)
{
    bench_out(0xcf8, 4, 0x80002000 | offset);
    bench_out(0xcfc, 4, v);
}

static void widereg_plug(void)
{
    struct pci_wires wires = { 0 };

    pci = device_create(&pci_class, &bench.host);
    widereg = device_create(&widereg_class, &bench.host);
    for (unsigned i = 0; i < 8; i++)
        wires.pirq[i] = bench_probe(&pirq[i]);
    pci_connect(pci, &wires);
    widereg_connect(widereg, pci, PCI_DEVFN(4, 0));
    widereg_config(0x10, BAR);
    widereg_config(0x04, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

static struct transaction widereg_make(enum transaction_type type, unsigned width, uint8_t fill)
{
    struct transaction t = { .type = type, .width = (uint8_t)width, .enables = bits_mask(width) };

    for (unsigned i = 0; i < width; i++)
        t.data.b[i] = (uint8_t)(fill + i);
    return t;
}

static bool widereg_dma_to_bar(struct dma *dma, uint64_t gpa, const void *data, size_t size)
{
    (void)dma;
    (void)data;
    (void)size;
    bench_store(gpa, 4, 0x80000004u);
    return true;
}

START_TEST(widereg_identifies_itself)
{
    widereg_plug();
    ck_assert_uint_eq(bench_load(REGISTER(ID), 4), 0x47455257);
    ck_assert_uint_eq(bench_load(REGISTER(VERSION), 4), 1);
    ck_assert_uint_eq(bench_load(REGISTER(WINDOW_COUNT), 4), 16);
    ck_assert_uint_eq(bench_load(REGISTER(WINDOW_SIZE), 4), 4096);
}
END_TEST

/* The description table says what each window takes, and it is what each region takes. */
START_TEST(widereg_describes_its_windows)
{
    widereg_plug();
    for (unsigned n = 0; n < WIDEREG_WINDOWS_COUNT; n++) {
        uint32_t limits = (uint32_t)bench_load(REGISTER(DESCRIPTION) + n * 16, 4);
        uint64_t name = bench_load(REGISTER(DESCRIPTION) + n * 16 + 8, 8);
        const struct region_limits *actual = &widereg->region[n].ops->limits;

        ck_assert_uint_eq(limits & 0xff, actual->widths);
        ck_assert_uint_eq(limits >> 8 & 0xff, actual->flags);
        ck_assert_uint_eq(limits >> 16 & 0xff, actual->types);
        ck_assert_uint_eq(limits >> 24, actual->atomic_widths);
        ck_assert(!strncmp((const char *)&name, widereg_windows[n].name, 8));
    }
}
END_TEST

/* Windows `byte` to `zword` take one width each, aligned. */
START_TEST(widereg_fixed_windows_take_one_width)
{
    widereg_plug();
    for (unsigned n = WIDEREG_BYTE; n <= WIDEREG_ZWORD; n++) {
        uint64_t base = BAR + n * WIDEREG_WINDOW_BYTES;
        unsigned own = 1u << (n - WIDEREG_BYTE);

        for (unsigned width = 1; width <= 64; width *= 2) {
            struct transaction t = widereg_make(TRANSACTION_STORE, width, 1);

            ck_assert_int_eq(bench_transact(base + width, &t), width == own ? TRANSACTION_OK : TRANSACTION_ERROR);
        }
        if (own > 1) {
            struct transaction t = widereg_make(TRANSACTION_LOAD, own, 0);

            ck_assert_int_eq(bench_transact(base + 1, &t), TRANSACTION_ERROR);
        }
    }
}
END_TEST

/* Window `any`: every width at every offset of a line, read back as written, up to the last byte. */
START_TEST(widereg_any_takes_every_width_and_offset)
{
    widereg_plug();
    for (unsigned width = 1; width <= 64; width++)
        for (unsigned offset = 0; offset < 64; offset++) {
            struct transaction store = widereg_make(TRANSACTION_STORE, width, (uint8_t)offset);
            struct transaction load = widereg_make(TRANSACTION_LOAD, width, 0);

            ck_assert_int_eq(bench_transact(WINDOW(ANY) + offset, &store), TRANSACTION_OK);
            ck_assert_int_eq(bench_transact(WINDOW(ANY) + offset, &load), TRANSACTION_OK);
            ck_assert_mem_eq(load.data.b, store.data.b, width);
        }
    ck_assert_uint_eq(bench_load(REGISTER(HISTORY_COUNT), 4), 2 * 64 * 64);
}
END_TEST

START_TEST(widereg_access_over_window_end_is_refused)
{
    struct transaction t;

    widereg_plug();
    t = widereg_make(TRANSACTION_STORE, 64, 0);
    ck_assert_int_eq(bench_transact(WINDOW(ANY) + 4096 - 63, &t), TRANSACTION_ERROR);
    ck_assert_int_eq(bench_transact(WINDOW(ANY) + 4096 - 64, &t), TRANSACTION_OK);
}
END_TEST

/* Byte enables: bytes not enabled keep their value; loads give zero there. */
START_TEST(widereg_enables_touch_only_enabled_bytes)
{
    struct transaction t;

    widereg_plug();
    t = widereg_make(TRANSACTION_STORE, 16, 0x10);
    bench_transact(WINDOW(ENABLES), &t);
    t = widereg_make(TRANSACTION_STORE, 16, 0xa0);
    t.flags = TRANSACTION_MASKED;
    t.enables = 0x8001;
    ck_assert_int_eq(bench_transact(WINDOW(ENABLES), &t), TRANSACTION_OK);
    t = widereg_make(TRANSACTION_LOAD, 16, 0);
    bench_transact(WINDOW(ENABLES), &t);
    ck_assert_uint_eq(t.data.b[0], 0xa0);
    ck_assert_uint_eq(t.data.b[1], 0x11);
    ck_assert_uint_eq(t.data.b[14], 0x1e);
    ck_assert_uint_eq(t.data.b[15], 0xaf);
    t = widereg_make(TRANSACTION_LOAD, 16, 0);
    t.flags = TRANSACTION_MASKED;
    t.enables = 0x0002;
    bench_transact(WINDOW(ENABLES), &t);
    ck_assert_uint_eq(t.data.q[0], 0x1100);
    t.flags = TRANSACTION_MASKED;
    ck_assert_int_eq(bench_transact(WINDOW(ANY), &t), TRANSACTION_ERROR);
}
END_TEST

/* Atomics give the old value and leave the new one, at 4, 8 and 16 bytes (PCI Express 3.0, 6.15). */
START_TEST(widereg_atomics_return_old_value)
{
    widereg_plug();
    for (unsigned width = 4; width <= 16; width *= 2) {
        struct transaction t = widereg_make(TRANSACTION_STORE, width, 0xf0);
        union wide first = t.data;

        bench_transact(WINDOW(ATOMIC), &t);
        t = (struct transaction){ .type = TRANSACTION_FETCH_ADD, .width = (uint8_t)width, .data.b[0] = 0x20 };
        ck_assert_int_eq(bench_transact(WINDOW(ATOMIC), &t), TRANSACTION_OK);
        ck_assert_mem_eq(t.data.b, first.b, width);
        t = widereg_make(TRANSACTION_LOAD, width, 0);
        bench_transact(WINDOW(ATOMIC), &t);
        ck_assert_uint_eq(t.data.b[0], 0x10);     /* f0 + 20 */
        ck_assert_uint_eq(t.data.b[1], 0xf1 + 1); /* and the carry */
        t = widereg_make(TRANSACTION_SWAP, width, 0x01);
        bench_transact(WINDOW(ATOMIC), &t);
        ck_assert_uint_eq(t.data.b[0], 0x10);
        t = widereg_make(TRANSACTION_COMPARE_SWAP, width, 0x80);
        t.compare = widereg_make(TRANSACTION_LOAD, width, 0x02).data; /* does not match */
        bench_transact(WINDOW(ATOMIC), &t);
        ck_assert_uint_eq(t.data.b[0], 0x01);
        t = widereg_make(TRANSACTION_COMPARE_SWAP, width, 0x80);
        t.compare = widereg_make(TRANSACTION_LOAD, width, 0x01).data;
        bench_transact(WINDOW(ATOMIC), &t);
        ck_assert_uint_eq(t.data.b[0], 0x01);
        t = widereg_make(TRANSACTION_LOAD, width, 0);
        bench_transact(WINDOW(ATOMIC), &t);
        ck_assert_uint_eq(t.data.b[0], 0x80);
    }
}
END_TEST

/* ENQUEUE: eight entries, then RETRY until some are drained. */
START_TEST(widereg_queue_refuses_when_full)
{
    widereg_plug();
    for (unsigned i = 0; i < 8; i++) {
        struct transaction t = widereg_make(TRANSACTION_ENQUEUE, 64, (uint8_t)(i * 16));

        ck_assert_int_eq(bench_transact(WINDOW(QUEUE), &t), TRANSACTION_OK);
    }
    struct transaction more = widereg_make(TRANSACTION_ENQUEUE, 64, 0xff);

    ck_assert_int_eq(bench_transact(WINDOW(QUEUE), &more), TRANSACTION_RETRY);
    ck_assert_uint_eq(bench_load(REGISTER(QUEUE_COUNT), 4), 8);
    ck_assert_uint_eq(bench_load(REGISTER(QUEUE_REFUSED), 4), 1);
    ck_assert_uint_eq(bench_load(REGISTER(QUEUE_HEAD), 4), 0x03020100);
    bench_store(REGISTER(QUEUE_DRAIN), 4, 2);
    ck_assert_uint_eq(bench_load(REGISTER(QUEUE_HEAD), 4), 0x23222120);
    ck_assert_int_eq(bench_transact(WINDOW(QUEUE), &more), TRANSACTION_OK);
    bench_store(REGISTER(QUEUE_DRAIN), 4, 0xffffffff);
    ck_assert_uint_eq(bench_load(REGISTER(QUEUE_COUNT), 4), 0);
    ck_assert_uint_eq(bench_load(REGISTER(QUEUE_ACCEPTED), 4), 9);
}
END_TEST

START_TEST(widereg_direct_store_is_one_transaction)
{
    struct transaction t;
    const struct widereg_record *r;

    widereg_plug();
    t = widereg_make(TRANSACTION_DIRECT_STORE, 64, 0x40);
    ck_assert_int_eq(bench_transact(WINDOW(DIRECT) + 0x80, &t), TRANSACTION_OK);
    r = widereg_last(widereg, 0, NULL);
    ck_assert_uint_eq(r->type, TRANSACTION_DIRECT_STORE);
    ck_assert_uint_eq(r->width, 64);
    ck_assert_uint_eq(r->window, WIDEREG_DIRECT);
    ck_assert_uint_eq(r->offset, 0x80);
    t = widereg_make(TRANSACTION_ENQUEUE, 64, 0);
    ck_assert_int_eq(bench_transact(WINDOW(DIRECT), &t), TRANSACTION_ERROR);
}
END_TEST

/* The history window shows the records; the 65th takes the first one's slot; control and history leave no record. */
START_TEST(widereg_history_keeps_the_last_64)
{
    struct origin origin = { .rip = 0x1234, .journey = 7 }, seen;
    struct transaction t;

    widereg_plug();
    for (unsigned i = 0; i < 65; i++) {
        t = widereg_make(TRANSACTION_STORE, 4, (uint8_t)i);
        t.origin = &origin;
        bench_transact(WINDOW(DWORD) + i * 4, &t);
    }
    ck_assert_uint_eq(bench_load(WINDOW(HISTORY), 4), 65);        /* slot 0: sequence */
    ck_assert_uint_eq(bench_load(WINDOW(HISTORY) + 64, 4), 2);    /* slot 1 */
    ck_assert_uint_eq(bench_load(WINDOW(HISTORY) + 4, 4), TRANSACTION_STORE | 4 << 8 | WIDEREG_DWORD << 16);
    ck_assert_uint_eq(bench_load(WINDOW(HISTORY) + 8, 4), 0x100u << 16);
    ck_assert_uint_eq(bench_load(WINDOW(HISTORY) + 16, 8), 0xf);  /* enables */
    ck_assert_uint_eq(bench_load(WINDOW(HISTORY) + 32, 4), 0x43424140);
    bench_store(WINDOW(HISTORY), 4, 0);
    ck_assert_uint_eq(bench_load(REGISTER(HISTORY_COUNT), 4), 65);
    ck_assert_uint_eq(widereg_last(widereg, 0, &seen)->sequence, 65);
    ck_assert_uint_eq(seen.rip, 0x1234);
    ck_assert_uint_eq(widereg_last(widereg, 63, NULL)->sequence, 2);
    ck_assert_ptr_null(widereg_last(widereg, 64, NULL));
    bench_store(REGISTER(CONTROL_REG), 4, WIDEREG_CLEAR_HISTORY);
    ck_assert_ptr_null(widereg_last(widereg, 0, NULL));
}
END_TEST

START_TEST(widereg_interrupt_follows_register_and_queue)
{
    struct transaction t;

    widereg_plug();
    bench_store(REGISTER(INTERRUPT), 4, 1);
    ck_assert(pirq[4].level); /* slot 4, INTA#: PIRQE */
    bench_store(REGISTER(INTERRUPT), 4, 2);
    ck_assert(!pirq[4].level);
    t = widereg_make(TRANSACTION_ENQUEUE, 64, 0);
    bench_transact(WINDOW(QUEUE), &t);
    ck_assert(pirq[4].level);
    bench_store(REGISTER(QUEUE_DRAIN), 4, 1);
    ck_assert(!pirq[4].level);
}
END_TEST

START_TEST(widereg_dma_copies_both_ways_or_fails)
{
    widereg_plug();
    memcpy(bench.memory + 0x300, "wide load", 10);
    bench_store(REGISTER(DMA_ADDRESS), 8, 0x300);
    bench_store(REGISTER(DMA_OFFSET), 4, 0x20);
    bench_store(REGISTER(DMA_GO), 4, 10);
    ck_assert_uint_eq(bench_load(REGISTER(DMA_GO), 4), 10);
    bench_store(REGISTER(DMA_ADDRESS), 8, 0x400);
    bench_store(REGISTER(DMA_GO), 4, 0x80000000u | 10);
    ck_assert_mem_eq(bench.memory + 0x400, "wide load", 10);
    bench_store(REGISTER(DMA_OFFSET), 4, 4090);
    bench_store(REGISTER(DMA_GO), 4, 10);
    ck_assert_uint_eq(bench_load(REGISTER(DMA_GO), 4) >> 30 & 1, 1);
    bench_store(REGISTER(DMA_OFFSET), 4, 0);
    bench_store(REGISTER(DMA_GO), 4, 0xffff);
    ck_assert_uint_eq(bench_load(REGISTER(DMA_GO), 4) >> 30 & 1, 1);
    widereg_config(0x04, PCI_COMMAND_MEMORY); /* no bus master */
    bench_store(REGISTER(DMA_GO), 4, 10);
    ck_assert_uint_eq(bench_load(REGISTER(DMA_GO), 4) >> 30 & 1, 1);
}
END_TEST

/* A copy into the DMA registers themselves does not start another one. */
START_TEST(widereg_dma_into_its_own_registers_ends)
{
    static struct dma own;

    own = (struct dma){ .write = widereg_dma_to_bar };
    widereg_plug();
    ((struct device *)widereg)->host.dma = &own;
    bench_store(WINDOW(ANY), 1, 0);
    bench_store(REGISTER(DMA_ADDRESS), 8, REGISTER(DMA_GO));
    bench_store(REGISTER(DMA_GO), 4, 0x80000004u);
    ck_assert_uint_eq(bench_load(REGISTER(DMA_GO), 4), 0x80000004u);
}
END_TEST

/* PCI Express 3.0 7.8.15: device capabilities 2 bits 7, 8, 9: AtomicOps of 32, 64 and 128 bits. */
START_TEST(widereg_announces_atomic_completer)
{
    widereg_plug();
    bench_out(0xcf8, 4, 0x80002034);
    ck_assert_uint_eq(bench_inb(0xcfc), 0x40);
    bench_out(0xcf8, 4, 0x80002040);
    ck_assert_uint_eq(bench_in(0xcfc, 2), 0x0010);
    bench_out(0xcf8, 4, 0x80002064);
    ck_assert_uint_eq(bench_in(0xcfc, 4) & 0x380, 0x380);
}
END_TEST

BENCH_MAIN("widereg", widereg_identifies_itself, widereg_describes_its_windows, widereg_fixed_windows_take_one_width,
           widereg_any_takes_every_width_and_offset, widereg_access_over_window_end_is_refused,
           widereg_enables_touch_only_enabled_bytes, widereg_atomics_return_old_value, widereg_queue_refuses_when_full,
           widereg_direct_store_is_one_transaction, widereg_history_keeps_the_last_64,
           widereg_interrupt_follows_register_and_queue, widereg_dma_copies_both_ways_or_fails,
           widereg_dma_into_its_own_registers_ends,
           widereg_announces_atomic_completer)
