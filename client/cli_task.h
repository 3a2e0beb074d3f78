/* client/cli_task.h — what the commands that start or await tasks have in common. */
#ifndef GATHER_CLI_TASK_H
#define GATHER_CLI_TASK_H

#include "base/attr.h"
#include "client/cli.h"
#include "client/cli_ref.h"

/* Gives `job` what --name, --label, --priority, --timeout and --grace say. 0, or
 * CLI_USAGE after a message. */
GD_MUST_CHECK int cli_apply_common(struct cli *cli, struct gather_job *job);

/* Splits "name=value" (`sep` between); `*ret_name` is to be freed, the value is
 * borrowed. False: there is no separator, or no memory. */
GD_MUST_CHECK bool cli_split(const char *text, char sep, char **ret_name, const char **ret_value);

/* Connects, submits `own_job`, remembers it as the last. 0, or an exit status. */
GD_MUST_CHECK int cli_create(struct cli *cli, struct gather_job *own_job, struct gather_task *ret);

/* Prints a task as -o asks: its id or its JSON. */
void cli_print_task(struct cli *cli, const struct gather_task *task);

/* -o wants ids or JSON, not what is for people. */
bool cli_for_programs(const struct cli *cli);

/* Prints for programs what was asked of a task or batch, and whether that had an
 * effect. */
void cli_put_asked(struct cli *cli, const struct cli_target *t, bool requested);

/* What Ctrl-C does while a command waits for `target`. */
struct cli_interrupt {
    struct cli_target target;
    bool cancels; /* the first one cancels, the second leaves; else the first leaves */
    int signo;    /* the one that cancelled; 0: none */
};

/* A wait returned E_INTERRUPTED (or output was stopped by a signal). 0: wait on;
 * else leave with this exit status. */
GD_MUST_CHECK int cli_interrupted(struct cli *cli, struct cli_interrupt *i);

/* Waits for a task, showing progress. 0, or an exit status after a message; a wait
 * that fails once the task is known is CLI_BROKEN. */
GD_MUST_CHECK int cli_await_task(struct cli *cli, struct cli_interrupt *i, int64_t timeout_ms,
                                 struct gather_task *ret);

/* Sees a fresh task through: waits for it, Ctrl-C cancelling it, and prints what -o
 * asks for programs. `task->done` tells whether it ended. An exit status. */
GD_MUST_CHECK int cli_see_through(struct cli *cli, struct gather_task *task);

/* Waits until every task of a batch has ended. */
GD_MUST_CHECK int cli_await_batch(struct cli *cli, struct cli_interrupt *i, int64_t timeout_ms,
                                  struct gather_batch *ret);

/* The exit status of a task that ended while `i` stood guard. */
int cli_end_of_task(const struct gather_task *task, const struct cli_interrupt *i);

/* Says how it ended. */
void cli_say_task_end(struct cli *cli, const struct gather_task *task);
void cli_say_batch_end(struct cli *cli, const struct gather_batch *batch);

/* Complains about what was followed of the output if it is not all that there was,
 * which nobody sees who only looks at the data: also with -q. */
void cli_tell_truncated(struct cli *cli, uint64_t task, const struct gather_follow *f);

/* Prints every result of a batch in order, as -o asks (default: a line each).
 * `*ret_failed`: one of them is an exception. 0, or an exit status. */
GD_MUST_CHECK int cli_print_results(struct cli *cli, uint64_t batch, bool *ret_failed);

/* The value of a member of a JSON object, borrowed. False: it has none. */
GD_MUST_CHECK bool cli_member(const char *json, const char *name, struct gd_span *ret);

/* JSON and a newline to stdout; a string plain if `raw`. */
void cli_print_json(struct cli *cli, struct gd_span json, bool raw);

#endif
