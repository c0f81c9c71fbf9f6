/*
 * kvm.h - the KVM engine's parts: a virtual CPU of KVM's and its state, what the soft engines do for it, the VM and its memory
 * slots, what kind of KVM this is.
 */
#ifndef KVM_KVM_H
#define KVM_KVM_H

#include "engine.h"
#include "vcpu.h"
#include "x86/decode.h"

#include <linux/kvm.h>

/* -- a CPU of KVM's, and ours that has its state while KVM does not run -------------------------------------------------------- */

enum { KVM_MSRS_MAX = 16 };

/* What costs a system call to move. */
enum kvm_part { KVM_PART_VECTORS = 1 /* x87, PKRU too */, KVM_PART_XCR0 = 2, KVM_PART_DEBUG = 4, KVM_PART_MSRS = 8, KVM_PARTS_ALL = 15 };

struct kvm_cpu {
    struct vcpu *v;
    int fd;
    struct kvm_run *run;
    /* since kvm_fetch_parts() */
    unsigned parts;         /* enum kvm_part: what was asked for */
    bool event;             /* KVM was about to deliver something */
    struct cpu before;      /* as it was */
    struct kvm_xsave xsave; /* ... with what is not ours */
    uint16_t msrs;          /* which of ours this KVM has */
    bool msrs_known;
};

/* What KVM was about to deliver to the guest. */
struct kvm_event {
    enum { KVM_EVENT_NONE, KVM_EVENT_INTERRUPT, KVM_EVENT_EXCEPTION } kind;
    uint8_t vector;
    bool has_error;
    uint32_t error;
};

/* v->cpu to KVM, whole; no event is pending there then. */
bool kvm_put_state(struct kvm_cpu *k, struct err *err);
/* KVM's state to v->cpu: general and control registers, segments and events always, of the rest `parts`. */
bool kvm_fetch_parts(struct kvm_cpu *k, unsigned parts, struct kvm_event *event, struct err *err);
/*
 * What of it has changed since goes back, in part with the next KVM_RUN, and no event is pending then.  `went_on`: so has KVM
 * since, and its own vectors and events may be others.
 */
bool kvm_put_parts(struct kvm_cpu *k, bool went_on, struct err *err);
/* Everything, and an event on its way into the guest is delivered, so that another engine can go on from there. */
bool kvm_fetch_state(struct kvm_cpu *k, struct err *err);
/* General registers, RIP, RFLAGS, segments and control registers out of the shared page: no system call. */
void kvm_peek_state(const struct kvm_cpu *k, struct cpu *cpu);

/* The guest's code at a RIP, with the state of v->cpu; NULL: not in plain memory, on two pages, or no instruction. */
const uint8_t *kvm_code_at(struct kvm_cpu *k, uint64_t rip, struct insn *insn);

/* The guest's CPUID, as KVM has it, for v too. */
bool kvm_adopt_cpuid(struct kvm_cpu *k, struct err *err);

/*
 * One KVM_RUN with `immediate_exit`: 1: an exit, of which the instruction under way is not complete; 0: it is, and nothing
 * else has run; -1 and err.
 */
int kvm_advance(const struct kvm_cpu *k, struct err *err);

/* -- assist (assist.c) ------------------------------------------------------------------------------------------------------------ */

enum { KVM_CODE_COPIES = 64 };

struct kvm_code_copy {
    uint64_t gpa;
    uint8_t bytes[PAGE_BYTES];
};

struct kvm_engine;

struct kvm_assist {
    struct kvm_cpu *cpu;
    struct kvm_engine *kvm;          /* whose memory slots it may change; NULL: nobody's */
    const struct engine *soft;
    void *engine;                    /* of `soft`; NULL until it is needed */
    struct kvm_code_copy *copy;      /* pages that it has translated, as they were */
    unsigned copies;
    uint64_t burst;                  /* instructions of the next one */
    int64_t returned_us;             /* when KVM went on after the last one */
    struct bus_answers answers;      /* what devices said to the loads of the instruction under way */
};

enum kvm_assisted {
    KVM_ASSISTED_NOT,      /* an exit like any other */
    KVM_ASSISTED_WHOLE,    /* the instruction is complete and its state in KVM; *stop is the soft engine's */
    KVM_ASSISTED_COMPLETE, /* KVM has completed it, and its stores have gone out */
    KVM_ASSISTED_MORE,     /* its stores have gone out, and `run` holds another exit of it */
    KVM_ASSISTED_FAILED,   /* err */
};

/*
 * kvm_assist_access - an instruction's first KVM_EXIT_MMIO.
 *
 * Where the region takes more than KVM can say, and the instruction has more to say, the access reaches it once and whole.
 */
enum kvm_assisted kvm_assist_access(struct kvm_assist *a, enum stop_reason *stop, struct err *err);

/*
 * The instruction at RIP, or in a burst (ASSIST_BURST) those that follow too, by the soft engine: from KVM's state and back to
 * it.  Loads of which `answers` tells do not reach the device again.  An exception that KVM wants to deliver is forgotten.
 */
bool kvm_assist_instruction(struct kvm_assist *a, enum stop_reason *stop, struct err *err);

/* Has KVM stopped at RIP, an access done, without an exception that is the guest's?  #UD is looked at once more. */
bool kvm_assist_is_stuck(struct kvm_assist *a);

void kvm_assist_free(struct kvm_assist *a);

/* -- the engine (engine.c) ---------------------------------------------------------------------------------------------------------- */

enum { KVM_SLOTS_MAX = 64 };

struct kvm_slot {
    uint64_t gpa, size;
    uint8_t *host;
    bool read_only;
};

struct kvm_engine {
    struct phys_listener listener; /* first, so that it can be cast back */
    struct kvm_cpu cpu;
    struct kvm_assist assist;
    int system, vm;
    size_t run_bytes;
    struct kvm_slot slot[KVM_SLOTS_MAX];
    unsigned slots;
    bool slots_stale;
    bool in_instruction;    /* an access has exited, the instruction is not complete */
    bool repeating;         /* ... it is a REP string that went back to the guest between two elements */
    struct kvm_guest_debug debug; /* as KVM has it */
    bool single_step;       /* ... which single-steps */
    bool exit_wrote;        /* the instruction's first exit was a store */
    uint64_t exit_rip;      /* as that exit reported it */
    uint64_t until;         /* vcpu.exact: run() ends at so many instructions retired */
    unsigned idle_ticks;    /* timer ticks since the last exit of the guest's own making */
    uint64_t tick_rip, tick_rcx; /* at the last of them */
};

/* Memory slots follow the physical map. */
bool kvm_sync_slots(struct kvm_engine *k, struct err *err);

/*
 * Takes the memory away and gives it back.  Where KVM shadows the guest's page tables, it sees what the guest writes there and
 * not what the host does; this makes it look again.
 */
bool kvm_forget_tables(struct kvm_engine *k, struct err *err);

/* All memory as ROM for KVM, whose stores to it then exit; or as it is again.  Forgets tables too. */
bool kvm_protect_memory(struct kvm_engine *k, bool on, struct err *err);

/* -- what kind of KVM (probe.c) ------------------------------------------------------------------------------------------------------ */

/* How guest code runs under this KVM (docs/kvm.md). */
enum kvm_kind { KVM_KIND_NONE, KVM_KIND_VMX, KVM_KIND_SVM, KVM_KIND_PVM, KVM_KIND_UNKNOWN };
struct kvm_probe {
    enum kvm_kind kind;
    char kernel[65], cpu[64];
    char why[128]; /* KIND_NONE: why /dev/kvm cannot be used */
};
void kvm_probe(struct kvm_probe *probe);
extern const char *const kvm_kind_names[];
/* One line that says what this KVM is and what follows from it. */
void kvm_describe(const struct kvm_probe *probe, char *text, size_t size);

#endif
