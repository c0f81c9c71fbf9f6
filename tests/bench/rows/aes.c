/* aes.c - AES-128 in counter mode with AESENC, and base64 with PSHUFB. */
#include "guest.h"

#define BYTES (32 * 1024)
typedef long long x2 __attribute__((vector_size(16)));
typedef char b16 __attribute__((vector_size(16)));
typedef int w4 __attribute__((vector_size(16)));
typedef short h8 __attribute__((vector_size(16)));
static u8 in[BYTES] __attribute__((aligned(16))), out[BYTES / 3 * 4 + 64] __attribute__((aligned(16)));

static int aes_setup(void)
{
    u32 state = 5;

    for (u32 i = 0; i < BYTES; i++)
        in[i] = (u8)(random_next(&state) >> 24);
    return enable_vectors(16) && cpuid(1, 2) >> 25 & 1 && cpuid(1, 2) >> 9 & 1;
}

static u32 sum_of(u32 bytes)
{
    u32 sum = 0;

    for (u32 i = 0; i < bytes; i += 16)
        sum = mix(sum, *(const u32 *)(const void *)(out + i));
    return sum;
}

/* Round keys that are made up: the work is the same. */
static u32 aes_round(void)
{
    x2 key[11], counter = { 1, 0 };

    for (u32 i = 0; i < 11; i++)
        key[i] = (x2){ (long long)(0x0123456789abcdefull * (i + 1)), (long long)(0xfedcba9876543210ull - i) };
    for (u32 i = 0; i < BYTES; i += 16) {
        x2 state = counter ^ key[0];

        for (u32 n = 1; n < 10; n++)
            state = __builtin_ia32_aesenc128(state, key[n]);
        state = __builtin_ia32_aesenclast128(state, key[10]);
        *(x2 *)(void *)(out + i) = *(const x2 *)(const void *)(in + i) ^ state;
        counter += (x2){ 1, 0 };
    }
    return sum_of(BYTES);
}

/* 12 bytes become 16 letters: spread, cut into sixes, add what stands in a table for each range. */
static b16 letters(b16 v)
{
    const b16 spread = { 1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10 };
    const b16 shift = { 65, 71, -4, -4, -4, -4, -4, -4, -4, -4, -4, -4, -19, -16, 0, 0 };
    w4 w = (w4)__builtin_ia32_pshufb128(v, spread);
    h8 high = __builtin_ia32_pmulhw128((h8)(w & 0x0fc0fc00), (h8)((w4){ 0 } + 0x04000040)), low = (h8)(w & 0x003f03f0) * (h8)((w4){ 0 } + 0x01000010);
    b16 six = (b16)high | (b16)low, range = __builtin_ia32_psubusb128(six, (b16){ 0 } + 51);

    range -= (b16)(six > 25);
    return six + __builtin_ia32_pshufb128(shift, range);
}

static u32 base64_round(void)
{
    u32 o = 0;

    for (u32 i = 0; i + 16 <= BYTES; i += 12, o += 16) {
        b16 v;

        __builtin_memcpy(&v, in + i, 16);
        *(b16 *)(void *)(out + o) = letters(v);
    }
    return sum_of(o);
}

ROW(aes, .group = "vector", .unit = "KiB", .units = BYTES / 1024, .setup = aes_setup, .round = aes_round);
ROW(base64, .group = "vector", .unit = "KiB", .units = BYTES / 1024, .setup = aes_setup, .round = base64_round);
