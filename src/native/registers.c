/* registers.c - registers to and from the XSAVE area, as the host's processor lays it out (CPUID leaf D). */
#include "native/native.h"

#include "x86/flags.h"
#include "x86/save.h"

#include <cpuid.h>
#include <string.h>

enum { COMPONENTS = 10, HEADER_AT = 512, ST_AT = 32, XMM_AT = 160, FLAGS_MOVED = FLAGS_ARITHMETIC | FLAG_DF };

struct layout {
    uint64_t components;
    unsigned at[COMPONENTS]; /* of each in the area */
};

static const struct layout *host_layout(void)
{
    static struct layout l;
    unsigned a, b, c, d;

    if (l.components)
        return &l;
    for (unsigned i = 2; i < COMPONENTS; i++) {
        __cpuid_count(0xd, i, a, b, c, d);
        l.at[i] = b;
    }
    __cpuid_count(0xd, 0, a, b, c, d);
    l.components = a & (XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_OPMASK | XCR0_ZMM_HI256 | XCR0_HI16_ZMM);
    return &l;
}

uint64_t native_components(void) { return host_layout()->components; }

static inline __attribute__((always_inline)) void move(bool put, void *area, void *cpu, size_t bytes)
{
    memcpy(put ? area : cpu, put ? cpu : area, bytes);
}

/* To or from each part of the vector registers and opmasks that the host has; in line, for sizes to be constants. */
static inline __attribute__((always_inline)) void each_part(bool put, uint8_t *area, struct cpu *cpu)
{
    const struct layout *l = host_layout();
    uint64_t has = l->components;

    for (unsigned i = 0; i < 16; i++) {
        move(put, area + XMM_AT + 16 * i, &cpu->zmm[i].b[0], 16);
        if (has & XCR0_AVX)
            move(put, area + l->at[2] + 16 * i, &cpu->zmm[i].b[16], 16);
        if (has & XCR0_ZMM_HI256)
            move(put, area + l->at[6] + 32 * i, &cpu->zmm[i].b[32], 32);
        if (has & XCR0_HI16_ZMM)
            move(put, area + l->at[7] + 64 * i, &cpu->zmm[16 + i].b[0], 64);
    }
    if (has & XCR0_OPMASK)
        move(put, area + l->at[5], cpu->k, sizeof(cpu->k));
}

/* SDM 1 table 10-2: registers in the order of the stack. */
static void put_x87(uint8_t *area, const struct x87 *x)
{
    const uint16_t words[] = { x->control, x->status, x->valid, x->opcode };

    memcpy(area, words, sizeof(words));
    memcpy(area + 8, &x->ip, 8);
    memcpy(area + 16, &x->dp, 8);
    for (unsigned i = 0; i < 8; i++) {
        unsigned n = (x87_top(x) + i) & 7;

        memcpy(area + ST_AT + 16 * i, &x->significand[n], 8);
        memcpy(area + ST_AT + 16 * i + 8, &x->exponent[n], 2);
    }
}

static void take_x87(const uint8_t *area, struct x87 *x)
{
    uint16_t words[4];

    memcpy(words, area, sizeof(words));
    x->control = words[0];
    x->status = words[1];
    x->valid = (uint8_t)words[2];
    x->opcode = words[3];
    memcpy(&x->ip, area + 8, 8);
    memcpy(&x->dp, area + 16, 8);
    for (unsigned i = 0; i < 8; i++) {
        unsigned n = (x87_top(x) + i) & 7;

        memcpy(&x->significand[n], area + ST_AT + 16 * i, 8);
        memcpy(&x->exponent[n], area + ST_AT + 16 * i + 8, 2);
    }
}

void native_put(struct native_registers *r, const struct cpu *cpu)
{
    uint64_t components = native_components();

    memcpy(r->general, cpu->slot, sizeof(r->general));
    r->rip = cpu->rip;
    r->rflags = cpu_rflags(cpu) & FLAGS_MOVED;
    put_x87(r->xsave, &cpu->x87);
    memcpy(r->xsave + 24, &cpu->mxcsr, 4);
    memset(r->xsave + HEADER_AT, 0, 64);
    memcpy(r->xsave + HEADER_AT, &components, 8);
    each_part(true, r->xsave, (struct cpu *)(uintptr_t)cpu);
}

/* A component in its initial configuration may not have been written (SDM 1 13.6). */
static void clear_initial(struct cpu *cpu, uint64_t in_use)
{
    for (unsigned i = 0; i < 16; i++) {
        if (!(in_use & XCR0_SSE))
            memset(&cpu->zmm[i].b[0], 0, 16);
        if (!(in_use & XCR0_AVX))
            memset(&cpu->zmm[i].b[16], 0, 16);
        if (!(in_use & XCR0_ZMM_HI256))
            memset(&cpu->zmm[i].b[32], 0, 32);
        if (!(in_use & XCR0_HI16_ZMM))
            memset(&cpu->zmm[16 + i], 0, 64);
    }
    if (!(in_use & XCR0_OPMASK))
        memset(cpu->k, 0, sizeof(cpu->k));
    if (!(in_use & XCR0_X87))
        x87_init(&cpu->x87);
}

void native_take(const struct native_registers *r, struct cpu *cpu)
{
    uint64_t in_use;

    memcpy(&in_use, r->xsave + HEADER_AT, 8);
    memcpy(cpu->slot, r->general, sizeof(r->general));
    cpu->rip = r->rip;
    cpu_set_rflags(cpu, (cpu->rflags & ~(uint64_t)FLAGS_MOVED) | (r->rflags & FLAGS_MOVED));
    take_x87(r->xsave, &cpu->x87);
    memcpy(&cpu->mxcsr, r->xsave + 24, 4);
    each_part(false, (uint8_t *)(uintptr_t)r->xsave, cpu);
    clear_initial(cpu, in_use);
}
