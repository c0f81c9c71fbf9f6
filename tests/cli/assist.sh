#!/bin/sh
# assist.sh - run --engine kvm --assist: a guest that KVM cannot carry out runs to its end.
. tests/cli/tap

for image in wide corners user; do
    as --64 -o "$tmp/$image.o" tests/guest/$image.S && ld -Ttext=0x100000 -o "$images/$image.elf" "$tmp/$image.o"
done
refused "bench of nothing" bench
refused "bench of something else" bench speed
refused "--assist without KVM" run --assist instruction --kernel "$images/wide.elf"
if ! kvm_usable; then
    skip "the guest of wide accesses under KVM" "$kvm_says"
    finish
    exit 0
fi
refused "an assist nobody knows" run --engine kvm --assist sometimes --kernel "$images/wide.elf"
for assist in "" "--assist off"; do
    # shellcheck disable=SC2086 # options
    wideload run --engine kvm $assist --kernel "$images/wide.elf"
    [ "$status" = 1 ] && grep -q 'kvm: cannot emulate 62 f1 fe 48 6f 0e at 0x100032$' "$tmp/err"
    check "the guest of wide accesses dies on KVM ${assist:-alone}" $?
done
wideload run --engine kvm --assist instruction --stats --kernel "$images/wide.elf"
[ "$status" = 0 ] && grep -q '^assisted instructions [1-9][0-9]*$' "$tmp/err"
check "the guest of wide accesses runs to its end with --assist instruction" $?
# Journey by journey, with registers after each.
"$WIDELOAD" diff --left interp --right kvm --kernel "$images/wide.elf" >"$tmp/out"
grep -q ' 0 divergent' "$tmp/out"
check "and each assisted instruction did what it does on the interpreter" $?
for left in interp jit; do
    "$WIDELOAD" diff --left "$left" --right kvm --assist instruction --kernel "$images/wide.elf" >"$tmp/out"
    grep -q ': [1-9][0-9]* same, 0 refragmented, 0 inexpressible, 0 divergent; phantom accesses in 0 journeys' "$tmp/out"
    check "with assist every access is the same on $left and KVM" $?
done
wideload run --engine kvm --assist burst --stats --kernel "$images/wide.elf"
[ "$status" = 0 ] && grep -q '^assisted instructions [1-9][0-9]*$' "$tmp/err"
check "the guest of wide accesses runs to its end with --assist burst" $?
# Faults, steps, shadows, changing code.  CMPXCHG16B on registers is the one that KVM has begun: what it has loaded is kept.
for assist in instruction burst; do
    "$WIDELOAD" diff --left jit --right kvm --assist $assist --kernel "$images/corners.elf" >"$tmp/out"
    grep -q ': 240 same, 2 refragmented, 0 inexpressible, 0 divergent' "$tmp/out"
    check "what an assisted instruction may run into, with --assist $assist" $?
    wideload run --engine kvm --assist $assist --kernel "$images/corners.elf"
    check "... and on the host's clock" "$status"
done
# CR4 takes what CPUID offers, the APIC's registers are ours, its timer wakes from HLT: with nobody's help.
wideload run --engine kvm --serial none --debugcon stdio --kernel "$images/user.elf"
grep -q '^t' "$tmp/out"
check "control registers, x2APIC, timer and HLT on KVM alone" $?
for engine in jit "kvm --assist burst"; do
    # shellcheck disable=SC2086 # options
    wideload run --engine $engine --clock host --serial none --debugcon stdio --kernel "$images/user.elf"
    [ "$status" = 0 ] && [ "$(cat "$tmp/out")" = tsstpubg ]
    check "CPL 3 and the ways out of it: $engine" $?
done
wideload run --engine kvm --assist burst --serial none --debugcon stdio --until tss --save "$tmp/saved" --kernel "$images/user.elf"
wideload run --engine jit --load "$tmp/saved"
[ "$status" = 0 ]
check "saved under --assist burst, it goes on with the JIT" $?
"$WIDELOAD" bench assist >"$tmp/out" # as long as it takes
status=$?
[ "$status" = 0 ] && [ "$(grep -c '^copy 64 bytes.* [0-9.]*$' "$tmp/out")" = 4 ]
check "bench assist prints its table" $?
refused "an assist nobody knows in diff" diff --assist sometimes --kernel "$images/wide.elf"
finish
