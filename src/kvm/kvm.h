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
    /*
     * KVM runs CPL 3 only: with an IDT too short, and LSTAR where nothing can be executed, what leaves CPL 3 is a triple fault,
     * with RIP where it was.  Not so #DE, #DB, NMI and #BP: of a trap nothing would be left.
     */
    bool user_only, user;   /* so it is to be; so it is, and the guest's own IDTR is this */
    struct descriptor_table idtr;
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

/* What SYSCALL jumps to in KVM there. */
#define KVM_USER_LSTAR UINT64_C(0xffff800000000000)

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

/* v's CPUID to KVM, as far as KVM carries it out; `system` is /dev/kvm.  And as KVM has it then, for v too. */
bool kvm_create_cpuid(struct kvm_cpu *k, int system, struct err *err);
/* The guest's CPUID, as KVM has it, for v too. */
bool kvm_adopt_cpuid(struct kvm_cpu *k, struct err *err);

/*
 * One KVM_RUN with `immediate_exit`: 1: an exit, of which the instruction under way is not complete; 0: it is, and nothing
 * else has run; -1 and err.
 */
int kvm_advance(const struct kvm_cpu *k, struct err *err);

/* -- model-specific registers (msr.c) ------------------------------------------------------------------------------------------------ */

/* Can KVM leave registers to us?  `system` is /dev/kvm. */
bool kvm_leaves_msrs(int system);
/* From now on it does: those of the local APIC, and those it does not know. */
bool kvm_take_msrs(int system, int vm, struct err *err);
/* KVM_EXIT_X86_RDMSR, KVM_EXIT_X86_WRMSR. */
void kvm_exit_msr(struct kvm_cpu *k);

/* -- assist (assist.c) ------------------------------------------------------------------------------------------------------------ */

/* Pages of code that are compared before each use; as many as a kernel has where the soft engine runs it. */
enum { KVM_CODE_COPIES = 64, KVM_CODE_COPIES_KERNEL = 4096 };

struct kvm_code_copy {
    uint64_t gpa;
    uint8_t bytes[PAGE_BYTES];
};

struct kvm_vm;

struct kvm_assist {
    struct kvm_cpu *cpu;
    struct kvm_vm *vm;               /* whose memory slots it may change; NULL: nobody's */
    const struct engine *soft;
    void *engine;                    /* of `soft`; NULL until it is needed */
    bool kernel;                     /* it runs CPL 0 to 2, where KVM emulates that: ASSIST_BURST on a PVM */
    bool has_guest;                  /* ... and does so now: the state is in v->cpu */
    uint64_t flushes;                /* of the soft-MMU's TLB before KVM's page tables were last up to date */
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

/* The guest is with the soft engine, in v->cpu, and runs there until it comes to CPL 3. */
bool kvm_assist_hold(struct kvm_assist *a, struct err *err);
/*
 * ... from KVM.  What KVM was about to deliver is delivered, or with `forget` not: KVM has given up on an instruction, or could
 * not leave CPL 3.
 */
bool kvm_assist_take(struct kvm_assist *a, bool forget, struct err *err);
/* ... and back to KVM. */
bool kvm_assist_give(struct kvm_assist *a, struct err *err);
/* The soft engine goes on with it; the guest may be KVM's again afterwards. */
enum stop_reason kvm_assist_run(struct kvm_assist *a, uint64_t budget, struct err *err);

/* Has KVM stopped at RIP, an access done, without an exception that is the guest's?  #UD is looked at once more. */
bool kvm_assist_is_stuck(struct kvm_assist *a);

void kvm_assist_free(struct kvm_assist *a);

/* -- the VM (vm.c) ------------------------------------------------------------------------------------------------------------------ */

enum { KVM_SLOTS_MAX = 64 };

struct kvm_slot {
    uint64_t gpa, size;
    uint8_t *host;
    bool read_only;
};

struct kvm_vm {
    struct phys_listener listener; /* first, so that it can be cast back */
    struct phys *phys;
    struct kvm_vm *next;
    unsigned users;
    int system, fd;         /* /dev/kvm; the VM's */
    struct kvm_slot slot[KVM_SLOTS_MAX];
    unsigned slots;
    bool slots_stale;
};

/* The VM of the guest with this memory, which its processors share: made for the first, gone with the last. */
struct kvm_vm *kvm_vm_get(struct phys *phys, struct err *err);
void kvm_vm_put(struct kvm_vm *vm);

/* Memory slots follow the physical map. */
bool kvm_sync_slots(struct kvm_vm *vm, struct err *err);

/*
 * Takes the memory away and gives it back.  Where KVM shadows the guest's page tables, it sees what the guest writes there and
 * not what the host does; this makes it look again.
 */
bool kvm_forget_tables(struct kvm_vm *vm, struct err *err);

/* All memory as ROM for KVM, whose stores to it then exit; or as it is again.  Forgets tables too. */
bool kvm_protect_memory(struct kvm_vm *vm, bool on, struct err *err);

/* -- the engine (engine.c) ---------------------------------------------------------------------------------------------------------- */

struct kvm_engine {
    struct kvm_cpu cpu;
    struct kvm_assist assist;
    struct kvm_vm *vm;
    size_t run_bytes;
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
