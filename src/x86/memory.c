/*
 * memory.c - what both soft engines do out of line: loads, stores, atomics and divisions of the guest.
 *
 * Each access tries, in this order: plain memory the TLB knows; the one region the TLB knows, where it takes the access
 * as it is; and the general way through all of softmmu's stops.  The second is what a driver's register access costs,
 * so it describes no `struct access` and searches nothing.
 */
#include "x86/memory.h"

#include "base/swap.h"

#include <string.h>

/* -- the ways ------------------------------------------------------------------------------------------------------ */

/* A load for a store that follows must find the page writable; its READ tag is then as good (tlb.h). */
static inline enum tlb_intent memory_load_tag(struct memory_shape shape) { return shape.to_write ? TLB_WRITE : TLB_READ; }

/* What an access wants of its page, when it looks at this tag. */
static inline unsigned memory_intent(struct memory_shape shape, enum tlb_intent intent)
{
    if (intent != TLB_WRITE)
        return ACCESS_READ;
    return ACCESS_WRITE | (shape.to_write || shape.form == FORM_RMW ? ACCESS_READ : 0u);
}

/* An entry that the TLB did not have; NULL and *fault: the guest faults. */
static const struct tlb_entry *memory_translate(struct vcpu *v, uint64_t gva, struct memory_shape shape, enum tlb_intent intent,
                                                bool *fault)
{
    const struct tlb_entry *e = tlb_translate(&v->mmu, gva, memory_intent(shape, intent), v->mmu.bank);

    *fault = !e;
    if (e)
        return e;
    if (v->mmu.fault.vector == EXCEPTION_GP && shape.flags & LDX_STACK)
        v->mmu.fault.vector = EXCEPTION_SS;
    vcpu_raise_mmu(v);
    return NULL;
}

/*
 * The TLB's entry for an access within one page, or NULL: a fault, or alignment has to be checked, which is done on the
 * general way alone.
 */
static inline const struct tlb_entry *memory_entry(struct vcpu *v, uint64_t gva, struct memory_shape shape, enum tlb_intent intent,
                                                   bool *fault)
{
    const struct tlb_entry *e = &v->mmu.tlb[v->mmu.bank][tlb_index(gva)];
    uint64_t into = gva & PAGE_OFFSET;

    *fault = false;
    if (unlikely(into > PAGE_BYTES - shape.width || v->mmu.align_check ||
                 (shape.flags & LDX_ALIGNED && gva & (shape.width - 1u))))
        return NULL;
    if (likely((e->tag[intent] & ~TLB_SLOW) == gva - into))
        return e;
    if (!(v->mmu.efer & EFER_LMA) && gva > UINT32_MAX)
        return NULL;
    return memory_translate(v, gva, shape, intent, fault);
}

static inline bool memory_is_plain(const struct tlb_entry *e, enum tlb_intent intent)
{
    return e && !(e->tag[intent] & TLB_SLOW);
}

static inline uint8_t *memory_host(const struct tlb_entry *e, uint64_t gva)
{
    return (uint8_t *)(gva + (uint64_t)e->addend);
}

/*
 * The region behind an entry, where it takes loads and stores of this shape as they are, and where in it.  Nobody looks
 * at the entry again: a callback may change the map, and with it the entry.
 */
static inline struct region *memory_region(const struct vcpu *v, const struct tlb_entry *e, uint64_t gva,
                                           struct memory_shape shape, uint64_t *offset)
{
    if (!e || !e->region)
        return NULL;
    *offset = e->region_offset + (gva & PAGE_OFFSET);
    return dispatch_is_direct(&v->bus, e->region, *offset, shape.width) ? e->region : NULL;
}

void memory_spot_keep(const struct vcpu *v, struct memory_spot *spot, uint64_t gva, struct memory_shape shape)
{
    const struct tlb_entry *e = &v->mmu.tlb[v->mmu.bank][tlb_index(gva)];
    const struct region_limits *limits = e->region ? &e->region->ops->limits : NULL;
    uint64_t page = gva & ~(uint64_t)PAGE_OFFSET;

    *spot = (struct memory_spot){ 0 };
    if (!limits || (e->page & ~(uint64_t)PAGE_OFFSET) != page || !(limits->widths & shape.width) || !bits_is_pow2(shape.width) ||
        e->region_offset & PAGE_OFFSET)
        return;
    *spot = (struct memory_spot){
        .page = page, .flushes = v->mmu.flushes, .region = e->region, .offset = e->region_offset,
        .last = (uint16_t)(PAGE_BYTES - shape.width),
        .odd = limits->flags & REGION_UNALIGNED && !(shape.flags & LDX_ALIGNED) ? 0 : (uint16_t)(shape.width - 1),
    };
}

/* Resolves an access on the general way. */
static bool memory_prepare(struct vcpu *v, struct access *a, struct memory_shape shape, unsigned intent)
{
    a->form = (enum access_form)shape.form;
    a->flags |= memory_flags(shape);
    intent |= (shape.flags & LDX_STACK ? ACCESS_STACK : 0u) | (shape.flags & LDX_ALIGNED ? ACCESS_ALIGNED : 0u);
    return access_prepare(&v->mmu, a, intent) || vcpu_raise_mmu(v);
}

/* -- loads ----------------------------------------------------------------------------------------------------------- */

static bool memory_load_any(struct vcpu *v, uint64_t gva, struct memory_shape shape, void *to)
{
    struct access a;

    access_begin(&a, TRANSACTION_LOAD, gva, shape.width);
    if (!memory_prepare(v, &a, shape, ACCESS_READ | (shape.to_write ? ACCESS_WRITE : 0u)))
        return false;
    access_perform(&v->mmu, &a);
    memcpy(to, &a.data, shape.width);
    return true;
}

enum memory_way guest_load_wide(struct vcpu *v, uint64_t gva, struct memory_shape shape, void *state)
{
    enum tlb_intent intent = memory_load_tag(shape);
    bool fault;
    const struct tlb_entry *e = memory_entry(v, gva, shape, intent, &fault);
    struct region *region;
    uint64_t offset;

    if (memory_is_plain(e, intent)) {
        memory_copy(state, memory_host(e, gva), shape.width);
        return MEMORY_PLAIN;
    }
    region = memory_region(v, e, gva, shape, &offset);
    if (region) {
        region_load_wide(v, region, offset, shape, state);
        return MEMORY_REGION;
    }
    return !fault && memory_load_any(v, gva, shape, state) ? MEMORY_ANY : MEMORY_FAULT;
}

/* A word in one load, zero-extended: a copy into a zeroed word would make the processor wait for both stores. */
static inline uint64_t memory_word(const void *from, unsigned width)
{
    uint16_t h;
    uint32_t w;
    uint64_t q;

    switch (width) {
    case 1: return *(const uint8_t *)from;
    case 2: memcpy(&h, from, 2); return h;
    case 4: memcpy(&w, from, 4); return w;
    default: memcpy(&q, from, 8); return q;
    }
}

enum memory_way guest_load(struct vcpu *v, uint64_t gva, struct memory_shape shape, uint64_t *value)
{
    enum tlb_intent intent = memory_load_tag(shape);
    bool fault;
    const struct tlb_entry *e = memory_entry(v, gva, shape, intent, &fault);
    uint64_t offset, loaded = 0;
    struct region *region;

    if (memory_is_plain(e, intent)) {
        *value = memory_word(memory_host(e, gva), shape.width);
        return MEMORY_PLAIN;
    }
    region = memory_region(v, e, gva, shape, &offset);
    if (region) {
        *value = dispatch_load_word(&v->bus, region, offset, shape.width);
        return MEMORY_REGION;
    }
    if (fault || !memory_load_any(v, gva, shape, &loaded))
        return MEMORY_FAULT; /* *value may be a register of the guest's */
    *value = loaded;
    return MEMORY_ANY;
}

/* -- stores ---------------------------------------------------------------------------------------------------------- */

static bool memory_store_any(struct vcpu *v, uint64_t gva, struct memory_shape shape, const void *from)
{
    struct access a;

    access_begin(&a, TRANSACTION_STORE, gva, shape.width);
    if (!memory_prepare(v, &a, shape, ACCESS_WRITE))
        return false;
    memcpy(&a.data, from, shape.width);
    access_perform(&v->mmu, &a);
    return true;
}

enum memory_way guest_store_wide(struct vcpu *v, uint64_t gva, struct memory_shape shape, const void *state)
{
    bool fault;
    const struct tlb_entry *e = memory_entry(v, gva, shape, TLB_WRITE, &fault);
    struct region *region;
    uint64_t offset;

    if (memory_is_plain(e, TLB_WRITE)) {
        memory_copy(memory_host(e, gva), state, shape.width);
        return MEMORY_PLAIN;
    }
    region = memory_region(v, e, gva, shape, &offset);
    if (region) {
        region_store_wide(v, region, offset, shape, state);
        return MEMORY_REGION;
    }
    return !fault && memory_store_any(v, gva, shape, state) ? MEMORY_ANY : MEMORY_FAULT;
}

static inline void memory_put(void *to, uint64_t value, unsigned width)
{
    switch (width) {
    case 1: memcpy(to, &value, 1); break;
    case 2: memcpy(to, &value, 2); break;
    case 4: memcpy(to, &value, 4); break;
    default: memcpy(to, &value, 8); break;
    }
}

enum memory_way guest_store(struct vcpu *v, uint64_t gva, struct memory_shape shape, uint64_t value)
{
    bool fault;
    const struct tlb_entry *e = memory_entry(v, gva, shape, TLB_WRITE, &fault);
    struct region *region;
    uint64_t offset;

    if (memory_is_plain(e, TLB_WRITE)) {
        memory_put(memory_host(e, gva), value, shape.width);
        return MEMORY_PLAIN;
    }
    region = memory_region(v, e, gva, shape, &offset);
    if (region) {
        dispatch_store_word(&v->bus, region, offset, shape.width, value);
        return MEMORY_REGION;
    }
    return !fault && memory_store_any(v, gva, shape, &value) ? MEMORY_ANY : MEMORY_FAULT;
}

/* -- atomics --------------------------------------------------------------------------------------------------------- */

static uint64_t atomic_compute(enum atomic_kind kind, uint64_t old, uint64_t b, uint64_t compare, unsigned width)
{
    switch (kind) {
    case ATOMIC_ADD: return old + b;
    case ATOMIC_SUB: return old - b;
    case ATOMIC_AND: return old & b;
    case ATOMIC_OR: return old | b;
    case ATOMIC_XOR: return old ^ b;
    case ATOMIC_XCHG: return b;
    case ATOMIC_NEG: return -old;
    default: return bits_trunc(old ^ compare, width) ? old : b;
    }
}

/* Tries until nobody comes between the load and the store. */
uint64_t memory_atomic(void *host, struct memory_shape shape, uint64_t operand, uint64_t compare)
{
    uint64_t old = memory_word(host, shape.width), new;

    do
        new = atomic_compute(shape.kind, old, operand, compare, shape.width);
    while (!swap_word(host, &old, &new, shape.width));
    return old;
}

/* What a device may take it as; ATOMIC_AND and the rest have no type and go as two locked halves. */
static enum transaction_type atomic_type(enum atomic_kind kind)
{
    switch (kind) {
    case ATOMIC_ADD: case ATOMIC_SUB: return TRANSACTION_FETCH_ADD;
    case ATOMIC_XCHG: return TRANSACTION_SWAP;
    case ATOMIC_CMPXCHG: return TRANSACTION_COMPARE_SWAP;
    default: return TRANSACTION_LOAD;
    }
}

/* As one typed transaction where the region takes that; false: it does not. */
static bool atomic_direct(struct vcpu *v, const struct tlb_entry *e, const struct access *a, uint64_t *old)
{
    struct transaction t;

    if (!e || !e->region || a->type == TRANSACTION_LOAD)
        return false;
    transaction_begin(&t, a->type, e->region_offset + (a->gva & PAGE_OFFSET), a->width);
    if (!dispatch_is_direct_typed(&v->bus, e->region, &t))
        return false;
    t.flags = a->flags;
    t.data.q[0] = a->data.q[0];
    t.compare.q[0] = a->compare.q[0];
    dispatch_direct(&v->bus, e->region, &t);
    *old = bits_trunc(t.data.q[0], a->width);
    return true;
}

/* The new value after a load that was no typed transaction: to memory, which others may write too; or to a device. */
static uint64_t atomic_store(struct vcpu *v, struct access *a, struct memory_shape shape, uint64_t operand)
{
    bool memory = a->pieces == 1 && a->piece[0].range->kind == PIECE_MEMORY;
    uint64_t old;

    a->type = memory ? TRANSACTION_COMPARE_SWAP : TRANSACTION_STORE;
    do {
        old = a->data.q[0];
        a->compare.q[0] = memory ? old : 0;
        a->data.q[0] = bits_trunc(atomic_compute(shape.kind, old, operand, 0, shape.width), shape.width);
        access_perform(&v->mmu, a);
    } while (memory && a->data.q[0] != old);
    return old;
}

/* Devices wait; over the end of a page, where the host has no instruction for it, other CPUs do too (SDM 3A 9.1.2.2, a bus lock). */
static void atomic_alone(struct vcpu *v, const struct access *a, bool on)
{
    if (on)
        exclusion_devices(v->bus.exclusion, true);
    if (a->pieces > 1)
        exclusion_others(v->bus.exclusion, on);
    if (!on)
        exclusion_devices(v->bus.exclusion, false);
}

bool guest_atomic(struct vcpu *v, uint64_t gva, struct memory_shape shape, uint64_t operand, uint64_t compare,
                  uint64_t *old)
{
    bool fault;
    const struct tlb_entry *e = memory_entry(v, gva, shape, TLB_WRITE, &fault);
    struct access a;

    if (memory_is_plain(e, TLB_WRITE)) {
        *old = memory_atomic(memory_host(e, gva), shape, operand, compare);
        return true;
    }
    if (fault)
        return false;
    access_begin(&a, atomic_type(shape.kind), gva, shape.width);
    a.flags = TRANSACTION_LOCKED;
    a.data.q[0] = bits_trunc(shape.kind == ATOMIC_SUB ? -operand : operand, shape.width);
    a.compare.q[0] = shape.kind == ATOMIC_CMPXCHG ? bits_trunc(compare, shape.width) : 0;
    if (atomic_direct(v, e, &a, old))
        return true;
    if (!memory_prepare(v, &a, shape, ACCESS_READ | ACCESS_WRITE))
        return false;
    atomic_alone(v, &a, true);
    access_perform(&v->mmu, &a);
    *old = a.type == TRANSACTION_LOAD ? atomic_store(v, &a, shape, operand) : a.data.q[0];
    atomic_alone(v, &a, false);
    return true;
}

/* -- division -------------------------------------------------------------------------------------------------------- */

static void divide_commit(struct vcpu *v, unsigned w, uint64_t quotient, uint64_t remainder)
{
    uint64_t *rax = &v->cpu.slot[RAX], *rdx = &v->cpu.slot[RDX];

    switch (w) {
    case 1: *rax = (*rax & ~UINT64_C(0xffff)) | (quotient & 0xff) | (remainder & 0xff) << 8; break;
    case 2:
        *rax = (*rax & ~UINT64_C(0xffff)) | (quotient & 0xffff);
        *rdx = (*rdx & ~UINT64_C(0xffff)) | (remainder & 0xffff);
        break;
    case 4: *rax = (uint32_t)quotient, *rdx = (uint32_t)remainder; break;
    default: *rax = quotient, *rdx = remainder; break;
    }
}

static unsigned __int128 divide_dividend(const struct vcpu *v, unsigned w)
{
    uint64_t rax = v->cpu.slot[RAX], rdx = v->cpu.slot[RDX];

    if (w == 1)
        return rax & 0xffff;
    return (unsigned __int128)bits_trunc(rdx, w) << (w * 8) | bits_trunc(rax, w);
}

bool guest_divide(struct vcpu *v, uint64_t by, unsigned width)
{
    unsigned __int128 n = divide_dividend(v, width), q;

    by = bits_trunc(by, width);
    if (!by || (q = n / by) > bits_mask(width * 8))
        return vcpu_raise(v, EXCEPTION_DE);
    divide_commit(v, width, (uint64_t)q, (uint64_t)(n % by));
    return true;
}

bool guest_divide_signed(struct vcpu *v, uint64_t divisor, unsigned width)
{
    unsigned shift = 128 - width * 16;
    __int128 n = (__int128)(divide_dividend(v, width) << shift) >> shift, by = bits_sext(divisor, width), q;

    if (!by || (by == -1 && n == (__int128)((unsigned __int128)1 << 127)))
        return vcpu_raise(v, EXCEPTION_DE);
    q = n / by;
    if (q != bits_sext((uint64_t)q, width))
        return vcpu_raise(v, EXCEPTION_DE);
    divide_commit(v, width, (uint64_t)q, (uint64_t)(n % by));
    return true;
}
