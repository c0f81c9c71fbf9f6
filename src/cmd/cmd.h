/* cmd.h - the commands.  Each gets its own argv, and returns the exit status: 0, 1 (a verdict), 2 (bad input). */
#ifndef CMD_CMD_H
#define CMD_CMD_H

int cmd_run(int argc, char **argv);
int cmd_diff(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_explain(int argc, char **argv);
int cmd_fuzz(int argc, char **argv);
int cmd_bench(int argc, char **argv);

#endif
