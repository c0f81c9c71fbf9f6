/*
 * system.c - what privileged software sets up, a little wrong.
 *
 * Most of it is as an operating system would have it, so that what is not decides what happens.
 */
#include "fuzz/system.h"

#include "fuzz/generate.h"
#include "x86/flags.h"

#include <string.h>

enum { PTE_W = 1 << 1, PTE_U = 1 << 2, PTE_A = 1 << 5, PTE_D = 1 << 6, PTE_PS = 1 << 7 };

/* -- paging-structure entries ------------------------------------------------------------------------------------------------- */

/* Bits that an entry may have or lack (SDM 3A 4.5); 40 to 51 are reserved here. */
static unsigned draw_bit(struct random *r, bool leaf)
{
    static const uint8_t often[] = { 0, 1, 2, 63 }, leafs[] = { 3, 4, 7, 8, 9, 52, 59, 60, 62 };

    switch (random_below(r, 8)) {
    case 0: return 40 + random_below(r, 12);
    case 1: return leaf ? leafs[random_below(r, sizeof(leafs))] : 7;
    case 2: return 5 + random_below(r, 2);
    default: return often[random_below(r, sizeof(often))];
    }
}

static void draw_entries(struct random *r, const struct fuzz_base *base, struct fuzz_system *s)
{
    memcpy(s->entry, base->entry, sizeof(s->entry));
    for (unsigned i = 0; i < SYSTEM_ENTRIES; i++) {
        bool leaf = i >= SYSTEM_PTE;

        s->entry[i] |= random_next(r) & (PTE_A | (leaf ? PTE_D : 0));
        while (random_one_in(r, leaf ? 3 : 16))
            s->entry[i] ^= BIT(draw_bit(r, leaf));
    }
}

/* -- descriptors ---------------------------------------------------------------------------------------------------------------- */

static uint64_t draw_descriptor(struct random *r)
{
    static const uint8_t access[] = { 0x92, 0x93, 0x96, 0x90, 0x98, 0x9a, 0x9b, 0x9e, 0xf2, 0xf3, 0xfa, 0xfb, 0xfe, 0x82, 0x89, 0x8b, 0x8c, 0x8e, 0x85 };
    uint64_t limit = random_one_in(r, 2) ? 0xfffff : random_next(r) & 0xfffff, base = random_one_in(r, 2) ? 0 : random_next(r) & 0x3ffff;
    uint64_t type = access[random_below(r, sizeof(access))], flags = random_below(r, 16);

    if (random_one_in(r, 4))
        type ^= 1u << random_below(r, 8);
    return (limit & 0xffff) | (base & 0xffffff) << 16 | type << 40 | limit >> 16 << 48 | flags << 52 | base >> 24 << 56;
}

static uint16_t draw_selector(struct random *r)
{
    static const uint8_t usual[] = { 0x08, 0x10, 0x20, 0x28, 0x30, 0, 0x40, 0x23, 0x2b, 0x33 };
    unsigned rpl = random_below(r, 4);

    if (random_one_in(r, 16))
        return (uint16_t)random_next(r);
    if (random_one_in(r, 2))
        return usual[random_below(r, sizeof(usual))];
    return (uint16_t)(SYSTEM_SELECTOR + random_below(r, SYSTEM_DESCRIPTORS) * 8 + rpl);
}

/* -- registers ------------------------------------------------------------------------------------------------------------------ */

/* Now and then one of these bits is the other way round. */
static uint64_t flip(struct random *r, uint64_t value, uint64_t bits, unsigned one_in)
{
    for (unsigned i = 0; i < 64; i++)
        if (bits >> i & 1 && random_one_in(r, one_in))
            value ^= BIT(i);
    return value;
}

/* The host's, on a PVM: CR0.AM is set, TS and EM are clear; FSGSBASE, no protection keys; IOPL is 0, NT clear. */
static void draw_control(struct random *r, bool pvm, struct cpu *c)
{
    uint64_t cr4 = CR4_SMEP | CR4_SMAP | CR4_UMIP | CR4_TSD | CR4_DE | CR4_PGE;

    c->cr0 = flip(r, c->cr0 | CR0_AM, pvm ? CR0_WP : CR0_WP | CR0_AM, 2);
    c->cr0 = flip(r, c->cr0, pvm ? 0 : CR0_TS | CR0_EM | CR0_MP, 12);
    c->cr4 = flip(r, c->cr4, pvm ? cr4 : cr4 | CR4_PKE | CR4_FSGSBASE, 3);
    c->cr4 = flip(r, c->cr4, pvm ? 0 : CR4_OSFXSR | CR4_OSXSAVE, 16);
    c->efer = flip(r, c->efer, EFER_NXE | EFER_SCE, 6);
    c->pkru = random_one_in(r, 2) ? 0 : (uint32_t)random_next(r);
    cpu_set_rflags(c, flip(r, cpu_rflags(c), FLAG_AC, 3) ^ (random_one_in(r, 4) && !pvm ? (uint64_t)random_below(r, 4) << 12 : 0));
    cpu_set_rflags(c, flip(r, cpu_rflags(c), (pvm ? 0 : FLAG_NT) | FLAG_ID, 16));
    c->gdtr.limit = SYSTEM_SELECTOR + SYSTEM_DESCRIPTORS * 8 - 1;
}

/* -- the instruction's operands ------------------------------------------------------------------------------------------------ */

static bool is_one_of(uint16_t m, const uint16_t *list, size_t n)
{
    while (n && list[n - 1] != m)
        n--;
    return n;
}

static bool takes_selector(const struct insn *i)
{
    static const uint16_t list[] = { ZYDIS_MNEMONIC_LAR, ZYDIS_MNEMONIC_LSL, ZYDIS_MNEMONIC_VERR, ZYDIS_MNEMONIC_VERW, ZYDIS_MNEMONIC_LLDT,
                                     ZYDIS_MNEMONIC_LTR };

    for (unsigned n = 0; n < i->operands; n++)
        if (i->op[n].class == REG_SEGMENT)
            return true;
    return is_one_of(i->mnemonic, list, ARRAY_LEN(list));
}

static void put_word(const struct fuzz_base *base, struct fuzz_case *c, uint64_t gva, uint64_t value, unsigned bytes)
{
    if (gva - SYSTEM_DATA < FUZZ_BYTES - 8u)
        lines_write(&c->memory, base->image, (unsigned)(gva - SYSTEM_DATA), (const uint8_t *)&value, bytes);
}

static void draw_selectors(struct random *r, const struct fuzz_base *base, const struct insn *i, struct fuzz_case *c)
{
    for (unsigned n = 0; n < i->operands; n++) {
        const struct operand *o = &i->op[n];

        if (o->kind == OPERAND_REGISTER && o->class == REG_GPR)
            c->cpu.slot[o->reg] = (c->cpu.slot[o->reg] & ~UINT64_C(0xffff)) | draw_selector(r);
        else if (o->kind == OPERAND_MEMORY && o->has_base)
            put_word(base, c, c->cpu.slot[o->base] + (uint64_t)o->displacement, draw_selector(r), 2);
    }
}

/* What IRET and far RET find on the stack, and far JMP and CALL at their operand: an address, a selector, and so on. */
static void draw_frame(struct random *r, const struct fuzz_base *base, struct fuzz_case *c, uint64_t at, unsigned width)
{
    uint64_t word[5] = { NATIVE_START + c->bytes, draw_selector(r), FLAG_ONE | (random_next(r) & 0x47fd5 & ~(uint64_t)FLAG_TF), c->cpu.slot[RSP],
                         draw_selector(r) };

    if (random_one_in(r, 8))
        word[0] = random_next(r);
    for (unsigned i = 0; i < ARRAY_LEN(word); i++)
        put_word(base, c, at + i * width, word[i], bits_min(width, 8));
}

static void draw_far(struct random *r, const struct fuzz_base *base, const struct insn *i, struct fuzz_case *c)
{
    static const uint16_t frames[] = { ZYDIS_MNEMONIC_IRET, ZYDIS_MNEMONIC_IRETD, ZYDIS_MNEMONIC_IRETQ, ZYDIS_MNEMONIC_RET, ZYDIS_MNEMONIC_POP },
                          jumps[] = { ZYDIS_MNEMONIC_JMP, ZYDIS_MNEMONIC_CALL, ZYDIS_MNEMONIC_LSS, ZYDIS_MNEMONIC_LFS, ZYDIS_MNEMONIC_LGS };

    if (is_one_of(i->mnemonic, frames, ARRAY_LEN(frames)))
        draw_frame(r, base, c, c->cpu.slot[RSP], i->operand_size);
    else if (is_one_of(i->mnemonic, jumps, ARRAY_LEN(jumps)) && i->operands && i->op[i->operands - 1].has_base)
        draw_frame(r, base, c, c->cpu.slot[i->op[i->operands - 1].base] + (uint64_t)i->op[i->operands - 1].displacement, i->operand_size);
}

static uint64_t control_value(struct random *r, const struct cpu *c, unsigned n)
{
    uint64_t value = n == 0 ? c->cr0 : n == 3 ? c->cr3 : n == 4 ? c->cr4 : random_next(r) & 15;

    return random_one_in(r, 8) ? random_next(r) : flip(r, value, UINT64_MAX, 48);
}

static void draw_moves(struct random *r, const struct insn *i, struct cpu *c)
{
    const struct operand *d = &i->op[0];

    if (i->operands < 2 || i->op[1].class != REG_GPR)
        return;
    if (d->class == REG_CONTROL)
        c->slot[i->op[1].reg] = control_value(r, c, d->reg);
    if (d->class == REG_DEBUG)
        c->slot[i->op[1].reg] = random_next(r) & (d->reg == 7 ? UINT64_C(0xffff0000) | BIT(10) : UINT64_C(0x7fffffffffff));
}

static void draw_msr(struct random *r, const struct insn *i, struct cpu *c)
{
    static const uint32_t msrs[] = { 0xc0000080, 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000100, 0xc0000101, 0xc0000102, 0x174, 0x175,
                                     0x176, 0x277, 0xc0000103, 0x40000100, 0xc0000090 };

    if (i->mnemonic == ZYDIS_MNEMONIC_RDMSR || i->mnemonic == ZYDIS_MNEMONIC_WRMSR)
        c->slot[RCX] = msrs[random_below(r, ARRAY_LEN(msrs))];
    if (i->mnemonic == ZYDIS_MNEMONIC_WRMSR && c->slot[RCX] == 0xc0000080)
        c->slot[RAX] = flip(r, c->efer, 0xffff, 12);
    if (i->mnemonic == ZYDIS_MNEMONIC_WRMSR && random_one_in(r, 2))
        c->slot[RDX] = random_one_in(r, 2) ? 0 : 0xffffffff;
    if (i->mnemonic == ZYDIS_MNEMONIC_XSETBV)
        c->slot[RCX] = random_one_in(r, 8), c->slot[RAX] = random_next(r) & 0x2ff, c->slot[RDX] = 0;
}

/* Operands are where the case's own structures map them. */
static void move_places(struct cpu *c)
{
    for (unsigned i = 0; i < GPRS; i++)
        if (c->slot[i] - (NATIVE_DATA - NATIVE_PAGE) < FUZZ_BYTES + 2 * NATIVE_PAGE)
            c->slot[i] += SYSTEM_DATA - NATIVE_DATA;
}

void system_draw(struct random *r, const struct fuzz_base *base, struct fuzz_case *c)
{
    const struct insn *i = &c->insn[0].insn;

    c->system.on = true;
    draw_entries(r, base, &c->system);
    c->system.code_entry = (base->code_entry & ~(uint64_t)(PTE_U | PTE_W)) | (c->cpu.cpl == 3) << 2;
    for (unsigned n = 0; n < SYSTEM_DESCRIPTORS; n++)
        c->system.descriptor[n] = draw_descriptor(r);
    draw_control(r, base->pvm, &c->cpu);
    move_places(&c->cpu);
    if (takes_selector(i))
        draw_selectors(r, base, i, c);
    draw_far(r, base, i, c);
    draw_moves(r, i, &c->cpu);
    draw_msr(r, i, &c->cpu);
}
