/*
 * gen_memory.c - loads, stores, atomics, segments: the TLB looked up in line, everything else out of line.
 *
 *     lea  X, [address]            shr X, 6      and X, entries          where the page's entry is
 *     lea  Y, [address + width-1]  and Y, -4096  cmp Y, tag[X]  jne slow  the last byte is in a page we may
 *     mov  Y, addend[X]            ... [Y + address]
 *
 * A stub behind the block saves the temporaries, calls stubs.c and comes back with the value.
 */
#include "jit/gen.h"

#include "x86/segment.h"

#include <string.h>

/* -- addresses ---------------------------------------------------------------------------------------------------------- */

static struct gaddr gen_address(struct gen *g, const struct ir_op *o)
{
    if (gen_is_const(o->a))
        return (struct gaddr){ .base = H_NONE, .value = gen_konst(g, o->a) + (uint64_t)o->imm };
    return (struct gaddr){ .base = gen_use(g, o->a), .disp = (int32_t)o->imm };
}

static void address_into(struct gen *g, enum host reg, struct gaddr a)
{
    if (a.base == H_NONE)
        emit_mov_imm(g->e, reg, a.value);
    else if (a.disp)
        emit_lea(g->e, 8, reg, mem_at(a.base, a.disp));
    else
        emit_mov(g->e, reg, a.base);
}

static struct tlb_entry *tlb_bank(const struct gen *g)
{
    uint32_t mode = g->ir->mode;

    return g->jit->v->mmu.tlb[mode & MODE_USER ? BANK_USER : mode & MODE_AC ? BANK_SUPERVISOR_AC : BANK_SUPERVISOR];
}

/* A constant address: its entry is known. */
static struct host_mem tlb_check_constant(struct gen *g, uint64_t gva, enum tlb_intent intent, enum host y, uint8_t **slow)
{
    struct tlb_entry *entry = &tlb_bank(g)[gva >> 12 & (TLB_ENTRIES - 1)];
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

static struct host_mem tlb_check(struct gen *g, struct gaddr a, unsigned width, enum tlb_intent intent, enum host x, enum host y,
                                 uint8_t **slow)
{
    struct tlb_entry *bank = tlb_bank(g);

    _Static_assert(sizeof(struct tlb_entry) == 64, "the shift below");
    gen_flags_lost(g);
    if (!g->jit->options.tlb || (a.base == H_NONE && (a.value & PAGE_OFFSET) > PAGE_BYTES - width)) {
        *slow = emit_jmp(g->e);
        return mem_at(y, 0); /* never reached */
    }
    if (a.base == H_NONE)
        return tlb_check_constant(g, a.value, intent, y, slow);
    if (a.disp)
        emit_lea(g->e, 4, x, mem_at(a.base, a.disp));
    else
        emit_zext(g->e, 4, x, a.base);
    emit_shift_imm(g->e, S_SHR, 4, x, 6);
    emit_alu_ri(g->e, A_AND, 4, x, (TLB_ENTRIES - 1) << 6);
    emit_lea(g->e, 8, y, mem_at(a.base, a.disp + (int32_t)width - 1));
    emit_alu_ri(g->e, A_AND, 8, y, -(int32_t)PAGE_BYTES);
    emit_alu_rm(g->e, A_CMP, 8, y, mem_table(&bank->tag[intent], x));
    *slow = emit_jcc(g->e, CC_NZ);
    emit_load(g->e, 8, y, mem_table(&bank->addend, x));
    return mem_indexed(y, a.base, 0, a.disp);
}

/* The check with registers of its own choice; those that the access needs are locked after it. */
static struct host_mem gen_tlb(struct gen *g, struct gen_stub *s, unsigned width, enum tlb_intent intent)
{
    enum host x = gen_scratch(g), y = gen_scratch(g);
    struct host_mem m = tlb_check(g, s->address, width, intent, x, y, &s->from[0]);

    memcpy(s->owner, g->owner, sizeof(s->owner));
    gen_release(g, x);
    return m;
}

static struct gen_stub *memory_stub(struct gen *g, enum stub_kind kind, const struct ir_op *o)
{
    struct gen_stub *s = gen_stub(g, kind, o);

    s->address = gen_address(g, o);
    gen_flags_lost(g);
    s->site = gen_site(g, o);
    return s;
}

static void stub_comes_back(struct gen *g, struct gen_stub *s)
{
    s->back = emit_address(g->e);
    memcpy(s->owner_back, g->owner, sizeof(s->owner_back));
}

/* -- loads ---------------------------------------------------------------------------------------------------------------- */

static void gen_load(struct gen *g)
{
    const struct ir_op *o = g->op;
    struct gen_stub *s = memory_stub(g, STUB_LOAD, o);
    struct host_mem m = gen_tlb(g, s, o->width, o->op == IR_LDW ? TLB_WRITE : TLB_READ);
    enum host d = gen_result(g, o->d, false);

    emit_load(g->e, o->width, d, m);
    s->result = d;
    stub_comes_back(g, s);
    gen_put(g, o->d, d);
}

/* The flags an operation needs must be in memory while the TLB is looked up. */
static void flags_aside(struct gen *g, const struct ir_op *o)
{
    if (o->fx == FX_PART && (o->live || ir_uses_carry(o)) && !g->in_memory) {
        gen_flags_to_host(g);
        gen_flags_save(g);
    }
}

static void plan_for(struct gen *g, const struct ir_op *o, unsigned at)
{
    g->op = o;
    g->at = at;
    g->save = g->keep_lazy = false;
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
    if (g->keep_lazy && n->op != IR_AND && n->op != IR_OR && n->op != IR_XOR) { /* it would need the value */
        g->op = o;
        g->at = at;
        return false;
    }
    flags_aside(g, n);
    s = memory_stub(g, STUB_LOAD, o);
    s->then = n;
    s->flags_memory = g->in_memory;
    m = gen_tlb(g, s, o->width, TLB_READ);
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
    struct gen_stub *s = memory_stub(g, STUB_STORE, o);
    struct host_mem m = gen_tlb(g, s, o->width, TLB_WRITE);
    int32_t imm;

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
    flags_aside(g, n);
    s = memory_stub(g, STUB_MODIFY, o);
    s->then = n;
    s->flags_memory = g->in_memory;
    s->site2 = gen_site(g, st);
    m = gen_tlb(g, s, o->width, TLB_WRITE);
    gen_rmw(g, n, m);
    stub_comes_back(g, s);
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
        address_into(g, H_RCX, s->address);
        emit_test_ri(g->e, 1, H_RCX, (int32_t)o->width - 1);
        s->from[1] = emit_jcc(g->e, CC_NZ);
    }
    m = tlb_check(g, s->address, o->width, TLB_WRITE, H_RCX, H_RDX, &s->from[0]);
    memcpy(s->owner, g->owner, sizeof(s->owner));
    emit_lea(g->e, 8, H_RDX, m);
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

/* Through xmm0, the widest that fits. */
static void copy_bytes(struct gen *g, struct host_mem to, struct host_mem from, unsigned n)
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
            emit_load(g->e, step, H_RAX, f);
            emit_store(g->e, step, t, H_RAX);
        }
    }
    if (wide) { /* VZEROUPPER */
        emit_byte(g->e, 0xc5);
        emit_byte(g->e, 0xf8);
        emit_byte(g->e, 0x77);
    }
}

static void gen_wide(struct gen *g)
{
    const struct ir_op *o = g->op;
    bool store = o->op == IR_STX;
    struct gen_stub *s;
    struct host_mem m;

    gen_take(g, H_RAX);
    gen_take(g, H_RDX);
    s = memory_stub(g, STUB_WIDE, o);
    if (o->cc & LDX_ALIGNED && o->width > 1) {
        address_into(g, H_RAX, s->address);
        emit_test_ri(g->e, 4, H_RAX, (int32_t)o->width - 1);
        s->from[1] = emit_jcc(g->e, CC_NZ);
    }
    m = tlb_check(g, s->address, o->width, store ? TLB_WRITE : TLB_READ, H_RAX, H_RDX, &s->from[0]);
    memcpy(s->owner, g->owner, sizeof(s->owner));
    copy_bytes(g, store ? m : cpu_at(g, o->aux), store ? cpu_at(g, o->aux) : m, o->width);
    stub_comes_back(g, s);
}

static void gen_movx(struct gen *g)
{
    gen_take(g, H_RAX);
    copy_bytes(g, cpu_at(g, g->op->aux), cpu_at(g, (uint64_t)g->op->imm), g->op->width);
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
    s->address.base = x;
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

/* -- out of line -------------------------------------------------------------------------------------------------------------------------- */

static struct host_mem temp_slot(const struct gen *g, unsigned temp) { return gen_slot(g, (ir_operand)(GPRS + temp)); }

static void stub_spill(struct gen *g, const struct gen_stub *s)
{
    for (unsigned i = 0; i < SCRATCH; i++)
        if (s->owner[i] < IR_TEMPS)
            emit_store(g->e, 8, temp_slot(g, s->owner[i]), (enum host)i);
}

static void stub_restore(struct gen *g, const uint8_t owner[SCRATCH], enum host but)
{
    for (unsigned i = 0; i < SCRATCH; i++)
        if (owner[i] < IR_TEMPS && i != but)
            emit_load(g->e, 8, (enum host)i, temp_slot(g, owner[i]));
}

/* As the block's own code left them where the stub comes back. */
static void stub_reload(struct gen *g, const struct gen_stub *s, enum host but) { stub_restore(g, s->owner_back, but); }

/* An operand, when every temporary is in its slot. */
static void stub_value(struct gen *g, enum host reg, ir_operand x)
{
    if (gen_is_temp(x))
        emit_load(g->e, 8, reg, gen_slot(g, x));
    else
        gen_load_into(g, reg, x);
}

static void stub_call(struct gen *g, struct jit_site *site, const void *stub)
{
    emit_mov_imm(g->e, H_RCX, (uint64_t)(uintptr_t)site);
    emit_call_to(g->e, stub);
}

/* What the load feeds: d = d op rax, or flags of rax against an operand. */
static void stub_then(struct gen *g, const struct gen_stub *s)
{
    const struct ir_op *n = s->then;
    bool carry = n->fx == FX_PART && (n->live || ir_uses_carry(n));

    if (carry) {
        emit_rm(g->e, OP_0F | 0xba, 2, 4, mem_low(&g->jit->flags));
        emit_byte(g->e, 8);
    }
    if (n->d != IR_NONE) {
        unsigned opcode = n->op == IR_ADD ? A_ADD : n->op == IR_SUB ? A_SUB : n->op == IR_AND ? A_AND : n->op == IR_OR ? A_OR :
                          n->op == IR_XOR ? A_XOR : n->op == IR_ADC ? A_ADC : A_SBB;

        emit_alu_rr(g->e, (enum host_alu)opcode, n->width, jit_pin[n->d], H_RAX);
    } else {
        ir_operand t = s->op->d;

        stub_value(g, H_RCX, n->a == t ? n->b : n->a);
        if (n->op == IR_TEST)
            emit_test_rr(g->e, n->width, H_RAX, H_RCX);
        else
            emit_alu_rr(g->e, A_CMP, n->width, n->a == t ? H_RAX : H_RCX, n->a == t ? H_RCX : H_RAX);
    }
}

static void stub_load(struct gen *g, const struct gen_stub *s)
{
    stub_spill(g, s);
    address_into(g, H_RAX, s->address);
    stub_call(g, s->site, g->jit->stub_load);
    if (s->then)
        stub_then(g, s);
    else
        emit_mov(g->e, s->result, H_RAX);
    stub_reload(g, s, s->then ? H_NONE : s->result);
}

static void stub_store(struct gen *g, const struct gen_stub *s)
{
    stub_spill(g, s);
    address_into(g, H_RAX, s->address);
    stub_value(g, H_RDX, s->op->b);
    stub_call(g, s->site, g->jit->stub_store);
    stub_reload(g, s, H_NONE);
}

static void stub_modify(struct gen *g, const struct gen_stub *s)
{
    const struct ir_op *n = s->then;
    bool flags = n->fx && n->live;

    stub_spill(g, s);
    address_into(g, H_RAX, s->address);
    stub_call(g, s->site, g->jit->stub_load);
    emit_mov(g->e, H_RDX, H_RAX);
    stub_value(g, H_RCX, n->b);
    if (n->fx == FX_PART && (n->live || ir_uses_carry(n))) {
        emit_rm(g->e, OP_0F | 0xba, 2, 4, mem_low(&g->jit->flags));
        emit_byte(g->e, 8);
    }
    gen_rmw_register(g, n, H_RDX, H_RCX);
    if (flags)
        gen_emit_save(g);
    stub_restore(g, s->owner, H_RDX);
    if (s->owner[H_RDX] < IR_TEMPS && s->address.base == H_RDX) {
        emit_load(g->e, 8, H_RAX, temp_slot(g, s->owner[H_RDX]));
        emit_lea(g->e, 8, H_RAX, mem_at(H_RAX, s->address.disp));
    } else {
        address_into(g, H_RAX, s->address);
    }
    stub_call(g, s->site2, g->jit->stub_store);
    if (flags)
        gen_emit_restore(g);
    stub_reload(g, s, H_NONE);
}

static void stub_atomic(struct gen *g, const struct gen_stub *s)
{
    stub_spill(g, s);
    address_into(g, H_RAX, s->address);
    stub_value(g, H_RDX, s->op->b);
    emit_store(g->e, 8, mem_low(&g->jit->argument[0]), H_RDX);
    stub_value(g, H_RDX, s->op->c);
    emit_store(g->e, 8, mem_low(&g->jit->argument[1]), H_RDX);
    stub_call(g, s->site, g->jit->stub_atomic);
    stub_reload(g, s, H_RAX);
}

void gen_memory_stub(struct gen *g, struct gen_stub *s)
{
    for (unsigned i = 0; i < ARRAY_LEN(s->from); i++)
        if (s->from[i])
            emit_here(g->e, s->from[i]);
    if (s->site)
        s->site->code = emit_address(g->e);
    switch (s->kind) {
    case STUB_LOAD: stub_load(g, s); break;
    case STUB_STORE: stub_store(g, s); break;
    case STUB_MODIFY: stub_modify(g, s); break;
    case STUB_ATOMIC: stub_atomic(g, s); break;
    case STUB_WIDE:
        stub_spill(g, s);
        address_into(g, H_RAX, s->address);
        stub_call(g, s->site, g->jit->stub_wide);
        stub_reload(g, s, H_NONE);
        break;
    case STUB_SEGMENT:
        stub_spill(g, s);
        emit_mov(g->e, H_RAX, s->address.base);
        stub_call(g, s->site, g->jit->stub_segment);
        emit_mov(g->e, s->result, H_RAX);
        stub_reload(g, s, s->result);
        break;
    default:
        emit_mov(g->e, H_RAX, H_RCX);
        stub_call(g, s->site, g->jit->stub_divide);
        break;
    }
    emit_jmp_to(g->e, s->back);
}

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
