/* test_debug_ports.c - debug console, exit port, POST port, and the list of devices. */
#include "debug_exit.h"
#include "debugcon.h"
#include "devices.h"
#include "post.h"
#include "pvpanic.h"

#include "lib/bench.h"

#include <string.h>

static uint32_t exit_value;
static unsigned exits;

static void debug_exited(void *opaque, uint32_t value)
{
    (void)opaque;
    exit_value = value;
    exits++;
}

START_TEST(debugcon_prints_at_both_ports)
{
    struct device *d = device_create(&debugcon_class, &bench.host);

    debugcon_connect(d, &bench.backend);
    bench_outb(0xe9, 'h');
    bench_outb(0x402, 'i');
    ck_assert_uint_eq(bench.output_bytes, 2);
    ck_assert_mem_eq(bench.output, "hi", 2);
}
END_TEST

START_TEST(debugcon_without_backend_drops_and_reads_e9)
{
    device_create(&debugcon_class, &bench.host);
    bench_outb(0xe9, 'x');
    ck_assert_uint_eq(bench_inb(0xe9), 0xe9);
    ck_assert_uint_eq(bench_inb(0x402), 0xe9);
}
END_TEST

START_TEST(debug_exit_reports_value_of_any_width)
{
    struct device *d = device_create(&debug_exit_class, &bench.host);

    bench_out(0xf4, 1, 1);
    debug_exit_connect(d, debug_exited, NULL);
    bench_out(0xf4, 4, 0x12345678);
    ck_assert_uint_eq(exit_value, 0x12345678);
    bench_out(0xf4, 1, 0x10);
    ck_assert_uint_eq(exit_value, 0x10);
    ck_assert_uint_eq(exits, 2);
}
END_TEST

static void panicked(void *opaque) { ++*(unsigned *)opaque; }

/* QEMU's docs/specs/pvpanic. */
START_TEST(pvpanic_reports_panics_that_no_crash_kernel_takes)
{
    struct device *d = device_create(&pvpanic_class, &bench.host);
    unsigned panics = 0;

    bench_outb(0x505, 1);
    pvpanic_connect(d, panicked, &panics);
    ck_assert_uint_eq(bench_inb(0x505) & 3, 3);
    bench_outb(0x505, 2);
    ck_assert_uint_eq(panics, 0);
    bench_outb(0x505, 1);
    ck_assert_uint_eq(panics, 1);
}
END_TEST

START_TEST(post_code_reads_back)
{
    struct device *d = device_create(&post_class, &bench.host);

    bench_outb(0x80, 0x55);
    ck_assert_uint_eq(bench_inb(0x80), 0x55);
    ck_assert_uint_eq(post_code(d), 0x55);
}
END_TEST

/* Every device has a name of its own, a title, and regions whose limits make sense. */
START_TEST(devices_list_is_complete_and_sane)
{
    for (unsigned i = 0; device_classes[i]; i++) {
        const struct device_class *c = device_classes[i];

        ck_assert(c->name && *c->name && c->title && *c->title);
        for (unsigned j = 0; j < i; j++)
            ck_assert_str_ne(c->name, device_classes[j]->name);
        for (unsigned n = 0; n < DEVICE_REGIONS && c->region[n].size; n++) {
            const struct region_ops *ops = c->region[n].ops;

            ck_assert(ops->limits.widths);
            ck_assert(ops->transact || (ops->read && ops->write));
            if (!ops->transact)
                ck_assert(!(ops->limits.widths & ~W_REGISTERS) && !ops->limits.types);
        }
    }
}
END_TEST

/* Every device can be made, reset while in use, and ended without leaving a timer behind. */
START_TEST(devices_leave_no_timer_behind)
{
    for (unsigned i = 0; device_classes[i]; i++) {
        struct device *d;

        bench_init();
        d = device_create(device_classes[i], &bench.host);
        bench_advance(1000000000);
        device_reset(d);
        device_destroy(d);
        ck_assert_ptr_null(bench.clock.timers);
    }
}
END_TEST

/* A fixed pseudo-random stream of accesses to every register of every device: no crash, no value beyond its width. */
START_TEST(devices_survive_random_accesses)
{
    uint64_t seed = 1;

    for (unsigned i = 0; device_classes[i]; i++) {
        struct device *d;

        bench_init();
        d = device_create(device_classes[i], &bench.host);
        for (unsigned n = 0; n < d->regions; n++)
            region_move(&d->region[n], d->region[n].base, true);
        for (unsigned n = 0; n < 20000 && d->regions; n++) {
            struct region *r;
            struct transaction t = { .type = TRANSACTION_LOAD };

            seed = seed * 6364136223846793005u + 1442695040888963407u;
            r = &d->region[(seed >> 33) % d->regions];
            if (!r->enabled)
                continue;
            t.width = (uint8_t)(1u << (seed >> 40 & 7));
            if (t.width > 64)
                continue;
            t.type = seed >> 50 & 1 ? TRANSACTION_STORE : TRANSACTION_LOAD;
            t.enables = bits_mask(t.width);
            t.data.q[0] = bits_trunc(seed >> 3, (unsigned)bits_min(t.width, 8));
            t.offset = bits_align_down((seed >> 20) % bits_min(r->size, 0x400), t.width);
            if (t.offset + t.width > r->size || !region_takes(&r->ops->limits, t.offset, t.width))
                continue;
            if (r->ops->transact)
                r->ops->transact(r->state, &t);
            else if (t.type == TRANSACTION_STORE)
                r->ops->write(r->state, t.offset, t.width, t.data.q[0]);
            else
                ck_assert_uint_eq(r->ops->read(r->state, t.offset, t.width) & ~bits_mask(t.width * 8), 0);
            if (!(n & 63))
                bench_advance(1000);
        }
        device_destroy(d);
    }
}
END_TEST

BENCH_MAIN("debug_ports", debugcon_prints_at_both_ports, debugcon_without_backend_drops_and_reads_e9,
           debug_exit_reports_value_of_any_width, pvpanic_reports_panics_that_no_crash_kernel_takes, post_code_reads_back,
           devices_list_is_complete_and_sane,
           devices_leave_no_timer_behind, devices_survive_random_accesses)
