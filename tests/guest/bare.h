/*
 * bare.h - what small guests of 64-bit code have where there is nothing else: ports, the debug console, the way out, PCI.
 */
#ifndef GUEST_BARE_H
#define GUEST_BARE_H

#include <stdint.h>

#define REGISTER(type, at) (*(volatile type *)(uintptr_t)(at))

/* A split queue's descriptor (VIRTIO 1.2 section 2.7.5). */
struct descriptor {
    uint64_t at;
    uint32_t bytes;
    uint16_t flags, next;
};

static inline void outb(uint16_t port, uint8_t v) { __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port)); }
static inline void outl(uint16_t port, uint32_t v) { __asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port)); }
static inline uint32_t inl(uint16_t port)
{
    uint32_t v;

    __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

static void leave(uint8_t status)
{
    outb(0xf4, status);
    for (;;)
        __asm__ volatile("hlt");
}

static void print(const char *text)
{
    while (*text)
        outb(0xe9, (uint8_t)*text++);
}

static void fail(char where)
{
    print("bad ");
    outb(0xe9, (uint8_t)where);
    leave(1);
}

static uint32_t config_read(unsigned slot, unsigned at)
{
    outl(0xcf8, 0x80000000u | slot << 11 | (at & 0xfc));
    return inl(0xcfc) >> (at & 3) * 8;
}

#endif
