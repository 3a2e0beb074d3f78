#include "base/log.h"
#include "daemon/exec/remote_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* Where the worker finds the pipe that it tells us by. */
#define READY_FD 3
/* Arguments: program, two options with values, those of the configuration, NULL. */
#define OWN_ARGS 5

static void says_ready(struct gd_watch *w, uint32_t events)
{
    (void)events;
    struct gd_remote *r = GD_OWNER(w, struct gd_remote, ready);
    char word[8];
    bool listens = read(w->fd, word, sizeof(word)) > 0;
    gd_watch_close(r->core->loop, w);
    gd_remote_launched(r, listens);
}

static void has_ended(struct gd_watch *w, uint32_t events)
{
    (void)events;
    struct gd_remote *r = GD_OWNER(w, struct gd_remote, child);
    siginfo_t info = {0};
    char status[21];
    (void)waitid(P_PIDFD, (id_t)w->fd, &info, WEXITED);
    gd_watch_close(r->core->loop, w);
    if (!r->closing)
        gd_log(GD_LOG_WARNING, "worker-ended", "worker", r->ops->program,
               info.si_code == CLD_EXITED ? "exit" : "signal", gd_log_num(status, info.si_status),
               NULL);
}

static char **make_args(const struct gd_remote *r)
{
    size_t n = 0;
    while (r->config.extra_args && r->config.extra_args[n])
        n++;
    const char **argv = calloc(OWN_ARGS + n + 1, sizeof(*argv));
    if (!argv)
        return NULL;
    size_t at = 0;
    argv[at++] = r->config.program_path;
    argv[at++] = "--state-dir";
    argv[at++] = r->config.state_dir;
    argv[at++] = "--log-level";
    argv[at++] = r->config.log_level;
    for (size_t i = 0; i < n; i++)
        argv[at++] = r->config.extra_args[i];
    return (char **)(uintptr_t)argv;
}

static char **make_env(void)
{
    size_t n = 0;
    while (environ[n])
        n++;
    char **env = calloc(n + 2, sizeof(*env));
    if (!env)
        return NULL;
    memcpy(env, environ, n * sizeof(*env));
    static char ready[] = "GATHERD_READY_FD=3";
    env[n] = ready;
    return env;
}

/* A session of its own, so that ^C and a closed terminal are not for it; default
 * signals; /dev/null for input and output, our stderr for its log. */
static int set_up(posix_spawnattr_t *attr, posix_spawn_file_actions_t *files, int ready_fd)
{
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    int rc = posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
                                                POSIX_SPAWN_SETSIGDEF);
    if (rc == 0)
        rc = posix_spawnattr_setsigmask(attr, &none);
    if (rc == 0)
        rc = posix_spawnattr_setsigdefault(attr, &all);
    if (rc == 0)
        rc = posix_spawn_file_actions_addopen(files, 0, "/dev/null", O_RDONLY, 0);
    if (rc == 0)
        rc = posix_spawn_file_actions_addopen(files, 1, "/dev/null", O_WRONLY, 0);
    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2(files, ready_fd, READY_FD);
    if (rc == 0)
        rc = posix_spawn_file_actions_addclosefrom_np(files, READY_FD + 1);
    return -rc;
}

static int spawn(struct gd_remote *r, int ready_fd, pid_t *ret_pid)
{
    posix_spawnattr_t attr;
    posix_spawn_file_actions_t files;
    char **argv = make_args(r);
    char **env = make_env();
    int rc = argv && env ? -posix_spawnattr_init(&attr) : -ENOMEM;
    if (rc == 0) {
        rc = -posix_spawn_file_actions_init(&files);
        if (rc == 0) {
            rc = set_up(&attr, &files, ready_fd);
            if (rc == 0)
                rc = -posix_spawn(ret_pid, r->config.program_path, &files, &attr, argv, env);
            (void)posix_spawn_file_actions_destroy(&files);
        }
        (void)posix_spawnattr_destroy(&attr);
    }
    free(argv);
    free(env);
    return rc;
}

int gd_remote_launch(struct gd_remote *r)
{
    int ends[2];
    pid_t pid = 0;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    int rc = spawn(r, ends[1], &pid);
    close(ends[1]);
    if (rc < 0) {
        close(ends[0]);
        return rc;
    }
    gd_watch_close(r->core->loop, &r->child);
    gd_watch_close(r->core->loop, &r->ready);
    r->child.fn = has_ended;
    r->ready.fn = says_ready;
    int pidfd = pidfd_open(pid, 0);
    if (pidfd >= 0 && gd_watch_start(r->core->loop, &r->child, pidfd, EPOLLIN) < 0)
        close(pidfd);
    rc = gd_watch_start(r->core->loop, &r->ready, ends[0], EPOLLIN);
    if (rc < 0)
        close(ends[0]);
    return rc;
}

void gd_remote_launch_done(struct gd_remote *r)
{
    gd_watch_close(r->core->loop, &r->child);
    gd_watch_close(r->core->loop, &r->ready);
}
