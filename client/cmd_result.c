#include "client/cli_commands.h"
#include "client/cli_exit.h"
#include "client/cli_format.h"
#include "client/cli_task.h"

#include <stdlib.h>
#include <string.h>

#define CELL_COLUMNS 60U

struct printing {
    struct cli *cli;
    struct cli_table table;
    size_t n;
    bool failed;
};

static void put_text(struct cli_table *t, const char *text)
{
    struct gd_buf clean = {0};
    cli_put_clean(&clean, text ? text : "", text ? strlen(text) : 0, false);
    cli_put_clipped(&t->cells, gd_buf_view(&clean), CELL_COLUMNS);
    if (gd_buf_error(&clean))
        t->cells.err = gd_buf_error(&clean);
    gd_buf_free(&clean);
    cli_table_cell(t);
}

static void put_row(struct cli_table *t, const struct gather_result *r)
{
    bool cancelled = r->exception.type && strcmp(r->exception.type, "CancelledError") == 0;
    enum gather_state state = cancelled           ? GATHER_CANCELLED
                              : r->exception.type ? GATHER_FAILED
                              : r->result         ? GATHER_SUCCEEDED
                                                  : GATHER_PENDING;
    cli_table_row(t, (int)state);
    gd_buf_u64(&t->cells, r->task);
    cli_table_cell(t);
    put_text(t, state == GATHER_PENDING ? "-" : gather_state_name(state));
    put_text(t, r->name);
    if (r->exception.type) {
        cli_put_outcome(&t->cells, &r->exception);
        cli_table_cell(t);
    } else {
        put_text(t, r->result);
    }
}

static bool on_result(void *arg, size_t index, const struct gather_result *r)
{
    struct printing *p = arg;
    struct gd_buf *out = &p->cli->out.buf;
    p->failed = p->failed || r->exception.type;
    p->n++;
    if (p->cli->format == CLI_FORMAT_TABLE) {
        put_row(&p->table, r);
    } else if (p->cli->format == CLI_FORMAT_ID) {
        gd_buf_printf(out, "%llu\n", (unsigned long long)r->task);
    } else if (p->cli->format == CLI_FORMAT_JSON) {
        gd_buf_puts(out, index == 0 ? "[" : ",\n ");
        gd_buf_puts(out, r->json);
    } else {
        gd_buf_puts(out, r->json);
        gd_buf_putc(out, '\n');
    }
    return cli_out_put(&p->cli->out, "", 0);
}

int cli_print_results(struct cli *cli, uint64_t batch, bool *ret_failed)
{
    static const char *const titles[] = {"TASK", "STATE", "NAME", "RESULT"};
    struct printing p = {
        .cli = cli,
        .table = {.out = &cli->out.buf, .titles = titles, .n_columns = 4, .color = cli->color_out}};
    enum gather_code code =
        gather_batch_results(cli->client, batch, true, on_result, &p, &cli->err);
    if (code == GATHER_OK && cli->format == CLI_FORMAT_TABLE)
        cli_table_flush(&p.table);
    if (code == GATHER_OK && cli->format == CLI_FORMAT_JSON)
        gd_buf_puts(&cli->out.buf, p.n ? "]\n" : "[]\n");
    cli_table_done(&p.table);
    *ret_failed = p.failed;
    if (code == GATHER_E_STOPPED) /* stdout failed, which main tells */
        return CLI_BROKEN;
    return code == GATHER_OK ? 0 : cli_fail(cli);
}

static int result_of_batch(struct cli *cli, uint64_t id)
{
    struct gather_batch batch = {0};
    bool failed = false;
    int status = 0;
    if (gather_batch_get(cli->client, id, &batch, &cli->err) != GATHER_OK) {
        status = cli_fail(cli);
    } else if (!batch.done && !cli_get(cli, CLI_PARTIAL)) {
        struct gd_buf text = {0};
        struct cli_rate rate = {0};
        cli_put_batch_progress(&text, &batch, &rate);
        gd_buf_putc(&text, '\0');
        cli_complain(cli, "not done yet: %s; gather wait b%llu, or --partial",
                     gd_buf_error(&text) ? "" : text.ptr, (unsigned long long)id);
        gd_buf_free(&text);
        status = CLI_REFUSED;
    } else {
        status = cli_print_results(cli, id, &failed);
    }
    gather_batch_clear(&batch);
    return status == 0 && failed ? CLI_SOME_FAILED : status;
}

static int result_of_task(struct cli *cli, uint64_t id)
{
    char *json = NULL;
    if (gather_task_result(cli->client, id, &json, &cli->err) != GATHER_OK)
        return cli_fail(cli);
    if (cli->format == CLI_FORMAT_ID)
        gd_buf_printf(&cli->out.buf, "%llu\n", (unsigned long long)id);
    else
        cli_print_json(cli, (struct gd_span){json, strlen(json)}, cli_get(cli, CLI_RAW) != NULL);
    free(json);
    return 0;
}

int cmd_result(struct cli *cli)
{
    struct cli_target target = {0};
    int status = cli_connect(cli);
    if (status == 0)
        status = cli_resolve(cli, cli->args[0], &target);
    if (status)
        return status;
    return target.is_batch ? result_of_batch(cli, target.id) : result_of_task(cli, target.id);
}
