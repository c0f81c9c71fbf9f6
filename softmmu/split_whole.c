/* split_whole.c - the default: what the region takes goes to it as it is; the rest in as few pieces as can be. */
#include "split.h"

static unsigned whole_reach(const struct access *access, const struct piece *piece, unsigned from, unsigned left,
                            unsigned arg, enum split_reason *reason)
{
    (void)access, (void)piece, (void)from, (void)arg, (void)reason;
    return left;
}

static void whole_split(const struct access *access, unsigned arg, struct split_list *out)
{
    split_exactly(access, arg, whole_reach, out);
}

const struct split_policy split_whole = { "whole", "what the region takes, uncut", whole_split };
