/*
 * smp.c - a guest with two processors that work on the same things: counters with and without a lock, code that one writes and the
 * other runs, pages that one moves and both use, interrupts to each other.
 *
 * The second is started by INIT and a start-up message and then does what the first orders.  What comes of it is the same whoever is
 * faster, so a round returns one checksum on any machine.
 */
#include "guest.h"

#define APIC(reg) (*(volatile u32 *)(0xfee00000ull + (reg)))
#define TRAMPOLINE 0x8000ull
#define STEPS 300
#define TIMES 50
enum { WAKE = 0x41, FLUSH = 0x42 };
enum { LOCKED = 1, GUARDED, CALLS, READS, ORDERS };

extern u8 trampoline[], trampoline_end[];
extern volatile u64 trampoline_cr[3]; /* CR0, CR3, CR4 */
static u8 stack[8192] __attribute__((aligned(16)));
static u8 frames[4][4096] __attribute__((aligned(4096)));
static u8 code[4096] __attribute__((aligned(4096)));
static volatile u32 up, order, argument, answer, flushed, woken, lock;
static volatile u64 locked, guarded;
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
        sum = mix(sum, p[i]++);
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

static u32 smp_round(void)
{
    u32 sum = 0;

    state = 1;
    locked = guarded = 0;
    for (u32 i = 0; i < 4; i++)
        for (u32 k = 0; k < 4096; k++)
            frames[i][k] = (u8)(i + k);
    write_code();
    for (u32 i = 0; i < STEPS; i++) {
        u32 what = 1 + draw(ORDERS - 1), n = 1 + draw(TIMES);

        if (what == CALLS)
            write_code();
        if (what == READS && draw(2))
            move_page();
        tell(what, n);
        if (what != READS)
            sum = mix(sum, obey(what, TIMES - n));
        sum = mix(sum, wait_for_answer());
        if (what == READS)
            sum = mix(sum, obey(what, n));
    }
    return mix(mix(sum, (u32)locked), (u32)guarded);
}

ROW(smp, .group = "lockstep", .unit = "step", .units = STEPS, .setup = smp_setup, .round = smp_round);
