/* strings.c - REP MOVSB, MOVSQ, STOSB, STOSQ on 4, 8, 16, 32 and 64 KiB, eight times each. */
#include "guest.h"

#define LEAST 4096u
#define MOST 65536u
#define TIMES 8
#define KIB_A_ROUND (TIMES * (2 * MOST - LEAST) / 1024)
static u8 from[MOST] __attribute__((aligned(64))), to[MOST] __attribute__((aligned(64)));

static int strings_setup(void)
{
    u32 state = 7;

    for (u32 i = 0; i < MOST; i++)
        from[i] = (u8)(random_next(&state) >> 24);
    return 1;
}

static u32 strings_sum(void)
{
    u32 sum = 0;

    for (u32 i = 0; i < MOST; i += 1023)
        sum = sum * 31 + to[i];
    return sum;
}

/* `instruction` on `size` bytes, `width` bytes an iteration; v is what STOS stores. */
#define STRINGS_ROW(id, instruction, width)                                                                            \
    static u32 id##_round(void)                                                                                        \
    {                                                                                                                  \
        unsigned long v = 0;                                                                                           \
                                                                                                                       \
        for (u32 size = LEAST; size <= MOST; size *= 2)                                                                \
            for (u32 times = 0; times < TIMES; times++) {                                                              \
                unsigned long count = size / (width);                                                                  \
                u8 *d = to, *s = from;                                                                                 \
                                                                                                                       \
                v += 0x0123456789abcdef;                                                                               \
                __asm__ volatile("rep " instruction : "+c"(count), "+D"(d), "+S"(s) : "a"(v) : "memory");              \
            }                                                                                                          \
        return strings_sum();                                                                                          \
    }                                                                                                                  \
    ROW(id, .group = "strings", .unit = "KiB", .units = KIB_A_ROUND, .setup = strings_setup, .round = id##_round)

STRINGS_ROW(movsb, "movsb", 1);
STRINGS_ROW(movsq, "movsq", 8);
STRINGS_ROW(stosb, "stosb", 1);
STRINGS_ROW(stosq, "stosq", 8);
