/* nbody87.c - a moon round a sun that stands still, in double precision on the x87: memory operands, divisions, roots. */
#include "guest.h"

#define STEPS 20000
static double place[3], speed[3];

static int nbody87_setup(void)
{
    __asm__ volatile("fninit");
    return 1;
}

static void step(void)
{
    long double d2 = 0.01, pull;

    for (u32 i = 0; i < 3; i++)
        d2 += place[i] * place[i];
    pull = 0.001 / (d2 * __builtin_sqrtl(d2));
    for (u32 i = 0; i < 3; i++) {
        speed[i] -= place[i] * pull;
        place[i] += speed[i] * 0.001;
    }
}

static u32 nbody87_round(void)
{
    u32 sum = 0;

    for (u32 i = 0; i < 3; i++) {
        place[i] = 1 + (int)i * 0.25;
        speed[i] = 0.5 - (int)i * 0.5;
    }
    for (u32 i = 0; i < STEPS; i++)
        step();
    for (u32 i = 0; i < 3; i++)
        sum = mix(sum, (u32)(int)(place[i] * 1e6));
    return sum;
}

ROW(nbody87, .group = "x87", .unit = "step", .units = STEPS, .setup = nbody87_setup, .round = nbody87_round);
