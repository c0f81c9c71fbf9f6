/*
 * help_save.c - MXCSR, FXSAVE and FXRSTOR, and the XSAVE family in standard and compacted format.
 *
 * A component's state counts as in use when it differs from its initial configuration; there is no modified
 * optimisation.  IA32_XSS has no bits, so XSAVES and XRSTORS differ from XSAVEC and XRSTOR in privilege and format
 * alone.  What is probed depends on the requested components only, as on hardware: init optimisation does not
 * shrink it.
 *
 * Spec: SDM 1 10.5, 13; SDM 2.
 */
#include "x86/helpers.h"

#include "x86/cpuid.h"
#include "x86/save.h"

#include <string.h>

enum { MXCSR_MASK = 0xffff, MXCSR_INIT = 0x1f80, HEADER = 512, EXTENDED = 576, COMPONENTS = 10 };

static bool gp(struct vcpu *v) { return vcpu_raise_error(v, EXCEPTION_GP, 0); }

uint64_t help_ldmxcsr(struct vcpu *v, uint64_t value, uint64_t imm)
{
    (void)imm;
    if ((uint32_t)value & ~(uint32_t)MXCSR_MASK)
        return gp(v);
    v->cpu.mxcsr = (uint32_t)value;
    vcpu_update(v);
    return 1;
}

/* -- lists of words ---------------------------------------------------------------------------------------------------- */

struct save_place save_place(uint64_t linear, uint64_t shape)
{
    return (struct save_place){ .linear = linear, .options = (shape & 0x100 ? ACCESS_STACK : 0) | ACCESS_NO_AC };
}

void save_word(struct save *s, unsigned at, unsigned width)
{
    s->word[s->words].at = (uint16_t)at;
    s->word[s->words++].width = (uint8_t)width;
}

void save_list(struct save *s, unsigned at, unsigned bytes)
{
    for (; bytes >= 8; at += 8, bytes -= 8)
        save_word(s, at, 8);
    if (bytes)
        save_word(s, at, bytes);
}

void save_put(struct save *s, unsigned at, unsigned width, uint64_t value)
{
    memcpy(s->image + at, &value, width);
    save_word(s, at, width);
}

uint64_t save_get(const struct save *s, unsigned at, unsigned width)
{
    uint64_t value = 0;

    memcpy(&value, s->image + at, width);
    return value;
}

static uint64_t save_linear(const struct vcpu *v, struct save_place p, unsigned at)
{
    return v->cpu.mode & MODE_CODE64 ? p.linear + at : (uint32_t)(p.linear + at);
}

bool save_probe(struct vcpu *v, struct save_place p, unsigned bytes, unsigned intent)
{
    for (unsigned at = 0; at < bytes;) {
        uint64_t linear = save_linear(v, p, at);

        if (!access_probe(&v->mmu, linear, 1, intent | p.options))
            return vcpu_raise_mmu(v);
        at += PAGE_BYTES - (unsigned)(linear & PAGE_OFFSET);
    }
    return true;
}

void save_load(struct vcpu *v, struct save_place p, struct save *s)
{
    for (unsigned i = 0; i < s->words; i++) {
        uint64_t linear = save_linear(v, p, s->word[i].at);
        const uint8_t *host = tlb_hit(&v->mmu, linear, s->word[i].width, TLB_READ);

        if (host)
            memcpy(s->image + s->word[i].at, host, s->word[i].width);
        else
            access_load(&v->mmu, linear, s->image + s->word[i].at, s->word[i].width, FORM_SAVE, p.options);
    }
}

void save_store(struct vcpu *v, struct save_place p, struct save *s)
{
    for (unsigned i = 0; i < s->words; i++) {
        uint64_t linear = save_linear(v, p, s->word[i].at);
        uint8_t *host = tlb_hit(&v->mmu, linear, s->word[i].width, TLB_WRITE);

        if (host)
            memcpy(host, s->image + s->word[i].at, s->word[i].width);
        else
            access_store(&v->mmu, linear, s->image + s->word[i].at, s->word[i].width, FORM_SAVE, p.options);
    }
}

/* -- the legacy region (SDM 1 table 10-2) --------------------------------------------------------------------------------- */

static unsigned xmm_count(uint64_t shape) { return shape & 0x400 ? 16 : 8; }

/* FCW, FSW, FTW, FOP, the two pointers (64 bits with REX.W, else offset and selector), ST0 to ST7. */
static void legacy_list_x87(struct save *s, uint64_t shape)
{
    for (unsigned at = 0; at < 8; at += 2)
        save_word(s, at, 2);
    for (unsigned at = 8; at < 24; at += 8) {
        if (shape & 0x200) {
            save_word(s, at, 8);
            continue;
        }
        save_word(s, at, 4);
        save_word(s, at + 4, 2);
        save_word(s, at + 6, 2);
    }
}

static void legacy_put_x87(struct save *s, const struct x87 *x, uint64_t shape)
{
    uint16_t words[] = { x->control, x->status, x->valid, x->opcode };

    memcpy(s->image, words, sizeof(words));
    memcpy(s->image + 8, &x->ip, 8);
    memcpy(s->image + 16, &x->dp, 8);
    if (!(shape & 0x200)) {
        memcpy(s->image + 12, (uint16_t[]){ x->cs, 0 }, 4);
        memcpy(s->image + 20, (uint16_t[]){ x->ds, 0 }, 4);
    }
    for (unsigned i = 0; i < 8; i++) { /* the reserved bytes above each are written as zero */
        unsigned reg = (x87_top(x) + i) & 7;

        memcpy(s->image + 32 + i * 16, &x->significand[reg], 8);
        memcpy(s->image + 40 + i * 16, &x->exponent[reg], 2);
    }
}

static void legacy_get_x87(const struct save *s, struct x87 *x, uint64_t shape)
{
    x->control = (uint16_t)((save_get(s, 0, 2) & 0x1f7f) | 0x40);
    x->status = (uint16_t)save_get(s, 2, 2);
    x->valid = (uint8_t)save_get(s, 4, 1);
    x->opcode = save_get(s, 6, 2) & 0x7ff;
    x->ip = save_get(s, 8, shape & 0x200 ? 8 : 4);
    x->dp = save_get(s, 16, shape & 0x200 ? 8 : 4);
    x->cs = shape & 0x200 ? 0 : (uint16_t)save_get(s, 12, 2);
    x->ds = shape & 0x200 ? 0 : (uint16_t)save_get(s, 20, 2);
    for (unsigned i = 0; i < 8; i++) {
        unsigned reg = (x87_top(x) + i) & 7;

        x->significand[reg] = save_get(s, 32 + i * 16, 8);
        x->exponent[reg] = (uint16_t)save_get(s, 40 + i * 16, 2);
    }
    x87_summarise(x);
}

static void legacy_put_mxcsr(struct save *s, const struct cpu *c)
{
    memcpy(s->image + 24, (uint32_t[]){ c->mxcsr, MXCSR_MASK }, 8);
}

static void legacy_put_xmm(struct save *s, const struct cpu *c, uint64_t shape)
{
    for (unsigned i = 0; i < xmm_count(shape); i++)
        memcpy(s->image + 160 + i * 16, &c->zmm[i], 16);
}

static void legacy_get_xmm(const struct save *s, struct cpu *c, uint64_t shape)
{
    for (unsigned i = 0; i < xmm_count(shape); i++)
        memcpy(&c->zmm[i], s->image + 160 + i * 16, 16);
}

/* Words of the legacy region, ascending. */
static void legacy_list(struct save *s, bool x87, bool mxcsr, bool xmm, uint64_t shape)
{
    if (x87)
        legacy_list_x87(s, shape);
    if (mxcsr) {
        save_word(s, 24, 4);
        save_word(s, 28, 4);
    }
    if (x87)
        save_list(s, 32, 128);
    if (xmm)
        save_list(s, 160, xmm_count(shape) * 16);
}

uint64_t help_fxsave(struct vcpu *v, uint64_t linear, uint64_t shape)
{
    struct save_place p = save_place(linear, shape);
    struct save s = { .words = 0 };

    if (linear & 15)
        return gp(v);
    if (!save_probe(v, p, 512, ACCESS_WRITE))
        return 0;
    legacy_put_x87(&s, &v->cpu.x87, shape);
    legacy_put_mxcsr(&s, &v->cpu);
    legacy_put_xmm(&s, &v->cpu, shape);
    legacy_list(&s, true, true, true, shape);
    save_store(v, p, &s);
    return 1;
}

uint64_t help_fxrstor(struct vcpu *v, uint64_t linear, uint64_t shape)
{
    struct save_place p = save_place(linear, shape);
    struct save s = { .words = 0 };

    if (linear & 15)
        return gp(v);
    if (!save_probe(v, p, 512, ACCESS_READ))
        return 0;
    legacy_list(&s, true, true, true, shape);
    save_load(v, p, &s);
    if (save_get(&s, 24, 4) & ~(uint64_t)MXCSR_MASK)
        return gp(v);
    legacy_get_x87(&s, &v->cpu.x87, shape);
    v->cpu.mxcsr = (uint32_t)save_get(&s, 24, 4);
    legacy_get_xmm(&s, &v->cpu, shape);
    vcpu_update(v);
    return 1;
}

/* -- extended components (SDM 1 13.5) ----------------------------------------------------------------------------------------- */

/* Bytes of component i that are saved in this mode; outside 64-bit mode registers 8 and up are left alone. */
static unsigned component_size(unsigned i, uint64_t shape)
{
    bool wide = shape & 0x400;

    switch (i) {
    case 2: return wide ? 256 : 128;
    case 5: return 64;
    case 6: return wide ? 512 : 256;
    case 7: return wide ? 1024 : 0;
    case 9: return 8;
    default: return 0;
    }
}

/* Bytes of a register that belong to component i, and how many registers from which. */
struct lanes {
    unsigned from, bytes, first;
};

static struct lanes component_lanes(unsigned i)
{
    switch (i) {
    case 2: return (struct lanes){ 16, 16, 0 };
    case 6: return (struct lanes){ 32, 32, 0 };
    default: return (struct lanes){ 0, 64, 16 };
    }
}

static void component_put(const struct cpu *c, unsigned i, uint8_t *to, unsigned size)
{
    struct lanes l = component_lanes(i);

    if (i == 5)
        memcpy(to, c->k, size);
    else if (i == 9)
        memcpy(to, (uint32_t[]){ c->pkru, 0 }, size);
    else
        for (unsigned n = 0; n < size / l.bytes; n++)
            memcpy(to + n * l.bytes, &c->zmm[l.first + n].b[l.from], l.bytes);
}

static void component_get(struct cpu *c, unsigned i, const uint8_t *from, unsigned size)
{
    struct lanes l = component_lanes(i);

    if (i == 5)
        memcpy(c->k, from, size);
    else if (i == 9)
        memcpy(&c->pkru, from, 4);
    else
        for (unsigned n = 0; n < size / l.bytes; n++)
            memcpy(&c->zmm[l.first + n].b[l.from], from + n * l.bytes, l.bytes);
}

static bool is_zero(const uint8_t *p, unsigned n)
{
    while (n && !*p)
        p++, n--;
    return !n;
}

uint64_t save_in_use(const struct cpu *c)
{
    uint64_t in_use = x87_is_init(&c->x87) ? 0 : XCR0_X87;
    uint8_t image[1024];

    for (unsigned i = 0; i < 16; i++)
        if (c->zmm[i].q[0] | c->zmm[i].q[1])
            in_use |= XCR0_SSE;
    for (unsigned i = 2; i < COMPONENTS; i++) {
        unsigned size = component_size(i, 0x400);

        if (!size)
            continue;
        component_put(c, i, image, size);
        if (!is_zero(image, size))
            in_use |= BIT(i);
    }
    return in_use;
}

/* Where component i is: standard format, or compacted with these components in the area. */
static unsigned component_at(unsigned i, bool compact, uint64_t format)
{
    unsigned at = EXTENDED;

    if (!compact)
        return xsave_components[i].offset;
    for (unsigned j = 2; j < i; j++)
        if (format >> j & 1)
            at += xsave_components[j].size;
    return at;
}

/* Bytes of the area up to the last of `wanted`. */
static unsigned area_bytes(uint64_t wanted, bool compact, uint64_t format)
{
    unsigned bytes = EXTENDED;

    for (unsigned i = 2; i < COMPONENTS; i++)
        if (wanted >> i & 1)
            bytes = component_at(i, compact, format) + xsave_components[i].size;
    return bytes;
}

/* -- XSAVE, XSAVEOPT, XSAVEC, XSAVES ---------------------------------------------------------------------------------------------- */

static uint64_t requested(const struct vcpu *v)
{
    uint64_t edx_eax = (uint32_t)v->cpu.slot[RAX] | v->cpu.slot[RDX] << 32;

    return (v->cpu.xcr0 | v->cpu.msr.xss) & edx_eax;
}

static void area_list(struct save *s, const struct cpu *c, uint64_t saved, bool mxcsr, bool compact, uint64_t format,
                      uint64_t shape)
{
    legacy_put_x87(s, &c->x87, shape);
    legacy_put_mxcsr(s, c);
    legacy_put_xmm(s, c, shape);
    legacy_list(s, saved & XCR0_X87, mxcsr, saved & XCR0_SSE, shape);
    save_word(s, HEADER, 8);
    if (compact)
        save_word(s, HEADER + 8, 8);
    for (unsigned i = 2; i < COMPONENTS; i++)
        if (saved >> i & 1) {
            unsigned at = component_at(i, compact, format), size = component_size(i, shape);

            component_put(c, i, s->image + at, size);
            save_list(s, at, size);
        }
}

/* XSAVE writes every requested component, XSAVEOPT (init_optimised) only those in use. */
static uint64_t save_standard(struct vcpu *v, uint64_t linear, uint64_t shape, bool init_optimised)
{
    struct save_place p = save_place(linear, shape);
    uint64_t mask = requested(v), in_use = save_in_use(&v->cpu) & mask, bv;
    struct save s = { .words = 0 };

    if (linear & 63)
        return gp(v);
    if (!save_probe(v, p, area_bytes(mask, false, 0), ACCESS_READ | ACCESS_WRITE))
        return 0;
    save_word(&s, HEADER, 8);
    save_load(v, p, &s);
    bv = (save_get(&s, HEADER, 8) & ~mask) | in_use;
    s.words = 0;
    memcpy(s.image + HEADER, &bv, 8);
    area_list(&s, &v->cpu, init_optimised ? in_use : mask, mask & (XCR0_SSE | XCR0_AVX), false, 0, shape);
    save_store(v, p, &s);
    return 1;
}

static uint64_t save_compact(struct vcpu *v, uint64_t linear, uint64_t shape)
{
    struct save_place p = save_place(linear, shape);
    uint64_t mask = requested(v), saved = save_in_use(&v->cpu) & mask, format = mask | BIT(63);
    struct save s = { .words = 0 };

    if (linear & 63)
        return gp(v);
    if (!save_probe(v, p, area_bytes(mask, true, mask), ACCESS_WRITE))
        return 0;
    if (mask & XCR0_SSE && v->cpu.mxcsr != MXCSR_INIT)
        saved |= XCR0_SSE;
    memcpy(s.image + HEADER, &saved, 8);
    memcpy(s.image + HEADER + 8, &format, 8);
    area_list(&s, &v->cpu, saved, saved & XCR0_SSE, true, mask, shape);
    save_store(v, p, &s);
    return 1;
}

uint64_t help_xsave(struct vcpu *v, uint64_t linear, uint64_t shape) { return save_standard(v, linear, shape, false); }
uint64_t help_xsaveopt(struct vcpu *v, uint64_t linear, uint64_t shape) { return save_standard(v, linear, shape, true); }
uint64_t help_xsavec(struct vcpu *v, uint64_t linear, uint64_t shape) { return save_compact(v, linear, shape); }

uint64_t help_xsaves(struct vcpu *v, uint64_t linear, uint64_t shape)
{
    return v->cpu.cpl ? (uint64_t)gp(v) : save_compact(v, linear, shape);
}

/* -- XRSTOR, XRSTORS ---------------------------------------------------------------------------------------------------------------- */

struct restore {
    uint64_t mask;      /* requested */
    uint64_t restored, initialised;
    uint64_t format;    /* compacted: components in the area */
    bool compact, mxcsr;
};

/* The header's rules (SDM 1 13.8.1, 13.8.2); false: #GP. */
static bool header_parse(const struct vcpu *v, const struct save *s, bool compact_only, struct restore *r)
{
    uint64_t bv = save_get(s, HEADER, 8), comp = save_get(s, HEADER + 8, 8), allowed = v->cpu.xcr0 | v->cpu.msr.xss;

    r->compact = comp >> 63;
    r->format = comp & ~BIT(63);
    if (r->compact) {
        if (r->format & ~allowed || bv & ~r->format || !is_zero(s->image + HEADER + 16, 48))
            return false;
    } else if (compact_only || bv & ~v->cpu.xcr0 || !is_zero(s->image + HEADER + 8, 16)) {
        return false;
    }
    r->restored = r->mask & bv;
    r->initialised = r->mask & ~bv;
    r->mxcsr = r->compact ? r->restored & XCR0_SSE : r->mask & (XCR0_SSE | XCR0_AVX);
    return true;
}

static void restore_list(struct save *s, const struct restore *r, uint64_t shape)
{
    s->words = 0;
    legacy_list(s, r->restored & XCR0_X87, false, false, shape);
    if (r->mxcsr)
        save_word(s, 24, 4);
    legacy_list(s, false, false, r->restored & XCR0_SSE, shape);
    for (unsigned i = 2; i < COMPONENTS; i++)
        if (r->restored >> i & 1)
            save_list(s, component_at(i, r->compact, r->format), component_size(i, shape));
}

static void restore_legacy(struct cpu *c, const struct save *s, const struct restore *r, uint64_t shape)
{
    struct save init = { .words = 0 };

    if (r->restored & XCR0_X87)
        legacy_get_x87(s, &c->x87, shape);
    else if (r->initialised & XCR0_X87)
        c->x87 = (struct x87){ .control = 0x37f };
    if (r->mxcsr)
        c->mxcsr = (uint32_t)save_get(s, 24, 4);
    else if (r->initialised & XCR0_SSE)
        c->mxcsr = MXCSR_INIT;
    if ((r->restored | r->initialised) & XCR0_SSE)
        legacy_get_xmm(r->restored & XCR0_SSE ? s : &init, c, shape);
}

static void restore_extended(struct cpu *c, const struct save *s, const struct restore *r, uint64_t shape)
{
    static const uint8_t zero[1024];

    for (unsigned i = 2; i < COMPONENTS; i++) {
        if (r->restored >> i & 1)
            component_get(c, i, s->image + component_at(i, r->compact, r->format), component_size(i, shape));
        else if (r->initialised >> i & 1)
            component_get(c, i, zero, component_size(i, shape));
    }
}

static uint64_t restore(struct vcpu *v, uint64_t linear, uint64_t shape, bool compact_only)
{
    struct save_place p = save_place(linear, shape);
    struct restore r = { .mask = requested(v) };
    struct save s = { .words = 0 };

    if (linear & 63)
        return gp(v);
    /* How far the area reaches is not known before its header has been read. */
    if (!save_probe(v, p, EXTENDED, ACCESS_READ))
        return 0;
    save_list(&s, HEADER, 24);
    save_load(v, p, &s);
    if (save_get(&s, HEADER + 8, 8) >> 63) { /* only the compacted form looks at the rest */
        s.words = 0;
        save_list(&s, HEADER + 24, 40);
        save_load(v, p, &s);
    }
    if (!header_parse(v, &s, compact_only, &r))
        return gp(v);
    if (!save_probe(v, p, area_bytes(r.compact ? r.mask & r.format : r.mask, r.compact, r.format), ACCESS_READ))
        return 0;
    restore_list(&s, &r, shape);
    save_load(v, p, &s);
    if (r.mxcsr && save_get(&s, 24, 4) & ~(uint64_t)MXCSR_MASK)
        return gp(v);
    restore_legacy(&v->cpu, &s, &r, shape);
    restore_extended(&v->cpu, &s, &r, shape);
    vcpu_update(v); /* PKRU; masks of MXCSR and the x87 */
    return 1;
}

uint64_t help_xrstor(struct vcpu *v, uint64_t linear, uint64_t shape) { return restore(v, linear, shape, false); }

uint64_t help_xrstors(struct vcpu *v, uint64_t linear, uint64_t shape)
{
    return v->cpu.cpl ? (uint64_t)gp(v) : restore(v, linear, shape, true);
}
