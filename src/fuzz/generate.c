/*
 * generate.c - a case from its number: encoding, registers, memory.
 *
 * Values are drawn from what tends to show mistakes: zero, ones, the ends of each width, special floating-point numbers,
 * equal operands.  Where an instruction has a memory operand, its base register is set so that the operand comes to a
 * chosen place: within a page, across two, at or beyond the end of what may be read or written.
 */
#include "fuzz/catalog.h"
#include "fuzz/draw_x87.h"
#include "fuzz/random.h"
#include "x86/flags.h"

#include <string.h>

enum { TRIES = 200, VECTOR_BYTES = 64 };

/* -- the encoding ----------------------------------------------------------------------------------------------------------- */

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

static struct template_choice choose(struct random *r, const struct template *t, bool code32)
{
    bool high = !code32, evex = t->kind == TEMPLATE_EVEX;
    struct template_choice c = {
        .reg = high ? random_below(r, evex ? 32 : 16) : 0, .index = high ? random_below(r, 16) : 0, .base = high ? random_below(r, 16) : 0,
        .vvvv = t->vvvv_free ? random_below(r, code32 ? 8 : evex ? 32 : 16) : 0, .length = t->length,
    };

    if (evex && random_one_in(r, 2))
        c.mask = random_below(r, 8);
    c.zeroing = c.mask && random_one_in(r, 3);
    c.b = evex && random_one_in(r, 4);
    if (c.b && !t->memory)
        c.length = random_below(r, 4); /* rounding */
    return c;
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

static bool is_branch(const struct insn *i)
{
    bool short_one = i->map == 0 && ((i->opcode & 0xf0) == 0x70 || (i->opcode & 0xfc) == 0xe0 || i->opcode == 0xeb);

    return short_one || (i->map == 0 && (i->opcode & 0xfe) == 0xe8) || (i->map == 1 && (i->opcode & 0xf0) == 0x80);
}

/* VEX.W or EVEX.W, in the third byte of both. */
static bool has_w(const struct fuzz_case *c)
{
    unsigned n = 0;

    while (c->code[n] != 0xc4 && c->code[n] != 0x62)
        n++;
    return c->code[n + 2] & 0x80;
}

static bool is_x87(const struct insn *i) { return i->encoding == ENCODING_LEGACY && i->map == 0 && (i->opcode & 0xf8) == 0xd8; }

static bool is_aligned_move(uint16_t mnemonic)
{
    return mnemonic == ZYDIS_MNEMONIC_VMOVDQA32 || mnemonic == ZYDIS_MNEMONIC_VMOVDQA64 || mnemonic == ZYDIS_MNEMONIC_VMOVAPS ||
           mnemonic == ZYDIS_MNEMONIC_VMOVAPD;
}

/*
 * What Intel's and AMD's processors read differently: near branches with 66 in 64-bit code, 0F 0D with a register, F3 REX.B 90;
 * CLZERO with prefixes, of which the decoder does not tell the segment; aligned moves under a mask that leaves nothing; VPINSRD and VPEXTRD with W set outside 64-bit code.
 */
static bool is_vendors(const struct fuzz_case *c)
{
    const struct insn *i = &c->insn;
    bool near = is_branch(i) || (i->map == 0 && (i->opcode == 0xc2 || i->opcode == 0xc3 || (i->opcode == 0xff && (i->modrm_reg & 6) == 2) ||
                                                 (i->opcode == 0xff && i->modrm_reg == 4)));

    if (i->encoding != ENCODING_LEGACY)
        return (i->mask && is_aligned_move(i->mnemonic)) ||
               (c->code32 && (i->mnemonic == ZYDIS_MNEMONIC_VPINSRD || i->mnemonic == ZYDIS_MNEMONIC_VPEXTRD) && has_w(c));
    return (near && !c->code32 && i->prefixes & PREFIX_OPERAND_SIZE) || (i->map == 1 && i->opcode == 0x0d && i->modrm_mod == 3) ||
           (i->map == 0 && i->opcode == 0x90 && c->bytes > 2) || (i->mnemonic == ZYDIS_MNEMONIC_CLZERO && c->bytes > 3);
}

/* Branches lead to the next instruction: there is no code elsewhere.  False: it is none. */
static bool aim_branch(struct fuzz_case *c)
{
    unsigned n = 1;

    if (!is_branch(&c->insn) || c->insn.encoding != ENCODING_LEGACY)
        return false;
    if (c->insn.map == 1 || (c->insn.opcode & 0xfe) == 0xe8)
        n = c->insn.prefixes & PREFIX_OPERAND_SIZE && c->code32 ? 2 : 4;
    memset(c->code + c->bytes - n, 0, n);
    return true;
}

/* Far transfers, segment, control and debug registers are the host's. */
static bool is_systems(const struct insn *i)
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

static bool encode(struct random *r, const struct template *t, uint32_t mode, struct fuzz_case *c)
{
    struct template_choice choice = choose(r, t, c->code32);
    uint8_t bytes[INSN_BYTES + 16];
    unsigned n = put_prefixes(r, t, bytes);

    n += template_prefix(t, &choice, bytes + n);
    bytes[n++] = t->opcode;
    put_modrm(r, t, bytes + n);
    if (decode(mode, bytes, INSN_BYTES, &c->insn) != DECODE_OK || c->insn.mnemonic != t->mnemonic || is_systems(&c->insn) ||
        c->insn.address_size == 2 /* nowhere near the pages */)
        return false;
    c->bytes = c->insn.length;
    memcpy(c->code, bytes, c->bytes);
    return !is_vendors(c) && (!aim_branch(c) || decode(mode, c->code, c->bytes, &c->insn) == DECODE_OK);
}

/* -- values -------------------------------------------------------------------------------------------------------------------- */

static uint64_t draw_integer(struct random *r)
{
    static const uint64_t values[] = { 0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff,
                                       UINT64_C(0x7fffffffffffffff), UINT64_C(0x8000000000000000), UINT64_MAX, 3, 31, 32, 63, 64 };
    uint64_t v = random_one_in(r, 2) ? random_next(r) : values[random_below(r, ARRAY_LEN(values))];

    return random_one_in(r, 8) ? v >> random_below(r, 64) : v;
}

static uint32_t draw_single(struct random *r)
{
    static const uint32_t values[] = { 0, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00000, 0x7f800001,
                                       0xffa00000, 1, 0x80000001, 0x007fffff, 0x00800000, 0x80800000, 0x7f7fffff, 0xff7fffff, 0x40000000,
                                       0x3effffff, 0x3f000000, 0x3fc00000, 0x4b000001, 0x4f000000, 0xcf000000, 0x5f000000, 0x33800000 };

    if (random_one_in(r, 3))
        return values[random_below(r, ARRAY_LEN(values))];
    if (random_one_in(r, 3))
        return (uint32_t)(random_next(r) & 0x83ffffff) + 0x3e000000; /* near one */
    return (uint32_t)random_next(r);
}

static uint64_t draw_double(struct random *r)
{
    static const uint64_t values[] = {
        0, UINT64_C(0x8000000000000000), UINT64_C(0x3ff0000000000000), UINT64_C(0xbff0000000000000), UINT64_C(0x7ff0000000000000),
        UINT64_C(0xfff0000000000000), UINT64_C(0x7ff8000000000000), UINT64_C(0x7ff0000000000001), UINT64_C(0xfff4000000000000), 1,
        UINT64_C(0x8000000000000001), UINT64_C(0x000fffffffffffff), UINT64_C(0x0010000000000000), UINT64_C(0x7fefffffffffffff),
        UINT64_C(0x3fe0000000000000), UINT64_C(0x3ff8000000000000), UINT64_C(0x41dfffffffc00000), UINT64_C(0xc1e0000000000000),
        UINT64_C(0x43e0000000000000), UINT64_C(0x47efffffe0000000), UINT64_C(0x3810000000000000), UINT64_C(0x36a0000000000000),
    };

    if (random_one_in(r, 3))
        return values[random_below(r, ARRAY_LEN(values))];
    if (random_one_in(r, 3))
        return (random_next(r) & UINT64_C(0x801fffffffffffff)) + UINT64_C(0x3fe0000000000000);
    return random_next(r);
}

static void draw_bytes(struct random *r, uint8_t *to, unsigned n)
{
    unsigned kind = random_below(r, 6);

    for (unsigned i = 0; i < n; i += 8) {
        uint64_t v;

        switch (kind) {
        case 0: v = random_next(r); break;
        case 1: v = (uint64_t)draw_single(r) << 32 | draw_single(r); break;
        case 2: v = draw_double(r); break;
        case 3: v = draw_integer(r); break;
        case 4: v = (draw_integer(r) & 0xffff) | (draw_integer(r) & 0xffff) << 16 | (draw_integer(r) & 0xffff) << 32 | draw_integer(r) << 48; break;
        default: v = (random_next(r) & UINT64_C(0x0707070707070707)) << (random_below(r, 5)); break;
        }
        memcpy(to + i, &v, 8);
    }
}

/* Those that the instruction names, XMM0, which it may mean, and from a pool the rest. */
static void draw_vectors(struct random *r, const struct insn *i, const uint8_t *pool, struct cpu *c)
{
    unsigned last = 0;

    memcpy(c->zmm, pool, sizeof(c->zmm));
    draw_bytes(r, c->zmm[0].b, VECTOR_BYTES);
    for (unsigned n = 0; n < i->operands; n++) {
        const struct operand *o = &i->op[n];
        bool named = o->kind == OPERAND_REGISTER && o->class == REG_VECTOR;
        unsigned reg = named ? o->reg : o->index;

        if (!named && !(o->kind == OPERAND_MEMORY && o->vsib))
            continue;
        if (random_one_in(r, 6))
            c->zmm[reg] = c->zmm[last];
        else
            draw_bytes(r, c->zmm[reg].b, VECTOR_BYTES);
        last = reg;
    }
}

static void draw_registers(struct random *r, struct cpu *c)
{
    for (unsigned i = 0; i < GPRS; i++)
        c->slot[i] = draw_integer(r);
    if (random_one_in(r, 2))
        c->slot[RCX] &= 31;
    c->slot[RSI] = NATIVE_DATA + random_below(r, NATIVE_PAGE * 2);
    c->slot[RDI] = NATIVE_DATA + random_below(r, NATIVE_PAGE * 2);
    c->slot[RSP] = (NATIVE_DATA + 0x200 + random_below(r, NATIVE_PAGE + 0xc00)) & ~(random_one_in(r, 8) ? 0u : 15u);
    for (unsigned i = 0; i < 8; i++)
        draw_bytes(r, (uint8_t *)&c->x87.significand[i], 8);
    for (unsigned i = 0; i < 8; i++)
        c->k[i] = random_one_in(r, 4) ? draw_integer(r) : random_next(r);
    cpu_set_rflags(c, FLAG_IF | (random_next(r) & (FLAGS_ARITHMETIC | (random_one_in(r, 8) ? FLAG_DF : 0))));
    c->mxcsr = random_one_in(r, 2) ? 0x1f80 : 0x1f80 | (uint32_t)(random_next(r) & 0xe07f);
    if (random_one_in(r, 16))
        c->mxcsr &= ~(uint32_t)(random_next(r) & 0x1f80);
}

/* -- memory ------------------------------------------------------------------------------------------------------------------- */

/* Where an operand begins. */
static uint64_t draw_place(struct random *r, unsigned width)
{
    uint64_t page = NATIVE_DATA + random_below(r, FUZZ_PAGES + 1) * NATIVE_PAGE;

    switch (random_below(r, 8)) {
    case 0: return page - random_below(r, width + 1);                 /* across, or right before, a page's end */
    case 1: return NATIVE_DATA + random_below(r, FUZZ_BYTES);
    case 2: case 3: return NATIVE_DATA + random_below(r, 2 * NATIVE_PAGE - 64);
    default: return NATIVE_DATA + (random_below(r, 2 * NATIVE_PAGE - 64) & ~63u);
    }
}

static void aim_operand(struct random *r, const struct operand *o, struct cpu *c)
{
    uint64_t place = draw_place(r, o->width), index = 0;

    if (o->kind != OPERAND_MEMORY || !o->has_base)
        return;
    if (o->vsib)
        for (unsigned i = 0; i < VECTOR_BYTES / 4; i++)
            c->zmm[o->index].w[i] = random_one_in(r, 2) && i & 1 ? 0 : random_below(r, 256) - 64;
    else if (o->has_index)
        index = c->slot[o->index] << o->scale;
    c->slot[o->base] = place - (uint64_t)o->displacement - index;
}

/* Operands that the encoding does not name: CLZERO's, XLAT's. */
static void aim_implicit(struct random *r, const struct insn *i, struct cpu *c)
{
    if (i->mnemonic == ZYDIS_MNEMONIC_CLZERO)
        c->slot[RAX] = draw_place(r, VECTOR_BYTES);
    if (i->mnemonic == ZYDIS_MNEMONIC_XLAT)
        c->slot[RBX] = draw_place(r, 256);
}

static void draw_memory(struct random *r, const uint8_t *base, struct fuzz_case *c)
{
    memcpy(c->memory, base, FUZZ_BYTES);
    for (unsigned n = 0; n < c->insn.operands; n++) {
        const struct operand *o = &c->insn.op[n];
        uint64_t at = c->cpu.slot[o->base] + (uint64_t)o->displacement - NATIVE_DATA;

        if (o->kind == OPERAND_MEMORY && o->has_base && !o->has_index && at < 2 * NATIVE_PAGE - VECTOR_BYTES)
            draw_bytes(r, c->memory + at, VECTOR_BYTES);
    }
}

bool generate(const struct catalog *k, uint64_t seed, uint64_t number, const struct fuzz_base *base, struct fuzz_case *out)
{
    struct random r = random_for(seed, number);
    uint32_t mode = base->cpu->mode;

    out->number = number;
    out->code32 = !(mode & MODE_CODE64);
    for (unsigned i = 0; i < TRIES; i++) {
        unsigned form = random_below(&r, k->forms), first = k->first[form];
        const struct template *t = &k->template[first + random_below(&r, k->first[form + 1] - first)];

        for (unsigned n = 0; n < 12; n++) {
            if (!encode(&r, t, mode, out))
                continue;
            out->form = form;
            out->cpu = *base->cpu;
            draw_registers(&r, &out->cpu);
            draw_vectors(&r, &out->insn, base->memory, &out->cpu);
            if (is_x87(&out->insn))
                draw_x87(&r, &out->cpu.x87);
            for (unsigned o = 0; o < out->insn.operands; o++)
                aim_operand(&r, &out->insn.op[o], &out->cpu);
            aim_implicit(&r, &out->insn, &out->cpu);
            if (out->code32)
                for (unsigned g = 0; g < GPRS; g++)
                    out->cpu.slot[g] = g < 8 ? (uint32_t)out->cpu.slot[g] : 0;
            out->cpu.rip = NATIVE_START;
            draw_memory(&r, base->memory, out);
            return true;
        }
    }
    return false;
}
