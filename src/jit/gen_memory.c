/*
 * gen_memory.c - loads, stores, atomics, segments: translated in line, everything else out of line.
 *
 * Accesses of up to 8 bytes look where the last one of their kind went (struct page_cache).  The look is beside the way of
 * the access itself, which need not wait for it:
 *
 *     lea  X, [address]      sub X, base      cmp X, span      jae stub      mov X, delta      ... [address + X]
 *
 * Where the address already takes two registers, it is made first, and the host's from it:
 *
 *     lea  Y, [address]      mov X, Y     sub X, base     cmp X, span     jae stub     add Y, delta      ... [Y]
 *
 * The stub asks the TLB, which sets the cache right.  The first access of a window (window.h) does the same and keeps X or
 * Y for those that follow.  Wider accesses and atomics ask the TLB in line:
 *
 *     lea  Y, [address]      X = Y >> 6 & entries      Y = page of the last byte      cmp Y, tag[X]      jne stub
 *     mov  X, addend[X]      lea Y, [address]          add Y, X                       ... [Y]
 *
 * gen_stub.c makes the stubs.
 */
#include "jit/gen.h"

#include "x86/segment.h"

#include <string.h>

/* -- addresses ---------------------------------------------------------------------------------------------------------- */

enum mmu_bank gen_bank(const struct gen *g)
{
    uint32_t mode = g->ir->mode;

    return mode & MODE_USER ? BANK_USER : mode & MODE_AC ? BANK_SUPERVISOR_AC : BANK_SUPERVISOR;
}

static struct page_cache *cache_new(struct gen *g)
{
    struct jit *j = g->jit;

    if (j->caches == PAGE_CACHES) {
        g->e->full = true;
        return &j->cache[0];
    }
    return &j->cache[j->caches++];
}

/* One a base register and block, one for all of the stack, one each for what has an index. */
static struct page_cache *address_cache(struct gen *g, const struct ir_op *o, bool write)
{
    struct jit *j = g->jit;
    uint32_t mode = g->ir->mode;
    struct page_cache **shared = o->a < GPRS ? &g->by_base[o->a][write] : NULL;

    if (!j->options.pages || o->width > 8 || (o->op != IR_LD && o->op != IR_LDW && o->op != IR_ST))
        return NULL;
    if (o->stack && (o->a == RSP || !(mode & MODE_CODE64)))
        return &j->stack[gen_bank(g)][write];
    if (shared && *shared)
        return *shared;
    return shared ? *shared = cache_new(g) : cache_new(g);
}

static struct gaddr address_folded(struct gen *g, const struct ir_op *o, const struct ir_op *lea)
{
    struct host_mem m = { .base = H_NONE, .index = H_NONE, .scale = (uint8_t)lea->aux, .disp = (int32_t)(lea->imm + o->imm) };

    if (lea->a == RSP)
        m.base = jit_pin[RSP], m.disp += g->sp;
    else if (lea->a != IR_NONE)
        m.base = gen_use(g, lea->a);
    if (lea->b != IR_NONE)
        m.index = gen_use(g, lea->b);
    return (struct gaddr){ .width = lea->width == 4 ? 4 : 8, .mem = m };
}

static struct gaddr gen_address(struct gen *g, const struct ir_op *o)
{
    const struct ir_op *lea = gen_is_temp(o->a) ? g->lea[o->a - GPRS] : NULL;
    struct gaddr a;

    if (gen_is_const(o->a))
        return (struct gaddr){ .constant = true, .value = gen_konst(g, o->a) + (uint64_t)o->imm };
    if (lea)
        a = address_folded(g, o, lea);
    else if (o->a == RSP)
        a = (struct gaddr){ .width = 8, .mem = mem_at((enum host)jit_pin[RSP], (int32_t)o->imm + g->sp) };
    else
        a = (struct gaddr){ .width = 8, .mem = mem_at(gen_use(g, o->a), (int32_t)o->imm) };
    a.cache = address_cache(g, o, o->op == IR_ST || o->op == IR_LDW);
    return a;
}

void gen_address_into(struct gen *g, enum host reg, struct gaddr a)
{
    if (a.constant)
        emit_mov_imm(g->e, reg, a.value);
    else if (a.mem.disp || a.mem.index != H_NONE || a.mem.base == H_NONE)
        emit_lea(g->e, a.width, reg, a.mem);
    else
        emit_zext(g->e, a.width, reg, (enum host)a.mem.base);
}

/* A constant address: its entry is known. */
static struct host_mem tlb_check_constant(struct gen *g, uint64_t gva, enum tlb_intent intent, enum host y, uint8_t **slow)
{
    struct tlb_entry *entry = &g->jit->v->mmu.tlb[gen_bank(g)][tlb_index(gva)];
    int64_t page = (int64_t)(gva & ~(uint64_t)PAGE_OFFSET);

    if (gva != (uint64_t)(int64_t)(int32_t)gva) {
        emit_mov_imm(g->e, y, (uint64_t)page);
        emit_alu_rm(g->e, A_CMP, 8, y, mem_low(&entry->tag[intent]));
        *slow = emit_jcc(g->e, CC_NZ);
        emit_alu_rm(g->e, A_ADD, 8, y, mem_low(&entry->addend));
        return mem_at(y, (int32_t)(gva & PAGE_OFFSET));
    }
    emit_alu_mi(g->e, A_CMP, 8, mem_low(&entry->tag[intent]), (int32_t)page);
    *slow = emit_jcc(g->e, CC_NZ);
    emit_load(g->e, 8, y, mem_low(&entry->addend));
    return mem_at(y, (int32_t)gva);
}

/* y = host address, through the TLB; the address is in x, which is lost. */
static struct host_mem tlb_check(struct gen *g, struct gaddr a, unsigned width, enum tlb_intent intent, enum host x, enum host y,
                                 uint8_t **slow)
{
    struct tlb_entry *bank = g->jit->v->mmu.tlb[gen_bank(g)];

    _Static_assert(sizeof(struct tlb_entry) == 64, "the shift below");
    gen_flags_lost(g);
    if (g->jit->options.count)
        emit_inc(g->e, &g->jit->stats.accesses);
    if (!g->jit->options.tlb || (a.constant && (a.value & PAGE_OFFSET) > PAGE_BYTES - width)) {
        *slow = emit_jmp(g->e);
        return mem_at(y, 0); /* never reached */
    }
    if (a.constant)
        return tlb_check_constant(g, a.value, intent, y, slow);
    gen_address_into(g, y, a);
    emit_zext(g->e, 4, x, y);
    emit_shift_imm(g->e, S_SHR, 4, x, 6);
    emit_alu_ri(g->e, A_AND, 4, x, (TLB_ENTRIES - 1) << 6);
    if (width > 1)
        emit_alu_ri(g->e, A_ADD, 8, y, (int32_t)width - 1);
    emit_alu_ri(g->e, A_AND, 8, y, -(int32_t)PAGE_BYTES);
    emit_alu_rm(g->e, A_CMP, 8, y, mem_table(&bank->tag[intent], x));
    *slow = emit_jcc(g->e, CC_NZ);
    emit_load(g->e, 8, x, mem_table(&bank->addend, x));
    gen_address_into(g, y, a);
    emit_alu_rr(g->e, A_ADD, 8, y, x);
    return mem_at(y, 0);
}

/*
 * The host's memory for [address, + bytes), through a page cache: `reg` becomes its distance from the guest's; `whole`: its
 * address.  Jumps out where the cache does not say.
 */
static uint8_t *page_check(struct gen *g, struct gaddr a, const struct page_cache *c, unsigned bytes, enum host reg, bool whole)
{
    enum host x = whole ? gen_scratch(g) : reg;
    uint8_t *out;

    gen_flags_lost(g);
    if (g->jit->options.count)
        emit_inc(g->e, &g->jit->stats.accesses);
    gen_address_into(g, reg, a);
    emit_mov(g->e, x, reg);
    emit_alu_rm(g->e, A_SUB, 8, x, mem_low(&c->base));
    emit_alu_rm(g->e, A_CMP, 8, x, mem_low(&c->span[jit_span(bytes)]));
    out = emit_jcc(g->e, CC_NB);
    if (whole) {
        emit_alu_rm(g->e, A_ADD, 8, reg, mem_low(&c->delta));
        gen_release(g, x);
    } else {
        emit_load(g->e, 8, reg, mem_low(&c->delta));
    }
    return out;
}

/* The operand, where its distance from the guest's address is in `reg`. */
static struct host_mem mem_moved(struct gaddr a, enum host reg)
{
    struct host_mem m = a.mem;

    if (a.constant)
        return mem_at(reg, (int32_t)a.value);
    if (m.base == H_NONE)
        m.base = (uint8_t)reg;
    else
        m.index = (uint8_t)reg, m.scale = 0;
    return m;
}

/* Can the distance be added within the operand? */
static bool address_has_room(struct gaddr a)
{
    if (a.constant)
        return a.value == (uint64_t)(int64_t)(int32_t)a.value;
    return a.width == 8 && (a.mem.base == H_NONE || a.mem.index == H_NONE);
}

/* A register of the operation's that only the address needed. */
static void release_address(struct gen *g, struct gaddr a, enum host but)
{
    if (a.constant)
        return;
    if (a.mem.base != but && a.mem.base != H_NONE)
        gen_release(g, (enum host)a.mem.base);
    if (a.mem.index != but && a.mem.index != H_NONE)
        gen_release(g, (enum host)a.mem.index);
}

/* The host's address of the operand, in registers of its own choice. */
static struct host_mem gen_translate(struct gen *g, struct gen_stub *s, unsigned width, enum tlb_intent intent)
{
    enum host x = gen_scratch(g), y;
    struct host_mem m;

    s->site->cache = s->address.cache;
    if (s->address.cache) {
        s->whole = !address_has_room(s->address);
        s->host = x;
        s->from[0] = page_check(g, s->address, s->address.cache, 8, x, s->whole);
        s->access = emit_address(g->e);
        m = s->whole ? mem_at(x, 0) : mem_moved(s->address, x);
        memcpy(s->owner, g->owner, sizeof(s->owner));
        if (s->whole)
            release_address(g, s->address, x);
        return m;
    }
    y = gen_scratch(g);
    m = tlb_check(g, s->address, width, intent, x, y, &s->from[0]);
    memcpy(s->owner, g->owner, sizeof(s->owner));
    gen_release(g, x);
    release_address(g, s->address, m.base);
    return m;
}

static struct gen_stub *memory_stub(struct gen *g, enum stub_kind kind, const struct ir_op *o)
{
    struct gen_stub *s = gen_stub(g, kind, o);

    gen_settle_sp(g);
    s->address = gen_address(g, o);
    gen_flags_lost(g);
    s->site = gen_site(g, o);
    return s;
}

/* -- windows -------------------------------------------------------------------------------------------------------------- */

/* The low end of the window that the operation leads, from its own address. */
static struct gaddr window_low(struct gaddr a, const struct reach *r, const struct window *w)
{
    if (r->small && r->small_first)
        a.mem.base = a.mem.index;
    if (r->small)
        a.mem.index = H_NONE, a.mem.scale = 0;
    if (!a.constant && a.mem.base == H_NONE && a.mem.index == H_NONE) {
        a.constant = true;
        a.value = (uint64_t)(int64_t)a.mem.disp;
    }
    a.value += (uint64_t)(int64_t)w->low;
    a.mem.disp += w->low;
    return a;
}

/* The leader is aligned, or the block is left before it. */
static void window_align(struct gen *g, const struct ir_op *o, struct gaddr a, const struct window *w, struct jit_site *site)
{
    struct gen_stub *s;
    enum host x;

    if (!w->aligned)
        return;
    x = gen_scratch(g);
    gen_address_into(g, x, a);
    emit_test_ri(g->e, 4, x, w->aligned - 1);
    gen_release(g, x);
    s = gen_stub(g, STUB_CAREFUL, o);
    s->site = site;
    s->sp = g->sp;
    s->from[0] = emit_jcc(g->e, CC_NZ);
    memcpy(s->owner, g->owner, sizeof(s->owner));
}

static void window_lead(struct gen *g, const struct ir_op *o, struct gaddr a, const struct reach *r)
{
    const struct window *w = &g->plan->window[r->window];
    struct gen_stub *s = gen_stub(g, STUB_WINDOW, o);
    enum host reg;

    gen_flags_lost(g);
    s->site = gen_site(g, o);
    s->site->size = w->size;
    s->sp = g->sp;
    s->site->shape.to_write = w->write;
    window_align(g, o, a, w, s->site);
    s->address = window_low(a, r, w);
    s->address.cache = s->site->cache = cache_new(g);
    reg = gen_window_new(g, r->window);
    s->host = reg;
    s->whole = w->whole;
    s->from[0] = page_check(g, s->address, s->address.cache, w->size, reg, w->whole);
    memcpy(s->owner, g->owner, sizeof(s->owner));
    s->owner[reg] = OWNER_NONE; /* at the jump it has something else */
    s->access = emit_address(g->e);
}

/* The operand in a window. */
static struct host_mem window_operand(struct gen *g, const struct ir_op *o, const struct reach *r)
{
    const struct window *w = &g->plan->window[r->window];
    bool leads = o->cover == COVER_LEADS;
    struct gaddr a = { .constant = false };
    struct host_mem m;

    if (leads || !w->whole || r->small)
        a = gen_address(g, o);
    if (leads)
        window_lead(g, o, a, r);
    if (!w->whole)
        return mem_moved(a, gen_window(g, r->window));
    m = mem_at(gen_window(g, r->window), r->offset);
    if (r->small) {
        m.index = r->small_first ? a.mem.base : a.mem.index;
        m.scale = r->small_first ? 0 : a.mem.scale;
    }
    return m;
}

/* RSP must not settle between an address that is made from it and the access. */
static void settle_for(struct gen *g, ir_operand a, ir_operand b)
{
    if (a == RSP || b == RSP)
        gen_settle_sp(g);
}

/* The operand of a load or store, and the stub for where it is no plain memory; NULL: that is settled. */
struct host_mem gen_operand(struct gen *g, enum stub_kind kind, const struct ir_op *o, enum tlb_intent intent, struct gen_stub **stub)
{
    *stub = NULL;
    if (o->cover)
        return window_operand(g, o, &g->plan->reach[o - g->ir->op]);
    *stub = memory_stub(g, kind, o);
    return gen_translate(g, *stub, o->width, intent);
}

void stub_comes_back(struct gen *g, struct gen_stub *s)
{
    if (!s)
        return;
    s->back = emit_address(g->e);
    s->vec_back = g->vec;
    memcpy(s->owner_back, g->owner, sizeof(s->owner_back));
}

/* -- loads ---------------------------------------------------------------------------------------------------------------- */

static void gen_load(struct gen *g)
{
    const struct ir_op *o = g->op;
    struct gen_stub *s;
    struct host_mem m = gen_operand(g, STUB_LOAD, o, o->op == IR_LDW ? TLB_WRITE : TLB_READ, &s);
    enum host d = gen_result(g, o->d, false);

    emit_load(g->e, o->width, d, m);
    if (s)
        s->result = d;
    stub_comes_back(g, s);
    gen_put(g, o->d, d);
}

/*
 * The flags an operation needs must be in memory while its operand's page is looked up; in the host's where it is not, for
 * making them wants registers, which the operand has later.
 */
static void flags_aside(struct gen *g, const struct ir_op *access, const struct ir_op *o)
{
    if (o->fx != FX_PART || !(o->live || ir_uses_carry(o)))
        return;
    if (access->cover != COVER_FOLLOWS)
        gen_flags_aside(g);
    else if (!g->in_memory)
        gen_flags_to_host(g);
}

static void plan_for(struct gen *g, const struct ir_op *o, unsigned at)
{
    g->op = o;
    g->at = at;
    g->save = g->keep_lazy = g->unseen = false;
    if (o->fx && o->live)
        gen_plan(g);
}

static void flags_made_by(struct gen *g, const struct ir_op *o)
{
    if (o->fx && o->live)
        gen_flags_made(g);
}

/* LD and the operation that takes its value, as one host instruction. */
static bool gen_load_operation(struct gen *g)
{
    const struct ir_op *o = g->op, *n = o + 1;
    unsigned at = g->at;
    struct gen_stub *s;
    struct host_mem m;

    if (!g->jit->options.fuse || at + 1 >= g->ir->ops || n->insn != o->insn || !gen_is_temp(o->d) || n->width != o->width ||
        g->last_use[o->d - GPRS] != at + 1 || !gen_takes_memory(n, o->d))
        return false;
    plan_for(g, n, at + 1);
    if (g->keep_lazy && n->op != IR_AND && n->op != IR_OR && n->op != IR_XOR) { /* it would want the value */
        g->op = o;
        g->at = at;
        return false;
    }
    flags_aside(g, o, n);
    settle_for(g, n->a, n->b);
    m = gen_operand(g, STUB_LOAD, o, TLB_READ, &s);
    if (s)
        s->then = n;
    gen_from_memory(g, n, o->d, m);
    stub_comes_back(g, s);
    if (n->d < GPRS)
        gen_slot_written(g, n->d);
    gen_flags_lost(g);
    flags_made_by(g, n);
    return true;
}

/* -- stores ----------------------------------------------------------------------------------------------------------------- */

static void gen_store(struct gen *g)
{
    const struct ir_op *o = g->op;
    struct gen_stub *s;
    struct host_mem m;
    int32_t imm;

    settle_for(g, IR_NONE, o->b);
    m = gen_operand(g, STUB_STORE, o, TLB_WRITE, &s);
    if (gen_imm(g, o->b, o->width, &imm))
        emit_store_imm(g->e, o->width, m, imm);
    else
        emit_store(g->e, o->width, m, gen_use(g, o->b));
    stub_comes_back(g, s);
}

/* LDW, an operation and the ST of its result. */
static bool gen_modify(struct gen *g)
{
    const struct ir_op *o = g->op, *n = o + 1, *st = o + 2;
    unsigned at = g->at;
    struct gen_stub *s;
    struct host_mem m;

    if (!g->jit->options.fuse || at + 2 >= g->ir->ops || st->op != IR_ST || st->insn != o->insn || !st->proven ||
        st->a != o->a || st->imm != o->imm || st->width != o->width || st->b != o->d || n->d != o->d || n->a != o->d ||
        n->b == o->d || n->width != o->width || g->last_use[o->d - GPRS] != at + 2 || !gen_is_rmw(n))
        return false;
    plan_for(g, n, at + 2);
    g->save |= g->keep_lazy; /* the result is in no register */
    g->keep_lazy = false;
    flags_aside(g, o, n);
    settle_for(g, IR_NONE, n->b);
    m = gen_operand(g, STUB_MODIFY, o, TLB_WRITE, &s);
    if (s) {
        s->then = n;
        s->site2 = gen_site(g, st);
        s->site2->last = false; /* its flags are not where the boundary has them */
    }
    gen_rmw(g, n, m);
    stub_comes_back(g, s);
    if (n->op != IR_NOT)
        gen_flags_lost(g);
    flags_made_by(g, n);
    return true;
}

/* -- atomics ------------------------------------------------------------------------------------------------------------------ */

/* rdx: host address; rax, rcx free.  The old value ends up in rax. */
static void atomic_on_host(struct gen *g, const struct ir_op *o)
{
    static const uint8_t ops[] = { [ATOMIC_AND] = A_AND, [ATOMIC_OR] = A_OR, [ATOMIC_XOR] = A_XOR };
    struct host_mem m = mem_at(H_RDX, 0);
    const uint8_t *again;

    switch (o->cc) {
    case ATOMIC_ADD: case ATOMIC_SUB: case ATOMIC_XCHG:
        gen_load_into(g, H_RAX, o->b);
        if (o->cc == ATOMIC_SUB)
            emit_group3(g->e, G3_NEG, 8, H_RAX);
        if (o->cc == ATOMIC_XCHG) {
            emit_rm(g->e, o->width == 1 ? 0x86 : 0x87, o->width, H_RAX, m);
        } else {
            emit_byte(g->e, 0xf0);
            emit_rm(g->e, OP_0F | (o->width == 1 ? 0xc0 : 0xc1), o->width, H_RAX, m);
        }
        return;
    case ATOMIC_CMPXCHG:
        gen_load_into(g, H_RAX, o->c);
        gen_load_into(g, H_RCX, o->b);
        emit_byte(g->e, 0xf0);
        emit_rm(g->e, OP_0F | (o->width == 1 ? 0xb0 : 0xb1), o->width, H_RCX, m);
        return;
    default: break;
    }
    emit_load(g->e, o->width, H_RAX, m);
    again = emit_address(g->e);
    if (o->cc == ATOMIC_NEG) {
        emit_mov(g->e, H_RCX, H_RAX);
        emit_group3(g->e, G3_NEG, 8, H_RCX);
    } else {
        gen_load_into(g, H_RCX, o->b);
        emit_alu_rr(g->e, ops[o->cc], 8, H_RCX, H_RAX);
    }
    emit_byte(g->e, 0xf0);
    emit_rm(g->e, OP_0F | (o->width == 1 ? 0xb0 : 0xb1), o->width, H_RCX, m);
    emit_jcc_to(g->e, CC_NZ, again);
}

static void gen_atomic(struct gen *g)
{
    const struct ir_op *o = g->op;
    struct gen_stub *s;
    struct host_mem m;

    gen_take(g, H_RDX);
    gen_take(g, H_RCX);
    s = memory_stub(g, STUB_ATOMIC, o);
    if (o->width > 1) {
        gen_address_into(g, H_RCX, s->address);
        emit_test_ri(g->e, 1, H_RCX, (int32_t)o->width - 1);
        s->from[1] = emit_jcc(g->e, CC_NZ);
    }
    m = tlb_check(g, s->address, o->width, TLB_WRITE, H_RCX, H_RDX, &s->from[0]);
    memcpy(s->owner, g->owner, sizeof(s->owner));
    emit_lea(g->e, 8, H_RDX, m);
    release_address(g, s->address, H_NONE);
    gen_take(g, H_RAX);
    atomic_on_host(g, o);
    emit_zext(g->e, o->width, H_RAX, H_RAX);
    stub_comes_back(g, s);
    gen_release(g, H_RCX);
    gen_release(g, H_RDX);
    if (gen_is_temp(o->d))
        gen_give(g, o->d, H_RAX);
    else
        gen_assign(g, o->d, 8, H_RAX);
}

/* -- vector state ----------------------------------------------------------------------------------------------------------------- */

static struct host_mem cpu_at(const struct gen *g, uint64_t offset) { return mem_low((char *)&g->jit->v->cpu + offset); }

static struct host_mem mem_plus(struct host_mem m, unsigned n)
{
    m.disp += (int32_t)n;
    return m;
}

/* Through xmm0, or `reg`, the widest that fits. */
static void copy_bytes(struct gen *g, struct host_mem to, struct host_mem from, unsigned n, enum host reg)
{
    bool wide = false;

    for (unsigned at = 0, step; at < n; at += step) {
        struct host_mem f = mem_plus(from, at), t = mem_plus(to, at);
        unsigned left = n - at;

        if (left >= 64 && g->jit->avx512) {
            emit_move_zmm(g->e, false, f);
            emit_move_zmm(g->e, true, t);
            step = 64, wide = true;
        } else if (left >= 32 && g->jit->avx) {
            emit_vex_rm(g->e, 2, 1, 0x6f, false, 1, 0, 0, f);
            emit_vex_rm(g->e, 2, 1, 0x7f, false, 1, 0, 0, t);
            step = 32, wide = true;
        } else if (left >= 16) {
            emit_rm(g->e, OP_0F | 0x10, 4, 0, f);
            emit_rm(g->e, OP_0F | 0x11, 4, 0, t);
            step = 16;
        } else {
            step = left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
            emit_load(g->e, step, reg, f);
            emit_store(g->e, step, t, reg);
        }
    }
    if (wide) { /* VZEROUPPER */
        emit_byte(g->e, 0xc5);
        emit_byte(g->e, 0xf8);
        emit_byte(g->e, 0x77);
    }
}

/* An address in one register, so that two are left. */
static void address_in_one(struct gen *g, struct gaddr *a)
{
    enum host reg;

    if (a->constant || (a->mem.index == H_NONE && (a->mem.base == H_NONE || !gen_is_scratch(a->mem.base))))
        return;
    reg = gen_scratch(g);
    gen_address_into(g, reg, *a);
    release_address(g, *a, H_NONE);
    a->mem = mem_at(reg, 0);
    a->width = 8;
}

/* The host's address of a vector operand; the stub's kind says what is done where it is not known.  NULL: it is. */
struct host_mem gen_wide_operand(struct gen *g, enum stub_kind kind, struct gen_stub **stub)
{
    const struct ir_op *o = g->op;
    struct gen_stub *s;
    struct host_mem m;
    enum host x, y;

    *stub = NULL;
    if (o->cover)
        return window_operand(g, o, &g->plan->reach[o - g->ir->op]);
    *stub = s = memory_stub(g, kind, o);
    address_in_one(g, &s->address);
    x = gen_scratch(g);
    y = gen_scratch(g);
    if (o->cc & LDX_ALIGNED && o->width > 1) {
        gen_address_into(g, x, s->address);
        emit_test_ri(g->e, 4, x, (int32_t)o->width - 1);
        s->from[1] = emit_jcc(g->e, CC_NZ);
    }
    m = tlb_check(g, s->address, o->width, o->op == IR_STX ? TLB_WRITE : TLB_READ, x, y, &s->from[0]);
    memcpy(s->owner, g->owner, sizeof(s->owner));
    return m;
}

static void gen_wide(struct gen *g)
{
    const struct ir_op *o = g->op;
    bool store = o->op == IR_STX;
    struct gen_stub *s;
    struct host_mem m = gen_wide_operand(g, STUB_WIDE, &s);

    copy_bytes(g, store ? m : cpu_at(g, o->aux), store ? cpu_at(g, o->aux) : m, o->width, gen_scratch(g));
    stub_comes_back(g, s);
}

static void gen_movx(struct gen *g)
{
    copy_bytes(g, cpu_at(g, g->op->aux), cpu_at(g, (uint64_t)g->op->imm), g->op->width, gen_scratch(g));
}

static void gen_zerox(struct gen *g)
{
    unsigned n = (unsigned)g->op->imm, at = 0;
    struct host_mem m = cpu_at(g, g->op->aux);

    if (n >= 16)
        emit_rr(g->e, OP_66 | OP_0F | 0xef, 4, 0, H_RAX); /* pxor xmm0, xmm0 */
    for (; n - at >= 16; at += 16)
        emit_rm(g->e, OP_0F | 0x11, 4, 0, mem_plus(m, at));
    for (; n - at >= 8; at += 8)
        emit_store_imm(g->e, 8, mem_plus(m, at), 0);
    for (; at < n; at++)
        emit_store_imm(g->e, 1, mem_plus(m, at), 0);
}

/* -- segments ------------------------------------------------------------------------------------------------------------------------ */

static void gen_segbase(struct gen *g)
{
    const struct ir_op *o = g->op;
    enum host a = gen_use(g, o->a), d = gen_scratch(g);

    emit_load(g->e, 8, d, mem_low(&g->jit->v->cpu.seg[o->aux].base));
    emit_lea(g->e, o->width == 8 ? 8 : 4, d, mem_indexed(d, a, 0, 0));
    if (gen_is_temp(o->d))
        gen_give(g, o->d, d);
    else
        gen_assign(g, o->d, 8, d);
}

/* Ordinary writable data within its limit; the rest is segment_linear()'s. */
static void gen_segcheck(struct gen *g)
{
    const struct ir_op *o = g->op;
    struct segment *seg = &g->jit->v->cpu.seg[o->aux];
    enum host a = gen_use(g, o->a), x = gen_scratch(g), y = gen_scratch(g);
    struct gen_stub *s = gen_stub(g, STUB_SEGMENT, o);

    gen_settle_sp(g);
    gen_flags_lost(g);
    s->site = gen_site(g, o);
    emit_zext(g->e, 4, x, a);
    emit_load(g->e, 4, y, mem_low(&seg->limit));
    emit_alu_rr(g->e, A_SUB, 8, y, x);
    emit_alu_ri(g->e, A_CMP, 8, y, (int32_t)o->imm - 1);
    s->from[0] = emit_jcc(g->e, CC_L);
    emit_load(g->e, 4, y, mem_low(&seg->ar));
    emit_alu_ri(g->e, A_AND, 4, y, AR_UNUSABLE | AR_CODE | AR_EXPAND_DOWN | AR_WRITABLE);
    emit_alu_ri(g->e, A_CMP, 4, y, AR_WRITABLE);
    s->from[1] = emit_jcc(g->e, CC_NZ);
    s->address.mem.base = x;
    s->result = x;
    memcpy(s->owner, g->owner, sizeof(s->owner));
    emit_alu_rm(g->e, A_ADD, 4, x, mem_low(&seg->base));
    stub_comes_back(g, s);
    if (gen_is_temp(o->d))
        gen_give(g, o->d, x);
    else
        gen_assign(g, o->d, 8, x);
}

/* -- division ------------------------------------------------------------------------------------------------------------------------- */

static void guest_register_into(struct gen *g, enum host reg, unsigned guest) { emit_mov(g->e, reg, jit_pin[guest]); }

/* The quotient fits if the high half is below the divisor. */
static void divide_check(struct gen *g, struct gen_stub *s)
{
    emit_alu_rr(g->e, A_CMP, g->op->width, jit_pin[RDX], H_RCX);
    s->from[0] = emit_jcc(g->e, CC_NB);
}

/* It fits if the dividend is sign-extended and the divisor neither 0 nor -1. */
static void divide_check_signed(struct gen *g, struct gen_stub *s)
{
    unsigned w = g->op->width;

    emit_lea(g->e, w, H_RAX, mem_at(H_RCX, 1));
    emit_alu_ri(g->e, A_CMP, w, H_RAX, 1);
    s->from[0] = emit_jcc(g->e, CC_BE);
    guest_register_into(g, H_RAX, RAX);
    emit_sext(g->e, w, w, H_RAX, H_RAX);
    emit_rr(g->e, 0x8b, w, H_RDX, H_RAX);
    emit_shift_imm(g->e, S_SAR, w, H_RDX, w * 8 - 1);
    emit_alu_rr(g->e, A_CMP, w, H_RDX, jit_pin[RDX]);
    s->from[1] = emit_jcc(g->e, CC_NZ);
}

static void gen_divide(struct gen *g)
{
    const struct ir_op *o = g->op;
    bool is_signed = o->op == IR_IDIV;
    struct gen_stub *s;

    gen_settle_sp(g);
    gen_take(g, H_RCX);
    gen_load_into(g, H_RCX, o->a);
    gen_take(g, H_RAX);
    gen_take(g, H_RDX);
    gen_flags_lost(g);
    s = gen_stub(g, STUB_DIVIDE, o);
    s->site = gen_site(g, o);
    memcpy(s->owner, g->owner, sizeof(s->owner));
    if (o->width < 4) {
        s->from[0] = emit_jmp(g->e);
    } else {
        is_signed ? divide_check_signed(g, s) : divide_check(g, s);
        guest_register_into(g, H_RAX, RAX);
        guest_register_into(g, H_RDX, RDX);
        emit_group3(g->e, is_signed ? G3_IDIV : G3_DIV, o->width, H_RCX);
        gen_assign(g, RAX, o->width, H_RAX);
        gen_assign(g, RDX, o->width, H_RDX);
    }
    stub_comes_back(g, s);
    gen_slot_written(g, RAX);
    gen_slot_written(g, RDX);
}

/* -- the table ------------------------------------------------------------------------------------------------------- */

bool gen_memory(struct gen *g)
{
    switch (g->op->op) {
    case IR_LD:
        if (!gen_load_operation(g))
            gen_load(g);
        return true;
    case IR_LDW:
        if (!gen_modify(g))
            gen_load(g);
        return true;
    case IR_ST: gen_store(g); return true;
    case IR_ATOMIC: gen_atomic(g); return true;
    case IR_LDX: case IR_STX: gen_wide(g); return true;
    case IR_MOVX: gen_movx(g); return true;
    case IR_ZEROX: gen_zerox(g); return true;
    case IR_SEGBASE: gen_segbase(g); return true;
    case IR_SEGCHECK: gen_segcheck(g); return true;
    case IR_DIV: case IR_IDIV: gen_divide(g); return true;
    default: return false;
    }
}
