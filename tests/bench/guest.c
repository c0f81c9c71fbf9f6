/*
 * guest.c - the bare machine under the rows: console, command line, exceptions, the way out.
 *
 * The command line's last two words are the row and the number of rounds (QEMU puts the image's name before them).
 * Prints to port 0xe9; ends through the debug-exit port 0xf4 with 0 if the row ran, 1 if it did not.
 */
#include "guest.h"

#define INFO_FLAG_CMDLINE 4

void put(const char *text, u32 size)
{
    while (size--)
        outb(0xe9, (u8)*text++);
}

static void leave(u32 status)
{
    outl(0xf4, status);
    for (;;)
        __asm__ volatile("hlt");
}

/* -- exceptions ------------------------------------------------------------------------------------------------------- */

#ifdef __x86_64__
struct gate {
    u16 offset_low, selector, type, offset_middle;
    u32 offset_high, reserved;
};
static struct gate idt[256];
extern u8 exception_stubs[];

void guest_set_gate(unsigned vector, void *handler)
{
    u64 at = (u64)handler;

    idt[vector] = (struct gate){ (u16)at, 8, 0x8e00, (u16)(at >> 16), (u32)(at >> 32), 0 };
}

void guest_exception(u32 vector, const u64 *stack);
void guest_exception(u32 vector, const u64 *stack)
{
    print("exception ");
    print_hex(vector, 2);
    print(", stack");
    for (unsigned i = 0; i < 4; i++) {
        print(" ");
        print_hex(stack[i], 16);
    }
    print("\n");
    leave(1);
}

#define XCR0_AVX 7
#define XCR0_AVX512 0xe7

int enable_vectors(u32 width)
{
    u64 cr4;

    if (!has_vectors(width))
        return 0;
    __asm__ volatile("mov %%cr4, %0; or $0x600, %0; mov %0, %%cr4" : "=r"(cr4)); /* OSFXSR, OSXMMEXCPT */
    if (width <= 16)
        return 1;
    __asm__ volatile("mov %%cr4, %0; or $0x40000, %0; mov %0, %%cr4" : "=r"(cr4)); /* OSXSAVE */
    __asm__ volatile("xsetbv" ::"a"(width == 64 ? XCR0_AVX512 : XCR0_AVX), "d"(0), "c"(0));
    return 1;
}

static void set_up_machine(void)
{
    struct {
        u16 limit;
        u64 base;
    } __attribute__((packed)) idtr = { sizeof(idt) - 1, (u64)idt };

    for (unsigned i = 0; i < 32; i++)
        guest_set_gate(i, exception_stubs + 16 * i);
    __asm__ volatile("lidt %0" ::"m"(idtr));
    outb(0x21, 0xff); /* the PICs are silent */
    outb(0xa1, 0xff);
}
#else
static void set_up_machine(void) {}
int enable_vectors(u32 width) { return width == 0; }
#endif

/* -- start ------------------------------------------------------------------------------------------------------------ */

static char command[256];

/* Cuts the last word off and returns it. */
static char *last_word(void)
{
    u32 end = 0;

    while (command[end])
        end++;
    while (end && command[end - 1] == ' ')
        command[--end] = 0;
    while (end && command[end - 1] != ' ')
        end--;
    if (end)
        command[end - 1] = 0;
    return command + end;
}

void guest_main(const u32 *info);
void guest_main(const u32 *info)
{
    const char *line = info[0] & INFO_FLAG_CMDLINE ? (const char *)(unsigned long)info[4] : "";
    u32 n = 0, rounds;

    while (line[n])
        n++;
    line += n < sizeof(command) ? 0 : n - sizeof(command) + 1; /* the end counts */
    for (n = 0; line[n]; n++)
        command[n] = line[n];
    rounds = parse_number(last_word());
    set_up_machine();
    leave(!run_row(last_word(), rounds));
}
