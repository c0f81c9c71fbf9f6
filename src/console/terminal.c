/* terminal.c - raw mode (termios(3)), and back again however the program ends. */
#include "console/terminal.h"

#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

static struct termios before, raw;
static volatile sig_atomic_t is_raw;

bool terminal_is_ours(void) { return isatty(STDIN_FILENO) && tcgetpgrp(STDIN_FILENO) == getpgrp(); }

void terminal_restore(void)
{
    if (!is_raw)
        return;
    is_raw = 0;
    tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
}

/* Those that nobody else here handles: the terminal is put back, and then they do what they do. */
static void on_fatal(int number)
{
    terminal_restore();
    signal(number, SIG_DFL);
    raise(number);
}

static void on_stop(int number)
{
    (void)number;
    if (is_raw)
        tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
    raise(SIGSTOP);
}

static void on_continue(int number)
{
    (void)number;
    if (is_raw && tcgetpgrp(STDIN_FILENO) == getpgrp())
        tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
}

static void handle(int number, void (*handler)(int))
{
    struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART };

    sigaction(number, &action, NULL);
}

static void catch_signals(void)
{
    static const int fatal[] = { SIGHUP, SIGQUIT, SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGPIPE };

    for (unsigned i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
        handle(fatal[i], on_fatal);
    handle(SIGTSTP, on_stop);
    handle(SIGCONT, on_continue);
}

bool terminal_raw(void)
{
    if (tcgetattr(STDIN_FILENO, &before))
        return false;
    raw = before;
    cfmakeraw(&raw);
    raw.c_oflag = before.c_oflag; /* our own lines end as ever */
    catch_signals();
    atexit(terminal_restore);
    is_raw = 1;
    if (!tcsetattr(STDIN_FILENO, TCSADRAIN, &raw))
        return true;
    is_raw = 0;
    return false;
}
