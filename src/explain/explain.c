/*
 * explain.c - one instruction's journey, from its operands to the device's callback, drawn byte by byte.
 *
 * The world: long mode, RAM at 0 to 16 MiB and for 64 KiB on both sides of the one region (so that an access can cross
 * from memory into the device), every linear address mapped to itself up to 512 GiB.  The
 * instruction is run for real; what is drawn is what dispatch reported.
 */
#include "explain/explain.h"

#include "base/low.h"
#include "engine.h"
#include "explain/predict.h"
#include "jit/options.h"
#include "print/disasm.h"
#include "vcpu.h"
#include "x86/decode.h"

#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RAM_BYTES = 16 << 20, NEIGHBOUR_BYTES = 64 << 10, CODE_AT = 0x1000, TABLES_AT = 0x2000, STACK_AT = 0x8000, ACCESSES = 64 };

struct report {
    struct access access;
    struct split_list split;
    enum transaction_result whole;
};

struct world {
    const struct explain_request *request;
    struct phys phys;
    struct phys_memory ram, neighbour[2]; /* below and above the region */
    struct region region;
    struct region_ops ops;
    struct vcpu vcpu;
    struct report report[ACCESSES];
    unsigned reports;
};

/* -- the world ------------------------------------------------------------------------------------------------------ */

/* The device: remembers nothing, answers with its offsets, accepts everything. */
static enum transaction_result device_transact(void *state, struct transaction *t)
{
    (void)state;
    if (t->type != TRANSACTION_STORE && t->type != TRANSACTION_DIRECT_STORE && t->type != TRANSACTION_ENQUEUE)
        for (unsigned i = 0; i < t->width; i++)
            t->data.b[i] = (uint8_t)(t->offset + i);
    return TRANSACTION_OK;
}

static void observe(void *opaque, const struct dispatch_report *r)
{
    struct world *w = opaque;

    if (w->reports < ACCESSES)
        w->report[w->reports++] = (struct report){ *r->access, *r->split, r->whole };
}

static void world_map(struct world *w)
{
    uint64_t *pml4 = (uint64_t *)(void *)(w->ram.read + TABLES_AT), *pdpt = pml4 + 512;

    pml4[0] = (TABLES_AT + 0x1000) | 7;
    for (uint64_t i = 0; i < 512; i++)
        pdpt[i] = i << 30 | 0x87;
}

static void world_cpu(struct world *w)
{
    struct cpu *c = &w->vcpu.cpu;

    for (unsigned i = 0; i < 6; i++)
        c->seg[i] = (struct segment){ .selector = 8, .limit = UINT32_MAX,
                                      .ar = AR_P | AR_S | AR_G | AR_WRITABLE | AR_ACCESSED | (i == SEG_CS ? AR_CODE | AR_L : AR_DB) };
    c->cr0 = CR0_PE | CR0_PG | CR0_NE | CR0_MP | CR0_ET | CR0_WP;
    c->cr3 = TABLES_AT;
    c->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
    c->efer = EFER_LME | EFER_LMA;
    c->xcr0 = 0xe7;
    c->x87.control = 0x37f;
    c->rip = CODE_AT;
    memcpy(c->slot, w->request->registers, sizeof(w->request->registers));
    for (unsigned r = 0; r < 32; r++)
        for (unsigned i = 0; i < 64; i++)
            c->zmm[r].b[i] = (uint8_t)(0xc0 + i);
    for (unsigned i = 1; i < 8; i++)
        c->k[i] = 0x5555555555555555;
    vcpu_sync(&w->vcpu);
}

static void world_neighbour(struct world *w, unsigned i, uint64_t base)
{
    struct phys_memory *m = &w->neighbour[i];

    if (base % PAGE_BYTES || base < RAM_BYTES || base + NEIGHBOUR_BYTES < base)
        return;
    *m = (struct phys_memory){ .name = "ram", .base = base, .size = NEIGHBOUR_BYTES, .read = g_malloc0(NEIGHBOUR_BYTES), .enabled = true };
    m->write = m->read;
    phys_add_memory(&w->phys, m);
}

static void world_init(struct world *w, const struct explain_request *r)
{
    w->request = r;
    phys_init(&w->phys);
    w->ram = (struct phys_memory){ .name = "ram", .size = RAM_BYTES, .read = g_malloc0(RAM_BYTES), .enabled = true };
    w->ram.write = w->ram.read;
    phys_add_memory(&w->phys, &w->ram);
    w->ops = (struct region_ops){ .transact = device_transact, .limits = r->limits };
    w->region = (struct region){ .name = "device", .space = REGION_MMIO, .base = r->region_base, .size = r->region_bytes,
                                 .enabled = true, .priority = 1, .ops = &w->ops };
    w->phys.map.add(&w->phys.map, &w->region);
    world_neighbour(w, 0, r->region_base - NEIGHBOUR_BYTES);
    world_neighbour(w, 1, r->region_base + r->region_bytes);
    memcpy(w->ram.read + CODE_AT, r->bytes, r->n);
    world_map(w);
    vcpu_init(&w->vcpu, &w->phys);
    w->vcpu.bus.policy = r->policy;
    w->vcpu.bus.policy_arg = r->policy_arg;
    w->vcpu.bus.observe = observe;
    w->vcpu.bus.opaque = w;
    world_cpu(w);
}

static void world_free(struct world *w)
{
    vcpu_free(&w->vcpu);
    phys_free(&w->phys);
    g_free(w->ram.read);
    g_free(w->neighbour[0].read);
    g_free(w->neighbour[1].read);
}

/* -- drawing ---------------------------------------------------------------------------------------------------------- */

/* A box of n columns per byte: "[--]"; one byte is "|". */
static void draw_box(char *line, int at, unsigned width, unsigned total)
{
    for (unsigned i = 0; i < width; i++)
        if (at + (int)i >= 0 && at + (int)i < (int)total)
            line[at + (int)i] = width == 1 ? '|' : i == 0 ? '[' : i == width - 1 ? ']' : '-';
}

static void draw_split(const struct split_list *list, const struct access *a, const char *name, FILE *out)
{
    unsigned n = list->gives_up ? list->seen : list->n;
    char line[WIDE_BYTES + 1];
    enum split_reason last = SPLIT_WHOLE;

    memset(line, ' ', sizeof(line));
    line[a->width] = 0;
    for (unsigned i = 0; i < n; i++)
        draw_box(line, list->fragment[i].at, list->fragment[i].width, a->width);
    fprintf(out, "  %-8s %s  ", name, line);
    for (unsigned i = 0; i < n && i < 16; i++)
        fprintf(out, "%s%u", i ? "+" : "", list->fragment[i].width);
    if (n > 16)
        fprintf(out, "+... (%u fragments)", n);
    if (list->gives_up)
        fprintf(out, "%sgives up", n ? ", then " : "");
    for (unsigned i = 0; i < n; i++)
        if (list->fragment[i].reason != SPLIT_WHOLE && list->fragment[i].reason != last) {
            last = list->fragment[i].reason;
            fprintf(out, ", %s", split_reason_name(last));
        }
    fputc('\n', out);
}

static void draw_ruler(const struct access *a, FILE *out)
{
    char line[WIDE_BYTES + 1];

    memset(line, '.', sizeof(line));
    line[a->width] = 0;
    for (unsigned i = 0; i < a->width; i += 8)
        line[i] = '0' + (char)(i / 8 % 10);
    fprintf(out, "  %-8s %s  (a column a byte; digits count eights)\n", "byte", line);
    for (unsigned i = 0; i < a->width; i++)
        line[i] = a->enables >> i & 1 ? '*' : ' ';
    if (a->flags & TRANSACTION_MASKED)
        fprintf(out, "  %-8s %s\n", "enabled", line);
    memset(line, ' ', a->width);
    for (unsigned i = 0; i < a->pieces; i++)
        for (unsigned b = 0; b < a->piece[i].width; b++)
            line[a->piece[i].at + b] = a->piece[i].range->kind == PIECE_MEMORY ? 'M' : a->piece[i].range->kind == PIECE_REGION ? 'D' : '?';
    fprintf(out, "  %-8s %s  (M memory, D device, ? nobody)\n", "where", line);
}

static const char *type_name(const struct access *a)
{
    static const char *const names[] = { "load", "store", "fetch-add", "swap", "compare-swap", "direct store", "enqueue" };

    return names[a->type];
}

static void draw_access(const struct world *w, const struct report *r, unsigned i, FILE *out)
{
    const struct access *a = &r->access;

    fprintf(out, "\n1 access   %u. %s of %u bytes at %#" PRIx64 "%s%s%s\n", i + 1, type_name(a), a->width, a->gva,
            a->flags & TRANSACTION_LOCKED ? ", locked" : "", a->flags & TRANSACTION_NON_TEMPORAL ? ", non-temporal" : "",
            a->flags & TRANSACTION_MASKED ? ", masked" : "");
    fprintf(out, "2 tlb, 3 walk   page %#" PRIx64 "%s, resolved before any byte moves\n", a->gva & ~(uint64_t)PAGE_OFFSET,
            (a->gva ^ (a->gva + a->width - 1)) & ~(uint64_t)PAGE_OFFSET ? " and the next" : "");
    fprintf(out, "4 phys    ");
    for (unsigned p = 0; p < a->pieces; p++)
        fprintf(out, "%s %u bytes in %s", p ? "," : "", a->piece[p].width,
                a->piece[p].range->kind == PIECE_REGION ? "the device" : a->piece[p].range->kind == PIECE_MEMORY ? "memory" : "a hole");
    fprintf(out, "\n5 dispatch   policy %s: %u transaction%s\n", w->request->policy->name, r->split.n, r->split.n == 1 ? "" : "s");
    for (unsigned f = 0; f < r->split.n; f++) {
        const struct split_fragment *s = &r->split.fragment[f];
        const struct piece *p = &a->piece[s->piece];

        fprintf(out, "     %2u  %-5s %2u bytes at offset %#" PRIx64 ": %s\n", f + 1,
                s->type == TRANSACTION_LOAD ? "load" : s->type == TRANSACTION_STORE ? "store" : "typed", s->width,
                p->gpa - w->region.base + (uint64_t)(s->at - p->at), split_reason_name(s->reason));
    }
}

static void draw_policies(const struct report *r, FILE *out)
{
    static const unsigned bus = 16;

    fprintf(out, "\nThe same access under every policy:\n");
    draw_ruler(&r->access, out);
    for (unsigned i = 0; split_policies[i]; i++) {
        struct split_list *list = g_new0(struct split_list, 1);
        bool is_bus = split_policies[i] == &split_bus;

        split(split_policies[i], is_bus ? bus : 0, &r->access, list);
        draw_split(list, &r->access, is_bus ? "bus:16" : split_policies[i]->name, out);
        g_free(list);
    }
}

/* -- what the recorded KVM did ------------------------------------------------------------------------------------------ */

/* The placement of fragmentation tables that this address is, or NULL (tests/vectors/README). */
static const char *placement_of(const struct access *a)
{
    bool page = (a->gva ^ (a->gva + a->width - 1)) & ~(uint64_t)PAGE_OFFSET;

    if (a->pieces > 1 && (a->piece[0].range->kind != PIECE_REGION || a->piece[a->pieces - 1].range->kind != PIECE_REGION))
        return a->piece[0].range->kind == PIECE_REGION ? "mr" : "rm";
    if (page)
        return "pg";
    return a->gva % 64 == 0 ? "al" : a->gva % 64 == 1 ? "u1" : a->gva % 64 == 4 ? "u4" : a->gva % 64 == 8 ? "a8" : NULL;
}

/* "mov qword ptr [rdi], rax" and "mov [rdi],rax" are one form: no spaces, no size words. */
static char *normal_form(const char *text)
{
    static const char *const words[] = { "byte ptr", "dword ptr", "qword ptr", "xmmword ptr", "ymmword ptr", "zmmword ptr",
                                         "oword ptr", "word ptr" };
    GString *s = g_string_new(text);
    char *out;

    for (unsigned i = 0; i < ARRAY_LEN(words); i++)
        g_string_replace(s, words[i], "", 0);
    g_string_replace(s, " ", "", 0);
    out = g_string_free(s, FALSE);
    return out;
}

static void print_recorded(const struct explain_request *r, const char *text, const struct access *a, FILE *out)
{
    const char *placement = placement_of(a);
    char *form = normal_form(text), *data = NULL, **lines;
    bool found = false;

    if (!r->vectors || !placement || !g_file_get_contents(r->vectors, &data, NULL, NULL)) {
        g_free(form);
        return;
    }
    lines = g_strsplit(data, "\n", -1);
    for (unsigned i = 0; lines[i] && !found; i++) {
        char **c = *lines[i] == '#' ? NULL : g_strsplit(lines[i], "\t", -1);

        if (c && g_strv_length(c) >= 10 && !strcmp(c[5], placement)) {
            char *other = normal_form(c[3]);

            found = !strcmp(other, form);
            if (found)
                fprintf(out, "\nRecorded KVM (kernel 6.18), placement %s: CPL 0 %s %s; CPL 3 %s %s\n", c[5], c[6], c[7], c[8], c[9]);
            g_free(other);
        }
        g_strfreev(c);
    }
    if (!found)
        fprintf(out, "\nRecorded KVM: no row for this form and placement\n");
    g_strfreev(lines);
    g_free(data);
    g_free(form);
}

/* -- the JIT ------------------------------------------------------------------------------------------------------------- */

/* Which host instructions carry it out, and what they call when the TLB does not know, or knows a device. */
static void print_host_code(struct world *w, unsigned length, FILE *out)
{
    char *text = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);
    struct err err;
    void *jit;

    w->ram.read[CODE_AT + length] = 0xf4; /* hlt: where the block ends */
    jit_options.hot = 0;
    jit_options.cache_bytes = MIB(1);
    jit = jit_usable(&err) ? engine_jit.create(&w->vcpu, &err) : NULL;
    if (jit && jit_print_insn(jit, memory)) {
        fflush(memory);
        fprintf(out, "\nHost code of the JIT:\n%s", text);
    } else {
        fprintf(out, "\nHost code of the JIT: %s\n", jit ? "none, the interpreter carries it out" : err.text);
    }
    if (jit)
        engine_jit.destroy(jit);
    fclose(memory);
    free(text);
}

/* -- running ------------------------------------------------------------------------------------------------------------- */

static const char *vector_name(int vector)
{
    static const char *const names[] = { "#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "?", "#TS", "#NP", "#SS",
                                         "#GP", "#PF", "?", "#MF", "#AC", "#MC", "#XM" };

    return (size_t)vector < ARRAY_LEN(names) ? names[vector] : "?";
}

static void print_outcome(const struct world *w, int vector, FILE *out)
{
    if (vector >= 0)
        fprintf(out, "\nThe instruction faults: vector %d (%s). %s\n", vector, vector_name(vector),
                w->reports ? "What is above was done before; each was whole." : "No device and no memory byte was touched before.");
    else if (!w->reports)
        fprintf(out, "\nIt touches no device.\n");
}

/* Runs it; the fault's vector, or -1.  With no IDT, a fault's delivery ends in shutdown: the first one counts. */
static int world_run(struct world *w, struct err *err)
{
    void *interp = engine_interp.create(&w->vcpu, err);

    w->vcpu.cpu.idtr.limit = 0;
    engine_interp.run(interp, 1, err);
    engine_interp.destroy(interp);
    return w->vcpu.cpu.activity == CPU_SHUTDOWN ? w->vcpu.first_fault : -1;
}

/* The access worth comparing: the first of those that reach the device with most bytes. */
static const struct report *widest(const struct world *w)
{
    const struct report *best = &w->report[0];

    for (unsigned i = 1; i < w->reports; i++)
        if (w->report[i].access.width > best->access.width)
            best = &w->report[i];
    return best;
}

bool explain(const struct explain_request *r, FILE *out, struct err *err)
{
    struct world *w;
    struct insn insn;
    char text[128];
    int vector;

    if (decode(MODE_CODE64 | MODE_LONG | MODE_PROTECTED, r->bytes, r->n, &insn) != DECODE_OK)
        return err_set(err, "these bytes are no instruction");
    w = low_alloc(sizeof(*w)); /* the JIT wants its vcpu there */
    world_init(w, r);
    disasm_one(r->mode, r->bytes, insn.length, CODE_AT, text, sizeof(text));
    fprintf(out, "%s   ", text);
    for (unsigned i = 0; i < insn.length; i++)
        fprintf(out, " %02x", r->bytes[i]);
    fputc('\n', out);
    vector = world_run(w, err);
    for (unsigned i = 0; i < w->reports; i++)
        draw_access(w, &w->report[i], i, out);
    print_outcome(w, vector, out);
    if (w->reports) {
        const struct report *wide = widest(w);

        draw_policies(wide, out);
        print_recorded(r, text, &wide->access, out);
    }
    world_cpu(w);
    print_host_code(w, insn.length, out);
    world_free(w);
    low_free(w, sizeof(*w));
    return true;
}

/* -- limits ------------------------------------------------------------------------------------------------------------------ */

/* "4", "1-64", "1/2/4": powers of two as a mask. */
static bool parse_widths(const char *text, uint8_t *mask)
{
    char **parts = g_strsplit(text, "/", -1);
    bool ok = *parts;

    *mask = 0;
    for (unsigned i = 0; parts[i] && ok; i++) {
        unsigned first = 0, last = 0;
        char end;

        if (sscanf(parts[i], "%u-%u%c", &first, &last, &end) != 2 && (last = 0, sscanf(parts[i], "%u%c", &first, &end) != 1))
            ok = false;
        last = last ? last : first;
        ok = ok && first && first <= last && last <= 64 && bits_is_pow2(first) && bits_is_pow2(last);
        for (unsigned w = first; ok && w <= last; w *= 2)
            *mask |= (uint8_t)w;
    }
    g_strfreev(parts);
    return ok;
}

bool explain_parse_limits(const char *text, struct region_limits *l, struct err *err)
{
    char **parts = g_strsplit(text, ",", -1);
    bool ok = true;

    *l = (struct region_limits){ .widths = W_ALL, .flags = REGION_UNALIGNED | REGION_ODD };
    for (unsigned i = 0; parts[i] && ok; i++) {
        const char *p = parts[i];

        if (g_str_has_prefix(p, "widths=")) {
            ok = parse_widths(p + 7, &l->widths);
            if (ok && l->widths != W_ALL)
                l->flags = 0;
        } else if (!strcmp(p, "unaligned")) {
            l->flags |= REGION_UNALIGNED;
        } else if (!strcmp(p, "odd")) {
            l->flags |= REGION_UNALIGNED | REGION_ODD;
        } else if (!strcmp(p, "enables")) {
            l->flags |= REGION_ENABLES;
        } else if (!strcmp(p, "direct")) {
            l->types |= 1 << TRANSACTION_DIRECT_STORE | 1 << TRANSACTION_ENQUEUE;
        } else if (!strcmp(p, "atomics")) {
            l->types |= 1 << TRANSACTION_FETCH_ADD | 1 << TRANSACTION_SWAP | 1 << TRANSACTION_COMPARE_SWAP;
            l->atomic_widths = W4 | W8 | W16;
        } else {
            ok = !*p;
        }
        if (!ok)
            err_set(err, "--region: cannot read '%s' (widths=1-64, widths=4/8, unaligned, odd, enables, atomics, direct)", p);
    }
    g_strfreev(parts);
    return ok;
}
