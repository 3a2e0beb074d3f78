#include "daemon/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static int locked_by(int fd, const char *state_dir, struct gd_err *err)
{
    char who[32] = "";
    ssize_t n = pread(fd, who, sizeof(who) - 1, 0);
    who[n > 0 ? n : 0] = '\0';
    long pid = strtol(who, NULL, 10);
    close(fd);
    if (pid > 0)
        return gd_err_set(err, GD_E_LOCKED, "%s is in use by another gatherd, process %ld",
                          state_dir, pid);
    return gd_err_set(err, GD_E_LOCKED, "%s is in use by another gatherd", state_dir);
}

int gd_lock_take(struct gd_lock *l, const char *state_dir, struct gd_err *err)
{
    char path[PATH_MAX];
    char who[32];
    l->fd = -1;
    (void)snprintf(path, sizeof(path), "%.4000s/gatherd.lock", state_dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return gd_err_set(err, -errno, "%s: %s", path, gd_err_text(-errno));
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK)
            return locked_by(fd, state_dir, err);
        int rc = gd_err_set(err, -errno, "%s: %s", path, gd_err_text(-errno));
        close(fd);
        return rc;
    }
    int n = snprintf(who, sizeof(who), "%d\n", getpid());
    if (ftruncate(fd, 0) < 0 || pwrite(fd, who, (size_t)n, 0) != n) {
        /* It is ours all the same; only the next one cannot say whose it is. */
    }
    l->fd = fd;
    return 0;
}

void gd_lock_drop(struct gd_lock *l)
{
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
}
