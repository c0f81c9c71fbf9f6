/*
 * uart.c - a 16550A serial port with its 16-byte FIFOs, as a PC wires it (OUT2 gates the interrupt).
 *
 * Not modelled: the time a character takes to go out (the transmitter is always empty again at once), framing and
 * parity errors, DMA mode (RXRDY, TXRDY pins), and modem inputs other than a peer that is always ready.
 * Manual: National Semiconductor PC16550D data sheet (June 1995), section 8, "Registers".
 */
#include "uart.h"

#define UART_HZ 1843200u /* 1.8432 MHz crystal, table III of the data sheet */
#define UART_FIFO 16

enum { RBR_THR = 0, IER = 1, IIR_FCR = 2, LCR = 3, MCR = 4, LSR = 5, MSR = 6, SCR = 7 };
enum { IER_RX = 1, IER_THRE = 2, IER_LINE = 4, IER_MODEM = 8, IER_MASK = 15 };
enum { IIR_NONE = 1, IIR_MODEM = 0, IIR_THRE = 2, IIR_RX = 4, IIR_LINE = 6, IIR_TIMEOUT = 12, IIR_FIFO = 0xc0 };
enum { FCR_ENABLE = 1, FCR_CLEAR_RX = 2, FCR_CLEAR_TX = 4, FCR_DMA = 8 };
enum { LCR_BREAK = 0x40, LCR_DLAB = 0x80 };
enum { MCR_DTR = 1, MCR_RTS = 2, MCR_OUT1 = 4, MCR_OUT2 = 8, MCR_LOOP = 16, MCR_MASK = 31 };
enum { LSR_DR = 1, LSR_OE = 2, LSR_BI = 16, LSR_THRE = 32, LSR_TEMT = 64, LSR_ERRORS = 0x1e };
enum { MSR_DELTAS = 15, MSR_CTS = 0x10, MSR_DSR = 0x20, MSR_RI = 0x40, MSR_DCD = 0x80 };

/*
 * Whoever is at the other end sends while RTS is active ("Modem control register", bit 1), or the guest has asked for receive
 * interrupts; and to a guest that has never written MCR, as soon as it has looked whether there is something.
 */
enum peer { PEER_WAITS, PEER_SENDS, PEER_HEEDS_RTS, PEERS };

struct uart {
    uint8_t peer;
    uint8_t ier, fcr, lcr, mcr, lsr, msr, scr;
    uint16_t divisor;
    bool thre_waits;    /* a THRE interrupt has not been answered yet */
    bool rx_timeout;    /* characters have lain in the FIFO for four character times */
    uint8_t rx[UART_FIFO];
    unsigned rx_first, rx_count;
    struct clock_timer timer;
    struct clock *clock;
    struct irq interrupt;
    struct char_backend *backend;
};

static unsigned uart_fifo_size(const struct uart *u) { return u->fcr & FCR_ENABLE ? UART_FIFO : 1; }

/* "FIFO control register": receiver trigger level by bits 7:6. */
static unsigned uart_trigger(const struct uart *u)
{
    static const uint8_t level[4] = { 1, 4, 8, 14 };

    return u->fcr & FCR_ENABLE ? level[u->fcr >> 6] : 1;
}

/* One character: start bit, 5..8 data bits, parity, stop bits (1.5 counts as 2). */
static uint64_t uart_character_ns(const struct uart *u)
{
    unsigned bits = 1 + 5 + (u->lcr & 3) + !!(u->lcr & 8) + 1 + !!(u->lcr & 4);
    unsigned divisor = u->divisor ? u->divisor : 1;

    return clock_ticks_to_ns((uint64_t)bits * 16 * divisor, UART_HZ);
}

/* Table IV, highest priority first. */
static uint8_t uart_identify(const struct uart *u)
{
    if (u->ier & IER_LINE && u->lsr & LSR_ERRORS)
        return IIR_LINE;
    if (u->ier & IER_RX && u->rx_count >= uart_trigger(u))
        return IIR_RX;
    if (u->ier & IER_RX && u->rx_timeout)
        return IIR_TIMEOUT;
    if (u->ier & IER_THRE && u->thre_waits)
        return IIR_THRE;
    if (u->ier & IER_MODEM && u->msr & MSR_DELTAS)
        return IIR_MODEM;
    return IIR_NONE;
}

static void uart_update(struct uart *u)
{
    /* In loopback the OUT2 pin is inactive ("Modem control register"), so a PC sees no interrupt then. */
    bool gate = u->mcr & MCR_OUT2 && !(u->mcr & MCR_LOOP);

    irq_set(&u->interrupt, gate && uart_identify(u) != IIR_NONE);
}

static void uart_restart_timeout(struct uart *u)
{
    u->rx_timeout = false;
    if (u->fcr & FCR_ENABLE && u->rx_count)
        clock_arm(u->clock, &u->timer, clock_now(u->clock) + 4 * uart_character_ns(u));
    else
        clock_disarm(u->clock, &u->timer);
}

static void uart_timeout(void *opaque)
{
    struct uart *u = opaque;

    u->rx_timeout = u->rx_count != 0;
    uart_update(u);
}

static void uart_receive(struct uart *u, uint8_t c)
{
    if (u->rx_count == uart_fifo_size(u)) {
        u->lsr |= LSR_OE;
        if (u->fcr & FCR_ENABLE)
            return; /* the FIFO keeps what it has; the shift register is overwritten */
        u->rx_count = 0;
    }
    u->rx[(u->rx_first + u->rx_count++) % UART_FIFO] = c;
    u->lsr |= LSR_DR;
    uart_restart_timeout(u);
}

static uint8_t uart_read_rbr(struct uart *u)
{
    uint8_t c = u->rx[u->rx_first];

    if (!u->rx_count)
        return c; /* the last character again */
    if (--u->rx_count)
        u->rx_first = (u->rx_first + 1) % UART_FIFO;
    else
        u->lsr &= ~LSR_DR;
    uart_restart_timeout(u);
    return c;
}

static void uart_clear_rx(struct uart *u)
{
    u->rx_first = u->rx_count = 0;
    u->lsr &= ~LSR_DR;
    uart_restart_timeout(u);
}

static void uart_transmit(struct uart *u, uint8_t c)
{
    c &= (uint8_t)bits_mask(5 + (u->lcr & 3));
    if (u->mcr & MCR_LOOP)
        uart_receive(u, c);
    else
        backend_output(u->backend, &c, 1);
    u->thre_waits = true; /* empty again at once */
}

/* Modem inputs: a peer that is ready, or in loopback our own outputs ("Modem control register", bit 4). */
static void uart_update_modem(struct uart *u)
{
    uint8_t inputs = MSR_CTS | MSR_DSR | MSR_DCD, changed;

    if (u->mcr & MCR_LOOP)
        inputs = (u->mcr & MCR_RTS ? MSR_CTS : 0) | (u->mcr & MCR_DTR ? MSR_DSR : 0) |
                 (u->mcr & MCR_OUT1 ? MSR_RI : 0) | (u->mcr & MCR_OUT2 ? MSR_DCD : 0);
    changed = (u->msr ^ inputs) & 0xf0;
    if (inputs & MSR_RI)
        changed &= ~MSR_RI; /* TERI is the trailing edge only */
    u->msr = inputs | (u->msr & MSR_DELTAS) | changed >> 4;
}

static void uart_write_fcr(struct uart *u, uint8_t v)
{
    if ((u->fcr ^ v) & FCR_ENABLE)
        v |= FCR_CLEAR_RX | FCR_CLEAR_TX; /* changing the mode empties the FIFOs */
    u->fcr = v & FCR_ENABLE ? v & (0xc0 | FCR_DMA | FCR_ENABLE) : 0; /* other bits stay 0 unless bit 0 is written 1 */
    if (v & FCR_CLEAR_RX)
        uart_clear_rx(u);
}

static uint64_t uart_read(void *state, uint64_t offset, unsigned width)
{
    struct uart *u = state;
    uint8_t v;

    (void)width;
    switch (offset) {
    case RBR_THR:
        v = u->lcr & LCR_DLAB ? (uint8_t)u->divisor : uart_read_rbr(u);
        break;
    case IER:
        v = u->lcr & LCR_DLAB ? u->divisor >> 8 : u->ier;
        break;
    case IIR_FCR:
        v = uart_identify(u);
        if (v == IIR_THRE)
            u->thre_waits = false; /* reading IIR answers this one */
        if (u->fcr & FCR_ENABLE)
            v |= IIR_FIFO;
        break;
    case LCR: v = u->lcr; break;
    case MCR: v = u->mcr; break;
    case LSR:
        v = u->lsr;
        if (u->peer == PEER_WAITS)
            u->peer = PEER_SENDS;
        u->lsr &= ~LSR_ERRORS;
        break;
    case MSR:
        v = u->msr;
        u->msr &= ~MSR_DELTAS;
        break;
    default: v = u->scr; break;
    }
    uart_update(u);
    return v;
}

static void uart_write(void *state, uint64_t offset, unsigned width, uint64_t value)
{
    struct uart *u = state;
    uint8_t v = (uint8_t)value;

    (void)width;
    switch (offset) {
    case RBR_THR:
        if (u->lcr & LCR_DLAB)
            u->divisor = (u->divisor & 0xff00) | v;
        else
            uart_transmit(u, v);
        break;
    case IER:
        if (u->lcr & LCR_DLAB) {
            u->divisor = (uint16_t)((u->divisor & 0xff) | v << 8);
            break;
        }
        if (v & ~u->ier & IER_THRE)
            u->thre_waits = true; /* enabling it while THR is empty interrupts at once */
        u->ier = v & IER_MASK;
        break;
    case IIR_FCR: uart_write_fcr(u, v); break;
    case LCR:
        if (u->mcr & MCR_LOOP && v & ~u->lcr & LCR_BREAK) {
            uart_receive(u, 0);
            u->lsr |= LSR_BI;
        }
        u->lcr = v;
        break;
    case MCR:
        u->mcr = v & MCR_MASK;
        u->peer = PEER_HEEDS_RTS;
        uart_update_modem(u);
        break;
    case SCR: u->scr = v; break;
    default: break; /* LSR is for factory tests, MSR is read-only */
    }
    uart_update(u);
}

static size_t uart_input_room(void *device)
{
    struct uart *u = ((struct device *)device)->state;

    if (u->mcr & MCR_LOOP)
        return 0; /* SIN is disconnected */
    if (!(u->ier & IER_RX) && !(u->peer == PEER_HEEDS_RTS ? u->mcr & MCR_RTS : u->peer))
        return 0;
    return uart_fifo_size(u) - u->rx_count;
}

static void uart_input(void *device, const uint8_t *data, size_t size)
{
    struct uart *u = ((struct device *)device)->state;

    while (size--)
        uart_receive(u, *data++);
    uart_update(u);
}

/* Table I.  The scratch register, the divisor and received data are not touched by master reset. */
static void uart_reset(struct device *device)
{
    struct uart *u = device->state;

    u->ier = u->fcr = u->lcr = u->mcr = 0;
    u->peer = PEER_WAITS;
    u->lsr = LSR_THRE | LSR_TEMT;
    u->msr = MSR_CTS | MSR_DSR | MSR_DCD;
    u->thre_waits = false;
    uart_clear_rx(u);
    uart_update(u);
}

static void uart_create(struct device *device)
{
    struct uart *u = device->state;

    u->clock = device->host.clock;
    u->timer = (struct clock_timer){ .fire = uart_timeout, .opaque = u };
    u->divisor = 1;
}

static void uart_destroy(struct device *device)
{
    struct uart *u = device->state;

    clock_disarm(u->clock, &u->timer);
}

void uart_connect(struct device *device, struct irq interrupt, struct char_backend *backend)
{
    struct uart *u = device->state;

    u->interrupt = interrupt;
    u->backend = backend;
    if (backend) {
        backend->device = device;
        backend->input_room = uart_input_room;
        backend->input = uart_input;
    }
}

void uart_place(struct device *device, uint16_t port) { region_move(&device->region[0], port, true); }

static const struct region_ops uart_ops = { .read = uart_read, .write = uart_write, .limits = { .widths = W1 } };

#define STATE struct uart
FIELDS(uart_fields, FIELD_MAX(peer, PEERS - 1), FIELD(ier), FIELD(fcr), FIELD(lcr), FIELD(mcr), FIELD(lsr), FIELD(msr), FIELD(scr), FIELD(divisor),
       FIELD(thre_waits), FIELD(rx_timeout), FIELD_ARRAY(rx), FIELD_MAX(rx_first, UART_FIFO - 1), FIELD_MAX(rx_count, UART_FIFO), FIELD_DEADLINE(timer),
       WIRING(clock), FIELD_IRQ(interrupt), WIRING(backend))
#undef STATE

static bool uart_restored(struct device *device, struct err *err)
{
    const struct uart *u = device->state;

    return u->rx_count <= uart_fifo_size(u) || err_set(err, "%u characters without a FIFO", u->rx_count);
}

const struct device_class uart_class = {
    .name = "uart",
    .title = "16550A serial port (National PC16550D)",
    .state_size = sizeof(struct uart),
    .region = { { REGION_PIO, 0x3f8, 8, &uart_ops, false } },
    .create = uart_create,
    .reset = uart_reset,
    .destroy = uart_destroy,
    .fields = &uart_fields,
    .restored = uart_restored,
};
