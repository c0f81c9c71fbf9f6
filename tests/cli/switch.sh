#!/bin/sh
# switch.sh - run --switch: a running guest goes from engine to engine.  (That nothing changes by it: tests/lockstep/.)
. tests/cli/tap

bios=/usr/share/seabios/bios-256k.bin
as --64 -o "$tmp/wide.o" tests/guest/wide.S && ld -Ttext=0x100000 -o "$images/wide.elf" "$tmp/wide.o"
guest="--kernel $images/wide.elf"
# shellcheck disable=SC2086 # options
{
    refused "--switch from an engine that does not run" run --switch jit@10:interp $guest
    refused "--switch without a moment" run --switch interp:jit $guest
    refused "--switch at no number" run --switch interp@soon:jit $guest
    refused "--switch at no journey" run --switch interp@0j:jit $guest
    refused "--switch at instructions before journeys" run --switch interp@10+3j:jit $guest
    refused "--switch to no engine" run --switch interp@10:qemu $guest
    refused "--switch with nothing behind the comma" run --switch interp@10:jit, $guest
    refused "--switch to KVM on the virtual clock" run --switch interp@10:kvm --clock virtual $guest
    # The sixth hand-over is due after the guest's end.
    wideload run --switch interp@10:jit,jit@10:interp,interp@3j:jit,jit@3j+7:interp,interp@5j:jit,jit@9000:interp --stats $guest
}
[ "$status" = 0 ] && grep -q '^hand-overs 5$' "$tmp/err"
check "five hand-overs between interp and jit" $?
if [ -r "$bios" ]; then
    for switch in "" "--switch interp@100K:jit,jit@300j+5:interp,interp@2M:jit"; do
        # shellcheck disable=SC2086 # options
        wideload run --bios "$bios" $switch --until "No bootable device." --trace "$tmp/trace" --stats
        tail -n +2 "$tmp/trace" | sed 's/"engine":"[a-z]*"/"engine":""/' >"$tmp/trace$n"
        grep '^instructions' "$tmp/err" >>"$tmp/trace$n"
        n=$((n + 1))
    done
    n=$((n - 2))
    cmp -s "$tmp/trace$n" "$tmp/trace$((n + 1))"
    check "SeaBIOS's trace is the same with hand-overs" $?
else
    skip "SeaBIOS's trace with hand-overs" "$bios is not installed"
fi
if kvm_usable; then
    # shellcheck disable=SC2086 # options
    wideload run --switch interp@3j:kvm,kvm@140j+2:jit --clock journey --assist instruction --stats $guest
    [ "$status" = 0 ] && grep -q '^hand-overs 2$' "$tmp/err" && grep -q '^assisted instructions [1-9]' "$tmp/err"
    check "to KVM and from there to the JIT" $?
    guest binary 0x7c00 "$images/tsc" <<EOF
        .code16
        .globl _start
_start: movw \$2000, %cx
1:      rdtsc
        cmpl %edi, %edx
        ja 2f
        jb 8f
        cmpl %esi, %eax
        jb 8f
2:      movl %eax, %esi
        movl %edx, %edi
        loop 1b
$(leave 0)
8:
$(leave 1)
EOF
    wideload run --switch interp@2000:kvm,kvm@3000:jit,jit@6000:kvm,kvm@7000:interp,interp@9000:kvm --clock host --stats "$images/tsc"
    [ "$status" = 0 ] && grep -q '^hand-overs 5$' "$tmp/err"
    check "the time-stamp counter never goes back" $?
else
    skip "to KVM and from there to the JIT" "$kvm_says"
    skip "the time-stamp counter never goes back" "$kvm_says"
fi
finish
