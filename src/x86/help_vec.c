/*
 * help_vec.c - vector moves under masks, gathers and scatters, and moves between general and vector registers.
 *
 * A masked operand is one access with byte enables: bytes that are masked off are neither read, written nor
 * translated.  Gathers and scatters are element by element and keep what they have done when an element faults:
 * the mask then names the rest.
 *
 * Spec: SDM 1 15.6; SDM 2 2.7, 2.8 (exception types), VGATHER*, VSCATTER*, VPMASKMOV, MASKMOVDQU.
 */
#include "x86/helpers.h"

#include "x86/segment.h"
#include "x86/vec.h"

#include <string.h>

static union vec_shape shape_of(uint64_t imm) { return (union vec_shape){ .imm = (int64_t)imm }; }

static unsigned shape_lanes(union vec_shape s) { return 1u << (s.width - s.element); }

/* -- lanes ---------------------------------------------------------------------------------------------------------- */

static uint64_t sign_bits(const uint8_t *from, unsigned element, unsigned lanes)
{
    uint64_t bits = 0;

    for (unsigned i = 0; i < lanes; i++)
        bits |= (uint64_t)(from[(i + 1) * element - 1] >> 7) << i;
    return bits;
}

/* One bit for each of the register's lanes. */
static uint64_t enabled_lanes(const struct cpu *c, union vec_shape s, unsigned lanes)
{
    if (s.by_sign)
        return sign_bits(c->zmm[s.mask].b, 1u << s.element, lanes);
    return (s.mask ? c->k[s.mask] : UINT64_MAX) & bits_mask(lanes);
}

/* Lanes to bytes. */
static uint64_t lane_bytes(uint64_t lanes, unsigned log2)
{
    uint64_t bytes = 0;

    for (unsigned i = 0; i < 64u >> log2; i++)
        if (lanes >> i & 1)
            bytes |= bits_mask(1u << log2) << (i << log2);
    return bytes;
}

/* Which bytes of the memory operand the instruction uses. */
static uint64_t memory_bytes(union vec_shape s, uint64_t lanes)
{
    uint64_t folded = 0, unit = bits_mask(1u << (s.memory - s.element));

    if (s.packing == VEC_PACKED)
        return bits_mask((unsigned)__builtin_popcountll(lanes) << s.element);
    for (unsigned i = 0; i < shape_lanes(s); i += 1u << (s.memory - s.element))
        folded |= lanes >> i & unit; /* a broadcast: wanted by any of its copies */
    return lane_bytes(folded, s.element);
}

static void copy_bytes(uint8_t *to, const uint8_t *from, unsigned width, uint64_t enables)
{
    for (unsigned i = 0; i < width; i++)
        if (enables >> i & 1)
            to[i] = from[i];
}

static union wide *shape_register(struct cpu *c, union vec_shape s)
{
    return (union wide *)(void *)((char *)c + vec_place_offset(s.reg));
}

/* Enabled lanes of the value into the register; the others stay or become zero. */
static void blend(struct cpu *c, union vec_shape s, const union wide *value, uint64_t lanes)
{
    uint64_t bytes = lane_bytes(lanes, s.element);
    unsigned width = 1u << s.width;

    copy_bytes(shape_register(c, s)->b, value->b, width, bytes);
    if (s.zeroing)
        copy_bytes(shape_register(c, s)->b, (const uint8_t[WIDE_BYTES]){ 0 }, width, ~bytes);
}

static union wide compressed(const union wide *from, unsigned log2, uint64_t lanes)
{
    union wide to = { .q = { 0 } };
    unsigned n = 0;

    for (unsigned i = 0; i < 64u >> log2; i++)
        if (lanes >> i & 1)
            memcpy(&to.b[n++ << log2], &from->b[i << log2], (size_t)1 << log2);
    return to;
}

static union wide expanded(const union wide *from, unsigned log2, uint64_t lanes)
{
    union wide to = { .q = { 0 } };
    unsigned n = 0;

    for (unsigned i = 0; i < 64u >> log2; i++)
        if (lanes >> i & 1)
            memcpy(&to.b[i << log2], &from->b[n++ << log2], (size_t)1 << log2);
    return to;
}

/* -- masked memory --------------------------------------------------------------------------------------------------- */

static uint64_t segment_base(const struct vcpu *v, unsigned segment)
{
    bool flat = v->cpu.mode & MODE_CODE64 && segment != SEG_FS && segment != SEG_GS;

    return flat ? 0 : v->cpu.seg[segment].base;
}

static unsigned access_intent(const struct access *a, unsigned segment)
{
    return (a->type == TRANSACTION_LOAD ? ACCESS_READ : ACCESS_WRITE) | (segment == SEG_SS ? ACCESS_STACK : 0);
}

/* Sets gva, if the bytes of `span`, which is not empty, are within the segment. */
static bool span_linear(struct vcpu *v, struct access *a, unsigned segment, uint64_t offset, uint64_t span)
{
    unsigned first = (unsigned)__builtin_ctzll(span), last = 63u - (unsigned)__builtin_clzll(span);
    uint64_t linear;

    if (!segment_linear(v, segment, offset + first, last - first + 1, access_intent(a, segment) & 3, &linear))
        return false;
    a->gva = linear - first;
    return true;
}

/*
 * masked_access - the enabled bytes of one operand, all or none.
 *
 * a         type, form, width, element, flags, enables; data for a store
 * offset    effective address of byte 0
 * aligned   #GP whatever the mask: alignment is not subject to fault suppression (SDM 2 type E1)
 * probe_all a byte that is masked off faults too
 */
static bool masked_access(struct vcpu *v, struct access *a, unsigned segment, uint64_t offset, bool aligned, bool probe_all)
{
    bool load = a->type == TRANSACTION_LOAD;
    unsigned intent = access_intent(a, segment);
    uint64_t span = probe_all ? bits_mask(a->width) : a->enables;
    uint8_t *host;

    if (aligned && (segment_base(v, segment) + offset) & (a->width - 1u))
        return vcpu_raise_error(v, EXCEPTION_GP, 0);
    if (!span)
        return true;
    if (!span_linear(v, a, segment, offset, span))
        return false;
    if (probe_all && !access_probe(&v->mmu, a->gva, a->width, intent))
        return vcpu_raise_mmu(v);
    if (!a->enables)
        return true;
    host = tlb_hit(&v->mmu, a->gva, a->width, load ? TLB_READ : TLB_WRITE);
    if (host && !v->mmu.align_check) {
        copy_bytes(load ? a->data.b : host, load ? host : a->data.b, a->width, a->enables);
        return true;
    }
    if (!access_prepare(&v->mmu, a, intent))
        return vcpu_raise_mmu(v);
    access_perform(&v->mmu, a);
    return true;
}

static void masked_operand(struct access *a, enum transaction_type type, union vec_shape s, uint64_t enables)
{
    access_begin(a, type, 0, 1u << s.memory);
    a->form = FORM_MASKED;
    a->element = (uint8_t)(1u << s.element);
    a->flags = TRANSACTION_MASKED;
    a->enables = enables;
}

uint64_t help_vec_load(struct vcpu *v, uint64_t offset, uint64_t imm)
{
    union vec_shape s = shape_of(imm);
    uint64_t lanes = enabled_lanes(&v->cpu, s, shape_lanes(s));
    union wide value;
    struct access a;

    masked_operand(&a, TRANSACTION_LOAD, s, memory_bytes(s, lanes));
    if (!masked_access(v, &a, s.segment, offset, s.aligned, s.packing == VEC_PROBE_ALL))
        return 0;
    value = a.data;
    for (unsigned n = 1u << s.memory; n < 1u << s.width; n *= 2)
        memcpy(&value.b[n], &value.b[0], n);
    if (s.packing == VEC_PACKED)
        value = expanded(&value, s.element, lanes);
    blend(&v->cpu, s, &value, lanes);
    return 1;
}

uint64_t help_vec_store(struct vcpu *v, uint64_t offset, uint64_t imm)
{
    union vec_shape s = shape_of(imm);
    uint64_t lanes = enabled_lanes(&v->cpu, s, shape_lanes(s));
    struct access a;

    masked_operand(&a, TRANSACTION_STORE, s, memory_bytes(s, lanes));
    memcpy(&a.data, &shape_register(&v->cpu, s)->b[s.part * 16], (size_t)1 << s.memory);
    if (s.packing == VEC_PACKED)
        a.data = compressed(&a.data, s.element, lanes);
    copy_bytes(a.data.b, (const uint8_t[WIDE_BYTES]){ 0 }, WIDE_BYTES, ~a.enables);
    return masked_access(v, &a, s.segment, offset, s.aligned, s.packing == VEC_PROBE_ALL);
}

/* Would help_vec_store() fault?  For what has to know before it raises an exception of its own. */
uint64_t help_vec_probe(struct vcpu *v, uint64_t offset, uint64_t imm)
{
    union vec_shape s = shape_of(imm);
    struct access a;

    masked_operand(&a, TRANSACTION_STORE, s, memory_bytes(s, enabled_lanes(&v->cpu, s, shape_lanes(s))));
    if (!a.enables)
        return 1;
    return span_linear(v, &a, s.segment, offset, a.enables) &&
           (access_prepare(&v->mmu, &a, access_intent(&a, s.segment)) || vcpu_raise_mmu(v));
}

/*
 * MASKMOVQ (width 3), MASKMOVDQU (width 4).  What is masked off does not fault, which SDM 2 leaves to the
 * implementation (an EPYC translates the whole operand).
 */
uint64_t help_maskmov(struct vcpu *v, uint64_t offset, uint64_t imm)
{
    union vec_shape s = shape_of(imm);
    unsigned width = 1u << s.width;
    const struct cpu *c = &v->cpu;
    const uint8_t *mask = width == 8 ? (const uint8_t *)&c->x87.significand[s.mask & 7] : c->zmm[s.mask].b;
    struct access a;

    access_begin(&a, TRANSACTION_STORE, 0, width);
    a.form = FORM_MASKMOV;
    a.element = 1;
    a.flags = TRANSACTION_MASKED | TRANSACTION_NON_TEMPORAL;
    a.enables = sign_bits(mask, 1, width);
    copy_bytes(a.data.b, width == 8 ? (const uint8_t *)&c->x87.significand[s.reg & 7] : c->zmm[s.reg].b, width, a.enables);
    return masked_access(v, &a, s.segment, offset, false, false);
}

/* -- between registers -------------------------------------------------------------------------------------------------- */

uint64_t help_vec_blend(struct vcpu *v, uint64_t imm)
{
    union vec_shape s = shape_of(imm);

    blend(&v->cpu, s, &v->cpu.scratch, enabled_lanes(&v->cpu, s, shape_lanes(s)));
    return 1;
}

/* The enabled lanes go to the bottom; what is above them stays or becomes zero. */
uint64_t help_vec_compress(struct vcpu *v, uint64_t imm)
{
    union vec_shape s = shape_of(imm);
    uint64_t lanes = enabled_lanes(&v->cpu, s, shape_lanes(s));
    union wide value = compressed(&v->cpu.zmm[s.index], s.element, lanes);

    blend(&v->cpu, s, &value, bits_mask((unsigned)__builtin_popcountll(lanes)));
    return 1;
}

uint64_t help_vec_expand(struct vcpu *v, uint64_t imm)
{
    union vec_shape s = shape_of(imm);
    uint64_t lanes = enabled_lanes(&v->cpu, s, shape_lanes(s));
    union wide value = expanded(&v->cpu.zmm[s.index], s.element, lanes);

    blend(&v->cpu, s, &value, lanes);
    return 1;
}

/* On cpu.scratch, all of it: what is beyond the vector length is not used. */
uint64_t help_vec_dup(struct vcpu *v, uint64_t kind)
{
    union wide *x = &v->cpu.scratch;

    for (unsigned i = 0; i < 8; i++)
        if (kind != VEC_DUP_DOUBLE)
            x->w[i * 2 + (kind == VEC_DUP_EVEN)] = x->w[i * 2 + (kind == VEC_DUP_ODD)];
        else if (i & 1)
            x->q[i] = x->q[i - 1];
    return 1;
}

/* imm: vec_state(). */
uint64_t help_vec_set(struct vcpu *v, uint64_t value, uint64_t imm)
{
    memcpy((uint8_t *)&v->cpu + (uint32_t)imm, &value, imm >> 32);
    return 1;
}

uint64_t help_vec_get(struct vcpu *v, uint64_t imm)
{
    uint64_t value = 0;

    memcpy(&value, (const uint8_t *)&v->cpu + (uint32_t)imm, imm >> 32);
    return value;
}

/* imm: vec_state(), its width being lanes and, from bit 8, element bytes. */
uint64_t help_vec_signs(struct vcpu *v, uint64_t imm)
{
    return sign_bits((const uint8_t *)&v->cpu + (uint32_t)imm, (unsigned)(imm >> 40), imm >> 32 & 0xff);
}

/* -- gathers and scatters ---------------------------------------------------------------------------------------------------- */

static bool element_linear(struct vcpu *v, union vec_shape s, uint64_t base, unsigned i, unsigned intent, uint64_t *linear)
{
    const union wide *x = &v->cpu.zmm[s.index];
    int64_t index = s.index_element == 3 ? (int64_t)x->q[i] : (int32_t)x->w[i];
    uint64_t offset = bits_trunc(base + ((uint64_t)index << s.scale), s.address_size);

    return segment_linear(v, s.segment, offset, 1u << s.element, intent, linear);
}

static bool element_load(struct vcpu *v, uint64_t linear, void *to, unsigned width, unsigned options)
{
    const uint8_t *host = tlb_hit(&v->mmu, linear, width, TLB_READ);

    if (host && !v->mmu.align_check) {
        memcpy(to, host, width);
        return true;
    }
    return access_load(&v->mmu, linear, to, width, FORM_ELEMENT, options) || vcpu_raise_mmu(v);
}

static bool element_store(struct vcpu *v, uint64_t linear, const void *from, unsigned width, unsigned options)
{
    uint8_t *host = tlb_hit(&v->mmu, linear, width, TLB_WRITE);

    if (host && !v->mmu.align_check) {
        memcpy(host, from, width);
        return true;
    }
    return access_store(&v->mmu, linear, from, width, FORM_ELEMENT, options) || vcpu_raise_mmu(v);
}

/* Element i is behind us: its bit of the opmask, or its lane of the vector mask, is cleared. */
static void lane_done(struct cpu *c, union vec_shape s, unsigned i)
{
    if (s.by_sign)
        memset(&c->zmm[s.mask].b[i << s.element], 0, (size_t)1 << s.element);
    else
        c->k[s.mask] &= ~BIT(i);
}

static void mask_done(struct cpu *c, union vec_shape s)
{
    if (s.by_sign)
        c->zmm[s.mask] = (union wide){ .q = { 0 } };
    else
        c->k[s.mask] = 0;
}

static void zero_above(union wide *x, unsigned from)
{
    if (from < WIDE_BYTES)
        memset(&x->b[from], 0, WIDE_BYTES - from);
}

/*
 * What lies above the lanes becomes zero in the end.  AVX-512 forms zero what is above their vector length with the first
 * element already, as an EPYC does.
 */
uint64_t help_vec_gather(struct vcpu *v, uint64_t base, uint64_t imm)
{
    union vec_shape s = shape_of(imm);
    struct cpu *c = &v->cpu;
    uint64_t lanes = enabled_lanes(c, s, s.count), linear;
    unsigned width = 1u << s.element, options = s.segment == SEG_SS ? ACCESS_STACK : 0;
    unsigned length = s.count << bits_max(s.element, s.index_element);

    for (unsigned i = 0; i < s.count; i++) {
        if (lanes >> i & 1) {
            if (!element_linear(v, s, base, i, ACCESS_READ, &linear) ||
                !element_load(v, linear, &c->zmm[s.reg].b[i * width], width, options))
                return 0;
            if (!s.by_sign)
                zero_above(&c->zmm[s.reg], length);
        }
        lane_done(c, s, i);
    }
    mask_done(c, s);
    zero_above(&c->zmm[s.reg], s.count * width);
    return 1;
}

uint64_t help_vec_scatter(struct vcpu *v, uint64_t base, uint64_t imm)
{
    union vec_shape s = shape_of(imm);
    struct cpu *c = &v->cpu;
    uint64_t lanes = enabled_lanes(c, s, s.count), linear;
    unsigned width = 1u << s.element, options = s.segment == SEG_SS ? ACCESS_STACK : 0;

    for (unsigned i = 0; i < s.count; i++) {
        if (!(lanes >> i & 1))
            continue;
        if (!element_linear(v, s, base, i, ACCESS_WRITE, &linear) ||
            !element_store(v, linear, &c->zmm[s.reg].b[i * width], width, options))
            return 0;
        lane_done(c, s, i);
    }
    mask_done(c, s);
    return 1;
}
