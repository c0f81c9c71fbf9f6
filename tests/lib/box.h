/*
 * box.h - a bare CPU and 4 MiB of RAM in any operating mode: what tests of the system architecture run in.
 *
 * Every vector has a gate to a handler of its own that halts, so that where the CPU stopped says what was raised, and
 * the frame is still on the stack.  Tests change descriptors, gates, page tables and registers as they like between
 * box_reset() and box_run().  Code begins at BOX_CODE and is followed by CC: #BP is the ordinary end of user code.
 */
#ifndef TESTS_BOX_H
#define TESTS_BOX_H

#include "engine.h"
#include "phys.h"
#include "vcpu.h"

enum {
    BOX_RAM = 0x400000,
    BOX_GDT = 0x8000, BOX_GDT_LIMIT = 0xff,
    BOX_IDT = 0x9000,
    BOX_TSS = 0xa000,          /* TSS_2, TSS_16 behind it */
    BOX_TSS_2 = 0xa400, BOX_TSS_16 = 0xa800,
    BOX_HANDLERS = 0xb000,     /* 16 bytes a vector */
    BOX_LDT = 0xc000,
    BOX_STACK0 = 0xe000,       /* top of the stack for privilege 0 in the TSS; below: 1 and 2 */
    BOX_STACK1 = 0xd800,
    BOX_IST = 0xf000,          /* IST1 */
    BOX_CODE = 0x10000,
    BOX_STACK = 0x1f000,       /* top; where RSP begins */
    BOX_DATA = 0x30000,
    BOX_TABLES = 0x100000,
    BOX_FREE = 0x200000,       /* from here on nothing is used */
};

/* Selectors; the user's have their RPL. */
enum {
    BOX_CODE32 = 0x08, BOX_DATA32 = 0x10, BOX_CODE64 = 0x18, BOX_USER_CODE32 = 0x23, BOX_USER_DATA = 0x2b,
    BOX_USER_CODE64 = 0x33, BOX_CODE16 = 0x38, BOX_TR = 0x40, BOX_DATA16 = 0x50, BOX_LDTR = 0x58,
    BOX_USER_CODE16 = 0x6b, BOX_USER_DATA16 = 0x73, BOX_CONFORMING32 = 0x78, BOX_CONFORMING64 = 0x80,
    BOX_CODE32_1 = 0x89, BOX_DATA32_1 = 0x91, BOX_TR_2 = 0x98,
    BOX_GATE = 0xa0, BOX_OTHER = 0xb0, BOX_OTHER_2 = 0xc0, BOX_TR_16 = 0xd0, /* free: 16 bytes each */
};

enum box_mode { BOX_REAL, BOX_VM86, BOX_PROTECTED16, BOX_PROTECTED32, BOX_COMPATIBILITY, BOX_LONG, BOX_MODES };

enum { BOX_NOTHING = -1, BOX_SHUTDOWN = -2 };

struct box {
    struct phys phys;
    struct vcpu vcpu;
    struct phys_memory memory;
    uint8_t *ram;
    const struct engine *engine; /* test_engine() */
    void *self;
    enum box_mode mode;
    uint8_t irq;               /* what an interrupt controller would answer */
    unsigned acknowledged;
    int stop;                  /* enum stop_reason of the last run */
};

void box_create(struct box *b);
void box_destroy(struct box *b);

/* All of memory and registers as at the beginning.  16-bit modes see BOX_CODE and BOX_STACK through a base of 10000. */
void box_reset(struct box *b, enum box_mode mode, unsigned cpl);

void box_code(struct box *b, const uint8_t *bytes, unsigned n);
#define BOX_CODE_BYTES(b, ...)                                                                                         \
    box_code(b, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

/* At most `budget` instructions: the vector whose handler was reached, BOX_NOTHING or BOX_SHUTDOWN. */
int box_run(struct box *b, uint64_t budget);

void box_put(struct box *b, uint64_t at, unsigned width, uint64_t value);
uint64_t box_get(const struct box *b, uint64_t at, unsigned width);

/* Word n of the stack as it is now: 0 is the top. */
uint64_t box_frame(const struct box *b, unsigned width, unsigned n);

/* A segment descriptor; `ar` as in struct segment, `limit` the field. */
void box_segment(struct box *b, uint16_t selector, uint32_t base, uint32_t limit, uint32_t ar);
/* A call, interrupt, trap or task gate of the mode's size at this address. */
void box_gate(struct box *b, uint64_t at, unsigned type, unsigned dpl, uint16_t selector, uint64_t offset, unsigned count);
void box_idt_gate(struct box *b, uint8_t vector, unsigned type, unsigned dpl, uint16_t selector, uint64_t offset,
                  unsigned ist);

/* Loads a segment register from the GDT, without checks. */
void box_load(struct box *b, unsigned segment, uint16_t selector);

/* One-to-one paging with 4 KiB pages for everybody; long modes have it from the start. */
void box_paging(struct box *b);
/* The address of the entry that maps a page. */
uint64_t box_pte(const struct box *b, uint64_t gva);

#endif
