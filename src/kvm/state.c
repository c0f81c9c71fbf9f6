/*
 * state.c - the architectural state to KVM and back (Documentation/virt/kvm/api.rst: KVM_SET_REGS, KVM_SET_SREGS,
 * KVM_SET_MSRS, KVM_SET_XSAVE, KVM_SET_XCRS, KVM_SET_DEBUGREGS, KVM_SET_VCPU_EVENTS).
 */
#include "kvm/kvm.h"

#include "x86/cpuid.h"
#include "x86/fault.h"

#include <cpuid.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

/* -- general registers ---------------------------------------------------------------------------------------------- */

/* kvm_regs is in another order than ModRM's. */
static void regs_out(const struct cpu *c, struct kvm_regs *r)
{
    const uint64_t *s = c->slot;

    *r = (struct kvm_regs){ s[RAX], s[RBX], s[RCX], s[RDX], s[RSI], s[RDI], s[RSP], s[RBP], s[R8],  s[R9],
                            s[R10], s[R11], s[R12], s[R13], s[R14], s[R15], c->rip, cpu_rflags(c) };
}

static void regs_in(struct cpu *c, const struct kvm_regs *r)
{
    const uint64_t values[GPRS] = { r->rax, r->rcx, r->rdx, r->rbx, r->rsp, r->rbp, r->rsi, r->rdi,
                                    r->r8,  r->r9,  r->r10, r->r11, r->r12, r->r13, r->r14, r->r15 };

    memcpy(c->slot, values, sizeof(values));
    c->rip = r->rip;
    cpu_set_rflags(c, r->rflags);
}

/* -- segments and control registers ------------------------------------------------------------------------------------ */

static struct kvm_segment segment_out(const struct segment *s)
{
    return (struct kvm_segment){
        .base = s->base, .limit = s->limit, .selector = s->selector, .type = s->ar & AR_TYPE, .s = !!(s->ar & AR_S),
        .dpl = (s->ar & AR_DPL) >> AR_DPL_SHIFT, .present = !!(s->ar & AR_P), .avl = !!(s->ar & AR_AVL),
        .l = !!(s->ar & AR_L), .db = !!(s->ar & AR_DB), .g = !!(s->ar & AR_G), .unusable = !!(s->ar & AR_UNUSABLE),
    };
}

static struct segment segment_in(const struct kvm_segment *k)
{
    return (struct segment){
        .base = k->base, .limit = k->limit, .selector = k->selector,
        .ar = k->type | (k->s ? AR_S : 0u) | (uint32_t)k->dpl << AR_DPL_SHIFT | (k->present ? AR_P : 0u) |
              (k->avl ? AR_AVL : 0u) | (k->l ? AR_L : 0u) | (k->db ? AR_DB : 0u) | (k->g ? AR_G : 0u) |
              (k->unusable || !k->present ? AR_UNUSABLE : 0u),
    };
}

static void sregs_out(const struct cpu *c, struct kvm_sregs *s)
{
    struct kvm_segment *segments[SEGMENTS] = { &s->es, &s->cs, &s->ss, &s->ds, &s->fs, &s->gs, &s->ldt, &s->tr };

    for (unsigned i = 0; i < SEGMENTS; i++)
        *segments[i] = segment_out(&c->seg[i]);
    s->gdt = (struct kvm_dtable){ .base = c->gdtr.base, .limit = c->gdtr.limit };
    s->idt = (struct kvm_dtable){ .base = c->idtr.base, .limit = c->idtr.limit };
    s->cr0 = c->cr0;
    s->cr2 = c->cr2;
    s->cr3 = c->cr3;
    s->cr4 = c->cr4;
    s->cr8 = c->cr8;
    s->efer = c->efer;
    s->apic_base = c->msr.apic_base;
}

static void sregs_in(struct cpu *c, const struct kvm_sregs *s)
{
    const struct kvm_segment *segments[SEGMENTS] = { &s->es, &s->cs, &s->ss, &s->ds, &s->fs, &s->gs, &s->ldt, &s->tr };

    for (unsigned i = 0; i < SEGMENTS; i++)
        c->seg[i] = segment_in(segments[i]);
    c->gdtr = (struct descriptor_table){ .base = s->gdt.base, .limit = s->gdt.limit };
    c->idtr = (struct descriptor_table){ .base = s->idt.base, .limit = s->idt.limit };
    c->cr0 = s->cr0;
    c->cr2 = s->cr2;
    c->cr3 = s->cr3;
    c->cr4 = s->cr4;
    c->cr8 = s->cr8;
    c->efer = s->efer;
}

void kvm_peek_state(const struct kvm_cpu *k, struct cpu *cpu)
{
    regs_in(cpu, &k->run->s.regs.regs);
    sregs_in(cpu, &k->run->s.regs.sregs);
    if (k->user)
        cpu->idtr = k->idtr;
    cpu_update(cpu);
}

/* -- MSRs ---------------------------------------------------------------------------------------------------------------- */

struct state_msr {
    uint32_t index;
    uint16_t offset;
};

#define ROW(i, field) { i, offsetof(struct cpu, field) }
static const struct state_msr state_msrs[] = {
    ROW(0x174, msr.sysenter_cs), ROW(0x175, msr.sysenter_esp), ROW(0x176, msr.sysenter_eip), ROW(0xc0000081, msr.star),
    ROW(0xc0000082, msr.lstar), ROW(0xc0000083, msr.cstar), ROW(0xc0000084, msr.sfmask),
    ROW(0xc0000102, msr.kernel_gs_base), ROW(0xc0000103, msr.tsc_aux), ROW(0x277, msr.pat),
    ROW(0x2ff, msr.mtrr_def_type), ROW(0x48, msr.spec_ctrl), ROW(0x10a, msr.arch_capabilities),
};
#undef ROW

enum { MSR_TSC = 0x10 };
enum { USER_IDT_LIMIT = (EXCEPTION_BP + 1) * 16 - 1 };
#define MSR_LSTAR 0xc0000082u

struct msr_list {
    struct kvm_msrs head;
    struct kvm_msr_entry entry[ARRAY_LEN(state_msrs) + 1]; /* the time-stamp counter last */
};

_Static_assert(ARRAY_LEN(state_msrs) <= KVM_MSRS_MAX, "one bit each");

static uint64_t *msr_field(struct cpu *c, unsigned i) { return (uint64_t *)(void *)((char *)c + state_msrs[i].offset); }

/* A register this KVM does not have is left out, not an error. */
static void msrs_learn(struct kvm_cpu *k)
{
    for (unsigned i = 0; i < ARRAY_LEN(state_msrs); i++) {
        struct msr_list m = { .head.nmsrs = 1, .entry = { { .index = state_msrs[i].index } } };

        if (ioctl(k->fd, KVM_GET_MSRS, &m) == 1)
            k->msrs |= BIT(i);
    }
    k->msrs_known = true;
}

/* Where KVM has another value than the guest. */
static bool msr_is_ours(const struct kvm_cpu *k, unsigned i) { return k->user && state_msrs[i].index == MSR_LSTAR; }

static uint64_t msr_for_kvm(const struct kvm_cpu *k, struct cpu *c, unsigned i)
{
    return msr_is_ours(k, i) ? KVM_USER_LSTAR : *msr_field(c, i);
}

static void msrs_move(struct kvm_cpu *k, struct cpu *c, bool put)
{
    struct msr_list m = { .head.nmsrs = 0 };
    struct kvm_msr_entry *tsc;

    if (!k->msrs_known)
        msrs_learn(k);
    for (unsigned i = 0; i < ARRAY_LEN(state_msrs); i++)
        if (k->msrs >> i & 1)
            m.entry[m.head.nmsrs++] = (struct kvm_msr_entry){ .index = state_msrs[i].index, .data = msr_for_kvm(k, c, i) };
    tsc = &m.entry[m.head.nmsrs++];
    *tsc = (struct kvm_msr_entry){ .index = MSR_TSC, .data = vcpu_tsc(k->v) };
    ioctl(k->fd, put ? KVM_SET_MSRS : KVM_GET_MSRS, &m);
    if (!put)
        c->tsc_base += tsc->data - vcpu_tsc(k->v); /* it goes on from there */
    for (unsigned i = 0, n = 0; i < ARRAY_LEN(state_msrs) && !put; i++)
        if (k->msrs >> i & 1 && !(msr_is_ours(k, i) && ++n))
            *msr_field(c, i) = m.entry[n++].data;
}

/* -- vector and x87 state -------------------------------------------------------------------------------------------------- */

/* Where the host keeps a component in the standard format (CPUID.0DH). */
static unsigned xsave_offset(unsigned component)
{
    uint32_t size = 0, offset = 0, c = 0, d = 0;

    __cpuid_count(0xd, component, size, offset, c, d);
    return size ? offset : 0;
}

struct xsave_part {
    unsigned component;
    size_t bytes, at;   /* of one piece, and where in the component the first is */
    size_t stride;      /* between pieces there */
    unsigned first, n, from; /* registers, and the byte in each */
};

static const struct xsave_part xsave_parts[] = {
    { 2, 16, 0, 16, 0, 16, 16 },  /* YMM_Hi128 */
    { 6, 32, 0, 32, 0, 16, 32 },  /* ZMM_Hi256 */
    { 7, 64, 0, 64, 16, 16, 0 },  /* Hi16_ZMM */
};

static void copy(void *state, void *area, size_t n, bool put) { put ? memcpy(area, state, n) : memcpy(state, area, n); }

/* The legacy region (SDM 1 figure 10-2... table 13-1). */
static void legacy_move(struct cpu *c, uint8_t *area, bool put)
{
    struct x87 *x = &c->x87;
    unsigned top = x->status >> 11 & 7;

    copy(&x->control, area, 2, put);
    copy(&x->status, area + 2, 2, put);
    copy(&x->valid, area + 4, 1, put);
    copy(&x->opcode, area + 6, 2, put);
    copy(&x->ip, area + 8, 8, put);
    copy(&x->dp, area + 16, 8, put);
    if (!put)
        x->cs = x->ds = 0; /* this format has no place for them */
    copy(&c->mxcsr, area + 24, 4, put);
    top = x->status >> 11 & 7;
    for (unsigned i = 0; i < 8; i++) {
        copy(&x->significand[(top + i) & 7], area + 32 + i * 16, 8, put);
        copy(&x->exponent[(top + i) & 7], area + 40 + i * 16, 2, put);
    }
    for (unsigned i = 0; i < 16; i++)
        copy(&c->zmm[i], area + 160 + i * 16, 16, put);
}

static void xsave_move(struct cpu *c, uint8_t *area, uint64_t present, bool put)
{
    legacy_move(c, area, put);
    for (unsigned p = 0; p < ARRAY_LEN(xsave_parts); p++) {
        const struct xsave_part *part = &xsave_parts[p];
        unsigned offset = xsave_offset(part->component);

        for (unsigned i = 0; offset && i < part->n; i++) {
            uint8_t *state = &c->zmm[part->first + i].b[part->from];

            if (!put && !(present >> part->component & 1))
                memset(state, 0, part->bytes);
            else
                copy(state, area + offset + i * part->stride, part->bytes, put);
        }
    }
    if (xsave_offset(5)) {
        if (!put && !(present >> 5 & 1))
            memset(c->k, 0, sizeof(c->k));
        else
            copy(c->k, area + xsave_offset(5), sizeof(c->k), put);
    }
    if (xsave_offset(9) && (put || present >> 9 & 1))
        copy(&c->pkru, area + xsave_offset(9), 4, put);
}

/* KVM refuses components that the guest's CPUID has not. */
static uint64_t xsave_all(const struct vcpu *v)
{
    uint64_t all = XCR0_X87 | XCR0_SSE;

    for (unsigned i = 2; i < 10; i++)
        if (cpuid_xcr0_mask(&v->features) >> i & 1 && xsave_offset(i))
            all |= BIT(i);
    return all;
}

/* What is not ours in it stays as it is. */
static bool vectors_get(struct kvm_cpu *k, struct cpu *c, struct err *err)
{
    uint8_t *area = (uint8_t *)k->xsave.region;
    uint64_t present;

    if (ioctl(k->fd, KVM_GET_XSAVE, &k->xsave) < 0)
        return err_set(err, "KVM_GET_XSAVE: %s", strerror(errno));
    memcpy(&present, area + 512, 8);
    if (!(present & XCR0_SSE))
        memset(area + 160, 0, 256);
    xsave_move(c, area, present, false);
    return true;
}

/* After a vectors_get(). */
static bool vectors_put(struct kvm_cpu *k, struct cpu *c, struct err *err)
{
    uint64_t present = xsave_all(k->v);

    xsave_move(c, (uint8_t *)k->xsave.region, present, true);
    memcpy((uint8_t *)k->xsave.region + 512, &present, 8);
    return ioctl(k->fd, KVM_SET_XSAVE, &k->xsave) == 0 || err_set(err, "KVM_SET_XSAVE: %s", strerror(errno));
}

static void xcr0_move(struct kvm_cpu *k, struct cpu *c, bool put)
{
    struct kvm_xcrs x = { .nr_xcrs = 1, .xcrs = { { .xcr = 0, .value = c->xcr0 } } };

    if (put)
        ioctl(k->fd, KVM_SET_XCRS, &x); /* a KVM without XSAVE keeps x87 and SSE */
    else if (ioctl(k->fd, KVM_GET_XCRS, &x) == 0 && x.nr_xcrs)
        c->xcr0 = x.xcrs[0].value;
}

/* -- debug registers and events ------------------------------------------------------------------------------------------------ */

static bool debug_move(struct kvm_cpu *k, struct cpu *c, bool put, struct err *err)
{
    struct kvm_debugregs d = { .dr6 = c->dr[6], .dr7 = c->dr[7] };

    memcpy(d.db, c->dr, sizeof(d.db));
    if (ioctl(k->fd, put ? KVM_SET_DEBUGREGS : KVM_GET_DEBUGREGS, &d) < 0)
        return err_set(err, "KVM debug registers: %s", strerror(errno));
    memcpy(c->dr, d.db, sizeof(d.db));
    c->dr[6] = d.dr6;
    c->dr[7] = d.dr7;
    return true;
}

static void event_in(struct kvm_event *to, const struct kvm_vcpu_events *e)
{
    *to = (struct kvm_event){ .kind = KVM_EVENT_NONE };
    if (e->exception.injected || e->exception.pending)
        *to = (struct kvm_event){ .kind = KVM_EVENT_EXCEPTION, .vector = e->exception.nr, .has_error = e->exception.has_error_code,
                                  .error = e->exception.error_code };
    else if (e->interrupt.injected && !e->interrupt.soft)
        *to = (struct kvm_event){ .kind = KVM_EVENT_INTERRUPT, .vector = e->interrupt.nr };
    else if (e->nmi.injected || e->nmi.pending)
        *to = (struct kvm_event){ .kind = KVM_EVENT_INTERRUPT, .vector = EXCEPTION_NMI };
}

static void events_in(struct cpu *c, const struct kvm_vcpu_events *e)
{
    c->shadow = e->interrupt.shadow & KVM_X86_SHADOW_INT_MOV_SS ? SHADOW_MOV_SS
              : e->interrupt.shadow & KVM_X86_SHADOW_INT_STI ? SHADOW_STI : SHADOW_NONE;
    c->nmi_blocked = e->nmi.masked;
}

static void events_out(const struct cpu *c, struct kvm_vcpu_events *e)
{
    e->exception.injected = e->exception.pending = 0;
    e->interrupt.injected = 0;
    e->interrupt.shadow = c->shadow == SHADOW_MOV_SS ? KVM_X86_SHADOW_INT_MOV_SS : c->shadow == SHADOW_STI ? KVM_X86_SHADOW_INT_STI : 0;
    e->nmi.injected = e->nmi.pending = 0;
    e->nmi.masked = c->nmi_blocked;
    e->flags = KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_NMI_PENDING;
}

/* As KVM_RUN would report it: an interrupt could be taken now. */
static void readiness_out(const struct cpu *c, struct kvm_run *r)
{
    r->if_flag = (c->rflags & FLAG_IF) != 0;
    r->ready_for_interrupt_injection = r->if_flag && c->shadow == SHADOW_NONE;
}

/* -- all of it ------------------------------------------------------------------------------------------------------------------- */

static void sregs_for_kvm(struct kvm_cpu *k, struct kvm_sregs *s)
{
    sregs_out(&k->v->cpu, s);
    k->idtr = k->v->cpu.idtr;
    if (k->user)
        s->idt.limit = (uint16_t)bits_min(s->idt.limit, USER_IDT_LIMIT);
}

/*
 * Registers, segments, control registers and events are in the shared page, as KVM_RUN left them; what is written there with
 * kvm_dirty_regs KVM takes at the next KVM_RUN.  So the page always has the truth about them, also before the first one.
 */
bool kvm_put_state(struct kvm_cpu *k, struct err *err)
{
    struct kvm_sync_regs *page = &k->run->s.regs;
    struct cpu *c = &k->v->cpu;

    k->user = k->user_only && c->cpl == 3 && !k->v->exact && !k->v->stop_on_touch;
    if (ioctl(k->fd, KVM_GET_SREGS, &page->sregs) < 0 || ioctl(k->fd, KVM_GET_VCPU_EVENTS, &page->events) < 0)
        return err_set(err, "KVM_GET_SREGS: %s", strerror(errno));
    memset(page->sregs.interrupt_bitmap, 0, sizeof(page->sregs.interrupt_bitmap));
    sregs_for_kvm(k, &page->sregs);
    regs_out(c, &page->regs);
    events_out(c, &page->events);
    readiness_out(c, k->run);
    k->run->kvm_dirty_regs = 0;
    if (ioctl(k->fd, KVM_SET_SREGS, &page->sregs) < 0)
        return err_set(err, "KVM_SET_SREGS: %s", strerror(errno));
    if (ioctl(k->fd, KVM_SET_REGS, &page->regs) < 0)
        return err_set(err, "KVM_SET_REGS: %s", strerror(errno));
    xcr0_move(k, c, true);
    msrs_move(k, c, true);
    if (ioctl(k->fd, KVM_GET_XSAVE, &k->xsave) < 0)
        return err_set(err, "KVM_GET_XSAVE: %s", strerror(errno));
    if (!vectors_put(k, c, err) || !debug_move(k, c, true, err))
        return false;
    return ioctl(k->fd, KVM_SET_VCPU_EVENTS, &page->events) == 0 || err_set(err, "KVM_SET_VCPU_EVENTS: %s", strerror(errno));
}

bool kvm_fetch_parts(struct kvm_cpu *k, unsigned parts, struct kvm_event *event, struct err *err)
{
    struct cpu *c = &k->v->cpu;

    kvm_peek_state(k, c);
    c->msr.apic_base = k->run->s.regs.sregs.apic_base;
    events_in(c, &k->run->s.regs.events);
    event_in(event, &k->run->s.regs.events);
    if (parts & KVM_PART_XCR0)
        xcr0_move(k, c, false);
    if (parts & KVM_PART_MSRS)
        msrs_move(k, c, false);
    if ((parts & KVM_PART_VECTORS && !vectors_get(k, c, err)) || (parts & KVM_PART_DEBUG && !debug_move(k, c, false, err)))
        return false;
    vcpu_sync(k->v);
    k->parts = parts;
    k->event = event->kind != KVM_EVENT_NONE;
    k->before = *c;
    return true;
}

static bool vectors_changed(const struct cpu *a, const struct cpu *b)
{
    return memcmp(a->zmm, b->zmm, sizeof(a->zmm)) || memcmp(a->k, b->k, sizeof(a->k)) || memcmp(&a->x87, &b->x87, sizeof(a->x87)) ||
           a->mxcsr != b->mxcsr || a->pkru != b->pkru;
}

/* In the shared page, for the next KVM_RUN. */
static void page_put(struct kvm_cpu *k, bool events)
{
    struct kvm_sync_regs *page = &k->run->s.regs;
    const struct cpu *c = &k->v->cpu;
    struct kvm_sregs sregs = page->sregs;

    regs_out(c, &page->regs);
    readiness_out(c, k->run);
    k->run->kvm_dirty_regs |= KVM_SYNC_X86_REGS;
    memset(sregs.interrupt_bitmap, 0, sizeof(sregs.interrupt_bitmap));
    sregs_for_kvm(k, &sregs);
    if (memcmp(&sregs, &page->sregs, sizeof(sregs)) != 0) {
        page->sregs = sregs;
        k->run->kvm_dirty_regs |= KVM_SYNC_X86_SREGS;
    }
    if (events || k->event || c->shadow != k->before.shadow || c->nmi_blocked != k->before.nmi_blocked) {
        events_out(c, &page->events);
        k->run->kvm_dirty_regs |= KVM_SYNC_X86_EVENTS;
    }
}

bool kvm_put_parts(struct kvm_cpu *k, bool went_on, struct err *err)
{
    const struct cpu *b = &k->before;
    struct cpu *c = &k->v->cpu;

    page_put(k, went_on);
    if (k->parts & KVM_PART_XCR0 && c->xcr0 != b->xcr0)
        xcr0_move(k, c, true);
    if (k->parts & KVM_PART_MSRS && memcmp(&c->msr, &b->msr, sizeof(c->msr)) != 0)
        msrs_move(k, c, true);
    if (k->parts & KVM_PART_VECTORS && (went_on || vectors_changed(c, b)) && !vectors_put(k, c, err))
        return false;
    return !(k->parts & KVM_PART_DEBUG) || !memcmp(c->dr, b->dr, sizeof(c->dr)) || debug_move(k, c, true, err);
}

bool kvm_fetch_state(struct kvm_cpu *k, struct err *err)
{
    struct vcpu *v = k->v;
    struct kvm_event event;

    if (!kvm_fetch_parts(k, KVM_PARTS_ALL, &event, err))
        return false;
    if (event.kind == KVM_EVENT_NONE)
        return true;
    if (event.kind == KVM_EVENT_INTERRUPT) {
        interrupt_deliver(v, event.vector);
    } else {
        v->fault = (struct fault){ .vector = event.vector, .has_error = event.has_error, .error = event.error, .address = v->cpu.cr2,
                                   .dr6 = v->cpu.dr[6] & 0xf };
        fault_deliver(v);
    }
    vcpu_sync(v);
    return kvm_put_state(k, err);
}

/* -- code and the way through it --------------------------------------------------------------------------------------------- */

const uint8_t *kvm_code_at(struct kvm_cpu *k, uint64_t rip, struct insn *insn)
{
    struct vcpu *v = k->v;
    const struct cpu *c = &v->cpu;
    uint64_t linear = c->mode & MODE_CODE64 ? rip : (uint32_t)(c->seg[SEG_CS].base + rip), gpa;
    const struct tlb_entry *e;
    const uint8_t *code;
    size_t n = bits_min(INSN_BYTES, PAGE_BYTES - (linear & PAGE_OFFSET));

    vcpu_sync(v);
    e = tlb_translate(&v->mmu, linear, ACCESS_EXECUTE, v->mmu.bank);
    if (!e)
        return NULL;
    gpa = e->gpa + (linear & PAGE_OFFSET);
    code = phys_readable(v->bus.phys, gpa, n);
    return code && decode(c->mode, code, n, insn) == DECODE_OK ? code : NULL;
}

int kvm_advance(const struct kvm_cpu *k, struct err *err)
{
    int result;

    k->run->immediate_exit = 1;
    result = ioctl(k->fd, KVM_RUN, 0);
    k->run->immediate_exit = 0;
    if (result == 0)
        return 1;
    if (errno == EINTR || errno == EAGAIN)
        return 0;
    err_set(err, "KVM_RUN: %s", strerror(errno));
    return -1;
}
