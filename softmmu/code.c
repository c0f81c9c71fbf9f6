/* code.c - which lines of which pages hold translated code. */
#include "code.h"

#include <stdlib.h>
#include <string.h>

void code_init(struct code *code, void (*dropped)(void *, uint64_t, unsigned), void *opaque)
{
    *code = (struct code){ .dropped = dropped, .opaque = opaque };
}

void code_free(struct code *code)
{
    free(code->lines);
    free(code->marked);
    *code = (struct code){ 0 };
}

static void code_grow(struct code *code, uint64_t pages)
{
    uint64_t *lines;
    uint16_t *marked;

    pages = bits_align_up(pages, 4096);
    lines = realloc(code->lines, pages * sizeof(*lines));
    marked = realloc(code->marked, pages / CODE_PAGES_NEAR * sizeof(*marked));
    if (!lines || !marked)
        abort();
    memset(lines + code->pages, 0, (pages - code->pages) * sizeof(*lines));
    memset(marked + code->pages / CODE_PAGES_NEAR, 0, (pages - code->pages) / CODE_PAGES_NEAR * sizeof(*marked));
    code->lines = lines;
    code->marked = marked;
    code->pages = pages;
}

/* The bits of the lines that [offset, offset + size) of a page touches. */
static uint64_t code_lines(uint64_t offset, uint64_t size)
{
    unsigned first = (unsigned)(offset / 64), last = (unsigned)(bits_min(offset + size, PAGE_BYTES) - 1) / 64;

    return bits_mask(last - first + 1) << first;
}

bool code_mark(struct code *code, uint64_t gpa, uint64_t size)
{
    uint64_t page = gpa / PAGE_BYTES;
    bool first;

    if (page >= code->pages)
        code_grow(code, page + 1);
    first = !code->lines[page];
    code->marked[page / CODE_PAGES_NEAR] += first;
    __atomic_fetch_or(&code->lines[page], code_lines(gpa & PAGE_OFFSET, size), __ATOMIC_SEQ_CST); /* another CPU may write there */
    return first;
}

void code_unmark(struct code *code, uint64_t gpa)
{
    uint64_t page = gpa / PAGE_BYTES;

    if (!code_present(code, gpa))
        return;
    code->marked[page / CODE_PAGES_NEAR]--;
    code->lines[page] = 0;
}

static bool code_hit_page(const struct code *code, uint64_t gpa, unsigned width)
{
    return code_present(code, gpa) && code->lines[gpa / PAGE_BYTES] & code_lines(gpa & PAGE_OFFSET, width);
}

bool code_hit(const struct code *code, uint64_t gpa, unsigned width)
{
    uint64_t next = bits_align_down(gpa, PAGE_BYTES) + PAGE_BYTES;

    return code_hit_page(code, gpa, width) || (gpa + width > next && code_hit_page(code, next, (unsigned)(gpa + width - next)));
}

void code_written(struct code *code, uint64_t gpa, unsigned width)
{
    if (code_hit(code, gpa, width))
        code->dropped(code->opaque, gpa, width);
}
