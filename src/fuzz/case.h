/* case.h - what the engines are given to run, and what they have made of it. */
#ifndef FUZZ_CASE_H
#define FUZZ_CASE_H

#include "fuzz/system.h"
#include "native/native.h"
#include "x86/decode.h"

enum { FUZZ_INSNS = 16, FUZZ_CODE_BYTES = NATIVE_CODE_BYTES, FUZZ_PAGES = 7, FUZZ_BYTES = FUZZ_PAGES * NATIVE_PAGE,
       FUZZ_DEVICE = NATIVE_DATA + 5 * NATIVE_PAGE };

/*
 * From NATIVE_DATA on; nothing is mapped around them.  The page at FUZZ_DEVICE is a window of widereg to the soft engines:
 * what it takes depends on the case, what it holds does not.
 */
static const enum native_page fuzz_page[FUZZ_PAGES] = { NATIVE_RW, NATIVE_RW, NATIVE_RO, NATIVE_NONE, NATIVE_RW, NATIVE_RW, NATIVE_RW };

struct fuzz_insn {
    uint16_t template;            /* in the catalogue */
    uint16_t at;                  /* in the code */
    struct insn insn;
};

struct fuzz_case {
    uint64_t seed, number;
    uint8_t bits;                 /* of the code: 64, 32, 16 */
    uint8_t window;               /* of widereg, at FUZZ_DEVICE */
    uint8_t insns;
    uint16_t bytes;
    uint8_t code[FUZZ_CODE_BYTES];
    struct fuzz_insn insn[FUZZ_INSNS];
    struct cpu cpu;               /* general, vector, opmask, x87 and MMX registers, flags, MXCSR, RIP */
    struct fuzz_system system;    /* `on`: cpu is all of it, and instructions may be privileged */
    struct lines memory;          /* from NATIVE_DATA on */
};

/* What 16-bit code's addresses are relative to: its CS, and its other segments, which are 64 KiB long. */
enum { FUZZ_CODE_BASE_16 = NATIVE_CODE, FUZZ_DATA_BASE_16 = NATIVE_DATA - NATIVE_PAGE };

static inline uint64_t fuzz_data_base(const struct fuzz_case *c) { return c->bits == 16 ? FUZZ_DATA_BASE_16 : 0; }

enum { FUZZ_TRANSACTIONS = 64 };

/* One that reached the device. */
struct fuzz_transaction {
    uint8_t type, width, flags;
    uint16_t offset;
    uint64_t enables;
};

struct fuzz_outcome {
    struct cpu cpu;               /* but for system state: general, vector, opmask, x87 registers, flags, MXCSR, RIP alone */
    int vector;                   /* -1: none */
    uint32_t error;
    uint64_t cr2;
    bool stuck;                   /* it did not end */
    bool shutdown;                /* ... but in a triple fault */
    bool inexpressible;           /* the engine cannot have that state, or cannot carry it out: KVM */
    bool shadowed;                /* accessed and dirty bits are not those of the guest's accesses: KVM */
    struct fuzz_system system;    /* entries and descriptors afterwards */
    struct lines memory;
    bool touched;                 /* the device was asked for something: the interpreter's outcome says so */
    unsigned transactions;        /* in all; the last FUZZ_TRANSACTIONS of them: */
    struct fuzz_transaction transaction[FUZZ_TRANSACTIONS];
    char device[160];             /* what is wrong with them by split(); "": nothing */
    uint8_t wide, crossing;       /* accesses of more than 8 bytes, and to more than one page or region, at the device */
};

#endif
