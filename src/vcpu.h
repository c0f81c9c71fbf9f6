/*
 * vcpu.h - one virtual CPU: its state, its view of memory, its pins.  What engines and helpers work on.
 */
#ifndef VCPU_H
#define VCPU_H

#include "access.h"
#include "code.h"
#include "cpu.h"
#include "irq.h"
#include "tlb.h"
#include "x86/cpuid.h"
#include "x86/flags.h"

/* What the board answers for a CPU: time, and the registers its local APIC owns. */
struct vcpu_host {
    uint64_t (*time_ns)(void *opaque);
    void (*dawdle)(void *opaque, uint64_t ns, bool waits); /* an instruction that takes its time; PAUSE: for others; may be NULL */
    bool (*read_msr)(void *opaque, uint32_t index, uint64_t *value);  /* IA32_APIC_BASE, x2APIC; false: #GP */
    bool (*write_msr)(void *opaque, uint32_t index, uint64_t value);
    uint64_t (*read_cr8)(void *opaque);
    void (*write_cr8)(void *opaque, uint64_t value);
    void *opaque;
};

/* Who carries out what KVM cannot (vector instructions on a device; at CPL 0 of a PVM, wherever they are). */
enum assist_mode {
    ASSIST_OFF,         /* nobody: the run fails there */
    ASSIST_REPORT,      /* a soft engine, and the journey's record says that KVM could not */
    ASSIST_INSTRUCTION, /* a soft engine; and regions that take more than KVM can say get it */
    ASSIST_BURST,       /* ... which stays at it while KVM would soon give up again */
};

struct vcpu_assist {
    enum assist_mode mode;
    uint64_t instructions; /* so far */
    char gave_up[128];     /* ASSIST_REPORT: why KVM could not do the last journey's instruction; "": it did */
};

enum { DEBUG_BREAKS = 64, DEBUG_WATCHES = WATCHES_ALL - WATCHES };

/*
 * What a debugger has asked for (debug.h).  Nothing of it is in the guest's memory or registers: soft engines put a call in front
 * of an instruction that has a breakpoint, as they translate it, and watch data as they do for DR0 to DR3.
 */
struct vcpu_debug {
    unsigned breaks;
    uint64_t at[DEBUG_BREAKS]; /* linear addresses */
    struct watch watch[DEBUG_WATCHES];
    bool step;               /* one instruction, or the delivery of its fault; interrupts wait */
    bool stop;               /* STOP_DEBUG is due ... */
    unsigned hits;           /* ... for these watches, a bit each; none: for the breakpoint at RIP */
    uint64_t again_rip;      /* the repetition that goes on here has been stopped at before */
};

/* A fault that is none: the instruction has a breakpoint, and has not begun. */
enum { FAULT_STOP = 0x100 };

enum { TSC_KHZ = 1000000 };

struct vcpu {
    struct cpu cpu; /* first: IR operands are offsets from here */
    struct fault fault;      /* vector < 0: none */
    unsigned id, cpus;       /* its local APIC's, 0: the bootstrap processor; of so many */
    int first_fault;         /* the last fault that was delivered, before what its delivery raised; -1: none yet */
    uint64_t next_rip;       /* of the instruction under way: a helper may need it */
    bool delivered;          /* the instruction under way went through the IDT: no single-step trap follows */
    bool again;              /* a REP instruction left off between two iterations */

    struct mmu mmu;
    struct bus bus;
    struct code code;
    struct cpu_pins pins;
    struct vcpu_host host;
    struct feature_set features; /* which instructions and control bits there are ... */
    struct cpuid_table cpuid;    /* ... and what CPUID says */
    enum cpu_vendor vendor;      /* as CPUID does */

    uint32_t tsc_khz;
    uint64_t retired;        /* instructions since reset, up to the block under way ... */
    uint64_t in_block;       /* ... and within it, when a device may ask for the time */
    uint64_t end;            /* run() comes back when so many have; vcpu_end_sooner() */
    bool rip_after;          /* KVM: bus.origin.rip of the last journey is after its instruction */
    uint8_t insn_bytes;      /* KVM: ... and if it is not, the instruction; 0: unknown */
    uint8_t insn[15];
    bool watching;           /* DR7 asked for breakpoints last time it was looked at */
    bool stop_on_touch;      /* diff: return after each instruction that touched a device */
    struct vcpu_assist assist;
    struct vcpu_debug debug;
    bool exact;              /* KVM: the budget is to be counted, by single-stepping */
    volatile bool attention; /* kicked: leave run() soon */
};

/* After state was replaced from outside: derived fields, and the soft-MMU's copies. */
void vcpu_sync(struct vcpu *v);

/* The same after one instruction changed control registers, segments or flags that translated code depends on. */
void vcpu_update(struct vcpu *v);
/* ... but nothing except segments and RFLAGS: what control transfers change. */
void vcpu_update_flow_any(struct vcpu *v);

/* 64-bit code without alignment checks, steps or breakpoints is most of it. */
static inline void vcpu_update_flow(struct vcpu *v)
{
    static const uint32_t privilege[] = { MODE_CPL0, 0, 0, MODE_USER };
    struct cpu *c = &v->cpu;

    if (unlikely(!(c->efer & EFER_LMA) || !(c->seg[SEG_CS].ar & AR_L) || c->rflags & (FLAG_AC | FLAG_TF) || c->dr[7] & 0xff || c->watched)) {
        vcpu_update_flow_any(v);
        return;
    }
    c->cpl = c->seg[SEG_CS].selector & 3;
    c->mode = (c->mode & MODE_STATE) | MODE_CODE64 | MODE_LONG | MODE_PROTECTED | privilege[c->cpl];
    v->mmu.bank = c->cpl == 3 ? BANK_USER : BANK_SUPERVISOR;
    v->mmu.align_check = false;
}

/* Asks for a fault; returns false, so that a helper can `return vcpu_raise(...)`. */
bool vcpu_raise(struct vcpu *v, int vector);
bool vcpu_raise_error(struct vcpu *v, int vector, uint32_t error);

/* Turns mmu.fault into an exception; returns false. */
bool vcpu_raise_mmu(struct vcpu *v);

/* Instructions retired before the one under way. */
static inline uint64_t vcpu_retired(const struct vcpu *v) { return v->retired + v->in_block; }

/* From within an instruction: run() comes back so many earlier than it was told.  Blocks are not entered that reach beyond. */
static inline void vcpu_end_sooner(struct vcpu *v, uint64_t insns)
{
    v->end -= v->end > insns ? insns : v->end;
    if (v->end < vcpu_retired(v) + BLOCK_INSNS)
        v->attention = true; /* the block under way may */
}

/* A quick look, which may say yes in vain. */
static inline bool vcpu_may_want(const struct vcpu *v)
{
    return v->attention | v->stop_on_touch | v->pins.nmi | v->pins.init | v->pins.intr;
}

/* Does something wait that has to be looked at before the next instruction, if a device has been touched? */
static inline bool vcpu_wanted(const struct vcpu *v)
{
    if (likely(!vcpu_may_want(v)))
        return false;
    return v->attention || v->pins.nmi || v->pins.init || (v->stop_on_touch && v->bus.touched) ||
           (v->pins.intr && v->cpu.rflags & FLAG_IF);
}

/* Does something end what it waits for?  What one that has not been started waits for is a start alone. */
static inline bool vcpu_wakes(const struct vcpu *v)
{
    if (v->cpu.activity == CPU_WAIT_SIPI)
        return v->pins.init || v->pins.startup;
    return v->pins.init || (v->pins.nmi && !v->cpu.nmi_blocked) || (v->pins.intr && v->cpu.rflags & FLAG_IF);
}

/* The time-stamp counter now. */
uint64_t vcpu_tsc(struct vcpu *v);
/* How fast it goes, from where it is now; TSC_KHZ unless something else is asked for. */
void vcpu_set_tsc_khz(struct vcpu *v, uint32_t khz);

/* A CPU with everything that is implemented. */
void vcpu_init(struct vcpu *v, struct phys *phys);
/* Another CPU instead; before it has run. */
void vcpu_set_model(struct vcpu *v, const struct cpu_model *model);
/* CPUID as another CPU says it; what that offers beyond the model is there as well, as far as it is implemented. */
void vcpu_set_cpuid(struct vcpu *v, const struct cpuid_table *table);
/* Features and CPUID as they are; before it has run. */
void vcpu_set_both(struct vcpu *v, const struct feature_set *features, const struct cpuid_table *table);
void vcpu_reset(struct vcpu *v);
/* INIT; and the start-up message that a CPU waits for after it, in real mode at page `vector` (SDM 3A 11.4.4). */
void vcpu_init_signal(struct vcpu *v);
void vcpu_start(struct vcpu *v, uint8_t vector);
/* Which of so many that share memory with the first: before it has run, and after its model is set. */
void vcpu_place(struct vcpu *v, unsigned id, unsigned cpus, struct vcpu *first);
void vcpu_free(struct vcpu *v);

#endif
