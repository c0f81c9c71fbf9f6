/*
 * wideload-assist.h - for a VMM: the instructions that KVM cannot carry out, and the device accesses it cannot say whole.
 *
 * One object a virtual CPU.  After KVM_RUN has returned with an exit, wideload_assist_exit() looks at it first.  Manual page:
 * wideload-assist(3), which shows what a VMM adds line by line; examples/minivmm.c is a VMM that does.
 */
#ifndef WIDELOAD_ASSIST_H
#define WIDELOAD_ASSIST_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* -- what a device sees ----------------------------------------------------------------------------------------- */

enum wideload_assist_type {
    WIDELOAD_ASSIST_LOAD,
    WIDELOAD_ASSIST_STORE,
    WIDELOAD_ASSIST_FETCH_ADD,    /* data: what is added; out: the old value */
    WIDELOAD_ASSIST_SWAP,         /* data: the new value; out: the old one */
    WIDELOAD_ASSIST_COMPARE_SWAP, /* compare: what is expected, data: the new value; out: the old one */
    WIDELOAD_ASSIST_DIRECT_STORE, /* MOVDIRI, MOVDIR64B */
    WIDELOAD_ASSIST_ENQUEUE,      /* ENQCMD, ENQCMDS: 64 bytes, may be refused */
};

enum wideload_assist_flags {
    WIDELOAD_ASSIST_LOCKED = 1,       /* half of a read-modify-write with LOCK that the device does not take as one */
    WIDELOAD_ASSIST_NON_TEMPORAL = 2,
    WIDELOAD_ASSIST_MASKED = 4,       /* `enables` says which bytes are meant */
    WIDELOAD_ASSIST_PORT = 8,         /* `address` is an I/O port */
};

struct wideload_assist_access {
    uint32_t type, flags;
    uint32_t width;      /* bytes: 1 to 64 */
    uint64_t address;    /* guest-physical */
    uint64_t enables;    /* bit i: byte i; all of them unless MASKED */
    uint64_t rip;        /* of the instruction */
    uint8_t data[64];    /* in: what is stored; out: what is loaded; little endian */
    uint8_t compare[64];
};

enum wideload_assist_answer {
    WIDELOAD_ASSIST_OK,
    WIDELOAD_ASSIST_NOBODY, /* nothing is there: loads give all ones */
    WIDELOAD_ASSIST_RETRY,  /* ENQUEUE is refused: the guest sees ZF = 1 */
};

/* -- what a VMM says of itself ---------------------------------------------------------------------------------- */

struct wideload_assist_memory {   /* as in KVM_SET_USER_MEMORY_REGION */
    uint64_t address, bytes;      /* multiples of 4096 */
    void *host;
    int read_only;
};

enum wideload_assist_takes {
    WIDELOAD_ASSIST_TAKES_WIDE = 1,     /* loads and stores of 1 to 64 bytes at every offset; otherwise: of at most 8 */
    WIDELOAD_ASSIST_TAKES_ATOMICS = 2,  /* FETCH_ADD, SWAP, COMPARE_SWAP of 1 to 16 bytes, naturally aligned */
    WIDELOAD_ASSIST_TAKES_DIRECT = 4,   /* DIRECT_STORE */
    WIDELOAD_ASSIST_TAKES_ENQUEUE = 8,
    WIDELOAD_ASSIST_TAKES_ENABLES = 16, /* MASKED accesses whole; otherwise: a store or load for each run of bytes */
};

struct wideload_assist_range {    /* device addresses that take more than KVM can say */
    uint64_t address, bytes;
    uint32_t takes;               /* enum wideload_assist_takes */
};

struct kvm_run;

struct wideload_assist_config {
    size_t size;                  /* sizeof(struct wideload_assist_config) */
    int system, vm, vcpu;         /* of /dev/kvm, KVM_CREATE_VM, KVM_CREATE_VCPU; KVM_SET_CPUID2 has been called */
    struct kvm_run *run;
    const struct wideload_assist_memory *memory;
    size_t memories;
    const struct wideload_assist_range *range;
    size_t ranges;
    int burst;                    /* not 0: stay in the JIT while KVM would soon give up again */
    /* An access to what is not memory, from within wideload_assist_exit(); enum wideload_assist_answer. */
    int (*access)(void *opaque, struct wideload_assist_access *access);
    void *opaque;
};

/* -- calls ------------------------------------------------------------------------------------------------------ */

struct wideload_assist;

/* NULL, and why in `error` (NULL: not wanted).  Memory and ranges are copied.  Asks KVM to exit where it cannot emulate. */
struct wideload_assist *wideload_assist_create(const struct wideload_assist_config *config, char *error, size_t error_bytes);

/* After the memory slots have changed.  0, or -1 if there are too many or they are not page-aligned. */
int wideload_assist_set_memory(struct wideload_assist *assist, const struct wideload_assist_memory *memory, size_t memories);

enum wideload_assist_result {
    WIDELOAD_ASSIST_FAILED = -1,  /* wideload_assist_error() says why; the guest cannot go on */
    WIDELOAD_ASSIST_NOT_MINE = 0, /* kvm_run has an exit for you: handle it as ever */
    WIDELOAD_ASSIST_DONE = 1,     /* dealt with: back to KVM_RUN */
    WIDELOAD_ASSIST_HALTED = 2,   /* as KVM_EXIT_HLT */
    WIDELOAD_ASSIST_SHUTDOWN = 3, /* as KVM_EXIT_SHUTDOWN */
};

/*
 * After KVM_RUN has returned 0: enum wideload_assist_result.  It may enter KVM_RUN, with immediate_exit.  After DONE the
 * registers are in kvm_run.s.regs until the next KVM_RUN, which takes them from there.
 */
int wideload_assist_exit(struct wideload_assist *assist);

const char *wideload_assist_error(const struct wideload_assist *assist);

/* Instructions carried out instead of KVM so far. */
uint64_t wideload_assist_instructions(const struct wideload_assist *assist);

void wideload_assist_destroy(struct wideload_assist *assist);

#ifdef __cplusplus
}
#endif

#endif
