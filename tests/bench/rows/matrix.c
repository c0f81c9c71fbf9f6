/* matrix.c - the product of two 80 x 80 integer matrices: multiplications, loads with strides. */
#include "guest.h"

#define N 80
static u32 a[N][N], b[N][N], c[N][N];

static int matrix_setup(void)
{
    u32 state = 2;

    for (u32 i = 0; i < N; i++)
        for (u32 j = 0; j < N; j++) {
            a[i][j] = random_next(&state) >> 16;
            b[i][j] = random_next(&state) >> 16;
        }
    return 1;
}

static u32 matrix_round(void)
{
    u32 sum = 0;

    for (u32 i = 0; i < N; i++)
        for (u32 j = 0; j < N; j++) {
            u32 v = 0;

            for (u32 k = 0; k < N; k++)
                v += a[i][k] * b[k][j];
            c[i][j] = v;
        }
    for (u32 i = 0; i < N; i++)
        sum = mix(sum, c[i][N - 1 - i]);
    return sum;
}

ROW(matrix, .group = "integer", .unit = "product", .units = 1, .setup = matrix_setup, .round = matrix_round);
