/*
 * fuzz.c - batches of cases through the engines; what to make of a difference.
 *
 * A difference is reduced once for each cause: which engine, what differs, and the instructions that are left.
 */
#include "fuzz/fuzz.h"

#include "fuzz/device.h"
#include "fuzz/known.h"
#include "fuzz/random.h"
#include "fuzz/reduce.h"
#include "kvm/kvm.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CAUSES = 512, PROBES = 16 };

struct fuzz {
    struct fuzz_config config;
    struct catalog *catalog;
    struct fuzz_base base;
    struct side side[FUZZ_ENGINES];
    uint64_t next;
    struct fuzz_counts *counts;
    bool *missing;                     /* by form: the host has not got it */
    unsigned not_on_host;
    struct fuzz_case batch[NATIVE_BATCH];
    struct fuzz_outcome outcome[FUZZ_ENGINES][NATIVE_BATCH];
    struct fuzz_difference found;
    unsigned causes;
    char cause[CAUSES][sizeof(((struct fuzz_difference *)NULL)->cause)];
    char likely[CAUSES][64];           /* ... before it was reduced */
    unsigned likelies;
};

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static bool has(const struct fuzz *f, enum fuzz_engine e) { return f->config.engines >> e & 1; }

static bool is_soft(enum fuzz_engine e) { return e == FUZZ_INTERP || e == FUZZ_JIT; }

/* -- comparing ---------------------------------------------------------------------------------------------------------------- */

/* Has the host got all its instructions? */
static bool on_host(const struct fuzz *f, const struct fuzz_case *c)
{
    for (unsigned i = 0; i < c->insns; i++)
        if (f->missing[f->catalog->template[c->insn[i].template].form])
            return false;
    return true;
}

/* Is the engine's outcome one to compare?  Native and KVM are the host's processor. */
static bool counts(const struct fuzz *f, enum fuzz_engine e, const struct fuzz_case *c)
{
    return has(f, e) && (is_soft(e) || on_host(f, c));
}

static enum difference compare_two(const struct fuzz *f, const struct fuzz_case *c, enum fuzz_engine a, const struct fuzz_outcome *x, enum fuzz_engine b,
                                   const struct fuzz_outcome *y, char *what, size_t size)
{
    enum difference kind;

    if (compare_is_undefined(c))
        return DIFFERENCE_NONE;
    if (y->device[0] && is_soft(b)) {
        snprintf(what, size, "%s", y->device);
        return DIFFERENCE_DEVICE;
    }
    kind = compare_outcomes(c, f->base.image, x, y, is_soft(a) && is_soft(b), what, size);
    return kind && b == FUZZ_KVM && known_of_kvm(c, x, y, kind) ? DIFFERENCE_NONE : kind;
}

/* -- reducing ----------------------------------------------------------------------------------------------------------------- */

struct showing {
    struct fuzz *f;
    struct fuzz_difference *d;
};

/* Runs the case on both engines; true if they still differ in the same kind of thing. */
static bool shows(void *opaque, const struct fuzz_case *c)
{
    struct showing *s = opaque;
    struct fuzz_difference *d = s->d;
    struct err err;
    char what[sizeof(d->what)];

    if (!s->f->side[d->reference].run(s->f->side[d->reference].self, c, 1, &d->a, &err) ||
        !s->f->side[d->engine].run(s->f->side[d->engine].self, c, 1, &d->b, &err))
        return false;
    return compare_two(s->f, c, d->reference, &d->a, d->engine, &d->b, what, sizeof(what)) == d->kind;
}

static void name_cause(struct fuzz_difference *d)
{
    int n = snprintf(d->cause, sizeof(d->cause), "%s, %s:", fuzz_engine_names[d->engine], difference_names[d->kind]);

    for (unsigned i = 0; i < d->c.insns && n < (int)sizeof(d->cause); i++)
        n += snprintf(d->cause + n, sizeof(d->cause) - (size_t)n, " %s", decode_mnemonic_name(d->c.insn[i].insn.mnemonic));
}

static bool is_known(char (*list)[sizeof(((struct fuzz *)NULL)->cause[0])], unsigned n, const char *cause)
{
    for (unsigned i = 0; i < n; i++)
        if (!strcmp(list[i], cause))
            return true;
    return false;
}

/* One instruction's differences of one kind are one cause without looking further. */
static bool is_likely_known(struct fuzz *f, const struct fuzz_difference *d)
{
    char likely[sizeof(f->likely[0])];

    if (d->c.insns > 1)
        return false;
    snprintf(likely, sizeof(likely), "%u %u %u", d->engine, d->kind, d->c.insn[0].insn.mnemonic);
    for (unsigned i = 0; i < f->likelies; i++)
        if (!strcmp(f->likely[i], likely))
            return true;
    if (f->likelies < CAUSES)
        strcpy(f->likely[f->likelies++], likely);
    return false;
}

/*
 * Does the outcome depend on what is behind the code, which a wild pointer can read?  That is each engine's own way out.  On
 * the host it is found out: with something else there.
 */
static bool looks_behind(struct fuzz *f, const struct fuzz_case *c)
{
    enum { NOPS = 8 };
    struct fuzz_difference *d = malloc(sizeof(*d));
    struct side *host = &f->side[FUZZ_NATIVE];
    struct err err;
    bool looks = false;

    if (!d)
        abort();
    d->c = *c;
    if (has(f, FUZZ_NATIVE) && c->bytes + NOPS < FUZZ_CODE_BYTES && host->run(host->self, c, 1, &d->a, &err)) {
        memset(d->c.code + c->bytes, 0x90, NOPS);
        d->c.bytes = (uint16_t)(c->bytes + NOPS);
        looks = host->run(host->self, &d->c, 1, &d->b, &err);
        d->b.cpu.rip -= d->b.vector < 0 ? NOPS : 0;
        looks = looks && compare_outcomes(c, f->base.image, &d->a, &d->b, false, d->what, sizeof(d->what));
    }
    free(d);
    return looks;
}

/* False: its cause is known already. */
static bool investigate(struct fuzz *f, struct fuzz_difference *d)
{
    struct showing s = { f, d };

    if (f->causes == CAUSES || is_likely_known(f, d))
        return false;
    if (shows(&s, &d->c)) /* else it depends on what ran before it: left as it was found */
        reduce(&d->c, shows, &s);
    shows(&s, &d->c);
    compare_two(f, &d->c, d->reference, &d->a, d->engine, &d->b, d->what, sizeof(d->what));
    name_cause(d);
    if (is_known(f->cause, f->causes, d->cause))
        return false;
    strcpy(f->cause[f->causes++], d->cause);
    return true;
}

/* -- batches ------------------------------------------------------------------------------------------------------------------- */

typedef void found_callback(void *opaque, const struct fuzz_difference *d);

/*
 * Can the outcomes be equal?  A window that refuses something is not like memory, to the interpreter if it was asked; the JIT
 * is then compared with that.
 */
static bool comparable(const struct fuzz_case *c, enum fuzz_engine a, const struct fuzz_outcome *x, enum fuzz_engine b, const struct fuzz_outcome *y)
{
    const struct fuzz_outcome *soft = is_soft(a) ? x : y;

    return is_soft(a) == is_soft(b) || c->system.on || !fuzz_device_refuses(c->window) || ((a == FUZZ_INTERP || b == FUZZ_INTERP) && !soft->touched);
}

/* The first engine that engine `e` can be compared with; e: none. */
static enum fuzz_engine reference_for(const struct fuzz *f, enum fuzz_engine e, const struct fuzz_case *c, unsigned i)
{
    enum fuzz_engine r = 0;

    while (r < e && !(counts(f, r, c) && comparable(c, r, &f->outcome[r][i], e, &f->outcome[e][i])))
        r++;
    return r;
}

static void compare_case(struct fuzz *f, unsigned i, found_callback *differs, void *opaque)
{
    const struct fuzz_case *c = &f->batch[i];
    struct fuzz_difference *d = &f->found;
    bool first = true;

    for (enum fuzz_engine e = 0; e < FUZZ_ENGINES; e++) {
        const struct fuzz_outcome *o = &f->outcome[e][i];

        if (!counts(f, e, c))
            continue;
        if (first)
            coverage_count(f->counts, f->catalog, c, o);
        first = false;
        d->reference = reference_for(f, e, c, i);
        d->engine = e;
        d->kind = compare_two(f, c, d->reference, &f->outcome[d->reference][i], e, o, d->what, sizeof(d->what));
        if (!d->kind)
            continue;
        if (looks_behind(f, c))
            continue;
        d->c = *c;
        f->counts->differences++;
        if (investigate(f, d))
            differs(opaque, d);
    }
}

static void count_device(struct fuzz *f, unsigned i)
{
    const struct fuzz_outcome *o = &f->outcome[has(f, FUZZ_INTERP) ? FUZZ_INTERP : FUZZ_JIT][i];

    if (!(has(f, FUZZ_INTERP) || has(f, FUZZ_JIT)) || !o->transactions)
        return;
    f->counts->device++;
    f->counts->transactions += o->transactions;
    f->counts->device_wide += o->wide || o->crossing;
}

static bool run_batch(struct fuzz *f, unsigned count, found_callback *differs, void *opaque, struct err *err)
{
    uint64_t start = now_ns(), end;

    for (unsigned i = 0; i < count; i++, f->next += f->config.step)
        generate(&f->base, f->config.seed, f->next, &f->batch[i]);
    f->counts->generate_ns += (end = now_ns()) - start;
    for (enum fuzz_engine e = 0; e < FUZZ_ENGINES; e++) {
        start = end;
        if (!has(f, e))
            continue;
        if (!f->side[e].run(f->side[e].self, f->batch, count, f->outcome[e], err))
            return false;
        f->counts->run[e] += count;
        f->counts->ns[e] += (end = now_ns()) - start;
    }
    for (unsigned i = 0; i < count; i++) {
        f->counts->cases++;
        compare_case(f, i, differs, opaque);
        count_device(f, i);
    }
    return true;
}

bool fuzz_run(struct fuzz *f, unsigned count, found_callback *differs, void *opaque, struct err *err)
{
    for (unsigned n; count; count -= n) {
        n = (unsigned)bits_min(count, NATIVE_BATCH);
        if (!run_batch(f, n, differs, opaque, err))
            return false;
    }
    return true;
}

bool fuzz_replay(struct fuzz *f, const struct fuzz_case *c, found_callback *differs, void *opaque, bool *compared, struct err *err)
{
    struct fuzz_difference *d = &f->found;

    *compared = false;
    d->c = *c;
    for (enum fuzz_engine e = 0; e < FUZZ_ENGINES; e++) {
        struct fuzz_outcome *o = &f->outcome[e][0];

        if (!counts(f, e, c))
            continue;
        if (!f->side[e].run(f->side[e].self, c, 1, o, err))
            return false;
        d->engine = e;
        d->reference = reference_for(f, e, c, 0);
        d->a = f->outcome[d->reference][0];
        d->b = *o;
        d->kind = compare_two(f, c, d->reference, &d->a, e, o, d->what, sizeof(d->what));
        *compared |= d->reference != e;
        if (!d->kind)
            continue;
        name_cause(d);
        differs(opaque, d);
    }
    return true;
}

/* -- beginning and end ------------------------------------------------------------------------------------------------------- */

/*
 * Which forms the host answers with #UD every time: it has not got them.  What it has is well-formed in all cases that are
 * drawn, but for LOCK.
 */
static bool probe_host(struct fuzz *f, struct err *err)
{
    struct side host;

    if (!side_create(FUZZ_NATIVE, &f->base, &host, err))
        return false;
    for (unsigned form = 0; form < f->catalog->forms; form++) {
        bool undefined = true;

        for (unsigned i = 0; i < PROBES; i++)
            generate_form(&f->base, 0, i, form, &f->batch[i]);
        if (!host.run(host.self, f->batch, PROBES, f->outcome[FUZZ_NATIVE], err)) {
            host.destroy(host.self);
            return false;
        }
        for (unsigned i = 0; i < PROBES; i++)
            undefined &= f->outcome[FUZZ_NATIVE][i].vector == EXCEPTION_UD;
        f->missing[form] = undefined;
        f->not_on_host += undefined;
    }
    host.destroy(host.self);
    return true;
}

static bool is_pvm(void)
{
    struct kvm_probe probe;

    kvm_probe(&probe);
    return probe.kind == KVM_KIND_PVM;
}

static void fill_image(uint8_t *image)
{
    struct random r = random_for(0, UINT64_MAX);

    for (unsigned i = 0; i < FUZZ_BYTES; i += 8)
        memcpy(image + i, &(uint64_t){ random_next(&r) }, 8);
}

struct fuzz *fuzz_create(const struct fuzz_config *config, struct err *err)
{
    struct fuzz *f = calloc(1, sizeof(*f));

    if (!f)
        abort();
    f->config = *config;
    fuzz_set_shard(f, config->first, config->step);
    fill_image(f->base.image);
    f->base.refusing = has(f, FUZZ_INTERP);
    f->base.catalog = f->catalog = catalog_create(config->isa, config->bits, config->system, err);
    f->base.bits = (uint8_t)config->bits;
    f->base.system = config->system;
    f->base.pvm = has(f, FUZZ_KVM) && is_pvm();
    if (f->catalog && side_describe(config->bits, &f->base, err)) {
        f->missing = calloc(f->catalog->forms, sizeof(*f->missing));
        return f;
    }
    fuzz_destroy(f);
    return NULL;
}

void fuzz_set_shard(struct fuzz *f, uint64_t first, uint64_t step)
{
    f->next = f->config.first = first;
    f->config.step = step;
}

bool fuzz_start(struct fuzz *f, struct fuzz_counts *n, struct err *err)
{
    f->counts = n;
    if (!f->config.system && (has(f, FUZZ_NATIVE) || has(f, FUZZ_KVM)) && !probe_host(f, err))
        return false;
    for (enum fuzz_engine e = 0; e < FUZZ_ENGINES; e++)
        if (has(f, e) && !side_create(e, &f->base, &f->side[e], err))
            return false;
    return true;
}

void fuzz_destroy(struct fuzz *f)
{
    for (unsigned e = 0; e < FUZZ_ENGINES; e++)
        if (f->side[e].self)
            f->side[e].destroy(f->side[e].self);
    if (f->catalog)
        catalog_free(f->catalog);
    free(f->missing);
    free(f);
}

static enum template_kind kind_of(const struct insn *i)
{
    return i->encoding == ENCODING_EVEX ? TEMPLATE_EVEX : i->encoding == ENCODING_VEX ? TEMPLATE_VEX : TEMPLATE_LEGACY;
}

void fuzz_adopt(const struct fuzz *f, struct fuzz_case *c)
{
    for (unsigned i = 0; i < c->insns; i++) {
        struct fuzz_insn *n = &c->insn[i];

        n->template = 0;
        for (unsigned form = 0; form < f->catalog->forms; form++) {
            const struct template *t = &f->catalog->template[f->catalog->first[form]];

            if (t->mnemonic == n->insn.mnemonic && t->kind == kind_of(&n->insn))
                n->template = (uint16_t)f->catalog->first[form];
        }
    }
}

const struct catalog *fuzz_catalog(const struct fuzz *f) { return f->catalog; }
const struct fuzz_base *fuzz_base(const struct fuzz *f) { return &f->base; }
unsigned fuzz_not_on_host(const struct fuzz *f) { return f->not_on_host; }
