#!/bin/sh
# malformed.sh - good files of every kind that a guest can come from, for malformed.c to spoil.  Prints TAP.
#
# usage: tests/malformed/malformed.sh [CASES [SEED]]      (with BUILD, OBJ, WIDELOAD set, from the sources' folder)
# Files that something was wrong with are kept in $BUILD/$OBJ/malformed.
# shellcheck disable=SC2016,SC2086
. tests/cli/tap
. tests/cli/disk_guest >/dev/null
. tests/cli/disk_images

cases=${1:-100} seed=${2:-1} bad=$BUILD/$OBJ/malformed bios=/usr/share/seabios/bios-256k.bin
[ -r "$bios" ] || bios=
mkdir -p "$bad"

# Each reads some of what it was told, and leaves.
body='cld; mov $0x1000, %ecx; 7: lodsb; loop 7b'
printf '%4000s' module >"$images/module"
{ echo "$body"; leave 3; } | bzimage "$images/bzImage"
{ echo ".globl _start; .align 4; .long 0x1badb002, 3, -0x1badb005; _start: mov %ebx, %esi; $body"; leave 4; } |
    guest elf_i386 0x100000 "$images/multiboot.elf"
header='1: .long 0x1badb002, 0x10000, -0x1baeb002, 1b, 1b, 0, 0, _start'
{ echo ".globl _start; $header; _start: mov %ebx, %esi; $body"; leave 5; } | guest binary 0x100000 "$images/multiboot.bin"
header='.align 8; 1: .long 0xe85250d6, 0, 2f-1b, -(0xe85250d6+2f-1b); .word 1, 0; .long 16, 3, 6; .long 0, 8; 2:'
{ echo ".globl _start; $header; _start: mov %ebx, %esi; $body"; leave 6; } | guest elf_i386 0x100000 "$images/multiboot2.elf"
{
    echo ".globl _start; _start: mov %ebx, %esi; $body"; leave 7
    echo '.section .note.pvh, "a", @note; .long 4, 4, 18; .asciz "Xen"; .long _start; .data; .long 1; .bss; .space 4096'
} | guest elf_i386 0x100000 "$images/pvh.elf"
{ echo ".globl _start; _start: mov \$_start, %esi; $body"; leave 8; echo '.data; .long 1; .bss; .space 4096'; } |
    guest elf_x86_64 0x100000 "$images/elf64.elf"
{ echo ".globl _start; _start: mov \$_start, %esi; $body"; leave 9; echo '.data; .long 1; .bss; .space 4096'; } |
    guest elf_i386 0x100000 "$images/elf32.elf"
{ echo '.code16; .globl _start; _start: mov $_start, %si; mov $0x1000, %cx; 7: lodsb; loop 7b'; leave 10; } | guest binary 0x7c00 "$images/boot.bin"

make_boot_sector "$images/disk.img"
truncate -s 64K "$images/disk.img"
make_cd "$images/cd.iso"

# An image with something in it; and one over a file beside it, which is where the malformed one stands too.
make_image "$images/disk.qcow2" "" 12
guest_on $fast 2 "$images/disk.qcow2"
says 0 ok || exit 2
truncate -s 8M "$bad/base"
cp "$bad/base" "$images/base"
make_image "$images/top.qcow2" base 12
guest_on $fast 2 "$images/top.qcow2"
says 0 ok || exit 2

wideload run --engine $fast --kernel "$images/multiboot.elf" --memory 32M --limit 2000 --serial none --save "$images/guest.snap"
[ -s "$images/guest.snap" ] || { echo "Bail out! no snapshot"; exit 2; }

"$BUILD/$OBJ/tests/malformed/malformed" "$WIDELOAD" $fast "$bios" "$images" "$bad" "$cases" "$seed"
status=$?
rm -f "$bad/file" "$bad/errors" "$bad/base"
exit $status
