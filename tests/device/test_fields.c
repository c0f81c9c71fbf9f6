/* test_fields.c - that each device's table of fields is all of its state, and that bytes which are not it are refused. */
#define _GNU_SOURCE
#include "devices.h"
#include "pit.h"

#include "lib/bench.h"

#include <stdlib.h>
#include <string.h>

static size_t saved_size(const struct device *d) { return fields_size(d->class->fields); }
static void save(const struct device *d, uint8_t *to) { fields_save(d->class->fields, d->state, to); }

static bool load(struct device *d, const uint8_t *from, size_t size, struct err *err)
{
    return fields_load(d->class->fields, d->state, &bench.clock, from, size, err) && device_restored(d, err);
}

static const struct device_class *a_class(int i) { return device_classes[i]; }

static int count_classes(void)
{
    int n = 0;

    while (device_classes[n])
        n++;
    return n;
}

static void check_cover(const char *name, const struct fields *fields)
{
    size_t at = fields_uncovered(fields);

    ck_assert_msg(at == fields->state_size, "%s: the byte at %zu of %zu is in no row of its fields", name, at, fields->state_size);
}

START_TEST(fields_cover_every_byte_of_every_state)
{
    for (int i = 0; i < count_classes(); i++) {
        const struct device_class *c = a_class(i);

        ck_assert_msg(c->fields != NULL, "%s has no fields", c->name);
        ck_assert_uint_eq(c->fields->state_size, c->state_size);
        check_cover(c->name, c->fields);
    }
    check_cover("clock", &clock_fields);
}
END_TEST

/* The check itself: a struct of which one field was forgotten, between two and where there was padding before. */
struct forgetful {
    struct {
        uint8_t x;
        uint32_t y;
    } each[3];
    uint32_t a;
    uint8_t b, forgotten;
    uint64_t c;
};

#define STATE struct forgetful
FIELDS(forgetful_fields, FIELD_EACH(each, x), FIELD_EACH(each, y), FIELD(a), FIELD(b), FIELD(c))
#undef STATE

START_TEST(fields_see_one_that_was_forgotten)
{
    if (forgetful_fields.clear_padding)
        ck_assert_uint_eq(fields_uncovered(&forgetful_fields), offsetof(struct forgetful, forgotten));
    else
        ck_assert_uint_lt(fields_uncovered(&forgetful_fields), sizeof(struct forgetful));
}
END_TEST

/* Whatever a class's state is: saved, it loads into another device, which then saves the same. */
START_TEST(device_state_loads_into_another_device)
{
    for (int i = 0; i < count_classes(); i++) {
        struct device *a = device_create(a_class(i), &bench.host), *b = device_create(a_class(i), &bench.host);
        size_t size = saved_size(a);
        uint8_t *saved = malloc(size + 1), *again = malloc(size + 1);
        struct err err;

        save(a, saved);
        ck_assert_msg(load(b, saved, size, &err), "%s: %s", a->class->name, err.text);
        save(b, again);
        ck_assert_mem_eq(saved, again, size);
        ck_assert(size == 0 || !load(b, saved, size - 1, &err));
        ck_assert(!load(b, saved, size + 1, &err));
        free(saved);
        free(again);
        device_destroy(a);
        device_destroy(b);
    }
}
END_TEST

static struct device *running_pit(void)
{
    struct device *pit = device_create(&pit_class, &bench.host);

    bench_outb(0x43, 0x34);
    bench_outb(0x40, 0x00);
    bench_outb(0x40, 0x10);
    return pit;
}

START_TEST(device_timer_is_armed_after_loading_as_it_was)
{
    struct device *a = running_pit(), *b;
    size_t size = saved_size(a);
    uint8_t *saved = malloc(size);
    uint64_t next = clock_next(&bench.clock);
    struct err err;

    save(a, saved);
    device_destroy(a);
    ck_assert_uint_eq(clock_next(&bench.clock), CLOCK_NEVER);
    b = device_create(&pit_class, &bench.host);
    ck_assert(load(b, saved, size, &err));
    ck_assert_uint_eq(clock_next(&bench.clock), next);
    free(saved);
    device_destroy(b);
}
END_TEST

static void fire_first(void *opaque) { strcat(opaque, "first "); }
static void fire_second(void *opaque) { strcat(opaque, "second "); }

START_TEST(clock_armed_again_keeps_the_order_of_equal_deadlines)
{
    char fired[32] = "";
    struct clock_timer first = { .fire = fire_first, .opaque = fired }, second = { .fire = fire_second, .opaque = fired };
    struct clock clock = { .ns = 0 }, loaded = { .ns = 0 };

    clock_arm(&clock, &first, 10);
    clock_arm(&clock, &second, 10);
    clock_arm_again(&loaded, &second);
    clock_arm_again(&loaded, &first);
    loaded.ns = 10;
    clock_run(&loaded);
    ck_assert_str_eq(fired, "first second ");
}
END_TEST

/* Finds a field's value in what a device has saved. */
static uint8_t *value_of(uint8_t *saved, size_t size, const char *name)
{
    uint8_t *at = memmem(saved, size, name, strlen(name));

    ck_assert_ptr_nonnull(at);
    return at + strlen(name) + 5;
}

static bool loads_with(const char *field, unsigned byte, uint8_t value)
{
    struct device *pit;
    uint8_t *saved;
    struct err err;
    size_t size;
    bool ok;

    bench_init(); /* without the last one's regions */
    pit = running_pit();
    size = saved_size(pit);
    saved = malloc(size);
    save(pit, saved);
    value_of(saved, size, field)[byte] = value;
    ok = load(pit, saved, size, &err);
    free(saved);
    device_destroy(pit);
    return ok;
}

START_TEST(fields_refuse_values_out_of_range)
{
    ck_assert(loads_with("counter.gate", 0, 1));
    ck_assert(!loads_with("counter.gate", 0, 2));        /* a bool */
    ck_assert(!loads_with("counter.latch_bytes", 0, 3)); /* a row's max */
    ck_assert(!loads_with("counter.start_ns", 7, 1));    /* a moment to come */
    ck_assert(!loads_with("counter.count", 1, 0));       /* counts from 0: the device's own check */
    ck_assert(!loads_with("timer", 16, 2));
    ck_assert(!loads_with("timer", 7, 0xff));
}
END_TEST

BENCH_MAIN("fields", fields_cover_every_byte_of_every_state, fields_see_one_that_was_forgotten,
           device_state_loads_into_another_device, device_timer_is_armed_after_loading_as_it_was,
           clock_armed_again_keeps_the_order_of_equal_deadlines, fields_refuse_values_out_of_range)
