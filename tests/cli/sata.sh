#!/bin/sh
# sata.sh - --disk FILE,if=ahci and --cdrom: firmware boots from both, reads and writes; what is refused.
# shellcheck disable=SC2086 # options are words
. tests/cli/tap
. tests/cli/disk_images

bios=/usr/share/seabios/bios-256k.bin
engines=interp
case $("$WIDELOAD" list engines | grep '^jit') in *usable*) engines="interp jit" ;; esac
fast=${engines##* }

make_boot_sector "$images/disk.bin"
make_cd "$images/cd.iso"

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
