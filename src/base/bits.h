/* bits.h - bit fields, alignment and sign extension.  No state, no dependencies. */
#ifndef BASE_BITS_H
#define BASE_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BIT(n) (UINT64_C(1) << (n))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define KIB(n) ((uint64_t)(n) << 10)
#define MIB(n) ((uint64_t)(n) << 20)
#define GIB(n) ((uint64_t)(n) << 30)

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* The low n bits set, n = 0..64. */
static inline uint64_t bits_mask(unsigned n) { return n >= 64 ? ~UINT64_C(0) : BIT(n) - 1; }

/* The `count` bits of v from bit `from` up. */
static inline uint64_t bits_get(uint64_t v, unsigned from, unsigned count) { return v >> from & bits_mask(count); }

/* v with its low `width` bytes kept; width = 0..8. */
static inline uint64_t bits_trunc(uint64_t v, unsigned width) { return v & bits_mask(width * 8); }

/* The low `width` bytes of v as a signed number; width = 1..8. */
static inline int64_t bits_sext(uint64_t v, unsigned width)
{
    unsigned shift = 64 - width * 8;
    return (int64_t)(v << shift) >> shift;
}

static inline bool bits_is_pow2(uint64_t v) { return v && !(v & (v - 1)); }
static inline uint64_t bits_align_down(uint64_t v, uint64_t pow2) { return v & ~(pow2 - 1); }
static inline uint64_t bits_align_up(uint64_t v, uint64_t pow2) { return (v + pow2 - 1) & ~(pow2 - 1); }
static inline uint64_t bits_min(uint64_t a, uint64_t b) { return a < b ? a : b; }
static inline uint64_t bits_max(uint64_t a, uint64_t b) { return a > b ? a : b; }

#endif
