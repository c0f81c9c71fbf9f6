/* programs.c - random loops of machine code. */
#include "lib/programs.h"

#include "base/bits.h"
#include "x86/decode.h"
#include "x86/insns.h"

#include <string.h>

enum { LONGEST_X87 = 60, LONGEST_MEMORY = 24 };

/* -- x87 ------------------------------------------------------------------------------------------------------------------ */

/* Through RSI, RDI or RBX, or in 64-bit code R14 or R11; or [RSI + RCX * scale]; seldom at the code itself, through RDX. */
static unsigned put_operand(struct random *r, uint8_t *to, unsigned reg)
{
    static const uint8_t bases[] = { RSI, RDI, RBX, RSI, RDI, RBX, RSI, RDI, RBX, RSI, RDI, RBX, RSI, RDI, RBX, RDX };
    unsigned form = random_below(r, 8), n = 0;

    to[n++] = (uint8_t)((form == 7 ? 0x44 : form == 6 ? 0x84 : form == 5 ? 0x80 : 0x40) | reg << 3);
    if (form < 6)
        to[0] |= bases[random_below(r, ARRAY_LEN(bases))];
    else
        to[n++] = (uint8_t)(random_below(r, 4) << 6 | RCX << 3 | RSI);
    to[n++] = (uint8_t)(random_next(r) & (random_one_in(r, 2) ? 0x78 : 0x7f));
    for (unsigned i = 0; to[0] & 0x80 && i < 3; i++)
        to[n++] = 0;
    return n;
}

static unsigned put_any_x87(struct random *r, uint8_t *to, bool code32)
{
    unsigned n = 0;

    if (!code32 && random_one_in(r, 8))
        to[n++] = (uint8_t)(0x40 | random_below(r, 2)); /* REX.B */
    to[n++] = (uint8_t)(0xd8 | random_below(r, 8));
    if (random_below(r, 5) < 2)
        return n + put_operand(r, to + n, random_below(r, 8));
    to[n++] = (uint8_t)(0xc0 | random_below(r, 64));
    return n;
}

/* What is undefined, and what loads control words from random memory, ends a program: seldom. */
static unsigned put_x87(struct random *r, uint8_t *to, bool code32)
{
    static const uint16_t loads[] = { ZYDIS_MNEMONIC_FLDCW, ZYDIS_MNEMONIC_FLDENV, ZYDIS_MNEMONIC_FRSTOR };
    struct insn insn;
    unsigned n;
    bool end;

    do {
        n = put_any_x87(r, to, code32);
        end = decode(code32 ? MODE_CODE32 : MODE_CODE64, to, n, &insn) != DECODE_OK || !insn_find(insn.mnemonic);
        for (unsigned i = 0; i < ARRAY_LEN(loads); i++)
            end |= insn.mnemonic == loads[i];
    } while (end && !random_one_in(r, 64));
    return n;
}

/* What stands between them; a control word, which mostly masks everything. */
static unsigned put_other(struct random *r, uint8_t *to)
{
    static const struct snippet_bytes { uint8_t length, bytes[8]; } others[] = {
        { 3, { 0x0f, 0x6f, 0x06 } }, { 3, { 0x0f, 0x7f, 0x0e } }, { 3, { 0x0f, 0xfe, 0xc1 } }, { 2, { 0x0f, 0x77 } }, /* MMX */
        { 1, { 0x9b } }, { 2, { 0xdb, 0xe2 } }, { 2, { 0xdf, 0xe0 } }, { 3, { 0xdf, 0xe0, 0x9e } },                    /* FNSTSW AX; SAHF */
        { 2, { 0x39, 0xc8 } }, { 2, { 0x11, 0xd0 } }, { 3, { 0x01, 0x46, 0x10 } }, { 3, { 0x8b, 0x47, 0x08 } },
        { 2, { 0x75, 0x02 } }, { 2, { 0x77, 0x02 } }, { 2, { 0x7a, 0x02 } }, { 3, { 0x0f, 0x92, 0xc2 } },              /* JNZ, JA, JP over 2 bytes */
        { 4, { 0x8b, 0x02, 0x89, 0x02 } },     /* the code, as it is */
        { 6, { 0x39, 0xc8, 0xda, 0xca, 0x39, 0xd0 } }, { 3, { 0x0f, 0x58, 0xca } }, { 4, { 0x0f, 0x10, 0x56, 0x20 } },
        { 4, { 0x0f, 0x11, 0x4f, 0x11 } }, { 1, { 0x50 } }, { 1, { 0x59 } },
    };
    unsigned which = random_below(r, ARRAY_LEN(others) + 6);
    uint16_t word = (uint16_t)(random_one_in(r, 16) ? random_next(r) : 0x7f | (random_next(r) & 0xf00));

    if (which < ARRAY_LEN(others)) {
        memcpy(to, others[which].bytes, others[which].length);
        return others[which].length;
    }
    memcpy(to, (uint8_t[]){ 0x66, 0xc7, 0x46, 0x30, (uint8_t)word, (uint8_t)(word >> 8), 0xd9, 0x6e, 0x30 }, 9); /* MOV; FLDCW */
    return 9;
}

/* -- memory ----------------------------------------------------------------------------------------------------------------- */

/* An opcode behind its prefixes: its ModRM has any register, or a digit; bytes of immediate. */
enum { ANY = 8, LOCKABLE = 1, SIZED = 2 /* 66 and REX.W change its width */, WIDER = 4 /* REX.W alone */ };
static const struct memory_form { uint8_t prefix, length, opcode[3], digit, imm, flags; } memory_forms[] = {
    { 0, 1, { 0x8b }, ANY, 0, SIZED }, { 0, 1, { 0x89 }, ANY, 0, SIZED }, { 0, 1, { 0x8b }, ANY, 0, SIZED },
    { 0, 1, { 0x89 }, ANY, 0, SIZED }, { 0, 1, { 0x8a }, ANY, 0, 0 }, { 0, 1, { 0x88 }, ANY, 0, 0 },
    { 0, 1, { 0x01 }, ANY, 0, LOCKABLE | SIZED }, { 0, 1, { 0x13 }, ANY, 0, SIZED }, { 0, 1, { 0x2b }, ANY, 0, SIZED },
    { 0, 1, { 0x31 }, ANY, 0, LOCKABLE | SIZED }, { 0, 1, { 0x39 }, ANY, 0, SIZED }, { 0, 1, { 0x3a }, ANY, 0, 0 },
    { 0, 1, { 0x87 }, ANY, 0, LOCKABLE | SIZED }, { 0, 2, { 0x0f, 0xc1 }, ANY, 0, LOCKABLE | SIZED },
    { 0, 2, { 0x0f, 0xb1 }, ANY, 0, LOCKABLE | SIZED }, { 0, 2, { 0x0f, 0xaf }, ANY, 0, SIZED }, { 0, 2, { 0x0f, 0xb6 }, ANY, 0, SIZED },
    { 0, 2, { 0x0f, 0xbf }, ANY, 0, SIZED }, { 0, 2, { 0x0f, 0x44 }, ANY, 0, SIZED }, { 0, 2, { 0x0f, 0xa5 }, ANY, 0, WIDER },
    { 0, 2, { 0x0f, 0xac }, ANY, 1, WIDER }, { 0, 3, { 0x0f, 0x38, 0xf0 }, ANY, 0, SIZED }, { 0, 1, { 0x8d }, ANY, 0, WIDER },
    { 0, 1, { 0x8d }, ANY, 0, WIDER }, { 0, 1, { 0x83 }, 0, 1, LOCKABLE | SIZED }, { 0, 1, { 0x83 }, 7, 1, SIZED },
    { 0, 1, { 0xff }, 1, 0, LOCKABLE | SIZED }, { 0, 1, { 0xf7 }, 3, 0, LOCKABLE | SIZED }, { 0, 1, { 0xd3 }, 4, 0, SIZED },
    { 0, 1, { 0xd1 }, 3, 0, SIZED }, { 0, 1, { 0xf7 }, 4, 0, SIZED }, { 0, 2, { 0x0f, 0xba }, 5, 1, LOCKABLE | SIZED },
    { 0, 1, { 0xc6 }, 0, 1, 0 }, { 0, 2, { 0x0f, 0x92 }, 0, 0, 0 }, { 0, 2, { 0x0f, 0x10 }, ANY, 0, 0 },
    { 0, 2, { 0x0f, 0x11 }, ANY, 0, 0 }, { 0xf3, 2, { 0x0f, 0x6f }, ANY, 0, 0 }, { 0x66, 2, { 0x0f, 0xd6 }, ANY, 0, 0 },
    { 0xf2, 2, { 0x0f, 0x58 }, ANY, 0, 0 },
};

static const uint8_t memory_pointers[] = { RSI, RBX, R11, R12, R13, R15 }, memory_numbers[] = { RAX, RDX, RDI, R8, R9, R10, R14, RCX };

/* A pointer and a small distance, seldom an index beside it. */
static unsigned put_address(struct random *r, uint8_t *to, unsigned reg, bool code32, uint8_t *rex)
{
    unsigned base = memory_pointers[random_below(r, code32 ? 2 : ARRAY_LEN(memory_pointers))], n = 0;
    bool index = random_one_in(r, 6), sib = index || base == R12;

    *rex |= (uint8_t)((reg >> 3 & 1) << 2 | base >> 3);
    to[n++] = (uint8_t)(0x40 | (reg & 7) << 3 | (sib ? 4 : base & 7));
    if (sib)
        to[n++] = (uint8_t)((index ? random_below(r, 4) << 6 | RCX << 3 : 4 << 3) | (base & 7));
    to[n++] = (uint8_t)random_below(r, random_one_in(r, 8) ? 128 : 48);
    return n;
}

/* LEA moves a pointer as well: what is at a distance from it is the same memory as before. */
static unsigned draw_register(struct random *r, const struct memory_form *f, bool code32)
{
    if (f->digit != ANY)
        return f->digit;
    if (f->opcode[0] == 0x8d && random_one_in(r, 3))
        return memory_pointers[random_below(r, code32 ? 2 : ARRAY_LEN(memory_pointers))];
    return memory_numbers[random_below(r, code32 ? 3 : ARRAY_LEN(memory_numbers) - !random_one_in(r, 8))];
}

static unsigned put_memory(struct random *r, uint8_t *to, bool code32)
{
    const struct memory_form *f = &memory_forms[random_below(r, ARRAY_LEN(memory_forms))];
    unsigned reg = draw_register(r, f, code32), n = 0, address;
    bool pointer = f->opcode[0] == 0x8d;
    uint8_t rex = 0x40, rest[8];

    if (f->flags & LOCKABLE && random_one_in(r, 4))
        to[n++] = 0xf0;
    if (f->prefix || (f->flags & SIZED && random_one_in(r, 8)))
        to[n++] = f->prefix ? f->prefix : 0x66;
    if (f->flags & (SIZED | WIDER) && (pointer || random_one_in(r, 2)))
        rex |= 8;
    address = put_address(r, rest, reg, code32, &rex);
    if (!code32)
        to[n++] = rex;
    memcpy(to + n, f->opcode, f->length);
    memcpy(to + n + f->length, rest, address);
    n += f->length + address;
    for (unsigned i = 0; i < f->imm; i++)
        to[n++] = (uint8_t)random_next(r);
    return n;
}

/* Between two registers; MOV and MOVZX most of all. */
static unsigned put_registers(struct random *r, uint8_t *to, bool code32)
{
    static const uint8_t opcodes[] = { 0x8b, 0x8b, 0x8b, 0x03, 0x2b, 0x33, 0x3b, 0x85, 0x13 };
    unsigned regs = code32 ? 3 : ARRAY_LEN(memory_numbers) - 1, n = 0;
    unsigned a = memory_numbers[random_below(r, regs)], b = memory_numbers[random_below(r, regs)];

    if (!code32)
        to[n++] = (uint8_t)(0x40 | random_below(r, 2) << 3 | a >> 3 << 2 | b >> 3);
    to[n++] = opcodes[random_below(r, ARRAY_LEN(opcodes))];
    to[n++] = (uint8_t)(0xc0 | (a & 7) << 3 | (b & 7));
    return n;
}

/* Seldom behind a jump over it. */
static unsigned put_any_memory(struct random *r, uint8_t *to, bool code32)
{
    unsigned jump = random_one_in(r, 8) ? 2 : 0, n;

    n = random_one_in(r, 4) ? put_registers(r, to + jump, code32) : put_memory(r, to + jump, code32);
    if (jump) {
        to[0] = (uint8_t)(0x70 | random_below(r, 16));
        to[1] = (uint8_t)n;
    }
    return jump + n;
}

/* -- loops ------------------------------------------------------------------------------------------------------------------ */

/* DEC RBP; JNZ */
static unsigned put_loop(uint8_t *bytes, unsigned length, bool code32)
{
    if (!code32)
        bytes[length++] = 0x48;
    memcpy(bytes + length, (uint8_t[]){ 0xff, 0xcd, 0x0f, 0x85 }, 4);
    length += 8;
    memcpy(bytes + length - 4, (int32_t[]){ -(int32_t)length }, 4);
    return length;
}

unsigned program_x87(struct random *r, uint8_t *bytes, bool code32)
{
    unsigned length = 0;

    for (unsigned want = 1 + random_below(r, LONGEST_X87); want--;)
        length += random_one_in(r, 4) ? put_other(r, bytes + length) : put_x87(r, bytes + length, code32);
    return put_loop(bytes, length, code32);
}

unsigned program_memory(struct random *r, uint8_t *bytes, bool code32)
{
    unsigned length = 0;

    for (unsigned want = 1 + random_below(r, LONGEST_MEMORY); want--;)
        length += put_any_memory(r, bytes + length, code32);
    return put_loop(bytes, length, code32);
}

void program_pointers(struct random *r, struct cpu *c, uint64_t data, uint64_t size, uint64_t code)
{
    static const uint8_t pointers[] = { RSI, RDI, RBX, R14, R11, R12, R13, R15 };

    for (unsigned i = 0; i < ARRAY_LEN(pointers); i++)
        c->slot[pointers[i]] = data + random_next(r) % (random_one_in(r, 16) ? size : size - 1024);
    c->slot[RCX] = random_below(r, 64);
    c->slot[RDX] = code + random_below(r, 256);
    c->slot[RBP] = 1 + random_below(r, 6);
}
