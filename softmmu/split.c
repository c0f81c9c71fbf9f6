/*
 * split.c - what the policies share: the frame that cuts exactly, the peers' fragments, the names.
 *
 * Cuts are made on physical pieces (page ends and region edges are already there) and region offsets, never on the
 * low bits of a virtual address; only the peers that look at those do.  Rules: docs/journey.md.
 */
#include "split.h"

#include "phys.h"

#include <assert.h>
#include <string.h>

const struct split_policy *const split_policies[] = {
    &split_whole, &split_natural, &split_kvm, &split_qemu, &split_bochs, &split_unicorn, &split_bus, &split_pcie, NULL,
};

static const char *const split_reason_names[] = {
    [SPLIT_WHOLE] = "whole", [SPLIT_PAGE] = "page", [SPLIT_EDGE] = "edge", [SPLIT_WIDTH] = "width",
    [SPLIT_ALIGNMENT] = "alignment", [SPLIT_TYPE] = "type", [SPLIT_ENABLES] = "enables", [SPLIT_PEER] = "peer",
};

const char *split_reason_name(enum split_reason reason) { return split_reason_names[reason]; }

static void split_add(struct split_list *out, struct split_fragment fragment)
{
    assert(out->n < SPLIT_FRAGMENTS);
    out->fragment[out->n++] = fragment;
}

unsigned split_run(uint64_t enables, unsigned from, unsigned end, bool *enabled)
{
    unsigned n = 1;

    *enabled = enables >> from & 1;
    while (from + n < end && (enables >> (from + n) & 1) == *enabled)
        n++;
    return n;
}

/* -- what a region takes -------------------------------------------------------------------------------------- */

unsigned split_step(const struct region_limits *limits, uint64_t offset, unsigned left, bool *taken)
{
    unsigned lowest = limits->widths & -limits->widths;

    *taken = true;
    if (region_takes(limits, offset, left))
        return left;
    for (unsigned width = WIDE_BYTES; width; width /= 2)
        if (width <= left && region_takes(limits, offset, width))
            return width;
    *taken = false;
    return lowest && left > lowest ? bits_min(left, lowest - offset % lowest) : left;
}

/* Why a region did not take `left` bytes at once. */
static enum split_reason split_step_reason(const struct region_limits *limits, unsigned left)
{
    unsigned highest = 1u << (31 - __builtin_clz(limits->widths | 1u));

    return left > highest ? SPLIT_WIDTH : SPLIT_ALIGNMENT;
}

/* Does the one region behind the access take it typed, in one transaction? */
static bool split_typed(const struct access *access)
{
    const struct piece *piece = &access->piece[0];
    const struct region_limits *limits;

    if (access->pieces != 1 || piece->range->kind != PIECE_REGION)
        return false;
    limits = &piece->range->region->ops->limits;
    if (!(limits->types >> access->type & 1))
        return false;
    if (access->type == TRANSACTION_DIRECT_STORE || access->type == TRANSACTION_ENQUEUE)
        return region_takes(limits, piece->offset, access->width);
    return bits_is_pow2(access->width) && limits->atomic_widths & access->width &&
           !(piece->offset & (access->width - 1));
}

/* -- the exact frame ------------------------------------------------------------------------------------------ */

/* What stays the same while one piece of an access is cut. */
struct cutter {
    const struct access *access;
    const struct piece *piece;
    unsigned index;
    const struct region_limits *limits; /* NULL for a hole, which takes everything */
    enum transaction_type type;
    uint16_t flags;
    split_reach *reach;
    unsigned arg;
    struct split_list *out;
};

static void split_emit(const struct cutter *c, unsigned from, unsigned width, enum split_reason reason)
{
    uint64_t enables = c->access->enables >> from & bits_mask(width);
    struct split_fragment f = {
        .piece = c->index, .width = width, .at = from, .type = c->type, .flags = c->flags, .enables = enables,
        .reason = reason,
    };

    if (!enables)
        return;
    if (enables == bits_mask(width))
        f.flags &= ~TRANSACTION_MASKED;
    split_add(c->out, f);
}

/* Cuts operand bytes [from, end), which lie in one piece; `reason` is why they end there. */
static void split_span(const struct cutter *c, unsigned from, unsigned end, enum split_reason reason)
{
    while (from < end) {
        enum split_reason why = reason;
        unsigned n = c->reach(c->access, c->piece, from, end - from, c->arg, &why), step = n;
        bool taken;

        if (c->limits)
            step = split_step(c->limits, c->piece->offset + (from - c->piece->at), n, &taken);
        if (step < n)
            why = split_step_reason(c->limits, n);
        if (from + step < end)
            reason = why; /* also why the next one begins here */
        split_emit(c, from, step, why);
        from += step;
    }
}

/* A piece of a masked access to a region without byte enables: its runs of enabled bytes. */
static void split_runs(const struct cutter *c, enum split_reason reason)
{
    unsigned end = c->piece->at + c->piece->width, n;

    for (unsigned from = c->piece->at; from < end; from += n) {
        bool enabled;

        n = split_run(c->access->enables, from, end, &enabled);
        if (enabled)
            split_span(c, from, from + n, n == c->piece->width ? reason : SPLIT_ENABLES);
    }
}

/* Why a piece is one: its neighbour is on another page, or in another range. */
static enum split_reason split_piece_reason(const struct access *access, unsigned i)
{
    unsigned other = i + 1 < access->pieces ? i + 1 : i - 1;

    if (access->pieces == 1) /* of a masked access: the other page has no enabled byte */
        return access->piece[0].width == access->width ? SPLIT_WHOLE : SPLIT_PAGE;
    return access->piece[other].page != access->piece[i].page ? SPLIT_PAGE : SPLIT_EDGE;
}

static void split_cut_pieces(struct cutter *c)
{
    for (c->index = 0; c->index < c->access->pieces; c->index++) {
        const struct phys_range *range;
        enum split_reason reason = split_piece_reason(c->access, c->index);

        c->piece = &c->access->piece[c->index];
        range = c->piece->range;
        if (range->kind == PIECE_MEMORY)
            continue;
        if (reason == SPLIT_WHOLE && c->type != c->access->type)
            reason = SPLIT_TYPE;
        c->limits = range->kind == PIECE_REGION ? &range->region->ops->limits : NULL;
        if (c->flags & TRANSACTION_MASKED && c->limits && !(c->limits->flags & REGION_ENABLES))
            split_runs(c, reason);
        else
            split_span(c, c->piece->at, c->piece->at + c->piece->width, reason);
    }
}

/* An enqueue is never cut: the region takes it, or the dispatcher answers RETRY (reason `type`). */
static void split_enqueue(const struct access *access, bool typed, struct split_list *out)
{
    for (unsigned i = 0; i < access->pieces; i++)
        if (access->piece[i].range->kind != PIECE_MEMORY) {
            split_add(out, (struct split_fragment){
                .piece = i, .width = access->width, .type = TRANSACTION_ENQUEUE, .flags = access->flags,
                .enables = access->enables, .reason = typed ? SPLIT_WHOLE : SPLIT_TYPE,
            });
            return;
        }
}

void split_exactly(const struct access *access, unsigned arg, split_reach *reach, struct split_list *out)
{
    struct cutter c = {
        .access = access, .type = access->type, .flags = access->flags, .reach = reach, .arg = arg, .out = out,
    };
    enum split_reason why;
    bool typed = access->type > TRANSACTION_STORE && split_typed(access) &&
                 reach(access, &access->piece[0], 0, access->width, arg, &why) == access->width;

    if (access->form == FORM_HINT)
        return;
    if (access->type == TRANSACTION_ENQUEUE) {
        split_enqueue(access, typed, out);
    } else if (typed) {
        c.piece = &access->piece[0];
        split_emit(&c, 0, access->width, SPLIT_WHOLE);
    } else if (access->type <= TRANSACTION_STORE) {
        split_cut_pieces(&c);
    } else if (access->type == TRANSACTION_DIRECT_STORE) {
        c.type = TRANSACTION_STORE;
        split_cut_pieces(&c);
    } else {
        c.flags |= TRANSACTION_LOCKED;
        c.type = TRANSACTION_LOAD;
        split_cut_pieces(&c);
        c.type = TRANSACTION_STORE;
        split_cut_pieces(&c);
    }
}

/* -- the peers' frame ----------------------------------------------------------------------------------------- */

static void split_peer_add(const struct access *access, unsigned index, enum transaction_type type, int at,
                           int end, enum split_reason reason, bool phantom, struct split_list *out)
{
    uint64_t enables = 0;

    for (int byte = at; byte < end; byte++)
        if (byte >= 0 && byte < access->width && access->enables >> byte & 1)
            enables |= BIT(byte - at);
    split_add(out, (struct split_fragment){
        .piece = index, .width = end - at, .at = at, .type = type, .enables = phantom ? 0 : enables,
        .flags = access->flags & (TRANSACTION_FETCH | TRANSACTION_PAGE_WALK | TRANSACTION_DMA),
        .reason = reason, .phantom = phantom || !enables,
    });
}

void split_peer(const struct access *access, enum transaction_type type, int at, unsigned width,
                enum split_reason reason, bool phantom, struct split_list *out)
{
    int end = at + (int)width;

    for (unsigned i = 0; i < access->pieces; i++) {
        const struct piece *piece = &access->piece[i];
        bool first = !piece->at, last = piece->at + piece->width == access->width;
        int from = first || at > piece->at ? at : piece->at;
        int to = last || end < piece->at + piece->width ? end : piece->at + piece->width;

        if (from >= to || piece->range->kind == PIECE_MEMORY)
            continue;
        split_peer_add(access, i, type, from, to, reason == SPLIT_WHOLE ? split_piece_reason(access, i) : reason,
                       phantom, out);
    }
}

void split_peer_uncut(const struct access *access, enum transaction_type type, unsigned at, unsigned width,
                      bool phantom, struct split_list *out)
{
    unsigned i = 0;

    while (i + 1 < access->pieces && at >= access->piece[i].at + access->piece[i].width)
        i++;
    if (at >= access->piece[i].at && access->piece[i].range->kind != PIECE_MEMORY)
        split_peer_add(access, i, type, at, (int)(at + width), SPLIT_PEER, phantom, out);
}

void split_phases(const struct access *access, struct split_list *out,
                  void (*carry)(const struct access *access, enum transaction_type type, struct split_list *out))
{
    bool stores = access->type != TRANSACTION_LOAD;
    bool loads = !stores || access->type == TRANSACTION_FETCH_ADD || access->type == TRANSACTION_SWAP ||
                 access->type == TRANSACTION_COMPARE_SWAP;

    if (loads)
        carry(access, TRANSACTION_LOAD, out);
    if (stores)
        carry(access, TRANSACTION_STORE, out);
}

unsigned split_page_part(const struct access *access, unsigned from, unsigned left)
{
    return bits_min(left, PAGE_BYTES - ((access->gva + from) & PAGE_OFFSET));
}

void split_gives_up(struct split_list *out)
{
    if (!out->gives_up)
        out->seen = out->n;
    out->gives_up = true;
}

unsigned split_words(const struct access *access)
{
    switch (access->form) {
    case FORM_X87:
        return access->width == 10 ? 8 : 0;
    case FORM_FAR_POINTER:
        return access->width > 2 ? access->width - 2 : 0;
    case FORM_TABLE:
        return access->width > 2 ? 2 : 0;
    default:
        return 0;
    }
}

/* -- the entry ------------------------------------------------------------------------------------------------ */

/*
 * Gives `whole` its meaning, whatever made the fragment: it is the access itself.  A peer's fragment that its policy
 * left uncut but that is only part of the access, or of another type, gets the reason for that.
 */
static void split_settle_reason(const struct access *access, struct split_fragment *f)
{
    if (f->phantom)
        f->reason = SPLIT_PEER;
    else if (!f->at && f->width == access->width)
        f->reason = f->type == access->type ? SPLIT_WHOLE : SPLIT_TYPE;
    else if (f->reason == SPLIT_WHOLE)
        f->reason = access->flags & TRANSACTION_MASKED ? SPLIT_ENABLES : SPLIT_PEER;
}

void split(const struct split_policy *policy, unsigned arg, const struct access *access, struct split_list *out)
{
    out->n = 0;
    out->gives_up = false;
    if (access->pieces) /* a mask may leave nothing to do */
        policy->split(access, arg, out);
    if (!out->gives_up)
        out->seen = out->n;
    for (unsigned i = 0; i < out->n; i++)
        if (out->fragment[i].type != TRANSACTION_ENQUEUE) /* its `type` is the dispatcher's answer */
            split_settle_reason(access, &out->fragment[i]);
}

const struct split_policy *split_find(const char *text, unsigned *arg)
{
    size_t length = strcspn(text, ":");

    *arg = 0;
    for (unsigned i = 0; split_policies[i]; i++) {
        const struct split_policy *policy = split_policies[i];

        if (strlen(policy->name) != length || strncmp(policy->name, text, length))
            continue;
        if (policy != &split_bus)
            return text[length] ? NULL : policy;
        for (unsigned n = 4; n <= WIDE_BYTES; n *= 2) {
            static const char *const sizes[] = { [4] = ":4", [8] = ":8", [16] = ":16", [32] = ":32", [64] = ":64" };

            *arg = n;
            if (!strcmp(text + length, sizes[n]))
                return policy;
        }
    }
    return NULL;
}
