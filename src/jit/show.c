/*
 * show.c - the host code of one guest instruction, with names where the code has addresses, for `wideload explain`.
 *
 * First what runs when all goes well, from the instruction's boundary to the next; then the pieces out of line that it
 * jumps to.  Numbers that differ from run to run do not appear.
 */
#include "jit/jit.h"

#include "print/disasm.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { PIECES = 16, PIECE_LINES = 24 };

struct show {
    struct jit *j;
    const struct jit_block *block;
    const uint8_t *from, *to;          /* of the instruction, in line */
    const uint8_t *piece[PIECES];      /* out of line, in the order they are met */
    unsigned pieces;
    FILE *out;
};

/* -- names --------------------------------------------------------------------------------------------------------------- */

struct name {
    const char *text;
    const void *base;
    size_t size;
};

static bool name_in(const struct name *names, unsigned n, uintptr_t address, char *text, size_t size)
{
    for (unsigned i = 0; i < n; i++) {
        uintptr_t base = (uintptr_t)names[i].base;

        if (!base || address < base || address - base >= names[i].size)
            continue;
        if (address == base)
            snprintf(text, size, "%s", names[i].text);
        else
            snprintf(text, size, "%s+%zu", names[i].text, (size_t)(address - base));
        return true;
    }
    return false;
}

static bool name_cache(const struct jit *j, uintptr_t address, char *text, size_t size)
{
    static const char *const fields[] = { "base", "span", "span", "span", "span", "delta", "next", "" };
    uintptr_t first = (uintptr_t)j->stack, end = (uintptr_t)(j->cache + PAGE_CACHES);
    unsigned at;

    if (address < first || address >= end)
        return false;
    at = (unsigned)((address - first) % sizeof(struct page_cache));
    snprintf(text, size, at ? "page_cache.%s" : "page_cache", fields[at / 8]);
    return true;
}

static bool name_slot(const struct cpu *c, uintptr_t address, char *text, size_t size)
{
    uintptr_t slot = (address - (uintptr_t)c->slot) / sizeof(c->slot[0]);

    if (address < (uintptr_t)c->slot || slot >= SLOTS)
        return false;
    if (slot < GPRS)
        snprintf(text, size, "cpu.%s", cpu_gpr_names[slot]);
    else
        snprintf(text, size, "cpu.temporary");
    return true;
}

/* What a slow path gets to know where it is. */
static bool name_site(const struct jit_block *b, uintptr_t address, char *text, size_t size)
{
    uintptr_t site = (address - (uintptr_t)b->site) / sizeof(*b->site);

    if (address < (uintptr_t)b->site || site >= b->sites)
        return false;
    snprintf(text, size, "site_%zu", (size_t)site);
    return true;
}

static bool name_data(const struct show *s, uintptr_t address, char *text, size_t size)
{
    struct jit *j = s->j;
    struct vcpu *v = j->v;
    const struct name names[] = {
        { "cpu.rip", &v->cpu.rip, 8 }, { "cpu.mode", &v->cpu.mode, 4 }, { "cpu.seg", v->cpu.seg, sizeof(v->cpu.seg) },
        { "cpu.zmm", v->cpu.zmm, sizeof(v->cpu.zmm) }, { "cpu.k", v->cpu.k, sizeof(v->cpu.k) },
        { "cpu.x87.control", &v->cpu.x87.control, 2 }, { "cpu.x87.dp", &v->cpu.x87.dp, 8 }, { "cpu.x87", &v->cpu.x87, sizeof(v->cpu.x87) },
        { "x87_inside", &j->x87_inside, 1 }, { "x87_note", &j->x87_note, sizeof(j->x87_note) }, { "x87_operand", &j->x87_operand, 8 },
        { "cpu.scratch", &v->cpu.scratch, sizeof(v->cpu.scratch) }, { "cpu", &v->cpu, sizeof(v->cpu) },
        { "tlb", v->mmu.tlb, sizeof(v->mmu.tlb) }, { "vcpu", v, sizeof(*v) }, { "jump_table", j->jumps, sizeof(j->jumps) },
        { "flags", &j->flags, 2 }, { "argument", j->argument, sizeof(j->argument) }, { "jit", j, sizeof(*j) },
        { "block", s->block, sizeof(*s->block) },
    };

    return name_site(s->block, address, text, size) || name_cache(j, address, text, size) || name_slot(&v->cpu, address, text, size) ||
           name_in(names, ARRAY_LEN(names), address, text, size);
}

static bool name_stub(const struct jit *j, const uint8_t *code, char *text, size_t size)
{
    const struct name names[] = {
        { "slow_load", j->stub_load, 1 }, { "slow_store", j->stub_store, 1 }, { "slow_load_wide", j->stub_load_wide, 1 }, { "slow_store_wide", j->stub_store_wide, 1 },
        { "slow_window", j->stub_window, 1 }, { "slow_x87", j->stub_x87_access, 1 }, { "x87_in", j->stub_x87_in, 1 }, { "x87_leave", j->stub_x87_leave, 1 },
        { "slow_atomic", j->stub_atomic, 1 }, { "slow_divide", j->stub_divide, 1 }, { "slow_segment", j->stub_segment, 1 },
        { "slow_helper", j->stub_helper, 1 }, { "slow_helper_end", j->stub_helper_end, 1 },
        { "exit_budget", j->stub_exit[EXIT_BUDGET], 1 }, { "exit_lookup", j->stub_exit[EXIT_LOOKUP], 1 },
        { "exit_link", j->stub_exit[EXIT_LINK], 1 }, { "exit_fault", j->stub_exit[EXIT_FAULT], 1 },
    };

    if (code < j->run || code >= j->run + j->stubs)
        return false;
    for (unsigned i = 0; i < BANKS * 2; i++)
        if (code == j->stub_probe[i / 2][i % 2]) {
            snprintf(text, size, "look_up_tlb");
            return true;
        }
    if (!name_in(names, ARRAY_LEN(names), (uintptr_t)code, text, size))
        snprintf(text, size, "stub");
    return true;
}

static bool in_block(const struct show *s, const uint8_t *code)
{
    return code >= s->block->checked && code < s->block->checked + s->block->bytes;
}

static unsigned piece_number(struct show *s, const uint8_t *code)
{
    for (unsigned i = 0; i < s->pieces; i++)
        if (s->piece[i] == code)
            return i + 1;
    if (s->pieces == PIECES)
        return 0;
    s->piece[s->pieces++] = code;
    return s->pieces;
}

/* A place in the block: in line by its distance from the instruction's first byte, out of line as a piece. */
static bool name_code(struct show *s, const uint8_t *code, char *text, size_t size)
{
    if (!in_block(s, code))
        return name_stub(s->j, code, text, size);
    if (code == s->to)
        snprintf(text, size, "next instruction");
    else if (code >= s->from && code < s->to)
        snprintf(text, size, "+%zu", (size_t)(code - s->from));
    else
        snprintf(text, size, "slow %u", piece_number(s, code));
    return true;
}

/* -- lines ------------------------------------------------------------------------------------------------------------------- */

/* The text with names in place of addresses. */
static void print_named(struct show *s, const char *text)
{
    while (*text) {
        const char *at = strstr(text, "0x");
        uint64_t value;
        char *end, name[64];

        if (!at)
            break;
        value = strtoull(at, &end, 16);
        fprintf(s->out, "%.*s", (int)(at - text), text);
        if (name_code(s, (const uint8_t *)(uintptr_t)value, name, sizeof(name)) || name_data(s, (uintptr_t)value, name, sizeof(name)))
            fputs(name, s->out);
        else
            fprintf(s->out, "%.*s", (int)(end - at), at);
        text = end;
    }
    fprintf(s->out, "%s\n", text);
}

/* The address in place of its distance from RIP. */
static void make_absolute(char *text, size_t size, uint64_t rip)
{
    char *at = strstr(text, "rip "), rest[128], *end;
    uint64_t distance;

    if (!at || strncmp(at + 5, " 0x", 3))
        return;
    distance = strtoull(at + 6, &end, 16);
    snprintf(rest, sizeof(rest), "%s", end);
    snprintf(at, size - (size_t)(at - text), "0x%" PRIx64 "%s", at[4] == '-' ? rip - distance : rip + distance, rest);
}

/* From `at` to `end`, or out of line to the jump that ends it. */
static void print_code(struct show *s, const uint8_t *at, const uint8_t *end, bool out_of_line)
{
    const uint8_t *start = at;
    char text[128];

    for (unsigned lines = 0; at < end && (!out_of_line || lines < PIECE_LINES); lines++) {
        unsigned n = disasm_one(64, at, (size_t)(end - at), (uint64_t)(uintptr_t)at, text, sizeof(text));

        fprintf(s->out, "  %4zu  ", (size_t)(at - start));
        at += n ? n : 1;
        make_absolute(text, sizeof(text), (uint64_t)(uintptr_t)at);
        print_named(s, text);
        if (out_of_line && !strncmp(text, "jmp ", 4))
            break;
    }
}

/* The end of the code in line of a block's only instruction: a jump away. */
static const uint8_t *first_jump_end(const uint8_t *at, const uint8_t *end)
{
    char text[128];

    while (at < end) {
        unsigned n = disasm_one(64, at, (size_t)(end - at), (uint64_t)(uintptr_t)at, text, sizeof(text));

        at += n ? n : 1;
        if (!strncmp(text, "jmp ", 4))
            break;
    }
    return at;
}

static void print_pins(FILE *out)
{
    static const char *const host[] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
                                        "r15" };

    fprintf(out, " guest");
    for (unsigned i = 0; i < GPRS; i++)
        if (jit_pin[i] != H_NONE)
            fprintf(out, " %3s", cpu_gpr_names[i]);
    fprintf(out, "\n host ");
    for (unsigned i = 0; i < GPRS; i++)
        if (jit_pin[i] != H_NONE)
            fprintf(out, " %3s", host[jit_pin[i]]);
    fprintf(out, "\n in line\n");
}

/* -- the instruction ------------------------------------------------------------------------------------------------------------ */

bool jit_print_insn(void *engine, FILE *out)
{
    struct jit *j = engine;
    const struct jit_block *b = j->usable ? jit_lookup(j, false) : NULL;
    struct show s = { .j = j, .block = b, .out = out };

    if (!b)
        return false;
    s.from = b->checked + b->insn[0].code;
    s.to = b->insns > 1 ? b->checked + b->insn[1].code : first_jump_end(s.from, b->checked + b->bytes);
    if (s.from == s.to) {
        fprintf(out, "  (none)\n");
        return true;
    }
    print_pins(out);
    print_code(&s, s.from, s.to, false);
    for (unsigned i = 0; i < s.pieces; i++) {
        fprintf(out, " slow %u\n", i + 1);
        print_code(&s, s.piece[i], b->checked + b->bytes, true);
    }
    return true;
}
