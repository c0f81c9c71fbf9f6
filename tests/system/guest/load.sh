#!/bin/sh
# load.sh - in the guest: compiles, fetches a file and writes to the disk, all at once, until there is a file /run/stop.
#
# usage: load.sh URL MD5   (what the URL has)     /run/count.* are how often each has been done, /run/faults what went wrong.
cd /root || exit
rm -f /run/count.* /run/faults /run/stop
mkdir -p www
head -c 8M /dev/urandom >www/file
md5sum <www/file >www/sum
busybox httpd -h /root/www

compile() { make -s clean && make -s && [ "$(./sum)" = "sum 204" ]; }

fetch() { [ "$(timeout 600 wget -q -O - "$1" | md5sum)" = "$2  -" ]; }

# To the disk, and read from the disk again.
store() {
    head -c 16M /dev/urandom >stored && dd if=stored of=copy bs=64k conv=fsync 2>/dev/null && dd if=copy bs=1M iflag=direct 2>/dev/null | cmp - stored
}

again() { # command...
    times=0
    while [ ! -e /run/stop ]; do
        "$@" || echo "$1" >>/run/faults
        times=$((times + 1))
        echo "$1 $times" >"/run/count.$1"
    done
}

again compile >>compile.log 2>&1 &
again fetch "$1" "$2" &
again store &
wait
