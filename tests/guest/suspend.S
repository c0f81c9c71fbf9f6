/*
 * suspend.S - a boot sector that suspends to RAM with an alarm each second, and leaves with status 27 where firmware has resumed it.
 *
 * The FACS is found as ACPI 6.4 has it: RSDP in the F segment, XSDT, FADT.
 */
.code16
.globl _start
_start: cli; xor %ax,%ax; mov %ax,%ds; mov %ax,%ss; mov $0x7000,%sp; cld
        mov $0xf000,%ax; mov %ax,%es; xor %di,%di
1:      cmpl $0x20445352, %es:(%di); jne 0f; cmpl $0x20525450, %es:4(%di); je 2f; 0: add $16,%di; jmp 1b
2:      mov %es:24(%di), %ebx       /* XSDT */
        mov $0x92, %dx; in $0x92,%al; or $2,%al; out %al,$0x92
        lgdt gdtr
        mov %cr0,%eax; or $1,%al; mov %eax,%cr0
        ljmp $8,$3f
.code32
3:      mov $16,%ax; mov %ax,%ds
        lea 36(%ebx),%esi
4:      mov (%esi),%edi; add $8,%esi; cmpl $0x50434146,(%edi); jne 4b   /* FADT */
        mov 36(%edi),%edi           /* FACS */
        movl $again, 12(%edi)
        mov $5,%ebp; movl $0x12345678,0x600
        mov $1,%al
5:      out %al,$0x70; mov %al,%ah; mov $0xff,%al; out %al,$0x71; mov %ah,%al; add $2,%al; cmp $7,%al; jb 5b
        mov $11,%al; out %al,$0x70; in $0x71,%al; or $0x20,%al; out %al,$0x71
        mov $12,%al; out %al,$0x70; in $0x71,%al
        mov $0x602,%dx; mov $0x400,%ax; out %ax,%dx
        mov $0x604,%dx; mov $0x3400,%ax; out %ax,%dx
        hlt
.code16
again:  xor %ax,%ax; mov %ax,%ds; cmpl $0x12345678,0x600; jne 9f
        mov $27,%al; out %al,$0xf4
9:      mov $8,%al; out %al,$0xf4; hlt
.balign 8
gdt:    .quad 0, 0x00cf9a000000ffff, 0x00cf92000000ffff
gdtr:   .word 23; .long gdt
        .org 510; .word 0xaa55
