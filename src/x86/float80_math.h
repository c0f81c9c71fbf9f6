/* float80_math.h - the x87's transcendental functions (SDM 2, the page of each instruction). */
#ifndef X86_FLOAT80_MATH_H
#define X86_FLOAT80_MATH_H

#include "x86/float80.h"

/* 2^a - 1, |a| <= 1; beyond that it is undefined. */
struct float80 float80_exp2_less_1(struct float80_env *e, struct float80_parts a);
/* y log2(x), y log2(x + 1) */
struct float80 float80_y_log2(struct float80_env *e, struct float80_parts x, struct float80_parts y);
struct float80 float80_y_log2_above_1(struct float80_env *e, struct float80_parts x, struct float80_parts y);
/* The angle of the direction (x, y). */
struct float80 float80_atan(struct float80_env *e, struct float80_parts x, struct float80_parts y);

/* Is |a| small enough to be reduced?  What follows asks for it. */
bool float80_is_angle(struct float80_parts a);
struct float80 float80_sin(struct float80_env *e, struct float80_parts a);
struct float80 float80_cos(struct float80_env *e, struct float80_parts a);
struct float80 float80_tan(struct float80_env *e, struct float80_parts a);

#endif
