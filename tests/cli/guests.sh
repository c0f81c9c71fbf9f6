#!/bin/sh
# guests.sh - real guests: SeaBIOS and the guest of wide accesses, against the recorded KVM and, where it is, the real one.
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
kvm=$("$WIDELOAD" list engines | sed -n 's/^kvm *//p')

if [ -r "$bios" ]; then
    "$WIDELOAD" run --bios "$bios" --serial none --debugcon "$tmp/log" --until 'No bootable device.' --limit 100M
    grep -q 'No bootable device\.' "$tmp/log"
    check "SeaBIOS reaches its end on the interpreter" $?

    "$WIDELOAD" run --bios "$bios" --serial none --until 'No bootable device.' --trace "$tmp/a.jsonl"
    "$WIDELOAD" run --bios "$bios" --serial none --until 'No bootable device.' --trace "$tmp/b.jsonl"
    tail -n +2 "$tmp/a.jsonl" >"$tmp/a"; tail -n +2 "$tmp/b.jsonl" >"$tmp/b" # the header has the file's name
    cmp -s "$tmp/a" "$tmp/b" && [ -s "$tmp/a" ]
    check "two runs on the virtual clock leave the same trace" $?

    for trace in tests/traces/seabios-kvm-*.jsonl.zst; do
        if ! grep -aq '1\.16\.2-debian' "$bios"; then
            skip "SeaBIOS: interp and $(basename "$trace")" "recorded with SeaBIOS 1.16.2, here is another"
            continue
        fi
        "$WIDELOAD" diff --right "$trace" --bios "$bios" >"$tmp/out"
        check "SeaBIOS: interp and $(basename "$trace"): exit status" $?
        [ "$(figure divergent "$tmp/out")" = 0 ] && [ "$(figure same "$tmp/out")" -ge 20000 ]
        check "SeaBIOS: at least 20000 journeys the same, none divergent" $?
    done
    case $kvm in
    usable*)
        "$WIDELOAD" diff --right kvm --bios "$bios" --until 'No bootable device.' >"$tmp/out"
        check "SeaBIOS: interp and this KVM: registers, memory and journeys agree" $?
        grep -q ' 0 divergent' "$tmp/out"
        check "SeaBIOS: interp and this KVM: none divergent" $? ;;
    *) skip "SeaBIOS: interp and this KVM" "$kvm" ;;
    esac
else
    skip "SeaBIOS" "$bios is not installed"
fi

"$WIDELOAD" run --kernel "$tmp/wide.elf" --serial none
check "the guest of wide accesses ends with status 0" $?
for trace in tests/traces/wide-kvm-*.jsonl.zst; do
    "$WIDELOAD" diff --right "$trace" --kernel "$tmp/wide.elf" >"$tmp/out"
    check "wide guest: interp and $(basename "$trace"): exit status" $?
    [ "$(figure inexpressible "$tmp/out")" -gt 0 ] && [ "$(figure refragmented "$tmp/out")" -gt 0 ]
    check "wide guest: what KVM cuts and what it cannot say are found" $?
done
case $kvm in
usable*)
    "$WIDELOAD" diff --right kvm --kernel "$tmp/wide.elf" >"$tmp/out"
    check "wide guest: interp and this KVM: exit status" $?
    [ "$(figure 'instructions it could not' "$tmp/out")" -ge 0 ] && grep -q ' 0 divergent' "$tmp/out"
    check "wide guest: interp and this KVM: none divergent" $? ;;
*) skip "wide guest: interp and this KVM" "$kvm" ;;
esac
echo "1..$n"
