# wide.S - touches widereg's windows at every width: aligned, unaligned, across a page, locked, masked, direct.
#
# An ELF64 for --kernel: long mode, the first 4 GiB mapped one to one, widereg's BAR at 0xfe000000 (no firmware).
# Ends through the debug-exit port with status 0.

        .intel_syntax noprefix
        .equ BAR, 0xfe000000
        .equ WINDOW, 4096
        .equ REGISTERS, BAR + 8 * WINDOW
        .equ ANY, BAR + 9 * WINDOW
        .equ DIRECT, BAR + 10 * WINDOW
        .equ ATOMIC, BAR + 12 * WINDOW
        .equ ENABLES, BAR + 13 * WINDOW
        .equ WHOLE, BAR + 14 * WINDOW
        .globl _start
        .text

# Every general-register width, load and store, at [rdi].
        .macro integers
        mov     [rdi], al
        mov     [rdi], ax
        mov     [rdi], eax
        mov     [rdi], rax
        mov     bl, [rdi]
        mov     bx, [rdi]
        mov     ebx, [rdi]
        mov     rbx, [rdi]
        movzx   ecx, word ptr [rdi]
        movsx   rcx, byte ptr [rdi]
        add     dword ptr [rdi], 5
        lock add qword ptr [rdi], rax
        xchg    [rdi], edx
        .endm

# Every vector width.
        .macro vectors
        movq    [rdi], xmm1
        movdqu  [rdi], xmm1
        movdqu  xmm2, [rdi]
        vmovdqu [rdi], ymm1
        vmovdqu ymm2, [rdi]
        vmovdqu64 [rdi], zmm1
        vmovdqu64 zmm2, [rdi]
        .endm

_start:
        mov     rax, cr4
        or      eax, 0x40600            # OSFXSR, OSXMMEXCPT, OSXSAVE
        mov     cr4, rax
        xor     ecx, ecx
        xor     edx, edx
        mov     eax, 0xe7               # x87, SSE, AVX, AVX-512
        xsetbv
        mov     rax, 0x1122334455667788
        mov     rdx, 0x99aabbccddeeff00
        lea     rsi, [rip + pattern]
        vmovdqu64 zmm1, [rsi]

        # each window by each width it may or may not take
        mov     edi, BAR + WINDOW
        mov     ebp, 7
1:      integers
        movdqu  [rdi + 64], xmm1
        movdqu  xmm3, [rdi + 64]
        add     edi, WINDOW
        dec     ebp
        jnz     1b

        mov     edi, REGISTERS
        integers
        mov     edi, ANY
        integers
        vectors
        mov     edi, ANY + 1            # unaligned
        integers
        vectors
        mov     edi, ANY + WINDOW - 7   # into the next page and window
        mov     [rdi], rax
        mov     rbx, [rdi]
        movdqu  [rdi], xmm1
        movdqu  xmm2, [rdi]
        mov     edi, WHOLE
        vectors
        movntdq [rdi], xmm1
        movnti  [rdi], rax

        # strings
        mov     edi, WHOLE
        mov     ecx, 5
        rep stosw
        mov     esi, WHOLE
        mov     ecx, 3
        rep lodsd
        mov     esi, WHOLE
        mov     edi, ANY
        mov     ecx, 4
        rep movsq

        # atomics
        mov     edi, ATOMIC
        lock xadd [rdi], eax
        lock xadd [rdi], rax
        xchg    [rdi], rdx
        mov     ecx, 7
        lock cmpxchg [rdi], ecx
        lock cmpxchg8b [rdi]
        lock cmpxchg16b [rdi]
        lock or dword ptr [rdi], 0x10
        lock bts dword ptr [rdi], 3
        lock neg dword ptr [rdi]

        # byte enables
        mov     edi, ENABLES
        mov     eax, 0x5a5a
        kmovd   k1, eax
        vmovdqu8 [rdi] {k1}, zmm1
        vmovdqu8 zmm2 {k1}{z}, [rdi]
        vpmaskmovd [rdi], ymm1, ymm1

        # 64 bytes at once, and what must not touch a device at all
        lea     rsi, [rip + pattern]
        mov     edi, DIRECT
        movdir64b rdi, [rsi]
        mov     edi, WHOLE
        movdir64b rdi, [rsi]
        movdiri [rdi], rax
        clflush [rdi]
        prefetcht0 [rdi]

        xor     eax, eax
        out     0xf4, al
1:      hlt
        jmp     1b

        .balign 64
pattern:
        .irp    i, 0,1,2,3,4,5,6,7
        .quad   0x0706050403020100 + 0x0808080808080808 * \i
        .endr
