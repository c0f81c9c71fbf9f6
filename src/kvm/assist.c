/*
 * assist.c - what KVM cannot carry out, or cannot say whole, done by a soft engine on the same devices.
 *
 * Three ways in.  KVM gives up on an instruction, or goes round on it for ever: it is done here instead.  An instruction's
 * first exit is a load from a region that takes more than KVM can say (wider than 8 bytes, atomics): the instruction is done
 * here, and KVM's own attempt is brought to its end and forgotten.  The first exit is a store to one: then KVM has done the
 * rest already, and only the pieces of the store are missing; they are held back until the instruction is complete.
 *
 * The soft engine keeps what it has translated.  The guest may have written to that code under KVM, where nobody tells: the
 * pages are compared with copies before each use.
 */
#include "kvm/kvm.h"

#include "dispatch.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>

enum { KERNEL_INSNS = 1 << 15 /* at most so many before its CPL is looked at */ };
enum { DRAIN_MAX = 256, BURST_FIRST = 16, BURST_MAX = 1 << 16, BURST_AGAIN_US = 300 };

/* -- the soft engine ------------------------------------------------------------------------------------------------------------ */

static bool soft_ready(struct kvm_assist *a, struct err *err)
{
    struct vcpu *v = a->cpu->v;

    if (a->engine)
        return true;
    a->soft = v->assist.mode == ASSIST_BURST ? &engine_jit : &engine_interp;
    a->engine = a->soft->create(v, err);
    a->copies = 0;
    v->bus.origin.engine = ENGINE_KVM; /* it speaks for KVM */
    return a->engine;
}

static void soft_drop(struct kvm_assist *a)
{
    if (a->engine)
        a->soft->destroy(a->engine);
    a->engine = NULL;
    a->copies = 0;
}

void kvm_assist_free(struct kvm_assist *a)
{
    soft_drop(a);
    free(a->copy);
    a->copy = NULL;
}

/* Drops what has been translated from pages that have changed. */
static void code_check(struct kvm_assist *a)
{
    struct vcpu *v = a->cpu->v;

    for (unsigned i = 0; i < a->copies; i++) {
        const struct kvm_code_copy *c = &a->copy[i];
        const uint8_t *now = phys_readable(v->bus.phys, c->gpa, PAGE_BYTES);

        if (now && !memcmp(now, c->bytes, PAGE_BYTES))
            continue;
        for (unsigned line = 0; line < PAGE_BYTES; line += CODE_LINE_BYTES)
            mmu_written(&v->mmu, c->gpa + line, CODE_LINE_BYTES);
    }
}

static void code_copy(struct kvm_assist *a, uint64_t gpa)
{
    const uint8_t *now = phys_readable(a->cpu->v->bus.phys, gpa, PAGE_BYTES);
    struct kvm_code_copy *c = &a->copy[a->copies++];

    c->gpa = gpa;
    if (now)
        memcpy(c->bytes, now, PAGE_BYTES);
}

/* Copies of all pages that code has been translated from; false if there are too many. */
static bool code_remember(struct kvm_assist *a)
{
    const struct code *code = &a->cpu->v->code;
    unsigned most = a->kernel ? KVM_CODE_COPIES_KERNEL : KVM_CODE_COPIES;

    if (!a->copy && !(a->copy = malloc(most * sizeof(*a->copy))))
        abort();
    a->copies = 0;
    for (uint64_t near = 0; near < code->pages; near += CODE_PAGES_NEAR)
        for (uint64_t page = near; code->marked[near / CODE_PAGES_NEAR] && page < near + CODE_PAGES_NEAR; page++) {
            if (!code->lines[page])
                continue;
            if (a->copies == most)
                return false;
            code_copy(a, page * PAGE_BYTES);
        }
    return true;
}

/* From v->cpu to v->cpu.  What it retires counts where instructions are counted. */
static bool soft_run(struct kvm_assist *a, uint64_t budget, enum stop_reason *stop, struct err *err)
{
    struct vcpu *v = a->cpu->v;
    uint64_t retired = v->retired;
    bool touched = v->bus.touched;

    if (!soft_ready(a, err))
        return false;
    code_check(a);
    if (!a->soft->set_state(a->engine, err))
        return false;
    v->bus.answers = a->answers.n ? &a->answers : NULL;
    *stop = a->soft->run(a->engine, budget, err);
    v->bus.answers = NULL;
    a->answers.n = 0;
    v->bus.touched |= touched;
    v->assist.instructions += v->retired - retired;
    if (!v->exact)
        v->retired = retired;
    if (!code_remember(a))
        soft_drop(a);
    return *stop != STOP_FAILED;
}

/* -- an instruction that KVM does not do --------------------------------------------------------------------------------------- */

/* As long as KVM gives up again soon, the next burst is twice as long. */
static uint64_t burst_insns(struct kvm_assist *a)
{
    bool again = g_get_monotonic_time() - a->returned_us < BURST_AGAIN_US;

    if (a->cpu->v->assist.mode != ASSIST_BURST || a->cpu->v->exact)
        return 1;
    a->burst = again ? bits_min(a->burst * 2, BURST_MAX) : a->burst / 2;
    a->burst = a->burst > BURST_FIRST ? a->burst : BURST_FIRST;
    return a->burst;
}

/* The rest of the state that the instruction may look at. */
static unsigned parts_of(const struct insn *insn, const struct cpu *cpu)
{
    unsigned parts = KVM_PART_DEBUG | (cpu->cr4 & CR4_PKE ? KVM_PART_VECTORS : 0);
    bool general = insn->mnemonic == ZYDIS_MNEMONIC_CMPXCHG8B || insn->mnemonic == ZYDIS_MNEMONIC_CMPXCHG16B;

    if (insn->encoding != ENCODING_LEGACY)
        parts |= KVM_PART_XCR0;
    for (unsigned i = 0; i < insn->operands; i++) {
        const struct operand *o = &insn->op[i];

        if (o->kind != OPERAND_REGISTER)
            continue;
        if (o->class == REG_GPR || o->class == REG_GPR_HIGH)
            general = true;
        else
            parts |= KVM_PART_VECTORS;
    }
    return general ? parts : KVM_PARTS_ALL;
}

bool kvm_assist_instruction(struct kvm_assist *a, enum stop_reason *stop, struct err *err)
{
    struct kvm_event event;
    struct insn insn;
    unsigned parts = KVM_PARTS_ALL;

    kvm_peek_state(a->cpu, &a->cpu->v->cpu);
    if (a->cpu->v->assist.mode != ASSIST_BURST && kvm_code_at(a->cpu, a->cpu->v->cpu.rip, &insn))
        parts = parts_of(&insn, &a->cpu->v->cpu);
    if (!kvm_fetch_parts(a->cpu, parts, &event, err) || !soft_run(a, burst_insns(a), stop, err) || !kvm_put_parts(a->cpu, false, err))
        return false;
    a->returned_us = g_get_monotonic_time();
    return true;
}

bool kvm_assist_is_stuck(struct kvm_assist *a)
{
    const struct kvm_vcpu_events *e = &a->cpu->run->s.regs.events;

    return !(e->exception.injected || e->exception.pending) || e->exception.nr == EXCEPTION_UD;
}

/* -- CPL 0, where KVM emulates it ------------------------------------------------------------------------------------------------ */

bool kvm_assist_hold(struct kvm_assist *a, struct err *err)
{
    if (!soft_ready(a, err))
        return false;
    code_check(a);
    a->has_guest = a->soft->set_state(a->engine, err);
    a->flushes = a->cpu->v->mmu.flushes;
    return a->has_guest;
}

/* KVM has got as far as LSTAR: back to the SYSCALL, which has put RIP and RFLAGS where they can be had again (SDM 2 SYSCALL). */
static void undo_syscall(struct cpu *c)
{
    c->rip = c->slot[RCX] - 2;
    cpu_set_rflags(c, c->slot[R11]);
}

bool kvm_assist_take(struct kvm_assist *a, bool forget, struct err *err)
{
    struct cpu *c = &a->cpu->v->cpu;
    struct kvm_event event;

    if (!(forget ? kvm_fetch_parts(a->cpu, KVM_PARTS_ALL, &event, err) : kvm_fetch_state(a->cpu, err)))
        return false;
    if (a->cpu->user && c->rip == KVM_USER_LSTAR)
        undo_syscall(c);
    a->cpu->user = false;
    return kvm_assist_hold(a, err);
}

/*
 * KVM has not seen what was written to page tables meanwhile.  Where the guest has flushed nothing, a processor might go by the
 * old ones as well (SDM 3A 5.10.4).
 */
bool kvm_assist_give(struct kvm_assist *a, struct err *err)
{
    bool stale = a->cpu->v->mmu.flushes != a->flushes;

    a->has_guest = false;
    if (!a->soft->get_state(a->engine, err))
        return false;
    if (!code_remember(a))
        soft_drop(a);
    return (!stale || kvm_forget_tables(a->vm, err)) && kvm_put_state(a->cpu, err);
}

/* A PVM knows nothing of breakpoints at CPL 3, and who single-steps leaves at once. */
static bool may_give(const struct cpu *c) { return c->cpl == 3 && !(c->rflags & FLAG_TF) && !(c->dr[7] & 0xff); }

enum stop_reason kvm_assist_run(struct kvm_assist *a, uint64_t budget, struct err *err)
{
    struct vcpu *v = a->cpu->v;
    uint64_t retired = v->retired;
    enum stop_reason stop = a->soft->run(a->engine, bits_min(budget, KERNEL_INSNS), err);

    v->assist.instructions += v->retired - retired;
    v->retired = retired;
    if (stop != STOP_BUDGET)
        return stop;
    return !may_give(&v->cpu) || kvm_assist_give(a, err) ? STOP_KICK : STOP_FAILED;
}

/* -- a load that KVM cannot say whole -------------------------------------------------------------------------------------------- */

static bool says_more(const struct region_limits *l)
{
    return l->widths & ~W_REGISTERS || l->types || l->atomic_widths || l->flags & REGION_ENABLES;
}

/*
 * What KVM's emulator does otherwise than a processor once it has loaded: LGDT and LIDT never end, SLDT and STR should not
 * load at all, nor should CLFLUSH; some KVMs do not know MOVBE after all; a far RET pops its first word twice.
 */
static bool goes_wrong(const struct insn *insn)
{
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_LGDT: case ZYDIS_MNEMONIC_LIDT: case ZYDIS_MNEMONIC_SLDT: case ZYDIS_MNEMONIC_STR: case ZYDIS_MNEMONIC_CLFLUSH:
    case ZYDIS_MNEMONIC_CLFLUSHOPT: case ZYDIS_MNEMONIC_MOVBE:
        return true;
    default:
        return insn->map == 0 && insn->encoding == ENCODING_LEGACY && (insn->opcode == 0xca || insn->opcode == 0xcb);
    }
}

/* KVM loads as much of an operand as lies on the page, up to 8 bytes: is there more on another page? */
static bool is_cut(const struct operand *o, const struct kvm_run *r) { return r->mmio.len < bits_min(o->width, 8); }

/*
 * Is the load one of more than 8 bytes, or half of one transaction?  A read-modify-write on two pages may fault at the second,
 * after KVM has loaded.
 */
static bool needs_whole(const struct insn *insn, const struct kvm_run *r)
{
    if (goes_wrong(insn))
        return true;
    for (unsigned i = 0; i < insn->operands; i++) {
        const struct operand *o = &insn->op[i];

        if (o->kind == OPERAND_MEMORY && !o->address_only &&
            (o->width > 8 || insn->prefixes & PREFIX_LOCK || insn->mnemonic == ZYDIS_MNEMONIC_XCHG || is_cut(o, r)))
            return true;
    }
    return false;
}

/* May KVM's own attempt store to RAM?  The operand's other page may be RAM; and so is the stack of PUSH. */
static bool may_store_to_ram(const struct insn *insn, const struct kvm_run *r)
{
    return insn->operands && insn->op[0].kind == OPERAND_MEMORY && is_cut(&insn->op[0], r);
}

/* What KVM still has of the instruction reaches nobody: its state is replaced. */
static bool drain(struct kvm_assist *a, struct err *err)
{
    struct kvm_run *r = a->cpu->run;

    for (unsigned n = 0; n < DRAIN_MAX; n++) {
        int more;

        if (r->exit_reason != KVM_EXIT_MMIO)
            return true;
        if (!r->mmio.is_write)
            memset(r->mmio.data, 0xff, sizeof(r->mmio.data));
        more = kvm_advance(a->cpu, err);
        if (more <= 0)
            return more == 0;
    }
    return err_set(err, "KVM does not come to an end with the instruction at %#llx", r->s.regs.regs.rip);
}

/*
 * The same, and RAM stays as the soft engine has left it.  KVM would store there what becomes of the wrong answers, and in front
 * of a page fault too.
 */
static bool drain_off_ram(struct kvm_assist *a, struct err *err)
{
    return kvm_protect_memory(a->vm, true, err) && drain(a, err) && kvm_protect_memory(a->vm, false, err);
}

/* Not where RAM has to be kept from KVM and the memory slots are somebody else's. */
static enum kvm_assisted take_over(struct kvm_assist *a, const struct insn *insn, enum stop_reason *stop, struct err *err)
{
    bool protect = may_store_to_ram(insn, a->cpu->run);
    struct kvm_event event;

    if (protect && !a->vm)
        return KVM_ASSISTED_NOT;
    if (!kvm_fetch_parts(a->cpu, parts_of(insn, &a->cpu->v->cpu), &event, err) || !soft_run(a, 1, stop, err) ||
        !(protect ? drain_off_ram : drain)(a, err) || !kvm_put_parts(a->cpu, true, err))
        return KVM_ASSISTED_FAILED;
    return KVM_ASSISTED_WHOLE;
}

/* Where in its page an operand begins. */
static uint64_t page_offset(const struct insn *insn, const struct operand *o, const struct cpu *c)
{
    uint64_t at = (uint64_t)o->displacement;

    if (!(c->mode & MODE_CODE64) || o->segment >= SEG_FS)
        at += c->seg[o->segment].base;
    if (o->has_base)
        at += c->slot[o->base];
    if (o->has_index)
        at += c->slot[o->index] << o->scale;
    if (o->rip_relative)
        at += c->rip + insn->length;
    return at & PAGE_OFFSET;
}

/* A vector load that begins at gpa and ends on its page, and KVM knows the instruction: all it lacks is the bytes. */
static bool is_vector_load(const struct insn *insn, const struct cpu *c, uint64_t gpa)
{
    const struct operand *from = &insn->op[1];

    return insn->operands == 2 && insn->op[0].kind == OPERAND_REGISTER && from->kind == OPERAND_MEMORY && from->width > 8 &&
           bits_is_pow2(from->width) && !insn->mask && !from->vsib && page_offset(insn, from, c) == (gpa & PAGE_OFFSET) &&
           (gpa & PAGE_OFFSET) + from->width <= PAGE_BYTES;
}

static enum kvm_assisted load_once(struct kvm_assist *a, const struct insn *insn, struct err *err)
{
    struct kvm_run *r = a->cpu->run;
    uint64_t gpa = r->mmio.phys_addr;
    unsigned width = insn->op[1].width;
    struct access access = { .type = TRANSACTION_LOAD, .width = (uint8_t)width, .gva = gpa, .enables = bits_mask(width) };
    int more = 1;

    if (insn->mnemonic == ZYDIS_MNEMONIC_MOVNTDQA || insn->mnemonic == ZYDIS_MNEMONIC_VMOVNTDQA)
        access.flags |= TRANSACTION_NON_TEMPORAL;
    dispatch_physical(&a->cpu->v->bus, &access, gpa);
    while (more == 1 && r->exit_reason == KVM_EXIT_MMIO && !r->mmio.is_write && r->mmio.phys_addr - gpa + r->mmio.len <= width) {
        memcpy(r->mmio.data, access.data.b + (r->mmio.phys_addr - gpa), r->mmio.len);
        more = kvm_advance(a->cpu, err);
    }
    return more < 0 ? KVM_ASSISTED_FAILED : more ? KVM_ASSISTED_MORE : KVM_ASSISTED_COMPLETE;
}

static enum kvm_assisted load_whole(struct kvm_assist *a, enum stop_reason *stop, struct err *err)
{
    struct vcpu *v = a->cpu->v;
    uint64_t gpa = a->cpu->run->mmio.phys_addr;
    struct insn insn;
    const uint8_t *code;

    kvm_peek_state(a->cpu, &v->cpu);
    code = kvm_code_at(a->cpu, v->cpu.rip, &insn);
    if (!code || !needs_whole(&insn, a->cpu->run))
        return KVM_ASSISTED_NOT;
    v->rip_after = false;
    v->insn_bytes = insn.length;
    memcpy(v->insn, code, insn.length);
    return is_vector_load(&insn, &v->cpu, gpa) ? load_once(a, &insn, err) : take_over(a, &insn, stop, err);
}

/* -- a store in pieces --------------------------------------------------------------------------------------------------------------- */

/* One operand: what lies on each of its pages. */
struct held_store {
    union wide data;
    unsigned width, parts;
    struct { uint64_t gpa; unsigned at, width; } part[2];
};

/* A piece goes on where the last one ended, or on the next page if that was the end of one. */
static bool hold(struct held_store *h, const struct kvm_run *r)
{
    unsigned n = r->mmio.len;
    uint64_t gpa = r->mmio.phys_addr, end = h->parts ? h->part[h->parts - 1].gpa + h->part[h->parts - 1].width : 0;

    if (!r->mmio.is_write || h->width + n > WIDE_BYTES)
        return false;
    if (h->parts && end % PAGE_BYTES) {
        if (gpa != end)
            return false;
    } else {
        if (h->parts && (h->parts == ARRAY_LEN(h->part) || gpa % PAGE_BYTES))
            return false;
        h->part[h->parts].gpa = gpa;
        h->part[h->parts].at = h->width;
        h->part[h->parts++].width = 0;
    }
    memcpy(h->data.b + h->width, r->mmio.data, n);
    h->part[h->parts - 1].width += n;
    h->width += n;
    return true;
}

static bool is_non_temporal(uint16_t mnemonic)
{
    return mnemonic == ZYDIS_MNEMONIC_MOVNTI || mnemonic == ZYDIS_MNEMONIC_MOVNTPS || mnemonic == ZYDIS_MNEMONIC_MOVNTPD || mnemonic == ZYDIS_MNEMONIC_MOVNTDQ ||
           mnemonic == ZYDIS_MNEMONIC_VMOVNTPS || mnemonic == ZYDIS_MNEMONIC_VMOVNTPD || mnemonic == ZYDIS_MNEMONIC_VMOVNTDQ;
}

/* KVM has moved RIP behind the store: it is the instruction that ends there and stores so many bytes. */
static bool store_is_non_temporal(const struct kvm_assist *a, unsigned width)
{
    struct vcpu *v = a->cpu->v;
    struct insn insn;

    kvm_peek_state(a->cpu, &v->cpu);
    for (unsigned n = INSN_BYTES; n >= 3; n--)
        if (kvm_code_at(a->cpu, v->cpu.rip - n, &insn) && insn.length == n && insn.operands && insn.op[0].kind == OPERAND_MEMORY &&
            insn.op[0].width == width)
            return is_non_temporal(insn.mnemonic);
    return false;
}

static void let_go(const struct kvm_assist *a, const struct held_store *h)
{
    struct bus *bus = &a->cpu->v->bus;
    struct access access = { .type = TRANSACTION_STORE, .width = (uint8_t)h->width, .gva = h->part[0].gpa, .enables = bits_mask(h->width),
                             .data = h->data };

    if (h->width >= 4 && store_is_non_temporal(a, h->width))
        access.flags |= TRANSACTION_NON_TEMPORAL;
    for (unsigned i = 0; i < h->parts; i++)
        phys_resolve(bus->phys, &access, h->part[i].gpa, h->part[i].at, h->part[i].width, i);
    dispatch_access(bus, &access);
}

static enum kvm_assisted gather_stores(struct kvm_assist *a, struct err *err)
{
    struct kvm_run *r = a->cpu->run;
    struct held_store held = { .width = 0 };
    int more = 1;

    while (more == 1 && r->exit_reason == KVM_EXIT_MMIO && hold(&held, r))
        more = kvm_advance(a->cpu, err);
    if (more < 0)
        return KVM_ASSISTED_FAILED;
    let_go(a, &held);
    return more ? KVM_ASSISTED_MORE : KVM_ASSISTED_COMPLETE;
}

/* Its own region, or perhaps the one on the next page. */
static bool is_for_more(const struct kvm_assist *a)
{
    const struct kvm_run *r = a->cpu->run;
    const struct phys_range *range = phys_find(a->cpu->v->bus.phys, REGION_MMIO, r->mmio.phys_addr);

    return (range->kind == PIECE_REGION && says_more(&range->region->ops->limits)) || (r->mmio.phys_addr + r->mmio.len) % PAGE_BYTES == 0;
}

enum kvm_assisted kvm_assist_access(struct kvm_assist *a, enum stop_reason *stop, struct err *err)
{
    if (!is_for_more(a))
        return KVM_ASSISTED_NOT;
    return a->cpu->run->mmio.is_write ? gather_stores(a, err) : load_whole(a, stop, err);
}
