#!/bin/sh
# qcow2.sh - qcow2 images: ours and, where qemu-img is installed, QEMU's, which also checks what we have written.
# shellcheck disable=SC2086,SC2015 # options are words
. tests/cli/tap
. tests/cli/disk_guest
. tests/cli/disk_images

image=$images/disk.qcow2
qemu=${QEMU_IMG:-$(command -v qemu-img)}

# -- ours
for engine in $engines; do
    rm -f "$image"
    make_image "$image"
    guest_on $engine 2 "$image"
    says 0 ok
    check "$engine: one of each request" $?
    guest_on $engine 4 "$image"
    says 0 "written ok"
    check "$engine: 300 blocks are written and read" $?
done
cp "$image" "$tmp/before"
guest_on $fast 4 "$image,snapshot"
says 0 "written ok" && cmp -s "$image" "$tmp/before"
check "snapshot leaves the image as it was" $?
order "$images/order1" 1 300
guest_on $fast 1 "$image,readonly,cache=none"
case $(cat "$tmp/err") in
*O_DIRECT*) skip "readonly past the page cache" "no O_DIRECT in $tmp" ;;
*) says 0 ok; check "readonly past the page cache" $? ;;
esac
rm -f "$images/base"
truncate -s 8M "$images/base"
guest_on $fast 4 "$images/base"
cp "$images/base" "$tmp/base"
make_image "$images/top.qcow2" base
guest_on $fast 1 "$images/top.qcow2"
says 0 ok
check "a backing file is read" $?
guest_on $fast 2 "$images/top.qcow2"
says 0 ok && cmp -s "$images/base" "$tmp/base"
check "... and not written" $?
make_small() { make_image "$1" "" 12; }
killed "$image" make_small
check "kill -9, $kills times, loses nothing that was flushed" $?

# -- refused
refused "another format" run --kernel "$images/disk.elf" --disk "$images/disk.elf,format=qcow2"
make_image "$images/abs.qcow2" "$images/base"
refused "an image that names a file of the host" run --kernel "$images/disk.elf" --disk "$images/abs.qcow2,readonly"
guest_on $fast 1 "$images/abs.qcow2,backing=$images/base"
says 0 ok
check "... unless backing= says so" $?
refused "backing= for a raw image" run --kernel "$images/disk.elf" --disk "$images/base,backing=$images/base"
refused "backing= for an image without" run --kernel "$images/disk.elf" --disk "$image,backing=$images/base"
cp "$images/top.qcow2" "$images/dirty.qcow2"
be 8 1 | dd of="$images/dirty.qcow2" bs=1 seek=72 conv=notrunc status=none
refused "an image that is marked dirty" run --kernel "$images/disk.elf" --disk "$images/dirty.qcow2"
guest_on $fast 1 "$images/dirty.qcow2,readonly"
[ "$status" = 1 ] && grep -q '^bad' "$tmp/out"
check "... unless it is only read" $?
for bit in 2 4 5 63; do
    cp "$images/top.qcow2" "$images/feature.qcow2"
    be 8 $((1 << bit)) | dd of="$images/feature.qcow2" bs=1 seek=72 conv=notrunc status=none
    refused "incompatible feature $bit" run --kernel "$images/disk.elf" --disk "$images/feature.qcow2"
done

# -- QEMU's
if [ -z "$qemu" ]; then
    skip "images that qemu-img makes and checks" "qemu-img is not installed"
    finish
    exit
fi
qemu() { "$qemu" "$@" >"$tmp/qemu" 2>&1 || { sed 's/^/# /' "$tmp/qemu"; return 1; }; }
sound() { qemu check -q "$1"; }

"$qemu" check "$image" >"$tmp/qemu" 2>&1
case $? in 0 | 3) : ;; *) sed 's/^/# /' "$tmp/qemu"; false ;; esac # 3: leaks alone
check "qemu-img finds nothing worse than leaks after the kills" $?
for options in compat=1.1 compat=0.10 cluster_size=512 cluster_size=2M refcount_bits=1 refcount_bits=64,cluster_size=4k lazy_refcounts=on; do
    rm -f "$image"
    qemu create -q -f qcow2 -o $options "$image" 8M
    guest_on $fast 2 "$image"
    says 0 ok && sound "$image"
    check "$options: one of each request" $?
    guest_on $fast 4 "$image"
    says 0 "written ok" && sound "$image" && qemu convert -f qcow2 -O raw "$image" "$images/raw" && guest_on $fast 1 "$images/raw,readonly" && says 0 ok
    check "$options: QEMU reads what we have written" $?
done
for format in raw qcow2; do
    rm -f "$images/base" "$image"
    qemu create -q -f $format "$images/base" 8M
    guest_on $fast 4 "$images/base,format=$format"
    qemu create -q -f qcow2 -b base -F $format "$image" 16M
    cp "$images/base" "$tmp/base"
    guest_on $fast 1 "$image" && says 0 ok && guest_on $fast 2 "$image" && says 0 ok && sound "$image" && cmp -s "$images/base" "$tmp/base"
    check "a backing file in $format" $?
done
for kind in zlib zstd; do
    rm -f "$image"
    qemu convert -c -f raw -O qcow2 -o compression_type=$kind "$images/raw" "$image" || { skip "$kind" "this qemu-img has no $kind"; continue; }
    guest_on $fast 1 "$image" && says 0 ok && guest_on $fast 2 "$image" && says 0 ok && sound "$image"
    check "clusters compressed with $kind are read and replaced" $?
done
rm -f "$image"
qemu create -q -f qcow2 "$image" 8M
guest_on $fast 4 "$image"
qemu snapshot -c one "$image"
order "$images/order4" 4 20
guest_on $fast 2 "$image" && says 0 ok && guest_on $fast 4 "$image" && says 0 "written ok" && sound "$image" && qemu snapshot -a one "$image" &&
    sound "$image" && guest_on $fast 1 "$image" && says 0 ok
check "an internal snapshot keeps its content" $?
finish
