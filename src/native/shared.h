/* shared.h - between the two halves: native.c, and child.c, which runs the code. */
#ifndef NATIVE_SHARED_H
#define NATIVE_SHARED_H

#include "native/native.h"

struct native_shared {
    struct native_case slot[NATIVE_BATCH];
    uint32_t count;
    uint64_t components;
    enum native_page page[NATIVE_PAGES];
    unsigned pages;
    bool has_16_bit;
    uint8_t image[NATIVE_BYTES];
};

/* In the child; comes back with a message if it cannot begin, else never. */
const char *native_child(struct native_shared *shared, int commands, int answers);

#endif
