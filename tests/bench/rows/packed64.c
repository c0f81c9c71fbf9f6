/* packed64.c - loops over vectors of 64 bytes: floats64, ints64, copy64. */
#define WIDTH 64
#include "packed.h"
