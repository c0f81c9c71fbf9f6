/*
 * disasm.h - printed disassembly: Capstone, and Zydis's formatter where Capstone 4 does not know the encoding.
 */
#ifndef PRINT_DISASM_H
#define PRINT_DISASM_H

#include <stddef.h>
#include <stdint.h>

/* mode is 16, 32 or 64.  The instruction's length; 0 and "(bad)" for bytes that are none. */
unsigned disasm_one(unsigned mode, const uint8_t *bytes, size_t n, uint64_t rip, char *text, size_t size);

#endif
