/*
 * split_qemu.c - QEMU 10.0.2's device callbacks under TCG (tests/vectors/qemu-10.0.2-mmio.tsv).
 *
 * An operand is words of up to 16 bytes (AVX: two).  A word is cut at the page end; a part of 9..16 bytes is two,
 * the odd one first for loads and last for stores.  Of those at most 8 bytes, each fragment is the lowest bit set
 * in (bytes left | virtual address | 8).  The memory core then calls the device with the region's smallest..largest
 * width: too wide a fragment is cut, too narrow a one is widened where it stands, so that fragments overlap.
 * Smallest and largest are taken from the region's declared widths; QEMU's `valid` limits, which drop accesses,
 * are not modelled.
 *
 * Its habits: VMASKMOV loads read the whole vector, masked stores go element by element and MASKMOVDQU byte by
 * byte; INS writes zeros to its destination first; LOCK NEG reads twice.  No AVX-512, no MOVDIRI, no MOVDIR64B.
 */
#include "phys.h"
#include "split.h"

static const struct piece *qemu_piece_of(const struct access *access, unsigned at)
{
    for (unsigned i = 0; i + 1 < access->pieces; i++)
        if (at < access->piece[i].at + access->piece[i].width)
            return &access->piece[i];
    return &access->piece[access->pieces - 1];
}

/* The memory core: callbacks of clamp(width, smallest, largest). */
static void qemu_core(const struct access *access, enum transaction_type type, unsigned at, unsigned width,
                      bool phantom, struct split_list *out)
{
    const struct phys_range *range = qemu_piece_of(access, at)->range;
    unsigned widths = range->kind == PIECE_REGION ? range->region->ops->limits.widths : 0, lowest, highest, n;

    if (!widths)
        widths = W1 | W2 | W4;
    lowest = widths & -widths;
    highest = 1u << (31 - __builtin_clz(widths));
    n = bits_max(lowest, bits_min(width, highest));
    if (n > width) {
        split_peer_uncut(access, type, at, n, phantom, out);
        return;
    }
    for (unsigned done = 0; done < width; done += n)
        split_peer(access, type, at + done, n, n < width || width == 8 ? SPLIT_WIDTH : SPLIT_ALIGNMENT, phantom, out);
}

/* At most 8 bytes within a page. */
static void qemu_part(const struct access *access, enum transaction_type type, unsigned at, unsigned left,
                      bool phantom, struct split_list *out)
{
    while (left) {
        unsigned bits = left | (unsigned)(access->gva + at) | 8;
        unsigned n = bits & -bits;

        qemu_core(access, type, at, n, phantom, out);
        at += n;
        left -= n;
    }
}

/* A word of at most 16 bytes. */
static void qemu_word(const struct access *access, enum transaction_type type, unsigned at, unsigned left,
                      bool phantom, struct split_list *out)
{
    while (left) {
        unsigned part = split_page_part(access, at, left);
        unsigned first = part <= 8 ? part : type == TRANSACTION_LOAD ? part - 8 : 8;

        qemu_part(access, type, at, first, phantom, out);
        if (part > first)
            qemu_part(access, type, at + first, part - first, phantom, out);
        at += part;
        left -= part;
    }
}

static void qemu_words(const struct access *access, enum transaction_type type, bool phantom, struct split_list *out)
{
    unsigned n, first = split_words(access);

    for (unsigned at = 0; at < access->width; at += n) {
        n = bits_min(first && !at ? first : 16, access->width - at);
        qemu_word(access, type, at, n, phantom, out);
    }
}

static void qemu_elements(const struct access *access, enum transaction_type type, struct split_list *out)
{
    unsigned n = access->form == FORM_MASKMOV || !access->element ? 1 : access->element;

    for (unsigned at = 0; at < access->width; at += n)
        if (access->enables >> at & 1)
            qemu_word(access, type, at, n, false, out);
}

static void qemu_carry(const struct access *access, enum transaction_type type, struct split_list *out)
{
    if (access->form == FORM_LOCK_RETRY && type == TRANSACTION_LOAD)
        qemu_words(access, type, true, out);
    if (access->form == FORM_STRING_IO && access->space == REGION_MMIO && type == TRANSACTION_STORE)
        qemu_words(access, type, true, out);
    if (access->flags & TRANSACTION_MASKED && type == TRANSACTION_STORE)
        qemu_elements(access, type, out);
    else
        qemu_words(access, type, false, out);
}

static void qemu_split(const struct access *access, unsigned arg, struct split_list *out)
{
    (void)arg;
    if (access->form == FORM_HINT)
        return;
    if (access->width > 32 || access->form == FORM_DIRECT)
        split_gives_up(out);
    split_phases(access, out, qemu_carry);
}

const struct split_policy split_qemu = { "qemu", "QEMU's device callbacks (10.0.2, TCG)", qemu_split };
