#include "base/clock.h"
#include "client/cli_commands.h"
#include "client/cli_exit.h"
#include "client/cli_task.h"

#include <stdlib.h>

/* What programs want to know of what has ended. */
static void put_end(struct cli *cli, bool is_batch, uint64_t id, const char *json)
{
    if (!cli_for_programs(cli))
        return;
    if (cli->format == CLI_FORMAT_JSON)
        gd_buf_puts(&cli->out.buf, json);
    else
        cli_ref_put(&cli->out.buf, is_batch, id);
    gd_buf_putc(&cli->out.buf, '\n');
}

static int wait_for_task(struct cli *cli, uint64_t id, int64_t timeout_ms)
{
    struct gather_task task = {0};
    struct cli_interrupt i = {.target = {.id = id}};
    int status = cli_await_task(cli, &i, timeout_ms, &task);
    if (status == 0) {
        cli_say_task_end(cli, &task);
        status = cli_exit_of_task(&task);
        put_end(cli, false, id, task.json);
    }
    gather_task_clear(&task);
    return status;
}

static int wait_for_batch(struct cli *cli, uint64_t id, int64_t timeout_ms)
{
    struct gather_batch batch = {0};
    struct cli_interrupt i = {.target = {.is_batch = true, .id = id}};
    int status = cli_await_batch(cli, &i, timeout_ms, &batch);
    if (status == 0) {
        cli_say_batch_end(cli, &batch);
        status = cli_exit_of_batch(&batch);
        put_end(cli, true, id, batch.json);
    }
    gather_batch_clear(&batch);
    return status;
}

static int wait_for_all(struct cli *cli, const struct cli_target *targets, int64_t timeout_ms)
{
    int64_t end = timeout_ms >= 0 ? gd_mono_ms() + timeout_ms : 0;
    int worst = 0;
    for (int i = 0; i < cli->n_args; i++) {
        int64_t rest = end ? end - gd_mono_ms() : GATHER_FOREVER;
        if (end && rest < 0)
            rest = 0;
        int status = targets[i].is_batch ? wait_for_batch(cli, targets[i].id, rest)
                                         : wait_for_task(cli, targets[i].id, rest);
        if (cli->err.code != GATHER_OK || cli->n_args == 1)
            return status; /* the wait itself ended early, or there is one status to tell */
        worst = status ? CLI_SOME_FAILED : worst;
    }
    return worst;
}

int cmd_wait(struct cli *cli)
{
    int64_t timeout = GATHER_FOREVER;
    int status = cli_duration(cli, CLI_WAIT_TIMEOUT, &timeout);
    if (status == 0)
        status = cli_check_ids(cli, 0, false);
    if (status == 0)
        status = cli_connect(cli);
    if (status)
        return status;
    struct cli_target *targets = calloc((size_t)cli->n_args, sizeof(*targets));
    if (!targets) {
        cli_complain(cli, "out of memory");
        return CLI_BROKEN;
    }
    for (int i = 0; status == 0 && i < cli->n_args; i++)
        status = cli_resolve(cli, cli->args[i], &targets[i]);
    if (status == 0)
        status = wait_for_all(cli, targets, timeout);
    free(targets);
    return status;
}
