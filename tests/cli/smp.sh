#!/bin/sh
# smp.sh - processors that take turns, and that run at the same time: the same comes of it (tests/lockstep/guest/smp.c, which QEMU's
# threads agree on: 288cba5e for long orders, 206c390f for short ones).
# shellcheck disable=SC2046,SC2086 # options are words
. tests/cli/tap
maze=$BUILD/$OBJ/bench/maze.elf

engines="interp interp+threads"
case $("$WIDELOAD" list engines | grep '^jit') in
*usable*) engines="$engines jit jit+threads" ;;
*) skip "processors on jit" "no JIT on this host" ;;
esac

sums() { # what, row and rounds, checksum, option...
    what=$1 row=$2 sum=$3
    shift 3
    wideload run --smp 2 --memory 256M --kernel "$maze" --append "$row" --debugcon stdio "$@"
    [ "$status" = 0 ] && [ "$(cat "$tmp/out")" = "${row% *} lockstep 300 step $sum" ]
    check "$what" $?
}

for engine in $engines; do
    sums "short orders to another processor, on $engine" "smp 10" 206c390f $(on $engine)
    sums "long ones, on $engine" "smp_long 1" 288cba5e $(on $engine)
done
if kvm_usable; then
    for assist in instruction burst; do # a PVM does not know CMPXCHG16B
        sums "short orders, on kvm with --assist $assist" "smp 1" 206c390f --engine kvm --assist $assist
    done
else
    skip "processors on kvm" "$kvm_says"
fi
case $engines in
*jit*)
    all=$("$WIDELOAD" list jit-switches | sed 's/ .*//' | tr '\n' ,)
    sums "... with nothing that makes the JIT fast" "smp_long 1" 288cba5e $(on jit+threads) --jit-off "${all%,}"
    sums "... with little memory for code" "smp 5" 206c390f $(on jit+threads) --jit-cache 1M
    sums "... with sixteen processors, most of which wait" "smp 5" 206c390f $(on jit+threads) --smp 16
    ;;
esac
for engine in $engines; do
    timeout 20 "$WIDELOAD" run --smp 2 $(on $engine) --memory 256M --kernel "$maze" --append "smp_long 100000" </dev/null >"$tmp/out" 2>"$tmp/err" &
    sleep 1
    pkill -INT -P $! wideload
    wait $!
    [ $? = 130 ] && [ "$(cat "$tmp/err")" = "wideload run: interrupted" ]
    check "Ctrl-C ends them all, on $engine" $?
done
finish
