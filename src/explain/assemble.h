/*
 * assemble.h - Intel-syntax text to bytes, through GNU as where it is installed.
 */
#ifndef EXPLAIN_ASSEMBLE_H
#define EXPLAIN_ASSEMBLE_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/* One instruction for 16-, 32- or 64-bit mode; false and err: no `as`, or what it said. */
bool assemble(const char *text, unsigned mode, uint8_t *bytes, size_t size, size_t *n, struct err *err);

#endif
