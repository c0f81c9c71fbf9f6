/*
 * scene.c - placements and setups.
 *
 * Contents of pages are those of the measured guests, so that the data of writes can be compared: see recorder_byte()
 * and ram_byte().  What the setups mean was told from the measured rows.
 */
#include "lib/scene.h"

#include "kvm/kvm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECORDER_GPA UINT64_C(0xfe000000)
#define RAM_GPA UINT64_C(0x40000000)
#define MOFFS_MARK UINT64_C(0x1122334455667788)

static uint8_t ram_byte(unsigned offset) { return (uint8_t)(11 * offset ^ offset >> 8 ^ 0x33); }

/* The source page has the contents of the first operand page: so it was measured. */
static unsigned content_offset(unsigned page, unsigned i)
{
    return (page == SCENE_SOURCE_PAGE ? 0 : page * PAGE_BYTES) + i;
}

static void reset_ram(struct scene *s)
{
    for (unsigned page = 0; page < SCENE_RAM_PAGES; page++)
        for (unsigned i = 0; i < PAGE_BYTES; i++)
            s->ram[page * PAGE_BYTES + i] = ram_byte(content_offset(page, i));
    memset(s->g.ram + GUEST_STACK, 0, PAGE_BYTES);
}

/* -- placements ----------------------------------------------------------------------------------------------------- */

static const struct placement {
    const char *name;
    unsigned align;             /* offset in the first page; 0: by `first` */
    bool line;                  /* across a line, not a page */
    enum { BY_HALF_LESS_ONE, BY_THREE_QUARTERS, BY_HALF } cut;
    struct scene_page page[2];
} placements[] = {
#define DEVICE(n) { true, true, false, n }
#define DEVICE_RO(n) { true, false, false, n }
#define MEMORY(n) { true, true, true, n }
#define MEMORY_RO(n) { true, false, true, n }
#define NOTHING { false, false, false, 0 }
    { "al", 64, false, 0, { DEVICE(0), DEVICE(1) } },
    { "u1", 65, false, 0, { DEVICE(0), DEVICE(1) } },
    { "u4", 68, false, 0, { DEVICE(0), DEVICE(1) } },
    { "a8", 72, false, 0, { DEVICE(0), DEVICE(1) } },
    { "cl", 0, true, 0, { DEVICE(0), DEVICE(1) } },
    { "pg", 0, false, 0, { DEVICE(0), DEVICE(1) } },
    { "pd", 0, false, 0, { DEVICE(5), DEVICE(9) } },
    { "pf", 0, false, 0, { DEVICE(11), NOTHING } },
    { "pw", 0, false, 0, { DEVICE(13), DEVICE_RO(15) } },
    { "rm", 0, false, 0, { MEMORY(0), DEVICE(1) } },
    { "mr", 0, false, 0, { DEVICE(3), MEMORY(1) } },
    { "fp", 0, false, 0, { NOTHING, DEVICE(5) } },
    { "rf", 0, false, 0, { MEMORY(0), NOTHING } },
    { "rw", 0, false, 0, { MEMORY(0), DEVICE_RO(1) } },
    { "mw", 0, false, 0, { DEVICE(9), MEMORY_RO(SCENE_READ_ONLY_PAGE) } },
    { "qf", 0, false, BY_THREE_QUARTERS, { DEVICE(11), NOTHING } },
    { "hf", 0, false, BY_HALF, { DEVICE(11), NOTHING } },
};

static const struct placement *find_placement(const char *name)
{
    for (unsigned i = 0; i < ARRAY_LEN(placements); i++)
        if (!strcmp(placements[i].name, name))
            return &placements[i];
    abort();
}

/* How many bytes of the operand lie before the edge. */
static unsigned first_part(const struct placement *p, unsigned width)
{
    unsigned usual = width < 4 ? bits_min(1, width) : (unsigned)bits_min(255, width / 2 - 1);

    switch (p->cut) {
    case BY_THREE_QUARTERS: return width < 8 ? 1 : width * 3 / 4 + 1;
    case BY_HALF: return width < 2 ? 1 : width / 2;
    default: return usual;
    }
}

static void place(struct scene *s, const struct vector_row *row)
{
    const struct placement *p = find_placement(row->placement);

    memcpy(s->page, p->page, sizeof(s->page));
    s->operand = SCENE_OPERAND + (p->align ? p->align : (p->line ? 128 : PAGE_BYTES) - first_part(p, row->width));
    for (unsigned i = 0; i < 2; i++) {
        const struct scene_page *page = &s->page[i];

        guest_map(&s->g, SCENE_OPERAND + i * PAGE_BYTES, (page->ram ? RAM_GPA : RECORDER_GPA) + page->page * PAGE_BYTES,
                  (page->present ? GUEST_PRESENT : 0) | (page->writable ? GUEST_WRITABLE : 0));
    }
}

/* The byte behind a linear address of the operand's pages; NULL where there is none. */
static uint8_t *byte_at(struct scene *s, uint64_t gva)
{
    uint64_t at = gva - SCENE_OPERAND;
    const struct scene_page *page = &s->page[at / PAGE_BYTES & 1];

    if (at >= 2 * PAGE_BYTES || !page->present)
        return NULL;
    return (page->ram ? s->ram : s->recorder.bytes) + page->page * PAGE_BYTES + at % PAGE_BYTES;
}

static void put(struct scene *s, unsigned offset, uint64_t value, unsigned width)
{
    for (unsigned i = 0; i < width; i++) {
        uint8_t *byte = byte_at(s, s->operand + offset + i);

        if (byte)
            *byte = (uint8_t)(value >> 8 * i);
    }
}

static uint64_t get(struct scene *s, unsigned offset, unsigned width)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < width; i++) {
        const uint8_t *byte = byte_at(s, s->operand + offset + i);

        value |= (uint64_t)(byte ? *byte : 0) << 8 * i;
    }
    return value;
}

/* -- state ---------------------------------------------------------------------------------------------------------- */

static void set_vectors(struct cpu *c)
{
    for (unsigned r = 0; r < 32; r++)
        for (unsigned i = 0; i < 64; i++)
            c->zmm[r].b[i] = (uint8_t)(r == 0 ? 0xc0 + i : r == 1 ? 0xff : 0);
    for (unsigned i = 0; i < 16; i++)
        c->zmm[2].w[i] = i;
    for (unsigned i = 0; i < 8; i++)
        c->k[i] = UINT64_C(0x5555555555555555);
    c->x87.significand[0] = UINT64_C(0x8786858483828180);
    c->x87.significand[1] = UINT64_MAX;
}

static void set_registers(struct scene *s, const struct vector_row *row)
{
    struct cpu *c = &s->g.vcpu.cpu;

    c->slot[RAX] = UINT64_C(0x1122334455667788);
    c->slot[RBX] = 0x2222;
    c->slot[RCX] = strstr(row->insn, "rep") ? 5 : 4;
    c->slot[RDX] = RECORDER_PORT;
    c->slot[RSI] = c->slot[RDI] = s->operand;
    c->slot[RBP] = GUEST_STACK_TOP - 0x800;
    c->slot[RSP] = GUEST_STACK_TOP - 0x400;
    for (unsigned i = R8; i < GPRS; i++)
        c->slot[i] = i * UINT64_C(0x0101010101010101);
    cpu_set_rflags(c, FLAG_ONE | FLAG_IOPL);
    c->seg[SEG_TR].selector = 0x30; /* what STR was measured to store */
    set_vectors(c);
}

static void set_up_string(struct scene *s, const struct vector_row *row)
{
    struct cpu *c = &s->g.vcpu.cpu;
    bool both = vectors_has_word(row->setup, "s_mmio") && vectors_has_word(row->setup, "d_mmio");

    if (both)
        c->slot[RSI] = s->operand + 1024;
    if (vectors_has_word(row->setup, "s_ram"))
        c->slot[RSI] = SCENE_SOURCE;
    if (!vectors_has_word(row->setup, "d_ram"))
        return;
    c->slot[RDI] = SCENE_DEST;
    for (unsigned i = 0; i < 64; i++) { /* every byte that is copied there shows */
        const uint8_t *byte = byte_at(s, s->operand + i);

        s->ram[SCENE_DEST_PAGE * PAGE_BYTES + i] = byte ? (uint8_t)~*byte : 0;
    }
}

static void set_up_match(struct scene *s, const struct vector_row *row)
{
    struct cpu *c = &s->g.vcpu.cpu;
    unsigned half = row->width == 16 ? 8 : 4;

    if (strstr(row->insn, "cmpxchg8b") || strstr(row->insn, "cmpxchg16b")) {
        c->slot[RAX] = get(s, 0, half);
        c->slot[RDX] = get(s, half, half);
    } else {
        c->slot[RAX] = get(s, 0, row->width);
    }
}

static void set_up_stack(struct scene *s, const struct vector_row *row)
{
    uint64_t *rsp = &s->g.vcpu.cpu.slot[RSP];

    if (vectors_has_word(row->setup, "sp"))
        *rsp = s->operand;
    if (vectors_has_word(row->setup, "sp_after") || vectors_has_word(row->setup, "sp_after2"))
        *rsp = s->operand + row->width;
    if (vectors_has_word(row->setup, "sp_after40"))
        *rsp = s->operand + 40;
    if (vectors_has_word(row->setup, "bp"))
        s->g.vcpu.cpu.slot[RBP] = s->operand;
}

static void set_up_far(struct scene *s, const struct vector_row *row, enum guest_ring ring)
{
    uint16_t data = ring == GUEST_CPL0 ? 0x10 : 0x2b;

    if (vectors_has_word(row->setup, "seg"))
        put(s, 0, data, 2);
    if (vectors_has_word(row->setup, "segptr"))
        put(s, 4, data, 2);
    if (vectors_has_word(row->setup, "segptr10"))
        put(s, 8, data, 2);
    if (vectors_has_word(row->setup, "lret") || strstr(row->insn, "fword"))
        if (!strstr(row->setup, "segptr"))
            put(s, 8, 0x08, 2);
    if (vectors_has_word(row->setup, "lret"))
        put(s, 10, 0, 6);
}

static void set_up_x87(struct scene *s)
{
    struct x87 *x = &s->g.vcpu.cpu.x87;

    x->status = 7 << 11;
    x->valid = 1 << 7;
    x->significand[7] = UINT64_C(1) << 63;
    x->exponent[7] = 0x3fff;
}

static void set_up(struct scene *s, const struct vector_row *row, const struct snippet *code, enum guest_ring ring)
{
    struct cpu *c = &s->g.vcpu.cpu;

    if (vectors_has_word(row->setup, "code") || vectors_has_word(row->setup, "lret"))
        put(s, 0, GUEST_CODE + code->length, 8);
    if (vectors_has_word(row->setup, "rdx0"))
        c->slot[RDX] = 0;
    if (vectors_has_word(row->setup, "match"))
        set_up_match(s, row);
    if (vectors_has_word(row->setup, "bit"))
        c->slot[RAX] = 1003;
    if (vectors_has_word(row->setup, "bx"))
        c->slot[RBX] = s->operand, c->slot[RAX] = 0;
    if (vectors_has_word(row->setup, "rax"))
        c->slot[RAX] = s->operand;
    if (vectors_has_word(row->setup, "fpu1"))
        set_up_x87(s);
    if (vectors_has_word(row->setup, "mxcsr"))
        put(s, 0, 0x1f80, 4);
    if (vectors_has_word(row->setup, "xs")) {
        c->slot[RAX] = 7, c->slot[RDX] = 0;
        for (unsigned at = 512; at < 576; at += 8)
            put(s, at, 0, 8);
        put(s, 24, 0x1f80, 8);
    }
    if (strstr(row->insn, "lgdt") || strstr(row->insn, "lidt")) {
        const struct descriptor_table *table = strstr(row->insn, "lgdt") ? &c->gdtr : &c->idtr;

        put(s, 0, table->limit, 2);
        put(s, 2, table->base, 8);
    }
    set_up_stack(s, row);
    set_up_far(s, row, ring);
    set_up_string(s, row);
}

/* -- running -------------------------------------------------------------------------------------------------------- */

static void observe(void *opaque, const struct dispatch_report *report)
{
    struct scene *s = opaque;

    if (s->accesses < PREDICT_ACCESSES)
        s->access[s->accesses++] = *report->access;
}

/* What to hand to the assembler for the tables' spelling. */
static const char *assembly(const char *insn)
{
    static const struct { const char *from, *to; } spelling[] = {
        { "lfs rax,tbyte ptr [rdi]", ".byte 0x48, 0x0f, 0xb4, 0x07" }, /* as refuses it */
        { "mov al,[moffs64]", "movabs al, ds:[0x1122334455667788]" },
        { "mov eax,[moffs64]", "movabs eax, ds:[0x1122334455667788]" },
        { "mov rax,[moffs64]", "movabs rax, ds:[0x1122334455667788]" },
        { "mov [moffs64],al", "movabs ds:[0x1122334455667788], al" },
        { "mov [moffs64],eax", "movabs ds:[0x1122334455667788], eax" },
        { "mov [moffs64],rax", "movabs ds:[0x1122334455667788], rax" },
    };

    for (unsigned i = 0; i < ARRAY_LEN(spelling); i++)
        if (!strcmp(insn, spelling[i].from))
            return spelling[i].to;
    return insn;
}

static void set_code(struct scene *s, const struct snippet *code)
{
    uint8_t bytes[SNIPPET_BYTES];
    unsigned skip = code->bytes[0] == 0xfd; /* STD */

    memcpy(bytes, code->bytes, code->length);
    for (unsigned i = 0; i + 8 <= code->length; i++) {
        uint64_t value;

        memcpy(&value, bytes + i, 8);
        if (value == MOFFS_MARK)
            memcpy(bytes + i, &s->operand, 8);
    }
    guest_set_code(&s->g, GUEST_CODE, bytes, code->length);
    if (decode(MODE_CODE64 | MODE_LONG | MODE_PROTECTED, bytes + skip, code->length - skip, &s->insn) != DECODE_OK)
        s->insn = (struct insn){ 0 };
}

void scene_run(struct scene *s, const struct vector_row *row, const struct snippet *code, enum guest_ring ring,
               const struct split_policy *policy)
{
    recorder_reset(&s->recorder);
    if (s->constant)
        memset(s->recorder.bytes, 0x5a, RECORDER_BYTES);
    reset_ram(s);
    guest_reset(&s->g, ring);
    place(s, row);
    set_code(s, code);
    set_registers(s, row);
    set_up(s, row, code, ring);
    memcpy(s->ram + SCENE_RAM_PAGES * PAGE_BYTES, s->ram, SCENE_RAM_PAGES * PAGE_BYTES);
    s->before = s->g.vcpu.cpu;
    if (code->bytes[0] == 0xfd)
        s->before.rflags |= FLAG_DF;
    s->accesses = 0;
    s->g.vcpu.bus.policy = policy;
    if (s->g.engine->id == ENGINE_KVM)
        kvm_forget_tables(((const struct kvm_engine *)s->g.self)->vm, &(struct err){ "" });
    s->end = guest_run(&s->g, 1000);
}

bool scene_create(struct scene *s, const struct engine *engine, struct err *err)
{
    memset(s, 0, sizeof(*s));
    if (!guest_create(&s->g, engine, err))
        return false;
    s->g.vcpu.assist.mode = ASSIST_INSTRUCTION;
    s->ram = aligned_alloc(PAGE_BYTES, 2 * SCENE_RAM_PAGES * PAGE_BYTES); /* and a copy: what was there before */
    if (!s->ram)
        abort();
    s->memory = (struct phys_memory){
        .name = "operands", .base = RAM_GPA, .size = SCENE_RAM_PAGES * PAGE_BYTES, .read = s->ram, .write = s->ram,
        .enabled = true,
    };
    phys_add_memory(&s->g.phys, &s->memory);
    recorder_init(&s->recorder, &s->g.phys, RECORDER_GPA);
    guest_map(&s->g, SCENE_DEST, RAM_GPA + SCENE_DEST_PAGE * PAGE_BYTES, GUEST_PRESENT | GUEST_WRITABLE);
    guest_map(&s->g, SCENE_SOURCE & ~(uint64_t)PAGE_OFFSET, RAM_GPA + SCENE_SOURCE_PAGE * PAGE_BYTES,
              GUEST_PRESENT | GUEST_WRITABLE);
    s->g.vcpu.bus.observe = observe;
    s->g.vcpu.bus.opaque = s;
    return true;
}

void scene_destroy(struct scene *s)
{
    guest_destroy(&s->g);
    free(s->ram);
}

/* -- what happened -------------------------------------------------------------------------------------------------- */

int scene_operand_offset(const struct scene *s, unsigned offset)
{
    for (unsigned i = 0; i < 2; i++)
        if (!s->page[i].ram && s->page[i].page == offset / PAGE_BYTES)
            return (int)(SCENE_OPERAND + i * PAGE_BYTES + offset % PAGE_BYTES - s->operand);
    return INT32_MAX;
}

static int ram_offset(const struct scene *s, unsigned page, unsigned i)
{
    for (unsigned n = 0; n < 2; n++)
        if (s->page[n].ram && s->page[n].page == page)
            return (int)(SCENE_OPERAND + n * PAGE_BYTES + i - s->operand);
    return 100000 + (int)i;
}

void scene_ram_changed(const struct scene *s, char *text, size_t size)
{
    const uint8_t *before = s->ram + SCENE_RAM_PAGES * PAGE_BYTES;

    *text = 0;
    for (unsigned at = 0; at < SCENE_RAM_PAGES * PAGE_BYTES && strlen(text) + 16 < size; at++)
        if (s->ram[at] != before[at])
            snprintf(text + strlen(text), size - strlen(text), "%s%+d", *text ? "," : "",
                     ram_offset(s, at / PAGE_BYTES, at % PAGE_BYTES));
    if (!*text)
        strcpy(text, "-");
}

void scene_print_outcome(const struct scene *s, char *text, size_t size)
{
    static const char *const names[] = { "#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "?", "#TS",
                                         "#NP", "#SS", "#GP", "#PF", "?", "#MF", "#AC", "#MC", "#XM" };
    const struct guest_end *end = &s->end;

    if (end->stuck)
        snprintf(text, size, "stuck (stop %d)", end->stop);
    else if (end->stop == STOP_SHUTDOWN)
        snprintf(text, size, "shutdown");
    else if (end->vector < 0)
        snprintf(text, size, "ok");
    else if (end->vector == EXCEPTION_PF)
        snprintf(text, size, "#PF@%+d", (int)(end->cr2 - s->operand));
    else
        snprintf(text, size, "%s", names[bits_min((unsigned)end->vector, ARRAY_LEN(names) - 1)]);
}

/* -- the tables' instructions ----------------------------------------------------------------------------------------- */

void scene_collect_forms(const struct vectors *v, struct snippet forms[VECTOR_FORMS])
{
    for (size_t i = 0; i < v->n; i++)
        if (v->row[i].id < VECTOR_FORMS)
            forms[v->row[i].id].text = assembly(v->row[i].insn);
}

bool scene_assemble_forms(struct snippet forms[VECTOR_FORMS])
{
    static struct snippet packed[VECTOR_FORMS];
    size_t n = 0;

    for (unsigned i = 0; i < VECTOR_FORMS; i++)
        if (forms[i].text)
            packed[n++] = forms[i];
    if (!assemble(packed, n))
        return false;
    n = 0;
    for (unsigned i = 0; i < VECTOR_FORMS; i++)
        if (forms[i].text)
            forms[i] = packed[n++];
    return true;
}
