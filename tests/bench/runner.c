/* runner.c - finds a row, runs it, prints one line: name, group, units of work in a round, unit, checksum. */
#include "guest.h"

extern const struct row *const __start_rows[], *const __stop_rows[];

static int same(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

const struct row *row_find(const char *name)
{
    for (const struct row *const *r = __start_rows; r < __stop_rows; r++)
        if (same((*r)->name, name))
            return *r;
    return 0;
}

u32 parse_number(const char *text)
{
    u32 v = 0;

    for (; *text >= '0' && *text <= '9'; text++)
        v = v * 10 + (u32)(*text - '0');
    return v;
}

void print(const char *text)
{
    u32 n = 0;

    while (text[n])
        n++;
    put(text, n);
}

void print_hex(u64 v, unsigned digits)
{
    while (digits--)
        put("0123456789abcdef" + (v >> digits * 4 & 15), 1);
}

static void print_decimal(u32 v)
{
    if (v > 9)
        print_decimal(v / 10);
    put("0123456789" + v % 10, 1);
}

static int report(const struct row *row, u32 sum, int steady)
{
    print(row->name);
    print(" ");
    print(row->group);
    print(" ");
    print_decimal(row->units);
    print(" ");
    print(row->unit);
    print(" ");
    print_hex(sum, 8);
    print(steady ? "\n" : " in the first round, another later\n");
    return steady;
}

int run_row(const char *name, u32 rounds)
{
    const struct row *row = row_find(name);
    int steady = 1;
    u32 sum;

    if (!row || (row->setup && !row->setup())) {
        print(name);
        print(row ? " n/a\n" : " unknown\n");
        return row != 0;
    }
    sum = row->round();
    while (steady && rounds-- > 1)
        steady = row->round() == sum;
    return report(row, sum, steady);
}
