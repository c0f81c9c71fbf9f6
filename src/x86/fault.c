/*
 * fault.c - exceptions and interrupts on their way into the guest: real mode, protected mode, long mode, task gates
 * (SDM 3A chapter 7; 6.12, 7.14 for the stack frames).
 *
 * Not modelled: virtual-8086 mode extensions (the redirection bitmap), shadow stacks.
 */
#include "x86/fault.h"

#include "base/log.h"
#include "x86/stack.h"

#include <inttypes.h>

/* -- real mode ------------------------------------------------------------------------------------------------------ */

static bool event_deliver_real(struct vcpu *v, const struct event *e)
{
    struct cpu *c = &v->cpu;
    struct stack s = stack_current(v);
    uint16_t vector[2];

    if (e->vector * 4u + 3 > c->idtr.limit)
        return vcpu_raise_error(v, EXCEPTION_GP, 0);
    if (!system_load(v, c->idtr.base + e->vector * 4u, vector, 4) || !stack_probe(&s, 6) ||
        !stack_push(&s, 2, cpu_rflags(c) & 0xffff) || !stack_push(&s, 2, c->seg[SEG_CS].selector) ||
        !stack_push(&s, 2, e->rip))
        return false;
    stack_commit(&s);
    segment_set_real(v, SEG_CS, vector[1]);
    c->rip = vector[0];
    c->rflags &= ~(uint64_t)(FLAG_IF | FLAG_TF | FLAG_RF | FLAG_AC);
    vcpu_update_flow(v);
    return true;
}

/* -- gates ------------------------------------------------------------------------------------------------------------ */

struct gate {
    uint16_t selector;
    uint64_t offset;
    uint8_t type, ist;
    unsigned dpl;
    bool present;
};

static uint32_t event_error(const struct event *e, uint32_t selector, bool idt)
{
    return (selector & 0xfffc) | (idt ? 2 : 0) | (e->source != EVENT_SOFTWARE);
}

static uint32_t event_idt_error(const struct event *e) { return event_error(e, e->vector * 8u, true); }

static bool gate_fetch(struct vcpu *v, const struct event *e, struct gate *g)
{
    struct cpu *c = &v->cpu;
    unsigned bytes = cpu_long_mode(c) ? 16 : 8;
    uint64_t raw[2] = { 0, 0 }, at = c->idtr.base + (uint64_t)e->vector * bytes;

    if ((e->vector + 1u) * bytes - 1 > c->idtr.limit)
        return vcpu_raise_error(v, EXCEPTION_GP, event_idt_error(e));
    if (bytes == 16 ? !system_load(v, at, raw, 16) : !system_load(v, at, raw, 8))
        return false;
    *g = (struct gate){
        .selector = (uint16_t)(raw[0] >> 16), .offset = bits_get(raw[0], 0, 16) | bits_get(raw[0], 48, 16) << 16 | raw[1] << 32,
        .type = (uint8_t)bits_get(raw[0], 40, 5), .ist = (uint8_t)bits_get(raw[0], 32, 3),
        .dpl = (unsigned)bits_get(raw[0], 45, 2), .present = raw[0] >> 47 & 1,
    };
    if (!cpu_long_mode(c))
        g->ist = 0;
    return true;
}

static bool gate_check(struct vcpu *v, const struct event *e, const struct gate *g)
{
    bool legacy = !cpu_long_mode(&v->cpu) && (g->type == GATE_TASK || g->type == GATE_INT16 || g->type == GATE_TRAP16);

    if (!legacy && g->type != GATE_INT32 && g->type != GATE_TRAP32)
        return vcpu_raise_error(v, EXCEPTION_GP, event_idt_error(e));
    if (e->source == EVENT_SOFTWARE && g->dpl < v->cpu.cpl)
        return vcpu_raise_error(v, EXCEPTION_GP, event_idt_error(e));
    return g->present || vcpu_raise_error(v, EXCEPTION_NP, event_idt_error(e));
}

/* Adds EXT to the error code of a fault met on the way. */
static bool event_external(struct vcpu *v, const struct event *e)
{
    if (v->fault.has_error && v->fault.vector != EXCEPTION_PF && e->source != EVENT_SOFTWARE)
        v->fault.error |= 1;
    return false;
}

static bool gate_code(struct vcpu *v, const struct event *e, const struct gate *g, struct descriptor *d, unsigned *cpl)
{
    uint32_t error = event_error(e, g->selector, false);

    if (selector_is_null(g->selector))
        return vcpu_raise_error(v, EXCEPTION_GP, event_error(e, 0, false));
    if (!descriptor_fetch(v, g->selector, EXCEPTION_GP, d))
        return event_external(v, e);
    if (!descriptor_is_code(d) || descriptor_dpl(d) > v->cpu.cpl)
        return vcpu_raise_error(v, EXCEPTION_GP, error);
    if (cpu_long_mode(&v->cpu) && (d->ar & (AR_L | AR_DB)) != AR_L)
        return vcpu_raise_error(v, EXCEPTION_GP, error);
    if (!(d->ar & AR_P))
        return vcpu_raise_error(v, EXCEPTION_NP, error);
    *cpl = d->ar & AR_CONFORMING ? v->cpu.cpl : descriptor_dpl(d);
    if (v->cpu.rflags & FLAG_VM && *cpl != 0)
        return vcpu_raise_error(v, EXCEPTION_GP, error);
    return true;
}

/* -- the new stack ------------------------------------------------------------------------------------------------------ */

static bool event_stack(struct vcpu *v, const struct event *e, const struct gate *g, unsigned cpl, struct stack *s)
{
    if (cpl < v->cpu.cpl || g->ist) {
        if (!stack_of_tss(s, v, cpl, g->ist))
            return event_external(v, e);
        if (cpl == v->cpu.cpl)
            s->ss = &v->cpu.seg[SEG_SS];
    } else {
        stack_begin(s, v);
        if (cpu_long_mode(&v->cpu))
            s->sp = v->cpu.slot[RSP];
    }
    if (cpu_long_mode(&v->cpu)) {
        s->sp &= ~UINT64_C(15);
        s->width = 8;
    }
    return true;
}

/* -- protected and long mode ---------------------------------------------------------------------------------------------- */

static bool frame_push(struct stack *s, const struct event *e, unsigned width, bool outer)
{
    const struct cpu *c = &s->v->cpu;
    uint64_t word[10];
    unsigned n = 0;

    if (e->has_error)
        word[n++] = e->error;
    word[n++] = e->rip;
    word[n++] = c->seg[SEG_CS].selector;
    word[n++] = cpu_rflags(c) | (e->resume ? FLAG_RF : 0);
    if (outer) {
        word[n++] = c->slot[RSP];
        word[n++] = c->seg[SEG_SS].selector;
    }
    if (unlikely(c->rflags & FLAG_VM)) {
        word[n++] = c->seg[SEG_ES].selector;
        word[n++] = c->seg[SEG_DS].selector;
        word[n++] = c->seg[SEG_FS].selector;
        word[n++] = c->seg[SEG_GS].selector;
    }
    return stack_push_words(s, width, word, n);
}

/* A fault of the inner stack itself has its selector (SDM 2 INT n, INTER-PRIVILEGE-LEVEL-INTERRUPT). */
static bool frame_fault(struct vcpu *v, const struct event *e, const struct stack *s, bool inner)
{
    if (inner && v->fault.vector == EXCEPTION_SS)
        v->fault.error = s->ss->selector & 0xfffc;
    return event_external(v, e);
}

static bool event_deliver_gate(struct vcpu *v, const struct event *e, const struct gate *g)
{
    struct cpu *c = &v->cpu;
    bool lma = cpu_long_mode(c), vm = c->rflags & FLAG_VM;
    unsigned width = lma ? 8 : g->type & 8 ? 4 : 2, cpl = 0;
    uint64_t rip = width == 2 ? g->offset & 0xffff : lma ? g->offset : (uint32_t)g->offset;
    struct descriptor code;
    struct stack s;
    bool outer;

    if (!gate_code(v, e, g, &code, &cpl))
        return false;
    outer = lma || cpl < c->cpl;
    if (!event_stack(v, e, g, cpl, &s))
        return false;
    if (!frame_push(&s, e, width, outer))
        return frame_fault(v, e, &s, cpl < c->cpl);
    if (!segment_check_rip(v, code.ar, code.limit, rip) || !descriptor_set_type(v, &code, AR_ACCESSED))
        return event_external(v, e);
    if (vm)
        for (unsigned i = 0; i < 4; i++)
            c->seg[(const uint8_t[]){ SEG_ES, SEG_DS, SEG_FS, SEG_GS }[i]] = (struct segment){ .ar = AR_UNUSABLE };
    if (cpl < c->cpl || vm)
        c->seg[SEG_SS] = *s.ss;
    segment_put(&c->seg[SEG_CS], (uint16_t)((g->selector & ~3) | cpl), &code);
    stack_commit(&s);
    if (s.width == 4 || lma)
        c->slot[RSP] = s.sp;
    c->rip = rip;
    c->rflags &= ~(uint64_t)(FLAG_TF | FLAG_NT | FLAG_RF | FLAG_VM);
    if (!(g->type & 1))
        c->rflags &= ~(uint64_t)FLAG_IF;
    vcpu_update_flow(v);
    return true;
}

static bool event_deliver_protected(struct vcpu *v, const struct event *e)
{
    struct gate g = { 0 };

    if (!gate_fetch(v, e, &g) || !gate_check(v, e, &g))
        return false;
    if (g.type == GATE_TASK)
        return task_switch(v, g.selector, TASK_GATE, e->rip, e->has_error, e->error) || event_external(v, e);
    return event_deliver_gate(v, e, &g);
}

bool event_deliver(struct vcpu *v, const struct event *e)
{
    struct cpu *c = &v->cpu;

    if (log_on(LOG_INT))
        log_printf(LOG_INT, "%s %02x error %x at %04x:%016" PRIx64 " cpl %u rsp %" PRIx64 " cr2 %" PRIx64 "\n",
                   e->source == EVENT_EXTERNAL ? "interrupt" : e->source == EVENT_SOFTWARE ? "int" : "exception", e->vector,
                   e->error, c->seg[SEG_CS].selector, e->rip, c->cpl, c->slot[RSP], c->cr2);
    v->delivered = true;
    if (c->cr0 & CR0_PE)
        return event_deliver_protected(v, e);
    return event_deliver_real(v, e);
}

/* -- faults of faults ----------------------------------------------------------------------------------------------------- */

enum fault_class { CLASS_BENIGN, CLASS_CONTRIBUTORY, CLASS_PAGE, CLASS_DOUBLE };

static enum fault_class fault_class(int vector)
{
    switch (vector) {
    case EXCEPTION_DE: case EXCEPTION_TS: case EXCEPTION_NP: case EXCEPTION_SS: case EXCEPTION_GP: case EXCEPTION_CP:
        return CLASS_CONTRIBUTORY;
    case EXCEPTION_PF: return CLASS_PAGE;
    case EXCEPTION_DF: return CLASS_DOUBLE;
    default: return CLASS_BENIGN;
    }
}

/* SDM 3A table 7-5. */
static bool fault_makes_double(int first, int second)
{
    enum fault_class a = fault_class(first), b = fault_class(second);

    return (a == CLASS_CONTRIBUTORY && b == CLASS_CONTRIBUTORY) ||
           (a == CLASS_PAGE && (b == CLASS_PAGE || b == CLASS_CONTRIBUTORY));
}

static bool fault_is_trap(const struct fault *f) { return f->vector == EXCEPTION_DB || f->vector == EXCEPTION_BP; }

static void fault_note(struct vcpu *v, const struct fault *f)
{
    if (f->vector == EXCEPTION_PF)
        v->cpu.cr2 = f->address;
    if (f->vector == EXCEPTION_DB) {
        v->cpu.dr[6] = (v->cpu.dr[6] & ~UINT64_C(0xf)) | f->dr6 | 0xffff0ff0;
        v->cpu.dr[7] &= ~UINT64_C(0x2000);
    }
}

/* `first` is what is being delivered already, -1 for none; its nested faults follow the table. */
static void fault_deliver_after(struct vcpu *v, int first)
{
    struct fault f = v->fault;

    for (;;) {
        struct event e;

        v->fault.vector = -1;
        if (first == EXCEPTION_DF && fault_class(f.vector) != CLASS_BENIGN) {
            v->cpu.activity = CPU_SHUTDOWN;
            log_printf(LOG_INT, "triple fault at %04x:%016" PRIx64 "\n", v->cpu.seg[SEG_CS].selector, v->cpu.rip);
            return;
        }
        if (first >= 0 && fault_makes_double(first, f.vector)) {
            fault_note(v, &f);
            f = (struct fault){ .vector = EXCEPTION_DF, .has_error = true };
        }
        fault_note(v, &f);
        e = (struct event){
            .vector = (uint8_t)f.vector, .source = EVENT_EXCEPTION, .error = f.error, .rip = v->cpu.rip,
            .has_error = f.has_error && v->cpu.cr0 & CR0_PE, .resume = !fault_is_trap(&f) || v->again,
        };
        first = f.vector;
        if (event_deliver(v, &e))
            return;
        f = v->fault;
    }
}

void fault_deliver(struct vcpu *v)
{
    v->first_fault = v->fault.vector;
    v->cpu.activity = CPU_RUNNING; /* a trap after HLT wakes it */
    fault_deliver_after(v, -1);
    v->again = false;
}

void interrupt_deliver(struct vcpu *v, uint8_t vector)
{
    struct event e = { .vector = vector, .source = EVENT_EXTERNAL, .rip = v->cpu.rip, .resume = v->again };

    if (vector == EXCEPTION_NMI)
        v->cpu.nmi_blocked = true;
    v->cpu.activity = CPU_RUNNING;
    if (!event_deliver(v, &e))
        fault_deliver_after(v, 256); /* benign: an external interrupt never makes a double fault by itself */
    v->again = false;
}
