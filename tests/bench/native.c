/* native.c - the rows as a Linux program without a library: native ROW ROUNDS. */
#include "guest.h"

#ifdef __x86_64__
__asm__(".globl _start\n_start: mov %rsp, %rdi\n and $-16, %rsp\n call native_main");
#define SYS_WRITE 1
#define SYS_EXIT 60
static long syscall3(long n, long a, long b, long c)
{
    __asm__ volatile("syscall" : "+a"(n) : "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return n;
}
#else
__asm__(".globl _start\n_start: mov %esp, %eax\n and $-16, %esp\n sub $12, %esp\n push %eax\n call native_main");
#define SYS_WRITE 4
#define SYS_EXIT 1
static long syscall3(long n, long a, long b, long c)
{
    __asm__ volatile("int $0x80" : "+a"(n) : "b"(a), "c"(b), "d"(c) : "memory");
    return n;
}
#endif

void put(const char *text, u32 size) { syscall3(SYS_WRITE, 1, (long)text, (long)size); }

#ifdef __x86_64__
int enable_vectors(u32 width) { return has_vectors(width); }
#else
int enable_vectors(u32 width) { return width == 0; }
#endif

void native_main(long *stack);
void native_main(long *stack)
{
    char **argv = (char **)(stack + 1);
    int ok = stack[0] == 3 && run_row(argv[1], parse_number(argv[2]));

    syscall3(SYS_EXIT, !ok, 0, 0);
}
