/* string.c - loops over bytes as a C library in plain C has them: length, copy, comparison, search, case. */
#include "guest.h"

#define STRINGS 1024
#define LONGEST 64
static char from[STRINGS][LONGEST + 1], to[STRINGS][LONGEST + 1];

static u32 length(const char *s)
{
    const char *p = s;

    while (*p)
        p++;
    return (u32)(p - s);
}

static void copy(char *d, const char *s)
{
    while ((*d++ = *s++))
        continue;
}

static int compare(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a - *b;
}

static u32 find(const char *s, char c)
{
    u32 n = 0;

    while (s[n] && s[n] != c)
        n++;
    return n;
}

static void raise_case(char *s)
{
    for (; *s; s++)
        if (*s >= 'a' && *s <= 'z')
            *s = (char)(*s - 32);
}

static int string_setup(void)
{
    u32 state = 5;

    for (u32 i = 0; i < STRINGS; i++) {
        u32 n = random_next(&state) >> 24 & (LONGEST - 1);

        for (u32 k = 0; k < n; k++)
            from[i][k] = (char)('a' + (random_next(&state) >> 20) % 26);
        from[i][n] = 0;
    }
    return 1;
}

static u32 string_round(void)
{
    u32 sum = 0;

    for (u32 i = 0; i < STRINGS; i++) {
        sum += length(from[i]);
        copy(to[i], from[i]);
        sum = mix(sum, (u32)compare(to[i], from[i]) + find(from[i], 'q'));
        raise_case(to[i]);
        sum = mix(sum, (u32)compare(to[i], from[(i + 1) % STRINGS]) + (u32)to[i][0]);
    }
    return sum;
}

ROW(string, .group = "integer", .unit = "string", .units = STRINGS, .setup = string_setup, .round = string_round);
