#include "base/limits.h"
#include "client/cli_commands.h"
#include "client/cli_exit.h"
#include "client/cli_source.h"
#include "client/cli_task.h"

#include <stdlib.h>
#include <string.h>

static int read_options(struct cli *cli, struct gather_options *o, bool *ret_any)
{
    const char *on_failure = cli_get(cli, CLI_ON_FAILURE);
    *o = (struct gather_options){.name = cli_get(cli, CLI_NAME)};
    o->return_exceptions = cli_get(cli, CLI_RETURN_EXCEPTIONS) != NULL;
    int status = cli_integer(cli, CLI_CONCURRENCY, 1, GD_MAX_CONCURRENCY, &o->concurrency);
    if (status == 0)
        status = cli_integer(cli, CLI_PRIORITY, -GD_MAX_PRIORITY, GD_MAX_PRIORITY, &o->priority);
    if (status == 0)
        status = cli_duration(cli, CLI_BATCH_TIMEOUT, &o->timeout_ms);
    if (status == 0 && on_failure && strcmp(on_failure, "cancel") == 0)
        o->cancel_on_failure = true;
    else if (status == 0 && on_failure && strcmp(on_failure, "continue") != 0)
        status = cli_usage(cli, "--on-failure %s: it is continue or cancel", on_failure);
    if (status == 0 && cli_get(cli, CLI_BATCH_TIMEOUT) && o->timeout_ms == 0)
        status = cli_usage(cli, "--timeout 0 leaves no time for anything");
    *ret_any = o->name || o->return_exceptions || o->concurrency || o->priority || o->timeout_ms ||
               on_failure;
    return status;
}

/* Every --label; `ret` is to be freed, also after a failure. */
static int read_labels(struct cli *cli, const char ***ret)
{
    *ret = cli_all_of(cli, CLI_LABEL);
    if (!*ret) {
        cli_complain(cli, "out of memory");
        return CLI_BROKEN;
    }
    for (const char **label = *ret; *label; label++)
        if (**label == '=' || !strchr(*label, '='))
            return cli_usage(cli, "--label %s is not of the form KEY=VALUE", *label);
    return 0;
}

/* One batch object has its options inside. */
static int check_shape(struct cli *cli, const struct cli_source *s, bool any_option)
{
    if (s->shape == CLI_SHAPE_EMPTY)
        return cli_usage(cli, "%s is empty", cli->args[0]);
    if (s->shape == CLI_SHAPE_BATCH && any_option)
        return cli_usage(cli, "%s has \"jobs\" and so its options inside: put them there",
                         cli->args[0]);
    return 0;
}

static int send_batch(struct cli *cli, const struct gather_options *options,
                      struct gather_batch *ret)
{
    struct cli_source source;
    int status = cli_source_open(cli, cli->args[0], &source);
    if (status)
        return status;
    status = check_shape(cli, &source, options != NULL);
    if (status == 0)
        status = cli_connect(cli);
    if (status == 0 &&
        gather_submit_source(cli->client, &source.source, options, ret, &cli->err) != GATHER_OK) {
        if (cli->err.code == GATHER_E_INTERRUPTED)
            cli_complain(cli, "interrupted; whether the batch was taken in is not known");
        status = cli_fail(cli);
    }
    cli_source_close(&source);
    if (status == 0)
        cli_last_remember(gather_url(cli->client), true, ret->id);
    return status;
}

static int submit(struct cli *cli, struct gather_batch *ret)
{
    struct gather_options options;
    const char **labels = NULL;
    bool any = false;
    int status = read_options(cli, &options, &any);
    if (status == 0)
        status = read_labels(cli, &labels);
    options.labels = labels;
    any = any || (labels && *labels);
    if (status == 0)
        status = send_batch(cli, any ? &options : NULL, ret);
    free(labels);
    return status;
}

static void print_batch(struct cli *cli, const struct gather_batch *batch)
{
    if (cli->format == CLI_FORMAT_JSON)
        gd_buf_puts(&cli->out.buf, batch->json);
    else
        cli_ref_put(&cli->out.buf, true, batch->id);
    gd_buf_putc(&cli->out.buf, '\n');
}

static int see_it_through(struct cli *cli, struct gather_batch *batch)
{
    bool results = cli_get(cli, CLI_RESULTS) != NULL;
    struct cli_interrupt i = {.target = {.is_batch = true, .id = batch->id}, .cancels = true};
    if (results)
        cli_say(cli, "b%llu: %lld task%s", (unsigned long long)batch->id, (long long)batch->total,
                batch->total == 1 ? "" : "s");
    else if (cli->format != CLI_FORMAT_JSON)
        print_batch(cli, batch); /* known from the start, whatever happens */
    bool failed = false;
    int status = cli_out_flush(&cli->out) ? cli_await_batch(cli, &i, GATHER_FOREVER, batch)
                                          : CLI_BROKEN; /* main says why */
    if (status)
        return status;
    if (results)
        status = cli_print_results(cli, batch->id, &failed);
    else if (cli->format == CLI_FORMAT_JSON)
        print_batch(cli, batch);
    cli_say_batch_end(cli, batch);
    if (status == 0 && i.signo && batch->counts[GATHER_CANCELLED] > 0)
        return cli_exit_of_signal(i.signo);
    return status ? status : cli_exit_of_batch(batch);
}

int cmd_submit(struct cli *cli)
{
    struct gather_batch batch = {0};
    int status = submit(cli, &batch);
    if (status == 0 && (cli_get(cli, CLI_WAIT) || cli_get(cli, CLI_RESULTS)))
        status = see_it_through(cli, &batch);
    else if (status == 0)
        print_batch(cli, &batch);
    gather_batch_clear(&batch);
    return status;
}
