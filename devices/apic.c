/*
 * apic.c - the local APICs of all CPUs: xAPIC registers at 0xfee00000, x2APIC as MSRs, timer, IPIs.
 *
 * One device for all CPUs: which APIC an access to the shared page means is told by the transaction's origin, so
 * IPIs need no wires.  LINT0 of CPU 0 is the PIC's INT; while its APIC is disabled that goes straight to the pin.
 * Not modelled: TSC-deadline mode, CMCI, thermal and performance LVTs firing, EOI-broadcast suppression, SMI
 * delivery, the delivery status bit (messages arrive at once), relocation of one CPU's page only (CPU 0's counts).
 * Manual: Intel SDM volume 3A, chapter 11, "Advanced Programmable Interrupt Controller (APIC)".
 */
#include "apic.h"

enum { /* table 11-1; an x2APIC MSR is 0x800 + offset / 16 */
    ID = 0x020, VERSION = 0x030, TPR = 0x080, APR = 0x090, PPR = 0x0a0, EOI = 0x0b0, RRD = 0x0c0, LDR = 0x0d0,
    DFR = 0x0e0, SVR = 0x0f0, ISR = 0x100, TMR = 0x180, IRR = 0x200, ESR = 0x280, ICR_LOW = 0x300, ICR_HIGH = 0x310,
    LVT_TIMER = 0x320, LVT_THERMAL = 0x330, LVT_PERFORMANCE = 0x340, LVT_LINT0 = 0x350, LVT_LINT1 = 0x360,
    LVT_ERROR = 0x370, TIMER_INITIAL = 0x380, TIMER_CURRENT = 0x390, TIMER_DIVIDE = 0x3e0, SELF_IPI = 0x3f0,
};
#define LVTS 6
#define VERSION_VALUE 0x00050014u /* integrated APIC; highest LVT entry is 5 */

enum { LVT_MASKED = 1 << 16, LVT_PERIODIC = 1 << 17, LVT_LEVEL = 1 << 15, LVT_REMOTE_IRR = 1 << 14 };
enum { SVR_ENABLE = 1 << 8, SVR_FOCUS_OFF = 1 << 9 };
enum { ICR_ASSERT = 1 << 14, ICR_LEVEL = 1 << 15, ICR_LOGICAL = 1 << 11, ICR_WRITABLE = 0x000ccfff };
enum { ESR_SEND_VECTOR = 1 << 5, ESR_RECEIVE_VECTOR = 1 << 6, ESR_REGISTER = 1 << 7 };
enum { BASE_BSP = 1 << 8, BASE_X2APIC = 1 << 10, BASE_ENABLE = 1 << 11 };
#define BASE_ADDRESS (bits_mask(52) & ~UINT64_C(0xfff))
#define BASE_RESET UINT64_C(0xfee00000)
#define MSR_APIC_BASE 0x1b
#define MSR_X2APIC 0x800

/* Bits of each LVT that can be written, in register order (figure 11-8). */
static const uint32_t apic_lvt_mask[LVTS] = { 0x300ff, 0x107ff, 0x107ff, 0x1a7ff, 0x1a7ff, 0x100ff };

/* A set of vectors, as ISR, TMR and IRR have it. */
struct vectors {
    uint32_t word[8];
    uint8_t any;              /* which words are not zero */
};

struct apics;

struct apic {
    struct apics *all;
    unsigned cpu;
    uint64_t base;
    uint32_t id, tpr, ldr, dfr, svr, esr, esr_pending, icr[2], lvt[LVTS];
    struct vectors isr, tmr, irr;
    uint32_t initial, divide;
    uint64_t count_start_ns;  /* when the timer held `count` */
    uint32_t count;
    bool running;
    bool lint0, extint;       /* PIC's INT; an ExtINT message waits */
    struct clock_timer timer;
    struct cpu_pins *pins;
};

struct apics {
    struct apic apic[APIC_CPUS];
    unsigned cpus;
    struct device *device;
    uint8_t (*pic_acknowledge)(struct device *pic);
    struct device *pic;
};

static void apic_accept(struct apic *a, const struct irq_message *m);

static void vectors_set(struct vectors *set, uint8_t vector)
{
    set->word[vector >> 5] |= 1u << (vector & 31);
    set->any |= (uint8_t)(1u << (vector >> 5));
}

static void vectors_clear(struct vectors *set, uint8_t vector)
{
    set->word[vector >> 5] &= ~(1u << (vector & 31));
    if (!set->word[vector >> 5])
        set->any &= (uint8_t)~(1u << (vector >> 5));
}

static bool vectors_has(const struct vectors *set, uint8_t vector) { return set->word[vector >> 5] >> (vector & 31) & 1; }

/* The highest, or -1. */
static int vectors_highest(const struct vectors *set)
{
    int i = 31 - __builtin_clz(set->any | 1u);

    return set->any ? i * 32 + 31 - __builtin_clz(set->word[i]) : -1;
}

static bool apic_is_x2(const struct apic *a) { return a->base & BASE_X2APIC; }
static bool apic_is_on(const struct apic *a) { return a->base & BASE_ENABLE; }
static bool apic_is_live(const struct apic *a) { return apic_is_on(a) && a->svr & SVR_ENABLE; }
static uint32_t *apic_lvt(struct apic *a, unsigned offset) { return &a->lvt[(offset - LVT_TIMER) >> 4]; }

/* -- priorities --------------------------------------------------------------------------------------------------- */

/* SDM 11.8.3.1: the processor priority. */
static uint8_t apic_ppr(const struct apic *a)
{
    int in_service = vectors_highest(&a->isr);
    unsigned isrv = in_service < 0 ? 0 : (unsigned)in_service;

    return (uint8_t)(a->tpr >> 4 >= isrv >> 4 ? a->tpr : isrv & 0xf0);
}

/* The vector to deliver, or -1. */
static int apic_deliverable(const struct apic *a)
{
    int vector = apic_is_live(a) ? vectors_highest(&a->irr) : -1;

    return vector >= 0 && vector >> 4 > apic_ppr(a) >> 4 ? vector : -1;
}

static bool apic_extint_waits(const struct apic *a)
{
    uint32_t lint0 = a->lvt[3];

    if (a->extint)
        return true;
    if (!a->lint0)
        return false;
    return !apic_is_live(a) || (!(lint0 & LVT_MASKED) && (lint0 >> 8 & 7) == IRQ_EXTINT);
}

static void apic_update(struct apic *a)
{
    bool intr = apic_deliverable(a) >= 0 || apic_extint_waits(a);

    if (!a->pins || a->pins->intr == intr)
        return;
    a->pins->intr = intr;
    if (a->pins->changed)
        a->pins->changed(a->pins->engine);
}

static void apic_latch_pin(struct apic *a, bool *pin)
{
    *pin = true;
    if (a->pins->changed)
        a->pins->changed(a->pins->engine);
}

static uint8_t apic_acknowledge(void *opaque)
{
    struct apic *a = opaque;
    int vector = apic_deliverable(a);
    uint8_t result = (uint8_t)a->svr; /* spurious: the request went away (SDM 11.9) */

    if (vector >= 0) {
        vectors_clear(&a->irr, (uint8_t)vector);
        vectors_set(&a->isr, (uint8_t)vector);
        result = (uint8_t)vector;
    } else if ((apic_extint_waits(a) || !apic_is_live(a)) && a->all->pic_acknowledge) {
        a->extint = false;
        result = a->all->pic_acknowledge(a->all->pic);
    }
    apic_update(a);
    return result;
}

/* -- errors and local interrupts ---------------------------------------------------------------------------------- */

static void apic_local(struct apic *a, unsigned offset)
{
    uint32_t lvt = *apic_lvt(a, offset);

    if (lvt & LVT_MASKED || !apic_is_on(a))
        return;
    apic_accept(a, &(struct irq_message){
        .delivery = offset == LVT_TIMER || offset == LVT_ERROR ? IRQ_FIXED : (enum irq_delivery)(lvt >> 8 & 7),
        .level = offset == LVT_LINT0 && lvt & LVT_LEVEL, .assert = true, .vector = (uint8_t)lvt,
    });
}

static void apic_error(struct apic *a, uint32_t bit)
{
    bool first = !(a->esr_pending & bit);

    a->esr_pending |= bit;
    if (first && (*apic_lvt(a, LVT_ERROR) & 0xff) >= 16)
        apic_local(a, LVT_ERROR);
}

static void apic_set_lint0(void *opaque, int line, bool level)
{
    struct apic *a = &((struct apics *)opaque)->apic[0];
    uint32_t lvt = a->lvt[3];

    (void)line;
    a->lint0 = level;
    if (level && apic_is_live(a) && (lvt >> 8 & 7) != IRQ_EXTINT)
        apic_local(a, LVT_LINT0);
    apic_update(a);
}

/* -- timer (SDM 11.5.4) ------------------------------------------------------------------------------------------- */

static unsigned apic_divisor(const struct apic *a)
{
    unsigned code = (a->divide & 3) | (a->divide >> 1 & 4);

    return code == 7 ? 1 : 2u << code;
}

static uint64_t apic_elapsed(const struct apic *a)
{
    return clock_ns_to_ticks(clock_now(a->all->device->host.clock) - a->count_start_ns, APIC_TIMER_HZ) /
           apic_divisor(a);
}

static uint32_t apic_current(const struct apic *a)
{
    uint64_t elapsed;

    if (!a->running)
        return 0;
    elapsed = apic_elapsed(a);
    if (elapsed < a->count)
        return (uint32_t)(a->count - elapsed);
    if (!(a->lvt[0] & LVT_PERIODIC) || !a->initial)
        return 0;
    return (uint32_t)(a->initial - (elapsed - a->count) % a->initial);
}

/* Begins counting down from `count` now; it reaches 0 at the deadline. */
static void apic_timer_start(struct apic *a, uint32_t count)
{
    struct clock *clock = a->all->device->host.clock;

    a->count = count;
    a->count_start_ns = clock_now(clock);
    a->running = count != 0;
    if (a->running)
        clock_arm(clock, &a->timer,
                  a->count_start_ns + clock_ticks_to_ns((uint64_t)count * apic_divisor(a), APIC_TIMER_HZ));
    else
        clock_disarm(clock, &a->timer);
}

static void apic_timer_fire(void *opaque)
{
    struct apic *a = opaque;
    struct clock *clock = a->all->device->host.clock;
    uint64_t period_ns = clock_ticks_to_ns((uint64_t)a->initial * apic_divisor(a), APIC_TIMER_HZ);
    uint64_t due = a->timer.deadline_ns, now = clock_now(clock);

    if (a->lvt[0] & LVT_PERIODIC && period_ns) {
        due += (now - due) / period_ns * period_ns; /* periods that went by unseen are one interrupt */
        a->count = a->initial;
        a->count_start_ns = due;
        clock_arm(clock, &a->timer, due + period_ns);
    } else {
        a->running = false;
    }
    apic_local(a, LVT_TIMER);
}

/* -- messages ----------------------------------------------------------------------------------------------------- */

/* SDM 11.4.7.1 and 11.4.7.3: after reset and after INIT, which keeps the ID and IA32_APIC_BASE. */
static void apic_init(struct apic *a)
{
    a->tpr = a->ldr = a->esr = a->esr_pending = a->icr[0] = a->icr[1] = a->initial = a->divide = a->count = 0;
    a->dfr = 0xffffffff;
    a->svr = 0xff;
    for (unsigned i = 0; i < LVTS; i++)
        a->lvt[i] = LVT_MASKED;
    a->isr = a->tmr = a->irr = (struct vectors){ .any = 0 };
    a->running = a->extint = false;
    clock_disarm(a->all->device->host.clock, &a->timer);
}

static void apic_accept(struct apic *a, const struct irq_message *m)
{
    if (!a->pins)
        return;
    switch (m->delivery) {
    case IRQ_FIXED:
    case IRQ_LOWEST:
        if (!apic_is_live(a))
            break;
        if (m->vector < 16) { /* SDM 11.5.2 */
            if (!(a->esr_pending & ESR_RECEIVE_VECTOR))
                apic_error(a, ESR_RECEIVE_VECTOR);
            break;
        }
        vectors_set(&a->irr, m->vector);
        if (m->level)
            vectors_set(&a->tmr, m->vector);
        else
            vectors_clear(&a->tmr, m->vector);
        break;
    case IRQ_NMI: apic_latch_pin(a, &a->pins->nmi); break;
    case IRQ_INIT:
        if (m->level && !m->assert)
            break; /* level de-assert: not on these processors (SDM 11.6.1) */
        apic_init(a);
        apic_latch_pin(a, &a->pins->init);
        break;
    case IRQ_STARTUP:
        a->pins->startup_vector = m->vector;
        apic_latch_pin(a, &a->pins->startup);
        break;
    case IRQ_EXTINT: a->extint = true; break;
    case IRQ_SMI: break;
    }
    apic_update(a);
}

/* SDM 11.6.2 (xAPIC) and 11.12.9, 11.12.10 (x2APIC). */
static bool apic_is_addressed(const struct apic *a, const struct irq_message *m)
{
    uint32_t destination = m->destination;

    if (!a->pins || !apic_is_on(a))
        return false;
    if (!m->logical)
        return destination == a->id || destination == (apic_is_x2(a) ? 0xffffffff : 0xff) || destination == 0xff;
    if (apic_is_x2(a)) {
        uint32_t ldr = a->id >> 4 << 16 | 1u << (a->id & 15);

        return destination == 0xffffffff || (destination >> 16 == ldr >> 16 && destination & ldr & 0xffff);
    }
    if (a->dfr >> 28 == 0xf)
        return (destination & a->ldr >> 24) != 0;
    return (destination >> 4 == 0xf || destination >> 4 == a->ldr >> 28) && destination & a->ldr >> 24 & 0xf;
}

static void apic_route(struct apics *all, const struct irq_message *m, int except)
{
    struct apic *lowest = NULL;

    for (unsigned i = 0; i < all->cpus; i++) {
        struct apic *a = &all->apic[i];

        if ((int)i == except || !apic_is_addressed(a, m))
            continue;
        if (m->delivery != IRQ_LOWEST)
            apic_accept(a, m);
        else if (apic_is_live(a) && (!lowest || apic_ppr(a) < apic_ppr(lowest)))
            lowest = a;
    }
    if (lowest)
        apic_accept(lowest, m);
}

void apic_deliver(struct device *device, const struct irq_message *message)
{
    apic_route(device->state, message, -1);
}

/* SDM 11.6.1. */
static void apic_send(struct apic *a)
{
    uint32_t low = a->icr[0];
    struct irq_message m = {
        .destination = apic_is_x2(a) ? a->icr[1] : a->icr[1] >> 24, .logical = low & ICR_LOGICAL,
        .level = low & ICR_LEVEL, .assert = low & ICR_ASSERT, .delivery = (enum irq_delivery)(low >> 8 & 7),
        .vector = (uint8_t)low,
    };
    unsigned shorthand = low >> 18 & 3;

    if (m.delivery == 3 || m.delivery == IRQ_EXTINT)
        return; /* reserved */
    if (m.delivery <= IRQ_LOWEST) {
        m.level = false; /* IPIs are edge triggered whatever bit 15 says */
        if (m.vector < 16) {
            apic_error(a, ESR_SEND_VECTOR);
            return;
        }
    }
    if (shorthand == 1) {
        if (m.delivery <= IRQ_LOWEST)
            apic_accept(a, &m);
        return;
    }
    if (shorthand) {
        m.destination = 0xff;
        m.logical = false;
    }
    apic_route(a->all, &m, shorthand == 3 ? (int)a->cpu : -1);
}

static void apic_eoi(struct apic *a)
{
    int vector = vectors_highest(&a->isr);
    struct irq_bus *bus = a->all->device->host.irq_bus;

    if (vector < 0)
        return;
    vectors_clear(&a->isr, (uint8_t)vector);
    if (vectors_has(&a->tmr, (uint8_t)vector) && bus && bus->eoi)
        bus->eoi(bus, (uint8_t)vector);
}

/* -- registers ---------------------------------------------------------------------------------------------------- */

static uint32_t apic_read_register(struct apic *a, unsigned offset)
{
    unsigned i = offset >> 4 & 7;

    switch (offset) {
    case ID: return apic_is_x2(a) ? a->id : a->id << 24;
    case VERSION: return VERSION_VALUE;
    case TPR: return a->tpr;
    case APR: return 0; /* arbitration is of the Pentium and P6 only */
    case PPR: return apic_ppr(a);
    case EOI: case RRD: case SELF_IPI: return 0;
    case LDR: return apic_is_x2(a) ? a->id >> 4 << 16 | 1u << (a->id & 15) : a->ldr;
    case DFR: return a->dfr;
    case SVR: return a->svr;
    case ESR: return a->esr;
    case ICR_LOW: return a->icr[0];
    case ICR_HIGH: return a->icr[1];
    case TIMER_INITIAL: return a->initial;
    case TIMER_CURRENT: return apic_current(a);
    case TIMER_DIVIDE: return a->divide;
    default: break;
    }
    if (offset >= LVT_TIMER && offset <= LVT_ERROR)
        return *apic_lvt(a, offset);
    if (offset >= ISR && offset < ESR)
        return offset < TMR ? a->isr.word[i] : offset < IRR ? a->tmr.word[i] : a->irr.word[i];
    apic_error(a, ESR_REGISTER);
    return 0;
}

static void apic_write_lvt(struct apic *a, unsigned offset, uint32_t v)
{
    unsigned i = (offset - LVT_TIMER) >> 4;
    uint32_t before = a->lvt[i];

    a->lvt[i] = (v & apic_lvt_mask[i]) | (before & LVT_REMOTE_IRR);
    if (!(a->svr & SVR_ENABLE))
        a->lvt[i] |= LVT_MASKED; /* cannot be unmasked while software-disabled (SDM 11.4.7.2) */
    if (offset == LVT_TIMER && a->running && before & ~v & LVT_PERIODIC)
        apic_timer_start(a, apic_current(a));
}

static void apic_write_svr(struct apic *a, uint32_t v)
{
    a->svr = v & (0xff | SVR_ENABLE | SVR_FOCUS_OFF);
    if (!(v & SVR_ENABLE))
        for (unsigned i = 0; i < LVTS; i++)
            a->lvt[i] |= LVT_MASKED;
}

static void apic_write_register(struct apic *a, unsigned offset, uint32_t v)
{
    switch (offset) {
    case ID: a->id = v >> 24; break;
    case TPR: a->tpr = v & 0xff; break;
    case EOI: apic_eoi(a); break;
    case LDR: a->ldr = v & 0xff000000; break;
    case DFR: a->dfr = v | 0x0fffffff; break;
    case SVR: apic_write_svr(a, v); break;
    case ESR: /* a write shows what has come together since the last one (SDM 11.5.3) */
        a->esr = a->esr_pending;
        a->esr_pending = 0;
        break;
    case ICR_LOW:
        a->icr[0] = v & ICR_WRITABLE;
        apic_send(a);
        break;
    case ICR_HIGH: a->icr[1] = apic_is_x2(a) ? v : v & 0xff000000; break;
    case TIMER_INITIAL:
        a->initial = v;
        apic_timer_start(a, v);
        break;
    case TIMER_DIVIDE:
        if (a->running) {
            uint32_t left = apic_current(a);

            a->divide = v & 0xb;
            apic_timer_start(a, left);
        }
        a->divide = v & 0xb;
        break;
    case VERSION: case APR: case PPR: case RRD: case TIMER_CURRENT: break;
    default:
        if (offset >= LVT_TIMER && offset <= LVT_ERROR)
            apic_write_lvt(a, offset, v);
        else if (offset < ISR || offset >= ESR)
            apic_error(a, ESR_REGISTER);
        break;
    }
    apic_update(a);
}

static enum transaction_result apic_transact(void *state, struct transaction *t)
{
    struct apics *all = state;
    unsigned cpu = t->origin ? t->origin->vcpu : 0;
    struct apic *a = &all->apic[cpu < all->cpus ? cpu : 0];

    if (!apic_is_on(a) || apic_is_x2(a)) /* SDM 11.12.2: x2APIC mode has no page */
        return TRANSACTION_ERROR;
    if (t->type == TRANSACTION_STORE) {
        if (!(t->offset & 15))
            apic_write_register(a, (unsigned)t->offset & 0xff0, t->data.w[0]);
    } else {
        t->data.w[0] = t->offset & 15 ? 0 : apic_read_register(a, (unsigned)t->offset & 0xff0);
    }
    return TRANSACTION_OK;
}

/* -- MSRs (SDM 11.12) --------------------------------------------------------------------------------------------- */

/* Figure 11-27: which changes of EN and EXTD are allowed. */
static bool apic_write_base(struct apic *a, uint64_t v)
{
    uint64_t on = v & BASE_ENABLE, x2 = v & BASE_X2APIC;

    if (v & ~(BASE_ADDRESS | BASE_BSP | BASE_ENABLE | BASE_X2APIC) || (x2 && !on))
        return false;
    if (apic_is_x2(a) && on && !x2)
        return false; /* x2APIC to xAPIC only through disabled */
    if (!apic_is_on(a) && x2)
        return false; /* disabled to x2APIC only through xAPIC */
    if (!on && apic_is_on(a)) {
        apic_init(a);
        a->id = a->cpu;
    }
    a->base = (v & ~(uint64_t)BASE_BSP) | (a->base & BASE_BSP);
    if (apic_is_x2(a))
        a->id = a->cpu;
    if (a->cpu == 0)
        region_move(&a->all->device->region[0], v & BASE_ADDRESS, on && !x2);
    apic_update(a);
    return true;
}

static struct apic *apic_of(struct device *device, unsigned cpu)
{
    struct apics *all = device->state;

    return cpu < all->cpus ? &all->apic[cpu] : NULL;
}

static bool apic_msr_exists(unsigned offset)
{
    if (offset >= ISR && offset < ESR)
        return true;
    switch (offset) {
    case ID: case VERSION: case TPR: case PPR: case EOI: case LDR: case SVR: case ESR: case ICR_LOW: case LVT_TIMER:
    case LVT_THERMAL: case LVT_PERFORMANCE: case LVT_LINT0: case LVT_LINT1: case LVT_ERROR: case TIMER_INITIAL:
    case TIMER_CURRENT: case TIMER_DIVIDE: case SELF_IPI: return true;
    default: return false;
    }
}

bool apic_msr_read(struct device *device, unsigned cpu, uint32_t msr, uint64_t *value)
{
    struct apic *a = apic_of(device, cpu);
    unsigned offset = (msr - MSR_X2APIC) << 4;

    if (!a)
        return false;
    if (msr == MSR_APIC_BASE) {
        *value = a->base;
        return true;
    }
    if (msr < MSR_X2APIC || msr > 0x8ff || !apic_is_x2(a) || !apic_msr_exists(offset) || offset == EOI ||
        offset == SELF_IPI)
        return false;
    *value = apic_read_register(a, offset);
    if (offset == ICR_LOW)
        *value |= (uint64_t)a->icr[1] << 32;
    return true;
}

/* Table 11-6: which registers can be written, and their reserved bits. */
bool apic_msr_write(struct device *device, unsigned cpu, uint32_t msr, uint64_t value)
{
    struct apic *a = apic_of(device, cpu);
    unsigned offset = (msr - MSR_X2APIC) << 4;
    uint64_t allowed = 0xffffffff;

    if (!a)
        return false;
    if (msr == MSR_APIC_BASE)
        return apic_write_base(a, value);
    if (msr < MSR_X2APIC || msr > 0x8ff || !apic_is_x2(a) || !apic_msr_exists(offset))
        return false;
    switch (offset) {
    case ID: case VERSION: case PPR: case LDR: case TIMER_CURRENT: return false;
    case EOI: case ESR: allowed = 0; break;
    case TPR: case SELF_IPI: allowed = 0xff; break;
    case SVR: allowed = 0xff | SVR_ENABLE | SVR_FOCUS_OFF; break;
    case ICR_LOW: allowed = 0xffffffff00000000 | ICR_WRITABLE; break;
    case TIMER_DIVIDE: allowed = 0xb; break;
    default: break;
    }
    if (offset >= ISR && offset < ESR)
        return false;
    if (offset >= LVT_TIMER && offset <= LVT_ERROR)
        allowed = apic_lvt_mask[(offset - LVT_TIMER) >> 4] | LVT_REMOTE_IRR | 1 << 12;
    if (value & ~allowed)
        return false;
    if (offset == ICR_LOW)
        a->icr[1] = (uint32_t)(value >> 32);
    if (offset == SELF_IPI) {
        if (value < 16)
            apic_error(a, ESR_SEND_VECTOR);
        else
            apic_accept(a, &(struct irq_message){ .delivery = IRQ_FIXED, .vector = (uint8_t)value, .assert = true });
        return true;
    }
    apic_write_register(a, offset, (uint32_t)value);
    return true;
}

uint8_t apic_get_tpr(struct device *device, unsigned cpu)
{
    struct apic *a = apic_of(device, cpu);

    return a ? (uint8_t)a->tpr : 0;
}

void apic_set_tpr(struct device *device, unsigned cpu, uint8_t tpr)
{
    struct apic *a = apic_of(device, cpu);

    if (a) {
        a->tpr = tpr;
        apic_update(a);
    }
}

/* -- life --------------------------------------------------------------------------------------------------------- */

static void apic_reset(struct device *device)
{
    struct apics *all = device->state;

    for (unsigned i = 0; i < all->cpus; i++) {
        struct apic *a = &all->apic[i];

        apic_init(a);
        a->id = i;
        a->base = BASE_RESET | BASE_ENABLE | (i ? 0 : BASE_BSP);
        if (a->pins)
            a->pins->nmi = a->pins->init = a->pins->startup = false;
        apic_update(a);
    }
    region_move(&device->region[0], BASE_RESET, true);
}

static void apic_create(struct device *device)
{
    struct apics *all = device->state;

    all->device = device;
    for (unsigned i = 0; i < APIC_CPUS; i++) {
        struct apic *a = &all->apic[i];

        a->all = all;
        a->cpu = i;
        a->timer = (struct clock_timer){ .fire = apic_timer_fire, .opaque = a };
    }
}

static void apic_destroy(struct device *device)
{
    struct apics *all = device->state;

    for (unsigned i = 0; i < APIC_CPUS; i++)
        clock_disarm(device->host.clock, &all->apic[i].timer);
}

void apic_connect_cpu(struct device *device, unsigned cpu, struct cpu_pins *pins)
{
    struct apics *all = device->state;

    if (cpu >= APIC_CPUS)
        return;
    pins->acknowledge = apic_acknowledge;
    pins->opaque = &all->apic[cpu];
    all->apic[cpu].pins = pins;
    if (all->cpus <= cpu)
        all->cpus = cpu + 1;
    apic_reset(device);
}

void apic_connect_pic(struct device *device, uint8_t (*acknowledge)(struct device *pic), struct device *pic)
{
    struct apics *all = device->state;

    all->pic_acknowledge = acknowledge;
    all->pic = pic;
}

bool apic_lint0_is_nmi(const struct device *device)
{
    const struct apic *a = &((const struct apics *)device->state)->apic[0];

    return apic_is_live(a) && !(a->lvt[3] & LVT_MASKED) && (a->lvt[3] >> 8 & 7) == IRQ_NMI;
}

struct irq apic_lint0(struct device *device)
{
    return (struct irq){ .set = apic_set_lint0, .opaque = device->state };
}

static const struct region_ops apic_ops = { .transact = apic_transact, .limits = { .widths = W4 } };

#define STATE struct apics
FIELDS(apic_fields, WIRING_EACH(apic, all), WIRING_EACH(apic, cpu), FIELD_EACH(apic, base), FIELD_EACH(apic, id),
       FIELD_EACH_MAX(apic, tpr, 0xff), FIELD_EACH(apic, ldr), FIELD_EACH(apic, dfr), FIELD_EACH(apic, svr), FIELD_EACH(apic, esr),
       FIELD_EACH(apic, esr_pending), FIELD_EACH_ARRAY(apic, icr), FIELD_EACH_ARRAY(apic, lvt), FIELD_EACH_ARRAY(apic, isr.word),
       SCRATCH_EACH(apic, isr.any), FIELD_EACH_ARRAY(apic, tmr.word), SCRATCH_EACH(apic, tmr.any), FIELD_EACH_ARRAY(apic, irr.word),
       SCRATCH_EACH(apic, irr.any), FIELD_EACH(apic, initial), FIELD_EACH(apic, divide), FIELD_EACH_PAST(apic, count_start_ns),
       FIELD_EACH(apic, count), FIELD_EACH(apic, running), FIELD_EACH(apic, lint0), FIELD_EACH(apic, extint),
       FIELD_EACH_DEADLINE(apic, timer), WIRING_EACH(apic, pins), WIRING(cpus), WIRING(device), WIRING(pic_acknowledge), WIRING(pic))
#undef STATE

static void vectors_restored(struct vectors *set)
{
    set->any = 0;
    for (unsigned i = 0; i < ARRAY_LEN(set->word); i++)
        set->any |= (uint8_t)(!!set->word[i] << i);
}

static bool apic_restored(struct device *device, struct err *err)
{
    struct apics *all = device->state;
    uint64_t base = all->apic[0].base;

    for (unsigned i = 0; i < APIC_CPUS; i++) {
        struct apic *a = &all->apic[i];

        if (a->base & ~(BASE_ADDRESS | BASE_BSP | BASE_ENABLE | BASE_X2APIC) || (apic_is_x2(a) && !apic_is_on(a)))
            return err_set(err, "IA32_APIC_BASE cannot be %#llx", (unsigned long long)a->base);
        vectors_restored(&a->isr);
        vectors_restored(&a->tmr);
        vectors_restored(&a->irr);
    }
    region_move(&device->region[0], base & BASE_ADDRESS, base & BASE_ENABLE && !(base & BASE_X2APIC));
    return true;
}

const struct device_class apic_class = {
    .name = "apic",
    .title = "local APIC, xAPIC and x2APIC (Intel SDM 3A chapter 11)",
    .state_size = sizeof(struct apics),
    .region = { { REGION_MMIO, BASE_RESET, 0x1000, &apic_ops, false } },
    .create = apic_create,
    .reset = apic_reset,
    .destroy = apic_destroy,
    .fields = &apic_fields,
    .restored = apic_restored,
};
