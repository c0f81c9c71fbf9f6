/* sieve.c - Eratosthenes' sieve over 256 KiB: byte stores at a growing stride, tight counted loops. */
#include "guest.h"

#define NUMBERS (256 * 1024)
static u8 composite[NUMBERS];

static u32 sieve_round(void)
{
    u32 primes = 0;

    for (u32 i = 0; i < NUMBERS; i++)
        composite[i] = 0;
    for (u32 i = 2; i < NUMBERS; i++) {
        if (composite[i])
            continue;
        primes++;
        for (u32 j = i + i; j < NUMBERS; j += i)
            composite[j] = 1;
    }
    return primes;
}

ROW(sieve, .group = "integer", .unit = "sieve", .units = 1, .round = sieve_round);
