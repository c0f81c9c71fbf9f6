/*
 * delay.c - a guest that waits: loops of PAUSE and RDTSC, which take their time on the virtual clock, with a local APIC timer that
 * goes off between any two instructions of them.
 *
 * What the counter said and where the timer came in is in memory; a round returns the number of interrupts.
 */
#include "guest.h"

#define APIC 0xfee00000ull
#define INTERRUPTS 400
#define VECTOR 0x40

static struct { u64 rip, tsc, work; } seen[INTERRUPTS];
static volatile u32 taken;
static u32 state;
static volatile u64 work;

static u32 draw(u32 n) { return (random_next(&state) >> 8) % n; }
static void apic(u32 reg, u32 v) { *(volatile u32 *)(APIC + reg) = v; }

static inline u64 rdtsc(void)
{
    u32 low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (u64)high << 32 | low;
}

__attribute__((interrupt)) static void timer(struct frame *frame)
{
    u32 n = taken;

    frame->rflags &= ~0x10ull; /* AF, which logic leaves undefined, stays in memory otherwise */
    seen[n].rip = frame->rip;
    seen[n].tsc = rdtsc();
    seen[n].work = work;
    taken = n + 1;
    apic(0xb0, 0); /* end of interrupt */
}

/* As much as no block has, with a delay in the middle of it. */
static __attribute__((noinline)) void mix_in(void)
{
    u64 x = work;

    for (u32 i = draw(9); i > 0; i--)
        x = x * 3 + i;
    switch (draw(4)) {
    case 0: __asm__ volatile("pause"); break;
    case 1: x += draw(2) ? rdtsc() : *(volatile u32 *)(APIC + 0x390); break;
    case 2: __asm__ volatile("pause; pause; pause"); break;
    default: break;
    }
    x ^= x >> 7, x *= 5, x ^= x << 3, x += 11;
    work = x;
}

static __attribute__((noinline)) void delay(u64 ticks)
{
    u64 end = rdtsc() + ticks;

    while (rdtsc() < end)
        __asm__ volatile("pause");
}

static int delay_setup(void)
{
    guest_set_gate(VECTOR, timer);
    apic(0xf0, 0x1ff);  /* on */
    apic(0x3e0, 0xb);   /* divide by 1 */
    apic(0x320, VECTOR);
    return 1;
}

static u32 delay_round(void)
{
    taken = 0;
    state = 1;
    while (taken < INTERRUPTS) {
        u32 n = taken;

        apic(0x380, draw(draw(4) ? 300 : 20000) + 1);
        __asm__ volatile("sti");
        while (taken == n) {
            if (draw(2))
                mix_in();
            else
                delay(draw(2000));
        }
        __asm__ volatile("cli");
    }
    return taken;
}

ROW(delay, .group = "lockstep", .unit = "interrupt", .units = INTERRUPTS, .setup = delay_setup, .round = delay_round);
