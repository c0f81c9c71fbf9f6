#!/bin/sh
# console.sh - what a person at the console has: input to the guest, Ctrl-A's keys, the monitor; and input that is no terminal.
#
# The guest answers each byte with the other case of its letter, by an interrupt, and waits in HLT; q ends it with status 7.
# shellcheck disable=SC2086 # options are words
. tests/cli/tap

engines="interp interp+threads"
case $("$WIDELOAD" list engines | grep '^jit') in *usable*) engines="$engines jit jit+threads" ;; *) skip "the console on jit" "no JIT on this host" ;; esac
if kvm_usable; then engines="$engines kvm"; else skip "the console on kvm" "$kvm_says"; fi

guest binary 0x7c00 "$images/echo.bin" <<'END'
        .code16
        .globl  _start
        out_byte = 0xee         /* out %al, %dx */
        .macro  out port, value
        mov     $\port, %dx
        mov     $\value, %al
        outb    %al, %dx
        .endm
_start: cli
        xor     %ax, %ax
        mov     %ax, %ds
        mov     %ax, %ss
        mov     $0x7000, %sp
        movw    $irq4, 12 * 4
        movw    $0, 12 * 4 + 2
        out     0x20, 0x11      /* the first PIC: vectors from 8, IRQ 4 alone */
        out     0x21, 8
        out     0x21, 4
        out     0x21, 1
        out     0x21, 0xef
        out     0x3fb, 3        /* 8N1; receive interrupts; OUT2, RTS, DTR */
        out     0x3f9, 1
        out     0x3fc, 11
        out     0x3f8, '>'
1:      sti
        hlt
        jmp     1b
irq4:   mov     $0x3f8, %dx
        inb     %dx, %al
        cmp     $'q', %al
        je      2f
        xor     $0x20, %al
        outb    %al, %dx
        mov     $0x20, %al
        outb    %al, $0x20
        iret
2:      mov     $7, %al
        outb    %al, $0xf4
3:      hlt
        jmp     3b
END
[ -s "$images/echo.bin" ] || { echo "Bail out! no guest"; exit 2; }

# -- input that is no terminal
for engine in $engines; do
    printf 'abcQq' | timeout 20 "$WIDELOAD" run $(on $engine) "$images/echo.bin" >"$tmp/out" 2>"$tmp/err"
    [ $? = 7 ] && [ "$(cat "$tmp/out")" = ">ABCq" ]
    check "a pipe is the guest's input, on $engine" $?
    { sleep 0.2; printf 'x\001x\003q'; } | timeout 20 "$WIDELOAD" run $(on $engine) "$images/echo.bin" >"$tmp/out" 2>"$tmp/err"
    [ $? = 7 ] && [ "$(od -An -tx1 "$tmp/out" | tr -d ' ')" = 3e58215823 ]
    check "a guest that halts waits for it, and all bytes are its own, on $engine" $?
    wideload run $(on $engine) "$images/echo.bin"
    [ "$status" = 1 ] && [ "$(cat "$tmp/out")" = ">" ]
    check "with an empty input nothing wakes it, on $engine" $?
    timeout 20 "$WIDELOAD" run $(on $engine) "$images/echo.bin" >"$tmp/out" 2>"$tmp/err" <&-
    [ $? = 1 ]
    check "with a closed one neither, on $engine" $?
    printf 'abq' | timeout 20 "$WIDELOAD" run $(on $engine) --serial none "$images/echo.bin" >"$tmp/out" 2>"$tmp/err"
    [ $? = 1 ]
    check "input belongs to a serial port at stdio, on $engine" $?
done
head -c 3000 /dev/zero | tr '\0' a >"$tmp/many"
printf q >>"$tmp/many"
for engine in $engines; do
    timeout 60 "$WIDELOAD" run $(on $engine) "$images/echo.bin" <"$tmp/many" >"$tmp/out" 2>"$tmp/err"
    [ $? = 7 ] && [ "$(tr -d '>' <"$tmp/out" | tr -d A | wc -c)" = 0 ] && [ "$(wc -c <"$tmp/out")" = 3001 ]
    check "3000 bytes of a file all arrive, on $engine" $?
done
for i in 1 2; do timeout 60 "$WIDELOAD" run --stats "$images/echo.bin" <"$tmp/many" 2>&1 >/dev/null | grep '^instructions' >"$tmp/count$i"; done
[ -s "$tmp/count1" ] && cmp -s "$tmp/count1" "$tmp/count2"
check "a file's bytes come at the same instructions in every run" $?
wideload run --trace "$tmp/none.jsonl" "$images/echo.bin"
printf 'abq' | timeout 20 "$WIDELOAD" run --trace "$tmp/some.jsonl" "$images/echo.bin" >"$tmp/out" 2>"$tmp/err"
cmp -s "$tmp/none.jsonl" "$tmp/some.jsonl" || { sed 1d "$tmp/none.jsonl" >"$tmp/a"; sed 1d "$tmp/some.jsonl" >"$tmp/b"; cmp -s "$tmp/a" "$tmp/b"; }
check "a recorded run takes no input" $?

# -- a terminal
if ! command -v script >/dev/null 2>&1; then
    skip "the console on a terminal" "script (bsdutils) is not installed"
    finish
    exit
fi
mkfifo "$tmp/keys"

# A run on a terminal of its own; pairs of arguments: a text to wait for, and what is typed then.  $tmp/seen is the screen.
typed() { # engine, options, (text, keys)...
    engine=$1 options=$2
    shift 2
    : >"$tmp/seen"
    TERM=dumb timeout 60 script -qec "'$WIDELOAD' run $(on $engine) $options; echo status \$?; stty -a | tr ' ' '\n' | grep icanon" \
        /dev/null <"$tmp/keys" >"$tmp/seen" 2>&1 &
    script=$!
    exec 3>"$tmp/keys"
    while [ $# -gt 0 ]; do
        tries=0
        until grep -q -F -e "$1" "$tmp/seen" || [ $tries = 200 ]; do sleep 0.05; tries=$((tries + 1)); done
        printf "$2" >&3 2>/dev/null
        shift 2
    done
    wait $script
    exec 3>&-
    tr -d '\r' <"$tmp/seen" >"$tmp/screen"
}

seen() { # what, text...
    what=$1 missing=
    shift
    for text in "$@"; do grep -q -F -e "$text" "$tmp/screen" || missing="$missing '$text'"; done
    [ -z "$missing" ]
    check "$what, on $engine" $?
    [ -z "$missing" ] || { echo "# missing:$missing"; sed 's/^/# /' "$tmp/screen"; }
}

for engine in $engines; do
    typed $engine "$images/echo.bin" '>' 'ab\003\001\001c' 'AB#!C' '\001h' 'sends Ctrl-A' 'd\001x'
    seen "keys, Ctrl-C among them, are the guest's, and Ctrl-A Ctrl-A is Ctrl-A" 'AB#!C'
    seen "Ctrl-A h prints help" 'Ctrl-A x       ends the run'
    seen "Ctrl-A x ends the run like Ctrl-C" 'interrupted' 'status 130'
    grep -q -x -e icanon "$tmp/screen"
    check "the terminal is put back, on $engine" $?

    typed $engine "$images/echo.bin" '>' 'q' 'status 7' ''
    seen "the guest ends the run" 'status 7'
    grep -q -x -e icanon "$tmp/screen"
    check "and the terminal is put back, on $engine" $?

    rm -f "$tmp/saved"
    typed $engine "$images/echo.bin" '>' 'a' 'A' '\001cfrob\r' "such command: 'frob'" 'info registers\r' 'xcr0=' 'info journeys\r' '03f8  41' 'info pci\r' \
        '8086:29c0' 'info irq\r' '8259A' 'info mem\r' 'paging is off' 'info tlb\r' '(wideload)' 'info device uart\r' 'divisor' \
        'x/2i 0x7c00\r' 'xor ax, ax' 'xp/2xb 0x7c00\r' ': 0xfa 0x31' 'x 0xfe000000\r' 'no memory' "stop\rsave $tmp/saved\r" 'saved to' 'helq\177p\r' 'ends the run' \
        'cont\r\004' 'Ctrl-D: back' 'bq'
    seen "the monitor says what is no command of it" "no such command: 'frob' (help lists them)"
    seen "info registers" 'rip=0000000000007c' 'cr0='
    seen "info journeys has the last accesses" 'load          1 bytes  port 03f8  61' 'store         1 bytes  port 03f8  41'
    seen "info pci, irq, mem, tlb, device" '1f.0  8086:2918' 'chip.imr' 'paging is off' 'peer '
    seen "x and xp" '0000000000007c01:  xor ax, ax' '0000000000007c00: 0xfa 0x31' '00000000fe000000: no memory there'
    seen "save, with the guest stopped" "saved to $tmp/saved"
    seen "the guest goes on afterwards" 'status 7'
    if [ $engine = interp ]; then
        printf 'zq' | timeout 20 "$WIDELOAD" run --load "$tmp/saved" >"$tmp/out" 2>"$tmp/err"
        [ $? = 7 ] && [ "$(cat "$tmp/out")" = Z ]
        check "what the monitor saved goes on" $?
    fi
done

# -- every way out puts the terminal back
for signal in TERM HUP QUIT SEGV; do
    printf 'echo $$ >"%s"\nexec "%s" run "%s"\n' "$tmp/pid" "$WIDELOAD" "$images/echo.bin" >"$tmp/inner"
    : >"$tmp/seen"
    timeout 60 script -qec "sh '$tmp/inner'; stty -a | tr ' ' '\n' | grep icanon" /dev/null <"$tmp/keys" >"$tmp/seen" 2>&1 &
    script=$!
    exec 3>"$tmp/keys"
    tries=0
    until grep -q '^>' "$tmp/seen" || [ $tries = 200 ]; do sleep 0.05; tries=$((tries + 1)); done
    kill -$signal "$(cat "$tmp/pid")"
    wait $script
    exec 3>&-
    tr -d '\r' <"$tmp/seen" | grep -q -x -e icanon
    check "SIG$signal leaves the terminal as it was" $?
done
finish
