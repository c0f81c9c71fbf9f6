/* main.c - the command table. */
#include "cmd/cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct command {
    const char *name, *summary;
    int (*run)(int argc, char **argv);
};

static const struct command commands[] = {
    { "run", "run a guest on one engine", cmd_run },
    { "diff", "run a guest on two engines and compare every device access", cmd_diff },
    { "explain", "draw the journey of one instruction's access to a device", cmd_explain },
    { "fuzz", "run random instructions on engines and on the host's processor", cmd_fuzz },
    { "bench", "what an access that KVM cannot carry out costs with assist", cmd_bench },
    { "list", "what there is: devices, engines, policies, unimplemented, cpuid", cmd_list },
};

enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static void usage(FILE *out)
{
    fprintf(out, "Usage: wideload COMMAND [OPTION]...\n\n");
    for (unsigned i = 0; i < COMMANDS; i++)
        fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].summary);
    fprintf(out, "\nwideload COMMAND --help says more.\n");
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "wideload: no command (see wideload --help)\n");
        return 2;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
        usage(stdout);
        return 0;
    }
    for (unsigned i = 0; i < COMMANDS; i++)
        if (!strcmp(commands[i].name, argv[1]))
            exit(commands[i].run(argc - 1, argv + 1));
    fprintf(stderr, "wideload: no such command '%s' (see wideload --help)\n", argv[1]);
    return 2;
}
