/*
 * float80.h - the x87's arithmetic: 80-bit extended precision, and what it converts from and to.
 *
 * Pure functions on numbers taken apart.  What an operation raises is collected in struct float80_env, whether masked or
 * not; a result is what the masked response gives (SDM 1 8.5), except that unmasked overflow and underflow of a register
 * result leave it with its exponent wrapped.
 */
#ifndef X86_FLOAT80_H
#define X86_FLOAT80_H

#include "base/bits.h"

typedef unsigned __int128 float80_wide;

/* As in a register: bit 15 of the exponent is the sign. */
struct float80 {
    uint64_t significand;
    uint16_t exponent;
};

/* As in the status and control words. */
enum float80_flag { FLOAT80_INVALID = 1, FLOAT80_DENORMAL = 2, FLOAT80_DIVIDE = 4, FLOAT80_OVERFLOW = 8, FLOAT80_UNDERFLOW = 16,
                    FLOAT80_INEXACT = 32,
                    FLOAT80_BEFORE = FLOAT80_INVALID | FLOAT80_DENORMAL | FLOAT80_DIVIDE /* of operands: unmasked, there is no result */ };

enum float80_rounding { ROUND_NEAREST, ROUND_DOWN, ROUND_UP, ROUND_ZERO };

struct float80_env {
    uint8_t rounding;  /* enum float80_rounding */
    uint8_t bits;      /* of the significand: 24, 53, 64 */
    uint8_t masked, flags;
    bool up;           /* the last rounding went away from zero */
};

enum float80_kind { FLOAT80_ZERO, FLOAT80_FINITE, FLOAT80_INFINITE, FLOAT80_QUIET, FLOAT80_SIGNALLING,
                    FLOAT80_UNSUPPORTED /* SDM 1 table 8-3 */ };

/* A number taken apart.  Finite: significand * 2^(exponent - 63), bit 63 set; a NaN has its payload. */
struct float80_parts {
    enum float80_kind kind;
    bool sign, denormal;
    int32_t exponent;
    uint64_t significand;
};

enum float80_order { ORDER_LESS, ORDER_EQUAL, ORDER_GREATER, ORDER_UNORDERED };

enum { FLOAT80_BIAS = 16383, FLOAT80_MIN = -16382, FLOAT80_MAX = 16383 };

#define FLOAT80_INTEGER_BIT BIT(63)
#define FLOAT80_QUIET_BIT BIT(62)
#define FLOAT80_INDEFINITE ((struct float80){ FLOAT80_INTEGER_BIT | FLOAT80_QUIET_BIT, 0xffff })

static inline bool float80_is_nan(struct float80_parts a) { return a.kind == FLOAT80_QUIET || a.kind == FLOAT80_SIGNALLING; }

/* -- taking apart, putting together -- */

struct float80_parts float80_unpack(struct float80 f);
struct float80_parts float80_from_single(uint32_t f);
struct float80_parts float80_from_double(uint64_t f);
struct float80_parts float80_from_int(int64_t i);
/* What needs no rounding: NaNs as they are. */
struct float80 float80_pack(struct float80_parts p);
struct float80 float80_zero(bool sign);
struct float80 float80_infinity(bool sign);

/* sign, m * 2^(exponent - 127), bit 127 of m set, its bit 0 also for all that is below. */
struct float80 float80_round(struct float80_env *e, bool sign, int32_t exponent, float80_wide m);
/* The same to all 64 bits, whatever the precision control says (SDM 1 8.1.5.2). */
struct float80 float80_round_whole(struct float80_env *e, bool sign, int32_t exponent, float80_wide m);
/* float80_round() for a value that may have leading zeros; zero becomes `zero`. */
struct float80 float80_normalise(struct float80_env *e, bool sign, int32_t exponent, float80_wide m, struct float80 zero);
float80_wide float80_shift_right(float80_wide m, unsigned n); /* bits that fall out stay in bit 0 */
unsigned float80_clz(float80_wide m);

uint32_t float80_to_single(struct float80_env *e, struct float80_parts a);
uint64_t float80_to_double(struct float80_env *e, struct float80_parts a);
/* To a signed integer of `bits`; too large or no number: invalid, and the integer indefinite. */
int64_t float80_to_int(struct float80_env *e, struct float80_parts a, unsigned bits);
/* The integer nearest by e->rounding as sign and magnitude; false: 2^64 or more.  Raises inexact. */
bool float80_to_magnitude(struct float80_env *e, struct float80_parts a, uint64_t *magnitude);

/* -- arithmetic (SDM 2, the page of each instruction) -- */

struct float80 float80_add(struct float80_env *e, struct float80_parts a, struct float80_parts b, bool subtract);
struct float80 float80_mul(struct float80_env *e, struct float80_parts a, struct float80_parts b);
struct float80 float80_div(struct float80_env *e, struct float80_parts a, struct float80_parts b);
struct float80 float80_sqrt(struct float80_env *e, struct float80_parts a);
struct float80 float80_rint(struct float80_env *e, struct float80_parts a);
struct float80 float80_scale(struct float80_env *e, struct float80_parts a, struct float80_parts b);
/* The exponent; *significand is the rest. */
struct float80 float80_extract(struct float80_env *e, struct float80_parts a, struct float80 *significand);

/* FPREM, and FPREM1 if `nearest`.  `quotient`: its low bits; `partial`: not done yet; `none`: NaN or invalid. */
struct float80_division { uint64_t quotient; bool partial, none; };
struct float80 float80_rem(struct float80_env *e, struct float80_parts a, struct float80_parts b, bool nearest, struct float80_division *d);

/* quiet: a QNaN is not invalid */
enum float80_order float80_compare(struct float80_env *e, struct float80_parts a, struct float80_parts b, bool quiet);

/* NaN or unsupported among the operands of an operation: *r is the result.  One operand: the same twice. */
bool float80_take_nan(struct float80_env *e, struct float80_parts a, struct float80_parts b, struct float80 *r);
void float80_note_denormals(struct float80_env *e, struct float80_parts a, struct float80_parts b);
struct float80 float80_invalid(struct float80_env *e);

#endif
