#!/bin/sh
# sata.sh - --disk FILE,if=ahci and --cdrom: firmware boots from both, reads and writes; what is refused.
# shellcheck disable=SC2086 # options are words
. tests/cli/tap

bios=/usr/share/seabios/bios-256k.bin
engines=interp
case $("$WIDELOAD" list engines | grep '^jit') in *usable*) engines="interp jit" ;; esac
fast=${engines##* }

# A boot sector: says what it is, and copies itself to the next sector with the BIOS if it is told to.
{
    echo '.code16; .globl _start; _start: xor %ax, %ax; mov %ax, %ds; mov %ax, %ss; mov $0x7c00, %sp'
    echo 'mov $0x4300, %ax; mov $8f, %si; int $0x13; jc 7f'
    say "disk boots"
    leave 42
    echo '7:'
    leave 1
    echo '.balign 4; 8: .byte 16, 0; .word 1; .word 0x7c00, 0; .quad 1; .org 510; .word 0xaa55'
} | guest binary 0x7c00 "$images/disk.bin"
{
    echo '.code16; .globl _start; _start:'
    say "CD boots"
    leave 43
} | guest binary 0x7c00 "$images/cd.bin"

# El Torito 1.0: block 17 names the catalog in block 18: a validation entry, and an initial entry without emulation, which is
# four sectors from block 19.
at() { dd of="$images/cd.iso" bs=1 seek=$(($1 * 2048 + $2)) conv=notrunc status=none; }
truncate -s 40960 "$images/cd.iso"
printf '\001CD001\001' | at 16 0
printf '\000CD001\001EL TORITO SPECIFICATION' | at 17 0
printf '\022' | at 17 71
printf '\001' | at 18 0
printf '\252\125\125\252' | at 18 28
printf '\210\000\000\000\000\000\004\000\023\000\000\000' | at 18 32
at 19 0 <"$images/cd.bin"

fresh() { rm -f "$images/disk.img"; truncate -s 1M "$images/disk.img"; dd if="$images/disk.bin" of="$images/disk.img" conv=notrunc status=none; }
boots() { wideload run --bios $bios --serial none --debugcon stdio "$@"; }
says() { [ "$status" = "$1" ] && grep -q "$2\$" "$tmp/out" || { tail -n 3 "$tmp/out" | sed 's/^/# /'; sed 's/^/# /' "$tmp/err"; return 1; }; }
copied() { [ "$(tail -c +513 "$images/disk.img" | head -c 512 | cksum)" = "$(head -c 512 "$images/disk.img" | cksum)" ]; }

if [ -r "$bios" ]; then
    for engine in $engines; do
        fresh
        boots --engine $engine --disk "$images/disk.img,if=ahci"
        says 42 "disk boots" && copied
        check "$engine: SeaBIOS boots from a SATA disk, reads and writes" $?
        boots --engine $engine --cdrom "$images/cd.iso"
        says 43 "CD boots"
        check "$engine: SeaBIOS boots from a CD" $?
    done
    boots --engine $fast --disk "$images/disk.img,if=ahci,readonly"
    says 1 ""
    check "readonly: a write is an error to the guest" $?
    fresh
    boots --engine $fast --disk "$images/disk.img,if=ahci,snapshot"
    says 42 "disk boots" && ! copied
    check "snapshot: the image stays as it was" $?
    # --boot: of two that boot, the one that is named first.
    fresh
    for order in c d cd dc ncd d,menu=on c,menu=off; do
        boots --engine $fast --disk "$images/disk.img,if=ahci" --cdrom "$images/cd.iso" --boot $order
        case $order in d*) says 43 "CD boots" ;; *) says 42 "disk boots" ;; esac
        check "--boot $order" $?
    done
    boots --engine $fast --cdrom "$images/cd.iso" --disk "$images/disk.img" --boot c
    says 42 "disk boots"
    check "--boot c: a disk on virtio" $?
    wideload run --engine $fast --bios $bios --cdrom "$images/cd.iso"
    grep -q 'Booting from DVD/CD' "$tmp/out"
    check "SeaBIOS speaks at the serial port" $?
    for order in "" x cdnc "c,menu" menu=on,c "c,d"; do
        refused "--boot '$order'" run --bios $bios --boot "$order"
    done
    refused "--boot without firmware" run "$images/disk.bin" --boot c
    # Somewhere in the BIOS's look at the drives.
    wideload run --engine $fast --bios $bios --serial none --disk "$images/disk.img,if=ahci" --cdrom "$images/cd.iso" --until 'AHCI/0' --debugcon stdio --save "$tmp/half"
    wideload run --engine interp --load "$tmp/half" --serial none --debugcon stdio --disk "$images/disk.img,if=ahci" --cdrom "$images/cd.iso"
    says 42 "disk boots" && copied
    check "a guest that was saved goes on with its drives on another engine" $?
    refused "--load without the CD" run --load "$tmp/half" --disk "$images/disk.img,if=ahci"
    refused "--load with the drives swapped" run --load "$tmp/half" --disk "$images/cd.iso,if=ahci,readonly" --cdrom "$images/disk.img"
    refused "--load with a virtio disk instead" run --load "$tmp/half" --disk "$images/disk.img" --cdrom "$images/cd.iso"
else
    skip "SeaBIOS boots from a SATA disk and a CD" "$bios is not installed"
fi

fresh
refused "no such bus" run --bios "$images/disk.bin" --disk "$images/disk.img,if=scsi"
refused "a CD-ROM that can be written to" run --bios "$images/disk.bin" --cdrom "$images/cd.iso,snapshot"
refused "no such CD-ROM" run --bios "$images/disk.bin" --cdrom "$images/missing"
refused "a CD-ROM without a name" run --bios "$images/disk.bin" --cdrom ""
set --
for i in 1 2 3 4 5 6 7; do set -- "$@" --cdrom "$images/cd.iso"; done
refused "7 CD-ROMs" run --bios "$images/disk.bin" "$@"
finish
