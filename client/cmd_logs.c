#include "base/limits.h"
#include "client/cli_commands.h"
#include "client/cli_exit.h"
#include "client/cli_task.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

struct reading {
    struct cli *cli;
    struct cli_out err_out;
};

static size_t on_output(void *arg, enum gather_stream which, const char *bytes, size_t n)
{
    struct reading *r = arg;
    return cli_out_write(which == GATHER_STDOUT ? &r->cli->out : &r->err_out, bytes, n);
}

static int stopped(struct reading *r, uint64_t id)
{
    struct cli *cli = r->cli;
    struct cli_interrupt i = {.target = {.id = id}};
    bool by_signal =
        cli->err.code == GATHER_E_INTERRUPTED || cli->out.err == -EINTR || r->err_out.err == -EINTR;
    if (by_signal) {
        cli->out.err = 0;
        int status = cli_interrupted(cli, &i);
        return status ? status : cli_exit_of_signal(SIGINT);
    }
    if (cli->err.code == GATHER_E_STOPPED) /* main tells what is wrong with stdout */
        return r->err_out.err ? CLI_BROKEN : CLI_SUCCESS;
    return cli_fail(cli);
}

int cmd_logs(struct cli *cli)
{
    bool only_out = cli_get(cli, CLI_STDOUT) != NULL;
    bool only_err = cli_get(cli, CLI_STDERR) != NULL;
    int64_t tail = -1;
    uint64_t id = 0;
    int status = cli_integer(cli, CLI_TAIL, 0, GD_MAX_TAIL_LINES, &tail);
    if (status == 0)
        status = cli_connect(cli);
    if (status == 0)
        status = cli_resolve_task(cli, cli->args[0], &id);
    if (status)
        return status;
    struct reading r = {.cli = cli, .err_out = {.fd = STDERR_FILENO, .signal_fd = cli->signal_fd}};
    struct gather_follow f = {
        .want = {only_out || !only_err, only_err || !only_out},
        .until_done = cli_get(cli, CLI_FOLLOW) != NULL,
        .tail = tail,
        .on_output = on_output,
        .arg = &r,
    };
    if (gather_task_follow(cli->client, id, &f, NULL, &cli->err) != GATHER_OK)
        return stopped(&r, id);
    cli_tell_truncated(cli, id, &f);
    return 0;
}
