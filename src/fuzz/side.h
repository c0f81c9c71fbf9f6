/* side.h - an engine, as something that runs cases. */
#ifndef FUZZ_SIDE_H
#define FUZZ_SIDE_H

#include "fuzz/generate.h"

enum fuzz_engine { FUZZ_NATIVE, FUZZ_INTERP, FUZZ_JIT, FUZZ_KVM, FUZZ_ENGINES };

extern const char *const fuzz_engine_names[FUZZ_ENGINES];

struct side {
    void *self;
    /* Cases 0 to n - 1, at most NATIVE_BATCH.  False and err: the engine failed. */
    bool (*run)(void *self, const struct fuzz_case *c, unsigned n, struct fuzz_outcome *out, struct err *err);
    void (*destroy)(void *self);
};

/* False and err: not on this host.  `base` stays the caller's. */
bool side_create(enum fuzz_engine engine, const struct fuzz_base *base, struct side *out, struct err *err);

/* What cases begin with beside what is drawn: code of 64, 32 or 16 bits at CPL 3, 64-bit code at CPL 0; entries. */
bool side_describe(unsigned bits, struct fuzz_base *base, struct err *err);

/* The guest's own pages: its tables and handlers. */
bool side_is_systems(uint64_t gva);

/* The address space that cases see, as the native child has it. */
struct guest;
void side_map_pages(struct guest *g);

/* An INT3 around the code is where a branch led: an end, as for a guest.  start: RIP of the code. */
void side_settle_breakpoint(struct fuzz_outcome *o, uint64_t start);

/* Mapped for the user in a guest that runs many cases at once, and nowhere else. */
bool side_kvm_is_own(uint64_t gva);

/* For side.c: the kinds (side_native.c, side_soft.c; side_kvm.c: 64-bit code, many cases with one entry). */
bool side_kvm_create(const struct fuzz_base *base, struct side *out, struct err *err);
bool side_native_create(const struct fuzz_base *base, struct side *out, struct err *err);
bool side_soft_create(enum fuzz_engine engine, const struct fuzz_base *base, struct side *out, struct err *err);

#endif
