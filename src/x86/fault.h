/*
 * fault.h - exceptions and interrupts on their way into the guest (SDM 3A chapter 7).
 */
#ifndef X86_FAULT_H
#define X86_FAULT_H

#include "vcpu.h"

enum event_source {
    EVENT_EXCEPTION, /* raised by the CPU: EXT is set in nested error codes */
    EVENT_EXTERNAL,  /* INTR or NMI */
    EVENT_SOFTWARE,  /* INT n, INT3, INTO: DPL of the gate counts, EXT clear */
    EVENT_INT1,      /* ICEBP: like an exception, no DPL check */
};

struct event {
    uint8_t vector;
    enum event_source source;
    bool has_error;
    uint32_t error;
    uint64_t rip;     /* what is pushed */
    bool resume;      /* RF is set in the pushed image: faults */
};

/* One attempt: false with vcpu->fault set when the delivery itself faults. */
bool event_deliver(struct vcpu *v, const struct event *event);

/*
 * fault_deliver - vcpu->fault into the guest, with what its delivery may raise: double fault, shutdown.
 *
 * cpu.rip is the faulting instruction's.  After a triple fault cpu.activity is CPU_SHUTDOWN.  Spec: SDM 3A 7.15,
 * interrupt 8.
 */
void fault_deliver(struct vcpu *v);

/* An external interrupt or NMI between two instructions, faults of its delivery included. */
void interrupt_deliver(struct vcpu *v, uint8_t vector);

#endif
