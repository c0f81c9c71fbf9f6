/* packed16.c - loops over vectors of 16 bytes: floats16, ints16, copy16. */
#define WIDTH 16
#include "packed.h"
