#include "base/json_scan.h"
#include "base/suggest.h"
#include "client/cli_commands.h"
#include "client/cli_exit.h"
#include "client/cli_format.h"
#include "client/cli_task.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    const char *text;
} topics[] = {
    {"exit-codes",
     "Exit status of gather\n\n"
     "  0        all went well\n"
     "  1        a task failed or was cancelled (of a batch, of several, of a fetch)\n"
     "  2        the command line is wrong\n"
     "  3        there is no such task or batch\n"
     "  4        the daemon does not let you\n"
     "  5        the daemon refused: a bad job, not done yet, a full queue\n"
     "  6        the daemon is not reachable\n"
     "\nOnce there is a task, run, fetch, sleep and wait of one task exit as it did:\n\n"
     "  0-255    the command's own status\n"
     "  124      it ran out of its time (also: wait --timeout, the task goes on)\n"
     "  125      gather or gatherd failed, or the task was lost\n"
     "  126      the command cannot be executed\n"
     "  127      there is no such command\n"
     "  128+N    it was killed by signal N; 143 also if somebody cancelled it\n"
     "  130      Ctrl-C: here, or the task was cancelled by it\n"
     "  141      nobody reads our output any more\n"},
    {"ids", "Ids\n\n"
            "  17  t17  task/17           a task\n"
            "  b5  batch/5                a batch\n"
            "  5/3  b5/3  batch/5/3       the task at index 3 (from 0) of batch 5\n"
            "  last                       what you submitted last from here to this daemon\n"
            "  last/3                     the task at index 3 of that batch\n"},
    {"output", "Output\n\n"
               "Data goes to stdout, messages and progress to stderr.\n\n"
               "  -o table   for people; may change\n"
               "  -o json    the daemon's objects, verbatim: list prints one array, show and\n"
               "             wait one object a line, result of a batch one array; run, fetch\n"
               "             and sleep the final snapshot instead of what came out\n"
               "  -o id      ids only, one a line\n"
               "\nThe default is table for list and show; result prints one JSON value a line.\n"
               "-q leaves errors as the only messages, and makes list and show print ids.\n"},
    {"environment",
     "Environment\n\n"
     "  GATHER_URL       the daemon, if --url does not say: http://HOST:PORT or\n"
     "                   unix:/PATH (default " GATHER_DEFAULT_URL ")\n"
     "  GATHER_OUTPUT    table, json or id, if -o does not say\n"
     "  NO_COLOR         no colours, unless --color always\n"
     "  TERM             dumb: no progress line\n"
     "  XDG_STATE_HOME   where `last` is kept: gather/last (default ~/.local/state)\n"
     "\nTasks get none of your environment, only what --env gives them.\n"},
};

#define N_TOPICS (sizeof(topics) / sizeof(topics[0]))

#define LEFT_COLUMNS 26U

static void put_option(struct gd_buf *to, enum cli_opt id)
{
    const struct cli_option *o = cli_option(id);
    struct gd_buf left = {0};
    if (o->letter)
        gd_buf_printf(&left, "-%c, ", o->letter);
    else
        gd_buf_puts(&left, "    ");
    gd_buf_printf(&left, "--%s%s%s", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
    /* Columns, not bytes: a value's name may be longer in bytes. */
    size_t width = cli_width(gd_buf_view(&left));
    int pad = width < LEFT_COLUMNS ? (int)(LEFT_COLUMNS - width) : 0;
    gd_buf_printf(to, "  %s%*s %s\n", gd_buf_error(&left) ? "" : left.ptr, pad, "", o->help);
    gd_buf_free(&left);
}

void cli_put_command_help(struct gd_buf *to, const struct cli_command *c)
{
    for (const char *const *line = c->examples; *line; line++)
        gd_buf_printf(to, "  $ %s\n", *line);
    gd_buf_printf(to, "\nUsage: gather %s [OPTION…]%s%s%s\n%c%s.\n\n", c->name,
                  c->stop_at_args ? " [--]" : "", *c->args ? " " : "", c->args,
                  c->summary[0] - 'a' + 'A', c->summary + 1);
    for (const enum cli_opt *id = c->options; *id != CLI_END; id++)
        put_option(to, *id);
    for (const enum cli_opt *id = cli_global_options; *id != CLI_END; id++)
        if (*id != CLI_OUTPUT || !c->one_form)
            put_option(to, *id);
}

void cli_put_help(struct gd_buf *to)
{
    gd_buf_puts(to, "  $ gather run -- make test\n"
                    "  $ gather submit --results batch.json\n\n"
                    "Usage: gather [OPTION…] COMMAND …\n"
                    "Runs commands as tasks of gatherd and gathers their results.\n\n");
    for (const struct cli_command *c = cli_commands; c->name; c++)
        gd_buf_printf(to, "  %-9s %s\n", c->name, c->summary);
    gd_buf_puts(to, "\ngather COMMAND --help tells the options of each. gather help exit-codes,\n"
                    "ids, output, environment: what they have in common.\n");
}

bool cli_put_topic(struct gd_buf *to, const char *topic)
{
    for (size_t i = 0; i < N_TOPICS; i++) {
        if (strcmp(topics[i].name, topic) != 0)
            continue;
        gd_buf_puts(to, topics[i].text);
        return true;
    }
    return false;
}

int cmd_help(struct cli *cli)
{
    struct gd_buf *out = &cli->out.buf;
    const char *what = cli->n_args ? cli->args[0] : NULL;
    const struct cli_command *command = what ? cli_command_find(what) : NULL;
    if (!what)
        cli_put_help(out);
    else if (command)
        cli_put_command_help(out, command);
    else if (!cli_put_topic(out, what))
        return cli_usage(cli, "there is neither a command nor a topic \"%s\"", what);
    return 0;
}

int cmd_version(struct cli *cli)
{
    struct gd_buf *out = &cli->out.buf;
    struct gd_span version = GD_SPAN("\"?\"");
    char *info = NULL;
    if (cli->format == CLI_FORMAT_ID && cli_get(cli, CLI_OUTPUT))
        return cli_usage(cli, "versions have no ids: --output is table or json");
    int status = cli_connect(cli);
    if (status)
        return status;
    bool reached = gather_info(cli->client, &info, &cli->err) == GATHER_OK;
    if (cli->format == CLI_FORMAT_JSON) {
        gd_buf_printf(out, "{\"client\":\"%s\",\"server\":%s}\n", GATHER_VERSION,
                      reached ? info : "null");
    } else {
        gd_buf_printf(out, "gather  %s\n", GATHER_VERSION);
        if (reached && cli_member(info, "version", &version) && version.ptr[0] == '"') {
            gd_buf_puts(out, "gatherd ");
            gd_json_unquote(version, out);
            gd_buf_printf(out, " at %s\n", gather_url(cli->client));
        }
    }
    free(info);
    return reached ? 0 : cli_fail(cli);
}
