/* unimp.c - unimp.def as a table. */
#include "unimp.h"

#include "base/bits.h"

const struct unimp_row unimp_rows[] = {
#define UNIMP(area, name, instead) { area, name, instead },
#include "unimp.def"
#undef UNIMP
};

const unsigned unimp_count = ARRAY_LEN(unimp_rows);
