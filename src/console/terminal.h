/*
 * terminal.h - the host's terminal, raw while a guest has it, and as it was on every way out.
 */
#ifndef CONSOLE_TERMINAL_H
#define CONSOLE_TERMINAL_H

#include <stdbool.h>

/* Is standard input a terminal that is ours to read?  Not one of which we are in the background. */
bool terminal_is_ours(void);

/*
 * Keys come at once, without an echo, and none of them is a signal; output stays as it is.  From here on exit(), and signals
 * that end the program or stop it, put the terminal back first.  False: this terminal cannot.
 */
bool terminal_raw(void);

/* As it was; does nothing if it is.  Also from a signal handler. */
void terminal_restore(void);

#endif
