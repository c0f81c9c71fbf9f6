#!/bin/sh
# fuzz.sh - random instructions: the engines and the host's processor agree; shards, databases, reports, bad input.
# That a difference is found, reduced and printed is for tests/fuzz/planted to show.
# shellcheck disable=SC2016
. tests/cli/tap

case $("$WIDELOAD" list engines | grep '^jit') in
*usable*) ;;
*) skip "random instructions" "no JIT on this host"; finish; exit 0 ;;
esac
engines=native,interp,jit
wideload fuzz --engines native,interp --cases 1000
[ "$status" != 2 ] || { skip "random instructions on the host's processor" "$(cat "$tmp/err")"; engines=interp,jit; }
same() { [ "$status" = 0 ] && grep -q "^$1 cases .*; 0 differences of 0 causes\$" "$tmp/out"; }

for mode in 64 32 16; do
    wideload fuzz --engines $engines --mode $mode --cases 40000 --seed 7
    same 40000 && grep -q '^at a device: [1-9][0-9]* cases, [1-9]' "$tmp/out"
    check "40000 cases of $mode-bit code are the same on $engines" $?
    sed 's/^/# /' "$tmp/out"
done
wideload fuzz --engines $engines --isa CVTPS2PI,CVTPD2PI,CVTTPS2PI,CVTTPD2PI --cases 20000
same 20000
check "conversions to MMX registers, and their exceptions, are the same on $engines" $?
if kvm_usable && [ $engines != interp,jit ]; then
    wideload fuzz --engines native,kvm --cases 1500 --seed 3
    same 1500
    check "1500 cases are the same on native and KVM at CPL 3" $?
else
    skip "cases on KVM at CPL 3" "$kvm_says"
fi
wideload fuzz --system --cases 40000
same 40000
check "40000 cases of system state are the same on interp and jit" $?
wideload fuzz --engines interp,jit --isa BMI1,ADC --cases 2000 --coverage
same 2000 && grep -q '^ *[1-9][0-9]*  VEX andn r32, r32, m32$' "$tmp/out"
check "--isa takes extensions and mnemonics, --coverage lists operand forms" $?

# -- databases
count() { grep -o '"cases": [0-9]*' "$tmp/out" | head -n 1; }
for i in 0 1; do
    wideload fuzz --engines interp,jit --isa ADOX_ADCX --cases 3000 --shard $i/2 --db "$tmp/$i.db"
done
wideload fuzz --merge --db "$tmp/all.db" --report json "$tmp/0.db" "$tmp/1.db" "$tmp/0.db"
[ "$status" = 0 ] && [ "$(count)" = '"cases": 6000' ]
check "two shards merge, and the same one twice counts once" $?
cp "$tmp/out" "$tmp/halves"
wideload fuzz --engines interp,jit --isa ADOX_ADCX --cases 6000 --jobs 2 --report json
for file in halves out; do sed -n '/"counters"/,$p' "$tmp/$file" | grep -v ': ns"' >"$tmp/$file.counters"; done
[ "$status" = 0 ] && cmp -s "$tmp/halves.counters" "$tmp/out.counters"
check "two shards have seen what two jobs have" $?
wideload fuzz --engines interp,jit --isa ADOX_ADCX --cases 1000 --shard 0/2 --db "$tmp/all.db" --report json
[ "$status" = 0 ] && [ "$(count)" = '"cases": 6000' ]
check "a shorter run of a shard does not replace a longer one" $?
chmod a-w "$tmp/0.db"
wideload fuzz --merge --db "$tmp/again.db" --report json "$tmp/0.db"
[ "$status" = 0 ] && [ "$(count)" = '"cases": 3000' ]
check "a database that may only be read can be merged" $?
wideload fuzz --merge --db "$tmp/all.db" --report junit
[ "$status" = 0 ] && grep -q '^<testsuite name="wideload fuzz" tests="1" failures="0"' "$tmp/out"
check "a report for a build server" $?
wideload fuzz --engines interp,jit --replay 1:77
[ "$status" = 0 ] && grep -qx '1:77: the same on all engines' "$tmp/out"
check "a case runs again by seed and number" $?

# -- bad input
echo text >"$tmp/text"
refused "an unknown instruction set" fuzz --isa NOSUCH
refused "an unknown instruction set, with a database" fuzz --isa NOSUCH --db new.db
refused "an unknown engine" fuzz --engines bochs,interp
refused "a single engine" fuzz --engines interp
refused "a shard beyond the last" fuzz --shard 4/4
refused "a mode of 8" fuzz --mode 8
refused "system state on the host" fuzz --system --engines native,interp
refused "no jobs" fuzz --jobs 0
refused "a format nobody knows" fuzz --report yaml
refused "a database that is none" fuzz --cases 10 --engines interp,jit --db "$tmp/text"
refused "a database in no folder" fuzz --cases 10 --engines interp,jit --db "$tmp/none/x.db"
refused "merging into nothing" fuzz --merge "$tmp/0.db"
refused "merging a database into itself" fuzz --merge --db "$tmp/0.db" "$tmp/0.db"
refused "merging what is not there" fuzz --merge --db new.db "$tmp/none.db"
refused "a difference without a database" fuzz --replay 1
refused "a difference that is not there" fuzz --replay 1 --db "$tmp/0.db"
refused "a database to replay that is not there" fuzz --replay "$tmp/none.db"
refused "an argument" fuzz "$tmp/0.db"
finish
