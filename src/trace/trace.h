/*
 * trace.h - journeys to and from a file: JSON, one line each (docs/trace.md).
 *
 * The reader forgives nothing.  A line that is cut, has another key order or a value out of range is an error that
 * names file and line; so is a file without its last line.
 */
#ifndef TRACE_TRACE_H
#define TRACE_TRACE_H

#include "journey.h"

enum { TRACE_VERSION = 1 };

/* Where a trace comes from.  Texts are never NULL after a read; the writer takes NULL for "". */
struct trace_header {
    char *engine; /* that recorded it */
    char *kernel; /* host kernel release */
    char *cpu;    /* host CPU model */
    char *kvm;    /* "vmx", "svm", "pvm"; "" where KVM had no part */
    char *cpuid;  /* the CPU the guest saw (cpuid_print) */
    char *guest;  /* command line of the guest */
};

void trace_header_free(struct trace_header *header);

struct trace_writer;
struct trace_reader;

/* NULL and err if the file cannot be created. */
struct trace_writer *trace_writer_open(const char *path, const struct trace_header *header, struct err *err);
void trace_write(struct trace_writer *writer, const struct journey *journey);
/* Writes the last line; false and err if anything since the open could not be written.  Frees the writer. */
bool trace_writer_close(struct trace_writer *writer, struct err *err);

/* NULL and err if the file cannot be read or its first line is no header of this version. */
struct trace_reader *trace_reader_open(const char *path, struct trace_header *header, struct err *err);
/* Fills in the next journey: 1; the end: 0; -1 and err ("file:line: what"). */
int trace_read(struct trace_reader *reader, struct journey *journey, struct err *err);
void trace_reader_close(struct trace_reader *reader);

#endif
