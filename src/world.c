/* world.c - CPUs that run at the same time: a lock, and a gate. */
#include "world.h"

/* Of this thread. */
static _Thread_local struct {
    bool inside;
    unsigned devices, still; /* how often it has asked */
} self;

static void gate_out(struct world *w)
{
    w->running--;
    pthread_cond_broadcast(&w->moved);
}

/* Not while somebody has the others stand still. */
static void gate_in(struct world *w)
{
    while (w->still)
        pthread_cond_wait(&w->moved, &w->gate);
    w->running++;
}

void world_enter(struct world *w)
{
    pthread_mutex_lock(&w->gate);
    gate_in(w);
    pthread_mutex_unlock(&w->gate);
    self.inside = true;
}

void world_leave(struct world *w)
{
    self.inside = false;
    pthread_mutex_lock(&w->gate);
    gate_out(w);
    pthread_mutex_unlock(&w->gate);
}

/* Who waits for it stands still. */
static void lock_devices(struct world *w)
{
    bool inside = self.inside;

    if (!pthread_mutex_trylock(&w->devices))
        return;
    if (inside)
        world_leave(w);
    pthread_mutex_lock(&w->devices);
    if (inside)
        world_enter(w);
}

static void world_devices(struct exclusion *x, bool on)
{
    struct world *w = (struct world *)x;

    if (on && !self.devices++)
        lock_devices(w);
    else if (!on && !--self.devices)
        pthread_mutex_unlock(&w->devices);
}

/* One at a time; those who wait for their turn stand still too. */
static void stand_still(struct world *w)
{
    pthread_mutex_lock(&w->gate);
    if (self.inside)
        gate_out(w);
    while (w->still)
        pthread_cond_wait(&w->moved, &w->gate);
    w->still = true;
    if (w->running)
        w->kick(w->opaque);
    while (w->running)
        pthread_cond_wait(&w->moved, &w->gate);
    pthread_mutex_unlock(&w->gate);
}

static void go_on(struct world *w)
{
    pthread_mutex_lock(&w->gate);
    w->still = false;
    if (self.inside)
        w->running++;
    pthread_cond_broadcast(&w->moved);
    pthread_mutex_unlock(&w->gate);
}

static void world_others(struct exclusion *x, bool still)
{
    struct world *w = (struct world *)x;

    if (still && !self.still++)
        stand_still(w);
    else if (!still && !--self.still)
        go_on(w);
}

void world_wait(struct world *w, pthread_cond_t *condition) { pthread_cond_wait(condition, &w->devices); }

void world_init(struct world *w, void (*kick)(void *opaque), void *opaque)
{
    *w = (struct world){ .exclusion = { world_devices, world_others }, .kick = kick, .opaque = opaque };
    pthread_mutex_init(&w->devices, NULL);
    pthread_mutex_init(&w->gate, NULL);
    pthread_cond_init(&w->moved, NULL);
}

void world_free(struct world *w)
{
    pthread_cond_destroy(&w->moved);
    pthread_mutex_destroy(&w->gate);
    pthread_mutex_destroy(&w->devices);
}
