/* ports.c - OUT to port 0x80, where nothing happens, and IN from the interrupt controller's mask. */
#include "guest.h"

#define TIMES 1000

static u32 portout_round(void)
{
    for (u32 i = 0; i < TIMES; i++)
        outb(0x80, (u8)i);
    return TIMES;
}

static u32 portin_round(void)
{
    u32 sum = 0;

    for (u32 i = 0; i < TIMES; i++)
        sum += inb(0x21);
    return sum;
}

ROW(portout, .group = "io", .unit = "access", .units = TIMES, .round = portout_round);
ROW(portin, .group = "io", .unit = "access", .units = TIMES, .round = portin_round);
