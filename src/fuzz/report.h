/* report.h - what a database of the fuzzer holds, for people and for programs. */
#ifndef FUZZ_REPORT_H
#define FUZZ_REPORT_H

#include "fuzz/store.h"

enum report_format { REPORT_TEXT, REPORT_JSON, REPORT_JUNIT, REPORT_FORMATS };

extern const char *const report_format_names[REPORT_FORMATS];

/* Returns how many differences there are. */
uint64_t report_print(struct store *s, enum report_format format, FILE *out);

/* Every template, and how often it was executed: text. */
void report_print_coverage(struct store *s, FILE *out);

#endif
