/* msr.h - model-specific registers (SDM 4). */
#ifndef X86_MSR_H
#define X86_MSR_H

#include "vcpu.h"

/* False: #GP(0). */
bool msr_read(struct vcpu *v, uint32_t index, uint64_t *value);
bool msr_write(struct vcpu *v, uint32_t index, uint64_t value);

#endif
