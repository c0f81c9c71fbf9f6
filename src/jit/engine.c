/*
 * engine.c - the JIT as an engine: the interpreter's loop, with translated code where there is some.
 *
 * Interrupts, faults, single steps, the last few instructions of a budget and code that has not run often enough are
 * the interpreter's.  Both work on the same vcpu, so that either can take over at any instruction.
 */
#include "jit/jit.h"

#include "base/log.h"
#include "base/low.h"

#include <stdlib.h>
#include <string.h>

struct jit_options jit_options = {
#define X(name, text) .name = true,
    JIT_SWITCHES(X)
#undef X
    .cache_bytes = MIB(256), .hot = 16, .patience = 1000,
};

bool jit_switch_off(const char *name)
{
#define X(id, text)                                                                                                    \
    if (!strcmp(name, #id)) {                                                                                          \
        jit_options.id = false;                                                                                        \
        return true;                                                                                                   \
    }
    JIT_SWITCHES(X)
#undef X
    return false;
}

/* At most so many before somebody looks whether the engine was kicked; ... where other CPUs wait for that. */
enum { RUN_INSNS = 1 << 16, RUN_INSNS_SHARED = 1 << 12 };

/* -- what else changes memory ------------------------------------------------------------------------------------------------ */

static void jit_code_written(void *opaque, uint64_t gpa, unsigned width)
{
    struct jit *j = opaque;

    interp_drop_written(j->interp, gpa, width);
    jit_drop_written(j, gpa, width);
}

static void jit_map_changed(struct phys_listener *listener)
{
    struct jit *j = (struct jit *)(void *)((char *)listener - offsetof(struct jit, listener));

    j->map_changed = true; /* the interpreter's listener has flushed the TLB, which stops translated code */
}

/* -- running -------------------------------------------------------------------------------------------------------------------- */

/* The block to go on with after an exit that found none, or NULL: then out. */
static const struct jit_block *next_block(struct jit *j, enum jit_exit reason)
{
    struct jit_edge *edge = j->last_edge;
    struct jit_block *b;

    if (reason == EXIT_LINK)
        j->v->cpu.rip = edge->rip;
    if (j->forced || j->map_changed)
        return NULL;
    b = jit_lookup(j, reason == EXIT_LINK && edge->careful);
    if (!b)
        j->vain = j->v->cpu.rip;
    if (!b || b->insns > j->left)
        return NULL;
    if (reason == EXIT_LINK)
        jit_link(j, edge, b);
    else
        jit_fill_jump(j, b);
    return b;
}

/* What of the guest is not in the vcpu yet, before the instruction that was armed; or NULL. */
static const struct jit_ahead *armed_ahead(const struct jit *j)
{
    unsigned n = j->armed->insn[j->armed_insn].ahead;

    return n ? &j->armed->ahead[n - 1] : NULL;
}

/* What the host's vector registers have that the vcpu has not; stub_exit[EXIT_ARMED] has put them aside. */
static void vectors_out(struct jit *j, const struct jit_ahead *a)
{
    struct cpu *c = &j->v->cpu;

    for (unsigned reg = 0; a && reg < 32; reg++)
        if (a->dirty[0] >> reg & 1)
            memcpy(&c->zmm[reg], &j->vector[reg], a->dirty[2] >> reg & 1 ? 64 : a->dirty[1] >> reg & 1 ? 32 : 16);
}

/* Before the instruction that was armed. */
static void leave_armed(struct jit *j)
{
    const struct jit_block *b = j->armed;
    const struct jit_insn *insn = &b->insn[j->armed_insn];

    j->v->cpu.rip = jit_insn_rip(b, j->armed_insn);
    j->left += b->insns - j->armed_insn;
    j->v->cpu.slot[RSP] += (uint64_t)(int64_t)insn->sp;
    vectors_out(j, armed_ahead(j));
    jit_flags_out(j, b, &insn->flags);
}

/* After an instruction that touched a device: a load's value still has to go where it belongs. */
static void leave_after(struct jit *j)
{
    const struct jit_site *site = j->after;
    const struct jit_block *b = site->block;
    unsigned next = site->insn + 1u;

    if (site->d < GPRS)
        j->v->cpu.slot[site->d] = j->after_value;
    j->v->cpu.rip = jit_insn_rip(b, next);
    j->left += b->insns - next;
    jit_flags_out(j, b, &b->insn[next].flags);
}

/* With what the code has not noted before the instruction that was armed. */
static void x87_out(struct jit *j, enum jit_exit reason)
{
    if (!j->x87_inside)
        return;
    jit_x87_out(j);
    if (reason == EXIT_ARMED && armed_ahead(j))
        jit_x87_note(j, &armed_ahead(j)->note);
}

static void run_blocks(struct jit *j, const uint8_t *code)
{
    const struct jit_block *block;
    enum jit_exit reason;

    do {
        jit_mxcsr_in(j);
        reason = (enum jit_exit)j->enter(code);
        x87_out(j, reason);
        j->stats.exits[reason]++;
        block = reason == EXIT_LINK || reason == EXIT_LOOKUP ? next_block(j, reason) : NULL;
        code = block ? block->entry : NULL;
    } while (code);
    jit_mxcsr_out(j);
    if (reason == EXIT_ARMED)
        leave_armed(j);
    else if (reason == EXIT_AFTER)
        leave_after(j);
    else if (reason == EXIT_FAULT && j->fault_site)
        jit_flags_out(j, j->fault_site->block, &j->fault_site->flags);
    else if (reason != EXIT_FAULT)
        jit_flags_out(j, NULL, &(struct flags_at){ .place = FLAGS_MEMORY });
    if (reason != EXIT_FAULT)
        j->v->retired = jit_retired(j);
    jit_disarm(j);
    j->fault_site = NULL;
    j->forced = false;
}

/* Code for where the vcpu is: the table of jumps knows the handlers that interrupts and faults come to. */
static const uint8_t *code_here(struct jit *j)
{
    const struct jump_table *t = jit_jumps(j, j->v->cpu.mode);
    const struct jump_entry *jump = t ? &t->entry[jit_jump_index(j->v->cpu.rip)] : NULL;
    bool vain = j->vain == j->v->cpu.rip;
    const struct jit_block *b;

    j->vain = UINT64_MAX;
    if (vain)
        return NULL;
    if (jump && jump->rip == j->v->cpu.rip && j->left >= BLOCK_INSNS)
        return jump->code;
    b = jit_lookup(j, false);
    if (!b || b->insns > j->left)
        return NULL;
    jit_fill_jump(j, b);
    return b->checked;
}

/* Code stays where it is when only devices have moved. */
static void follow_map(struct jit *j)
{
    uint64_t memory = phys_memory_generation(j->v->bus.phys);

    j->map_changed = false;
    if (memory == j->memory)
        jit_clear_caches(j);
    else
        jit_drop_all(j);
    j->memory = memory;
}

/* The interpreter's hook. */
static bool jit_translated(void *opaque)
{
    struct jit *j = opaque;
    struct vcpu *v = j->v;
    const uint8_t *code;

    if (j->map_changed)
        follow_map(j);
    jit_free_dead(j);
    if (jit_is_flushed(j))
        jit_follow_flushes(j);
    j->left = bits_min(v->end - v->retired, v->bus.exclusion ? RUN_INSNS_SHARED : RUN_INSNS);
    j->retired_then = v->retired + j->left;
    code = code_here(j);
    if (!code)
        return false;
    j->stats.entries++;
    j->retired_before = v->retired;
    jit_flags_in(j);
    run_blocks(j, code);
    /* The table may have known a block of another CS base, and nothing has run. */
    return v->retired != j->retired_before || v->fault.vector >= 0 || v->again;
}

/* -- the engine ------------------------------------------------------------------------------------------------------------------ */

static bool jit_processor(struct err *err)
{
    if (!__builtin_cpu_supports("bmi") || !__builtin_cpu_supports("bmi2") || !__builtin_cpu_supports("lzcnt") ||
        !__builtin_cpu_supports("popcnt") || !__builtin_cpu_supports("sse4.2"))
        return err_set(err, "it needs a processor with BMI2");
    return true;
}

/* What the code, the stubs first of all, may use. */
static void jit_look_at_host(struct jit *j)
{
    j->avx = __builtin_cpu_supports("avx");
    j->avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
                __builtin_cpu_supports("avx512dq");
    j->vectors = j->avx && j->options.vectors;
    j->x87 = j->options.x87;
    j->x87_agrees = x87_host_agrees();
    j->mxcsr = __builtin_ia32_stmxcsr();
}

static bool jit_possible(struct jit *j, struct err *err)
{
    jit_look_at_host(j);
    if (!low_reaches(j, sizeof(*j)) || !low_reaches(j->v, sizeof(*j->v)))
        return err_set(err, "no memory below 2 GiB");
    return jit_processor(err) && jit_cache_create(j, err);
}

bool jit_usable(struct err *err)
{
    struct jit *j = low_alloc(sizeof(*j));
    bool ok;

    j->fd = -1;
    j->options.cache_bytes = MIB(1);
    j->v = low_alloc(sizeof(*j->v));
    j->v->cpus = 1;
    ok = jit_possible(j, err);
    jit_cache_destroy(j);
    low_free(j->v, sizeof(*j->v));
    low_free(j, sizeof(*j));
    return ok;
}

const struct jit_stats *jit_engine_stats(const void *engine) { return &((const struct jit *)engine)->stats; }

static void jit_prepare(struct jit *j)
{
    j->interp->translated = jit_translated;
    j->interp->opaque = j;
    j->interp->patience = (uint8_t)(bits_min(j->options.hot, UINT8_MAX - 1) / 2);
    j->interp->history = &j->history;
    code_free(&j->v->code);
    code_init(&j->v->code, jit_code_written, j);
    j->listener.changed = jit_map_changed;
    phys_listen(j->v->bus.phys, &j->listener);
    j->map_changed = true; /* its state has not been looked at yet */
    j->usable = true;
}

static void jit_destroy(void *self)
{
    struct jit *j = self;

    if (j->usable) {
        jit_inspect_close(j);
        phys_unlisten(j->v->bus.phys, &j->listener);
        jit_drop_all(j);
        jit_free_dead(j);
    }
    jit_cache_destroy(j);
    engine_interp.destroy(j->interp);
    low_free(j, sizeof(*j));
}

static void *jit_create(struct vcpu *v, struct err *err)
{
    struct jit *j = low_alloc(sizeof(*j));
    struct err why;

    j->v = v;
    j->fd = -1;
    j->options = jit_options;
    j->interp = engine_interp.create(v, err);
    v->bus.origin.engine = ENGINE_JIT;
    if (!jit_possible(j, &why)) {
        fprintf(stderr, "wideload: no JIT: %s; interpreting\n", why.text);
        return j;
    }
    jit_prepare(j);
    if (jit_inspect_open(j, err))
        return j;
    jit_destroy(j);
    return NULL;
}

static enum stop_reason jit_run(void *self, uint64_t budget, struct err *err)
{
    return engine_interp.run(((struct jit *)self)->interp, budget, err);
}

static void jit_kick(void *self) { ((struct jit *)self)->v->attention = true; }

static bool jit_get_state(void *self, struct err *err)
{
    (void)self, (void)err;
    return true;
}

static bool jit_set_state(void *self, struct err *err) { return engine_interp.set_state(((struct jit *)self)->interp, err); }

const struct engine engine_jit = {
    .id = ENGINE_JIT, .name = "jit", .create = jit_create, .destroy = jit_destroy, .run = jit_run, .kick = jit_kick,
    .get_state = jit_get_state, .set_state = jit_set_state,
};
