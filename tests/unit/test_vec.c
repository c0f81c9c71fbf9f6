/*
 * test_vec.c - vector moves and saved state, one instruction at a time, against the host CPU and against a device.
 *
 * Each row of `rows` runs at several placements (aligned, misaligned, across pages, into a page that is missing or
 * read-only) in the engine under test and, where the host has the instruction, there (src/native), at the same addresses
 * with the same registers.  Registers, memory and the exception must agree.  Then it runs on a device: same result as in
 * memory, and the transactions the operand's description promises.  Rules the host does not have, and enabling
 * bits, are tests of their own.
 */
#include "lib/which_engine.h"
#include "native/native.h"
#include "unimp.h"
#include "vcpu.h"
#include "x86/coverage.h"
#include "x86/lift.h"

#include <check.h>
#include <cpuid.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- rows ------------------------------------------------------------------------------------------------------------ */

enum {
    LOADS = 1 << 0, STORES = 1 << 1,
    STREAMS = 1 << 2,  /* NON_TEMPORAL */
    MASKED = 1 << 3,   /* one access with byte enables ... */
    EMPTY = 1 << 4,    /* ... of which none is set */
    ELEMENTS = 1 << 5, /* one access per element of `width` bytes */
    DWORDS = 1 << 6, QWORDS = 1 << 7, /* what zmm2 holds: indices */
    SAVES = 1 << 8,    /* words of up to 8 bytes */
    MMX = 1 << 9,      /* x87 or MMX state matters */
};

enum need { SSE, SSE3, SSE41, SSE4A, AVX, AVX2, AVX512 };
static const char *const need_names[] = { "SSE2", "SSE3", "SSE4.1", "SSE4a", "AVX", "AVX2", "AVX-512" };

/* Registers: see start().  Bytes as GNU as 2.40 assembles the text. */
static const struct row {
    const char *text, *code;
    unsigned length, width; /* of the memory operand; 0: none */
    unsigned flags;
    enum need need;
} rows[] = {
#define CODE(bytes) bytes, sizeof(bytes) - 1
    { "movups xmm1,[rsi]", CODE("\x0f\x10\x0e"), 16, LOADS, SSE },
    { "movups [rsi],xmm1", CODE("\x0f\x11\x0e"), 16, STORES, SSE },
    { "movaps xmm1,[rsi]", CODE("\x0f\x28\x0e"), 16, LOADS, SSE },
    { "movaps [rsi],xmm1", CODE("\x0f\x29\x0e"), 16, STORES, SSE },
    { "movupd xmm9,[rsi+8]", CODE("\x66\x44\x0f\x10\x4e\x08"), 16, LOADS, SSE },
    { "movapd [rsi],xmm9", CODE("\x66\x44\x0f\x29\x0e"), 16, STORES, SSE },
    { "movdqu xmm1,[rsi]", CODE("\xf3\x0f\x6f\x0e"), 16, LOADS, SSE },
    { "movdqu [rsi],xmm1", CODE("\xf3\x0f\x7f\x0e"), 16, STORES, SSE },
    { "movdqa xmm1,[rsi]", CODE("\x66\x0f\x6f\x0e"), 16, LOADS, SSE },
    { "movdqa [rsi],xmm1", CODE("\x66\x0f\x7f\x0e"), 16, STORES, SSE },
    { "lddqu xmm1,[rsi]", CODE("\xf2\x0f\xf0\x0e"), 16, LOADS, SSE3 },
    { "movntps [rsi],xmm1", CODE("\x0f\x2b\x0e"), 16, STORES | STREAMS, SSE },
    { "movntpd [rsi],xmm1", CODE("\x66\x0f\x2b\x0e"), 16, STORES | STREAMS, SSE },
    { "movntdq [rsi],xmm1", CODE("\x66\x0f\xe7\x0e"), 16, STORES | STREAMS, SSE },
    { "movntdqa xmm1,[rsi]", CODE("\x66\x0f\x38\x2a\x0e"), 16, LOADS | STREAMS, SSE41 },
    { "movups xmm1,xmm12", CODE("\x41\x0f\x10\xcc"), 0, 0, SSE },
    { "movdqa xmm12,xmm3", CODE("\x66\x44\x0f\x6f\xe3"), 0, 0, SSE },
    { "movss xmm1,[rsi]", CODE("\xf3\x0f\x10\x0e"), 4, LOADS, SSE },
    { "movss [rsi],xmm1", CODE("\xf3\x0f\x11\x0e"), 4, STORES, SSE },
    { "movss xmm1,xmm3", CODE("\xf3\x0f\x10\xcb"), 0, 0, SSE },
    { "movsd xmm1,[rsi]", CODE("\xf2\x0f\x10\x0e"), 8, LOADS, SSE },
    { "movsd [rsi],xmm1", CODE("\xf2\x0f\x11\x0e"), 8, STORES, SSE },
    { "movsd xmm1,xmm3", CODE("\xf2\x0f\x10\xcb"), 0, 0, SSE },
    { "movlps xmm1,[rsi]", CODE("\x0f\x12\x0e"), 8, LOADS, SSE },
    { "movlps [rsi],xmm1", CODE("\x0f\x13\x0e"), 8, STORES, SSE },
    { "movhps xmm1,[rsi]", CODE("\x0f\x16\x0e"), 8, LOADS, SSE },
    { "movhps [rsi],xmm1", CODE("\x0f\x17\x0e"), 8, STORES, SSE },
    { "movlpd xmm1,[rsi]", CODE("\x66\x0f\x12\x0e"), 8, LOADS, SSE },
    { "movhpd [rsi],xmm1", CODE("\x66\x0f\x17\x0e"), 8, STORES, SSE },
    { "movhlps xmm1,xmm3", CODE("\x0f\x12\xcb"), 0, 0, SSE },
    { "movlhps xmm1,xmm3", CODE("\x0f\x16\xcb"), 0, 0, SSE },
    { "movlhps xmm1,xmm1", CODE("\x0f\x16\xc9"), 0, 0, SSE },
    { "movd xmm1,[rsi]", CODE("\x66\x0f\x6e\x0e"), 4, LOADS, SSE },
    { "movd [rsi],xmm1", CODE("\x66\x0f\x7e\x0e"), 4, STORES, SSE },
    { "movd xmm1,ebx", CODE("\x66\x0f\x6e\xcb"), 0, 0, SSE },
    { "movd ebx,xmm1", CODE("\x66\x0f\x7e\xcb"), 0, 0, SSE },
    { "movq xmm1,rbx", CODE("\x66\x48\x0f\x6e\xcb"), 0, 0, SSE },
    { "movq rbx,xmm1", CODE("\x66\x48\x0f\x7e\xcb"), 0, 0, SSE },
    { "movq xmm1,[rsi]", CODE("\xf3\x0f\x7e\x0e"), 8, LOADS, SSE },
    { "movq [rsi],xmm1", CODE("\x66\x0f\xd6\x0e"), 8, STORES, SSE },
    { "movq xmm1,xmm3", CODE("\xf3\x0f\x7e\xcb"), 0, 0, SSE },
    { "movq2dq xmm1,mm3", CODE("\xf3\x0f\xd6\xcb"), 0, MMX, SSE },
    { "movdq2q mm3,xmm1", CODE("\xf2\x0f\xd6\xd9"), 0, MMX, SSE },
    { "movd mm3,[rsi]", CODE("\x0f\x6e\x1e"), 4, LOADS | MMX, SSE },
    { "movd [rsi],mm3", CODE("\x0f\x7e\x1e"), 4, STORES | MMX, SSE },
    { "movd mm3,ebx", CODE("\x0f\x6e\xdb"), 0, MMX, SSE },
    { "movd ebx,mm3", CODE("\x0f\x7e\xdb"), 0, MMX, SSE },
    { "movq mm3,rbx", CODE("\x48\x0f\x6e\xdb"), 0, MMX, SSE },
    { "movq mm3,[rsi]", CODE("\x0f\x6f\x1e"), 8, LOADS | MMX, SSE },
    { "movq [rsi],mm3", CODE("\x0f\x7f\x1e"), 8, STORES | MMX, SSE },
    { "movq mm3,mm4", CODE("\x0f\x6f\xdc"), 0, MMX, SSE },
    { "movntq [rsi],mm3", CODE("\x0f\xe7\x1e"), 8, STORES | MMX | STREAMS, SSE },
    { "maskmovq mm3,mm4", CODE("\x0f\xf7\xdc"), 8, STORES | MMX | MASKED | STREAMS, SSE },
    { "maskmovdqu xmm1,xmm3", CODE("\x66\x0f\xf7\xcb"), 16, STORES | MASKED | STREAMS, SSE },
    { "vmaskmovdqu xmm1,xmm3", CODE("\xc5\xf9\xf7\xcb"), 16, STORES | MASKED | STREAMS, AVX },
    { "emms", CODE("\x0f\x77"), 0, MMX, SSE },
    { "movshdup xmm1,[rsi]", CODE("\xf3\x0f\x16\x0e"), 16, LOADS, SSE3 },
    { "movsldup xmm1,xmm3", CODE("\xf3\x0f\x12\xcb"), 0, 0, SSE3 },
    { "movddup xmm1,[rsi]", CODE("\xf2\x0f\x12\x0e"), 8, LOADS, SSE3 },
    { "movddup xmm1,xmm1", CODE("\xf2\x0f\x12\xc9"), 0, 0, SSE3 },
    { "movmskps ebx,xmm1", CODE("\x0f\x50\xd9"), 0, 0, SSE },
    { "movmskpd ebx,xmm1", CODE("\x66\x0f\x50\xd9"), 0, 0, SSE },
    { "pmovmskb ebx,xmm1", CODE("\x66\x0f\xd7\xd9"), 0, 0, SSE },
    { "pmovmskb ebx,mm3", CODE("\x0f\xd7\xdb"), 0, MMX, SSE },
    { "pinsrb xmm1,[rsi],13", CODE("\x66\x0f\x3a\x20\x0e\x0d"), 1, LOADS, SSE41 },
    { "pinsrb xmm1,ebx,3", CODE("\x66\x0f\x3a\x20\xcb\x03"), 0, 0, SSE41 },
    { "pinsrw xmm1,[rsi],5", CODE("\x66\x0f\xc4\x0e\x05"), 2, LOADS, SSE },
    { "pinsrw xmm1,ebx,13", CODE("\x66\x0f\xc4\xcb\x0d"), 0, 0, SSE },
    { "pinsrw mm3,[rsi],2", CODE("\x0f\xc4\x1e\x02"), 2, LOADS | MMX, SSE },
    { "pinsrw mm3,ebx,1", CODE("\x0f\xc4\xdb\x01"), 0, MMX, SSE },
    { "pinsrd xmm1,[rsi],2", CODE("\x66\x0f\x3a\x22\x0e\x02"), 4, LOADS, SSE41 },
    { "pinsrq xmm1,rbx,1", CODE("\x66\x48\x0f\x3a\x22\xcb\x01"), 0, 0, SSE41 },
    { "pextrb [rsi],xmm1,7", CODE("\x66\x0f\x3a\x14\x0e\x07"), 1, STORES, SSE41 },
    { "pextrb ebx,xmm1,15", CODE("\x66\x0f\x3a\x14\xcb\x0f"), 0, 0, SSE41 },
    { "pextrw [rsi],xmm1,6", CODE("\x66\x0f\x3a\x15\x0e\x06"), 2, STORES, SSE41 },
    { "pextrw ebx,xmm1,2", CODE("\x66\x0f\xc5\xd9\x02"), 0, 0, SSE },
    { "pextrw ebx,mm3,3", CODE("\x0f\xc5\xdb\x03"), 0, MMX, SSE },
    { "pextrd [rsi],xmm1,3", CODE("\x66\x0f\x3a\x16\x0e\x03"), 4, STORES, SSE41 },
    { "pextrq rbx,xmm1,1", CODE("\x66\x48\x0f\x3a\x16\xcb\x01"), 0, 0, SSE41 },
    { "extractps ebx,xmm1,2", CODE("\x66\x0f\x3a\x17\xcb\x02"), 0, 0, SSE41 },
    { "extractps [rsi],xmm1,1", CODE("\x66\x0f\x3a\x17\x0e\x01"), 4, STORES, SSE41 },
    { "insertps xmm1,xmm3,0x9a", CODE("\x66\x0f\x3a\x21\xcb\x9a"), 0, 0, SSE41 },
    { "insertps xmm1,xmm1,0x71", CODE("\x66\x0f\x3a\x21\xc9\x71"), 0, 0, SSE41 },
    { "insertps xmm1,[rsi],0xe4", CODE("\x66\x0f\x3a\x21\x0e\xe4"), 4, LOADS, SSE41 },
    { "movntss [rsi],xmm1", CODE("\xf3\x0f\x2b\x0e"), 4, STORES | STREAMS, SSE4A },
    { "movntsd [rsi],xmm1", CODE("\xf2\x0f\x2b\x0e"), 8, STORES | STREAMS, SSE4A },
    { "vmovups ymm1,[rsi]", CODE("\xc5\xfc\x10\x0e"), 32, LOADS, AVX },
    { "vmovups [rsi],ymm1", CODE("\xc5\xfc\x11\x0e"), 32, STORES, AVX },
    { "vmovaps ymm1,[rsi]", CODE("\xc5\xfc\x28\x0e"), 32, LOADS, AVX },
    { "vmovaps [rsi],xmm1", CODE("\xc5\xf8\x29\x0e"), 16, STORES, AVX },
    { "vmovdqu xmm1,[rsi]", CODE("\xc5\xfa\x6f\x0e"), 16, LOADS, AVX },
    { "vmovdqa [rsi],ymm1", CODE("\xc5\xfd\x7f\x0e"), 32, STORES, AVX },
    { "vmovdqa ymm1,ymm3", CODE("\xc5\xfd\x6f\xcb"), 0, 0, AVX },
    { "vlddqu ymm1,[rsi]", CODE("\xc5\xff\xf0\x0e"), 32, LOADS, AVX },
    { "vmovntps [rsi],ymm1", CODE("\xc5\xfc\x2b\x0e"), 32, STORES | STREAMS, AVX },
    { "vmovntdqa ymm1,[rsi]", CODE("\xc4\xe2\x7d\x2a\x0e"), 32, LOADS | STREAMS, AVX2 },
    { "vmovss xmm1,[rsi]", CODE("\xc5\xfa\x10\x0e"), 4, LOADS, AVX },
    { "vmovss [rsi],xmm1", CODE("\xc5\xfa\x11\x0e"), 4, STORES, AVX },
    { "vmovss xmm1,xmm3,xmm4", CODE("\xc5\xe2\x10\xcc"), 0, 0, AVX },
    { "vmovsd xmm1,xmm3,xmm1", CODE("\xc5\xe3\x10\xc9"), 0, 0, AVX },
    { "vmovlps xmm1,xmm3,[rsi]", CODE("\xc5\xe0\x12\x0e"), 8, LOADS, AVX },
    { "vmovhpd xmm1,xmm3,[rsi]", CODE("\xc5\xe1\x16\x0e"), 8, LOADS, AVX },
    { "vmovhps [rsi],xmm1", CODE("\xc5\xf8\x17\x0e"), 8, STORES, AVX },
    { "vmovhlps xmm1,xmm3,xmm1", CODE("\xc5\xe0\x12\xc9"), 0, 0, AVX },
    { "vmovlhps xmm1,xmm3,xmm1", CODE("\xc5\xe0\x16\xc9"), 0, 0, AVX },
    { "vmovd xmm1,[rsi]", CODE("\xc5\xf9\x6e\x0e"), 4, LOADS, AVX },
    { "vmovd ebx,xmm1", CODE("\xc5\xf9\x7e\xcb"), 0, 0, AVX },
    { "vmovq xmm1,rbx", CODE("\xc4\xe1\xf9\x6e\xcb"), 0, 0, AVX },
    { "vmovq [rsi],xmm1", CODE("\xc5\xf9\xd6\x0e"), 8, STORES, AVX },
    { "vmovq xmm1,xmm3", CODE("\xc5\xfa\x7e\xcb"), 0, 0, AVX },
    { "vmovshdup ymm1,[rsi]", CODE("\xc5\xfe\x16\x0e"), 32, LOADS, AVX },
    { "vmovddup ymm1,[rsi]", CODE("\xc5\xff\x12\x0e"), 32, LOADS, AVX },
    { "vmovddup xmm1,[rsi]", CODE("\xc5\xfb\x12\x0e"), 8, LOADS, AVX },
    { "vmovmskps ebx,ymm1", CODE("\xc5\xfc\x50\xd9"), 0, 0, AVX },
    { "vpmovmskb ebx,ymm1", CODE("\xc5\xfd\xd7\xd9"), 0, 0, AVX2 },
    { "vpinsrb xmm1,xmm3,[rsi],9", CODE("\xc4\xe3\x61\x20\x0e\x09"), 1, LOADS, AVX },
    { "vpinsrd xmm1,xmm3,ebx,1", CODE("\xc4\xe3\x61\x22\xcb\x01"), 0, 0, AVX },
    { "vpinsrq xmm1,xmm3,[rsi],1", CODE("\xc4\xe3\xe1\x22\x0e\x01"), 8, LOADS, AVX },
    { "vpextrw [rsi],xmm1,4", CODE("\xc4\xe3\x79\x15\x0e\x04"), 2, STORES, AVX },
    { "vinsertps xmm1,xmm3,xmm1,0x62", CODE("\xc4\xe3\x61\x21\xc9\x62"), 0, 0, AVX },
    { "vinsertps xmm1,xmm3,[rsi],0x18", CODE("\xc4\xe3\x61\x21\x0e\x18"), 4, LOADS, AVX },
    { "vbroadcastss ymm1,[rsi]", CODE("\xc4\xe2\x7d\x18\x0e"), 4, LOADS, AVX },
    { "vbroadcastsd ymm1,[rsi]", CODE("\xc4\xe2\x7d\x19\x0e"), 8, LOADS, AVX },
    { "vbroadcastf128 ymm1,[rsi]", CODE("\xc4\xe2\x7d\x1a\x0e"), 16, LOADS, AVX },
    { "vbroadcasti128 ymm1,[rsi]", CODE("\xc4\xe2\x7d\x5a\x0e"), 16, LOADS, AVX2 },
    { "vbroadcastss ymm1,xmm3", CODE("\xc4\xe2\x7d\x18\xcb"), 0, 0, AVX2 },
    { "vpbroadcastb ymm1,[rsi]", CODE("\xc4\xe2\x7d\x78\x0e"), 1, LOADS, AVX2 },
    { "vpbroadcastw xmm1,xmm1", CODE("\xc4\xe2\x79\x79\xc9"), 0, 0, AVX2 },
    { "vpbroadcastd ymm1,[rsi]", CODE("\xc4\xe2\x7d\x58\x0e"), 4, LOADS, AVX2 },
    { "vpbroadcastq ymm1,xmm3", CODE("\xc4\xe2\x7d\x59\xcb"), 0, 0, AVX2 },
    { "vinsertf128 ymm1,ymm3,[rsi],1", CODE("\xc4\xe3\x65\x18\x0e\x01"), 16, LOADS, AVX },
    { "vinserti128 ymm1,ymm3,xmm1,0", CODE("\xc4\xe3\x65\x38\xc9\x00"), 0, 0, AVX2 },
    { "vextractf128 [rsi],ymm1,1", CODE("\xc4\xe3\x7d\x19\x0e\x01"), 16, STORES, AVX },
    { "vextracti128 xmm1,ymm1,1", CODE("\xc4\xe3\x7d\x39\xc9\x01"), 0, 0, AVX2 },
    { "vmaskmovps ymm1,ymm3,[rsi]", CODE("\xc4\xe2\x65\x2c\x0e"), 32, LOADS | MASKED, AVX },
    { "vmaskmovpd [rsi],ymm3,ymm1", CODE("\xc4\xe2\x65\x2f\x0e"), 32, STORES | MASKED, AVX },
    { "vpmaskmovd ymm1,ymm3,[rsi]", CODE("\xc4\xe2\x65\x8c\x0e"), 32, LOADS | MASKED, AVX2 },
    { "vpmaskmovd [rsi],ymm3,ymm1", CODE("\xc4\xe2\x65\x8e\x0e"), 32, STORES | MASKED, AVX2 },
    { "vpmaskmovq xmm1,xmm3,[rsi]", CODE("\xc4\xe2\xe1\x8c\x0e"), 16, LOADS | MASKED, AVX2 },
    { "vpmaskmovd ymm1,ymm5,[rsi]", CODE("\xc4\xe2\x55\x8c\x0e"), 32, LOADS | MASKED | EMPTY, AVX2 },
    { "vpgatherdd ymm1,[rsi+ymm2*4],ymm3", CODE("\xc4\xe2\x65\x90\x0c\x96"), 4, LOADS | ELEMENTS | DWORDS, AVX2 },
    { "vpgatherdd xmm1,[rsi+xmm2*4],xmm3", CODE("\xc4\xe2\x61\x90\x0c\x96"), 4, LOADS | ELEMENTS | DWORDS, AVX2 },
    { "vpgatherdq ymm1,[rsi+xmm2*8],ymm3", CODE("\xc4\xe2\xe5\x90\x0c\xd6"), 8, LOADS | ELEMENTS | DWORDS, AVX2 },
    { "vpgatherqd xmm1,[rsi+ymm2*4],xmm3", CODE("\xc4\xe2\x65\x91\x0c\x96"), 4, LOADS | ELEMENTS | QWORDS, AVX2 },
    { "vgatherqps xmm1,[rsi+xmm2*4],xmm3", CODE("\xc4\xe2\x61\x93\x0c\x96"), 4, LOADS | ELEMENTS | QWORDS, AVX2 },
    { "vgatherqpd ymm1,[rsi+ymm2*8],ymm3", CODE("\xc4\xe2\xe5\x93\x0c\xd6"), 8, LOADS | ELEMENTS | QWORDS, AVX2 },
    { "vgatherdps ymm1,[rsi+ymm2*4],ymm5",
      CODE("\xc4\xe2\x55\x92\x0c\x96"),
      4, LOADS | ELEMENTS | DWORDS | EMPTY, AVX2 },
    { "vzeroupper", CODE("\xc5\xf8\x77"), 0, 0, AVX },
    { "vzeroall", CODE("\xc5\xfc\x77"), 0, 0, AVX },
    { "vmovups zmm17,[rsi+0x40]", CODE("\x62\xe1\x7c\x48\x10\x4e\x01"), 64, LOADS, AVX512 },
    { "vmovups [rsi],zmm17", CODE("\x62\xe1\x7c\x48\x11\x0e"), 64, STORES, AVX512 },
    { "vmovaps zmm1,[rsi]", CODE("\x62\xf1\x7c\x48\x28\x0e"), 64, LOADS, AVX512 },
    { "vmovdqa32 [rsi],zmm1", CODE("\x62\xf1\x7d\x48\x7f\x0e"), 64, STORES, AVX512 },
    { "vmovdqu8 zmm1{k1},[rsi]", CODE("\x62\xf1\x7f\x49\x6f\x0e"), 64, LOADS | MASKED, AVX512 },
    { "vmovdqu8 zmm1{k1}{z},[rsi]", CODE("\x62\xf1\x7f\xc9\x6f\x0e"), 64, LOADS | MASKED, AVX512 },
    { "vmovdqu16 [rsi]{k1},zmm1", CODE("\x62\xf1\xff\x49\x7f\x0e"), 64, STORES | MASKED, AVX512 },
    { "vmovdqu32 zmm1{k2},[rsi]", CODE("\x62\xf1\x7e\x4a\x6f\x0e"), 64, LOADS | MASKED | EMPTY, AVX512 },
    { "vmovdqu32 [rsi]{k4},zmm1", CODE("\x62\xf1\x7e\x4c\x7f\x0e"), 64, STORES | MASKED, AVX512 },
    { "vmovdqu64 ymm1{k4}{z},[rsi]", CODE("\x62\xf1\xfe\xac\x6f\x0e"), 32, LOADS | MASKED, AVX512 },
    { "vmovdqu64 [rsi]{k3},zmm1", CODE("\x62\xf1\xfe\x4b\x7f\x0e"), 64, STORES | MASKED, AVX512 },
    { "vmovdqu8 [rsi]{k5},zmm1", CODE("\x62\xf1\x7f\x4d\x7f\x0e"), 64, STORES | MASKED, AVX512 },
    { "vmovdqa64 zmm1{k1},[rsi]", CODE("\x62\xf1\xfd\x49\x6f\x0e"), 64, LOADS | MASKED, AVX512 },
    { "vmovaps [rsi]{k1},ymm1", CODE("\x62\xf1\x7c\x29\x29\x0e"), 32, STORES | MASKED, AVX512 },
    { "vmovdqu32 zmm1{k1},zmm3", CODE("\x62\xf1\x7e\x49\x6f\xcb"), 0, 0, AVX512 },
    { "vmovapd xmm1{k1}{z},xmm3", CODE("\x62\xf1\xfd\x89\x28\xcb"), 0, 0, AVX512 },
    { "vmovntps [rsi],zmm1", CODE("\x62\xf1\x7c\x48\x2b\x0e"), 64, STORES | STREAMS, AVX512 },
    { "vmovntdq [rsi],ymm17", CODE("\x62\xe1\x7d\x28\xe7\x0e"), 32, STORES | STREAMS, AVX512 },
    { "vmovntdqa zmm1,[rsi]", CODE("\x62\xf2\x7d\x48\x2a\x0e"), 64, LOADS | STREAMS, AVX512 },
    { "vmovss xmm1{k1},[rsi]", CODE("\x62\xf1\x7e\x09\x10\x0e"), 4, LOADS | MASKED | EMPTY, AVX512 },
    { "vmovss xmm1{k3}{z},[rsi]", CODE("\x62\xf1\x7e\x8b\x10\x0e"), 4, LOADS | MASKED, AVX512 },
    { "vmovsd [rsi]{k3},xmm1", CODE("\x62\xf1\xff\x0b\x11\x0e"), 8, STORES | MASKED, AVX512 },
    { "vmovsd [rsi]{k2},xmm1", CODE("\x62\xf1\xff\x0a\x11\x0e"), 8, STORES | MASKED | EMPTY, AVX512 },
    { "vmovss xmm1{k1}{z},xmm3,xmm4", CODE("\x62\xf1\x66\x89\x10\xcc"), 0, 0, AVX512 },
    { "vmovsd xmm1{k3},xmm3,xmm4", CODE("\x62\xf1\xe7\x0b\x10\xcc"), 0, 0, AVX512 },
    { "vmovd xmm17,[rsi]", CODE("\x62\xe1\x7d\x08\x6e\x0e"), 4, LOADS, AVX512 },
    { "vmovq rbx,xmm17", CODE("\x62\xe1\xfd\x08\x7e\xcb"), 0, 0, AVX512 },
    { "vmovhps xmm17,xmm3,[rsi]", CODE("\x62\xe1\x64\x08\x16\x0e"), 8, LOADS, AVX512 },
    { "vmovsldup zmm1{k1},[rsi]", CODE("\x62\xf1\x7e\x49\x12\x0e"), 64, LOADS, AVX512 },
    { "vmovddup zmm1{k4}{z},zmm3", CODE("\x62\xf1\xff\xcc\x12\xcb"), 0, 0, AVX512 },
    { "vpinsrw xmm17,xmm18,[rsi],3", CODE("\x62\xe1\x6d\x00\xc4\x0e\x03"), 2, LOADS, AVX512 },
    { "vpextrq [rsi],xmm17,1", CODE("\x62\xe3\xfd\x08\x16\x0e\x01"), 8, STORES, AVX512 },
    { "vbroadcastss zmm1{k1},[rsi]", CODE("\x62\xf2\x7d\x49\x18\x0e"), 4, LOADS | MASKED, AVX512 },
    { "vbroadcastss zmm1{k2},[rsi]", CODE("\x62\xf2\x7d\x4a\x18\x0e"), 4, LOADS | MASKED | EMPTY, AVX512 },
    { "vbroadcastsd zmm1{k1}{z},xmm3", CODE("\x62\xf2\xfd\xc9\x19\xcb"), 0, 0, AVX512 },
    { "vbroadcastf32x2 zmm1{k4},[rsi]", CODE("\x62\xf2\x7d\x4c\x19\x0e"), 8, LOADS | MASKED, AVX512 },
    { "vbroadcasti32x4 zmm1{k4},[rsi]", CODE("\x62\xf2\x7d\x4c\x5a\x0e"), 16, LOADS | MASKED, AVX512 },
    { "vbroadcasti64x2 zmm1,[rsi]", CODE("\x62\xf2\xfd\x48\x5a\x0e"), 16, LOADS, AVX512 },
    { "vbroadcastf32x8 zmm1,[rsi]", CODE("\x62\xf2\x7d\x48\x1b\x0e"), 32, LOADS, AVX512 },
    { "vbroadcasti64x4 zmm1{k5}{z},[rsi]", CODE("\x62\xf2\xfd\xcd\x5b\x0e"), 32, LOADS | MASKED, AVX512 },
    { "vpbroadcastb zmm1{k1},ebx", CODE("\x62\xf2\x7d\x49\x7a\xcb"), 0, 0, AVX512 },
    { "vpbroadcastw zmm1,ebx", CODE("\x62\xf2\x7d\x48\x7b\xcb"), 0, 0, AVX512 },
    { "vpbroadcastq zmm1{k1}{z},rbx", CODE("\x62\xf2\xfd\xc9\x7c\xcb"), 0, 0, AVX512 },
    { "vpbroadcastb zmm17,[rsi]", CODE("\x62\xe2\x7d\x48\x78\x0e"), 1, LOADS, AVX512 },
    { "vinserti32x4 zmm1{k1},zmm3,[rsi],2", CODE("\x62\xf3\x65\x49\x38\x0e\x02"), 16, LOADS, AVX512 },
    { "vinsertf64x4 zmm1{k1}{z},zmm3,ymm1,1", CODE("\x62\xf3\xe5\xc9\x1a\xc9\x01"), 0, 0, AVX512 },
    { "vinserti64x2 ymm1,ymm3,[rsi],1", CODE("\x62\xf3\xe5\x28\x38\x0e\x01"), 16, LOADS, AVX512 },
    { "vextracti32x4 [rsi],zmm1,3", CODE("\x62\xf3\x7d\x48\x39\x0e\x03"), 16, STORES, AVX512 },
    { "vextracti32x4 [rsi]{k4},zmm1,3", CODE("\x62\xf3\x7d\x4c\x39\x0e\x03"), 16, STORES | MASKED, AVX512 },
    { "vextractf64x4 ymm1{k1}{z},zmm3,1", CODE("\x62\xf3\xfd\xc9\x1b\xd9\x01"), 0, 0, AVX512 },
    { "vextracti32x8 [rsi],zmm1,1", CODE("\x62\xf3\x7d\x48\x3b\x0e\x01"), 32, STORES, AVX512 },
    { "vpcompressd [rsi]{k1},zmm1", CODE("\x62\xf2\x7d\x49\x8b\x0e"), 64, STORES | MASKED, AVX512 },
    { "vpcompressq [rsi]{k4},zmm1", CODE("\x62\xf2\xfd\x4c\x8b\x0e"), 64, STORES | MASKED, AVX512 },
    { "vcompressps zmm1{k1}{z},zmm3", CODE("\x62\xf2\x7d\xc9\x8a\xd9"), 0, 0, AVX512 },
    { "vcompresspd zmm1{k4},zmm3", CODE("\x62\xf2\xfd\x4c\x8a\xd9"), 0, 0, AVX512 },
    { "vpexpandd zmm1{k1},[rsi]", CODE("\x62\xf2\x7d\x49\x89\x0e"), 64, LOADS | MASKED, AVX512 },
    { "vexpandpd zmm1{k4}{z},[rsi]", CODE("\x62\xf2\xfd\xcc\x88\x0e"), 64, LOADS | MASKED, AVX512 },
    { "vpexpandd zmm1{k1},zmm3", CODE("\x62\xf2\x7d\x49\x89\xcb"), 0, 0, AVX512 },
    { "vpexpandq zmm1,[rsi]", CODE("\x62\xf2\xfd\x48\x89\x0e"), 64, LOADS, AVX512 },
    { "vpcompressd [rsi],zmm1", CODE("\x62\xf2\x7d\x48\x8b\x0e"), 64, STORES, AVX512 },
    { "vpgatherdd zmm1{k1},[rsi+zmm2*4]",
      CODE("\x62\xf2\x7d\x49\x90\x0c\x96"),
      4, LOADS | ELEMENTS | DWORDS, AVX512 },
    { "vpgatherdq zmm1{k4},[rsi+ymm2*8]",
      CODE("\x62\xf2\xfd\x4c\x90\x0c\xd6"),
      8, LOADS | ELEMENTS | DWORDS, AVX512 },
    { "vgatherqps ymm1{k4},[rsi+zmm2*4]",
      CODE("\x62\xf2\x7d\x4c\x93\x0c\x96"),
      4, LOADS | ELEMENTS | QWORDS, AVX512 },
    { "vgatherqpd xmm1{k3},[rsi+xmm2*8]",
      CODE("\x62\xf2\xfd\x0b\x93\x0c\xd6"),
      8, LOADS | ELEMENTS | QWORDS, AVX512 },
    { "vpscatterdd [rsi+zmm2*4]{k1},zmm1",
      CODE("\x62\xf2\x7d\x49\xa0\x0c\x96"),
      4, STORES | ELEMENTS | DWORDS, AVX512 },
    { "vpscatterdd [rsi+zmm2*4]{k3},zmm1",
      CODE("\x62\xf2\x7d\x4b\xa0\x0c\x96"),
      4, STORES | ELEMENTS | DWORDS, AVX512 },
    { "vpscatterqq [rsi+zmm2*8]{k4},zmm1",
      CODE("\x62\xf2\xfd\x4c\xa1\x0c\xd6"),
      8, STORES | ELEMENTS | QWORDS, AVX512 },
    { "vscatterqps [rsi+ymm2*4]{k3},xmm1",
      CODE("\x62\xf2\x7d\x2b\xa3\x0c\x96"),
      4, STORES | ELEMENTS | QWORDS, AVX512 },
    { "vscatterdpd [rsi+xmm2*8]{k3},ymm1",
      CODE("\x62\xf2\xfd\x2b\xa2\x0c\xd6"),
      8, STORES | ELEMENTS | DWORDS, AVX512 },
    { "kmovb k6,[rsi]", CODE("\xc5\xf9\x90\x36"), 1, LOADS, AVX512 },
    { "kmovw [rsi],k1", CODE("\xc5\xf8\x91\x0e"), 2, STORES, AVX512 },
    { "kmovd k6,[rsi]", CODE("\xc4\xe1\xf9\x90\x36"), 4, LOADS, AVX512 },
    { "kmovq [rsi],k1", CODE("\xc4\xe1\xf8\x91\x0e"), 8, STORES, AVX512 },
    { "kmovq k6,k1", CODE("\xc4\xe1\xf8\x90\xf1"), 0, 0, AVX512 },
    { "kmovw k6,k1", CODE("\xc5\xf8\x90\xf1"), 0, 0, AVX512 },
    { "kmovb k6,ebx", CODE("\xc5\xf9\x92\xf3"), 0, 0, AVX512 },
    { "kmovq k6,rbx", CODE("\xc4\xe1\xfb\x92\xf3"), 0, 0, AVX512 },
    { "kmovd ebx,k1", CODE("\xc5\xfb\x93\xd9"), 0, 0, AVX512 },
    { "kmovw ebx,k1", CODE("\xc5\xf8\x93\xd9"), 0, 0, AVX512 },
    { "ldmxcsr [rsi]", CODE("\x0f\xae\x16"), 4, LOADS, SSE },
    { "stmxcsr [rsi]", CODE("\x0f\xae\x1e"), 4, STORES, SSE },
    { "vstmxcsr [rsi]", CODE("\xc5\xf8\xae\x1e"), 4, STORES, AVX },
    { "fxsave [rsi]", CODE("\x0f\xae\x06"), 512, STORES | SAVES | MMX, SSE },
    { "fxsave64 [rsi]", CODE("\x48\x0f\xae\x06"), 512, STORES | SAVES | MMX, SSE },
    { "fxrstor [rsi]", CODE("\x0f\xae\x0e"), 512, LOADS | SAVES | MMX, SSE },
    { "fxsave64 [rsi];emms;movdqa xmm1,xmm3;fxrstor64 [rsi]",
      CODE("\x48\x0f\xae\x06\x0f\x77\x66\x0f\x6f\xcb\x48\x0f\xae\x0e"),
      512, STORES | SAVES | MMX, SSE },
    { "xsave [rsi]", CODE("\x0f\xae\x26"), 2440, STORES | SAVES | MMX, AVX512 },
    { "xsave64 [rsi]", CODE("\x48\x0f\xae\x26"), 2440, STORES | SAVES | MMX, AVX512 },
    { "xsaveopt64 [rsi]", CODE("\x48\x0f\xae\x36"), 2440, STORES | SAVES | MMX, AVX512 },
    { "xsavec64 [rsi]", CODE("\x48\x0f\xc7\x26"), 2440, STORES | SAVES | MMX, AVX512 },
    { "lea rdi,[rsi+512];mov ecx,64;xor eax,eax;rep stosb;mov eax,0xe7;xsave64 [rsi];vzeroall;kmo"
      "vq k1,rbx;fninit;xrstor64 [rsi]",
      CODE("\x48\x8d\xbe\x00\x02\x00\x00\xb9\x40\x00\x00\x00\x31\xc0\xf3\xaa\xb8\xe7\x00\x00\x00\x48\x0f\xae"
           "\x26\xc5\xfc\x77\xc4\xe1\xfb\x92\xcb\xdb\xe3\x48\x0f\xae\x2e"),
      2440, STORES | SAVES | MMX, AVX512 },
    { "lea rdi,[rsi+512];mov ecx,64;xor eax,eax;rep stosb;mov eax,0xe7;xsavec64 [rsi];vzeroall;km"
      "ovq k1,rbx;fninit;xrstor64 [rsi]",
      CODE("\x48\x8d\xbe\x00\x02\x00\x00\xb9\x40\x00\x00\x00\x31\xc0\xf3\xaa\xb8\xe7\x00\x00\x00\x48\x0f\xc7"
           "\x26\xc5\xfc\x77\xc4\xe1\xfb\x92\xcb\xdb\xe3\x48\x0f\xae\x2e"),
      2440, STORES | SAVES | MMX, AVX512 },
    { "lea rdi,[rsi+512];mov ecx,64;xor eax,eax;rep stosb;mov eax,0xe7;xrstor64 [rsi]",
      CODE("\x48\x8d\xbe\x00\x02\x00\x00\xb9\x40\x00\x00\x00\x31\xc0\xf3\xaa\xb8\xe7\x00\x00\x00\x48\x0f\xae"
           "\x2e"),
      2440, STORES | SAVES | MMX, AVX512 },
    { "xrstor64 [rsi]", CODE("\x48\x0f\xae\x2e"), 576, LOADS | SAVES | MMX, AVX512 },
    { "fnstcw [rsi]", CODE("\xd9\x3e"), 2, STORES | MMX, SSE },
    { "fldcw [rsi]", CODE("\xd9\x2e"), 2, LOADS | MMX, SSE },
    { "fnstsw [rsi]", CODE("\xdd\x3e"), 2, STORES | MMX, SSE },
    { "fnstsw ax", CODE("\xdf\xe0"), 0, MMX, SSE },
    { "fninit", CODE("\xdb\xe3"), 0, MMX, SSE },
    { "fnclex", CODE("\xdb\xe2"), 0, MMX, SSE },
    { "fnop", CODE("\xd9\xd0"), 0, MMX, SSE },
    { "fwait", CODE("\x9b"), 0, MMX, SSE },
    { "fnstenv [rsi]", CODE("\xd9\x36"), 28, STORES | SAVES | MMX, SSE },
    { "data16 fnstenv [rsi]", CODE("\x66\xd9\x36"), 14, STORES | SAVES | MMX, SSE },
    { "fldenv [rsi]", CODE("\xd9\x26"), 28, LOADS | SAVES | MMX, SSE },
    { "fnsave [rsi]", CODE("\xdd\x36"), 108, STORES | SAVES | MMX, SSE },
    { "data16 fnsave [rsi]", CODE("\x66\xdd\x36"), 94, STORES | SAVES | MMX, SSE },
    { "fnsave [rsi];frstor [rsi]", CODE("\xdd\x36\xdd\x26"), 108, STORES | SAVES | MMX, SSE },
    { "frstor [rsi]", CODE("\xdd\x26"), 108, LOADS | SAVES | MMX, SSE },
    { "fnstenv [rsi];fldcw [rsi];fldenv [rsi]", CODE("\xd9\x36\xd9\x2e\xd9\x26"), 28, STORES | SAVES | MMX, SSE },
    { "mov rdi,rsi;xor eax,eax;mov ecx,576;rep stosb;mov eax,7;mov byte ptr [rsi+528],1;xrstor64 "
      "[rsi]",
      CODE("\x48\x89\xf7\x31\xc0\xb9\x40\x02\x00\x00\xf3\xaa\xb8\x07\x00\x00\x00\xc6\x86\x10\x02\x00\x00\x01"
           "\x48\x0f\xae\x2e"),
      576, STORES | SAVES | MMX, AVX },
    { "mov rdi,rsi;xor eax,eax;mov ecx,576;rep stosb;mov eax,7;mov byte ptr [rsi+519],1;xrstor64 "
      "[rsi]",
      CODE("\x48\x89\xf7\x31\xc0\xb9\x40\x02\x00\x00\xf3\xaa\xb8\x07\x00\x00\x00\xc6\x86\x07\x02\x00\x00\x01"
           "\x48\x0f\xae\x2e"),
      576, STORES | SAVES | MMX, AVX },
    { "mov rdi,rsi;xor eax,eax;mov ecx,576;rep stosb;mov eax,7;mov byte ptr [rsi+27],1;xrstor64 ["
      "rsi]",
      CODE("\x48\x89\xf7\x31\xc0\xb9\x40\x02\x00\x00\xf3\xaa\xb8\x07\x00\x00\x00\xc6\x46\x1b\x01\x48\x0f\xae"
           "\x2e"),
      576, STORES | SAVES | MMX, AVX },
    { "mov rdi,rsi;xor eax,eax;mov ecx,576;rep stosb;mov eax,5;mov byte ptr [rsi+24],0x80;xrstor6"
      "4 [rsi]",
      CODE("\x48\x89\xf7\x31\xc0\xb9\x40\x02\x00\x00\xf3\xaa\xb8\x05\x00\x00\x00\xc6\x46\x18\x80\x48\x0f\xae"
           "\x2e"),
      832, STORES | SAVES | MMX, AVX },
    { "mov rdi,rsi;xor eax,eax;mov ecx,576;rep stosb;mov eax,7;mov byte ptr [rsi+527],0x80;xrstor"
      "64 [rsi]",
      CODE("\x48\x89\xf7\x31\xc0\xb9\x40\x02\x00\x00\xf3\xaa\xb8\x07\x00\x00\x00\xc6\x86\x0f\x02\x00\x00\x80"
           "\x48\x0f\xae\x2e"),
      576, STORES | SAVES | MMX, AVX512 },
    { "mov rdi,rsi;xor eax,eax;mov ecx,576;rep stosb;mov eax,7;mov byte ptr [rsi+527],0x80;mov by"
      "te ptr [rsi+512],1;xrstor64 [rsi]",
      CODE("\x48\x89\xf7\x31\xc0\xb9\x40\x02\x00\x00\xf3\xaa\xb8\x07\x00\x00\x00\xc6\x86\x0f\x02\x00\x00\x80"
           "\xc6\x86\x00\x02\x00\x00\x01\x48\x0f\xae\x2e"),
      576, STORES | SAVES | MMX, AVX512 },
    { "mov rdi,rsi;xor eax,eax;mov ecx,512;rep stosb;mov byte ptr [rsi+26],1;fxrstor64 [rsi]",
      CODE("\x48\x89\xf7\x31\xc0\xb9\x00\x02\x00\x00\xf3\xaa\xc6\x46\x1a\x01\x48\x0f\xae\x0e"),
      512, STORES | SAVES | MMX, SSE },
    { "fninit;vzeroall;mov eax,7;xsaveopt64 [rsi]",
      CODE("\xdb\xe3\xc5\xfc\x77\xb8\x07\x00\x00\x00\x48\x0f\xae\x36"),
      832, STORES | SAVES | MMX, AVX512 },
    { "fninit;mov eax,5;xsavec64 [rsi]",
      CODE("\xdb\xe3\xb8\x05\x00\x00\x00\x48\x0f\xc7\x26"),
      832, STORES | SAVES | MMX, AVX512 },
#undef CODE
};

static bool host_has(enum need need)
{
    switch (need) {
    case SSE: return true;
    case SSE3: return __builtin_cpu_supports("sse3");
    case SSE41: return __builtin_cpu_supports("sse4.1");
    case SSE4A: return __builtin_cpu_supports("sse4a");
    case AVX: return __builtin_cpu_supports("avx");
    case AVX2: return __builtin_cpu_supports("avx2");
    default: return __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
    }
}

/* -- the world: the same addresses in the guest and here ------------------------------------------------------------------ */

enum {
    WINDOW = NATIVE_DATA - 0x1000,
    PAGES = 9, /* code, data, data, missing, read-only data, data, device, device, missing */
    DATA = 0x1000, MISSING = 0x3000, READ_ONLY = 0x4000, DEVICE = 0x6000, DEVICE_END = 0x8000,
    TABLES = 0x9000, IDT = 0xe000, GDT = 0xe800, HANDLERS = 0xf000, RAM = 0x10000,
    PF = EXCEPTION_PF,
};

/* Everything an instruction may change. */
struct state {
    uint64_t gpr[16];
    uint64_t k[8];
    union wide zmm[32];
    uint8_t fx[512];        /* FXSAVE64 image: x87 and MXCSR */
    uint8_t memory[PAGES * PAGE_BYTES];
    int vector;             /* exception, or -1 */
    uint64_t address;       /* of a #PF */
};

static uint64_t noise_state;

static uint64_t noise(void)
{
    noise_state = noise_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return noise_state ^ noise_state >> 29;
}

static void start_vectors(struct state *s, const struct row *row)
{
    static const uint8_t indices[16] = { 3, 0, 7, 1, 12, 5, 9, 2, 15, 4, 8, 6, 11, 10, 14, 13 };
    static const uint64_t masks[8] = { 0x0123456789abcdef, 0x5a3c96f00ff1a5c2, 0, UINT64_MAX, 0xa5a5a5a5a5a5a5b6,
                                       0xffffffff, 0x1111111111111111, 0x8000000000000001 };

    memcpy(s->k, masks, sizeof(masks));
    for (unsigned i = 0; i < 32 * 8; i++)
        s->zmm[i / 8].q[i % 8] = noise();
    s->zmm[5] = (union wide){ .q = { 0 } };
    for (unsigned i = 0; i < 16 && row->flags & DWORDS; i++)
        s->zmm[2].w[i] = indices[i];
    for (unsigned i = 0; i < 8 && row->flags & QWORDS; i++)
        s->zmm[2].q[i] = indices[i];
}

/* TOP 3, three registers in use, no exception pending; FIP and relatives zero: an AMD host does not save them. */
static void start_x87(struct state *s)
{
    static const uint8_t head[32] = { 0x7f, 0x02, 0x00, 0x1a, 0x1c, [24] = 0xa0, 0x5f, [28] = 0xff, 0xff };

    memset(s->fx, 0, sizeof(s->fx));
    memcpy(s->fx, head, sizeof(head));
    for (unsigned i = 0; i < 8; i++) {
        uint64_t significand = noise() | BIT(63);

        memcpy(s->fx + 32 + i * 16, &significand, 8);
        s->fx[40 + i * 16] = (uint8_t)(0x10 + i);
        s->fx[41 + i * 16] = 0x40;
    }
}

/* The same for all rows. */
static void start_memory(struct state *s)
{
    noise_state = 41;
    for (unsigned i = 0; i < sizeof(s->memory) / 8; i++)
        ((uint64_t *)(void *)s->memory)[i] = noise();
    memcpy(s->memory + DEVICE, s->memory + DATA, DEVICE_END - DEVICE); /* so a device gives what memory gives */
}

static void start(struct state *s, const struct row *row, uint64_t offset)
{
    memset(s, 0, sizeof(*s));
    start_memory(s);
    noise_state = 42;
    for (unsigned i = 0; i < 16; i++)
        s->gpr[i] = noise();
    s->gpr[RAX] = 0x11223344000000e7; /* XSAVE's components */
    s->gpr[RDX] = 0x5566778800000000;
    s->gpr[RSI] = s->gpr[RDI] = WINDOW + offset;
    start_vectors(s, row);
    start_x87(s);
    s->vector = -1;
}

/* -- the guest ----------------------------------------------------------------------------------------------------------------- */

static struct seen {
    enum transaction_type type;
    uint64_t offset;
    unsigned width;
    uint16_t flags;
    uint64_t enables;
} seen[2048];
static unsigned seen_count;
static uint8_t ram[RAM], device_bytes[DEVICE_END - DEVICE];
static uint64_t cr0_flip, cr4_flip, xcr0_mask = UINT64_MAX; /* for tests of the enabling bits */
static bool mode_32;                      /* a 32-bit code segment ... */
static uint64_t data_base, data_limit = UINT32_MAX; /* ... and its data segments */

static enum transaction_result device_transact(void *state, struct transaction *t)
{
    (void)state;
    ck_assert_uint_lt(seen_count, ARRAY_LEN(seen));
    seen[seen_count++] = (struct seen){ t->type, t->offset, t->width, t->flags, t->enables };
    for (unsigned i = 0; i < t->width; i++)
        if (t->type == TRANSACTION_LOAD)
            t->data.b[i] = t->enables >> i & 1 ? device_bytes[t->offset + i] : 0xee; /* nobody may use these */
        else if (t->enables >> i & 1)
            device_bytes[t->offset + i] = t->data.b[i];
        else
            ck_assert_uint_eq(t->data.b[i], 0);
    return TRANSACTION_OK;
}

static const struct region_ops device_ops = {
    .transact = device_transact,
    .limits = { .widths = W_ALL, .flags = REGION_UNALIGNED | REGION_ODD | REGION_ENABLES },
};

static void put(unsigned at, uint64_t value) { memcpy(ram + at, &value, 8); }

/* Four levels for the first window page by page; then IDT, GDT and handlers that stop. */
static void guest_tables(void)
{
    put(TABLES, (TABLES + 0x1000) | 7);
    put(TABLES + 0x1000, (TABLES + 0x2000) | 7);
    put(TABLES + 0x2000 + (WINDOW >> 21) * 8, (TABLES + 0x3000) | 7);
    for (unsigned i = 0; i < 16; i++) {
        uint64_t at = i * PAGE_BYTES, flags = at == READ_ONLY ? 5 : at == MISSING || at == DEVICE_END ? 0 : 7;

        put(TABLES + 0x3000 + (WINDOW / PAGE_BYTES % 512 + i) * 8, (at >= DEVICE && at < DEVICE_END ? 0x100000 + at - DEVICE : at) | flags);
    }
    for (unsigned i = 0; i < 32; i++) {
        uint64_t to = WINDOW + HANDLERS + i * 16;

        put(IDT + i * 16, (to & 0xffff) | 8 << 16 | UINT64_C(0x8e00) << 32 | (to >> 16 & 0xffff) << 48);
        put(IDT + i * 16 + 8, to >> 32);
        ram[HANDLERS + i * 16] = 0xf4; /* hlt */
    }
    put(GDT + 8, 0x00af9b000000ffff);
    put(GDT + 16, 0x00cf93000000ffff);
}

static void guest_registers(struct cpu *c)
{
    c->cr0 = (CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG) ^ cr0_flip;
    c->cr4 = (CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE) ^ cr4_flip;
    c->efer = EFER_LME | EFER_LMA;
    c->cr3 = TABLES;
    c->xcr0 = 0xe7 & xcr0_mask;
    for (unsigned i = 0; i < 6; i++)
        c->seg[i] = (struct segment){ .selector = 16, .base = data_base, .limit = (uint32_t)data_limit, .ar = 0xc093 };
    if (mode_32)
        c->seg[SEG_CS] = (struct segment){ .selector = 8, .limit = UINT32_MAX, .ar = 0xc09b };
    else
        c->seg[SEG_CS] = (struct segment){ .selector = 8, .limit = UINT32_MAX, .ar = 0xa09b };
    c->idtr = (struct descriptor_table){ WINDOW + IDT, 511 };
    c->gdtr = (struct descriptor_table){ WINDOW + GDT, 23 };
    c->rip = WINDOW;
}

/* FXSAVE's view of the x87 registers; ST(i) is physical register TOP + i. */
static void x87_from_image(struct cpu *c, const uint8_t *fx)
{
    unsigned top;

    memcpy(&c->x87.control, fx, 2);
    memcpy(&c->x87.status, fx + 2, 2);
    c->x87.valid = fx[4];
    memcpy(&c->mxcsr, fx + 24, 4);
    top = c->x87.status >> 11 & 7;
    for (unsigned i = 0; i < 8; i++) {
        memcpy(&c->x87.significand[(top + i) & 7], fx + 32 + i * 16, 8);
        memcpy(&c->x87.exponent[(top + i) & 7], fx + 40 + i * 16, 2);
    }
}

static void x87_to_image(const struct cpu *c, uint8_t *fx)
{
    unsigned top = c->x87.status >> 11 & 7;
    static const uint32_t mask = 0xffff;

    memset(fx, 0, 160);
    memcpy(fx, &c->x87.control, 2);
    memcpy(fx + 2, &c->x87.status, 2);
    fx[4] = c->x87.valid;
    if (c->x87.status & 0x80) { /* AMD keeps these to itself unless an exception is pending */
        memcpy(fx + 6, &c->x87.opcode, 2);
        memcpy(fx + 8, &c->x87.ip, 8);
        memcpy(fx + 16, &c->x87.dp, 8);
    }
    memcpy(fx + 24, &c->mxcsr, 4);
    memcpy(fx + 28, &mask, 4);
    for (unsigned i = 0; i < 8; i++) {
        memcpy(fx + 32 + i * 16, &c->x87.significand[(top + i) & 7], 8);
        memcpy(fx + 40 + i * 16, &c->x87.exponent[(top + i) & 7], 2);
    }
}

static void guest_enter(struct vcpu *v, const struct state *s, const char *code, unsigned length)
{
    guest_registers(&v->cpu);
    memcpy(v->cpu.slot, s->gpr, sizeof(s->gpr));
    v->cpu.slot[RSP] = WINDOW + RAM - 256;
    memcpy(v->cpu.k, s->k, sizeof(s->k));
    memcpy(v->cpu.zmm, s->zmm, sizeof(s->zmm));
    x87_from_image(&v->cpu, s->fx);
    memset(ram, 0, sizeof(ram));
    memcpy(ram + DATA, s->memory + DATA, DEVICE - DATA);
    memcpy(device_bytes, s->memory + DEVICE, sizeof(device_bytes));
    memcpy(ram, code, length);
    ram[length] = 0xf4;
    guest_tables();
    vcpu_sync(v);
}

static void guest_leave(const struct vcpu *v, struct state *s, unsigned length)
{
    uint64_t rsp = s->gpr[RSP], at = v->cpu.rip - WINDOW;

    s->vector = at >= HANDLERS ? (int)((at - HANDLERS) / 16) : -1;
    if (s->vector < 0)
        ck_assert_uint_eq(at, length + 1);
    s->address = s->vector == PF ? v->cpu.cr2 : 0;
    memcpy(s->gpr, v->cpu.slot, sizeof(s->gpr));
    s->gpr[RSP] = rsp;
    memcpy(s->k, v->cpu.k, sizeof(s->k));
    memcpy(s->zmm, v->cpu.zmm, sizeof(s->zmm));
    x87_to_image(&v->cpu, s->fx);
    memcpy(s->memory + DATA, ram + DATA, DEVICE - DATA);
    memcpy(s->memory + DEVICE, device_bytes, sizeof(device_bytes));
}

/* Runs code that ends in HLT, its own or a handler's. */
static void guest_run(struct state *s, const char *code, unsigned length)
{
    static struct vcpu v;
    struct phys phys;
    struct phys_memory memory = { "ram", 0, RAM, ram, ram, true, 0 };
    struct region device = { .name = "device", .base = 0x100000, .size = DEVICE_END - DEVICE, .enabled = true, .ops = &device_ops };
    const struct engine *engine = test_engine();
    struct err err;
    void *self;

    phys_init(&phys);
    phys_add_memory(&phys, &memory);
    phys.map.add(&phys.map, &device);
    vcpu_init(&v, &phys);
    guest_enter(&v, s, code, length);
    seen_count = 0;
    self = test_engine_create(engine, &v, &err);
    ck_assert_int_eq(engine->run(self, 10000, &err), STOP_HALT);
    guest_leave(&v, s, length);
    engine->destroy(self);
    vcpu_free(&v);
    phys_free(&phys);
}

/* -- the host ------------------------------------------------------------------------------------------------------------------------ */

/* Bytes of each vector register that the host has. */
static unsigned host_bytes(void) { return host_has(AVX512) ? 64 : host_has(AVX) ? 32 : 16; }

/* The pages from DATA on, in a child process. */
static struct native *host(struct err *err)
{
    static const enum native_page pages[] = { NATIVE_RW, NATIVE_RW, NATIVE_NONE, NATIVE_RO, NATIVE_RW, NATIVE_RW, NATIVE_RW };
    static struct native *n;
    static struct state s;

    _Static_assert(sizeof(pages) / sizeof(pages[0]) == (DEVICE_END - DATA) / NATIVE_PAGE && WINDOW + DATA == NATIVE_DATA, "as the guest has them");
    if (n)
        return n;
    start_memory(&s);
    return n = native_create(pages, sizeof(pages) / sizeof(pages[0]), s.memory + DATA, err);
}

/* False: the host does not let us. */
static bool host_run(struct state *s, const char *code, unsigned length)
{
    struct err err;
    struct native *n = host(&err);
    static struct cpu c;
    struct native_case *slot;

    if (!n) {
        printf("# SKIP %s\n", err.text);
        return false;
    }
    memcpy(c.slot, s->gpr, sizeof(s->gpr));
    memcpy(c.k, s->k, sizeof(s->k));
    memcpy(c.zmm, s->zmm, sizeof(s->zmm));
    x87_from_image(&c, s->fx);
    c.rip = NATIVE_START;
    slot = native_slot(n, 0);
    native_put(&slot->r, &c);
    slot->memory.n = 0; /* as the image */
    memcpy(slot->code, code, length);
    slot->code_bytes = (uint16_t)length;
    slot->bits = 64;
    ck_assert_msg(native_run(n, 1, &err), "%s", err.text);
    native_take(&slot->r, &c);
    s->vector = slot->vector;
    s->address = slot->vector == PF ? slot->cr2 : 0;
    memcpy(s->gpr, c.slot, sizeof(s->gpr));
    memcpy(s->k, c.k, sizeof(s->k));
    memcpy(s->zmm, c.zmm, sizeof(s->zmm));
    x87_to_image(&c, s->fx);
    for (unsigned i = 0; i < slot->memory.n; i++)
        memcpy(s->memory + DATA + slot->memory.at[i] * LINE_BYTES, slot->memory.line[i], LINE_BYTES);
    return true;
}

/* -- comparison ------------------------------------------------------------------------------------------------------------------------- */

static void same_bytes(const char *what, const char *text, uint64_t offset, const void *a, const void *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (((const uint8_t *)a)[i] != ((const uint8_t *)b)[i])
            ck_abort_msg("%s at %#llx: %s byte %zu is %02x, should be %02x", text, (unsigned long long)offset, what, i,
                         ((const uint8_t *)a)[i], ((const uint8_t *)b)[i]);
}

/* Data pages only: the first holds code, and what a missing page would hold is nobody's business. */
static void same_memory(const char *text, uint64_t offset, const struct state *a, const struct state *b)
{
    same_bytes("memory", text, offset, a->memory + DATA, b->memory + DATA, MISSING - DATA);
    same_bytes("memory (read-only page on)", text, offset, a->memory + READ_ONLY, b->memory + READ_ONLY, DEVICE - READ_ONLY);
}

static void same_registers(const struct row *row, uint64_t offset, const struct state *a, const struct state *b,
                           unsigned bytes)
{
    char name[8];

    for (unsigned i = 0; i < 16; i++)
        if (i != RSP && i != RSI && i != RDI)
            ck_assert_msg(a->gpr[i] == b->gpr[i], "%s at %#llx: %s is %llx, should be %llx", row->text, (unsigned long long)offset,
                          cpu_gpr_names[i], (unsigned long long)a->gpr[i], (unsigned long long)b->gpr[i]);
    for (unsigned i = 0; i < (bytes == 64 ? 32u : 16u); i++) {
        snprintf(name, sizeof(name), "zmm%u", i);
        same_bytes(name, row->text, offset, &a->zmm[i], &b->zmm[i], bytes);
    }
    if (bytes == 64)
        same_bytes("k0..k7", row->text, offset, a->k, b->k, 64);
    if (row->flags & MMX)
        same_bytes("x87", row->text, offset, a->fx, b->fx, 160);
    else
        same_bytes("mxcsr", row->text, offset, a->fx + 24, b->fx + 24, 4);
}

/* What SDM 2 leaves to the implementation, or where Intel and AMD differ: not compared with the host. */
static bool host_differs(const struct row *row, const struct state *host)
{
    return row->flags & MASKED && row->flags & STREAMS && host->vector == PF; /* MASKMOV: AMD translates all of it */
}

static void against_host(const struct row *row, uint64_t offset)
{
    static struct state host, guest;

    start(&host, row, offset);
    start(&guest, row, offset);
    if (!host_run(&host, row->code, row->length))
        return;
    guest_run(&guest, row->code, row->length);
    if (host_differs(row, &host))
        return;
    if (row->flags & SAVES && row->width >= 512 && guest.vector < 0) /* AMD's MXCSR_MASK has bit 17, for misaligned SSE */
        memcpy(host.memory + offset + 28, guest.memory + offset + 28, 4);
    ck_assert_msg(guest.vector == host.vector, "%s at %#llx: exception %d, should be %d", row->text, (unsigned long long)offset,
                  guest.vector, host.vector);
    if (!(row->flags & SAVES)) /* an AMD host reports the operand's last byte for these */
        ck_assert_msg(guest.address == host.address, "%s at %#llx: CR2 %llx, should be %llx", row->text,
                      (unsigned long long)offset, (unsigned long long)guest.address, (unsigned long long)host.address);
    same_memory(row->text, offset, &guest, &host);
    same_registers(row, offset, &guest, &host, host_bytes());
}

/* -- placements ---------------------------------------------------------------------------------------------------------------------------- */

static unsigned row_reach(const struct row *row) { return row->flags & ELEMENTS ? 128 : row->width; }

START_TEST(row_does_what_the_host_does)
{
    const struct row *row = &rows[_i];
    unsigned reach = row_reach(row), half = (reach / 2 + 63) & ~63u;
    const uint64_t offsets[] = {
        DATA + 0x40, DATA + 0x41, DATA + 0x48, DATA + 0x50, DATA + 0x60,
        0x2000 - reach / 2, 0x2000 - half, 0x2000 - 1,        /* across two good pages */
        MISSING - reach, MISSING - reach / 2, MISSING - half, MISSING - 1, MISSING - reach + row->width / 2,
        READ_ONLY - reach / 2, READ_ONLY - half, READ_ONLY - 1, /* the first page is missing */
        READ_ONLY + 0x40, READ_ONLY + 0x1000 - reach / 2, READ_ONLY + 0x1000 - half,
    };

    if (!host_has(row->need)) {
        printf("# SKIP %s: the host has no %s\n", row->text, need_names[row->need]);
        return;
    }
    for (unsigned i = 0; i < (row->width ? ARRAY_LEN(offsets) : 1); i++)
        against_host(row, offsets[i]);
}
END_TEST

/* -- on a device ------------------------------------------------------------------------------------------------------------------------------ */

static void check_one(const struct row *row, const struct seen *t)
{
    bool masked = row->flags & MASKED && t->enables != bits_mask(t->width); /* a full mask is none to a device */
    unsigned flags = (row->flags & STREAMS ? TRANSACTION_NON_TEMPORAL : 0) | (masked ? TRANSACTION_MASKED : 0);

    ck_assert_msg(t->type == (row->flags & LOADS ? TRANSACTION_LOAD : TRANSACTION_STORE), "%s: type %d", row->text, t->type);
    ck_assert_msg(t->width == row->width, "%s: width %u", row->text, t->width);
    ck_assert_msg(t->flags == flags, "%s: flags %x", row->text, t->flags);
}

static void check_transactions(const struct row *row)
{
    uint64_t last = 0;

    if (row->flags & EMPTY) {
        ck_assert_msg(seen_count == 0, "%s: %u transactions", row->text, seen_count);
        return;
    }
    if (!(row->flags & (ELEMENTS | SAVES)))
        ck_assert_msg(seen_count == 1, "%s: %u transactions", row->text, seen_count);
    for (unsigned i = 0; i < seen_count && !(row->flags & SAVES); i++)
        check_one(row, &seen[i]);
    for (unsigned i = 0; i < seen_count && row->flags & SAVES && !strchr(row->text, ';'); i++) {
        ck_assert_msg(seen[i].width <= 8 && bits_is_pow2(seen[i].width), "%s: width %u", row->text, seen[i].width);
        ck_assert_msg(seen[i].type != seen[i ? i - 1 : 0].type || seen[i].offset >= last, "%s: order", row->text);
        last = seen[i].offset;
    }
}

START_TEST(row_on_a_device_is_what_its_operand_says)
{
    const struct row *row = &rows[_i];
    static struct state memory, device;

    if (!row->width)
        return;
    start(&memory, row, DATA + 0x40);
    start(&device, row, DEVICE + 0x40);
    guest_run(&memory, row->code, row->length);
    guest_run(&device, row->code, row->length);
    ck_assert_int_eq(device.vector, memory.vector);
    if (memory.vector < 0)
        check_transactions(row);
    same_registers(row, DEVICE, &device, &memory, 64);
    same_bytes("device", row->text, DEVICE, device_bytes, memory.memory + DATA, sizeof(device_bytes));
}
END_TEST

/* The second page is missing: the device on the first one must not notice, unless the first element is its. */
START_TEST(row_that_faults_leaves_the_device_alone)
{
    const struct row *row = &rows[_i];
    static struct state s;

    if (row->width < 2 || row->flags & ELEMENTS || strchr(row->text, ';'))
        return;
    start(&s, row, DEVICE_END - (row->width > 64 ? (row->width / 2 + 63) & ~63u : row->width / 2));
    guest_run(&s, row->code, row->length);
    if (s.vector < 0) { /* only masks that enable nothing there */
        ck_assert_msg(row->flags & MASKED, "%s: no fault", row->text);
        return;
    }
    ck_assert_msg(seen_count == 0, "%s: %u transactions before exception %d", row->text, seen_count, s.vector);
    ck_assert_msg(s.vector != PF || s.address >= WINDOW + DEVICE_END, "%s: CR2 %llx", row->text, (unsigned long long)s.address);
}
END_TEST

/* -- exact enables ------------------------------------------------------------------------------------------------------------------------ */

static const struct row *find(const char *text)
{
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
        if (!strcmp(rows[i].text, text))
            return &rows[i];
    ck_abort_msg("no row %s", text);
    return NULL;
}

static void run_at(const char *text, uint64_t offset, struct state *s)
{
    start(s, find(text), offset);
    guest_run(s, find(text)->code, find(text)->length);
}

/* start(): k1 = 5a3c96f00ff1a5c2, k4 = a5a5a5a5a5a5a5b6. */
static const struct { const char *text; uint64_t enables; } enables[] = {
    { "vmovdqu8 zmm1{k1},[rsi]", 0x5a3c96f00ff1a5c2 },
    { "vmovdqu8 [rsi]{k5},zmm1", 0xffffffff },
    { "vmovdqu16 [rsi]{k1},zmm1", 0x00ffff03cc33f00c },      /* 0ff1a5c2, each bit twice */
    { "vmovdqu64 ymm1{k4}{z},[rsi]", 0x00ffff00 },           /* 6 */
    { "vpcompressd [rsi]{k1},zmm1", 0x0fffffff },            /* a5c2: seven lanes, packed */
    { "vpexpandd zmm1{k1},[rsi]", 0x0fffffff },
    { "vbroadcastss zmm1{k1},[rsi]", 0xf },
    { "vbroadcasti32x4 zmm1{k4},[rsi]", 0xffff },            /* a5b6: every element is wanted somewhere */
    { "vextracti32x4 [rsi]{k4},zmm1,3", 0x0ff0 },            /* 6 */
};

START_TEST(masked_operand_enables_exactly_its_bytes)
{
    static struct state s;

    run_at(enables[_i].text, DEVICE + 0x40, &s);
    ck_assert_uint_eq(seen_count, 1);
    ck_assert_msg(seen[0].enables == enables[_i].enables, "%s: enables %llx", enables[_i].text, (unsigned long long)seen[0].enables);
}
END_TEST

START_TEST(masked_off_bytes_are_not_translated)
{
    static struct state s;

    run_at("vmovdqu8 [rsi]{k5},zmm1", DEVICE_END - 32, &s); /* the upper half would be on a missing page */
    ck_assert_int_eq(s.vector, -1);
    ck_assert_uint_eq(seen_count, 1);
    ck_assert_uint_eq(seen[0].enables, 0xffffffff);
    run_at("vmovdqu8 [rsi]{k5},zmm1", DEVICE_END - 31, &s);
    ck_assert_int_eq(s.vector, PF);
    ck_assert_uint_eq(s.address, WINDOW + DEVICE_END);
    ck_assert_uint_eq(seen_count, 0);
}
END_TEST

START_TEST(scatter_keeps_what_it_did_before_a_fault)
{
    static struct state s, before;

    /* Lanes 0 to 3 are at +12, 0, +28, +4; lane 4 at +48 is the first beyond the page. */
    start(&before, find("vpscatterdd [rsi+zmm2*4]{k3},zmm1"), 0);
    run_at("vpscatterdd [rsi+zmm2*4]{k3},zmm1", DEVICE_END - 32, &s);
    ck_assert_int_eq(s.vector, PF);
    ck_assert_uint_eq(s.address, WINDOW + DEVICE_END + 16);
    ck_assert_uint_eq(seen_count, 4);
    ck_assert_uint_eq(s.k[3] & 0xffff, 0xfff0);
    ck_assert_mem_eq(device_bytes + sizeof(device_bytes) - 4, &before.zmm[1].w[2], 4);
}
END_TEST

/* -- 32-bit mode ----------------------------------------------------------------------------------------------------------------------------- */

/* Does a row's code mean the same there?  No REX, no register beyond 7, no 64-bit general register. */
static bool row_has_32_bit_form(const struct row *row)
{
    static const char *const no[] = { "rbx", "xmm9", "xmm12", "mm17", "mm18", "pinsrq", "pextrq", "vzero", ";" };

    for (unsigned i = 0; i < ARRAY_LEN(no); i++)
        if (strstr(row->text, no[i]))
            return false;
    return !(row->flags & SAVES);
}

static void run_32(struct state *s, const struct row *row, uint64_t offset, uint64_t base, uint64_t limit)
{
    start(s, row, offset);
    s->gpr[RSI] = s->gpr[RDI] = WINDOW + offset - base;
    mode_32 = true;
    data_base = base;
    data_limit = limit;
    guest_run(s, row->code, row->length);
    mode_32 = false;
    data_base = 0;
    data_limit = UINT32_MAX;
}

START_TEST(row_means_the_same_in_32_bit_mode)
{
    const struct row *row = &rows[_i];
    static struct state wide, flat, based;

    if (!row_has_32_bit_form(row))
        return;
    start(&wide, row, DATA + 0x40);
    guest_run(&wide, row->code, row->length);
    run_32(&flat, row, DATA + 0x40, 0, UINT32_MAX);
    run_32(&based, row, DATA + 0x40, 0x12340, UINT32_MAX);
    ck_assert_int_eq(flat.vector, wide.vector);
    ck_assert_int_eq(based.vector, wide.vector);
    same_memory(row->text, 0, &flat, &wide);
    same_memory(row->text, 0, &based, &wide);
    same_registers(row, 0, &flat, &wide, 64);
    same_registers(row, 0, &based, &wide, 64);
}
END_TEST

/* The operand's last enabled byte at the limit, and one beyond. */
START_TEST(masked_operand_is_checked_against_the_limit_where_enabled)
{
    static struct state s;
    const struct row *row = find("vmovdqu8 [rsi]{k5},zmm1"); /* 32 of 64 bytes */

    run_32(&s, row, DATA + 0x40, 0, WINDOW + DATA + 0x40 + 31);
    ck_assert_int_eq(s.vector, -1);
    run_32(&s, row, DATA + 0x40, 0, WINDOW + DATA + 0x40 + 30);
    ck_assert_int_eq(s.vector, EXCEPTION_GP);
    run_32(&s, find("movups [rsi],xmm1"), DATA + 0x40, 0, WINDOW + DATA + 0x40 + 14);
    ck_assert_int_eq(s.vector, EXCEPTION_GP);
}
END_TEST

/* -- the IR ------------------------------------------------------------------------------------------------------------------------------------- */

struct bytes {
    const char *code;
    size_t length;
};

static size_t fetch_row(void *opaque, uint64_t rip, uint8_t *bytes, size_t n)
{
    const struct bytes *b = opaque;

    if (rip >= b->length)
        return 0;
    n = (size_t)bits_min(n, b->length - rip);
    memcpy(bytes, b->code + rip, n);
    return n;
}

START_TEST(row_lifts_to_ir_that_faults_before_it_commits)
{
    static struct ir_block ir;
    struct bytes bytes = { rows[_i].code, rows[_i].length };
    struct lift_source source = { .fetch = fetch_row, .opaque = &bytes };
    const char *broken;

    lift_block(&ir, 0, MODE_CODE64 | MODE_LONG | MODE_PROTECTED | MODE_OSFXSR | MODE_OSXSAVE | MODE_AVX | MODE_AVX512, BLOCK_INSNS,
               &source);
    broken = ir_verify(&ir);
    ck_assert_msg(!broken, "%s: %s", rows[_i].text, broken);
}
END_TEST

/* -- enabling bits -------------------------------------------------------------------------------------------------------------------------- */

static const struct { const char *text; uint64_t cr0, cr4, xcr0; int vector; } enabling[] = {
    { "movups xmm1,[rsi]", CR0_TS, 0, 0, EXCEPTION_NM },
    { "movups xmm1,[rsi]", CR0_EM, 0, 0, EXCEPTION_UD },
    { "movups xmm1,[rsi]", 0, CR4_OSFXSR, 0, EXCEPTION_UD },
    { "movsd xmm1,[rsi]", CR0_TS, 0, 0, EXCEPTION_NM },
    { "movsd xmm1,[rsi]", 0, CR4_OSFXSR, 0, EXCEPTION_UD },
    { "movq mm3,[rsi]", 0, CR4_OSFXSR, 0, -1 },
    { "movq mm3,[rsi]", CR0_EM, 0, 0, EXCEPTION_UD },
    { "movq mm3,[rsi]", CR0_TS, 0, 0, EXCEPTION_NM },
    { "movq xmm1,[rsi]", 0, CR4_OSFXSR, 0, EXCEPTION_UD },
    { "vmovups ymm1,[rsi]", 0, CR4_OSXSAVE, 0, EXCEPTION_UD },
    { "vmovups ymm1,[rsi]", 0, 0, 0xe4, EXCEPTION_UD },
    { "vmovups ymm1,[rsi]", 0, CR4_OSFXSR, 0, -1 },
    { "vmovups zmm17,[rsi+0x40]", 0, 0, 0xe0, EXCEPTION_UD },
    { "kmovq k6,k1", 0, 0, 0xe0, EXCEPTION_UD },
    { "kmovq k6,k1", CR0_TS, 0, 0, EXCEPTION_NM },
    { "xsave64 [rsi]", 0, CR4_OSXSAVE, 0, EXCEPTION_UD },
    { "xsave64 [rsi]", CR0_TS, 0, 0, EXCEPTION_NM },
    { "fxsave64 [rsi]", CR0_TS, 0, 0, EXCEPTION_NM },
    { "fxsave64 [rsi]", CR0_EM, 0, 0, EXCEPTION_NM },
    { "fnstcw [rsi]", CR0_EM, 0, 0, EXCEPTION_NM },
    { "fwait", CR0_TS, 0, 0, EXCEPTION_NM },
    { "fwait", CR0_TS | CR0_MP, 0, 0, -1 },
    { "fwait", CR0_EM, 0, 0, -1 },
};

START_TEST(enabling_bits_decide)
{
    static struct state s;

    cr0_flip = enabling[_i].cr0;
    cr4_flip = enabling[_i].cr4;
    xcr0_mask = ~enabling[_i].xcr0;
    run_at(enabling[_i].text, DATA + 0x40, &s);
    ck_assert_msg(s.vector == enabling[_i].vector, "%s: exception %d, should be %d", enabling[_i].text, s.vector,
                  enabling[_i].vector);
}
END_TEST

/* Zero by zero with everything unmasked (SDM 3A 2.5, OSXMMEXCPT). */
START_TEST(unmasked_exception_needs_osxmmexcpt)
{
    static const char code[] = "\x0f\xae\x16" /* ldmxcsr [rsi] */ "\x0f\x5e\xed" /* divps xmm5,xmm5 */;
    static struct state s;

    start(&s, find("movups xmm1,[rsi]"), DATA + 0x40);
    memset(s.memory + DATA + 0x40, 0, 4);
    cr4_flip = _i ? CR4_OSXMMEXCPT : 0;
    guest_run(&s, code, sizeof(code) - 1);
    ck_assert_int_eq(s.vector, _i ? EXCEPTION_UD : EXCEPTION_XM);
    ck_assert_uint_eq(s.zmm[5].q[0], 0);
}
END_TEST

/* -- x87 ---------------------------------------------------------------------------------------------------------------------------------------- */

static int run_with_pending(const char *text, uint64_t flip)
{
    static struct state s;
    const struct row *row = find(text);

    cr0_flip = flip;
    start(&s, row, DATA + 0x40);
    s.fx[0] = 0x7e; /* unmasked invalid operation ... */
    s.fx[2] = 0x81; /* ... has happened */
    guest_run(&s, row->code, row->length);
    return s.vector;
}

START_TEST(x87_pending_exception_stops_what_waits)
{
    ck_assert_int_eq(run_with_pending("fwait", 0), EXCEPTION_MF);
    ck_assert_int_eq(run_with_pending("fnop", 0), EXCEPTION_MF);
    ck_assert_int_eq(run_with_pending("fldcw [rsi]", 0), EXCEPTION_MF);
    ck_assert_int_eq(run_with_pending("movq mm3,[rsi]", 0), EXCEPTION_MF);
    ck_assert_int_eq(run_with_pending("movq2dq xmm1,mm3", 0), EXCEPTION_MF);
    ck_assert_int_eq(run_with_pending("emms", 0), EXCEPTION_MF);
    ck_assert_int_eq(run_with_pending("fnstcw [rsi]", 0), -1);
    ck_assert_int_eq(run_with_pending("fxsave64 [rsi]", 0), -1);
    ck_assert_int_eq(run_with_pending("movups xmm1,[rsi]", 0), -1);
    ck_assert_int_eq(run_with_pending("fwait", CR0_NE), -1);
}
END_TEST

START_TEST(x87_environment_is_seven_words)
{
    static struct state s;

    run_at("fnstenv [rsi]", DEVICE + 0x40, &s);
    ck_assert_uint_eq(seen_count, 7);
    for (unsigned i = 0; i < 7; i++) {
        ck_assert_uint_eq(seen[i].offset, 0x40 + i * 4);
        ck_assert_uint_eq(seen[i].width, 4);
    }
}
END_TEST

/* -- XSAVES, XRSTORS: privileged, so not on the host ------------------------------------------------------------------------------------------ */

/* xsaves64 [rsi]; vzeroall; xrstors64 [rsi], the header zeroed first as in the rows. */
#define XSAVES_CODE "\x48\x8d\xbe\x00\x02\x00\x00\xb9\x40\x00\x00\x00\x31\xc0\xf3\xaa\xb8\xe7\x00\x00\x00" \
                    "\x48\x0f\xc7\x2e" "\xc5\xfc\x77" "\x48\x0f\xc7\x1e"

START_TEST(xsaves_and_xrstors_keep_all_registers)
{
    static struct state s, before;
    const struct row *row = find("xsave64 [rsi]");
    uint64_t format;

    start(&before, row, DATA + 0x40);
    start(&s, row, DATA + 0x40);
    guest_run(&s, XSAVES_CODE, sizeof(XSAVES_CODE) - 1);
    ck_assert_int_eq(s.vector, -1);
    ck_assert_mem_eq(s.zmm, before.zmm, sizeof(s.zmm));
    memcpy(&format, s.memory + DATA + 0x40 + 520, 8);
    ck_assert_uint_eq(format, 0x80000000000000e7);
}
END_TEST

/* xrstors64 [rsi] of an area in standard format. */
START_TEST(xrstors_refuses_the_standard_format)
{
    static struct state s;

    start(&s, find("xsave64 [rsi]"), DATA + 0x40);
    memset(s.memory + DATA, 0, 0x1000);
    guest_run(&s, "\x48\x0f\xc7\x1e", 4);
    ck_assert_int_eq(s.vector, EXCEPTION_GP);
}
END_TEST

/* -- what is missing ------------------------------------------------------------------------------------------------------------------------------ */

START_TEST(coverage_names_missing_mnemonics_by_extension)
{
    struct coverage c;
    bool pfadd = false, movups = false;

    coverage_collect(&c);
    ck_assert_uint_gt(c.missing, 100);
    ck_assert_uint_gt(c.covered, 400);
    for (unsigned i = 0; i < c.missing; i++) {
        pfadd |= !strcmp(c.row[i].mnemonic, "pfadd") && !strcmp(c.row[i].extension, "AMD3DNOW");
        movups |= !strcmp(c.row[i].mnemonic, "movups");
        if (i)
            ck_assert_int_le(strcmp(c.row[i - 1].extension, c.row[i].extension), 0);
    }
    ck_assert(pfadd && !movups);
    coverage_free(&c);
}
END_TEST

START_TEST(unimp_rows_say_all_three_things)
{
    ck_assert_uint_gt(unimp_count, 10);
    for (unsigned i = 0; i < unimp_count; i++)
        ck_assert(*unimp_rows[i].area && *unimp_rows[i].name && *unimp_rows[i].instead);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("vec");
    TCase *all = tcase_create("vec");
    SRunner *runner = srunner_create(suite);
    int failed;

    if (test_engine_skips())
        return 0;
    tcase_set_timeout(all, 60);
    tcase_add_loop_test(all, row_does_what_the_host_does, 0, ARRAY_LEN(rows));
    tcase_add_loop_test(all, row_on_a_device_is_what_its_operand_says, 0, ARRAY_LEN(rows));
    tcase_add_loop_test(all, row_that_faults_leaves_the_device_alone, 0, ARRAY_LEN(rows));
    tcase_add_loop_test(all, row_means_the_same_in_32_bit_mode, 0, ARRAY_LEN(rows));
    tcase_add_loop_test(all, row_lifts_to_ir_that_faults_before_it_commits, 0, ARRAY_LEN(rows));
    tcase_add_test(all, masked_operand_is_checked_against_the_limit_where_enabled);
    tcase_add_loop_test(all, masked_operand_enables_exactly_its_bytes, 0, ARRAY_LEN(enables));
    tcase_add_test(all, masked_off_bytes_are_not_translated);
    tcase_add_test(all, scatter_keeps_what_it_did_before_a_fault);
    tcase_add_loop_test(all, enabling_bits_decide, 0, ARRAY_LEN(enabling));
    tcase_add_loop_test(all, unmasked_exception_needs_osxmmexcpt, 0, 2);
    tcase_add_test(all, x87_pending_exception_stops_what_waits);
    tcase_add_test(all, x87_environment_is_seven_words);
    tcase_add_test(all, xsaves_and_xrstors_keep_all_registers);
    tcase_add_test(all, xrstors_refuses_the_standard_format);
    tcase_add_test(all, coverage_names_missing_mnemonics_by_extension);
    tcase_add_test(all, unimp_rows_say_all_three_things);
    suite_add_tcase(suite, all);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
