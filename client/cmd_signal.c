#include "base/parse.h"
#include "client/cli_commands.h"
#include "client/cli_task.h"

#include <signal.h>
#include <string.h>

/* "HUP", "SIGHUP" or 1; 0: there is no such signal. */
static int read_signal(const char *text)
{
    uint64_t n = 0;
    if (gd_parse_u64((struct gd_span){text, strlen(text)}, (uint64_t)SIGRTMAX, &n) == 0)
        return (int)n;
    text += strncasecmp(text, "SIG", 3) == 0 ? 3 : 0;
    for (int signo = 1; signo < NSIG; signo++)
        if (sigabbrev_np(signo) && strcasecmp(sigabbrev_np(signo), text) == 0)
            return signo;
    return 0;
}

static int send_one(struct cli *cli, const char *text, int signo)
{
    uint64_t id = 0;
    int status = cli_resolve_task(cli, text, &id);
    if (status)
        return status;
    if (gather_task_signal(cli->client, id, signo, &cli->err) != GATHER_OK)
        return cli_fail(cli);
    cli_put_asked(cli, &(struct cli_target){.id = id}, true);
    cli_say(cli, "%llu got signal %d", (unsigned long long)id, signo);
    return 0;
}

int cmd_signal(struct cli *cli)
{
    int signo = read_signal(cli->args[0]);
    if (signo == 0)
        return cli_usage(cli, "%s is no signal; signals are HUP, SIGHUP or 1", cli->args[0]);
    int status = cli_check_ids(cli, 1, true);
    if (status == 0)
        status = cli_connect(cli);
    int first = status;
    for (int i = 1; status == 0 && i < cli->n_args; i++) {
        int one = send_one(cli, cli->args[i], signo);
        first = first ? first : one;
        if (cli->err.code == GATHER_E_INTERRUPTED || cli->err.code == GATHER_E_UNREACHABLE)
            break;
    }
    return first;
}
