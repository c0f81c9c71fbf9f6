/*
 * exclusion.h - how CPUs that run at the same time keep out of each other's way.
 *
 * RAM is everybody's at once, as the guest's own locks have it.  Two things are not:
 *
 *     devices   one access at a time, with all its fragments; what drives devices from outside waits too
 *     others    the map, the marks of translated code, TLBs and translations: looked at without asking, so who changes
 *               them for all makes the others stand still first; and so does a locked access over the end of a page
 *
 * A CPU stands still between two instructions, or within an access, where it waits for devices: as if a device's DMA were the
 * one to change things.  Who wants both takes devices first.  Both nest.
 */
#ifndef SOFTMMU_EXCLUSION_H
#define SOFTMMU_EXCLUSION_H

#include "base/bits.h"

struct exclusion {
    void (*devices)(struct exclusion *x, bool on);
    void (*others)(struct exclusion *x, bool still);
};

/* NULL: there is one thread. */
static inline void exclusion_devices(struct exclusion *x, bool on)
{
    if (unlikely(x != NULL))
        x->devices(x, on);
}

static inline void exclusion_others(struct exclusion *x, bool still)
{
    if (unlikely(x != NULL))
        x->others(x, still);
}

/* What this CPU has written is seen before what it reads next. */
static inline void exclusion_fence(const struct exclusion *x)
{
    if (unlikely(x != NULL))
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

#endif
