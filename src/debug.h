/*
 * debug.h - what a debugger asks of a vCPU: breakpoints, watched data, and a look at memory that the guest does not notice.
 */
#ifndef DEBUG_H
#define DEBUG_H

#include "vcpu.h"

/* v->debug has other breakpoints or watches than before: translations follow.  Between two runs. */
void debug_changed(struct vcpu *v, struct phys *phys);

/*
 * Bytes at a linear address, through the guest's page tables as they are, whatever they allow; from memory only.  Returns how many
 * there are before the first that is not mapped, or is no memory.  Writes drop translated code; ROM is not written.
 */
size_t debug_read(struct vcpu *v, uint64_t gva, void *bytes, size_t n);
size_t debug_write(struct vcpu *v, uint64_t gva, const void *bytes, size_t n);
/* The same at a physical address. */
size_t debug_read_physical(struct vcpu *v, uint64_t gpa, void *bytes, size_t n);

/* The linear address of the next instruction. */
uint64_t debug_pc(const struct vcpu *v);

#endif
