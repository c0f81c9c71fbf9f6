/* fetch.c - guest code for the soft engines: a block's bytes through the TLB, lifted. */
#include "x86/fetch.h"

#include "base/log.h"
#include "print/disasm.h"
#include "x86/segment.h"

#include <inttypes.h>
#include <string.h>

struct fetch {
    struct vcpu *v;
    unsigned pages;
    struct fetched *f;
};

static void fetch_note_page(struct fetch *f, uint64_t gpa)
{
    if (f->pages && f->f->gpa[f->pages - 1] == gpa)
        return;
    if (f->pages < 2)
        f->f->gpa[f->pages] = gpa;
    f->pages++;
}

/* From a device: one byte at a time, so that nothing is read which the instruction does not have. */
static size_t fetch_uncached(struct fetch *f, uint64_t linear, uint8_t *bytes)
{
    struct access a = { .type = TRANSACTION_LOAD, .form = FORM_FETCH, .width = 1, .gva = linear, .enables = 1,
                        .flags = TRANSACTION_FETCH };

    f->f->uncached = true;
    if (!access_prepare(&f->v->mmu, &a, ACCESS_EXECUTE))
        return (size_t)vcpu_raise_mmu(f->v);
    access_perform(&f->v->mmu, &a);
    bytes[0] = a.data.b[0];
    return 1;
}

/* Up to n bytes, not beyond the page or the segment. */
static size_t fetch_bytes(void *opaque, uint64_t rip, uint8_t *bytes, size_t n)
{
    struct fetch *f = opaque;
    struct vcpu *v = f->v;
    const struct segment *cs = &v->cpu.seg[SEG_CS];
    uint64_t linear = rip;
    const struct tlb_entry *e;
    const uint8_t *host;

    if (!(v->cpu.mode & MODE_CODE64)) {
        if (rip > cs->limit)
            return (size_t)vcpu_raise_error(v, EXCEPTION_GP, 0);
        n = (size_t)bits_min(n, (uint64_t)cs->limit - rip + 1);
        linear = (uint32_t)(cs->base + rip);
    }
    e = tlb_translate(&v->mmu, linear, ACCESS_EXECUTE, v->mmu.bank);
    if (!e)
        return (size_t)vcpu_raise_mmu(v);
    n = (size_t)bits_min(n, PAGE_BYTES - (linear & PAGE_OFFSET));
    host = phys_readable(v->bus.phys, e->gpa + (linear & PAGE_OFFSET), n);
    if (!host)
        return fetch_uncached(f, linear, bytes);
    fetch_note_page(f, e->gpa);
    memcpy(bytes, host, n);
    return n;
}

/* The guest code of a block that was just fetched. */
static void log_code(struct vcpu *v, const struct ir_block *ir, const struct fetched *f)
{
    unsigned mode = ir->mode & MODE_CODE64 ? 64 : ir->mode & MODE_CODE32 ? 32 : 16;

    for (unsigned i = 0; i < ir->insns; i++) {
        const struct ir_insn *insn = &ir->insn[i];
        uint64_t at = insn->rip - ir->rip + (f->gpa[0] | ((ir->mode & MODE_CODE64 ? 0 : v->cpu.seg[SEG_CS].base) + ir->rip) % PAGE_BYTES);
        const uint8_t *host = phys_readable(v->bus.phys, at, insn->length);
        char text[96] = "(on two pages)";

        if (host && (at & PAGE_OFFSET) + insn->length <= PAGE_BYTES && at < f->gpa[0] + PAGE_BYTES)
            disasm_one(mode, host, insn->length, insn->rip, text, sizeof(text));
        log_printf(LOG_IN_ASM, "%016" PRIx64 "  %s\n", insn->rip, text);
    }
    log_printf(LOG_IN_ASM, "\n");
}

unsigned fetch_block(struct vcpu *v, struct ir_block *ir, unsigned limit, const struct history *history,
                     struct fetched *out)
{
    struct fetch f = { .v = v, .f = out };
    struct debug_breaks breaks = { v->debug.breaks, v->debug.at };
    struct lift_source source = { fetch_bytes, &f, history, v->cpu.mode & MODE_CODE64 ? 0 : v->cpu.seg[SEG_CS].base,
                                  &v->features, v->debug.breaks ? &breaks : NULL };

    *out = (struct fetched){ 0 };
    v->fault.vector = -1;
    if (!lift_block(ir, v->cpu.rip, v->cpu.mode, limit, &source))
        return 0;
    v->fault.vector = -1;
    if (f.pages < 2)
        out->gpa[1] = out->gpa[0];
    if (log_on(LOG_IN_ASM) && f.pages)
        log_code(v, ir, out);
    return ir->insns;
}

/* `length` bytes of the block, which begin `into` the first page. */
static bool bytes_hold(struct vcpu *v, const struct fetched *f, const uint8_t *bytes, uint64_t into, unsigned length)
{
    unsigned first = into < PAGE_BYTES ? (unsigned)bits_min(length, PAGE_BYTES - into) : 0;
    const uint8_t *host = phys_readable(v->bus.phys, f->gpa[0] + into, first), *next = phys_readable(v->bus.phys, f->gpa[1], PAGE_BYTES);

    if (first && (!host || memcmp(bytes, host, first)))
        return false;
    return first == length || (next && !memcmp(bytes + first, next + (into + first - PAGE_BYTES), length - first));
}

bool fetch_holds(struct vcpu *v, const struct ir_block *ir, const struct fetched *f)
{
    uint64_t base = ir->mode & MODE_CODE64 ? 0 : v->cpu.seg[SEG_CS].base, page = (base + ir->rip) & ~(uint64_t)PAGE_OFFSET;

    for (unsigned i = 0; i < ir->insns && v->bus.exclusion; i++)
        if (!bytes_hold(v, f, ir->code[i], (base + ir->insn[i].rip - page) % (2 * PAGE_BYTES), ir->insn[i].length))
            return false;
    return true;
}
