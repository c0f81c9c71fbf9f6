# start32.S - multiboot 1 hands over in protected mode without paging, which is what guest32 wants; flat segments of its own.

        .text
        .balign 4
        .long   0x1badb002, 0, -0x1badb002

        .globl  start
start:  cli
        cld
        lgdt    gdtr
        ljmp    $8, $1f
1:      mov     $16, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        mov     $stack_top - 12, %esp
        push    %ebx                    # the boot information
        call    guest_main
2:      hlt
        jmp     2b

        .data
        .balign 4096                    # a segment of its own
gdt:    .quad   0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdtr:   .word   gdtr - gdt - 1
        .long   gdt

        .bss
        .balign 16
        .skip   65536
stack_top:
