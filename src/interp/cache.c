/*
 * cache.c - the interpreter's blocks: fetched, lifted, threaded, found again, dropped when their code is written.
 */
#include "interp/interp.h"

#include "base/log.h"
#include "print/disasm.h"
#include "x86/lift.h"
#include "x86/segment.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* -- fetch --------------------------------------------------------------------------------------------------------- */

struct fetch {
    struct vcpu *v;
    uint64_t gpa[2];  /* pages touched, in order */
    unsigned pages;
    bool uncached;    /* some byte did not come from plain memory */
};

static void fetch_note_page(struct fetch *f, uint64_t gpa)
{
    if (f->pages && f->gpa[f->pages - 1] == gpa)
        return;
    if (f->pages < 2)
        f->gpa[f->pages] = gpa;
    f->pages++;
}

/* From a device: one byte at a time, so that nothing is read which the instruction does not have. */
static size_t fetch_uncached(struct fetch *f, uint64_t linear, uint8_t *bytes)
{
    struct access a = { .type = TRANSACTION_LOAD, .form = FORM_FETCH, .width = 1, .gva = linear, .enables = 1,
                        .flags = TRANSACTION_FETCH };

    f->uncached = true;
    if (!access_prepare(&f->v->mmu, &a, ACCESS_EXECUTE))
        return (size_t)vcpu_raise_mmu(f->v);
    access_perform(&f->v->mmu, &a);
    bytes[0] = a.data.b[0];
    return 1;
}

/* Up to n bytes, not beyond the page or the segment. */
static size_t fetch_bytes(void *opaque, uint64_t rip, uint8_t *bytes, size_t n)
{
    struct fetch *f = opaque;
    struct vcpu *v = f->v;
    const struct segment *cs = &v->cpu.seg[SEG_CS];
    uint64_t linear = rip;
    const struct tlb_entry *e;
    const uint8_t *host;

    if (!(v->cpu.mode & MODE_CODE64)) {
        if (rip > cs->limit)
            return (size_t)vcpu_raise_error(v, EXCEPTION_GP, 0);
        n = (size_t)bits_min(n, (uint64_t)cs->limit - rip + 1);
        linear = (uint32_t)(cs->base + rip);
    }
    e = tlb_translate(&v->mmu, linear, ACCESS_EXECUTE, v->mmu.bank);
    if (!e)
        return (size_t)vcpu_raise_mmu(v);
    n = (size_t)bits_min(n, PAGE_BYTES - (linear & PAGE_OFFSET));
    host = phys_readable(v->bus.phys, e->gpa + (linear & PAGE_OFFSET), n);
    if (!host)
        return fetch_uncached(f, linear, bytes);
    fetch_note_page(f, e->gpa);
    memcpy(bytes, host, n);
    return n;
}

/* The guest code of a block that was just fetched. */
static void log_code(struct vcpu *v, const struct ir_block *ir, const struct fetch *f)
{
    unsigned mode = ir->mode & MODE_CODE64 ? 64 : ir->mode & MODE_CODE32 ? 32 : 16;

    for (unsigned i = 0; i < ir->insns && f->pages; i++) {
        const struct ir_insn *insn = &ir->insn[i];
        uint64_t at = insn->rip - ir->rip + (f->gpa[0] | ((ir->mode & MODE_CODE64 ? 0 : v->cpu.seg[SEG_CS].base) + ir->rip) % PAGE_BYTES);
        const uint8_t *host = phys_readable(v->bus.phys, at, insn->length);
        char text[96] = "(on two pages)";

        if (host && (at & PAGE_OFFSET) + insn->length <= PAGE_BYTES && at < f->gpa[0] + PAGE_BYTES)
            disasm_one(mode, host, insn->length, insn->rip, text, sizeof(text));
        log_printf(LOG_IN_ASM, "%016" PRIx64 "  %s\n", insn->rip, text);
    }
    log_printf(LOG_IN_ASM, "\n");
}

/* -- threading -------------------------------------------------------------------------------------------------------- */

static uint64_t *thread_operand(struct vcpu *v, struct iblock *b, ir_operand x, bool written)
{
    static uint64_t zero, sink; /* what no operand reads as, and where a result nobody wants goes */

    if (x == IR_NONE)
        return written ? &sink : &zero;
    return x >= IR_CONST ? &b->konst[x - IR_CONST] : &v->cpu.slot[x];
}

static void thread_steps(struct vcpu *v, struct iblock *b, const struct ir_block *ir)
{
    for (unsigned i = 0; i < ir->ops; i++) {
        const struct ir_op *o = &ir->op[i];

        b->step[i] = (struct step){
            .go = interp_label(o), .d = thread_operand(v, b, o->d, true), .a = thread_operand(v, b, o->a, false),
            .b = thread_operand(v, b, o->b, false), .c = thread_operand(v, b, o->c, false), .imm = o->imm, .aux = o->aux, .cc = o->cc,
            .width = o->width, .stack = o->stack, .insn = o->insn,
        };
    }
}

static struct iblock *thread_block(struct vcpu *v, const struct ir_block *ir)
{
    size_t steps = sizeof(struct step) * ir->ops, insns = sizeof(struct ir_insn) * ir->insns;
    size_t konst = sizeof(uint64_t) * (ir->consts + 1);
    struct iblock *b = malloc(sizeof(*b) + steps + insns + konst);

    if (!b)
        abort();
    *b = (struct iblock){ .rip = ir->rip, .cs_base = v->cpu.seg[SEG_CS].base, .mode = ir->mode, .insns = ir->insns,
                          .steps = ir->ops };
    b->konst = (uint64_t *)(void *)((char *)b->step + steps);
    b->insn = (struct ir_insn *)(void *)((char *)b->konst + konst);
    memcpy(b->konst, ir->konst, sizeof(uint64_t) * ir->consts);
    memcpy(b->insn, ir->insn, insns);
    thread_steps(v, b, ir);
    return b;
}

/* -- finding ------------------------------------------------------------------------------------------------------------ */

static struct iblock **hash_bucket(struct interp *it, uint64_t gpa, uint64_t rip)
{
    uint64_t h = (gpa ^ rip << 7) * UINT64_C(0x9e3779b97f4a7c15);

    return &it->hash[h >> (64 - HASH_BITS)];
}

static bool block_matches(const struct iblock *b, const struct vcpu *v)
{
    return b->rip == v->cpu.rip && b->mode == v->cpu.mode && b->cs_base == v->cpu.seg[SEG_CS].base;
}

/* The second page may have been remapped since the block was made. */
static bool block_second_page_holds(const struct iblock *b, struct vcpu *v)
{
    const struct ir_insn *last = &b->insn[b->insns - 1];
    uint64_t linear = b->cs_base + last->rip + last->length - 1;
    const struct tlb_entry *e;

    if (b->gpa[1] == b->gpa[0])
        return true;
    e = tlb_translate(&v->mmu, v->cpu.mode & MODE_CODE64 ? last->rip + last->length - 1 : (uint32_t)linear, ACCESS_EXECUTE,
                      v->mmu.bank);
    return e && e->gpa == b->gpa[1];
}

static void code_protect(struct vcpu *v, uint64_t gpa, uint64_t size)
{
    if (code_mark(&v->code, gpa, size))
        tlb_protect(&v->mmu, gpa);
}

/* Its bytes lie in the first page from `at` on, and at the second's start. */
static void block_protect(struct vcpu *v, const struct iblock *b)
{
    const struct ir_insn *last = &b->insn[b->insns - 1];
    uint64_t at = ((b->mode & MODE_CODE64 ? 0 : b->cs_base) + b->rip) & PAGE_OFFSET, size = last->rip + last->length - b->rip;
    uint64_t first = bits_min(size, PAGE_BYTES - at);

    code_protect(v, b->gpa[0] + at, first);
    if (size > first)
        code_protect(v, b->gpa[1], size - first);
}

static struct iblock *block_make(struct interp *it, unsigned limit)
{
    static struct ir_block ir; /* large, and rebuilt every time */
    struct vcpu *v = it->v;
    struct fetch f = { .v = v };
    struct lift_source source = { fetch_bytes, &f };
    struct iblock *b;

    v->fault.vector = -1;
    if (!lift_block(&ir, v->cpu.rip, v->cpu.mode, v->cpu.mode & MODE_STEP ? 1 : limit, &source))
        return NULL;
    v->fault.vector = -1;
    if (log_on(LOG_IN_ASM))
        log_code(v, &ir, &f);
    b = thread_block(v, &ir);
    b->gpa[0] = f.gpa[0];
    b->gpa[1] = f.pages > 1 ? f.gpa[1] : f.gpa[0];
    if (f.uncached || limit < IR_INSNS) { /* used once */
        b->dead = true;
        b->next = it->dead;
        it->dead = b;
        return b;
    }
    block_protect(v, b);
    return b;
}

static struct iblock *block_lookup(struct interp *it)
{
    struct vcpu *v = it->v;
    uint64_t linear = v->cpu.mode & MODE_CODE64 ? v->cpu.rip : (uint32_t)(v->cpu.seg[SEG_CS].base + v->cpu.rip);
    const struct tlb_entry *e = tlb_translate(&v->mmu, linear, ACCESS_EXECUTE, v->mmu.bank);
    struct iblock **bucket, *b;

    if (!e) {
        vcpu_raise_mmu(v);
        return NULL;
    }
    bucket = hash_bucket(it, e->gpa, v->cpu.rip);
    for (b = *bucket; b; b = b->next)
        if (b->gpa[0] == e->gpa && block_matches(b, v) && block_second_page_holds(b, v))
            return b;
    b = block_make(it, IR_INSNS);
    if (b && !b->dead) {
        b->next = *bucket;
        *bucket = b;
    }
    return b;
}

struct iblock *interp_find(struct interp *it, unsigned limit)
{
    struct vcpu *v = it->v;
    struct iblock **slot = &it->jump[(v->cpu.rip ^ v->cpu.rip >> JUMP_BITS) & ((1 << JUMP_BITS) - 1)];
    struct iblock *b;

    if (it->seen_flushes != v->mmu.flushes) {
        it->seen_flushes = v->mmu.flushes;
        it->generation++;
        memset(it->jump, 0, sizeof(it->jump));
    }
    if (limit < IR_INSNS)
        return block_make(it, limit);
    if (*slot && block_matches(*slot, v))
        return *slot;
    b = block_lookup(it);
    if (b && !b->dead)
        *slot = b;
    return b;
}

/* -- dropping ------------------------------------------------------------------------------------------------------------- */

void interp_free_dead(struct interp *it)
{
    while (it->dead) {
        struct iblock *b = it->dead;

        it->dead = b->next;
        free(b);
    }
}

static bool block_in_pages(const struct iblock *b, uint64_t first, uint64_t last)
{
    return b->gpa[0] == first || b->gpa[1] == first || b->gpa[0] == last || b->gpa[1] == last;
}

static void blocks_drop(struct interp *it, bool (*wanted)(const struct iblock *, uint64_t, uint64_t), uint64_t first,
                        uint64_t last)
{
    for (unsigned i = 0; i < ARRAY_LEN(it->hash); i++)
        for (struct iblock **at = &it->hash[i]; *at;) {
            struct iblock *b = *at;

            if (wanted && !wanted(b, first, last)) {
                at = &b->next;
                continue;
            }
            *at = b->next;
            b->dead = true;
            b->next = it->dead;
            it->dead = b;
        }
    memset(it->jump, 0, sizeof(it->jump));
    it->generation++;
}

void interp_drop_all(struct interp *it) { blocks_drop(it, NULL, 0, 0); }

/* code.h's callback. */
void interp_code_written(void *opaque, uint64_t gpa, unsigned width);
void interp_code_written(void *opaque, uint64_t gpa, unsigned width)
{
    struct interp *it = opaque;
    uint64_t first = gpa & ~(uint64_t)PAGE_OFFSET, last = (gpa + width - 1) & ~(uint64_t)PAGE_OFFSET;

    blocks_drop(it, block_in_pages, first, last);
    code_unmark(&it->v->code, first);
    code_unmark(&it->v->code, last);
    /* Blocks that also lie in another page keep that page's mark: harmless, its next write finds nothing. */
    tlb_flush(&it->v->mmu);
    if (it->current && it->current->dead)
        interp_arm(it);
}
