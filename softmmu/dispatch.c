/*
 * dispatch.c - stop 5: a resolved access becomes transactions its regions take.
 *
 * split() says which fragments there are and in which order; this file carries them out.  What a region declares
 * it takes is all its callbacks get: where an imitated peer's fragment is another shape, it is cut once more here.
 * Bytes a region takes in no shape (its smallest width is too large, or their offset is odd) are refused: all ones
 * or dropped.
 *
 * The map may change under our feet, because a callback may move a region.  So the ranges are copied before the
 * first callback, and an access resolved before a change is resolved again from its physical addresses.
 */
#include "dispatch.h"

#include "base/log.h"
#include "base/swap.h"

#include <string.h>

/* An access on its way: what the steps below share. */
struct passage {
    struct bus *bus;
    struct access *access;
    struct origin origin;
    union wide data;          /* bytes to store */
    union wide loaded;        /* bytes loaded so far, enabled or not */
    unsigned memory_next;     /* memory pieces before this one have been loaded */
    enum transaction_result result;
    const struct phys_range *range; /* copies, one per piece */
};

/* -- bytes ---------------------------------------------------------------------------------------------------- */

static bool dispatch_stores(enum transaction_type type) { return type != TRANSACTION_LOAD; }

/* to + from, carried over `width` bytes. */
static void dispatch_add(union wide *to, const union wide *from, unsigned width)
{
    unsigned carry = 0;

    for (unsigned i = 0; i < width; i++) {
        carry += to->b[i] + from->b[i];
        to->b[i] = carry;
        carry >>= 8;
    }
}

/* What an atomic stores, from the old value; a failed comparison stores the old value again. */
static union wide dispatch_compute(const struct access *access, const union wide *old)
{
    union wide value = access->data;

    if (access->type == TRANSACTION_FETCH_ADD)
        dispatch_add(&value, old, access->width);
    else if (access->type == TRANSACTION_COMPARE_SWAP && memcmp(old, &access->compare, access->width))
        value = *old;
    return value;
}

/* Copies the enabled ones of `width` bytes; bit i of `enables` belongs to byte i. */
static void dispatch_copy(uint8_t *to, const uint8_t *from, unsigned width, uint64_t enables)
{
    if (!(~enables & bits_mask(width))) {
        memcpy(to, from, width);
        return;
    }
    for (unsigned i = 0; i < width; i++)
        if (enables >> i & 1)
            to[i] = from[i];
}

/* -- memory pieces -------------------------------------------------------------------------------------------- */

static void dispatch_load_memory(struct passage *p, const struct piece *piece, const struct phys_range *range)
{
    if (range->read)
        memcpy(&p->loaded.b[piece->at], range->read + piece->offset, piece->width);
    else
        memset(&p->loaded.b[piece->at], 0xff, piece->width);
}

/* Loads the memory pieces below piece `end` that have not been. */
static void dispatch_load_memory_until(struct passage *p, unsigned end)
{
    for (; p->memory_next < end; p->memory_next++)
        if (p->range[p->memory_next].kind == PIECE_MEMORY)
            dispatch_load_memory(p, &p->access->piece[p->memory_next], &p->range[p->memory_next]);
}

static void dispatch_store_memory(struct bus *bus, const struct access *access, const struct piece *piece,
                                  const struct phys_range *range, const union wide *data)
{
    if (!range->write) {
        log_printf(LOG_GUEST, "store of %u bytes to read-only memory at %#llx is dropped\n", piece->width,
                   (unsigned long long)piece->gpa);
        return;
    }
    dispatch_copy(range->write + piece->offset, &data->b[piece->at], piece->width, access->enables >> piece->at);
    if (bus->wrote)
        bus->wrote(bus->wrote_opaque, piece->gpa, piece->width);
}

/* -- regions -------------------------------------------------------------------------------------------------- */

uint64_t dispatch_load_typed(struct bus *bus, struct region *region, uint64_t offset, unsigned width)
{
    struct transaction t;

    transaction_begin(&t, TRANSACTION_LOAD, offset, width);
    dispatch_direct(bus, region, &t);
    return wide_word(&t.data, width);
}

void dispatch_store_typed(struct bus *bus, struct region *region, uint64_t offset, unsigned width, uint64_t value)
{
    struct transaction t;

    transaction_begin(&t, TRANSACTION_STORE, offset, width);
    t.data.q[0] = bits_trunc(value, width);
    dispatch_direct(bus, region, &t);
}

/* Is there an answer to all of this load? */
static bool dispatch_answered(const struct bus_answers *answers, const struct region *region, struct transaction *t)
{
    uint64_t gpa = region->base + t->offset;
    unsigned known = 0;

    if (!answers || t->type != TRANSACTION_LOAD || region->space != REGION_MMIO)
        return false;
    for (unsigned i = 0; i < t->width; i++)
        for (unsigned n = 0; n < answers->n; n++)
            if (gpa + i - answers->answer[n].gpa < answers->answer[n].width) {
                t->data.b[i] = answers->answer[n].data[gpa + i - answers->answer[n].gpa];
                known++;
                break;
            }
    return known == t->width;
}

/* One shape the region takes: `width` bytes at `at` of the operand. */
static enum transaction_result dispatch_transact(struct passage *p, struct region *region, uint64_t offset,
                                                 const struct split_fragment *f, int at, unsigned width)
{
    struct transaction t = {
        .type = f->type, .width = width, .flags = f->flags, .offset = offset, .origin = &p->origin,
        .enables = f->enables >> (at - f->at) & bits_mask(width),
    };
    enum transaction_result result;

    for (unsigned i = 0; i < width && dispatch_stores(t.type); i++) {
        int byte = at + (int)i;

        if (byte < 0 || byte >= p->access->width || (t.flags & TRANSACTION_MASKED && !(t.enables >> i & 1)))
            continue;
        t.data.b[i] = p->access->enables >> byte & 1 && !f->phantom ? p->data.b[byte] : p->loaded.b[byte];
        t.compare.b[i] = p->access->compare.b[byte];
    }
    result = dispatch_answered(p->bus->answers, region, &t) ? TRANSACTION_OK : dispatch_call(region, &t);
    if (result == TRANSACTION_ERROR)
        memset(&t.data, 0xff, width);
    for (unsigned i = 0; i < width && (t.type == TRANSACTION_LOAD || dispatch_is_atomic(t.type)); i++) {
        int byte = at + (int)i;

        if (byte >= 0 && byte < p->access->width)
            p->loaded.b[byte] = t.data.b[i];
    }
    return result;
}

static void dispatch_refuse(struct passage *p, const struct split_fragment *f, int at, unsigned width, uint64_t gpa,
                            const char *why)
{
    log_printf(LOG_GUEST, "%s of %u bytes at %s %#llx: %s\n", f->type == TRANSACTION_LOAD ? "load" : "store", width,
               p->access->space == REGION_PIO ? "port" : "address", (unsigned long long)gpa, why);
    for (int byte = at; byte < at + (int)width; byte++)
        if (!dispatch_stores(f->type) && byte >= 0 && byte < p->access->width)
            p->loaded.b[byte] = 0xff;
}

/* A fragment within a region, in as many transactions as the region needs. */
static enum transaction_result dispatch_to_region(struct passage *p, struct region *region, uint64_t offset,
                                                  const struct split_fragment *f, uint64_t gpa)
{
    enum transaction_result result = TRANSACTION_OK;
    const struct region_limits *limits = &region->ops->limits;

    if (f->type != TRANSACTION_LOAD && f->type != TRANSACTION_STORE)
        return dispatch_transact(p, region, offset, f, f->at, f->width);
    for (unsigned done = 0; done < f->width;) {
        bool taken;
        unsigned step = split_step(limits, offset + done, f->width - done, &taken);
        enum transaction_result one = TRANSACTION_ERROR;

        if (taken)
            one = dispatch_transact(p, region, offset + done, f, f->at + (int)done, step);
        else
            dispatch_refuse(p, f, f->at + (int)done, step, gpa + done, "the region takes no such width");
        if (one != TRANSACTION_OK)
            result = one;
        done += step;
    }
    return result;
}

/* Where a fragment goes; a peer that reads around the operand may have left the piece's range. */
static enum transaction_result dispatch_fragment(struct passage *p, const struct split_fragment *f)
{
    const struct piece *piece = &p->access->piece[f->piece];
    const struct phys_range *range = &p->range[f->piece];
    int64_t delta = f->at - (int64_t)piece->at;
    uint64_t gpa = piece->gpa + (uint64_t)delta, into = piece->offset + (uint64_t)delta;

    p->bus->touched = true;
    if (p->bus->waits)
        p->bus->waits(p->bus->waits_opaque);
    if (delta < 0 || delta + f->width > piece->width) {
        range = phys_find(p->bus->phys, p->access->space, gpa);
        into = range->region_offset + gpa - range->base;
    }
    if (range->kind == PIECE_REGION && into < range->region->size && f->width <= range->region->size - into)
        return dispatch_to_region(p, range->region, into, f, gpa);
    if (!f->phantom)
        dispatch_refuse(p, f, f->at, f->width, gpa, "unclaimed");
    return TRANSACTION_ERROR;
}

/* -- the whole access ----------------------------------------------------------------------------------------- */

/* Everything has been loaded: from here on stores go out. */
static void dispatch_turn(struct passage *p)
{
    dispatch_load_memory_until(p, p->access->pieces);
    p->data = dispatch_compute(p->access, &p->loaded);
}

static void dispatch_fragments(struct passage *p, const struct split_list *list, enum transaction_result *result)
{
    bool atomic = dispatch_is_atomic(p->access->type), turned = false;

    p->origin.fragments = list->n;
    for (unsigned i = 0; i < list->n; i++) {
        const struct split_fragment *f = &list->fragment[i];

        if (!dispatch_stores(f->type)) {
            dispatch_load_memory_until(p, f->piece);
        } else if (atomic && f->type == TRANSACTION_STORE && !turned) {
            dispatch_turn(p);
            turned = true;
        }
        p->origin.fragment = i;
        if (f->type == TRANSACTION_ENQUEUE && f->reason == SPLIT_TYPE)
            result[i] = TRANSACTION_RETRY;
        else
            result[i] = dispatch_fragment(p, f);
        if (result[i] != TRANSACTION_OK && !f->phantom)
            p->result = result[i];
    }
    if (atomic && !turned)
        dispatch_turn(p);
}

/* Memory is committed last: nothing after it can fail. */
static void dispatch_finish(struct passage *p)
{
    struct access *access = p->access;

    if (!dispatch_stores(access->type))
        dispatch_load_memory_until(p, access->pieces);
    for (unsigned i = 0; i < access->pieces && dispatch_stores(access->type); i++)
        if (p->range[i].kind == PIECE_MEMORY)
            dispatch_store_memory(p->bus, access, &access->piece[i], &p->range[i], &p->data);
    if (access->type == TRANSACTION_LOAD || dispatch_is_atomic(access->type)) {
        access->data = (union wide){ 0 };
        dispatch_copy(access->data.b, p->loaded.b, access->width, access->enables);
    }
}

static const char *const dispatch_type_names[TRANSACTION_TYPES] = {
    "load", "store", "fetch-add", "swap", "compare-swap", "direct-store", "enqueue",
};

static void dispatch_log(const struct access *access, const struct split_list *list)
{
    log_printf(LOG_ACCESS, "%s %u at %#llx in %u\n", dispatch_type_names[access->type], access->width,
               (unsigned long long)access->gva, list->n);
    for (unsigned i = 0; i < list->n; i++) {
        const struct split_fragment *f = &list->fragment[i];

        log_printf(LOG_ACCESS, "  %s +%d:%u %s\n", dispatch_type_names[f->type], f->at, f->width,
                   split_reason_name(f->reason));
    }
}

static enum transaction_result dispatch_general(struct bus *bus, struct access *access)
{
    enum transaction_result result[SPLIT_FRAGMENTS];
    struct phys_range range[ACCESS_PIECES];
    struct passage p = { .bus = bus, .access = access, .origin = bus->origin, .data = access->data, .range = range };
    union wide operand = access->data;
    struct split_list list;

    for (unsigned i = 0; i < access->pieces; i++)
        range[i] = *access->piece[i].range;
    split(bus->policy, bus->policy_arg, access, &list);
    if (log_on(LOG_ACCESS) && list.n)
        dispatch_log(access, &list);
    dispatch_fragments(&p, &list, result);
    if (access->type == TRANSACTION_ENQUEUE && !list.n)
        return TRANSACTION_RETRY; /* memory takes no commands */
    dispatch_finish(&p);
    if (bus->observe && list.n) {
        struct dispatch_report report = {
            .access = access, .operand = &operand, .split = &list, .result = result, .whole = p.result,
            .origin = &p.origin,
        };

        bus->observe(bus->opaque, &report);
    }
    return p.result;
}

/* All of it in one memory, as a load or a store. */
static void dispatch_simple_memory(struct bus *bus, struct access *access)
{
    const struct piece *piece = &access->piece[0];

    if (access->type == TRANSACTION_STORE) {
        dispatch_store_memory(bus, access, piece, piece->range, &access->data);
        return;
    }
    access->data = (union wide){ 0 };
    if (piece->range->read)
        memcpy(&access->data, piece->range->read + piece->offset, piece->width);
    else
        memset(&access->data, 0xff, piece->width);
}

/*
 * An atomic on one memory, in one piece of the host's if that is possible: CPUs may run at the same time.  False: it is to go as
 * a load and a store.
 */
static bool dispatch_atomic_memory(struct bus *bus, struct access *access)
{
    const struct piece *piece = &access->piece[0];
    const struct phys_range *range = piece->range;
    uint8_t *host = range->write ? range->write + piece->offset : NULL;
    union wide old = { 0 }, new;

    if (range->read != range->write || !host || !swap_takes(host, access->width))
        return false;
    memcpy(&old, host, access->width);
    do
        new = dispatch_compute(access, &old);
    while (!swap_bytes(host, &old, &new, access->width));
    access->data = old;
    if (bus->wrote)
        bus->wrote(bus->wrote_opaque, piece->gpa, piece->width);
    return true;
}

/* All of it in one region: false if it does not take the access as it is. */
static bool dispatch_simple_region(struct bus *bus, struct access *access, enum transaction_result *result)
{
    struct region *region = access->piece[0].range->region;
    struct transaction t;

    transaction_begin(&t, access->type, access->piece[0].offset, access->width);
    if (access->type <= TRANSACTION_STORE ? !dispatch_is_direct(bus, region, t.offset, t.width)
                                          : !dispatch_is_direct_typed(bus, region, &t))
        return false;
    t.flags = access->flags;
    if (dispatch_stores(access->type))
        memcpy(&t.data, &access->data, access->width);
    if (access->type == TRANSACTION_COMPARE_SWAP)
        memcpy(&t.compare, &access->compare, access->width);
    *result = dispatch_direct(bus, region, &t);
    if (access->type == TRANSACTION_LOAD || dispatch_is_atomic(access->type)) {
        access->data = (union wide){ 0 };
        memcpy(&access->data, &t.data, access->width);
    }
    return true;
}

/* The common cases without a list: all of it in one range of this kind. */
static bool dispatch_is_simple(const struct access *access, enum piece_kind kind)
{
    return access->pieces == 1 && !(access->flags & TRANSACTION_MASKED) && access->form != FORM_HINT && access->piece[0].range->kind == kind;
}

static bool dispatch_simple(struct bus *bus, struct access *access)
{
    if (!dispatch_is_simple(access, PIECE_MEMORY))
        return false;
    if (access->type <= TRANSACTION_STORE)
        dispatch_simple_memory(bus, access);
    else
        return dispatch_is_atomic(access->type) && dispatch_atomic_memory(bus, access);
    return true;
}

/* The map has changed since the pieces were resolved: look them up again where they are. */
static void dispatch_resolve_again(struct bus *bus, struct access *access)
{
    struct piece old[ACCESS_PIECES];
    unsigned n = access->pieces;

    memcpy(old, access->piece, n * sizeof(*old));
    access->pieces = 0;
    for (unsigned i = 0; i < n; i++)
        phys_resolve(bus->phys, access, old[i].gpa, old[i].at, old[i].width, old[i].page);
}

/* Devices are ours; the map may have changed while we waited for them. */
static enum transaction_result dispatch_alone(struct bus *bus, struct access *access)
{
    enum transaction_result result;

    if (unlikely(access->generation != bus->phys->generation))
        dispatch_resolve_again(bus, access);
    if (dispatch_is_simple(access, PIECE_REGION) && access->type != TRANSACTION_ENQUEUE && dispatch_simple_region(bus, access, &result))
        return result;
    return dispatch_general(bus, access);
}

enum transaction_result dispatch_access(struct bus *bus, struct access *access)
{
    enum transaction_result result;

    if (unlikely(access->generation != bus->phys->generation))
        dispatch_resolve_again(bus, access);
    if (!(access->flags & TRANSACTION_MASKED))
        access->enables = bits_mask(access->width);
    if (dispatch_simple(bus, access))
        return TRANSACTION_OK;
    exclusion_devices(bus->exclusion, true);
    result = dispatch_alone(bus, access);
    exclusion_devices(bus->exclusion, false);
    return result;
}

enum transaction_result dispatch_physical(struct bus *bus, struct access *access, uint64_t gpa)
{
    unsigned first = access->width;

    if (access->space == REGION_MMIO)
        first = bits_min(first, PAGE_BYTES - (gpa & PAGE_OFFSET));
    access->pieces = 0;
    phys_resolve(bus->phys, access, gpa, 0, first, 0);
    if (first < access->width)
        phys_resolve(bus->phys, access, gpa + first, first, access->width - first, 1);
    return dispatch_access(bus, access);
}
