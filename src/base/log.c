/* log.c - the log categories: names, mask and the one place that prints. */
#include "base/log.h"

#include <stdarg.h>
#include <string.h>

uint32_t log_mask;
static FILE *log_file;

static const char *const log_names[] = {
#define X(id, name, what) name,
    LOG_CATEGORIES(X)
#undef X
};

void log_to(FILE *file) { log_file = file; }

FILE *log_stream(void) { return log_file ? log_file : stderr; }

void log_printf(enum log_category category, const char *format, ...)
{
    FILE *out = log_stream();
    va_list args;

    if (!log_on(category))
        return;
    fprintf(out, "%s: ", log_names[category]);
    va_start(args, format);
    vfprintf(out, format, args);
    va_end(args);
}

static bool log_enable_one(const char *word, size_t length)
{
    for (unsigned i = 0; i < LOG_COUNT; i++)
        if (strlen(log_names[i]) == length && !memcmp(log_names[i], word, length)) {
            log_mask |= 1u << i;
            return true;
        }
    return false;
}

bool log_enable(const char *list, char *bad, size_t size)
{
    while (*list) {
        size_t length = strcspn(list, ",");

        if (!log_enable_one(list, length)) {
            snprintf(bad, size, "%.*s", (int)length, list);
            return false;
        }
        list += length + (list[length] == ',');
    }
    return true;
}
