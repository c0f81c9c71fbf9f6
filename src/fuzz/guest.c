/* guest.c - page tables, descriptor tables, handlers. */
#include "fuzz/guest.h"

#include "base/bits.h"
#include "jit/jit.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    GUEST_TABLES = 0x100000, GUEST_IDT = 0x9000, GUEST_TSS = 0xa000,
    GUEST_HANDLERS = 0xb000, GUEST_IST_TOP = GUEST_HANDLER_STACK + 0x1000, HANDLER_BYTES = 16, VECTORS = 64,
    PTE_P = 1, PTE_W = 2, PTE_U = 4, SELECTOR_TR = 0x40,
};
#define PTE_NX (UINT64_C(1) << 63)

static void put64(struct guest *g, uint64_t at, uint64_t value) { memcpy(g->ram + at, &value, 8); }

static uint64_t get64(const struct guest *g, uint64_t at)
{
    uint64_t value;

    memcpy(&value, g->ram + at, 8);
    return value;
}

uint64_t guest_entry(struct guest *g, uint64_t gva, unsigned level)
{
    uint64_t table = g->root;

    for (unsigned shift = 39; shift > 3 + level * 9; shift -= 9) {
        uint64_t at = table + (gva >> shift & 511) * 8;

        if (!get64(g, at)) {
            assert(g->next_table < GUEST_RAM);
            put64(g, at, g->next_table | PTE_P | PTE_W | PTE_U);
            g->next_table += PAGE_BYTES;
        }
        table = get64(g, at) & ~(uint64_t)PAGE_OFFSET;
    }
    return table + (gva >> (3 + level * 9) & 511) * 8;
}

void guest_map(struct guest *g, uint64_t gva, uint64_t gpa, unsigned flags)
{
    put64(g, guest_entry(g, gva, 1),
          flags & GUEST_PRESENT ? gpa | PTE_P | (flags & GUEST_SUPERVISOR ? 0 : PTE_U) | (flags & GUEST_WRITABLE ? PTE_W : 0) |
                                      (flags & GUEST_NO_EXECUTE ? PTE_NX : 0)
                                : 0);
}

void guest_new_root(struct guest *g)
{
    g->root = g->next_table;
    g->next_table += PAGE_BYTES;
    for (uint64_t at = 0; at < GUEST_RAM; at += PAGE_BYTES)
        guest_map(g, at, at, GUEST_PRESENT | GUEST_WRITABLE);
}

static uint64_t descriptor(unsigned access, unsigned flags)
{
    return UINT64_C(0x0000ffff) | (uint64_t)access << 40 | UINT64_C(0xf) << 48 | (uint64_t)flags << 52;
}

static void build_gdt(struct guest *g)
{
    put64(g, GUEST_GDT + 0x08, descriptor(0x9b, 0xa)); /* kernel code, 64-bit */
    put64(g, GUEST_GDT + 0x10, descriptor(0x93, 0xc)); /* kernel data */
    put64(g, GUEST_GDT + 0x20, descriptor(0xfb, 0xc)); /* user code, 32-bit */
    put64(g, GUEST_GDT + 0x28, descriptor(0xf3, 0xc)); /* user data */
    put64(g, GUEST_GDT + 0x30, descriptor(0xfb, 0xa)); /* user code, 64-bit */
    put64(g, GUEST_GDT + SELECTOR_TR, UINT64_C(0x00008b0000000067) | (uint64_t)GUEST_TSS << 16);
    put64(g, GUEST_TSS + 4, GUEST_IST_TOP);
    put64(g, GUEST_TSS + 36, GUEST_IST_TOP);
    g->ram[GUEST_TSS + 102] = 0x68; /* no I/O permission bitmap */
}

/* Interrupt gates; the user may INT3 and INTO. */
static void build_idt(struct guest *g)
{
    for (unsigned i = 0; i < VECTORS; i++) {
        uint64_t handler = GUEST_HANDLERS + i * HANDLER_BYTES, dpl = i == 3 || i == 4 ? 3 : 0;

        put64(g, GUEST_IDT + i * 16, (handler & 0xffff) | UINT64_C(0x08) << 16 | UINT64_C(1) << 32 |
                                         (UINT64_C(0x8e) | dpl << 5) << 40 | handler >> 16 << 48);
        g->ram[handler] = 0xf4;
    }
}

/* Many engines are made and soon destroyed: a small cache will do. */
static void *create_engine(const struct engine *engine, struct vcpu *v, struct err *err)
{
    void *self;

    if (engine->id == ENGINE_JIT && !jit_usable(err))
        return NULL;
    jit_options.hot = jit_options.patience = 0;
    jit_options.cache_bytes = MIB(1);
    self = engine->create(v, err);
    if (!self || engine->id != ENGINE_JIT || ((const struct jit *)self)->usable)
        return self;
    engine->destroy(self);
    err_set(err, "the JIT interprets");
    return NULL;
}

bool guest_create(struct guest *g, const struct engine *engine, struct err *err)
{
    memset(g, 0, sizeof(*g));
    g->engine = engine;
    g->ram = aligned_alloc(PAGE_BYTES, GUEST_RAM);
    if (!g->ram)
        abort();
    memset(g->ram, 0, GUEST_RAM);
    phys_init(&g->phys);
    g->memory = (struct phys_memory){ .name = "ram", .size = GUEST_RAM, .read = g->ram, .write = g->ram, .enabled = true };
    phys_add_memory(&g->phys, &g->memory);
    g->next_table = GUEST_TABLES;
    guest_new_root(g);
    build_gdt(g);
    build_idt(g);
    vcpu_init(&g->vcpu, &g->phys);
    g->self = create_engine(engine, &g->vcpu, err);
    if (g->self)
        return true;
    guest_destroy(g);
    return false;
}

void guest_destroy(struct guest *g)
{
    if (g->self)
        g->engine->destroy(g->self);
    vcpu_free(&g->vcpu);
    phys_free(&g->phys);
    free(g->ram);
}

static void wrote_code(struct guest *g, uint64_t at, uint64_t n)
{
    for (uint64_t i = at & ~UINT64_C(63); i < at + n; i += 64)
        g->vcpu.bus.wrote(g->vcpu.bus.wrote_opaque, i, 64);
}

void guest_set_code(struct guest *g, uint64_t at, const uint8_t *bytes, unsigned n)
{
    if (!g->code_bytes) {
        memset(g->ram + GUEST_CODE, 0xcc, PAGE_BYTES);
        wrote_code(g, GUEST_CODE, PAGE_BYTES);
    }
    memset(g->ram + g->code, 0xcc, g->code_bytes);
    wrote_code(g, g->code, g->code_bytes);
    memcpy(g->ram + at, bytes, n);
    wrote_code(g, at, n + 1); /* and the CC behind it */
    g->code = at;
    g->code_bytes = n;
}

static struct segment flat(uint16_t selector, uint32_t ar)
{
    return (struct segment){ .selector = selector, .ar = ar, .limit = UINT32_MAX };
}

static struct segment small(uint16_t selector, uint64_t base, uint32_t ar)
{
    return (struct segment){ .selector = selector, .ar = ar, .base = base, .limit = 0xffff };
}

static void set_segments(struct cpu *c, enum guest_ring ring)
{
    static const uint64_t data_base = GUEST_STACK - 0x1000;
    struct segment data = ring == GUEST_CPL0 ? flat(0x10, 0xc093) : ring == GUEST_CPL3_16 ? small(0xf, data_base, 0x40f3) : flat(0x2b, 0xc0f3);

    for (unsigned i = 0; i < SEG_LDTR; i++)
        c->seg[i] = data;
    c->seg[SEG_CS] = ring == GUEST_CPL0 ? flat(0x08, 0xa09b) : ring == GUEST_CPL3 ? flat(0x33, 0xa0fb) :
                     ring == GUEST_CPL3_32 ? flat(0x23, 0xc0fb) : small(0x7, GUEST_CODE, 0xfb);
    if (ring != GUEST_CPL0)
        c->seg[SEG_FS] = c->seg[SEG_GS] = (struct segment){ .ar = AR_UNUSABLE };
    c->seg[SEG_LDTR] = (struct segment){ .ar = AR_UNUSABLE };
    c->seg[SEG_TR] = (struct segment){ .selector = SELECTOR_TR, .ar = 0x8b, .limit = 0x67, .base = GUEST_TSS };
    c->gdtr = (struct descriptor_table){ .base = GUEST_GDT, .limit = 0x4f };
    c->idtr = (struct descriptor_table){ .base = GUEST_IDT, .limit = VECTORS * 16 - 1 };
}

void guest_reset(struct guest *g, enum guest_ring ring)
{
    struct cpu *c = &g->vcpu.cpu;

    cpu_reset(c);
    set_segments(c, ring);
    c->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
    c->cr3 = g->root;
    c->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE | CR4_FSGSBASE;
    c->efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
    c->xcr0 = XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_OPMASK | XCR0_ZMM_HI256 | XCR0_HI16_ZMM;
    c->mxcsr = 0x1f80;
    c->x87.control = 0x37f;
    for (unsigned i = 0; i < GPRS; i++)
        c->slot[i] = 0;
    c->slot[RSP] = GUEST_STACK_TOP;
    c->rip = GUEST_CODE;
    cpu_set_rflags(c, FLAG_ONE);
    memset(g->ram + GUEST_IST_TOP - 64, 0, 64);
    put64(g, GUEST_GDT + SELECTOR_TR, UINT64_C(0x00008b0000000067) | (uint64_t)GUEST_TSS << 16);
    cpu_update(c);
}

/* The handler's frame: what the interrupted code had. */
static void unwind(struct guest *g, struct guest_end *end)
{
    struct cpu *c = &g->vcpu.cpu;
    uint64_t frame = c->slot[RSP];

    end->vector = (int)((c->rip - 1 - GUEST_HANDLERS) / HANDLER_BYTES);
    end->cr2 = c->cr2;
    if (frame == GUEST_IST_TOP - 48) {
        end->error = (uint32_t)get64(g, frame);
        frame += 8;
    }
    c->rip = get64(g, frame);
    c->seg[SEG_CS].selector = (uint16_t)get64(g, frame + 8);
    cpu_set_rflags(c, get64(g, frame + 16));
    c->slot[RSP] = get64(g, frame + 24);
    c->seg[SEG_SS].selector = (uint16_t)get64(g, frame + 32);
    if (end->vector == EXCEPTION_BP && c->rip - 1 != g->entry) {
        end->vector = -1;
        c->rip--;
    }
}

/* For reading and for writing, as far as they may be. */
static void warm_up(struct guest *g)
{
    struct mmu *mmu = &g->vcpu.mmu;

    for (uint64_t i = 0; i < g->warm_pages; i++) {
        if (!tlb_translate(mmu, g->warm + i * PAGE_BYTES, ACCESS_READ | ACCESS_WRITE, mmu->bank))
            tlb_translate(mmu, g->warm + i * PAGE_BYTES, ACCESS_READ, mmu->bank);
    }
}

struct guest_end guest_run(struct guest *g, uint64_t budget)
{
    struct guest_end end = { .vector = -1 };
    struct err err = { "" };
    uint64_t limit = g->vcpu.retired + budget;

    g->entry = g->vcpu.cpu.rip;
    g->vcpu.attention = false;
    g->vcpu.fault.vector = -1;
    if (!g->engine->set_state(g->self, &err)) {
        end.refused = true;
        end.stop = STOP_FAILED;
        return end;
    }
    warm_up(g);
    do {
        end.stop = (int)g->engine->run(g->self, g->engine->id == ENGINE_JIT ? limit - g->vcpu.retired : 1, &err);
    } while ((end.stop == STOP_BUDGET || end.stop == STOP_KICK) && g->vcpu.retired < limit && budget--);
    if (!g->engine->get_state(g->self, &err))
        end.stop = STOP_FAILED;
    end.stuck = end.stop != STOP_HALT && end.stop != STOP_SHUTDOWN;
    if (end.stop == STOP_HALT)
        unwind(g, &end);
    return end;
}
