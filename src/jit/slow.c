/*
 * slow.c - what translated code calls: TLB misses, devices, pages with code, helpers; and how it gets out again.
 *
 * A function here sees the vcpu as it is before its instruction.  It answers with a value and 0, or with the reason to
 * leave.  Where something outside wants the CPU, the code is made to stop before the next instruction.
 */
#include "jit/jit.h"

#include "interp/alu.h"
#include "x86/fault.h"
#include "x86/helpers.h"
#include "x86/memory.h"
#include "x86/segment.h"

#include <stdlib.h>

/* -- flags ----------------------------------------------------------------------------------------------------------------- */

static void flags_unpack(struct cpu *c, uint16_t packed)
{
    flags_put(c, (uint64_t)packed >> 8 | (packed & 1u) << 11);
}

static uint64_t lazy_operand(const struct jit *j, const struct jit_block *b, ir_operand x)
{
    if (x == LAZY_A || x == LAZY_B)
        return j->lazy[x - LAZY_A];
    return x >= IR_CONST ? b->konst[x - IR_CONST] : j->v->cpu.slot[x];
}

static void flags_again(struct jit *j, const struct jit_block *block, const struct lazy *l)
{
    struct cpu *c = &j->v->cpu;
    uint64_t a = lazy_operand(j, block, l->a), b = l->op == IR_TEST ? 0 : lazy_operand(j, block, l->b);

    switch (l->op) {
    case IR_CMP: alu_sub(c, a, b, l->width, true); break;
    case IR_TEST: alu_logic(c, a, l->width, true); break;
    case IR_ADD: alu_add(c, a - b, b, l->width, true); break;
    case IR_SHL: alu_shl(c, a, b, l->width, true); break;
    case IR_SHR: alu_shr(c, a, b, l->width, true); break;
    case IR_SAR: alu_sar(c, a, b, l->width, true); break;
    default: alu_sub(c, a + b, b, l->width, true); break;
    }
}

/* Undefined flags as the interpreter has them. */
static void flags_normal(struct cpu *c, uint16_t packed, const struct lazy *l)
{
    if (l->op == IR_IMUL2)
        alu_mul_flags(c, c->slot[l->a], packed & 1, l->width);
    else
        flags_unpack(c, packed & (uint16_t)~(FLAG_AF << 8));
}

void jit_flags_out(struct jit *j, const struct jit_block *block, const struct flags_at *at)
{
    struct lazy recipe = { (uint8_t)(j->recipe >> 8), (uint8_t)j->recipe, LAZY_A, LAZY_B };

    if (at->place == FLAGS_MEMORY && j->recipe == RECIPE_VCPU)
        return;
    if (at->place == FLAGS_MEMORY && j->recipe)
        flags_again(j, NULL, &recipe);
    else if (at->place == FLAGS_MEMORY)
        flags_unpack(&j->v->cpu, j->flags);
    else if (at->place == FLAGS_HOST)
        flags_unpack(&j->v->cpu, j->host_flags);
    else if (at->place == FLAGS_RAW)
        flags_normal(&j->v->cpu, j->host_flags, &at->lazy);
    else if (at->place == FLAGS_LAZY)
        flags_again(j, block, &at->lazy);
}

void jit_flags_in(struct jit *j) { j->recipe = RECIPE_VCPU; }

void jit_flags_pack(struct jit *j)
{
    uint32_t f;

    jit_flags_out(j, NULL, &(struct flags_at){ .place = FLAGS_MEMORY });
    f = flags_get(&j->v->cpu);
    j->flags = (uint16_t)((f & 0xd5) << 8 | (f & FLAG_OF ? 1 : 0));
    j->recipe = 0;
}

/* -- an instruction under way ------------------------------------------------------------------------------------------------ */

/* Instructions of the block from its own on. */
static inline unsigned site_rest(const struct jit_site *site) { return site->block->insns - site->insn; }

static inline struct vcpu *site_enter(struct jit *j, const struct jit_site *site)
{
    struct vcpu *v = j->v;

    v->retired = jit_retired(j) - site_rest(site);
    v->cpu.rip = v->bus.origin.rip = jit_rip(site->block, site->from);
    return v;
}

/* The flags wait until all registers are in the vcpu: they may have to be made from them. */
static struct slow_result site_fault(struct jit *j, const struct jit_site *site)
{
    j->fault_site = site;
    return (struct slow_result){ 0, EXIT_FAULT };
}

/* What took its time has brought the end of the run nearer; the block under way goes to its own end, or is forced out. */
static inline void keep_end(struct jit *j)
{
    uint64_t n = j->retired_then - j->v->end;

    if (likely(j->v->end >= j->retired_then) || j->forced)
        return;
    j->left -= n;
    j->retired_then -= n;
}

/* Out before the next instruction. */
static struct slow_result site_out(struct jit *j, const struct jit_site *site, uint64_t value)
{
    if (!site->last) {
        jit_force_out(j, site->block, site->insn + 1u);
        return (struct slow_result){ value, 0 };
    }
    j->after = site;
    j->after_value = value;
    return (struct slow_result){ value, EXIT_AFTER };
}

/*
 * Something a device did, a flush, or a write to code: does it matter before the next instruction?  After a flush nothing
 * holds that the block has found out about pages.
 */
static struct slow_result site_disturbed(struct jit *j, const struct jit_site *site, uint64_t value, bool flushed)
{
    struct vcpu *v = j->v;

    if (flushed)
        jit_follow_flushes(j);
    if ((flushed && site_rest(site) > 1) || site->block->dead || (v->bus.touched && vcpu_wanted(v)))
        return site_out(j, site, value);
    return (struct slow_result){ value, 0 };
}

static inline struct slow_result site_done(struct jit *j, const struct jit_site *site, uint64_t value)
{
    bool flushed = jit_is_flushed(j);

    keep_end(j);
    if (likely(!(vcpu_may_want(j->v) | site->block->dead | flushed)))
        return (struct slow_result){ value, 0 };
    return site_disturbed(j, site, value, flushed);
}

/* -- memory ------------------------------------------------------------------------------------------------------------------- */

static void note_way(struct jit *j, enum memory_way way, uint64_t walks)
{
    if (way == MEMORY_REGION)
        j->stats.slow_device++;
    else if (j->v->mmu.walks != walks)
        j->stats.slow_walk++;
    else
        j->stats.slow_other++;
}

/* The region that the site has met before, if this access goes there too. */
static inline struct region *site_region(const struct jit_site *site, uint64_t gva, uint64_t *offset)
{
    return site->spot ? memory_spot_region(site->block->jit->v, site->spot, gva, offset) : NULL;
}

static void keep_region(struct jit_site *site, uint64_t gva)
{
    if (!site->spot && !(site->spot = malloc(sizeof(*site->spot))))
        abort();
    memory_spot_keep(site->block->jit->v, site->spot, gva, site->shape);
}

/* Plain memory: the page cache learns where it is, and gets the next access in line.  A region: the site does. */
static void note_place(struct jit *j, struct jit_site *site, enum memory_way way, uint64_t gva, enum tlb_intent intent)
{
    if (way == MEMORY_PLAIN && site->cache)
        jit_fill_cache(j, site->cache, gva, site->shape.width, intent);
    else if (way == MEMORY_REGION)
        keep_region(site, gva);
}

struct slow_result jit_slow_load(struct jit_site *site, uint64_t gva)
{
    struct jit *j = site->block->jit;
    struct vcpu *v = site_enter(j, site);
    uint64_t value, offset, walks = v->mmu.walks;
    struct region *region = site_region(site, gva, &offset);
    enum memory_way way = MEMORY_REGION;

    if (likely(region)) {
        value = dispatch_load_word(&v->bus, region, offset, site->shape.width);
    } else {
        way = guest_load(v, gva, site->shape, &value);
        if (way == MEMORY_FAULT)
            return site_fault(j, site);
        note_place(j, site, way, gva, site->op == IR_LDW ? TLB_WRITE : TLB_READ);
    }
    note_way(j, way, walks);
    return site_done(j, site, value);
}

struct slow_result jit_slow_store(struct jit_site *site, uint64_t gva, uint64_t value)
{
    struct jit *j = site->block->jit;
    struct vcpu *v = site_enter(j, site);
    uint64_t offset, walks = v->mmu.walks;
    struct region *region = site_region(site, gva, &offset);
    enum memory_way way = MEMORY_REGION;

    if (likely(region)) {
        dispatch_store_word(&v->bus, region, offset, site->shape.width, value);
    } else {
        way = guest_store(v, gva, site->shape, value);
        if (way == MEMORY_FAULT)
            return site_fault(j, site);
        note_place(j, site, way, gva, TLB_WRITE);
    }
    note_way(j, way, walks);
    return site_done(j, site, 0);
}

/* Not plain memory: again and again, or in the same place again?  Then windows are not for this block. */
static void window_refused(struct jit_block *b, uint64_t page, bool slow)
{
    b->jit->stats.refusals++;
    b->refused += slow || page == b->refused_page;
    b->refused_page = page;
    if (b->refused == WINDOW_REFUSALS)
        jit_refuse_windows(b->jit, b);
}

struct slow_result jit_slow_window(const struct jit_site *site, uint64_t gva)
{
    struct jit_block *b = site->block;
    const struct mmu *mmu = &b->jit->v->mmu;
    enum tlb_intent intent = site->shape.to_write ? TLB_WRITE : TLB_READ;
    uint64_t page = gva & ~(uint64_t)PAGE_OFFSET, tag = mmu->tlb[mmu->bank][tlb_index(gva)].tag[intent];

    if (tag == page) {
        jit_fill_cache(b->jit, site->cache, gva, site->size, intent);
        if (gva - site->cache->base < site->cache->span[jit_span(site->size)])
            return (struct slow_result){ gva + site->cache->delta, 0 };
    }
    if ((tag & ~TLB_SLOW) == page)
        window_refused(b, page, tag & TLB_SLOW);
    return (struct slow_result){ 0, 0 };
}

static inline __attribute__((always_inline)) struct slow_result slow_wide(struct jit_site *site, uint64_t gva, bool store)
{
    struct jit *j = site->block->jit;
    struct vcpu *v = site_enter(j, site);
    uint8_t *state = (uint8_t *)&v->cpu + site->aux;
    uint64_t offset, walks = v->mmu.walks;
    struct region *region = site_region(site, gva, &offset);
    enum memory_way way = MEMORY_REGION;

    if (unlikely(!region)) {
        way = store ? guest_store_wide(v, gva, site->shape, state) : guest_load_wide(v, gva, site->shape, state);
        if (way == MEMORY_FAULT)
            return site_fault(j, site);
        note_place(j, site, way, gva, store ? TLB_WRITE : TLB_READ);
    } else if (store) {
        region_store_wide(v, region, offset, site->shape, state);
    } else {
        region_load_wide(v, region, offset, site->shape, state);
    }
    note_way(j, way, walks);
    return site_done(j, site, 0);
}

struct slow_result jit_slow_load_wide(struct jit_site *site, uint64_t gva) { return slow_wide(site, gva, false); }
struct slow_result jit_slow_store_wide(struct jit_site *site, uint64_t gva) { return slow_wide(site, gva, true); }

struct slow_result jit_slow_x87(const struct jit_site *site, uint64_t gva, uint64_t offset)
{
    struct jit *j = site->block->jit;
    struct vcpu *v = site_enter(j, site);
    uint64_t (*helper)(struct vcpu *, uint64_t, uint64_t, uint64_t) = site->op == IR_LDX ? help_x87_load : help_x87_store;
    uint64_t walks = v->mmu.walks;

    if (!helper(v, gva, offset, (uint64_t)site->imm))
        return site_fault(j, site);
    if (site->cache)
        jit_fill_cache(j, site->cache, gva, site->shape.width, TLB_WRITE);
    note_way(j, MEMORY_ANY, walks);
    return site_done(j, site, 0);
}

struct slow_result jit_slow_atomic(const struct jit_site *site, uint64_t gva)
{
    struct jit *j = site->block->jit;
    struct vcpu *v = site_enter(j, site);
    uint64_t old, walks = v->mmu.walks;

    if (!guest_atomic(v, gva, site->shape, j->argument[0], j->argument[1], &old))
        return site_fault(j, site);
    note_way(j, MEMORY_ANY, walks);
    return site_done(j, site, bits_trunc(old, site->shape.width));
}

struct slow_result jit_slow_segment(const struct jit_site *site, uint64_t offset)
{
    struct jit *j = site->block->jit;
    struct vcpu *v = site_enter(j, site);
    uint64_t linear;

    j->stats.segments++;
    if (!segment_linear(v, site->aux, (uint32_t)offset, (unsigned)site->imm, site->cc, &linear))
        return site_fault(j, site);
    return (struct slow_result){ linear, 0 };
}

struct slow_result jit_slow_divide(const struct jit_site *site, uint64_t divisor)
{
    struct jit *j = site->block->jit;
    struct vcpu *v = site_enter(j, site);
    bool ok = site->op == IR_DIV ? guest_divide(v, divisor, site->shape.width) : guest_divide_signed(v, divisor, site->shape.width);

    j->stats.divides++;
    return ok ? (struct slow_result){ 0, 0 } : site_fault(j, site);
}

/* -- helpers -------------------------------------------------------------------------------------------------------------------- */

static __attribute__((noinline)) uint64_t helper_with_mxcsr(struct jit *j, const struct jit_site *site)
{
    const uint64_t *a = j->argument;
    uint64_t result;

    jit_mxcsr_out(j);
    result = site->helper(j->v, a[0], a[1], a[2], a[3]);
    jit_mxcsr_in(j);
    return result;
}

/* False: a fault. */
static inline bool site_helper(struct jit *j, const struct jit_site *site, uint64_t *result)
{
    struct vcpu *v = site_enter(j, site);
    const uint64_t *a = j->argument;

    j->stats.helpers++;
    v->next_rip = jit_rip(site->block, site->from + site->length);
    if (site->uses_flags && likely(site->flags.place == FLAGS_MEMORY && !j->recipe))
        flags_unpack(&v->cpu, j->flags);
    else if (site->uses_flags)
        jit_flags_out(j, site->block, &site->flags);
    *result = unlikely(site->uses_mxcsr) ? helper_with_mxcsr(j, site) : site->helper(v, a[0], a[1], a[2], a[3]);
    if (unlikely(v->fault.vector >= 0)) {
        site_fault(j, site);
        if (site->uses_flags)
            j->fault_site = NULL; /* they are out */
        return false;
    }
    if (site->uses_flags)
        jit_flags_in(j);
    return true;
}

/* What may matter before the next instruction?  A quick look, which may say yes in vain. */
static inline bool may_stop(const struct vcpu *v)
{
    return v->again | v->cpu.shadow | v->cpu.activity | (v->cpu.rflags & FLAG_RF) | vcpu_may_want(v);
}

struct slow_result jit_slow_helper(const struct jit_site *site)
{
    struct jit *j = site->block->jit;
    bool flushed, out;
    uint64_t result;

    if (!site_helper(j, site, &result))
        return (struct slow_result){ 0, EXIT_FAULT };
    keep_end(j);
    flushed = jit_is_flushed(j);
    if (unlikely(flushed))
        jit_follow_flushes(j);
    out = unlikely(j->v->cpu.shadow | vcpu_may_want(j->v)) && (j->v->cpu.shadow || vcpu_wanted(j->v));
    if (unlikely(out || site->block->dead || (flushed && site_rest(site) > 1)))
        jit_force_out(j, site->block, site->insn + 1u);
    return (struct slow_result){ result, 0 };
}

/* RF is for the next instruction alone, which may well be run here as long as there are no breakpoints. */
static bool stops(const struct jit *j)
{
    const struct cpu *c = &j->v->cpu;

    return j->v->again || c->shadow || c->activity != CPU_RUNNING || vcpu_wanted(j->v) ||
           (c->rflags & FLAG_RF && (c->mode & MODE_STEP || j->left < BLOCK_INSNS));
}

struct slow_result jit_slow_helper_end(const struct jit_site *site)
{
    struct jit *j = site->block->jit;
    struct vcpu *v = j->v;
    const struct jump_entry *jump;
    const struct jump_table *t;
    uint64_t result;

    if (!site_helper(j, site, &result))
        return (struct slow_result){ 0, EXIT_FAULT };
    keep_end(j);
    j->left += v->again;
    if (unlikely(jit_is_flushed(j)))
        jit_follow_flushes(j);
    if (unlikely(may_stop(v)) && stops(j))
        return (struct slow_result){ 0, EXIT_STOP };
    t = jit_jumps(j, v->cpu.mode);
    jump = t ? &t->entry[jit_jump_index(v->cpu.rip)] : NULL;
    if (unlikely(!jump || jump->rip != v->cpu.rip))
        return (struct slow_result){ 0, v->cpu.rflags & FLAG_RF ? EXIT_STOP : EXIT_LOOKUP };
    v->cpu.rflags &= ~(uint64_t)FLAG_RF;
    return (struct slow_result){ (uint64_t)(uintptr_t)jump->code, 0 };
}
