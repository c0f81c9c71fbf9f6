# guest.S - a guest for minivmm: copies memory to a device and back with vectors of every width the CPU has, adds to it under
# LOCK, stores 64 bytes at once, and says what it has done.
#
# Flat, entered at 0x100000 in 64-bit mode; device memory at 0xd0000000; port 0xe9 prints, port 0xf4 ends with a status.

        .intel_syntax noprefix
        .equ DEVICE, 0xd0000000
        .globl _start
        .text

        .macro say text
        lea     rsi, [rip + 7f]
        call    print
        jmp     8f
7:      .asciz  "\text\n"
8:
        .endm

        # 64 bytes of `pattern` there, and back into `back`
        .macro compare
        lea     rsi, [rip + pattern]
        lea     rdi, [rip + back]
        mov     ecx, 64
        repe    cmpsb
        jne     wrong
        mov     ecx, 8
        lea     rdi, [rip + back]
        xor     eax, eax
        rep     stosq
        .endm

_start:
        mov     rsp, 0x90000
        lea     r8, [rip + pattern]
        lea     r9, [rip + back]
        mov     r10d, DEVICE
        mov     rax, cr4
        or      eax, 0x40600            # OSFXSR, OSXMMEXCPT, OSXSAVE
        mov     cr4, rax

        .irp    at, 0, 16, 32, 48
        movdqu  xmm0, [r8 + \at]
        movdqu  [r10 + \at], xmm0
        movdqu  xmm1, [r10 + \at]
        movdqu  [r9 + \at], xmm1
        .endr
        compare
        say     "SSE: 16 bytes there and back"

        mov     dword ptr [r10 + 64], 40
        mov     eax, 2
        lock xadd [r10 + 64], eax
        cmp     eax, 40
        jne     wrong
        cmp     dword ptr [r10 + 64], 42
        jne     wrong
        say     "LOCK XADD: 40 + 2 = 42"

        mov     eax, 7
        xor     ecx, ecx
        cpuid
        mov     r12d, ebx
        mov     r13d, ecx
        bt      r12d, 5
        jnc     done
        xor     ecx, ecx
        xgetbv
        or      eax, 7
        xsetbv
        add     r10d, 128
        .irp    at, 0, 32
        vmovdqu ymm0, [r8 + \at]
        vmovdqu [r10 + \at], ymm0
        vmovdqu ymm1, [r10 + \at]
        vmovdqu [r9 + \at], ymm1
        .endr
        compare
        say     "AVX: 32 bytes there and back"

        bt      r12d, 16
        jnc     direct
        xor     ecx, ecx
        xgetbv
        or      eax, 0xe7
        xsetbv
        add     r10d, 64
        vmovdqu64 zmm0, [r8]
        vmovdqu64 [r10], zmm0
        vmovdqu64 zmm1, [r10]
        vmovdqu64 [r9], zmm1
        compare
        say     "AVX-512: 64 bytes there and back"

direct: bt      r13d, 28
        jnc     done
        add     r10d, 64
        movdir64b r10, [r8]
        mov     rax, [r10 + 56]
        cmp     rax, [r8 + 56]
        jne     wrong
        say     "MOVDIR64B: 64 bytes at once"

done:   say     "done"
        xor     eax, eax
        out     0xf4, al
wrong:  say     "wrong"
        mov     al, 1
        out     0xf4, al

print:  lodsb
        test    al, al
        jz      1f
        out     0xe9, al
        jmp     print
1:      ret

        .balign 64
pattern:
        .set    i, 0
        .rept   64
        .byte   (0x41 + 7 * i) & 0xff
        .set    i, i + 1
        .endr
back:   .fill   64, 1, 0
