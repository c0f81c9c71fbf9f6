/* box.c - descriptor tables, page tables, handlers; one run. */
#include "lib/box.h"

#include "lib/which_engine.h"
#include "x86/segment.h"

#include <stdlib.h>
#include <string.h>

enum { HANDLER_BYTES = 16, VECTORS = 256, PTE_ALL = 7 /* present, writable, user */, TSS_LIMIT = 0x67 };

static bool box_is_long(const struct box *b) { return b->mode >= BOX_COMPATIBILITY; }

void box_put(struct box *b, uint64_t at, unsigned width, uint64_t value) { memcpy(b->ram + at, &value, width); }

uint64_t box_get(const struct box *b, uint64_t at, unsigned width)
{
    uint64_t value = 0;

    memcpy(&value, b->ram + at, width);
    return value;
}

uint64_t box_frame(const struct box *b, unsigned width, unsigned n)
{
    const struct cpu *c = &b->vcpu.cpu;
    uint64_t base = c->mode & MODE_CODE64 ? 0 : c->seg[SEG_SS].base;
    uint64_t sp = c->mode & (MODE_CODE64 | MODE_STACK32) ? c->slot[RSP] : c->slot[RSP] & 0xffff;

    return box_get(b, base + sp + n * width, width);
}

/* -- descriptors ------------------------------------------------------------------------------------------------- */

void box_segment(struct box *b, uint16_t selector, uint32_t base, uint32_t limit, uint32_t ar)
{
    box_put(b, BOX_GDT + (selector & 0xfff8u), 8,
            (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)(ar & 0xf0ff) << 40 |
                (uint64_t)(limit >> 16 & 15) << 48 | (uint64_t)(base >> 24) << 56);
}

void box_gate(struct box *b, uint64_t at, unsigned type, unsigned dpl, uint16_t selector, uint64_t offset, unsigned count)
{
    box_put(b, at, 8, (offset & 0xffff) | (uint64_t)selector << 16 | (uint64_t)count << 32 |
                          (uint64_t)(type | dpl << 5 | 0x80) << 40 | (offset >> 16 & 0xffff) << 48);
    if (box_is_long(b))
        box_put(b, at + 8, 8, offset >> 32);
}

void box_idt_gate(struct box *b, uint8_t vector, unsigned type, unsigned dpl, uint16_t selector, uint64_t offset,
                  unsigned ist)
{
    box_gate(b, BOX_IDT + vector * (box_is_long(b) ? 16u : 8u), type, dpl, selector, offset, ist);
}

void box_load(struct box *b, unsigned segment, uint16_t selector)
{
    struct descriptor d;

    descriptor_decode(box_get(b, BOX_GDT + (selector & 0xfff8u), 8), &d);
    segment_put(&b->vcpu.cpu.seg[segment], selector, &d);
}

static void build_gdt(struct box *b)
{
    box_segment(b, BOX_CODE32, 0, 0xfffff, 0xc09b);
    box_segment(b, BOX_DATA32, 0, 0xfffff, 0xc093);
    box_segment(b, BOX_CODE64, 0, 0xfffff, 0xa09b);
    box_segment(b, BOX_USER_CODE32, 0, 0xfffff, 0xc0fb);
    box_segment(b, BOX_USER_DATA, 0, 0xfffff, 0xc0f3);
    box_segment(b, BOX_USER_CODE64, 0, 0xfffff, 0xa0fb);
    box_segment(b, BOX_CODE16, BOX_CODE, 0xffff, 0x9b);
    box_segment(b, BOX_DATA16, BOX_CODE, 0xffff, 0x93);
    box_segment(b, BOX_USER_CODE16, BOX_CODE, 0xffff, 0xfb);
    box_segment(b, BOX_USER_DATA16, BOX_CODE, 0xffff, 0xf3);
    box_segment(b, BOX_CONFORMING32, 0, 0xfffff, 0xc09f);
    box_segment(b, BOX_CONFORMING64, 0, 0xfffff, 0xa09f);
    box_segment(b, BOX_CODE32_1, 0, 0xfffff, 0xc0bb);
    box_segment(b, BOX_DATA32_1, 0, 0xfffff, 0xc0b3);
    box_segment(b, BOX_TR, BOX_TSS, TSS_LIMIT, 0x8b);
    box_segment(b, BOX_LDTR, BOX_LDT, 0xff, 0x82);
    if (box_is_long(b))
        return;
    box_segment(b, BOX_TR_2, BOX_TSS_2, TSS_LIMIT, 0x89);
    box_segment(b, BOX_TR_16, BOX_TSS_16, 0x2b, 0x81);
}

static void build_idt(struct box *b)
{
    for (unsigned i = 0; i < VECTORS; i++) {
        uint32_t handler = BOX_HANDLERS + i * HANDLER_BYTES;

        b->ram[handler] = 0xf4;
        if (b->mode == BOX_REAL || b->mode == BOX_VM86)
            box_put(b, i * 4, 4, handler);
        if (b->mode != BOX_REAL)
            box_idt_gate(b, (uint8_t)i, GATE_INT32, i == 3 || i == 4 ? 3 : 0, box_is_long(b) ? BOX_CODE64 : BOX_CODE32,
                         handler, 0);
    }
}

static void build_tss(struct box *b)
{
    if (box_is_long(b)) {
        box_put(b, BOX_TSS + 4, 8, BOX_STACK0);
        box_put(b, BOX_TSS + 12, 8, BOX_STACK1);
        box_put(b, BOX_TSS + 36, 8, BOX_IST);
    } else {
        box_put(b, BOX_TSS + 4, 4, BOX_STACK0);
        box_put(b, BOX_TSS + 8, 2, BOX_DATA32);
        box_put(b, BOX_TSS + 12, 4, BOX_STACK1);
        box_put(b, BOX_TSS + 16, 2, BOX_DATA32_1);
    }
    box_put(b, BOX_TSS + 102, 2, TSS_LIMIT + 1); /* no I/O permission bitmap */
}

/* -- paging ------------------------------------------------------------------------------------------------------- */

uint64_t box_pte(const struct box *b, uint64_t gva)
{
    return BOX_TABLES + 0x10000 + (gva >> 12) * (box_is_long(b) ? 8 : 4);
}

void box_paging(struct box *b)
{
    uint64_t root = BOX_TABLES;
    unsigned bytes = box_is_long(b) ? 8 : 4, tables = BOX_RAM / PAGE_BYTES * bytes / PAGE_BYTES;

    if (box_is_long(b)) {
        box_put(b, root, 8, (root + 0x1000) | PTE_ALL);
        box_put(b, root + 0x1000, 8, (root + 0x2000) | PTE_ALL);
    }
    for (unsigned i = 0; i < tables; i++)
        box_put(b, root + (box_is_long(b) ? 0x2000 : 0) + i * bytes, bytes, (root + 0x10000 + i * PAGE_BYTES) | PTE_ALL);
    for (uint64_t at = 0; at < BOX_RAM; at += PAGE_BYTES)
        box_put(b, box_pte(b, at), bytes, at | PTE_ALL);
    b->vcpu.cpu.cr3 = root;
    b->vcpu.cpu.cr0 |= CR0_PG | CR0_PE;
}

/* -- registers ------------------------------------------------------------------------------------------------------ */

static struct segment real_segment(uint16_t selector, uint32_t ar)
{
    return (struct segment){ .selector = selector, .base = (uint64_t)selector << 4, .limit = 0xffff, .ar = ar };
}

static void reset_segments(struct box *b, unsigned cpl)
{
    static const uint8_t data[] = { SEG_ES, SEG_SS, SEG_DS, SEG_FS, SEG_GS };
    struct cpu *c = &b->vcpu.cpu;
    uint16_t code_selector = 0, data_selector = cpl == 3 ? BOX_USER_DATA : cpl == 1 ? BOX_DATA32_1 : BOX_DATA32;

    switch (b->mode) {
    case BOX_REAL:
    case BOX_VM86:
        for (unsigned i = 0; i < 6; i++)
            c->seg[i] = real_segment(i == SEG_CS || i == SEG_SS ? 0x1000 : 0x3000, b->mode == BOX_REAL ? 0x93 : 0xf3);
        return;
    case BOX_PROTECTED16:
        code_selector = cpl == 3 ? BOX_USER_CODE16 : BOX_CODE16;
        data_selector = cpl == 3 ? BOX_USER_DATA16 : BOX_DATA16;
        break;
    case BOX_LONG: code_selector = cpl == 3 ? BOX_USER_CODE64 : BOX_CODE64; break;
    default: code_selector = cpl == 3 ? BOX_USER_CODE32 : cpl == 1 ? BOX_CODE32_1 : BOX_CODE32; break;
    }
    for (unsigned i = 0; i < ARRAY_LEN(data); i++)
        box_load(b, data[i], data_selector);
    box_load(b, SEG_CS, code_selector);
}

static void reset_control(struct box *b)
{
    struct cpu *c = &b->vcpu.cpu;

    c->cr0 = CR0_ET | CR0_NE | (b->mode == BOX_REAL ? 0 : CR0_PE);
    if (!box_is_long(b))
        return;
    c->cr0 |= CR0_WP;
    c->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;
    c->efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
    box_paging(b);
}

void box_reset(struct box *b, enum box_mode mode, unsigned cpl)
{
    struct cpu *c = &b->vcpu.cpu;

    b->mode = mode;
    memset(b->ram, 0, BOX_RAM);
    memset(b->ram + BOX_CODE, 0xcc, PAGE_BYTES);
    build_gdt(b);
    build_idt(b);
    build_tss(b);
    cpu_reset(c);
    reset_control(b);
    reset_segments(b, cpl);
    c->seg[SEG_LDTR] = (struct segment){ .ar = AR_UNUSABLE };
    box_load(b, SEG_TR, BOX_TR);
    c->gdtr = (struct descriptor_table){ .base = BOX_GDT, .limit = BOX_GDT_LIMIT };
    c->idtr = (struct descriptor_table){ .base = mode == BOX_REAL ? 0 : BOX_IDT, .limit = mode == BOX_REAL ? 0x3ff : 0xfff };
    c->rip = mode <= BOX_PROTECTED16 ? 0 : BOX_CODE;
    memset(c->slot, 0, sizeof(c->slot));
    c->slot[RSP] = mode <= BOX_PROTECTED16 ? BOX_STACK - BOX_CODE : BOX_STACK;
    cpu_set_rflags(c, FLAG_ONE);
    c->rflags |= mode == BOX_VM86 ? FLAG_VM : 0;
    cpu_update(c);
}

void box_code(struct box *b, const uint8_t *bytes, unsigned n)
{
    memset(b->ram + BOX_CODE, 0xcc, PAGE_BYTES);
    memcpy(b->ram + BOX_CODE, bytes, n);
    for (unsigned i = 0; i < PAGE_BYTES; i += 64)
        b->vcpu.bus.wrote(b->vcpu.bus.wrote_opaque, BOX_CODE + i, 64);
}

/* -- running ---------------------------------------------------------------------------------------------------------- */

static uint8_t box_acknowledge(void *opaque)
{
    struct box *b = opaque;

    b->vcpu.pins.intr = false;
    b->acknowledged++;
    return b->irq;
}

void box_create(struct box *b)
{
    struct err err;

    memset(b, 0, sizeof(*b));
    b->ram = aligned_alloc(PAGE_BYTES, BOX_RAM);
    if (!b->ram)
        abort();
    phys_init(&b->phys);
    b->memory = (struct phys_memory){ .name = "ram", .size = BOX_RAM, .read = b->ram, .write = b->ram, .enabled = true };
    phys_add_memory(&b->phys, &b->memory);
    vcpu_init(&b->vcpu, &b->phys);
    b->vcpu.pins.acknowledge = box_acknowledge;
    b->vcpu.pins.opaque = b;
    b->engine = test_engine();
    b->self = test_engine_create(b->engine, &b->vcpu, &err);
    box_reset(b, BOX_LONG, 0);
}

void box_destroy(struct box *b)
{
    b->engine->destroy(b->self);
    vcpu_free(&b->vcpu);
    phys_free(&b->phys);
    free(b->ram);
}

int box_run(struct box *b, uint64_t budget)
{
    const struct cpu *c = &b->vcpu.cpu;
    struct err err;
    uint64_t at;

    b->engine->set_state(b->self, &err);
    b->stop = (int)b->engine->run(b->self, budget, &err);
    if (b->stop == STOP_SHUTDOWN)
        return BOX_SHUTDOWN;
    at = c->rip + (c->mode & MODE_CODE64 ? 0 : c->seg[SEG_CS].base) - (c->activity == CPU_HALTED);
    if (at < BOX_HANDLERS || at >= BOX_HANDLERS + VECTORS * HANDLER_BYTES)
        return BOX_NOTHING;
    return (int)(at - BOX_HANDLERS) / HANDLER_BYTES;
}
