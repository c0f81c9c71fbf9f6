/* cpu.c - the architectural state: reset, derived fields, flags, comparison, dump. */
#include "cpu.h"

#include "x86/flags.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *const cpu_gpr_names[GPRS] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                          "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15" };
const char *const cpu_segment_names[SEGMENTS] = { "es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr" };

/* -- reset (SDM 3A table 10-1) ------------------------------------------------------------------------------------- */

static void cpu_reset_segments(struct cpu *c)
{
    for (unsigned i = 0; i < 6; i++)
        c->seg[i] = (struct segment){ .limit = 0xffff, .ar = AR_P | AR_S | AR_WRITABLE | AR_ACCESSED };
    c->seg[SEG_CS].selector = 0xf000;
    c->seg[SEG_CS].base = 0xffff0000;
    c->seg[SEG_CS].ar |= AR_CODE;
    c->seg[SEG_LDTR] = (struct segment){ .limit = 0xffff, .ar = AR_P | 2 };
    c->seg[SEG_TR] = (struct segment){ .limit = 0xffff, .ar = AR_P | 11 };
    c->gdtr = c->idtr = (struct descriptor_table){ .limit = 0xffff };
}

/* What RESET# and INIT# have in common. */
static void cpu_reset_common(struct cpu *c)
{
    memset(c->slot, 0, sizeof(c->slot));
    c->rip = 0xfff0;
    c->rflags = FLAG_ONE;
    flags_put(c, 0);
    cpu_reset_segments(c);
    c->cr2 = c->cr3 = c->cr4 = c->cr8 = c->efer = 0;
    memset(c->dr, 0, sizeof(c->dr));
    c->dr[6] = 0xffff0ff0;
    c->dr[7] = 0x400;
    c->activity = CPU_RUNNING;
    c->shadow = SHADOW_NONE;
    c->nmi_blocked = false;
}

void cpu_reset(struct cpu *c)
{
    memset(c, 0, sizeof(*c));
    cpu_reset_common(c);
    c->cr0 = CR0_CD | CR0_NW | CR0_ET;
    c->xcr0 = XCR0_X87;
    c->mxcsr = 0x1f80;
    c->x87.control = 0x40;
    c->x87.valid = 0xff;
    c->msr.pat = 0x0007040600070406;
    c->msr.apic_base = 0xfee00900;
    c->msr.misc_enable = 1;
    c->msr.arch_capabilities = CPU_ARCH_CAPABILITIES;
    cpu_update(c);
}

void cpu_init(struct cpu *c)
{
    uint64_t cr0 = c->cr0;

    cpu_reset_common(c);
    c->cr0 = CR0_ET | (cr0 & (CR0_CD | CR0_NW));
    cpu_update(c);
}

/* -- derived fields -------------------------------------------------------------------------------------------------- */

static bool cpu_segment_is_flat(const struct segment *s, uint32_t wanted)
{
    return s->base == 0 && s->limit == UINT32_MAX && !(s->ar & AR_UNUSABLE) && (s->ar & wanted) == wanted &&
           !(s->ar & AR_EXPAND_DOWN && !(s->ar & AR_CODE));
}

static uint32_t cpu_mode_segments(const struct cpu *c)
{
    uint32_t mode = 0;

    if (cpu_segment_is_flat(&c->seg[SEG_DS], AR_S | AR_P | AR_WRITABLE) && !(c->seg[SEG_DS].ar & AR_CODE) &&
        cpu_segment_is_flat(&c->seg[SEG_ES], AR_S | AR_P | AR_WRITABLE) && !(c->seg[SEG_ES].ar & AR_CODE) &&
        cpu_segment_is_flat(&c->seg[SEG_SS], AR_S | AR_P | AR_WRITABLE))
        mode |= MODE_FLAT_DATA;
    if (cpu_segment_is_flat(&c->seg[SEG_CS], AR_S | AR_P | AR_READABLE))
        mode |= MODE_FLAT_CODE;
    return mode;
}

static uint32_t cpu_mode_state(const struct cpu *c)
{
    uint64_t avx = XCR0_SSE | XCR0_AVX, avx512 = avx | XCR0_OPMASK | XCR0_ZMM_HI256 | XCR0_HI16_ZMM;
    bool xsave = c->cr4 & CR4_OSXSAVE;

    return (c->cr0 & CR0_EM ? MODE_EM : 0u) | (c->cr0 & CR0_TS ? MODE_TS : 0u) | (c->cr0 & CR0_MP ? MODE_MP : 0u) |
           (c->cr4 & CR4_OSFXSR ? MODE_OSFXSR : 0u) | (xsave ? MODE_OSXSAVE : 0u) |
           (xsave && (c->xcr0 & avx) == avx ? MODE_AVX : 0u) | (xsave && (c->xcr0 & avx512) == avx512 ? MODE_AVX512 : 0u) |
           ((c->mxcsr & MXCSR_MASKS) != MXCSR_MASKS ? MODE_SIMD_TRAPS : 0u) |
           ((c->x87.control & X87_MASKS) != X87_MASKS ? MODE_X87_TRAPS : 0u);
}

static uint8_t cpu_privilege(const struct cpu *c)
{
    return c->rflags & FLAG_VM ? 3 : c->cr0 & CR0_PE ? c->seg[SEG_CS].selector & 3 : 0;
}

/* RFLAGS.AC and TF, breakpoints: mostly off. */
static uint32_t cpu_mode_rare(const struct cpu *c)
{
    uint32_t mode = c->rflags & FLAG_TF || c->dr[7] & 0xff || c->watched ? MODE_STEP : 0u;

    if (!(c->rflags & FLAG_AC))
        return mode;
    return mode | (c->cpl != 3 ? MODE_AC : c->cr0 & CR0_AM ? MODE_ALIGN : 0u);
}

/* What segments and RFLAGS say. */
static uint32_t cpu_mode_flow(const struct cpu *c)
{
    static const uint32_t privilege[] = { MODE_CPL0, 0, 0, MODE_USER };
    uint32_t mode = privilege[c->cpl];

    if (c->efer & EFER_LMA && c->seg[SEG_CS].ar & AR_L) {
        mode |= MODE_CODE64 | MODE_LONG | MODE_PROTECTED;
    } else {
        mode |= cpu_mode_segments(c) | (c->seg[SEG_CS].ar & AR_DB ? MODE_CODE32 : 0u) | (c->seg[SEG_SS].ar & AR_DB ? MODE_STACK32 : 0u);
        mode |= c->efer & EFER_LMA ? MODE_LONG : 0u;
        mode |= c->rflags & FLAG_VM ? MODE_VM86 : c->cr0 & CR0_PE ? MODE_PROTECTED : 0u;
    }
    return unlikely(c->rflags & (FLAG_AC | FLAG_TF) || c->dr[7] & 0xff || c->watched) ? mode | cpu_mode_rare(c) : mode;
}

void cpu_update(struct cpu *c)
{
    c->cpl = cpu_privilege(c);
    c->mode = cpu_mode_state(c) | cpu_mode_flow(c);
}

void cpu_update_flow(struct cpu *c)
{
    c->cpl = cpu_privilege(c);
    c->mode = (c->mode & MODE_STATE) | cpu_mode_flow(c);
}

/* -- comparison and dump ------------------------------------------------------------------------------------------------ */

static bool differ(char *text, size_t size, const char *name, unsigned index, uint64_t a, uint64_t b)
{
    if (a == b)
        return false;
    if (index == UINT32_MAX)
        snprintf(text, size, "%s %" PRIx64 " != %" PRIx64, name, a, b);
    else
        snprintf(text, size, "%s%u %" PRIx64 " != %" PRIx64, name, index, a, b);
    return true;
}

static bool differ_segment(char *text, size_t size, const char *name, const struct segment *a, const struct segment *b)
{
    uint32_t bits = AR_UNUSABLE;

    if (!((a->ar | b->ar) & AR_UNUSABLE))
        bits |= AR_TYPE | AR_S | AR_DPL | AR_P | AR_L | AR_DB | AR_G;
    if (a->selector == b->selector && (a->ar & bits) == (b->ar & bits) &&
        ((a->ar & AR_UNUSABLE) || (a->base == b->base && a->limit == b->limit)))
        return false;
    snprintf(text, size, "%s %04x base %" PRIx64 " limit %x ar %x != %04x base %" PRIx64 " limit %x ar %x", name,
             a->selector, a->base, a->limit, a->ar, b->selector, b->base, b->limit, b->ar);
    return true;
}

#define ONE UINT32_MAX

static bool differ_system(const struct cpu *a, const struct cpu *b, char *text, size_t size)
{
    return differ(text, size, "cr0", ONE, a->cr0, b->cr0) || differ(text, size, "cr2", ONE, a->cr2, b->cr2) ||
           differ(text, size, "cr3", ONE, a->cr3, b->cr3) || differ(text, size, "cr4", ONE, a->cr4, b->cr4) ||
           differ(text, size, "efer", ONE, a->efer, b->efer) || differ(text, size, "xcr0", ONE, a->xcr0, b->xcr0) ||
           differ(text, size, "gdtr.base", ONE, a->gdtr.base, b->gdtr.base) ||
           differ(text, size, "gdtr.limit", ONE, a->gdtr.limit, b->gdtr.limit) ||
           differ(text, size, "idtr.base", ONE, a->idtr.base, b->idtr.base) ||
           differ(text, size, "idtr.limit", ONE, a->idtr.limit, b->idtr.limit) ||
           differ(text, size, "mxcsr", ONE, a->mxcsr, b->mxcsr) || differ(text, size, "pkru", ONE, a->pkru, b->pkru);
}

bool cpu_compare(const struct cpu *a, const struct cpu *b, uint64_t ignore, char *text, size_t size)
{
    uint64_t mask = ~(ignore | FLAG_RF);

    for (unsigned i = 0; i < GPRS; i++)
        if (differ(text, size, cpu_gpr_names[i], ONE, a->slot[i], b->slot[i]))
            return false;
    if (differ(text, size, "rip", ONE, a->rip, b->rip) ||
        differ(text, size, "rflags", ONE, cpu_rflags(a) & mask, cpu_rflags(b) & mask))
        return false;
    for (unsigned i = 0; i < SEGMENTS; i++)
        if (differ_segment(text, size, cpu_segment_names[i], &a->seg[i], &b->seg[i]))
            return false;
    if (differ_system(a, b, text, size))
        return false;
    for (unsigned i = 0; i < 32 * 8; i++)
        if (differ(text, size, "zmm", i / 8, a->zmm[i / 8].q[i % 8], b->zmm[i / 8].q[i % 8]))
            return false;
    for (unsigned i = 0; i < 8; i++)
        if (differ(text, size, "k", i, a->k[i], b->k[i]))
            return false;
    return true;
}

void cpu_dump(const struct cpu *c, char *text, size_t size)
{
    size_t at = 0;

#define ADD(...) (at += (size_t)snprintf(text + (at < size ? at : size), at < size ? size - at : 0, __VA_ARGS__))
    for (unsigned i = 0; i < GPRS; i++)
        ADD("%s=%016" PRIx64 "%c", cpu_gpr_names[i], c->slot[i], i % 4 == 3 ? '\n' : ' ');
    ADD("rip=%016" PRIx64 " rflags=%08" PRIx64 " cpl=%u mode=%x\n", c->rip, cpu_rflags(c), c->cpl, c->mode);
    for (unsigned i = 0; i < SEGMENTS; i++)
        ADD("%s=%04x %016" PRIx64 " %08x %05x%c", cpu_segment_names[i], c->seg[i].selector, c->seg[i].base,
            c->seg[i].limit, c->seg[i].ar, i % 2 ? '\n' : ' ');
    ADD("gdtr=%016" PRIx64 " %04x idtr=%016" PRIx64 " %04x\n", c->gdtr.base, c->gdtr.limit, c->idtr.base, c->idtr.limit);
    ADD("cr0=%08" PRIx64 " cr2=%016" PRIx64 " cr3=%016" PRIx64 " cr4=%08" PRIx64 " efer=%04" PRIx64 " xcr0=%03" PRIx64 "\n",
        c->cr0, c->cr2, c->cr3, c->cr4, c->efer, c->xcr0);
#undef ADD
}
