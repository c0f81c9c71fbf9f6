/* packed32.c - loops over vectors of 32 bytes: floats32, ints32, copy32. */
#define WIDTH 32
#include "packed.h"
