/* mandelbrot87.c - the set on the x87, a point at a time to where it escapes: the register stack, a comparison each time round. */
#include "guest.h"

#define SIDE 96
#define DEPTH 96

static int mandelbrot87_setup(void)
{
    __asm__ volatile("fninit");
    return 1;
}

static u32 inside(int x, int y)
{
    long double cr = x * (3.0L / SIDE) - 2, ci = y * (3.0L / SIDE) - 1.5L, zr = 0, zi = 0, rr = 0, ii = 0;
    u32 n = 0;

    for (; n < DEPTH && rr + ii < 4; n++) {
        zi = (zr + zr) * zi + ci;
        zr = rr - ii + cr;
        rr = zr * zr;
        ii = zi * zi;
    }
    return n;
}

static u32 mandelbrot87_round(void)
{
    u32 sum = 0;

    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
            sum = mix(sum, inside(x, y));
    return sum;
}

ROW(mandelbrot87, .group = "x87", .unit = "point", .units = SIDE * SIDE, .setup = mandelbrot87_setup, .round = mandelbrot87_round);
