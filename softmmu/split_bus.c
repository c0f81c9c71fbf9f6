/* split_bus.c - a bus of N bytes: nothing crosses a multiple of N; within one beat, what the region takes. */
#include "split.h"

static unsigned bus_reach(const struct access *access, const struct piece *piece, unsigned from, unsigned left,
                          unsigned arg, enum split_reason *reason)
{
    unsigned room = arg - (piece->gpa + (from - piece->at)) % arg;

    (void)access;
    if (room >= left)
        return left;
    *reason = SPLIT_WIDTH;
    return room;
}

static void bus_split(const struct access *access, unsigned arg, struct split_list *out)
{
    split_exactly(access, arg ? arg : 8, bus_reach, out);
}

const struct split_policy split_bus = { "bus", "a bus of N bytes (bus:4 .. bus:64)", bus_split };
