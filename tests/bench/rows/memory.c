/* memory.c - 8-byte loops over 256 KiB: fill, copy, sum. */
#include "guest.h"

#define WORDS (256 * 1024 / 8)
static u64 from[WORDS], to[WORDS];

static u32 memory_round(void)
{
    u64 sum = 0;

    for (u32 n = 1; n <= 4; n++) {
        for (u32 i = 0; i < WORDS; i++)
            from[i] = i * 0x9e3779b97f4a7c15 + n;
        for (u32 i = 0; i < WORDS; i++)
            to[i] = from[i];
        for (u32 i = 0; i < WORDS; i++)
            sum += to[i];
        for (u32 i = 0; i < WORDS; i++)
            sum ^= from[i] + to[WORDS - 1 - i];
    }
    return (u32)(sum >> 32) ^ (u32)sum;
}

ROW(memory, .group = "integer", .unit = "KiB", .units = 4 * 256, .round = memory_round);
