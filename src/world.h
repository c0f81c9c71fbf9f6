/*
 * world.h - softmmu/exclusion.h for threads: one lock for devices, and a gate that a thread goes through to run guest code.
 */
#ifndef WORLD_H
#define WORLD_H

#include "exclusion.h"

#include <pthread.h>

struct world {
    struct exclusion exclusion; /* first, so that it can be cast back */
    pthread_mutex_t devices;
    pthread_mutex_t gate;       /* of what follows */
    pthread_cond_t moved;
    unsigned running;           /* threads inside, but for those that wait for devices or for others to stand still */
    bool still;                 /* somebody has all others stand still, or waits for that */
    void (*kick)(void *opaque); /* makes those inside come out soon */
    void *opaque;
};

void world_init(struct world *w, void (*kick)(void *opaque), void *opaque);
void world_free(struct world *w);

/* A thread runs guest code from here, when nobody wants it to stand still, to there. */
void world_enter(struct world *w);
void world_leave(struct world *w);

/* Waits for a condition with the lock for devices, which this thread has once: inside it is somebody else's. */
void world_wait(struct world *w, pthread_cond_t *condition);

#endif
