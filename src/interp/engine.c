/*
 * engine.c - the interpreter as an engine: interrupts, faults, single-step and stops between blocks.
 */
#include "interp/interp.h"

#include "base/log.h"
#include "x86/fault.h"

#include <stdlib.h>

void interp_code_written(void *opaque, uint64_t gpa, unsigned width);

/* The physical map changed: nothing cached about it holds; code does, if it is not memory that changed. */
static void interp_map_changed(struct phys_listener *listener)
{
    struct interp *it = (struct interp *)(void *)listener;
    uint64_t memory = phys_memory_generation(it->v->bus.phys);

    if (memory != it->memory)
        interp_drop_all(it);
    it->memory = memory;
    tlb_flush(&it->v->mmu);
    if (it->current)
        interp_arm(it);
}

static void *interp_create(struct vcpu *v, struct err *err)
{
    struct interp *it = calloc(1, sizeof(*it));

    (void)err;
    if (!it)
        abort();
    interp_prepare();
    it->v = v;
    it->patience = UINT8_MAX;
    it->listener.changed = interp_map_changed;
    phys_listen(v->bus.phys, &it->listener);
    it->memory = phys_memory_generation(v->bus.phys);
    code_free(&v->code);
    code_init(&v->code, interp_code_written, it);
    v->bus.origin.engine = ENGINE_INTERP;
    return it;
}

static void interp_destroy(void *self)
{
    struct interp *it = self;

    phys_unlisten(it->v->bus.phys, &it->listener);
    interp_drop_all(it);
    interp_free_dead(it);
    code_free(&it->v->code);
    free(it);
}

/* -- between instructions ----------------------------------------------------------------------------------------------- */

/* The interrupt controllers' answer; nothing where they have changed their mind: another CPU may reach them. */
static bool take_interrupt(struct vcpu *v)
{
    bool taken;
    uint8_t vector = 0;

    exclusion_devices(v->bus.exclusion, true);
    taken = v->pins.intr;
    if (taken)
        vector = v->pins.acknowledge(v->pins.opaque);
    exclusion_devices(v->bus.exclusion, false);
    if (taken)
        interrupt_deliver(v, vector);
    return taken;
}

static bool take_latch(struct vcpu *v, bool *latch)
{
    bool taken;

    exclusion_devices(v->bus.exclusion, true);
    taken = *latch;
    *latch = false;
    exclusion_devices(v->bus.exclusion, false);
    return taken;
}

/* INIT, a start-up message, NMI, INTR in the order of their priority (SDM 3A table 7-2); true if something was taken. */
static bool take_pins(struct vcpu *v)
{
    struct cpu *c = &v->cpu;

    if (v->pins.init && take_latch(v, &v->pins.init)) {
        vcpu_init_signal(v);
        return true;
    }
    if (v->pins.startup && take_latch(v, &v->pins.startup)) {
        if (c->activity != CPU_WAIT_SIPI)
            return false;
        vcpu_start(v, v->pins.startup_vector);
        return true;
    }
    if (c->shadow != SHADOW_NONE)
        return false;
    if (v->pins.nmi && !c->nmi_blocked && take_latch(v, &v->pins.nmi)) {
        interrupt_deliver(v, EXCEPTION_NMI);
        return true;
    }
    return v->pins.intr && c->rflags & FLAG_IF && v->pins.acknowledge && take_interrupt(v);
}

/* An instruction breakpoint at RIP: a fault, unless RF says it has been taken (SDM 3A 19.3.1.1).  None after MOV SS (6.8.3). */
static bool code_breakpoint(struct vcpu *v)
{
    struct cpu *c = &v->cpu;
    uint64_t linear = c->mode & MODE_CODE64 ? c->rip : (uint32_t)(c->seg[SEG_CS].base + c->rip), hits = 0;

    if (!(c->dr[7] & 0xff) || c->rflags & FLAG_RF)
        return false;
    for (unsigned i = 0; i < 4; i++)
        if (c->dr[7] >> (i * 2) & 3 && !(c->dr[7] >> (16 + i * 4) & 3) && c->dr[i] == linear)
            hits |= BIT(i);
    if (!hits)
        return false;
    v->fault = (struct fault){ .vector = EXCEPTION_DB, .dr6 = hits };
    fault_deliver(v);
    return true;
}

/* Traps after an instruction: single-step if TF was set before it, data breakpoints. */
static void debug_traps(struct vcpu *v, bool step)
{
    uint64_t dr6 = (v->mmu.watch_hits & bits_mask(WATCHES)) | (step ? BIT(14) : 0);

    v->mmu.watch_hits &= ~(unsigned)bits_mask(WATCHES);
    if (!dr6)
        return;
    v->fault = (struct fault){ .vector = EXCEPTION_DB, .dr6 = dr6 };
    fault_deliver(v);
}

/* Before an instruction with a debugger's breakpoint.  If that is the first, what it would have used up is there again. */
static void debug_stop(struct vcpu *v, bool first, enum interrupt_shadow shadow, uint64_t rf)
{
    v->fault.vector = -1;
    v->debug.stop = true;
    if (!first)
        return;
    v->cpu.shadow = shadow;
    v->cpu.rflags |= rf;
}

/* What a debugger has been waiting for. */
static bool debug_wants(struct vcpu *v, enum stop_reason *stop)
{
    unsigned hits = v->mmu.watch_hits >> WATCHES;

    v->mmu.watch_hits &= ~((unsigned)bits_mask(DEBUG_WATCHES) << WATCHES);
    v->debug.hits = hits;
    *stop = v->debug.stop || hits ? STOP_DEBUG : STOP_BUDGET;
    v->debug.stop = false;
    return *stop == STOP_DEBUG || (v->debug.step && !v->again);
}

static void run_some(struct interp *it, unsigned limit)
{
    struct vcpu *v = it->v;
    struct cpu *c = &v->cpu;
    uint64_t retired = v->retired, rf = c->rflags & FLAG_RF;
    bool tf = c->rflags & FLAG_TF, stepping = c->mode & MODE_STEP;
    enum interrupt_shadow shadow = c->shadow;
    struct iblock *block;

    if (stepping && !v->again && c->shadow != SHADOW_MOV_SS && code_breakpoint(v))
        return;
    v->fault.vector = -1;
    v->debug.again_rip = v->again ? c->rip : UINT64_MAX;
    v->again = v->delivered = false;
    c->shadow = SHADOW_NONE;
    c->rflags &= ~(uint64_t)FLAG_RF; /* for this instruction it has been looked at; IRET may set it for the next */
    it->single = stepping || shadow != SHADOW_NONE;
    if (it->single || !it->translated || !it->translated(it->opaque)) {
        block = interp_find(it, it->single ? 1 : limit);
        if (block)
            interp_execute(it, block);
    }
    if (v->fault.vector == FAULT_STOP)
        debug_stop(v, v->retired == retired, shadow, rf);
    else if (v->fault.vector >= 0)
        fault_deliver(v);
    else if (stepping && c->shadow != SHADOW_MOV_SS)
        debug_traps(v, tf && !v->delivered);
    interp_free_dead(it);
}

static enum stop_reason interp_run(void *self, uint64_t budget, struct err *err)
{
    struct interp *it = self;
    struct vcpu *v = it->v;
    enum stop_reason stop;

    (void)err;
    v->end = budget > UINT64_MAX - v->retired ? UINT64_MAX : v->retired + budget;
    for (;;) {
        if (v->cpu.activity == CPU_SHUTDOWN) /* first: a thread does not come back for it */
            return STOP_SHUTDOWN;
        if (v->attention) {
            v->attention = false;
            return STOP_KICK;
        }
        if (v->cpu.activity != CPU_RUNNING && !vcpu_wakes(v))
            return STOP_HALT;
        if (v->retired >= v->end)
            return STOP_BUDGET;
        if (!(v->debug.step && v->cpu.activity == CPU_RUNNING) && take_pins(v)) {
            if (v->debug.step)
                return STOP_BUDGET;
            continue;
        }
        v->bus.touched = false;
        run_some(it, (unsigned)bits_min(v->end - v->retired, BLOCK_INSNS));
        if (unlikely(v->debug.step | v->debug.stop | v->mmu.watch_hits >> WATCHES) && debug_wants(v, &stop))
            return stop;
        if (v->bus.touched && v->stop_on_touch && !v->again)
            return STOP_TOUCHED;
    }
}

static void interp_kick(void *self) { ((struct interp *)self)->v->attention = true; }

/* It works on vcpu->cpu itself. */
static bool interp_get_state(void *self, struct err *err)
{
    (void)self, (void)err;
    return true;
}

static bool interp_set_state(void *self, struct err *err)
{
    (void)err;
    vcpu_sync(((struct interp *)self)->v);
    return true;
}

const struct engine engine_interp = {
    .id = ENGINE_INTERP, .name = "interp", .create = interp_create, .destroy = interp_destroy, .run = interp_run,
    .kick = interp_kick, .get_state = interp_get_state, .set_state = interp_set_state,
};
