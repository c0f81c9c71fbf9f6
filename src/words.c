/* words.c - see words.h. */
#include "words.h"

#include <glib.h>

char *words_next(const char **text)
{
    GString *word = g_string_new(NULL);
    const char *p = *text;

    for (; *p && (*p != ',' || p[1] == ','); p++) {
        g_string_append_c(word, *p);
        p += *p == ',';
    }
    *text = *p ? p + 1 : NULL;
    return g_string_free(word, FALSE);
}
