/* words.h - the words of an option's value, between commas; a comma within one is written twice. */
#ifndef WORDS_H
#define WORDS_H

/* The next one, for g_free(); *text becomes what is behind it, NULL at the end. */
char *words_next(const char **text);

#endif
