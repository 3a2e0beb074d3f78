/* daemon/runner/cgroup.h — one control group per command, where we may.
 *
 * With a delegated cgroup (v2) the kernel itself knows what belongs to a command,
 * and cgroup.kill ends all of it at once, fork bombs included. Used when the
 * runner's own cgroup is marked as delegated (systemd sets the extended attribute
 * user.delegate or trusted.delegate, systemd.resource-control(5)) or when a
 * directory is given. No controllers are needed. cgroups(7),
 * Documentation/admin-guide/cgroup-v2.rst.
 */
#ifndef GD_DAEMON_RUNNER_CGROUP_H
#define GD_DAEMON_RUNNER_CGROUP_H

#include "base/attr.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

/* Where commands get theirs. */
struct gd_cgroups {
    int root_fd; /* -1: not used */
};

/* `where`: "auto" (own cgroup if delegated), "off", or a directory in a cgroup2
 * file system. Ends whatever an earlier runner left there. Errors, with words:
 * -errno; "auto" never fails. */
GD_MUST_CHECK int gd_cgroups_open(struct gd_cgroups *g, const char *where, struct gd_err *err);
void gd_cgroups_close(struct gd_cgroups *g);

/* Makes the group of one attempt and opens its directory. Errors: -errno. */
GD_MUST_CHECK int gd_cgroup_new(const struct gd_cgroups *g, uint64_t task, uint32_t attempt,
                                int *ret_fd);

/* Opens the file by which a process joins (it writes "0"), or the one that becomes
 * ready (EPOLLPRI) when the group empties. -errno on failure. */
GD_MUST_CHECK int gd_cgroup_open_procs(int fd);
GD_MUST_CHECK int gd_cgroup_open_events(int fd);

/* True if a process lives in it. */
bool gd_cgroup_is_populated(int fd);

/* Sends `sig` to every process in it; SIGKILL by cgroup.kill. Errors: -errno. */
GD_MUST_CHECK int gd_cgroup_signal(int fd, int sig);

/* Removes the group of an attempt, which must be empty; else it stays until the
 * next start of a runner. */
void gd_cgroup_remove(const struct gd_cgroups *g, uint64_t task, uint32_t attempt);

#endif
