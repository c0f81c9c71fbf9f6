/* lines.c - lists of lines. */
#include "native/lines.h"

#include <string.h>

static int find(const struct lines *l, unsigned line)
{
    for (unsigned i = 0; i < l->n; i++)
        if (l->at[i] == line)
            return (int)i;
    return -1;
}

static void add(struct lines *l, unsigned line, const uint8_t *bytes)
{
    l->at[l->n] = (uint16_t)line;
    memcpy(l->line[l->n++], bytes, LINE_BYTES);
}

uint8_t *lines_get(struct lines *l, const uint8_t *image, unsigned offset)
{
    int i = find(l, offset / LINE_BYTES);

    if (i >= 0)
        return l->line[i];
    add(l, offset / LINE_BYTES, image + offset / LINE_BYTES * LINE_BYTES);
    return l->line[l->n - 1];
}

/* How many of n bytes from here on are in the same line. */
static unsigned stretch(unsigned offset, unsigned n)
{
    unsigned room = LINE_BYTES - offset % LINE_BYTES;

    return n < room ? n : room;
}

void lines_write(struct lines *l, const uint8_t *image, unsigned offset, const uint8_t *bytes, unsigned n)
{
    for (unsigned part; n; n -= part, offset += part, bytes += part) {
        part = stretch(offset, n);
        memcpy(lines_get(l, image, offset) + offset % LINE_BYTES, bytes, part);
    }
}

void lines_read(const struct lines *l, const uint8_t *image, unsigned offset, uint8_t *bytes, unsigned n)
{
    for (unsigned part; n; n -= part, offset += part, bytes += part) {
        int i = find(l, offset / LINE_BYTES);

        part = stretch(offset, n);
        memcpy(bytes, i >= 0 ? &l->line[i][offset % LINE_BYTES] : image + offset, part);
    }
}

void lines_find(struct lines *l, const uint8_t *image, unsigned offset, const uint8_t *memory, unsigned bytes)
{
    enum { BLOCK = 1024 };

    for (unsigned block = 0, end; block < bytes; block = end) {
        end = block + BLOCK < bytes ? block + BLOCK : bytes;
        if (!memcmp(image + offset + block, memory + block, end - block))
            continue;
        for (unsigned i = block; i < end; i += LINE_BYTES)
            if (memcmp(image + offset + i, memory + i, LINE_BYTES))
                add(l, (offset + i) / LINE_BYTES, memory + i);
    }
}

static int first_difference(unsigned line, const uint8_t *a, const uint8_t *b)
{
    for (unsigned i = 0; i < LINE_BYTES; i++)
        if (a[i] != b[i])
            return (int)(line * LINE_BYTES + i);
    return -1;
}

int lines_compare(const struct lines *a, const struct lines *b, const uint8_t *image)
{
    for (unsigned i = 0, j = 0; i < a->n || j < b->n;) {
        unsigned x = i < a->n ? a->at[i] : LINES_MAX, y = j < b->n ? b->at[j] : LINES_MAX, line = x < y ? x : y;
        const uint8_t *from = image + line * LINE_BYTES;
        int at = first_difference(line, x == line ? a->line[i] : from, y == line ? b->line[j] : from);

        if (at >= 0)
            return at;
        i += x == line;
        j += y == line;
    }
    return -1;
}

void lines_copy(struct lines *to, const struct lines *from)
{
    to->n = from->n;
    memcpy(to->at, from->at, from->n * sizeof(from->at[0]));
    memcpy(to->line, from->line, from->n * sizeof(from->line[0]));
}
