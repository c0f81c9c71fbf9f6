/*
 * vop_text.c - PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM.  Spec: SDM 1 (SSE4.2), SDM 2 4.1.
 *
 *   imm   7  6       5 4        3 2           1 0
 *            output  polarity   aggregation   elements
 */
#include "x86/vop.h"

enum aggregation { EQUAL_ANY, RANGES, EQUAL_EACH, EQUAL_ORDERED };

struct text {
    int64_t a[16], b[16];
    unsigned a_length, b_length;
    unsigned n;            /* elements in 16 bytes */
};

/* -- operands ------------------------------------------------------------------------------------------------------ */

static int64_t element(const union wide *x, unsigned i, unsigned imm)
{
    switch (imm & 3) {
    case 0: return x->b[i];
    case 1: return x->h[i];
    case 2: return S8(x->b[i]);
    default: return S16(x->h[i]);
    }
}

/* Elements before the first that is zero. */
static unsigned implicit_length(const int64_t *x, unsigned n)
{
    unsigned length = 0;

    while (length < n && x[length])
        length++;
    return length;
}

/* The absolute value of so many bytes of a register, n at most. */
static unsigned explicit_length(uint64_t reg, unsigned width, unsigned n)
{
    int64_t length = bits_sext(reg, width);

    return (unsigned)bits_min(length < 0 ? 0 - (uint64_t)length : (uint64_t)length, n);
}

static struct text read_text(const struct vec_call *c)
{
    struct text t = { .n = c->imm & 1 ? 8 : 16 };

    for (unsigned i = 0; i < t.n; i++) {
        t.a[i] = element(c->a, i, c->imm);
        t.b[i] = element(c->b, i, c->imm);
    }
    return t;
}

static struct text implicit_text(const struct vec_call *c)
{
    struct text t = read_text(c);

    t.a_length = implicit_length(t.a, t.n);
    t.b_length = implicit_length(t.b, t.n);
    return t;
}

/* Lengths in EAX and EDX, or RAX and RDX. */
static struct text explicit_text(const struct vec_call *c)
{
    struct text t = read_text(c);

    t.a_length = explicit_length(c->v->cpu.slot[RAX], (unsigned)c->general, t.n);
    t.b_length = explicit_length(c->v->cpu.slot[RDX], (unsigned)c->general, t.n);
    return t;
}

/* -- comparison ---------------------------------------------------------------------------------------------------- */

static bool equal_any(const struct text *t, unsigned j)
{
    for (unsigned i = 0; i < t->a_length; i++)
        if (t->a[i] == t->b[j])
            return j < t->b_length;
    return false;
}

static bool in_ranges(const struct text *t, unsigned j)
{
    for (unsigned i = 0; i + 1 < t->a_length; i += 2)
        if (t->a[i] <= t->b[j] && t->b[j] <= t->a[i + 1])
            return j < t->b_length;
    return false;
}

/* Two that are both beyond their ends are equal. */
static bool equal_each(const struct text *t, unsigned j)
{
    if (j >= t->a_length || j >= t->b_length)
        return j >= t->a_length && j >= t->b_length;
    return t->a[j] == t->b[j];
}

/* Is a to be found at j, as far as b is there to tell? */
static bool equal_ordered(const struct text *t, unsigned j)
{
    for (unsigned i = 0; i < t->a_length && i + j < t->n; i++)
        if (i + j >= t->b_length || t->a[i] != t->b[i + j])
            return false;
    return true;
}

static bool matches(const struct text *t, enum aggregation aggregation, unsigned j)
{
    switch (aggregation) {
    case EQUAL_ANY: return equal_any(t, j);
    case RANGES: return in_ranges(t, j);
    case EQUAL_EACH: return equal_each(t, j);
    default: return equal_ordered(t, j);
    }
}

/* A bit for each element of b, and the flags (SDM 2 4.1.3 to 4.1.7). */
static uint64_t compare(struct vec_call *c, const struct text *t)
{
    uint64_t bits = 0;

    for (unsigned j = 0; j < t->n; j++)
        bits |= (uint64_t)matches(t, c->imm >> 2 & 3, j) << j;
    if (c->imm & 0x10)
        bits ^= bits_mask(c->imm & 0x20 ? t->b_length : t->n);
    c->flags = (bits ? FLAG_CF : 0) | (t->b_length < t->n ? FLAG_ZF : 0) | (t->a_length < t->n ? FLAG_SF : 0) |
               (bits & 1 ? FLAG_OF : 0);
    return bits;
}

/* -- results ------------------------------------------------------------------------------------------------------- */

static void put_index(struct vec_call *c, struct text t)
{
    uint64_t bits = compare(c, &t);

    c->v->cpu.slot[RCX] = !bits ? t.n : (uint64_t)(c->imm & 0x40 ? 63 - __builtin_clzll(bits) : __builtin_ctzll(bits));
}

static void put_mask(struct vec_call *c, struct text t)
{
    uint64_t bits = compare(c, &t);
    union wide *xmm0 = &c->v->cpu.zmm[0], mask = { .q = { c->imm & 0x40 ? 0 : bits } };

    for (unsigned i = 0; i < t.n && c->imm & 0x40; i++)
        if (bits >> i & 1 && c->imm & 1)
            mask.h[i] = UINT16_MAX;
        else if (bits >> i & 1)
            mask.b[i] = UINT8_MAX;
    xmm0->q[0] = mask.q[0];
    xmm0->q[1] = mask.q[1];
    for (unsigned i = 2; i < 8 && !c->word.keep; i++)
        xmm0->q[i] = 0;
}

void vop_text_explicit_index(struct vec_call *c) { put_index(c, explicit_text(c)); }
void vop_text_explicit_mask(struct vec_call *c) { put_mask(c, explicit_text(c)); }
void vop_text_implicit_index(struct vec_call *c) { put_index(c, implicit_text(c)); }
void vop_text_implicit_mask(struct vec_call *c) { put_mask(c, implicit_text(c)); }
