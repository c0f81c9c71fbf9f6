#!/bin/sh
# fuzz.sh - random instructions: the engines and the host's processor agree, and a difference is found and printed.
# shellcheck disable=SC2016
. tests/cli/tap

engines=interp,jit
case $("$WIDELOAD" list engines | grep '^jit') in
*usable*) ;;
*) skip "random instructions" "no JIT on this host"; finish; exit 0 ;;
esac
wideload fuzz --engines native,interp --cases 1000
if [ "$status" = 2 ]; then skip "random instructions on the host's processor" "$(cat "$tmp/err")"
else engines=native,interp,jit; fi
for mode in 64 32; do
    wideload fuzz --engines $engines --mode $mode --cases 40000 --seed 7
    [ "$status" = 0 ] && grep -q '^40000 cases .*; 0 differences$' "$tmp/out"
    check "40000 random instructions of $mode-bit code are the same on $engines" $?
    sed 's/^/# /' "$tmp/out"
done
wideload fuzz --engines interp,jit --isa BMI1,ADC --cases 2000
[ "$status" = 0 ] && grep -q '^2000 cases of 7 instructions ' "$tmp/out"
check "--isa takes extensions and mnemonics" $?
refused "an unknown instruction set" fuzz --isa NOSUCH
refused "an unknown engine" fuzz --engines bochs,interp
refused "a single engine" fuzz --engines interp
refused "a shard beyond the last" fuzz --shard 4/4
refused "a mode of 16" fuzz --mode 16
finish
