/*
 * net.c - a driver of a virtio network card, for long mode without anything else: VIRTIO 1.2 sections 3.1, 2.7, 4.1 and 5.1.
 *
 * Asks by ARP (RFC 826) who has 10.0.2.2, and by DHCP (RFC 2131) for an address, and prints "arp", "dhcp" and "ready" as it goes.
 * Then it sleeps in HLT, and sends every datagram to port 7 back (RFC 862) until one is "quit": "bye".
 */
#include "bare.h"

enum { SLOT = 21, QUEUE = 8, RX = 0, TX = 1, HEADER = 12, BUFFER = 2048, WRITE = 2, VECTOR = 0x40 };
enum { APIC = 0xfee00000, APIC_EOI = 0xb0, APIC_SPURIOUS = 0xf0 };

static void copy(void *to, const void *from, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        ((uint8_t *)to)[i] = ((const uint8_t *)from)[i];
}

static int same(const void *a, const void *b, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        if (((const uint8_t *)a)[i] != ((const uint8_t *)b)[i])
            return 0;
    return 1;
}

/* -- interrupts: one message, of which nothing is wanted but that it ends HLT -------------------------------------------------- */


static uint64_t gdt[2] = { 0, 0x00209a0000000000 };
static struct { uint16_t low, selector, type, middle; uint32_t high, zero; } idt[256];

__attribute__((interrupt)) static void on_message(void *frame)
{
    (void)frame;
    REGISTER(uint32_t, APIC + APIC_EOI) = 0;
}

static void take_interrupts(void)
{
    struct { uint16_t limit; uint64_t base; } __attribute__((packed)) g = { sizeof(gdt) - 1, (uintptr_t)gdt }, i = { sizeof(idt) - 1, (uintptr_t)idt };
    uint64_t at = (uintptr_t)on_message;

    idt[VECTOR].low = (uint16_t)at;
    idt[VECTOR].selector = 8;
    idt[VECTOR].type = 0x8e00;
    idt[VECTOR].middle = (uint16_t)(at >> 16);
    __asm__ volatile("lgdt %0\n lidt %1\n push $8\n lea 1f(%%rip), %%rax\n push %%rax\n lretq\n 1: mov %2, %%ss" : : "m"(g), "m"(i), "r"(0) : "rax", "memory");
    REGISTER(uint32_t, APIC + APIC_SPURIOUS) = 0x1ff;
}

/* -- the card ---------------------------------------------------------------------------------------------------------------------- */

struct queue {
    struct descriptor table[QUEUE] __attribute__((aligned(16)));
    struct { uint16_t flags, index, ring[QUEUE], event; } available __attribute__((aligned(2)));
    volatile struct { uint16_t flags, index; struct { uint32_t id, bytes; } ring[QUEUE]; uint16_t event; } used __attribute__((aligned(4)));
    uint16_t seen;
};

static struct queue queue[2];
static uint8_t received[QUEUE][BUFFER], sent[BUFFER];
static uint8_t *const frame = sent + HEADER;
static uint64_t common, notify;
static uint8_t mac[6], router[6];
static const uint8_t me[4] = { 10, 0, 2, 15 }, host[4] = { 10, 0, 2, 2 };

static void pci_write(unsigned at, uint32_t v)
{
    outl(0xcf8, 0x80000000u | SLOT << 11 | (at & 0xfc));
    outl(0xcfc, v);
}

static void use_message(uint64_t bar, unsigned at)
{
    uint64_t table = bar + (config_read(SLOT, at + 4) & ~7u);

    REGISTER(uint64_t, table) = APIC;
    REGISTER(uint32_t, table + 8) = VECTOR;
    REGISTER(uint32_t, table + 12) = 0;
    pci_write(at, (config_read(SLOT, at) & 0xffff) | 0x80000000u);
}

static void find(void)
{
    uint64_t bar = (config_read(SLOT, 0x10) & ~15u) | (uint64_t)config_read(SLOT, 0x14) << 32, config = 0;

    if (config_read(SLOT, 0) != 0x10411af4)
        fail('p');
    for (unsigned at = config_read(SLOT, 0x34) & 0xff; at; at = config_read(SLOT, at + 1) & 0xff) {
        unsigned id = config_read(SLOT, at) & 0xff, type = config_read(SLOT, at + 3) & 0xff;

        if (id == 0x11)
            use_message(bar, at);
        else if (id == 9 && type == 1)
            common = bar + config_read(SLOT, at + 8);
        else if (id == 9 && type == 2)
            notify = bar + config_read(SLOT, at + 8);
        else if (id == 9 && type == 4)
            config = bar + config_read(SLOT, at + 8);
    }
    for (unsigned i = 0; i < 6; i++)
        mac[i] = REGISTER(uint8_t, config + i);
}

static void make_available(unsigned n, unsigned i)
{
    struct queue *q = &queue[n];

    q->available.ring[q->available.index % QUEUE] = (uint16_t)i;
    __asm__ volatile("" : : : "memory");
    q->available.index++;
    __asm__ volatile("" : : : "memory");
}

static void set_queue(unsigned n)
{
    REGISTER(uint16_t, common + 0x16) = (uint16_t)n;
    REGISTER(uint16_t, common + 0x18) = QUEUE;
    REGISTER(uint16_t, common + 0x1a) = n == RX ? 0 : 0xffff;
    REGISTER(uint64_t, common + 0x20) = (uintptr_t)queue[n].table;
    REGISTER(uint64_t, common + 0x28) = (uintptr_t)&queue[n].available;
    REGISTER(uint64_t, common + 0x30) = (uintptr_t)&queue[n].used;
    REGISTER(uint16_t, common + 0x1c) = 1;
}

/* VERSION_1 and MAC. */
static void begin(void)
{
    find();
    REGISTER(uint8_t, common + 0x14) = 0;
    REGISTER(uint8_t, common + 0x14) = 1 | 2;
    REGISTER(uint32_t, common + 0x08) = 0;
    REGISTER(uint32_t, common + 0x0c) = 1 << 5;
    REGISTER(uint32_t, common + 0x08) = 1;
    REGISTER(uint32_t, common + 0x0c) = 1;
    REGISTER(uint8_t, common + 0x14) = 1 | 2 | 8;
    if (REGISTER(uint8_t, common + 0x14) != (1 | 2 | 8))
        fail('f');
    set_queue(RX);
    set_queue(TX);
    REGISTER(uint8_t, common + 0x14) = 1 | 2 | 4 | 8;
    for (unsigned i = 0; i < QUEUE; i++) {
        queue[RX].table[i] = (struct descriptor){ (uintptr_t)received[i], BUFFER, WRITE, 0 };
        make_available(RX, i);
    }
    REGISTER(uint16_t, notify) = RX;
}

static void send(unsigned bytes)
{
    struct queue *q = &queue[TX];

    q->table[0] = (struct descriptor){ (uintptr_t)sent, HEADER + bytes, 0, 0 };
    make_available(TX, 0);
    REGISTER(uint16_t, notify + 4) = TX;
    while (q->used.index != q->available.index)
        ;
}

/* The next frame, in HLT until there is one; give_back() when done with it. */
static uint8_t *receive(void)
{
    struct queue *q = &queue[RX];

    for (;;) {
        __asm__ volatile("cli");
        if (q->used.index != q->seen)
            break;
        __asm__ volatile("sti\n hlt");
    }
    return received[q->used.ring[q->seen % QUEUE].id] + HEADER;
}

static void give_back(void)
{
    make_available(RX, queue[RX].used.ring[queue[RX].seen++ % QUEUE].id);
    REGISTER(uint16_t, notify) = RX;
}

/* -- protocols --------------------------------------------------------------------------------------------------------------------- */

static void put16(uint8_t *at, unsigned v)
{
    at[0] = (uint8_t)(v >> 8);
    at[1] = (uint8_t)v;
}

static unsigned get16(const uint8_t *at) { return at[0] << 8 | at[1]; }

static void ethernet(const uint8_t *to, unsigned type)
{
    copy(frame, to, 6);
    copy(frame + 6, mac, 6);
    put16(frame + 12, type);
}

static const uint8_t everybody[6] = { 255, 255, 255, 255, 255, 255 };

static void send_arp(unsigned operation, const uint8_t *to, const uint8_t *their_ip)
{
    static const uint8_t kind[6] = { 0, 1, 8, 0, 6, 4 };
    uint8_t *a = frame + 14;

    ethernet(to, 0x0806);
    copy(a, kind, 6);
    put16(a + 6, operation);
    copy(a + 8, mac, 6);
    copy(a + 14, me, 4);
    copy(a + 18, to, 6);
    copy(a + 24, their_ip, 4);
    send(14 + 28);
}

/* Who asks for us is told. */
static int is_arp_reply(const uint8_t *f)
{
    if (get16(f + 12) != 0x0806)
        return 0;
    if (get16(f + 20) == 1 && same(f + 38, me, 4))
        send_arp(2, f + 22, f + 28);
    return get16(f + 20) == 2;
}

/* An IPv4 header (RFC 791) and a UDP one (RFC 768), whose checksum may be left out; the data is there already. */
static void send_udp(const uint8_t *from, const uint8_t *to, unsigned from_port, unsigned to_port, unsigned bytes)
{
    static const uint8_t start[12] = { 0x45, 0, 0, 0, 0, 1, 0, 0, 64, 17, 0, 0 };
    uint8_t *ip = frame + 14, *udp = ip + 20;
    unsigned sum = 0;

    copy(ip, start, 12);
    put16(ip + 2, 28 + bytes);
    copy(ip + 12, from, 4);
    copy(ip + 16, to, 4);
    for (unsigned i = 0; i < 20; i += 2)
        sum += get16(ip + i);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    put16(ip + 10, ~sum & 0xffff);
    put16(udp, from_port);
    put16(udp + 2, to_port);
    put16(udp + 4, 8 + bytes);
    put16(udp + 6, 0);
    send(14 + 28 + bytes);
}

static void ask_for_router(void)
{
    const uint8_t *f;

    send_arp(1, everybody, host);
    while (!is_arp_reply(f = receive()))
        give_back();
    if (!same(f + 28, host, 4))
        fail('a');
    copy(router, f + 22, 6);
    give_back();
    print("arp ");
}

static int is_udp_to(const uint8_t *f, unsigned port)
{
    return get16(f + 12) == 0x0800 && f[14] == 0x45 && f[23] == 17 && get16(f + 36) == port;
}

static void ask_for_address(void)
{
    static const uint8_t nobody[4] = { 0 }, magic[8] = { 99, 130, 83, 99, 53, 1, 1, 255 }; /* RFC 2132: DHCPDISCOVER, end */
    uint8_t *data = frame + 42;
    const uint8_t *f;

    ethernet(everybody, 0x0800);
    for (unsigned i = 0; i < 300; i++)
        data[i] = 0;
    data[0] = data[1] = 1;
    data[2] = 6;
    copy(data + 4, "wide", 4);
    copy(data + 28, mac, 6);
    copy(data + 236, magic, sizeof(magic));
    send_udp(nobody, everybody, 68, 67, 300);
    while (!is_udp_to(f = receive(), 68))
        give_back();
    if (f[42] != 2 || !same(f + 46, "wide", 4) || !same(f + 42 + 16, me, 4))
        fail('d');
    give_back();
    print("dhcp ");
}

static int echo(const uint8_t *f)
{
    unsigned bytes = get16(f + 38) - 8;
    int quit;

    if (is_arp_reply(f) || !is_udp_to(f, 7) || bytes > 1400)
        return 0;
    copy(frame + 42, f + 42, bytes);
    quit = same(f + 42, "quit", 4);
    ethernet(router, 0x0800);
    send_udp(me, f + 26, 7, get16(f + 34), bytes);
    return quit;
}

void _start(void)
{
    int quit;

    take_interrupts();
    begin();
    ask_for_router();
    ask_for_address();
    print("ready ");
    do {
        quit = echo(receive());
        give_back();
    } while (!quit);
    print("bye");
    leave(0);
}
