#include "daemon/runner/tree.h"

#include "base/buf.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* A process as /proc/<pid>/stat has it. */
struct proc {
    pid_t pid;
    pid_t parent;
    pid_t group;
    pid_t session;
    unsigned long long started; /* clock ticks since boot: tells a reused pid */
    char state;
    bool known;            /* `owner` has been found out */
    struct gd_tree *owner; /* NULL: no command of ours */
};

struct sweep {
    const struct gd_map *by_pid;
    const struct gd_map *by_task;
    struct gd_buf procs; /* of struct proc */
    struct gd_map index; /* pid to 1 + place in procs, as a pointer */
    struct gd_buf scratch;
    int proc_fd;
    pid_t self;
    int rc; /* no memory to read something that is there: nobody may be taken for dead */
};

/* Reads /proc/<pid>/<file> into the scratch, NUL-terminated. */
static int read_file(struct sweep *s, pid_t pid, const char *file)
{
    struct gd_buf *b = &s->scratch;
    char path[48];
    (void)snprintf(path, sizeof(path), "%d/%s", pid, file);
    gd_buf_reset(b);
    int fd = openat(s->proc_fd, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t n = 1;
    while (n > 0) {
        char *to = gd_buf_reserve(b, 4096);
        n = to ? read(fd, to, 4095) : 0;
        b->len += n > 0 ? (size_t)n : 0;
    }
    int rc = n < 0 ? -errno : gd_buf_error(b);
    if (gd_buf_error(b) < 0)
        s->rc = gd_buf_error(b);
    close(fd);
    if (rc == 0)
        b->ptr[b->len] = '\0';
    return rc;
}

/* False: it is gone. The name in brackets may hold anything, so fields count from
 * the last ')' (proc(5)). */
static bool read_stat(struct sweep *s, pid_t pid, struct proc *ret)
{
    if (read_file(s, pid, "stat") < 0)
        return false;
    const char *after = strrchr(s->scratch.ptr, ')');
    *ret = (struct proc){.pid = pid};
    /* Fields 3 state, 4 ppid, 5 pgrp, 6 session, 22 starttime: the kernel's own format. */
    /* NOLINTBEGIN(cert-err34-c) */
    return after &&
           sscanf(after,
                  ") %c %d %d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d "
                  "%*d %*d %llu",
                  &ret->state, &ret->parent, &ret->group, &ret->session, &ret->started) == 5;
    /* NOLINTEND(cert-err34-c) */
}

static struct proc *proc_at(const struct sweep *s, size_t i)
{
    return (struct proc *)(void *)s->procs.ptr + i;
}

static struct proc *find(const struct sweep *s, pid_t pid)
{
    uintptr_t place = (uintptr_t)gd_map_get(&s->index, (uint64_t)pid);
    return place ? proc_at(s, place - 1) : NULL;
}

static int read_all(struct sweep *s)
{
    DIR *dir = opendir("/proc");
    if (!dir)
        return -errno;
    s->proc_fd = dirfd(dir);
    int rc = 0;
    for (const struct dirent *e; rc == 0 && (e = readdir(dir));) {
        struct proc p;
        long pid = strtol(e->d_name, NULL, 10);
        if (pid <= 0 || !read_stat(s, (pid_t)pid, &p))
            continue;
        gd_buf_put(&s->procs, &p, sizeof(p));
        rc = gd_buf_error(&s->procs);
        uintptr_t place = s->procs.len / sizeof(p);
        if (rc == 0)
            /* NOLINTNEXTLINE(performance-no-int-to-ptr): a place, not an address */
            rc = gd_map_put(&s->index, (uint64_t)pid, (void *)place);
    }
    s->proc_fd = dup(s->proc_fd);
    if (s->proc_fd < 0 && rc == 0)
        rc = -errno;
    (void)closedir(dir);
    return rc < 0 ? rc : s->rc;
}

/* The number of a variable in an environment, 0 if it is not there. */
static uint64_t variable(const struct gd_buf *text, const char *name)
{
    size_t n = strlen(name);
    for (size_t at = 0; at < text->len;) {
        const char *var = text->ptr + at;
        if (strncmp(var, name, n) == 0 && var[n] == '=')
            return strtoull(var + n + 1, NULL, 10);
        at += strlen(var) + 1;
    }
    return 0;
}

/* Whose is a process that the runner adopted? */
static struct gd_tree *owner_of_adopted(struct sweep *s, const struct proc *p)
{
    struct gd_tree *t = gd_map_get(s->by_pid, (uint64_t)p->session);
    if (t || p->state == 'Z')
        return t;
    if (read_file(s, p->pid, "environ") < 0)
        return NULL;
    t = gd_map_get(s->by_task, variable(&s->scratch, "GATHERD_TASK"));
    return t && variable(&s->scratch, "GATHERD_ATTEMPT") == t->attempt ? t : NULL;
}

/* Goes up from `p` to a process whose owner is certain, then notes it for all on
 * the way. A chain is short; a cycle cannot be, but pids may be reused while we
 * read, so the way is bounded by the number of processes. */
static struct gd_tree *owner_of(struct sweep *s, struct proc *p)
{
    size_t left = s->procs.len / sizeof(*p);
    struct proc *top = p;
    struct gd_tree *owner = NULL;
    for (; left > 0 && !top->known; left--) {
        owner = gd_map_get(s->by_pid, (uint64_t)top->pid);
        if (!owner && top->parent == s->self)
            owner = owner_of_adopted(s, top);
        if (owner || top->parent == s->self || top->parent <= 1)
            break;
        struct proc *up = find(s, top->parent);
        if (!up)
            break;
        top = up;
    }
    if (top->known)
        owner = top->owner;
    for (struct proc *q = p; q && !q->known; q = q == top ? NULL : find(s, q->parent)) {
        q->known = true;
        q->owner = owner;
    }
    return owner;
}

/* Sends by pidfd, after a second look: the pid may be another's by now. */
static void send_signal(struct sweep *s, const struct proc *p, int sig)
{
    struct proc now;
    int fd = pidfd_open(p->pid, 0);
    if (fd < 0)
        return;
    if (read_stat(s, p->pid, &now) && now.started == p->started)
        (void)pidfd_send_signal(fd, sig, NULL, 0);
    close(fd);
}

static bool is_alive(const struct proc *p)
{
    return p->state != 'Z' && p->state != 'X';
}

static void clear_counts(const struct gd_map *by_pid)
{
    size_t pos = 0;
    for (struct gd_tree *t; (t = gd_map_next(by_pid, &pos));)
        t->n_alive = 0;
}

static void visit(struct sweep *s, struct proc *p)
{
    if (!is_alive(p)) {
        if (p->parent == s->self && !gd_map_get(s->by_pid, (uint64_t)p->pid))
            (void)waitpid(p->pid, NULL, WNOHANG);
        return;
    }
    struct gd_tree *t = owner_of(s, p);
    if (!t || t->sig < 0)
        return;
    t->n_alive++;
    if (t->sig > 0 && (t->sig == SIGKILL || p->group != t->pid))
        send_signal(s, p, t->sig);
}

int gd_tree_sweep(const struct gd_map *by_pid, const struct gd_map *by_task)
{
    struct sweep s = {.by_pid = by_pid, .by_task = by_task, .proc_fd = -1, .self = getpid()};
    int rc = read_all(&s);
    if (rc == 0) {
        clear_counts(by_pid);
        for (size_t i = 0; i < s.procs.len / sizeof(struct proc); i++)
            visit(&s, proc_at(&s, i));
        rc = s.rc;
    }
    if (s.proc_fd >= 0)
        close(s.proc_fd);
    gd_buf_free(&s.procs);
    gd_buf_free(&s.scratch);
    gd_map_free(&s.index);
    return rc;
}
