/*
 * sequence.c - several instructions in a row, with branches forward among them.
 *
 * Memory operands are addressed by RBX and RBP, which nothing else uses, so that they stay where they have been aimed.
 * No instruction looks at flags that an earlier one has left undefined.
 */
#include "fuzz/generate.h"

#include "fuzz/encode.h"
#include "fuzz/undefined.h"

#include <Zydis/Zydis.h>

enum { SKIP_MAX = 3, TRIES = 64 };

struct sequence {
    struct random *r;
    const struct fuzz_base *base;
    struct fuzz_case *c;
    ZydisDecoder decoder;
    uint64_t undefined;                  /* flags, now; */
    uint64_t joining[FUZZ_INSNS + 1];    /* ... and where branches lead */
};

static bool is_pointer(const struct operand *o)
{
    unsigned reg = o->class == REG_GPR_HIGH ? o->reg & 3u : o->reg;

    return o->kind == OPERAND_REGISTER && (o->class == REG_GPR || o->class == REG_GPR_HIGH) && (reg == RBX || reg == RBP || reg == RSP);
}

/* Leads to where there is no code, loads the pointers, or has results that are undefined for values nobody knows yet. */
static bool is_unsuited(const struct insn *i)
{
    for (unsigned n = 0; n < i->operands; n++)
        if (is_pointer(&i->op[n]))
            return true;
    if (i->encoding != ENCODING_LEGACY)
        return false;
    switch (i->mnemonic) {
    case ZYDIS_MNEMONIC_RET: case ZYDIS_MNEMONIC_SHLD: case ZYDIS_MNEMONIC_SHRD: case ZYDIS_MNEMONIC_LEAVE: case ZYDIS_MNEMONIC_ENTER:
    case ZYDIS_MNEMONIC_POPA: case ZYDIS_MNEMONIC_POPAD: case ZYDIS_MNEMONIC_HLT: case ZYDIS_MNEMONIC_UD0: case ZYDIS_MNEMONIC_UD1: case ZYDIS_MNEMONIC_UD2:
        return true;
    case ZYDIS_MNEMONIC_JMP: case ZYDIS_MNEMONIC_CALL:
        return !encode_is_branch(i);
    default:
        return undefined_somewhere(i);
    }
}

/* Flags it looks at; and, in *defined, those that it sets whatever its operands: with REP none, where RCX is 0. */
static uint64_t flags_read(struct sequence *s, const uint8_t *code, unsigned bytes, uint64_t *defined)
{
    ZydisDecodedInstruction z;

    *defined = 0;
    if (ZYAN_FAILED(ZydisDecoderDecodeInstruction(&s->decoder, NULL, code, bytes, &z)) || !z.cpu_flags)
        return 0;
    if (!(z.attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE)))
        *defined = z.cpu_flags->modified | z.cpu_flags->set_0 | z.cpu_flags->set_1;
    return z.cpu_flags->tested;
}

/* Does it fit in here?  Then the flags are as behind it. */
static bool accept(struct sequence *s, const struct insn *i, const uint8_t *code)
{
    uint64_t defined, read = flags_read(s, code, i->length, &defined), undefined = undefined_flags_at_worst(i);

    if (is_unsuited(i) || read & s->undefined)
        return false;
    if (!undefined_depends_on_count(i))
        s->undefined &= ~defined;
    s->undefined |= undefined;
    return true;
}

static bool add(struct sequence *s)
{
    struct fuzz_case *c = s->c;
    struct fuzz_insn *i = &c->insn[c->insns];
    unsigned t = generate_template(s->r, s->base->catalog);

    if (!encode(s->r, &s->base->catalog->template[t], s->c->bits, false, true, &i->insn, c->code + c->bytes) ||
        !accept(s, &i->insn, c->code + c->bytes))
        return false;
    i->template = (uint16_t)t;
    i->at = c->bytes;
    c->bytes = (uint16_t)(c->bytes + i->insn.length);
    c->insns++;
    return true;
}

/* A branch skips up to three instructions. */
static void aim_branches(struct sequence *s, const uint8_t *skips)
{
    struct fuzz_case *c = s->c;

    for (unsigned i = 0; i < c->insns; i++) {
        unsigned to = i + 1 + skips[i], end = c->insn[i].at + c->insn[i].insn.length;

        if (!encode_is_branch(&c->insn[i].insn))
            continue;
        encode_branch(&c->insn[i].insn, c->bits, c->code + c->insn[i].at, (to < c->insns ? c->insn[to].at : c->bytes) - end);
        decode(encode_mode(c->bits), c->code + c->insn[i].at, c->insn[i].insn.length, &c->insn[i].insn);
    }
}

void generate_sequence(struct random *r, const struct fuzz_base *base, struct fuzz_case *c)
{
    struct sequence s = { .r = r, .base = base, .c = c };
    unsigned n = 2 + random_below(r, FUZZ_INSNS - 1);
    uint8_t skips[FUZZ_INSNS] = { 0 };

    encode_init_decoder(&s.decoder, c->bits);
    c->insns = 0;
    c->bytes = 0;
    for (unsigned i = 0, tries = 0; i < n && tries < TRIES; tries++) {
        if (!add(&s))
            continue;
        skips[i] = (uint8_t)random_below(r, SKIP_MAX + 1);
        if (encode_is_branch(&c->insn[i].insn) && i + 1 + skips[i] <= FUZZ_INSNS)
            s.joining[i + 1 + skips[i]] |= s.undefined;
        i++;
        s.undefined |= s.joining[i];
    }
    aim_branches(&s, skips);
}
