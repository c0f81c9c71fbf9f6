#!/bin/sh
# small_guests.sh - tiny guests in every format, and the options that stop, record and compare them; on each soft engine.
# shellcheck disable=SC2015,SC2016,SC2086 # options are words; assembly has dollars
. tests/cli/tap

soft="interp interp+threads"
case $("$WIDELOAD" list engines | grep '^jit') in
*usable*) soft="$soft jit jit+threads" ;;
*) skip "small guests on jit" "no JIT on this host" ;;
esac

ran_on_soft() { # what, status expected, output expected, argument of run...
    title=$1 wanted=$2 printed=$3
    shift 3
    for engine in $soft; do ran "$title, on $engine" "$wanted" "$printed" run $(on $engine) "$@"; done
}

ran() { # what, status expected, output expected, argument...
    what=$1 expected=$2 text=$3
    shift 3
    wideload "$@"
    [ "$status" = "$expected" ] && [ "$(cat "$tmp/out")" = "$text" ]
    check "$what" $?
    [ "$status" = "$expected" ] && [ "$(cat "$tmp/out")" = "$text" ] ||
        { echo "# status $status, not $expected: wideload $*"; sed 's/^/# /' "$tmp/out" "$tmp/err"; }
}

run() { wideload run --serial none --debugcon stdio "$@"; }

# -- the formats
{ echo '.code16; .globl _start; _start:'; say hello; leave 42; } | guest binary 0x7c00 "$images/boot.bin"
ran_on_soft "a boot sector prints and leaves with its status" 42 hello --debugcon stdio "$images/boot.bin"

{
    echo '.globl _start; _start: shr $12, %esp; mov %esp, %eax; or $0x10, %al; movb %al, %bl; mov $5, %ecx; inc %ecx'
    say flat
    echo 'cmp $6, %ecx; jne 8f'
    leave 3
    echo '8:'; leave 4
} | guest elf_i386 0x100000 "$images/elf32.elf"
ran_on_soft "an ELF32 runs in protected mode" 3 flat --debugcon stdio --kernel "$images/elf32.elf"

{ echo '.globl _start; _start: mov $0x123456789, %r8; shr $32, %r8; cmp $1, %r8; jne 8f'; say long; leave 5; echo '8:'; leave 6; } |
    guest elf_x86_64 0x100000 "$images/elf64.elf"
ran_on_soft "an ELF64 runs in long mode" 5 long --debugcon stdio --kernel "$images/elf64.elf"

# Prints the zero-terminated text that ESI points to.
print_esi='7: lodsb; test %al, %al; jz 6f; outb %al, $0xe9; jmp 7b; 6:'
header='.align 4; .long 0x1badb002, 0, -0x1badb002'
{ echo ".globl _start; $header; _start: cmp \$0x2badb002, %eax; jne 8f; mov 16(%ebx), %esi; $print_esi"; leave 7; echo '8:'; leave 8; } |
    guest elf_i386 0x100000 "$images/multiboot.elf"
ran_on_soft "a multiboot ELF gets its command line" 7 "a b=c" --debugcon stdio --append "a b=c" --kernel "$images/multiboot.elf"

header='1: .long 0x1badb002, 0x10000, -0x1baeb002, 1b, 1b, 0, 0, _start'
{ echo ".globl _start; $header; _start: cmp \$0x2badb002, %eax; jne 8f; mov 16(%ebx), %esi; $print_esi"; leave 9; echo '8:'; leave 8; } |
    guest binary 0x100000 "$images/multiboot.bin"
ran_on_soft "a multiboot image with addresses gets its command line" 9 yes --debugcon stdio --append yes --kernel "$images/multiboot.bin"

{
    echo ".globl _start; _start: cmpl \$0x336ec578, (%ebx); jne 8f; mov 24(%ebx), %esi; $print_esi"
    leave 10; echo '8:'; leave 8
    echo '.section .note.pvh, "a", @note; .long 4, 4, 18; .asciz "Xen"; .long _start'
} | guest elf_i386 0x100000 "$images/pvh.elf"
ran_on_soft "a PVH ELF gets its command line" 10 direct --debugcon stdio --append direct --kernel "$images/pvh.elf"

# Prints the module that a multiboot kernel was given, whose end is in EDX.
print_module='7: cmp %edx, %esi; je 6f; lodsb; outb %al, $0xe9; jmp 7b; 6:'
printf 'a module' >"$images/module"
header='.align 4; .long 0x1badb002, 0, -0x1badb002'
{
    echo ".globl _start; $header; _start: mov (%ebx), %ecx; and \$0x48, %ecx; cmp \$0x48, %ecx; jne 8f"
    echo "cmpl \$1, 20(%ebx); jne 8f; mov 24(%ebx), %ecx; mov (%ecx), %esi; mov 4(%ecx), %edx; $print_module"
    leave 11; echo '8:'; leave 8
} | guest elf_i386 0x100000 "$images/module.elf"
ran_on_soft "a multiboot kernel gets its RAM disk as a module, and a map" 11 "a module" --debugcon stdio --initrd "$images/module" --kernel "$images/module.elf"

# The tag that EDI asks for: EBX at it; 8 where there is none.
find_tag='add $8, %ebx; 5: mov (%ebx), %eax; test %eax, %eax; jz 8f; cmp %edi, %eax; je 4f; mov 4(%ebx), %eax; add $7, %eax; and $-8, %eax; add %eax, %ebx; jmp 5b; 4:'
header='.align 8; 1: .long 0xe85250d6, 0, 2f-1b, -(0xe85250d6+2f-1b); .long 0, 8; 2:'
{
    echo ".globl _start; $header; _start: cmp \$0x36d76289, %eax; jne 8f; mov %ebx, %ebp; mov \$1, %edi; $find_tag lea 8(%ebx), %esi"
    echo "$print_esi mov %ebp, %ebx; mov \$3, %edi; $find_tag mov 8(%ebx), %esi; mov 12(%ebx), %edx; $print_module"
    echo "mov %ebp, %ebx; mov \$15, %edi; $find_tag cmpl \$0x20445352, 8(%ebx); jne 8f; mov %ebp, %ebx; mov \$6, %edi; $find_tag"
    leave 12; echo '8:'; leave 8
} | guest elf_i386 0x100000 "$images/multiboot2.elf"
ran_on_soft "a multiboot 2 kernel gets command line, module, RSDP and map" 12 "two a module" --debugcon stdio --append "two " --initrd "$images/module" \
    --kernel "$images/multiboot2.elf"

{
    echo ".globl _start; _start: cmpl \$1, 12(%ebx); jne 8f; mov 16(%ebx), %ecx; mov (%ecx), %esi; mov 8(%ecx), %edx; add %esi, %edx; $print_module"
    echo 'mov 32(%ebx), %ecx; cmpl $0x20445352, (%ecx); jne 8f'
    leave 13; echo '8:'; leave 8
    echo '.section .note.pvh, "a", @note; .long 4, 4, 18; .asciz "Xen"; .long _start'
} | guest elf_i386 0x100000 "$images/pvh_module.elf"
ran_on_soft "a PVH kernel gets its RAM disk and the RSDP" 13 "a module" --debugcon stdio --initrd "$images/module" --kernel "$images/pvh_module.elf"

{
    echo 'mov %cs, %eax; cmp $0x10, %eax; jne 8f; mov %ds, %eax; cmp $0x18, %eax; jne 8f; cmpl $0x53726448, 0x202(%rsi); jne 8f'
    echo 'cmpb $4, 0x1e8(%rsi); jb 8f; mov 0x70(%rsi), %rax; cmpl $0x20445352, (%rax); jne 8f; lea 0x2d0(%rsi), %rbx'
    echo 'cmpq $0x100000, 40(%rbx); jne 8f; cmpq $0x7f00000, 48(%rbx); jne 8f; cmpl $1, 56(%rbx); jne 8f; mov %rsi, %rbx; mov 0x228(%rbx), %esi'
    echo "$print_esi mov 0x218(%rbx), %esi; mov 0x21c(%rbx), %edx; add %esi, %edx; $print_module"
    leave 14; echo '8:'; leave 8
} | bzimage "$images/bzImage"
ran_on_soft "a bzImage gets its zero page, command line and RAM disk" 14 "ro quiet a module" --debugcon stdio --append "ro quiet " --initrd "$images/module" \
    --kernel "$images/bzImage"

# The RSDP leads to tables whose checksums are right: it and the XSDT are added up.
sum='xor %eax, %eax; 5: addb (%rsi), %al; inc %rsi; dec %ecx; jnz 5b; test %al, %al; jnz 8f'
{
    echo ".globl _start; _start: mov \$0xe0000, %ebx; mov %rbx, %rsi; mov \$20, %ecx; $sum; mov %rbx, %rsi; mov \$36, %ecx; $sum"
    echo "mov 24(%rbx), %rbx; cmpl \$0x54445358, (%rbx); jne 8f; mov %rbx, %rsi; mov 4(%rbx), %ecx; mov %ecx, %ebp; $sum; lea 36(%rbx), %rdi; add %rbx, %rbp"
    echo "4: mov (%rdi), %rbx; mov %rbx, %rsi; mov 4(%rbx), %ecx; mov (%rbx), %eax; mov \$4, %edx; 3: outb %al, \$0xe9; shr \$8, %eax; dec %edx; jnz 3b"
    echo "$sum; add \$8, %rdi; cmp %rbp, %rdi; jb 4b"
    leave 15; echo '8:'; leave 8
} | guest elf_x86_64 0x100000 "$images/acpi.elf"
ran_on_soft "ACPI tables are where systems look, with right checksums" 15 FACPAPICHPETMCFG --debugcon stdio --kernel "$images/acpi.elf"
ran_on_soft "... and of an IOMMU where there is one" 15 FACPAPICHPETMCFGDMAR --iommu --debugcon stdio --kernel "$images/acpi.elf"

# -- how a run ends
printf '\353\376' >"$images/loop.bin"
for engine in $soft; do
    wideload run $(on $engine) --limit 12345 --stats "$images/loop.bin"
    [ "$status" = 0 ] && grep -q '^instructions 12345$' "$tmp/err"
    check "--limit stops $engine after exactly so many instructions" $?
done

{ echo '.code16; .globl _start; _start: 9:'; say tick-; echo 'jmp 9b'; } | guest binary 0x7c00 "$images/tick.bin"
ran_on_soft "--until stops after the text" 0 tick-tick --debugcon stdio --until k-tick "$images/tick.bin"

# CPUID.1:EDX.APIC is clear while IA32_APIC_BASE says that the APIC is off (SDM 3A 12.4.3).
{
    echo '.globl _start; _start: mov $0x1b, %ecx; rdmsr; btr $11, %eax; wrmsr; mov $1, %eax; cpuid; test $0x200, %edx; jnz 8f'
    echo 'mov $0x1b, %ecx; rdmsr; bts $11, %eax; wrmsr; mov $1, %eax; cpuid; test $0x200, %edx; jz 8f'
    leave 18; echo '8:'; leave 8
} | guest elf_x86_64 0x100000 "$images/apic.elf"
ran_on_soft "CPUID tells whether the local APIC is on" 18 "" --serial none --kernel "$images/apic.elf"

# A timer of a millisecond, set while nothing else is due, interrupts after one: at most three by the time-stamp counter.
{
    echo '.code16; .globl _start; _start: cli; xor %ax, %ax; mov %ax, %ds; movw $handler, 0x20; movw $0, 0x22'
    echo 'mov $0x11, %al; out %al, $0x20; mov $8, %al; out %al, $0x21; mov $4, %al; out %al, $0x21; mov $1, %al; out %al, $0x21'
    echo 'mov $0xfe, %al; out %al, $0x21; rdtsc; mov %eax, %esi; mov $0x30, %al; out %al, $0x43; mov $0xa9, %al; out %al, $0x40'
    echo 'mov $4, %al; out %al, $0x40; xor %cx, %cx; sti; 7: test %cx, %cx; jz 7b; rdtsc; sub %esi, %eax; cmp $3000000, %eax; ja 8f'
    leave 16; echo '8:'; leave 8; echo 'handler: inc %cx; iret'
} | guest binary 0x7c00 "$images/timer.bin"
ran_on_soft "a timer interrupts when it is due" 16 "" --clock virtual --serial none "$images/timer.bin"

printf '\364\353\375' >"$images/halt.bin"
for engine in $soft; do
    wideload run $(on $engine) "$images/halt.bin"
    [ "$status" = 1 ] && [ "$(wc -l <"$tmp/err")" = 1 ]
    check "a guest that halts for good ends with status 1 and one line, on $engine" $?
done

{ echo '.globl _start; _start: ud2'; } | guest elf_x86_64 0x100000 "$images/triple.elf"
for engine in $soft; do
    wideload run $(on $engine) --no-reboot --kernel "$images/triple.elf"
    [ "$status" = 1 ] && grep -q 'triple fault' "$tmp/err"
    check "with --no-reboot a triple fault ends with status 1 and says so, on $engine" $?
done

{ echo '.code16; .globl _start; _start: mov $0x505, %dx; mov $1, %al; out %al, %dx;'; leave 19; } | guest binary 0x7c00 "$images/panic.bin"
for engine in $soft; do
    wideload run $(on $engine) "$images/panic.bin"
    [ "$status" = 1 ] && grep -q 'the guest has panicked' "$tmp/err"
    check "a panic ends with status 1 and says so, on $engine" $?
done
ran_on_soft "--on-panic continue" 19 "" --serial none --on-panic continue "$images/panic.bin"

# ... unless an NMI comes: the timer's, by the local APIC's LINT0.
{
    echo '.globl _start; _start: lidt idtr; mov $nmi, %eax; mov %ax, idt + 16; movw %cs, idt + 18; movw $0x8e00, idt + 20; shr $16, %eax; mov %ax, idt + 22'
    echo 'movl $0x1ff, 0xfee000f0; movl $0x400, 0xfee00350; 1: hlt; jmp 1b; nmi:'; leave 25; echo 'idtr: .word 23; .long idt; .balign 8; idt: .space 24'
} | guest elf_i386 0x100000 "$images/halt_nmi.elf"
ran_on_soft "a guest that halts until an NMI comes" 25 "" --serial none --kernel "$images/halt_nmi.elf"

# What a BIOS leaves (IBM PC AT Technical Reference): the timer counts at 40:6C and calls INT 1Ch; other vectors return; the data area.
{
    echo '.code16; .globl _start; _start: xor %ax, %ax; mov %ax, %ds; sti; 1: hlt; cmpl $3, 0x46c; jb 1b'
    echo 'cli; movl $0x1800af, 0x46c; movw $hook, 0x70; movw $0, 0x72; xor %cx, %cx; sti; 2: hlt; cmp $2, %cx; jb 2b'
    echo 'cmpl $1, 0x46c; jne 8f; cmpb $1, 0x470; jne 8f; int $0x10; int $0x68; int $9; int $0x75'
    echo 'in $0x21, %al; cmp $0xfe, %al; jne 8f; in $0xa1, %al; cmp $0xff, %al; jne 8f'
    echo 'cmpl $0x2f803f8, 0x400; jne 8f; cmpl $0, 0x404; jne 8f; cmpw $636, 0x413; jne 8f; cmpw $0x9f00, 0x40e; jne 8f'
    echo 'cmpl $0xf000ff53, 0x40; jne 8f; cmpl $0xf000fea5, 0x20; jne 8f; mov $0xffff, %ax; mov %ax, %ds; cmpb $0xfc, 14; jne 8f'
    leave 23; echo '8:'; leave 8; echo 'hook: inc %cx; iret'
} | guest binary 0x7c00 "$images/bios_data.bin"
ran_on_soft "a BIOS's timer, vectors and data area" 23 "" --serial none "$images/bios_data.bin"
# ... which starts the machine anew from the classic address.
{
    echo '.code16; .globl _start; _start: cmpw $0, 0x500; jne 8f; movw $1, 0x500; mov $0x50, %al; out %al, $0x70; in $0x71, %al; test %al, %al; jne 1f'
    echo 'inc %al; out %al, $0x71; ljmp $0xffff, $0; 1:'; leave 24; echo '8:'; leave 8
} | guest binary 0x7c00 "$images/restart.bin"
ran_on_soft "FFFF:0000 starts the guest anew" 24 "" --serial none "$images/restart.bin"

# Suspend to RAM with an alarm each second: RAM stays, devices begin anew, WAK_STS and RTC_STS say why, and the FACS where (ACPI 16.2.4).
{
    echo '.code16; .globl _start; cmos = 0x70; _start: cli; xor %ax, %ax; mov %ax, %ss; mov $0x7c00, %sp; mov $0xe000, %ax; mov %ax, %ds'
    echo 'cmpl $0x53434146, 0x40; jne 8f; movl $again, 0x4c; movw $0xffff, %ss:0x500; mov $0x3f, %al; out %al, $0x21; mov $5, %bp'
    echo 'mov $1, %al; 5: out %al, $cmos; mov $0xff, %bl; xchg %al, %bl; out %al, $cmos + 1; xchg %al, %bl; add $2, %al; cmp $7, %al; jb 5b'
    echo 'mov $11, %al; out %al, $cmos; in $cmos + 1, %al; or $0x20, %al; out %al, $cmos + 1; mov $12, %al; out %al, $cmos; in $cmos + 1, %al'
    echo 'mov $0x602, %dx; mov $0x400, %ax; out %ax, %dx; mov $0x604, %dx; mov $0x3400, %ax; out %ax, %dx; 1: hlt; jmp 1b'
    echo 'again: cmpw $0xffff, 0x500; jne 8f; cmp $5, %bp; je 8f; in $0x21, %al; cmp $0xfe, %al; jne 8f; mov $0x600, %dx; in %dx, %ax'
    echo 'and $0x8400, %ax; cmp $0x8400, %ax; jne 8f; mov $15, %al; out %al, $cmos; in $cmos + 1, %al; cmp $0xfe, %al; jne 8f'
    leave 26; echo '8:'; leave 8
} | guest binary 0x7c00 "$images/suspend.bin"
ran_on_soft "a guest that suspends is woken by the clock" 26 "" --serial none "$images/suspend.bin"
printf '\272\004\006\270\000\064\357\364' >"$images/sleep.bin" # mov dx, 604h; mov ax, 3400h; out dx, ax; hlt
for engine in $soft; do
    wideload run $(on $engine) "$images/sleep.bin"
    [ "$status" = 1 ] && [ "$(wc -l <"$tmp/err")" = 1 ]
    check "a guest that suspends for good ends with status 1 and one line, on $engine" $?
done

# Each way to reset, one after the other; a byte of CMOS counts.  The guest is loaded anew, into RAM that is empty.
{
    echo '.code16; .globl _start; _start: cli; xor %ax, %ax; mov %ax, %ds; cmpw $0, 0x500; jne 8f; cmpw $0x1234, data; jne 8f'
    echo 'movw $1, 0x500; movw $0, data; mov $0x50, %al; out %al, $0x70; in $0x71, %al; mov %al, %bl; mov $0x50, %al; out %al, $0x70'
    echo 'mov %bl, %al; inc %al; out %al, $0x71; add $0x2f, %al; out %al, $0xe9; cmp $0, %bl; jne 1f; mov $0xfe, %al; out %al, $0x64; hlt'
    echo '1: cmp $1, %bl; jne 2f; mov $0xcf9, %dx; mov $2, %al; out %al, %dx; mov $6, %al; out %al, %dx; hlt'
    echo '2: cmp $2, %bl; jne 3f; mov $1, %al; out %al, $0x92; hlt'
    echo '3: cmp $3, %bl; jne 4f; lidtw nothing; int3'
    echo '4:'; leave 17; echo '8:'; leave 8; echo 'data: .word 0x1234; nothing: .word 0, 0, 0'
} | guest binary 0x7c00 "$images/resets.bin"
ran_on_soft "every reset loads the guest anew" 17 "01234" --serial none --debugcon stdio "$images/resets.bin"
ran_on_soft "... with --trace too" 17 "01234" --serial none --debugcon stdio --trace "$tmp/resets.jsonl" "$images/resets.bin"
for engine in $soft; do
    wideload run $(on $engine) --no-reboot --serial none --debugcon stdio "$images/resets.bin"
    [ "$status" = 0 ] && [ "$(cat "$tmp/out")" = 0 ] && grep -q 'reset by the guest' "$tmp/err"
    check "--no-reboot ends with status 0 and says so, on $engine" $?
done

# In the background of a script SIGINT is ignored until the program asks for it, so the guest's first output is waited for.
{ echo '.code16; .globl _start; _start:'; say x; echo '9: jmp 9b'; } | guest binary 0x7c00 "$images/endless.bin"
for signal in INT TERM; do
    for command in run "run --engine jit" "diff --right interp" "diff --right jit"; do
        case $command in *jit) [ "$soft" != interp ] || continue ;; esac
        rm -f "$tmp/console"
        "$WIDELOAD" $command --debugcon "$tmp/console" "$images/endless.bin" >"$tmp/out" 2>"$tmp/err" &
        pid=$! tries=0
        while [ ! -s "$tmp/console" ] && [ $tries -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
        (sleep 20; kill -KILL $pid) >/dev/null 2>&1 & # lest it never ends
        watchdog=$!
        start=$(date +%s)
        kill -$signal $pid
        wait $pid
        status=$?
        kill $watchdog 2>/dev/null
        [ $status = 130 ] && [ $(($(date +%s) - start)) -le 2 ] && [ "$(cat "$tmp/err")" = "wideload ${command%% *}: interrupted" ]
        check "$command: SIG$signal ends an endless guest at once, with status 130 and one line" $?
    done
done

# -- where output goes
{ echo '.code16; .globl _start; _start: mov $0x3fb, %dx; mov $3, %al; out %al, %dx; mov $0x3f8, %dx; mov $0x6f, %al; out %al, %dx; mov $0x6b, %al; out %al, %dx'; say dbg; leave 0; } |
    guest binary 0x7c00 "$images/serial.bin"
ran_on_soft "the serial port goes to standard output, the debug console nowhere" 0 ok "$images/serial.bin"
wideload run --serial "$tmp/serial" --debugcon "$tmp/debugcon" "$images/serial.bin"
[ "$status" = 0 ] && [ "$(cat "$tmp/serial")" = ok ] && [ "$(cat "$tmp/debugcon")" = dbg ] && [ ! -s "$tmp/out" ]
check "--serial and --debugcon write files" $?
wideload run --serial none --log access --log-file "$tmp/log" "$images/serial.bin"
grep -q '^access: store 1 at 0x3f8' "$tmp/log" && [ ! -s "$tmp/err" ]
check "--log-file takes the log" $?

# -- journeys: bytes that nobody claims count, and a repetition that leaves them for memory ends where the instruction does
{
    echo '.globl _start; _start: mov %eax, 0x8000000; mov 0x8000000, %eax; cld'
    echo 'std; mov $0x8000003, %edi; mov $12, %ecx; rep stosb; mov 0x8000010, %al'
    leave 0
} | guest elf_i386 0x100000 "$images/hole.elf"
for engine in $soft; do
    wideload run $(on $engine) --memory 128M --trace "$tmp/hole.jsonl" --kernel "$images/hole.elf"
    [ "$status" = 0 ] && [ "$(grep -o '"rip":"[0-9a-f]*","code":"[0-9a-f]*"' "$tmp/hole.jsonl" | sed 's/.*"code"//')" = ':"a300000008"
:"a100000008"
:"f3aa"
:"a010000008"
:"e6f4"' ]
    check "a hole's accesses are journeys of their own, on $engine" $?
done

# -- traces
as --64 -o "$tmp/wide.o" tests/guest/wide.S && ld -Ttext=0x100000 -o "$images/wide.elf" "$tmp/wide.o"
for guest in "--kernel $images/wide.elf" "$images/serial.bin"; do
    name=$(basename "${guest##* }")
    for ending in jsonl jsonl.zst; do
        wideload run --serial none --trace "$tmp/first.$ending" $guest
        wideload run --serial none --trace "$tmp/second.$ending" $guest
        [ -s "$tmp/first.$ending" ] && cmp -s "$tmp/first.$ending" "$tmp/second.$ending"
        check "$name: two .$ending traces are the same byte for byte" $?
        wideload diff --right "$tmp/first.$ending" $guest
        [ "$status" = 0 ] && grep -q ' 0 refragmented, 0 inexpressible, 0 divergent' "$tmp/out"
        check "$name: a comparison with its own .$ending trace finds no difference" $?
    done
done
wideload diff --right "$tmp/first.jsonl" "$images/boot.bin"
[ "$status" = 1 ] && grep -q '^divergent at journey 0: ' "$tmp/out" && grep -q "^reproduce: wideload diff --right .* --journeys 1$" "$tmp/out"
check "a comparison with another guest's trace is divergent, with cause and command" $?

wideload diff --right interp --format json --kernel "$images/wide.elf"
if command -v python3 >/dev/null 2>&1; then
    python3 -c 'import json, sys; d = json.load(sys.stdin); sys.exit(d["divergent"] != 0 or d["same"] != d["journeys"])' <"$tmp/out"
else
    grep -q '^{"left":"interp","right":"interp","journeys":[0-9]*,"same":[0-9]*,.*"divergent":0,.*}$' "$tmp/out"
fi
check "--format json prints an object" $?

# -- KVM
if kvm_usable; then
    ran "KVM: a boot sector prints and leaves with its status" 42 hello run --engine kvm --debugcon stdio "$images/boot.bin"
    ran "KVM: a multiboot ELF gets its command line" 7 "a b=c" \
        run --engine kvm --debugcon stdio --append "a b=c" --kernel "$images/multiboot.elf"
    ran "KVM: an ELF64 runs in long mode" 5 long run --engine kvm --debugcon stdio --kernel "$images/elf64.elf"
    wideload run --engine kvm "$images/boot.bin"
    [ "$(wc -l <"$tmp/err")" = 1 ] && grep -q '^wideload run: KVM ' "$tmp/err"
    check "KVM: run says what KVM this is, in one line" $?
    for guest in "$images/boot.bin" "$images/serial.bin" "--kernel $images/hole.elf"; do
        wideload diff $guest
        [ "$status" = 0 ]
        check "KVM: ${guest##*/} does the same as on the interpreter" $?
    done
else
    skip "KVM: small guests" "$kvm_says"
fi
finish
