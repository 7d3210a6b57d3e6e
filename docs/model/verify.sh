#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Verify handover.pml exhaustively with spin (Debian package spin). Prints one line per run; fails
# if an assertion can be violated, or if the model without its guard (NO_COUNT) cannot be broken.
set -eu
model=$(cd "$(dirname "$0")" && pwd)/handover.pml
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

check() { # faults, further definitions
    spin -a -DFAULTS="$1" ${2:-} "$model" >spin.log
    cc -O2 -DSAFETY -DNOREDUCE -DMEMLIM=4096 -o pan pan.c
    ./pan -E -m100000 -n >pan.log
    errors=$(sed -n 's/.*errors: \([0-9]*\).*/\1/p' pan.log)
    states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' pan.log)
    echo "faults $1 ${2:-}: $states states, $errors errors"
}

for faults in 0 1 2 3 4; do
    check "$faults"
    [ "$errors" = 0 ] || { cat pan.log; exit 1; }
done
check 3 -DNO_COUNT
[ "$errors" != 0 ] || { echo "the model misses an old state"; exit 1; }
