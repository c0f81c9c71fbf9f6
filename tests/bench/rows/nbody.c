/* nbody.c - four moons and a sun, SSE2 double: dependent additions and multiplications, a division, a root. */
#include "guest.h"

#define BODIES 5
#define STEPS 2000
static struct body {
    double x, y, z, vx, vy, vz, mass;
} body[BODIES];

static int nbody_setup(void) { return enable_vectors(16); }

static void begin(void)
{
    u32 state = 7;

    for (u32 i = 0; i < BODIES; i++) {
        double *v = &body[i].x;

        for (u32 k = 0; k < 6; k++)
            v[k] = (double)(int)random_next(&state) / (k < 3 ? 2e8 : 4e9);
        body[i].mass = i ? 1.0 / (1 << i) : 40;
    }
}

static void step(double dt)
{
    for (u32 i = 0; i < BODIES; i++)
        for (u32 k = i + 1; k < BODIES; k++) {
            struct body *a = &body[i], *b = &body[k];
            double dx = a->x - b->x, dy = a->y - b->y, dz = a->z - b->z, d2 = dx * dx + dy * dy + dz * dz + 0.01;
            double mag = dt / (d2 * __builtin_sqrt(d2));

            a->vx -= dx * b->mass * mag, a->vy -= dy * b->mass * mag, a->vz -= dz * b->mass * mag;
            b->vx += dx * a->mass * mag, b->vy += dy * a->mass * mag, b->vz += dz * a->mass * mag;
        }
    for (u32 i = 0; i < BODIES; i++) {
        body[i].x += dt * body[i].vx;
        body[i].y += dt * body[i].vy;
        body[i].z += dt * body[i].vz;
    }
}

static u32 nbody_round(void)
{
    u32 sum = 0;

    begin();
    for (u32 i = 0; i < STEPS; i++)
        step(0.001);
    for (u32 i = 0; i < BODIES; i++)
        sum = mix(sum, (u32)(int)(body[i].x * 1e6));
    return sum;
}

ROW(nbody, .group = "vector", .unit = "step", .units = STEPS, .setup = nbody_setup, .round = nbody_round);
