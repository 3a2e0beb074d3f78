/* daemon/runner/tree.h — every process that a command has become.
 *
 * A command's tree is its process, its session, their descendants, and what has
 * left all that by a double fork and setsid(2): such processes are adopted by
 * the runner (it is a subreaper, prctl(2)) and known by the cookie in their
 * environment (GATHERD_TASK and GATHERD_ATTEMPT). One sweep over /proc serves
 * every command that is being ended at that time; its cost is that of the
 * machine's processes, not of the commands.
 *
 * A command's own process is reaped last, so that its id names nothing else
 * while its tree is looked for.
 */
#ifndef GD_DAEMON_RUNNER_TREE_H
#define GD_DAEMON_RUNNER_TREE_H

#include "base/attr.h"
#include "base/map.h"

#include <stdint.h>
#include <sys/types.h>

struct gd_tree {
    pid_t pid;     /* of the command; also its session; not reaped */
    uint64_t task; /* the cookie */
    uint32_t attempt;
    int sig;     /* what the next sweep sends; 0: nothing; -1: it is not looked at */
    int n_alive; /* how many processes the last sweep found, zombies not counted */
};

/* Looks at every process once. `by_pid` and `by_task` hold the struct gd_trees of
 * all commands. Sets n_alive of those with sig >= 0 and sends sig to each of
 * their processes; a signal other than SIGKILL not to those of the command's own
 * group, which the caller reaches at once by kill(2). Adopted zombies are reaped by the way. Errors: -errno, -ENOMEM:
 * n_alive says nothing. */
GD_MUST_CHECK int gd_tree_sweep(const struct gd_map *by_pid, const struct gd_map *by_task);

#endif
