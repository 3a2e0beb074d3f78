#include "daemon/runner/cgroup.h"

#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

/* "18446744073709551615-4294967295" and the prefix. */
#define NAME_BYTES 48

static void name_of(char name[NAME_BYTES], uint64_t task, uint32_t attempt)
{
    (void)snprintf(name, NAME_BYTES, "task-%llu-%u", (unsigned long long)task, attempt);
}

/* --- where */

/* The v2 line of /proc/self/cgroup is "0::/path". */
static bool own_path(char *path, size_t n)
{
    FILE *f = fopen("/proc/self/cgroup", "re");
    if (!f)
        return false;
    char *line = NULL;
    size_t cap = 0;
    bool found = false;
    while (!found && getline(&line, &cap, f) > 0) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "0::/", 4) == 0)
            found = snprintf(path, n, "/sys/fs/cgroup%s", line + 3) < (int)n;
    }
    free(line);
    (void)fclose(f);
    return found;
}

static bool is_delegated(const char *path)
{
    char value[2] = "";
    return (getxattr(path, "user.delegate", value, sizeof(value)) == 1 && value[0] == '1') ||
           (getxattr(path, "trusted.delegate", value, sizeof(value)) == 1 && value[0] == '1');
}

/* Ends what a runner that was killed has left, before anything else starts. */
static void clean_up(const struct gd_cgroups *g)
{
    int fd = openat(g->root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir)
        return;
    for (const struct dirent *e; (e = readdir(dir));) {
        if (strncmp(e->d_name, "task-", 5) != 0)
            continue;
        int old = openat(g->root_fd, e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (old < 0)
            continue;
        if (gd_cgroup_is_populated(old)) {
            gd_log(GD_LOG_WARNING, "left-over-ended", "cgroup", e->d_name, NULL);
            (void)!gd_cgroup_signal(old, SIGKILL);
        }
        close(old);
        (void)unlinkat(g->root_fd, e->d_name, AT_REMOVEDIR);
    }
    (void)closedir(dir);
}

int gd_cgroups_open(struct gd_cgroups *g, const char *where, struct gd_err *err)
{
    char own[4096];
    bool automatic = strcmp(where, "auto") == 0;
    g->root_fd = -1;
    if (strcmp(where, "off") == 0)
        return 0;
    if (automatic && (!own_path(own, sizeof(own)) || !is_delegated(own)))
        return 0;
    int fd = open(automatic ? own : where, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct statfs fs = {0};
    int rc = fd < 0 || fstatfs(fd, &fs) < 0 ? -errno : 0;
    if (rc == 0 && (unsigned long)fs.f_type != CGROUP2_SUPER_MAGIC)
        rc = -ENOTSUP;
    if (rc < 0) {
        if (fd >= 0)
            close(fd);
        return automatic ? 0 : gd_err_set(err, rc, "cgroup %s: %s", where, gd_err_text(rc));
    }
    g->root_fd = fd;
    clean_up(g);
    return 0;
}

void gd_cgroups_close(struct gd_cgroups *g)
{
    if (g->root_fd >= 0)
        close(g->root_fd);
    g->root_fd = -1;
}

/* --- one group */

int gd_cgroup_new(const struct gd_cgroups *g, uint64_t task, uint32_t attempt, int *ret_fd)
{
    char name[NAME_BYTES];
    name_of(name, task, attempt);
    if (mkdirat(g->root_fd, name, 0755) < 0 && errno != EEXIST)
        return -errno;
    int fd = openat(g->root_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    *ret_fd = fd;
    return 0;
}

int gd_cgroup_open_procs(int fd)
{
    int procs = openat(fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);
    return procs < 0 ? -errno : procs;
}

int gd_cgroup_open_events(int fd)
{
    int events = openat(fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
    return events < 0 ? -errno : events;
}

bool gd_cgroup_is_populated(int fd)
{
    char text[256];
    int events = gd_cgroup_open_events(fd);
    ssize_t n = events < 0 ? -1 : read(events, text, sizeof(text) - 1);
    if (events >= 0)
        close(events);
    text[n > 0 ? n : 0] = '\0';
    return strstr(text, "populated 1") != NULL;
}

static int kill_all(int fd)
{
    int kill_fd = openat(fd, "cgroup.kill", O_WRONLY | O_CLOEXEC);
    if (kill_fd < 0)
        return -errno;
    int rc = write(kill_fd, "1", 1) == 1 ? 0 : -errno;
    close(kill_fd);
    return rc;
}

int gd_cgroup_signal(int fd, int sig)
{
    if (sig == SIGKILL)
        return kill_all(fd);
    int procs = openat(fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
    FILE *f = procs < 0 ? NULL : fdopen(procs, "re");
    if (!f)
        return -errno;
    char *line = NULL;
    size_t cap = 0;
    while (getline(&line, &cap, f) > 0) {
        int pidfd = pidfd_open((pid_t)strtol(line, NULL, 10), 0);
        if (pidfd < 0)
            continue;
        (void)pidfd_send_signal(pidfd, sig, NULL, 0);
        close(pidfd);
    }
    free(line);
    (void)fclose(f);
    return 0;
}

void gd_cgroup_remove(const struct gd_cgroups *g, uint64_t task, uint32_t attempt)
{
    char name[NAME_BYTES];
    name_of(name, task, attempt);
    (void)unlinkat(g->root_fd, name, AT_REMOVEDIR);
}
