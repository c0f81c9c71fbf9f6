/* reduce.h - a case made smaller, for as long as it shows the same. */
#ifndef FUZZ_REDUCE_H
#define FUZZ_REDUCE_H

#include "fuzz/generate.h"

/* Does the case still show it? */
typedef bool reduce_test(void *opaque, const struct fuzz_case *c);

/* Fewer instructions, then registers and memory that hold nothing. */
void reduce(struct fuzz_case *c, reduce_test *shows, void *opaque);

#endif
