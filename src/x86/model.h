/*
 * model.h - CPU models by name, and the language of --cpu.
 */
#ifndef X86_MODEL_H
#define X86_MODEL_H

#include "base/err.h"
#include "x86/cpuid.h"

struct model_row {
    const char *name, *title;
    uint32_t signature;    /* CPUID.1:EAX */
    unsigned level;        /* of the psABI; 0: everything that is implemented */
    const char *more;      /* beyond the level, as in --cpu: ",+feature"; or NULL */
    bool host;             /* cut by the host's CPUID */
    enum cpu_vendor vendor;
};

extern const struct model_row model_rows[]; /* the first is the default */
extern const unsigned model_count;

void model_of_row(const struct model_row *row, struct cpu_model *out);

/*
 * model_parse - "NAME[,+feature|,-feature]...".
 *
 * From left to right; + brings along what the feature needs, - takes away what needs it.
 */
bool model_parse(const char *text, struct cpu_model *out, struct err *err);

#endif
