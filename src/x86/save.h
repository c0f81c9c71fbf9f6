/* save.h - an operand of many words: described as a list, probed whole, then moved word by word. */
#ifndef X86_SAVE_H
#define X86_SAVE_H

#include "vcpu.h"

enum { SAVE_BYTES = 2560, SAVE_WORDS = 384 };

struct save {
    uint8_t image[SAVE_BYTES];    /* as in memory; only the words listed count */
    unsigned words;
    struct { uint16_t at; uint8_t width; } word[SAVE_WORDS];
};

/* Where in memory. */
struct save_place {
    uint64_t linear;
    unsigned options;             /* ACCESS_STACK */
};

/* From a helper's arguments (lift_x87.c). */
struct save_place save_place(uint64_t linear, uint64_t shape);

/* Lists `bytes` as words of 8, the last one as narrow as it has to be. */
void save_list(struct save *s, unsigned at, unsigned bytes);
void save_word(struct save *s, unsigned at, unsigned width);
/* The same with contents. */
void save_put(struct save *s, unsigned at, unsigned width, uint64_t value);
uint64_t save_get(const struct save *s, unsigned at, unsigned width);

/*
 * save_probe - may all of [0, bytes) be accessed?
 *
 * Reports the lowest faulting page's first byte.  An EPYC reports the operand's last byte for this group
 * (fxsave +511, xsave +831); neither is architectural.
 */
bool save_probe(struct vcpu *v, struct save_place p, unsigned bytes, unsigned intent);

/* After save_probe: cannot fault. */
void save_load(struct vcpu *v, struct save_place p, struct save *s);
void save_store(struct vcpu *v, struct save_place p, struct save *s);

/* -- x87 state (help_x87.c) -- */

/* ES and B follow the exception flags and masks (SDM 1 8.1.3). */
void x87_summarise(struct x87 *x);
void x87_init(struct x87 *x);
bool x87_is_init(const struct x87 *x);
static inline unsigned x87_top(const struct x87 *x) { return x->status >> 11 & 7; }

/* Components in use: not in their initial configuration (SDM 1 13.6). */
uint64_t save_in_use(const struct cpu *c);

#endif
