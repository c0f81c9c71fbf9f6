/* print.c - a case as a line of tests/insn: what it runs, and the inputs it can see. */
#include "fuzz/fuzz.h"

#include "print/disasm.h"
#include "x86/flags.h"

#include <inttypes.h>
#include <string.h>

struct seen {
    uint32_t general, vectors, masks, mmx;
};

static void see_operand(const struct operand *o, struct seen *s)
{
    if (o->kind == OPERAND_REGISTER && o->class == REG_GPR)
        s->general |= 1u << (o->reg & 15);
    else if (o->kind == OPERAND_REGISTER && o->class == REG_GPR_HIGH)
        s->general |= 1u << (o->reg & 3);
    else if (o->kind == OPERAND_REGISTER && o->class == REG_VECTOR)
        s->vectors |= 1u << o->reg;
    else if (o->kind == OPERAND_REGISTER && o->class == REG_MASK)
        s->masks |= 1u << (o->reg & 7);
    else if (o->kind == OPERAND_REGISTER && o->class == REG_MMX)
        s->mmx |= 1u << (o->reg & 7);
    if (o->kind != OPERAND_MEMORY)
        return;
    s->general |= (uint32_t)o->has_base << o->base;
    if (o->has_index && o->vsib)
        s->vectors |= 1u << o->index;
    else
        s->general |= (uint32_t)o->has_index << (o->index & 15);
}

static void print_number(FILE *out, const uint8_t *bytes, unsigned n)
{
    while (n > 1 && !bytes[n - 1])
        n--;
    while (n--)
        fprintf(out, "%02x", bytes[n]);
}

static void print_registers(const struct fuzz_case *c, struct seen s, FILE *out)
{
    static const char *const names[GPRS] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                             "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15" };

    for (unsigned i = 0; i < GPRS; i++)
        if (s.general >> i & 1)
            fprintf(out, " %s=%" PRIx64, names[i], c->cpu.slot[i]);
    for (unsigned i = 0; i < 32; i++)
        if (s.vectors >> i & 1) {
            fprintf(out, " zmm%u=", i);
            print_number(out, c->cpu.zmm[i].b, WIDE_BYTES);
        }
    for (unsigned i = 0; i < 8; i++) {
        if (s.masks >> i & 1)
            fprintf(out, " k%u=%" PRIx64, i, c->cpu.k[i]);
        if (s.mmx >> i & 1)
            fprintf(out, " mm%u=%" PRIx64, i, c->cpu.x87.significand[i]);
    }
}

static void print_flags(uint64_t flags, FILE *out)
{
    static const struct { uint64_t flag; char letter; } letters[] = { { FLAG_CF, 'c' }, { FLAG_ZF, 'z' }, { FLAG_SF, 's' }, { FLAG_OF, 'o' },
                                                                       { FLAG_PF, 'p' }, { FLAG_AF, 'a' }, { FLAG_DF, 'd' } };

    if (!(flags & (FLAGS_ARITHMETIC | FLAG_DF)))
        return;
    fprintf(out, " flags=");
    for (unsigned i = 0; i < ARRAY_LEN(letters); i++)
        if (flags & letters[i].flag)
            fputc(letters[i].letter, out);
}

static void print_operand(const struct fuzz_case *c, const uint8_t *image, const struct operand *o, FILE *out)
{
    uint64_t at = c->cpu.slot[o->base & 15] + (uint64_t)o->displacement + (o->has_index ? c->cpu.slot[o->index & 15] << o->scale : 0) + fuzz_data_base(c);
    uint8_t bytes[WIDE_BYTES];

    if (o->kind != OPERAND_MEMORY || !o->has_base || o->vsib || o->width > sizeof(bytes) || at - NATIVE_DATA >= (uint64_t)FUZZ_BYTES - o->width)
        return;
    lines_read(&c->memory, image, (unsigned)(at - NATIVE_DATA), bytes, o->width);
    fprintf(out, " mem 0x%" PRIx64 "=", at);
    for (unsigned i = 0; i < o->width; i++)
        fprintf(out, "%02x", bytes[i]);
}

static bool uses_memory(const struct fuzz_case *c)
{
    for (unsigned i = 0; i < c->insns; i++)
        for (unsigned o = 0; o < c->insn[i].insn.operands; o++)
            if (c->insn[i].insn.op[o].kind == OPERAND_MEMORY)
                return true;
    return false;
}

/* Pages that are not as in all lines. */
static void print_pages(FILE *out)
{
    for (unsigned i = 0; i < FUZZ_PAGES; i++)
        if (fuzz_page[i] != NATIVE_RW)
            fprintf(out, " page 0x%x=%s", NATIVE_DATA + i * NATIVE_PAGE, fuzz_page[i] == NATIVE_RO ? "ro" : "none");
    fprintf(out, " page 0x%x=none", NATIVE_DATA + FUZZ_BYTES);
}

/* What a line of tests/insn has no words for. */
static void print_x87(const struct x87 *x, FILE *out)
{
    fprintf(out, "  # x87 control %x status %x tags %x", x->control, x->status, x->valid);
    for (unsigned i = 0; i < 8; i++) {
        unsigned r = ((x->status >> 11) + i) & 7;

        if (x->valid >> r & 1)
            fprintf(out, " st%u=%04x:%016" PRIx64, i, x->exponent[r], x->significand[r]);
    }
    fputc('\n', out);
}

static bool is_x87(const struct insn *i) { return i->encoding == ENCODING_LEGACY && i->map == 0 && (i->opcode & 0xf8) == 0xd8; }

static void disassemble(const struct fuzz_case *c, unsigned i, char *text, size_t size)
{
    const struct fuzz_insn *n = &c->insn[i];

    strcpy(text, "?");
    disasm_one(c->bits, c->code + n->at, n->insn.length, NATIVE_START + n->at, text, size);
}

static void print_code(const struct fuzz_case *c, FILE *out)
{
    for (unsigned i = 0; i < c->bytes; i++)
        fprintf(out, "%s0x%02x", i ? "," : ".byte ", c->code[i]);
    fprintf(out, " |");
}

static struct seen seen_by(const struct fuzz_case *c)
{
    struct seen s = { 0 };

    for (unsigned i = 0; i < c->insns; i++) {
        const struct insn *insn = &c->insn[i].insn;

        for (unsigned o = 0; o < insn->operands; o++)
            see_operand(&insn->op[o], &s);
        s.masks |= insn->mask ? 1u << insn->mask : 0;
    }
    return s;
}

void fuzz_print_case(const struct fuzz_case *c, const uint8_t *image, FILE *out)
{
    char text[128];
    bool x87 = false;

    print_code(c, out);
    print_registers(c, seen_by(c), out);
    print_flags(cpu_rflags(&c->cpu), out);
    if (c->cpu.mxcsr != 0x1f80)
        fprintf(out, " mxcsr=%x", c->cpu.mxcsr);
    if (c->bits != 64)
        fprintf(out, " mode=%u", c->bits);
    for (unsigned i = 0; i < c->insns; i++)
        for (unsigned o = 0; o < c->insn[i].insn.operands; o++)
            print_operand(c, image, &c->insn[i].insn.op[o], out);
    if (uses_memory(c))
        print_pages(out);
    fprintf(out, " | #");
    for (unsigned i = 0; i < c->insns; i++) {
        disassemble(c, i, text, sizeof(text));
        fprintf(out, "%s %s", i ? ";" : "", text);
        x87 |= is_x87(&c->insn[i].insn);
    }
    fputc('\n', out);
    if (x87)
        print_x87(&c->cpu.x87, out);
}

/* -- a difference -------------------------------------------------------------------------------------------------------- */

static void print_outcome(const struct fuzz_case *c, enum fuzz_engine engine, const struct fuzz_outcome *o, FILE *out)
{
    static const char *const names[GPRS] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                             "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15" };

    fprintf(out, "  %-6s", fuzz_engine_names[engine]);
    if (o->stuck)
        fprintf(out, " did not end,");
    else if (o->vector >= 0)
        fprintf(out, " exception %d error %x cr2 %" PRIx64 ",", o->vector, o->error, o->cr2);
    fprintf(out, " rip=%" PRIx64 " flags=%" PRIx64, o->cpu.rip, cpu_rflags(&o->cpu) & (FLAGS_ARITHMETIC | FLAG_DF));
    for (unsigned i = 0; i < GPRS; i++)
        if (o->cpu.slot[i] != c->cpu.slot[i])
            fprintf(out, " %s=%" PRIx64, names[i], o->cpu.slot[i]);
    for (unsigned i = 0; i < 32; i++)
        if (memcmp(&o->cpu.zmm[i], &c->cpu.zmm[i], WIDE_BYTES)) {
            fprintf(out, " zmm%u=", i);
            print_number(out, o->cpu.zmm[i].b, WIDE_BYTES);
        }
    for (unsigned i = 0; i < 8; i++)
        if (o->cpu.k[i] != c->cpu.k[i])
            fprintf(out, " k%u=%" PRIx64, i, o->cpu.k[i]);
    if (o->cpu.mxcsr != c->cpu.mxcsr)
        fprintf(out, " mxcsr=%x", o->cpu.mxcsr);
    if (o->cpu.x87.status != c->cpu.x87.status)
        fprintf(out, " x87 status=%x", o->cpu.x87.status);
    if (o->transactions)
        fprintf(out, " device: %u transactions", o->transactions);
    fputc('\n', out);
}

void fuzz_print_difference(const struct fuzz_difference *d, const uint8_t *image, FILE *out)
{
    char text[128];

    fprintf(out, "seed %" PRIu64 " case %" PRIu64 ": %s: %s (%s)\n", d->c.seed, d->c.number, fuzz_engine_names[d->engine], d->what, fuzz_engine_names[d->reference]);
    for (unsigned i = 0; i < d->c.insns; i++) {
        disassemble(&d->c, i, text, sizeof(text));
        fprintf(out, "  %x  %s\n", NATIVE_START + d->c.insn[i].at, text);
    }
    print_outcome(&d->c, d->reference, &d->a, out);
    print_outcome(&d->c, d->engine, &d->b, out);
    fprintf(out, "  ");
    fuzz_print_case(&d->c, image, out);
}
