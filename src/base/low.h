/*
 * low.h - memory below 2 GiB, where a 32-bit displacement reaches it.
 *
 * The JIT's code addresses a vcpu's fields without a base register, so whoever creates a vcpu that the JIT shall run
 * allocates it here.
 */
#ifndef BASE_LOW_H
#define BASE_LOW_H

#include "base/bits.h"

/* Zeroed memory, below 2 GiB where the host has room there, else anywhere; aborts when there is none at all. */
void *low_alloc(size_t size);
void low_free(void *p, size_t size);

static inline bool low_reaches(const void *p, size_t size) { return (uintptr_t)p + size < (UINT64_C(1) << 31); }

#endif
