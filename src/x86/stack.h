/*
 * stack.h - a stack being pushed to or popped from, not yet committed.
 *
 * All functions that return bool set vcpu->fault and return false when the guest faults.
 */
#ifndef X86_STACK_H
#define X86_STACK_H

#include "x86/segment.h"

struct stack {
    struct vcpu *v;
    const struct segment *ss; /* the register; or, of a new stack, `own` */
    struct segment own;
    uint64_t sp;
    unsigned width;           /* of the stack pointer */
    unsigned options;         /* enum access_option */
};

/* The current one. */
static inline void stack_begin(struct stack *s, struct vcpu *v)
{
    const struct cpu *c = &v->cpu;

    s->v = v;
    s->ss = &c->seg[SEG_SS];
    s->width = likely(c->mode & MODE_CODE64) ? 8 : c->mode & MODE_STACK32 ? 4 : 2;
    s->sp = bits_trunc(c->slot[RSP], s->width);
    s->options = ACCESS_STACK;
}

static inline struct stack stack_current(struct vcpu *v)
{
    struct stack s;

    stack_begin(&s, v);
    return s;
}

/*
 * stack_of_tss - the stack a transfer to privilege `cpl` goes to.
 *
 * ist      IA-32e mode: 1..7 names a stack of the interrupt stack table; 0: that of the privilege
 * #TS and what loads of the TSS and of SS raise (SDM 3A 6.8.5, 7.14.2 to 7.14.5).
 */
bool stack_of_tss(struct stack *s, struct vcpu *v, unsigned cpl, unsigned ist);

bool stack_push(struct stack *s, unsigned width, uint64_t value);
bool stack_pop(struct stack *s, unsigned width, uint64_t *value);
bool stack_push_each(struct stack *s, unsigned width, const uint64_t *word, unsigned n);
bool stack_pop_each(struct stack *s, unsigned width, uint64_t *word, unsigned n);
/* Would `bytes` below (push) the stack pointer be writable? */
bool stack_probe(struct stack *s, unsigned bytes);
/* SP of the current SS becomes the stack's. */
void stack_commit(struct stack *s);

/* Words of 8 bytes that are plain memory, or NULL. */
static inline uint8_t *stack_plain(const struct stack *s, unsigned width, uint64_t sp, unsigned n, enum tlb_intent intent)
{
    return width == 8 && s->width == 8 ? access_plain(&s->v->mmu, sp, 8 * n, intent, s->options) : NULL;
}

/* n words at once, all or nothing, in the order of their addresses: word[n - 1] is the first to be pushed. */
static inline bool stack_push_words(struct stack *s, unsigned width, const uint64_t *word, unsigned n)
{
    uint8_t *host = stack_plain(s, width, s->sp - 8 * n, n, TLB_WRITE);

    if (unlikely(!host))
        return stack_push_each(s, width, word, n);
    for (unsigned i = 0; i < n; i++)
        memcpy(host + 8 * i, &word[i], 8);
    s->sp -= 8 * n;
    return true;
}

/* word[0] is the first to be popped. */
static inline bool stack_pop_words(struct stack *s, unsigned width, uint64_t *word, unsigned n)
{
    const uint8_t *host = stack_plain(s, width, s->sp, n, TLB_READ);

    if (unlikely(!host))
        return stack_pop_each(s, width, word, n);
    for (unsigned i = 0; i < n; i++)
        memcpy(&word[i], host + 8 * i, 8);
    s->sp += 8 * n;
    return true;
}

#endif
