#!/bin/sh
# net.sh - --net: a guest that asks its network who and where it is, sleeps, and answers who asks it, on each engine.
# shellcheck disable=SC2086,SC2015 # options are words
. tests/cli/tap

talk=$BUILD/$OBJ/tests/cli/talk
flags="-O2 -ffreestanding -fno-pic -fno-pie -mno-red-zone -mgeneral-regs-only -fno-stack-protector -fcf-protection=none -mcmodel=small"
${CC:-cc} $flags -fno-tree-loop-distribute-patterns -fno-asynchronous-unwind-tables -c -o "$tmp/net.o" tests/guest/net.c &&
    ld -static -nostdlib --build-id=none -z noexecstack -Ttext-segment=0x100000 -o "$images/net.elf" "$tmp/net.o" || exit 2

engines=interp
case $("$WIDELOAD" list engines | grep '^jit') in *usable*) engines="interp jit" ;; esac
fast=${engines##* }
kvm_usable && engines="$engines kvm" || skip "a network on KVM" "$kvm_says"

# Starts a guest; what it is told is in $tmp/answer, and what it says in $tmp/out.
talk_to() { # words, argument...
    words=$1
    shift
    (cd "$tmp/cwd" && timeout 60 "$WIDELOAD" run --serial none --debugcon stdio "$@") >"$tmp/out" 2>"$tmp/err" </dev/null &
    "$talk" $port $words >"$tmp/answer"
    answered=$?
    [ $answered = 0 ] || kill $! 2>/dev/null
    wait $!
    status=$?
    [ $answered = 0 ] && [ $status = 0 ] || { sed 's/^/# /' "$tmp/out" "$tmp/err"; return 1; }
}
forward() { port=$("$talk" free); net=user,hostfwd=udp:127.0.0.1:$port-:7; }

for engine in $engines; do
    for clock in host virtual; do
        case $engine-$clock in kvm-virtual) continue ;; esac
        forward
        talk_to "hello again quit" --engine $engine --clock $clock --kernel "$images/net.elf" --net $net &&
            [ "$(cat "$tmp/out")" = "arp dhcp ready bye" ] && [ "$(tr '\n' ' ' <"$tmp/answer")" = "hello again quit " ]
        check "$engine, $clock clock: a guest gets an address, sleeps, and answers" $?
    done
done
forward
talk_to "one quit" --engine $fast --clock host --kernel "$images/net.elf" --net $net,restrict=off,mac=52:54:00:aa:bb:cc --net user
check "a card with an address of its own, beside another" $?
wideload run --engine $fast --clock host --kernel "$images/net.elf" --serial none --debugcon stdio --net user,restrict=on --until ready
[ "$status" = 0 ]
check "a guest that is restricted gets its address" $?
[ "$(ls -A "$tmp/cwd")" = "" ]
check "no file is left behind" $?

# -- snapshots: the card goes on, on a new network
forward
wideload run --engine $fast --clock host --kernel "$images/net.elf" --serial none --debugcon stdio --net $net --until ready --save "$tmp/saved"
first=$status
talk_to "more quit" --engine interp --load "$tmp/saved" --net $net && [ $first = 0 ] && [ "$(cat "$tmp/out")" = " bye" ]
check "a guest that was saved goes on with its card" $?
refused "--load without the network" run --load "$tmp/saved"
refused "--load with another network" run --load "$tmp/saved" --net user --net user

# -- bad input
loop=$images/net.elf
for text in '' , tap user, user,,frob user,frob user,mac= user,mac=1:2:3:4:5:6 user,mac=01:00:00:00:00:01 user,mac=00:00:00:00:00:00 user,mac=02:00:00:00:00:0g \
    user,mac=02:00:00:00:00:01:02 user,mtu=575 user,mtu=65521 user,mtu=x user,tftp= user,tftp=$images/missing user,rom= user,rom=$images/missing user,rom=$images user,rom=/dev/null "user,rom=$images/net.elf" user,restrict user,restrict=yes user,hostfwd= user,hostfwd=tcp user,hostfwd=tcp::80 user,hostfwd=tcp::80- \
    user,hostfwd=sctp::80-:80 user,hostfwd=tcp::0-:80 user,hostfwd=tcp::65536-:80 user,hostfwd=tcp::8x-:80 user,hostfwd=tcp:1.2.3:80-:80 \
    user,hostfwd=tcp:localhost:80-:80 user,hostfwd=tcp::-1-:80 user,hostfwd=tcp:192.0.2.1:8080-:80; do
    refused "--net '$text'" run --kernel "$loop" --net "$text"
done
for text in '' , "$images" "$images," "$images,tag=" "$images,tag=a,frob" "$images,tag=12345678901234567890123456789012" "$images/missing,tag=a" \
    "$loop,tag=a" ",tag=a"; do
    refused "--share '${text#"$images"}'" run --kernel "$loop" --share "$text"
done
refused "four shares" run --kernel "$loop" --share "$images,tag=a" --share "$images,tag=b" --share "$images,tag=c" --share "$images,tag=d"
refused "five cards" run --kernel "$loop" --net user --net user --net user --net user --net user
refused "a port twice" run --kernel "$loop" --net $net,hostfwd=udp:127.0.0.1:$port-:8
refused "a network on the journey clock" run --clock journey --kernel "$loop" --net user
many=user
for i in $(seq 33); do many=$many,hostfwd=tcp::$((20000 + i))-:80; done
refused "33 ports" run --kernel "$loop" --net $many
finish
