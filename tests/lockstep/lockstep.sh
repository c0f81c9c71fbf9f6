#!/bin/sh
# lockstep.sh - the interpreter and the JIT in step over real guests and random programs; guests handed from engine to
# engine.  Prints TAP.
#
# usage: tests/lockstep/lockstep.sh [long]      (with BUILD, OBJ, WIDELOAD set, from the sources' folder)
#
# Short is a few seconds; long is at least 100 million instructions of each guest that has so many.  Each guest runs as
# it is, with a code cache that keeps filling up, with all code dropped now and then, and with its code written to.
# shellcheck disable=SC2086 # options are words
set -u
lockstep=$BUILD/$OBJ/tests/lockstep/lockstep handover=$BUILD/$OBJ/tests/lockstep/handover cases=$BUILD/$OBJ/tests/lockstep/cases bench=$BUILD/$OBJ/bench
bios=/usr/share/seabios/bios-256k.bin
tmp=$(mktemp -d) || exit 2
trap 'rm -rf "$tmp"' EXIT INT TERM
n=0

same() { # what, program, argument...
    what=$1
    shift
    n=$((n + 1))
    if "$@" >"$tmp/out" 2>&1; then echo "ok $n - $what: $(sed -n 's/^# same: //p' "$tmp/out")"
    else
        echo "not ok $n - $what: $*"
        sed 's/^#*/#/' "$tmp/out"
    fi
}

# A guest once for each disturbance; each time takes other steps.
guest() { # what, instructions, lockstep's arguments...
    what_guest=$1 insns=$2
    shift 2
    seed=1
    for disturbance in $disturbances; do
        options=$(echo "$disturbance" | tr '+=' '  ')
        same "$what_guest $options" "$lockstep" --insns "$insns" --seed $seed $options "$@"
        seed=$((seed + 1))
    done
}

case $("$WIDELOAD" list engines | grep '^jit') in
*usable*) ;;
*)
    echo "1..0 # SKIP no JIT on this host"
    exit 0 ;;
esac
for image in wide corners; do
    as --64 -o "$tmp/$image.o" tests/guest/$image.S && ld -Ttext=0x100000 -o "$tmp/$image.elf" "$tmp/$image.o" || exit 2
done

if [ "${1:-}" = long ]; then
    seabios=100M wide=50K row_insns=20M programs=300000 rounds=20 rows=$(sed 's/ .*//' tests/bench/expected)
    handed_seabios=1000 handed=100 handed_rows=$rows
    disturbances="--flush=0+--patience=0 --cache=1M --flush=100 --poke=20+--patience=0"
else
    seabios=3M wide=2K row_insns=1M programs=4000 rounds=10 rows="sieve fib string bytecode protected32 smc pagefault ipi nbody floats32 base64 mandelbrot87 nbody87"
    handed_seabios=100 handed=30 handed_rows="fib ints64 ipi pagefault smc mmio64"
    disturbances="--flush=0+--patience=0 --cache=1M+--flush=300+--poke=50"
fi
if [ -r "$bios" ]; then guest SeaBIOS $seabios --bios "$bios"
else
    n=$((n + 1))
    echo "ok $n - SeaBIOS # SKIP $bios is not installed"
fi
guest "wide guest" $wide --kernel "$tmp/wide.elf"
guest "corners" $wide --kernel "$tmp/corners.elf"
for row in maze maze_device maze_global delay; do
    guest "$row" $row_insns --memory 256M --kernel "$bench/maze.elf" --append "$row $rounds"
done
guest "two processors" $row_insns --smp 2 --memory 256M --kernel "$bench/maze.elf" --append "smp $rounds"
same "maze_device --journey" "$lockstep" --insns $row_insns --journey --memory 256M --kernel "$bench/maze.elf" --append "maze_device $rounds"
for row in $rows; do
    bits=
    [ "$row" != protected32 ] || bits=32
    guest "$row" $row_insns --memory 256M --kernel "$bench/guest$bits.elf" --append "$row $rounds"
done
for flush in 0 100; do
    patience=$((flush / 50)) # whole blocks, or ones that are made again after two executions
    same "random programs of tests/insn, --flush $flush" "$cases" --programs $programs --flush $flush --patience $patience tests/insn/*.case
    same "random x87 instructions, --flush $flush" "$cases" --x87 --programs $programs --flush $flush --patience $patience tests/insn/*.case
    same "random memory operands, --flush $flush" "$cases" --memory --programs $((programs * 3)) --flush $flush --patience $patience tests/insn/*.case
done
# KVM takes part where it is.  The emulator of a `pvm` has no SYSRET: it raises #UD.
[ ! -r "$bios" ] || same "SeaBIOS handed over" "$handover" --bios "$bios" --until "No bootable device." --hand-overs $handed_seabios
same "wide guest handed over" "$handover" --kernel "$tmp/wide.elf" --hand-overs $handed
# Not to KVM, whose single-steps the guest's own would meet.
same "corners handed over" "$handover" --kernel "$tmp/corners.elf" --hand-overs $handed --soft
for row in $handed_rows; do
    bits= soft=
    [ "$row" != protected32 ] || bits=32
    case $row-$("$WIDELOAD" list engines) in syscall-*"KVM pvm"*) soft=--soft ;; esac
    same "$row handed over" "$handover" --memory 256 --kernel "$bench/guest$bits.elf" --append "$row 1" --hand-overs $handed $soft
done
echo "1..$n"
