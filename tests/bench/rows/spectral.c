/* spectral.c - the spectral norm of a matrix that is computed as it is used, SSE2 double: conversions and divisions. */
#include "guest.h"

#define N 100
static double u[N], v[N], t[N];

static int spectral_setup(void) { return enable_vectors(16); }

static double a(u32 i, u32 j) { return 1.0 / (int)((i + j) * (i + j + 1) / 2 + i + 1); }

static void times(const double *x, double *y, int transposed)
{
    for (u32 i = 0; i < N; i++) {
        double sum = 0;

        for (u32 j = 0; j < N; j++)
            sum += (transposed ? a(j, i) : a(i, j)) * x[j];
        y[i] = sum;
    }
}

static u32 spectral_round(void)
{
    double uv = 0, vv = 0;

    for (u32 i = 0; i < N; i++)
        u[i] = 1;
    for (u32 i = 0; i < 10; i++) {
        times(u, t, 0), times(t, v, 1);
        times(v, t, 0), times(t, u, 1);
    }
    for (u32 i = 0; i < N; i++)
        uv += u[i] * v[i], vv += v[i] * v[i];
    return (u32)(int)(__builtin_sqrt(uv / vv) * 1e9);
}

ROW(spectral, .group = "vector", .unit = "product", .units = 40, .setup = spectral_setup, .round = spectral_round);
