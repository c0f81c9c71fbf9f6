/*
 * guest.h - the smallest long-mode guest that can carry out one instruction, at either end of the privilege scale.
 *
 * 2 MiB of RAM, mapped one to one for everybody; what else a test needs it maps.  Selectors are Linux' user ones:
 * 33 for 64-bit code, 23 for 32-bit code, 2b for data.  Every vector has a handler that halts, on its own stack, so
 * that a fault on the instruction's stack can be seen too.  Code ends in bytes of CC: reaching one is the normal end.
 */
#ifndef FUZZ_GUEST_H
#define FUZZ_GUEST_H

#include "engine.h"
#include "phys.h"
#include "vcpu.h"

enum {
    GUEST_RAM = 0x200000,
    GUEST_GDT = 0x8000,        /* what the guest itself needs is from here to the code page, and in the upper half of RAM */
    GUEST_HANDLER_STACK = 0xe000, /* a page, top */
    GUEST_CODE = 0x10000,      /* a page */
    GUEST_STACK = 0x1f000,     /* a page; the top is its end */
    GUEST_STACK_TOP = GUEST_STACK + 0x1000,
};

enum guest_map_flags { GUEST_ABSENT = 0, GUEST_PRESENT = 1, GUEST_WRITABLE = 2, GUEST_NO_EXECUTE = 4, GUEST_SUPERVISOR = 8 };

struct guest {
    struct phys phys;
    struct vcpu vcpu;
    struct phys_memory memory;
    uint8_t *ram;
    const struct engine *engine;
    void *self;
    uint64_t root, next_table; /* PML4 in use; free page for paging structures */
    uint64_t warm, warm_pages; /* pages that guest_run() has translated before the first instruction: what the JIT asks of a window's */
    uint64_t entry;            /* RIP of the last guest_run(): a CC there is the instruction under test */
    uint64_t code;             /* where guest_set_code() last put something */
    unsigned code_bytes;
};

/*
 * 16-bit code: CS begins at the code page, DS, ES and SS, whose stack is a 32-bit one, with the page before the
 * stack; no descriptors stand for them. */
enum guest_ring { GUEST_CPL0, GUEST_CPL3, GUEST_CPL3_32, GUEST_CPL3_16 };

/* How it ended; registers are those at the end, or of the faulting instruction. */
struct guest_end {
    bool stuck;                /* neither halted nor shut down within the budget */
    int stop;                  /* enum stop_reason */
    bool refused;              /* the engine cannot take that state */
    int vector;                /* -1: reached a CC */
    uint32_t error;
    uint64_t cr2;
};

/* False and err when this host has not got the engine.  The JIT, which wants `g` below 2 GiB, translates all at once. */
bool guest_create(struct guest *g, const struct engine *engine, struct err *err);
void guest_destroy(struct guest *g);

/*
 * Fresh paging structures with all of RAM one to one, in use from the next guest_reset() on; `root` names them.  An
 * engine that caches translations is not told of later changes to the old ones.
 */
void guest_new_root(struct guest *g);

/* One page, for the user too unless it is the supervisor's, in the structures in use. */
void guest_map(struct guest *g, uint64_t gva, uint64_t gpa, unsigned flags);

/* Where the entry is in RAM that translates gva at a level (1: a page, 4: PML4E); makes tables above it. */
uint64_t guest_entry(struct guest *g, uint64_t gva, unsigned level);

/* Code into the code page, CC behind it and before it. */
void guest_set_code(struct guest *g, uint64_t at, const uint8_t *bytes, unsigned n);

/* Ready to run at GUEST_CODE: flat segments, stack, all of SSE, AVX and AVX-512 enabled; registers zero. */
void guest_reset(struct guest *g, enum guest_ring ring);

/* Runs from cpu.rip to the first halt. */
struct guest_end guest_run(struct guest *g, uint64_t budget);

#endif
