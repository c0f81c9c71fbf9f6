/* host.c - instruction sets by name, and what CPUID says of them. */
#include "jit/host.h"

#include <Zydis/MetaInfo.h>
#include <cpuid.h>
#include <string.h>

/* GCC 12 has no name for it: CPUID leaf 7, EBX bit 29. */
static bool has_sha(void)
{
    unsigned a, b, c, d;

    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && b >> 29 & 1;
}

/* The first that a set's name begins with counts. */
static bool look(const char *name)
{
    const struct { const char *begins; bool here; } sets[] = {
        { "SSE4A", __builtin_cpu_supports("sse4a") }, { "SSE42", __builtin_cpu_supports("sse4.2") }, { "SSE4", __builtin_cpu_supports("sse4.1") },
        { "SSSE3", __builtin_cpu_supports("ssse3") }, { "SSE3", __builtin_cpu_supports("sse3") }, { "SSE", true },
        { "AES", __builtin_cpu_supports("aes") }, { "PCLMULQDQ", __builtin_cpu_supports("pclmul") }, { "SHA", has_sha() },
        { "GFNI", __builtin_cpu_supports("gfni") }, { "F16C", __builtin_cpu_supports("f16c") }, { "FMA4", false },
        { "FMA", __builtin_cpu_supports("fma") }, { "VAES", __builtin_cpu_supports("vaes") }, { "VPCLMULQDQ", __builtin_cpu_supports("vpclmulqdq") },
        { "AVXAES", __builtin_cpu_supports("avx") && __builtin_cpu_supports("aes") },
        { "AVX_GFNI", __builtin_cpu_supports("avx") && __builtin_cpu_supports("gfni") }, { "AVX_VNNI", false },
        { "AVX512F_", __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") },
        { "AVX512BW_", __builtin_cpu_supports("avx512bw") }, { "AVX512DQ_", __builtin_cpu_supports("avx512dq") },
        { "AVX512CD_", __builtin_cpu_supports("avx512cd") }, { "AVX512_IFMA", __builtin_cpu_supports("avx512ifma") },
        { "AVX512_VBMI2", __builtin_cpu_supports("avx512vbmi2") }, { "AVX512_VBMI", __builtin_cpu_supports("avx512vbmi") },
        { "AVX512_VNNI", __builtin_cpu_supports("avx512vnni") }, { "AVX512_BITALG", __builtin_cpu_supports("avx512bitalg") },
        { "AVX512_VPOPCNTDQ", __builtin_cpu_supports("avx512vpopcntdq") }, { "AVX512_GFNI", __builtin_cpu_supports("gfni") },
        { "AVX512_VAES", __builtin_cpu_supports("vaes") }, { "AVX512_VPCLMULQDQ", __builtin_cpu_supports("vpclmulqdq") },
        { "AVX512_BF16", __builtin_cpu_supports("avx512bf16") }, { "AVX512", false },
        { "AVX2", __builtin_cpu_supports("avx2") }, { "AVX", __builtin_cpu_supports("avx") },
    };

    for (unsigned i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
        if (!strncmp(name, sets[i].begins, strlen(sets[i].begins)))
            return sets[i].here;
    return false;
}

bool host_has(unsigned isa)
{
    static bool known, here[ZYDIS_ISA_SET_MAX_VALUE + 1];

    for (unsigned i = 0; i <= ZYDIS_ISA_SET_MAX_VALUE && !known; i++)
        here[i] = look(ZydisISASetGetString((ZydisISASet)i));
    known = true;
    return isa <= ZYDIS_ISA_SET_MAX_VALUE && here[isa];
}
