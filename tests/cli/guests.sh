#!/bin/sh
# guests.sh - real guests on each soft engine: SeaBIOS and the guest of wide accesses, against the recorded KVM and, where
# it is, the real one.
# shellcheck disable=SC2086 # a guest is options
set -u
bios=/usr/share/seabios/bios-256k.bin
tmp=$(mktemp -d) || exit 2
trap 'rm -rf "$tmp"' EXIT INT TERM
n=0
check() { # what, condition's status
    n=$((n + 1))
    if [ "$2" = 0 ]; then echo "ok $n - $1"; else echo "not ok $n - $1"; fi
}
skip() { n=$((n + 1)); echo "ok $n - $1 # SKIP $2"; }
figure() { sed -n "s/.*[^0-9]\([0-9][0-9]*\) $1.*/\1/p" "$2" | head -n 1; }

as --64 -o "$tmp/wide.o" tests/guest/wide.S && ld -Ttext=0x100000 -o "$tmp/wide.elf" "$tmp/wide.o"
"$WIDELOAD" list engines >"$tmp/engines"
kvm=$(sed -n 's/^kvm *//p' "$tmp/engines")
soft=$(sed -n 's/ *usable.*//p' "$tmp/engines" | grep -v kvm)
case $soft in *jit*) ;; *) skip "jit" "$(sed -n 's/^jit *//p' "$tmp/engines")" ;; esac

# The trace without its header, which has the file's name, and without the engine's.
trace() { # argument...
    "$WIDELOAD" run --serial none --trace "$tmp/whole.jsonl" "$@" && tail -n +2 "$tmp/whole.jsonl" | sed 's/"engine":"[a-z]*",//' &&
        rm "$tmp/whole.jsonl"
}

seabios() { # engine
    "$WIDELOAD" run --engine "$1" --bios "$bios" --serial none --debugcon "$tmp/log" --until 'No bootable device.' --limit 100M
    grep -q 'No bootable device\.' "$tmp/log"
    check "SeaBIOS reaches its end on $1" $?

    trace --engine "$1" --bios "$bios" --until 'No bootable device.' >"$tmp/again"
    [ -s "$tmp/again" ] && cmp -s "$tmp/seabios" "$tmp/again"
    check "SeaBIOS: on the virtual clock the trace of $1 is byte for byte that of interp before" $?

    for trace in tests/traces/seabios-kvm-*.jsonl.zst; do
        if ! grep -aq '1\.16\.2-debian' "$bios"; then
            skip "SeaBIOS: $1 and $(basename "$trace")" "recorded with SeaBIOS 1.16.2, here is another"
            continue
        fi
        "$WIDELOAD" diff --left "$1" --right "$trace" --bios "$bios" >"$tmp/out"
        check "SeaBIOS: $1 and $(basename "$trace"): exit status" $?
        [ "$(figure divergent "$tmp/out")" = 0 ] && [ "$(figure same "$tmp/out")" -ge 20000 ]
        check "SeaBIOS: $1: at least 20000 journeys the same, none divergent" $?
    done
    case $kvm in
    usable*)
        "$WIDELOAD" diff --left "$1" --right kvm --bios "$bios" --until 'No bootable device.' >"$tmp/out"
        check "SeaBIOS: $1 and this KVM: registers, memory and journeys agree" $?
        grep -q ' 0 divergent' "$tmp/out"
        check "SeaBIOS: $1 and this KVM: none divergent" $? ;;
    *) skip "SeaBIOS: $1 and this KVM" "$kvm" ;;
    esac
}

wide() { # engine
    trace --engine "$1" --kernel "$tmp/wide.elf" >"$tmp/again"
    check "the guest of wide accesses ends with status 0 on $1" $?
    [ -s "$tmp/again" ] && cmp -s "$tmp/wide" "$tmp/again"
    check "wide guest: the trace of $1 is byte for byte that of interp before" $?
    for trace in tests/traces/wide-kvm-*.jsonl.zst; do
        "$WIDELOAD" diff --left "$1" --right "$trace" --kernel "$tmp/wide.elf" >"$tmp/out"
        check "wide guest: $1 and $(basename "$trace"): exit status" $?
        [ "$(figure inexpressible "$tmp/out")" -gt 0 ] && [ "$(figure refragmented "$tmp/out")" -gt 0 ]
        check "wide guest: $1: what KVM cuts and what it cannot say are found" $?
    done
    case $kvm in
    usable*)
        "$WIDELOAD" diff --left "$1" --right kvm --kernel "$tmp/wide.elf" >"$tmp/out"
        check "wide guest: $1 and this KVM: exit status" $?
        [ "$(figure inexpressible "$tmp/out")" -ge 0 ] && grep -q ' 0 divergent' "$tmp/out"
        check "wide guest: $1 and this KVM: none divergent" $? ;;
    *) skip "wide guest: $1 and this KVM" "$kvm" ;;
    esac
}

if [ -r "$bios" ]; then
    trace --bios "$bios" --until 'No bootable device.' >"$tmp/seabios"
    for engine in $soft; do seabios "$engine"; done
    as --32 -o "$tmp/suspend.o" tests/guest/suspend.S && ld -m elf_i386 --oformat binary -Ttext=0x7c00 -o "$tmp/suspend.img" "$tmp/suspend.o"
    truncate -s 1M "$tmp/suspend.img"
    for engine in $soft; do
        timeout 60 "$WIDELOAD" run --engine "$engine" --no-reboot --bios "$bios" --disk "$tmp/suspend.img" --serial none --debugcon "$tmp/log"
        [ $? = 27 ] && grep -q 'Jump to resume vector' "$tmp/log"
        check "SeaBIOS resumes a guest that has suspended to RAM, on $engine" $?
    done
else
    skip "SeaBIOS" "$bios is not installed"
fi
trace --kernel "$tmp/wide.elf" >"$tmp/wide"
for engine in $soft; do wide "$engine"; done
case $soft in
*jit*)
    for guest in "--bios $bios" "--kernel $tmp/wide.elf"; do
        [ -r "${guest#* }" ] || continue
        "$WIDELOAD" diff --left interp --right jit $guest >"$tmp/out" &&
            [ "$(figure divergent "$tmp/out")" = 0 ] && [ "$(figure refragmented "$tmp/out")" = 0 ]
        check "interp and jit: ${guest##*/}: no difference" $?
    done ;;
esac
echo "1..$n"
