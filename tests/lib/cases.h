/*
 * cases.h - one line of tests/insn/NAME.case: what to run, from which state, and what must be different afterwards.
 *
 *     asm | inputs | expected                                   # comment lines begin with #
 *
 * asm        instructions, separated by semicolons; they begin at CASE_CODE and stop at a CC behind them
 * inputs     rax=1f (hexadecimal; rax..r15, xmm0.., ymm0.., zmm0.., k0.., mm0.., mxcsr), flags=czsopad or flags=- (set ones, d is
 *            DF), mem 0x20000=00112233 (bytes in order), page 0x21000=none or ro, mode=32, not=kvm (an engine left out; pvm: KVM where it
 *            is the PVM vendor module, which carries out part of CPL 3 itself)
 * expected   registers, flags and memory that have changed, in the same words; rip=10400 unless execution went on behind
 *            the snippet; #PF err=6 cr2=21000 and other exceptions.  Everything not named must be as before, undefined
 *            flags excepted.
 *
 * Pages at CASE_DATA are all there and writable unless said otherwise; case_fill() says what they hold.
 */
#ifndef TESTS_CASES_H
#define TESTS_CASES_H

#include "native/native.h"

#include <stdio.h>

enum {
    CASE_CODE = NATIVE_START,  /* the page around it is all CC */
    CASE_STACK = NATIVE_DATA,  /* a page; RSP begins in its middle */
    CASE_DATA = CASE_STACK + NATIVE_PAGE,
    CASE_PAGES = NATIVE_PAGES - 1, /* of data */
    CASE_BYTES = NATIVE_BYTES, /* stack, then data: contiguous */
    CASE_ASM = 256, CASE_LINE = 2048,
};

/* A machine before or after: registers, memory from CASE_STACK on, and how it ended. */
struct case_state {
    struct cpu cpu;
    uint8_t memory[CASE_BYTES];
    int vector;                /* -1: none */
    uint32_t error;
    uint64_t cr2;
};

struct test_case {
    char text[CASE_ASM];
    char inputs[CASE_LINE], expected[CASE_LINE];
    bool code32;
    enum native_page page[CASE_PAGES];
    char not[64];              /* engines left out */
    const char *file;
    unsigned line;
};

/* False: not a case (blank, comment); *bad is set and says so if it should have been one. */
bool case_parse(const char *line, struct test_case *c, bool *bad);

/* A file's cases onto the end of an array from malloc(); false, after it has said why, when a line is none. */
bool cases_load(const char *path, struct test_case **cases, size_t *n);

/* The state the case begins in.  False: an input that is none. */
bool case_begin(const struct test_case *c, struct case_state *s);

/* What `after` has that `before` has not, as the third field; `flags` are the defined ones; `length` of the code. */
void case_describe(const struct test_case *c, const struct case_state *before, const struct case_state *after,
                   unsigned length, uint64_t flags, char *text, size_t size);

/* Flags that the manual leaves undefined after these bytes, or after any of several instructions. */
uint64_t case_undefined_flags(const struct test_case *c, const struct cpu *before, const uint8_t *bytes, unsigned n);

#endif
