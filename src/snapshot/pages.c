/*
 * pages.c - which pages of a guest's RAM have anything but zeros in them.
 *
 * Most of it nobody has touched, and looking would make the host map it: the kernel is asked first
 * (Documentation/admin-guide/mm/pagemap.rst).  Where it does not say, all is looked at.
 */
#include "snapshot/pages.h"

#include "types.h"

#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <unistd.h>

enum { ENTRIES = 512 };
#define ENTRY_THERE (UINT64_C(3) << 62) /* present, or swapped out */

/* Entries of the pages from `page` on; false: nothing is known. */
static bool pages_ask(int fd, const uint8_t *page, uint64_t *entry, size_t n)
{
    off_t at = (off_t)((uintptr_t)page / PAGE_BYTES * sizeof(*entry));

    return fd >= 0 && pread(fd, entry, n * sizeof(*entry), at) == (ssize_t)(n * sizeof(*entry));
}

static bool page_is_zero(const uint8_t *page) { return !*page && !memcmp(page, page + 1, PAGE_BYTES - 1); }

uint8_t *pages_used(const uint8_t *ram, uint64_t pages, uint64_t *used)
{
    int fd = sysconf(_SC_PAGESIZE) == PAGE_BYTES ? open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC) : -1;
    uint8_t *map = g_malloc0(pages);
    uint64_t entry[ENTRIES];

    *used = 0;
    for (uint64_t i = 0; i < pages; i += ENTRIES) {
        size_t n = bits_min(ENTRIES, pages - i);
        bool known = pages_ask(fd, ram + i * PAGE_BYTES, entry, n);

        for (size_t j = 0; j < n; j++) {
            map[i + j] = (!known || entry[j] & ENTRY_THERE) && !page_is_zero(ram + (i + j) * PAGE_BYTES);
            *used += map[i + j];
        }
    }
    if (fd >= 0)
        close(fd);
    return map;
}
