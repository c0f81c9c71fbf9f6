/* host.h - which vector instructions the host has. */
#ifndef JIT_HOST_H
#define JIT_HOST_H

#include <stdbool.h>

/* isa: ZydisISASet of an instruction. */
bool host_has(unsigned isa);

#endif
