/* client/cli_exit.h — what happened, as an exit status. Pure. */
#ifndef GATHER_CLI_EXIT_H
#define GATHER_CLI_EXIT_H

#include "client/gather.h"

enum cli_exit {
    CLI_SUCCESS = 0,
    CLI_SOME_FAILED = 1,  /* a task of several, or one that has no code of its own */
    CLI_USAGE = 2,        /* the command line is wrong */
    CLI_NOT_FOUND = 3,    /* no such task or batch */
    CLI_UNAUTHORISED = 4, /* not allowed to */
    CLI_REFUSED = 5,      /* the daemon said no: a bad job, a conflict, a full queue */
    CLI_UNREACHABLE = 6,  /* nobody answers */
    CLI_TIMEOUT = 124,    /* the task's time, or the wait's */
    CLI_BROKEN = 125,     /* gather or gatherd failed */
    CLI_NOT_EXECUTABLE = 126,
    CLI_NO_COMMAND = 127,
    CLI_SIGNAL = 128, /* plus the signal's number */
};

/* Of a task that is done. A command's own code passes through. */
int cli_exit_of_task(const struct gather_task *task);

/* Of a batch whose tasks have all ended. */
int cli_exit_of_batch(const struct gather_batch *batch);

/* Of a call that failed. */
int cli_exit_of_error(const struct gather_error *err);

/* Of a wait that was interrupted by `signo`. */
int cli_exit_of_signal(int signo);

#endif
