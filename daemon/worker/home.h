/* daemon/worker/home.h — a worker's place in the state directory.
 *
 * Lock, socket and output directory, all reached through one descriptor of the
 * directory, so that neither a long path (a unix socket's has 107 bytes) nor a
 * renamed parent matters. If the socket file goes away (somebody removed the
 * directory), nobody can ever come for what the worker holds: it is told.
 */
#ifndef GD_DAEMON_WORKER_HOME_H
#define GD_DAEMON_WORKER_HOME_H

#include "base/attr.h"
#include "base/err.h"
#include "daemon/loop/loop.h"

struct gd_home {
    struct gd_loop *loop;
    int dir_fd;
    int lock_fd;
    int listen_fd;
    int output_fd;
    int inotify_fd;
    unsigned long socket_inode;
    char socket_name[32];
    struct gd_watch accept;
    struct gd_watch removed;
    struct gd_timer again; /* accepting rests for want of descriptors */
    void (*on_client)(struct gd_home *h, int own_fd);
    void (*on_orphaned)(struct gd_home *h);
};

/* Opens all for the worker `short_name`; the two callbacks are set by the caller
 * before. Errors, with words in `err`: GD_E_LOCKED (another one lives), -errno. */
GD_MUST_CHECK int gd_home_open(struct gd_home *h, struct gd_loop *l, const char *state_dir,
                               const char *short_name, struct gd_err *err);

/* Removes the socket and lets go of the rest. */
void gd_home_close(struct gd_home *h);

#endif
