#include "daemon/worker/home.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define ACCEPT_AGAIN_MS 500

static int fail(struct gd_err *err, const char *state_dir, const char *what)
{
    int rc = -errno;
    return gd_err_set(err, rc, "%s: %s: %s", state_dir, what, gd_err_text(rc));
}

static int take_lock(struct gd_home *h, const char *state_dir, const char *short_name,
                     struct gd_err *err)
{
    char name[32];
    (void)snprintf(name, sizeof(name), "%s.lock", short_name);
    h->lock_fd = openat(h->dir_fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (h->lock_fd < 0)
        return fail(err, state_dir, name);
    if (flock(h->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno != EWOULDBLOCK)
        return fail(err, state_dir, name);
    return gd_err_set(err, GD_E_LOCKED, "%s: another gatherd-%s lives here already", state_dir,
                      short_name);
}

/* The socket's address by way of the directory's descriptor. */
static struct sockaddr_un address(const struct gd_home *h)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    (void)snprintf(sun.sun_path, sizeof(sun.sun_path), "/proc/self/fd/%d/%s", h->dir_fd,
                   h->socket_name);
    return sun;
}

static int bind_socket(struct gd_home *h, const char *state_dir, struct gd_err *err)
{
    struct stat st;
    struct sockaddr_un sun = address(h);
    /* A socket file without the lock's holder is a left-over. */
    if (unlinkat(h->dir_fd, h->socket_name, 0) < 0 && errno != ENOENT)
        return fail(err, state_dir, h->socket_name);
    h->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (h->listen_fd < 0 || bind(h->listen_fd, (struct sockaddr *)&sun, sizeof(sun)) < 0 ||
        fchmodat(h->dir_fd, h->socket_name, 0600, 0) < 0 || listen(h->listen_fd, 4) < 0 ||
        fstatat(h->dir_fd, h->socket_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return fail(err, state_dir, h->socket_name);
    h->socket_inode = st.st_ino;
    return 0;
}

static int open_output(struct gd_home *h, const char *state_dir, struct gd_err *err)
{
    if (mkdirat(h->dir_fd, "output", 0700) < 0 && errno != EEXIST)
        return fail(err, state_dir, "output");
    h->output_fd = openat(h->dir_fd, "output", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return h->output_fd < 0 ? fail(err, state_dir, "output") : 0;
}

static void accept_again(struct gd_timer *t)
{
    struct gd_home *h = GD_OWNER(t, struct gd_home, again);
    (void)!gd_watch_change(h->loop, &h->accept, EPOLLIN);
}

/* Without a descriptor to be had, whoever knocks waits in line; looking at him all the
 * time would help nobody. */
static void rest(struct gd_home *h)
{
    h->again.fn = accept_again;
    if (gd_watch_change(h->loop, &h->accept, 0) == 0 &&
        gd_timer_at(h->loop, &h->again, gd_mono_ms() + ACCEPT_AGAIN_MS) < 0)
        accept_again(&h->again);
}

static void accept_client(struct gd_watch *w, uint32_t events)
{
    (void)events;
    struct gd_home *h = GD_OWNER(w, struct gd_home, accept);
    int fd = accept4(h->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
            rest(h);
        return;
    }
    struct ucred cred;
    socklen_t n = sizeof(cred);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) < 0 ||
        (cred.uid != geteuid() && cred.uid != 0)) {
        close(fd);
        return;
    }
    h->on_client(h, fd);
}

static void check_socket(struct gd_watch *w, uint32_t events)
{
    (void)events;
    struct gd_home *h = GD_OWNER(w, struct gd_home, removed);
    char buf[4096];
    while (read(h->inotify_fd, buf, sizeof(buf)) > 0)
        continue;
    struct stat st;
    if (fstatat(h->dir_fd, h->socket_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        st.st_ino == h->socket_inode)
        return;
    gd_watch_stop(h->loop, &h->removed);
    h->on_orphaned(h);
}

static int start_watching(struct gd_home *h, const char *state_dir, struct gd_err *err)
{
    h->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (h->inotify_fd < 0 ||
        inotify_add_watch(h->inotify_fd, state_dir,
                          IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF | IN_ONLYDIR) < 0)
        return fail(err, state_dir, "inotify");
    h->accept.fn = accept_client;
    h->removed.fn = check_socket;
    int rc = gd_watch_start(h->loop, &h->accept, h->listen_fd, EPOLLIN);
    if (rc == 0)
        rc = gd_watch_start(h->loop, &h->removed, h->inotify_fd, EPOLLIN);
    return rc < 0 ? gd_err_set(err, rc, "%s: epoll: %s", state_dir, gd_err_text(rc)) : 0;
}

int gd_home_open(struct gd_home *h, struct gd_loop *l, const char *state_dir,
                 const char *short_name, struct gd_err *err)
{
    h->loop = l;
    h->dir_fd = h->lock_fd = h->listen_fd = h->output_fd = h->inotify_fd = -1;
    (void)snprintf(h->socket_name, sizeof(h->socket_name), "%s.sock", short_name);
    h->dir_fd = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = h->dir_fd < 0 ? fail(err, state_dir, "open") : 0;
    if (rc == 0)
        rc = take_lock(h, state_dir, short_name, err);
    if (rc == 0)
        rc = open_output(h, state_dir, err);
    if (rc == 0)
        rc = bind_socket(h, state_dir, err);
    if (rc == 0)
        rc = start_watching(h, state_dir, err);
    if (rc < 0)
        gd_home_close(h);
    return rc;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void gd_home_close(struct gd_home *h)
{
    gd_watch_stop(h->loop, &h->accept);
    gd_watch_stop(h->loop, &h->removed);
    gd_timer_stop(h->loop, &h->again);
    if (h->listen_fd >= 0)
        (void)unlinkat(h->dir_fd, h->socket_name, 0);
    close_fd(&h->listen_fd);
    close_fd(&h->inotify_fd);
    close_fd(&h->output_fd);
    close_fd(&h->lock_fd);
    close_fd(&h->dir_fd);
}
