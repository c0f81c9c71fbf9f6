/* journey.c - building a journey record. */
#include "journey.h"

#include <string.h>

const char *const journey_engine_names[ENGINE_COUNT] = {
    [ENGINE_INTERP] = "interp", [ENGINE_JIT] = "jit", [ENGINE_KVM] = "kvm", [ENGINE_NATIVE] = "native",
};
const char *const journey_space_names[REGION_SPACES] = { "mmio", "port" };
const char *const journey_type_names[TRANSACTION_TYPES] = {
    "load", "store", "fetch-add", "swap", "compare-swap", "direct-store", "enqueue",
};
const char *const journey_result_names[TRANSACTION_RETRY + 1] = { "ok", "error", "retry" };

void journey_init(struct journey *journey)
{
    *journey = (struct journey){
        .access = g_array_new(FALSE, FALSE, sizeof(struct journey_access)),
        .fragment = g_array_new(FALSE, FALSE, sizeof(struct journey_fragment)),
    };
}

void journey_free(struct journey *journey)
{
    g_free(journey->gave_up);
    g_array_free(journey->access, TRUE);
    g_array_free(journey->fragment, TRUE);
    *journey = (struct journey){ 0 };
}

void journey_clear(struct journey *journey)
{
    GArray *access = journey->access, *fragment = journey->fragment;

    g_free(journey->gave_up);
    g_array_set_size(access, 0);
    g_array_set_size(fragment, 0);
    *journey = (struct journey){ .access = access, .fragment = fragment };
}

void journey_add(struct journey *journey, const struct journey_access *access,
                 const struct journey_fragment *fragment, unsigned fragments)
{
    struct journey_access copy = *access;

    copy.first = journey->fragment->len;
    copy.fragments = fragments;
    g_array_append_val(journey->access, copy);
    g_array_append_vals(journey->fragment, fragment, fragments);
}

void journey_add_whole(struct journey *journey, const struct journey_access *access)
{
    struct journey_fragment fragment = {
        .width = access->width, .type = access->type, .reason = SPLIT_WHOLE, .address = access->address,
    };

    journey_add(journey, access, &fragment, 1);
}

static bool journey_is_atomic(enum transaction_type type)
{
    return type == TRANSACTION_FETCH_ADD || type == TRANSACTION_SWAP || type == TRANSACTION_COMPARE_SWAP;
}

void journey_add_report(struct journey *journey, const struct dispatch_report *report)
{
    const struct access *a = report->access;
    struct journey_fragment fragment[SPLIT_FRAGMENTS];
    struct journey_access access = {
        .space = a->space, .type = a->type, .width = a->width, .flags = a->flags,
        .address = a->pieces ? a->piece[0].gpa - a->piece[0].at : a->gva, .enables = a->enables, .data = a->data,
        .result = report->whole,
    };

    if (journey_is_atomic(a->type))
        access.operand = *report->operand;
    if (a->type == TRANSACTION_COMPARE_SWAP)
        access.compare = a->compare;
    for (unsigned i = 0; i < report->split->n; i++) {
        const struct split_fragment *f = &report->split->fragment[i];
        const struct piece *piece = &a->piece[f->piece];

        fragment[i] = (struct journey_fragment){
            .at = f->at, .width = f->width, .type = f->type, .reason = f->reason, .phantom = f->phantom,
            .address = piece->gpa + (uint64_t)(int64_t)(f->at - (int)piece->at),
        };
    }
    journey_add(journey, &access, fragment, report->split->n);
}

union wide journey_stored(const struct journey_access *access)
{
    union wide value = access->data;
    unsigned carry = 0;

    if (access->type == TRANSACTION_SWAP)
        return access->operand;
    if (access->type == TRANSACTION_COMPARE_SWAP && !memcmp(&access->data, &access->compare, access->width))
        return access->operand;
    for (unsigned i = 0; i < access->width && access->type == TRANSACTION_FETCH_ADD; i++) {
        carry += value.b[i] + access->operand.b[i];
        value.b[i] = carry;
        carry >>= 8;
    }
    return value;
}
