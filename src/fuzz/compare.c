/* compare.c - two outcomes of a case, and what they do not agree on. */
#include "fuzz/compare.h"

#include "fuzz/undefined.h"
#include "x86/fault.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *const difference_names[DIFFERENCES] = { "none", "end", "general register", "vector or mask register", "x87", "memory", "device",
                                                    "system state",                                                    "flags" };

static const char *const register_names[GPRS] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                                  "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15" };

/* The error code that counts.  Of its own half of the address space, and the last page before it, Linux says that it is there; so do the guest's tables. */
static uint32_t error_of(const struct fuzz_outcome *o)
{
    bool systems = o->vector == EXCEPTION_PF && (o->cr2 >= (UINT64_C(1) << 47) - NATIVE_PAGE || side_is_systems(o->cr2));

    return o->vector < 0 ? 0 : systems ? o->error & ~1u : o->error;
}

static bool end_differs(const struct fuzz_outcome *a, const struct fuzz_outcome *b, char *what, size_t size)
{
    bool page_fault = a->vector == EXCEPTION_PF;

    if (a->stuck == b->stuck && a->shutdown == b->shutdown && a->vector == b->vector && error_of(a) == error_of(b) && (!page_fault || a->cr2 == b->cr2))
        return false;
    snprintf(what, size, "ended with vector %d error %x cr2 %" PRIx64 "%s, not %d %x %" PRIx64 "%s", b->vector, b->error, b->cr2,
             b->stuck ? " (never)" : b->shutdown ? " (triple fault)" : "", a->vector, a->error, a->cr2,
             a->stuck ? " (never)" : a->shutdown ? " (triple fault)" : "");
    return true;
}

/* 32-bit code does not see more of a register than that. */
static bool general_differs(const struct cpu *a, const struct cpu *b, unsigned bits, char *what, size_t size)
{
    for (unsigned i = 0; i < (bits == 64 ? GPRS : 8u); i++)
        if ((a->slot[i] ^ b->slot[i]) & (bits == 64 ? UINT64_MAX : UINT32_MAX)) {
            snprintf(what, size, "%s is %" PRIx64 ", not %" PRIx64, register_names[i], b->slot[i], a->slot[i]);
            return true;
        }
    if (a->rip == b->rip)
        return false;
    snprintf(what, size, "rip is %" PRIx64 ", not %" PRIx64, b->rip, a->rip);
    return true;
}

static bool vectors_differ(const struct cpu *a, const struct cpu *b, char *what, size_t size)
{
    for (unsigned i = 0; i < 32 && memcmp(a->zmm, b->zmm, sizeof(a->zmm)); i++)
        for (unsigned q = 0; q < 8; q++)
            if (a->zmm[i].q[q] != b->zmm[i].q[q]) {
                snprintf(what, size, "zmm%u bytes %u on are %016" PRIx64 ", not %016" PRIx64, i, q * 8, b->zmm[i].q[q], a->zmm[i].q[q]);
                return true;
            }
    for (unsigned i = 0; i < 8; i++)
        if (a->k[i] != b->k[i]) {
            snprintf(what, size, "k%u is %" PRIx64 ", not %" PRIx64, i, b->k[i], a->k[i]);
            return true;
        }
    if (a->mxcsr == b->mxcsr)
        return false;
    snprintf(what, size, "mxcsr is %x, not %x", b->mxcsr, a->mxcsr);
    return true;
}

static bool x87_differs(const struct x87 *a, const struct x87 *b, char *what, size_t size)
{
    for (unsigned i = 0; i < 8; i++)
        if (a->significand[i] != b->significand[i] || a->exponent[i] != b->exponent[i]) {
            snprintf(what, size, "x87 register %u is %04x %016" PRIx64 ", not %04x %016" PRIx64, i, b->exponent[i], b->significand[i],
                     a->exponent[i], a->significand[i]);
            return true;
        }
    if (a->control == b->control && a->status == b->status && a->valid == b->valid)
        return false;
    snprintf(what, size, "x87 control %x status %x tags %x, not %x %x %x", b->control, b->status, b->valid, a->control, a->status, a->valid);
    return true;
}

static bool memory_differs(const struct lines *a, const struct lines *b, const uint8_t *image, char *what, size_t size)
{
    int at = lines_compare(a, b, image);
    uint8_t x, y;

    if (at < 0)
        return false;
    lines_read(a, image, (unsigned)at, &x, 1);
    lines_read(b, image, (unsigned)at, &y, 1);
    snprintf(what, size, "memory at %x is %02x, not %02x", NATIVE_DATA + at, y, x);
    return true;
}

/* What reached the device, of two engines that have one. */
static bool device_differs(const struct fuzz_outcome *a, const struct fuzz_outcome *b, char *what, size_t size)
{
    if (a->transactions != b->transactions) {
        snprintf(what, size, "%u transactions reached the device, not %u", b->transactions, a->transactions);
        return true;
    }
    for (unsigned i = 0; i < bits_min(a->transactions, FUZZ_TRANSACTIONS); i++) {
        const struct fuzz_transaction *x = &a->transaction[i], *y = &b->transaction[i];

        if (x->type == y->type && x->width == y->width && x->flags == y->flags && x->offset == y->offset && x->enables == y->enables)
            continue;
        snprintf(what, size, "the device saw type %u width %u offset %x enables %" PRIx64 " flags %x, not %u %u %x %" PRIx64 " %x", y->type, y->width,
                 y->offset, y->enables, y->flags, x->type, x->width, x->offset, x->enables, x->flags);
        return true;
    }
    return false;
}

/* Arithmetic flags that count at the end. */
static uint64_t flags_defined(const struct fuzz_case *c, bool faulted)
{
    uint64_t undefined = 0;

    if (c->insns == 1)
        return FLAGS_ARITHMETIC & ~(faulted ? 0 : undefined_flags(&c->insn[0].insn, &c->cpu));
    for (unsigned i = 0; i < c->insns; i++)
        undefined |= undefined_flags_at_worst(&c->insn[i].insn);
    return FLAGS_ARITHMETIC & ~undefined;
}

static bool is_of_operand(int vector) { return vector == EXCEPTION_SS || vector == EXCEPTION_GP || vector == EXCEPTION_PF; }

/* Two ways it may end, both right? */
static bool either(const struct fuzz_case *c, const struct fuzz_outcome *a, const struct fuzz_outcome *b)
{
    uint64_t end = c->bits == 16 ? FUZZ_DATA_BASE_16 + 0xffffu : UINT32_MAX;

    for (unsigned i = 0; i < c->insns; i++)
        if (undefined_order(&c->insn[i].insn) && is_of_operand(a->vector) && is_of_operand(b->vector))
            return true;
    for (unsigned i = 0; i < c->insns && a->vector != b->vector; i++)
        if (undefined_priority(&c->insn[i].insn, a->vector, b->vector) ||
            (c->bits != 64 && (undefined_wrap(&c->insn[i].insn, end, a->cr2) || undefined_wrap(&c->insn[i].insn, end, b->cr2))))
            return true;
    return false;
}

static bool system_differs(const struct fuzz_case *c, const struct fuzz_outcome *a, const struct fuzz_outcome *b, uint64_t flags, char *what,
                           size_t size)
{
    uint64_t ignored = a->shadowed || b->shadowed ? 0x60 /* A, D */ : 0;

    if (!c->system.on)
        return false;
    for (unsigned i = 0; i < SYSTEM_ENTRIES; i++)
        if ((a->system.entry[i] ^ b->system.entry[i]) & ~ignored) {
            snprintf(what, size, "paging-structure entry %u is %" PRIx64 ", not %" PRIx64, i, b->system.entry[i], a->system.entry[i]);
            return true;
        }
    for (unsigned i = 0; i < SYSTEM_DESCRIPTORS; i++)
        if (a->system.descriptor[i] != b->system.descriptor[i]) {
            snprintf(what, size, "descriptor %x is %016" PRIx64 ", not %016" PRIx64, SYSTEM_SELECTOR + i * 8, b->system.descriptor[i],
                     a->system.descriptor[i]);
            return true;
        }
    return !cpu_compare(&a->cpu, &b->cpu, FLAGS_ARITHMETIC & ~flags, what, size);
}

bool compare_is_undefined(const struct fuzz_case *c) { return c->insns == 1 && undefined_result(&c->insn[0].insn, &c->cpu); }

enum difference compare_outcomes(const struct fuzz_case *c, const uint8_t *image, const struct fuzz_outcome *a, const struct fuzz_outcome *b,
                                 bool device, char *what, size_t size)
{
    uint64_t flags = flags_defined(c, a->vector >= 0), x = cpu_rflags(&a->cpu), y = cpu_rflags(&b->cpu);

    if (either(c, a, b))
        return DIFFERENCE_NONE;
    if (end_differs(a, b, what, size))
        return DIFFERENCE_END;
    if (general_differs(&a->cpu, &b->cpu, c->bits, what, size))
        return DIFFERENCE_GENERAL;
    if (vectors_differ(&a->cpu, &b->cpu, what, size))
        return DIFFERENCE_VECTOR;
    if (x87_differs(&a->cpu.x87, &b->cpu.x87, what, size))
        return DIFFERENCE_X87;
    if (memory_differs(&a->memory, &b->memory, image, what, size))
        return DIFFERENCE_MEMORY;
    if (device && device_differs(a, b, what, size))
        return DIFFERENCE_DEVICE;
    if (system_differs(c, a, b, flags, what, size))
        return DIFFERENCE_SYSTEM;
    if (!((x ^ y) & flags))
        return DIFFERENCE_NONE;
    snprintf(what, size, "flags are %" PRIx64 ", not %" PRIx64, y & flags, x & flags);
    return DIFFERENCE_FLAGS;
}
