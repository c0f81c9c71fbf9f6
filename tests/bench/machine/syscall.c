/* syscall.c - SYSCALL from CPL 3 and SYSRET back: privilege and stack change twice a call. */
#include "guest.h"

#define CALLS 1000
#define MSR_STAR 0xc0000081
#define MSR_LSTAR 0xc0000082
#define MSR_SFMASK 0xc0000084

u64 syscall_kernel_rsp, syscall_user_rsp;
u8 syscall_user_stack[4096] __attribute__((aligned(16)));
void syscall_entry(void);
u32 syscall_user(u32 calls); /* enters CPL 3, which makes so many calls; returns what they gave */

/* The user's loop ends by a call with RDI = 0, which does not return to it. */
__asm__("syscall_user:"
        "   push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
        "   mov %rsp, syscall_kernel_rsp(%rip)\n"
        "   mov $syscall_user_loop, %ecx\n"
        "   mov $2, %r11d\n"
        "   lea syscall_user_stack + 4096(%rip), %rsp\n"
        "   xor %ebx, %ebx\n"
        "   sysretq\n"
        "syscall_user_loop:"
        "   syscall\n"
        "   add %rax, %rbx\n"
        "   dec %edi\n"
        "   jnz syscall_user_loop\n"
        "   mov %rbx, %rsi\n"
        "   syscall\n"
        "syscall_entry:"
        "   mov %rsp, syscall_user_rsp(%rip)\n"
        "   mov syscall_kernel_rsp(%rip), %rsp\n"
        "   test %edi, %edi\n"
        "   jz 1f\n"
        "   push %rcx; push %r11\n"
        "   lea 1(%rdi, %rdi, 2), %rax\n"
        "   pop %r11; pop %rcx\n"
        "   mov syscall_user_rsp(%rip), %rsp\n"
        "   sysretq\n"
        "1: mov %esi, %eax\n"
        "   pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
        "   ret");

static int syscall_setup(void)
{
    wrmsr(MSR_STAR, 0x001b0008ull << 32); /* SYSCALL: CS 08; SYSRET: CS 1b + 16, SS 1b + 8 */
    wrmsr(MSR_LSTAR, (u64)syscall_entry);
    wrmsr(MSR_SFMASK, 0x700);
    return 1;
}

static u32 syscall_round(void) { return syscall_user(CALLS); }

ROW(syscall, .group = "system", .unit = "call", .units = CALLS, .setup = syscall_setup, .round = syscall_round);
