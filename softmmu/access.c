/*
 * access.c - stop 1: cut at the page boundary, resolve every piece, only then move bytes.
 *
 * Not modelled: memory types (every access is as if UC to devices and WB to memory).
 */
#include "access.h"

#include "code.h"
#include "walk.h"

#include <string.h>

static bool access_fault(struct mmu *mmu, uint8_t vector, uint64_t gva)
{
    mmu->fault = (struct mmu_fault){ .vector = vector, .address = gva };
    return false;
}

static bool access_check_alignment(struct mmu *mmu, const struct access *a, unsigned intent)
{
    if (intent & ACCESS_ALIGNED && a->gva & (a->width - 1u))
        return access_fault(mmu, 13, a->gva);
    if (!mmu->align_check || intent & (ACCESS_NO_AC | ACCESS_IMPLICIT | ACCESS_EXECUTE) || a->width > 8 ||
        !bits_is_pow2(a->width) || !(a->gva & (a->width - 1u)))
        return true;
    if (!walk_canonical(mmu, a->gva)) /* comes first; a page fault would come after */
        return access_fault(mmu, intent & ACCESS_STACK ? 12 : 13, a->gva);
    return access_fault(mmu, 17, a->gva);
}

static const struct tlb_entry *access_translate(struct mmu *mmu, uint64_t gva, unsigned intent)
{
    enum mmu_bank bank = intent & ACCESS_IMPLICIT ? BANK_SUPERVISOR : mmu->bank;
    const struct tlb_entry *e = tlb_translate(mmu, gva, intent & 7, bank);

    if (!e && mmu->fault.vector == 13 && intent & ACCESS_STACK)
        mmu->fault.vector = 12;
    return e;
}

/* The first enabled byte from `at` on, or `end`. */
static unsigned access_first_enabled(const struct access *a, unsigned at, unsigned end)
{
    while (at < end && !(a->enables >> at & 1))
        at++;
    return at;
}

static bool access_prepare_page(struct mmu *mmu, struct access *a, unsigned intent, unsigned at, unsigned end,
                                unsigned page)
{
    unsigned first = access_first_enabled(a, at, end);
    const struct tlb_entry *e;
    uint64_t gva = a->gva + first;

    if (first == end)
        return true;
    if (!(mmu->efer & BIT(10)))
        gva = (uint32_t)gva;
    e = access_translate(mmu, gva, intent);
    if (!e)
        return false;
    phys_resolve(mmu->bus->phys, a, e->gpa + ((gva - (first - at)) & PAGE_OFFSET), at, end - at, page);
    return true;
}

/* A second page beyond the canonical addresses counts before anything the first page may lack. */
static bool access_leaves_canonical(struct mmu *mmu, const struct access *a, unsigned intent, unsigned left)
{
    if (walk_canonical(mmu, a->gva + left) || !(a->enables >> left))
        return false;
    access_fault(mmu, intent & ACCESS_STACK ? 12 : 13, a->gva + left);
    return true;
}

bool access_prepare(struct mmu *mmu, struct access *a, unsigned intent)
{
    unsigned left = PAGE_BYTES - (unsigned)(a->gva & PAGE_OFFSET);

    a->pieces = 0;
    if (!access_check_alignment(mmu, a, intent))
        return false;
    if (left >= a->width)
        return access_prepare_page(mmu, a, intent, 0, a->width, 0);
    return !access_leaves_canonical(mmu, a, intent, left) && access_prepare_page(mmu, a, intent, 0, left, 0) &&
           access_prepare_page(mmu, a, intent, left, a->width, 1);
}

/* Data breakpoints (SDM 3A 19.2.4), and a debugger's. */
static void access_note_watches(struct mmu *mmu, const struct access *a)
{
    for (unsigned i = 0; i < WATCHES_ALL; i++) {
        const struct watch *w = &mmu->watch[i];

        if (w->size && a->gva < w->gva + w->size && w->gva < a->gva + a->width &&
            (!w->writes_only || a->type != TRANSACTION_LOAD) && (!w->reads_only || a->type != TRANSACTION_STORE))
            mmu->watch_hits |= 1u << i;
    }
}

enum transaction_result access_perform(struct mmu *mmu, struct access *a)
{
    access_note_watches(mmu, a);
    return dispatch_access(mmu->bus, a);
}

bool access_load_any(struct mmu *mmu, uint64_t gva, void *data, unsigned width, enum access_form form, unsigned options)
{
    struct access a;

    access_begin(&a, TRANSACTION_LOAD, gva, width);
    a.form = form;
    if (!access_prepare(mmu, &a, ACCESS_READ | options))
        return false;
    access_perform(mmu, &a);
    memcpy(data, &a.data, width);
    return true;
}

bool access_store_any(struct mmu *mmu, uint64_t gva, const void *data, unsigned width, enum access_form form,
                      unsigned options)
{
    struct access a;

    access_begin(&a, TRANSACTION_STORE, gva, width);
    a.form = form;
    if (!access_prepare(mmu, &a, ACCESS_WRITE | options))
        return false;
    memcpy(&a.data, data, width);
    access_perform(mmu, &a);
    return true;
}

bool access_probe(struct mmu *mmu, uint64_t gva, uint64_t size, unsigned intent)
{
    for (uint64_t at = 0; at < size;) {
        uint64_t linear = mmu->efer & BIT(10) ? gva + at : (uint32_t)(gva + at);

        if (!access_translate(mmu, linear, intent))
            return false;
        at += PAGE_BYTES - ((gva + at) & PAGE_OFFSET);
    }
    return true;
}
