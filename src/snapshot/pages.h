/* pages.h - which pages of a guest's RAM have anything but zeros in them. */
#ifndef SNAPSHOT_PAGES_H
#define SNAPSHOT_PAGES_H

#include <stdint.h>

/* A byte for each of `pages` pages of 4 KiB: 1 if the page is not zero; *used is how many are.  g_free() it. */
uint8_t *pages_used(const uint8_t *ram, uint64_t pages, uint64_t *used);

#endif
