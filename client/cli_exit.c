#include "client/cli_exit.h"

#include <signal.h>
#include <string.h>

static int of_exit(const struct gather_exception *x)
{
    /* A failure that claims to be a success, or a code that no process has. */
    if (x->exit_code < 0 || x->exit_code > 255)
        return CLI_BROKEN;
    return x->exit_code == 0 ? CLI_SOME_FAILED : (int)x->exit_code;
}

static int of_spawn(const struct gather_exception *x)
{
    if (x->stage && strncmp(x->stage, "exec", 4) != 0)
        return CLI_BROKEN; /* the directory, say, as env(1) has it */
    if (x->errno_name && strcmp(x->errno_name, "ENOENT") == 0)
        return CLI_NO_COMMAND;
    return CLI_NOT_EXECUTABLE;
}

int cli_exit_of_signal(int signo)
{
    return signo > 0 && signo < NSIG ? CLI_SIGNAL + signo : CLI_BROKEN;
}

static int of_exception(const struct gather_exception *x)
{
    if (strcmp(x->type, "ExitError") == 0)
        return of_exit(x);
    if (strcmp(x->type, "SignalError") == 0)
        return cli_exit_of_signal(x->signal < NSIG ? (int)x->signal : 0);
    if (strcmp(x->type, "SpawnError") == 0)
        return of_spawn(x);
    if (strcmp(x->type, "TimeoutError") == 0)
        return CLI_TIMEOUT;
    if (strcmp(x->type, "CancelledError") == 0)
        return CLI_SIGNAL + SIGTERM;
    if (strcmp(x->type, "OutOfMemoryError") == 0)
        return CLI_SIGNAL + SIGKILL;
    if (strcmp(x->type, "LostError") == 0)
        return CLI_BROKEN;
    return CLI_SOME_FAILED;
}

int cli_exit_of_task(const struct gather_task *task)
{
    switch (task->state) {
    case GATHER_SUCCEEDED:
        return CLI_SUCCESS;
    case GATHER_CANCELLED:
        return CLI_SIGNAL + SIGTERM;
    case GATHER_FAILED:
        return task->exception.type ? of_exception(&task->exception) : CLI_SOME_FAILED;
    case GATHER_PENDING:
    case GATHER_RUNNING:
        break;
    }
    return CLI_BROKEN;
}

int cli_exit_of_batch(const struct gather_batch *batch)
{
    bool all = batch->counts[GATHER_FAILED] == 0 && batch->counts[GATHER_CANCELLED] == 0 &&
               batch->state == GATHER_SUCCEEDED;
    return all ? CLI_SUCCESS : CLI_SOME_FAILED;
}

static int of_status(int status)
{
    if (status == 401 || status == 403)
        return CLI_UNAUTHORISED;
    return status >= 500 && status != 503 && status != 507 ? CLI_BROKEN : CLI_REFUSED;
}

int cli_exit_of_error(const struct gather_error *err)
{
    switch (err->code) {
    case GATHER_OK:
        return CLI_SUCCESS;
    case GATHER_E_ARGUMENT:
        return CLI_USAGE;
    case GATHER_E_UNREACHABLE:
    case GATHER_E_LOST:
        return CLI_UNREACHABLE;
    case GATHER_E_PROTOCOL: /* a proxy whose daemon is away says so in its own way */
        return err->status >= 502 && err->status <= 504 ? CLI_UNREACHABLE : CLI_BROKEN;
    case GATHER_E_REFUSED:
        return of_status(err->status);
    case GATHER_E_NOT_FOUND:
        return CLI_NOT_FOUND;
    case GATHER_E_NOT_DONE:
        return CLI_REFUSED;
    case GATHER_E_FAILED:
    case GATHER_E_CANCELLED:
        return CLI_SOME_FAILED;
    case GATHER_E_TIMEOUT:
        return CLI_TIMEOUT;
    case GATHER_E_INTERRUPTED:
        return cli_exit_of_signal(SIGINT);
    case GATHER_E_NO_MEMORY:
    case GATHER_E_STOPPED:
        break;
    }
    return CLI_BROKEN;
}
