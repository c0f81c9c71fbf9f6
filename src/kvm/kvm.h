/*
 * kvm.h - the KVM engine's parts: the VM, its memory slots, its state, what kind of KVM this is.
 */
#ifndef KVM_KVM_H
#define KVM_KVM_H

#include "engine.h"
#include "vcpu.h"

#include <linux/kvm.h>

enum { KVM_SLOTS_MAX = 64 };

struct kvm_slot {
    uint64_t gpa, size;
    uint8_t *host;
    bool read_only;
};

struct kvm_engine {
    struct phys_listener listener; /* first, so that it can be cast back */
    struct vcpu *v;
    int system, vm, vcpu;
    struct kvm_run *run;
    size_t run_bytes;
    struct kvm_slot slot[KVM_SLOTS_MAX];
    unsigned slots;
    bool slots_stale;
    bool in_instruction;    /* an access has exited, the instruction is not complete */
    bool repeating;         /* ... it is a REP string that went back to the guest between two elements */
    bool single_step;       /* KVM_GUESTDBG_SINGLESTEP is on */
    bool exit_wrote;        /* the instruction's first exit was a store */
    uint64_t exit_rip;      /* as that exit reported it */
    uint64_t until;         /* vcpu.exact: run() ends at so many instructions retired */
    unsigned idle_ticks;    /* timer ticks since the last exit of the guest's own making */
};

/* What KVM was about to deliver to the guest. */
struct kvm_event {
    enum { KVM_EVENT_NONE, KVM_EVENT_INTERRUPT, KVM_EVENT_EXCEPTION } kind;
    uint8_t vector;
    bool has_error;
    uint32_t error;
};

/* vcpu->cpu to KVM and back, whole.  To KVM: no event is pending there then. */
bool kvm_put_state(struct kvm_engine *k, struct err *err);
bool kvm_fetch_state(struct kvm_engine *k, struct kvm_event *event, struct err *err);
/* General registers, RIP, RFLAGS, segments and control registers out of the shared page: no system call. */
void kvm_peek_state(const struct kvm_engine *k, struct cpu *cpu);

/* Memory slots follow the physical map. */
bool kvm_sync_slots(struct kvm_engine *k, struct err *err);

/*
 * Takes the memory away and gives it back.  Where KVM shadows the guest's page tables, it sees what the guest writes there and
 * not what the host does; this makes it look again.
 */
bool kvm_forget_tables(struct kvm_engine *k, struct err *err);

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
