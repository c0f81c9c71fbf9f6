/*
 * engine.h - what runs guest code.
 *
 * An engine runs one vCPU until a stop reason.  All of its architectural state can be read and replaced between
 * two runs, so a guest can move between any two engines at an instruction boundary.
 */
#ifndef ENGINE_H
#define ENGINE_H

#include "base/err.h"
#include "cpu.h"

enum engine_id { ENGINE_INTERP, ENGINE_JIT, ENGINE_KVM, ENGINE_NATIVE, ENGINE_COUNT };

enum stop_reason {
    STOP_BUDGET,   /* the instructions asked for have retired (soft engines: exactly) */
    STOP_HALT,     /* HLT with nothing to wake it; `pins` or the clock will */
    STOP_KICK,     /* engine_kick() */
    STOP_TOUCHED,  /* a device was touched and the instruction is complete (asked for with stop_on_touch) */
    STOP_DEBUG,    /* a breakpoint is before the next instruction, or watched data was touched (vcpu.debug) */
    STOP_SHUTDOWN, /* triple fault */
    STOP_FAILED,   /* the engine cannot go on (KVM emulation failure); cpu says where, err why */
};

struct machine;
struct vcpu;

struct engine {
    enum engine_id id;
    const char *name;
    /* NULL and err when this host cannot: no /dev/kvm, no permission. */
    void *(*create)(struct vcpu *vcpu, struct err *err);
    void (*destroy)(void *self);
    /* Runs at most `budget` instructions (KVM: until an exit; with vcpu.exact it single-steps and counts). */
    enum stop_reason (*run)(void *self, uint64_t budget, struct err *err);
    /* From another thread or a signal handler: return from run() soon. */
    void (*kick)(void *self);
    /* vcpu->cpu <-> the engine's own copy, both whole; no-ops for engines that work on vcpu->cpu. */
    bool (*get_state)(void *self, struct err *err);
    bool (*set_state)(void *self, struct err *err);
};

extern const struct engine engine_interp, engine_jit, engine_kvm;
extern const struct engine *const engines[]; /* NULL-terminated */

/* By name; NULL if there is none such. */
const struct engine *engine_find(const char *name);

#endif
