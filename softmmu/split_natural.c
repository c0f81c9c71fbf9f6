/*
 * split_natural.c - ascending, naturally aligned powers of two, at most the region's widest.
 *
 * piece = min(region max, alignment of the offset, largest power of two in what remains).  A region that takes
 * unaligned widths is not asked whether it would: this is what an aligned bus makes of the access.
 */
#include "split.h"

static unsigned natural_reach(const struct access *access, const struct piece *piece, unsigned from, unsigned left,
                              unsigned arg, enum split_reason *reason)
{
    uint64_t offset = piece->offset + (from - piece->at);
    unsigned width = WIDE_BYTES;

    (void)access, (void)arg;
    while (width > left || offset & (width - 1))
        width /= 2;
    if (width < left)
        *reason = SPLIT_ALIGNMENT;
    return width;
}

static void natural_split(const struct access *access, unsigned arg, struct split_list *out)
{
    split_exactly(access, arg, natural_reach, out);
}

const struct split_policy split_natural = { "natural", "aligned powers of two", natural_split };
