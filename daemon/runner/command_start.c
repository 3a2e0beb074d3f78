#include "daemon/runner/command_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Names and values that every command gets from us. */
#define OWN_VARIABLES 3
#define OWN_BYTES     48

struct launch {
    char **argv;
    char **envp;
    char own[OWN_VARIABLES][OWN_BYTES];
    const char *path;
    int in;
    int out[2];
    int err[2];
    int procs; /* cgroup.procs */
};

static size_t count_strings(struct gd_span strings)
{
    size_t n = 0;
    for (size_t i = 0; i < strings.len; i++)
        n += strings.ptr[i] == '\0';
    return n;
}

/* Points `to` at each string; returns how many. */
static size_t point_at(struct gd_span strings, char **to)
{
    size_t n = 0;
    for (size_t at = 0; at < strings.len; at += strlen(strings.ptr + at) + 1)
        to[n++] = (char *)(uintptr_t)(strings.ptr + at);
    return n;
}

static bool same_name(const char *a, const char *b)
{
    size_t n = strcspn(a, "=");
    return strncmp(a, b, n) == 0 && b[n] == '=';
}

/* True if one of the first `n` of `envp` sets the same variable. */
static bool is_set(char *const *envp, size_t n, const char *var)
{
    for (size_t i = 0; i < n; i++)
        if (same_name(var, envp[i]))
            return true;
    return false;
}

static int make_environment(struct launch *l, const struct gd_command *c)
{
    size_t n_base = 0;
    while (c->cs->base_env[n_base])
        n_base++;
    size_t n_job = count_strings(c->env);
    l->envp = calloc(n_base + n_job + OWN_VARIABLES + 1, sizeof(*l->envp));
    if (!l->envp)
        return -ENOMEM;
    size_t n = point_at(c->env, l->envp);
    for (size_t i = 0; i < n_base; i++)
        if (!is_set(l->envp, n_job, c->cs->base_env[i]))
            l->envp[n++] = c->cs->base_env[i];
    (void)snprintf(l->own[0], OWN_BYTES, "GATHERD_TASK=%llu", (unsigned long long)c->unit.task);
    (void)snprintf(l->own[1], OWN_BYTES, "GATHERD_ATTEMPT=%u", c->unit.attempt);
    (void)snprintf(l->own[2], OWN_BYTES, "GATHERD_BATCH=%llu", (unsigned long long)c->batch);
    for (unsigned i = 0; i < (c->batch ? 3U : 2U); i++)
        l->envp[n++] = l->own[i];
    l->path = "/usr/bin:/bin";
    for (size_t i = 0; i < n; i++)
        if (strncmp(l->envp[i], "PATH=", 5) == 0)
            l->path = l->envp[i] + 5;
    return 0;
}

static int make_arguments(struct launch *l, const struct gd_command *c)
{
    size_t n = count_strings(c->argv);
    if (n == 0)
        return -EPROTO;
    l->argv = calloc(n + 1, sizeof(*l->argv));
    if (!l->argv)
        return -ENOMEM;
    (void)point_at(c->argv, l->argv);
    return 0;
}

/* Its stdin: a memory file with what the job gave; none is /dev/null. */
static int make_input(struct launch *l, const struct gd_command *c)
{
    if (!c->input.ptr)
        return 0;
    l->in = memfd_create("stdin", MFD_CLOEXEC);
    if (l->in < 0)
        return -errno;
    for (size_t done = 0; done < c->input.len;) {
        ssize_t n = write(l->in, c->input.ptr + done, c->input.len - done);
        if (n < 0 && errno != EINTR)
            return -errno;
        done += n > 0 ? (size_t)n : 0;
    }
    return lseek(l->in, 0, SEEK_SET) < 0 ? -errno : 0;
}

static int make_pipe(int ends[2])
{
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    return fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

static int join_cgroup(struct launch *l, struct gd_command *c)
{
    if (c->cs->cgroups.root_fd < 0)
        return 0;
    int rc = gd_cgroup_new(&c->cs->cgroups, c->unit.task, c->unit.attempt, &c->cgroup_fd);
    if (rc < 0)
        return rc;
    l->procs = gd_cgroup_open_procs(c->cgroup_fd);
    return l->procs < 0 ? l->procs : 0;
}

static int prepare(struct launch *l, struct gd_command *c, const char **ret_stage)
{
    int rc = make_arguments(l, c);
    *ret_stage = "memory";
    if (rc == 0)
        rc = make_environment(l, c);
    if (rc < 0)
        return rc;
    *ret_stage = "stdin";
    rc = make_input(l, c);
    if (rc < 0)
        return rc;
    *ret_stage = "pipe";
    rc = make_pipe(l->out);
    if (rc == 0)
        rc = make_pipe(l->err);
    if (rc < 0)
        return rc;
    *ret_stage = "cgroup";
    return join_cgroup(l, c);
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Watches the process and takes over the reading ends. */
static int adopt(struct launch *l, struct gd_command *c, const struct gd_spawned *child)
{
    struct gd_loop *loop = c->cs->loop;
    c->tree.pid = child->pid;
    int rc = gd_map_put(&c->cs->by_pid, (uint64_t)child->pid, &c->tree);
    if (rc == 0)
        rc = gd_map_put(&c->cs->by_task, c->unit.task, &c->tree);
    if (rc == 0)
        rc = gd_watch_start(loop, &c->exit, child->pidfd, EPOLLIN);
    if (rc < 0)
        return rc;
    gd_command_keep_pipes(c, l->out[0], l->err[0]);
    l->out[0] = l->err[0] = -1; /* the command's now */
    return 0;
}

/* A process that we cannot watch must not run. */
static void undo(struct gd_command *c, const struct gd_spawned *child)
{
    struct gd_loop *loop = c->cs->loop;
    gd_watch_stop(loop, &c->exit);
    (void)kill(-child->pid, SIGKILL);
    while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    (void)gd_map_del(&c->cs->by_pid, (uint64_t)child->pid);
    (void)gd_map_del(&c->cs->by_task, c->unit.task);
    c->tree.pid = 0;
    close(child->pidfd);
}

int gd_command_launch(struct gd_command *c, const char **ret_stage)
{
    struct launch l = {.in = -1, .out = {-1, -1}, .err = {-1, -1}, .procs = -1};
    int rc = prepare(&l, c, ret_stage);
    if (rc == 0) {
        struct gd_spawn s = {.argv = l.argv,
                             .envp = l.envp,
                             .path = l.path,
                             .cwd = c->cwd ? c->cwd : "/",
                             .fds = {l.in, l.out[1], l.err[1]},
                             .cgroup_fd = l.procs};
        struct gd_spawned child = {.pidfd = -1};
        rc = gd_spawn(&c->cs->spawner, &s, &child);
        *ret_stage = child.stage;
        if (rc == 0) {
            rc = adopt(&l, c, &child);
            *ret_stage = "watch";
            if (rc < 0)
                undo(c, &child);
        }
    }
    free(l.argv);
    free(l.envp);
    close_fd(&l.in);
    close_fd(&l.procs);
    for (unsigned i = 0; i < 2; i++) {
        close_fd(&l.out[i]);
        close_fd(&l.err[i]);
    }
    if (rc < 0 && c->cgroup_fd >= 0) {
        close_fd(&c->cgroup_fd);
        gd_cgroup_remove(&c->cs->cgroups, c->unit.task, c->unit.attempt);
    }
    return rc;
}

static void free_span(struct gd_span *s)
{
    free((void *)(uintptr_t)s->ptr);
    *s = (struct gd_span){0};
}

void gd_command_drop_start(struct gd_command *c)
{
    free_span(&c->argv);
    free_span(&c->env);
    free_span(&c->input);
    free(c->cwd);
    c->cwd = NULL;
}
