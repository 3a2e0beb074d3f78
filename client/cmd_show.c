#include "base/clock.h"
#include "client/cli_commands.h"
#include "client/cli_exit.h"
#include "client/cli_format.h"
#include "client/cli_task.h"

#include <string.h>

#define RESULT_COLUMNS 200U
/* Failed tasks that are shown of a batch. */
#define FAILED_SHOWN 5U

static struct gd_buf *key(struct cli *cli, const char *name)
{
    gd_buf_printf(&cli->out.buf, "%-10s ", name);
    return &cli->out.buf;
}

static void put_line(struct cli *cli, const char *name, const char *text)
{
    struct gd_buf *out = key(cli, name);
    cli_put_clean(out, text, strlen(text), false);
    gd_buf_putc(out, '\n');
}

static void put_state(struct cli *cli, enum gather_state state, const char *more)
{
    struct gd_buf *out = key(cli, "state");
    if (cli->color_out)
        gd_buf_puts(out, cli_state_color(state));
    gd_buf_puts(out, gather_state_name(state));
    if (cli->color_out)
        gd_buf_puts(out, CLI_COLOR_END);
    if (more) {
        gd_buf_puts(out, ": ");
        cli_put_clean(out, more, strlen(more), false);
    }
    gd_buf_putc(out, '\n');
}

static void put_times(struct cli *cli, int64_t created, int64_t started, int64_t finished)
{
    const struct {
        const char *name;
        int64_t at;
    } times[] = {{"created", created}, {"started", started}, {"finished", finished}};
    for (size_t i = 0; i < 3; i++) {
        if (times[i].at == 0)
            continue;
        cli_put_time(key(cli, times[i].name), times[i].at);
        gd_buf_putc(&cli->out.buf, '\n');
    }
    int64_t ms = cli_run_ms(started, finished, gd_wall_ms());
    if (ms < 0)
        return;
    cli_put_duration(key(cli, "time"), ms);
    gd_buf_putc(&cli->out.buf, '\n');
}

/* Several lines, each set in. */
static void put_block(struct cli *cli, const char *name, const char *text)
{
    struct gd_buf *out = &cli->out.buf;
    for (const char *p = text; *p;) {
        size_t n = strcspn(p, "\n");
        gd_buf_printf(out, "%-10s ", p == text ? name : "");
        cli_put_clean(out, p, n, false);
        gd_buf_putc(out, '\n');
        p += n + (p[n] == '\n');
    }
}

static void put_exception(struct cli *cli, const struct gather_exception *x)
{
    if (!x->type)
        return;
    cli_put_outcome(key(cli, "exception"), x);
    gd_buf_putc(&cli->out.buf, '\n');
    if (x->stderr_tail)
        put_block(cli, "stderr", x->stderr_tail);
}

static void put_result(struct cli *cli, const char *json)
{
    struct gd_buf clean = {0};
    cli_put_clean(&clean, json, strlen(json), false);
    cli_put_clipped(key(cli, "result"), gd_buf_view(&clean), RESULT_COLUMNS);
    gd_buf_putc(&cli->out.buf, '\n');
    gd_buf_free(&clean);
}

static void put_task(struct cli *cli, const struct gather_task *t)
{
    struct gd_buf *out = &cli->out.buf;
    gd_buf_u64(key(cli, "task"), t->id);
    gd_buf_putc(out, '\n');
    if (t->name)
        put_line(cli, "name", t->name);
    put_state(cli, t->state, t->detail ? t->detail : t->reason);
    if (t->kind)
        put_line(cli, "kind", t->kind);
    if (t->batch)
        gd_buf_printf(key(cli, "batch"), "b%llu/%lld\n", (unsigned long long)t->batch,
                      (long long)t->index);
    if (t->attempt > 1)
        gd_buf_printf(key(cli, "attempt"), "%lld\n", (long long)t->attempt);
    if (t->cancelling > 0)
        gd_buf_printf(key(cli, "cancelling"), "%lld\n", (long long)t->cancelling);
    put_times(cli, t->created_at, t->started_at, t->finished_at);
    if (t->labels && strcmp(t->labels, "{}") != 0)
        put_line(cli, "labels", t->labels);
    if (t->progress_bytes >= 0) {
        cli_put_bytes(key(cli, "progress"), t->progress_bytes);
        gd_buf_putc(out, '\n');
    }
    put_exception(cli, &t->exception);
    if (t->result)
        put_result(cli, t->result);
}

static bool on_failed(void *arg, const struct gather_task *t)
{
    struct cli *cli = arg;
    struct gd_buf *out = &cli->out.buf;
    gd_buf_u64(key(cli, "failed"), t->id);
    gd_buf_puts(out, "  ");
    if (t->name)
        cli_put_clean(out, t->name, strlen(t->name), false);
    gd_buf_puts(out, "  ");
    cli_put_outcome(out, &t->exception);
    gd_buf_putc(out, '\n');
    if (t->exception.stderr_tail)
        put_block(cli, "", t->exception.stderr_tail);
    return true;
}

static int put_batch(struct cli *cli, const struct gather_batch *b)
{
    struct gd_buf *out = &cli->out.buf;
    cli_ref_put(key(cli, "batch"), true, b->id);
    gd_buf_putc(out, '\n');
    if (b->name)
        put_line(cli, "name", b->name);
    put_state(cli, b->state, b->done && !b->settled ? "some tasks still run" : NULL);
    gd_buf_printf(key(cli, "tasks"), "%lld", (long long)b->total);
    const char *sep = ": ";
    for (int s = GATHER_PENDING; s <= GATHER_CANCELLED; s++) {
        if (b->counts[s] == 0)
            continue;
        gd_buf_printf(out, "%s%lld %s", sep, (long long)b->counts[s],
                      gather_state_name((enum gather_state)s));
        sep = ", ";
    }
    gd_buf_putc(out, '\n');
    put_times(cli, b->created_at, b->started_at, b->finished_at);
    if (b->labels && strcmp(b->labels, "{}") != 0)
        put_line(cli, "labels", b->labels);
    put_exception(cli, &b->exception);
    if (b->counts[GATHER_FAILED] == 0)
        return 0;
    struct gather_filter filter = {
        .states = "failed", .batch = b->id, .limit = FAILED_SHOWN, .oldest_first = true};
    if (gather_list_tasks(cli->client, &filter, on_failed, cli, &cli->err) != GATHER_OK)
        return cli_fail(cli);
    return 0;
}

/* What needs no layout. True: that was it. */
static bool show_plain(struct cli *cli, const struct cli_target *target, const char *json)
{
    if (cli->format == CLI_FORMAT_JSON)
        gd_buf_puts(&cli->out.buf, json);
    else if (cli->format == CLI_FORMAT_ID)
        cli_ref_put(&cli->out.buf, target->is_batch, target->id);
    else
        return false;
    gd_buf_putc(&cli->out.buf, '\n');
    return true;
}

static int show_task(struct cli *cli, const struct cli_target *target)
{
    struct gather_task task = {0};
    int status = 0;
    if (gather_task_get(cli->client, target->id, &task, &cli->err) != GATHER_OK)
        status = cli_fail(cli);
    else if (!show_plain(cli, target, task.json))
        put_task(cli, &task);
    gather_task_clear(&task);
    return status;
}

static int show_batch(struct cli *cli, const struct cli_target *target)
{
    struct gather_batch batch = {0};
    int status = 0;
    if (gather_batch_get(cli->client, target->id, &batch, &cli->err) != GATHER_OK)
        status = cli_fail(cli);
    else if (!show_plain(cli, target, batch.json))
        status = put_batch(cli, &batch);
    gather_batch_clear(&batch);
    return status;
}

int cmd_show(struct cli *cli)
{
    if (cli_get(cli, CLI_QUIET))
        cli->format = CLI_FORMAT_ID;
    int status = cli_check_ids(cli, 0, false);
    if (status == 0)
        status = cli_connect(cli);
    for (int i = 0; status == 0 && i < cli->n_args; i++) {
        struct cli_target target = {0};
        status = cli_resolve(cli, cli->args[i], &target);
        bool laid_out = cli->format == CLI_FORMAT_DEFAULT || cli->format == CLI_FORMAT_TABLE;
        if (status == 0 && i > 0 && laid_out)
            gd_buf_putc(&cli->out.buf, '\n');
        if (status == 0)
            status = target.is_batch ? show_batch(cli, &target) : show_task(cli, &target);
    }
    return status;
}
