/* chase.c - a walk through 16 MiB in random order, 64 bytes a node: each load waits for the last, misses caches and TLB. */
#include "guest.h"

#define NODES (16 * 1024 * 1024 / 64)
static struct node {
    struct node *next;
    u32 id;
} __attribute__((aligned(64))) nodes[NODES];

/* One cycle through all nodes (Sattolo's algorithm); `id` is the permutation first. */
static int chase_setup(void)
{
    u32 state = 4;

    for (u32 i = 0; i < NODES; i++)
        nodes[i].id = i;
    for (u32 i = NODES - 1; i; i--) {
        u32 j = (random_next(&state) >> 8) % i, t = nodes[i].id;

        nodes[i].id = nodes[j].id;
        nodes[j].id = t;
    }
    for (u32 i = 0; i < NODES; i++)
        nodes[i].next = nodes + nodes[i].id;
    return 1;
}

static u32 chase_round(void)
{
    const struct node *n = nodes;
    u32 sum = 0;

    do {
        sum = sum * 3 + n->id;
        n = n->next;
    } while (n != nodes);
    return sum;
}

ROW(chase, .group = "integer", .unit = "node", .units = NODES, .setup = chase_setup, .round = chase_round);
