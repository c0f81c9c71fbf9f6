/*
 * cpuid.c - CPUID leaves, and what control registers may hold, from a set of features.
 *
 * Features are offered (features.def) only for what src/x86/insns.def has rows for; src/unimp.def lists what is missing
 * within them.
 */
#include "x86/cpuid.h"

#include <stdio.h>
#include <string.h>

const struct xsave_component xsave_components[10] = {
    [0] = { 0, 512 }, [1] = { 0, 512 }, [2] = { 576, 256 }, [5] = { 832, 64 }, [6] = { 896, 512 }, [7] = { 1408, 1024 },
    [9] = { 2432, 8 },
};

/* Bits of a register, and the feature that each comes with. */
struct cpuid_control {
    uint64_t bits;
    uint8_t feature;
};

static uint64_t cpuid_control_mask(const struct cpuid_control *rows, size_t n, const struct feature_set *features)
{
    uint64_t mask = 0;

    for (size_t i = 0; i < n; i++)
        mask |= feature_has(features, rows[i].feature) ? rows[i].bits : 0;
    return mask;
}

uint64_t cpuid_xcr0_mask(const struct feature_set *features)
{
    static const struct cpuid_control xcr0[] = {
        { XCR0_X87 | XCR0_SSE, FEATURE_none }, { XCR0_AVX, FEATURE_avx },
        { XCR0_OPMASK | XCR0_ZMM_HI256 | XCR0_HI16_ZMM, FEATURE_avx512f }, { XCR0_PKRU, FEATURE_pku },
    };

    return cpuid_control_mask(xcr0, ARRAY_LEN(xcr0), features);
}

uint64_t cpuid_cr4_mask(const struct feature_set *features)
{
    static const struct cpuid_control cr4[] = {
        { CR4_TSD, FEATURE_tsc }, { CR4_DE, FEATURE_de }, { CR4_PSE, FEATURE_pse }, { CR4_PAE, FEATURE_pae },
        { CR4_MCE, FEATURE_mce }, { CR4_PGE, FEATURE_pge }, { CR4_PCE, FEATURE_none }, { CR4_OSFXSR, FEATURE_fxsr },
        { CR4_OSXMMEXCPT, FEATURE_sse }, { CR4_UMIP, FEATURE_umip }, { CR4_LA57, FEATURE_la57 },
        { CR4_FSGSBASE, FEATURE_fsgsbase }, { CR4_PCIDE, FEATURE_pcid }, { CR4_OSXSAVE, FEATURE_xsave },
        { CR4_SMEP, FEATURE_smep }, { CR4_SMAP, FEATURE_smap }, { CR4_PKE, FEATURE_pku }, { CR4_PKS, FEATURE_pks },
    };

    return cpuid_control_mask(cr4, ARRAY_LEN(cr4), features);
}

uint64_t cpuid_efer_mask(const struct feature_set *features)
{
    static const struct cpuid_control efer[] = {
        { EFER_SCE, FEATURE_syscall }, { EFER_LME | EFER_LMA, FEATURE_lm }, { EFER_NXE, FEATURE_nx },
    };

    return cpuid_control_mask(efer, ARRAY_LEN(efer), features);
}

unsigned cpuid_xsave_size(uint64_t components)
{
    unsigned size = 576;

    for (unsigned i = 2; i < ARRAY_LEN(xsave_components); i++)
        if (components >> i & 1 && xsave_components[i].size)
            size = (unsigned)bits_max(size, xsave_components[i].offset + xsave_components[i].size);
    return size;
}

/* The same in compacted format, which leaves no gaps (SDM 1 13.4.3). */
static unsigned cpuid_compacted_size(uint64_t components)
{
    unsigned size = 576;

    for (unsigned i = 2; i < ARRAY_LEN(xsave_components); i++)
        if (components >> i & 1)
            size += xsave_components[i].size;
    return size;
}

/* Leaf 0; AMD's repeat it in leaf 80000000 (APM 3 E.4.1). */
static const struct cpuid_result vendors[] = {
    [VENDOR_INTEL] = { .ebx = 0x756e6547, .ecx = 0x6c65746e, .edx = 0x49656e69 }, /* GenuineIntel */
    [VENDOR_AMD] = { .ebx = 0x68747541, .ecx = 0x444d4163, .edx = 0x69746e65 },   /* AuthenticAMD */
};

/* Everything but features: those are bits of features.def. */
static const struct cpuid_row rows[] = {
    { 0x0, 0, false, { 0xd, 0, 0, 0 } },
    { 0x1, 0, false, { 0, 8 << 8 /* CLFLUSH line */ | 1 << 16, 0, 0 } },
    { 0x2, 0, false, { 0x00feff01, 0, 0, 0xf0 } },
    { 0x4, 0, true, { 0x121, 63 | 7 << 22, 63, 0 } },
    { 0x4, 1, true, { 0x122, 63 | 7 << 22, 63, 0 } },
    { 0x4, 2, true, { 0x143, 63 | 15 << 22, 2047, 0 } },
    { 0x5, 0, false, { 64, 64, 3, 0 } },
    { 0x6, 0, false, { 0, 0, 0, 0 } },
    { 0x7, 0, true, { 1, 0, 0, 0 } },
    { 0x7, 1, true, { 0, 0, 0, 0 } },
    { 0xb, 0, true, { 0, 1, 0x100, 0 } },
    { 0xb, 1, true, { 0, 1, 0x201, 0 } },
    { 0xd, 0, true, { 0, 576, 0, 0 } },
    { 0xd, 1, true, { 0, 0, 0, 0 } },
    { 0xd, 2, true, { 256, 576, 0, 0 } },
    { 0xd, 5, true, { 64, 832, 0, 0 } },
    { 0xd, 6, true, { 512, 896, 0, 0 } },
    { 0xd, 7, true, { 1024, 1408, 0, 0 } },
    { 0xd, 9, true, { 8, 2432, 0, 0 } },
    { 0x80000000, 0, false, { 0x80000008, 0, 0, 0 } },
    { 0x80000001, 0, false, { 0, 0, 0, 0 } },
    { 0x80000002, 0, false, { 0x65646977, 0x64616f6c, 0x72697620, 0x6c617574 } }, /* "wideload virtual CPU" */
    { 0x80000003, 0, false, { 0x55504320, 0, 0, 0 } },
    { 0x80000004, 0, false, { 0, 0, 0, 0 } },
    { 0x80000005, 0, false, { 0, 0, 0x20080140, 0x20080140 } }, /* L1: 32 KiB, 8 ways, as leaf 4 says elsewhere */
    { 0x80000006, 0, false, { 0, 0, 0x02006040, 0 } },
    { 0x80000007, 0, false, { 0, 0, 0, 0 } },
    { 0x80000008, 0, false, { CPUID_PHYSICAL_BITS, 0, 0, 0 } },
};

/* Caches are in leaves 2 and 4 of Intel's and in 80000005 of AMD's (APM 3 E.3, E.4). */
static bool cpuid_is_of_vendor(uint32_t leaf, enum cpu_vendor vendor)
{
    switch (leaf) {
    case 0x2: case 0x4: return vendor == VENDOR_INTEL;
    case 0x80000005: return vendor == VENDOR_AMD;
    default: return true;
    }
}

/* Leaf D is there with XSAVE, and describes the components that XCR0 may have. */
static bool cpuid_has_row(const struct cpuid_row *r, const struct cpu_model *model)
{
    if (r->leaf != 0xd)
        return cpuid_is_of_vendor(r->leaf, model->vendor);
    return feature_has(&model->features, FEATURE_xsave) && (r->subleaf < 2 || cpuid_xcr0_mask(&model->features) >> r->subleaf & 1);
}

/* The index of a row; n: there is none. */
static unsigned cpuid_find_row(const struct cpuid_table *t, uint32_t leaf, uint32_t subleaf)
{
    unsigned i = 0;

    while (i < t->n && !(t->row[i].leaf == leaf && (!t->row[i].indexed || t->row[i].subleaf == subleaf)))
        i++;
    return i;
}

static struct cpuid_result cpuid_find(const struct cpuid_table *t, uint32_t leaf, uint32_t subleaf)
{
    unsigned i = cpuid_find_row(t, leaf, subleaf);

    return i < t->n ? t->row[i].r : (struct cpuid_result){ 0 };
}

static void cpuid_offer(struct cpuid_table *t, const struct feature_row *f)
{
    struct cpuid_result *r = &t->row[cpuid_find_row(t, f->leaf, f->subleaf)].r;

    *(uint32_t *)(void *)((char *)r + f->reg) |= 1u << f->bit;
}

/* Bits of leaf 1, EDX that leaf 80000001 of AMD's has again (APM 3 E.4.2). */
#define CPUID_COMMON_EDX 0x0183f3ffu

static void cpuid_set_vendor(struct cpuid_table *t, const struct cpu_model *model)
{
    struct cpuid_result *zero = &t->row[cpuid_find_row(t, 0, 0)].r, *one = &t->row[cpuid_find_row(t, 1, 0)].r;
    struct cpuid_result name = vendors[model->vendor];

    name.eax = zero->eax;
    *zero = name;
    if (model->vendor != VENDOR_AMD)
        return;
    name.eax = 0x80000008;
    t->row[cpuid_find_row(t, 0x80000000, 0)].r = name;
    t->row[cpuid_find_row(t, 0x80000001, 0)].r.eax = one->eax;
    t->row[cpuid_find_row(t, 0x80000001, 0)].r.edx |= one->edx & CPUID_COMMON_EDX;
}

enum cpu_vendor cpuid_vendor(const struct cpuid_table *t)
{
    struct cpuid_result r = cpuid_find(t, 0, 0);

    return r.ebx == vendors[VENDOR_AMD].ebx && r.ecx == vendors[VENDOR_AMD].ecx && r.edx == vendors[VENDOR_AMD].edx ? VENDOR_AMD : VENDOR_INTEL;
}

void cpuid_build(struct cpuid_table *t, const struct cpu_model *model)
{
    const struct feature_set *features = &model->features;
    uint64_t xcr0 = cpuid_xcr0_mask(features);

    t->n = 0;
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
        if (cpuid_has_row(&rows[i], model))
            t->row[t->n++] = rows[i];
    for (unsigned f = 1; f < FEATURES; f++)
        if (feature_has(features, f))
            cpuid_offer(t, &feature_rows[f]);
    t->row[cpuid_find_row(t, 1, 0)].r.eax = model->signature;
    cpuid_set_vendor(t, model);
    t->row[cpuid_find_row(t, 0x80000008, 0)].r.eax |= (feature_has(features, FEATURE_la57) ? 57 : 48) << 8;
    if (feature_has(features, FEATURE_xsave)) {
        struct cpuid_result *xsave = &t->row[cpuid_find_row(t, 0xd, 0)].r;

        xsave->eax = (uint32_t)xcr0;
        xsave->ecx = cpuid_xsave_size(xcr0);
    }
}

void cpuid_place(struct cpuid_table *t, unsigned id, unsigned cpus)
{
    unsigned shift = 0;

    while (1u << shift < cpus)
        shift++;
    for (struct cpuid_row *r = t->row; r < t->row + t->n; r++) {
        if (r->leaf == 1) {
            r->r.ebx = (r->r.ebx & 0xffff) | 1u << shift << 16 | id << 24;
            r->r.edx |= (cpus > 1u) << 28; /* HTT: the number is there */
        } else if (r->leaf == 4) {
            r->r.eax = (r->r.eax & 0x3ffffff) | ((1u << shift) - 1) << 26;
        } else if (r->leaf == 0x80000001 && cpuid_vendor(t) == VENDOR_AMD) {
            r->r.ecx |= (cpus > 1u) << 1; /* CmpLegacy: what HTT tells of are cores */
        } else if (r->leaf == 0x80000008 && cpuid_vendor(t) == VENDOR_AMD) {
            r->r.ecx = shift << 12 | (cpus - 1);
        } else if (r->leaf == 0xb) {
            r->r.eax = r->subleaf ? shift : 0;
            r->r.ebx = r->subleaf ? cpus : 1;
            r->r.edx = id;
        }
    }
}

bool cpuid_has_bit(const struct cpuid_result *r, unsigned feature)
{
    const struct feature_row *f = &feature_rows[feature];

    return *(const uint32_t *)(const void *)((const char *)r + f->reg) >> f->bit & 1;
}

bool cpuid_offers(const struct cpuid_table *t, unsigned feature)
{
    struct cpuid_result r = cpuid_find(t, feature_rows[feature].leaf, feature_rows[feature].subleaf);

    return cpuid_has_bit(&r, feature);
}

void cpuid_withdraw(struct cpuid_table *t, unsigned feature)
{
    const struct feature_row *f = &feature_rows[feature];
    unsigned i = cpuid_find_row(t, f->leaf, f->subleaf);

    if (i < t->n)
        *(uint32_t *)(void *)((char *)&t->row[i].r + f->reg) &= ~(1u << f->bit);
}

struct cpuid_result cpuid(const struct cpuid_table *t, const struct cpu *cpu, uint32_t leaf, uint32_t subleaf)
{
    uint32_t highest = cpuid_find(t, leaf >= 0x80000000 ? 0x80000000 : 0, 0).eax;
    struct cpuid_result r;

    if (leaf > highest || (leaf >= 0x40000000 && leaf < 0x80000000)) { /* beyond: Intel's say their highest basic leaf */
        if (cpuid_vendor(t) == VENDOR_AMD)
            return (struct cpuid_result){ 0 };
        leaf = cpuid_find(t, 0, 0).eax, subleaf = 0;
    }
    r = cpuid_find(t, leaf, subleaf);
    if (leaf == 1 && cpu->cr4 & CR4_OSXSAVE)
        r.ecx |= 1u << 27;
    if (leaf == 1 && !(cpu->msr.apic_base >> 11 & 1))
        r.edx &= ~(1u << 9);
    if (leaf == 7 && subleaf == 0 && cpu->cr4 & CR4_PKE)
        r.ecx |= 1u << 4;
    if (leaf == 0xd && subleaf == 0 && r.eax)
        r.ebx = cpuid_xsave_size(cpu->xcr0);
    if (leaf == 0xd && subleaf == 1 && r.eax & 2 /* XSAVEC */)
        r.ebx = cpuid_compacted_size(cpu->xcr0 | cpu->msr.xss);
    return r;
}

/* "leaf[.subleaf]=eax,ebx,ecx,edx;..." in hexadecimal. */
void cpuid_print(const struct cpuid_table *t, char *text, size_t size)
{
    size_t at = 0;

    *text = 0;
    for (unsigned i = 0; i < t->n && at < size; i++) {
        const struct cpuid_row *r = &t->row[i];

        at += (size_t)snprintf(text + at, size - at, "%x", r->leaf);
        if (r->indexed && at < size)
            at += (size_t)snprintf(text + at, size - at, ".%x", r->subleaf);
        if (at < size)
            at += (size_t)snprintf(text + at, size - at, "=%x,%x,%x,%x;", r->r.eax, r->r.ebx, r->r.ecx, r->r.edx);
    }
}

static bool cpuid_parse_row(const char *text, struct cpuid_row *r, int *n)
{
    *r = (struct cpuid_row){ 0 };
    *n = 0;
    if (sscanf(text, "%x.%x=%x,%x,%x,%x;%n", &r->leaf, &r->subleaf, &r->r.eax, &r->r.ebx, &r->r.ecx, &r->r.edx, n) == 6 && *n) {
        r->indexed = true;
        return true;
    }
    r->subleaf = 0;
    return sscanf(text, "%x=%x,%x,%x,%x;%n", &r->leaf, &r->r.eax, &r->r.ebx, &r->r.ecx, &r->r.edx, n) == 5 && *n;
}

bool cpuid_parse(const char *text, struct cpuid_table *t)
{
    int n;

    for (t->n = 0; *text; text += n, t->n++)
        if (t->n == CPUID_ROWS || !cpuid_parse_row(text, &t->row[t->n], &n))
            return false;
    return t->n;
}
