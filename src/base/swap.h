/*
 * swap.h - compare and exchange of the host's memory, at any address: what all of a guest's atomics can be made of.
 *
 * On an x86-64 host it is one LOCK CMPXCHG, over a cache line's end too (SDM 2 CMPXCHG).  On others it is not atomic, and CPUs
 * take turns there (SWAP_IS_ATOMIC).
 */
#ifndef BASE_SWAP_H
#define BASE_SWAP_H

#include "base/bits.h"

#include <string.h>

#ifdef __x86_64__
enum { SWAP_IS_ATOMIC = true };

#define SWAP_AS(type)                                                                                                  \
    do {                                                                                                               \
        type old_, new_;                                                                                               \
        bool done_;                                                                                                    \
                                                                                                                       \
        memcpy(&old_, old, sizeof(type));                                                                              \
        memcpy(&new_, new, sizeof(type));                                                                              \
        __asm__ volatile("lock cmpxchg %3, %1"                                                                         \
                         : "=@ccz"(done_), "+m"(*(type(*)[1])at), "+a"(old_)                                           \
                         : "r"(new_)                                                                                   \
                         : "memory");                                                                                  \
        memcpy(old, &old_, sizeof(type));                                                                              \
        return done_;                                                                                                  \
    } while (0)

static inline bool swap_16(void *at, uint64_t old[2], const uint64_t new[2])
{
    bool done;

    __asm__ volatile("lock cmpxchg16b %1"
                     : "=@ccz"(done), "+m"(*(uint64_t(*)[2])at), "+a"(old[0]), "+d"(old[1])
                     : "b"(new[0]), "c"(new[1])
                     : "memory");
    return done;
}

/* If 1, 2, 4 or 8 bytes at `at` are those at `old`, they become those at `new`; else `old` becomes what they are. */
static inline bool swap_word(void *at, void *old, const void *new, unsigned width)
{
    switch (width) {
    case 1: SWAP_AS(uint8_t);
    case 2: SWAP_AS(uint16_t);
    case 4: SWAP_AS(uint32_t);
    default: SWAP_AS(uint64_t);
    }
}

/* The same of any width that swap_takes(). */
static inline bool swap_bytes(void *at, void *old, const void *new, unsigned width)
{
    return width == 16 ? swap_16(at, old, new) : swap_word(at, old, new, width);
}
#else
enum { SWAP_IS_ATOMIC = false };

static inline bool swap_bytes(void *at, void *old, const void *new, unsigned width)
{
    bool equal = !memcmp(at, old, width);

    memcpy(equal ? at : old, equal ? new : at, width);
    return equal;
}

static inline bool swap_word(void *at, void *old, const void *new, unsigned width) { return swap_bytes(at, old, new, width); }
#endif

/* 16 bytes have to lie on a multiple of 16. */
static inline bool swap_takes(const void *at, unsigned width)
{
    return bits_is_pow2(width) && (width <= 8 || (width == 16 && !((uintptr_t)at & 15)));
}

#endif
