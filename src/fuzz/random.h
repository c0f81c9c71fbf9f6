/* random.h - numbers that depend on a seed and a case alone (SplitMix64). */
#ifndef FUZZ_RANDOM_H
#define FUZZ_RANDOM_H

#include <stdint.h>

struct random { uint64_t state; };

static inline uint64_t random_next(struct random *r)
{
    uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static inline struct random random_for(uint64_t seed, uint64_t number)
{
    struct random r = { seed * UINT64_C(0xd1342543de82ef95) + 1 };

    r.state ^= random_next(&r) + number * UINT64_C(0x2545f4914f6cdd1d);
    random_next(&r);
    return r;
}

/* 0 to n - 1; true once in n. */
static inline unsigned random_below(struct random *r, unsigned n) { return (unsigned)((random_next(r) >> 32) * n >> 32); }
static inline int random_one_in(struct random *r, unsigned n) { return !random_below(r, n); }

#endif
