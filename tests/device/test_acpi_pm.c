/* test_acpi_pm.c - ACPI fixed hardware against ACPI 6.4 section 4.8 and the ICH9 data sheet (316972) 13.8.3. */
#include "acpi_pm.h"

#include "lib/bench.h"

enum { PM = 0xb000, PM1_STS = PM, PM1_EN = PM + 2, PM1_CNT = PM + 4, TMR = PM + 8, GPE_EN = PM + 0x28,
       SMI_EN = PM + 0x30 };

static struct device *pm;
static struct probe sci, off, sleeping, woken;

static void acpi_pm_plug(void)
{
    struct acpi_pm_wires wires;

    bench.clock.ns = 0;
    pm = device_create(&acpi_pm_class, &bench.host);
    wires = (struct acpi_pm_wires){ bench_probe(&sci), bench_probe(&off), bench_probe(&sleeping), bench_probe(&woken) };
    acpi_pm_connect(pm, &wires);
    acpi_pm_place(pm, PM, true);
}

START_TEST(acpi_pm_is_not_there_before_pmbase)
{
    pm = device_create(&acpi_pm_class, &bench.host);
    ck_assert(!bench_claims(REGION_PIO, PM));
    acpi_pm_place(pm, PM, true);
    ck_assert(bench_claims(REGION_PIO, PM + 127));
    ck_assert(!bench_claims(REGION_PIO, PM + 128));
}
END_TEST

/* ACPI 4.8.2.1: 3.579545 MHz, 24 bits. */
START_TEST(acpi_pm_timer_counts_3579545_hz)
{
    acpi_pm_plug();
    bench_advance(1000000000);
    ck_assert_uint_eq(bench_in(TMR, 4), 3579545);
    bench_advance(4000000000);
    ck_assert_uint_eq(bench_in(TMR, 4), 3579545 * 5 - (1 << 24));
}
END_TEST

/* ACPI 4.8.3.1.1: TMR_STS is set when the timer's top bit changes; with TMR_EN and SCI_EN it is an SCI. */
START_TEST(acpi_pm_timer_overflow_raises_sci)
{
    uint64_t half_ns = clock_ticks_to_ns(1 << 23, 3579545);

    acpi_pm_plug();
    bench_out(PM1_EN, 2, 1);
    bench_out(PM1_CNT, 4, 1);
    bench_advance(half_ns - 1);
    ck_assert(!sci.level);
    ck_assert_uint_eq(bench_in(PM1_STS, 2), 0);
    bench_advance(1);
    ck_assert(sci.level);
    ck_assert_uint_eq(bench_in(PM1_STS, 2), 1);
    bench_out(PM1_STS, 2, 1);
    ck_assert(!sci.level);
    bench_advance(half_ns);
    ck_assert_uint_eq(sci.rises, 2);
}
END_TEST

/* ACPI 4.8.2.3.1: status bits are cleared by writing one, not by writing zero. */
START_TEST(acpi_pm_power_button_is_cleared_by_writing_one)
{
    acpi_pm_plug();
    bench_out(PM1_EN, 2, 0x100);
    bench_out(PM1_CNT, 4, 1);
    acpi_pm_press_power_button(pm);
    ck_assert(sci.level);
    bench_out(PM1_STS, 2, 0);
    ck_assert_uint_eq(bench_in(PM1_STS, 2), 0x100);
    bench_out(PM1_STS + 1, 1, 0x01); /* by byte as well */
    ck_assert_uint_eq(bench_in(PM1_STS, 2), 0);
    ck_assert(!sci.level);
}
END_TEST

/* ACPI 4.8.3.1: status and enable side by side: writing one leaves the other. */
START_TEST(acpi_pm_enable_write_keeps_status)
{
    acpi_pm_plug();
    acpi_pm_press_power_button(pm);
    bench_out(PM1_EN, 2, 0xffff);
    ck_assert_uint_eq(bench_in(PM1_STS, 2), 0x100);
    ck_assert_uint_eq(bench_in(PM1_EN, 2), 0x4521); /* ICH9 13.8.3.2: bits 14, 10, 8, 5, 0 */
}
END_TEST

/* There is no SMM: APMC_EN must look as if somebody had set it, whatever is written. */
START_TEST(acpi_pm_smi_en_reads_apmc_en_set)
{
    acpi_pm_plug();
    ck_assert_uint_eq(bench_in(SMI_EN, 4) & 0x20, 0x20);
    bench_out(SMI_EN, 4, 0);
    ck_assert_uint_eq(bench_in(SMI_EN, 4) & 0x20, 0x20);
}
END_TEST

START_TEST(acpi_pm_apm_port_switches_sci_en)
{
    acpi_pm_plug();
    bench_outb(0xb2, 0x02);
    ck_assert_uint_eq(bench_in(PM1_CNT, 4) & 1, 1);
    bench_outb(0xb2, 0x03);
    ck_assert_uint_eq(bench_in(PM1_CNT, 4) & 1, 0);
    bench_outb(0xb3, 0x5a);
    ck_assert_uint_eq(bench_inb(0xb3), 0x5a);
}
END_TEST

/* ACPI 4.8.3.2.1: SLP_EN is write-only; ICH9 13.8.3.3: type 111b is S5. */
START_TEST(acpi_pm_soft_off_turns_off)
{
    acpi_pm_plug();
    bench_out(PM1_CNT, 4, 7 << 10);
    ck_assert_uint_eq(off.rises, 0);
    bench_out(PM1_CNT, 2, 7 << 10 | 1 << 13);
    ck_assert_uint_eq(off.rises, 1);
    ck_assert_uint_eq(bench_in(PM1_CNT, 2) & 1 << 13, 0);
}
END_TEST

static void acpi_pm_suspend(void) { bench_out(PM1_CNT, 2, 5 << 10 | 1 << 13); }

/* ACPI 4.8.3.1.1: RTC_STS with RTC_EN ends a sleep, sets WAK_STS, and both are there when the machine has been reset. */
START_TEST(acpi_pm_alarm_ends_a_sleep)
{
    struct irq alarm;

    acpi_pm_plug();
    alarm = acpi_pm_rtc(pm);
    acpi_pm_suspend();
    ck_assert_uint_eq(sleeping.rises, 1);
    ck_assert_uint_eq(off.rises, 0);
    irq_set(&alarm, true);
    irq_set(&alarm, false);
    ck_assert_uint_eq(woken.rises, 0); /* not enabled */
    bench_out(PM1_STS, 2, 0xffff);
    bench_out(PM1_EN, 2, 1 << 10);
    irq_set(&alarm, true);
    ck_assert_uint_eq(woken.rises, 1);
    device_reset(pm);
    ck_assert_uint_eq(bench_in(PM1_STS, 2), 1 << 15 | 1 << 10);
    device_reset(pm);
    ck_assert_uint_eq(bench_in(PM1_STS, 2), 0);
}
END_TEST

START_TEST(acpi_pm_power_button_ends_a_sleep)
{
    acpi_pm_plug();
    acpi_pm_suspend();
    acpi_pm_press_power_button(pm);
    ck_assert_uint_eq(woken.rises, 1);
    acpi_pm_press_power_button(pm);
    ck_assert_uint_eq(woken.rises, 1);
}
END_TEST

/* What is there already does not let it sleep. */
START_TEST(acpi_pm_event_before_the_sleep_ends_it_at_once)
{
    struct irq alarm;

    acpi_pm_plug();
    alarm = acpi_pm_rtc(pm);
    bench_out(PM1_EN, 2, 1 << 10);
    irq_set(&alarm, true);
    acpi_pm_suspend();
    ck_assert_uint_eq(sleeping.rises, 1);
    ck_assert_uint_eq(woken.rises, 1);
}
END_TEST

BENCH_MAIN("acpi_pm", acpi_pm_is_not_there_before_pmbase, acpi_pm_timer_counts_3579545_hz,
           acpi_pm_timer_overflow_raises_sci, acpi_pm_power_button_is_cleared_by_writing_one,
           acpi_pm_enable_write_keeps_status, acpi_pm_smi_en_reads_apmc_en_set, acpi_pm_apm_port_switches_sci_en,
           acpi_pm_soft_off_turns_off, acpi_pm_alarm_ends_a_sleep, acpi_pm_power_button_ends_a_sleep,
           acpi_pm_event_before_the_sleep_ends_it_at_once)
