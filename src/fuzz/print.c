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

static void print_memory(const struct fuzz_case *c, const struct operand *o, FILE *out)
{
    uint64_t at = c->cpu.slot[o->base] + (uint64_t)o->displacement + (o->has_index ? c->cpu.slot[o->index & 15] << o->scale : 0);
    bool pages = false;

    if (o->kind != OPERAND_MEMORY || o->vsib)
        return;
    if (at - NATIVE_DATA < (uint64_t)FUZZ_BYTES - o->width) {
        fprintf(out, " mem 0x%" PRIx64 "=", at);
        for (unsigned i = 0; i < o->width; i++)
            fprintf(out, "%02x", c->memory[at - NATIVE_DATA + i]);
    }
    for (unsigned i = 0; i < FUZZ_PAGES; i++)
        if (fuzz_page[i] != NATIVE_RW) {
            fprintf(out, " page 0x%x=%s", NATIVE_DATA + i * NATIVE_PAGE, fuzz_page[i] == NATIVE_RO ? "ro" : "none");
            pages = true;
        }
    if (pages)
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

void fuzz_print_case(const struct fuzz_case *c, FILE *out)
{
    struct seen s = { 0 };
    char text[128] = "?";

    disasm_one(c->code32 ? 32 : 64, c->code, c->bytes, NATIVE_START, text, sizeof(text));
    for (unsigned i = 0; i < c->bytes; i++)
        fprintf(out, "%s0x%02x", i ? "," : ".byte ", c->code[i]);
    fprintf(out, " |");
    for (unsigned i = 0; i < c->insn.operands; i++)
        see_operand(&c->insn.op[i], &s);
    s.masks |= c->insn.mask ? 1u << c->insn.mask : 0;
    print_registers(c, s, out);
    print_flags(cpu_rflags(&c->cpu), out);
    if (c->cpu.mxcsr != 0x1f80)
        fprintf(out, " mxcsr=%x", c->cpu.mxcsr);
    if (c->code32)
        fprintf(out, " mode=32");
    for (unsigned i = 0; i < c->insn.operands; i++)
        print_memory(c, &c->insn.op[i], out);
    fprintf(out, " | # %s\n", text);
    if (c->insn.encoding == ENCODING_LEGACY && c->insn.map == 0 && (c->insn.opcode & 0xf8) == 0xd8)
        print_x87(&c->cpu.x87, out);
}
