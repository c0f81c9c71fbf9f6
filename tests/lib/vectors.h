/*
 * vectors.h - the measured tables of tests/vectors: rows, and the notation of accesses (tests/vectors/README).
 */
#ifndef TESTS_VECTORS_H
#define TESTS_VECTORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { VECTOR_COLUMNS = 12, VECTOR_FORMS = 512, VECTOR_TEXT = 16384 };

/* One row of any of the tables; columns a table has not are "-". */
struct vector_row {
    unsigned id, width;
    const char *category, *insn, *setup, *placement;
    const char *kind, *device;        /* accelerator and device, or emulator */
    const char *outcome[2], *exits[2]; /* KVM: CPL 0 and 3; elsewhere the first */
    const char *write_data, *ram_changed;
};

enum vector_table { VECTORS_KVM, VECTORS_QEMU, VECTORS_BOCHS };

struct vectors {
    char *text;
    struct vector_row *row;
    size_t n;
};

/* One file, from $SRCDIR/tests/vectors; scenarios are left out. */
bool vectors_load(struct vectors *v, enum vector_table table);
void vectors_free(struct vectors *v);

/* NULL if there is none such; `kind` NULL: any. */
const struct vector_row *vectors_find(const struct vectors *v, unsigned id, const char *placement, const char *kind);

/* One access, or a run of them. */
struct vector_token {
    bool port;
    char direction;      /* 'R', 'W' */
    int at;              /* from the operand's start; the port */
    unsigned width, count;
};

/* The next token of a list, and the text behind it; NULL at the end. */
const char *vectors_next(const char *text, struct vector_token *token);

/* Every run written out, tokens the notation does not know left out: what two lists are compared by. */
void vectors_expand(const char *text, char *out, size_t size);

/* Text appended to a string in a buffer, a space between. */
void vectors_append(char *text, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Is `word` one of the words of `text`? */
bool vectors_has_word(const char *text, const char *word);

/* The path of a file of the source tree. */
void vectors_path(char *path, size_t size, const char *name);

#endif
