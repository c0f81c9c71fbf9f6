/*
 * explain.h - the journey of one instruction's accesses, run on the interpreter in a world of one page of code, RAM
 * and one region, and drawn.
 */
#ifndef EXPLAIN_EXPLAIN_H
#define EXPLAIN_EXPLAIN_H

#include "base/err.h"
#include "cpu.h"
#include "region.h"
#include "split.h"

#include <stdio.h>

struct explain_request {
    uint8_t bytes[15];
    size_t n;
    unsigned mode;                 /* 64 (32 and 16 are for later) */
    uint64_t registers[GPRS];
    uint64_t region_base, region_bytes;
    struct region_limits limits;
    const struct split_policy *policy;
    unsigned policy_arg;
    const char *vectors;           /* the recorded KVM table; NULL: none found */
};

/* False and err: bytes that are no instruction.  A fault of the instruction is an answer, not an error. */
bool explain(const struct explain_request *request, FILE *out, struct err *err);

/* "widths=1-64,unaligned,enables,atomics=4-16,direct" after the '+SIZE' of --region. */
bool explain_parse_limits(const char *text, struct region_limits *limits, struct err *err);

#endif
