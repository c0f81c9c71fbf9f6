/*
 * gen_value.c - where values are: guest registers in host registers or in the vcpu, temporaries in scratch registers.
 *
 * Temporaries live within one instruction.  When the registers do not suffice, one that the operation does not
 * need goes to its slot.
 */
#include "jit/gen.h"

const uint8_t jit_pin[GPRS] = {
    [RAX] = H_RBX, [RCX] = H_RSI, [RDX] = H_RDI, [RBX] = H_R12, [RSP] = H_RBP, [RBP] = H_R13, [RSI] = H_R8, [RDI] = H_R9,
    [R8] = H_R10, [R9] = H_R11, [R10] = H_R14, [R11] = H_NONE, [R12] = H_NONE, [R13] = H_NONE, [R14] = H_NONE, [R15] = H_NONE,
};

struct host_mem gen_slot(const struct gen *g, ir_operand x)
{
    if (x == LAZY_A || x == LAZY_B)
        return mem_low(&g->jit->lazy[x - LAZY_A]);
    return mem_low(&g->jit->v->cpu.slot[x]);
}

bool gen_imm(const struct gen *g, ir_operand x, unsigned width, int32_t *value)
{
    int64_t k;

    if (!gen_is_const(x))
        return false;
    k = bits_sext(gen_konst(g, x), width);
    *value = (int32_t)k;
    return k == *value;
}

/* -- scratch registers ---------------------------------------------------------------------------------------------------------- */

static void gen_lock(struct gen *g, enum host reg)
{
    if (gen_is_scratch(reg))
        g->locked |= 1u << reg;
}

static bool gen_dies(const struct gen *g, unsigned temp) { return g->last_use[temp] <= g->at; }

struct host_mem gen_window_slot(const struct gen *g, unsigned window) { return mem_low(&g->jit->window[window]); }

static void window_evict(struct gen *g, unsigned window, enum host reg)
{
    if (!g->window_saved[window] && g->plan->window[window].last >= g->first)
        emit_store(g->e, 8, gen_window_slot(g, window), reg);
    g->window_saved[window] = true;
    g->window_at[window] = H_NONE;
}

static void gen_evict(struct gen *g, enum host reg)
{
    unsigned owner = g->owner[reg];

    if (owner < IR_TEMPS) {
        if (!g->temp_saved[owner])
            emit_store(g->e, 8, gen_slot(g, (ir_operand)(GPRS + owner)), reg);
        g->temp_saved[owner] = true;
        g->temp_at[owner] = H_NONE;
    } else if (gen_is_window(owner)) {
        window_evict(g, owner - OWNER_WINDOW, reg);
    } else if (gen_is_copy(owner)) {
        g->copy_at[owner - OWNER_SLOT] = H_NONE;
    }
    g->owner[reg] = OWNER_NONE;
}

/* Whom a register is taken from, in this order. */
enum victim { VICTIM_NOBODY, VICTIM_COPY, VICTIM_WINDOW, VICTIM_TEMPORARY, VICTIMS };

static bool gen_spares(const struct gen *g, unsigned reg, enum victim victim)
{
    unsigned owner = g->owner[reg];

    if (!gen_is_scratch(reg) || g->locked >> reg & 1)
        return false;
    switch (victim) {
    case VICTIM_NOBODY: return owner == OWNER_NONE;
    case VICTIM_COPY: return gen_is_copy(owner);
    case VICTIM_WINDOW: return gen_is_window(owner);
    default: return owner < IR_TEMPS;
    }
}

/* Temporaries from below, as the host's multiplication, division and shifts want them there. */
enum host gen_scratch(struct gen *g)
{
    for (enum victim victim = 0; victim < VICTIMS; victim++)
        for (unsigned i = 0; i < HOSTS; i++)
            if (gen_spares(g, i, victim))
                return gen_take(g, (enum host)i);
    g->declined = true; /* cannot be: the block is given to the interpreter */
    return H_RAX;
}

/* Windows from above, out of their way. */
static enum host gen_scratch_last(struct gen *g)
{
    for (enum victim victim = 0; victim < VICTIMS; victim++)
        for (unsigned i = HOSTS; i-- > 0;)
            if (gen_spares(g, i, victim))
                return gen_take(g, (enum host)i);
    g->declined = true;
    return H_RAX;
}

enum host gen_window_new(struct gen *g, unsigned window)
{
    enum host reg = gen_scratch_last(g);

    g->owner[reg] = (uint8_t)(OWNER_WINDOW + window);
    g->window_at[window] = (uint8_t)reg;
    g->window_saved[window] = false;
    return reg;
}

enum host gen_window(struct gen *g, unsigned window)
{
    enum host reg = g->window_at[window];

    if (reg == H_NONE) {
        reg = gen_window_new(g, window);
        emit_load(g->e, 8, reg, gen_window_slot(g, window));
        g->window_saved[window] = true;
    }
    gen_lock(g, reg);
    return reg;
}

enum host gen_take(struct gen *g, enum host reg)
{
    gen_evict(g, reg);
    g->owner[reg] = OWNER_OPERATION;
    gen_lock(g, reg);
    return reg;
}

void gen_release(struct gen *g, enum host reg)
{
    if (!gen_is_scratch(reg))
        return;
    if (g->owner[reg] == OWNER_OPERATION)
        g->owner[reg] = OWNER_NONE;
    g->locked &= ~(1u << reg);
}

void gen_spill_all(struct gen *g)
{
    for (unsigned i = 0; i < HOSTS; i++) {
        if (g->owner[i] < IR_TEMPS && gen_dies(g, g->owner[i]))
            g->temp_at[g->owner[i]] = H_NONE, g->owner[i] = OWNER_NONE;
        gen_evict(g, (enum host)i);
    }
    g->locked = 0;
}

/* -- an instruction's temporaries ------------------------------------------------------------------------------------------- */

static void gen_note_use(struct gen *g, ir_operand x, unsigned at)
{
    if (gen_is_temp(x))
        g->last_use[x - GPRS] = (uint16_t)at;
}

void gen_begin_insn(struct gen *g)
{
    unsigned insn = g->op->insn, end = insn + 1 < g->ir->insns ? g->ir->insn[insn + 1].first : g->ir->ops;

    for (unsigned i = 0; i < HOSTS; i++)
        if (!gen_is_window(g->owner[i]) && !gen_is_copy(g->owner[i]))
            g->owner[i] = OWNER_NONE;
    for (unsigned i = 0; i < IR_TEMPS; i++) {
        g->temp_at[i] = H_NONE;
        g->temp_saved[i] = false;
        g->lea[i] = NULL;
        g->last_use[i] = 0;
    }
    for (unsigned i = g->at; i < end; i++) {
        const struct ir_op *o = &g->ir->op[i];

        gen_note_use(g, o->a, i);
        gen_note_use(g, o->b, i);
        gen_note_use(g, o->c, i);
        gen_note_use(g, o->d, i);
    }
}

void gen_begin_op(struct gen *g)
{
    g->locked = 0;
    g->first = g->at;
}

void gen_end_op(struct gen *g)
{
    g->locked = 0;
    for (unsigned i = 0; i < HOSTS; i++) {
        if (g->owner[i] == OWNER_OPERATION)
            g->owner[i] = OWNER_NONE;
        else if (g->owner[i] < IR_TEMPS && gen_dies(g, g->owner[i])) {
            g->temp_at[g->owner[i]] = H_NONE;
            g->owner[i] = OWNER_NONE;
        } else if (gen_is_window(g->owner[i]) && g->plan->window[g->owner[i] - OWNER_WINDOW].last <= g->at) {
            g->owner[i] = OWNER_NONE;
        }
    }
}

/* -- the stack pointer -------------------------------------------------------------------------------------------------------- */

void gen_settle_sp(struct gen *g)
{
    if (g->sp)
        emit_lea(g->e, 8, (enum host)jit_pin[RSP], mem_at((enum host)jit_pin[RSP], g->sp));
    g->sp = 0;
}

/* -- reading -------------------------------------------------------------------------------------------------------------------- */

void gen_load_into(struct gen *g, enum host reg, ir_operand x)
{
    if (x == RSP)
        gen_settle_sp(g);
    if (x == IR_NONE)
        emit_mov_imm(g->e, reg, 0);
    else if (gen_is_const(x))
        emit_mov_imm(g->e, reg, gen_konst(g, x));
    else if (gen_is_temp(x) && g->temp_at[x - GPRS] != H_NONE)
        emit_mov(g->e, reg, g->temp_at[x - GPRS]);
    else if (x < GPRS && jit_pin[x] != H_NONE)
        emit_mov(g->e, reg, jit_pin[x]);
    else if (x < GPRS && g->copy_at[x] != H_NONE)
        emit_mov(g->e, reg, g->copy_at[x]);
    else
        emit_load(g->e, 8, reg, gen_slot(g, x));
}

/* The register has what is in memory of guest register x from now on. */
static void gen_keep_copy(struct gen *g, ir_operand x, enum host reg)
{
    if (g->copy_at[x] != H_NONE)
        g->owner[g->copy_at[x]] = OWNER_NONE;
    g->copy_at[x] = H_NONE;
    if (!gen_is_scratch(reg) || g->owner[reg] != OWNER_OPERATION)
        return;
    g->owner[reg] = (uint8_t)(OWNER_SLOT + x);
    g->copy_at[x] = (uint8_t)reg;
}

enum host gen_use(struct gen *g, ir_operand x)
{
    enum host reg;

    if (x == RSP)
        gen_settle_sp(g);
    if (x < GPRS && jit_pin[x] != H_NONE)
        return jit_pin[x];
    if (gen_is_temp(x) && g->temp_at[x - GPRS] != H_NONE) {
        gen_lock(g, g->temp_at[x - GPRS]);
        return g->temp_at[x - GPRS];
    }
    if (x < GPRS && g->copy_at[x] != H_NONE) {
        gen_lock(g, g->copy_at[x]);
        return g->copy_at[x];
    }
    reg = gen_scratch(g);
    gen_load_into(g, reg, x);
    if (gen_is_temp(x)) {
        g->owner[reg] = (uint8_t)(x - GPRS);
        g->temp_at[x - GPRS] = reg;
    } else if (x < GPRS) {
        gen_keep_copy(g, x, reg);
    }
    return reg;
}

enum host gen_copy(struct gen *g, ir_operand x)
{
    unsigned temp = x - GPRS;
    enum host reg;

    if (gen_is_temp(x) && g->temp_at[temp] != H_NONE && gen_dies(g, temp) &&
        (g->op->a == x) + (g->op->b == x) + (g->op->c == x) + (g->op->d == x) == 1) {
        reg = g->temp_at[temp];
        g->temp_at[temp] = H_NONE;
        g->owner[reg] = OWNER_OPERATION;
        gen_lock(g, reg);
        return reg;
    }
    reg = gen_scratch(g);
    gen_load_into(g, reg, x);
    return reg;
}

/* -- writing ---------------------------------------------------------------------------------------------------------------------- */

enum host gen_result(struct gen *g, ir_operand d, bool keep)
{
    enum host reg;

    if (d == RSP && keep)
        gen_settle_sp(g);
    if (d < GPRS && jit_pin[d] != H_NONE)
        return jit_pin[d];
    if (gen_is_temp(d)) {
        if (keep)
            return gen_use(g, d);
        if (g->temp_at[d - GPRS] != H_NONE) {
            gen_lock(g, g->temp_at[d - GPRS]);
            return g->temp_at[d - GPRS];
        }
        reg = gen_scratch(g);
        g->owner[reg] = (uint8_t)(d - GPRS);
        g->temp_at[d - GPRS] = reg;
        return reg;
    }
    reg = gen_scratch(g);
    if (keep && d != IR_NONE)
        gen_load_into(g, reg, d);
    return reg;
}

void gen_put(struct gen *g, ir_operand d, enum host reg)
{
    if (gen_is_temp(d))
        g->temp_saved[d - GPRS] = false;
    else if (d < GPRS && jit_pin[d] == H_NONE) {
        emit_store(g->e, 8, gen_slot(g, d), reg);
        gen_keep_copy(g, d, reg);
    }
    if (d == RSP)
        g->sp = 0;
    if (d < GPRS)
        gen_slot_written(g, d);
}

void gen_give(struct gen *g, ir_operand d, enum host reg)
{
    unsigned temp = d - GPRS;

    if (g->temp_at[temp] != H_NONE && g->temp_at[temp] != reg)
        g->owner[g->temp_at[temp]] = OWNER_NONE;
    g->owner[reg] = (uint8_t)temp;
    g->temp_at[temp] = reg;
    g->temp_saved[temp] = false;
}

void gen_assign(struct gen *g, ir_operand d, unsigned width, enum host reg)
{
    if (d == IR_NONE)
        return;
    if (gen_is_temp(d) && width >= 4) {
        enum host to = gen_result(g, d, false);

        emit_zext(g->e, width, to, reg);
        gen_put(g, d, to);
    } else if (d < GPRS && jit_pin[d] == H_NONE) {
        if (width == 4) {
            enum host low = g->owner[reg] == OWNER_OPERATION ? reg : gen_scratch(g); /* not another value's: it would lose its upper half */

            emit_zext(g->e, 4, low, reg);
            reg = low;
        }
        emit_store(g->e, width == 4 ? 8 : width, gen_slot(g, d), reg);
        gen_keep_copy(g, d, width >= 4 ? reg : H_NONE);
        gen_slot_written(g, d);
    } else {
        enum host to = gen_result(g, d, true);

        if (width == 8)
            emit_mov(g->e, to, reg);
        else
            emit_mov_low(g->e, width, to, reg);
        gen_put(g, d, to);
    }
}
