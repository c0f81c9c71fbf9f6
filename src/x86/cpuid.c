/*
 * cpuid.c - one CPU model: a generic x86-64 with what this program implements.
 *
 * Bits are set only for what src/x86/insns.def has rows for, except x87, SSE to SSE4.2, AVX, AVX2 and AVX-512, whose
 * floating-point arithmetic is listed in src/unimp.def: no 64-bit system starts without the former, and the moves of
 * the latter are what this program is about.
 */
#include "x86/cpuid.h"

#include <stdio.h>
#include <string.h>

enum {
    L1_ECX = 1u << 0 /* SSE3 */ | 1u << 1 /* PCLMULQDQ */ | 1u << 9 /* SSSE3 */ | 1u << 12 /* FMA */ | 1u << 13 /* CX16 */ |
             1u << 17 /* PCID */ | 1u << 19 | 1u << 20 /* SSE4 */ | 1u << 21 /* x2APIC */ | 1u << 22 /* MOVBE */ |
             1u << 23 /* POPCNT */ | 1u << 25 /* AES */ | 1u << 26 /* XSAVE */ | 1u << 28 /* AVX */ | 1u << 29 /* F16C */ |
             1u << 30 /* RDRAND */,
    L1_EDX = 1u << 0 /* FPU */ | 1u << 2 /* DE */ | 1u << 3 /* PSE */ | 1u << 4 /* TSC */ | 1u << 5 /* MSR */ |
             1u << 6 /* PAE */ | 1u << 7 /* MCE */ | 1u << 8 /* CX8 */ | 1u << 9 /* APIC */ | 1u << 11 /* SEP */ | 1u << 12 /* MTRR */ |
             1u << 13 /* PGE */ | 1u << 15 /* CMOV */ | 1u << 16 /* PAT */ | 1u << 17 /* PSE36 */ | 1u << 19 /* CLFSH */ |
             1u << 23 /* MMX */ | 1u << 24 /* FXSR */ | 1u << 25 /* SSE */ | 1u << 26 /* SSE2 */,
    L7_EBX = 1u << 0 /* FSGSBASE */ | 1u << 3 /* BMI1 */ | 1u << 5 /* AVX2 */ | 1u << 7 /* SMEP */ | 1u << 8 /* BMI2 */ |
             1u << 9 /* ERMS */ | 1u << 10 /* INVPCID */ | 1u << 16 /* AVX512F */ | 1u << 17 /* AVX512DQ */ |
             1u << 18 /* RDSEED */ | 1u << 19 /* ADX */ | 1u << 20 /* SMAP */ | 1u << 21 /* AVX512_IFMA */ |
             1u << 23 /* CLFLUSHOPT */ | 1u << 24 /* CLWB */ | 1u << 28 /* AVX512CD */ | 1u << 29 /* SHA */ |
             1u << 30 /* AVX512BW */ | 1u << 31 /* AVX512VL */,
    L7_ECX = 1u << 1 /* AVX512_VBMI */ | 1u << 2 /* UMIP */ | 1u << 3 /* PKU */ | 1u << 6 /* AVX512_VBMI2 */ |
             1u << 8 /* GFNI */ | 1u << 9 /* VAES */ | 1u << 10 /* VPCLMULQDQ */ | 1u << 11 /* AVX512_VNNI */ |
             1u << 12 /* AVX512_BITALG */ | 1u << 14 /* AVX512_VPOPCNTDQ */ | 1u << 16 /* LA57 */ | 1u << 22 /* RDPID */ |
             1u << 27 /* MOVDIRI */ | 1u << 28 /* MOVDIR64B */ | 1u << 29 /* ENQCMD */,
    X1_ECX = 1u << 0 /* LAHF */ | 1u << 5 /* LZCNT */ | 1u << 8 /* PREFETCHW */,
    X1_EDX = 1u << 11 /* SYSCALL */ | 1u << 20 /* NX */ | 1u << 26 /* 1 GiB pages */ | 1u << 27 /* RDTSCP */ | 1u << 29 /* LM */,
};

const struct xsave_component xsave_components[10] = {
    [0] = { 0, 512 }, [1] = { 0, 512 }, [2] = { 576, 256 }, [5] = { 832, 64 }, [6] = { 896, 512 }, [7] = { 1408, 1024 },
    [9] = { 2432, 8 },
};

uint64_t cpuid_xcr0_mask(void)
{
    return XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_OPMASK | XCR0_ZMM_HI256 | XCR0_HI16_ZMM | XCR0_PKRU;
}

uint64_t cpuid_cr4_mask(void)
{
    return CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_PCE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_UMIP |
           CR4_LA57 | CR4_FSGSBASE | CR4_PCIDE | CR4_OSXSAVE | CR4_SMEP | CR4_SMAP | CR4_PKE;
}

uint64_t cpuid_efer_mask(void) { return EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE; }

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

#define VENDOR_EBX 0x756e6547 /* GenuineIntel */
#define VENDOR_EDX 0x49656e69
#define VENDOR_ECX 0x6c65746e

static const struct cpuid_row rows[] = {
    { 0x0, 0, false, { 0xd, VENDOR_EBX, VENDOR_ECX, VENDOR_EDX } },
    { 0x1, 0, false, { 0x806f8, 8 << 8 /* CLFLUSH line */ | 1 << 16, L1_ECX, (uint32_t)L1_EDX } },
    { 0x2, 0, false, { 0x00feff01, 0, 0, 0xf0 } },
    { 0x4, 0, true, { 0x121, 63 | 7 << 22, 63, 0 } },
    { 0x4, 1, true, { 0x122, 63 | 7 << 22, 63, 0 } },
    { 0x4, 2, true, { 0x143, 63 | 15 << 22, 2047, 0 } },
    { 0x5, 0, false, { 64, 64, 3, 0 } },
    { 0x6, 0, false, { 4 /* ARAT */, 0, 0, 0 } },
    { 0x7, 0, true, { 1, (uint32_t)L7_EBX, L7_ECX, 0 } },
    { 0x7, 1, true, { 1 << 5 /* AVX512_BF16 */, 0, 0, 0 } },
    { 0xb, 0, true, { 0, 1, 0x100, 0 } },
    { 0xb, 1, true, { 0, 1, 0x201, 0 } },
    { 0xd, 0, true, { 0x2e7, 576, 2440, 0 } },
    { 0xd, 1, true, { 0x7 /* XSAVEOPT, XSAVEC, XGETBV(1) */, 0, 0, 0 } },
    { 0xd, 2, true, { 256, 576, 0, 0 } },
    { 0xd, 5, true, { 64, 832, 0, 0 } },
    { 0xd, 6, true, { 512, 896, 0, 0 } },
    { 0xd, 7, true, { 1024, 1408, 0, 0 } },
    { 0xd, 9, true, { 8, 2432, 0, 0 } },
    { 0x80000000, 0, false, { 0x80000008, 0, 0, 0 } },
    { 0x80000001, 0, false, { 0, 0, X1_ECX, X1_EDX } },
    { 0x80000002, 0, false, { 0x65646977, 0x64616f6c, 0x72697620, 0x6c617574 } }, /* "wideload virtual CPU" */
    { 0x80000003, 0, false, { 0x55504320, 0, 0, 0 } },
    { 0x80000004, 0, false, { 0, 0, 0, 0 } },
    { 0x80000006, 0, false, { 0, 0, 0x02006040, 0 } },
    { 0x80000007, 0, false, { 0, 0, 0, 1 << 8 /* invariant TSC */ } },
    { 0x80000008, 0, false, { 48 << 8 | CPUID_PHYSICAL_BITS, 0, 0, 0 } },
};

void cpuid_default(struct cpuid_table *table)
{
    table->n = ARRAY_LEN(rows);
    memcpy(table->row, rows, sizeof(rows));
}

static struct cpuid_result cpuid_find(const struct cpuid_table *t, uint32_t leaf, uint32_t subleaf)
{
    for (unsigned i = 0; i < t->n; i++)
        if (t->row[i].leaf == leaf && (!t->row[i].indexed || t->row[i].subleaf == subleaf))
            return t->row[i].r;
    return (struct cpuid_result){ 0 };
}

struct cpuid_result cpuid(const struct cpuid_table *t, const struct cpu *cpu, uint32_t leaf, uint32_t subleaf)
{
    uint32_t highest = cpuid_find(t, leaf >= 0x80000000 ? 0x80000000 : 0, 0).eax;
    struct cpuid_result r;

    if (leaf > highest || (leaf >= 0x40000000 && leaf < 0x80000000)) /* beyond: as the highest basic leaf */
        leaf = cpuid_find(t, 0, 0).eax, subleaf = 0;
    r = cpuid_find(t, leaf, subleaf);
    if (leaf == 1 && cpu->cr4 & CR4_OSXSAVE)
        r.ecx |= 1u << 27;
    if (leaf == 1 && !(cpu->msr.apic_base >> 11 & 1))
        r.edx &= ~(1u << 9);
    if (leaf == 7 && subleaf == 0 && cpu->cr4 & CR4_PKE)
        r.ecx |= 1u << 4;
    if (leaf == 0xd && subleaf == 0)
        r.ebx = cpuid_xsave_size(cpu->xcr0);
    if (leaf == 0xd && subleaf == 1)
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
