/*
 * lines.h - memory as a list of the 64-byte lines in which it differs from an image.
 *
 * A short piece of code touches few of the bytes it could.  What it begins with and what it leaves behind are lists of
 * lines, and only those are copied, compared and stored.
 */
#ifndef NATIVE_LINES_H
#define NATIVE_LINES_H

#include <stdbool.h>
#include <stdint.h>

enum { LINE_BYTES = 64, LINES_MAX = 9 * 64 /* of NATIVE_PAGES */ };

struct lines {
    unsigned n;
    uint16_t at[LINES_MAX];              /* which: its offset in the image, in lines */
    uint8_t line[LINES_MAX][LINE_BYTES];
};

/* The line that holds byte `offset`, from the image if it is not in the list yet. */
uint8_t *lines_get(struct lines *l, const uint8_t *image, unsigned offset);

/* Bytes of the memory; they may lie in several lines. */
void lines_write(struct lines *l, const uint8_t *image, unsigned offset, const uint8_t *bytes, unsigned n);
void lines_read(const struct lines *l, const uint8_t *image, unsigned offset, uint8_t *bytes, unsigned n);

/* Adds what differs between `bytes` of memory, a multiple of 64, and the image from byte `offset` on, where it belongs. */
void lines_find(struct lines *l, const uint8_t *image, unsigned offset, const uint8_t *memory, unsigned bytes);

/* Of two lists in ascending order: the first byte in which the memories differ; -1: none. */
int lines_compare(const struct lines *a, const struct lines *b, const uint8_t *image);

void lines_copy(struct lines *to, const struct lines *from);

#endif
