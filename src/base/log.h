/*
 * log.h - what `--log CATEGORY,...` turns on.  Lines go to stderr or to `--log-file`.
 *
 * Testing a category costs one load; build the arguments only behind log_on().
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* One row per category: name on the command line, what it shows. */
#define LOG_CATEGORIES(X)                                                                                              \
    X(IN_ASM, "in_asm", "guest code as it is translated")                                                              \
    X(OP, "op", "IR as it is lifted")                                                                                  \
    X(OP_OPT, "op_opt", "IR after optimisation")                                                                       \
    X(OUT_ASM, "out_asm", "host code that the JIT made")                                                                \
    X(INT, "int", "exceptions and interrupts as they are delivered")                                                   \
    X(MMU, "mmu", "page walks and TLB flushes")                                                                        \
    X(ACCESS, "access", "device accesses, whole and in fragments")                                                     \
    X(GUEST, "guest", "what the guest does wrong: unclaimed addresses, reserved bits")                                 \
    X(UNIMP, "unimp", "what the guest asked for and src/unimp.def lists")                                              \
    X(KVM, "kvm", "KVM exits")                                                                                         \
    X(MAP, "map", "the physical memory map as it changes")

enum log_category {
#define X(id, name, what) LOG_##id,
    LOG_CATEGORIES(X)
#undef X
    LOG_COUNT
};

extern uint32_t log_mask;

static inline bool log_on(enum log_category category) { return log_mask >> category & 1; }

/* Prints "category: " and the formatted text if the category is on; the text ends in its own newline. */
void log_printf(enum log_category category, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Turns on the comma-separated categories; false and the offending word in `bad` (of `size`) otherwise. */
bool log_enable(const char *list, char *bad, size_t size);

/* Where lines go; stderr until told. */
void log_to(FILE *file);
FILE *log_stream(void);

#endif
