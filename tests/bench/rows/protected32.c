/* protected32.c - four of the integer rows compiled for 32 bits; in guest32.elf and native32 only. */
#include "guest.h"

static const char *const parts[] = { "sieve", "crc", "quicksort", "bytecode" };

static int protected32_setup(void)
{
    for (u32 i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        const struct row *part = row_find(parts[i]);

        if (!part || (part->setup && !part->setup()))
            return 0;
    }
    return 1;
}

static u32 protected32_round(void)
{
    u32 sum = 0;

    for (u32 i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        sum = mix(sum, row_find(parts[i])->round());
    return sum;
}

ROW(protected32, .group = "integer", .unit = "round", .units = 1, .setup = protected32_setup, .round = protected32_round);
