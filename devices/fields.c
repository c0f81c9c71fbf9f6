/* fields.c - a table's state to bytes and back. */
#include "fields.h"

#include <stdlib.h>
#include <string.h>

enum { TIMER_BYTES = 17 };
#define DEADLINE_MAX (UINT64_C(3) << 62) /* 438 years: what a device may ask for in its first 146 */

static unsigned fields_element_bytes(const struct field *f) { return f->kind == FIELD_TIMER ? TIMER_BYTES : f->size; }
static bool fields_is_saved(const struct field *f) { return f->kind < FIELD_WIRING; }

static size_t fields_row_size(const struct field *f)
{
    if (!fields_is_saved(f))
        return 0;
    return 1 + strlen(f->name) + 1 + 4 + (size_t)fields_elements(f) * fields_element_bytes(f);
}

size_t fields_size(const struct fields *fields)
{
    size_t size = 0;

    for (size_t i = 0; i < fields->rows; i++)
        size += fields_row_size(&fields->row[i]);
    return size;
}

/* -- numbers, little endian ----------------------------------------------------------------------------------------- */

static uint8_t *fields_put(uint8_t *to, unsigned size, uint64_t value)
{
    for (unsigned i = 0; i < size; i++)
        *to++ = (uint8_t)(value >> i * 8);
    return to;
}

static uint64_t fields_get(const uint8_t *from, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)from[i] << i * 8;
    return value;
}

/* The host's own order; a number of the struct. */
static uint64_t fields_number(const void *at, unsigned size)
{
    switch (size) {
    case 1: return *(const uint8_t *)at;
    case 2: return *(const uint16_t *)at;
    case 4: return *(const uint32_t *)at;
    default: return *(const uint64_t *)at;
    }
}

static void fields_set_number(void *at, unsigned size, uint64_t value)
{
    switch (size) {
    case 1: *(uint8_t *)at = (uint8_t)value; break;
    case 2: *(uint16_t *)at = (uint16_t)value; break;
    case 4: *(uint32_t *)at = (uint32_t)value; break;
    default: *(uint64_t *)at = value; break;
    }
}

/* -- to bytes --------------------------------------------------------------------------------------------------------- */

static uint8_t *fields_save_head(const struct field *f, uint8_t *to)
{
    size_t length = strlen(f->name);

    *to++ = (uint8_t)length;
    memcpy(to, f->name, length);
    to = fields_put(to + length, 1, fields_element_bytes(f));
    return fields_put(to, 4, fields_elements(f));
}

static uint8_t *fields_save_timer(const struct clock_timer *timer, uint8_t *to)
{
    to = fields_put(to, 8, timer->armed ? timer->deadline_ns : 0);
    to = fields_put(to, 8, timer->armed ? timer->order : 0);
    return fields_put(to, 1, timer->armed);
}

static uint8_t *fields_save_row(const struct field *f, const uint8_t *state, uint8_t *to)
{
    to = fields_save_head(f, to);
    for (uint32_t n = 0; n < fields_elements(f); n++) {
        const void *at = state + fields_place(f, n);

        to = f->kind == FIELD_TIMER ? fields_save_timer(at, to) : fields_put(to, f->size, fields_number(at, f->size));
    }
    return to;
}

void fields_save(const struct fields *fields, const void *state, uint8_t *to)
{
    for (size_t i = 0; i < fields->rows; i++)
        if (fields_is_saved(&fields->row[i]))
            to = fields_save_row(&fields->row[i], state, to);
}

/* -- and back --------------------------------------------------------------------------------------------------------- */

static bool fields_load_number(const struct field *f, void *at, const struct clock *clock, const uint8_t *from, struct err *err)
{
    uint64_t value = fields_get(from, f->size), max = f->kind == FIELD_MOMENT ? clock->ns : f->max;

    if (value > max)
        return err_set(err, "%s is %#llx, and may be %#llx at most", f->name, (unsigned long long)value, (unsigned long long)max);
    fields_set_number(at, f->size, value);
    return true;
}

static bool fields_load_timer(const struct field *f, struct clock_timer *timer, struct clock *clock, const uint8_t *from, struct err *err)
{
    uint64_t deadline_ns = fields_get(from, 8), order = fields_get(from + 8, 8);
    uint8_t armed = from[16];

    if (armed > 1 || (armed && deadline_ns > DEADLINE_MAX) || (!armed && (deadline_ns || order)))
        return err_set(err, "%s is not a deadline", f->name);
    clock_disarm(clock, timer);
    timer->deadline_ns = deadline_ns;
    timer->order = order;
    if (armed)
        clock_arm_again(clock, timer);
    return true;
}

static bool fields_load_row(const struct field *f, uint8_t *state, struct clock *clock, const uint8_t *from, struct err *err)
{
    for (uint32_t n = 0; n < fields_elements(f); n++) {
        void *at = state + fields_place(f, n);

        if (f->kind == FIELD_TIMER ? !fields_load_timer(f, at, clock, from, err) : !fields_load_number(f, at, clock, from, err))
            return false;
        from += fields_element_bytes(f);
    }
    return true;
}

/* Name, size and count as the table has them. */
static bool fields_same_head(const struct field *f, const uint8_t *from)
{
    size_t length = strlen(f->name);

    return *from == length && !memcmp(from + 1, f->name, length) && from[1 + length] == fields_element_bytes(f) &&
           fields_get(from + 2 + length, 4) == fields_elements(f);
}

bool fields_load(const struct fields *fields, void *state, struct clock *clock, const uint8_t *from, size_t size, struct err *err)
{
    for (size_t i = 0; i < fields->rows; i++) {
        const struct field *f = &fields->row[i];
        size_t n = fields_row_size(f);

        if (!n)
            continue;
        if (n > size || !fields_same_head(f, from))
            return err_set(err, "'%s' is not what this build has there", f->name);
        if (!fields_load_row(f, state, clock, from + strlen(f->name) + 6, err))
            return false;
        from += n;
        size -= n;
    }
    return !size || err_set(err, "there is more than this build has");
}

/* -- completeness ------------------------------------------------------------------------------------------------------ */

static void fields_mark(const struct field *f, uint8_t *byte)
{
    for (uint32_t n = 0; n < fields_elements(f); n++)
        memset(byte + fields_place(f, n), 0, f->size);
}

size_t fields_uncovered(const struct fields *fields)
{
    uint8_t *byte = malloc(fields->state_size);
    size_t at = 0;

    if (!byte)
        abort();
    memset(byte, 0xff, fields->state_size);
    if (fields->clear_padding)
        fields->clear_padding(byte);
    for (size_t i = 0; i < fields->rows; i++)
        fields_mark(&fields->row[i], byte);
    while (at < fields->state_size && !byte[at])
        at++;
    free(byte);
    return at;
}
