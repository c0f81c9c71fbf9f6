#!/bin/sh
# help_and_docs.sh - what the program says about itself, and that the documents say the same.
# shellcheck disable=SC2013,SC2086 # options are words
. tests/cli/tap

for command in "" run diff explain fuzz bench list; do
    wideload $command --help
    [ "$status" = 0 ] && [ -s "$tmp/out" ] && [ ! -s "$tmp/err" ]
    check "${command:-wideload} --help" $?
done
for list in devices engines policies unimplemented cpus cpuid jit-switches; do
    wideload list $list
    [ "$status" = 0 ] && [ "$(wc -l <"$tmp/out")" -gt 1 ] && [ ! -s "$tmp/err" ]
    check "list $list" $?
done

# -- every option, policy, engine and log category is in the manual page and in the completion
sed 's/\\-/-/g; s/\\&//g' docs/wideload.1 >"$tmp/manual"
for command in run diff explain fuzz bench; do
    wideload $command --help
    for option in $(sed -n 's/^.* \(--[a-z-]*\).*/\1/p' "$tmp/out" | sort -u); do
        grep -q -e "$option" "$tmp/manual"
        check "$command $option is in the manual page" $?
        grep -q -e "$option" docs/wideload.bash
        check "$command $option is in the completion" $?
    done
done
for list in engines policies jit-switches; do
    wideload list $list
    for word in $(sed 's/ .*//' "$tmp/out"); do
        grep -q -w -e "$word" "$tmp/manual" && grep -q -w -e "$word" docs/wideload.bash
        check "$word, of list $list, is in the manual page and in the completion" $?
    done
done
wideload list cpus
for word in $(sed '/^$/q; s/ .*//' "$tmp/out"); do
    grep -q -w -e "$word" "$tmp/manual" && grep -q -w -e "$word" docs/wideload.bash && grep -q -e "${word%[1-4]}" docs/cpu.md
    check "CPU model $word is in the manual page, in the completion and in docs/cpu.md" $?
done
for word in $(sed -n 's/^ *X([A-Z_]*, "\([a-z_]*\)".*/\1/p' src/base/log.h); do
    grep -q "^\.B $word\$" "$tmp/manual" && grep -q -w -e "$word" docs/wideload.bash
    check "log category $word is in the manual page and in the completion" $?
    wideload run --log "$word" --limit 1 /dev/null
    ! grep -q 'no such log category' "$tmp/err"
    check "log category $word is known" $?
done
if command -v bash >/dev/null 2>&1; then
    bash -n docs/wideload.bash
    check "the completion is correct bash" $?
else
    skip "the completion is correct bash" "no bash here"
fi
if command -v groff >/dev/null 2>&1; then
    groff -man -Tascii -ww docs/wideload.1 2>&1 >/dev/null | grep -q .
    [ $? = 1 ]
    check "the manual page has no warnings" $?
else
    skip "the manual page has no warnings" "groff is not installed"
fi
broken=$(grep -o -h '](\([^)#]*\))' docs/*.md | sed 's/](\(.*\))/\1/' | sort -u | while read -r link; do [ -e "docs/$link" ] || echo "$link"; done)
[ -z "$broken" ]
check "every link of docs/*.md leads somewhere" $?
[ -z "$broken" ] || echo "# $broken"

# -- README's examples
wideload explain 'vmovdqu [rdi], ymm0'
[ "$status" = 0 ] && sed -n '/^Host code/q; /./p' "$tmp/out" | while IFS= read -r line; do
    grep -q -F -e "$line" README || { echo "# not in README: $line"; exit 1; }
done
check "explain 'vmovdqu [rdi], ymm0' prints what README shows" $?
wideload explain 'add [rdi+8], eax'
if "$WIDELOAD" list engines | grep -q '^jit  *usable'; then
    sed -n '/^Host code of the JIT:$/,$p' "$tmp/out" | grep -q '^ in line$' && grep -q ' call slow_[a-z]*$' "$tmp/out" &&
        ! sed -n '/^Host code/,$p' "$tmp/out" | grep -q '0x[0-9a-f]\{6\}'
    check "explain prints the JIT's code, its slow path, and no address of this run" $?
else
    grep -q '^Host code of the JIT: ' "$tmp/out"
    check "explain says why there is no host code" $?
fi
wideload explain --bytes 'c5 fe 7f 07'
grep -q '^  kvm  *gives up$' "$tmp/out" && grep -q '^  whole .* 32$' "$tmp/out"
check "explain --bytes takes the same instruction" $?
wideload explain --region 0x10000000+0x10000,widths=1-8 --rdi 0x10000ff9 'movdqu [rdi], xmm0'
grep -q '^  kvm .* 7+8+1, page, width$' "$tmp/out"
check "explain across a page" $?
wideload explain --split bus:4 'mov [rdi], rax'
[ "$(grep -c 'store  4 bytes at offset' "$tmp/out")" = 2 ]
check "explain --split bus:4 cuts eight bytes in two" $?
wideload explain 'movaps [rdi+1], xmm0'
[ "$status" = 0 ] && grep -q 'vector 13' "$tmp/out"
check "explain of an instruction that faults is an answer" $?

as --64 -o "$tmp/wide.o" tests/guest/wide.S && ld -Ttext=0x100000 -o "$tmp/wide.elf" "$tmp/wide.o"
wideload diff --right "$PWD/tests/traces/wide-kvm-pvm.jsonl.zst" --kernel "$tmp/wide.elf" --table
figures=$(sed -n 's/^compared [0-9]* journeys: \(.* divergent\).*/\1/p' "$tmp/out")
[ "$status" = 0 ] && [ -n "$figures" ] && grep -q -F -e "$figures" README
check "diff of the wide guest prints README's figures" $?
for row in 73 88 134 188; do
    shown=$(sed -n "s/^ *\($row  .*\) \.\.\.\$/\1/p" README)
    [ -n "$shown" ] && grep -q -F -e "$shown" "$tmp/out"
    check "diff of the wide guest prints README's row $row" $?
done
finish
