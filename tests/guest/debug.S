/*
 * debug.S - a guest to be debugged (tests/cli/gdb.sh): an ELF64 in long mode at 1 MiB, with symbols.
 *
 * work() is called five times with 1 to 5 and adds to `total`; ymm1 is four times the argument.  Then it leaves with the status
 * total + 1, which is 16 unless somebody has changed something.
 */
        .globl  _start, work, total, done, looked
        .text
_start:
        mov     %cr4, %rax
        or      $0x40600, %rax          /* OSFXSR, OSXMMEXCPT, OSXSAVE */
        mov     %rax, %cr4
        mov     %cr0, %rax
        and     $~0xc, %rax             /* not TS, EM */
        mov     %rax, %cr0
        xor     %ecx, %ecx
        xgetbv
        or      $7, %eax
        xsetbv
        mov     $stack, %rsp
        mov     $1, %ebx
again:
        mov     %ebx, %edi
        call    work
        inc     %ebx
        cmp     $5, %ebx
        jbe     again
        movdqa  %xmm7, looked
        lea     copy(%rip), %rdi
        lea     total(%rip), %rsi
        mov     $8, %ecx
        rep movsb
done:
        mov     total, %eax
        inc     %eax
        outb    %al, $0xf4
1:      hlt
        jmp     1b

work:
        vmovd   %edi, %xmm0
        vpbroadcastq %xmm0, %ymm1
        add     %edi, total
        mov     total, %eax
        ret

        .data
        .balign 16
total:  .quad   0
copy:   .quad   0
looked: .octa   0
        .fill   64, 8, 0
stack:
