/*
 * history.h - where branches went: the interpreter notes it, the JIT lays its blocks along it.
 *
 * A guess and no more: code made from a wrong one is slower, not wrong.
 */
#ifndef X86_HISTORY_H
#define X86_HISTORY_H

#include "base/bits.h"

enum { HISTORY_ENTRIES = 4096, HISTORY_SURE = 3 };

struct history {
    struct {
        uint64_t rip, next; /* of the branch; where it went, mostly */
        uint8_t sure;       /* 0..HISTORY_SURE */
    } entry[HISTORY_ENTRIES];
};

static inline unsigned history_index(uint64_t rip) { return (rip ^ rip >> 12) % HISTORY_ENTRIES; }

static inline void history_note(struct history *h, uint64_t rip, uint64_t next)
{
    unsigned i = history_index(rip);

    if (h->entry[i].rip == rip && h->entry[i].next == next) {
        h->entry[i].sure += h->entry[i].sure < HISTORY_SURE;
    } else if (h->entry[i].rip == rip && h->entry[i].sure) {
        h->entry[i].sure--;
    } else {
        h->entry[i].rip = rip;
        h->entry[i].next = next;
        h->entry[i].sure = 0;
    }
}

/* False: nothing is known of this branch. */
static inline bool history_next(const struct history *h, uint64_t rip, uint64_t *next)
{
    unsigned i = history_index(rip);

    *next = h->entry[i].next;
    return h->entry[i].rip == rip;
}

#endif
