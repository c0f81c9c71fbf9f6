/* smc.c - self-modifying code: an instruction's immediate is written, then it runs. */
#include "guest.h"

#define TIMES 500
static u8 code[4096] __attribute__((aligned(4096))) = { 0xb8, 0, 0, 0, 0, 0xc3 }; /* mov $0, %eax; ret */

static u32 smc_round(void)
{
    u32 (*function)(void) = (u32(*)(void))(unsigned long)code;
    u32 sum = 0;

    for (u32 i = 0; i < TIMES; i++) {
        *(volatile u32 *)(code + 1) = i * 7;
        __asm__ volatile("" ::: "memory");
        sum += function();
    }
    return sum;
}

ROW(smc, .group = "system", .unit = "change", .units = TIMES, .round = smc_round);
