# start.S - multiboot 1 to long mode: the first 4 GiB one to one in 2 MiB pages, open to CPL 3; a window of 4 KiB pages
# at 4 GiB for the rows about paging; the exception stubs.

        .equ    USER, 7                 # present, writable, user
        .text
        .balign 4
        .long   0x1badb002, 0, -0x1badb002

        .globl  start
        .code32
start:  cli
        cld
        mov     $stack_top, %esp
        push    $0
        push    %ebx                    # the boot information, for guest_main
        movl    $pdpt + USER, pml4
        mov     $pd + USER, %eax        # four directories
        mov     $pdpt, %edi
1:      mov     %eax, (%edi)
        add     $0x1000, %eax
        add     $8, %edi
        cmp     $pdpt + 32, %edi
        jne     1b
        movl    $window_pd + USER, (%edi)
        movl    $window_table + USER, window_pd
        mov     $USER + 0x80, %eax      # and their 2048 pages
        mov     $pd, %edi
2:      mov     %eax, (%edi)
        add     $0x200000, %eax
        add     $8, %edi
        cmp     $pd + 0x4000, %edi
        jne     2b
        mov     $0x620, %eax            # PAE, OSFXSR, OSXMMEXCPT
        mov     %eax, %cr4
        mov     $pml4, %eax
        mov     %eax, %cr3
        mov     $0xc0000080, %ecx
        mov     $0x101, %eax            # LME, SCE
        xor     %edx, %edx
        wrmsr
        lgdt    gdtr
        mov     $0x80010013, %eax       # PG, WP, ET, MP, PE; no EM
        mov     %eax, %cr0
        ljmp    $8, $3f
        .code64
3:      mov     $16, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        pop     %rdi
        and     $-16, %rsp
        call    guest_main
4:      hlt
        jmp     4b

# Stub n is 16 bytes, at exception_stubs + 16 * n: exceptions that no row expects.
        .globl  exception_stubs
        .balign 16
exception_stubs:
        .set    vector, 0
        .rept   32
        .balign 16
        mov     $vector, %edi
        mov     %rsp, %rsi
        jmp     guest_exception
        .set    vector, vector + 1
        .endr

        .data
        .balign 8
gdt:    .quad   0
        .quad   0x00af9b000000ffff      # 08 code, 64 bits
        .quad   0x00cf93000000ffff      # 10 data
        .quad   0                       # 18 what SYSRET counts from
        .quad   0x00cff3000000ffff      # 20 data, CPL 3
        .quad   0x00affb000000ffff      # 28 code, 64 bits, CPL 3
gdtr:   .word   gdtr - gdt - 1
        .quad   gdt

        .bss
        .globl  window_table
        .balign 4096
pml4:   .skip   4096
pdpt:   .skip   4096
pd:     .skip   4 * 4096
window_pd:
        .skip   4096
window_table:
        .skip   4096
        .skip   65536
stack_top:
