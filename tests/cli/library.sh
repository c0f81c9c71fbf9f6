#!/bin/sh
# library.sh - libwideload-assist as installed: a VMM compiled outside of the sources runs a guest that dies on KVM alone.
. tests/cli/tap

root=$tmp/root
make -s -C "${BUILD:-.}" install DESTDIR="$root" SANITIZE= >"$tmp/out" 2>&1
check "make install DESTDIR=" $?
package() { PKG_CONFIG_PATH=$root/usr/local/lib/pkgconfig pkg-config --define-variable=prefix="$root/usr/local" "$@" wideload-assist; }
mkdir "$tmp/outside" && cp "$root"/usr/local/share/doc/wideload/examples/* "$tmp/outside"
cd "$tmp/outside" || exit 2
# shellcheck disable=SC2046 # options are words
{
    cc -Wall -Wextra -Werror minivmm.c $(package --cflags --libs) -o minivmm >"$tmp/err" 2>&1
    check "minivmm compiles with pkg-config alone" $?
    cc minivmm.c $(package --cflags) "$root/usr/local/lib/libwideload-assist.a" \
        $(package --static --libs | sed 's/-lwideload-assist//') -o minivmm-static >"$tmp/err" 2>&1
    check "... and with the static library" $?
}
for library in "$root"/usr/local/lib/libwideload-assist.*; do
    nm --defined-only -g "$library" 2>/dev/null | awk 'NF == 3 && $2 ~ /[TDBR]/ { print $3 }' | grep -qv '^wideload_assist_'
    [ $? = 1 ]
    check "nothing but wideload_assist_* is visible in ${library##*/}" $?
done
[ "$(wc -l <"$root/usr/local/include/wideload-assist.h")" -lt 150 ] && [ "$(wc -l <minivmm.c)" -lt 300 ]
check "the header has less than 150 lines, the example less than 300" $?
printf '#include <wideload-assist.h>\nint main() { return wideload_assist_error(nullptr) != nullptr; }\n' >plus.cc
if command -v c++ >/dev/null 2>&1; then
    # shellcheck disable=SC2046
    c++ -Wall -Wextra -Werror -c plus.cc $(package --cflags) -o plus.o >"$tmp/err" 2>&1
    check "the header is C++ too" $?
else
    skip "the header is C++ too" "no c++ here"
fi
if ! kvm_usable; then
    skip "minivmm's guest" "$kvm_says"
    finish
    exit 0
fi
as --64 -o guest.o guest.S && ld --oformat binary -Ttext=0x100000 -o guest.bin guest.o
LD_LIBRARY_PATH=$root/usr/local/lib
export LD_LIBRARY_PATH
timeout 20 ./minivmm --plain guest.bin >"$tmp/out" 2>"$tmp/err"
[ $? = 1 ] && grep -q 'KVM cannot emulate an instruction' "$tmp/err" && ! grep -q done "$tmp/out"
check "the guest dies on KVM alone" $?
for vmm in minivmm minivmm-static; do
    timeout 20 ./$vmm guest.bin >"$tmp/out" 2>"$tmp/err" && grep -q '^SSE: ' "$tmp/out" && grep -q '^LOCK XADD: ' "$tmp/out" && grep -q '^done$' "$tmp/out"
    check "$vmm takes it to its end" $?
    grep -q 'the widest of \(16\|32\|64\) bytes, [1-9][0-9]* instructions by wideload' "$tmp/err"
    check "... and its device sees more than 8 bytes at once" $?
done
finish
