/*
 * library.c - libwideload-assist: src/kvm/assist.c for a VMM that is not ours.
 *
 * The VMM's memory becomes a physical map, everything beside it one region that its callback answers, and the ranges that
 * take more than KVM can say lie over that.  The vcpu is only there while an instruction is carried out: it gets its state
 * from KVM's and gives it back.
 */
#include "assist/wideload-assist.h"

#include "base/low.h"
#include "dispatch.h"
#include "kvm/kvm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define EXPORT __attribute__((visibility("default")))

enum { MEMORIES_MAX = 128, RANGES_MAX = 128, PRIORITY_ELSEWHERE = 0, PRIORITY_RANGE = 1, PRIORITY_MEMORY = 2 };
#define ADDRESSES (UINT64_C(1) << 52)

struct device_range {
    struct wideload_assist *assist;
    struct region region;
    struct region_ops ops;
};

struct wideload_assist {
    struct phys phys;
    struct vcpu v;
    struct kvm_cpu cpu;
    struct kvm_assist assist;
    struct phys_memory memory[MEMORIES_MAX];
    size_t memories_added;
    struct device_range elsewhere, ports, range[RANGES_MAX];
    size_t ranges;
    int (*access)(void *opaque, struct wideload_assist_access *access);
    void *opaque;
    struct err err;
};

/* -- accesses ---------------------------------------------------------------------------------------------------------- */

static uint32_t flags_out(const struct region *r, const struct transaction *t)
{
    return (t->flags & TRANSACTION_LOCKED ? WIDELOAD_ASSIST_LOCKED : 0u) | (t->flags & TRANSACTION_NON_TEMPORAL ? WIDELOAD_ASSIST_NON_TEMPORAL : 0u) |
           (t->flags & TRANSACTION_MASKED ? WIDELOAD_ASSIST_MASKED : 0u) | (r->space == REGION_PIO ? WIDELOAD_ASSIST_PORT : 0u);
}

static enum transaction_result transact(void *state, struct transaction *t)
{
    struct device_range *d = state;
    struct wideload_assist_access a = {
        .type = t->type, .flags = flags_out(&d->region, t), .width = t->width, .address = d->region.base + t->offset, .enables = t->enables,
        .rip = t->origin ? t->origin->rip : 0,
    };
    int answer;

    memcpy(a.data, &t->data, sizeof(a.data));
    memcpy(a.compare, &t->compare, sizeof(a.compare));
    answer = d->assist->access(d->assist->opaque, &a);
    memcpy(&t->data, a.data, t->width);
    return answer == WIDELOAD_ASSIST_OK ? TRANSACTION_OK : answer == WIDELOAD_ASSIST_RETRY ? TRANSACTION_RETRY : TRANSACTION_ERROR;
}

_Static_assert((int)WIDELOAD_ASSIST_LOAD == TRANSACTION_LOAD && (int)WIDELOAD_ASSIST_ENQUEUE == TRANSACTION_ENQUEUE &&
               (int)WIDELOAD_ASSIST_COMPARE_SWAP == TRANSACTION_COMPARE_SWAP, "the same types in the same order");

/* -- the map -------------------------------------------------------------------------------------------------------------- */

static void add_region(struct wideload_assist *a, struct device_range *d, enum region_space space, uint64_t base, uint64_t bytes, int priority,
                       const struct region_limits *limits)
{
    d->assist = a;
    d->ops = (struct region_ops){ .transact = transact, .limits = *limits };
    d->region = (struct region){ .name = "device", .space = space, .base = base, .size = bytes, .enabled = true, .priority = priority,
                                 .ops = &d->ops, .state = d };
    a->phys.map.add(&a->phys.map, &d->region);
}

static struct region_limits limits_of(uint32_t takes)
{
    struct region_limits l = { .widths = W_REGISTERS, .flags = REGION_UNALIGNED | REGION_ODD };

    if (takes & WIDELOAD_ASSIST_TAKES_WIDE)
        l.widths = W_ALL;
    if (takes & WIDELOAD_ASSIST_TAKES_ENABLES)
        l.flags |= REGION_ENABLES;
    if (takes & WIDELOAD_ASSIST_TAKES_ATOMICS) {
        l.types |= 1 << TRANSACTION_FETCH_ADD | 1 << TRANSACTION_SWAP | 1 << TRANSACTION_COMPARE_SWAP;
        l.atomic_widths = W_REGISTERS | W16;
    }
    if (takes & WIDELOAD_ASSIST_TAKES_DIRECT)
        l.types |= 1 << TRANSACTION_DIRECT_STORE;
    if (takes & WIDELOAD_ASSIST_TAKES_ENQUEUE)
        l.types |= 1 << TRANSACTION_ENQUEUE;
    return l;
}

static bool add_ranges(struct wideload_assist *a, const struct wideload_assist_range *range, size_t n)
{
    const struct region_limits plain = limits_of(0);

    if (n > RANGES_MAX)
        return err_set(&a->err, "more than %d ranges", RANGES_MAX);
    add_region(a, &a->elsewhere, REGION_MMIO, 0, ADDRESSES, PRIORITY_ELSEWHERE, &plain);
    add_region(a, &a->ports, REGION_PIO, 0, 0x10000, PRIORITY_ELSEWHERE, &plain);
    for (size_t i = 0; i < n; i++) {
        const struct region_limits limits = limits_of(range[i].takes);

        if (!range[i].bytes || range[i].address >= ADDRESSES || range[i].bytes > ADDRESSES - range[i].address)
            return err_set(&a->err, "range %zu is empty or too large", i);
        add_region(a, &a->range[i], REGION_MMIO, range[i].address, range[i].bytes, PRIORITY_RANGE, &limits);
    }
    return true;
}

static bool memory_is_good(const struct wideload_assist_memory *m)
{
    return m->bytes && m->host && !((m->address | m->bytes) % PAGE_BYTES) && m->address < ADDRESSES && m->bytes <= ADDRESSES - m->address;
}

EXPORT int wideload_assist_set_memory(struct wideload_assist *a, const struct wideload_assist_memory *memory, size_t n)
{
    bool good = n <= MEMORIES_MAX;

    for (size_t i = 0; i < n && good; i++)
        good = memory_is_good(&memory[i]);
    if (!good) {
        err_set(&a->err, "more than %d pieces of memory, or one that is empty or not of whole pages", MEMORIES_MAX);
        return -1;
    }
    for (size_t i = 0; i < MEMORIES_MAX; i++)
        a->memory[i].enabled = false;
    for (size_t i = 0; i < n; i++) {
        a->memory[i] = (struct phys_memory){ .name = "memory", .base = memory[i].address, .size = memory[i].bytes, .read = memory[i].host,
                                             .write = memory[i].read_only ? NULL : memory[i].host, .enabled = true, .priority = PRIORITY_MEMORY };
        if (i >= a->memories_added)
            phys_add_memory(&a->phys, &a->memory[a->memories_added++]);
    }
    phys_memory_changed(&a->phys);
    return 0;
}

/* -- creation ----------------------------------------------------------------------------------------------------------------- */

static bool ask_kvm(struct wideload_assist *a, const struct wideload_assist_config *c)
{
    struct kvm_enable_cap cap = { .cap = KVM_CAP_EXIT_ON_EMULATION_FAILURE, .args = { 1 } };
    const int needed = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS;

    if ((ioctl(c->system, KVM_CHECK_EXTENSION, KVM_CAP_SYNC_REGS) & needed) != needed ||
        ioctl(c->system, KVM_CHECK_EXTENSION, KVM_CAP_IMMEDIATE_EXIT) <= 0)
        return err_set(&a->err, "this KVM lacks KVM_CAP_SYNC_REGS or KVM_CAP_IMMEDIATE_EXIT");
    if (ioctl(c->system, KVM_CHECK_EXTENSION, KVM_CAP_EXIT_ON_EMULATION_FAILURE) > 0)
        ioctl(c->vm, KVM_ENABLE_CAP, &cap);
    c->run->kvm_valid_regs |= needed;
    return kvm_adopt_cpuid(&a->cpu, &a->err);
}

static bool set_up(struct wideload_assist *a, const struct wideload_assist_config *c)
{
    if (c->size != sizeof(*c))
        return err_set(&a->err, "made for another version of this library");
    if (!c->run || !c->access)
        return err_set(&a->err, "no kvm_run or no callback");
    a->access = c->access;
    a->opaque = c->opaque;
    a->cpu = (struct kvm_cpu){ .v = &a->v, .fd = c->vcpu, .run = c->run };
    a->assist.cpu = &a->cpu;
    a->v.assist.mode = c->burst ? ASSIST_BURST : ASSIST_INSTRUCTION;
    return add_ranges(a, c->range, c->ranges) && !wideload_assist_set_memory(a, c->memory, c->memories) && ask_kvm(a, c);
}

EXPORT struct wideload_assist *wideload_assist_create(const struct wideload_assist_config *config, char *error, size_t error_bytes)
{
    struct wideload_assist *a = low_alloc(sizeof(*a)); /* the JIT wants its vcpu there */

    phys_init(&a->phys);
    vcpu_init(&a->v, &a->phys);
    if (set_up(a, config))
        return a;
    if (error)
        snprintf(error, error_bytes, "%s", a->err.text);
    wideload_assist_destroy(a);
    return NULL;
}

EXPORT void wideload_assist_destroy(struct wideload_assist *a)
{
    if (!a)
        return;
    kvm_assist_free(&a->assist);
    vcpu_free(&a->v);
    phys_free(&a->phys);
    low_free(a, sizeof(*a));
}

/* -- exits -------------------------------------------------------------------------------------------------------------------- */

static int result_of(enum stop_reason stop)
{
    return stop == STOP_HALT ? WIDELOAD_ASSIST_HALTED : stop == STOP_SHUTDOWN ? WIDELOAD_ASSIST_SHUTDOWN : WIDELOAD_ASSIST_DONE;
}

static int access_exit(struct wideload_assist *a)
{
    enum stop_reason stop;

    a->v.bus.origin.rip = a->cpu.run->s.regs.regs.rip;
    switch (kvm_assist_access(&a->assist, &stop, &a->err)) {
    case KVM_ASSISTED_WHOLE: return result_of(stop);
    case KVM_ASSISTED_COMPLETE: return WIDELOAD_ASSIST_DONE;
    case KVM_ASSISTED_FAILED: return WIDELOAD_ASSIST_FAILED;
    default: return WIDELOAD_ASSIST_NOT_MINE; /* or another exit of the same instruction, which is in kvm_run now */
    }
}

EXPORT int wideload_assist_exit(struct wideload_assist *a)
{
    const struct kvm_run *r = a->cpu.run;
    enum stop_reason stop;

    if (r->exit_reason == KVM_EXIT_MMIO)
        return access_exit(a);
    if (r->exit_reason != KVM_EXIT_INTERNAL_ERROR || r->internal.suberror != KVM_INTERNAL_ERROR_EMULATION)
        return WIDELOAD_ASSIST_NOT_MINE;
    return kvm_assist_instruction(&a->assist, &stop, &a->err) ? result_of(stop) : WIDELOAD_ASSIST_FAILED;
}

EXPORT const char *wideload_assist_error(const struct wideload_assist *a) { return a->err.text; }
EXPORT uint64_t wideload_assist_instructions(const struct wideload_assist *a) { return a->v.assist.instructions; }
