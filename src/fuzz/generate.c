/*
 * generate.c - a case from its number.
 *
 * Where an instruction has a memory operand, its base register is set so that the operand comes to a chosen place: within a
 * page, across two, on a device, at or beyond the end of what may be read or written.
 */
#include "fuzz/generate.h"

#include "fuzz/draw.h"
#include "fuzz/draw_x87.h"
#include "fuzz/encode.h"
#include "widereg.h"

#include <string.h>

enum { ENCODINGS = 12, SEQUENCE_ONE_IN = 16 };

unsigned generate_template(struct random *r, const struct catalog *k)
{
    bool by_form = random_one_in(r, 2);
    const unsigned *first = by_form ? k->first : k->shape;
    unsigned i = random_below(r, by_form ? k->forms : k->shapes);

    return first[i] + random_below(r, first[i + 1] - first[i]);
}

bool generate_decode(struct fuzz_case *c)
{
    for (unsigned i = 0; i < c->insns; i++)
        if (decode(encode_mode(c->bits), c->code + c->insn[i].at, c->bytes - c->insn[i].at, &c->insn[i].insn) != DECODE_OK)
            return false;
    return true;
}

/* -- places ------------------------------------------------------------------------------------------------------------------- */

/* Where an operand begins. */
static uint64_t draw_place(struct random *r, unsigned width)
{
    uint64_t page = NATIVE_DATA + random_below(r, FUZZ_PAGES + 1) * NATIVE_PAGE;

    switch (random_below(r, 16)) {
    case 0: case 1: return page - random_below(r, width + 1);            /* across, or right before, a page's end */
    case 2: return NATIVE_DATA + random_below(r, FUZZ_BYTES);
    case 3: return FUZZ_DEVICE + random_below(r, NATIVE_PAGE - WIDE_BYTES);
    case 4: return FUZZ_DEVICE + (random_below(r, NATIVE_PAGE - WIDE_BYTES) & ~(WIDE_BYTES - 1u));
    case 5: case 6: case 7: return NATIVE_DATA + random_below(r, 2 * NATIVE_PAGE - WIDE_BYTES);
    default: return NATIVE_DATA + (random_below(r, 2 * NATIVE_PAGE - WIDE_BYTES) & ~(WIDE_BYTES - 1u));
    }
}

static void aim_operand(struct random *r, const struct operand *o, uint64_t segment, struct cpu *c)
{
    uint64_t place, index = 0;

    if (o->kind != OPERAND_MEMORY || !o->has_base)
        return;
    place = draw_place(r, o->width) - segment;
    if (o->vsib)
        for (unsigned i = 0; i < WIDE_BYTES / 4; i++)
            c->zmm[o->index].w[i] = random_one_in(r, 2) && i & 1 ? 0 : random_below(r, 256) - 64;
    else if (o->has_index)
        index = c->slot[o->index] << o->scale;
    c->slot[o->base] = place - (uint64_t)o->displacement - index;
}

/* Operands that the encoding does not name: CLZERO's, XLAT's. */
static void aim_implicit(struct random *r, const struct insn *i, uint64_t segment, struct cpu *c)
{
    if (i->mnemonic == ZYDIS_MNEMONIC_CLZERO)
        c->slot[RAX] = draw_place(r, WIDE_BYTES) - segment;
    if (i->mnemonic == ZYDIS_MNEMONIC_XLAT)
        c->slot[RBX] = draw_place(r, 256) - segment;
}

/* The register that the instruction names has now and then what the operand has, or its second half; else RAX and RDX have. */
static void equal_registers(struct random *r, const struct insn *i, const struct operand *m, const struct cpu *c, uint8_t *bytes)
{
    unsigned half = m->width / 2u;

    for (unsigned n = 0; n < i->operands; n++) {
        const struct operand *o = &i->op[n];

        if (o->kind != OPERAND_REGISTER || (o->class != REG_GPR && o->class != REG_VECTOR))
            continue;
        if (o->class == REG_VECTOR)
            memcpy(bytes, c->zmm[o->reg].b, WIDE_BYTES);
        else
            memcpy(bytes + (random_one_in(r, 2) ? half : 0), &c->slot[o->reg], bits_min(o->width, 8));
        return;
    }
    memcpy(bytes, &c->slot[RAX], 8);
    memcpy(bytes + half, &c->slot[RDX], 8);
}

/* Drawn values where operands are: a line at most of each. */
static void draw_operand_memory(struct random *r, const struct insn *i, const uint8_t *image, struct fuzz_case *c)
{
    uint8_t bytes[WIDE_BYTES];

    for (unsigned n = 0; n < i->operands; n++) {
        const struct operand *o = &i->op[n];
        uint64_t offset = c->cpu.slot[o->base] + (uint64_t)o->displacement;
        uint64_t at = (i->address_size == 2 ? offset & 0xffff : offset) + fuzz_data_base(c) - NATIVE_DATA;

        if (o->kind != OPERAND_MEMORY || !o->has_base || o->has_index ||
            !(at < 2 * NATIVE_PAGE - WIDE_BYTES || at - (FUZZ_DEVICE - NATIVE_DATA) < NATIVE_PAGE - WIDE_BYTES))
            continue;
        draw_bytes(r, bytes, sizeof(bytes));
        if (o->width <= WIDE_BYTES && random_one_in(r, 8))
            equal_registers(r, i, o, &c->cpu, bytes);
        lines_write(&c->memory, image, (unsigned)at, bytes, sizeof(bytes));
    }
}

/* -- state -------------------------------------------------------------------------------------------------------------------- */

/* An instruction of x87, or of MMX, whose registers are the same. */
static bool uses_x87(const struct insn *i)
{
    for (unsigned n = 0; n < i->operands; n++)
        if (i->op[n].class == REG_MMX)
            return true;
    return i->encoding == ENCODING_LEGACY && i->map == 0 && (i->opcode & 0xf8) == 0xd8;
}

/* Other code than 64-bit has eight registers of 32 bits. */
static void narrow(struct cpu *c)
{
    for (unsigned i = 0; i < GPRS; i++)
        c->slot[i] = i < 8 ? (uint32_t)c->slot[i] : 0;
}

/* Strings and the stack, too, are in segments that begin elsewhere. */
static void move_segments(struct fuzz_case *c)
{
    static const uint8_t pointers[] = { RSI, RDI, RSP };

    for (unsigned i = 0; i < sizeof(pointers); i++)
        c->cpu.slot[pointers[i]] -= fuzz_data_base(c);
    c->cpu.rip -= c->bits == 16 ? FUZZ_CODE_BASE_16 : 0;
}

static uint8_t draw_window(struct random *r, bool refusing)
{
    static const uint8_t like_memory[] = { WIDEREG_BYTE, WIDEREG_REGISTERS, WIDEREG_ANY, WIDEREG_ATOMIC, WIDEREG_ENABLES, WIDEREG_WHOLE },
                         refuse[] = { WIDEREG_WORD, WIDEREG_DWORD, WIDEREG_QWORD, WIDEREG_OWORD, WIDEREG_YWORD, WIDEREG_ZWORD, WIDEREG_DIRECT };
    unsigned a = like_memory[random_below(r, sizeof(like_memory))], b = refuse[random_below(r, sizeof(refuse))];

    return (uint8_t)(random_one_in(r, 4) && refusing ? b : a);
}

static void draw_state(struct random *r, const struct fuzz_base *base, struct fuzz_case *c)
{
    struct draw_named named = { 0 };
    bool x87 = false;

    c->cpu = base->system && random_one_in(r, 2) ? base->cpu0 : base->cpu;
    c->cpu.rip = NATIVE_START;
    c->system.on = false;
    c->memory.n = 0;
    c->window = draw_window(r, base->refusing);
    for (unsigned i = 0; i < c->insns; i++)
        draw_note(&c->insn[i].insn, &named);
    draw_registers(r, &named, base->image, &c->cpu);
    move_segments(c);
    for (unsigned i = 0; i < c->insns; i++) {
        draw_vectors(r, &c->insn[i].insn, &c->cpu);
        if (uses_x87(&c->insn[i].insn) && !x87) {
            draw_x87(r, &c->cpu.x87);
            x87 = true;
        }
    }
    for (unsigned i = 0; i < c->insns; i++) {
        for (unsigned o = 0; o < c->insn[i].insn.operands; o++)
            aim_operand(r, &c->insn[i].insn.op[o], fuzz_data_base(c), &c->cpu);
        aim_implicit(r, &c->insn[i].insn, fuzz_data_base(c), &c->cpu);
    }
    if (c->bits != 64)
        narrow(&c->cpu);
    for (unsigned i = 0; i < c->insns; i++)
        draw_operand_memory(r, &c->insn[i].insn, base->image, c);
    if (base->system)
        system_draw(r, base, c);
}

/* -- cases -------------------------------------------------------------------------------------------------------------------- */

static void begin(const struct fuzz_base *base, uint64_t seed, uint64_t number, struct fuzz_case *out)
{
    out->seed = seed;
    out->number = number;
    out->bits = base->bits;
}

/* The catalogue holds what can be encoded: this ends. */
static void generate_single(struct random *r, const struct fuzz_base *base, unsigned only, struct fuzz_case *out)
{
    struct fuzz_insn *i = &out->insn[0];
    const struct catalog *k = base->catalog;
    unsigned t;

    for (bool done = false; !done;) {
        t = only < k->forms ? k->first[only] + random_below(r, k->first[only + 1] - k->first[only]) : generate_template(r, k);
        for (unsigned n = 0; n < ENCODINGS && !done; n++)
            done = encode(r, &k->template[t], out->bits, base->system, false, &i->insn, out->code);
    }
    i->template = (uint16_t)t;
    i->at = 0;
    out->insns = 1;
    out->bytes = i->insn.length;
    draw_state(r, base, out);
}

void generate_form(const struct fuzz_base *base, uint64_t seed, uint64_t number, unsigned form, struct fuzz_case *out)
{
    struct random r = random_for(seed, number);

    begin(base, seed, number, out);
    generate_single(&r, base, form, out);
}

void generate(const struct fuzz_base *base, uint64_t seed, uint64_t number, struct fuzz_case *out)
{
    struct random r = random_for(seed, number);

    begin(base, seed, number, out);
    if (base->system || !random_one_in(&r, SEQUENCE_ONE_IN)) {
        generate_single(&r, base, base->catalog->forms, out);
        return;
    }
    generate_sequence(&r, base, out);
    draw_state(&r, base, out);
}
