#!/bin/sh
# display.sh - --display: what firmware and a boot sector put on the screen is in the picture.
# shellcheck disable=SC2086 # options are words
. tests/cli/tap

bios=/usr/share/seabios/bios-256k.bin vgabios=/usr/share/seabios/vgabios-stdvga.bin
engines=interp
case $("$WIDELOAD" list engines | grep '^jit') in *usable*) engines="interp jit" ;; esac
kvm_usable && engines="$engines kvm" || skip "a picture on KVM" "$kvm_says"
fast=jit
case $engines in *jit*) ;; *) fast=interp ;; esac

# A picture's size, from PNG's header: 8 bytes, a length, "IHDR", width, height.
size_of() { echo $(od -An -tu1 -j 18 -N 2 "$1" | awk '{ print $1 * 256 + $2 }')x$(od -An -tu1 -j 22 -N 2 "$1" | awk '{ print $1 * 256 + $2 }'); }

# A boot sector that sets a mode by the VGA BIOS, then does what comes.
sector() { # output
    {
        echo '.code16; .globl _start; _start: cld; xor %ax, %ax; mov %ax, %ds; mov %ax, %ss; mov $0x7c00, %sp'
        cat
        leave 5
        echo '.org 510; .word 0xaa55'
    } | guest binary 0x7c00 "$1" && truncate -s 1M "$1"
}

if [ -r "$bios" ] && [ -r "$vgabios" ]; then
    echo 'mov $3, %ax; int $0x10' | sector "$images/text.img"
    echo 'mov $0x12, %ax; int $0x10; mov $0xa000, %ax; mov %ax, %es; mov $0x80, %al; mov $38400, %cx; xor %di, %di; rep stosb' | sector "$images/planes.img"
    echo 'mov $0x13, %ax; int $0x10; mov $0xa000, %ax; mov %ax, %es; 1: mov %di, %ax; stosb; cmp $64000, %di; jb 1b' | sector "$images/chained.img"
    echo 'mov $0x4f02, %ax; mov $0x115, %bx; int $0x10; mov $0xa000, %ax; mov %ax, %es; mov $0x4000, %cx; mov $-1, %eax; rep stosl' | sector "$images/vbe.img"
    for row in text:720x400 planes:640x480 chained:320x200 vbe:800x600; do
        for engine in $engines; do
            wideload run --engine $engine --bios $bios --serial none --disk "$images/${row%:*}.img,if=ahci" --display "png:$tmp/$engine.png"
            [ "$status" = 5 ] && [ "$(size_of "$tmp/$engine.png")" = "${row#*:}" ] && cmp -s "$tmp/$engine.png" "$tmp/interp.png"
            check "$engine: a picture of ${row%:*}" $?
        done
    done
    wideload run --engine $fast --bios $bios --disk "$images/text.img" --display "png:$tmp/a.png" --vgabios $vgabios
    [ "$status" = 5 ] && [ ! -s "$tmp/out" ]
    check "with a display SeaBIOS does not speak at the serial port" $?
    wideload run --engine $fast --bios $bios --serial none --disk "$images/chained.img" --display "png:$tmp/a.png" --debugcon stdio --until 'Booting from 0' --save "$tmp/half"
    wideload run --engine interp --load "$tmp/half" --serial none --disk "$images/chained.img" --display "png:$tmp/b.png"
    [ "$status" = 5 ] && [ "$(size_of "$tmp/b.png")" = 320x200 ]
    check "a guest that was saved goes on with its screen" $?
    refused "--load without the display" run --load "$tmp/half" --disk "$images/chained.img"
else
    skip "a picture of each kind of mode" "$bios or $vgabios is not installed"
fi

# -- curses: what is typed at a terminal, SeaBIOS and its INT 16h read, and INT 10h shows
if [ -r "$bios" ] && [ -r "$vgabios" ] && command -v script >/dev/null 2>&1; then
    {
        echo 'mov $3, %ax; int $0x10; mov $0x0e3e, %ax; mov $7, %bx; int $0x10'
        echo '2: mov $0, %ah; int $0x16; cmp $27, %al; je 3f; mov $0x0e, %ah; mov $7, %bx; int $0x10; jmp 2b; 3:'
    } | sector "$images/typed.img"
    mkfifo "$tmp/keys"
    trap '' PIPE
    : >"$tmp/seen"
    TERM=xterm timeout 60 script -qec "stty rows 30 cols 100; '$WIDELOAD' run --engine $fast --bios $bios --disk '$images/typed.img,if=ahci' --display curses; echo status \$?" \
        /dev/null <"$tmp/keys" >"$tmp/seen" 2>&1 &
    script=$!
    exec 3>"$tmp/keys"
    waits_for() { tries=0; until grep -q -F -e "$1" "$tmp/seen" || [ $tries = 200 ]; do sleep 0.05; tries=$((tries + 1)); done; }
    waits_for '>'
    sleep 0.5
    printf '\001c' >&3
    waits_for '(wideload)'
    printf 'screendump %s\r\001c' "$tmp/monitor.png" >&3
    waits_for 'written to'
    ascii='!"#$%&'"'"'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\]^_`abcdefghijklmnopqrstuvwxyz{|}~'
    for from in 1 17 33 49 65 81; do
        printf %s "$(printf %s "$ascii" | cut -c $from-$((from + 15)))" >&3
        sleep 0.4
    done
    printf '\001c' >&3 # and back: all of the screen is drawn at once
    sleep 0.3
    printf '\001c' >&3
    sleep 0.3
    printf '\033' >&3
    wait $script
    exec 3>&-
    grep -q 'status 5' "$tmp/seen" && grep -q -F -e "$(printf %s "$ascii" | cut -c 1-78)" "$tmp/seen" || { cat -v "$tmp/seen" | tail -n 5 | sed 's/^/# /'; false; }
    check "curses: what is typed is what the guest reads and shows" $?
    [ "$(size_of "$tmp/monitor.png")" = 720x400 ]
    check "the monitor's screendump" $?
else
    skip "curses" "script (bsdutils), $bios or $vgabios is not installed"
fi
refused "curses without a terminal" run --display curses "$images/text.img"
refused "curses beside the serial port" run --display curses --serial stdio "$images/text.img"

echo '.code16; .globl _start; _start: hlt; jmp _start' | guest binary 0x7c00 "$images/halt.bin"
wideload run --serial none --display "png:$tmp/off.png" "$images/halt.bin"
[ "$(size_of "$tmp/off.png")" = 1x1 ]
check "a screen that is off is one pixel" $?
for display in "" frob png png:; do
    refused "--display '$display'" run "$images/halt.bin" --display "$display"
done
refused "--vgabios without a display" run "$images/halt.bin" --vgabios "$images/halt.bin"
refused "no such VGA BIOS" run "$images/halt.bin" --display "png:$tmp/x.png" --vgabios "$images/missing"
refused "no VGA BIOS beside the BIOS" run --bios "$images/halt.bin" --display "png:$tmp/x.png"
wideload run --limit 10 --display png:/nowhere/x.png "$images/halt.bin"
[ "$status" = 2 ] && grep -q nowhere "$tmp/err"
check "a picture that cannot be written is said" $?
finish
