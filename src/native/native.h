/*
 * native.h - the host's processor as the yardstick: a short piece of user-mode code, its registers and memory.
 *
 * The code runs in a child process of its own: low memory is empty but for a page of code, all INT3 around it, and the
 * data pages that the caller describes; seccomp leaves it no system call that reaches beyond.  Cases go in batches; what
 * would take a page fault or another exception ends the case, as it would end a guest's instruction.
 *
 * Only on x86-64 hosts.
 */
#ifndef NATIVE_NATIVE_H
#define NATIVE_NATIVE_H

#include "base/err.h"
#include "cpu.h"
#include "native/lines.h"

enum {
    NATIVE_CODE = 0x10000,        /* a page: code begins at NATIVE_START */
    NATIVE_START = 0x10800,
    NATIVE_DATA = 0x1f000,        /* pages in a row; beyond both ends there is nothing */
    NATIVE_PAGE = 4096,
    NATIVE_PAGES = 9,             /* at most */
    NATIVE_BYTES = NATIVE_PAGES * NATIVE_PAGE,
    NATIVE_CODE_BYTES = 256,
    NATIVE_BATCH = 64,
    NATIVE_XSAVE_BYTES = 2816,
};

enum native_page { NATIVE_RW, NATIVE_RO, NATIVE_NONE };

/* As instructions load and store them: an XSAVE area in standard format (SDM 1 13.4), general registers in the order of struct cpu. */
struct native_registers {
    uint8_t xsave[NATIVE_XSAVE_BYTES] __attribute__((aligned(64)));
    uint64_t general[GPRS], rip, rflags;
};

struct native_case {
    struct native_registers r;
    uint8_t code[NATIVE_CODE_BYTES];
    uint16_t code_bytes;
    uint8_t bits;                 /* of the code: 64, 32; 16: CS begins at NATIVE_CODE, DS, ES and SS (32-bit stack) with the page before NATIVE_DATA */
    bool timed_out;               /* it did not end, or the machine was busy: ask once more */
    int vector;                   /* -1: it ran to the end of the code */
    uint32_t error;
    uint64_t cr2;
    struct lines memory;          /* from NATIVE_DATA on: what pages that can be written have other than the image, before and after */
};

_Static_assert(LINES_MAX * LINE_BYTES == NATIVE_BYTES, "a list for all pages");

struct native;

/* NULL and err: not on this host.  `image`, a page for each of page[0] to page[pages - 1]: what cases begin with. */
struct native *native_create(const enum native_page *page, unsigned pages, const uint8_t *image, struct err *err);
void native_destroy(struct native *n);

/* The slots to fill in, NATIVE_BATCH of them. */
struct native_case *native_slot(struct native *n, unsigned i);
/* Runs slots 0 to count - 1.  False and err: the child is gone. */
bool native_run(struct native *n, unsigned count, struct err *err);

/* Has the host let us have segments for 16-bit code? */
bool native_has_16_bit(const struct native *n);

/* What the host has of the state that can be moved: XCR0's bits. */
uint64_t native_components(void);

/* General registers, RIP, arithmetic flags and DF, x87, MXCSR, vector and opmask registers; and back. */
void native_put(struct native_registers *r, const struct cpu *cpu);
void native_take(const struct native_registers *r, struct cpu *cpu);

#endif
