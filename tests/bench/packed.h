/* packed.h - the rows of packed16.c, packed32.c and packed64.c: a vector's width is WIDTH. */
#include "guest.h"

#define BYTES (32 * 1024)
#define VECTORS (BYTES / WIDTH)
#define PASTE(a, b) a##b
#define NAME(a, b) PASTE(a, b)
#define PACKED_ROW(id, ...) ROW(id, __VA_ARGS__)
typedef float floats __attribute__((vector_size(WIDTH)));
typedef u32 ints __attribute__((vector_size(WIDTH)));
typedef unsigned short halves __attribute__((vector_size(WIDTH)));
static u8 from[BYTES] __attribute__((aligned(64))), to[BYTES] __attribute__((aligned(64)));

static int setup(void)
{
    u32 state = 3;

    for (u32 i = 0; i < BYTES; i++)
        from[i] = (u8)(random_next(&state) >> 24);
    return enable_vectors(WIDTH);
}

static u32 sum_of(const u8 *bytes)
{
    u32 sum = 0;

    for (u32 i = 0; i < BYTES; i += 64)
        sum = mix(sum, *(const u32 *)(const void *)(bytes + i));
    return sum;
}

/* y = y * 0.75 + x, of numbers that stay small */
static u32 floats_round(void)
{
    floats *y = (floats *)(void *)to;
    const ints *x = (const ints *)(const void *)from;

    for (u32 i = 0; i < VECTORS; i++)
        y[i] = (floats){ 0 };
    for (u32 n = 0; n < 20; n++)
        for (u32 i = 0; i < VECTORS; i++)
            y[i] = y[i] * 0.75f + __builtin_convertvector((__typeof__(int __attribute__((vector_size(WIDTH)))))(x[i] >> 24), floats);
    return sum_of(to);
}

static u32 ints_round(void)
{
    halves *y = (halves *)(void *)to;
    const halves *x = (const halves *)(const void *)from;

    for (u32 i = 0; i < VECTORS; i++)
        y[i] = (halves){ 0 };
    for (u32 n = 0; n < 20; n++)
        for (u32 i = 0; i < VECTORS; i++)
            y[i] = (y[i] + x[i]) * 13 ^ y[i] >> 3;
    return sum_of(to);
}

static u32 copy_round(void)
{
    const ints *x = (const ints *)(const void *)from;
    ints *y = (ints *)(void *)to;

    for (u32 n = 0; n < 40; n++) {
        for (u32 i = 0; i < VECTORS; i++)
            y[i] = x[i];
        __asm__ volatile("" ::: "memory");
    }
    return sum_of(to);
}

#define KIB(times) (BYTES / 1024 * (times))
PACKED_ROW(NAME(floats, WIDTH), .group = "vector", .unit = "KiB", .units = KIB(20), .setup = setup, .round = floats_round);
PACKED_ROW(NAME(ints, WIDTH), .group = "vector", .unit = "KiB", .units = KIB(20), .setup = setup, .round = ints_round);
PACKED_ROW(NAME(copy, WIDTH), .group = "vector", .unit = "KiB", .units = KIB(40), .setup = setup, .round = copy_round);
