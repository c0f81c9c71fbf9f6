/* test_uart.c - the 16550A against section 8 of the PC16550D data sheet (National, June 1995), by its headings. */
#include "uart.h"

#include "lib/bench.h"

enum { RBR = 0x3f8, THR = 0x3f8, IER, IIR, FCR = IIR, LCR, MCR, LSR, MSR, SCR };

static struct device *uart;
static struct probe irq;

static void uart_plug(void)
{
    uart = device_create(&uart_class, &bench.host);
    uart_connect(uart, bench_probe(&irq), &bench.backend);
}

static void uart_feed(const char *text, size_t size)
{
    bench.backend.input(bench.backend.device, (const uint8_t *)text, size);
}

/* Table I, "UART reset configuration": IER 0, IIR 01, LCR 0, MCR 0, LSR 60h after master reset. */
START_TEST(uart_reset_gives_table_i_values)
{
    uart_plug();
    ck_assert_uint_eq(bench_inb(IER), 0x00);
    ck_assert_uint_eq(bench_inb(IIR), 0x01);
    ck_assert_uint_eq(bench_inb(LCR), 0x00);
    ck_assert_uint_eq(bench_inb(MCR), 0x00);
    ck_assert_uint_eq(bench_inb(LSR), 0x60);
}
END_TEST

/* "Line control register": DLAB = 1 shows the divisor at offsets 0 and 1. */
START_TEST(uart_dlab_switches_to_divisor_latch)
{
    uart_plug();
    bench_outb(LCR, 0x80);
    bench_outb(THR, 0x0c);
    bench_outb(IER, 0x01);
    ck_assert_uint_eq(bench_inb(RBR), 0x0c);
    ck_assert_uint_eq(bench_inb(IER), 0x01);
    bench_outb(LCR, 0x03);
    ck_assert_uint_eq(bench_inb(IER), 0x00);
    ck_assert_uint_eq(bench.output_bytes, 0);
}
END_TEST

/* "Line control register": unused high bits are not sent with words of 5..7 bits. */
START_TEST(uart_transmit_sends_word_length_bits)
{
    uart_plug();
    bench_outb(LCR, 0x03);
    bench_outb(THR, 0xc1);
    bench_outb(LCR, 0x00);
    bench_outb(THR, 0xff);
    ck_assert_uint_eq(bench.output_bytes, 2);
    ck_assert_uint_eq(bench.output[0], 0xc1);
    ck_assert_uint_eq(bench.output[1], 0x1f);
}
END_TEST

/* "Modem control register": bits 7:5 are always 0; "Interrupt enable register": bits 7:4 too. */
START_TEST(uart_reserved_bits_read_zero)
{
    uart_plug();
    bench_outb(MCR, 0xff);
    ck_assert_uint_eq(bench_inb(MCR), 0x1f);
    bench_outb(IER, 0xff);
    ck_assert_uint_eq(bench_inb(IER), 0x0f);
}
END_TEST

/* "Modem control register", bit 4: in loopback DTR, RTS, OUT1, OUT2 appear as DSR, CTS, RI, DCD. */
START_TEST(uart_loopback_connects_modem_lines)
{
    static const struct { uint8_t mcr, msr; } row[] = {
        { 0x10, 0x00 }, { 0x11, 0x20 }, { 0x12, 0x10 }, { 0x14, 0x40 }, { 0x18, 0x80 }, { 0x1f, 0xf0 },
    };

    uart_plug();
    for (size_t i = 0; i < ARRAY_LEN(row); i++) {
        bench_outb(MCR, row[i].mcr);
        ck_assert_uint_eq(bench_inb(MSR) & 0xf0, row[i].msr);
    }
}
END_TEST

/* The same: transmitted data is received at once, and nothing leaves the chip. */
START_TEST(uart_loopback_returns_data)
{
    uart_plug();
    bench_outb(LCR, 3);
    bench_outb(MCR, 0x10);
    bench_outb(THR, 0xa5);
    ck_assert_uint_eq(bench_inb(LSR) & 1, 1);
    ck_assert_uint_eq(bench_inb(RBR), 0xa5);
    ck_assert_uint_eq(bench_inb(LSR) & 1, 0);
    ck_assert_uint_eq(bench.output_bytes, 0);
}
END_TEST

/* "Line status register", bit 1: overrun in character mode; the old character is lost; reading LSR clears OE. */
START_TEST(uart_overrun_sets_oe_until_lsr_is_read)
{
    uart_plug();
    uart_feed("a", 1);
    uart_feed("b", 1);
    ck_assert_uint_eq(bench_inb(LSR) & 0x03, 0x03);
    ck_assert_uint_eq(bench_inb(LSR) & 0x03, 0x01);
    ck_assert_uint_eq(bench_inb(RBR), 'b');
}
END_TEST

/* The same: a full FIFO keeps its 16 characters, the 17th is lost. */
START_TEST(uart_fifo_overrun_keeps_sixteen)
{
    uart_plug();
    bench_outb(FCR, 0x01);
    uart_feed("0123456789abcdefX", 17);
    ck_assert_uint_eq(bench_inb(LSR) & 0x03, 0x03);
    for (int i = 0; i < 16; i++)
        ck_assert_uint_eq(bench_inb(RBR), "0123456789abcdef"[i]);
    ck_assert_uint_eq(bench_inb(LSR) & 0x01, 0);
}
END_TEST

/* "FIFO control register": trigger levels 1, 4, 8, 14; table IV: received data is IIR 04h, with C0h for FIFOs on. */
START_TEST(uart_fifo_interrupts_at_trigger_level)
{
    static const unsigned level[4] = { 1, 4, 8, 14 };

    uart_plug();
    bench_outb(MCR, 0x08);
    bench_outb(IER, 0x01);
    for (unsigned i = 0; i < 4; i++) {
        bench_outb(FCR, (uint8_t)(0x03 | i << 6));
        for (unsigned n = 1; n < level[i]; n++)
            uart_feed("x", 1);
        ck_assert_uint_eq(bench_inb(IIR), 0xc1);
        uart_feed("x", 1);
        ck_assert_uint_eq(bench_inb(IIR), 0xc4);
        ck_assert(irq.level);
        bench_inb(RBR);
        ck_assert_uint_eq(irq.level, 0);
    }
}
END_TEST

/* "FIFO interrupt mode operation": a character below the trigger for 4 character times gives IIR 0Ch. */
START_TEST(uart_fifo_times_out_after_four_characters)
{
    /* 9600 baud (divisor 12), 8N1: 10 bits, 4 characters: 40 / 9600 s = 4.1666.. ms */
    uart_plug();
    bench_outb(LCR, 0x83);
    bench_outb(THR, 12);
    bench_outb(LCR, 0x03);
    bench_outb(MCR, 0x08);
    bench_outb(FCR, 0xc1);
    bench_outb(IER, 0x01);
    uart_feed("x", 1);
    bench_advance(4166000);
    ck_assert_uint_eq(bench_inb(IIR), 0xc1);
    bench_advance(1000);
    ck_assert_uint_eq(bench_inb(IIR), 0xcc);
    ck_assert(irq.level);
    bench_inb(RBR);
    ck_assert_uint_eq(bench_inb(IIR), 0xc1);
}
END_TEST

/* Table IV: reading IIR answers THRE (02h); enabling it with THR empty raises it. */
START_TEST(uart_thre_interrupt_clears_on_iir_read)
{
    uart_plug();
    bench_outb(MCR, 0x08);
    bench_outb(IER, 0x02);
    ck_assert(irq.level);
    ck_assert_uint_eq(bench_inb(IIR), 0x02);
    ck_assert_uint_eq(irq.level, 0);
    ck_assert_uint_eq(bench_inb(IIR), 0x01);
    bench_outb(THR, 'x');
    ck_assert_uint_eq(bench_inb(IIR), 0x02);
}
END_TEST

/* A PC's adapter drives the bus through OUT2 (IBM PC/AT Technical Reference, asynchronous adapter). */
START_TEST(uart_interrupt_needs_out2)
{
    uart_plug();
    bench_outb(IER, 0x01);
    uart_feed("x", 1);
    ck_assert_uint_eq(irq.level, 0);
    bench_outb(MCR, 0x08);
    ck_assert_uint_eq(irq.level, 1);
}
END_TEST

static size_t uart_room(void) { return bench.backend.input_room(bench.backend.device); }

/*
 * "Modem control register", bit 1: RTS tells the other side that this one is ready.  A driver that has it off, as it sets up,
 * loses nothing; a program that never touches MCR gets what it looks for.
 */
START_TEST(uart_peer_waits_for_rts_or_for_a_look)
{
    uart_plug();
    ck_assert_uint_eq(uart_room(), 0);
    bench_inb(LSR);
    ck_assert_uint_eq(uart_room(), 1);
    bench_outb(MCR, 0x01);
    ck_assert_uint_eq(uart_room(), 0);
    bench_outb(MCR, 0x03);
    bench_outb(FCR, 0x01);
    ck_assert_uint_eq(uart_room(), 16);
    uart_feed("abc", 3);
    ck_assert_uint_eq(uart_room(), 13);
    bench_outb(MCR, 0x13);
    ck_assert_uint_eq(uart_room(), 0);
    bench_outb(MCR, 0x08);
    ck_assert_uint_eq(uart_room(), 0);
    bench_outb(IER, 0x01);
    ck_assert_uint_eq(uart_room(), 13);
}
END_TEST

BENCH_MAIN("uart", uart_reset_gives_table_i_values, uart_dlab_switches_to_divisor_latch,
           uart_transmit_sends_word_length_bits, uart_reserved_bits_read_zero, uart_loopback_connects_modem_lines,
           uart_loopback_returns_data, uart_overrun_sets_oe_until_lsr_is_read, uart_fifo_overrun_keeps_sixteen,
           uart_fifo_interrupts_at_trigger_level, uart_fifo_times_out_after_four_characters,
           uart_thre_interrupt_clears_on_iir_read, uart_interrupt_needs_out2, uart_peer_waits_for_rts_or_for_a_look)
