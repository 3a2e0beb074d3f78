#include "base/json_scan.h"
#include "base/limits.h"
#include "base/parse.h"
#include "client/cli_commands.h"
#include "client/cli_exit.h"
#include "client/cli_task.h"

#include <stdlib.h>
#include <string.h>

static int apply_headers(struct cli *cli, struct gather_job *job)
{
    size_t pos = 0;
    for (const char *text = cli_values_next(&cli->values, CLI_HEADER, &pos); text;
         text = cli_values_next(&cli->values, CLI_HEADER, &pos)) {
        char *name = NULL;
        const char *value = NULL;
        if (!cli_split(text, ':', &name, &value))
            return cli_usage(cli, "--header %s is not of the form 'Name: value'", text);
        gather_job_add_header(job, name, value + strspn(value, " \t"));
        free(name);
    }
    return 0;
}

static int apply_fetch(struct cli *cli, struct gather_job *job)
{
    const char *to = cli_get(cli, CLI_TO);
    int64_t bytes = -1;
    int status = cli_size(cli, CLI_MAX_BYTES, GD_MAX_FETCH_BYTES, &bytes);
    if (status)
        return status;
    if (bytes >= 0)
        gather_job_set_max_bytes(job, bytes);
    if (cli_get(cli, CLI_SHA256))
        gather_job_set_sha256(job, cli_get(cli, CLI_SHA256));
    if (cli_get(cli, CLI_RESUME))
        gather_job_set_resume(job);
    if (cli_get(cli, CLI_RESUME) && !to)
        return cli_usage(cli, "--resume needs --to FILE, where a part of it is");
    if (to) {
        char *path = cli_absolute(cli, to);
        if (!path)
            return CLI_BROKEN;
        gather_job_set_to(job, path);
        free(path);
    }
    return apply_headers(cli, job);
}

/* What arrived: to stdout, or where it was saved. */
static void put_fetched(struct cli *cli, const struct gather_task *task)
{
    struct gd_span value;
    struct gd_buf text = {0};
    if (!task->result)
        return;
    if (cli_member(task->result, "body", &value) && value.ptr[0] == '"') {
        gd_json_unquote(value, &cli->out.buf);
    } else if (cli_member(task->result, "path", &value) && value.ptr[0] == '"') {
        gd_json_unquote(value, &text);
        gd_buf_putc(&text, '\0');
        if (!gd_buf_error(&text))
            cli_say(cli, "saved as %s", text.ptr);
    } else {
        gd_buf_printf(&cli->out.buf, "%s\n", task->result);
    }
    gd_buf_free(&text);
}

/* Starts `own_job` and waits for it. */
static int see_it_through(struct cli *cli, struct gather_job *own_job, bool fetched)
{
    struct gather_task task = {0};
    int status = cli_create(cli, own_job, &task);
    if (status == 0 && cli_get(cli, CLI_DETACH)) {
        cli_print_task(cli, &task);
    } else if (status == 0) {
        status = cli_see_through(cli, &task);
        if (task.done && task.state != GATHER_SUCCEEDED)
            cli_say_task_end(cli, &task);
        else if (status == 0 && fetched && !cli_for_programs(cli))
            put_fetched(cli, &task);
    }
    gather_task_clear(&task);
    return status;
}

int cmd_fetch(struct cli *cli)
{
    struct gather_job *job = gather_job_fetch(cli->args[0]);
    if (!job) {
        cli_complain(cli, "out of memory");
        return CLI_BROKEN;
    }
    int status = cli_apply_common(cli, job);
    if (status == 0)
        status = apply_fetch(cli, job);
    if (status) {
        gather_job_free(job);
        return status;
    }
    return see_it_through(cli, job, true);
}

int cmd_sleep(struct cli *cli)
{
    int64_t ms = 0;
    if (gd_parse_duration(cli->args[0], &ms) < 0)
        return cli_usage(cli, "%s is no time; times are 90, 1.5s, 2m or 1h30m", cli->args[0]);
    struct gather_job *job = gather_job_sleep(ms);
    if (!job) {
        cli_complain(cli, "out of memory");
        return CLI_BROKEN;
    }
    int status = cli_apply_common(cli, job);
    if (status) {
        gather_job_free(job);
        return status;
    }
    return see_it_through(cli, job, false);
}
