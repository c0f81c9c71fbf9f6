/* low.c - memory below 2 GiB. */
#include "base/low.h"

#include <stdlib.h>
#include <sys/mman.h>

void *low_alloc(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

    if (p == MAP_FAILED)
        p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        abort();
    return p;
}

void low_free(void *p, size_t size)
{
    if (p)
        munmap(p, size);
}
