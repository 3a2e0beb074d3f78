#include "daemon/runner/spawn.h"

#include <sanitizer/asan_interface.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define STACK_BYTES 65536U

/* Shared with the child: its memory is ours until exec. */
struct child {
    const struct gd_spawner *sp;
    const struct gd_spawn *s;
    pid_t parent;
    volatile int errnum;
    const char *volatile stage;
};

/* The kernel's own: sigaction(3) hides the two signals that glibc keeps for itself, which
 * whoever started us may have left ignored. All zero bytes are SIG_DFL. */
#define N_SIGNALS 64
struct kernel_sigaction {
    uintptr_t handler;
    uintptr_t rest[7]; /* flags, restorer, mask; no more than this anywhere */
};

static int kernel_sigaction(int sig, const struct kernel_sigaction *act,
                            struct kernel_sigaction *old)
{
    return (int)syscall(SYS_rt_sigaction, sig, act, old, (size_t)N_SIGNALS / 8);
}

int gd_spawner_init(struct gd_spawner *sp, struct rlimit nofile)
{
    *sp = (struct gd_spawner){.nofile = nofile, .low = {-1, -1, -1}, .null_fd = -1};
    void *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED)
        return -errno;
    sp->stack = stack;
    sp->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int i = 0; i < 3; i++)
        sp->low[i] = fcntl(sp->null_fd, F_DUPFD_CLOEXEC, 3);
    if (sp->low[2] < 0)
        return -errno;
    for (int sig = 1; sig <= N_SIGNALS; sig++) {
        struct kernel_sigaction old = {0};
        if (kernel_sigaction(sig, NULL, &old) == 0 && old.handler != 0)
            sp->handled |= UINT64_C(1) << (sig - 1);
    }
    /* A runner that the kernel spares for last must not hand that on. */
    char adj[8] = "";
    int fd = open("/proc/self/oom_score_adj", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t n = read(fd, adj, sizeof(adj) - 1);
        close(fd);
        sp->reset_oom_score = n > 0 && adj[0] == '-';
    }
    return 0;
}

void gd_spawner_done(struct gd_spawner *sp)
{
    if (!sp->stack)
        return;
    (void)munmap(sp->stack, STACK_BYTES);
    for (int i = 0; i < 3; i++)
        if (sp->low[i] >= 0)
            close(sp->low[i]);
    if (sp->null_fd >= 0)
        close(sp->null_fd);
    sp->stack = NULL;
}

/* --- in the child: system calls only, nothing that allocates or locks */

static int give_up(struct child *c, const char *stage)
{
    c->errnum = errno;
    c->stage = stage;
    _exit(127);
}

static void reset_signals(const struct gd_spawner *sp)
{
    static const struct kernel_sigaction dfl;
    for (int sig = 1; sig <= N_SIGNALS; sig++)
        if (sp->handled & UINT64_C(1) << (sig - 1))
            (void)kernel_sigaction(sig, &dfl, NULL);
    sigset_t none;
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static void reset_oom_score(const struct gd_spawner *sp)
{
    if (!sp->reset_oom_score)
        return;
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t ignored = write(fd, "0", 1);
    (void)ignored;
    close(fd);
}

/* execvp(3)'s search: the first hit counts; EACCES is remembered. */
static void search_and_exec(const struct gd_spawn *s)
{
    char file[PATH_MAX];
    int errnum = ENOENT;
    size_t n_name = strlen(s->argv[0]);
    for (const char *dir = s->path; dir;) {
        const char *colon = strchrnul(dir, ':');
        size_t n = (size_t)(colon - dir);
        if (n + 1 + n_name < sizeof(file)) {
            memcpy(file, dir, n);
            file[n] = '/';
            memcpy(file + n + (n > 0), s->argv[0], n_name + 1);
            (void)execve(file, s->argv, s->envp);
            if (errno == EACCES)
                errnum = EACCES;
            else if (errno != ENOENT && errno != ENOTDIR)
                return;
        }
        dir = *colon ? colon + 1 : NULL;
    }
    errno = errnum;
}

static int run_child(void *arg)
{
    struct child *c = arg;
    const struct gd_spawn *s = c->s;
    /* If the runner died before this call, nobody would send the signal. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != c->parent)
        return give_up(c, "prctl");
    if (setsid() < 0)
        return give_up(c, "setsid");
    if (s->cgroup_fd >= 0 && write(s->cgroup_fd, "0", 1) != 1)
        return give_up(c, "cgroup");
    /* Until here the table of descriptors is the runner's. Its own copy has no more than
     * what lies low, so that it costs the same however many commands there are. */
    const int *low = c->sp->low;
    if (close_range((unsigned)low[2] + 1, ~0U, CLOSE_RANGE_UNSHARE) < 0)
        return give_up(c, "close_range");
    for (int i = 0; i < 3; i++)
        if (dup2(low[i], i) < 0)
            return give_up(c, "dup2");
    if (close_range(3, ~0U, 0) < 0)
        return give_up(c, "close_range");
    if (chdir(s->cwd) < 0)
        return give_up(c, "chdir");
    (void)umask(022);
    (void)setrlimit(RLIMIT_NOFILE, &c->sp->nofile);
    reset_oom_score(c->sp);
    reset_signals(c->sp);
    if (strchr(s->argv[0], '/'))
        (void)execve(s->argv[0], s->argv, s->envp);
    else
        search_and_exec(s);
    return give_up(c, "exec");
}

/* --- in the parent */

/* Puts the streams in their places, or, without any, nothing. */
static int place_streams(const struct gd_spawner *sp, const int *fds)
{
    for (int i = 0; i < 3; i++)
        if (dup3(fds && fds[i] >= 0 ? fds[i] : sp->null_fd, sp->low[i], O_CLOEXEC) < 0)
            return -errno;
    return 0;
}

int gd_spawn(const struct gd_spawner *sp, const struct gd_spawn *s, struct gd_spawned *ret)
{
    struct child c = {.sp = sp, .s = s, .parent = getpid()};
    int rc = place_streams(sp, s->fds);
    if (rc < 0) {
        ret->stage = "dup2";
        return rc;
    }
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    (void)sigprocmask(SIG_BLOCK, &all, &before);
    int pidfd = -1;
    /* The frames of the child before, which exec left without an end. */
    ASAN_UNPOISON_MEMORY_REGION(sp->stack, STACK_BYTES);
    pid_t pid = clone(run_child, (char *)sp->stack + STACK_BYTES,
                      CLONE_VM | CLONE_VFORK | CLONE_FILES | CLONE_PIDFD | SIGCHLD, &c, &pidfd);
    rc = pid < 0 ? -errno : 0;
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    (void)place_streams(sp, NULL); /* or the end of its pipes would never be seen */
    if (pid < 0) {
        ret->stage = "fork";
        return rc;
    }
    if (c.errnum == 0) {
        *ret = (struct gd_spawned){.pid = pid, .pidfd = pidfd};
        return 0;
    }
    siginfo_t info;
    while (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED) < 0 && errno == EINTR)
        continue;
    close(pidfd);
    ret->stage = c.stage;
    return -c.errnum;
}
