/* client/cli_ref.h — what an id on the command line means.
 *
 *   task    17  t17  task/17
 *   batch   b5  batch/5
 *   entry   5/3  b5/3  batch/5/3    the task at index 3 (from 0) of batch 5
 *   newest  last                    what this user submitted last to this daemon
 *           last/3                  and the task at index 3 of it
 *
 * A bare number is a task, unless a slash makes it a batch. Numbers are decimal,
 * from 1 (an index from 0), without leading zeros.
 */
#ifndef GATHER_CLI_REF_H
#define GATHER_CLI_REF_H

#include "base/attr.h"
#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

struct cli_ref {
    bool is_last;  /* `id` is to be looked up */
    bool is_batch; /* of an entry: it is in a batch */
    bool has_index;
    uint64_t id;
    uint64_t index;
};

/* False: the text is no id. */
GD_MUST_CHECK bool cli_ref_parse(const char *text, struct cli_ref *ret);

/* "17" or "b5". */
void cli_ref_put(struct gd_buf *to, bool is_batch, uint64_t id);

/* --- the last one, per daemon, in $XDG_STATE_HOME/gather/last */

/* Remembers it. Best effort: what fails, fails silently. */
void cli_last_remember(const char *url, bool is_batch, uint64_t id);

/* False: nothing is remembered for this daemon. */
GD_MUST_CHECK bool cli_last_recall(const char *url, bool *ret_is_batch, uint64_t *ret_id);

/* --- asking the daemon */

struct cli;

/* Looks at all arguments from `first` on before anything is done to one of them:
 * is each an id, and if `only_tasks` not that of a batch? 0, or CLI_USAGE after a
 * message. */
GD_MUST_CHECK int cli_check_ids(struct cli *cli, int first, bool only_tasks);

/* What a reference stands for now. */
struct cli_target {
    bool is_batch;
    uint64_t id;
};

/* Reads `text` and finds out what it stands for. 0, or an exit status after a
 * message. */
GD_MUST_CHECK int cli_resolve(struct cli *cli, const char *text, struct cli_target *ret);

/* The same where only a task makes sense. */
GD_MUST_CHECK int cli_resolve_task(struct cli *cli, const char *text, uint64_t *ret);

#endif
