/* registers.c - one row for each register: where it lies in struct cpu, or how it is put together. */
#include "gdb/registers.h"

#include "x86/flags.h"

#include <stdio.h>
#include <string.h>

enum kind {
    KIND_PLAIN,     /* bytes of struct cpu as they are */
    KIND_FIXED,     /* ... which are only shown */
    KIND_RIP, KIND_FLAGS, KIND_BASE, KIND_MXCSR,
    KIND_ST,        /* 80 bits, by distance from the top of the stack */
    KIND_WORD,      /* 32 bits of which the x87 has 16 */
    KIND_SELECTOR,  /* the same, and only shown */
    KIND_TAGS, KIND_POINTER,
};

/* -- the table --------------------------------------------------------------------------------------------------------------- */

static struct gdb_register *add(struct gdb_registers *r, const char *name, const char *type, unsigned bytes, enum kind kind, size_t offset)
{
    struct gdb_register *row = &r->row[r->n++];

    *row = (struct gdb_register){ .type = type, .bytes = (uint8_t)bytes, .kind = (uint8_t)kind, .offset = (uint16_t)offset };
    g_strlcpy(row->name, name, sizeof(row->name));
    return row;
}

/* NAMEn and what follows it, from `first` to before `end`. */
static void add_numbered(struct gdb_registers *r, const char *format, unsigned first, unsigned end, const char *type, unsigned bytes,
                         enum kind kind, size_t offset, size_t stride)
{
    char name[12];

    for (unsigned i = first; i < end; i++) {
        snprintf(name, sizeof(name), format, i);
        add(r, name, type, bytes, kind, offset + i * stride);
    }
}

#define AT(member) offsetof(struct cpu, member)
#define SELECTOR(i) (AT(seg) + (i) * sizeof(struct segment) + offsetof(struct segment, selector))
#define BASE(i) (AT(seg) + (i) * sizeof(struct segment) + offsetof(struct segment, base))
#define ZMM(byte) AT(zmm) + (byte), sizeof(union wide)

static void add_core(struct gdb_registers *r)
{
    static const uint8_t order[GPRS] = { RAX, RBX, RCX, RDX, RSI, RDI, RBP, RSP, R8, R9, R10, R11, R12, R13, R14, R15 };
    static const uint8_t segments[] = { SEG_CS, SEG_SS, SEG_DS, SEG_ES, SEG_FS, SEG_GS };
    unsigned first = r->n;

    for (unsigned i = 0; i < GPRS; i++)
        add(r, cpu_gpr_names[order[i]], order[i] == RBP || order[i] == RSP ? "data_ptr" : "int64", 8, KIND_PLAIN,
            AT(slot) + order[i] * sizeof(uint64_t));
    add(r, "rip", "code_ptr", 8, KIND_RIP, 0);
    add(r, "eflags", "i386_eflags", 4, KIND_FLAGS, 0);
    for (unsigned i = 0; i < ARRAY_LEN(segments); i++)
        add(r, cpu_segment_names[segments[i]], "int32", 4, KIND_SELECTOR, SELECTOR(segments[i]));
    add_numbered(r, "st%u", 0, 8, "i387_ext", 10, KIND_ST, 0, 1);
    add(r, "fctrl", "int", 4, KIND_WORD, AT(x87.control));
    add(r, "fstat", "int", 4, KIND_WORD, AT(x87.status));
    add(r, "ftag", "int", 4, KIND_TAGS, 0);
    add(r, "fiseg", "int", 4, KIND_WORD, AT(x87.cs));
    add(r, "fioff", "int", 4, KIND_POINTER, AT(x87.ip));
    add(r, "foseg", "int", 4, KIND_WORD, AT(x87.ds));
    add(r, "fooff", "int", 4, KIND_POINTER, AT(x87.dp));
    add(r, "fop", "int", 4, KIND_WORD, AT(x87.opcode));
    r->row[first].feature = "org.gnu.gdb.i386.core";
}

static void add_sse(struct gdb_registers *r)
{
    unsigned first = r->n;

    add_numbered(r, "xmm%u", 0, 16, "vec128", 16, KIND_PLAIN, ZMM(0));
    add(r, "mxcsr", "i386_mxcsr", 4, KIND_MXCSR, 0);
    r->row[first].feature = "org.gnu.gdb.i386.sse";
}

static void add_segments(struct gdb_registers *r)
{
    add(r, "fs_base", "int", 8, KIND_BASE, BASE(SEG_FS))->feature = "org.gnu.gdb.i386.segments";
    add(r, "gs_base", "int", 8, KIND_BASE, BASE(SEG_GS));
}

static void add_avx(struct gdb_registers *r)
{
    unsigned first = r->n;

    add_numbered(r, "ymm%uh", 0, 16, "uint128", 16, KIND_PLAIN, ZMM(16));
    r->row[first].feature = "org.gnu.gdb.i386.avx";
}

static void add_avx512(struct gdb_registers *r)
{
    unsigned first = r->n;

    add_numbered(r, "xmm%u", 16, 32, "vec128", 16, KIND_PLAIN, ZMM(0));
    add_numbered(r, "ymm%uh", 16, 32, "uint128", 16, KIND_PLAIN, ZMM(16));
    add_numbered(r, "k%u", 0, 8, "uint64", 8, KIND_PLAIN, AT(k), sizeof(uint64_t));
    add_numbered(r, "zmm%uh", 0, 32, "v2ui128", 32, KIND_PLAIN, ZMM(32));
    r->row[first].feature = "org.gnu.gdb.i386.avx512";
}

/* Beyond what gdb knows of, and by itself shows with `info registers system` alone. */
static void add_system(struct gdb_registers *r)
{
    static const struct {
        const char *name;
        uint16_t offset;
    } rows[] = { { "cr0", AT(cr0) }, { "cr2", AT(cr2) }, { "cr3", AT(cr3) }, { "cr4", AT(cr4) }, { "cr8", AT(cr8) }, { "efer", AT(efer) },
                 { "xcr0", AT(xcr0) }, { "k_gs_base", AT(msr.kernel_gs_base) } };
    unsigned first = r->n;

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
        add(r, rows[i].name, "uint64", 8, KIND_FIXED, rows[i].offset);
    r->row[first].feature = "wideload.system";
}

void gdb_registers_init(struct gdb_registers *r, const struct feature_set *features)
{
    r->n = 0;
    add_core(r);
    add_sse(r);
    add_segments(r);
    if (feature_has(features, FEATURE_avx))
        add_avx(r);
    if (feature_has(features, FEATURE_avx) && feature_has(features, FEATURE_avx512f))
        add_avx512(r);
    if (feature_has(features, FEATURE_pku))
        add(r, "pkru", "int", 4, KIND_PLAIN, AT(pkru))->feature = "org.gnu.gdb.i386.pkeys";
    add_system(r);
}

/* -- the description --------------------------------------------------------------------------------------------------------- */

static void describe_flags(GString *out, const char *id, const char *const *names, unsigned n)
{
    g_string_append_printf(out, "<flags id=\"%s\" size=\"4\">", id);
    for (unsigned i = 0; i < n; i++)
        if (names[i])
            g_string_append_printf(out, "<field name=\"%s\" start=\"%u\" end=\"%u\"/>", names[i], i, i);
    g_string_append(out, "</flags>\n");
}

/* The types that a feature's registers use, which have to stand in it. */
static void describe_types(GString *out, const char *feature)
{
    static const char *const eflags[] = { "CF", "", "PF", NULL, "AF", NULL, "ZF", "SF", "TF", "IF", "DF", "OF", NULL, NULL, "NT", NULL,
                                          "RF", "VM", "AC", "VIF", "VIP", "ID" };
    static const char *const mxcsr[] = { "IE", "DE", "ZE", "OE", "UE", "PE", "DAZ", "IM", "DM", "ZM", "OM", "UM", "PM", NULL, NULL, "FZ" };
    static const char vec128[] =
        "<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/><vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>"
        "<vector id=\"v16i8\" type=\"int8\" count=\"16\"/><vector id=\"v8i16\" type=\"int16\" count=\"8\"/>"
        "<vector id=\"v4i32\" type=\"int32\" count=\"4\"/><vector id=\"v2i64\" type=\"int64\" count=\"2\"/>\n"
        "<union id=\"vec128\"><field name=\"v4_float\" type=\"v4f\"/><field name=\"v2_double\" type=\"v2d\"/>"
        "<field name=\"v16_int8\" type=\"v16i8\"/><field name=\"v8_int16\" type=\"v8i16\"/><field name=\"v4_int32\" type=\"v4i32\"/>"
        "<field name=\"v2_int64\" type=\"v2i64\"/><field name=\"uint128\" type=\"uint128\"/></union>\n";
    bool sse = g_str_has_suffix(feature, ".sse"), avx512 = g_str_has_suffix(feature, ".avx512");

    if (g_str_has_suffix(feature, ".core"))
        describe_flags(out, "i386_eflags", eflags, ARRAY_LEN(eflags));
    if (sse)
        describe_flags(out, "i386_mxcsr", mxcsr, ARRAY_LEN(mxcsr));
    if (sse || avx512)
        g_string_append(out, vec128);
    if (avx512)
        g_string_append(out, "<vector id=\"v2ui128\" type=\"uint128\" count=\"2\"/>\n");
}

static const char *register_group(const struct gdb_register *row)
{
    return row->kind == KIND_FIXED ? " group=\"system\"" : !strcmp(row->type, "int") && row->kind != KIND_BASE ? " group=\"float\"" : "";
}

void gdb_registers_describe(const struct gdb_registers *r, GString *out)
{
    g_string_append(out, "<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n"
                         "<target version=\"1.0\">\n<architecture>i386:x86-64</architecture>\n");
    for (unsigned i = 0; i < r->n; i++) {
        const struct gdb_register *row = &r->row[i];

        if (row->feature && i)
            g_string_append(out, "</feature>\n");
        if (row->feature) {
            g_string_append_printf(out, "<feature name=\"%s\">\n", row->feature);
            describe_types(out, row->feature);
        }
        g_string_append_printf(out, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\" regnum=\"%u\"%s/>\n", row->name, row->bytes * 8u, row->type, i,
                               register_group(row));
    }
    g_string_append(out, "</feature>\n</target>\n");
}

/* -- values ------------------------------------------------------------------------------------------------------------------ */

static unsigned physical(const struct cpu *c, unsigned st) { return ((c->x87.status >> 11) + st) & 7; }

/* SDM 1 8.1.7: 0 valid, 1 zero, 2 special, 3 empty; by physical register. */
static unsigned x87_tag(const struct x87 *x, unsigned i)
{
    unsigned exponent = x->exponent[i] & 0x7fff;

    if (!(x->valid >> i & 1))
        return 3;
    if (!exponent && !x->significand[i])
        return 1;
    return exponent == 0 || exponent == 0x7fff || !(x->significand[i] >> 63) ? 2 : 0;
}

static uint32_t x87_tags(const struct x87 *x)
{
    uint32_t tags = 0;

    for (unsigned i = 0; i < 8; i++)
        tags |= x87_tag(x, i) << (i * 2);
    return tags;
}

static void set_tags(struct x87 *x, uint32_t tags)
{
    x->valid = 0;
    for (unsigned i = 0; i < 8; i++)
        x->valid |= (tags >> (i * 2) & 3) != 3 ? (uint8_t)(1u << i) : 0;
}

void gdb_register_get(const struct gdb_register *row, const struct cpu *c, uint8_t *bytes)
{
    const uint8_t *field = (const uint8_t *)c + row->offset;
    uint64_t value = 0;

    switch ((enum kind)row->kind) {
    case KIND_RIP: value = c->rip; break;
    case KIND_FLAGS: value = cpu_rflags(c); break;
    case KIND_MXCSR: value = c->mxcsr; break;
    case KIND_WORD: case KIND_SELECTOR: memcpy(&value, field, 2); break;
    case KIND_POINTER: memcpy(&value, field, 4); break;
    case KIND_TAGS: value = x87_tags(&c->x87); break;
    case KIND_ST:
        memcpy(bytes, &c->x87.significand[physical(c, row->offset)], 8);
        memcpy(bytes + 8, &c->x87.exponent[physical(c, row->offset)], 2);
        return;
    default: memcpy(bytes, field, row->bytes); return;
    }
    memcpy(bytes, &value, row->bytes);
}

/* The mode of the CPU is the guest's own affair. */
static bool set_flags(struct cpu *c, uint64_t value)
{
    if ((value ^ c->rflags) & FLAG_VM)
        return false;
    cpu_set_rflags(c, value);
    return true;
}

static bool set_canonical(uint64_t *field, uint64_t value)
{
    bool canonical = (uint64_t)((int64_t)(value << 7) >> 7) == value;

    if (canonical)
        *field = value;
    return canonical;
}

/* Unless it is executing, it does now. */
static void set_rip(struct cpu *c, uint64_t value)
{
    c->rip = value;
    c->shadow = SHADOW_NONE;
    if (c->activity == CPU_HALTED)
        c->activity = CPU_RUNNING;
}

static bool is_unchanged(const struct gdb_register *row, const struct cpu *c, const uint8_t *bytes)
{
    uint8_t now[GDB_REGISTER_BYTES];

    gdb_register_get(row, c, now);
    return !memcmp(now, bytes, row->bytes);
}

bool gdb_register_set(const struct gdb_register *row, struct cpu *c, const uint8_t *bytes)
{
    uint8_t *field = (uint8_t *)c + row->offset;
    uint64_t value = 0;

    memcpy(&value, bytes, bits_min(row->bytes, 8));
    switch ((enum kind)row->kind) {
    case KIND_PLAIN: memcpy(field, bytes, row->bytes); return true;
    case KIND_RIP: set_rip(c, value); return true;
    case KIND_FLAGS: return set_flags(c, value);
    case KIND_BASE: return set_canonical((uint64_t *)(void *)field, value);
    case KIND_MXCSR: c->mxcsr = (uint32_t)value & 0xffff; return true;
    case KIND_WORD: memcpy(field, bytes, 2); return true;
    case KIND_POINTER: memcpy(field, bytes, 4); return true;
    case KIND_TAGS: set_tags(&c->x87, (uint32_t)value); return true;
    case KIND_ST:
        memcpy(&c->x87.significand[physical(c, row->offset)], bytes, 8);
        memcpy(&c->x87.exponent[physical(c, row->offset)], bytes + 8, 2);
        return true;
    default: return is_unchanged(row, c, bytes);
    }
}
