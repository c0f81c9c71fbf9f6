/*
 * catalog.c - encodings by mnemonic: found by trying them on the decoder.
 *
 * A template is everything of an encoding but its registers, addresses and immediates: generate.c draws those.
 */
#include "fuzz/catalog.h"

#include "base/bits.h"
#include "fuzz/encode.h"
#include "x86/decode.h"
#include "x86/insns.h"

#include <Zydis/Zydis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What one piece of user-mode code on another machine cannot show the same way. */
static const uint16_t left_to_systems[] = {
    /* leave the process, or depend on the operating system */
    ZYDIS_MNEMONIC_SYSCALL, ZYDIS_MNEMONIC_SYSENTER, ZYDIS_MNEMONIC_SYSRET, ZYDIS_MNEMONIC_SYSEXIT, ZYDIS_MNEMONIC_INT,
    ZYDIS_MNEMONIC_INT1, ZYDIS_MNEMONIC_INT3, ZYDIS_MNEMONIC_IRET, ZYDIS_MNEMONIC_IRETD, ZYDIS_MNEMONIC_IRETQ,
    /* segments and tables are the host's */
    ZYDIS_MNEMONIC_LDS, ZYDIS_MNEMONIC_LES, ZYDIS_MNEMONIC_LFS, ZYDIS_MNEMONIC_LGS, ZYDIS_MNEMONIC_LSS, ZYDIS_MNEMONIC_LAR,
    ZYDIS_MNEMONIC_LSL, ZYDIS_MNEMONIC_VERR, ZYDIS_MNEMONIC_VERW, ZYDIS_MNEMONIC_SGDT, ZYDIS_MNEMONIC_SIDT, ZYDIS_MNEMONIC_SLDT,
    ZYDIS_MNEMONIC_STR, ZYDIS_MNEMONIC_SMSW, ZYDIS_MNEMONIC_WRFSBASE, ZYDIS_MNEMONIC_WRGSBASE, ZYDIS_MNEMONIC_RDFSBASE,
    ZYDIS_MNEMONIC_RDGSBASE, ZYDIS_MNEMONIC_SWAPGS,
    /* set TF and AC, which change what happens after the case; #GP whatever the count on some processors */
    ZYDIS_MNEMONIC_POPF, ZYDIS_MNEMONIC_POPFD, ZYDIS_MNEMONIC_POPFQ, ZYDIS_MNEMONIC_INSB, ZYDIS_MNEMONIC_INSW, ZYDIS_MNEMONIC_INSD,
    ZYDIS_MNEMONIC_OUTSB, ZYDIS_MNEMONIC_OUTSW, ZYDIS_MNEMONIC_OUTSD, ZYDIS_MNEMONIC_XGETBV, ZYDIS_MNEMONIC_RDPKRU, ZYDIS_MNEMONIC_WRPKRU,
};

/* What no two engines need do the same way. */
static const uint16_t left_out[] = {
    /* answers differ by nature: time, chance, what the processor is, state of another size */
    ZYDIS_MNEMONIC_RDTSC, ZYDIS_MNEMONIC_RDTSCP, ZYDIS_MNEMONIC_RDRAND, ZYDIS_MNEMONIC_RDSEED, ZYDIS_MNEMONIC_RDPMC,
    ZYDIS_MNEMONIC_RDPID, ZYDIS_MNEMONIC_CPUID,
    ZYDIS_MNEMONIC_XSAVE, ZYDIS_MNEMONIC_XSAVE64, ZYDIS_MNEMONIC_XSAVEC, ZYDIS_MNEMONIC_XSAVEC64, ZYDIS_MNEMONIC_XSAVEOPT,
    ZYDIS_MNEMONIC_XSAVEOPT64, ZYDIS_MNEMONIC_XRSTOR, ZYDIS_MNEMONIC_XRSTOR64, ZYDIS_MNEMONIC_FXSAVE, ZYDIS_MNEMONIC_FXSAVE64,
    ZYDIS_MNEMONIC_FXRSTOR, ZYDIS_MNEMONIC_FXRSTOR64, ZYDIS_MNEMONIC_FNSTENV, ZYDIS_MNEMONIC_FNSAVE, ZYDIS_MNEMONIC_FLDENV,
    ZYDIS_MNEMONIC_FRSTOR, ZYDIS_MNEMONIC_LDMXCSR, ZYDIS_MNEMONIC_VLDMXCSR /* one more bit on AMD's */,
    ZYDIS_MNEMONIC_MASKMOVDQU, ZYDIS_MNEMONIC_VMASKMOVDQU, ZYDIS_MNEMONIC_MASKMOVQ /* bytes masked off may fault, or not */,
    ZYDIS_MNEMONIC_XABORT, ZYDIS_MNEMONIC_XBEGIN, ZYDIS_MNEMONIC_XEND, ZYDIS_MNEMONIC_XTEST,
    /* within one unit in the last place of the right result, which ours are (SDM 1 8.3.10): a processor's may be another */
    ZYDIS_MNEMONIC_F2XM1, ZYDIS_MNEMONIC_FYL2X, ZYDIS_MNEMONIC_FYL2XP1, ZYDIS_MNEMONIC_FPATAN, ZYDIS_MNEMONIC_FSIN,
    ZYDIS_MNEMONIC_FCOS, ZYDIS_MNEMONIC_FSINCOS, ZYDIS_MNEMONIC_FPTAN,
};

static bool is_listed(const uint16_t *list, size_t n, uint16_t mnemonic)
{
    while (n && list[n - 1] != mnemonic)
        n--;
    return n;
}

/* HLT of privileged code would be taken for the handler's. */
static bool is_left_out(uint16_t mnemonic, bool privileged)
{
    return is_listed(left_out, ARRAY_LEN(left_out), mnemonic) ||
           (privileged ? mnemonic == ZYDIS_MNEMONIC_HLT : is_listed(left_to_systems, ARRAY_LEN(left_to_systems), mnemonic));
}

/* -- what was asked for ---------------------------------------------------------------------------------------------------- */

static bool listed(const char *list, const char *name, bool prefix)
{
    while (list) {
        size_t n = strcspn(list, ",");

        if (n && !strncasecmp(list, name, n) && (prefix || !name[n]))
            return true;
        list = list[n] ? list + n + 1 : NULL;
    }
    return false;
}

static bool wanted(const char *isa, bool privileged, const ZydisDecodedInstruction *z)
{
    if (!insn_find((uint16_t)z->mnemonic) || is_left_out((uint16_t)z->mnemonic, privileged))
        return false;
    return !isa || listed(isa, ZydisISAExtGetString(z->meta.isa_ext), true) || listed(isa, ZydisISASetGetString(z->meta.isa_set), true) ||
           listed(isa, ZydisMnemonicGetString(z->mnemonic), false);
}

/* -- trying ------------------------------------------------------------------------------------------------------------------ */

struct sweep {
    struct catalog *c;
    const char *isa;
    bool privileged;
    uint32_t mode;
    ZydisDecoder decoder;
};

static void add(struct catalog *c, const struct template *t, uint16_t mnemonic)
{
    struct template *last = c->templates ? &c->template[c->templates - 1] : NULL;

    for (unsigned i = 0; last && i < 24 && last >= c->template; i++, last--)
        if (last->mnemonic == mnemonic && last->kind == t->kind && last->map == t->map && last->pp == t->pp && last->w == t->w &&
            last->length == t->length && last->opcode == t->opcode && last->memory == t->memory && !t->exact && !strcmp(last->name, t->name)) {
            last->regs |= t->regs;
            return;
        }
    if (c->templates == c->room) {
        c->room = c->room ? c->room * 2 : 4096;
        c->template = realloc(c->template, c->room * sizeof(*c->template));
        if (!c->template)
            abort();
    }
    c->template[c->templates] = *t;
    c->template[c->templates++].mnemonic = mnemonic;
}

/* Opcodes whose ModRM byte, with a register, is all opcode: x87, and two groups of system instructions. */
static bool whole_modrm(const struct template *t)
{
    return t->kind == TEMPLATE_LEGACY &&
           ((t->map == 0 && (t->opcode & 0xf8) == 0xd8) || (t->map == 1 && (t->opcode == 1 || t->opcode == 0xae)));
}

/* -- shapes -------------------------------------------------------------------------------------------------------------------- */

static const char *register_name(const struct operand *o)
{
    switch (o->class) {
    case REG_GPR: case REG_GPR_HIGH: return o->width == 1 ? "r8" : o->width == 2 ? "r16" : o->width == 4 ? "r32" : "r64";
    case REG_X87: return "st";
    case REG_MMX: return "mm";
    case REG_MASK: return "k";
    case REG_VECTOR: return o->width <= 16 ? "xmm" : o->width == 32 ? "ymm" : "zmm";
    default: return "reg";
    }
}

static void name_operand(const struct operand *o, char *text, size_t size)
{
    switch (o->kind) {
    case OPERAND_REGISTER: snprintf(text, size, "%s", register_name(o)); break;
    case OPERAND_MEMORY: snprintf(text, size, "%s%u", o->vsib ? "vm" : "m", o->width * 8u); break;
    default: snprintf(text, size, "imm"); break;
    }
}

static void name_shape(const struct insn *i, enum template_kind kind, char *text)
{
    static const char *const kinds[] = { "", "VEX ", "EVEX " };
    size_t n = (size_t)snprintf(text, SHAPE_NAME, "%s%s", kinds[kind], decode_mnemonic_name(i->mnemonic));

    for (unsigned o = 0; o < i->operands && n < SHAPE_NAME; o++) {
        char operand[16];

        name_operand(&i->op[o], operand, sizeof(operand));
        n += (size_t)snprintf(text + n, SHAPE_NAME - n, "%s %s", o ? "," : "", operand);
    }
}

static bool insn_has_vsib(const struct insn *i)
{
    for (unsigned n = 0; n < i->operands; n++)
        if (i->op[n].kind == OPERAND_MEMORY && i->op[n].vsib)
            return true;
    return false;
}

/* Does this come out as an instruction of this very opcode? */
static void try(struct sweep *s, struct template *t, unsigned modrm, unsigned mask)
{
    ZydisDecodedInstruction z;
    struct insn insn;
    uint8_t bytes[15] = { 0 };
    unsigned n = template_prefix(t, &(struct template_choice){ .vvvv = t->vvvv_free ? 1 : 0, .mask = mask, .length = t->length }, bytes);

    bytes[n++] = t->opcode;
    bytes[n] = (uint8_t)modrm;
    if (ZYAN_FAILED(ZydisDecoderDecodeInstruction(&s->decoder, NULL, bytes, sizeof(bytes), &z)) || z.opcode != t->opcode ||
        (unsigned)z.opcode_map != t->map || !wanted(s->isa, s->privileged, &z) || decode(s->mode, bytes, sizeof(bytes), &insn) != DECODE_OK || (encode_is_systems(&insn) && !s->privileged))
        return;
    t->memory = (modrm >> 6) != 3;
    t->regs = (uint8_t)(1u << (modrm >> 3 & 7));
    t->exact = modrm >> 6 == 3 && whole_modrm(t);
    t->modrm = (uint8_t)modrm;
    t->vsib = insn_has_vsib(&insn);
    name_shape(&insn, (enum template_kind)t->kind, t->name);
    add(s->c, t, (uint16_t)z.mnemonic);
}

static void sweep_modrm(struct sweep *s, struct template *t)
{
    unsigned masks = t->kind == TEMPLATE_EVEX && !t->vvvv_free ? 2 : 1; /* gathers want one */

    for (unsigned reg = 0; reg < 8; reg++)
        for (unsigned mask = 0; mask < masks; mask++) {
            try(s, t, reg << 3 | 1, mask);
            try(s, t, reg << 3 | 4, mask); /* with an index */
            for (unsigned rm = 0; rm < (whole_modrm(t) ? 8u : 1u); rm++)
                try(s, t, 0xc0 | reg << 3 | rm, mask);
        }
}

static void sweep_kind(struct sweep *s, enum template_kind kind)
{
    unsigned lengths = kind == TEMPLATE_LEGACY ? 1 : kind == TEMPLATE_VEX ? 2 : 3;
    unsigned first = kind == TEMPLATE_LEGACY ? 0 : 1;

    for (unsigned map = first; map <= 3; map++)
        for (unsigned opcode = 0; opcode < 256; opcode++)
            for (unsigned rest = 0; rest < 8 * lengths; rest++)
                for (unsigned v = 0; v < (kind == TEMPLATE_LEGACY ? 1u : 2u); v++) {
                    struct template t = { .kind = (uint8_t)kind, .map = (uint8_t)map, .opcode = (uint8_t)opcode, .pp = rest & 3,
                                          .w = rest >> 2 & 1, .length = (uint8_t)(rest >> 3), .vvvv_free = v };

                    sweep_modrm(s, &t);
                }
}

static bool same_form(const struct template *a, const struct template *b) { return a->mnemonic == b->mnemonic && a->kind == b->kind; }

static int by_form(const void *a, const void *b)
{
    const struct template *x = a, *y = b;

    return x->mnemonic != y->mnemonic ? x->mnemonic - y->mnemonic : x->kind != y->kind ? x->kind - y->kind : strcmp(x->name, y->name);
}

/* Where each form's and each shape's templates begin. */
static void index_templates(struct catalog *c)
{
    if (c->templates)
        qsort(c->template, c->templates, sizeof(*c->template), by_form);
    c->first = malloc((c->templates + 1) * sizeof(*c->first));
    c->shape = malloc((c->templates + 1) * sizeof(*c->shape));
    if (!c->first || !c->shape)
        abort();
    for (unsigned i = 0; i < c->templates; i++) {
        bool form = !i || !same_form(&c->template[i], &c->template[i - 1]);

        if (form)
            c->first[c->forms++] = i;
        if (form || strcmp(c->template[i].name, c->template[i - 1].name))
            c->shape[c->shapes++] = i;
        c->template[i].form = (uint16_t)(c->forms - 1);
        c->template[i].shape = (uint16_t)(c->shapes - 1);
    }
    c->first[c->forms] = c->shape[c->shapes] = c->templates;
}

struct catalog *catalog_create(const char *isa, unsigned bits, bool privileged, struct err *err)
{
    struct sweep s = { .c = calloc(1, sizeof(*s.c)), .isa = isa, .privileged = privileged, .mode = encode_mode(bits) };

    if (!s.c)
        abort();
    encode_init_decoder(&s.decoder, bits);
    for (unsigned kind = 0; kind <= TEMPLATE_EVEX; kind++)
        sweep_kind(&s, (enum template_kind)kind);
    index_templates(s.c);
    if (s.c->forms)
        return s.c;
    catalog_free(s.c);
    err_set(err, "no instruction set or instruction is called '%s'", isa ? isa : "");
    return NULL;
}

void catalog_free(struct catalog *c)
{
    free(c->template);
    free(c->first);
    free(c->shape);
    free(c);
}
