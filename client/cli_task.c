#include "client/cli_task.h"

#include "base/json_scan.h"
#include "base/limits.h"
#include "client/cli_exit.h"
#include "client/cli_format.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

bool cli_split(const char *text, char sep, char **ret_name, const char **ret_value)
{
    const char *at = strchr(text, sep);
    char *name = at && at > text ? strndup(text, (size_t)(at - text)) : NULL;
    if (!name)
        return false;
    *ret_name = name;
    *ret_value = at + 1;
    return true;
}

static int apply_labels(struct cli *cli, struct gather_job *job)
{
    size_t pos = 0;
    for (const char *text = cli_values_next(&cli->values, CLI_LABEL, &pos); text;
         text = cli_values_next(&cli->values, CLI_LABEL, &pos)) {
        char *name = NULL;
        const char *value = NULL;
        if (!cli_split(text, '=', &name, &value))
            return cli_usage(cli, "--label %s is not of the form KEY=VALUE", text);
        gather_job_add_label(job, name, value);
        free(name);
    }
    return 0;
}

int cli_apply_common(struct cli *cli, struct gather_job *job)
{
    int64_t timeout = -1;
    int64_t grace = -1;
    int64_t priority = 0;
    int status = cli_duration(cli, CLI_RUN_TIMEOUT, &timeout);
    if (status == 0) /* a command has one or the other */
        status = cli_duration(cli, CLI_FETCH_TIMEOUT, &timeout);
    if (status == 0)
        status = cli_duration(cli, CLI_RUN_GRACE, &grace);
    if (status == 0)
        status = cli_integer(cli, CLI_PRIORITY, -GD_MAX_PRIORITY, GD_MAX_PRIORITY, &priority);
    if (status)
        return status;
    if (cli_get(cli, CLI_NAME))
        gather_job_set_name(job, cli_get(cli, CLI_NAME));
    if (timeout >= 0)
        gather_job_set_timeout(job, timeout);
    if (grace >= 0)
        gather_job_set_grace(job, grace);
    if (cli_get(cli, CLI_PRIORITY))
        gather_job_set_priority(job, priority);
    return apply_labels(cli, job);
}

int cli_create(struct cli *cli, struct gather_job *own_job, struct gather_task *ret)
{
    int status = cli_connect(cli);
    if (status == 0 && gather_create_task(cli->client, own_job, ret, &cli->err) != GATHER_OK) {
        if (cli->err.code == GATHER_E_INTERRUPTED)
            cli_complain(cli, "interrupted; whether the task was taken in is not known");
        status = cli_fail(cli);
    }
    gather_job_free(own_job);
    if (status == 0)
        cli_last_remember(gather_url(cli->client), false, ret->id);
    return status;
}

void cli_print_task(struct cli *cli, const struct gather_task *task)
{
    if (cli->format == CLI_FORMAT_JSON)
        gd_buf_puts(&cli->out.buf, task->json);
    else
        gd_buf_u64(&cli->out.buf, task->id);
    gd_buf_putc(&cli->out.buf, '\n');
}

bool cli_for_programs(const struct cli *cli)
{
    return cli->format == CLI_FORMAT_JSON || cli->format == CLI_FORMAT_ID;
}

void cli_put_asked(struct cli *cli, const struct cli_target *t, bool requested)
{
    struct gd_buf *out = &cli->out.buf;
    if (cli->format == CLI_FORMAT_JSON)
        gd_buf_printf(out, "{\"%s\":%llu,\"requested\":%s}\n", t->is_batch ? "batch" : "task",
                      (unsigned long long)t->id, requested ? "true" : "false");
    if (cli->format != CLI_FORMAT_ID)
        return;
    cli_ref_put(out, t->is_batch, t->id);
    gd_buf_putc(out, '\n');
}

static int leave(struct cli *cli, const struct cli_interrupt *i, int signo)
{
    struct gd_buf id = {0};
    cli_ref_put(&id, i->target.is_batch, i->target.id);
    gd_buf_putc(&id, '\0');
    if (!gd_buf_error(&id))
        cli_complain(cli, "left; %s goes on. Come back with: gather wait %s%s%s", id.ptr, id.ptr,
                     i->target.is_batch ? "" : ", or: gather logs -f ",
                     i->target.is_batch ? "" : id.ptr);
    gd_buf_free(&id);
    return cli_exit_of_signal(signo);
}

static int cancel(struct cli *cli, const struct cli_target *t)
{
    enum gather_code code =
        t->is_batch ? gather_batch_cancel(cli->client, t->id, "interrupted", -1, NULL, &cli->err)
                    : gather_task_cancel(cli->client, t->id, "interrupted", -1, NULL, &cli->err);
    if (code == GATHER_OK || code == GATHER_E_INTERRUPTED)
        return 0; /* a second Ctrl-C is seen by the next wait */
    return cli_fail(cli);
}

int cli_interrupted(struct cli *cli, struct cli_interrupt *i)
{
    int signo = cli_take_signal(cli);
    if (signo == 0)
        return 0;
    cli_live_clear(&cli->live);
    if (!i->cancels || i->signo)
        return leave(cli, i, signo);
    i->signo = signo;
    cli_complain(cli, "cancelling %s%llu; once more to leave it running",
                 i->target.is_batch ? "b" : "", (unsigned long long)i->target.id);
    return cancel(cli, &i->target);
}

static void on_task(void *arg, const struct gather_task *task)
{
    struct cli *cli = arg;
    cli_live_task(&cli->live, task);
}

static void on_batch(void *arg, const struct gather_batch *batch)
{
    struct cli *cli = arg;
    cli_live_batch(&cli->live, batch);
}

/* What a wait that ended without success means. 0: wait on. */
static int trouble(struct cli *cli, struct cli_interrupt *i)
{
    if (cli->err.code == GATHER_E_INTERRUPTED)
        return cli_interrupted(cli, i);
    int status = cli_fail(cli);
    if (cli->err.code != GATHER_E_LOST && cli->err.code != GATHER_E_PROTOCOL)
        return status;
    const char *prefix = i->target.is_batch ? "b" : "";
    cli_complain(cli, "%s%llu may go on: gather wait %s%llu", prefix,
                 (unsigned long long)i->target.id, prefix, (unsigned long long)i->target.id);
    return i->target.is_batch ? status : CLI_BROKEN;
}

int cli_await_task(struct cli *cli, struct cli_interrupt *i, int64_t timeout_ms,
                   struct gather_task *ret)
{
    struct gather_wait w = {.timeout_ms = timeout_ms,
                            .every_ms = cli_live_every_ms(&cli->live, false),
                            .on_task = on_task,
                            .arg = cli};
    int status = 0;
    while (status == 0) {
        if (gather_task_wait(cli->client, i->target.id, &w, ret, &cli->err) == GATHER_OK)
            break;
        status = trouble(cli, i);
    }
    cli_live_clear(&cli->live);
    return status;
}

int cli_await_batch(struct cli *cli, struct cli_interrupt *i, int64_t timeout_ms,
                    struct gather_batch *ret)
{
    struct gather_wait w = {.timeout_ms = timeout_ms,
                            .every_ms = cli_live_every_ms(&cli->live, true),
                            .settled = true,
                            .on_batch = on_batch,
                            .arg = cli};
    int status = 0;
    while (status == 0) {
        if (gather_batch_wait(cli->client, i->target.id, &w, ret, &cli->err) == GATHER_OK)
            break;
        status = trouble(cli, i);
    }
    cli_live_clear(&cli->live);
    return status;
}

int cli_end_of_task(const struct gather_task *task, const struct cli_interrupt *i)
{
    if (i->signo && task->state == GATHER_CANCELLED)
        return cli_exit_of_signal(i->signo);
    return cli_exit_of_task(task);
}

int cli_see_through(struct cli *cli, struct gather_task *task)
{
    struct cli_interrupt i = {.target = {.id = task->id}, .cancels = true};
    int status = cli_await_task(cli, &i, GATHER_FOREVER, task);
    if (status)
        return status;
    if (cli_for_programs(cli))
        cli_print_task(cli, task);
    return cli_end_of_task(task, &i);
}

void cli_say_task_end(struct cli *cli, const struct gather_task *task)
{
    struct gd_buf text = {0};
    cli_put_task_end(&text, task);
    gd_buf_putc(&text, '\0');
    if (!gd_buf_error(&text))
        cli_say(cli, "%s", text.ptr);
    gd_buf_free(&text);
}

void cli_say_batch_end(struct cli *cli, const struct gather_batch *batch)
{
    struct gd_buf text = {0};
    cli_put_batch_end(&text, batch);
    gd_buf_putc(&text, '\0');
    if (!gd_buf_error(&text))
        cli_say(cli, "%s", text.ptr);
    gd_buf_free(&text);
}

void cli_tell_truncated(struct cli *cli, uint64_t task, const struct gather_follow *f)
{
    static const char *const names[] = {"stdout", "stderr"};
    for (int s = GATHER_STDOUT; s < GATHER_N_STREAMS; s++) {
        struct gather_error err = {0}; /* the output is there; no answer is no failure */
        struct gd_buf kept = {0};
        bool truncated = false;
        if (f->want[s] && gather_task_truncated(cli->client, task, (enum gather_stream)s,
                                                &truncated, &err) == GATHER_OK) {
            if (f->tail < 0)
                cli_put_bytes(&kept, f->delivered[s]);
            else
                gd_buf_puts(&kept, "less");
            gd_buf_putc(&kept, '\0');
        }
        if (truncated)
            cli_complain(cli,
                         "the %s of %llu is not complete: %s was kept, and more came; to keep "
                         "more: gather run --max-output SIZE",
                         names[s], (unsigned long long)task, gd_buf_error(&kept) ? "" : kept.ptr);
        gd_buf_free(&kept);
        gather_error_clear(&err);
    }
}

bool cli_member(const char *json, const char *name, struct gd_span *ret)
{
    struct gd_json_cursor c;
    struct gd_span key;
    struct gd_span value;
    bool first = true;
    bool found = false;
    gd_json_cursor_init(&c, (struct gd_span){json, strlen(json)}, GD_JSON_MAX_DEPTH);
    if (gd_json_peek(&c) == '{') {
        gd_json_open(&c);
        while (!found && gd_json_next_member(&c, &first, &key) && gd_json_value(&c, &value))
            found = gd_json_name_is(key, name);
    }
    gd_json_cursor_done(&c);
    if (found)
        *ret = value;
    return found;
}

void cli_print_json(struct cli *cli, struct gd_span json, bool raw)
{
    if (raw && json.len > 0 && json.ptr[0] == '"')
        gd_json_unquote(json, &cli->out.buf);
    else
        gd_buf_span(&cli->out.buf, json);
    gd_buf_putc(&cli->out.buf, '\n');
}
