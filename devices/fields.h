/*
 * fields.h - what a struct's state is, field by field: a table of it can be saved, loaded and checked for completeness.
 *
 * A table has a row for every field: numbers, deadlines, wiring and scratch.  Wiring is what creation sets up and what stays
 * (pointers to the host's memory, callbacks); scratch follows from the rest, or nothing of the guest is in it between two
 * accesses: these are not saved.  Saved rows are written in
 * the table's order, each with its name, the size of its elements and their count, little endian; loading takes exactly
 * that, so that what another build has written is seen.  Format: docs/snapshot.md.
 */
#ifndef DEVICES_FIELDS_H
#define DEVICES_FIELDS_H

#include "base/bits.h"
#include "base/err.h"
#include "clock.h"

enum field_kind {
    FIELD_NUMBER, /* integers of 1, 2, 4 or 8 bytes, bools, enums */
    FIELD_MOMENT, /* nanoseconds of a clock, which lie in the past */
    FIELD_TIMER,  /* a struct clock_timer: its deadline, if it is armed, and when it was */
    FIELD_WIRING,
    FIELD_SCRATCH,
};

/* `count` elements of `size` bytes, and that `repeat` times, `stride` bytes from one to the next. */
struct field {
    const char *name;
    enum field_kind kind;
    uint32_t size, offset, count, stride, repeat;
    uint64_t max; /* more is refused: an index stays in its array, a bool is 0 or 1 */
};

struct fields {
    const struct field *row;
    size_t rows;
    size_t state_size;
    void (*clear_padding)(void *state); /* for the test that nothing is left out; NULL: this compiler cannot */
};

/*
 * Rows are written for the struct that STATE is defined as.  _ARRAY: all elements of an array of numbers; _EACH: a
 * member of each struct in an array; _GRID: of an array of arrays; _MAX: with the largest value that may be loaded.
 */
#define FIELD_OF(member) (((STATE *)0)->member)
#define FIELD_TOP(member) _Generic(FIELD_OF(member), bool: 1, default: UINT64_MAX)
#define FIELD_ROW(text, kind, member, n, stride, repeat, max)                                                          \
    { text, kind, sizeof(FIELD_OF(member)), offsetof(STATE, member), n, stride, repeat, max }

#define FIELD_MAX(m, max) FIELD_ROW(#m, FIELD_NUMBER, m, 1, 0, 1, max)
#define FIELD(m) FIELD_MAX(m, FIELD_TOP(m))
#define FIELD_FIRST(m, n) FIELD_ROW(#m, FIELD_NUMBER, m[0], n, 0, 1, FIELD_TOP(m[0])) /* n elements; SCRATCH_REST: the others */
#define FIELD_ARRAY_MAX(m, max) FIELD_ROW(#m, FIELD_NUMBER, m[0], ARRAY_LEN(FIELD_OF(m)), 0, 1, max)
#define FIELD_ARRAY(m) FIELD_ARRAY_MAX(m, FIELD_TOP(m[0]))
#define FIELD_EACH_ROW(a, kind, m, n, max) FIELD_ROW(#a "." #m, kind, a[0].m, n, sizeof(FIELD_OF(a[0])), ARRAY_LEN(FIELD_OF(a)), max)
#define FIELD_EACH_MAX(a, m, max) FIELD_EACH_ROW(a, FIELD_NUMBER, m, 1, max)
#define FIELD_EACH(a, m) FIELD_EACH_MAX(a, m, FIELD_TOP(a[0].m))
#define FIELD_EACH_ARRAY(a, m)                                                                                         \
    FIELD_ROW(#a "." #m, FIELD_NUMBER, a[0].m[0], ARRAY_LEN(FIELD_OF(a[0].m)), sizeof(FIELD_OF(a[0])),                 \
              ARRAY_LEN(FIELD_OF(a)), FIELD_TOP(a[0].m[0]))

/* An array of arrays, all of it. */
#define FIELD_CELLS(m) (sizeof(FIELD_OF(m)) / sizeof(FIELD_OF(m[0][0])))
#define FIELD_GRID(m) FIELD_ROW(#m, FIELD_NUMBER, m[0][0], FIELD_CELLS(m), 0, 1, FIELD_TOP(m[0][0]))
#define FIELD_CELL_ROW(a, kind, m, max) FIELD_ROW(#a "." #m, kind, a[0][0].m, 1, sizeof(FIELD_OF(a[0][0])), FIELD_CELLS(a), max)

#define FIELD_PAST(m) FIELD_ROW(#m, FIELD_MOMENT, m, 1, 0, 1, UINT64_MAX)
#define FIELD_EACH_PAST(a, m) FIELD_EACH_ROW(a, FIELD_MOMENT, m, 1, UINT64_MAX)
#define FIELD_DEADLINE(m) FIELD_ROW(#m, FIELD_TIMER, m, 1, 0, 1, 0)
#define FIELD_EACH_DEADLINE(a, m) FIELD_EACH_ROW(a, FIELD_TIMER, m, 1, 0)

#define WIRING(m) FIELD_ROW(#m, FIELD_WIRING, m, 1, 0, 1, 0)
#define WIRING_EACH(a, m) FIELD_EACH_ROW(a, FIELD_WIRING, m, 1, 0)
#define SCRATCH(m) FIELD_ROW(#m, FIELD_SCRATCH, m, 1, 0, 1, 0)
#define SCRATCH_EACH(a, m) FIELD_EACH_ROW(a, FIELD_SCRATCH, m, 1, 0)
#define SCRATCH_REST(m, n) FIELD_ROW(#m, FIELD_SCRATCH, m[n], ARRAY_LEN(FIELD_OF(m)) - (n), 0, 1, 0)

/* A wire: where it leads is wiring, its level is not. */
#define FIELD_IRQ(m) FIELD(m.level), WIRING(m.set), WIRING(m.opaque), WIRING(m.line)
#define FIELD_EACH_IRQ(a) FIELD_EACH(a, level), WIRING_EACH(a, set), WIRING_EACH(a, opaque), WIRING_EACH(a, line)

#define FIELD_GRID_IRQ(a)                                                                                              \
    FIELD_CELL_ROW(a, FIELD_NUMBER, level, 1), FIELD_CELL_ROW(a, FIELD_WIRING, set, 0),                                \
        FIELD_CELL_ROW(a, FIELD_WIRING, opaque, 0), FIELD_CELL_ROW(a, FIELD_WIRING, line, 0)

/* A union, because GCC 12 loses its place after an array of structs, and does not in a union. */
#if __has_builtin(__builtin_clear_padding)
#define FIELDS_PADDING(table)                                                                                          \
    union table##_state {                                                                                              \
        STATE state;                                                                                                   \
    };                                                                                                                 \
    static void table##_clear_padding(void *state) { __builtin_clear_padding((union table##_state *)state); }
#define FIELDS_PADDING_OF(table) table##_clear_padding
#else
#define FIELDS_PADDING(table)
#define FIELDS_PADDING_OF(table) NULL
#endif

/* Defines `const struct fields TABLE`. */
#define FIELDS(table, ...)                                                                                             \
    FIELDS_PADDING(table)                                                                                              \
    static const struct field table##_rows[] = { __VA_ARGS__ };                                                        \
    const struct fields table = { table##_rows, ARRAY_LEN(table##_rows), sizeof(STATE), FIELDS_PADDING_OF(table) };

/* Bytes that a table's state takes when it is saved. */
size_t fields_size(const struct fields *fields);
/* `to` has room for them. */
void fields_save(const struct fields *fields, const void *state, uint8_t *to);

/*
 * fields_load - the other way; armed timers go onto the clock's list.
 *
 * clock    moments are no later than its `ns`; NULL: the table has neither moments nor timers
 * False and err for bytes that are not this table's, or a value out of range; the state is then neither old nor new,
 * but every value in it is in range.
 */
bool fields_load(const struct fields *fields, void *state, struct clock *clock, const uint8_t *from, size_t size, struct err *err);

/* How many elements a row has, and where in the state one is. */
static inline uint32_t fields_elements(const struct field *f) { return f->count * f->repeat; }
static inline size_t fields_place(const struct field *f, uint32_t n)
{
    return f->offset + (size_t)(n / f->count) * f->stride + (size_t)(n % f->count) * f->size;
}

/* The offset of a byte that is neither in a row nor padding, or the state's size: there is none. */
size_t fields_uncovered(const struct fields *fields);

#endif
