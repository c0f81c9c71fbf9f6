#!/bin/sh
# bad_input.sh - whatever is wrong on the command line or in a file: one line, status 2, and nothing left behind.
# shellcheck disable=SC2086 # options are words
. tests/cli/tap

# -- material: an endless boot sector, an ELF, a multiboot header, traces
printf '\353\376' >"$images/loop.bin"
{ echo '.globl _start; _start:'; say x; leave 0; } | guest elf_x86_64 0x100000 "$images/good.elf" || exit 2
{ echo '.code16; .globl _start; _start:'; say xyz; leave 0; } | guest binary 0x7c00 "$images/good.bin" || exit 2
: >"$images/empty"
mkdir "$images/folder"
head -c 30 "$images/good.elf" >"$images/header.elf"
head -c 70 "$images/good.elf" >"$images/table.elf"
head -c 4100 "$images/good.elf" >"$images/segment.elf"
printf '\002\260\255\033\000\000\001\000\376\117\121\344' >"$images/header.mb"
{ cat "$images/header.mb"; printf '\000\000\060\000\000\000\020\000'; } >"$images/fields.mb"
printf '\002\260\255\033\000\000\001\000\376\117\121\344\000\000\020\000\000\000\020\000\377\377\377\177\000\000\000\000\040\000\020\000' >"$images/body.mb"
head -c 700000 /dev/zero >"$images/big.bin"
leave 0 | bzimage "$images/bzImage"
patched() { # output, offset, bytes: the bzImage with others there
    cp "$images/bzImage" "$images/$1"
    printf "$3" | dd of="$images/$1" bs=1 seek=$(($2)) conv=notrunc status=none
}
head -c 1500 "$images/bzImage" >"$images/setup.bzImage"
patched old.bzImage 0x206 '\007\002'
patched entry32.bzImage 0x236 '\000'
patched low.bzImage 0x25a '\000\000'
patched far.bzImage 0x25c '\001'
patched needs.bzImage 0x260 '\377\377\377\377'
printf '\326\120\122\350\000\000\000\000\020\000\001\000\032\257\254\027' >"$images/header.mb2"
printf '\326\120\122\350\000\000\000\000\030\000\000\000\022\257\255\027\002\000\000\000\007\000\000\000' >"$images/tag.mb2"
head -c 20000000 /dev/zero >"$images/large"
wideload run --trace "$images/good.jsonl" "$images/good.bin"
wideload run --trace "$images/good.jsonl.zst" "$images/good.bin"
head -c 900 "$images/good.jsonl" >"$images/cut_header.jsonl"
head -n 2 "$images/good.jsonl" >"$images/cut_between.jsonl"
{ head -n 2 "$images/good.jsonl"; sed -n 3p "$images/good.jsonl" | head -c 60; } >"$images/cut_within.jsonl"
sed '2s/port/prot/' "$images/good.jsonl" >"$images/corrupt.jsonl"
sed '2s/"width":1/"width":65/' "$images/good.jsonl" >"$images/range.jsonl"
wideload run --trace "$images/short.jsonl" --journeys 2 "$images/good.bin" # diff reads its last line: the guest goes on
sed '$s/[0-9][0-9]*/7/' "$images/short.jsonl" >"$images/count.jsonl"
{ cat "$images/short.jsonl"; echo more; } >"$images/more.jsonl"
sed '1s/wideload-trace":1/wideload-trace":2/' "$images/good.jsonl" >"$images/version.jsonl"
head -c 300 "$images/good.jsonl.zst" >"$images/cut.jsonl.zst"
cp "$images/good.jsonl" "$images/plain.jsonl.zst"
loop=$images/loop.bin

# -- commands and options
refused "an unknown command" frobnicate
refused "an option where a command belongs" --frobnicate
for command in run diff explain; do
    refused "$command: an unknown option" $command --frobnicate
    refused "$command: no image, no instruction" $command
done
refused "run: a value for an option without one" run --no-reboot=no "$images/good.bin"
refused "diff: a value for an option without one" diff --rng=no --engines interp,interp "$images/good.bin"
refused "fuzz: a value for an option without one" fuzz --first= --system --count 1
wideload run --append --rng=1 "$images/good.bin"
check "run: a value that looks like an option" "$status"
refused "list: nothing to list" list
refused "list: an unknown list" list frobnications
refused "list: two lists" list devices engines
refused "list: a CPU where it means nothing" list devices --cpu max
for cpu in '' frob max,avx max,+frob max,+amx_tile; do
    refused "list: CPU '$cpu'" list cpuid --cpu "$cpu"
done
refused "list: --cpu without its value" list cpuid --cpu
for option in cpu memory bios kernel initrd append virtio disk cdrom boot net share display vgabios serial debugcon virtio-console split clock log \
    log-file limit until; do
    refused "run: --$option without its value" run "$loop" --$option
done

for option in edu iommu; do
    refused "run: --$option on, which takes no value" run "$loop" --$option on
done

refused "run: a ROM of a card that is not on PCI" run --virtio mmio --net user,rom=/dev/null "$loop"
set --
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14; do set -- "$@" --disk "$loop,readonly"; done
refused "run: more virtio devices than there are places for off PCI" run --virtio mmio "$@" "$loop"
refused "run: no such thing to do on a panic" run "$loop" --on-panic frob

# -- images and options of run and diff
for command in run diff; do
    refused "$command: two flat images" $command "$loop" "$loop"
    refused "$command: a kernel and a flat image" $command --kernel "$images/good.elf" "$loop"
    refused "$command: a kernel and a BIOS" $command --kernel "$images/good.elf" --bios "$loop"
    for option in "" --kernel --bios; do
        refused "$command $option: a missing image" $command $option "$images/missing"
        refused "$command $option: an empty image" $command $option "$images/empty"
        refused "$command $option: a folder as image" $command $option "$images/folder"
        refused "$command $option: a device as image" $command $option /dev/zero
    done
    refused "$command: an oversized flat image" $command "$images/big.bin"
    refused "$command: a BIOS of 2 bytes" $command --bios "$loop"
    refused "$command: a kernel in no known format" $command --kernel "$loop"
    for part in header table segment; do
        refused "$command: an ELF cut in its $part" $command --kernel "$images/$part.elf"
    done
    for part in header fields body; do
        refused "$command: a multiboot image cut in its $part" $command --kernel "$images/$part.mb"
    done
    for what in setup old entry32 low far needs; do
        refused "$command: a bzImage with a wrong $what" $command --kernel "$images/$what.bzImage"
    done
    for part in header tag; do
        refused "$command: a multiboot 2 image with a wrong $part" $command --kernel "$images/$part.mb2"
    done
    refused "$command: a command line longer than the kernel takes" $command --kernel "$images/bzImage" --append "$(printf '%256s' x)"
    refused "$command: a bzImage in too little memory" $command --memory 16M --kernel "$images/bzImage"
    refused "$command: a RAM disk that does not fit" $command --memory 32M --kernel "$images/bzImage" --initrd "$images/large"
    refused "$command: a RAM disk without a kernel" $command --initrd "$loop" "$loop"
    refused "$command: a RAM disk for a plain ELF" $command --kernel "$images/good.elf" --initrd "$loop"
    for file in missing empty folder; do
        refused "$command: a RAM disk that is $file" $command --kernel "$images/bzImage" --initrd "$images/$file"
    done
    for size in 0 12x -1 '' 1000 1M1 999T 99999999999999999999 0x; do
        refused "$command: memory of '$size'" $command --memory="$size" "$loop"
    done
    for bus in '' frob pci,mmio MMIO; do
        refused "$command: --virtio '$bus'" $command --virtio="$bus" "$loop"
    done
    for smp in 0 17 -1 '' 2x; do
        refused "$command: --smp '$smp'" $command --smp="$smp" "$loop"
    done
    refused "$command: two processors on the journey clock" $command --smp 2 --clock journey "$loop"
    for policy in frob bus bus:3 bus:128 whole:4 ''; do
        refused "$command: policy '$policy'" $command --split="$policy" "$loop"
    done
    for cpu in '' frob x86-64-v5 x86-64 Max +avx max, max,avx max,+ max,,-avx max,+frob max,-vmx; do
        refused "$command: CPU '$cpu'" $command --cpu="$cpu" "$loop"
    done
    refused "$command: 64-bit code on a CPU without it" $command --cpu max,-lm --kernel "$images/good.elf"
    refused "$command: an unknown clock" $command --clock frob "$loop"
    refused "$command: an unknown log category" $command --log access,frob --log-file log "$loop"
    for option in log-file serial debugcon virtio-console; do
        refused "$command: --$option in a missing folder" $command --$option "$images/missing/file" "$loop"
        refused "$command: --$option onto a folder" $command --$option "$images/folder" "$loop"
    done
    for number in 12x -1 '' K 99999999999999999999; do
        refused "$command: --limit '$number'" $command --limit="$number" "$loop"
        refused "$command: --journeys '$number'" $command --journeys="$number" "$loop"
    done
    refused "$command: --until nothing" $command --until= "$loop"
    refused "$command: a missing image, with output files named" \
        $command --serial serial --debugcon debugcon --log access --log-file log "$images/missing"
done
refused "run: an unknown engine" run --engine frob "$loop"
refused "run: --clock virtual with KVM" run --engine kvm --clock virtual "$loop"
refused "run: --limit with KVM" run --engine kvm --limit 5 "$loop"
refused "diff: two processors with KVM, whose turns nobody counts" diff --right kvm --smp 2 "$loop"
refused "run: --trace in a missing folder" run --serial serial --trace "$images/missing/trace" "$loop"
refused "run: --trace onto a folder" run --trace "$images/folder" "$loop"
refused "run: --trace onto a full disk" run --serial none --trace /dev/full "$images/good.bin"

for where in '' 0 65536 frob -1 "$images/missing/socket" "$images/folder" "$images/$(printf '%0120d' 0)"; do
    refused "run: --gdb '$where'" run --serial serial --gdb="$where" "$loop"
done
refused "run: --gdb without its value" run "$loop" --gdb
refused "run: --gdb-wait without --gdb" run --gdb-wait "$loop"
refused "run: --gdb and a missing image" run --gdb "$images/socket" "$images/missing"
[ ! -e "$images/socket" ]
check "run: a refused --gdb leaves no socket behind" $?

printf 'precious\n' >"$images/kept"
wideload run --serial "$images/kept" --debugcon "$images/kept" --log-file "$images/kept" "$images/missing"
[ "$(cat "$images/kept")" = precious ]
check "run: output files that exist stay as they are when the image is refused" $?

# -- diff's sides
refused "diff: an unknown format" diff --format xml "$loop"
for side in left right; do
    refused "diff: --$side neither engine nor file" diff --$side frob "$loop"
    refused "diff: --$side a folder" diff --$side "$images/folder" "$loop"
done
for trace in empty good.bin cut_header.jsonl cut_between.jsonl cut_within.jsonl corrupt.jsonl range.jsonl count.jsonl more.jsonl \
    version.jsonl cut.jsonl.zst plain.jsonl.zst; do
    refused "diff: trace $trace" diff --right "$images/$trace" "$images/good.bin"
done

# -- explain
refused "explain: text and bytes" explain 'nop' --bytes 90
refused "explain: two texts" explain nop nop
for bytes in '' 9 zz '90 9' ff 62 6666666666666666666666666666666666 90909090909090909090909090909090; do
    refused "explain: --bytes '$bytes'" explain --bytes="$bytes"
done
for region in '' frob 0x1000 0x1000+ +5 0x1000+0 0x1000+12x 0xffffffffffffffff+2 0x10000000+0x1000,widths=3 \
    0x10000000+0x1000,widths= 0x10000000+0x1000,widths=8-1 0x10000000+0x1000,widths=128 0x10000000+0x1000,frob; do
    refused "explain: --region '$region'" explain --region="$region" 'mov [rdi], rax'
done
for text in '' frob 'mov [rdi]' 'mov [rdi], rax; nop' 'mov [rdi], rax
nop' '# nothing' '.byte 0x90' '.org 5000000000' '.rept 100000000' '"' 'mov [rdi], [rsi]'; do
    refused "explain: '$(echo "$text" | head -n 1)'" explain "$text"
done
refused "explain: a register that is no number" explain --rdi frob 'mov [rdi], rax'
refused "explain: an unknown policy" explain --split frob 'mov [rdi], rax'
(cd "$tmp/cwd" && PATH=$images TMPDIR=$tmp/tmpdir "$WIDELOAD" explain nop) >"$tmp/out" 2>"$tmp/err"
status=$?
explain_refusal "explain: text without an assembler" explain nop
(cd "$tmp/cwd" && TMPDIR=$images/missing "$WIDELOAD" explain nop) >"$tmp/out" 2>"$tmp/err"
status=$?
explain_refusal "explain: no temporary folder" explain nop

# -- /dev/kvm
if [ ! -e /dev/kvm ]; then
    refused "run: KVM where there is none" run --engine kvm "$loop"
    refused "diff: KVM where there is none" diff "$loop"
elif [ "$(id -u)" != 0 ]; then
    if kvm_usable; then
        skip "/dev/kvm without permission" "only root can take it away"
    else
        refused "run: /dev/kvm without permission" run --engine kvm "$loop"
    fi
else
    nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
    chmod 755 "$tmp" "$images"
    case $(nobody "$WIDELOAD" list engines 2>&1 | sed -n 's/^kvm *//p') in
    "not here"*)
        for command in "run --engine kvm" diff; do
            (cd "$tmp/cwd" && TMPDIR=$tmp/tmpdir nobody "$WIDELOAD" $command "$loop") >"$tmp/out" 2>"$tmp/err" </dev/null
            status=$?
            explain_refusal "$command: /dev/kvm without permission" $command
        done ;;
    usable*) skip "/dev/kvm without permission" "everybody may use it" ;;
    *) skip "/dev/kvm without permission" "another user cannot run the program here" ;;
    esac
fi
finish
