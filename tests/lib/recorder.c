/* recorder.c - the device that remembers. */
#include "lib/recorder.h"

#include <string.h>

uint8_t recorder_byte(unsigned offset) { return (uint8_t)(7 * offset ^ offset >> 8 ^ 0x5a); }

static void note(struct byte_record *list, unsigned *n, const struct recorder *r, uint64_t offset)
{
    if (*n < ARRAY_LEN(r->load))
        list[(*n)++] = (struct byte_record){ .offset = (uint16_t)offset, .value = r->bytes[offset] };
}

static bool enabled(const struct transaction *t, unsigned i)
{
    return !(t->flags & TRANSACTION_MASKED) || t->enables >> i & 1;
}

static void load(struct recorder *r, const struct transaction *t, union wide *old)
{
    for (unsigned i = 0; i < t->width; i++)
        if (enabled(t, i)) {
            note(r->load, &r->loads, r, t->offset + i);
            old->b[i] = r->bytes[t->offset + i];
        }
}

static void store(struct recorder *r, const struct transaction *t, const union wide *data)
{
    for (unsigned i = 0; i < t->width; i++)
        if (enabled(t, i)) {
            r->bytes[t->offset + i] = data->b[i];
            note(r->store, &r->stores, r, t->offset + i);
        }
}

static union wide compute(const struct transaction *t, const union wide *old)
{
    union wide value = t->data;
    unsigned carry = 0;

    if (t->type == TRANSACTION_COMPARE_SWAP && memcmp(old, &t->compare, t->width))
        return *old;
    for (unsigned i = 0; i < t->width && t->type == TRANSACTION_FETCH_ADD; i++) {
        carry += old->b[i] + t->data.b[i];
        value.b[i] = (uint8_t)carry;
        carry >>= 8;
    }
    return value;
}

static enum transaction_result recorder_transact(void *state, struct transaction *t)
{
    struct recorder *r = state;
    union wide old = { 0 }, new;

    if (r->transactions < RECORDS)
        r->transaction[r->transactions++] = *t;
    switch (t->type) {
    case TRANSACTION_LOAD:
        load(r, t, &old);
        t->data = old;
        break;
    case TRANSACTION_FETCH_ADD:
    case TRANSACTION_SWAP:
    case TRANSACTION_COMPARE_SWAP:
        load(r, t, &old);
        new = compute(t, &old);
        store(r, t, &new);
        t->data = old;
        break;
    default:
        store(r, t, &t->data);
        break;
    }
    return TRANSACTION_OK;
}

static uint64_t port_read(void *state, uint64_t offset, unsigned width)
{
    (void)state, (void)offset;
    return bits_trunc(UINT64_C(0x7777777777777777), width);
}

static void port_write(void *state, uint64_t offset, unsigned width, uint64_t value)
{
    (void)state, (void)offset, (void)width, (void)value;
}

static const struct region_ops port_ops = {
    .read = port_read, .write = port_write, .limits = { .widths = W1 | W2 | W4, .flags = REGION_UNALIGNED },
};

void recorder_reset(struct recorder *r)
{
    r->transactions = r->loads = r->stores = 0;
    for (unsigned i = 0; i < RECORDER_BYTES; i++)
        r->bytes[i] = recorder_byte(i);
}

void recorder_init(struct recorder *r, struct phys *phys, uint64_t gpa)
{
    memset(r, 0, sizeof(*r));
    r->ops = (struct region_ops){
        .transact = recorder_transact,
        .limits = {
            .widths = W_ALL, .flags = REGION_UNALIGNED | REGION_ODD | REGION_ENABLES,
            .types = BIT(TRANSACTION_FETCH_ADD) | BIT(TRANSACTION_SWAP) | BIT(TRANSACTION_COMPARE_SWAP) |
                     BIT(TRANSACTION_DIRECT_STORE) | BIT(TRANSACTION_ENQUEUE),
            .atomic_widths = W1 | W2 | W4 | W8 | W16,
        },
    };
    r->region = (struct region){
        .name = "recorder", .space = REGION_MMIO, .base = gpa, .size = RECORDER_BYTES, .enabled = true, .ops = &r->ops,
        .state = r,
    };
    r->ports = (struct region){
        .name = "recorder-ports", .space = REGION_PIO, .base = RECORDER_PORT, .size = RECORDER_PORTS, .enabled = true,
        .ops = &port_ops, .state = r,
    };
    phys->map.add(&phys->map, &r->region);
    phys->map.add(&phys->map, &r->ports);
    recorder_reset(r);
}
