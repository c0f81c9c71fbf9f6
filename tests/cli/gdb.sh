#!/bin/sh
# gdb.sh - run --gdb: sessions of stock gdb with a small guest (tests/guest/debug.S), on each engine.
# shellcheck disable=SC2016,SC2086 # gdb's variables have dollars; options are words
. tests/cli/tap

if ! command -v gdb >/dev/null 2>&1; then
    skip "sessions of gdb" "gdb is not installed"
    finish
    exit
fi

as -g --64 -o "$tmp/debug.o" tests/guest/debug.S && ld -Ttext=0x100000 -o "$images/debug.elf" "$tmp/debug.o"

soft=interp
case $("$WIDELOAD" list engines | grep '^jit') in
*usable*) soft="interp jit" ;;
*) skip "gdb on jit" "no JIT on this host" ;;
esac

# gdb's commands on standard input, the options of run after the engine.  $tmp/gdb is what gdb said, $status the run's.
session() { # engine, option...
    engine=$1
    shift
    rm -f "$tmp/socket"
    timeout 60 "$WIDELOAD" run --engine "$engine" --serial none --gdb "$tmp/socket" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null &
    run=$!
    tries=0
    until [ -S "$tmp/socket" ] || [ $tries = 200 ]; do sleep 0.05; tries=$((tries + 1)); done
    { printf 'set pagination off\nset confirm off\nset width 0\ntarget remote %s\n' "$tmp/socket"; cat; } >"$tmp/commands"
    timeout 60 gdb -nx -batch -x "$tmp/commands" "${symbols:-$images/debug.elf}" >"$tmp/gdb" 2>&1 </dev/null
    wait $run
    status=$?
}

said() { # what, line (a pattern for all of it); on $engine
    grep -q -x -e "$2" "$tmp/gdb"
    check "$1, on $engine" $?
    grep -q -x -e "$2" "$tmp/gdb" || { echo "# no line '$2'"; sed 's/^/# /' "$tmp/gdb" "$tmp/err"; }
}

# What every engine can do.
everywhere() { # engine, option...
    session "$@" --gdb-wait --kernel "$images/debug.elf" <<'END'
printf "begins at %lx\n", $rip
hbreak work
continue
printf "argument %d\n", $edi
stepi
stepi
printf "ymm1 %lx %lx\n", $ymm1.v4_int64[0], $ymm1.v4_int64[3]
printf "xmm0 %x\n", $xmm0.v4_int32[0]
printf "from %lx\n", *(long *)$rsp - (long)again
set var $xmm7.v4_int32[2] = 0x1234567
set var $st3 = -2.5
print $st3
set var $edi = 11
continue
printf "total %d\n", *(int *)&total
delete
break done
continue
print/x *(int(*)[4])&looked
print *(long *)0xfe000000
END
    said "gdb finds the guest before its first instruction" 'begins at 100000'
    said "a breakpoint at a symbol stops the guest" 'Breakpoint 1, work () at tests/guest/debug.S:.*'
    said "gdb reads a general register" 'argument 1'
    said "gdb steps, and reads vector registers" 'ymm1 1 1'
    said "gdb reads the low part of a vector register" 'xmm0 1'
    said "gdb reads the stack" 'from 7'
    said "gdb writes and reads an x87 register" '.* = -2.5'
    said "gdb writes a general register, and it matters" 'total 11'
    said "gdb writes a vector register, and the guest sees it" '.* = {0x0, 0x0, 0x1234567, 0x0}'
    said "a device is not memory" 'Cannot access memory at address 0xfe000000'
    # gdb ends a batch at the first error.
    session "$@" --gdb-wait --kernel "$images/debug.elf" <<'END'
break done
continue
set var *(int *)&total = 40
monitor info registers
monitor frob
info registers cr0
stepi
printf "eax %d\n", $eax
continue
END
    said "gdb's monitor command is ours" 'rip=0000000000100059 .*'
    said "an unknown monitor command says so" "no such command: 'frob' (help lists them)"
    said "gdb shows control registers" 'cr0 .* 2147549235'
    said "gdb writes memory, and the guest reads it" 'eax 40'
    said "gdb sees the guest end with its status" '.Inferior 1 (Remote target) exited with code 051.'
    [ "$status" = 41 ]
    check "the run's exit status is the guest's, on $engine" $?
    [ ! -e "$tmp/socket" ]
    check "the socket is gone, on $engine" $?
}

for engine in $soft; do
    everywhere $engine
    # -- watchpoints
    session $engine --gdb-wait --kernel "$images/debug.elf" <<'END'
watch *(int *)&total
continue
continue
printf "at %lx\n", (long)$rip - (long)work
delete
rwatch *(int *)&copy
awatch *(int *)&total
continue
continue
printf "total %d\n", *(int *)&total
delete
watch *(char *)&copy
continue
printf "left %d\n", $ecx
detach
END
    said "a watchpoint has the value before and after: 1" 'New value = 3'
    said "a watchpoint stops behind the instruction" 'at 10'
    said "an access watchpoint sees a read" 'Hardware access (read/write) watchpoint 3: .*'
    said "... with the value as it is" 'Value = 3'
    said "a watchpoint stops within a repetition" 'left 7'
    [ "$status" = 16 ]
    check "a guest that gdb lets go runs to its end, on $engine" $?

    # -- what a debugger may not disturb: the guest's own code
    session $engine --gdb-wait --kernel "$images/debug.elf" <<'END'
break work
continue
printf "byte %x\n", *(unsigned char *)work
kill
END
    said "a breakpoint is not in the guest's memory" 'byte c5'
    [ "$status" = 130 ]
    check "gdb's kill ends the run as Ctrl-C does, on $engine" $?
done

# -- two processors: the guest of lockstep's row smp (tests/lockstep/guest/smp.c)
maze=$BUILD/$OBJ/bench/maze.elf
for engine in $soft $(kvm_usable && echo kvm); do
    symbols=$maze.64
    session $engine $(case $engine in kvm) echo --assist instruction ;; esac) --gdb-wait --smp 2 --memory 256M --kernel "$maze" --append 'smp 1' --debugcon "$tmp/said" <<'END'
info threads
hbreak ap_main
continue
printf "cpu %d\n", $_thread
stepi
printf "steps %d in %d\n", $rip > (long)ap_main, $_thread
thread 1
printf "the first waits: %d\n", $rsp < 0x200000
delete
hbreak on_wake
continue
printf "woken %d\n", $_thread
monitor info cpus
monitor cpu 1
monitor info cpus
delete
continue
END
    said "a processor that has not been started is a thread, and says so" ' *2 .*CPU#1 .waits for start-up.. .*'
    said "a breakpoint stops the other processor" 'cpu 2'
    said "stepi steps that" 'steps 1 in 2'
    said "another thread has its own registers" 'the first waits: 1'
    said "an interrupt between processors is seen where it comes" 'woken 2'
    said "the monitor shows both" '  1: rip .* runs, .*'
    said "monitor cpu chooses one" '\* 1: rip .* runs, .*'
    grep -q -x 'smp lockstep 300 step 206c390f' "$tmp/said"
    check "and the guest computes what it does alone, on $engine" $?
    symbols=
done
if kvm_usable; then
    everywhere kvm --assist instruction
else
    skip "gdb on kvm" "$kvm_says"
fi

# -- without --gdb-wait the guest runs already: a connection stops it, Ctrl-C is a packet of one byte, and nobody may harm it
printf '\353\376' >"$images/loop.bin"
for engine in $soft; do
    session $engine "$images/loop.bin" <<'END'
printf "rip %lx\n", $rip
stepi
printf "then %lx\n", $rip
monitor quit
END
    said "a connection stops a guest that runs" 'rip 7c00'
    said "and steps it" 'then 7c00'
    [ "$status" = 130 ]
    check "monitor quit ends the run, on $engine" $?
done
finish
