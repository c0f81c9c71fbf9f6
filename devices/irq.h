/*
 * irq.h - interrupt wires and messages between devices, and from devices to a CPU.
 *
 * A wire has one sink and a level; raising a raised wire does nothing.  A message is what an IOAPIC or an MSI
 * puts on the system bus for local APICs (SDM 3A 11.11.2).  `struct cpu_pins` is all that a CPU engine sees of
 * the interrupt controllers, and all they see of a CPU.
 */
#ifndef DEVICES_IRQ_H
#define DEVICES_IRQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct irq {
    void (*set)(void *opaque, int line, bool level);
    void *opaque;
    int line;
    bool level;
};

static inline void irq_set(struct irq *irq, bool level)
{
    if (!irq || irq->level == level)
        return;
    irq->level = level;
    if (irq->set)
        irq->set(irq->opaque, irq->line, level);
}

static inline void irq_raise(struct irq *irq) { irq_set(irq, true); }
static inline void irq_lower(struct irq *irq) { irq_set(irq, false); }

static inline void irq_pulse(struct irq *irq)
{
    irq_set(irq, true);
    irq_set(irq, false);
}

enum irq_delivery { /* SDM 3A table 11-3 */
    IRQ_FIXED = 0, IRQ_LOWEST = 1, IRQ_SMI = 2, IRQ_NMI = 4, IRQ_INIT = 5, IRQ_STARTUP = 6, IRQ_EXTINT = 7,
};

struct irq_message {
    uint32_t destination; /* APIC ID, or logical destination */
    bool logical;
    bool level;           /* level triggered: an EOI goes back to the IOAPIC */
    bool assert;
    enum irq_delivery delivery;
    uint8_t vector;
};

/* Who sends a message, as PCI numbers them: bus 15:8, device 7:3, function 2:0. */
enum { IRQ_SOURCE_IOAPIC = 0xf0f8 };

struct irq_bus {
    void (*deliver)(struct irq_bus *bus, const struct irq_message *message);
    void (*eoi)(struct irq_bus *bus, uint8_t vector);  /* broadcast of a level-triggered EOI */
    /* A write to 0xfeexxxxx, of a function or the I/O APIC, that is to become a message; NULL: it is one (SDM 3A 11.11). */
    void (*remap)(struct irq_bus *bus, uint16_t source, uint64_t address, uint32_t data);
};

/* From interrupt controllers to one CPU.  The engine polls the levels between instructions. */
struct cpu_pins {
    bool intr;      /* a maskable interrupt waits */
    bool nmi;       /* latched; the engine clears it when taken */
    bool init;      /* latched */
    bool startup;   /* latched, with startup_vector */
    uint8_t startup_vector;
    /* INTA cycle: the vector of the highest interrupt that waits, which is in service from now on. */
    uint8_t (*acknowledge)(void *opaque);
    void *opaque;
    /* Told when a level changes, so that a running engine can be kicked; may be NULL. */
    void (*changed)(void *engine);
    void *engine;
};

#endif
