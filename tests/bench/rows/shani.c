/* shani.c - SHA-256 with SHA256RNDS2 and its relatives. */
#include "guest.h"

#define BYTES (16 * 1024)
typedef int w4 __attribute__((vector_size(16)));
typedef long long x2 __attribute__((vector_size(16)));
typedef char b16 __attribute__((vector_size(16)));
static u8 in[BYTES] __attribute__((aligned(16)));

static int shani_setup(void)
{
    u32 state = 7;

    for (u32 i = 0; i < BYTES; i++)
        in[i] = (u8)(random_next(&state) >> 24);
    return enable_vectors(16) && cpuid(7, 1) >> 29 & 1 && cpuid(1, 2) >> 9 & 1;
}

/* Round constants that are made up: the work is the same. */
static w4 constant(u32 i)
{
    return (w4){ (int)(0x428a2f98u + i * 0x9e3779b9u), (int)(0x71374491u ^ i * 0x85ebca6bu), (int)(0xb5c0fbcfu - i), (int)(0xe9b5dba5u + i * i) };
}

/* The next four words of the message: w is the oldest, z the newest. */
static w4 next_words(w4 w, w4 x, w4 y, w4 z)
{
    w4 middle = (w4)__builtin_ia32_palignr128((x2)z, (x2)y, 32);

    return __builtin_ia32_sha256msg2(__builtin_ia32_sha256msg1(w, x) + middle, z);
}

static void block(const w4 *k, const u8 *data, w4 *abef, w4 *cdgh)
{
    const b16 swap = { 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12 };
    w4 w[4], a = *abef, c = *cdgh;

    for (u32 i = 0; i < 4; i++)
        w[i] = (w4)__builtin_ia32_pshufb128(*(const b16 *)(const void *)(data + 16 * i), swap);
    for (u32 i = 0; i < 16; i++) {
        w4 sum = w[0] + k[i], next = next_words(w[0], w[1], w[2], w[3]);

        c = __builtin_ia32_sha256rnds2(c, a, sum);
        a = __builtin_ia32_sha256rnds2(a, c, __builtin_ia32_pshufd(sum, 0x0e));
        w[0] = w[1], w[1] = w[2], w[2] = w[3], w[3] = next;
    }
    *abef += a;
    *cdgh += c;
}

static u32 shani_round(void)
{
    w4 a = { 1, 2, 3, 4 }, c = { 5, 6, 7, 8 }, k[16];

    for (u32 i = 0; i < 16; i++)
        k[i] = constant(i);
    for (u32 i = 0; i < BYTES; i += 64)
        block(k, in + i, &a, &c);
    return mix(mix((u32)a[0], (u32)a[3]), mix((u32)c[1], (u32)c[2]));
}

ROW(shani, .group = "vector", .unit = "KiB", .units = BYTES / 1024, .setup = shani_setup, .round = shani_round);
