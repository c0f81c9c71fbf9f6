/*
 * gen_stub.c - what lies behind a block: the way of an access that the fast path does not know.
 *
 * Temporaries that live across the jump go to their slots, and come back from there to where the block's own code has
 * them by then.  The call is stubs.c's; C answers with the value.
 */
#include "jit/gen.h"

static struct host_mem temp_slot(const struct gen *g, unsigned temp) { return gen_slot(g, (ir_operand)(GPRS + temp)); }

/* What a scratch register has to come back with. */
static bool stub_keeps(const struct gen *g, unsigned owner, struct host_mem *slot)
{
    if (owner < IR_TEMPS)
        *slot = temp_slot(g, owner);
    else if (gen_is_copy(owner))
        *slot = gen_slot(g, (ir_operand)(owner - OWNER_SLOT));
    else if (gen_is_window(owner))
        *slot = gen_window_slot(g, owner - OWNER_WINDOW);
    else
        return false;
    return true;
}

static void stub_spill(struct gen *g, const struct gen_stub *s)
{
    struct host_mem slot;

    for (unsigned i = 0; i < HOSTS; i++)
        if (!gen_is_copy(s->owner[i]) && stub_keeps(g, s->owner[i], &slot))
            emit_store(g->e, 8, slot, (enum host)i);
    gen_vector_save(g, &s->vec);
    gen_x87_save(g, &s->x87);
}

static void stub_restore(struct gen *g, const uint8_t owner[HOSTS], enum host but)
{
    struct host_mem slot;

    for (unsigned i = 0; i < HOSTS; i++)
        if (i != but && stub_keeps(g, owner[i], &slot))
            emit_load(g->e, 8, (enum host)i, slot);
}

/* As the block's own code left them where the stub comes back. */
static void stub_reload(struct gen *g, const struct gen_stub *s, enum host but)
{
    gen_vector_restore(g, &s->vec_back);
    stub_restore(g, s->owner_back, but);
}

/* An operand, when every temporary is in its slot. */
static void stub_value(struct gen *g, enum host reg, ir_operand x)
{
    if (gen_is_temp(x))
        emit_load(g->e, 8, reg, gen_slot(g, x));
    else
        gen_load_into(g, reg, x);
}

/* C; then the x87 unit has again what it had, which costs flags: before what makes some. */
static void stub_call(struct gen *g, const struct gen_stub *s, struct jit_site *site, const void *stub)
{
    emit_mov_imm(g->e, H_RCX, (uint64_t)(uintptr_t)site);
    emit_call_to(g->e, stub);
    gen_x87_restore(g, &s->x87);
}

/* What the load feeds: d = d op rax, or flags of rax against an operand. */
static void stub_then(struct gen *g, const struct gen_stub *s)
{
    const struct ir_op *n = s->then;
    bool carry = n->fx == FX_PART && (n->live || ir_uses_carry(n));

    if (carry)
        gen_emit_flag(g, PACKED_CF);
    if (n->op == IR_IMUL2) {
        emit_rr(g->e, OP_0F | 0xaf, n->width, jit_pin[n->d], H_RAX);
    } else if (n->d != IR_NONE) {
        gen_rmw_register(g, n, jit_pin[n->d], H_RAX);
    } else {
        ir_operand t = s->op->d;

        stub_value(g, H_RCX, n->a == t ? n->b : n->a);
        if (n->op == IR_TEST)
            emit_test_rr(g->e, n->width, H_RAX, H_RCX);
        else
            emit_alu_rr(g->e, A_CMP, n->width, n->a == t ? H_RAX : H_RCX, n->a == t ? H_RCX : H_RAX);
    }
}

/* rax is the host's address: back to the access with that in its register, or with its distance from the guest's. */
static void stub_found(struct gen *g, const struct gen_stub *s)
{
    struct host_mem slot;

    stub_restore(g, s->owner, s->whole ? H_RAX : H_NONE);
    if (!s->whole) {
        emit_load(g->e, 8, (enum host)s->host, mem_low(&s->address.cache->delta));
    } else if (s->host != H_RAX) {
        emit_mov(g->e, (enum host)s->host, H_RAX);
        if (stub_keeps(g, s->owner[H_RAX], &slot))
            emit_load(g->e, 8, H_RAX, slot);
    }
    emit_jmp_to(g->e, s->access);
}

/* The page cache was wrong: the TLB may know, and then the cache is set right; else on with rax = address. */
static void stub_probe(struct gen *g, const struct gen_stub *s, enum tlb_intent intent)
{
    uint8_t *missed;

    gen_address_into(g, H_RAX, s->address);
    if (!s->address.cache)
        return;
    emit_lea(g->e, 8, H_RDX, mem_at(H_RAX, (int32_t)s->op->width - 1));
    emit_mov_imm(g->e, H_RCX, (uint64_t)(uintptr_t)s->address.cache);
    emit_call_to(g->e, g->jit->stub_probe[gen_bank(g)][intent == TLB_WRITE]);
    missed = emit_jcc(g->e, CC_NB);
    stub_found(g, s);
    emit_here(g->e, missed);
}

static void stub_load(struct gen *g, const struct gen_stub *s)
{
    stub_spill(g, s);
    stub_probe(g, s, s->op->op == IR_LDW ? TLB_WRITE : TLB_READ);
    stub_call(g, s, s->site, g->jit->stub_load);
    if (s->then)
        stub_then(g, s);
    else
        emit_mov(g->e, s->result, H_RAX);
    stub_reload(g, s, s->then ? H_NONE : s->result);
}

static void stub_store(struct gen *g, const struct gen_stub *s)
{
    stub_spill(g, s);
    stub_probe(g, s, TLB_WRITE);
    stub_value(g, H_RDX, s->op->b);
    stub_call(g, s, s->site, g->jit->stub_store);
    stub_reload(g, s, H_NONE);
}

static void stub_modify(struct gen *g, const struct gen_stub *s)
{
    const struct ir_op *n = s->then;
    bool flags = n->fx && n->live;
    struct host_mem address = mem_low(&g->jit->argument[3]);

    stub_spill(g, s);
    stub_probe(g, s, TLB_WRITE);
    emit_store(g->e, 8, address, H_RAX);
    stub_call(g, s, s->site, g->jit->stub_load);
    emit_mov(g->e, H_RDX, H_RAX);
    stub_value(g, H_RCX, n->b);
    if (n->fx == FX_PART && (n->live || ir_uses_carry(n)))
        gen_emit_flag(g, PACKED_CF);
    gen_rmw_register(g, n, H_RDX, H_RCX);
    if (flags)
        gen_emit_save(g, true);
    emit_load(g->e, 8, H_RAX, address);
    stub_call(g, s, s->site2, g->jit->stub_store);
    if (flags)
        gen_emit_restore(g);
    stub_reload(g, s, H_NONE);
}

static void stub_atomic(struct gen *g, const struct gen_stub *s)
{
    stub_spill(g, s);
    gen_address_into(g, H_RAX, s->address);
    stub_value(g, H_RDX, s->op->b);
    emit_store(g->e, 8, mem_low(&g->jit->argument[0]), H_RDX);
    stub_value(g, H_RDX, s->op->c);
    emit_store(g->e, 8, mem_low(&g->jit->argument[1]), H_RDX);
    stub_call(g, s, s->site, g->jit->stub_atomic);
    stub_reload(g, s, H_RAX);
}

/* As stub_probe(), for all of the window; where it does not hold, a careful block goes on. */
static void stub_window(struct gen *g, const struct gen_stub *s)
{
    enum tlb_intent intent = s->site->shape.to_write ? TLB_WRITE : TLB_READ;
    uint8_t *missed, *refused;
    const uint8_t *found;

    stub_spill(g, s);
    gen_address_into(g, H_RAX, s->address);
    emit_lea(g->e, 8, H_RDX, mem_at(H_RAX, s->site->size - 1));
    emit_mov_imm(g->e, H_RCX, (uint64_t)(uintptr_t)s->address.cache);
    emit_call_to(g->e, g->jit->stub_probe[gen_bank(g)][intent == TLB_WRITE]);
    missed = emit_jcc(g->e, CC_NB);
    found = emit_address(g->e);
    stub_found(g, s);
    emit_here(g->e, missed);
    stub_call(g, s, s->site, g->jit->stub_window);
    emit_test_rr(g->e, 8, H_RAX, H_RAX);
    refused = emit_jcc(g->e, CC_Z);
    gen_vector_restore(g, &s->vec);
    emit_jmp_to(g->e, found);
    emit_here(g->e, refused);
    gen_leave_careful(g, s);
}

void gen_check_stub(struct gen *g, const struct gen_stub *s, enum host target)
{
    struct host_mem argument = mem_low(&g->jit->argument[0]);

    emit_mov(g->e, H_RAX, target);
    if (!s->site)
        return;
    if (s->then) /* with the stack pointer as it was: s->then has moved it */
        emit_lea(g->e, s->then->width, jit_pin[RSP], mem_at(jit_pin[RSP], -(int32_t)s->then->imm));
    emit_store(g->e, 8, argument, H_RAX);
    emit_mov_imm(g->e, H_RCX, (uint64_t)(uintptr_t)s->site);
    emit_call_to(g->e, g->jit->stub_helper_pure);
    if (s->then)
        emit_lea(g->e, s->then->width, jit_pin[RSP], mem_at(jit_pin[RSP], (int32_t)s->then->imm));
    emit_load(g->e, 8, H_RAX, argument);
}

void gen_memory_stub(struct gen *g, struct gen_stub *s)
{
    for (unsigned i = 0; i < ARRAY_LEN(s->from); i++)
        if (s->from[i])
            emit_here(g->e, s->from[i]);
    switch (s->kind) {
    case STUB_WINDOW: stub_window(g, s); return;
    case STUB_CAREFUL:
        stub_spill(g, s);
        gen_leave_careful(g, s);
        return;
    case STUB_LOAD: stub_load(g, s); break;
    case STUB_STORE: stub_store(g, s); break;
    case STUB_MODIFY: stub_modify(g, s); break;
    case STUB_ATOMIC: stub_atomic(g, s); break;
    case STUB_WIDE:
        stub_spill(g, s);
        gen_address_into(g, H_RAX, s->address);
        stub_call(g, s, s->site, s->op->op == IR_STX ? g->jit->stub_store_wide : g->jit->stub_load_wide);
        stub_reload(g, s, H_NONE);
        break;
    case STUB_SEGMENT:
        stub_spill(g, s);
        emit_mov(g->e, H_RAX, (enum host)s->address.mem.base);
        stub_call(g, s, s->site, g->jit->stub_segment);
        emit_mov(g->e, s->result, H_RAX);
        stub_reload(g, s, s->result);
        break;
    case STUB_HELPER:
        stub_spill(g, s);
        emit_store(g->e, 8, mem_low(&g->jit->argument[0]), (enum host)s->address.mem.base);
        stub_call(g, s, s->site, g->jit->stub_helper_pure);
        stub_reload(g, s, H_NONE);
        break;
    case STUB_VECTOR:
        stub_spill(g, s);
        gen_address_into(g, H_RAX, s->address);
        stub_call(g, s, s->site, s->op->op == IR_STX ? g->jit->stub_store_wide : g->jit->stub_load_wide);
        gen_vector_restore(g, &s->vec);
        if (s->op->op == IR_LDX)
            gen_vector_again(g, s);
        stub_restore(g, s->owner_back, H_NONE);
        break;
    case STUB_PACK:
        gen_vector_save(g, &s->vec);
        emit_call_to(g->e, g->jit->stub_pack);
        gen_vector_restore(g, &s->vec);
        break;
    case STUB_TARGET:
        gen_check_stub(g, s, (enum host)s->host);
        s->back = g->jit->stub_exit[EXIT_LOOKUP];
        break;
    case STUB_X87:
        gen_vector_save(g, &s->vec);
        emit_call_to(g->e, g->jit->stub_x87_in);
        gen_vector_restore(g, &s->vec);
        break;
    case STUB_X87_LOAD:
        stub_spill(g, s);
        stub_probe(g, s, TLB_READ);
        stub_call(g, s, s->site, g->jit->stub_load);
        emit_store(g->e, 8, mem_low(&g->jit->x87_operand), H_RAX);
        gen_x87_again(g);
        stub_reload(g, s, H_NONE);
        break;
    case STUB_X87_ACCESS:
        stub_spill(g, s);
        if (s->op->op == IR_ST)
            stub_probe(g, s, TLB_WRITE);
        else
            gen_address_into(g, H_RAX, s->address);
        stub_value(g, H_RDX, s->op->b);
        stub_call(g, s, s->site, g->jit->stub_x87_access);
        stub_reload(g, s, H_NONE);
        break;
    default:
        gen_vector_save(g, &s->vec);
        gen_x87_save(g, &s->x87);
        emit_mov(g->e, H_RAX, H_RCX);
        stub_call(g, s, s->site, g->jit->stub_divide);
        gen_vector_restore(g, &s->vec);
        break;
    }
    emit_jmp_to(g->e, s->back);
}

