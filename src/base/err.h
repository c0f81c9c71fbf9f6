/*
 * err.h - what went wrong on the host's or the user's side, in one line.
 *
 * A function that can fail for such a reason takes a `struct err *` last and returns false, NULL or a
 * negative errno; it has undone what it did.  main() prints the line and exits with status 2.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>

struct err {
    char text[512];
};

/* Stores the formatted line and returns false, so that a caller can `return err_set(...)`. */
bool err_set(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
