/*
 * code.h - which guest-physical pages hold translated code.
 *
 * A write to such a page, by a CPU or by DMA, reaches code_written() before the next instruction runs; the owner
 * of the translations drops them.  The mark is kept by 64-byte lines, so
 * that data beside code costs little, and stays until code_unmark() clears its page.
 */
#ifndef SOFTMMU_CODE_H
#define SOFTMMU_CODE_H

#include "types.h"

enum { CODE_PAGES_NEAR = 512, CODE_LINE_BYTES = 64 };

struct code {
    uint64_t *lines;   /* a word a page: one bit for each 64 bytes of it */
    uint16_t *marked;  /* how many pages of each 2 MiB have a bit set */
    uint64_t pages;
    void (*dropped)(void *opaque, uint64_t gpa, unsigned width);
    void *opaque;
};

/* Does the page hold translated code? */
static inline bool code_present(const struct code *code, uint64_t gpa)
{
    uint64_t page = gpa / PAGE_BYTES;

    return code && page < code->pages && code->lines[page];
}

/* The same of any page in the 2 MiB around gpa. */
static inline bool code_present_near(const struct code *code, uint64_t gpa)
{
    uint64_t page = gpa / PAGE_BYTES;

    return code && page < code->pages && code->marked[page / CODE_PAGES_NEAR];
}

void code_init(struct code *code, void (*dropped)(void *opaque, uint64_t gpa, unsigned width), void *opaque);
void code_free(struct code *code);

/* Marks [gpa, gpa + size), which lies in one page.  True if the page had no mark before.  For mmu_mark_code(). */
bool code_mark(struct code *code, uint64_t gpa, uint64_t size);
void code_unmark(struct code *code, uint64_t gpa);

/* Is any of [gpa, gpa + width) marked?  It may cross a page. */
bool code_hit(const struct code *code, uint64_t gpa, unsigned width);

/* Memory at [gpa, gpa + width) has been written: width 1..64, may cross a page. */
void code_written(struct code *code, uint64_t gpa, unsigned width);

#endif
