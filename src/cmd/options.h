/*
 * options.h - a command's options: GLib's, and a value that an option does not take is an error.
 */
#ifndef CMD_OPTIONS_H
#define CMD_OPTIONS_H

#include "base/err.h"

#include <glib.h>
#include <stdbool.h>

/*
 * argv is left with what no option has taken.  tables ends in NULL; each ends in an entry without a name.  With --help the process
 * ends here.  False: the error has been printed, as "wideload COMMAND: ...".
 */
bool options_parse(const char *command, const char *summary, const GOptionEntry *const tables[], int *argc, char ***argv);

/* An error of the user's after that, printed the same way: 2, the command's status. */
int options_fail(const struct err *err);

#endif
