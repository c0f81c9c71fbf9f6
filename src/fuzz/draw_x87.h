/* draw_x87.h - x87 registers, control, status and tags for a case. */
#ifndef FUZZ_DRAW_X87_H
#define FUZZ_DRAW_X87_H

#include "cpu.h"
#include "fuzz/random.h"

void draw_x87(struct random *r, struct x87 *x);

#endif
