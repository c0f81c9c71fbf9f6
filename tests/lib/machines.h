/* machines.h - are two machines in the same state?  Each: false, and in `text` the first difference. */
#ifndef LIB_MACHINES_H
#define LIB_MACHINES_H

#include "machine.h"

/* All registers: also those that cpu_compare() leaves alone, because KVM does not say or host processors disagree. */
bool machines_same_state(struct machine *left, struct machine *right, char *text, size_t size);

/* All of RAM. */
bool machines_same_memory(struct machine *left, struct machine *right, char *text, size_t size);

#endif
