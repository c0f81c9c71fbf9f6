/* undefined.c - what the manual leaves undefined after an instruction. */
#include "fuzz/undefined.h"

#include "cpu.h"

enum { C = FLAG_CF, P = FLAG_PF, A = FLAG_AF, Z = FLAG_ZF, S = FLAG_SF, O = FLAG_OF };

/* SDM 2, "Flags Affected" of each page; shifts and rotates depend on their count, see below. */
static const struct { uint16_t mnemonic; uint16_t flags; } undefined[] = {
    { ZYDIS_MNEMONIC_AND, A },              { ZYDIS_MNEMONIC_OR, A },
    { ZYDIS_MNEMONIC_XOR, A },              { ZYDIS_MNEMONIC_TEST, A },
    { ZYDIS_MNEMONIC_MUL, S | Z | A | P },  { ZYDIS_MNEMONIC_IMUL, S | Z | A | P },
    { ZYDIS_MNEMONIC_DIV, C | O | S | Z | A | P }, { ZYDIS_MNEMONIC_IDIV, C | O | S | Z | A | P },
    { ZYDIS_MNEMONIC_BT, O | S | A | P },   { ZYDIS_MNEMONIC_BTS, O | S | A | P },
    { ZYDIS_MNEMONIC_BTR, O | S | A | P },  { ZYDIS_MNEMONIC_BTC, O | S | A | P },
    { ZYDIS_MNEMONIC_BSF, C | O | S | A | P }, { ZYDIS_MNEMONIC_BSR, C | O | S | A | P },
    { ZYDIS_MNEMONIC_TZCNT, O | S | A | P }, { ZYDIS_MNEMONIC_LZCNT, O | S | A | P },
    { ZYDIS_MNEMONIC_ANDN, A | P },         { ZYDIS_MNEMONIC_BLSI, A | P },
    { ZYDIS_MNEMONIC_BLSMSK, A | P },       { ZYDIS_MNEMONIC_BLSR, A | P },
    { ZYDIS_MNEMONIC_BZHI, A | P },         { ZYDIS_MNEMONIC_BEXTR, A | S | P },
    { ZYDIS_MNEMONIC_AAA, O | S | Z | P },  { ZYDIS_MNEMONIC_AAS, O | S | Z | P },
    { ZYDIS_MNEMONIC_AAD, O | A | C },      { ZYDIS_MNEMONIC_AAM, O | A | C },
    { ZYDIS_MNEMONIC_DAA, O },              { ZYDIS_MNEMONIC_DAS, O },
};

static bool is_rotate(uint16_t m)
{
    return m == ZYDIS_MNEMONIC_ROL || m == ZYDIS_MNEMONIC_ROR || m == ZYDIS_MNEMONIC_RCL || m == ZYDIS_MNEMONIC_RCR;
}

static bool is_double_shift(uint16_t m) { return m == ZYDIS_MNEMONIC_SHLD || m == ZYDIS_MNEMONIC_SHRD; }

static bool is_shift(uint16_t m)
{
    return m == ZYDIS_MNEMONIC_SHL || m == ZYDIS_MNEMONIC_SHR || m == ZYDIS_MNEMONIC_SAR;
}

/* D0 and D1 shift by one, an immediate is the last operand, and all others shift by CL. */
static unsigned shift_count(const struct insn *i, const struct cpu *before)
{
    const struct operand *last = &i->op[i->operands - 1];
    unsigned n = last->kind == OPERAND_IMMEDIATE ? (unsigned)last->immediate : (unsigned)before->slot[RCX];

    if (i->map == 0 && (i->opcode & 0xfe) == 0xd0)
        n = 1;
    return n & (i->op[0].width == 8 ? 63 : 31);
}

/* OF for counts other than 1, CF for counts beyond the operand, AF if anything is shifted at all. */
static uint64_t undefined_by_count(const struct insn *i, const struct cpu *before)
{
    unsigned bits = i->op[0].width * 8u, n = shift_count(i, before);
    uint64_t flags = A | (n == 1 ? 0 : O);

    if (!n)
        return 0;
    if (is_rotate(i->mnemonic))
        return n == 1 ? 0 : O;
    if (is_double_shift(i->mnemonic))
        return n > bits ? C | O | S | Z | A | P : flags;
    return flags | (n >= bits && i->mnemonic != ZYDIS_MNEMONIC_SAR ? C : 0);
}

bool undefined_depends_on_count(const struct insn *i)
{
    return i->operands && (is_rotate(i->mnemonic) || is_shift(i->mnemonic) || is_double_shift(i->mnemonic));
}

uint64_t undefined_flags(const struct insn *i, const struct cpu *before)
{
    if (undefined_depends_on_count(i))
        return undefined_by_count(i, before);
    for (unsigned n = 0; n < ARRAY_LEN(undefined); n++)
        if (undefined[n].mnemonic == i->mnemonic)
            return undefined[n].flags;
    return 0;
}

uint64_t undefined_flags_at_worst(const struct insn *i)
{
    static const struct cpu nobody;

    return undefined_depends_on_count(i) ? C | A | O : undefined_flags(i, &nobody);
}

/* Intel's processors want SHA's operand aligned (SDM 2, type 4), AMD's do not look. */
static bool is_sha(const struct insn *i)
{
    return i->encoding == ENCODING_LEGACY && ((i->map == 2 && i->opcode >= 0xc8 && i->opcode <= 0xcd) || (i->map == 3 && i->opcode == 0xcc));
}

static bool is_sha_misaligned(const struct insn *i, const struct cpu *before)
{
    const struct operand *o = &i->op[1];
    uint64_t at = (o->has_base ? before->slot[o->base] : 0) + (o->has_index ? before->slot[o->index] << o->scale : 0) + (uint64_t)o->displacement;

    return is_sha(i) && o->kind == OPERAND_MEMORY && at & 15;
}

/* SDM 2: SHLD and SHRD by more than the operand's bits; BSWAP of 16 bits. */
bool undefined_result(const struct insn *i, const struct cpu *before)
{
    if (is_sha_misaligned(i, before))
        return true;
    if (is_double_shift(i->mnemonic))
        return shift_count(i, before) > i->op[0].width * 8u;
    return i->mnemonic == ZYDIS_MNEMONIC_BSWAP && i->op[0].width == 2;
}

bool undefined_somewhere(const struct insn *i)
{
    return (is_sha(i) && i->op[1].kind == OPERAND_MEMORY) || is_double_shift(i->mnemonic) ||
           (i->mnemonic == ZYDIS_MNEMONIC_BSWAP && i->op[0].width == 2);
}

/*
 * An operand over the end of a segment that reaches as far as addresses do: a limit violation, or not (SDM 3A 5.3); an EPYC
 * sees one under a mask as its page fault.
 */
bool undefined_wrap(const struct insn *i, uint64_t end, uint64_t cr2) { return i->address_size <= 4 && cr2 <= end && cr2 >= end - 63u; }

/* An EPYC looks at ES:RDI first. */
bool undefined_order(const struct insn *i)
{
    return i->encoding == ENCODING_LEGACY && i->map == 0 && (i->opcode == 0xa6 || i->opcode == 0xa7);
}

static bool is_gp_and_ss(int a, int b) { return (a == EXCEPTION_GP && b == EXCEPTION_SS) || (a == EXCEPTION_SS && b == EXCEPTION_GP); }

/*
 * CALL to an address that is not canonical, with a stack that faults: Intel's processors look at the address first (SDM 2
 * CALL), AMD's push first.  A misaligned vector (#GP) beyond the stack segment's limit (#SS).
 */
bool undefined_priority(const struct insn *i, int a, int b)
{
    bool faults = a >= EXCEPTION_SS && a <= EXCEPTION_PF && b >= EXCEPTION_SS && b <= EXCEPTION_PF;

    return (i->mnemonic == ZYDIS_MNEMONIC_CALL && a != b && faults) || (is_gp_and_ss(a, b) && i->operands && i->op[i->operands - 1].width >= 16);
}
