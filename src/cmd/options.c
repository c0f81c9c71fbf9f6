/* options.c - see options.h. */
#include "cmd/options.h"

#include <stdio.h>
#include <string.h>

static bool is_named(const GOptionEntry *e, const char *arg)
{
    size_t length = strlen(e->long_name);

    if (arg[0] == '-' && arg[1] && !arg[2])
        return arg[1] == e->short_name;
    return !strncmp(arg, "--", 2) && !strncmp(arg + 2, e->long_name, length) && (!arg[2 + length] || arg[2 + length] == '=');
}

/* The option that an argument names, or NULL. */
static const GOptionEntry *find(const GOptionEntry *const tables[], const char *arg)
{
    for (; *tables; tables++)
        for (const GOptionEntry *e = *tables; e->long_name; e++)
            if (is_named(e, arg))
                return e;
    return NULL;
}

/* The first argument that gives a value to an option without one, which GLib takes for the option alone; or NULL. */
static const char *find_idle_value(const GOptionEntry *const tables[], char **argv)
{
    for (char **arg = argv; *arg && strcmp(*arg, "--") != 0; arg++) {
        const GOptionEntry *e = find(tables, *arg);
        bool equals = strchr(*arg, '=') != NULL;

        if (e && e->arg == G_OPTION_ARG_NONE && equals)
            return *arg;
        if (e && e->arg != G_OPTION_ARG_NONE && !equals && !*++arg) /* its value is no option */
            break;
    }
    return NULL;
}

bool options_parse(const char *command, const char *summary, const GOptionEntry *const tables[], int *argc, char ***argv)
{
    GOptionContext *context = g_option_context_new(summary);
    const char *idle = find_idle_value(tables, *argv + 1);
    GError *error = NULL;

    g_set_prgname(command);
    for (const GOptionEntry *const *t = tables; *t; t++)
        g_option_context_add_main_entries(context, *t, NULL);
    if (idle)
        g_set_error(&error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "%.*s takes no value", (int)strcspn(idle, "="), idle);
    else
        g_option_context_parse(context, argc, argv, &error);
    g_option_context_free(context);
    if (!error)
        return true;
    fprintf(stderr, "%s: %s\n", command, error->message);
    g_error_free(error);
    return false;
}

int options_fail(const struct err *err)
{
    fprintf(stderr, "%s: %s\n", g_get_prgname(), err->text);
    return 2;
}
