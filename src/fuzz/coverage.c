/* coverage.c - counting cases. */
#define _GNU_SOURCE
#include "fuzz/coverage.h"

#include <stdlib.h>
#include <sys/mman.h>

const char *const fuzz_place_names[FUZZ_PLACES] = { "registers only", "memory", "memory across two pages", "memory that faults", "device", "device and beyond it" };

static size_t size_of(unsigned shapes) { return sizeof(struct fuzz_counts) + shapes * sizeof(uint64_t); }

struct fuzz_counts *coverage_create(const struct catalog *k)
{
    struct fuzz_counts *c = mmap(NULL, size_of(k->shapes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (c == MAP_FAILED)
        abort();
    c->shapes = k->shapes;
    return c;
}

void coverage_destroy(struct fuzz_counts *c) { munmap(c, size_of(c->shapes)); }

void coverage_add(struct fuzz_counts *to, const struct fuzz_counts *from)
{
    const uint64_t *source = (const uint64_t *)from;
    uint64_t *sum = (uint64_t *)to;
    unsigned shapes = to->shapes;

    for (size_t i = 0; i < size_of(shapes) / sizeof(*sum); i++)
        sum[i] += source[i];
    to->shapes = shapes;
}

/* -- a case ---------------------------------------------------------------------------------------------------------------- */

static enum fuzz_place place_of(const struct operand *o, const struct fuzz_case *c, unsigned address_size)
{
    const uint64_t *slot = c->cpu.slot;
    uint64_t offset = (o->has_base ? slot[o->base & 15] : 0) + (o->has_index && !o->vsib ? slot[o->index & 15] << o->scale : 0) + (uint64_t)o->displacement;
    uint64_t at = bits_trunc(offset, address_size) + fuzz_data_base(c) - (c->system.on ? SYSTEM_DATA : NATIVE_DATA);
    uint64_t first = at / NATIVE_PAGE, last = (at + o->width - 1) / NATIVE_PAGE, device = (FUZZ_DEVICE - NATIVE_DATA) / NATIVE_PAGE;

    if (first >= FUZZ_PAGES || last >= FUZZ_PAGES || fuzz_page[first] == NATIVE_NONE || fuzz_page[last] == NATIVE_NONE)
        return PLACE_BAD;
    if (first == device || last == device)
        return first == last ? PLACE_DEVICE : PLACE_DEVICE_ACROSS;
    return first == last ? PLACE_MEMORY : PLACE_ACROSS;
}

static void count_instruction(struct fuzz_counts *n, const struct fuzz_case *c, const struct insn *i)
{
    enum fuzz_place place = PLACE_NONE;

    for (unsigned o = 0; o < i->operands; o++)
        if (i->op[o].kind == OPERAND_MEMORY && !i->op[o].address_only)
            place = place_of(&i->op[o], c, i->address_size);
    n->placed[place]++;
    n->instructions++;
    n->masked += i->mask != 0;
    n->zeroed += i->mask_zeroing;
    n->broadcast += i->broadcast;
    n->rounded += i->rounding || i->suppress;
    n->locked += (i->prefixes & PREFIX_LOCK) != 0;
}

/* How many of its instructions have begun: all, or up to the one that RIP is at. */
static unsigned begun(const struct fuzz_case *c, const struct fuzz_outcome *o)
{
    unsigned n = 1;

    while (n < c->insns && (o->vector < 0 || (uint64_t)NATIVE_START + c->insn[n].at <= o->cpu.rip))
        n++;
    return n;
}

void coverage_count(struct fuzz_counts *n, const struct catalog *k, const struct fuzz_case *c, const struct fuzz_outcome *o)
{
    unsigned executed = begun(c, o);
    const struct fuzz_insn *last = &c->insn[executed - 1];

    n->sequences += c->insns > 1;
    n->ended[k->template[last->template].kind][o->vector < 0 || o->vector >= FUZZ_VECTORS ? FUZZ_VECTORS - 1 : o->vector]++;
    for (unsigned i = 0; i < executed; i++) {
        count_instruction(n, c, &c->insn[i].insn);
        n->executed[k->template[c->insn[i].template].shape]++;
    }
}
