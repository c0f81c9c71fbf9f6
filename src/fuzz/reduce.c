/*
 * reduce.c - greedy: whatever can go without the difference going with it, goes.
 *
 * Each change is made to a copy, which becomes the case if it still shows the difference.
 */
#include "fuzz/reduce.h"

#include "fuzz/encode.h"
#include "x86/flags.h"
#include "x86/save.h"

#include <stdlib.h>
#include <string.h>

struct reduction {
    struct fuzz_case *c, *smaller;
    reduce_test *shows;
    void *opaque;
};

static void copy_case(struct fuzz_case *to, const struct fuzz_case *from)
{
    memcpy(to, from, offsetof(struct fuzz_case, memory));
    lines_copy(&to->memory, &from->memory);
}

/* Keeps what has been done to the copy if it shows the same. */
static bool keep(struct reduction *r)
{
    bool kept = r->shows(r->opaque, r->smaller);

    if (kept)
        copy_case(r->c, r->smaller);
    else
        copy_case(r->smaller, r->c);
    return kept;
}

/* -- instructions ----------------------------------------------------------------------------------------------------------- */

/* The instruction a branch leads to: c->insns for the end. */
static unsigned branch_target(const struct fuzz_case *c, const struct insn *i, unsigned end)
{
    unsigned to = end + (unsigned)i->op[0].immediate, n = 0;

    while (n < c->insns && c->insn[n].at < to)
        n++;
    return n;
}

/* Without instruction `out`: what led to it leads to the one behind it. */
static bool drop_instruction(const struct fuzz_case *c, unsigned out, struct fuzz_case *d)
{
    unsigned target[FUZZ_INSNS], n = 0;

    d->bytes = 0;
    for (unsigned i = 0; i < c->insns; i++) {
        const struct fuzz_insn *from = &c->insn[i];
        unsigned to = branch_target(c, &from->insn, from->at + from->insn.length);

        if (i == out)
            continue;
        target[n] = to - (to > out);
        d->insn[n] = *from;
        d->insn[n].at = d->bytes;
        memmove(d->code + d->bytes, c->code + from->at, from->insn.length);
        d->bytes = (uint16_t)(d->bytes + from->insn.length);
        n++;
    }
    d->insns = (uint8_t)n;
    for (unsigned i = 0; i < n; i++) {
        const struct insn *insn = &d->insn[i].insn;
        unsigned to = target[i] < n ? d->insn[target[i]].at : d->bytes;

        if (encode_is_branch(insn))
            encode_branch(insn, d->bits, d->code + d->insn[i].at, to - d->insn[i].at - insn->length);
    }
    return generate_decode(d);
}

static void fewer_instructions(struct reduction *r)
{
    for (unsigned i = r->c->insns; r->c->insns > 1 && i--;) {
        if (drop_instruction(r->c, i, r->smaller))
            keep(r);
        else
            copy_case(r->smaller, r->c);
    }
}

/* -- state ------------------------------------------------------------------------------------------------------------------ */

static void simpler_general(struct reduction *r)
{
    for (unsigned i = 0; i < GPRS; i++) {
        uint64_t *slot = &r->smaller->cpu.slot[i];

        if (!*slot)
            continue;
        *slot = 0;
        if (keep(r))
            continue;
        *slot &= 0xff;
        keep(r);
    }
}

static void simpler_vectors(struct reduction *r)
{
    for (unsigned i = 0; i < 32; i++) {
        memset(&r->smaller->cpu.zmm[i], 0, WIDE_BYTES);
        if (keep(r))
            continue;
        for (unsigned q = 8; q--;) {
            r->smaller->cpu.zmm[i].q[q] = 0;
            keep(r);
        }
    }
    for (unsigned i = 0; i < 8; i++) {
        r->smaller->cpu.k[i] = 0;
        keep(r);
    }
}

static void simpler_x87(struct reduction *r)
{
    struct x87 *x = &r->smaller->cpu.x87;

    x87_init(x);
    if (keep(r))
        return;
    for (unsigned i = 0; i < 8; i++) {
        x->significand[i] = x->exponent[i] = 0;
        keep(r);
    }
    x->control = 0x37f;
    keep(r);
}

static void simpler_control(struct reduction *r)
{
    r->smaller->cpu.mxcsr = 0x1f80;
    keep(r);
    cpu_set_rflags(&r->smaller->cpu, FLAG_IF);
    if (keep(r))
        return;
    for (unsigned bit = 0; bit < 12; bit++) {
        cpu_set_rflags(&r->smaller->cpu, cpu_rflags(&r->c->cpu) & ~BIT(bit));
        keep(r);
    }
}

static void simpler_memory(struct reduction *r)
{
    for (unsigned i = r->c->memory.n; i--;) {
        struct lines *l = &r->smaller->memory;

        l->n--;
        l->at[i] = l->at[l->n];
        memcpy(l->line[i], l->line[l->n], LINE_BYTES);
        if (keep(r))
            continue;
        memset(l->line[i], 0, LINE_BYTES);
        if (keep(r))
            continue;
        for (unsigned q = 0; q < LINE_BYTES; q += 8) {
            memset(l->line[i] + q, 0, 8);
            keep(r);
        }
    }
}

void reduce(struct fuzz_case *c, reduce_test *shows, void *opaque)
{
    struct reduction r = { .c = c, .smaller = malloc(sizeof(*c)), .shows = shows, .opaque = opaque };

    if (!r.smaller)
        abort();
    copy_case(r.smaller, c);
    fewer_instructions(&r);
    simpler_memory(&r);
    simpler_vectors(&r);
    simpler_x87(&r);
    simpler_control(&r);
    simpler_general(&r);
    free(r.smaller);
}
