/* compare.h - do two engines agree? */
#ifndef FUZZ_COMPARE_H
#define FUZZ_COMPARE_H

#include "fuzz/side.h"

/* Nothing of what it does is defined. */
bool compare_is_undefined(const struct fuzz_case *c);

enum difference { DIFFERENCE_NONE, DIFFERENCE_END, DIFFERENCE_GENERAL, DIFFERENCE_VECTOR, DIFFERENCE_X87, DIFFERENCE_MEMORY, DIFFERENCE_DEVICE, DIFFERENCE_SYSTEM,
                  DIFFERENCE_FLAGS, DIFFERENCES };

extern const char *const difference_names[DIFFERENCES];

/* The first difference of `b` from `a`, and in words.  `device`: both have one. */
enum difference compare_outcomes(const struct fuzz_case *c, const uint8_t *image, const struct fuzz_outcome *a, const struct fuzz_outcome *b,
                                 bool device, char *what, size_t size);

#endif
