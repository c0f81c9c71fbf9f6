/*
 * help_str.c - string instructions and ports (SDM 2; SDM 1 7.3.9).
 *
 * One element at a time, each with all of its operands resolved before any byte moves; registers are updated after
 * each element, so a fault or interrupt leaves a restartable instruction.  Where a REP goes upward through plain memory,
 * pages go at once; what is watched, holds translated code or is no memory has slow tags and goes by elements.
 */
#include "x86/flags.h"
#include "x86/helpers.h"
#include "x86/memory.h"
#include "x86/segment.h"

#include <string.h>

enum { SPAN_BYTES = 1 << 16 /* at most so much between two looks at who waits */ };

struct string {
    struct vcpu *v;
    unsigned width, shift, address_size, segment; /* width = 1 << shift */
    bool rep, repne;
    uint64_t step; /* +width or -width */
};

static struct string string_begin(struct vcpu *v, uint64_t shape)
{
    struct string s = {
        .v = v, .width = shape & 0xff, .address_size = shape >> 8 & 0xff, .segment = shape >> 16 & 0xff,
        .rep = shape >> 24 & 1, .repne = shape >> 25 & 1,
    };

    s.shift = (unsigned)__builtin_ctz(s.width);
    s.step = v->cpu.rflags & FLAG_DF ? -(uint64_t)s.width : s.width;
    return s;
}

static uint64_t string_register(const struct string *s, unsigned reg)
{
    return bits_trunc(s->v->cpu.slot[reg], s->address_size);
}

static void string_set_register(const struct string *s, unsigned reg, uint64_t value)
{
    uint64_t *slot = &s->v->cpu.slot[reg];

    *slot = s->address_size == 2 ? (*slot & ~UINT64_C(0xffff)) | (value & 0xffff) : bits_trunc(value, s->address_size);
}

static void string_advance(const struct string *s, unsigned reg, uint64_t elements)
{
    string_set_register(s, reg, string_register(s, reg) + s->step * elements);
}

/* Describes and resolves one element. */
static bool string_prepare(const struct string *s, struct access *a, enum transaction_type type, unsigned segment,
                           unsigned reg, enum access_form form)
{
    unsigned intent = type == TRANSACTION_STORE ? ACCESS_WRITE : ACCESS_READ;
    uint64_t linear;

    if (!segment_linear(s->v, segment, string_register(s, reg), s->width, intent, &linear))
        return false;
    access_begin(a, type, linear, s->width);
    a->form = form;
    return access_prepare(&s->v->mmu, a, intent | (segment == SEG_SS ? ACCESS_STACK : 0)) || vcpu_raise_mmu(s->v);
}

static struct memory_shape string_shape(const struct string *s, unsigned segment)
{
    return (struct memory_shape){ .width = (uint8_t)s->width, .form = FORM_STRING,
                                  .flags = segment == SEG_SS ? LDX_STACK : 0 };
}

static bool string_load(const struct string *s, unsigned segment, unsigned reg, uint64_t *value)
{
    uint64_t linear;

    return segment_linear(s->v, segment, string_register(s, reg), s->width, ACCESS_READ, &linear) &&
           guest_load(s->v, linear, string_shape(s, segment), value);
}

/* -- ports ---------------------------------------------------------------------------------------------------------- */

static void port_describe(struct access *a, enum transaction_type type, uint64_t port, unsigned width)
{
    access_begin(a, type, port, width);
    a->space = REGION_PIO;
}

/* I/O breakpoints: R/W 2 with CR4.DE (SDM 3B 19.2.4); a trap after the instruction. */
static void port_note_breakpoints(struct vcpu *v, uint64_t port, unsigned width)
{
    const struct cpu *c = &v->cpu;

    for (unsigned i = 0; i < WATCHES; i++) {
        unsigned size = (c->dr[7] >> (18 + i * 4) & 3) + 1u;
        uint64_t first = c->dr[i] & ~(uint64_t)(size - 1);

        if (c->dr[7] >> (i * 2) & 3 && (c->dr[7] >> (16 + i * 4) & 3) == 2 && port < first + size && first < port + width)
            v->mmu.watch_hits |= 1u << i;
    }
}

static inline void port_note_watches(struct vcpu *v, uint64_t port, unsigned width)
{
    if (unlikely(v->cpu.dr[7] & 0xff && v->cpu.cr4 & CR4_DE))
        port_note_breakpoints(v, port, width);
}

/* The region that takes this access to ports as it is, or NULL: then the general way. */
static inline __attribute__((always_inline)) struct region *port_region(struct vcpu *v, uint64_t port, unsigned width, uint64_t *offset)
{
    const struct phys_range *range = phys_find(v->bus.phys, REGION_PIO, port);
    uint64_t into = (uint16_t)port - range->base;

    if (range->kind != PIECE_REGION || range->size - into < width)
        return NULL;
    *offset = range->region_offset + into;
    return dispatch_is_direct(&v->bus, range->region, *offset, width) ? range->region : NULL;
}

static uint64_t port_read_any(struct vcpu *v, uint64_t port, unsigned width, enum access_form form)
{
    struct access a;

    port_describe(&a, TRANSACTION_LOAD, port, width);
    a.form = form;
    dispatch_physical(&v->bus, &a, port);
    return a.data.q[0];
}

static inline __attribute__((always_inline)) uint64_t port_read(struct vcpu *v, uint64_t port, unsigned width, enum access_form form)
{
    uint64_t offset;
    struct region *region = port_region(v, port, width, &offset);

    port_note_watches(v, port, width);
    return likely(region) ? dispatch_load_word(&v->bus, region, offset, width) : port_read_any(v, port, width, form);
}

static void port_write_any(struct vcpu *v, uint64_t port, unsigned width, uint64_t value, enum access_form form)
{
    struct access a;

    port_describe(&a, TRANSACTION_STORE, port, width);
    a.form = form;
    a.data.q[0] = bits_trunc(value, width);
    dispatch_physical(&v->bus, &a, port);
}

static inline __attribute__((always_inline)) void port_write(struct vcpu *v, uint64_t port, unsigned width, uint64_t value, enum access_form form)
{
    uint64_t offset;
    struct region *region = port_region(v, port, width, &offset);

    port_note_watches(v, port, width);
    if (likely(region))
        dispatch_store_word(&v->bus, region, offset, width, value);
    else
        port_write_any(v, port, width, value, form);
}

/* The I/O permission bitmap: every bit of the access clear (SDM 1 19.5). */
static bool port_in_bitmap(struct vcpu *v, uint16_t port, unsigned width)
{
    const struct segment *tr = &v->cpu.seg[SEG_TR];
    uint16_t base, bits;

    if (!(tr->ar & 8) || tr->limit < 103)
        return vcpu_raise_error(v, EXCEPTION_GP, 0);
    if (!system_load(v, tr->base + 102, &base, 2))
        return false;
    if (base + port / 8u + 1 > tr->limit)
        return vcpu_raise_error(v, EXCEPTION_GP, 0);
    if (!system_load(v, tr->base + base + port / 8u, &bits, 2))
        return false;
    return !(bits >> (port % 8) & bits_mask(width)) || vcpu_raise_error(v, EXCEPTION_GP, 0);
}

/* IOPL, then the bitmap. */
static inline bool port_allowed(struct vcpu *v, uint16_t port, unsigned width)
{
    unsigned iopl = (v->cpu.rflags & FLAG_IOPL) >> 12;

    return cpu_real_mode(&v->cpu) || (v->cpu.cpl <= iopl && !(v->cpu.rflags & FLAG_VM)) || port_in_bitmap(v, port, width);
}

uint64_t help_in(struct vcpu *v, uint64_t port, uint64_t width)
{
    return port_allowed(v, (uint16_t)port, (unsigned)width) ? port_read(v, port, (unsigned)width, FORM_PLAIN) : 0;
}

uint64_t help_out(struct vcpu *v, uint64_t port, uint64_t value, uint64_t width)
{
    if (port_allowed(v, (uint16_t)port, (unsigned)width))
        port_write(v, port, (unsigned)width, value, FORM_PLAIN);
    return 0;
}

/* -- one element of each ---------------------------------------------------------------------------------------------- */

static bool one_movs(struct string *s)
{
    struct access load, store;

    if (!string_prepare(s, &load, TRANSACTION_LOAD, s->segment, RSI, FORM_STRING) ||
        !string_prepare(s, &store, TRANSACTION_STORE, SEG_ES, RDI, FORM_STRING))
        return false;
    access_perform(&s->v->mmu, &load);
    store.data = load.data;
    access_perform(&s->v->mmu, &store);
    string_advance(s, RSI, 1);
    string_advance(s, RDI, 1);
    return true;
}

static bool one_stos(struct string *s)
{
    uint64_t linear;

    if (!segment_linear(s->v, SEG_ES, string_register(s, RDI), s->width, ACCESS_WRITE, &linear) ||
        !guest_store(s->v, linear, string_shape(s, SEG_ES), s->v->cpu.slot[RAX]))
        return false;
    string_advance(s, RDI, 1);
    return true;
}

static bool one_lods(struct string *s)
{
    uint64_t value, *rax = &s->v->cpu.slot[RAX];

    if (!string_load(s, s->segment, RSI, &value))
        return false;
    *rax = s->width >= 4 ? value : (*rax & ~bits_mask(s->width * 8)) | value;
    string_advance(s, RSI, 1);
    return true;
}

/* Flags of a - b. */
static void string_compare(struct string *s, uint64_t a, uint64_t b)
{
    struct cpu *c = &s->v->cpu;
    uint64_t r = a - b, borrow = (~a & b) | ((~a | b) & r);

    c->flag_z = c->flag_s = (uint64_t)bits_sext(r, s->width);
    c->flag_c = borrow << (64 - s->width * 8) | (s->width < 8 ? borrow & 8 : 0);
}

static bool one_scas(struct string *s)
{
    uint64_t value;

    if (!string_load(s, SEG_ES, RDI, &value))
        return false;
    string_compare(s, bits_trunc(s->v->cpu.slot[RAX], s->width), value);
    string_advance(s, RDI, 1);
    return true;
}

static bool one_cmps(struct string *s)
{
    struct access a, b;

    if (!string_prepare(s, &a, TRANSACTION_LOAD, s->segment, RSI, FORM_STRING) ||
        !string_prepare(s, &b, TRANSACTION_LOAD, SEG_ES, RDI, FORM_STRING))
        return false;
    access_perform(&s->v->mmu, &a);
    access_perform(&s->v->mmu, &b);
    string_compare(s, a.data.q[0], b.data.q[0]);
    string_advance(s, RSI, 1);
    string_advance(s, RDI, 1);
    return true;
}

/* The destination is resolved before the port is read: no data is lost to a fault. */
static bool one_ins(struct string *s)
{
    uint16_t port = (uint16_t)s->v->cpu.slot[RDX];
    struct access a;

    if (!port_allowed(s->v, port, s->width) || !string_prepare(s, &a, TRANSACTION_STORE, SEG_ES, RDI, FORM_STRING_IO))
        return false;
    a.data.q[0] = port_read(s->v, port, s->width, FORM_STRING_IO);
    access_perform(&s->v->mmu, &a);
    string_advance(s, RDI, 1);
    return true;
}

static bool one_outs(struct string *s)
{
    uint16_t port = (uint16_t)s->v->cpu.slot[RDX];
    struct access a;

    if (!port_allowed(s->v, port, s->width) || !string_prepare(s, &a, TRANSACTION_LOAD, s->segment, RSI, FORM_STRING_IO))
        return false;
    access_perform(&s->v->mmu, &a);
    port_write(s->v, port, s->width, a.data.q[0], FORM_STRING_IO);
    string_advance(s, RSI, 1);
    return true;
}

/* -- many at once ------------------------------------------------------------------------------------------------------- */

/* The linear address of the next elements through a register, and how many lie within `reach` bytes' pages and the segment. */
static inline uint64_t string_run_of(const struct string *s, unsigned segment, unsigned reg, unsigned wants, uint64_t count,
                                     uint64_t reach, uint64_t *linear)
{
    uint64_t offset = string_register(s, reg), room;

    if (!segment_linear(s->v, segment, offset, s->width, wants, linear))
        return 0;
    room = bits_min(count, (reach - (*linear & PAGE_OFFSET)) >> s->shift);
    room = bits_min(room, (bits_mask(s->address_size * 8) - offset) >> s->shift);
    if (room > 1 && !(s->v->cpu.mode & MODE_CODE64) &&
        !segment_linear(s->v, segment, offset, (unsigned)(room << s->shift), wants, linear))
        return reach > PAGE_BYTES ? string_run_of(s, segment, reg, wants, count, PAGE_BYTES, linear) : 0;
    return room;
}

/* How many of `bytes` lie in the host's memory one after the other, as far as the TLB knows. */
static inline uint64_t string_in_row(struct mmu *mmu, uint64_t linear, uint64_t bytes, enum tlb_intent intent, const uint8_t *host)
{
    uint64_t n = PAGE_BYTES - (linear & PAGE_OFFSET);

    while (n < bytes && tlb_hit(mmu, linear + n, 1, intent) == host + n)
        n += PAGE_BYTES;
    return bits_min(n, bytes);
}

/*
 * Host address and number of the next elements, if they are plain memory; 0 where they are not, and one goes by itself.
 * vcpu->fault is set where the page has one: it is the next element's.
 */
static inline uint64_t string_span(const struct string *s, unsigned segment, unsigned reg, enum tlb_intent intent,
                                   uint64_t count, uint8_t **host)
{
    struct vcpu *v = s->v;
    unsigned wants = intent == TLB_WRITE ? ACCESS_WRITE : ACCESS_READ;
    uint64_t linear, room;

    if (v->mmu.align_check)
        return 0;
    room = string_run_of(s, segment, reg, wants, count, SPAN_BYTES, &linear);
    v->fault.vector = -1; /* the next element finds it again, or does not reach so far */
    if (!room || PAGE_BYTES - (linear & PAGE_OFFSET) < s->width)
        return 0;
    *host = tlb_hit(&v->mmu, linear, s->width, intent);
    if (unlikely(!*host)) {
        if (!access_probe(&v->mmu, linear, s->width, wants | (segment == SEG_SS ? ACCESS_STACK : 0)))
            return (uint64_t)vcpu_raise_mmu(v);
        *host = tlb_hit(&v->mmu, linear, s->width, intent);
        if (!*host)
            return 0;
    }
    return string_in_row(&v->mmu, linear, room << s->shift, intent, *host) >> s->shift;
}

/*
 * As element after element upward would.  A destination shortly behind its source repeats what lies between them: each
 * copy may then be twice as long as the one before, for the source has become that much longer.
 */
static void copy_upward(uint8_t *to, const uint8_t *from, uint64_t bytes, unsigned width)
{
    uint64_t distance = (uint64_t)(uintptr_t)to - (uint64_t)(uintptr_t)from, n;

    if (distance >= bytes) { /* no overlap, or the destination is below: then it is a large number */
        memmove(to, from, bytes);
        return;
    }
    if (distance < width) { /* elements overlap themselves */
        for (uint64_t at = 0; at < bytes; at += width)
            memmove(to + at, from + at, width);
        return;
    }
    for (; bytes; to += n, bytes -= n) {
        n = bits_min(bytes, (uint64_t)(to - from));
        memcpy(to, from, n);
    }
}

static uint64_t many_movs(struct string *s, uint64_t count)
{
    uint8_t *from, *to;
    uint64_t n;

    n = string_span(s, s->segment, RSI, TLB_READ, count, &from);
    if (n)
        n = string_span(s, SEG_ES, RDI, TLB_WRITE, n, &to);
    if (!n)
        return 0;
    copy_upward(to, from, n << s->shift, s->width);
    string_advance(s, RSI, n);
    string_advance(s, RDI, n);
    return n;
}

/* `width` low bytes of value, as often as they fit. */
static uint64_t pattern_of(uint64_t value, unsigned width)
{
    for (; width < 8; width *= 2)
        value = bits_trunc(value, width) | value << width * 8;
    return value;
}

/* The processor's own STOS is the fastest there is for what is no repeated byte. */
static void pattern_fill(uint8_t *to, uint64_t pattern, uint64_t bytes)
{
    uint64_t words = bytes / 8;

    if (pattern == (pattern & 0xff) * UINT64_C(0x0101010101010101)) {
        memset(to, (int)(pattern & 0xff), bytes);
        return;
    }
    __asm__ volatile("rep stosq" : "+D"(to), "+c"(words) : "a"(pattern) : "memory");
    memcpy(to, &pattern, bytes % 8);
}

static uint64_t many_stos(struct string *s, uint64_t count)
{
    uint8_t *to;
    uint64_t n = string_span(s, SEG_ES, RDI, TLB_WRITE, count, &to);

    if (!n)
        return 0;
    pattern_fill(to, pattern_of(s->v->cpu.slot[RAX], s->width), n << s->shift);
    string_advance(s, RDI, n);
    return n;
}

static uint64_t element_get(const uint8_t *at, uint64_t i, unsigned width)
{
    uint64_t value = 0;

    memcpy(&value, at + i * width, width);
    return value;
}

/* Only the last element stays in RAX. */
static uint64_t many_lods(struct string *s, uint64_t count)
{
    uint64_t *rax = &s->v->cpu.slot[RAX];
    uint8_t *from;
    uint64_t n = string_span(s, s->segment, RSI, TLB_READ, count, &from), value;

    if (!n)
        return 0;
    value = element_get(from, n - 1, s->width);
    *rax = s->width >= 4 ? value : (*rax & ~bits_mask(s->width * 8)) | value;
    string_advance(s, RSI, n);
    return n;
}

/* How many leading bytes of `at` repeat the pattern. */
static uint64_t pattern_length(const uint8_t *at, uint64_t pattern, uint64_t bytes)
{
    uint64_t i, q;

    for (i = 0; i + 8 <= bytes; i += 8) {
        memcpy(&q, at + i, 8);
        if (q != pattern)
            return i + (unsigned)__builtin_ctzll(q ^ pattern) / 8;
    }
    while (i < bytes && at[i] == (uint8_t)(pattern >> i % 8 * 8))
        i++;
    return i;
}

/* How many leading bytes are the same. */
static uint64_t common_length(const uint8_t *a, const uint8_t *b, uint64_t bytes)
{
    uint64_t i = 0, x, y;

    while (bytes - i >= 256 && !memcmp(a + i, b + i, 256)) /* which libc does best */
        i += 256;
    for (; i + 8 <= bytes; i += 8) {
        memcpy(&x, a + i, 8);
        memcpy(&y, b + i, 8);
        if (x != y)
            return i + (unsigned)__builtin_ctzll(x ^ y) / 8;
    }
    while (i < bytes && a[i] == b[i])
        i++;
    return i;
}

/* The index of the first of n elements that is `value`; n if there is none. */
static uint64_t element_find(const uint8_t *at, uint64_t n, uint64_t value, unsigned width)
{
    const uint8_t *found;
    uint64_t i = 0;

    if (width == 1) {
        found = memchr(at, (int)value, n);
        return found ? (uint64_t)(found - at) : n;
    }
    while (i < n && element_get(at, i, width) != value)
        i++;
    return i;
}

/* SCAS and CMPS stop behind element `stop`, or at the end of the span; what it holds makes the flags. */
static uint64_t string_stop(uint64_t stop, uint64_t n) { return bits_min(stop + 1, n); }

static uint64_t many_scas(struct string *s, uint64_t count)
{
    uint64_t value = bits_trunc(s->v->cpu.slot[RAX], s->width), stop;
    uint8_t *at;
    uint64_t n = string_span(s, SEG_ES, RDI, TLB_READ, count, &at);

    if (!n)
        return 0;
    stop = s->rep ? pattern_length(at, pattern_of(value, s->width), n << s->shift) >> s->shift
                  : element_find(at, n, value, s->width);
    n = string_stop(stop, n);
    string_compare(s, value, element_get(at, n - 1, s->width));
    string_advance(s, RDI, n);
    return n;
}

static uint64_t many_cmps(struct string *s, uint64_t count)
{
    uint64_t stop = 0;
    uint8_t *a, *b;
    uint64_t n = string_span(s, s->segment, RSI, TLB_READ, count, &a);

    if (n)
        n = string_span(s, SEG_ES, RDI, TLB_READ, n, &b);
    if (!n)
        return 0;
    if (s->rep)
        stop = common_length(a, b, n << s->shift) >> s->shift;
    else
        while (stop < n && element_get(a, stop, s->width) != element_get(b, stop, s->width))
            stop++;
    n = string_stop(stop, n);
    string_compare(s, element_get(a, n - 1, s->width), element_get(b, n - 1, s->width));
    string_advance(s, RSI, n);
    string_advance(s, RDI, n);
    return n;
}

/* -- the loop ------------------------------------------------------------------------------------------------------------- */

typedef bool string_one(struct string *s);
typedef uint64_t string_many(struct string *s, uint64_t count);

enum { CONDITION_NONE, CONDITION_ZF };

/* Between two elements: does something else want the CPU? */
static bool string_must_leave(const struct vcpu *v)
{
    return v->attention || v->cpu.rflags & FLAG_TF || v->mmu.watch_hits || (v->pins.nmi && !v->cpu.nmi_blocked) ||
           (v->pins.intr && v->cpu.rflags & FLAG_IF);
}

/*
 * Repeats until the count is used up or ZF says stop.  Where an interrupt waits between two elements RIP stays, and
 * the instruction comes back for the rest.
 */
static uint64_t string_run(struct vcpu *v, uint64_t shape, string_one *one, string_many *many, int condition)
{
    struct string s = string_begin(v, shape);

    if (!s.rep && !s.repne)
        return (many && many(&s, 1)) || (v->fault.vector < 0 && one(&s));
    for (;;) {
        uint64_t count = string_register(&s, RCX), n = 0;

        if (!count)
            break;
        if (many) /* it goes upward; and somebody may wait for the first element's end */
            n = many(&s, v->cpu.rflags & FLAG_DF || string_must_leave(v) ? 1 : count);
        if (v->fault.vector >= 0)
            return 0;
        if (!n) {
            if (!one(&s))
                return 0;
            n = 1;
        }
        string_set_register(&s, RCX, count - n);
        if (condition == CONDITION_ZF && flag_zf(&v->cpu) != s.rep)
            break;
        if (count - n && string_must_leave(v)) {
            v->again = true;
            return 0;
        }
    }
    v->cpu.rip = v->next_rip;
    return 1;
}

#define STRING(name, many, condition)                                                                                  \
    uint64_t help_##name(struct vcpu *v, uint64_t a, uint64_t b, uint64_t shape)                                       \
    {                                                                                                                  \
        (void)a, (void)b;                                                                                              \
        return string_run(v, shape, one_##name, many, condition);                                                      \
    }

STRING(movs, many_movs, CONDITION_NONE)
STRING(stos, many_stos, CONDITION_NONE)
STRING(lods, many_lods, CONDITION_NONE)
STRING(ins, NULL, CONDITION_NONE)
STRING(outs, NULL, CONDITION_NONE)
STRING(scas, many_scas, CONDITION_ZF)
STRING(cmps, many_cmps, CONDITION_ZF)
