/* daemon/runner/command.h — the life of one command.
 *
 *   start --spawned--> alive --exit--> draining --pipes end, or 100 ms--> ended
 *     |  \--no process, no descriptor: again after a while (retrying)       ^
 *     |                                                                     |
 *     |   alive --cancel, timeout--> dying: TERM to the whole tree,         |
 *     |                              after `grace` KILL, until none lives --/
 *     \--cannot be started (SpawnError)--------------------------------------/
 *
 * Its end is its own exit, not the end of its pipes: what a grandchild that holds
 * one writes later is not waited for. Only a command that is being ended waits
 * until nothing of its tree lives.
 */
#ifndef GD_DAEMON_RUNNER_COMMAND_H
#define GD_DAEMON_RUNNER_COMMAND_H

#include "base/attr.h"
#include "base/err.h"
#include "base/map.h"
#include "daemon/loop/loop.h"
#include "daemon/runner/cgroup.h"
#include "daemon/runner/spawn.h"
#include "daemon/worker/worker.h"

/* What all commands share; given to gd_worker_open() as its argument. */
/* What is read from a pipe in one go: a pipe's usual capacity (pipe(7)). */
#define GD_CHUNK_BYTES 65536U

struct gd_commands {
    struct gd_loop *loop;
    struct gd_spawner spawner;
    struct gd_cgroups cgroups;
    struct gd_map by_pid;  /* struct gd_tree of every living or unreaped command */
    struct gd_map by_task; /* the same by task */
    struct gd_soon sweep;  /* looks at all trees that are being ended */
    struct gd_watch child; /* signalfd: SIGCHLD */
    struct gd_timer reap;  /* looks for adopted zombies that were missed */
    struct gd_node young;  /* commands whose pipes are not watched yet, oldest first */
    struct gd_timer grow;  /* the oldest of them is due */
    unsigned n_lingering;  /* dying commands that have exited, their trees have not */
    char **base_env;       /* the clean environment: NAME=value, NULL at the end */
    char *chunk;           /* where pipes are read into */
};

extern const struct gd_worker_ops gd_command_ops;

/* Blocks SIGCHLD, becomes a subreaper, opens what all commands need. `cgroup` as
 * for gd_cgroups_open(); `nofile` is the limit that commands get. Errors, with
 * words: -errno. */
GD_MUST_CHECK int gd_commands_open(struct gd_commands *cs, struct gd_loop *l, const char *cgroup,
                                   struct rlimit nofile, struct gd_err *err);
void gd_commands_close(struct gd_commands *cs);

#endif
