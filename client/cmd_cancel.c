#include "client/cli_commands.h"
#include "client/cli_task.h"

static int cancel(struct cli *cli, const struct cli_target *t, int64_t grace_ms)
{
    const char *msg = cli_get(cli, CLI_MSG);
    bool requested = false;
    enum gather_code code =
        t->is_batch ? gather_batch_cancel(cli->client, t->id, msg, grace_ms, &requested, &cli->err)
                    : gather_task_cancel(cli->client, t->id, msg, grace_ms, &requested, &cli->err);
    if (code != GATHER_OK)
        return cli_fail(cli);
    cli_put_asked(cli, t, requested);
    cli_say(cli, "%s%llu %s", t->is_batch ? "b" : "", (unsigned long long)t->id,
            requested ? "is being cancelled" : "was done already");
    return 0;
}

int cmd_cancel(struct cli *cli)
{
    int64_t grace = -1;
    int status = cli_duration(cli, CLI_CANCEL_GRACE, &grace);
    if (status == 0)
        status = cli_check_ids(cli, 0, false);
    if (status == 0)
        status = cli_connect(cli);
    /* One that cannot be cancelled is no reason to let the others run. */
    int first = status;
    for (int i = 0; status == 0 && i < cli->n_args; i++) {
        struct cli_target target = {0};
        int one = cli_resolve(cli, cli->args[i], &target);
        if (one == 0)
            one = cancel(cli, &target, grace);
        first = first ? first : one;
        if (cli->err.code == GATHER_E_INTERRUPTED || cli->err.code == GATHER_E_UNREACHABLE)
            break;
    }
    return first;
}
