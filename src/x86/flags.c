/* flags.c - the arithmetic flags as three words, for each state of them. */
#include "x86/flags.h"

#define WORDS(f)                                                                                                                  \
    {                                                                                                                             \
        ~(f) & FLAG_ZF, (uint64_t)((f) & FLAG_SF) << 56 | (~(f) >> 2 & 1),                                                         \
            (uint64_t)(f) << 63 | (uint64_t)(((f) ^ (f) >> 1) & 1) << 62 | ((f) >> 1 & 8), 0                                       \
    }
#define WORDS_4(f) WORDS(f), WORDS(f + 1), WORDS(f + 2), WORDS(f + 3)
#define WORDS_16(f) WORDS_4(f), WORDS_4(f + 4), WORDS_4(f + 8), WORDS_4(f + 12)
#define WORDS_64(f) WORDS_16(f), WORDS_16(f + 16), WORDS_16(f + 32), WORDS_16(f + 48)

const struct flag_words flag_words[256] = { WORDS_64(0), WORDS_64(64), WORDS_64(128), WORDS_64(192) };
