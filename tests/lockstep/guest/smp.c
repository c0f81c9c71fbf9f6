/*
 * smp.c - a guest with two processors that work on the same things: counters of all kinds and widths, code that one writes and the other
 * runs, pages that one moves and both use, interrupts to each other.
 *
 * The second is started by INIT and a start-up message and then does what the first orders.  What comes of it is the same whoever is
 * faster, so a round returns one checksum on any machine.
 */
#include "guest.h"

#define APIC(reg) (*(volatile u32 *)(0xfee00000ull + (reg)))
#define TRAMPOLINE 0x8000ull
#define CROSSED ((volatile u32 *)window_page(5) - 1)
#define STEPS 300
enum { TIMES = 50, TIMES_LONG = 8000 }; /* most of an order; where both shall be at it at once */
enum { WAKE = 0x41, FLUSH = 0x42 };
enum { LOCKED = 1, GUARDED, CALLS, READS, PAIRS, SPLIT, CROSSING, BESIDE, ORDERS };

extern u8 trampoline[], trampoline_end[];
extern volatile u64 trampoline_cr[3]; /* CR0, CR3, CR4 */
static u8 stack[8192] __attribute__((aligned(16)));
static u8 frames[4][4096] __attribute__((aligned(4096)));
static u8 crossed[2][4096] __attribute__((aligned(4096)));
static u8 code[4096] __attribute__((aligned(4096)));
static volatile u32 up, order, argument, answer, flushed, woken, lock;
static volatile u64 locked, guarded;
static volatile u64 pair[2] __attribute__((aligned(16)));
static volatile u8 split[128] __attribute__((aligned(64)));
static u32 state;
u64 ap_stack = (u64)stack + sizeof(stack);

static u32 draw(u32 n) { return (random_next(&state) >> 8) % n; }
static void pause(void) { __asm__ volatile("pause"); }

/* -- what both do ----------------------------------------------------------------------------------------------------------- */

static void count_locked(u32 n)
{
    while (n--)
        __asm__ volatile("lock addq $3, %0" : "+m"(locked)::"memory");
}

static void count_guarded(u32 n)
{
    while (n--) {
        u32 taken = 1;

        for (;;) {
            __asm__ volatile("xchg %0, %1" : "+r"(taken), "+m"(lock)::"memory");
            if (!taken)
                break;
            pause();
        }
        guarded += 5;
        __asm__ volatile("" ::: "memory");
        lock = 0;
    }
}

/* CMPXCHG16B: two counters as one. */
static void count_pairs(u32 n)
{
    while (n--) {
        u64 a = pair[0], b = pair[1];
        u8 done;

        do
            __asm__ volatile("lock cmpxchg16b %1"
                             : "=@ccz"(done), "+m"(*(volatile u64(*)[2])pair), "+a"(a), "+d"(b)
                             : "b"(a + 1), "c"(b + a)
                             : "memory");
        while (!done);
    }
}

/* Over the end of a cache line, with what each kind of locked instruction does. */
static void count_split(u32 n)
{
    volatile u64 *at = (volatile u64 *)(split + 60);

    for (u64 i = n, old; i; i--) {
        old = i * 0x9e3779b9;
        __asm__ volatile("lock xaddq %0, %1" : "+r"(old), "+m"(*at)::"memory");
        __asm__ volatile("lock xorl %1, %0" : "+m"(*(volatile u32 *)(split + 30)) : "r"((u32)i * 0x85ebca6b) : "memory");
        __asm__ volatile("lock orw %w1, %0" : "+m"(*(volatile u16 *)(split + 1)) : "r"(1 << (i & 15)) : "memory");
        __asm__ volatile("lock incb %0" : "+m"(split[9])::"memory");
    }
}

/* Over the end of a page, and on a part of it that lies within one: nothing of either is lost. */
static void count_crossing(u32 n)
{
    volatile u32 *at = CROSSED;

    while (n--) {
        __asm__ volatile("lock addq %1, %0" : "+m"(*(volatile u64 *)at) : "r"(0x300000001ull) : "memory");
        for (u32 i = 0; i < 8; i++)
            __asm__ volatile("lock incl %0; lock decl %1" : "+m"(at[0]), "+m"(at[1])::"memory");
    }
}

/* In a page with code that both run. */
static void count_beside(u32 n)
{
    volatile u32 *at = (volatile u32 *)(code + 2048);

    while (n--) {
        __asm__ volatile("lock addl $7, %0" : "+m"(at[0])::"memory");
        __asm__ volatile("lock subl $9, %0" : "+m"(at[1])::"memory");
        __asm__ volatile("lock xorl %1, %0" : "+m"(at[2]) : "r"(n * 0x9e3779b1) : "memory");
    }
}

/* MOV EAX, imm32; RET: whatever the other has written there. */
static u32 call_code(u32 n)
{
    u32 sum = 0;

    while (n--)
        sum = mix(sum, ((u32(*)(void))(u64)code)());
    return sum;
}

static u32 read_page(u32 n)
{
    volatile u32 *p = (volatile u32 *)window_page(3);
    u32 sum = 0;

    for (u32 i = 0; i < n; i++)
        sum = mix(sum, p[i % 1024]++);
    return sum;
}

/* -- the second -------------------------------------------------------------------------------------------------------------- */

__attribute__((interrupt)) static void on_wake(struct frame *frame)
{
    frame->rflags &= ~0x10ull; /* AF, which logic leaves undefined, stays in memory otherwise */
    woken++;
    APIC(0xb0) = 0;
}

__attribute__((interrupt)) static void on_flush(struct frame *frame)
{
    frame->rflags &= ~0x10ull;
    __asm__ volatile("invlpg (%0)" ::"r"(window_page(3)) : "memory");
    flushed = 1;
    APIC(0xb0) = 0;
}

static u32 obey(u32 what, u32 n)
{
    switch (what) {
    case LOCKED: count_locked(n); return 0;
    case GUARDED: count_guarded(n); return 0;
    case CALLS: return call_code(n);
    case READS: return read_page(n);
    case PAIRS: count_pairs(n); return 0;
    case SPLIT: count_split(n); return 0;
    case CROSSING: count_crossing(n); return 0;
    case BESIDE: count_beside(n); return 0;
    default: return 0;
    }
}

void ap_main(void);
void ap_main(void)
{
    APIC(0xf0) = 0x1ff;
    up = APIC(0x20) >> 24;
    for (;;) {
        __asm__ volatile("cli");
        if (!order)
            __asm__ volatile("sti; hlt");
        __asm__ volatile("sti");
        if (order) {
            answer = obey(order, argument);
            order = 0;
        }
    }
}

/* Real mode at a page below 1 MiB, to where the first is: its paging, its segments. */
__asm__(".code16\n"
        "trampoline: cli\n"
        " mov %cs, %ax\n"
        " mov %ax, %ds\n"
        " lgdtl trampoline_gdt - trampoline\n"
        " mov trampoline_cr + 16 - trampoline, %eax\n"
        " mov %eax, %cr4\n"
        " mov trampoline_cr + 8 - trampoline, %eax\n"
        " mov %eax, %cr3\n"
        " mov $0xc0000080, %ecx\n"
        " rdmsr\n"
        " or $0x100, %eax\n"
        " wrmsr\n"
        " mov trampoline_cr - trampoline, %eax\n"
        " mov %eax, %cr0\n"
        " ljmpl $8, $trampoline_long\n"
        ".balign 8\n"
        "trampoline_cr: .quad 0, 0, 0\n"
        "trampoline_gdt: .skip 10\n"
        "trampoline_idt: .skip 10\n"
        "trampoline_end:\n"
        ".code64\n"
        "trampoline_long: mov $16, %eax\n"
        " mov %eax, %ds\n"
        " mov %eax, %es\n"
        " mov %eax, %ss\n"
        " lidt 0x8000 + trampoline_idt - trampoline\n"
        " mov ap_stack, %rsp\n"
        " call ap_main\n");
extern u8 trampoline_gdt[], trampoline_idt[];

/* -- the first ---------------------------------------------------------------------------------------------------------------- */

static void interrupt(u32 vector_and_mode)
{
    APIC(0x310) = 1 << 24;
    APIC(0x300) = vector_and_mode;
}

static void start_second(void)
{
    u8 *at = (u8 *)TRAMPOLINE;

    __asm__ volatile("mov %%cr0, %0" : "=r"(trampoline_cr[0]));
    __asm__ volatile("mov %%cr3, %0" : "=r"(trampoline_cr[1]));
    __asm__ volatile("mov %%cr4, %0" : "=r"(trampoline_cr[2]));
    __asm__ volatile("sgdt %0" : "=m"(*(u8(*)[10])trampoline_gdt));
    __asm__ volatile("sidt %0" : "=m"(*(u8(*)[10])trampoline_idt));
    for (u32 i = 0; i < (u32)(trampoline_end - trampoline); i++)
        at[i] = trampoline[i];
    interrupt(0x4500);
    interrupt(0x4600 | TRAMPOLINE >> 12);
    while (!up)
        pause();
}

static int smp_setup(void)
{
    if ((cpuid(1, 1) >> 16 & 0xff) < 2)
        return 0;
    guest_set_gate(WAKE, on_wake);
    guest_set_gate(FLUSH, on_flush);
    window_table[3] = (u64)frames[0] | 3;
    window_table[4] = (u64)crossed[1] | 3;
    window_table[5] = (u64)crossed[0] | 3;
    APIC(0xf0) = 0x1ff;
    start_second();
    return up == 1;
}

static void tell(u32 what, u32 n)
{
    argument = n;
    order = what;
    interrupt(0x4000 | WAKE);
}

static u32 wait_for_answer(void)
{
    while (order)
        pause();
    return answer;
}

static void write_code(void)
{
    u32 v = random_next(&state);

    code[0] = 0xb8;
    code[5] = 0xc3;
    for (u32 i = 0; i < 4; i++)
        code[1 + i] = (u8)(v >> i * 8);
}

/* Both have it cached, maybe. */
static void move_page(void)
{
    window_table[3] = (u64)frames[draw(4)] | 3;
    __asm__ volatile("invlpg (%0)" ::"r"(window_page(3)) : "memory");
    flushed = 0;
    interrupt(0x4000 | FLUSH);
    while (!flushed)
        pause();
}

static u32 sum_of(const volatile void *at, u32 words)
{
    const volatile u32 *p = at;
    u32 sum = 0;

    while (words--)
        sum = mix(sum, *p++);
    return sum;
}

static u32 orders(u32 times)
{
    u32 sum = 0;

    state = 1;
    locked = guarded = pair[0] = pair[1] = 0;
    for (u32 i = 0; i < 128; i++)
        split[i] = code[2048 + i] = 0;
    for (u32 i = 0; i < 4; i++)
        for (u32 k = 0; k < 4096; k++)
            frames[i][k] = (u8)(i + k);
    CROSSED[0] = CROSSED[1] = 0;
    write_code();
    for (u32 i = 0; i < STEPS; i++) {
        u32 what = 1 + draw(ORDERS - 1), n = 1 + draw(times);

        if (what == CALLS)
            write_code();
        if (what == READS && draw(2))
            move_page();
        tell(what, n);
        if (what != READS)
            sum = mix(sum, obey(what, times - n));
        sum = mix(sum, wait_for_answer());
        if (what == READS)
            sum = mix(sum, obey(what, n));
    }
    sum = mix(sum, sum_of(CROSSED, 2));
    sum = mix(mix(sum, sum_of(pair, 4)), mix(sum_of((void *)split, 32), sum_of(code + 2048, 3)));
    return mix(mix(sum, (u32)locked), (u32)guarded);
}

static u32 smp_round(void) { return orders(TIMES); }
static u32 smp_long_round(void) { return orders(TIMES_LONG); }

ROW(smp_long, .group = "lockstep", .unit = "step", .units = STEPS, .setup = smp_setup, .round = smp_long_round);
ROW(smp, .group = "lockstep", .unit = "step", .units = STEPS, .setup = smp_setup, .round = smp_round);
