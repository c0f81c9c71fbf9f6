/* test_pic.c - the 8259A pair against the Intel 8259A data sheet (231468-003). */
#include "pic.h"

#include "lib/bench.h"

static struct device *pic;
static struct probe intr;
static struct irq line[16];

/* As a PC BIOS does it: ICW1 11h, vectors 08h and 70h, cascade on IR2, ICW4 01h, nothing masked. */
static void pic_plug(void)
{
    static const uint8_t master[] = { 0x08, 0x04, 0x01, 0x00 }, slave[] = { 0x70, 0x02, 0x01, 0x00 };

    pic = device_create(&pic_class, &bench.host);
    pic_connect(pic, bench_probe(&intr));
    for (unsigned i = 0; i < 16; i++)
        line[i] = pic_input(pic, i);
    bench_outb(0x20, 0x11);
    bench_outb(0xa0, 0x11);
    for (unsigned i = 0; i < 4; i++) {
        bench_outb(0x21, master[i]);
        bench_outb(0xa1, slave[i]);
    }
}

/* "Interrupt sequence": IRR until INTA, then ISR; the vector is ICW2's high bits and the level. */
START_TEST(pic_acknowledge_moves_request_into_service)
{
    pic_plug();
    irq_raise(&line[3]);
    ck_assert(intr.level);
    ck_assert_uint_eq(bench_inb(0x20), 0x08); /* IRR is read after ICW1 */
    ck_assert_uint_eq(pic_acknowledge(pic), 0x0b);
    ck_assert(!intr.level);
    bench_outb(0x20, 0x0b);
    ck_assert_uint_eq(bench_inb(0x20), 0x08);
    bench_outb(0x20, 0x20);
    ck_assert_uint_eq(bench_inb(0x20), 0x00);
}
END_TEST

/* "Fully nested mode": IR0 is highest; a level in service inhibits its own and lower ones. */
START_TEST(pic_nested_mode_lets_higher_levels_through)
{
    pic_plug();
    irq_raise(&line[4]);
    ck_assert_uint_eq(pic_acknowledge(pic), 0x0c);
    irq_raise(&line[5]);
    ck_assert(!intr.level);
    irq_raise(&line[1]);
    ck_assert(intr.level);
    ck_assert_uint_eq(pic_acknowledge(pic), 0x09);
    bench_outb(0x20, 0x20); /* non-specific EOI ends 1, then 4 */
    ck_assert(!intr.level);
    bench_outb(0x20, 0x20);
    ck_assert_uint_eq(pic_acknowledge(pic), 0x0d);
}
END_TEST

/* "Cascade mode": the slave's request comes through IR2 and the slave gives the vector; both need an EOI. */
START_TEST(pic_slave_request_comes_through_cascade)
{
    pic_plug();
    irq_raise(&line[12]);
    ck_assert_uint_eq(pic_acknowledge(pic), 0x74);
    bench_outb(0x20, 0x0b);
    bench_outb(0xa0, 0x0b);
    ck_assert_uint_eq(bench_inb(0x20), 0x04);
    ck_assert_uint_eq(bench_inb(0xa0), 0x10);
    bench_outb(0xa0, 0x20);
    bench_outb(0x20, 0x20);
    ck_assert_uint_eq(bench_inb(0x20) | bench_inb(0xa0), 0);
}
END_TEST

/* "Edge and level triggered modes": IR must stay high until INTA, or the default IR7 is given, not in service. */
START_TEST(pic_request_dropped_before_inta_is_spurious_ir7)
{
    pic_plug();
    irq_raise(&line[5]);
    irq_lower(&line[5]);
    ck_assert(!intr.level);
    ck_assert_uint_eq(pic_acknowledge(pic), 0x0f);
    bench_outb(0x20, 0x0b);
    ck_assert_uint_eq(bench_inb(0x20), 0);
}
END_TEST

/* The same: in edge mode a level that stays up is not a new request after EOI. */
START_TEST(pic_edge_mode_needs_a_new_edge)
{
    pic_plug();
    irq_raise(&line[6]);
    pic_acknowledge(pic);
    bench_outb(0x20, 0x20);
    ck_assert(!intr.level);
    irq_lower(&line[6]);
    irq_raise(&line[6]);
    ck_assert(intr.level);
}
END_TEST

/* ICH9 13.4.5, 13.4.6: ELCR makes an input level sensitive; IRQ0, 1, 2, 8, 13 cannot be. */
START_TEST(pic_elcr_level_input_requests_until_lowered)
{
    pic_plug();
    bench_outb(0x4d0, 0xff);
    bench_outb(0x4d1, 0xff);
    ck_assert_uint_eq(bench_inb(0x4d0), 0xf8);
    ck_assert_uint_eq(bench_inb(0x4d1), 0xde);
    irq_raise(&line[11]);
    ck_assert_uint_eq(pic_acknowledge(pic), 0x73);
    bench_outb(0xa0, 0x20);
    bench_outb(0x20, 0x20);
    ck_assert(intr.level);
    irq_lower(&line[11]);
    ck_assert(!intr.level);
}
END_TEST

/* OCW1: a masked request waits in IRR. */
START_TEST(pic_mask_holds_request_back)
{
    pic_plug();
    bench_outb(0x21, 0x02);
    irq_raise(&line[1]);
    ck_assert(!intr.level);
    ck_assert_uint_eq(bench_inb(0x20), 0x02);
    bench_outb(0x21, 0x00);
    ck_assert(intr.level);
}
END_TEST

/* "Automatic rotation": rotate on non-specific EOI makes the level just served the lowest. */
START_TEST(pic_rotate_on_eoi_makes_served_level_lowest)
{
    pic_plug();
    irq_raise(&line[1]);
    pic_acknowledge(pic);
    bench_outb(0x20, 0xa0);
    irq_lower(&line[1]);
    irq_raise(&line[0]);
    irq_raise(&line[1]);
    irq_raise(&line[4]);
    ck_assert_uint_eq(pic_acknowledge(pic), 0x0c); /* 2, 3, 4, ... 0, 1 */
    bench_outb(0x20, 0x20);
    ck_assert_uint_eq(pic_acknowledge(pic), 0x08);
}
END_TEST

/* "Poll command": bit 7 is set and the level in bits 2:0; the request goes into service. */
START_TEST(pic_poll_reads_level_and_serves_it)
{
    pic_plug();
    bench_outb(0x20, 0x0c);
    ck_assert_uint_eq(bench_inb(0x20) & 0x80, 0);
    irq_raise(&line[6]);
    bench_outb(0x20, 0x0c);
    ck_assert_uint_eq(bench_inb(0x20) & 0x87, 0x86);
    ck_assert(!intr.level);
}
END_TEST

/* "Special mask mode": a masked level in service no longer inhibits lower ones. */
START_TEST(pic_special_mask_mode_enables_lower_levels)
{
    pic_plug();
    irq_raise(&line[3]);
    pic_acknowledge(pic);
    irq_raise(&line[6]);
    ck_assert(!intr.level);
    bench_outb(0x21, 0x08);
    bench_outb(0x20, 0x68);
    ck_assert(intr.level);
    ck_assert_uint_eq(pic_acknowledge(pic), 0x0e);
}
END_TEST

/* ICW4 bit 1: AEOI ends the interrupt at the last INTA. */
START_TEST(pic_aeoi_leaves_nothing_in_service)
{
    pic_plug();
    bench_outb(0x20, 0x11);
    bench_outb(0x21, 0x20);
    bench_outb(0x21, 0x04);
    bench_outb(0x21, 0x03);
    irq_raise(&line[7]);
    ck_assert_uint_eq(pic_acknowledge(pic), 0x27);
    bench_outb(0x20, 0x0b);
    ck_assert_uint_eq(bench_inb(0x20), 0);
}
END_TEST

/* "Initialization": ICW1 clears the mask, resets the edge sense and makes IR7 the lowest. */
START_TEST(pic_icw1_clears_mask_and_requests)
{
    pic_plug();
    bench_outb(0x21, 0xff);
    irq_raise(&line[4]);
    bench_outb(0x20, 0x11);
    ck_assert_uint_eq(bench_inb(0x20), 0);
    ck_assert_uint_eq(bench_inb(0x21), 0);
}
END_TEST

BENCH_MAIN("pic", pic_acknowledge_moves_request_into_service, pic_nested_mode_lets_higher_levels_through,
           pic_slave_request_comes_through_cascade, pic_request_dropped_before_inta_is_spurious_ir7,
           pic_edge_mode_needs_a_new_edge, pic_elcr_level_input_requests_until_lowered, pic_mask_holds_request_back,
           pic_rotate_on_eoi_makes_served_level_lowest, pic_poll_reads_level_and_serves_it,
           pic_special_mask_mode_enables_lower_levels, pic_aeoi_leaves_nothing_in_service,
           pic_icw1_clears_mask_and_requests)
