/*
 * msr.c - RDMSR and WRMSR: a table of registers kept as they are written, and the few that do something.
 */
#include "x86/msr.h"

#include "base/log.h"
#include "walk.h"
#include "x86/cpuid.h"
#include "x86/segment.h"

#include <inttypes.h>

/* Registers that are plain storage: index, where, bits that may be set. */
struct msr_row {
    uint32_t index;
    uint16_t offset;
    uint64_t mask;
};

#define ROW(i, field, m) { i, offsetof(struct cpu, field), m }
static const struct msr_row msr_rows[] = {
    ROW(0x03b, msr.tsc_adjust, UINT64_MAX),
    ROW(0x03a, msr.feature_control, 0xffff),
    ROW(0x048, msr.spec_ctrl, 1), /* IBRS */
    ROW(0x08b, msr.microcode, UINT64_MAX),
    ROW(0x09e, msr.smbase, UINT32_MAX),
    ROW(0x174, msr.sysenter_cs, UINT32_MAX),
    ROW(0x17a, msr.mcg_status, 7),
    ROW(0x1a0, msr.misc_enable, UINT64_MAX),
    ROW(0x1d9, msr.debugctl, 3),
    ROW(0xc0000081, msr.star, UINT64_MAX),
    ROW(0xc0000084, msr.sfmask, UINT32_MAX),
    ROW(0xc0000103, msr.tsc_aux, UINT32_MAX),
};

/* The same, but the value must be canonical. */
static const struct msr_row msr_addresses[] = {
    ROW(0x175, msr.sysenter_esp, 0), ROW(0x176, msr.sysenter_eip, 0), ROW(0xc0000082, msr.lstar, 0),
    ROW(0xc0000083, msr.cstar, 0), ROW(0xc0000100, seg[SEG_FS].base, 0), ROW(0xc0000101, seg[SEG_GS].base, 0),
    ROW(0xc0000102, msr.kernel_gs_base, 0),
};
#undef ROW

enum { MSR_TSC = 0x10, MSR_APIC_BASE = 0x1b, MSR_SPEC_CTRL = 0x48, MSR_PRED_CMD = 0x49, MSR_MTRR_CAP = 0xfe,
       MSR_ARCH_CAPABILITIES = 0x10a, MSR_MTRR_DEF = 0x2ff, MSR_PAT = 0x277,
       MSR_TSC_DEADLINE = 0x6e0, MSR_PKRS = 0x6e1, MSR_XSS = 0xda0, MSR_PLATFORM_INFO = 0xce, MSR_MCG_CAP = 0x179 };
enum { APIC_BASE_X2APIC = 1 << 10, APIC_BASE_ENABLE = 1 << 11 };
#define MSR_EFER 0xc0000080u

static uint64_t *msr_slot(struct cpu *c, const struct msr_row *rows, size_t n, uint32_t index, uint64_t *mask)
{
    for (size_t i = 0; i < n; i++)
        if (rows[i].index == index) {
            *mask = rows[i].mask;
            return (uint64_t *)(void *)((char *)c + rows[i].offset);
        }
    return NULL;
}

/* Fixed MTRRs are at 250, 258, 259 and 268 to 26f (SDM 3A table 12-9). */
static uint64_t *msr_mtrr(struct cpu *c, uint32_t index)
{
    if (index >= 0x200 && index < 0x200 + 2 * MTRR_VARIABLE)
        return index & 1 ? &c->msr.mtrr_mask[(index - 0x200) / 2] : &c->msr.mtrr_base[(index - 0x200) / 2];
    if (index == 0x250)
        return &c->msr.mtrr_fixed[0];
    if (index == 0x258 || index == 0x259)
        return &c->msr.mtrr_fixed[index - 0x257];
    if (index >= 0x268 && index <= 0x26f)
        return &c->msr.mtrr_fixed[index - 0x265];
    return index == MSR_MTRR_DEF ? &c->msr.mtrr_def_type : NULL;
}

static bool msr_is_apic(uint32_t index) { return index == MSR_APIC_BASE || index == MSR_TSC_DEADLINE || (index >= 0x800 && index <= 0x83f); }

/* Registers that come with a feature, or with either of two. */
static bool msr_exists(const struct vcpu *v, uint32_t index)
{
    static const struct { uint32_t first, last; uint8_t feature[2]; } rows[] = {
        { MSR_TSC, MSR_TSC, { FEATURE_tsc, FEATURE_tsc } },
        { MSR_SPEC_CTRL, MSR_PRED_CMD, { FEATURE_ibrs, FEATURE_ibrs } },
        { MSR_ARCH_CAPABILITIES, MSR_ARCH_CAPABILITIES, { FEATURE_arch_capabilities, FEATURE_arch_capabilities } },
        { 0x174, 0x176, { FEATURE_sep, FEATURE_sep } },
        { MSR_MTRR_CAP, MSR_MTRR_CAP, { FEATURE_mtrr, FEATURE_mtrr } },
        { 0x200, 0x26f, { FEATURE_mtrr, FEATURE_mtrr } },
        { MSR_PAT, MSR_PAT, { FEATURE_pat, FEATURE_pat } },
        { MSR_MTRR_DEF, MSR_MTRR_DEF, { FEATURE_mtrr, FEATURE_mtrr } },
        { MSR_PKRS, MSR_PKRS, { FEATURE_pks, FEATURE_pks } },
        { 0x800, 0x83f, { FEATURE_x2apic, FEATURE_x2apic } },
        { 0xc0000081, 0xc0000084, { FEATURE_syscall, FEATURE_syscall } },
        { 0xc0000100, 0xc0000102, { FEATURE_lm, FEATURE_lm } },
        { 0xc0000103, 0xc0000103, { FEATURE_rdtscp, FEATURE_rdpid } },
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
        if (index >= rows[i].first && index <= rows[i].last)
            return feature_has(&v->features, rows[i].feature[0]) || feature_has(&v->features, rows[i].feature[1]);
    return true;
}

/* Registers of AMD's that read as 0 and keep nothing (APM 2 appendix A.1). */
static bool msr_is_empty(const struct vcpu *v, uint32_t index)
{
    static const struct { uint32_t first, last; } rows[] = {
        { 0xc0010000, 0xc0010007 },                             /* PerfEvtSel and PerfCtr, 0 to 3: nothing is counted */
        { 0xc0010010, 0xc0010010 }, { 0xc0010015, 0xc0010015 }, /* SYSCFG, HWCR */
        { 0xc001001a, 0xc001001a }, { 0xc001001d, 0xc001001d }, /* TOP_MEM, TOP_MEM2 */
    };

    for (unsigned i = 0; v->vendor == VENDOR_AMD && i < ARRAY_LEN(rows); i++)
        if (index >= rows[i].first && index <= rows[i].last)
            return true;
    return false;
}

bool msr_read(struct vcpu *v, uint32_t index, uint64_t *value)
{
    struct cpu *c = &v->cpu;
    uint64_t mask, *slot;

    if (!msr_exists(v, index))
        return false;
    if (msr_is_apic(index))
        return v->host.read_msr && v->host.read_msr(v->host.opaque, index, value);
    if ((slot = msr_slot(c, msr_rows, ARRAY_LEN(msr_rows), index, &mask)) ||
        (slot = msr_slot(c, msr_addresses, ARRAY_LEN(msr_addresses), index, &mask)) || (slot = msr_mtrr(c, index))) {
        *value = *slot;
        return true;
    }
    if (msr_is_empty(v, index)) {
        *value = 0;
        return true;
    }
    switch (index) {
    case MSR_TSC: *value = vcpu_tsc(v); return true;
    case MSR_EFER: *value = c->efer; return true;
    case MSR_PAT: *value = c->msr.pat; return true;
    case MSR_MTRR_CAP: *value = 1 << 8 | 1 << 10 | MTRR_VARIABLE; return true;
    case MSR_XSS: *value = c->msr.xss; return true;
    case MSR_PKRS: *value = c->msr.pkrs; return true;
    case MSR_ARCH_CAPABILITIES: *value = c->msr.arch_capabilities; return true;
    case MSR_MCG_CAP: case MSR_PLATFORM_INFO: *value = 0; return true;
    default: return false;
    }
}

/* Each byte a memory type (SDM 3A 12.12.2). */
static bool msr_pat_valid(uint64_t value)
{
    for (unsigned i = 0; i < 8; i++) {
        unsigned type = value >> i * 8 & 0xff;

        if (type == 2 || type == 3 || type > 7)
            return false;
    }
    return true;
}

static bool msr_write_efer(struct vcpu *v, uint64_t value)
{
    struct cpu *c = &v->cpu;

    if (value & ~cpuid_efer_mask(&v->features) || (c->cr0 & CR0_PG && (value ^ c->efer) & EFER_LME))
        return false;
    c->efer = (value & ~(uint64_t)EFER_LMA) | (c->efer & EFER_LMA);
    vcpu_update(v);
    return true;
}

/* The local APIC has them; CPUID says whether it is on. */
static bool msr_write_apic(struct vcpu *v, uint32_t index, uint64_t value)
{
    uint64_t *base = &v->cpu.msr.apic_base;

    if (!v->host.write_msr || !v->host.write_msr(v->host.opaque, index, value))
        return false;
    if (index == MSR_APIC_BASE)
        *base = (*base & ~(uint64_t)APIC_BASE_ENABLE) | (value & APIC_BASE_ENABLE);
    return true;
}

bool msr_write(struct vcpu *v, uint32_t index, uint64_t value)
{
    struct cpu *c = &v->cpu;
    uint64_t mask, *slot;

    if (!msr_exists(v, index))
        return false;
    if (index == MSR_APIC_BASE && value & APIC_BASE_X2APIC && !feature_has(&v->features, FEATURE_x2apic))
        return false;
    if (msr_is_apic(index))
        return msr_write_apic(v, index, value);
    if ((slot = msr_slot(c, msr_rows, ARRAY_LEN(msr_rows), index, &mask))) {
        if (value & ~mask)
            return false;
        if (index == 0x3b)
            c->tsc_base += value - *slot;
        *slot = index == 0x8b ? 0 : value;
        return true;
    }
    if ((slot = msr_slot(c, msr_addresses, ARRAY_LEN(msr_addresses), index, &mask))) {
        if (!segment_base_is_canonical(value))
            return false;
        *slot = value;
        return true;
    }
    if ((slot = msr_mtrr(c, index))) {
        *slot = value;
        return true;
    }
    if (msr_is_empty(v, index))
        return true;
    switch (index) {
    case MSR_TSC: c->tsc_base += value - vcpu_tsc(v); return true;
    case MSR_EFER: return msr_write_efer(v, value);
    case MSR_PAT:
        if (!msr_pat_valid(value))
            return false;
        c->msr.pat = value;
        return true;
    case MSR_XSS: return !value;
    case MSR_PKRS:
        if (value >> 32)
            return false;
        c->msr.pkrs = value;
        vcpu_update(v);
        return true;
    case MSR_PRED_CMD: return !(value >> 1); /* IBPB: no predictor to empty */
    case 0x79: return true; /* microcode update trigger */
    default: return false;
    }
}
