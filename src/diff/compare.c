/*
 * compare.c - two journeys as streams of byte events, laid side by side.
 *
 * Rules, tried in this order:
 *   1. An engine gave up, or a region refused KVM a fragment of what it takes whole: `inexpressible`.
 *   2. Both say where the instruction begins, and it is not the same place: `divergent`.
 *   3. Phantoms that are marked as such are counted and left out.
 *   4. The streams agree: `same`, or `refragmented` if the cuts or types do not.
 *   5. They agree space by space: `refragmented`.  KVM reads all elements of a REP INS before it stores any.
 *   6. One stream is KVM's, and is the other with additional loads: those are phantoms; `refragmented`.
 *   7. `divergent`, with the first event in which they differ.
 */
#include "compare.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *const verdict_names[VERDICTS] = { "same", "refragmented", "inexpressible", "divergent" };

/* One byte that went between CPU and device. */
struct event {
    uint64_t address;
    uint8_t space; /* enum region_space */
    bool store;
    uint8_t value;
};

/* What a journey amounts to. */
struct stream {
    const char *name; /* of the engine */
    bool kvm;
    GArray *event;
    unsigned phantoms;
};

/* -- from a journey to its events ----------------------------------------------------------------------------- */

static void stream_add(struct stream *s, const struct journey_access *a, const struct journey_fragment *f,
                       bool store, const union wide *data)
{
    for (unsigned i = 0; i < f->width; i++) {
        int byte = f->at + (int)i;
        struct event event = { .address = f->address + i, .space = a->space, .store = store };

        if (byte < 0 || byte >= a->width || !(a->enables >> byte & 1))
            continue;
        event.value = data->b[byte];
        g_array_append_val(s->event, event);
    }
}

static void stream_add_fragment(struct stream *s, const struct journey_access *a, const struct journey_fragment *f)
{
    union wide stored = journey_stored(a);

    if (f->phantom) {
        s->phantoms += f->width;
        return;
    }
    if (f->type != TRANSACTION_STORE && f->type != TRANSACTION_DIRECT_STORE && f->type != TRANSACTION_ENQUEUE)
        stream_add(s, a, f, false, &a->data);
    if (f->type != TRANSACTION_LOAD)
        stream_add(s, a, f, true, &stored);
}

static struct stream stream_of(const struct journey *j)
{
    struct stream s = { .name = "none", .event = g_array_new(FALSE, FALSE, sizeof(struct event)) };

    if (!j)
        return s;
    s.name = journey_engine_names[j->engine];
    s.kvm = j->engine == ENGINE_KVM;
    for (unsigned i = 0; i < journey_accesses(j); i++) {
        const struct journey_access *a = journey_access_at(j, i);

        for (unsigned k = 0; k < a->fragments; k++)
            stream_add_fragment(&s, a, journey_fragment_at(j, a, k));
    }
    return s;
}

static const struct event *event_at(const struct stream *s, unsigned i)
{
    return &g_array_index(s->event, struct event, i);
}

static bool event_same(const struct event *a, const struct event *b)
{
    return a->address == b->address && a->space == b->space && a->store == b->store && a->value == b->value;
}

/* -- agreement ------------------------------------------------------------------------------------------------ */

static bool streams_agree(const struct stream *a, const struct stream *b)
{
    if (a->event->len != b->event->len)
        return false;
    for (unsigned i = 0; i < a->event->len; i++)
        if (!event_same(event_at(a, i), event_at(b, i)))
            return false;
    return true;
}

/* The same bytes asked for in the same order; what a load gave does not count. */
static bool streams_ask_alike(const struct stream *a, const struct stream *b)
{
    if (a->event->len != b->event->len)
        return false;
    for (unsigned i = 0; i < a->event->len; i++) {
        struct event x = *event_at(a, i), y = *event_at(b, i);

        if (!x.store && !y.store)
            x.value = y.value;
        if (!event_same(&x, &y))
            return false;
    }
    return true;
}

/* The next event of a space from i on, or the length. */
static unsigned stream_next(const struct stream *s, unsigned i, enum region_space space)
{
    while (i < s->event->len && event_at(s, i)->space != space)
        i++;
    return i;
}

static bool streams_agree_within(const struct stream *a, const struct stream *b, enum region_space space)
{
    unsigned i = stream_next(a, 0, space), j = stream_next(b, 0, space);

    while (i < a->event->len && j < b->event->len && event_same(event_at(a, i), event_at(b, j))) {
        i = stream_next(a, i + 1, space);
        j = stream_next(b, j + 1, space);
    }
    return i == a->event->len && j == b->event->len;
}

/*
 * Is `more` the same as `less` with additional loads?  Returns how many, 0 if not.  Matching from the front is
 * right: an event of `less` that can be matched early can be matched with anything later as well.
 */
static unsigned stream_extra_loads(const struct stream *more, const struct stream *less, const struct event **first)
{
    unsigned extra = 0, j = 0;

    for (unsigned i = 0; i < more->event->len; i++) {
        const struct event *event = event_at(more, i);

        if (j < less->event->len && event_same(event, event_at(less, j))) {
            j++;
        } else if (event->store) {
            return 0;
        } else if (!extra++) {
            *first = event;
        }
    }
    return j == less->event->len ? extra : 0;
}

/* The i-th fragment of a journey that is no phantom, or NULL. */
static const struct journey_fragment *real_fragment(const struct journey *j, unsigned *i)
{
    for (; *i < j->fragment->len; (*i)++) {
        const struct journey_fragment *f = &g_array_index(j->fragment, struct journey_fragment, *i);

        if (!f->phantom)
            return f;
    }
    return NULL;
}

/* Are the fragments the same?  If not, how they differ goes to `cause`. */
static bool fragments_agree(const struct journey *a, const struct journey *b, struct comparison *c)
{
    unsigned i = 0, j = 0;
    const struct journey_fragment *f, *g;

    for (;; i++, j++) {
        f = real_fragment(a, &i);
        g = real_fragment(b, &j);
        if (!f && !g)
            return true;
        if (!f || !g || f->width != g->width || f->type != g->type || f->address != g->address)
            break;
    }
    snprintf(c->cause, sizeof(c->cause), "%s sent %s of %u bytes where %s sent %s of %u",
             journey_engine_names[a->engine], f ? journey_type_names[f->type] : "nothing", f ? f->width : 0u,
             journey_engine_names[b->engine], g ? journey_type_names[g->type] : "nothing", g ? g->width : 0u);
    return false;
}

/* Between two engines that can express everything: type, width, flags and result of every access. */
static bool accesses_agree(const struct journey *a, const struct journey *b, struct comparison *c)
{
    for (unsigned i = 0; i < journey_accesses(a) && i < journey_accesses(b); i++) {
        const struct journey_access *x = journey_access_at(a, i), *y = journey_access_at(b, i);
        const char *what = x->type != y->type ? "type" : x->width != y->width ? "width" :
                           x->flags != y->flags ? "flags" : x->result != y->result ? "result" : NULL;

        if (what) {
            snprintf(c->cause, sizeof(c->cause), "access %u at %" PRIx64 " differs in its %s", i, x->address, what);
            return false;
        }
    }
    return true;
}

/* -- verdicts ------------------------------------------------------------------------------------------------- */

static void comparison_set(struct comparison *c, enum verdict verdict, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void comparison_set(struct comparison *c, enum verdict verdict, const char *format, ...)
{
    va_list args;

    c->verdict = verdict;
    va_start(args, format);
    vsnprintf(c->cause, sizeof(c->cause), format, args);
    va_end(args);
}

static const char *space_name(const struct event *event) { return event->space == REGION_PIO ? "port " : ""; }
static const char *verb(const struct event *event) { return event->store ? "stored" : "loaded"; }

/* "interp stored 12 at 1000, kvm 13": the first event that differs. */
static void comparison_diverge(struct comparison *c, const struct stream *a, const struct stream *b)
{
    unsigned i = 0;
    const struct event *x, *y;

    while (i < a->event->len && i < b->event->len && event_same(event_at(a, i), event_at(b, i)))
        i++;
    x = i < a->event->len ? event_at(a, i) : NULL;
    y = i < b->event->len ? event_at(b, i) : NULL;
    if (!x || !y) {
        const struct stream *more = x ? a : b;
        const struct event *event = x ? x : y;

        comparison_set(c, VERDICT_DIVERGENT, "%s %s %02x at %s%" PRIx64 ", %s nothing", more->name, verb(event),
                       event->value, space_name(event), event->address, (x ? b : a)->name);
    } else {
        comparison_set(c, VERDICT_DIVERGENT, "%s %s %02x at %s%" PRIx64 ", %s %s %02x at %s%" PRIx64, a->name,
                       verb(x), x->value, space_name(x), x->address, b->name, verb(y), y->value, space_name(y),
                       y->address);
    }
}

static bool compare_phantoms(struct comparison *c, const struct stream *a, const struct stream *b, unsigned side)
{
    const struct event *first = NULL;
    unsigned extra;

    if (!a->kvm)
        return false;
    extra = stream_extra_loads(a, b, &first);
    if (!extra)
        return false;
    c->phantoms[side] += extra;
    comparison_set(c, VERDICT_REFRAGMENTED,
                   "%s read %u byte%s from %s%" PRIx64 " that the instruction does not ask for", a->name, extra,
                   extra > 1 ? "s" : "", space_name(first), first->address);
    return true;
}

static void compare_streams(struct comparison *c, const struct journey *a, const struct journey *b,
                            const struct stream *x, const struct stream *y)
{
    if (streams_agree(x, y)) {
        if (!a || !b)
            return;
        if (!x->kvm && !y->kvm && !accesses_agree(a, b, c))
            c->verdict = VERDICT_DIVERGENT;
        else if (!fragments_agree(a, b, c))
            c->verdict = VERDICT_REFRAGMENTED;
    } else if ((x->kvm || y->kvm) && streams_agree_within(x, y, REGION_MMIO) &&
               streams_agree_within(x, y, REGION_PIO)) {
        comparison_set(c, VERDICT_REFRAGMENTED,
                       "port and memory accesses of a string instruction interleave otherwise");
    } else if (!compare_phantoms(c, x, y, 0) && !compare_phantoms(c, y, x, 1)) {
        comparison_diverge(c, x, y);
    }
}

/* Do both say where the instruction begins, and disagree? */
static bool begins_elsewhere(const struct journey *a, const struct journey *b)
{
    return a && b && !a->rip_after && !b->rip_after && a->rip != b->rip;
}

static const struct journey *gave_up(const struct journey *a, const struct journey *b)
{
    return a && a->gave_up ? a : b && b->gave_up ? b : NULL;
}

/* The first access that got no device's consent, or NULL. */
static const struct journey_access *refused(const struct journey *j)
{
    for (unsigned i = 0; j && i < journey_accesses(j); i++)
        if (journey_access_at(j, i)->result == TRANSACTION_ERROR)
            return journey_access_at(j, i);
    return NULL;
}

/* What KVM can only say in pieces, to a region that takes no such piece: the same bytes, or it is a divergence. */
static bool compare_refusal(struct comparison *c, const struct journey *a, const struct journey *b, const struct stream *x,
                            const struct stream *y)
{
    const struct journey *kvm = a && a->engine == ENGINE_KVM ? a : b, *other = kvm == a ? b : a;
    const struct journey_access *piece = refused(kvm);

    if (!kvm || !other || kvm->engine != ENGINE_KVM || other->engine == ENGINE_KVM || !piece || refused(other) ||
        !streams_ask_alike(x, y))
        return false;
    comparison_set(c, VERDICT_INEXPRESSIBLE, "the region refuses kvm's %u-byte %s at %" PRIx64 "; %s made it %u bytes wide",
                   piece->width, journey_type_names[piece->type], piece->address, journey_engine_names[other->engine],
                   journey_access_at(other, 0)->width);
    return true;
}

struct comparison compare_journeys(const struct journey *a, const struct journey *b)
{
    struct comparison c = { .verdict = VERDICT_SAME };
    struct stream x = stream_of(a), y = stream_of(b);
    const struct journey *quitter = gave_up(a, b);

    c.phantoms[0] = x.phantoms;
    c.phantoms[1] = y.phantoms;
    if (quitter)
        comparison_set(&c, VERDICT_INEXPRESSIBLE, "%s: %s", journey_engine_names[quitter->engine], quitter->gave_up);
    else if (begins_elsewhere(a, b))
        comparison_set(&c, VERDICT_DIVERGENT, "%s is at rip %" PRIx64 ", %s at %" PRIx64, x.name, a->rip, y.name,
                       b->rip);
    else if (!compare_refusal(&c, a, b, &x, &y))
        compare_streams(&c, a, b, &x, &y);
    g_array_free(x.event, TRUE);
    g_array_free(y.event, TRUE);
    return c;
}

void compare_count(struct compare_counts *counts, const struct comparison *comparison)
{
    counts->verdict[comparison->verdict]++;
    counts->phantom_journeys += comparison->phantoms[0] || comparison->phantoms[1];
    for (unsigned side = 0; side < 2; side++)
        counts->phantoms[side] += comparison->phantoms[side];
}
