/* unimp.h - everything known missing, with what the guest sees instead: unimp.def as a table. */
#ifndef UNIMP_H
#define UNIMP_H

struct unimp_row {
    const char *area, *name, *instead;
};

extern const struct unimp_row unimp_rows[];
extern const unsigned unimp_count;

#endif
