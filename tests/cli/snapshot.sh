#!/bin/sh
# snapshot.sh - run --save and --load: a guest goes on exactly, on any engine; what is no snapshot is refused; a kill in the
# middle of writing leaves the old file.  (Damaged files by the thousand: tests/unit/test_snapshot.c.)
# shellcheck disable=SC2086 # options are words
. tests/cli/tap

bios=/usr/share/seabios/bios-256k.bin
until="No bootable device."
guest elf_i386 0x100000 "$images/loop.elf" <<'END'
        .globl _start
_start: incl %eax
        jmp _start
END
kernel=$images/loop.elf
snap=$images/loop.snap

# A trace's journeys, without the engine that ran them; $1 is `kvm` where engines say differently what runs.
journeys() { # engines, trace...
    case $1 in
    *kvm*) what='s/"engine".*"accesses"/"accesses"/' ;;
    *) what='s/"engine":"[a-z]*"/"engine":""/' ;;
    esac
    shift
    for trace in "$@"; do sed -e 1d -e '/^{"end"/d' -e "$what" "$trace"; done
}

# The guest of $start to its end, and once more with a stop on the way: journeys and, on soft engines, all of the final state.
goes_on() { # engine, engine that goes on, options that stop the first
    first=$1 second=$2
    shift 2
    wideload run --engine $first $start "$@" --trace "$tmp/first" --save "$tmp/half"
    [ "$status" = 0 ] || { sed 's/^/# /' "$tmp/err"; return 1; }
    wideload run --engine $second --load "$tmp/half" --until "$until" --trace "$tmp/second" --save "$tmp/end" --stats
    [ "$status" = 0 ] || { sed 's/^/# /' "$tmp/err"; return 1; }
    grep '^instructions' "$tmp/err" >"$tmp/count"
    journeys $first$second "$tmp/whole" >"$tmp/expected"
    journeys $first$second "$tmp/first" "$tmp/second" | cmp - "$tmp/expected" || return 1
    case $first$second in
    *kvm*) ;;
    *) cmp "$tmp/end" "$tmp/whole.snap" && cmp "$tmp/count" "$tmp/whole.count" ;;
    esac
}

whole() { # the same guest, never stopped
    wideload run $start --until "$until" --trace "$tmp/whole" --save "$tmp/whole.snap" --stats
    grep '^instructions' "$tmp/err" >"$tmp/whole.count"
}

# -- it goes on exactly
if [ -r "$bios" ]; then
    start="--bios $bios"
    whole
    for engines in "interp jit" "jit interp" "interp interp" "jit jit"; do
        goes_on $engines --limit 2345678 >"$tmp/why"
        check "SeaBIOS saved on ${engines% *} goes on exactly on ${engines#* }" $?
    done
    start="--bios $bios --clock journey"
    whole
    goes_on interp jit --journeys 1000 >"$tmp/why"
    check "SeaBIOS on the clock that counts journeys goes on exactly" $?
    for engines in "interp kvm" "kvm jit" "kvm kvm"; do
        if kvm_usable; then
            goes_on $engines --journeys 1500 >"$tmp/why"
            check "SeaBIOS saved on ${engines% *} goes on on ${engines#* } with the same accesses" $?
        else
            skip "SeaBIOS saved on ${engines% *} goes on on ${engines#* } with the same accesses" "$kvm_says"
        fi
    done
else
    skip "SeaBIOS goes on exactly" "$bios is not installed"
fi
# A string instruction that prints the text is one journey, and is not cut in two.
{
    printf '        .globl _start\n_start: movl $text, %%esi; movl $12, %%ecx; movl $0xe9, %%edx; cld; rep outsb\n'
    leave 0
    printf 'text:   .ascii "before after"\n'
} | guest elf_i386 0x100000 "$images/outs.elf"
wideload run --kernel "$images/outs.elf" --until before --debugcon stdio --trace "$tmp/first" --save "$tmp/half"
[ "$(cat "$tmp/out")" = "before after" ] && [ "$(grep -c '^{"journey"' "$tmp/first")" = 1 ]
check "--until ends a run behind a string instruction, not within it" $?
wideload run --load "$tmp/half" --trace "$tmp/second"
[ "$status" = 0 ] && [ ! -s "$tmp/out" ] && [ "$(grep -c '^{"journey":1,' "$tmp/second")" = 1 ]
check "... and the journey's number goes on" $?

# -- when it is written, and when not
wideload run --kernel "$kernel" --memory 16M --cpu x86-64-v2 --limit 1000 --save "$snap"
[ "$status" = 0 ] && [ -s "$snap" ]
check "--limit saves" $?
wideload run --load "$snap" --memory 16384K --cpu x86-64-v2 --clock virtual --limit 2000 --stats
[ "$status" = 0 ] && grep -q '^instructions 2000$' "$tmp/err"
check "--limit counts from reset, and options that say the same again are taken" $?
wideload run --kernel "$images/outs.elf" --save "$tmp/none"
[ "$status" = 1 ] && [ "$(wc -l <"$tmp/err")" = 1 ] && grep -q 'not written' "$tmp/err" && [ ! -e "$tmp/none" ]
check "a guest that has ended is not saved, which is said" $?
for engine in interp kvm; do
    if [ $engine != kvm ] || kvm_usable; then
        # -INT is ignored in the background of a shell without job control; -TERM does the same here.
        "$WIDELOAD" run --engine $engine --clock host --kernel "$kernel" --save "$tmp/$engine.snap" 2>"$tmp/err" &
        sleep 0.3
        kill -TERM $!
        wait $!
        [ $? = 130 ] && wideload run --load "$tmp/$engine.snap" --switch interp@0:jit --limit 500M && [ "$status" = 0 ]
        check "$engine: an interrupted guest is saved" $?
    else
        skip "$engine: an interrupted guest is saved" "$kvm_says"
    fi
done

# -- bad input
refused "--load beside --kernel" run --load "$snap" --kernel "$kernel"
refused "--load beside --bios" run --load "$snap" --bios "$bios"
refused "--load beside a flat image" run --load "$snap" "$kernel"
refused "--load with --append" run --load "$snap" --append x
refused "--load with other memory" run --load "$snap" --memory 17M
refused "--load with another CPU" run --load "$snap" --cpu x86-64-v3
refused "--load with another vendor's CPU" run --load "$snap" --cpu Opteron
refused "--load with an IOMMU that it has not" run --load "$snap" --iommu
refused "--load with a device that it has not" run --load "$snap" --edu
refused "--load with another clock" run --load "$snap" --clock journey
refused "--load of a virtual clock on KVM" run --load "$snap" --engine kvm
refused "--load with a --limit that has passed" run --load "$snap" --limit 1000
refused "--load with --journeys that have passed" run --load "$snap" --trace "$tmp/t" --journeys 0
refused "--load of a file that is not there" run --load "$images/none"
refused "--load of a folder" run --load "$images"
refused "--load of an empty file" run --load /dev/null
refused "--load of something else" run --load "$kernel"
refused "--save into a folder that is not there" run --kernel "$kernel" --limit 10 --save "$tmp/none/file"
refused "--save to a folder" run --kernel "$kernel" --limit 10 --save "$images"
refused "--save to a device" run --kernel "$kernel" --limit 10 --save /dev/null
printf '' >"$images/empty"
refused "--load of a file of nothing" run --load "$images/empty"
{ head -c 8 "$snap"; printf '\002'; tail -c +10 "$snap"; } >"$images/version"
refused "--load of another format" run --load "$images/version"
grep -q 'format' "$tmp/err" || "$WIDELOAD" run --load "$images/version" 2>&1 | grep -q 'format 2'
check "... and the line says which" $?
head -c 500 "$snap" >"$images/cut"
refused "--load of a file that is cut off" run --load "$images/cut"
{ head -c 100 "$snap"; printf x; tail -c +102 "$snap"; } >"$images/damaged"
refused "--load of a damaged file" run --load "$images/damaged"

# -- kill -9 at any moment: the file is the old one or the new one, and whole
guest elf_i386 0x100000 "$images/fill.elf" <<'END'
        .globl _start
_start: movl $0x200000, %edi
1:      imull $1664525, %eax
        addl $1013904223, %eax
        stosl
        cmpl $0x600000, %edi
        jb 1b
2:      jmp 2b
END
mkdir "$tmp/killed"
file=$tmp/killed/file
"$WIDELOAD" run --engine jit --kernel "$images/fill.elf" --limit 6M --save "$file"
limit=6000001
saves_on() { exec "$WIDELOAD" run --load "$file" --limit $limit --save "$file" 2>/dev/null; }
began=$(date +%s%N)
(saves_on)
took=$((($(date +%s%N) - began) / 1000)) bad=0
for part in 1 3 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    limit=$((limit + 1))
    (saves_on) &
    sleep "$(printf '0.%06d' $((took * part / 20 % 1000000)))"
    kill -9 $! 2>/dev/null
    wait $! 2>/dev/null
    "$WIDELOAD" run --load "$file" --limit 6001000 2>/dev/null || bad=$((bad + 1))
    # Between its two last steps a whole new file stands beside the old one.
    left=$(ls -A "$tmp/killed" | grep -v -x -e file -e .file.new)
    [ -z "$left" ] || bad=$((bad + 1))
done
[ $bad = 0 ]
check "kill -9 while it is written leaves a whole file, and no other" $?
finish
