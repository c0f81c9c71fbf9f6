/*
 * split_bochs.c - Bochs' handler calls, 3.0.devel (tests/vectors/bochs-unicorn-mmio.tsv).
 *
 * An operand of up to 64 bytes is one call per page, of exactly the bytes asked for.  What is several words to
 * Bochs' code is several calls: CMPXCHG16B stores two quadwords; loads of 80-bit reals, table operands and the
 * selector of LSS and relatives come last word first (far JMP and CALL read in order; not told apart here).
 *
 * Its phantoms: a masked store first reads every enabled element, from the last to the first; MASKMOV reads whole
 * quadwords and writes them back, the high one first, disabled bytes with what was read; INS reads its destination.
 */
#include "split.h"

static void bochs_call(const struct access *access, enum transaction_type type, unsigned at, unsigned width,
                       bool phantom, struct split_list *out)
{
    split_peer(access, type, at, width, phantom ? SPLIT_PEER : SPLIT_WHOLE, phantom, out);
}

/* One word, cut at the page end. */
static void bochs_word(const struct access *access, enum transaction_type type, unsigned at, unsigned width,
                       bool phantom, struct split_list *out)
{
    unsigned first = split_page_part(access, at, width);

    bochs_call(access, type, at, first, phantom, out);
    if (first < width)
        bochs_call(access, type, at + first, width - first, phantom, out);
}

static void bochs_elements(const struct access *access, enum transaction_type type, bool down, bool phantom,
                           struct split_list *out)
{
    unsigned width = access->element ? access->element : 1, n = access->width / width;

    for (unsigned i = 0; i < n; i++) {
        unsigned at = (down ? n - 1 - i : i) * width;

        if (access->enables >> at & 1)
            bochs_word(access, type, at, width, phantom, out);
    }
}

static void bochs_maskmov(const struct access *access, struct split_list *out)
{
    for (unsigned at = 0; at < access->width; at += 8)
        bochs_word(access, TRANSACTION_LOAD, at, bits_min(8, access->width - at), true, out);
    for (unsigned left = access->width; left; left -= left > 8 ? 8 : left)
        bochs_word(access, TRANSACTION_STORE, left > 8 ? left - 8 : 0, bits_min(8, left), false, out);
}

static void bochs_two_words(const struct access *access, enum transaction_type type, unsigned first,
                            struct split_list *out)
{
    if (type == TRANSACTION_LOAD) {
        bochs_word(access, type, first, access->width - first, false, out);
        bochs_word(access, type, 0, first, false, out);
    } else {
        bochs_word(access, type, 0, first, false, out);
        bochs_word(access, type, first, access->width - first, false, out);
    }
}

static void bochs_masked(const struct access *access, enum transaction_type type, struct split_list *out)
{
    if (access->form == FORM_MASKMOV) {
        bochs_maskmov(access, out);
        return;
    }
    bochs_elements(access, TRANSACTION_LOAD, true, type == TRANSACTION_STORE, out);
    if (type == TRANSACTION_STORE)
        bochs_elements(access, type, false, false, out);
}

static void bochs_carry(const struct access *access, enum transaction_type type, struct split_list *out)
{
    unsigned first = split_words(access);

    if (access->form == FORM_CMPXCHG16B && type == TRANSACTION_STORE)
        first = 8;
    if (access->form == FORM_STRING_IO && access->space == REGION_MMIO && type == TRANSACTION_STORE)
        bochs_word(access, TRANSACTION_LOAD, 0, access->width, true, out);
    if (access->flags & TRANSACTION_MASKED)
        bochs_masked(access, type, out);
    else if (first && first < access->width)
        bochs_two_words(access, type, first, out);
    else
        bochs_word(access, type, 0, access->width, false, out);
}

static void bochs_split(const struct access *access, unsigned arg, struct split_list *out)
{
    (void)arg;
    if (access->form == FORM_HINT)
        return;
    if (access->type == TRANSACTION_ENQUEUE)
        split_gives_up(out);
    split_phases(access, out, bochs_carry);
}

const struct split_policy split_bochs = { "bochs", "Bochs' handler calls (3.0.devel)", bochs_split };
