/* fuzz.c - batches of cases through the engines, and the comparison. */
#include "fuzz/fuzz.h"

#include "base/low.h"
#include "fuzz/catalog.h"
#include "fuzz/guest.h"
#include "fuzz/random.h"
#include "fuzz/undefined.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BUDGET = 64, DIFFERENCES = 4096 };

const char *const fuzz_engine_names[FUZZ_ENGINES] = { "native", "interp", "jit" };
static const struct engine *const soft_engines[FUZZ_ENGINES] = { NULL, &engine_interp, &engine_jit };

struct fuzz {
    struct fuzz_config config;
    struct catalog *catalog;
    struct native *native;
    struct guest *guest[FUZZ_ENGINES];
    struct cpu cpu;                    /* what all cases begin with */
    uint8_t memory[FUZZ_BYTES];
    uint64_t next;
    struct fuzz_counts counts;
    uint64_t *drawn;                   /* by form */
    bool *missing;                     /* ... the host has not got it */
    struct fuzz_case batch[NATIVE_BATCH];
    struct fuzz_outcome outcome[FUZZ_ENGINES][NATIVE_BATCH];
};

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static bool has(const struct fuzz *f, enum fuzz_engine e) { return f->config.engines >> e & 1; }

/* What the guest needs for itself: its tables and handlers. */
static bool is_systems(uint64_t at) { return (at >= GUEST_GDT && at < NATIVE_CODE) || (at >= GUEST_RAM / 2 && at < GUEST_RAM); }

/* -- soft engines -------------------------------------------------------------------------------------------------------- */

static unsigned page_flags(uint64_t at)
{
    static const unsigned flags[] = { [NATIVE_RW] = GUEST_PRESENT | GUEST_WRITABLE | GUEST_NO_EXECUTE,
                                      [NATIVE_RO] = GUEST_PRESENT | GUEST_NO_EXECUTE, [NATIVE_NONE] = GUEST_ABSENT };
    uint64_t data = (at - NATIVE_DATA) / NATIVE_PAGE;

    if (at == NATIVE_CODE || at == NATIVE_CODE + NATIVE_PAGE)
        return GUEST_PRESENT; /* and the thunk */
    if (is_systems(at))
        return GUEST_PRESENT | GUEST_WRITABLE | GUEST_SUPERVISOR;
    return data < FUZZ_PAGES ? flags[fuzz_page[data]] : GUEST_ABSENT;
}

/* As in the child. */
static void map_pages(struct guest *g)
{
    for (uint64_t at = 0; at < GUEST_RAM; at += PAGE_BYTES)
        guest_map(g, at, at, page_flags(at));
}

static struct guest *make_guest(struct fuzz *f, enum fuzz_engine e, struct err *err)
{
    struct guest *g = low_alloc(sizeof(*g));

    if (!guest_create(g, soft_engines[e], err)) {
        low_free(g, sizeof(*g));
        return NULL;
    }
    map_pages(g);
    guest_reset(g, f->config.code32 ? GUEST_CPL3_32 : GUEST_CPL3);
    f->cpu = g->vcpu.cpu;
    return g;
}

/* What a case changes. */
static void copy_registers(struct cpu *to, const struct cpu *from)
{
    memcpy(to->slot, from->slot, GPRS * sizeof(to->slot[0]));
    memcpy(to->zmm, from->zmm, sizeof(to->zmm));
    memcpy(to->k, from->k, sizeof(to->k));
    to->x87 = from->x87;
    to->mxcsr = from->mxcsr;
    to->rip = from->rip;
    cpu_set_rflags(to, cpu_rflags(from));
}

static void run_soft(struct fuzz *f, enum fuzz_engine e, unsigned i)
{
    const struct fuzz_case *c = &f->batch[i];
    struct fuzz_outcome *o = &f->outcome[e][i];
    struct guest *g = f->guest[e];
    struct guest_end end;

    guest_reset(g, c->code32 ? GUEST_CPL3_32 : GUEST_CPL3);
    guest_set_code(g, NATIVE_START, c->code, c->bytes);
    memcpy(g->ram + NATIVE_DATA, c->memory, FUZZ_BYTES);
    copy_registers(&g->vcpu.cpu, &c->cpu);
    cpu_update(&g->vcpu.cpu);
    end = guest_run(g, BUDGET);
    copy_registers(&o->cpu, &g->vcpu.cpu);
    memcpy(o->memory, g->ram + NATIVE_DATA, FUZZ_BYTES);
    o->vector = end.vector;
    o->error = end.error;
    o->cr2 = end.cr2;
    o->stuck = end.stuck;
}

/* -- the host --------------------------------------------------------------------------------------------------------------- */

static void put_native(struct fuzz *f, const struct fuzz_case *c, unsigned slot)
{
    struct native_case *n = native_slot(f->native, slot);

    native_put(f->native, n, &c->cpu);
    memcpy(n->memory, c->memory, FUZZ_BYTES);
    memcpy(n->code, c->code, c->bytes);
    n->code_bytes = (uint16_t)c->bytes;
    n->code32 = c->code32;
}

static void take_native(struct fuzz *f, struct fuzz_outcome *o, unsigned slot)
{
    const struct native_case *n = native_slot(f->native, slot);

    o->cpu = f->cpu;
    native_take(f->native, n, &o->cpu);
    memcpy(o->memory, n->memory, FUZZ_BYTES);
    o->vector = n->vector;
    o->error = n->error;
    o->cr2 = n->cr2;
    o->stuck = n->timed_out;
}

/* A case that the timer hit is run again, alone. */
static bool run_native(struct fuzz *f, unsigned count, struct err *err)
{
    for (unsigned i = 0; i < count; i++)
        put_native(f, &f->batch[i], i);
    if (!native_run(f->native, count, err))
        return false;
    for (unsigned i = 0; i < count; i++)
        take_native(f, &f->outcome[FUZZ_NATIVE][i], i);
    for (unsigned i = 0; i < count; i++) {
        if (!f->outcome[FUZZ_NATIVE][i].stuck)
            continue;
        put_native(f, &f->batch[i], 0);
        if (!native_run(f->native, 1, err))
            return false;
        take_native(f, &f->outcome[FUZZ_NATIVE][i], 0);
    }
    return true;
}

/* -- comparing ---------------------------------------------------------------------------------------------------------------- */

static const char *const register_names[GPRS] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                                  "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15" };

/* The error code that counts.  Of its own half of the address space Linux says that it is there; so do the guest's tables. */
static uint32_t error_of(const struct fuzz_outcome *o)
{
    bool systems = o->vector == EXCEPTION_PF && (o->cr2 >> 47 || is_systems(o->cr2));

    return o->vector < 0 ? 0 : systems ? o->error & ~1u : o->error;
}

static bool end_differs(const struct fuzz_outcome *a, const struct fuzz_outcome *b, char *what, size_t size)
{
    bool page_fault = a->vector == EXCEPTION_PF;

    if (a->stuck == b->stuck && a->vector == b->vector && error_of(a) == error_of(b) && (!page_fault || a->cr2 == b->cr2))
        return false;
    snprintf(what, size, "ended with vector %d error %x cr2 %" PRIx64 "%s, not %d %x %" PRIx64 "%s", b->vector, b->error, b->cr2,
             b->stuck ? " (never)" : "", a->vector, a->error, a->cr2, a->stuck ? " (never)" : "");
    return true;
}

/* 32-bit code does not see more of a register than that. */
static bool general_differs(const struct cpu *a, const struct cpu *b, bool code32, char *what, size_t size)
{
    for (unsigned i = 0; i < (code32 ? 8u : GPRS); i++)
        if ((a->slot[i] ^ b->slot[i]) & (code32 ? UINT32_MAX : UINT64_MAX)) {
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
    for (unsigned i = 0; i < 32; i++)
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

static bool memory_differs(const uint8_t *a, const uint8_t *b, char *what, size_t size)
{
    if (!memcmp(a, b, FUZZ_BYTES))
        return false;
    for (unsigned i = 0; i < FUZZ_BYTES; i++)
        if (a[i] != b[i]) {
            snprintf(what, size, "memory at %x is %02x, not %02x", NATIVE_DATA + i, b[i], a[i]);
            break;
        }
    return true;
}

/* Does b differ from the reference? */
static bool differs(const struct fuzz_case *c, const struct fuzz_outcome *a, const struct fuzz_outcome *b, char *what, size_t size)
{
    uint64_t flags = FLAGS_ARITHMETIC & ~undefined_flags(&c->insn, &c->cpu), x = cpu_rflags(&a->cpu), y = cpu_rflags(&b->cpu);

    if (undefined_priority(&c->insn, a->vector, b->vector) ||
        (c->code32 && a->vector != b->vector && (undefined_wrap(&c->insn, a->cr2) || undefined_wrap(&c->insn, b->cr2))))
        return false;
    if (end_differs(a, b, what, size) || general_differs(&a->cpu, &b->cpu, c->code32, what, size) || vectors_differ(&a->cpu, &b->cpu, what, size) ||
        x87_differs(&a->cpu.x87, &b->cpu.x87, what, size) || memory_differs(a->memory, b->memory, what, size))
        return true;
    if (!((x ^ y) & (a->vector < 0 ? flags : FLAGS_ARITHMETIC)))
        return false;
    snprintf(what, size, "flags are %" PRIx64 ", not %" PRIx64, y & flags, x & flags);
    return true;
}

static void compare(struct fuzz *f, unsigned i)
{
    const struct fuzz_case *c = &f->batch[i];
    enum fuzz_engine reference = FUZZ_ENGINES;
    char what[256];

    f->counts.cases++;
    f->drawn[c->form]++;
    if (undefined_result(&c->insn, &c->cpu))
        return;
    for (unsigned e = 0; e < FUZZ_ENGINES; e++) {
        if (!has(f, (enum fuzz_engine)e) || (e == FUZZ_NATIVE && f->missing[c->form]))
            continue;
        if (reference == FUZZ_ENGINES) {
            reference = (enum fuzz_engine)e;
        } else if (differs(c, &f->outcome[reference][i], &f->outcome[e][i], what, sizeof(what))) {
            f->counts.differences++;
            f->config.differs(f->config.opaque, c, reference, (enum fuzz_engine)e, what);
        }
    }
}

/* -- batches ------------------------------------------------------------------------------------------------------------------- */

static bool run_batch(struct fuzz *f, unsigned count, struct err *err)
{
    const struct fuzz_base base = { &f->cpu, f->memory };
    uint64_t start = now_ns(), end;

    for (unsigned i = 0; i < count; i++, f->next += f->config.step)
        if (!generate(f->catalog, f->config.seed, f->next, &base, &f->batch[i]))
            return err_set(err, "no case came of number %" PRIu64, f->next);
    f->counts.generate_ns += (end = now_ns()) - start;
    for (unsigned e = 0; e < FUZZ_ENGINES; e++) {
        start = end;
        if (!has(f, (enum fuzz_engine)e))
            continue;
        if (e == FUZZ_NATIVE && !run_native(f, count, err))
            return false;
        for (unsigned i = 0; i < count && e != FUZZ_NATIVE; i++)
            run_soft(f, (enum fuzz_engine)e, i);
        f->counts.ns[e] += (end = now_ns()) - start;
    }
    for (unsigned i = 0; i < count; i++)
        compare(f, i);
    return true;
}

bool fuzz_run(struct fuzz *f, unsigned count, struct err *err)
{
    for (unsigned n; count; count -= n) {
        n = (unsigned)bits_min(count, NATIVE_BATCH);
        if (!run_batch(f, n, err))
            return false;
    }
    return true;
}

/*
 * Which forms the host answers with #UD every time: it has not got them.  What it has is well-formed in all cases that are
 * drawn, but for LOCK.
 */
static bool probe_host(struct fuzz *f, struct err *err)
{
    const struct fuzz_base base = { &f->cpu, f->memory };
    struct catalog one = *f->catalog;

    one.forms = 1;
    for (unsigned form = 0; form < f->catalog->forms; form++) {
        bool undefined = true;

        one.first = &f->catalog->first[form];
        for (unsigned i = 0; i < NATIVE_BATCH; i++)
            if (!generate(&one, 0, i, &base, &f->batch[i]))
                return err_set(err, "no encoding of %s can be drawn", decode_mnemonic_name(f->catalog->template[*one.first].mnemonic));
        if (!run_native(f, NATIVE_BATCH, err))
            return false;
        for (unsigned i = 0; i < NATIVE_BATCH; i++)
            undefined &= f->outcome[FUZZ_NATIVE][i].vector == EXCEPTION_UD;
        f->missing[form] = undefined;
        f->counts.not_on_host += undefined;
    }
    return true;
}

/* -- beginning and end ------------------------------------------------------------------------------------------------------- */

static void fill_memory(struct fuzz *f)
{
    struct random r = random_for(f->config.seed, UINT64_MAX);

    for (unsigned i = 0; i < FUZZ_BYTES; i += 8)
        memcpy(f->memory + i, &(uint64_t){ random_next(&r) }, 8);
}

static bool make_engines(struct fuzz *f, struct err *err)
{
    if (has(f, FUZZ_NATIVE) && !(f->native = native_create(fuzz_page, FUZZ_PAGES, f->memory, err)))
        return false;
    for (unsigned e = FUZZ_INTERP; e < FUZZ_ENGINES; e++)
        if (!(f->guest[e] = make_guest(f, has(f, (enum fuzz_engine)e) ? (enum fuzz_engine)e : FUZZ_INTERP, err)))
            return false;
    return true;
}

struct fuzz *fuzz_create(const struct fuzz_config *config, struct err *err)
{
    struct fuzz *f = calloc(1, sizeof(*f));

    if (!f)
        abort();
    f->config = *config;
    f->next = config->first;
    fill_memory(f);
    f->catalog = catalog_create(config->isa, config->code32, err);
    f->drawn = calloc(f->catalog ? f->catalog->forms : 1, sizeof(*f->drawn));
    f->missing = calloc(f->catalog ? f->catalog->forms : 1, sizeof(*f->missing));
    if (!f->drawn || !f->missing)
        abort();
    if (f->catalog && make_engines(f, err) && (!f->native || probe_host(f, err)))
        return f;
    fuzz_destroy(f);
    return NULL;
}

void fuzz_destroy(struct fuzz *f)
{
    for (unsigned e = 0; e < FUZZ_ENGINES; e++)
        if (f->guest[e]) {
            guest_destroy(f->guest[e]);
            low_free(f->guest[e], sizeof(*f->guest[e]));
        }
    if (f->native)
        native_destroy(f->native);
    if (f->catalog)
        catalog_free(f->catalog);
    free(f->drawn);
    free(f->missing);
    free(f);
}

void fuzz_count(const struct fuzz *f, struct fuzz_counts *out)
{
    *out = f->counts;
    out->forms = f->catalog->forms;
    out->least = UINT64_MAX;
    for (unsigned form = 0; form < f->catalog->forms; form++)
        out->least = bits_min(out->least, f->drawn[form]);
}
