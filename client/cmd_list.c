#include "base/clock.h"
#include "client/cli_commands.h"
#include "client/cli_exit.h"
#include "client/cli_format.h"
#include "client/cli_task.h"

#include <stdlib.h>
#include <string.h>

#define DEFAULT_LIMIT 50
#define NAME_COLUMNS  40U

/* One listing on its way out. */
struct listing {
    struct cli *cli;
    struct cli_table table;
    uint64_t limit; /* 0: none */
    uint64_t n;
    int64_t now_ms;
};

/* A cell with text from elsewhere. */
static void put_text(struct cli_table *t, const char *text, size_t width)
{
    struct gd_buf clean = {0};
    cli_put_clean(&clean, text ? text : "", text ? strlen(text) : 0, false);
    cli_put_clipped(&t->cells, gd_buf_view(&clean), width);
    if (gd_buf_error(&clean))
        t->cells.err = gd_buf_error(&clean);
    gd_buf_free(&clean);
    cli_table_cell(t);
}

static void put_time(struct cli_table *t, int64_t ms)
{
    if (ms < 0)
        gd_buf_putc(&t->cells, '-');
    else
        cli_put_duration(&t->cells, ms);
    cli_table_cell(t);
}

static void put_task_row(struct listing *l, const struct gather_task *task)
{
    struct cli_table *t = &l->table;
    cli_table_row(t, task->state);
    gd_buf_u64(&t->cells, task->id);
    cli_table_cell(t);
    put_text(t, gather_state_name(task->state), NAME_COLUMNS);
    put_time(t, cli_run_ms(task->started_at, task->finished_at, l->now_ms));
    if (task->batch && task->index >= 0)
        gd_buf_printf(&t->cells, "b%llu/%lld", (unsigned long long)task->batch,
                      (long long)task->index);
    else
        gd_buf_putc(&t->cells, '-');
    cli_table_cell(t);
    put_text(t, task->name, NAME_COLUMNS);
    if (task->exception.type)
        cli_put_outcome(&t->cells, &task->exception);
    else if (task->state == GATHER_PENDING && (task->detail || task->reason))
        cli_put_clean(&t->cells, task->detail ? task->detail : task->reason,
                      strlen(task->detail ? task->detail : task->reason), false);
    cli_table_cell(t);
}

static void put_batch_row(struct listing *l, const struct gather_batch *b)
{
    struct cli_table *t = &l->table;
    cli_table_row(t, b->state);
    cli_ref_put(&t->cells, true, b->id);
    cli_table_cell(t);
    put_text(t, gather_state_name(b->state), NAME_COLUMNS);
    put_time(t, cli_run_ms(b->started_at, b->finished_at, l->now_ms));
    gd_buf_i64(&t->cells, b->counts[GATHER_SUCCEEDED] + b->counts[GATHER_FAILED] +
                              b->counts[GATHER_CANCELLED]);
    gd_buf_putc(&t->cells, '/');
    gd_buf_i64(&t->cells, b->total);
    cli_table_cell(t);
    gd_buf_i64(&t->cells, b->counts[GATHER_FAILED]);
    cli_table_cell(t);
    put_text(t, b->name, NAME_COLUMNS);
    if (b->exception.type)
        cli_put_outcome(&t->cells, &b->exception);
    cli_table_cell(t);
}

/* True if one more may be shown; counts it. */
static bool admit(struct listing *l)
{
    if (l->limit && l->n == l->limit) {
        cli_say(l->cli, "there are more: -n N, or -n 0 for all");
        return false;
    }
    l->n++;
    return true;
}

/* What needs no table: an element of an array, or an id. */
static void put_plain(struct listing *l, const char *json, bool is_batch, uint64_t id)
{
    struct gd_buf *out = &l->cli->out.buf;
    if (l->cli->format == CLI_FORMAT_JSON) {
        gd_buf_puts(out, l->n == 1 ? "[" : ",\n ");
        gd_buf_puts(out, json);
    } else {
        cli_ref_put(out, is_batch, id);
        gd_buf_putc(out, '\n');
    }
}

static bool on_task(void *arg, const struct gather_task *task)
{
    struct listing *l = arg;
    if (!admit(l))
        return false;
    if (l->cli->format == CLI_FORMAT_TABLE)
        put_task_row(l, task);
    else
        put_plain(l, task->json, false, task->id);
    return cli_out_put(&l->cli->out, "", 0);
}

static bool on_batch(void *arg, const struct gather_batch *batch)
{
    struct listing *l = arg;
    if (!admit(l))
        return false;
    if (l->cli->format == CLI_FORMAT_TABLE)
        put_batch_row(l, batch);
    else
        put_plain(l, batch->json, true, batch->id);
    return cli_out_put(&l->cli->out, "", 0);
}

static void finish(struct listing *l)
{
    struct gd_buf *out = &l->cli->out.buf;
    if (l->cli->format == CLI_FORMAT_TABLE)
        cli_table_flush(&l->table);
    else if (l->cli->format == CLI_FORMAT_JSON)
        gd_buf_puts(out, l->n ? "]\n" : "[]\n");
}

static bool is_state(struct gd_span word)
{
    static const char *const known[] = {"pending",   "running",    "succeeded", "failed",
                                        "cancelled", "unfinished", NULL};
    for (size_t i = 0; known[i]; i++)
        if (strlen(known[i]) == word.len && strncmp(known[i], word.ptr, word.len) == 0)
            return true;
    return false;
}

static int check_states(struct cli *cli, const char *states)
{
    for (const char *p = states; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL) {
        struct gd_span word = {p, strcspn(p, ",")};
        if (!is_state(word))
            return cli_usage(cli,
                             "--state %.*s: states are pending, running, succeeded, failed, "
                             "cancelled, or unfinished",
                             (int)word.len, word.ptr);
    }
    return 0;
}

static int read_batch(struct cli *cli, uint64_t *ret)
{
    const char *text = cli_get(cli, CLI_BATCH);
    struct cli_ref ref;
    struct cli_target target = {0};
    if (!text)
        return 0;
    if (cli_ref_parse(text, &ref) && !ref.has_index && !ref.is_last) {
        *ret = ref.id; /* here a bare number can only be a batch */
        return 0;
    }
    int status = cli_resolve(cli, text, &target);
    if (status == 0 && !target.is_batch)
        return cli_usage(cli, "--batch %s is not a batch", text);
    *ret = status == 0 ? target.id : 0;
    return status;
}

/* Nothing of a batch is in the list: is there such a batch at all? */
static enum gather_code find_batch(struct cli *cli, uint64_t id)
{
    struct gather_batch batch = {0};
    enum gather_code code = gather_batch_get(cli->client, id, &batch, &cli->err);
    gather_batch_clear(&batch);
    return code;
}

static int list(struct cli *cli, const struct gather_filter *filter, bool batches)
{
    static const char *const task_titles[] = {"ID", "STATE", "TIME", "BATCH", "NAME", "INFO"};
    static const char *const batch_titles[] = {"ID",     "STATE", "TIME", "DONE",
                                               "FAILED", "NAME",  "INFO"};
    struct listing l = {
        .cli = cli,
        .table = {.out = &cli->out.buf,
                  .titles = batches ? batch_titles : task_titles,
                  .n_columns = batches ? 7 : 6,
                  .color = cli->color_out},
        .limit = filter->limit ? filter->limit - 1 : 0,
        .now_ms = gd_wall_ms(),
    };
    enum gather_code code = batches
                                ? gather_list_batches(cli->client, filter, on_batch, &l, &cli->err)
                                : gather_list_tasks(cli->client, filter, on_task, &l, &cli->err);
    if (code == GATHER_OK && l.n == 0 && filter->batch)
        code = find_batch(cli, filter->batch);
    if (code == GATHER_OK)
        finish(&l);
    cli_table_done(&l.table);
    return code == GATHER_OK ? 0 : cli_fail(cli);
}

int cmd_list(struct cli *cli)
{
    bool batches = cli_get(cli, CLI_BATCHES) != NULL;
    int64_t limit = DEFAULT_LIMIT;
    struct gather_filter filter = {.states = cli_get(cli, CLI_STATE),
                                   .name = cli_get(cli, CLI_FILTER_NAME)};
    if (cli->format == CLI_FORMAT_DEFAULT)
        cli->format = CLI_FORMAT_TABLE;
    if (cli_get(cli, CLI_QUIET))
        cli->format = CLI_FORMAT_ID;
    if (batches && cli_get(cli, CLI_TASKS))
        return cli_usage(cli, "either --tasks or --batches, not both");
    if (batches && cli_get(cli, CLI_BATCH))
        return cli_usage(cli, "--batch is about tasks, not with --batches");
    int status = check_states(cli, filter.states);
    if (status == 0)
        status = cli_integer(cli, CLI_LIMIT, 0, INT64_MAX - 1, &limit);
    if (status == 0)
        status = cli_connect(cli);
    if (status == 0)
        status = read_batch(cli, &filter.batch);
    if (status)
        return status;
    const char **labels = cli_all_of(cli, CLI_FILTER_LABEL);
    filter.labels = labels;
    filter.limit = limit ? (uint64_t)limit + 1 : 0; /* one more tells whether there is */
    status = labels ? list(cli, &filter, batches) : CLI_BROKEN;
    free(labels);
    return status;
}
