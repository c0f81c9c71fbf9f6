/*
 * gen.c - a block: its entry, its operations one by one, its ways out, and the stubs behind it.
 *
 *     checked:  cmp cs.base, the block's; jne out   entered from the table of jumps; not in 64-bit code
 *     entry:    sub r15, instructions; js out       entered from a chained jump
 *               ...
 */
#include "jit/gen.h"

#include <stdlib.h>
#include <string.h>

struct gen_stub *gen_stub(struct gen *g, enum stub_kind kind, const struct ir_op *o)
{
    struct gen_stub *s = &g->stub[g->stubs++];

    *s = (struct gen_stub){ .kind = kind, .op = o, .at = (uint16_t)g->at, .result = H_NONE, .vec = g->vec, .vec_back = g->vec, .x87 = g->x87 };
    memset(s->owner, OWNER_NONE, sizeof(s->owner));
    memset(s->owner_back, OWNER_NONE, sizeof(s->owner_back));
    return s;
}

static struct memory_shape site_shape(const struct ir_op *o)
{
    uint8_t stack = o->stack ? LDX_STACK : 0;

    if (o->op == IR_LDX || o->op == IR_STX)
        return (struct memory_shape){ .width = o->width, .form = FORM_VECTOR, .flags = o->cc };
    if (o->op == IR_ATOMIC)
        return (struct memory_shape){ .width = o->width, .form = FORM_RMW, .kind = o->cc, .flags = stack };
    return (struct memory_shape){ .width = o->width, .form = o->cc, .flags = stack, .to_write = o->op == IR_LDW };
}

struct jit_site *gen_site(struct gen *g, const struct ir_op *o)
{
    struct jit_site *s = &g->block->site[g->block->sites++];
    const struct jit_insn *insn = &g->block->insn[o->insn];

    if ((void *)s >= (void *)g->block->edge)
        abort(); /* more than block_allocate() has counted */
    *s = (struct jit_site){
        .block = g->block, .insn = o->insn, .from = insn->from, .length = insn->length, .flags = gen_flags_at(g), .shape = site_shape(o),
        .op = o->op, .cc = o->cc, .d = o->d, .aux = o->aux, .imm = o->imm,
    };
    s->last = o + 1 < g->ir->op + g->ir->ops && o[1].insn != o->insn;
    return s;
}

/* Of the next host instruction, in the block's code. */
static uint32_t gen_offset(const struct gen *g) { return (uint32_t)((const uint8_t *)emit_address(g->e) - g->block->checked); }

static void gen_budget(struct gen *g, enum host_alu op, unsigned insns)
{
    if (insns)
        emit_alu_ri(g->e, op, 8, H_R15, (int32_t)insns);
}

/* -- ways out ------------------------------------------------------------------------------------------------------------ */

/* To the RIP in `target`, through the table of jumps; x is lost.  Returns where to go on when it does not know it. */
static uint8_t *gen_jump_table(struct gen *g, enum host target, enum host x)
{
    struct jump_entry *table = g->block->jumps->entry;
    uint8_t *miss;

    if (!g->jit->options.jumps)
        return emit_jmp(g->e);
    _Static_assert(JUMP_ENTRIES == 1 << 16 && sizeof(struct jump_entry) == 16, "the instructions below");
    emit_zext(g->e, 2, x, target);
    emit_shift_imm(g->e, S_SHL, 4, x, 4);
    emit_alu_rm(g->e, A_CMP, 8, target, mem_table(&table->rip, x));
    miss = emit_jcc(g->e, CC_NZ);
    emit_rm(g->e, 0xff, 4, 4, mem_table(&table->code, x));
    return miss;
}

/* Has the block's last instruction called a helper?  That may have changed what code means, or where it is. */
static bool gen_ends_with_helper(const struct gen *g)
{
    const struct ir_block *ir = g->ir;

    for (unsigned i = ir->insn[ir->insns - 1].first; i < ir->ops; i++)
        if (ir_calls(&ir->op[i]) && ir->op[i].aux != HELP_check_target)
            return true;
    return false;
}

/* To a RIP that is known, but not what will be there. */
static void gen_jump_known(struct gen *g, uint64_t rip)
{
    struct jit *j = g->jit;
    struct jump_entry *entry = &g->block->jumps->entry[jit_jump_index(rip)];
    uint8_t *miss, *other_mode = NULL;

    emit_mov_imm(g->e, H_RAX, rip);
    if (j->options.jumps) {
        if (gen_ends_with_helper(g)) {
            emit_alu_mi(g->e, A_CMP, 4, mem_low(&j->v->cpu.mode), (int32_t)g->ir->mode);
            other_mode = emit_jcc(g->e, CC_NZ);
        }
        emit_alu_rm(g->e, A_CMP, 8, H_RAX, mem_low(&entry->rip));
        miss = emit_jcc(g->e, CC_NZ);
        emit_rm(g->e, 0xff, 4, 4, mem_low(&entry->code));
        emit_here(g->e, miss);
        if (other_mode)
            emit_here(g->e, other_mode);
    }
    emit_jmp_to(g->e, j->stub_exit[EXIT_LOOKUP]);
}

static bool gen_same_page(const struct gen *g, uint64_t rip)
{
    const struct jit_block *b = g->block;
    uint64_t mask = g->ir->mode & MODE_CODE64 ? UINT64_MAX : UINT32_MAX;

    return !(((rip + b->cs_base) ^ (b->rip + b->cs_base)) & mask & ~(uint64_t)PAGE_OFFSET);
}

static bool gen_chains(const struct gen *g, uint64_t rip)
{
    return g->jit->options.chain && gen_same_page(g, rip) && !gen_ends_with_helper(g);
}

/* A jump that will be patched; until then it asks for the block. */
static void gen_edge(struct gen *g, uint64_t rip, bool careful)
{
    struct jit_edge *edge = &g->block->edge[g->block->edges++];

    if ((void *)edge >= (void *)g->block->konst)
        abort(); /* more than block_allocate() has counted */
    *edge = (struct jit_edge){ .from = g->block, .rip = rip, .careful = careful };
    emit_here(g->e, emit_jmp(g->e));
    edge->jump = gen_offset(g) - 4;
    emit_mov_imm(g->e, H_RAX, (uint64_t)(uintptr_t)edge);
    emit_jmp_to(g->e, g->jit->stub_exit[EXIT_LINK]);
}

/* Out to `rip`: all state is where it belongs, flags are in memory. */
static void gen_leave_to(struct gen *g, uint64_t rip)
{
    if (!gen_chains(g, rip)) {
        gen_jump_known(g, rip);
        return;
    }
    if (rip == g->block->rip && !g->block->careful)
        emit_jmp_to(g->e, g->block->entry);
    else
        gen_edge(g, rip, false);
}

static void gen_add_sp(struct gen *g, int32_t sp)
{
    if (sp)
        emit_lea(g->e, 8, (enum host)jit_pin[RSP], mem_at((enum host)jit_pin[RSP], sp));
}

void gen_leave_careful(struct gen *g, const struct gen_stub *s)
{
    const struct jit_site *site = s->site;

    gen_emit_flags_out(g, &site->flags, false);
    gen_add_sp(g, s->sp);
    gen_budget(g, A_ADD, g->ir->insns - site->insn);
    gen_edge(g, g->ir->insn[site->insn].rip, true);
}

static void gen_flags_to_memory(struct gen *g)
{
    struct flags_at at = gen_flags_at(g);
    bool through_rax = gen_flags_out_take_rax(&at);

    if (g->in_memory)
        return;
    if (through_rax)
        gen_take(g, H_RAX);
    gen_emit_flags_out(g, &at, g->packed);
    if (through_rax)
        gen_release(g, H_RAX);
    g->packed = at.place == FLAGS_HOST || (g->packed && at.place != FLAGS_LAZY);
    g->in_memory = true;
    g->is_lazy = false;
}

/* A side exit, taken under condition cc of the host's flags. */
static struct gen_stub *gen_side_exit(struct gen *g, unsigned cc, uint64_t rip)
{
    struct gen_stub *s = gen_stub(g, STUB_EXIT, g->op);

    s->from[0] = emit_jcc(g->e, cc);
    s->rip = rip;
    s->retired = g->op->insn + 1u;
    s->flags = gen_flags_at(g);
    s->packed = g->packed;
    s->sp = g->sp;
    return s;
}

static void gen_exit_stub(struct gen *g, const struct gen_stub *s)
{
    emit_here(g->e, s->from[0]);
    gen_vector_save(g, &s->vec);
    gen_x87_save(g, &s->x87);
    gen_emit_flags_out(g, &s->flags, s->packed);
    gen_add_sp(g, s->sp);
    if (g->ir->insns != s->retired)
        gen_budget(g, A_ADD, g->ir->insns - s->retired);
    gen_leave_to(g, s->rip);
}

/* -- control operations --------------------------------------------------------------------------------------------------- */

static void gen_jcc(struct gen *g)
{
    unsigned cc = gen_condition(g, g->op->cc);

    gen_side_exit(g, cc, (uint64_t)g->op->imm);
}

static void gen_jz(struct gen *g)
{
    const struct ir_op *o = g->op;
    enum host a = gen_use(g, o->a);

    gen_flags_lost(g);
    emit_test_rr(g->e, o->width, a, a);
    gen_side_exit(g, o->op == IR_JZ ? CC_Z : CC_NZ, (uint64_t)o->imm);
}

struct jit_site *gen_site_of_helper(struct gen *g, const struct ir_op *o)
{
    struct jit_site *s = gen_site(g, o);

    s->helper = (uint64_t(*)(struct vcpu *, uint64_t, uint64_t, uint64_t, uint64_t))helpers[o->aux].function;
    s->uses_flags = o->fx == FX_USE;
    s->uses_mxcsr = helpers[o->aux].effects & HELP_MXCSR;
    return s;
}

/* A check of the target that has waited is made in the stub, when the table does not know it. */
static void gen_check_in_stub(struct gen *g, struct gen_stub *s)
{
    if (!g->unchecked)
        return;
    s->site = gen_site_of_helper(g, g->unchecked);
    s->then = g->op[-1].op == IR_LEA ? g->op - 1 : NULL;
    g->unchecked = NULL;
}

static void gen_jmp_register(struct gen *g)
{
    enum host target;
    struct gen_stub *s;

    gen_settle_sp(g);
    gen_flags_to_memory(g);
    target = gen_use(g, g->op->a);
    s = gen_stub(g, STUB_TARGET, g->op);
    s->from[0] = gen_jump_table(g, target, gen_scratch(g));
    s->host = (uint8_t)target;
    gen_check_in_stub(g, s);
}

/* A jump that is taken to lead to where the block goes on. */
static void gen_guard(struct gen *g)
{
    const struct ir_op *o = g->op;
    enum host target = gen_use(g, o->a), x;
    struct gen_stub *s;

    gen_flags_lost(g);
    if (o->imm == (int32_t)o->imm || !(g->ir->mode & MODE_CODE64)) {
        emit_alu_ri(g->e, A_CMP, g->ir->mode & MODE_CODE64 ? 8 : 4, target, (int32_t)o->imm);
    } else {
        x = gen_scratch(g);
        emit_mov_imm(g->e, x, (uint64_t)o->imm);
        emit_alu_rr(g->e, A_CMP, 8, target, x);
        gen_release(g, x);
    }
    s = gen_side_exit(g, CC_NZ, 0);
    s->kind = STUB_GUARD;
    s->host = (uint8_t)target;
    gen_check_in_stub(g, s);
}

/* It went elsewhere: through the table of jumps, like any other. */
static void gen_guard_stub(struct gen *g, const struct gen_stub *s)
{
    int32_t rest = (int32_t)(g->ir->insns - s->retired);
    uint8_t *miss;

    emit_here(g->e, s->from[0]);
    gen_vector_save(g, &s->vec);
    gen_x87_save(g, &s->x87);
    emit_mov(g->e, H_RDX, (enum host)s->host);
    gen_emit_flags_out(g, &s->flags, s->packed);
    gen_add_sp(g, s->sp);
    gen_budget(g, A_ADD, (unsigned)rest);
    miss = gen_jump_table(g, H_RDX, H_RCX);
    emit_here(g->e, miss);
    if (s->site)
        gen_budget(g, A_SUB, (unsigned)rest); /* a fault counts from the block's end */
    gen_check_stub(g, s, H_RDX);
    if (s->site)
        gen_budget(g, A_ADD, (unsigned)rest);
    emit_jmp_to(g->e, g->jit->stub_exit[EXIT_LOOKUP]);
}

/* -- helpers ---------------------------------------------------------------------------------------------------------------- */

static void gen_argument(struct gen *g, unsigned n, ir_operand x)
{
    struct host_mem m = mem_low(&g->jit->argument[n]);
    int32_t imm;

    if (x == IR_NONE)
        return;
    if (gen_imm(g, x, 8, &imm))
        emit_store_imm(g->e, 8, m, imm);
    else
        emit_store(g->e, 8, m, gen_use(g, x));
    g->locked = 0;
}

/* The last argument is the operation's immediate. */
static void gen_arguments(struct gen *g)
{
    const struct ir_op *o = g->op;
    const ir_operand x[] = { o->a, o->b, o->c };
    unsigned n = helpers[o->aux].args - 1;
    struct host_mem last = mem_low(&g->jit->argument[n]);
    enum host reg;

    for (unsigned i = 0; i < n; i++)
        gen_argument(g, i, x[i]);
    if (o->imm == (int32_t)o->imm) {
        emit_store_imm(g->e, 8, last, (int32_t)o->imm);
        return;
    }
    reg = gen_scratch(g);
    emit_mov_imm(g->e, reg, (uint64_t)o->imm);
    emit_store(g->e, 8, last, reg);
    gen_release(g, reg);
}

/* Whatever the table of jumps knows is a good target: the check can wait until it knows nothing. */
static bool gen_check_waits(struct gen *g)
{
    const struct ir_op *o = g->op, *n = o + 1;

    if (g->at + 1 >= g->ir->ops)
        return false;
    if (n->op == IR_LEA && n->d == RSP && n->a == RSP && n->b == IR_NONE && n->width >= 4)
        n++;
    return (n->op == IR_JMPR || n->op == IR_GUARD) && n->a == o->a && n->insn == o->insn;
}

/* A branch's target: canonical as 48-bit addresses are, or within CS; the rest is the helper's to judge. */
static void gen_check_target(struct gen *g)
{
    const struct ir_op *o = g->op;
    struct gen_stub *s;
    enum host t, x;

    if (gen_check_waits(g)) {
        g->unchecked = o;
        return;
    }
    gen_settle_sp(g);
    t = gen_use(g, o->a);
    x = gen_scratch(g);
    s = gen_stub(g, STUB_HELPER, o);
    gen_flags_lost(g);
    s->site = gen_site_of_helper(g, o);
    if (g->ir->mode & MODE_CODE64) {
        emit_mov(g->e, x, t);
        emit_shift_imm(g->e, S_SHL, 8, x, 16);
        emit_shift_imm(g->e, S_SAR, 8, x, 16);
        emit_alu_rr(g->e, A_CMP, 8, x, t);
        s->from[0] = emit_jcc(g->e, CC_NZ);
    } else {
        emit_load(g->e, 4, x, mem_low(&g->jit->v->cpu.seg[SEG_CS].limit));
        emit_alu_rr(g->e, A_CMP, 8, t, x);
        s->from[0] = emit_jcc(g->e, CC_NBE);
    }
    s->address.mem.base = t;
    memcpy(s->owner, g->owner, sizeof(s->owner));
    stub_comes_back(g, s);
}

static void gen_helper(struct gen *g)
{
    const struct ir_op *o = g->op;
    struct jit *j = g->jit;
    bool ends = o->op == IR_HELPER_END;
    struct jit_site *site;

    gen_vector_drop(g);
    gen_x87_drop(g);
    gen_settle_sp(g);
    gen_arguments(g);
    gen_spill_all(g);
    if (o->fx == FX_USE && !g->in_memory) {
        gen_flags_to_host(g);
        gen_flags_save(g);
    } else if (o->state) {
        gen_flags_to_memory(g); /* not as a recipe with registers that may change */
    } else if (g->in_host && !g->is_lazy) {
        gen_flags_save(g);
    }
    site = gen_site_of_helper(g, o);
    emit_mov_imm(g->e, H_RCX, (uint64_t)(uintptr_t)site);
    if (ends) {
        emit_jmp_to(g->e, j->stub_helper_end);
        return;
    }
    emit_call_to(g->e, o->state ? j->stub_helper : j->stub_helper_pure);
    gen_flags_lost(g);
    if (o->fx == FX_USE) {
        g->in_memory = true;
        g->packed = g->is_lazy = false;
    }
    if (o->d == IR_NONE)
        return;
    gen_take(g, H_RAX);
    if (gen_is_temp(o->d))
        gen_give(g, o->d, H_RAX);
    else
        gen_assign(g, o->d, 8, H_RAX);
}

static bool gen_control(struct gen *g)
{
    switch (g->op->op) {
    case IR_JMP:
        gen_vector_drop(g);
        gen_x87_drop(g);
        gen_settle_sp(g);
        gen_flags_to_memory(g);
        gen_leave_to(g, (uint64_t)g->op->imm);
        return true;
    case IR_JMPR:
        gen_vector_drop(g);
        gen_x87_drop(g);
        gen_jmp_register(g);
        return true;
    case IR_JCC: gen_jcc(g); return true;
    case IR_JZ: case IR_JNZ: gen_jz(g); return true;
    case IR_GUARD: gen_guard(g); return true;
    case IR_HELPER:
        if (g->op->aux == HELP_check_target)
            gen_check_target(g);
        else
            gen_helper(g);
        return true;
    case IR_HELPER_END: gen_helper(g); return true;
    default: return false;
    }
}

/* -- the block ------------------------------------------------------------------------------------------------------------------ */

/* Out with RIP at the block's start. */
static void gen_out(struct gen *g, uint8_t *from, const void *exit, bool refund)
{
    emit_here(g->e, from);
    if (refund)
        gen_budget(g, A_ADD, g->ir->insns);
    emit_mov_imm(g->e, H_RAX, g->ir->rip);
    emit_jmp_to(g->e, exit);
}

static void gen_entry(struct gen *g, uint8_t *from[3])
{
    struct cpu *c = &g->jit->v->cpu;

    g->block->checked = emit_address(g->e);
    if (!(g->ir->mode & MODE_CODE64)) {
        emit_alu_mi(g->e, A_CMP, 4, mem_low(&c->seg[SEG_CS].base), (int32_t)g->block->cs_base);
        from[0] = emit_jcc(g->e, CC_NZ);
    }
    g->block->entry = emit_address(g->e);
    if (g->jit->options.count)
        emit_inc(g->e, &g->jit->stats.executions);
    gen_budget(g, A_SUB, g->ir->insns);
    from[1] = emit_jcc(g->e, CC_S);
    if (g->block->patience) {
        emit_alu_mi(g->e, A_SUB, 4, mem_low(g->block->patience), 1);
        from[2] = emit_jcc(g->e, CC_S);
    }
}

/* As struct jit_insn has it. */
static uint16_t gen_note_ahead(struct gen *g)
{
    if (!g->vec.dirty[0] && !g->x87.note.due && !g->x87.note.segment)
        return 0;
    g->ahead[g->aheads] = (struct jit_ahead){ .note = g->x87.note };
    memcpy(g->ahead[g->aheads].dirty, g->vec.dirty, sizeof(g->vec.dirty));
    return (uint16_t)++g->aheads;
}

static void gen_keep_ahead(struct gen *g)
{
    size_t size = g->aheads * sizeof(g->ahead[0]);

    if (!size)
        return;
    g->block->ahead = malloc(size);
    if (!g->block->ahead)
        abort();
    memcpy(g->block->ahead, g->ahead, size);
}

static void gen_begin_boundary(struct gen *g)
{
    uint32_t code = gen_offset(g);
    struct flags_at flags = gen_flags_at(g);
    uint16_t ahead = gen_note_ahead(g);

    for (unsigned i = g->op->insn + 1u; i-- > 0 && !g->block->insn[i].code;) { /* also those without operations */
        struct jit_insn *insn = &g->block->insn[i];

        insn->code = code, insn->sp = g->sp, insn->flags = flags, insn->ahead = ahead;
    }
    gen_begin_insn(g);
    gen_vector_begin(g);
}

static bool gen_op(struct gen *g)
{
    const struct ir_op *o = g->op;

    gen_begin_op(g);
    g->save = g->keep_lazy = g->copy_a = g->copy_b = false;
    if (o->fx && o->fx != FX_USE && o->live)
        gen_plan(g);
    if (!gen_x87(g) && !gen_vector(g) && !gen_alu(g) && !gen_memory(g) && !gen_control(g))
        return false;
    gen_end_op(g);
    return !g->declined && g->stubs + 4 < GEN_STUBS;
}

static bool gen_ops(struct gen *g)
{
    for (g->at = 0; g->at < g->ir->ops; g->at++) {
        g->op = &g->ir->op[g->at];
        if (g->at == 0 || g->op->insn != g->op[-1].insn)
            gen_begin_boundary(g);
        if (!gen_op(g)) {
            g->jit->declined_at = g->op->insn;
            return false;
        }
    }
    return true;
}

bool jit_generate(struct jit *jit, struct jit_block *block, const struct ir_block *ir, const struct window_plan *plan)
{
    static _Thread_local struct gen g;
    uint8_t *from[3] = { 0 };

    memset(&g, 0, offsetof(struct gen, stub));
    g.jit = jit, g.block = block, g.ir = ir, g.plan = plan, g.e = &jit->e;
    memset(g.window_at, H_NONE, sizeof(g.window_at));
    memset(g.copy_at, H_NONE, sizeof(g.copy_at));
    g.in_memory = true;
    gen_entry(&g, from);
    if (!gen_ops(&g))
        return false;
    memset(g.copy_at, H_NONE, sizeof(g.copy_at)); /* stubs are made here, but run elsewhere */
    for (unsigned i = 0; i < g.stubs; i++) {
        g.op = g.stub[i].op;
        g.at = g.stub[i].at;
        if (g.stub[i].kind == STUB_EXIT)
            gen_exit_stub(&g, &g.stub[i]);
        else if (g.stub[i].kind == STUB_GUARD)
            gen_guard_stub(&g, &g.stub[i]);
        else
            gen_memory_stub(&g, &g.stub[i]);
    }
    gen_out(&g, from[1], jit->stub_exit[EXIT_BUDGET], true);
    if (from[0])
        gen_out(&g, from[0], jit->stub_exit[EXIT_LOOKUP], false);
    if (from[2])
        gen_out(&g, from[2], jit->stub_exit[EXIT_LOOKUP], true);
    if (jit->e.full || g.declined)
        return false;
    gen_keep_ahead(&g);
    return true;
}
