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
};

#endif
