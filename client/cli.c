#include "client/cli.h"

#include "base/limits.h"
#include "base/parse.h"
#include "client/cli_exit.h"
#include "client/cli_format.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

static void message(struct cli *cli, const char *fmt, va_list ap)
{
    char *text = NULL;
    struct gd_buf line = {0};
    if (vasprintf(&text, fmt, ap) < 0)
        text = NULL;
    gd_buf_puts(&line, "gather: ");
    if (text)
        cli_put_clean(&line, text, strlen(text), true);
    else
        gd_buf_puts(&line, "out of memory");
    gd_buf_putc(&line, '\n');
    cli_live_clear(&cli->live);
    cli_stderr(gd_buf_error(&line) ? GD_SPAN("gather: out of memory\n") : gd_buf_view(&line));
    gd_buf_free(&line);
    free(text);
}

void cli_say(struct cli *cli, const char *fmt, ...)
{
    va_list ap;
    if (cli->quiet)
        return;
    va_start(ap, fmt);
    message(cli, fmt, ap);
    va_end(ap);
}

void cli_complain(struct cli *cli, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    message(cli, fmt, ap);
    va_end(ap);
}

int cli_usage(struct cli *cli, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    message(cli, fmt, ap);
    va_end(ap);
    if (cli->command)
        cli_complain(cli, "see: gather %s --help", cli->command->name);
    else
        cli_complain(cli, "see: gather --help");
    return CLI_USAGE;
}

int cli_fail(struct cli *cli)
{
    if (cli->err.code == GATHER_E_INTERRUPTED) {
        cli_live_clear(&cli->live);
        int signo = cli_take_signal(cli);
        return cli_exit_of_signal(signo ? signo : SIGINT);
    }
    char *text = gather_error_text(&cli->err);
    cli_complain(cli, "%s", text ? text : "out of memory");
    free(text);
    if (cli->err.code == GATHER_E_UNREACHABLE)
        cli_complain(cli, "is it started? gatherd &, or as a service: systemctl start gatherd; "
                          "--url or GATHER_URL names another address");
    return cli_exit_of_error(&cli->err);
}

static void on_notice(void *arg, const char *text)
{
    cli_say(arg, "%s", text);
}

int cli_connect(struct cli *cli)
{
    sigset_t set;
    const char *url = cli_get(cli, CLI_URL);
    cli->client = gather_connect(url && *url ? url : NULL, &cli->err);
    if (!cli->client)
        return cli_fail(cli);
    /* Blocked, they wait in the descriptor; ignored ones (a job in the background
     * of a script) never get there. */
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 ||
        (cli->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) < 0) {
        cli_complain(cli, "signals cannot be received: %s", strerrordesc_np(errno));
        return CLI_BROKEN;
    }
    cli->out.signal_fd = cli->signal_fd;
    gather_set_interrupt_fd(cli->client, cli->signal_fd);
    gather_set_notice(cli->client, on_notice, cli);
    return 0;
}

int cli_take_signal(struct cli *cli)
{
    struct signalfd_siginfo info;
    int signo = 0;
    while (cli->signal_fd >= 0 && read(cli->signal_fd, &info, sizeof(info)) == sizeof(info))
        signo = (int)info.ssi_signo;
    return signo;
}

void cli_done(struct cli *cli)
{
    cli_live_clear(&cli->live);
    gather_close(cli->client);
    gather_error_clear(&cli->err);
    cli_values_free(&cli->values);
    cli_out_done(&cli->out);
    if (cli->signal_fd >= 0)
        (void)close(cli->signal_fd);
}

int cli_duration(struct cli *cli, enum cli_opt id, int64_t *ret_ms)
{
    const char *text = cli_get(cli, id);
    if (!text || gd_parse_duration(text, ret_ms) == 0)
        return 0;
    return cli_usage(cli, "--%s %s is no time; times are 90, 1.5s, 2m or 1h30m",
                     cli_option(id)->name, text);
}

int cli_integer(struct cli *cli, enum cli_opt id, int64_t min, int64_t max, int64_t *ret)
{
    const char *text = cli_get(cli, id);
    if (!text)
        return 0;
    bool negative = text[0] == '-';
    uint64_t n = 0;
    struct gd_span digits = {text + negative, strlen(text + negative)};
    int rc = gd_parse_u64(digits, INT64_MAX, &n);
    int64_t value = negative ? -(int64_t)n : (int64_t)n;
    if (rc < 0 || value < min || value > max)
        return cli_usage(cli, "--%s %s is no number from %lld to %lld", cli_option(id)->name, text,
                         (long long)min, (long long)max);
    *ret = value;
    return 0;
}

int cli_size(struct cli *cli, enum cli_opt id, int64_t max, int64_t *ret_bytes)
{
    const char *text = cli_get(cli, id);
    uint64_t bytes = 0;
    int rc = text ? gd_parse_size(text, (uint64_t)max, &bytes) : 0;
    if (rc == -ERANGE)
        return cli_usage(cli, "--%s %s is more than %lld bytes", cli_option(id)->name, text,
                         (long long)max);
    if (rc < 0)
        return cli_usage(cli, "--%s %s is no size; sizes are 4096, 64K, 16M or 2G",
                         cli_option(id)->name, text);
    if (text)
        *ret_bytes = (int64_t)bytes;
    return 0;
}

const char **cli_all_of(const struct cli *cli, enum cli_opt id)
{
    const char **all = calloc(cli->values.n + 1, sizeof(*all));
    size_t pos = 0;
    size_t n = 0;
    for (const char *text = cli_values_next(&cli->values, id, &pos); all && text;
         text = cli_values_next(&cli->values, id, &pos))
        all[n++] = text;
    return all;
}

char *cli_absolute(struct cli *cli, const char *path)
{
    struct gd_buf whole = {0};
    char *here = path[0] == '/' ? NULL : getcwd(NULL, 0);
    if (path[0] != '/' && (!here || here[0] != '/')) {
        cli_complain(cli, "the working directory is not known: %s",
                     here ? "it cannot be reached" : strerrordesc_np(errno));
        free(here);
        return NULL;
    }
    if (here)
        gd_buf_puts(&whole, here);
    if (here && *path && strcmp(here, "/") != 0)
        gd_buf_putc(&whole, '/');
    gd_buf_puts(&whole, path);
    char *text = gd_buf_take(&whole, NULL);
    if (!text)
        cli_complain(cli, "out of memory");
    gd_buf_free(&whole);
    free(here);
    return text;
}
