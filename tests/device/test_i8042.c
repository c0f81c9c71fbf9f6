/* test_i8042.c - keyboard controller and keyboard against the IBM PS/2 Hardware Interface Technical Reference. */
#include "i8042.h"

#include "lib/bench.h"

static struct device *kbd;
static struct probe irq1, irq12, a20, reset;

static void i8042_plug(void)
{
    struct i8042_wires wires;

    kbd = device_create(&i8042_class, &bench.host);
    wires = (struct i8042_wires){ bench_probe(&irq1), bench_probe(&irq12), bench_probe(&a20), bench_probe(&reset) };
    i8042_connect(kbd, &wires);
}

/* Sends a command, waits for one answer. */
static uint8_t i8042_ask(uint8_t command)
{
    bench_outb(0x64, command);
    ck_assert_uint_eq(bench_inb(0x64) & 1, 1);
    return bench_inb(0x60);
}

/* Command AAh: 55h if the controller is well; ABh: 00h if the lines are. */
START_TEST(i8042_self_test_answers_55)
{
    i8042_plug();
    ck_assert_uint_eq(i8042_ask(0xaa), 0x55);
    ck_assert_uint_eq(i8042_ask(0xab), 0x00);
    ck_assert_uint_eq(bench_inb(0x64) & 1, 0);
}
END_TEST

START_TEST(i8042_command_byte_reads_back)
{
    i8042_plug();
    bench_outb(0x64, 0x60);
    bench_outb(0x60, 0x45);
    ck_assert_uint_eq(i8042_ask(0x20), 0x45);
    ck_assert_uint_eq(bench_inb(0x64) & 0x04, 0x04); /* system flag is status bit 2 */
}
END_TEST

/* Keyboard FFh: ACK FAh, then BAT completion AAh. */
START_TEST(i8042_keyboard_reset_acks_and_passes_bat)
{
    i8042_plug();
    bench_outb(0x60, 0xff);
    ck_assert_uint_eq(bench_inb(0x60), 0xfa);
    ck_assert_uint_eq(bench_inb(0x60), 0xaa);
    ck_assert_uint_eq(bench_inb(0x64) & 1, 0);
}
END_TEST

/* Keyboard F2h: ID ABh 83h. */
START_TEST(i8042_keyboard_identifies_as_ab83)
{
    i8042_plug();
    bench_outb(0x60, 0xf2);
    ck_assert_uint_eq(bench_inb(0x60), 0xfa);
    ck_assert_uint_eq(bench_inb(0x60), 0xab);
    ck_assert_uint_eq(bench_inb(0x60), 0x83);
}
END_TEST

/* An unknown command is answered with resend, FEh; echo with EEh. */
START_TEST(i8042_keyboard_asks_to_resend_unknown_command)
{
    i8042_plug();
    bench_outb(0x60, 0x10);
    ck_assert_uint_eq(bench_inb(0x60), 0xfe);
    bench_outb(0x60, 0xee);
    ck_assert_uint_eq(bench_inb(0x60), 0xee);
}
END_TEST

/* Command byte bit 6: codes become set 1.  "A" is 1Ch / F0h 1Ch in set 2 and 1Eh / 9Eh in set 1. */
START_TEST(i8042_translates_set2_to_set1)
{
    static const uint8_t a[] = { 0x1c, 0xf0, 0x1c };

    i8042_plug();
    bench_outb(0x64, 0x60);
    bench_outb(0x60, 0x41);
    ck_assert_uint_eq(i8042_type(kbd, a, 3), 3);
    ck_assert_uint_eq(bench_inb(0x60), 0x1e);
    ck_assert_uint_eq(bench_inb(0x60), 0x9e);
    bench_outb(0x64, 0x60);
    bench_outb(0x60, 0x01);
    i8042_type(kbd, a, 3);
    for (int i = 0; i < 3; i++)
        ck_assert_uint_eq(bench_inb(0x60), a[i]);
}
END_TEST

/* Command byte bit 0: IRQ1 while the output buffer is full; each byte is a new edge. */
START_TEST(i8042_interrupts_once_per_byte)
{
    i8042_plug();
    bench_outb(0x64, 0x60);
    bench_outb(0x60, 0x01);
    bench_outb(0x60, 0xf2);
    ck_assert(irq1.level);
    for (int i = 0; i < 3; i++)
        bench_inb(0x60);
    ck_assert_uint_eq(irq1.rises, 3);
    ck_assert(!irq1.level);
}
END_TEST

/* Command D3h: the byte comes back as if from the auxiliary device: status bit 5, IRQ12. */
START_TEST(i8042_aux_loopback_sets_status_bit_5)
{
    i8042_plug();
    bench_outb(0x64, 0xd3);
    bench_outb(0x60, 0xa5);
    ck_assert_uint_eq(bench_inb(0x64) & 0x21, 0x21);
    ck_assert(irq12.level);
    ck_assert(!irq1.level);
    ck_assert_uint_eq(bench_inb(0x60), 0xa5);
}
END_TEST

/* Commands ADh, AEh: a disabled interface holds the keyboard's bytes back. */
START_TEST(i8042_disabled_keyboard_waits)
{
    static const uint8_t key = 0x1c;

    i8042_plug();
    bench_outb(0x64, 0xad);
    i8042_type(kbd, &key, 1);
    ck_assert_uint_eq(bench_inb(0x64) & 1, 0);
    bench_outb(0x64, 0xae);
    ck_assert_uint_eq(bench_inb(0x64) & 1, 1);
}
END_TEST

/* Output port bit 1 is A20; ICH9 13.7.3: port 92h bit 1 forces it on as well. */
START_TEST(i8042_a20_is_either_gate)
{
    i8042_plug();
    ck_assert(a20.level);
    bench_outb(0x64, 0xd1);
    bench_outb(0x60, 0xdd);
    ck_assert(!a20.level);
    bench_outb(0x92, 0x02);
    ck_assert(a20.level);
    ck_assert_uint_eq(bench_inb(0x92), 0x02);
    bench_outb(0x92, 0x00);
    ck_assert(!a20.level);
    ck_assert_uint_eq(i8042_ask(0xd0) & 0x02, 0);
}
END_TEST

/* Command FEh pulses bit 0 of the output port; ICH9 13.7.3: INIT_NOW on 0 to 1. */
START_TEST(i8042_reset_has_two_ways)
{
    i8042_plug();
    bench_outb(0x64, 0xfe);
    ck_assert_uint_eq(reset.rises, 1);
    bench_outb(0x92, 0x01);
    bench_outb(0x92, 0x01);
    ck_assert_uint_eq(reset.rises, 2);
}
END_TEST

/* A full queue takes no more; nothing is written beyond it. */
START_TEST(i8042_queue_refuses_when_full)
{
    static const uint8_t keys[100] = { 0x1c };

    i8042_plug();
    ck_assert_uint_le(i8042_type(kbd, keys, sizeof(keys)), 33);
    ck_assert_uint_eq(i8042_type(kbd, keys, sizeof(keys)), 1); /* one went to the output buffer */
    ck_assert_uint_eq(i8042_type(kbd, keys, sizeof(keys)), 0);
}
END_TEST

BENCH_MAIN("i8042", i8042_self_test_answers_55, i8042_command_byte_reads_back,
           i8042_keyboard_reset_acks_and_passes_bat, i8042_keyboard_identifies_as_ab83,
           i8042_keyboard_asks_to_resend_unknown_command, i8042_translates_set2_to_set1,
           i8042_interrupts_once_per_byte, i8042_aux_loopback_sets_status_bit_5, i8042_disabled_keyboard_waits,
           i8042_a20_is_either_gate, i8042_reset_has_two_ways, i8042_queue_refuses_when_full)
