/* side_native.c - cases on the host's processor: src/native does the work. */
#include "fuzz/side.h"

#include <stdlib.h>
#include <string.h>

struct side_native {
    const struct fuzz_base *base;
    struct native *native;
};

static void put(struct side_native *s, const struct fuzz_case *c, unsigned slot)
{
    struct native_case *n = native_slot(s->native, slot);

    native_put(&n->r, &c->cpu);
    lines_copy(&n->memory, &c->memory);
    memcpy(n->code, c->code, c->bytes);
    n->code_bytes = c->bytes;
    n->bits = c->bits;
}

static void take(struct side_native *s, struct fuzz_outcome *o, unsigned slot)
{
    const struct native_case *n = native_slot(s->native, slot);
    uint64_t start = NATIVE_START - (n->bits == 16 ? NATIVE_CODE : 0);

    native_take(&n->r, &o->cpu);
    lines_copy(&o->memory, &n->memory);
    o->vector = n->vector;
    o->error = n->error;
    o->cr2 = n->cr2;
    o->stuck = n->timed_out;
    o->transactions = o->wide = o->crossing = 0;
    side_settle_breakpoint(o, start);
    o->shutdown = o->inexpressible = false;
    o->touched = false;
    o->device[0] = 0;
}

/* A case that the timer hit is run again, alone. */
static bool run(void *self, const struct fuzz_case *c, unsigned count, struct fuzz_outcome *out, struct err *err)
{
    struct side_native *s = self;

    for (unsigned i = 0; i < count; i++)
        put(s, &c[i], i);
    if (!native_run(s->native, count, err))
        return false;
    for (unsigned i = 0; i < count; i++)
        take(s, &out[i], i);
    for (unsigned i = 0; i < count; i++) {
        if (!out[i].stuck)
            continue;
        put(s, &c[i], 0);
        if (!native_run(s->native, 1, err))
            return false;
        take(s, &out[i], 0);
    }
    return true;
}

static void destroy(void *self)
{
    native_destroy(((struct side_native *)self)->native);
    free(self);
}

bool side_native_create(const struct fuzz_base *base, struct side *out, struct err *err)
{
    struct side_native *s = calloc(1, sizeof(*s));

    if (!s)
        abort();
    s->base = base;
    s->native = native_create(fuzz_page, FUZZ_PAGES, base->image, err);
    *out = (struct side){ .self = s, .run = run, .destroy = destroy };
    if (s->native && (base->bits != 16 || native_has_16_bit(s->native)))
        return true;
    if (s->native) {
        native_destroy(s->native);
        err_set(err, "native: this host has no 16-bit segments (modify_ldt)");
    }
    free(s);
    return false;
}
