/*
 * split_unicorn.c - Unicorn 2.1.4's MMIO callbacks (tests/vectors/bochs-unicorn-mmio.tsv).
 *
 * Words of at most 8 bytes, callbacks of at most 4.  An unaligned load reads the two aligned words around it, so
 * the device sees reads of its neighbours; an unaligned store goes byte by byte.  No AVX beyond 16 bytes, no
 * AVX-512, no direct stores, no gathers; LOCK NEG reads twice.
 */
#include "split.h"

#define CALLBACK_BYTES 4u

static void unicorn_callbacks(const struct access *access, enum transaction_type type, int at, unsigned width,
                              enum split_reason reason, bool phantom, struct split_list *out)
{
    unsigned n = bits_min(CALLBACK_BYTES, width);

    if (reason == SPLIT_WHOLE && n < width)
        reason = SPLIT_WIDTH;
    for (unsigned done = 0; done < width; done += n)
        split_peer(access, type, at + (int)done, n, reason, phantom, out);
}

/* A power of two of at most 8 bytes. */
static void unicorn_word(const struct access *access, enum transaction_type type, unsigned at, unsigned width,
                         bool phantom, struct split_list *out)
{
    unsigned over = (access->gva + at) & (width - 1);

    if (!over) {
        unicorn_callbacks(access, type, at, width, phantom ? SPLIT_PEER : SPLIT_WHOLE, phantom, out);
    } else if (type == TRANSACTION_LOAD) {
        unicorn_callbacks(access, type, (int)at - (int)over, width, SPLIT_PEER, phantom, out);
        unicorn_callbacks(access, type, (int)at - (int)over + (int)width, width, SPLIT_PEER, phantom, out);
    } else {
        for (unsigned i = 0; i < width; i++)
            split_peer(access, type, at + i, 1, SPLIT_ALIGNMENT, phantom, out);
    }
}

static void unicorn_words(const struct access *access, enum transaction_type type, bool phantom,
                          struct split_list *out)
{
    unsigned n, first = split_words(access);

    for (unsigned at = 0; at < access->width; at += n) {
        unsigned left = (first && at < first ? first : access->width) - at;

        for (n = 8; n > left; n /= 2)
            ;
        unicorn_word(access, type, at, n, phantom, out);
    }
}

static void unicorn_elements(const struct access *access, enum transaction_type type, struct split_list *out)
{
    unsigned n = access->form == FORM_MASKMOV || !access->element ? 1 : access->element;

    for (unsigned at = 0; at < access->width; at += n)
        if (access->enables >> at & 1)
            unicorn_word(access, type, at, n, false, out);
}

static void unicorn_carry(const struct access *access, enum transaction_type type, struct split_list *out)
{
    if (access->form == FORM_LOCK_RETRY && type == TRANSACTION_LOAD)
        unicorn_words(access, type, true, out);
    if (access->flags & TRANSACTION_MASKED)
        unicorn_elements(access, type, out);
    else
        unicorn_words(access, type, false, out);
}

static void unicorn_split(const struct access *access, unsigned arg, struct split_list *out)
{
    (void)arg;
    if (access->form == FORM_HINT)
        return;
    if (access->width > 16 || access->form == FORM_MASKED || access->form == FORM_ELEMENT ||
        access->form == FORM_DIRECT)
        split_gives_up(out);
    split_phases(access, out, unicorn_carry);
}

const struct split_policy split_unicorn = { "unicorn", "Unicorn's callbacks (2.1.4)", unicorn_split };
