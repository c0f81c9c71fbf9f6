/* wide.h - up to 64 bytes as one value: the data of a transaction, a ZMM register.  Little endian. */
#ifndef BASE_WIDE_H
#define BASE_WIDE_H

#include <stdint.h>

#define WIDE_BYTES 64

union wide {
    uint8_t b[64];
    uint16_t h[32];
    uint32_t w[16];
    uint64_t q[8];
} __attribute__((aligned(16))); /* no 16 bytes of it lie in two cache lines */

/* The low 1, 2, 4 or 8 bytes, loaded as wide as they were stored: the processor waits where that differs. */
static inline uint64_t wide_word(const union wide *wide, unsigned width)
{
    switch (width) {
    case 1: return wide->b[0];
    case 2: return wide->h[0];
    case 4: return wide->w[0];
    default: return wide->q[0];
    }
}

#endif
