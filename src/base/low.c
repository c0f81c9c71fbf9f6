/* low.c - memory below 2 GiB. */
#include "base/low.h"

#include <stdlib.h>
#include <sys/mman.h>

/* The leak check does not look for pointers in what mmap() gave, unless it is told to. */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#else
#define __lsan_register_root_region(p, size) ((void)(p), (void)(size))
#define __lsan_unregister_root_region(p, size) ((void)(p), (void)(size))
#endif

void *low_alloc(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

    if (p == MAP_FAILED)
        p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        abort();
    __lsan_register_root_region(p, size);
    return p;
}

void low_free(void *p, size_t size)
{
    if (!p)
        return;
    __lsan_unregister_root_region(p, size);
    munmap(p, size);
}
