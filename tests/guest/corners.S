# corners.S - what an instruction that KVM cannot carry out may run into: faults of its operands and of its state, a single
# step, the shadow of STI and of MOV SS with an interrupt waiting, code that changes, both sides of a page, tables in a device.
#
# An ELF64 for --kernel: long mode, the first 4 GiB mapped one to one, widereg's BAR at 0xfe000000 (no firmware).  Each
# exception and interrupt stores its vector, and what is in the frame, to a device; so does each case its result.  Ends through
# the debug-exit port with status 0.

        .intel_syntax noprefix
        .equ BAR, 0xfe000000
        .equ WINDOW, 4096
        .equ REGISTERS, BAR + 8 * WINDOW
        .equ ANY, BAR + 9 * WINDOW
        .equ ATOMIC, BAR + 12 * WINDOW
        .equ WHOLE, BAR + 14 * WINDOW
        .equ APIC, 0xfee00000
        .equ NOWHERE, 0x140000000       # not mapped
        .equ VECTOR, 0x40
        .globl _start
        .text

# To a device, so that every engine's value is compared.
        .macro tell register
        mov     [r14], \register
        .endm

# A case that faults goes on behind it.
        .macro faulting instruction:vararg
        lea     r15, [rip + 9f]
        \instruction
9:
        .endm

_start:
        mov     r14d, REGISTERS
        mov     rsp, 0x90000
        mov     rax, cr4
        or      eax, 0x40600            # OSFXSR, OSXMMEXCPT, OSXSAVE
        mov     cr4, rax
        xor     ecx, ecx
        xor     edx, edx
        mov     eax, 0xe7               # x87, SSE, AVX, AVX-512
        xsetbv

        # an IDT: entry i leads to handlers + 16 i; the code segment stays what it is
        lea     rdi, [rip + idt]
        lea     rbx, [rip + handlers]
        mov     edx, cs
        shl     edx, 16
        mov     ecx, 0x50
1:      movzx   eax, bx
        or      eax, edx
        mov     [rdi], eax
        mov     eax, ebx
        and     eax, 0xffff0000
        or      eax, 0x8e00
        mov     [rdi + 4], eax
        mov     qword ptr [rdi + 8], 0
        add     rdi, 16
        add     rbx, 16
        dec     ecx
        jnz     1b
        lidt    [rip + idtr]
        mov     edi, ANY
        mov     esi, WHOLE
        lea     rbp, [rip + pattern]
        vmovdqu64 zmm1, [rbp]

        # its memory operand is not there: on the RAM side of a copy, at its end, under a mask
        mov     r8, NOWHERE
        faulting vmovdqu ymm0, [r8]
        faulting vmovdqu [r8], ymm0
        faulting vmovdqu64 zmm0, [r8 - 32]
        faulting vmovdqu64 [r8 - 32], zmm1
        faulting cmpxchg16b [r8]
        faulting movdir64b rdi, [r8]
        mov     eax, 0x0f
        kmovd   k1, eax
        faulting vmovdqu8 zmm0 {k1}{z}, [r8 - 4]
        faulting vmovdqu8 zmm0 {k1}{z}, [r8 - 3]
        faulting vmovdqa [rdi + 1], xmm1
        faulting vmovdqa64 zmm0, [rdi + 32]

        # its registers may not be used: #NM, then #UD without OSXSAVE
        mov     rax, cr0
        mov     rbx, rax
        or      eax, 8                  # TS
        mov     cr0, rax
        faulting vmovdqu [rdi], ymm1
        faulting movdqu [rdi], xmm1
        faulting fild dword ptr [rdi]
        mov     cr0, rbx
        mov     rax, cr4
        mov     rbx, rax
        and     eax, ~0x40000           # OSXSAVE
        mov     cr4, rax
        faulting vmovdqu [rdi], ymm1
        mov     cr4, rbx
        faulting ud2

        # what it computes: #XM, #MF at the next, #DE of nothing
        mov     dword ptr [rdi], 0x3f800000
        stmxcsr [rsp - 8]
        mov     eax, [rsp - 8]
        tell    eax
        and     eax, ~0x200             # divide by zero is unmasked
        mov     [rsp - 8], eax
        ldmxcsr [rsp - 8]
        xorps   xmm2, xmm2
        movss   xmm3, [rdi]
        faulting divss xmm3, xmm2
        movss   [rdi], xmm3
        stmxcsr [rdi]
        mov     dword ptr [rsp - 8], 0x1f80
        ldmxcsr [rsp - 8]
        fninit
        fld     dword ptr [rdi]
        fstp    qword ptr [rdi + 8]
        fnstcw  [rdi + 64]

        # a single step after it: #DB behind the instruction, DR6.BS
        pushfq
        pop     rax
        mov     rbx, rax
        or      eax, 0x100
        xor     r15d, r15d
        push    rax
        popfq
        vmovdqu [rdi], ymm1
        movdqu  xmm2, [rdi]
        lock xadd [rdi], eax
        push    rbx
        popfq
        tell    rax

        # an interrupt of our own waits: behind the instruction in STI's shadow, and in MOV SS's
        mov     ecx, 0x1b
        xor     edx, edx
        mov     eax, 0xfee00900
        wrmsr
        mov     r13d, APIC
        mov     dword ptr [r13 + 0xf0], 0x1ff
        mov     dword ptr [r13 + 0x300], 0x44000 | VECTOR
        sti
        vmovdqu ymm2, [rdi]
        nop
        cli
        mov     dword ptr [r13 + 0x300], 0x44000 | VECTOR
        sti
        movdqu  [rdi], xmm1
        nop
        cli
        mov     dword ptr [r13 + 0x300], 0x44000 | VECTOR
        mov     eax, ss
        sti
        mov     ss, eax
        vmovdqu [rdi], ymm1
        nop
        cli

        # code that changes between two runs of the same instruction
        mov     r12d, 3
        lea     rbx, [rip + changing + 4]
1:
changing:
        vmovdqu [rdi + 0x10], ymm1
        movdqu  xmm4, [rdi + 0x10]
        add     byte ptr [rbx], 0x10
        dec     r12d
        jnz     1b

        # both sides of a page: into another window, out of RAM into nothing, from a window that takes registers only
        lea     r11, [rdi + WINDOW - 16]
        vmovdqu [r11], ymm1
        vmovdqu ymm2, [r11]
        lea     r11, [rdi - 16]
        vmovdqu [r11], ymm1
        vmovdqu ymm2, [r11]
        movdqu  [r11 + 9], xmm1
        movdqu  xmm2, [r11 + 9]
        mov     r11d, BAR + 16 * WINDOW - 8 # beyond the BAR: nobody
        movdqu  [r11], xmm1
        movdqu  xmm2, [r11]

        # strings, some elements of which are a device's
        mov     rsi, rbp
        mov     ecx, 4
        rep movsq
        mov     edi, ANY + WINDOW - 12
        mov     ecx, 3
        rep stosq
        mov     edi, ANY
        std
        lea     rsi, [rdi + 24]
        lea     rdi, [rip + scratch + 24]
        mov     ecx, 4
        rep movsq
        cld
        mov     edi, ANY
        tell    rcx

        # tables in a device
        sgdt    [rdi]
        sidt    [rdi + 16]
        mov     rax, [rdi + 2]
        sgdt    [rip + scratch]
        lgdt    [rdi]
        lidt    [rdi + 16]
        faulting ud2
        sldt    [rdi + 32]
        str     [rdi + 40]

        # atomics where the device takes them and where it does not
        mov     r11d, ATOMIC
        mov     r10d, REGISTERS + 64
        xor     eax, eax
        xor     edx, edx
        mov     ebx, 5
        mov     ecx, 6
        lock cmpxchg16b [r11]
        lock cmpxchg16b [r11]
        lock cmpxchg16b [r10]
        lock cmpxchg16b [r10]
        lock cmpxchg8b [r10]
        lock xadd [r10], eax
        xchg    [r11 + 8], rax
        lock not dword ptr [r11]
        lock btc dword ptr [r11], 5
        lock and word ptr [r11 + 4], cx
        faulting lock cmpxchg16b [r11 + 8]
        tell    rax

        # everything at once
        fninit                          # opcode and pointers of the last x87 instruction: processors differ in what they keep
        mov     eax, 7
        xor     edx, edx
        xsave   [rdi + 256]
        xrstor  [rdi + 256]
        fxsave  [rdi + 512]
        vgatherdps xmm5, [rdi + xmm2 * 4], xmm1
        tell    rax

        xor     eax, eax
        out     0xf4, al
1:      hlt
        jmp     1b

# -- exceptions and interrupts: the vector, RIP and flags to a device; on behind the case, if there is one -------------------

        .balign 16
handlers:
        .set    i, 0
        .rept   0x50
        .balign 16
        .if (i >= 10 && i <= 14) || i == 8 || i == 17
        pop     qword ptr [rsp - 32]    # the error code, out of the way
        .endif
        push    rax
        mov     eax, i
        jmp     common
        .set    i, i + 1
        .endr

common: tell    eax
        mov     rax, [rsp + 8]
        tell    rax
        mov     rax, [rsp + 24]
        tell    rax
        mov     rax, cr2
        tell    rax
        mov     rax, dr6
        tell    rax
        xor     eax, eax
        mov     dr6, rax
        test    r15, r15
        jz      1f
        mov     [rsp + 8], r15
        xor     r15d, r15d
1:      mov     dword ptr [r14 + 8], 0
        mov     eax, APIC
        mov     dword ptr [rax + 0xb0], 0
        pop     rax
        iretq

        .data
        .balign 64
pattern:
        .irp    i, 0,1,2,3,4,5,6,7
        .quad   0x0706050403020100 + 0x0808080808080808 * \i
        .endr
scratch: .fill  64, 1, 0
idtr:   .word   0x50 * 16 - 1
        .quad   idt
        .balign 16
idt:    .fill   0x50 * 16, 1, 0
