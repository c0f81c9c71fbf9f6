/*
 * coverage.c - mnemonics without a row in insns.def.
 *
 * Zydis has no table from mnemonic to extension, so every opcode of every map is decoded with every prefix that
 * selects an instruction, in 64-bit and in 32-bit mode.  A mnemonic that no such encoding gives (Knights Corner
 * needs a mode of its own) is listed under "NONE".
 */
#include "x86/coverage.h"

#include "x86/insns.h"

#include <stdlib.h>
#include <string.h>

#include <Zydis/Zydis.h>

/* Extension of each mnemonic, or -1. */
struct sweep {
    ZydisDecoder decoder;
    int16_t extension[ZYDIS_MNEMONIC_MAX_VALUE + 1];
};

static void sweep_try(struct sweep *s, const uint8_t *bytes)
{
    ZydisDecodedInstruction z;

    if (ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&s->decoder, NULL, bytes, 15, &z)) && s->extension[z.mnemonic] < 0)
        s->extension[z.mnemonic] = (int16_t)z.meta.isa_ext;
}

/* Opcode at bytes[at], then ModRM: every register form, and memory forms through [eax] and a SIB byte. */
static void sweep_opcodes(struct sweep *s, uint8_t *bytes, unsigned at)
{
    for (unsigned opcode = 0; opcode < 256; opcode++) {
        bytes[at] = (uint8_t)opcode;
        for (unsigned reg = 0; reg < 8; reg++) {
            for (unsigned rm = 0; rm < 8; rm++) {
                bytes[at + 1] = (uint8_t)(0xc0 | reg << 3 | rm);
                sweep_try(s, bytes);
            }
            bytes[at + 1] = (uint8_t)(reg << 3);
            sweep_try(s, bytes);
            bytes[at + 1] = (uint8_t)(reg << 3 | 4); /* SIB: gathers */
            bytes[at + 2] = 0x10;
            sweep_try(s, bytes);
            bytes[at + 2] = 0;
        }
    }
}

/* Maps 0, 0F, 0F38 and 0F3A with the prefixes that tell instructions apart. */
static void sweep_legacy(struct sweep *s)
{
    static const uint8_t escapes[][2] = { { 0 }, { 0x0f }, { 0x0f, 0x38 }, { 0x0f, 0x3a } };
    static const uint8_t prefixes[][2] = { { 0 }, { 0x66 }, { 0xf3 }, { 0xf2 }, { 0x66, 0xf2 }, { 0x67 } };

    for (unsigned e = 0; e < ARRAY_LEN(escapes); e++)
        for (unsigned p = 0; p < ARRAY_LEN(prefixes); p++)
            for (unsigned w = 0; w < 2; w++) {
                uint8_t bytes[15] = { 0 };
                unsigned at = 0;

                for (unsigned i = 0; i < 2 && prefixes[p][i]; i++)
                    bytes[at++] = prefixes[p][i];
                if (w)
                    bytes[at++] = 0x48; /* REX.W; outside 64-bit mode DEC EAX, which is known */
                for (unsigned i = 0; i < 2 && escapes[e][i]; i++)
                    bytes[at++] = escapes[e][i];
                sweep_opcodes(s, bytes, at);
            }
    for (unsigned suffix = 0; suffix < 256; suffix++) { /* 3DNow! has its opcode last */
        uint8_t bytes[15] = { 0x0f, 0x0f, 0xc1, (uint8_t)suffix };

        sweep_try(s, bytes);
    }
}

static void sweep_vex(struct sweep *s)
{
    for (unsigned map = 1; map <= 3; map++)
        for (unsigned rest = 0; rest < 16; rest++) /* L, pp, W */
            for (unsigned v = 0; v < 2; v++) {     /* vvvv unused, or a register apart from the others */
                uint8_t bytes[15] = { 0xc4, (uint8_t)(0xe0 | map),
                                      (uint8_t)((v ? 0x58 : 0x78) | (rest & 7) | (rest & 8) << 4) };

                sweep_opcodes(s, bytes, 3);
            }
    for (unsigned map = 8; map <= 10; map++) /* XOP */
        for (unsigned rest = 0; rest < 16; rest++) {
            uint8_t bytes[15] = { 0x8f, (uint8_t)(0xe0 | map), (uint8_t)(0x78 | (rest & 7) | (rest & 8) << 4) };

            sweep_opcodes(s, bytes, 3);
        }
}

static void sweep_evex(struct sweep *s)
{
    for (unsigned map = 1; map <= 6; map++)
        for (unsigned rest = 0; rest < 8; rest++)     /* pp, W */
            for (unsigned last = 0; last < 24; last++) { /* L'L, aaa, vvvv */
                uint8_t bytes[15] = { 0x62, (uint8_t)(0xf0 | map),
                                      (uint8_t)((last & 1 ? 0x5c : 0x7c) | (rest & 3) | (rest & 4) << 5),
                                      (uint8_t)((last >> 2) % 3 << 5 | (last & 2 ? 1 : 0) | 8 | (last >= 12 ? 0x10 : 0)) };

                sweep_opcodes(s, bytes, 4);
            }
}

static void sweep_all(struct sweep *s)
{
    memset(s->extension, 0xff, sizeof(s->extension));
    ZydisDecoderInit(&s->decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    sweep_legacy(s);
    sweep_vex(s);
    sweep_evex(s);
    ZydisDecoderInit(&s->decoder, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
    sweep_legacy(s);
}

static int coverage_order(const void *a, const void *b)
{
    const struct coverage_row *x = a, *y = b;
    int order = strcmp(x->extension, y->extension);

    return order ? order : strcmp(x->mnemonic, y->mnemonic);
}

void coverage_collect(struct coverage *out)
{
    struct sweep *s = malloc(sizeof(*s));

    *out = (struct coverage){ .row = calloc(ZYDIS_MNEMONIC_MAX_VALUE + 1, sizeof(*out->row)) };
    if (!s || !out->row)
        abort();
    sweep_all(s);
    for (unsigned m = ZYDIS_MNEMONIC_INVALID + 1; m <= ZYDIS_MNEMONIC_MAX_VALUE; m++) {
        if (insn_find((uint16_t)m)) {
            out->covered++;
            continue;
        }
        out->row[out->missing++] = (struct coverage_row){
            .extension = s->extension[m] < 0 ? "NONE" : ZydisISAExtGetString((ZydisISAExt)s->extension[m]),
            .mnemonic = decode_mnemonic_name((uint16_t)m),
        };
    }
    qsort(out->row, out->missing, sizeof(*out->row), coverage_order);
    free(s);
}

void coverage_free(struct coverage *c) { free(c->row); }
