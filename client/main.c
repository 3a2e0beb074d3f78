/* client/main.c — gather: the command line of gatherd. */
#include "base/suggest.h"
#include "client/cli_commands.h"
#include "client/cli_exit.h"

#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int unknown_command(struct cli *cli, const char *word)
{
    const char **names = cli_command_names();
    const char *like = names ? gd_suggest((struct gd_span){word, strlen(word)}, names) : NULL;
    int status = like ? cli_usage(cli, "there is no command %s; did you mean %s?", word, like)
                      : cli_usage(cli, "there is no command %s", word);
    free(names);
    return status;
}

static int no_command(void)
{
    struct gd_buf text = {0};
    cli_put_help(&text);
    if (!gd_buf_error(&text))
        cli_stderr(gd_buf_view(&text));
    gd_buf_free(&text);
    return CLI_USAGE;
}

static int set_format(struct cli *cli)
{
    static const char *const names[] = {
        [CLI_FORMAT_TABLE] = "table", [CLI_FORMAT_JSON] = "json", [CLI_FORMAT_ID] = "id"};
    const char *flag = cli_get(cli, CLI_OUTPUT);
    const char *text = flag ? flag : getenv("GATHER_OUTPUT");
    if (flag && cli->command->one_form)
        return cli_usage(cli, "%s takes no --output: what it prints has one form",
                         cli->command->name);
    if (!text || (!flag && !*text) || cli->command->one_form)
        return 0;
    for (size_t i = CLI_FORMAT_TABLE; i <= CLI_FORMAT_ID; i++) {
        if (strcmp(names[i], text) != 0)
            continue;
        cli->format = (enum cli_format)i;
        return 0;
    }
    return cli_usage(cli, "%s %s: formats are table, json and id",
                     flag ? "--output" : "GATHER_OUTPUT", text);
}

static int set_color(struct cli *cli)
{
    const char *when = cli_get(cli, CLI_COLOR);
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    if (!when || strcmp(when, "auto") == 0)
        cli->color_out =
            isatty(STDOUT_FILENO) && !(no_color && *no_color) && term && strcmp(term, "dumb") != 0;
    else if (strcmp(when, "always") == 0)
        cli->color_out = true;
    else if (strcmp(when, "never") != 0)
        return cli_usage(cli, "--color %s: it is auto, always or never", when);
    return 0;
}

/* One round of options: the global ones, or those of the command. */
static int parse(struct cli *cli, int argc, char **argv, int *ret_first)
{
    struct gd_buf problem = {0};
    if (cli_parse(cli->command, argc, argv, &cli->values, ret_first, &problem))
        return 0;
    gd_buf_putc(&problem, '\0');
    int status = cli_usage(cli, "%s", problem.len > 1 ? problem.ptr : "out of memory");
    gd_buf_free(&problem);
    return status;
}

static int check_args(struct cli *cli)
{
    const struct cli_command *c = cli->command;
    if (cli->n_args < c->min_args)
        return cli_usage(cli, "%s is missing", c->args);
    if (c->max_args >= 0 && cli->n_args > c->max_args)
        return cli_usage(cli, "\"%s\" is one argument too many", cli->args[c->max_args]);
    return 0;
}

static int dispatch(struct cli *cli, int argc, char **argv)
{
    int first = 0;
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        gd_buf_puts(&cli->out.buf, "gather " GATHER_VERSION "\n");
        return CLI_SUCCESS;
    }
    int status = parse(cli, argc, argv, &first);
    bool help = cli_get(cli, CLI_HELP) != NULL;
    if (status)
        return status;
    if (!help && first == argc)
        return no_command();
    if (help) {
        cli_put_help(&cli->out.buf);
        return CLI_SUCCESS;
    }
    cli->command = cli_command_find(argv[first]);
    if (!cli->command)
        return unknown_command(cli, argv[first]);
    argv += first;
    argc -= first;
    status = parse(cli, argc, argv, &first);
    if (status)
        return status;
    if (cli_get(cli, CLI_HELP)) {
        cli_put_command_help(&cli->out.buf, cli->command);
        return CLI_SUCCESS;
    }
    cli->args = argv + first;
    cli->n_args = argc - first;
    cli->quiet = cli_get(cli, CLI_QUIET) != NULL;
    cli_live_init(&cli->live, cli->quiet);
    status = check_args(cli);
    if (status == 0)
        status = set_format(cli);
    if (status == 0)
        status = set_color(cli);
    return status ? status : cli->command->run(cli);
}

/* The data must be out before it counts. */
static int flush(struct cli *cli, int status)
{
    if (cli_out_flush(&cli->out))
        return status;
    if (cli->out.err == -EPIPE)
        return CLI_SIGNAL + SIGPIPE; /* as a program dies that does not look */
    if (cli->out.err == -EINTR)
        return cli_exit_of_signal(cli_take_signal(cli));
    cli_complain(cli, "stdout: %s", strerrordesc_np(-cli->out.err));
    return CLI_BROKEN;
}

int main(int argc, char **argv)
{
    struct cli cli = {.out = {.fd = STDOUT_FILENO, .signal_fd = -1}, .signal_fd = -1};
    /* How wide a character is needs to be known; all else stays as in C. */
    if (!setlocale(LC_CTYPE, "C.UTF-8"))
        (void)setlocale(LC_CTYPE, "");
    (void)signal(SIGPIPE, SIG_IGN);
    int status = flush(&cli, dispatch(&cli, argc, argv));
    cli_done(&cli);
    return status;
}
