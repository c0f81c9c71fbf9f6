/*
 * user.S - code of CPL 3 that leaves it in every way: SYSCALL, the timer of the local APIC, a page fault, #UD, INT3, HLT (#GP).
 *
 * Between two of them it counts for a while.  The kernel says on the debug console what came and checks where from, waits once in
 * HLT for its timer, and leaves with status 0; anything else ends with status 3.
 */
.intel_syntax noprefix
.set APIC, 0xfee00000
.globl _start
_start: cli
        lea     rsp, [rip+stack]
        lea     rax, [rip+pdpt+7]; mov [rip+pml4], rax
        lea     rax, [rip+pd+7]; mov [rip+pdpt], rax
        lea     rax, [rip+pd3+3]; mov [rip+pdpt+24], rax
        mov     rax, 0xfee0009b; mov [rip+pd3+0x1f7*8], rax     /* the APIC, uncached */
        lea     rdi, [rip+pd]; mov eax, 0x87; mov ecx, 512
1:      mov     [rdi], rax; add rdi, 8; add rax, 0x200000; loop 1b
        lea     rax, [rip+pml4]; mov cr3, rax
        lgdt    [rip+gdtr]
        lea     rax, [rip+tss]; mov [rip+gdt+0x3a], ax; shr rax, 16; mov [rip+gdt+0x3c], al; mov [rip+gdt+0x3f], ah
        lea     rcx, [rip+stack]; mov [rip+tss+4], rcx
        mov     ax, 0x38; ltr ax
        push    0x10; lea rax, [rip+2f]; push rax; retfq
2:      mov     ax, 0x18; mov ss, ax
        lidt    [rip+idtr]
        lea     rdi, [rip+idt]; xor ecx, ecx; lea rdx, [rip+gates]
3:      mov     rax, rdx; mov [rdi], ax; mov word ptr [rdi+2], 0x10; mov word ptr [rdi+4], 0xee00; shr rax, 16; mov [rdi+6], ax
        add     rdi, 16; add rdx, 16; inc ecx; cmp ecx, 33; jb 3b
        /* every feature of CR4 that CPUID offers can be had: PCIDE, and SMEP to FSGSBASE of leaf 7 */
        mov     eax, 1; xor ecx, ecx; cpuid; mov rsi, cr4
        bt      ecx, 17; jnc 4f; bts rsi, 17
4:      mov     eax, 7; xor ecx, ecx; cpuid
        bt      ebx, 0; jnc 4f; bts rsi, 16
4:      mov     cr4, rsi
        mov     ecx, 0xc0000080; rdmsr; or eax, 1; wrmsr
        mov     ecx, 0xc0000081; xor eax, eax; mov edx, 0x00230010; wrmsr
        mov     ecx, 0xc0000082; lea rax, [rip+entry]; xor edx, edx; wrmsr
        mov     ecx, 0xc0000084; mov eax, 0x200; xor edx, edx; wrmsr
        /* the timer: vector 32, once, divided by 16; as x2APIC if there is one */
        mov     eax, 1; cpuid; bt ecx, 21; jc 5f
        mov     edi, APIC
        mov     dword ptr [rdi+0xf0], 0x1ff; mov dword ptr [rdi+0x3e0], 3; mov dword ptr [rdi+0x320], 32; mov dword ptr [rdi+0x380], 100000
        jmp     6f
5:      mov     byte ptr [rip+x2], 1
        mov     ecx, 0x1b; rdmsr; or eax, 0xc00; wrmsr
        xor     edx, edx
        mov     ecx, 0x80f; mov eax, 0x1ff; wrmsr
        mov     ecx, 0x83e; mov eax, 3; wrmsr
        mov     ecx, 0x832; mov eax, 32; wrmsr
        mov     ecx, 0x838; mov eax, 100000; wrmsr
6:      sti; hlt; cli
        push    0x2b; lea rax, [rip+ustack]; push rax; push 0x202; push 0x33; lea rax, [rip+user]; push rax
        iretq

.macro WAIT
        mov     ecx, 3000000
9:      dec     ecx; jnz 9b
.endm
user:   WAIT
        mov     r15d, 0x5a5a; xor eax, eax
        syscall
s1:     cmp     r15d, 0x5a5a; jne bad
        WAIT
        mov     eax, 1
        syscall                                 /* a timer is under way now */
s2:     cmp     byte ptr [rip+timers], 2; jb s2
        WAIT
pf:     mov     al, [0x7ffffff0]
        WAIT
ud:     ud2
        WAIT
bp:     int3
after:  WAIT
        nop
gp:     hlt
        mov     eax, 2
        syscall
bad:    ud2

/* RCX is where it came from, AX what for */
entry:  mov     edx, 's'; cmp eax, 1; je 1f; ja done
        lea     rbx, [rip+s1]; jmp 2f
1:      lea     rbx, [rip+s2]
        mov     ebp, ecx
        cmp     byte ptr [rip+x2], 0; jne 3f
        mov     edi, APIC; mov dword ptr [rdi+0x380], 1000000; jmp 4f
3:      push    rax; push rdx; push rcx; mov ecx, 0x838; mov eax, 1000000; xor edx, edx; wrmsr; pop rcx; pop rdx; pop rax
4:
2:      cmp     rcx, rbx; jne wrong
        mov     bx, cs; test bl, 3; jnz wrong
        mov     al, dl; out 0xe9, al
        sysretq
done:   mov     al, 10; out 0xe9, al; mov al, 0; out 0xf4, al; hlt
wrong:  mov     al, '!'; out 0xe9, al; mov al, 3; out 0xf4, al; hlt

/* A gate each 16 bytes: vectors 0 to 32. */
.balign 16
gates:  .rept 33
        .balign 16
        call    came
        .endr

/* The frame, below it where the gate's CALL goes on; an error code with #GP and #PF. */
came:   xchg    rax, [rsp]
        push    rbx; push rcx; push rdx
        lea     rbx, [rip+gates]; sub rax, rbx; shr eax, 4
        cmp     al, 32; je timer
        mov     rcx, [rsp+32]                   /* RIP, or the error code */
        lea     rbx, [rip+ud]; mov dl, 'u'; cmp al, 6; je 1f
        lea     rbx, [rip+after]; mov dl, 'b'; cmp al, 3; je 2f
        mov     rcx, [rsp+40]
        lea     rbx, [rip+gp]; mov dl, 'g'; cmp al, 13; je 3f
        lea     rbx, [rip+pf]; mov dl, 'p'; cmp al, 14; jne wrong
        mov     rbx, cr2; cmp rbx, 0x7ffffff0; jne wrong
        lea     rbx, [rip+pf]; cmp rcx, rbx; jne wrong
        add     qword ptr [rsp+40], 7; jmp 4f
3:      cmp     rcx, rbx; jne wrong
        inc     qword ptr [rsp+40]
4:      mov     al, dl; out 0xe9, al
        pop     rdx; pop rcx; pop rbx; pop rax; add rsp, 8; iretq
1:      cmp     rcx, rbx; jne wrong
        add     qword ptr [rsp+32], 2; jmp 5f
2:      cmp     rcx, rbx; jne wrong
5:      mov     al, dl; out 0xe9, al
6:      pop     rdx; pop rcx; pop rbx; pop rax; iretq
timer:  inc     byte ptr [rip+timers]
        mov     al, 't'; out 0xe9, al
        cmp     byte ptr [rip+x2], 0; jne 7f
        mov     ebx, APIC; mov dword ptr [rbx+0xb0], 0; jmp 6b
7:      mov     ecx, 0x80b; xor eax, eax; xor edx, edx; wrmsr; jmp 6b

.data
.balign 16
gdt:    .quad   0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0, 0x00cff3000000ffff, 0x00affb000000ffff, 0x0000890000000067, 0
gdtr:   .word   9*8-1; .quad gdt
idtr:   .word   33*16-1; .quad idt
x2:     .byte   0
timers: .byte   0
.bss
.balign 4096
pml4:   .skip   4096
pdpt:   .skip   4096
pd:     .skip   4096
pd3:    .skip   4096
idt:    .skip   4096
tss:    .skip   8192
        .skip   8192
stack:  .skip   8192
ustack: .skip   64
