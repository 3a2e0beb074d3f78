/* daemon/runner/spawn.h — starts one program in a session of its own.
 *
 * vfork semantics (clone with CLONE_VM | CLONE_VFORK): the cost does not grow
 * with the runner's memory, and what fails in the child before exec comes back as
 * an errno and a stage instead of an exit code. Nor does it grow with the runner's
 * descriptors, three for each command: the child shares the table until it takes a
 * copy of its lowest part (CLONE_FILES, then close_range(2) with
 * CLOSE_RANGE_UNSHARE), where the three that it needs are put before. The child has exactly three
 * descriptors, default signal dispositions, an empty signal mask, and gets
 * SIGKILL if the runner dies (prctl(2), PR_SET_PDEATHSIG), so that nothing runs
 * on whose end nobody would learn.
 *
 * Thread: the one that owns the loop; the parent is stopped until exec.
 */
#ifndef GD_DAEMON_RUNNER_SPAWN_H
#define GD_DAEMON_RUNNER_SPAWN_H

#include "base/attr.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

/* What does not change from one start to the next. */
struct gd_spawner {
    void *stack;      /* of the child until exec */
    int low[3];       /* places for its streams, low in our table of descriptors */
    int null_fd;      /* /dev/null: what is there meanwhile, and the streams that are not given */
    uint64_t handled; /* signals that are not at their default here, a bit for each */
    struct rlimit nofile; /* descriptors: soft and hard limit that commands get */
    bool reset_oom_score; /* ours is negative; commands get 0 */
};

struct gd_spawn {
    char *const *argv;
    char *const *envp;
    const char *path; /* PATH for a program without a slash */
    const char *cwd;
    int fds[3];    /* its stdin, stdout, stderr; each at least 3 here, or -1: /dev/null */
    int cgroup_fd; /* cgroup.procs to join, or -1 */
};

/* How a start went. */
struct gd_spawned {
    pid_t pid;
    int pidfd;         /* close-on-exec; the caller's */
    const char *stage; /* on failure: "fork", "chdir", "exec" …, static text */
};

/* To be called when the process has set up its own signals. Errors: -errno. */
GD_MUST_CHECK int gd_spawner_init(struct gd_spawner *sp, struct rlimit nofile);
void gd_spawner_done(struct gd_spawner *sp);

/* Starts a program. Errors: -errno, with ret->stage; nothing is left behind. */
GD_MUST_CHECK int gd_spawn(const struct gd_spawner *sp, const struct gd_spawn *s,
                           struct gd_spawned *ret);

#endif
