# boot.S - a boot sector that brings the benchmark (interp.c, behind it) into long mode.
#
# As a flat image all of it is in memory already; from a floppy, INT 13h reads the rest first.  Ends by the debug-exit
# port, and by "Shutdown" to port 0x8900, which is Bochs's way out.

        .intel_syntax noprefix
        .equ TABLES, 0x1000             # PML4, PDPT, page directory: 16 MiB one to one
        .section .boot, "ax"
        .globl _start
        .code16
_start:
        cli
        xor     ax, ax
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     sp, 0x7c00
        mov     [drive], dl
        cmp     dword ptr [0x7e00], 0x45444957
        je      loaded

        mov     si, offset sectors      # sectors left
        mov     bx, 0x7e00
        mov     cx, 2                   # cylinder 0, sector 2
        xor     dh, dh
read:   mov     dl, [drive]
        mov     ax, 0x0201
        int     0x13
        jc      read
        add     bx, 512
        jnc     1f
        mov     ax, es
        add     ax, 0x1000
        mov     es, ax
1:      inc     cl
        cmp     cl, 18
        jbe     2f
        mov     cl, 1
        xor     dh, 1
        jnz     2f
        inc     ch
2:      dec     si
        jnz     read
        cli

loaded: xor     ax, ax
        mov     es, ax
        mov     di, TABLES
        mov     cx, 0x3000 / 4
        xor     eax, eax
        rep stosd
        mov     dword ptr [TABLES], TABLES + 0x1000 + 3
        mov     dword ptr [TABLES + 0x1000], TABLES + 0x2000 + 3
        mov     di, TABLES + 0x2000
        mov     eax, 0x83
        mov     cx, 8
3:      mov     [di], eax
        add     eax, 0x200000
        add     di, 8
        loop    3b
        in      al, 0x92                # A20
        or      al, 2
        out     0x92, al
        mov     eax, cr4
        or      eax, 0x20
        mov     cr4, eax
        mov     eax, TABLES
        mov     cr3, eax
        mov     ecx, 0xc0000080
        rdmsr
        or      eax, 0x100
        wrmsr
        lgdt    [gdtr]
        mov     eax, cr0
        or      eax, 0x80000001
        mov     cr0, eax
        .byte   0xea
        .word   long_mode, 8
        .balign 8
gdt:    .quad   0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdtr:   .word   23
        .long   gdt
drive:  .byte   0

        .code64
long_mode:
        mov     eax, 16
        mov     ds, eax
        mov     es, eax
        mov     ss, eax
        mov     esp, 0x200000
        call    bench
        xor     eax, eax
        out     0xf4, al
        lea     rsi, [rip + goodbye]
        mov     edx, 0x8900
        mov     ecx, 8
        rep outsb
4:      hlt
        jmp     4b
goodbye: .ascii "Shutdown"
        .org    510
        .word   0xaa55
        .ascii  "WIDE"
