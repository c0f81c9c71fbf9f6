/* interrupts.c - INT n and IRET; an interrupt that the processor sends itself through its local APIC. */
#include "guest.h"

#define TIMES 1000
#define VECTOR 0x40
#define MSR_APIC_BASE 0x1b
#define APIC(offset) (*(volatile u32 *)(0xfee00000ull + (offset)))
#define APIC_EOI 0xb0
#define APIC_SPURIOUS 0xf0
#define APIC_COMMAND 0x300
#define APIC_TO_SELF 0x44000 /* shorthand self, level asserted */

static volatile u32 taken;

__attribute__((interrupt)) static void software_handler(struct frame *frame)
{
    (void)frame;
    taken++;
}

static int intn_setup(void)
{
    guest_set_gate(VECTOR, software_handler);
    return 1;
}

static u32 intn_round(void)
{
    taken = 0;
    for (u32 i = 0; i < TIMES; i++)
        __asm__ volatile("int %0" ::"i"(VECTOR) : "memory");
    return taken;
}

ROW(intn, .group = "system", .unit = "interrupt", .units = TIMES, .setup = intn_setup, .round = intn_round);

__attribute__((interrupt)) static void apic_handler(struct frame *frame)
{
    (void)frame;
    taken++;
    APIC(APIC_EOI) = 0;
}

static int ipi_setup(void)
{
    guest_set_gate(VECTOR, apic_handler);
    wrmsr(MSR_APIC_BASE, 0xfee00900); /* enabled, bootstrap processor */
    APIC(APIC_SPURIOUS) = 0x1ff;
    return 1;
}

static u32 ipi_round(void)
{
    taken = 0;
    __asm__ volatile("sti");
    for (u32 i = 1; i <= TIMES; i++) {
        APIC(APIC_COMMAND) = APIC_TO_SELF | VECTOR;
        while (taken != i)
            continue;
    }
    __asm__ volatile("cli");
    return taken;
}

ROW(ipi, .group = "system", .unit = "interrupt", .units = TIMES, .setup = ipi_setup, .round = ipi_round);
