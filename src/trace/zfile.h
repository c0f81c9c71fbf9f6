/*
 * zfile.h - a stdio stream whose name ends in ".zst" and whose bytes are compressed on the way (zstd); any other name
 * is opened as it is.
 */
#ifndef TRACE_ZFILE_H
#define TRACE_ZFILE_H

#include <stdio.h>

/* mode "r" or "w".  NULL and errno.  A corrupt or cut stream reads as an error (EIO), not as an end. */
FILE *zfile_open(const char *path, const char *mode);

#endif
