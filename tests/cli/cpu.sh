#!/bin/sh
# cpu.sh - --cpu: SeaBIOS under every model, what a missing feature does to a guest, and what list says of models.
# shellcheck disable=SC2016,SC2086 # options are words; assembly has dollars
. tests/cli/tap
bios=/usr/share/seabios/bios-256k.bin

soft=interp
case $("$WIDELOAD" list engines | grep '^jit') in
*usable*) soft="interp jit" ;;
*) skip "CPU models on jit" "no JIT on this host" ;;
esac
wideload list cpus
models=$(sed '/^$/q; s/ .*//' "$tmp/out")

# -- list
for model in $models; do
    grep -q "^sse2  .* $model\\( \\|\$\\)" "$tmp/out"
    check "list cpus: $model has SSE2" $?
done
cp "$tmp/out" "$tmp/cpus"
[ "$(grep -c '^avx512f .* x86-64-v4' "$tmp/cpus")" = 1 ] && ! grep -q '^avx512f .* x86-64-v3' "$tmp/cpus"
check "list cpus: AVX512F begins with x86-64-v4" $?
wideload list cpuid
cp "$tmp/out" "$tmp/max"
wideload list cpuid --cpu max
cmp -s "$tmp/out" "$tmp/max"
check "list cpuid is that of max" $?
wideload list cpuid --cpu=x86-64-v1
grep -q '^0000000d' "$tmp/max" && ! grep -q '^0000000d' "$tmp/out"
check "list cpuid --cpu x86-64-v1: no leaf D" $?

# -- at reset EDX is the signature
{
    echo '.code16; .globl _start; _start: mov %edx, %esi; mov $1, %eax; cpuid; cmp %eax, %esi; jne 8f'
    leave 5; echo '8:'; leave 6; echo '.org 0xfff0; jmp _start; .org 0x10000'
} | guest binary 0 "$images/signature.bin"
for engine in $soft; do
    for model in $models; do
        wideload run --engine $engine --cpu $model --bios "$images/signature.bin"
        [ "$status" = 5 ]
        check "EDX at reset is the signature of $model, on $engine" $?
    done
done

# -- one instruction
{
    echo '.globl _start; _start: mov $0xff, %ecx; popcnt %ecx, %eax; cmp $8, %eax; jne 8f'
    leave 5; echo '8:'; leave 6
} | guest elf_x86_64 0x100000 "$images/popcnt.elf"
for engine in $soft; do
    wideload run --engine $engine --cpu x86-64-v2 --kernel "$images/popcnt.elf"
    [ "$status" = 5 ]
    check "POPCNT runs on x86-64-v2, on $engine" $?
    wideload run --no-reboot --engine $engine --cpu x86-64-v1 --log unimp,int --kernel "$images/popcnt.elf"
    [ "$status" = 1 ] && grep -q 'popcnt: this CPU has no popcnt$' "$tmp/err"
    check "POPCNT is #UD on x86-64-v1, on $engine, and the log says why" $?
    wideload run --engine $engine --cpu x86-64-v1,+POPCNT --kernel "$images/popcnt.elf"
    [ "$status" = 5 ]
    check "POPCNT runs on x86-64-v1,+POPCNT, on $engine" $?
done

# -- firmware
if [ -r "$bios" ]; then
    for model in $models max,-sse max,-msr; do
        for engine in $soft; do
            wideload run --engine $engine --cpu $model --bios "$bios" --serial none --debugcon stdio --until 'No bootable device.' \
                --limit 100M
            [ "$status" = 0 ] && grep -q 'No bootable device\.' "$tmp/out"
            check "SeaBIOS reaches its end on $model, on $engine" $?
        done
    done
    for sides in "interp interp" "jit interp" "interp kvm"; do
        case $sides in
        jit*) case $soft in *jit*) ;; *) continue ;; esac ;;
        *kvm) kvm_usable || continue ;;
        esac
        wideload diff --left ${sides% *} --right ${sides#* } --cpu x86-64-v2 --bios "$bios" --until 'No bootable device.'
        [ "$status" = 0 ] && grep -q ' 0 divergent' "$tmp/out"
        check "SeaBIOS on x86-64-v2: ${sides% *} and ${sides#* } agree" $?
    done
else
    skip "SeaBIOS on every CPU model" "$bios is not here"
fi
finish
