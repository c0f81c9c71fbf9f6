/* vop.c - carrying out a vector operation: operands, masks, what becomes zero, SIMD floating-point exceptions. */
#include "x86/vop.h"

#include "x86/flags.h"
#include "x86/helpers.h"
#include "x86/vop_float.h"

#include <string.h>

const struct vop vops[VOPS] = {
#define VOP(name, element, shrink, result, flags) { #name, vop_##name, element, shrink, RESULT_##result, flags },
#include "x86/vops.def"
#undef VOP
};

static void *place(struct cpu *c, unsigned p) { return (char *)c + vec_place_offset(p); }

/* MMX and opmask registers are 8 bytes, have neighbours, and are not aligned as a vector is. */
static bool is_short(unsigned p) { return p >= PLACE_MMX; }

/* The operand, or a copy where it is not a whole vector as it stands. */
static const union wide *operand(struct cpu *c, unsigned p, union wide *copy)
{
    static const union wide none;

    if (p == PLACE_NONE)
        return &none;
    if (!is_short(p))
        return place(c, p);
    *copy = (union wide){ .q = { 0 } };
    memcpy(copy, place(c, p), 8);
    return copy;
}

static void repeat(union wide *copy, const union wide *from, unsigned unit)
{
    memcpy(copy, from, unit);
    for (unsigned n = unit; n < WIDE_BYTES; n *= 2)
        memcpy(&copy->b[n], copy, n);
}

/* Lanes the mask leaves out stay as they are, or become zero. */
static void merge(struct vec_call *call, uint8_t *d, unsigned element)
{
    for (unsigned i = 0; i < call->lanes; i++) {
        if (call->active >> i & 1)
            memcpy(&d[i * element], &call->r.b[i * element], element);
        else if (call->word.zeroing)
            memset(&d[i * element], 0, element);
    }
}

static bool is_scalar(const struct vop *op, union vec_word w) { return op->result == RESULT_SCALAR || w.scalar; }

static void put_vector(struct vec_call *call, const struct vop *op)
{
    uint8_t *d = place(&call->v->cpu, call->word.d);
    unsigned out = call->out;

    if (is_scalar(op, call->word)) {
        union wide rest = *call->a;

        merge(call, d, op->element);
        if (!(op->flags & VOP_REST))
            memcpy(&d[op->element], &rest.b[op->element], 16u - op->element);
        out = 16;
    } else if (call->word.mask) {
        merge(call, d, op->element);
    } else {
        memcpy(d, &call->r, out);
    }
    if (!call->word.keep)
        memset(&d[out], 0, WIDE_BYTES - out);
    else if (out < call->width && !is_short(call->word.d))
        memset(&d[out], 0, call->width - out);
}

static bool is_mmx(unsigned place) { return place >= PLACE_MMX && place < PLACE_MMX + 8; }

/*
 * False, with the fault: an exception that is not masked.  By then an instruction on an MMX register has made all eight
 * valid: so does a Zen 4; the manuals do not say.
 */
static bool put_exceptions(struct vec_call *call)
{
    struct cpu *c = &call->v->cpu;

    if (!call->raised || call->word.suppress)
        return true;
    c->mxcsr |= call->raised;
    if (!(call->raised & ~(c->mxcsr >> MXCSR_MASKS_SHIFT) & FP_ALL))
        return true;
    if (is_mmx(call->word.d) || is_mmx(call->word.a) || is_mmx(call->word.b))
        help_mmx_use(call->v, 8);
    return vcpu_raise(call->v, c->cr4 & CR4_OSXMMEXCPT ? EXCEPTION_XM : EXCEPTION_UD);
}

uint64_t help_vop(struct vcpu *v, uint64_t general, uint64_t imm)
{
    union vec_word w = { .imm = (int64_t)imm };
    const struct vop *op = &vops[w.op];
    struct cpu *c = &v->cpu;
    union wide copy[5];
    struct vec_call call; /* no initialiser: it would clear `r` first, for every instruction */

    call.v = v;
    call.word = w;
    call.general = general;
    call.flags = 0;
    call.raised = 0;
    call.width = 1u << w.width;
    call.out = call.width / op->shrink;
    call.lanes = is_scalar(op, w) ? 1 : call.out / op->element;
    call.active = (w.mask ? c->k[w.mask] : UINT64_MAX) & bits_mask(call.lanes);
    call.imm = (uint8_t)w.imm8;
    call.a = operand(c, w.a, &copy[0]);
    call.b = operand(c, w.b, &copy[1]);
    call.c = operand(c, w.c, &copy[2]);
    if (w.broadcast) {
        repeat(&copy[3], call.b, 1u << w.unit);
        call.b = &copy[3];
    }
    call.r = *operand(c, w.d, &copy[4]);
    op->function(&call);
    if (op->flags & VOP_FLOAT && !put_exceptions(&call))
        return 0;
    switch (op->result) {
    case RESULT_BITS: c->k[w.d - PLACE_MASK] = call.r.q[0] & call.active; break;
    case RESULT_OPMASK: c->k[w.d - PLACE_MASK] = bits_trunc(call.r.q[0], call.width); break;
    case RESULT_FLAGS: flags_put(c, call.flags); break;
    case RESULT_GENERAL: break;
    default: put_vector(&call, op);
    }
    return call.general;
}
