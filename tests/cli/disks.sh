#!/bin/sh
# disks.sh - --disk: guests that boot from, read and write images, on each engine; locks; a kill -9 that loses nothing.
# shellcheck disable=SC2086,SC2015 # options are words
. tests/cli/tap

bios=/usr/share/seabios/bios-256k.bin
. tests/cli/disk_guest

# -- raw images
image=$images/disk.img
for engine in $engines; do
    for options in "" ,cache=none ,snapshot; do
        fresh "$image"
        guest_on $engine 2 "$image$options"
        case $(cat "$tmp/err") in
        *O_DIRECT*) skip "$engine: one of each request${options}" "no O_DIRECT in $tmp"; continue ;;
        esac
        says 0 ok
        check "$engine: one of each request${options}" $?
        guest_on $engine 4 "$image$options"
        says 0 "written ok"
        check "$engine: 300 blocks are written and read${options}" $?
    done
done
cmp -s "$image" /dev/zero -n 8388608
check "snapshot leaves the image as it was" $?
[ -z "$(left_behind)" ]
check "... and no file behind" $?
guest_on $fast 3 "$image,readonly"
says 0 1
check "readonly: a write is an error to the guest" $?
fresh "$image"
guest_on $fast 3 "$image"
[ "$(od -An -tu4 -j $((181 * 8192)) -N 4 "$image" | tr -d ' ')" = 1 ]
check "a block is where the guest has written it" $?
rm -f "$images/odd.img" && truncate -s 8388600 "$images/odd.img"
guest_on $fast 2 "$images/odd.img,cache=none"
guest_on $fast 2 "$images/odd.img"
says 0 ok && [ "$(wc -c <"$images/odd.img")" = 8388608 ]
check "the last sector of an image that ends within it is whole once it is written" $?

rm -f "$images/odd.img" && truncate -s 8389120 "$images/odd.img"
guest_on $fast 2 "$images/odd.img,cache=none"
says 0 ok && [ "$(wc -c <"$images/odd.img")" = 8389120 ]
check "an image of an odd number of sectors keeps its size past the page cache" $?

# A limit on a file's size stands for a disk that is full.
truncate -s 400M "$images/big.img"
(cd "$tmp/cwd" && ulimit -f 1000 && timeout 20 "$WIDELOAD" run --kernel "$images/disk.elf" --serial none --debugcon stdio \
    --disk "$images/big.img" --disk "$images/order3,readonly") >"$tmp/out" 2>"$tmp/err"
status=$?
says 0 1
check "what the host cannot write is an error to the guest, which goes on" $?
rm -f "$images/big.img"

# -- locks
fresh "$image"
"$WIDELOAD" run --kernel "$images/disk.elf" --serial none --debugcon "$tmp/console" --disk "$image" --disk "$images/order0,readonly" 2>/dev/null &
writer=$!
tries=0
while [ ! -s "$tmp/console" ] && [ $tries -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
refused "a second writer" run --kernel "$images/disk.elf" --disk "$image" --disk "$images/order2,readonly"
refused "a reader beside a writer" run --kernel "$images/disk.elf" --disk "$image,readonly"
refused "a snapshot beside a writer" run --kernel "$images/disk.elf" --disk "$image,snapshot"
kill -KILL $writer
wait $writer 2>/dev/null
refused "the same image twice" run --kernel "$images/disk.elf" --disk "$image" --disk "$image"
fresh "$image"
guest_on $fast 2 "$image"
says 0 ok
check "a lock goes with its process" $?
for command in "run --debugcon stdio" "diff --right jit" "diff --right interp"; do
    case "$command $engines" in *"right jit interp") continue ;; esac
    wideload $command --serial none --kernel "$images/disk.elf" --disk "$image,snapshot" --disk "$images/order2,readonly"
    [ "$status" = 0 ]
    check "$command: snapshots share an image" $?
done
if kvm_usable; then
    wideload diff --kernel "$images/disk.elf" --disk "$image" --disk "$images/order2,readonly"
    [ "$status" = 0 ] && grep -q ' 0 divergent' "$tmp/out"
    check "diff: a disk is the same under KVM" $?
fi

# -- snapshots of the machine: the queue goes on where it was
if [ "$fast" = jit ]; then
    fresh "$image"
    wideload run --engine interp --kernel "$images/disk.elf" --serial none --disk "$image" --disk "$images/order4,readonly" --limit 600K --save "$tmp/half"
    first=$status
    wideload run --engine jit --load "$tmp/half" --serial none --debugcon stdio --disk "$image" --disk "$images/order4,readonly"
    [ "$first" = 0 ] && says 0 "written ok"
    check "a guest that was saved goes on with its disk on another engine" $?
    refused "--load without the disks" run --load "$tmp/half"
    truncate -s 9M "$images/nine.img"
    refused "--load with a disk of another size" run --load "$tmp/half" --disk "$images/nine.img" --disk "$images/order4,readonly"
    refused "--load with a disk that is read-only now" run --load "$tmp/half" --disk "$image,readonly" --disk "$images/order4,readonly"
fi

# -- firmware: a boot sector that is read from the disk, and writes itself to the next one
if [ -r "$bios" ]; then
    {
        echo '.code16; .globl _start; _start: xor %ax, %ax; mov %ax, %ds; mov %ax, %ss; mov $0x7c00, %sp'
        echo 'mov $0x4300, %ax; mov $8f, %si; int $0x13; jc 7f'
        say booted
        leave 42
        echo '7:'
        leave 1
        echo '.balign 4; 8: .byte 16, 0; .word 1; .word 0x7c00, 0; .quad 1; .org 510; .word 0xaa55'
    } | guest binary 0x7c00 "$images/boot.bin"
    booted() {
        [ "$status" = 42 ] && grep -q 'booted$' "$tmp/out" &&
            [ "$(tail -c +513 "$image" | head -c 512 | cksum)" = "$(head -c 512 "$image" | cksum)" ]
    }
    for engine in $engines; do
        fresh "$image"
        dd if="$images/boot.bin" of="$image" conv=notrunc status=none
        wideload run --engine $engine --bios $bios --serial none --debugcon stdio --disk "$image"
        booted
        check "$engine: SeaBIOS boots from a disk, reads and writes" $?
        fresh "$image"
        dd if="$images/boot.bin" of="$image" conv=notrunc status=none
        wideload run --engine $engine --bios $bios --serial none --debugcon stdio --virtio mmio --disk "$image"
        booted
        check "$engine: ... and from one that is not on PCI" $?
    done
    fresh "$image"
    wideload run --engine $fast --bios $bios --serial none --debugcon stdio --virtio mmio --disk "$image" --disk "$images/boot.bin" --boot c \
        --until 'found virtio-blk-mmio' --save "$tmp/half"
    dd if="$images/boot.bin" of="$image" conv=notrunc status=none
    wideload run --engine interp --load "$tmp/half" --serial none --debugcon stdio --virtio mmio --disk "$image" --disk "$images/boot.bin"
    booted
    check "a guest that was saved goes on with disks that are not on PCI" $?
    refused "--load with disks on another bus" run --load "$tmp/half" --disk "$image" --disk "$images/boot.bin"
else
    skip "SeaBIOS boots from a disk" "$bios is not installed"
fi

# -- kill -9: what a FLUSH has acknowledged is there
killed "$image" fresh
check "raw: kill -9, $kills times, loses nothing that was flushed" $?

# -- bad input
for text in '' , ,snapshot "$image,frob" "$image," "$image,format=vmdk" "$image,cache=off" "$image,serial=" "$image,serial=123456789012345678901" \
    "$image,snapshot,readonly" "$image,,snapshot" "$images/missing" "$images" /dev/null /dev/zero; do
    refused "--disk '${text#"$images/"}'" run --kernel "$images/disk.elf" --disk "$text"
done
: >"$images/nothing.img"
refused "an empty image" run --kernel "$images/disk.elf" --disk "$images/nothing.img"
set --
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17; do set -- "$@" --disk "$image,readonly"; done
refused "17 disks" run --kernel "$images/disk.elf" "$@"
{ printf 'QFI\373'; head -c 508 /dev/zero; } >"$images/like.img"
refused "a raw image that looks like qcow2" run --kernel "$images/disk.elf" --disk "$images/like.img"
guest_on $fast 3 "$images/like.img,format=raw"
[ "$status" = 0 ]
check "... unless it is said to be raw" $?
fresh "$images/a,b.img"
guest_on $fast 3 "$images/a,,b.img"
says 0 0
check "a comma in a file's name is written twice" $?
finish
