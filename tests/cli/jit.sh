#!/bin/sh
# jit.sh - the JIT's options, what it tells profilers, and hosts on which it cannot be.
# shellcheck disable=SC2086 # switches are words
. tests/cli/tap
no_exec=$BUILD/$OBJ/tests/cli/no_exec

# A loop that is long enough to be translated, with calls and memory: sum of 0..99999 twenty times, modulo 128.
{
    cat <<'END'
.globl _start; _start: mov $0x200000, %rsp; mov $20, %r8; xor %eax, %eax
1:      mov $100000, %ecx
2:      dec %ecx; call 3f; test %ecx, %ecx; jnz 2b
        dec %r8; jnz 1b
        and $0x7f, %eax; mov %al, %bl
END
    say sum
    echo 'mov %bl, %al; outb %al, $0xf4; 9: hlt; jmp 9b'
    echo '3: push %rcx; add (%rsp), %eax; pop %rcx; ret'
} | guest elf_x86_64 0x100000 "$images/loop.elf" || exit 2
guest="--serial none --debugcon stdio --kernel $images/loop.elf"
wideload run $guest
expected=$status
printed=$(cat "$tmp/out")
[ "$printed" = sum ]
check "the interpreter runs the loop" $?

"$no_exec" "$WIDELOAD" run --engine jit $guest >"$tmp/out" 2>"$tmp/err"
status=$?
if [ $status = 77 ] && [ "$expected" != 77 ]; then skip "no executable memory" "no seccomp on this host"
else
    [ $status = "$expected" ] && [ "$(cat "$tmp/out")" = sum ] && [ "$(wc -l <"$tmp/err")" = 1 ] &&
        grep -q '^wideload: no JIT: this host gives no executable memory.*; interpreting$' "$tmp/err"
    check "without executable memory: one line, and it interprets" $?
    "$no_exec" "$WIDELOAD" list engines | grep -q '^jit  *not here: '
    check "without executable memory: list engines says so" $?
fi

"$WIDELOAD" list engines | grep -q '^jit  *usable' || {
    skip "options of the JIT" "no JIT on this host"
    finish
    exit 0
}

same() { # what, option...
    what=$1
    shift
    wideload run --engine jit "$@" $guest
    [ "$status" = "$expected" ] && [ "$(cat "$tmp/out")" = sum ]
    check "$what: the same result" $?
}
same "as it is"
wideload list jit-switches
all=
for switch in $(sed 's/ .*//' "$tmp/out"); do
    same "--jit-off $switch" --jit-off "$switch"
    all=$all,$switch
done
same "everything off" --jit-off "${all#,}"
same "--jit-cache 1M" --jit-cache 1M
same "sixteen processors" --smp 16
[ ! -s "$tmp/err" ]
check "there is memory for the code of all" $?
wideload diff --left interp --right jit --jit-cache 1M --jit-off "${all#,}" $guest
[ "$status" = 0 ]
check "diff takes the JIT's options" $?

wideload run --engine jit --stats $guest
for line in 'jit blocks [1-9]' 'jit translation [0-9.]* ms, .*ns a guest instruction' 'jit accesses [1-9].*% hit the TLB' \
    'jit executions of blocks [1-9]' 'jit slow paths: walk [0-9]' 'jit jumps [0-9]'; do
    grep -q "^$line" "$tmp/err"
    check "--stats has a line '$line'" $?
done
! grep -q -i -e nan -e inf, "$tmp/err"
check "--stats divides nothing by zero" $?
wideload run --engine jit --stats --limit 1 $guest
[ "$status" = 0 ] && ! grep -q -i -e nan -e inf, "$tmp/err"
check "--stats of a run without translated code divides nothing by zero" $?

# -- profilers
(cd "$tmp/cwd" && exec "$WIDELOAD" run --engine jit --perf-map --jitdump $guest) >"$tmp/out" 2>"$tmp/err" &
pid=$!
wait $pid
map=/tmp/perf-$pid.map
[ -s "$map" ] && ! grep -v -q '^[0-9a-f][0-9a-f]* [0-9a-f][0-9a-f]* guest:[0-9a-f][0-9a-f]*$' "$map"
check "--perf-map writes address, size and name" $?
rm -f "$map"
dump=$tmp/cwd/jit-$pid.dump
[ "$(head -c 4 "$dump" 2>/dev/null)" = DTiJ ] && grep -a -q 'guest:10' "$dump"
check "--jitdump writes jit-PID.dump with magic and names" $?
if command -v python3 >/dev/null 2>&1; then
    python3 - "$dump" $pid <<'END'
import struct, sys
data, pid = open(sys.argv[1], "rb").read(), int(sys.argv[2])
magic, version, size, machine, _, p, _, flags = struct.unpack_from("<IIIIIIQQ", data)
assert (magic, version, size, machine, p, flags) == (0x4A695444, 1, 40, 62, pid, 0)
at, loads, last, indices = size, 0, 0, set()
while at < len(data):
    kind, total, stamp = struct.unpack_from("<IIQ", data, at)
    assert stamp >= last
    last = stamp
    if kind == 0:
        p, t, vma, address, bytes_, index = struct.unpack_from("<IIQQQQ", data, at + 16)
        name = data[at + 56:data.index(0, at + 56)]
        assert p == t == pid and vma == address and total == 56 + len(name) + 1 + bytes_ and name.startswith(b"guest:")
        indices.add(index)
        loads += 1
    at += total
assert at == len(data) and kind == 3 and loads == len(indices) > 0
END
    check "--jitdump: header, load records, close record" $?
else
    skip "--jitdump: header, load records, close record" "no python3"
fi
rm -f "$dump"
wideload run --engine jit --jitdump="$tmp/named" $guest
[ "$status" = "$expected" ] && [ -s "$tmp/named" ] && [ -z "$(left_behind)" ]
check "--jitdump=FILE writes that file" $?

# -- what is refused
for size in '' 0 1 1023K -1M 1Mx frob 2T; do
    refused "--jit-cache '$size'" run --engine jit --jit-cache="$size" "$images/loop.elf"
done
for list in '' frob chain,frob chain, ,chain; do
    refused "--jit-off '$list'" run --engine jit --jit-off="$list" "$images/loop.elf"
done
refused "--perf-map without the JIT" run --perf-map --kernel "$images/loop.elf"
refused "--jitdump without the JIT" run --jitdump --kernel "$images/loop.elf"
refused "--jitdump in a missing folder" run --engine jit --jitdump="$images/missing/dump" --kernel "$images/loop.elf"
refused "--jitdump onto a folder" run --engine jit --jitdump="$images" --kernel "$images/loop.elf"
finish
