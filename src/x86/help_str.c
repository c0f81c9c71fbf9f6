/*
 * help_str.c - string instructions and ports (SDM 2; SDM 1 7.3.9).
 *
 * One element at a time, each with all of its operands resolved before any byte moves; registers are updated after
 * each element, so a fault or interrupt leaves a restartable instruction.  Where both sides of REP MOVS and STOS are
 * plain memory and go upward, a page goes at once.
 */
#include "x86/flags.h"
#include "x86/helpers.h"
#include "x86/segment.h"

#include <string.h>

struct string {
    struct vcpu *v;
    unsigned width, address_size, segment;
    bool rep, repne;
    uint64_t step; /* +width or -width */
};

static struct string string_begin(struct vcpu *v, uint64_t shape)
{
    struct string s = {
        .v = v, .width = shape & 0xff, .address_size = shape >> 8 & 0xff, .segment = shape >> 16 & 0xff,
        .rep = shape >> 24 & 1, .repne = shape >> 25 & 1,
    };

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
    *a = (struct access){ .type = type, .form = form, .width = (uint8_t)s->width, .gva = linear,
                          .enables = bits_mask(s->width) };
    return access_prepare(&s->v->mmu, a, intent | (segment == SEG_SS ? ACCESS_STACK : 0)) || vcpu_raise_mmu(s->v);
}

static bool string_load(const struct string *s, unsigned segment, unsigned reg, uint64_t *value)
{
    uint64_t linear;
    const uint8_t *host;
    struct access a;

    *value = 0;
    if (!segment_linear(s->v, segment, string_register(s, reg), s->width, ACCESS_READ, &linear))
        return false;
    host = s->v->mmu.align_check ? NULL : tlb_hit(&s->v->mmu, linear, s->width, TLB_READ);
    if (host) {
        memcpy(value, host, s->width);
        return true;
    }
    if (!string_prepare(s, &a, TRANSACTION_LOAD, segment, reg, FORM_STRING))
        return false;
    access_perform(&s->v->mmu, &a);
    *value = a.data.q[0];
    return true;
}

/* -- ports ---------------------------------------------------------------------------------------------------------- */

static struct access port_access(enum transaction_type type, uint64_t port, unsigned width, enum access_form form)
{
    return (struct access){ .space = REGION_PIO, .type = type, .form = form, .width = (uint8_t)width, .gva = port,
                            .enables = bits_mask(width) };
}

/* I/O breakpoints: R/W 2 with CR4.DE (SDM 3B 19.2.4); a trap after the instruction. */
static void port_note_watches(struct vcpu *v, uint64_t port, unsigned width)
{
    const struct cpu *c = &v->cpu;

    for (unsigned i = 0; c->cr4 & CR4_DE && i < WATCHES; i++) {
        unsigned size = (c->dr[7] >> (18 + i * 4) & 3) + 1u;
        uint64_t first = c->dr[i] & ~(uint64_t)(size - 1);

        if (c->dr[7] >> (i * 2) & 3 && (c->dr[7] >> (16 + i * 4) & 3) == 2 && port < first + size && first < port + width)
            v->mmu.watch_hits |= 1u << i;
    }
}

static uint64_t port_read(struct vcpu *v, uint64_t port, unsigned width, enum access_form form)
{
    struct access a = port_access(TRANSACTION_LOAD, port, width, form);

    port_note_watches(v, port, width);
    dispatch_physical(&v->bus, &a, port);
    return a.data.q[0];
}

static void port_write(struct vcpu *v, uint64_t port, unsigned width, uint64_t value, enum access_form form)
{
    struct access a = port_access(TRANSACTION_STORE, port, width, form);

    port_note_watches(v, port, width);
    a.data.q[0] = bits_trunc(value, width);
    dispatch_physical(&v->bus, &a, port);
}

/* IOPL, then the I/O permission bitmap: every bit of the access clear (SDM 1 19.5). */
static bool port_allowed(struct vcpu *v, uint16_t port, unsigned width)
{
    const struct segment *tr = &v->cpu.seg[SEG_TR];
    unsigned iopl = (v->cpu.rflags & FLAG_IOPL) >> 12;
    uint16_t base, bits;

    if (cpu_real_mode(&v->cpu) || (v->cpu.cpl <= iopl && !(v->cpu.rflags & FLAG_VM)))
        return true;
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
    struct access a;

    if (!string_prepare(s, &a, TRANSACTION_STORE, SEG_ES, RDI, FORM_STRING))
        return false;
    a.data.q[0] = bits_trunc(s->v->cpu.slot[RAX], s->width);
    access_perform(&s->v->mmu, &a);
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

/* Elements left in the page at this linear address, at least one byte of which may cross: then 0. */
static uint64_t string_room(uint64_t linear, unsigned width) { return (PAGE_BYTES - (linear & PAGE_OFFSET)) / width; }

/* Host address and room of the next elements through a register, or 0 room when they are not plain memory. */
static uint64_t string_span(const struct string *s, unsigned segment, unsigned reg, enum tlb_intent intent, uint64_t count,
                            uint8_t **host)
{
    uint64_t offset = string_register(s, reg), linear, room;
    unsigned wants = intent == TLB_WRITE ? ACCESS_WRITE : ACCESS_READ;

    if (s->v->mmu.align_check || !segment_linear(s->v, segment, offset, s->width, wants, &linear)) {
        s->v->fault.vector = -1;
        return 0;
    }
    room = bits_min(string_room(linear, s->width), count);
    room = bits_min(room, (bits_mask(s->address_size * 8) - offset) / s->width);
    if (!room || !segment_linear(s->v, segment, offset, (unsigned)(room * s->width), wants, &linear)) {
        s->v->fault.vector = -1;
        return 0;
    }
    *host = tlb_hit(&s->v->mmu, linear, s->width, intent);
    return *host ? room : 0;
}

static void copy_upward(uint8_t *to, const uint8_t *from, uint64_t bytes, unsigned width)
{
    if (to + bytes <= from || from + bytes <= to) {
        memcpy(to, from, bytes);
        return;
    }
    for (uint64_t at = 0; at < bytes; at += width)
        memmove(to + at, from + at, width);
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
    copy_upward(to, from, n * s->width, s->width);
    string_advance(s, RSI, n);
    string_advance(s, RDI, n);
    return n;
}

static uint64_t many_stos(struct string *s, uint64_t count)
{
    uint64_t value = s->v->cpu.slot[RAX], n;
    uint8_t *to;

    n = string_span(s, SEG_ES, RDI, TLB_WRITE, count, &to);
    if (!n)
        return 0;
    if (s->width == 1)
        memset(to, (int)(value & 0xff), n);
    else
        for (uint64_t i = 0; i < n; i++)
            memcpy(to + i * s->width, &value, s->width);
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
        return one(&s);
    for (;;) {
        uint64_t count = string_register(&s, RCX), n = 0;

        if (!count)
            break;
        if (many && !(v->cpu.rflags & FLAG_DF))
            n = many(&s, count);
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
STRING(lods, NULL, CONDITION_NONE)
STRING(ins, NULL, CONDITION_NONE)
STRING(outs, NULL, CONDITION_NONE)
STRING(scas, NULL, CONDITION_ZF)
STRING(cmps, NULL, CONDITION_ZF)
