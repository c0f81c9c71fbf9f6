/* test_apic.c - local APICs against the Intel SDM volume 3A, chapter 11. */
#include "apic.h"

#include "lib/bench.h"

#define BASE 0xfee00000u
enum { ID = BASE + 0x20, VERSION = BASE + 0x30, TPR = BASE + 0x80, PPR = BASE + 0xa0, EOI = BASE + 0xb0,
       LDR = BASE + 0xd0, DFR = BASE + 0xe0, SVR = BASE + 0xf0, ISR = BASE + 0x100, TMR = BASE + 0x180,
       IRR = BASE + 0x200, ESR = BASE + 0x280, ICR = BASE + 0x300, ICR2 = BASE + 0x310, TIMER = BASE + 0x320,
       LINT0 = BASE + 0x350, LINT1 = BASE + 0x360, ERROR = BASE + 0x370, INITIAL = BASE + 0x380,
       CURRENT = BASE + 0x390, DIVIDE = BASE + 0x3e0 };

static struct device *apic;
static struct cpu_pins pins[2];
static struct irq lint0;

static uint8_t apic_pic_vector(struct device *pic)
{
    (void)pic;
    irq_lower(&lint0);
    return 0x08;
}

static void apic_plug(void)
{
    apic = device_create(&apic_class, &bench.host);
    apic_connect_cpu(apic, 0, &pins[0]);
    apic_connect_cpu(apic, 1, &pins[1]);
    apic_connect_pic(apic, apic_pic_vector, NULL);
    lint0 = apic_lint0(apic);
}

static void apic_enable(void) { bench_store(SVR, 4, 0x1ff); }

static uint32_t apic_read(uint32_t at) { return (uint32_t)bench_load(at, 4); }

static void apic_write_as(unsigned cpu, uint32_t at, uint32_t v)
{
    struct origin origin = { .vcpu = (uint8_t)cpu };
    struct transaction t = { .type = TRANSACTION_STORE, .width = 4, .enables = 15, .data.w[0] = v, .origin = &origin };

    ck_assert_int_eq(bench_transact(at, &t), TRANSACTION_OK);
}

static void apic_message(uint8_t vector, bool level)
{
    apic_deliver(apic, &(struct irq_message){ .destination = 0, .delivery = IRQ_FIXED, .vector = vector,
                                              .level = level, .assert = true });
}

static uint8_t apic_take(unsigned cpu) { return pins[cpu].acknowledge(pins[cpu].opaque); }

/* 11.4.7.1: state after power-up. */
START_TEST(apic_reset_gives_documented_values)
{
    apic_plug();
    ck_assert_uint_eq(apic_read(ID), 0);
    ck_assert_uint_eq(apic_read(DFR), 0xffffffff);
    ck_assert_uint_eq(apic_read(LDR), 0);
    ck_assert_uint_eq(apic_read(SVR), 0xff);
    for (uint32_t at = TIMER; at <= ERROR; at += 0x10)
        ck_assert_uint_eq(apic_read(at), 0x10000);
    ck_assert_uint_eq(apic_read(INITIAL) | apic_read(CURRENT) | apic_read(DIVIDE) | apic_read(TPR), 0);
    ck_assert_uint_eq(apic_read(VERSION) & 0xf0, 0x10); /* 11.4.8: 1Xh is an integrated APIC */
}
END_TEST

/* 11.8.4: IRR on arrival, ISR at acknowledge, cleared by EOI. */
START_TEST(apic_vector_goes_irr_isr_eoi)
{
    apic_plug();
    apic_enable();
    apic_message(0x41, false);
    ck_assert(pins[0].intr);
    ck_assert_uint_eq(apic_read(IRR + 0x20), 0x2);
    ck_assert_uint_eq(apic_take(0), 0x41);
    ck_assert(!pins[0].intr);
    ck_assert_uint_eq(apic_read(IRR + 0x20), 0);
    ck_assert_uint_eq(apic_read(ISR + 0x20), 0x2);
    bench_store(EOI, 4, 0);
    ck_assert_uint_eq(apic_read(ISR + 0x20), 0);
    ck_assert_uint_eq(bench.eois, 0);
}
END_TEST

/* 11.8.3.1: a vector is delivered if its class is above the PPR's, which is the higher of TPR's and the ISR's. */
START_TEST(apic_priority_class_decides)
{
    apic_plug();
    apic_enable();
    bench_store(TPR, 4, 0x50);
    apic_message(0x5f, false);
    ck_assert(!pins[0].intr);
    apic_message(0x60, false);
    ck_assert(pins[0].intr);
    ck_assert_uint_eq(apic_take(0), 0x60);
    ck_assert_uint_eq(apic_read(PPR), 0x60);
    bench_store(TPR, 4, 0);
    ck_assert(!pins[0].intr);
    bench_store(EOI, 4, 0);
    ck_assert_uint_eq(apic_take(0), 0x5f);
}
END_TEST

/* 11.8.5: EOI of a level-triggered vector is broadcast to the I/O APICs. */
START_TEST(apic_eoi_of_level_vector_is_broadcast)
{
    apic_plug();
    apic_enable();
    apic_message(0x33, true);
    ck_assert_uint_eq(apic_read(TMR + 0x10), 1 << (0x33 & 31));
    apic_take(0);
    bench_store(EOI, 4, 0);
    ck_assert_uint_eq(bench.eois, 1);
    ck_assert_uint_eq(bench.eoi_vector, 0x33);
}
END_TEST

/* 11.9: with nothing left to deliver, the spurious vector, and no ISR bit. */
START_TEST(apic_request_gone_gives_spurious_vector)
{
    apic_plug();
    bench_store(SVR, 4, 0x1ef);
    apic_message(0x41, false);
    bench_store(TPR, 4, 0x40);
    ck_assert_uint_eq(apic_take(0), 0xef);
    ck_assert_uint_eq(apic_read(ISR + 0x20), 0);
}
END_TEST

/* 11.4.7.2: software-disabled: fixed interrupts are not taken, LVT mask bits cannot be cleared; INIT still works. */
START_TEST(apic_software_disable_masks_lvt)
{
    apic_plug();
    bench_store(TIMER, 4, 0x30);
    ck_assert_uint_eq(apic_read(TIMER), 0x10030);
    apic_message(0x41, false);
    ck_assert(!pins[0].intr);
    apic_deliver(apic, &(struct irq_message){ .destination = 0, .delivery = IRQ_INIT, .assert = true });
    ck_assert(pins[0].init);
}
END_TEST

/* 11.5.4 and figure 11-10: divide by 16 is 0011b; one-shot stops at 0. */
START_TEST(apic_timer_one_shot_counts_divided_clocks)
{
    apic_plug();
    apic_enable();
    bench_store(DIVIDE, 4, 0x3);
    bench_store(TIMER, 4, 0x40);
    bench_store(INITIAL, 4, 1000);
    bench_advance(16 * 999);
    ck_assert_uint_eq(apic_read(CURRENT), 1);
    ck_assert(!pins[0].intr);
    bench_advance(16);
    ck_assert_uint_eq(apic_read(CURRENT), 0);
    ck_assert_uint_eq(apic_take(0), 0x40);
    bench_store(EOI, 4, 0);
    bench_advance(100000000);
    ck_assert(!pins[0].intr);
}
END_TEST

/* 11.5.4: periodic reloads; divide by 1 is 1011b; writing 0 to the initial count stops it. */
START_TEST(apic_timer_periodic_reloads_until_zero_is_written)
{
    apic_plug();
    apic_enable();
    bench_store(DIVIDE, 4, 0xb);
    bench_store(TIMER, 4, 0x20040);
    bench_store(INITIAL, 4, 1000);
    for (int i = 0; i < 5; i++) {
        bench_advance(1000);
        ck_assert_uint_eq(apic_take(0), 0x40);
        bench_store(EOI, 4, 0);
    }
    bench_advance(250);
    ck_assert_uint_eq(apic_read(CURRENT), 750);
    bench_store(INITIAL, 4, 0);
    bench_advance(100000);
    ck_assert(!pins[0].intr);
}
END_TEST

/* 11.6.1: shorthand "all excluding self" INIT then SIPI: the other CPU's pins, with the vector. */
START_TEST(apic_init_sipi_reaches_the_other_cpu)
{
    apic_plug();
    apic_enable();
    bench_store(ICR, 4, 0xc4500);
    ck_assert(pins[1].init);
    ck_assert(!pins[0].init);
    bench_store(ICR, 4, 0xc4698);
    ck_assert(pins[1].startup);
    ck_assert_uint_eq(pins[1].startup_vector, 0x98);
    bench_store(ICR2, 4, 1 << 24);
    bench_store(ICR, 4, 0x4400);
    ck_assert(pins[1].nmi);
}
END_TEST

/* 11.6.2.2: flat logical destinations are masks over LDR bits 31:24. */
START_TEST(apic_flat_logical_destination_is_a_mask)
{
    apic_plug();
    apic_write_as(0, SVR, 0x1ff);
    apic_write_as(1, SVR, 0x1ff);
    apic_write_as(0, LDR, 0x01000000);
    apic_write_as(1, LDR, 0x02000000);
    bench_store(ICR2, 4, 0x02000000);
    bench_store(ICR, 4, 0x4850);
    ck_assert(!pins[0].intr);
    ck_assert(pins[1].intr);
    bench_store(ICR2, 4, 0x03000000);
    bench_store(ICR, 4, 0x4851);
    ck_assert(pins[0].intr);
    ck_assert_uint_eq(apic_take(1), 0x51);
}
END_TEST

/* 11.5.3: sending a vector below 16 sets ESR bit 5, shown after ESR is written. */
START_TEST(apic_illegal_vector_shows_in_esr_after_write)
{
    apic_plug();
    apic_enable();
    bench_store(ICR, 4, 0x4400f & 0xff00f);
    ck_assert_uint_eq(apic_read(ESR), 0);
    bench_store(ESR, 4, 0);
    ck_assert_uint_eq(apic_read(ESR), 0x20);
    bench_store(ESR, 4, 0);
    ck_assert_uint_eq(apic_read(ESR), 0);
}
END_TEST

/* 11.5.1: LINT0 as ExtINT lets the 8259A give the vector; nothing goes in service. */
START_TEST(apic_lint0_extint_takes_vector_from_pic)
{
    apic_plug();
    apic_enable();
    irq_raise(&lint0);
    ck_assert(!pins[0].intr); /* masked */
    bench_store(LINT0, 4, 0x700);
    ck_assert(pins[0].intr);
    ck_assert_uint_eq(apic_take(0), 0x08);
    ck_assert_uint_eq(apic_read(ISR), 0);
    ck_assert(!pins[0].intr);
}
END_TEST

/* 11.4.3: with IA32_APIC_BASE[11] clear the CPU is as one without an APIC: INTR is the PIC's. */
START_TEST(apic_disabled_passes_pic_through)
{
    uint64_t base;

    apic_plug();
    ck_assert(apic_msr_read(apic, 0, 0x1b, &base));
    ck_assert_uint_eq(base, 0xfee00900);
    ck_assert(apic_msr_write(apic, 0, 0x1b, 0xfee00100));
    ck_assert(!bench_claims(REGION_MMIO, BASE));
    irq_raise(&lint0);
    ck_assert(pins[0].intr);
    ck_assert_uint_eq(apic_take(0), 0x08);
}
END_TEST

/* 11.12.5, figure 11-27: legal and illegal changes of EN and EXTD. */
START_TEST(apic_base_msr_allows_documented_transitions_only)
{
    apic_plug();
    ck_assert(!apic_msr_write(apic, 0, 0x1b, 0xfee00500)); /* EXTD without EN */
    ck_assert(apic_msr_write(apic, 0, 0x1b, 0xfee00d00));  /* to x2APIC */
    ck_assert(!apic_msr_write(apic, 0, 0x1b, 0xfee00900)); /* back to xAPIC */
    ck_assert(apic_msr_write(apic, 0, 0x1b, 0xfee00100));  /* off */
    ck_assert(!apic_msr_write(apic, 0, 0x1b, 0xfee00d00)); /* off to x2APIC */
    ck_assert(apic_msr_write(apic, 0, 0x1b, 0xfee00900));
    ck_assert(!apic_msr_write(apic, 0, 0x1b, 0xfee00901)); /* reserved bit */
}
END_TEST

/* 11.12.1, table 11-6: x2APIC registers are MSRs; reserved and read-only ones fault; the page is gone. */
START_TEST(apic_x2apic_registers_are_msrs)
{
    uint64_t v;

    apic_plug();
    ck_assert(!apic_msr_read(apic, 0, 0x802, &v)); /* not in xAPIC mode */
    apic_msr_write(apic, 1, 0x1b, 0xfee00c00);
    ck_assert(apic_msr_read(apic, 1, 0x802, &v) && v == 1);
    ck_assert(apic_msr_read(apic, 1, 0x80d, &v) && v == 0x00000002); /* 11.12.10.2: cluster 0, bit 1 */
    ck_assert(!apic_msr_write(apic, 1, 0x802, 5));
    ck_assert(!apic_msr_write(apic, 1, 0x80b, 1)); /* EOI takes 0 only */
    ck_assert(apic_msr_write(apic, 1, 0x80b, 0));
    ck_assert(!apic_msr_read(apic, 1, 0x80e, &v)); /* no DFR */
    ck_assert(!apic_msr_read(apic, 1, 0x831, &v)); /* no ICR2 */
    ck_assert(!apic_msr_read(apic, 1, 0x83f, &v)); /* SELF IPI is write-only */
    ck_assert(apic_msr_write(apic, 1, 0x80f, 0x1ff));
    ck_assert(apic_msr_write(apic, 1, 0x83f, 0x77));
    ck_assert_uint_eq(apic_take(1), 0x77);
    ck_assert(!apic_msr_read(apic, 7, 0x802, &v)); /* no such CPU */
}
END_TEST

BENCH_MAIN("apic", apic_reset_gives_documented_values, apic_vector_goes_irr_isr_eoi, apic_priority_class_decides,
           apic_eoi_of_level_vector_is_broadcast, apic_request_gone_gives_spurious_vector,
           apic_software_disable_masks_lvt, apic_timer_one_shot_counts_divided_clocks,
           apic_timer_periodic_reloads_until_zero_is_written, apic_init_sipi_reaches_the_other_cpu,
           apic_flat_logical_destination_is_a_mask, apic_illegal_vector_shows_in_esr_after_write,
           apic_lint0_extint_takes_vector_from_pic, apic_disabled_passes_pic_through,
           apic_base_msr_allows_documented_transitions_only, apic_x2apic_registers_are_msrs)
