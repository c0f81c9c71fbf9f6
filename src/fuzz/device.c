/* device.c - what a case does to widereg. */
#include "fuzz/device.h"

#include "split.h"
#include "widereg.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { OFFSET = FUZZ_DEVICE - NATIVE_DATA };

bool fuzz_device_refuses(unsigned window) { return !(widereg_windows[window].limits.widths & W1); }

void fuzz_device_create(struct fuzz_device *d, const uint8_t *image, struct phys *phys)
{
    const struct device_host host = { .map = &phys->map };

    d->widereg = device_create(&widereg_class, &host);
    for (unsigned i = 0; i < WIDEREG_WINDOWS_COUNT; i++)
        region_move(&d->widereg->region[i], FUZZ_DEVICE_GPA + (uint64_t)i * WIDEREG_WINDOW_BYTES, true);
    for (unsigned i = 0; i < WIDEREG_WINDOWS_COUNT; i++)
        memcpy(widereg_bytes(d->widereg, i), image + OFFSET, NATIVE_PAGE);
}

void fuzz_device_destroy(struct fuzz_device *d) { device_destroy(d->widereg); }

static uint32_t recorded(const struct fuzz_device *d)
{
    const struct widereg_record *last = widereg_last(d->widereg, 0, NULL);

    return last ? last->sequence : 0;
}

/* -- is it as it should be? --------------------------------------------------------------------------------------------- */

static bool is_device(const struct piece *p) { return p->range->kind == PIECE_REGION && p->range->region->ops->transact; }

static bool same(const struct widereg_record *r, const struct split_fragment *f, uint64_t offset)
{
    uint64_t enables = f->flags & TRANSACTION_MASKED ? f->enables : bits_mask(f->width);

    return r && r->type == f->type && r->width == f->width && r->offset == offset && r->enables == enables &&
           (r->flags & TRANSACTION_LOCKED) == (f->flags & TRANSACTION_LOCKED);
}

/* A refusal, or what the window has no type for, is not recorded. */
static bool is_recorded(const struct dispatch_report *report, const struct split_list *list, unsigned i)
{
    const struct split_fragment *f = &list->fragment[i];
    const struct piece *p = &report->access->piece[f->piece];

    return is_device(p) && report->result[i] != TRANSACTION_ERROR &&
           !(f->type == TRANSACTION_ENQUEUE && !(p->range->region->ops->limits.types >> TRANSACTION_ENQUEUE & 1));
}

/* The last transactions are these fragments, in this order, but for those that the window refuses. */
static void check_fragments(struct fuzz_device *d, const struct dispatch_report *report)
{
    const struct access *a = report->access;
    unsigned n = 0, back;
    struct split_list list;

    split(&split_whole, 0, a, &list);
    for (unsigned i = 0; i < list.n; i++)
        n += is_recorded(report, &list, i);
    back = n;
    for (unsigned i = 0; i < list.n && n <= WIDEREG_HISTORY_ENTRIES; i++) {
        const struct split_fragment *f = &list.fragment[i];
        const struct piece *p = &a->piece[f->piece];

        if (!is_recorded(report, &list, i) || same(widereg_last(d->widereg, --back, NULL), f, p->offset + (uint64_t)(f->at - (int)p->at)))
            continue;
        snprintf(d->out->device, sizeof(d->out->device), "transaction %u of %u is not fragment %u of split(): %u bytes at %" PRIx64, n - back, n, i,
                 f->width, p->offset + (uint64_t)(f->at - (int)p->at));
        return;
    }
}

/* The one memory operand of the one instruction, where that is all there is to it. */
static const struct operand *plain_operand(const struct fuzz_case *c)
{
    const struct insn *i = &c->insn[0].insn;
    const struct operand *only = NULL;

    if (c->insns != 1 || i->mask || i->prefixes & (PREFIX_REP | PREFIX_REPNE))
        return NULL;
    for (unsigned n = 0; n < i->operands; n++) {
        const struct operand *o = &i->op[n];

        if (o->kind != OPERAND_MEMORY)
            continue;
        if (only || o->vsib || !o->has_base || o->has_index)
            return NULL;
        only = o;
    }
    return only;
}

/* A bit string's operand is elsewhere; PUSH, POP and CALL, MOVDIR64B and ENQCMD have another; BOUND's are two. */
static bool is_special(uint16_t mnemonic)
{
    return mnemonic == ZYDIS_MNEMONIC_BT || mnemonic == ZYDIS_MNEMONIC_BTS || mnemonic == ZYDIS_MNEMONIC_BTR || mnemonic == ZYDIS_MNEMONIC_BTC ||
           mnemonic == ZYDIS_MNEMONIC_MOVDIR64B || mnemonic == ZYDIS_MNEMONIC_ENQCMD || mnemonic == ZYDIS_MNEMONIC_BOUND ||
           mnemonic == ZYDIS_MNEMONIC_PUSH || mnemonic == ZYDIS_MNEMONIC_POP || mnemonic == ZYDIS_MNEMONIC_CALL;
}

static void check_whole(struct fuzz_device *d, const struct access *a)
{
    const struct insn *i = &d->c->insn[0].insn;
    const struct operand *o = plain_operand(d->c);
    unsigned width;
    uint64_t at;

    if (!o || is_special(i->mnemonic) || a->flags & TRANSACTION_MASKED)
        return;
    width = i->broadcast ? o->element : o->width;
    at = d->c->cpu.slot[o->base] + (uint64_t)o->displacement;
    at = bits_trunc(at, i->address_size) + fuzz_data_base(d->c);
    if (a->width != width || a->gva != at)
        snprintf(d->out->device, sizeof(d->out->device), "an access of %u bytes at %" PRIx64 " for an operand of %u bytes at %" PRIx64, a->width,
                 a->gva, width, at);
}

void fuzz_device_observe(void *device, const struct dispatch_report *report)
{
    const struct access *a = report->access;
    struct fuzz_device *d = device;

    if (!d->out)
        return;
    d->out->touched = true;
    d->out->wide = (uint8_t)(d->out->wide + (a->width > 8));
    d->out->crossing = (uint8_t)(d->out->crossing + (a->pieces > 1));
    check_fragments(d, report);
    check_whole(d, a);
}

/* -- a case --------------------------------------------------------------------------------------------------------------- */

void fuzz_device_begin(struct fuzz_device *d, const struct fuzz_case *c, struct fuzz_outcome *out)
{
    uint8_t *bytes = widereg_bytes(d->widereg, c->window);

    d->c = c;
    d->out = out;
    d->before = recorded(d);
    out->device[0] = 0;
    out->touched = false;
    out->wide = out->crossing = 0;
    out->transactions = 0;
    for (unsigned i = 0; i < c->memory.n; i++)
        if (c->memory.at[i] * LINE_BYTES - (unsigned)OFFSET < NATIVE_PAGE)
            memcpy(bytes + c->memory.at[i] * LINE_BYTES - OFFSET, c->memory.line[i], LINE_BYTES);
}

void fuzz_device_end(struct fuzz_device *d, const uint8_t *image)
{
    uint8_t *bytes = widereg_bytes(d->widereg, d->c->window);
    struct fuzz_outcome *out = d->out;
    unsigned first = out->memory.n;

    out->transactions = recorded(d) - d->before;
    for (unsigned i = 0; i < bits_min(out->transactions, FUZZ_TRANSACTIONS); i++) {
        const struct widereg_record *r = widereg_last(d->widereg, i, NULL);

        out->transaction[i] = (struct fuzz_transaction){ .type = r->type, .width = r->width, .flags = (uint8_t)r->flags, .offset = r->offset,
                                                         .enables = r->enables };
    }
    lines_find(&out->memory, image, OFFSET, bytes, NATIVE_PAGE);
    for (unsigned i = first; i < out->memory.n; i++)
        memcpy(bytes + out->memory.at[i] * LINE_BYTES - OFFSET, image + out->memory.at[i] * LINE_BYTES, LINE_BYTES);
}
