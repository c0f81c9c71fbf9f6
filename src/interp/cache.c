/*
 * cache.c - the interpreter's blocks: fetched, lifted, threaded, found again, dropped when their code is written.
 */
#include "interp/interp.h"

#include "base/log.h"
#include "x86/fetch.h"

#include <stdlib.h>
#include <string.h>

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
        if (ir_leaves(o) && o->op != IR_HELPER_END)
            b->step[i].link = NULL;
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
                          .bytes = sizeof(*b) + steps + insns + konst };
    b->konst = (uint64_t *)(void *)((char *)b->step + steps);
    b->insn = (struct ir_insn *)(void *)((char *)b->konst + konst);
    memcpy(b->konst, ir->konst, sizeof(uint64_t) * ir->consts);
    memcpy(b->insn, ir->insn, insns);
    thread_steps(v, b, ir);
    return b;
}

/* -- chains by page ------------------------------------------------------------------------------------------------------ */

static struct iblock **page_bucket(struct interp *it, uint64_t gpa) { return &it->page[gpa / PAGE_BYTES % PAGE_HASH]; }

/* Which of a block's links belongs to this chain. */
static unsigned page_link(struct interp *it, const struct iblock *b, struct iblock **bucket)
{
    return page_bucket(it, b->gpa[0]) == bucket ? 0 : 1;
}

static unsigned block_pages(struct interp *it, const struct iblock *b)
{
    return page_bucket(it, b->gpa[0]) == page_bucket(it, b->gpa[1]) ? 1 : 2;
}

static void pages_insert(struct interp *it, struct iblock *b)
{
    for (unsigned i = 0; i < block_pages(it, b); i++) {
        struct iblock **bucket = page_bucket(it, b->gpa[i]);

        b->page_next[i] = *bucket;
        *bucket = b;
    }
}

/* -- finding ------------------------------------------------------------------------------------------------------------ */

static struct iblock **hash_bucket(struct interp *it, uint64_t gpa, uint64_t rip)
{
    uint64_t h = (gpa ^ rip << 7) * UINT64_C(0x9e3779b97f4a7c15);

    return &it->hash[h >> (64 - HASH_BITS)];
}

static struct iblock **jump_slot(struct interp *it, uint64_t rip)
{
    return &it->jump[(rip ^ rip >> JUMP_BITS) & ((1 << JUMP_BITS) - 1)];
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

/* Its bytes lie in the first page from `at` on, and at the second's start. */
static void block_protect(struct vcpu *v, const struct iblock *b)
{
    const struct ir_insn *last = &b->insn[b->insns - 1];
    uint64_t at = ((b->mode & MODE_CODE64 ? 0 : b->cs_base) + b->rip) & PAGE_OFFSET, size = last->rip + last->length - b->rip;
    uint64_t first = bits_min(size, PAGE_BYTES - at);

    mmu_mark_code(&v->mmu, b->gpa[0] + at, first);
    if (size > first)
        mmu_mark_code(&v->mmu, b->gpa[1], size - first);
}

/* `once`: of one instruction, and used once: what the next one is, is then looked up anew. */
static struct iblock *block_make(struct interp *it, bool once)
{
    static _Thread_local struct ir_block ir; /* large, and rebuilt every time */
    struct vcpu *v = it->v;
    struct fetched f;
    struct iblock *b;

    if (!fetch_block(v, &ir, once || v->cpu.mode & MODE_STEP ? 1 : BLOCK_INSNS, NULL, &f))
        return NULL;
    b = thread_block(v, &ir);
    b->gpa[0] = f.gpa[0];
    b->gpa[1] = f.gpa[1];
    if (f.uncached || once) {
        b->dead = true;
        b->next = it->dead;
        it->dead = b;
        return b;
    }
    block_protect(v, b);
    if (fetch_holds(v, &ir, &f))
        return b;
    free(b);
    return block_make(it, once);
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
    if (it->bytes >= BLOCK_BYTES_MOST) {
        interp_drop_all(it);
        bucket = hash_bucket(it, e->gpa, v->cpu.rip);
    }
    b = block_make(it, false);
    if (b && !b->dead) {
        it->bytes += b->bytes;
        b->next = *bucket;
        *bucket = b;
        pages_insert(it, b);
    }
    return b;
}

struct iblock *interp_find(struct interp *it, unsigned limit)
{
    struct vcpu *v = it->v;
    struct iblock **slot = jump_slot(it, v->cpu.rip);
    struct iblock *b;

    if (it->seen_flushes != v->mmu.flushes) {
        it->seen_flushes = v->mmu.flushes;
        it->generation++;
    }
    b = *slot;
    if (!b || !block_matches(b, v) || b->flushes != v->mmu.flushes) {
        b = block_lookup(it);
        if (!b)
            return NULL;
        b->flushes = v->mmu.flushes;
        if (!b->dead)
            *slot = b;
    }
    return b->insns <= limit ? b : block_make(it, true);
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

static void pages_remove(struct interp *it, struct iblock *b)
{
    for (unsigned i = 0; i < block_pages(it, b); i++) {
        struct iblock **bucket = page_bucket(it, b->gpa[i]), **at = bucket;

        while (*at != b)
            at = &(*at)->page_next[page_link(it, *at, bucket)];
        *at = b->page_next[i];
    }
}

static void block_bury(struct interp *it, struct iblock *b)
{
    b->dead = true;
    b->next = it->dead;
    it->dead = b;
}

static void block_drop(struct interp *it, struct iblock *b)
{
    struct iblock **at = hash_bucket(it, b->gpa[0], b->rip), **jump = jump_slot(it, b->rip);

    while (*at != b)
        at = &(*at)->next;
    *at = b->next;
    it->bytes -= b->bytes;
    if (*jump == b)
        *jump = NULL;
    pages_remove(it, b);
    block_bury(it, b);
    it->generation++;
}

void interp_drop_all(struct interp *it)
{
    for (unsigned i = 0; i < ARRAY_LEN(it->hash); i++) {
        for (struct iblock *b = it->hash[i], *next; b; b = next) {
            next = b->next;
            block_bury(it, b);
        }
        it->hash[i] = NULL;
    }
    it->bytes = 0;
    memset(it->page, 0, sizeof(it->page));
    memset(it->jump, 0, sizeof(it->jump));
    it->generation++;
}

static void drop_page(struct interp *it, uint64_t page)
{
    struct iblock **bucket = page_bucket(it, page), *next;

    for (struct iblock *b = *bucket; b; b = next) {
        next = b->page_next[page_link(it, b, bucket)];
        if (b->gpa[0] == page || b->gpa[1] == page)
            block_drop(it, b);
    }
}

void interp_drop_written(struct interp *it, uint64_t gpa, unsigned width)
{
    uint64_t first = gpa & ~(uint64_t)PAGE_OFFSET, last = (gpa + width - 1) & ~(uint64_t)PAGE_OFFSET;

    drop_page(it, first);
    if (last != first)
        drop_page(it, last);
    if (it->current && it->current->dead)
        interp_arm(it);
}

/* code.h's callback.  Blocks that also lie in another page keep that page's mark: harmless. */
void interp_code_written(void *opaque, uint64_t gpa, unsigned width);
void interp_code_written(void *opaque, uint64_t gpa, unsigned width)
{
    struct interp *it = opaque;

    interp_drop_written(it, gpa, width);
    tlb_release(&it->v->mmu, gpa & ~(uint64_t)PAGE_OFFSET);
    tlb_release(&it->v->mmu, (gpa + width - 1) & ~(uint64_t)PAGE_OFFSET);
}
