/*
 * guest.h - what a row of the benchmark is, and what the bare machine under it offers.
 *
 * The same objects are linked into guest.elf (long mode), guest32.elf (protected mode) and the Linux programs native and
 * native32: what differs between two engines is never the compiler's work.  Rows of the system and of devices are in
 * guest.elf only.
 */
#ifndef BENCH_GUEST_H
#define BENCH_GUEST_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned u32;
typedef unsigned long long u64;

/*
 * round   a fixed amount of work, a few million instructions; returns the same checksum every time it is called
 * units   how many of `unit` a round does: the report divides by it
 * setup   once, before the first round; false: this machine does not have what the row needs.  May be null
 */
struct row {
    const char *name, *group, *unit;
    u32 units;
    int (*setup)(void);
    u32 (*round)(void);
};

/* Rows gather in a section of their own; a table of pointers, because pointers leave no gaps. */
#define ROW(id, ...)                                                                                                   \
    static const struct row row_##id = { .name = #id, __VA_ARGS__ };                                                   \
    static const struct row *const entry_##id __attribute__((section("rows"), used)) = &row_##id

/* runner.c */
const struct row *row_find(const char *name);
int run_row(const char *name, u32 rounds); /* prints the result; false: there is no such row, or its checksum changed */
u32 parse_number(const char *text);
void print(const char *text);
void print_hex(u64 v, unsigned digits);
void put(const char *text, u32 size); /* the platform's: guest.c, native.c */

static inline u32 random_next(u32 *state) { return *state = *state * 1664525 + 1013904223; }
static inline u32 mix(u32 sum, u32 v) { return (sum << 5 | sum >> 27) ^ v; }

/* May vectors of so many bytes be used?  In a guest they may from then on. */
int enable_vectors(u32 width); /* the platform's */

#ifdef __x86_64__
static inline u32 cpuid(u32 leaf, unsigned reg)
{
    u32 v[4];

    __asm__ volatile("cpuid" : "=a"(v[0]), "=b"(v[1]), "=c"(v[2]), "=d"(v[3]) : "a"(leaf), "c"(0));
    return v[reg];
}

/* AVX and AVX2 for 32 bytes; AVX-512 F, BW, DQ, VL for 64. */
static inline int has_vectors(u32 width)
{
    return width <= 16 || (cpuid(1, 2) >> 28 & 1 && cpuid(7, 1) >> 5 & 1 && (width <= 32 || (cpuid(7, 1) & 0xc0030000) == 0xc0030000));
}
#endif

static inline void outb(u16 port, u8 v) { __asm__ volatile("outb %0, %1" ::"a"(v), "Nd"(port)); }
static inline void outl(u16 port, u32 v) { __asm__ volatile("outl %0, %1" ::"a"(v), "Nd"(port)); }
static inline u8 inb(u16 port)
{
    u8 v;

    __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}
static inline u32 inl(u16 port)
{
    u32 v;

    __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

#ifdef __x86_64__
/* guest.c, start.S: long mode, CPL 0, interrupts off, the first 4 GiB one to one and open to CPL 3 */
struct frame {
    u64 rip, cs, rflags, rsp, ss;
};
void guest_set_gate(unsigned vector, void *handler);

/* 2 MiB at 4 GiB, in 4 KiB pages; all not present at first. */
#define WINDOW_PAGES 512
#define WINDOW_PRESENT 3
extern u64 window_table[WINDOW_PAGES];
static inline volatile u64 *window_page(unsigned n) { return (volatile u64 *)(0x100000000 + n * 4096ull); }
static inline void reload_cr3(void)
{
    u64 v;

    __asm__ volatile("mov %%cr3, %0; mov %0, %%cr3" : "=r"(v)::"memory");
}

static inline void wrmsr(u32 msr, u64 v) { __asm__ volatile("wrmsr" ::"c"(msr), "a"((u32)v), "d"((u32)(v >> 32)) : "memory"); }
#endif

#endif
