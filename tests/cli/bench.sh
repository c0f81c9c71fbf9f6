#!/bin/sh
# bench.sh - the rows of the benchmark give the same checksums on every engine, and as a native program.
BENCH=$BUILD/$OBJ/bench exec tests/bench/check interp jit native
