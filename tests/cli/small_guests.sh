#!/bin/sh
# small_guests.sh - tiny guests in every format, and the options that stop, record and compare them; on each soft engine.
# shellcheck disable=SC2015,SC2016,SC2086 # options are words; assembly has dollars
. tests/cli/tap

soft=interp
case $("$WIDELOAD" list engines | grep '^jit') in
*usable*) soft="interp jit" ;;
*) skip "small guests on jit" "no JIT on this host" ;;
esac

ran_on_soft() { # what, status expected, output expected, argument of run...
    title=$1 wanted=$2 printed=$3
    shift 3
    for engine in $soft; do ran "$title, on $engine" "$wanted" "$printed" run --engine "$engine" "$@"; done
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

# -- how a run ends
printf '\353\376' >"$images/loop.bin"
for engine in $soft; do
    wideload run --engine $engine --limit 12345 --stats "$images/loop.bin"
    [ "$status" = 0 ] && grep -q '^instructions 12345$' "$tmp/err"
    check "--limit stops $engine after exactly so many instructions" $?
done

{ echo '.code16; .globl _start; _start: 9:'; say tick-; echo 'jmp 9b'; } | guest binary 0x7c00 "$images/tick.bin"
ran_on_soft "--until stops after the text" 0 tick-tick --debugcon stdio --until k-tick "$images/tick.bin"

printf '\364\353\375' >"$images/halt.bin"
for engine in $soft; do
    wideload run --engine $engine "$images/halt.bin"
    [ "$status" = 1 ] && [ "$(wc -l <"$tmp/err")" = 1 ]
    check "a guest that halts for good ends with status 1 and one line, on $engine" $?
done

{ echo '.globl _start; _start: ud2'; } | guest elf_x86_64 0x100000 "$images/triple.elf"
for engine in $soft; do
    wideload run --engine $engine --kernel "$images/triple.elf"
    [ "$status" = 1 ] && grep -q 'triple fault' "$tmp/err"
    check "a triple fault ends with status 1 and says so, on $engine" $?
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
    wideload run --engine $engine --memory 128M --trace "$tmp/hole.jsonl" --kernel "$images/hole.elf"
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
