/*
 * test_cpu.c - CPU models: what CPUID says, which instructions there are, what control registers and MSRs take.
 *
 * Code runs in a box (tests/lib/box.h) at CPL 0 of 64-bit mode unless said otherwise.  What is expected stands here, not
 * in features.def: the levels as the table "Micro-Architecture Levels" of the x86-64 psABI has them, and what each
 * instruction needs as its page in SDM volume 2 says.
 */
#include "lib/box.h"
#include "lib/which_engine.h"
#include "x86/model.h"

#include <check.h>
#include <string.h>

enum { UD = 6, BP = 3, GP = 13 };
enum { EAX, EBX, ECX, EDX };

static struct box b;
static struct cpu *const cpu = &b.vcpu.cpu;

static void setup(void) { box_create(&b); }
static void teardown(void) { box_destroy(&b); }

#define CODE(...) BOX_CODE_BYTES(&b, __VA_ARGS__)
#define RUN() box_run(&b, 100)

static bool has(unsigned feature) { return feature_has(&b.vcpu.features, feature); }

static void use(const char *text)
{
    struct cpu_model model;
    struct err err;

    ck_assert_msg(model_parse(text, &model, &err), "%s: %s", text, err.text);
    vcpu_set_model(&b.vcpu, &model);
}

/* All that a system would turn on, where there is something to turn on. */
static void begin(enum box_mode mode)
{
    box_reset(&b, mode, 0);
    cpu->cr4 |= (CR4_OSXSAVE | CR4_FSGSBASE | CR4_PKE | CR4_OSFXSR) & cpuid_cr4_mask(&b.vcpu.features);
    if (cpu->cr4 & CR4_OSXSAVE)
        cpu->xcr0 = cpuid_xcr0_mask(&b.vcpu.features);
    cpu->slot[RDI] = BOX_DATA;
    cpu->slot[RSI] = BOX_DATA + 0x1000;
    box_put(&b, BOX_DATA + 0x1000, 4, 0x1f80); /* an MXCSR */
}

/* -- CPUID ----------------------------------------------------------------------------------------------------------- */

static bool cpuid_bit(uint32_t leaf, unsigned reg, unsigned bit)
{
    const uint64_t *r = cpu->slot;

    begin(BOX_LONG);
    cpu->slot[RAX] = leaf;
    CODE(0x0f, 0xa2, 0xcc);
    ck_assert_int_eq(RUN(), BP);
    return ((const uint64_t[]){ r[RAX], r[RBX], r[RCX], r[RDX] })[reg] >> bit & 1;
}

/* Each level has its own features and those of the levels below, and none of the ones above. */
START_TEST(level_offers_what_the_psabi_says)
{
    static const struct { unsigned level; const char *name; uint32_t leaf; unsigned reg, bit; } rows[] = {
        { 1, "CMOV", 1, EDX, 15 }, { 1, "CX8", 1, EDX, 8 }, { 1, "FPU", 1, EDX, 0 }, { 1, "FXSR", 1, EDX, 24 },
        { 1, "MMX", 1, EDX, 23 }, { 1, "SYSCALL", 0x80000001, EDX, 11 }, { 1, "SSE", 1, EDX, 25 },
        { 1, "SSE2", 1, EDX, 26 },
        { 2, "CMPXCHG16B", 1, ECX, 13 }, { 2, "LAHF-SAHF", 0x80000001, ECX, 0 }, { 2, "POPCNT", 1, ECX, 23 },
        { 2, "SSE3", 1, ECX, 0 }, { 2, "SSE4.1", 1, ECX, 19 }, { 2, "SSE4.2", 1, ECX, 20 }, { 2, "SSSE3", 1, ECX, 9 },
        { 3, "AVX", 1, ECX, 28 }, { 3, "AVX2", 7, EBX, 5 }, { 3, "BMI1", 7, EBX, 3 }, { 3, "BMI2", 7, EBX, 8 },
        { 3, "F16C", 1, ECX, 29 }, { 3, "FMA", 1, ECX, 12 }, { 3, "LZCNT", 0x80000001, ECX, 5 },
        { 3, "MOVBE", 1, ECX, 22 }, { 3, "OSXSAVE", 1, ECX, 27 },
        { 4, "AVX512F", 7, EBX, 16 }, { 4, "AVX512BW", 7, EBX, 30 }, { 4, "AVX512CD", 7, EBX, 28 },
        { 4, "AVX512DQ", 7, EBX, 17 }, { 4, "AVX512VL", 7, EBX, 31 },
    };
    static const char *const levels[] = { "x86-64-v1", "x86-64-v2", "x86-64-v3", "x86-64-v4" };
    unsigned level = (unsigned)_i + 1;

    use(levels[_i]);
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
        ck_assert_msg(cpuid_bit(rows[i].leaf, rows[i].reg, rows[i].bit) == (rows[i].level <= level), "%s: %s", levels[_i],
                      rows[i].name);
}
END_TEST

/* Leaf D: XCR0's bits, a row for each component that may be enabled, all zero without XSAVE. */
START_TEST(cpuid_leaf_d_follows_the_features)
{
    static const struct { const char *cpu; uint32_t xcr0, size, rows; } rows[] = {
        { "max", 0x2e7, 2440, 0x2e4 }, { "x86-64-v4", 0xe7, 2432, 0xe4 }, { "x86-64-v3", 7, 832, 4 },
        { "x86-64-v2", 0, 0, 0 }, { "max,-avx", 0x203, 2440, 0x200 }, { "max,-avx512f", 0x207, 2440, 0x204 }, { "max,-xsave", 0, 0, 0 },
        { "x86-64-v2,+xsave", 3, 576, 0 },
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct cpuid_result r;

        use(rows[i].cpu);
        begin(BOX_LONG);
        r = cpuid(&b.vcpu.cpuid, cpu, 0xd, 0);
        ck_assert_uint_eq(r.eax, rows[i].xcr0);
        ck_assert_uint_eq(r.ebx, rows[i].size);
        ck_assert_uint_eq(r.ecx, rows[i].size);
        for (unsigned n = 2; n < 32; n++)
            ck_assert_uint_eq(!!cpuid(&b.vcpu.cpuid, cpu, 0xd, n).eax, rows[i].rows >> n & 1);
    }
}
END_TEST

/* Bits 15 to 8 of EAX; Linux asks them what a canonical address is. */
START_TEST(linear_addresses_have_57_bits_with_la57)
{
    use("max");
    ck_assert_uint_eq(cpuid(&b.vcpu.cpuid, cpu, 0x80000008, 0).eax >> 8, 57);
    use("max,-la57");
    ck_assert_uint_eq(cpuid(&b.vcpu.cpuid, cpu, 0x80000008, 0).eax >> 8, 48);
}
END_TEST

/* -- instructions ------------------------------------------------------------------------------------------------------ */

struct insn_of {
    const char *text;
    uint8_t bytes, code[10];
    uint8_t needs[3];
};

static const struct insn_of insns[] = {
    { "fld1", 2, { 0xd9, 0xe8 }, { FEATURE_fpu } },
    { "fcomi st, st(1)", 2, { 0xdb, 0xf1 }, { FEATURE_fpu, FEATURE_cmov } },
    { "fcmovb st, st(1)", 2, { 0xda, 0xc1 }, { FEATURE_fpu, FEATURE_cmov } },
    { "fisttp dword ptr [rdi]", 2, { 0xdb, 0x0f }, { FEATURE_fpu, FEATURE_sse3 } },
    { "rdtsc", 2, { 0x0f, 0x31 }, { FEATURE_tsc } },
    { "cmpxchg8b [rdi]", 3, { 0x0f, 0xc7, 0x0f }, { FEATURE_cx8 } },
    { "cmovz eax, ecx", 3, { 0x0f, 0x44, 0xc1 }, { FEATURE_cmov } },
    { "clflush [rdi]", 3, { 0x0f, 0xae, 0x3f }, { FEATURE_clflush } },
    { "paddb mm0, mm1", 3, { 0x0f, 0xfc, 0xc1 }, { FEATURE_mmx } },
    { "pshufw mm0, mm1, 0", 4, { 0x0f, 0x70, 0xc1, 0x00 }, { FEATURE_mmx, FEATURE_sse } },
    { "paddq mm0, mm1", 3, { 0x0f, 0xd4, 0xc1 }, { FEATURE_mmx, FEATURE_sse2 } },
    { "pabsb mm0, mm1", 4, { 0x0f, 0x38, 0x1c, 0xc1 }, { FEATURE_mmx, FEATURE_ssse3 } },
    { "fxsave [rdi]", 3, { 0x0f, 0xae, 0x07 }, { FEATURE_fxsr } },
    { "addps xmm0, xmm1", 3, { 0x0f, 0x58, 0xc1 }, { FEATURE_sse } },
    { "ldmxcsr [rsi]", 3, { 0x0f, 0xae, 0x16 }, { FEATURE_sse } },
    { "sfence", 3, { 0x0f, 0xae, 0xf8 }, { FEATURE_sse } },
    { "addpd xmm0, xmm1", 4, { 0x66, 0x0f, 0x58, 0xc1 }, { FEATURE_sse2 } },
    { "paddb xmm0, xmm1", 4, { 0x66, 0x0f, 0xfc, 0xc1 }, { FEATURE_sse2 } },
    { "movnti [rdi], eax", 3, { 0x0f, 0xc3, 0x07 }, { FEATURE_sse2 } },
    { "lfence", 3, { 0x0f, 0xae, 0xe8 }, { FEATURE_sse2 } },
    { "addsubps xmm0, xmm1", 4, { 0xf2, 0x0f, 0xd0, 0xc1 }, { FEATURE_sse3 } },
    { "pabsb xmm0, xmm1", 5, { 0x66, 0x0f, 0x38, 0x1c, 0xc1 }, { FEATURE_ssse3 } },
    { "ptest xmm0, xmm1", 5, { 0x66, 0x0f, 0x38, 0x17, 0xc1 }, { FEATURE_sse4_1 } },
    { "pcmpgtq xmm0, xmm1", 5, { 0x66, 0x0f, 0x38, 0x37, 0xc1 }, { FEATURE_sse4_2 } },
    { "crc32 eax, ecx", 5, { 0xf2, 0x0f, 0x38, 0xf1, 0xc1 }, { FEATURE_sse4_2 } },
    { "popcnt eax, ecx", 4, { 0xf3, 0x0f, 0xb8, 0xc1 }, { FEATURE_popcnt } },
    { "cmpxchg16b [rdi]", 4, { 0x48, 0x0f, 0xc7, 0x0f }, { FEATURE_cx16 } },
    { "lahf", 1, { 0x9f }, { FEATURE_lahf_lm } },
    { "movbe eax, [rdi]", 4, { 0x0f, 0x38, 0xf0, 0x07 }, { FEATURE_movbe } },
    { "aesenc xmm0, xmm1", 5, { 0x66, 0x0f, 0x38, 0xdc, 0xc1 }, { FEATURE_aes } },
    { "pclmulqdq xmm0, xmm1, 0", 6, { 0x66, 0x0f, 0x3a, 0x44, 0xc1, 0x00 }, { FEATURE_pclmulqdq } },
    { "sha1msg1 xmm0, xmm1", 4, { 0x0f, 0x38, 0xc9, 0xc1 }, { FEATURE_sha } },
    { "gf2p8mulb xmm0, xmm1", 5, { 0x66, 0x0f, 0x38, 0xcf, 0xc1 }, { FEATURE_gfni } },
    { "rdrand eax", 3, { 0x0f, 0xc7, 0xf0 }, { FEATURE_rdrand } },
    { "rdseed eax", 3, { 0x0f, 0xc7, 0xf8 }, { FEATURE_rdseed } },
    { "adcx eax, ecx", 5, { 0x66, 0x0f, 0x38, 0xf6, 0xc1 }, { FEATURE_adx } },
    { "andn eax, ecx, edx", 5, { 0xc4, 0xe2, 0x70, 0xf2, 0xc2 }, { FEATURE_bmi1 } },
    { "blsr eax, ecx", 5, { 0xc4, 0xe2, 0x78, 0xf3, 0xc9 }, { FEATURE_bmi1 } },
    { "bzhi eax, ecx, edx", 5, { 0xc4, 0xe2, 0x68, 0xf5, 0xc1 }, { FEATURE_bmi2 } },
    { "shlx eax, ecx, edx", 5, { 0xc4, 0xe2, 0x69, 0xf7, 0xc1 }, { FEATURE_bmi2 } },
    { "xgetbv", 3, { 0x0f, 0x01, 0xd0 }, { FEATURE_xsave } },
    { "xsave [rdi]", 3, { 0x0f, 0xae, 0x27 }, { FEATURE_xsave } },
    { "xsaveopt [rdi]", 3, { 0x0f, 0xae, 0x37 }, { FEATURE_xsaveopt } },
    { "xsavec [rdi]", 3, { 0x0f, 0xc7, 0x27 }, { FEATURE_xsavec } },
    { "rdfsbase rax", 5, { 0xf3, 0x48, 0x0f, 0xae, 0xc0 }, { FEATURE_fsgsbase } },
    { "clac", 3, { 0x0f, 0x01, 0xca }, { FEATURE_smap } },
    { "invpcid rax, [rdi]", 5, { 0x66, 0x0f, 0x38, 0x82, 0x07 }, { FEATURE_invpcid } },
    { "rdpkru", 3, { 0x0f, 0x01, 0xee }, { FEATURE_pku } },
    { "rdpid rax", 4, { 0xf3, 0x0f, 0xc7, 0xf8 }, { FEATURE_rdpid } },
    { "rdtscp", 3, { 0x0f, 0x01, 0xf9 }, { FEATURE_rdtscp } },
    { "clflushopt [rdi]", 4, { 0x66, 0x0f, 0xae, 0x3f }, { FEATURE_clflushopt } },
    { "clwb [rdi]", 4, { 0x66, 0x0f, 0xae, 0x37 }, { FEATURE_clwb } },
    { "movdiri [rdi], eax", 4, { 0x0f, 0x38, 0xf9, 0x07 }, { FEATURE_movdiri } },
    { "movdir64b rax, [rdi]", 5, { 0x66, 0x0f, 0x38, 0xf8, 0x07 }, { FEATURE_movdir64b } },
    { "vaddps xmm0, xmm1, xmm2", 4, { 0xc5, 0xf0, 0x58, 0xc2 }, { FEATURE_avx } },
    { "vaddps ymm0, ymm1, ymm2", 4, { 0xc5, 0xf4, 0x58, 0xc2 }, { FEATURE_avx } },
    { "vpaddd xmm0, xmm1, xmm2", 4, { 0xc5, 0xf1, 0xfe, 0xc2 }, { FEATURE_avx } },
    { "vpaddd ymm0, ymm1, ymm2", 4, { 0xc5, 0xf5, 0xfe, 0xc2 }, { FEATURE_avx2 } },
    { "vpermd ymm0, ymm1, ymm2", 5, { 0xc4, 0xe2, 0x75, 0x36, 0xc2 }, { FEATURE_avx2 } },
    { "vpgatherdd xmm0, [rdi + xmm1], xmm2", 6, { 0xc4, 0xe2, 0x69, 0x90, 0x04, 0x0f }, { FEATURE_avx2 } },
    { "vfmadd132ps xmm0, xmm1, xmm2", 5, { 0xc4, 0xe2, 0x71, 0x98, 0xc2 }, { FEATURE_fma } },
    { "vcvtph2ps xmm0, xmm1", 5, { 0xc4, 0xe2, 0x79, 0x13, 0xc1 }, { FEATURE_f16c } },
    { "vaesenc xmm0, xmm1, xmm2", 5, { 0xc4, 0xe2, 0x71, 0xdc, 0xc2 }, { FEATURE_avx, FEATURE_aes } },
    { "vaesenc ymm0, ymm1, ymm2", 5, { 0xc4, 0xe2, 0x75, 0xdc, 0xc2 }, { FEATURE_vaes } },
    { "vpclmulqdq xmm0, xmm1, xmm2, 0", 6, { 0xc4, 0xe3, 0x71, 0x44, 0xc2, 0x00 }, { FEATURE_avx, FEATURE_pclmulqdq } },
    { "vpclmulqdq ymm0, ymm1, ymm2, 0", 6, { 0xc4, 0xe3, 0x75, 0x44, 0xc2, 0x00 }, { FEATURE_vpclmulqdq } },
    { "vgf2p8mulb xmm0, xmm1, xmm2", 5, { 0xc4, 0xe2, 0x71, 0xcf, 0xc2 }, { FEATURE_avx, FEATURE_gfni } },
    { "vpaddd zmm0, zmm1, zmm2", 6, { 0x62, 0xf1, 0x75, 0x48, 0xfe, 0xc2 }, { FEATURE_avx512f } },
    { "vpaddd xmm16, xmm1, xmm2", 6, { 0x62, 0xe1, 0x75, 0x08, 0xfe, 0xc2 }, { FEATURE_avx512f, FEATURE_avx512vl } },
    { "vpaddd ymm16, ymm1, ymm2", 6, { 0x62, 0xe1, 0x75, 0x28, 0xfe, 0xc2 }, { FEATURE_avx512f, FEATURE_avx512vl } },
    { "vaddss xmm16, xmm1, xmm2", 6, { 0x62, 0xe1, 0x76, 0x08, 0x58, 0xc2 }, { FEATURE_avx512f } },
    { "vmovd xmm16, eax", 6, { 0x62, 0xe1, 0x7d, 0x08, 0x6e, 0xc0 }, { FEATURE_avx512f } },
    { "kmovw k1, eax", 4, { 0xc5, 0xf8, 0x92, 0xc8 }, { FEATURE_avx512f } },
    { "vpmullq zmm0, zmm1, zmm2", 6, { 0x62, 0xf2, 0xf5, 0x48, 0x40, 0xc2 }, { FEATURE_avx512dq } },
    { "vpmullq ymm0, ymm1, ymm2", 6, { 0x62, 0xf2, 0xf5, 0x28, 0x40, 0xc2 }, { FEATURE_avx512dq, FEATURE_avx512vl } },
    { "kmovb k1, eax", 4, { 0xc5, 0xf9, 0x92, 0xc8 }, { FEATURE_avx512dq } },
    { "vpaddb zmm0, zmm1, zmm2", 6, { 0x62, 0xf1, 0x75, 0x48, 0xfc, 0xc2 }, { FEATURE_avx512bw } },
    { "vpaddb ymm16, ymm1, ymm2", 6, { 0x62, 0xe1, 0x75, 0x28, 0xfc, 0xc2 }, { FEATURE_avx512bw, FEATURE_avx512vl } },
    { "kmovd k1, eax", 4, { 0xc5, 0xfb, 0x92, 0xc8 }, { FEATURE_avx512bw } },
    { "vpconflictd zmm0, zmm1", 6, { 0x62, 0xf2, 0x7d, 0x48, 0xc4, 0xc1 }, { FEATURE_avx512cd } },
    { "vpmadd52luq zmm0, zmm1, zmm2", 6, { 0x62, 0xf2, 0xf5, 0x48, 0xb4, 0xc2 }, { FEATURE_avx512_ifma } },
    { "vpermb zmm0, zmm1, zmm2", 6, { 0x62, 0xf2, 0x75, 0x48, 0x8d, 0xc2 }, { FEATURE_avx512_vbmi } },
    { "vpcompressb zmm0, zmm1", 6, { 0x62, 0xf2, 0x7d, 0x48, 0x63, 0xc8 }, { FEATURE_avx512_vbmi2 } },
    { "vpdpbusd zmm0, zmm1, zmm2", 6, { 0x62, 0xf2, 0x75, 0x48, 0x50, 0xc2 }, { FEATURE_avx512_vnni } },
    { "vpopcntb zmm0, zmm1", 6, { 0x62, 0xf2, 0x7d, 0x48, 0x54, 0xc1 }, { FEATURE_avx512_bitalg } },
    { "vpopcntd zmm0, zmm1", 6, { 0x62, 0xf2, 0x7d, 0x48, 0x55, 0xc1 }, { FEATURE_avx512_vpopcntdq } },
    { "vdpbf16ps zmm0, zmm1, zmm2", 6, { 0x62, 0xf2, 0x76, 0x48, 0x52, 0xc2 }, { FEATURE_avx512_bf16 } },
    { "vaesenc zmm0, zmm1, zmm2", 6, { 0x62, 0xf2, 0x75, 0x48, 0xdc, 0xc2 }, { FEATURE_avx512f, FEATURE_vaes } },
    { "vpclmulqdq xmm16, xmm1, xmm2, 0", 7, { 0x62, 0xe3, 0x75, 0x08, 0x44, 0xc2, 0x00 }, { FEATURE_avx512vl, FEATURE_vpclmulqdq } },
    { "vgf2p8mulb zmm0, zmm1, zmm2", 6, { 0x62, 0xf2, 0x75, 0x48, 0xcf, 0xc2 }, { FEATURE_avx512f, FEATURE_gfni } },
    { "nop", 1, { 0x90 }, { FEATURE_none } },
    { "pause", 2, { 0xf3, 0x90 }, { FEATURE_none } },
    { "endbr64", 4, { 0xf3, 0x0f, 0x1e, 0xfa }, { FEATURE_none } },
    { "prefetchw [rdi]", 3, { 0x0f, 0x0d, 0x0f }, { FEATURE_none } },
    { "prefetcht0 [rdi]", 3, { 0x0f, 0x18, 0x0f }, { FEATURE_none } },
    { "bsf eax, ecx", 3, { 0x0f, 0xbc, 0xc1 }, { FEATURE_none } },
    { "shld eax, ecx, 3", 4, { 0x0f, 0xa4, 0xc8, 0x03 }, { FEATURE_none } },
};

static bool is_there(const struct insn_of *i) { return has(i->needs[0]) && has(i->needs[1]) && has(i->needs[2]); }

/* Every instruction of the table: it runs, or is #UD, as the CPU's features say. */
static void check_instructions(const char *who)
{
    for (unsigned i = 0; i < ARRAY_LEN(insns); i++) {
        uint8_t code[16];
        int got, wanted = is_there(&insns[i]) ? BP : UD;

        begin(BOX_LONG);
        memset(code, 0xcc, sizeof(code));
        memcpy(code, insns[i].code, insns[i].bytes);
        box_code(&b, code, sizeof(code));
        got = RUN();
        ck_assert_msg(got == wanted, "%s: %s: vector %d, not %d", who, insns[i].text, got, wanted);
    }
}

START_TEST(instructions_of_a_model_run_and_others_are_ud)
{
    use(model_rows[_i].name);
    check_instructions(model_rows[_i].name);
}
END_TEST

/* Everything but one feature, and what needs it. */
START_TEST(instructions_of_one_missing_feature_are_ud_and_others_run)
{
    char text[64];

    snprintf(text, sizeof(text), "max,-%s", feature_rows[_i + 1].name);
    if (_i + 1 == FEATURE_lm)
        return; /* no 64-bit mode to look from */
    use(text);
    ck_assert(!has((unsigned)_i + 1));
    check_instructions(text);
}
END_TEST

/* SDM 2 LZCNT, TZCNT: the prefix means nothing to CPUs without them.  BSF of zero leaves its destination (AMD APM 3). */
START_TEST(tzcnt_and_lzcnt_are_bsf_and_bsr_where_they_are_missing)
{
    for (unsigned round = 0; round < 2; round++) {
        bool present = !round;

        use(present ? "max" : "max,-bmi1,-lzcnt");
        begin(BOX_LONG);
        cpu->slot[RCX] = 0x10000;
        CODE(0xf3, 0x0f, 0xbc, 0xc1, 0xf3, 0x0f, 0xbd, 0xd1, 0xcc); /* tzcnt eax, ecx; lzcnt edx, ecx */
        ck_assert_int_eq(RUN(), BP);
        ck_assert_uint_eq(cpu->slot[RAX], 16);
        ck_assert_uint_eq(cpu->slot[RDX], present ? 15 : 16);

        begin(BOX_LONG);
        cpu->slot[RAX] = 77;
        CODE(0xf3, 0x0f, 0xbc, 0xc1, 0xcc);
        ck_assert_int_eq(RUN(), BP);
        ck_assert_uint_eq(cpu->slot[RAX], present ? 32 : 77);
        ck_assert_uint_eq(!!(cpu_rflags(cpu) & FLAG_ZF), !present);
        ck_assert_uint_eq(!!(cpu_rflags(cpu) & FLAG_CF), present);
        teardown(); /* translated code is for one CPU */
        setup();
    }
}
END_TEST

START_TEST(lahf_is_missing_in_64_bit_mode_only)
{
    use("x86-64-v1");
    begin(BOX_PROTECTED32);
    CODE(0x9f, 0x9e, 0xcc);
    ck_assert_int_eq(RUN(), BP);
}
END_TEST

START_TEST(xgetbv_of_1_without_its_feature_is_gp)
{
    use(_i ? "max,-xgetbv1" : "max");
    begin(BOX_LONG);
    cpu->slot[RCX] = 1;
    CODE(0x0f, 0x01, 0xd0, 0xcc);
    ck_assert_int_eq(RUN(), _i ? GP : BP);
}
END_TEST

/* -- control registers --------------------------------------------------------------------------------------------------- */

START_TEST(cr4_bit_without_its_feature_is_gp)
{
    static const struct { uint64_t bit; uint8_t feature; } rows[] = {
        { CR4_TSD, FEATURE_tsc }, { CR4_DE, FEATURE_de }, { CR4_PSE, FEATURE_pse }, { CR4_PAE, FEATURE_pae },
        { CR4_MCE, FEATURE_mce }, { CR4_PGE, FEATURE_pge }, { CR4_PCE, FEATURE_none }, { CR4_OSFXSR, FEATURE_fxsr },
        { CR4_OSXMMEXCPT, FEATURE_sse }, { CR4_UMIP, FEATURE_umip }, { CR4_LA57, FEATURE_la57 },
        { CR4_FSGSBASE, FEATURE_fsgsbase }, { CR4_OSXSAVE, FEATURE_xsave }, { CR4_SMEP, FEATURE_smep },
        { CR4_SMAP, FEATURE_smap }, { CR4_PKE, FEATURE_pku },
    };

    use(model_rows[_i].name);
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        box_reset(&b, BOX_PROTECTED32, 0);
        cpu->slot[RAX] = rows[i].bit;
        CODE(0x0f, 0x22, 0xe0, 0xcc); /* mov cr4, eax */
        ck_assert_msg(RUN() == (has(rows[i].feature) ? BP : GP), "%s: bit %llx", model_rows[_i].name,
                      (unsigned long long)rows[i].bit);
    }
    begin(BOX_LONG);
    cpu->slot[RAX] = cpu->cr4 | CR4_PCIDE;
    CODE(0x0f, 0x22, 0xe0, 0xcc);
    ck_assert_int_eq(RUN(), has(FEATURE_pcid) ? BP : GP);
}
END_TEST

/* SDM 1 13.3; without XSAVE the instruction does not exist. */
START_TEST(xcr0_bit_without_its_feature_is_gp)
{
    static const struct { uint32_t value; uint8_t feature; } rows[] = {
        { 1, FEATURE_none }, { 3, FEATURE_none }, { 7, FEATURE_avx }, { 0xe7, FEATURE_avx512f }, { 0x201, FEATURE_pku },
    };
    static const char *const cpus[] = { "max", "max,-avx", "max,-avx512f", "max,-pku", "x86-64-v3", "x86-64-v4",
                                        "x86-64-v2" };

    use(cpus[_i]);
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        begin(BOX_LONG);
        cpu->slot[RAX] = rows[i].value;
        CODE(0x0f, 0x01, 0xd1, 0xcc);
        ck_assert_msg(RUN() == (!has(FEATURE_xsave) ? UD : has(rows[i].feature) ? BP : GP), "%s: %x", cpus[_i],
                      rows[i].value);
    }
}
END_TEST

/* WRMSR of a value to a register, where the feature is missing and where it is not. */
START_TEST(msr_without_its_feature_is_gp)
{
    static const struct { const char *without; uint32_t msr, value; } rows[] = {
        { "max,-syscall", 0xc0000080, EFER_SCE }, { "max,-lm", 0xc0000080, EFER_LME }, { "max,-nx", 0xc0000080, EFER_NXE },
        { "max,-rdtscp,-rdpid", 0xc0000103, 1 }, { "max,-mtrr", 0x200, 6 }, { "max,-mtrr", 0x2ff, 0xc06 },
        { "max,-pat", 0x277, 6 }, { "max,-sep", 0x175, 0x1000 }, { "max,-syscall", 0xc0000082, 0x1000 },
        { "max,-lm", 0xc0000102, 0x1000 }, { "max,-tsc", 0x10, 1 },
    };

    for (unsigned cut = 0; cut < 2; cut++) {
        use(cut ? rows[_i].without : "max");
        box_reset(&b, BOX_PROTECTED32, 0);
        cpu->slot[RCX] = rows[_i].msr;
        cpu->slot[RAX] = rows[_i].value;
        CODE(0x0f, 0x30, 0xcc);
        ck_assert_int_eq(RUN(), cut ? GP : BP);
    }
}
END_TEST

/* Either of RDTSCP and RDPID brings IA32_TSC_AUX. */
START_TEST(tsc_aux_is_there_with_either_of_its_readers)
{
    use(_i ? "max,-rdtscp" : "max,-rdpid");
    begin(BOX_LONG);
    cpu->slot[RCX] = 0xc0000103;
    CODE(0x0f, 0x30, 0xcc);
    ck_assert_int_eq(RUN(), BP);
}
END_TEST

/* SDM 3A 5.5.4: PS in a PDPTE is reserved without 1-GByte pages: even the handler of that fault is out of reach. */
START_TEST(gigabyte_page_without_its_feature_is_a_fault)
{
    use(_i ? "max,-pdpe1gb" : "max");
    begin(BOX_LONG);
    box_put(&b, BOX_FREE, 8, (BOX_FREE + 0x1000) | 7);
    box_put(&b, BOX_FREE + 0x1000, 8, 0x87);
    cpu->cr3 = BOX_FREE;
    CODE(0x90, 0xcc);
    ck_assert_int_eq(RUN(), _i ? BOX_SHUTDOWN : BP);
}
END_TEST

/* -- vendors ---------------------------------------------------------------------------------------------------------- */

static uint64_t vendor_cpuid(uint32_t leaf, unsigned reg)
{
    const uint64_t *r = cpu->slot;

    begin(BOX_LONG);
    cpu->slot[RAX] = leaf;
    CODE(0x0f, 0xa2, 0xcc);
    ck_assert_int_eq(RUN(), BP);
    return ((const uint64_t[]){ r[RAX], r[RBX], r[RCX], r[RDX] })[reg];
}

/* APM 3 appendix E: the vendor's name twice, leaves 2 and 4 reserved, L1 in 80000005, half of leaf 1 again in 80000001. */
START_TEST(cpuid_of_an_amd_is_as_its_manual_says)
{
    use("Opteron");
    for (uint32_t leaf = 0; leaf <= 0x80000000; leaf += 0x80000000) {
        ck_assert_uint_eq(vendor_cpuid(leaf, EBX), 0x68747541);
        ck_assert_uint_eq(vendor_cpuid(leaf, EDX), 0x69746e65);
        ck_assert_uint_eq(vendor_cpuid(leaf, ECX), 0x444d4163);
        if (leaf)
            break;
    }
    ck_assert_uint_eq(vendor_cpuid(1, EAX), 0xf5a);
    ck_assert_uint_eq(vendor_cpuid(0x80000001, EAX), 0xf5a);
    ck_assert_uint_eq(vendor_cpuid(2, EAX) | vendor_cpuid(4, EAX), 0);
    ck_assert_uint_eq(vendor_cpuid(0x80000005, ECX) >> 24, 32);
    ck_assert_uint_eq(vendor_cpuid(0x80000001, EDX) & 0x0183f3ff, vendor_cpuid(1, EDX) & 0x0183f3ff);
    ck_assert_uint_eq(vendor_cpuid(0x20, EDX), 0);
    use("x86-64-v1");
    ck_assert_uint_eq(vendor_cpuid(0, EBX), 0x756e6547);
    ck_assert_uint_eq(vendor_cpuid(0x80000000, EBX), 0);
}
END_TEST

enum { SYSCALL_AT = 0x11000, TARGET_CS = BOX_CODE64, KERNEL_CS32 = BOX_CODE32 };

/* SYSCALL and SYSRET lead to HLT: what stands in RIP then is behind it. */
static void fast_call_prepare(enum box_mode mode, unsigned cpl)
{
    box_reset(&b, mode, cpl);
    cpu->efer |= EFER_SCE;
    cpu->msr.star = (uint64_t)0x23 << 48 | (uint64_t)(mode < BOX_COMPATIBILITY ? KERNEL_CS32 : TARGET_CS) << 32 | SYSCALL_AT;
    cpu->msr.lstar = SYSCALL_AT + 0x100;
    cpu->msr.cstar = SYSCALL_AT + 0x200;
    cpu->msr.sfmask = 0x700;
    cpu->msr.sysenter_cs = TARGET_CS;
    cpu->msr.sysenter_eip = SYSCALL_AT;
    for (unsigned i = 0; i < 3; i++)
        box_put(&b, SYSCALL_AT + i * 0x100, 1, 0xcc);
    vcpu_sync(&b.vcpu);
}

/* Which of these instructions are there, by vendor and mode (APM 3 SYSCALL, SYSRET, SYSENTER, SYSEXIT; SDM 2 the same). */
START_TEST(fast_calls_are_there_by_vendor_and_mode)
{
    enum { SYSCALL = 0x05, SYSENTER = 0x34 };
    static const struct { enum box_mode mode; uint8_t opcode; bool intel, amd; } rows[] = {
        { BOX_PROTECTED32, SYSCALL, false, true },   { BOX_COMPATIBILITY, SYSCALL, false, true },
        { BOX_LONG, SYSCALL, true, true },           { BOX_PROTECTED32, SYSENTER, true, true },
        { BOX_COMPATIBILITY, SYSENTER, true, false }, { BOX_LONG, SYSENTER, true, false },
    };
    static const char *const models[] = { "x86-64-v1", "Opteron" };

    for (unsigned i = 0; i < ARRAY_LEN(rows) * 2; i++) {
        bool there = i & 1 ? rows[i / 2].amd : rows[i / 2].intel;

        use(models[i & 1]);
        fast_call_prepare(rows[i / 2].mode, 3);
        CODE(0x0f, rows[i / 2].opcode, 0xcc);
        ck_assert_msg((RUN() == UD) == !there, "%s, 0f %02x, mode %d", models[i & 1], rows[i / 2].opcode, rows[i / 2].mode);
    }
}
END_TEST

/* Where SYSCALL leads and what it leaves in ECX, R11 and the segments, from legacy, compatibility and 64-bit mode (APM 3 SYSCALL). */
START_TEST(syscall_of_an_amd_goes_where_its_mode_says)
{
    static const struct { enum box_mode mode; uint64_t target; bool long_mode; } rows[] = {
        { BOX_PROTECTED32, SYSCALL_AT, false }, { BOX_COMPATIBILITY, SYSCALL_AT + 0x200, true }, { BOX_LONG, SYSCALL_AT + 0x100, true },
    };

    use("Opteron");
    fast_call_prepare(rows[_i].mode, 3);
    cpu_set_rflags(cpu, 0x203);
    cpu->slot[R11] = 0;
    CODE(0x0f, 0x05, 0xcc);
    ck_assert_int_eq(box_run(&b, 1), BOX_NOTHING);
    ck_assert_uint_eq(cpu->rip, rows[_i].target);
    ck_assert_uint_eq(cpu->slot[RCX], BOX_CODE + 2);
    ck_assert_uint_eq(cpu->slot[R11], rows[_i].long_mode ? 0x203 : 0);
    ck_assert_uint_eq(cpu_rflags(cpu), 3);
    ck_assert_uint_eq(cpu->cpl, 0);
    ck_assert_uint_eq(cpu->seg[SEG_CS].selector, rows[_i].long_mode ? TARGET_CS : KERNEL_CS32);
    ck_assert_uint_eq(!!(cpu->seg[SEG_CS].ar & AR_L), rows[_i].long_mode);
    ck_assert_uint_eq(cpu->seg[SEG_SS].selector, cpu->seg[SEG_CS].selector + 8);
}
END_TEST

/* SYSRET outside 64-bit mode sets IF and takes no flags from R11; SS keeps base, limit and attributes (APM 3 SYSRET). */
START_TEST(sysret_of_an_amd_loads_the_selector_of_ss_alone)
{
    static const enum box_mode modes[] = { BOX_PROTECTED32, BOX_COMPATIBILITY, BOX_LONG };

    use("Opteron");
    fast_call_prepare(modes[_i], 0);
    cpu->seg[SEG_SS].limit = 0xabcdefff;
    cpu->slot[RCX] = SYSCALL_AT;
    cpu->slot[R11] = 0x47;
    cpu_set_rflags(cpu, 3);
    CODE(0x0f, 0x07);
    ck_assert_int_eq(box_run(&b, 1), BOX_NOTHING);
    ck_assert_uint_eq(cpu->rip, SYSCALL_AT);
    ck_assert_uint_eq(cpu->cpl, 3);
    ck_assert_uint_eq(cpu_rflags(cpu), modes[_i] == BOX_LONG ? 0x47 : 0x203);
    ck_assert_uint_eq(cpu->seg[SEG_CS].selector, 0x23);
    ck_assert_uint_eq(cpu->seg[SEG_SS].selector, 0x2b);
    ck_assert_uint_eq(cpu->seg[SEG_SS].limit, 0xabcdefff);
}
END_TEST

/* TF as SYSCALL and SYSRET leave it decides whether they end with a trap, whoever made the processor. */
START_TEST(single_step_over_fast_calls_looks_at_tf_afterwards)
{
    static const struct { uint8_t opcode; bool before, after; } rows[] = {
        { 0x05, true, false }, { 0x05, true, true }, { 0x07, false, true }, { 0x07, true, false },
    };

    use(_i & 1 ? "Opteron" : "max");
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        fast_call_prepare(BOX_LONG, rows[i].opcode == 0x05 ? 3 : 0);
        cpu->msr.sfmask = rows[i].after ? 0 : 0x100;
        cpu->slot[RCX] = SYSCALL_AT;
        cpu->slot[R11] = rows[i].after ? 0x102 : 2;
        cpu_set_rflags(cpu, rows[i].before ? 0x102 : 2);
        vcpu_sync(&b.vcpu);
        CODE(0x48, 0x0f, rows[i].opcode);
        ck_assert_int_eq(box_run(&b, 1), rows[i].after ? 1 : BOX_NOTHING);
        ck_assert_uint_eq(cpu->dr[6] >> 14 & 1, rows[i].after);
    }
}
END_TEST

/* The counters that kernels take for granted on AMD's are there, and on no other. */
START_TEST(msrs_of_an_amd_are_there_with_it_alone)
{
    use(_i ? "Opteron" : "max");
    begin(BOX_LONG);
    cpu->slot[RCX] = 0xc0010000;
    CODE(0x0f, 0x32, 0x0f, 0x30, 0xcc);
    ck_assert_int_eq(RUN(), _i ? BP : GP);
}
END_TEST

/* -- the language of --cpu -------------------------------------------------------------------------------------------------- */

START_TEST(model_has_what_its_features_need)
{
    use(model_rows[_i].name);
    for (unsigned f = 1; f < FEATURES; f++)
        if (has(f))
            ck_assert_msg(has(feature_rows[f].needs[0]) && has(feature_rows[f].needs[1]), "%s: %s", model_rows[_i].name,
                          feature_rows[f].name);
}
END_TEST

START_TEST(model_plus_brings_along_and_minus_takes_away_from_left_to_right)
{
    use("x86-64-v1,+avx2");
    ck_assert(has(FEATURE_avx2) && has(FEATURE_avx) && has(FEATURE_sse4_2) && has(FEATURE_xsave) && !has(FEATURE_fma));
    use("x86-64-v4,-sse4_1");
    ck_assert(has(FEATURE_ssse3) && !has(FEATURE_sse4_2) && !has(FEATURE_avx) && !has(FEATURE_avx512vl) && has(FEATURE_bmi2));
    use("max,-avx,+avx");
    ck_assert(has(FEATURE_avx) && !has(FEATURE_avx2));
    use("x86-64-v1,+avx,-avx");
    ck_assert(has(FEATURE_sse4_2) && !has(FEATURE_avx));
}
END_TEST

START_TEST(model_feature_names_may_be_spelt_otherwise)
{
    use("x86-64-v1,+SSE4.1,+avx512-vbmi2,+AVX512VNNI");
    ck_assert(has(FEATURE_sse4_1) && has(FEATURE_avx512_vbmi2) && has(FEATURE_avx512_vnni) && has(FEATURE_avx512bw));
}
END_TEST

START_TEST(model_text_that_means_nothing_is_refused)
{
    static const struct { const char *text, *says; } rows[] = {
        { "", "no such CPU model" }, { "x86-64-v5", "no such CPU model" }, { "MAX", "no such CPU model" },
        { "+avx", "no such CPU model" },
        { "max,", "+FEATURE or -FEATURE" }, { "max,avx", "+FEATURE or -FEATURE" }, { "max,,+avx", "+FEATURE or -FEATURE" },
        { "max,+", "no such CPU feature" }, { "max,+frob", "no such CPU feature" }, { "max,-avx512", "no such CPU feature" },
        { "max,+amx_tile", "not offered" }, { "max,-vmx", "not offered" },
    };
    struct cpu_model model;
    struct err err;

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        ck_assert_msg(!model_parse(rows[i].text, &model, &err), "%s", rows[i].text);
        ck_assert_msg(strstr(err.text, rows[i].says) != NULL, "%s: %s", rows[i].text, err.text);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu");
    TCase *tc = tcase_create("cpu");
    SRunner *runner;
    int failed;

    if (test_engine_skips())
        return 0;
    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, level_offers_what_the_psabi_says, 0, 4);
    tcase_add_test(tc, cpuid_leaf_d_follows_the_features);
    tcase_add_test(tc, linear_addresses_have_57_bits_with_la57);
    tcase_add_loop_test(tc, instructions_of_a_model_run_and_others_are_ud, 0, (int)model_count);
    tcase_add_loop_test(tc, instructions_of_one_missing_feature_are_ud_and_others_run, 0, FEATURES - 1);
    tcase_add_test(tc, tzcnt_and_lzcnt_are_bsf_and_bsr_where_they_are_missing);
    tcase_add_test(tc, lahf_is_missing_in_64_bit_mode_only);
    tcase_add_loop_test(tc, xgetbv_of_1_without_its_feature_is_gp, 0, 2);
    tcase_add_loop_test(tc, cr4_bit_without_its_feature_is_gp, 0, (int)model_count);
    tcase_add_loop_test(tc, xcr0_bit_without_its_feature_is_gp, 0, 7);
    tcase_add_loop_test(tc, msr_without_its_feature_is_gp, 0, 11);
    tcase_add_loop_test(tc, tsc_aux_is_there_with_either_of_its_readers, 0, 2);
    tcase_add_loop_test(tc, gigabyte_page_without_its_feature_is_a_fault, 0, 2);
    tcase_add_test(tc, cpuid_of_an_amd_is_as_its_manual_says);
    tcase_add_test(tc, fast_calls_are_there_by_vendor_and_mode);
    tcase_add_loop_test(tc, syscall_of_an_amd_goes_where_its_mode_says, 0, 3);
    tcase_add_loop_test(tc, sysret_of_an_amd_loads_the_selector_of_ss_alone, 0, 3);
    tcase_add_loop_test(tc, single_step_over_fast_calls_looks_at_tf_afterwards, 0, 2);
    tcase_add_loop_test(tc, msrs_of_an_amd_are_there_with_it_alone, 0, 2);
    tcase_add_loop_test(tc, model_has_what_its_features_need, 0, (int)model_count);
    tcase_add_test(tc, model_plus_brings_along_and_minus_takes_away_from_left_to_right);
    tcase_add_test(tc, model_feature_names_may_be_spelt_otherwise);
    tcase_add_test(tc, model_text_that_means_nothing_is_refused);
    runner = srunner_create(suite);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
