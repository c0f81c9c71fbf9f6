/* encode.c - a template's bytes: registers, addressing, immediates, and now and then a prefix that should not matter. */
#include "fuzz/encode.h"

#include "cpu.h"

#include <string.h>

static unsigned put_escape(unsigned map, uint8_t *bytes)
{
    unsigned n = 0;

    if (map)
        bytes[n++] = 0x0f;
    if (map > 1)
        bytes[n++] = map == 2 ? 0x38 : 0x3a;
    return n;
}

unsigned template_prefix(const struct template *t, const struct template_choice *c, uint8_t *bytes)
{
    static const uint8_t mandatory[] = { 0, 0x66, 0xf3, 0xf2 };
    unsigned r = ~c->reg >> 3 & 1, x = ~c->index >> 3 & 1, b = ~c->base >> 3 & 1, n = 0;
    unsigned rex = 0x40 | t->w << 3 | (r ^ 1u) << 2 | (x ^ 1u) << 1 | (b ^ 1u);

    switch (t->kind) {
    case TEMPLATE_LEGACY:
        if (t->pp)
            bytes[n++] = mandatory[t->pp];
        if (rex != 0x40)
            bytes[n++] = (uint8_t)rex;
        return n + put_escape(t->map, bytes + n);
    case TEMPLATE_VEX:
        bytes[0] = 0xc4;
        bytes[1] = (uint8_t)(r << 7 | x << 6 | b << 5 | t->map);
        bytes[2] = (uint8_t)(t->w << 7 | (~c->vvvv & 15) << 3 | (t->length & 1) << 2 | t->pp);
        return 3;
    default:
        bytes[0] = 0x62;
        bytes[1] = (uint8_t)(r << 7 | x << 6 | b << 5 | (~c->reg >> 4 & 1) << 4 | t->map);
        bytes[2] = (uint8_t)(t->w << 7 | (~c->vvvv & 15) << 3 | 4 | t->pp);
        bytes[3] = (uint8_t)((unsigned)c->zeroing << 7 | c->length << 5 | (unsigned)c->b << 4 | (~c->vvvv >> 4 & 1) << 3 | c->mask);
        return 4;
    }
}

static struct template_choice choose(struct random *r, const struct template *t, bool high)
{
    bool evex = t->kind == TEMPLATE_EVEX;
    struct template_choice c = {
        .reg = high ? random_below(r, evex ? 32 : 16) : 0, .index = high ? random_below(r, 16) : 0, .base = high ? random_below(r, 16) : 0,
        .vvvv = t->vvvv_free ? random_below(r, !high ? 8 : evex ? 32 : 16) : 0, .length = t->length,
    };

    if (evex && random_one_in(r, 2))
        c.mask = random_below(r, 8);
    c.zeroing = c.mask && random_one_in(r, 3);
    c.b = evex && random_one_in(r, 4);
    if (c.b && !t->memory)
        c.length = random_below(r, 4); /* rounding */
    return c;
}

/* In a sequence the base is RBX or RBP, so that later instructions know where they are, and the displacement small. */
static void put_sequence_address(struct random *r, const struct template *t, unsigned bits, uint8_t *bytes)
{
    unsigned base = random_one_in(r, 2) ? RBX : RBP, mod = base == RBP || random_one_in(r, 2);
    unsigned rm = bits != 16 ? base : base == RBX ? 7 : 6; /* SDM 2 table 2-1 */

    if (t->exact || !t->memory)
        return;
    bytes[0] = (uint8_t)(mod << 6 | (bytes[0] & 0x38) | (t->vsib ? 4 : rm));
    if (t->vsib)
        bytes[1] = (uint8_t)((bytes[1] & 0xf8) | base);
    if (mod)
        bytes[t->vsib ? 2 : 1] = (uint8_t)(random_below(r, 64) - 32);
}

/* ModRM, and what may follow it: SIB, displacement, immediate; not relative to RIP, not without a base. */
static void put_modrm(struct random *r, const struct template *t, uint8_t *bytes)
{
    unsigned reg = 0, rm = random_below(r, 8), mod = t->memory ? random_below(r, 3) : 3;

    for (unsigned i = 0; i < 15; i++)
        bytes[i] = (uint8_t)(random_one_in(r, 4) ? 0 : random_next(r));
    do
        reg = random_below(r, 8);
    while (!(t->regs >> reg & 1));
    if (!mod && rm == 5)
        mod = 1;
    bytes[0] = t->exact ? t->modrm : (uint8_t)(mod << 6 | reg << 3 | rm);
    if (mod != 3 && rm == 4 && !mod && (bytes[1] & 7) == 5)
        bytes[1] ^= 1;
}

static unsigned put_prefixes(struct random *r, const struct template *t, uint8_t *bytes)
{
    static const uint8_t segments[] = { 0x26, 0x2e, 0x36, 0x3e };
    unsigned n = 0;

    if (random_one_in(r, 25))
        bytes[n++] = segments[random_below(r, 4)];
    if (t->kind == TEMPLATE_LEGACY && t->memory && random_one_in(r, 8))
        bytes[n++] = 0xf0;
    if (random_one_in(r, 25))
        bytes[n++] = 0x67;
    return n;
}

bool encode_is_branch(const struct insn *i)
{
    bool short_one = i->map == 0 && ((i->opcode & 0xf0) == 0x70 || (i->opcode & 0xfc) == 0xe0 || i->opcode == 0xeb);

    return i->encoding == ENCODING_LEGACY &&
           (short_one || (i->map == 0 && (i->opcode & 0xfe) == 0xe8) || (i->map == 1 && (i->opcode & 0xf0) == 0x80));
}

/* VEX.W or EVEX.W, in the third byte of both. */
static bool has_w(const uint8_t *code)
{
    while (*code != 0xc4 && *code != 0x62)
        code++;
    return code[2] & 0x80;
}

static bool is_aligned_move(uint16_t mnemonic)
{
    return mnemonic == ZYDIS_MNEMONIC_VMOVDQA32 || mnemonic == ZYDIS_MNEMONIC_VMOVDQA64 || mnemonic == ZYDIS_MNEMONIC_VMOVAPS ||
           mnemonic == ZYDIS_MNEMONIC_VMOVAPD;
}

/*
 * What Intel's and AMD's processors read differently: near branches with 66 in 64-bit code, 0F 0D with a register, F3 REX.B 90;
 * CLZERO with prefixes, of which the decoder does not tell the segment; aligned moves under a mask that leaves nothing; VPINSRD
 * and VPEXTRD with W set outside 64-bit code; LOOPcc with F2 or F3, which decides an EPYC's condition (docs/findings.md).
 */
static bool is_vendors(const struct insn *i, const uint8_t *code, bool code32)
{
    bool near = encode_is_branch(i) || (i->map == 0 && (i->opcode == 0xc2 || i->opcode == 0xc3 || (i->opcode == 0xff && (i->modrm_reg & 6) == 2) ||
                                                 (i->opcode == 0xff && i->modrm_reg == 4)));

    if (i->encoding != ENCODING_LEGACY)
        return (i->mask && is_aligned_move(i->mnemonic)) ||
               (code32 && (i->mnemonic == ZYDIS_MNEMONIC_VPINSRD || i->mnemonic == ZYDIS_MNEMONIC_VPEXTRD) && has_w(code));
    if (i->map == 0 && (i->opcode & 0xfe) == 0xe0 && (memchr(code, 0xf2, i->length - 2u) || memchr(code, 0xf3, i->length - 2u)))
        return true;
    return (near && !code32 && i->prefixes & PREFIX_OPERAND_SIZE) || (i->map == 1 && i->opcode == 0x0d && i->modrm_mod == 3) ||
           (i->map == 0 && i->opcode == 0x90 && i->length > 2) || (i->mnemonic == ZYDIS_MNEMONIC_CLZERO && i->length > 3);
}

/* In 64-bit code an operand-size prefix is left out (is_vendors()). */
void encode_branch(const struct insn *i, unsigned bits, uint8_t *code, unsigned distance)
{
    unsigned n = 1;

    if (i->map == 1 || (i->opcode & 0xfe) == 0xe8)
        n = bits == 64 || i->operand_size > 2 ? 4 : 2;
    memcpy(code + i->length - n, &(uint32_t){ distance }, n);
}

bool encode_is_systems(const struct insn *i)
{
    if (i->encoding == ENCODING_LEGACY && i->map == 0 &&
        ((i->opcode == 0xff && (i->modrm_reg == 3 || i->modrm_reg == 5)) || i->opcode == 0xca || i->opcode == 0xcb ||
         i->opcode == 0x9a || i->opcode == 0xea))
        return true;
    for (unsigned n = 0; n < i->operands; n++)
        if (i->op[n].kind == OPERAND_REGISTER &&
            (i->op[n].class == REG_SEGMENT || i->op[n].class == REG_CONTROL || i->op[n].class == REG_DEBUG))
            return true;
    return false;
}

uint32_t encode_mode(unsigned bits)
{
    return MODE_PROTECTED | MODE_LONG | (bits == 64 ? MODE_CODE64 : MODE_STACK32 | (bits == 32 ? MODE_CODE32 : 0));
}

void encode_init_decoder(ZydisDecoder *decoder, unsigned bits)
{
    ZydisDecoderInit(decoder, bits == 64 ? ZYDIS_MACHINE_MODE_LONG_64 : bits == 32 ? ZYDIS_MACHINE_MODE_LONG_COMPAT_32 : ZYDIS_MACHINE_MODE_LONG_COMPAT_16,
                     bits == 64 ? ZYDIS_STACK_WIDTH_64 : ZYDIS_STACK_WIDTH_32);
}

/* 16-bit addresses are nowhere near the pages but in segments that are. */
static bool is_out_of_reach(const struct insn *i, unsigned bits) { return i->address_size == 2 && bits != 16; }

bool encode(struct random *r, const struct template *t, unsigned bits, bool privileged, bool in_sequence, struct insn *insn, uint8_t *code)
{
    struct template_choice choice = choose(r, t, bits == 64);
    uint32_t mode = encode_mode(bits);
    uint8_t bytes[INSN_BYTES + 16];
    unsigned n = put_prefixes(r, t, bytes);

    if (in_sequence && t->memory)
        choice.base &= 16;
    n += template_prefix(t, &choice, bytes + n);
    bytes[n++] = t->opcode;
    put_modrm(r, t, bytes + n);
    if (in_sequence)
        put_sequence_address(r, t, bits, bytes + n);
    if (decode(mode, bytes, INSN_BYTES, insn) != DECODE_OK || insn->mnemonic != t->mnemonic || (encode_is_systems(insn) && !privileged) ||
        is_out_of_reach(insn, bits) || is_vendors(insn, bytes, bits != 64))
        return false;
    memcpy(code, bytes, insn->length);
    if (!encode_is_branch(insn))
        return true;
    encode_branch(insn, bits, code, 0);
    return decode(mode, code, insn->length, insn) == DECODE_OK;
}
