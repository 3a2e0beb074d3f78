/* client/cli_commands.h — the functions behind the table of commands. Each returns
 * the exit status (client/cli_exit.h). */
#ifndef GATHER_CLI_COMMANDS_H
#define GATHER_CLI_COMMANDS_H

#include "client/cli.h"

int cmd_run(struct cli *cli);
int cmd_submit(struct cli *cli);
int cmd_wait(struct cli *cli);
int cmd_list(struct cli *cli);
int cmd_show(struct cli *cli);
int cmd_result(struct cli *cli);
int cmd_logs(struct cli *cli);
int cmd_cancel(struct cli *cli);
int cmd_signal(struct cli *cli);
int cmd_fetch(struct cli *cli);
int cmd_sleep(struct cli *cli);
int cmd_version(struct cli *cli);
int cmd_help(struct cli *cli);

/* Appends the help of everything, or of one command. */
void cli_put_help(struct gd_buf *to);
void cli_put_command_help(struct gd_buf *to, const struct cli_command *c);

/* Appends a topic's page. False: there is no such topic. */
bool cli_put_topic(struct gd_buf *to, const char *topic);

#endif
