/* mandelbrot.c - the set, eight single-precision points at a time: AVX2 multiplications, comparisons, a mask. */
#include "guest.h"

#define SIDE 128
#define DEPTH 64
typedef float f8 __attribute__((vector_size(32)));
typedef int i8 __attribute__((vector_size(32)));

static int mandelbrot_setup(void) { return enable_vectors(32); }

static u32 inside(float x, float y)
{
    f8 cr = { x, x + 1, x + 2, x + 3, x + 4, x + 5, x + 6, x + 7 }, ci, zr = { 0 }, zi = { 0 };
    i8 count = { 0 };
    u32 sum = 0;

    cr = cr * (3.0f / SIDE) - 2;
    ci = (f8){ 0 } + (y * (3.0f / SIDE) - 1.5f);
    for (u32 n = 0; n < DEPTH; n++) {
        f8 rr = zr * zr, ii = zi * zi;

        zi = (zr + zr) * zi + ci;
        zr = rr - ii + cr;
        count -= rr + ii < 4;
    }
    for (u32 i = 0; i < 8; i++)
        sum += (u32)count[i];
    return sum;
}

static u32 mandelbrot_round(void)
{
    u32 sum = 0;

    for (u32 y = 0; y < SIDE; y++)
        for (u32 x = 0; x < SIDE; x += 8)
            sum = mix(sum, inside((float)x, (float)y));
    return sum;
}

ROW(mandelbrot, .group = "vector", .unit = "point", .units = SIDE * SIDE, .setup = mandelbrot_setup, .round = mandelbrot_round);
